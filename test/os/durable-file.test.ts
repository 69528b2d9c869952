import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../node/local/world.ts';
import { bundleFixture, start } from './child.ts';

const OUTSIDE = new URL('../faults/outside.cjs', import.meta.url).pathname;

/** Without the first sync a crash of the host leaves an empty file, without the second the old. */
it('a file is on the disk before it has its name, and its name after that', async () => {
  const root = temporaryDirectory();
  const plan = join(root, 'plan.json');
  const log = join(root, 'log');
  const file = join(root, 'tree/of/file');
  mkdirSync(join(root, 'tree/of'), { recursive: true });
  writeFileSync(plan, JSON.stringify({ root: join(root, 'tree'), log }));
  const argv = ['--require', OUTSIDE, bundleFixture('write-durably'), file];
  const child = start('/usr/bin/env', [`OUTSIDE=${plan}`, process.execPath, ...argv]);
  expect(await child.ended).toBe(0);
  expect(readFileSync(file, 'utf8')).toBe('precious');
  const touches = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line): { call: string; path: string } => JSON.parse(line))
    .map(({ call, path }) => `${call.replace(/Sync$/, '')} ${path.replace(/^.*tree\//, '')}`);
  expect(touches).toEqual([
    ...['open of/.file.tmp', 'writeFile of/.file.tmp', 'fsync of/.file.tmp', 'rename of/file'],
    'fsync of',
  ]);
});
