import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../node/local/world.ts';
import { ran } from '../ran.ts';

/** What takes too long with such a text takes minutes to days; all of them together, seconds. */
const HANGS_AFTER_MS = 120_000;
/** A fifth of what the daemon allows itself, so that none of them fills the memory either. */
const OLD_SPACE_MIB = 48;
const BOUNDS = ['--max-semi-space-size=1', `--max-old-space-size=${OLD_SPACE_MIB}`];
const UNIT = new URL('../../systemd/lxc_autoscale.service', import.meta.url);

it('the bound here is at most a fifth of that of the daemon', () => {
  const own = /--max-old-space-size=(\d+)/.exec(readFileSync(UNIT, 'utf8'))?.[1];
  expect(5 * OLD_SPACE_MIB).toBeLessThanOrEqual(Number(own));
});

it('no text makes the program hang, or fills its memory', async () => {
  const outfile = join(temporaryDirectory(), 'long-texts.cjs');
  buildSync({
    entryPoints: [fileURLToPath(new URL('fixtures/long-texts.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    target: 'node18.19',
    format: 'cjs',
    logLevel: 'warning',
    outfile,
  });
  const run = await ran(process.execPath, [...BOUNDS, outfile], {
    timeout: HANGS_AFTER_MS,
    killSignal: 'SIGKILL',
  });
  const got = run.stdout.trimEnd().split('\n');
  expect({ signal: run.signal, status: run.status, last: got.at(-1), said: run.stderr }).toEqual({
    signal: null,
    status: 0,
    last: 'a text of escapes',
    said: '',
  });
});
