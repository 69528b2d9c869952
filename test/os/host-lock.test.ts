import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPaths } from '../../src/node/local/paths.ts';
import type { HeldLock } from '../../src/os/host-lock.ts';
import { acquireHostLock } from '../../src/os/host-lock.ts';
import { plant, temporaryDirectory } from '../node/local/world.ts';
import { until } from '../patience.ts';
import { bundleFixture, type RunningChild, start } from './child.ts';

const LOCK = 'run/lxc_autoscale/lock';
const lockFileOf = (root: string): string => join(root, 'var/lock/autoscale.lock');
const acquire = (root: string, lockFile = lockFileOf(root)) =>
  acquireHostLock(createPaths(root), lockFile);

function held(root: string, lockFile = lockFileOf(root)): HeldLock {
  const outcome = acquire(root, lockFile);
  if (!outcome.ok) throw new Error(JSON.stringify(outcome));
  return outcome;
}

const holder = (root: string, lockFile = lockFileOf(root)): RunningChild =>
  start(process.execPath, [bundleFixture('hold-lock'), root, lockFile]);

describe('the lock of the host', () => {
  it('is held until it is given back, in a directory for nobody else', () => {
    const root = temporaryDirectory();
    const lock = held(root);
    expect(statSync(join(root, 'run/lxc_autoscale')).mode & 0o777).toBe(0o700);
    expect(acquire(root)).toEqual({
      ok: false,
      running: true,
      path: join(root, LOCK),
      pid: process.pid,
    });
    lock.release();
    lock.release();
    held(root).release();
  });

  it('is given back without an error, whatever has become of its file', () => {
    const root = temporaryDirectory();
    const lock = held(root);
    for (const name of readdirSync('/proc/self/fd')) {
      const link = join('/proc/self/fd', name);
      if (existsSync(link) && readlinkSync(link) === join(root, LOCK)) closeSync(Number(name));
    }
    expect(() => lock.release()).not.toThrow();
    expect(existsSync(lockFileOf(root))).toBe(false);
    held(root).release();
  });

  it('is one, whatever lock_file each of them has', () => {
    const root = temporaryDirectory();
    const lock = held(root, join(root, 'var/lock/one.lock'));
    const other = join(root, 'var/lock/other.lock');
    expect(acquire(root, other)).toMatchObject({ ok: false, running: true });
    expect(existsSync(other)).toBe(false);
    lock.release();
  });

  it.each<[string, Record<string, string>]>([
    ['nothing', {}],
    ['a process id without its end', { [LOCK]: '123' }],
    ['anything', { [LOCK]: 'x'.repeat(100) }],
  ])('can be had where a dead process has left %s', (_, files) => {
    const root = temporaryDirectory();
    plant(root, files);
    const lock = held(root);
    expect(readFileSync(join(root, LOCK), 'utf8')).toBe(`${process.pid}\n`);
    lock.release();
  });

  it.each<[string, (directory: string) => void, RegExp]>([
    ['its directory is a file', (path) => writeFileSync(path, ''), /is not a directory/],
    ['its directory is a link', (path) => symlinkSync('/tmp', path), /is a symbolic link/],
    [
      'a link stands in its place',
      (path) => {
        mkdirSync(path);
        symlinkSync('/etc/passwd', join(path, 'lock'));
      },
      /it is a symbolic link \(ELOOP\)/,
    ],
    [
      'a directory stands in its place',
      (path) => mkdirSync(join(path, 'lock'), { recursive: true }),
      /it is a directory \(EISDIR\)/,
    ],
  ])('is refused with a sentence where %s', (_, prepare, words) => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'run'));
    prepare(join(root, 'run/lxc_autoscale'));
    const outcome = acquire(root);
    expect(outcome).toMatchObject({ ok: false, running: false });
    expect(outcome).toHaveProperty('message', expect.stringMatching(words));
    expect(outcome).toHaveProperty('message', expect.stringContaining(join(root, LOCK)));
  });

  it('is refused with a sentence where /run is read-only', () => {
    // Nothing can be made in /proc, by root neither.
    expect(acquireHostLock(createPaths('/proc/self'), '/dev/null')).toMatchObject({
      ok: false,
      running: false,
      message: expect.stringMatching(/^The lock \/proc\/self\/run\/lxc_autoscale\/lock can't/),
    });
  });
});

