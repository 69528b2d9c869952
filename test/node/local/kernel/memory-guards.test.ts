import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytes, milliseconds } from '../../../../src/core/units.ts';
import { HIGH_DIRECTORY } from '../../../../src/node/local/kernel/high-file.ts';
import { createMemoryGuards } from '../../../../src/node/local/kernel/memory-guards.ts';
import { createMemoryHigh } from '../../../../src/node/local/kernel/memory-high.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { KERNEL_FILES_OF_THIS_HOST } from '../../../../src/os/kernel-files.ts';
import { vmid } from '../../../core/builders.ts';

const MIB = 1024 * 1024;
const ID = vmid(101);
const AT = bytes(460 * MIB);
/** As Proxmox VE sets it with a limit of 512 MiB. */
const PLAIN = `${508 * MIB}\n`;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'memory-guards-'));
  mkdirSync(cgroup(), { recursive: true });
  limit(512);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const cgroup = (): string => join(root, 'sys/fs/cgroup/lxc/101');
const put = (name: string, text: string): void => writeFileSync(join(cgroup(), name), text);
const high = (): string => readFileSync(join(cgroup(), 'memory.high'), 'utf8');
/** What `pct set` leaves. */
function limit(mib: number): void {
  put('memory.max', `${mib * MIB}\n`);
  put('memory.high', `${mib * MIB - (mib * MIB) / 128}\n`);
}
const guards = () => createMemoryGuards(createPaths(root));
/** `memory.high` can be read, and not be written so many times. */
const failing = (times = Infinity) => {
  const files = KERNEL_FILES_OF_THIS_HOST;
  let left = times;
  const write: typeof files.write = async (...args) => {
    left -= 1;
    if (left < 0) return files.write(...args);
    throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' });
  };
  return createMemoryGuards(createPaths(root), { ...files, write });
};
const holding = () => {
  const ms = () => milliseconds(0);
  return createMemoryHigh(createPaths(root), { wallMs: ms, monotonicMs: ms });
};

describe('a memory guard', () => {
  it.each([PLAIN, 'max\n'])(
    'is set where memory.high was %j, moved, and taken back',
    async (was) => {
      put('memory.high', was);
      const wasMib = was === PLAIN ? 508 : undefined;
      expect(await guards().set(ID, AT)).toEqual({ kind: 'set', wasMib });
      expect(high()).toBe(`${AT}\n`);
      expect(guards().standing()).toEqual([ID]);
      expect(await guards().set(ID, AT)).toEqual({ kind: 'kept' });
      expect(await guards().set(ID, bytes(AT + MIB))).toEqual({ kind: 'set', wasMib: 460 });
      expect(await guards().end(ID)).toEqual({ ok: true, isPutBack: true });
      expect(high()).toBe(PLAIN);
      expect(guards().standing()).toEqual([]);
    },
  );

  it('leaves alone what others have set, and says so', async () => {
    put('memory.high', `${300 * MIB}\n`);
    const message = 'memory.high is 300 MB, which was not set from here';
    expect(await guards().set(ID, AT)).toEqual({ kind: 'others', message });
    expect(high()).toBe(`${300 * MIB}\n`);
    expect(guards().standing()).toEqual([]);
  });

  it('does not take back what others have set since', async () => {
    await guards().set(ID, AT);
    put('memory.high', `${300 * MIB}\n`);
    expect(await guards().set(ID, AT)).toMatchObject({ kind: 'others' });
    expect(await guards().end(ID)).toEqual({ ok: true, isPutBack: false });
    expect(high()).toBe(`${300 * MIB}\n`);
    expect(guards().standing()).toEqual([]);
  });

  it('is set anew after pct set has changed the limit', async () => {
    await guards().set(ID, AT);
    limit(1024);
    expect(await guards().set(ID, bytes(940 * MIB))).toEqual({ kind: 'set', wasMib: 1016 });
    await guards().end(ID);
    expect(high()).toBe(`${1016 * MIB}\n`);
  });

  it('of another life of the container is none of it', async () => {
    await guards().set(ID, AT);
    renameSync(cgroup(), `${cgroup()}.before`);
    mkdirSync(cgroup());
    limit(512);
    put('memory.high', `${AT}\n`);
    expect(await guards().set(ID, AT)).toMatchObject({ kind: 'others' });
    rmSync(cgroup(), { recursive: true });
    expect(await guards().end(ID)).toEqual({ ok: true, isPutBack: false });
    expect(guards().standing()).toEqual([]);
  });

  it('waits for a change under way, which puts the guard back that it has found', async () => {
    await guards().set(ID, AT);
    const change = holding();
    expect(await change.hold(ID, bytes(200 * MIB))).toEqual({ kind: 'held' });
    expect(await guards().set(ID, bytes(AT + MIB))).toMatchObject({ kind: 'refused' });
    expect(await change.release(ID)).toEqual({ ok: true });
    expect(high()).toBe(`${AT}\n`);
    expect(await guards().set(ID, AT)).toEqual({ kind: 'kept' });
  });

  it('that cannot be moved stands where it was, and is still ours', async () => {
    await guards().set(ID, AT);
    const message = expect.stringMatching(/memory\.high: .*EIO/);
    const refused = { kind: 'refused', message, standsMib: 460 };
    expect(await failing().set(ID, bytes(AT + MIB))).toEqual(refused);
    // Nor is it taken back if the next write would succeed.
    expect(await failing(1).set(ID, bytes(AT + MIB))).toEqual(refused);
    expect(high()).toBe(`${AT}\n`);
    expect(await failing().end(ID)).toMatchObject({ ok: false });
    expect(guards().standing()).toEqual([ID]);
    expect(await guards().set(ID, bytes(AT + MIB))).toEqual({ kind: 'set', wasMib: 460 });
    expect(await failing().set(ID, AT)).toMatchObject({ standsMib: 461 });
    expect(await guards().end(ID)).toEqual({ ok: true, isPutBack: true });
    expect(high()).toBe(PLAIN);
  });

  it('that could not be set the first time is none', async () => {
    expect(await failing().set(ID, AT)).toMatchObject({ kind: 'refused', standsMib: undefined });
    expect(guards().standing()).toEqual([]);
    expect(high()).toBe(PLAIN);
  });

  it('may stand where it was last if memory.high cannot be read', async () => {
    await guards().set(ID, AT);
    rmSync(join(cgroup(), 'memory.high'));
    expect(await guards().set(ID, bytes(AT + MIB))).toMatchObject({ standsMib: 460 });
  });

  it('whose record cannot be read is kept: nobody knows who set memory.high', async () => {
    await guards().set(ID, AT);
    writeFileSync(join(root, HIGH_DIRECTORY, '101.guard'), '{"cgroup":');
    const message = expect.stringMatching(/not as it was written\. .*who has set .* to 460 MB/);
    expect(await guards().end(ID)).toEqual({ ok: false, message });
    expect(await guards().set(ID, AT)).toMatchObject({ kind: 'refused', message });
    expect(guards().standing()).toEqual([ID]);
    // With the next change of its limit nothing is held any more.
    limit(512);
    expect(await guards().end(ID)).toEqual({ ok: true, isPutBack: false });
    expect(guards().standing()).toEqual([]);
  });

  it('is not set if it cannot be put on record', async () => {
    mkdirSync(join(root, HIGH_DIRECTORY, '..'), { recursive: true });
    writeFileSync(join(root, HIGH_DIRECTORY), '');
    expect(await guards().set(ID, AT)).toMatchObject({ kind: 'refused' });
    expect(high()).toBe(PLAIN);
  });
});
