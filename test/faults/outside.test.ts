import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';

/** What `test/faults/outside.cjs` does to a program. */

const OUTSIDE = new URL('outside.cjs', import.meta.url).pathname;

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'outside-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Touch {
  readonly nth: number;
  readonly nthChange: number;
  readonly kind: string;
  readonly call: string;
  readonly path?: string;
  readonly argv?: readonly string[];
  readonly error?: string;
}

/** Runs a program with `dir` as its directory, and returns what it printed and touched. */
function run(program: string, faults: readonly object[] = []) {
  const plan = join(directory, '..', `${directory.split('/').at(-1)}.json`);
  const log = `${plan}.log`;
  writeFileSync(plan, JSON.stringify({ root: directory, log, reads: true, faults }));
  writeFileSync(log, '');
  const child = spawnSync(process.execPath, ['--require', OUTSIDE, '-e', PRELUDE + program], {
    encoding: 'utf8',
    timeout: PATIENCE_MS,
    env: { ...process.env, OUTSIDE: plan, DIR: directory },
  });
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  rmSync(plan);
  rmSync(log);
  const touches: Touch[] = lines.map((line) => JSON.parse(line));
  return { ...child, touches, calls: touches.map(({ call }) => call) };
}

const PRELUDE = `
const fs = require('node:fs');
const dir = process.env.DIR;
const told = (work) => {
  try { return console.log(String(work())); } catch (error) { console.log(error.message); }
};
`;

const inDirectory = (name: string): string => readFileSync(join(directory, name), 'utf8');

test('a call that is made of others is one touch, and what lies elsewhere is none', () => {
  const { calls, touches } = run(`
    fs.writeFileSync(dir + '/a', 'one');
    fs.readFileSync('/proc/self/stat');
    fs.appendFileSync(dir + '/a', 'two');
    fs.renameSync(dir + '/a', dir + '/b');
    fs.readFileSync(dir + '/b');
    fs.rmSync(dir + '/b');
    require('node:child_process').spawn('/bin/true', ['x']);
  `);
  const expected = ['writeFileSync', 'appendFileSync', 'renameSync', 'readFileSync', 'rmSync'];
  expect(calls).toEqual([...expected, 'spawn']);
  expect(touches.map(({ nthChange }) => nthChange)).toEqual([1, 2, 3, 3, 4, 5]);
  expect(touches.at(-1)?.argv).toEqual(['/bin/true', 'x']);
});

test('descriptors, callbacks, promises, streams and handles are all seen', () => {
  const { calls } = run(`
    const fd = fs.openSync(dir + '/a', 'w');
    fs.writeSync(fd, 'text');
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    fs.utimes(dir + '/a', 1, 2, async () => {
      await fs.promises.stat(dir + '/a');
      const handle = await fs.promises.open(dir + '/a', 'a');
      await handle.write('more');
      await handle.close();
      fs.createReadStream(dir + '/a').on('close', () => {}).resume();
    });
  `);
  expect(calls.slice(0, 4)).toEqual(['openSync', 'writeSync', 'fsyncSync', 'utimes']);
  expect(calls.slice(4, 7)).toEqual(['promises.stat', 'promises.open', 'handle.write']);
  expect(calls.slice(7, 9)).toEqual(['open', 'read']);
});

test('an error looks like that of the system, and nothing has happened', () => {
  const { stdout } = run(
    `told(() => fs.writeFileSync(dir + '/a', 'x'));
     told(() => fs.existsSync(dir + '/a'));
     fs.promises.mkdir(dir + '/d').catch((error) => console.log(error.code, error.errno));`,
    [
      { kind: 'write', path: '/a', error: 'ENOSPC', times: 1 },
      { call: 'promises.mkdir', error: 'EROFS' },
    ],
  );
  const [first, ...rest] = stdout.trimEnd().split('\n');
  expect(first).toBe(`ENOSPC: no space left on device, open '${directory}/a'`);
  expect(rest).toEqual(['false', 'EROFS -30']);
});

test('half a write is half a file, told as an error or as a short count', () => {
  const { stdout } = run(
    `told(() => fs.writeFileSync(dir + '/a', '12345678'));
     const fd = fs.openSync(dir + '/b', 'w');
     told(() => fs.writeSync(fd, '12345678'));
     told(() => fs.writeSync(fd, Buffer.from('abcdefgh'), 2, 4));`,
    [
      { call: 'writeFileSync', half: true, error: 'EIO' },
      { call: 'writeSync', half: true },
    ],
  );
  expect(stdout).toMatch(/^EIO: .*\n4\n2\n$/);
  expect(inDirectory('a')).toBe('1234');
  expect(inDirectory('b')).toBe('1234cd');
});

test('what is read is cut, replaced or out of date, by an open descriptor too', () => {
  writeFileSync(join(directory, 'long'), 'x'.repeat(20_000));
  const { stdout } = run(
    `const fd = fs.openSync(dir + '/a', 'w+');
     const buffer = Buffer.alloc(64);
     const read = () => buffer.toString('utf8', 0, fs.readSync(fd, buffer, 0, 64, 0));
     for (const text of ['first', 'second']) {
       fs.writeFileSync(dir + '/a', text);
       told(read);
     }
     told(read);
     told(() => fs.readFileSync(dir + '/long', 'utf8'));`,
    [
      { nthOfKind: 2, kind: 'read', stale: true },
      { nthOfKind: 3, kind: 'read', truncate: 3 },
      { path: 'long', kind: 'read', text: '18446744073709551615' },
    ],
  );
  expect(stdout.trimEnd().split('\n')).toEqual(['first', 'first', 'sec', '18446744073709551615']);
});

test('a long file is made over as a whole, read by read', () => {
  writeFileSync(join(directory, 'long'), 'x'.repeat(20_000));
  const { stdout, calls } = run(
    `const fd = fs.openSync(dir + '/long');
     const buffer = Buffer.alloc(1000);
     let length = 0;
     for (let count; (count = fs.readSync(fd, buffer, 0, 1000, null)) > 0; ) length += count;
     console.log(length);`,
    [{ path: 'long', call: 'readSync', truncate: 2500 }],
  );
  expect(stdout).toBe('2500\n');
  expect(calls).toEqual(['openSync', 'readSync']);
});

test.each([
  ['before', '', 'old'],
  ['after', 'new', undefined],
])('a process that is killed %s a change leaves what was there %s', (when, there, left) => {
  const { signal, stdout } = run(
    `fs.writeFileSync(dir + '/a', 'old');
     fs.writeFileSync(dir + '/b', 'new');
     console.log('reached');`,
    [{ nthChange: 2, when, kill: 'SIGKILL' }],
  );
  expect([signal, stdout]).toEqual(['SIGKILL', '']);
  expect(inDirectory('a')).toBe('old');
  if (left === undefined) expect(inDirectory('b')).toBe(there);
  else expect(() => inDirectory('b')).toThrow('ENOENT');
});

test('a program that cannot be started says so as the system does', () => {
  const { stdout } = run(
    `const { spawn } = require('node:child_process');
     spawn('/bin/true').on('error', ({ code }) => console.log(code));
     told(() => spawn('/bin/true'));`,
    [
      { kind: 'command', nthOfKind: 1, error: 'ENOENT' },
      { kind: 'command', nthOfKind: 2, error: 'ENOMEM' },
    ],
  );
  expect(stdout).toBe('ENOMEM: not enough memory, spawn\nENOENT\n');
});