describe('two processes', () => {
  it('do not both hold it, and one has it at once if the other is killed', async () => {
    const root = temporaryDirectory();
    const first = holder(root);
    expect(await first.nextLine()).toBe('held');
    const { pid } = first.child;
    expect(acquire(root)).toEqual({ ok: false, running: true, path: join(root, LOCK), pid });
    first.child.kill('SIGKILL');
    expect(await first.ended).toBe('SIGKILL');
    expect(readFileSync(lockFileOf(root), 'utf8')).toBe(`${pid}\n`);
    const lock = held(root);
    expect(readFileSync(lockFileOf(root), 'utf8')).toBe(`${process.pid}\n`);
    lock.release();
  });

  it('do not both hold it while one of them stands still', async () => {
    const root = temporaryDirectory();
    const first = holder(root);
    expect(await first.nextLine()).toBe('held');
    first.child.kill('SIGSTOP');
    expect(acquire(root)).toMatchObject({ running: true, pid: first.child.pid });
    first.child.kill('SIGCONT');
    first.child.kill('SIGUSR2');
    expect(await first.nextLine()).toBe('released');
    held(root).release();
  });

  it('of many that start at once one holds it', async () => {
    const root = temporaryDirectory();
    for (let round = 0; round < 3; round += 1) {
      const all = Array.from({ length: 8 }, (_, index) =>
        holder(root, join(root, `var/lock/${index}.lock`)),
      );
      const lines = await Promise.all(all.map((one) => one.nextLine()));
      expect(lines.filter((line) => line === 'held')).toHaveLength(1);
      for (const one of all) one.child.kill('SIGKILL');
      await Promise.all(all.map(({ ended }) => ended));
    }
  });

  it('a program that outlives its holder does not hold it', async () => {
    const root = temporaryDirectory();
    const lock = held(root);
    const child = start('/bin/sleep', ['60']);
    const proc = `/proc/${child.child.pid}`;
    // Until then it still closes files of its own.
    await until(() => readFileSync(join(proc, 'comm'), 'utf8') === 'sleep\n');
    await until(() => readFileSync(join(proc, 'stat'), 'utf8').includes(') S '));
    const fds = join(proc, 'fd');
    const open = readdirSync(fds).map((fd) => readlinkSync(join(fds, fd)));
    expect(open).not.toContain(join(root, LOCK));
    lock.release();
  });
});

describe('lock_file', () => {
  it('holds the process id while the lock is held, and is gone afterwards', () => {
    const root = temporaryDirectory();
    const lock = held(root);
    expect(readFileSync(lockFileOf(root), 'utf8')).toBe(`${process.pid}\n`);
    expect(statSync(lockFileOf(root)).mode & 0o777).toBe(0o644);
    lock.release();
    expect(existsSync(lockFileOf(root))).toBe(false);
  });

  it('is left to a process that has put its own id there', () => {
    const root = temporaryDirectory();
    const lock = held(root);
    writeFileSync(lockFileOf(root), '4242\n');
    lock.release();
    expect(readFileSync(lockFileOf(root), 'utf8')).toBe('4242\n');
  });

  it.each<[string, (lockFile: string) => void]>([
    ['a directory', (path) => mkdirSync(path)],
    ['the directory of an earlier version', (path) => mkdirSync(`${path}.lock`)],
    ['an empty file', (path) => writeFileSync(path, '')],
    ['the id of a living process', (path) => writeFileSync(path, `${process.ppid}\n`)],
    ['a text', (path) => writeFileSync(path, 'precious')],
    ['a file without an end', (path) => symlinkSync('/dev/zero', path)],
  ])('keeps nobody from starting, where others have put %s', (_, prepare) => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'var/lock'), { recursive: true });
    prepare(lockFileOf(root));
    held(root).release();
  });

  it('is not written through a link, nor in the place of what is no process id', () => {
    for (const lay of [symlinkSync, linkSync]) {
      const root = temporaryDirectory();
      plant(root, { 'var/lock/victim': 'precious' });
      lay(join(root, 'var/lock/victim'), lockFileOf(root));
      const lock = held(root);
      expect(lock.remark).toContain(`lock_file ${lockFileOf(root)} does not hold`);
      lock.release();
      expect(readFileSync(lockFileOf(root), 'utf8')).toBe('precious');
    }
  });

  it('may be the lock itself, which it does not replace', () => {
    const root = temporaryDirectory();
    const lock = held(root, join(root, LOCK));
    expect(lock.remark).toBeUndefined();
    expect(acquire(root)).toMatchObject({ running: true });
    lock.release();
    expect(existsSync(join(root, LOCK))).toBe(true);
  });
});
