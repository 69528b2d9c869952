import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { bytes, milliseconds } from '../../../../src/core/units.ts';
import { createReclaim } from '../../../../src/node/local/kernel/cgroup-reclaim.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import type { Clock, ReclaimWish } from '../../../../src/node/port.ts';
import { temporaryDirectory, vmid } from '../world.ts';

const MIB = 1024 * 1024;
const ID = vmid(101);
const clock: Clock = {
  wallMs: () => milliseconds(Date.now()),
  monotonicMs: () => milliseconds(performance.now()),
};

const cleanUp: Array<() => void> = [];
afterEach(() => {
  for (const clean of cleanUp.splice(0)) clean();
});

/** A tree of plain files with the cgroup of container 101. */
function cgroupOf(files: Readonly<Record<string, string>>) {
  const root = temporaryDirectory();
  const directory = join(root, 'sys/fs/cgroup/lxc/101');
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const reclaim = createReclaim(createPaths(root), clock);
  const file = join(directory, 'memory.reclaim');
  const current = join(directory, 'memory.current');
  return { root, directory, file, current, reclaim };
}

const wish = (mebibytes: number, until = mebibytes): ReclaimWish => ({
  bytes: bytes(mebibytes * MIB),
  until: bytes(until * MIB),
});
const LOW = { 'memory.current': '1\n', 'memory.reclaim': '' };

describe('the kernel', () => {
  it('is asked in decimal bytes, in parts of 64 MiB that add up to the wish', async () => {
    const { reclaim, file } = cgroupOf(LOW);
    const answer = await reclaim.ask(ID, wish(150));
    expect(answer).toEqual({ kind: 'asked', bytes: 150 * MIB });
    expect(readFileSync(file, 'utf8')).toBe('67108864\n67108864\n23068672\n');
    // In a plain file nothing is lost that nobody has read yet.
    await reclaim.ask(ID, wish(1));
    expect(readFileSync(file, 'utf8')).toBe('67108864\n67108864\n23068672\n1048576\n');
  });

  it('is waited for until memory has come down, and not longer', { retry: 5 }, async () => {
    const { reclaim, current } = cgroupOf({ 'memory.current': '900\n', 'memory.reclaim': '' });
    const began = performance.now();
    setTimeout(() => writeFileSync(current, '100\n'), 150);
    await reclaim.ask(ID, { bytes: bytes(800), until: bytes(100) });
    expect(readFileSync(current, 'utf8')).toBe('100\n');
    expect(performance.now() - began).toBeLessThan(600);
  });

  it('is waited for a second where memory does not come down', async () => {
    const { reclaim } = cgroupOf({ 'memory.current': '900\n', 'memory.reclaim': '' });
    const began = performance.now();
    const answer = await reclaim.ask(ID, { bytes: bytes(800), until: bytes(100) });
    expect(answer).toEqual({ kind: 'asked', bytes: 800 });
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  it('says EAGAIN where it has less: an ordinary answer, and the last question', async () => {
    const { reclaim, file } = cgroupOf({ 'memory.current': '900\n' });
    // A pipe without room answers a write as the kernel does.
    execFileSync('mkfifo', [file]);
    const reader = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
    cleanUp.push(() => closeSync(reader));
    const full = Buffer.alloc(4096);
    expect(() => {
      for (;;) writeSync(reader, full);
    }).toThrow('EAGAIN');
    expect(await reclaim.ask(ID, wish(150, 0))).toEqual({ kind: 'asked', bytes: 64 * MIB });
  });

  it('takes the number as it is written', async () => {
    // A file of the real kernel that takes a number, refuses all else, and harms nobody.
    const child = spawn('sleep', ['60']);
    cleanUp.push(() => child.kill('SIGKILL'));
    const { reclaim, file } = cgroupOf({ 'memory.current': '1\n' });
    const number = `/proc/${child.pid}/oom_score_adj`;
    symlinkSync(number, file);
    const answer = await reclaim.ask(ID, { bytes: bytes(750), until: bytes(1) });
    expect(answer).toEqual({ kind: 'asked', bytes: 750 });
    expect(readFileSync(number, 'utf8')).toBe('750\n');
    expect(await reclaim.ask(ID, wish(1))).toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(/memory\.reclaim: .*EINVAL/),
    });
  });
});

describe('a kernel that cannot be asked', () => {
  it('is known by the missing file of a cgroup that is there', async () => {
    const { reclaim, file, directory } = cgroupOf(LOW);
    unlinkSync(file);
    expect(await reclaim.ask(ID, wish(1))).toEqual({ kind: 'unsupported' });
    rmSync(directory, { recursive: true });
    expect(await reclaim.ask(ID, wish(1))).toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(/ENOENT/),
    });
  });
});

describe('a file that cannot be written', () => {
  it.each([
    // The kernel lets nobody write to its version, not even root.
    ['refuses us', () => '/proc/sys/kernel/osrelease', /permission denied \(EACCES\)/],
    ['is a directory', () => temporaryDirectory(), /it is a directory \(EISDIR\)/],
    ['has no device behind it', () => '/dev/full', /no space left on the device \(ENOSPC\)/],
  ])('that %s is told, and never thrown', async (_what, target, message) => {
    const { reclaim, file } = cgroupOf({ 'memory.current': '900\n' });
    symlinkSync(target(), file);
    expect(await reclaim.ask(ID, wish(1))).toEqual({
      kind: 'refused',
      message: expect.stringMatching(message),
    });
  });
});
