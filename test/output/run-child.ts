import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { PATIENCE_MS } from '../patience.ts';

/** Bundles a few lines of TypeScript that may import from `src/`, into one file in `directory`. */
export function bundleScript(directory: string, source: string): string {
  const outfile = join(directory, 'script.cjs');
  buildSync({
    stdin: { contents: source, resolveDir: new URL('../../src', import.meta.url).pathname },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    logLevel: 'silent',
    outfile,
  });
  return outfile;
}

/** Runs a line of bash with a time limit. Its output is that of the whole line. */
export function runBash(command: string): {
  status: number | null;
  stdout: string;
  stderr: string;
} {
  return spawnSync('bash', ['-c', command], { encoding: 'utf8', timeout: PATIENCE_MS });
}
