import fc from 'fast-check';

/**
 * Properties are tried with the same inputs in each run: whoever breaks one sees it, and nobody
 * else. `FUZZ_SEED=N` tries others, for a search that has time.
 */
export const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261_122);

fc.configureGlobal({ seed: SEED });

export { fc };
