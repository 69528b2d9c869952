import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../node/local/world.ts';
import { bundleFixture, start } from './child.ts';

const OUTSIDE = new URL('../faults/outside.cjs', import.meta.url).pathname;

/** A process that writes `precious` into `tree/of/file`. */
function writer(plan: Readonly<Record<string, unknown>>) {
  const root = temporaryDirectory();
  const planned = join(root, 'plan.json');
  const log = join(root, 'log');
  const directory = join(root, 'tree/of');
  const file = join(directory, 'file');
  mkdirSync(directory, { recursive: true });
  writeFileSync(planned, JSON.stringify({ root: join(root, 'tree'), log, ...plan }));
  const argv = ['--require', OUTSIDE, bundleFixture('write-durably'), file];
  const run = () => start('/usr/bin/env', [`OUTSIDE=${planned}`, process.execPath, ...argv]);
  return { run, log, directory, file };
}

/** Without the first sync a crash of the host leaves an empty file, without the second the old. */
it('a file is on the disk before it has its name, and its name after that', async () => {
  const { run, log, file } = writer({ reads: true });
  expect(await run().ended).toBe(0);
  expect(readFileSync(file, 'utf8')).toBe('precious');
  const touches = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line): { call: string; path: string } => JSON.parse(line))
    .map(({ call, path }) => `${call.replace(/Sync$/, '')} ${path.replace(/^.*tree\//, '')}`);
  const inDirectory = touches.filter((touch) => touch.includes(' of'));
  expect(inDirectory).toEqual([
    'open of/.file.tmp',
    'writeFile of/.file.tmp',
    'fsync of/.file.tmp',
    'readFile of/.file.tmp',
    'rename of/file',
    'open of',
    'fsync of',
  ]);
});

it('what is written only in half does not take the place of what was there', async () => {
  const { run, directory, file } = writer({ faults: [{ call: 'writeFileSync', half: true }] });
  writeFileSync(file, 'as before');
  const child = run();
  expect(await child.nextLine()).toBe('it reads back differently');
  expect(await child.ended).toBe(1);
  expect(readFileSync(file, 'utf8')).toBe('as before');
  expect(readdirSync(directory)).toEqual(['file']);
});
