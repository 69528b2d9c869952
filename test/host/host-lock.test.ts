import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { HeldLock } from '../../src/host/host-lock.ts';
import { acquireHostLock } from '../../src/host/host-lock.ts';
import { bundleFixture, start } from './child.ts';
import { temporaryDirectory } from './world.ts';

async function held(lockFile: string): Promise<HeldLock> {
  const outcome = await acquireHostLock(lockFile);
  if (!outcome.ok) throw new Error(JSON.stringify(outcome));
  return outcome;
}

describe('the lock', () => {
  it('makes its directory, names its holder, and can be given back and taken again', async () => {
    const lockFile = join(temporaryDirectory(), 'var/lock/autoscale.lock');
    const first = await held(lockFile);
    expect(readFileSync(lockFile, 'utf8')).toBe(`${process.pid}\n`);
    first.release();
    first.release();
    expect(existsSync(`${lockFile}.lock`)).toBe(false);
    expect(readFileSync(lockFile, 'utf8')).toBe('');
    (await held(lockFile)).release();
  });

  it.each(['', '4242424\n', 'pid 7\n', '\0\xff'])(
    'is had although an old lock file says %j',
    async (text) => {
      const lockFile = join(temporaryDirectory(), 'autoscale.lock');
      writeFileSync(lockFile, text);
      (await held(lockFile)).release();
    },
  );

  it('is had although it bears a time to come, of a clock that was set back since', async () => {
    const lockFile = join(temporaryDirectory(), 'autoscale.lock');
    const tomorrowS = Math.floor(Date.now() / 1000) + 86_400;
    writeFileSync(lockFile, '4242424\n');
    mkdirSync(`${lockFile}.lock`);
    utimesSync(`${lockFile}.lock`, tomorrowS, tomorrowS);
    (await held(lockFile)).release();
  });

  it('tells when it was taken away, at once to who listens late', async () => {
    const lockFile = join(temporaryDirectory(), 'autoscale.lock');
    const lock = await held(lockFile);
    const reason = new Promise<string>((resolve) => lock.onLost(resolve));
    rmdirSync(`${lockFile}.lock`);
    expect(await reason).toContain('ENOENT');
    const again = await new Promise<string>((resolve) => lock.onLost(resolve));
    expect(again).toBe(await reason);
    lock.release();
  });

  it('does not follow a link laid in place of the lock file', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'victim'), 'precious');
    symlinkSync('victim', join(directory, 'autoscale.lock'));
    const outcome = await acquireHostLock(join(directory, 'autoscale.lock'));
    expect(outcome).toMatchObject({
      ok: false,
      running: false,
      message: expect.stringContaining('symbolic link (ELOOP)'),
    });
    expect(readFileSync(join(directory, 'victim'), 'utf8')).toBe('precious');
    expect(existsSync(join(directory, 'autoscale.lock.lock'))).toBe(false);
  });

  it.each<[string, (lockFile: string) => void, string]>([
    ['a directory stands in its place', (lockFile) => mkdirSync(lockFile), 'EISDIR'],
    [
      'its directory is a file',
      (lockFile) => {
        rmSync(join(lockFile, '..'), { recursive: true });
        writeFileSync(join(lockFile, '..'), '');
      },
      'lock is not a directory',
    ],
    [
      'an old file stands in place of the inner directory',
      (lockFile) => {
        writeFileSync(`${lockFile}.lock`, '');
        utimesSync(`${lockFile}.lock`, 1_000_000, 1_000_000);
      },
      'ENOTDIR',
    ],
  ])('is refused with a sentence when %s', async (_, prepare, words) => {
    const lockFile = join(temporaryDirectory(), 'lock/autoscale.lock');
    mkdirSync(join(lockFile, '..'));
    prepare(lockFile);
    expect(await acquireHostLock(lockFile)).toMatchObject({
      ok: false,
      running: false,
      message: expect.stringMatching(
        new RegExp(`^The lock file ${lockFile} can't be used: .*${words}\\)?\\.$`),
      ),
    });
  });
});

describe('a process id that was cut short in the writing', () => {
  /** The id of a process that lives, and a lock that becomes stale in a moment. */
  function leave(text: string): string {
    const lockFile = join(temporaryDirectory(), 'autoscale.lock');
    writeFileSync(lockFile, text);
    mkdirSync(`${lockFile}.lock`);
    const thenS = Date.now() / 1000 - 3;
    utimesSync(`${lockFile}.lock`, thenS, thenS);
    return lockFile;
  }

  it('is that of nobody: its lock is waited for, and had', async () => {
    (await held(leave(`${process.ppid}`))).release();
  });

  it('unless it is whole', async () => {
    const pid = process.ppid;
    expect(await acquireHostLock(leave(`${pid}\n`))).toEqual({ ok: false, running: true, pid });
  });
});

describe('two processes', () => {
  it('do not both hold it; the second one is told who does, without waiting', async () => {
    const lockFile = join(temporaryDirectory(), 'autoscale.lock');
    const script = bundleFixture('hold-lock');
    const first = start(process.execPath, [script, lockFile]);
    expect(await first.nextLine()).toBe('held');
    const before = performance.now();
    expect(await acquireHostLock(lockFile)).toStrictEqual({
      ok: false,
      running: true,
      pid: first.child.pid,
    });
    expect(performance.now() - before).toBeLessThan(4000);
    first.child.kill('SIGUSR2');
    expect(await first.nextLine()).toBe('released');
    (await held(lockFile)).release();
  });

  it('follow each other after SIGTERM, when the first decides that it ends', async () => {
    const lockFile = join(temporaryDirectory(), 'autoscale.lock');
    const first = start(process.execPath, [bundleFixture('hold-lock'), lockFile]);
    expect(await first.nextLine()).toBe('held');
    first.child.kill('SIGTERM');
    expect(await first.nextLine()).toBe('asked to stop');
    expect(existsSync(`${lockFile}.lock`)).toBe(true);
    expect(await first.ended).toBe(7);
    expect(existsSync(`${lockFile}.lock`)).toBe(false);
    (await held(lockFile)).release();
  });

  it('follow each other after SIGTERM also when the first listens to no signal', async () => {
    const lockFile = join(temporaryDirectory(), 'autoscale.lock');
    const first = start(process.execPath, [bundleFixture('hold-lock'), lockFile, 'plain']);
    expect(await first.nextLine()).toBe('held');
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe('SIGTERM');
    expect(existsSync(`${lockFile}.lock`)).toBe(false);
  });

  it('follow each other after SIGKILL, once the lock has become stale', async () => {
    const lockFile = join(temporaryDirectory(), 'autoscale.lock');
    const first = start(process.execPath, [bundleFixture('hold-lock'), lockFile]);
    expect(await first.nextLine()).toBe('held');
    first.child.kill('SIGKILL');
    expect(await first.ended).toBe('SIGKILL');
    expect(existsSync(`${lockFile}.lock`)).toBe(true);
    const before = performance.now();
    const lock = await held(lockFile);
    expect(performance.now() - before).toBeLessThan(15_000);
    expect(readFileSync(lockFile, 'utf8')).toBe(`${process.pid}\n`);
    lock.release();
  });
});
