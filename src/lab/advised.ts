import { parseVmid } from '../core/units.ts';
import type { Had } from './had.ts';
import type { Advice, Recommendation } from './recommend.ts';

/** What is recommended, beside what is there: for programs, and as tiers of a configuration. */

export interface Advised {
  readonly advice: Recommendation;
  readonly had: Had | undefined;
  readonly tier: SizeTier;
}

/** Containers of about one size share a tier: to the next power of two. */
export interface SizeTier {
  readonly name: string;
  readonly cores: number;
  readonly memoryMib: number | undefined;
}

export const advised = (advice: Recommendation, had: Had | undefined): Advised => ({
  advice,
  had,
  tier: tierOf(advice),
});

const powerOfTwo = (value: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, value)));

function tierOf({ cores, memory }: Recommendation): SizeTier {
  const size = powerOfTwo(cores.amount);
  const mib = memory && powerOfTwo(memory.amount);
  const name = mib === undefined ? `TIER_${size}_cores` : `TIER_${size}_cores_${mib}_mb`;
  return { name, cores: size, memoryMib: mib };
}

/** What it had, less what is recommended. */
export const saved = (had: number | undefined, advice: Advice | undefined): number | undefined =>
  had === undefined || advice === undefined ? undefined : had - advice.amount;

const round = (value: number): number => Number(value.toPrecision(6));

function adviceJson(advice: Advice, had: number | undefined, atLimit: number | undefined) {
  const { amount, peak, shortShare, slack } = advice;
  return {
    recommended: amount,
    peak: round(peak),
    short: round(shortShare),
    slack: round(slack),
    had: had ?? null,
    saves: saved(had, advice) ?? null,
    at_limit: atLimit === undefined ? null : round(atLimit),
  };
}

export type AdvisedJson = ReturnType<typeof advisedJson>;

export const advisedJson = ({ advice, had, tier }: Advised) => {
  const { name, hours, cores, memory, sure } = advice;
  return {
    container: name,
    hours: round(hours),
    sure,
    tier: tier.name,
    cores: adviceJson(cores, had?.cores, had?.coresShort),
    memory_mb: memory === undefined ? null : adviceJson(memory, had?.memoryMib, had?.memoryShort),
  };
};

/**
 * Tiers as the configuration takes them, with room to grow for what scales within them.
 *
 * @param taken names of tiers that are there already
 */
export function tierLines(rows: readonly Advised[], taken: ReadonlySet<string>): readonly string[] {
  const tiers = new Map<string, { readonly tier: SizeTier; readonly names: string[] }>();
  for (const { advice, tier } of rows) {
    const entry = tiers.get(tier.name) ?? { tier, names: [] };
    entry.names.push(advice.name);
    tiers.set(tier.name, entry);
  }
  return [...tiers.values()].flatMap(({ tier, names }) => [
    `${taken.has(tier.name) ? `${tier.name}_2` : tier.name}:`,
    `  guests: [${names.filter(isId).join(', ')}]`,
    ...names.filter((name) => !isId(name)).map((name) => `  # the id of ${name} belongs there too`),
    '  scaling_mode: adaptive',
    `  max_cores: ${tier.cores * ROOM}`,
    ...(tier.memoryMib === undefined ? [] : [`  max_memory: ${tier.memoryMib * ROOM}`]),
  ]);
}

const ROOM = 2;
/** The containers of a trace may have other names than ids. */
const isId = (name: string): boolean => parseVmid(name) !== undefined;
