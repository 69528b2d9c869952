import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytes, milliseconds, type Vmid } from '../../../../src/core/units.ts';
import { HIGH_DIRECTORY } from '../../../../src/node/local/kernel/high-file.ts';
import { createMemoryHigh } from '../../../../src/node/local/kernel/memory-high.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { vmid } from '../../../core/builders.ts';

const ID = vmid(101);
const AT = bytes(67_108_864);
let root: string;
let wallMs = 1_000_000;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'memory-high-'));
  start(ID, '532676608\n');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const cgroup = (id: Vmid): string => join(root, 'sys/fs/cgroup/lxc', String(id));
const file = (id: Vmid = ID): string => join(cgroup(id), 'memory.high');
const high = (id: Vmid = ID): string => readFileSync(file(id), 'utf8');
const recordOf = (id: Vmid = ID): string => join(root, HIGH_DIRECTORY, String(id));

function start(id: Vmid, text: string): void {
  mkdirSync(cgroup(id), { recursive: true });
  writeFileSync(file(id), text);
}

/** As it is in one process. */
const processOf = () =>
  createMemoryHigh(createPaths(root), {
    wallMs: () => milliseconds(wallMs),
    monotonicMs: () => milliseconds(0),
  });

/** As another process left it: one that has ended, or that has the id of this one by now. */
function leave(own: Readonly<Record<string, unknown>> = {}): void {
  const record = { ...JSON.parse(readFileSync(recordOf(), 'utf8')), pid: 2 ** 22 + 1, ...own };
  writeFileSync(recordOf(), JSON.stringify(record));
}

describe('memory.high', () => {
  it.each(['532676608\n', 'max\n'])('that was %j is held down, and put back', async (before) => {
    start(ID, before);
    const one = processOf();
    expect(await one.hold(ID, AT)).toEqual({ kind: 'held' });
    expect(high()).toBe('67108864\n');
    expect(existsSync(recordOf())).toBe(true);
    expect(await one.release(ID)).toEqual({ ok: true });
    expect(high()).toBe(before);
    expect(existsSync(recordOf())).toBe(false);
  });

  it('that is held down already is put back as it was before that', async () => {
    const one = processOf();
    await one.hold(ID, AT);
    expect(await one.hold(ID, bytes(AT / 2))).toEqual({ kind: 'held' });
    expect(high()).toBe('33554432\n');
    await one.release(ID);
    expect(high()).toBe('532676608\n');
  });

  it('is never raised: one that is lower stays', async () => {
    start(ID, '1048576\n');
    const one = processOf();
    expect(await one.hold(ID, AT)).toEqual({ kind: 'held' });
    await one.release(ID);
    expect(high()).toBe('1048576\n');
  });

  it('that pct has written anew meanwhile is left as it is', async () => {
    const one = processOf();
    await one.hold(ID, AT);
    writeFileSync(file(), '83230720\n');
    await one.release(ID);
    expect(high()).toBe('83230720\n');
    expect(existsSync(recordOf())).toBe(false);
  });

  it('of a container that was started anew is left as it is', async () => {
    const one = processOf();
    await one.hold(ID, AT);
    renameSync(cgroup(ID), `${cgroup(ID)}-before`);
    start(ID, '67108864\n');
    await one.release(ID);
    expect(high()).toBe('67108864\n');
    expect(existsSync(recordOf())).toBe(false);
  });

  it("of one that has stopped is nobody's business any more", async () => {
    const one = processOf();
    await one.hold(ID, AT);
    rmSync(cgroup(ID), { recursive: true });
    expect(await one.release(ID)).toEqual({ ok: true });
    expect(existsSync(recordOf())).toBe(false);
    expect(await one.hold(ID, AT)).toMatchObject({ kind: 'refused' });
  });

  it('that cannot be written is refused, and nothing stays on record', async () => {
    expect(await processOf().hold(vmid(102), AT)).toMatchObject({ kind: 'refused' });
    rmSync(file());
    expect(await processOf().hold(ID, AT)).toEqual({
      kind: 'refused',
      message: expect.stringMatching(/not there, though the container runs/),
    });
    start(ID, 'nonsense');
    expect(await processOf().hold(ID, AT)).toMatchObject({ kind: 'refused' });
    expect(existsSync(recordOf())).toBe(false);
  });

  it('is not touched where it cannot be put on record', async () => {
    mkdirSync(join(root, HIGH_DIRECTORY, '..'), { recursive: true });
    writeFileSync(join(root, HIGH_DIRECTORY), '');
    expect(await processOf().hold(ID, AT)).toMatchObject({ kind: 'refused' });
    expect(high()).toBe('532676608\n');
  });
});

describe('memory.high that a process has left', () => {
  it('is put back by the next one', async () => {
    await processOf().hold(ID, AT);
    leave();
    expect(await processOf().releaseLeft()).toEqual([{ vmid: 101 }]);
    expect(high()).toBe('532676608\n');
    expect(await processOf().releaseLeft()).toEqual([]);
  });

  it('of the same process id is put back too', async () => {
    await processOf().hold(ID, AT);
    expect(await processOf().releaseLeft()).toEqual([{ vmid: 101 }]);
  });

  it('is left to one that is at work on it: a rollback, beside the daemon', async () => {
    const own = processOf();
    await own.hold(ID, AT);
    expect(await own.releaseLeft()).toEqual([]);
    leave({ pid: process.ppid });
    expect(await processOf().releaseLeft()).toEqual([]);
    expect(high()).toBe('67108864\n');
    wallMs += 3_600_000;
    expect(await processOf().releaseLeft()).toEqual([{ vmid: 101 }]);
  });

  it('where it was cut off before it wrote anything, is as it was', async () => {
    await processOf().hold(ID, AT);
    leave();
    writeFileSync(file(), '532676608\n');
    await processOf().releaseLeft();
    expect(high()).toBe('532676608\n');
    writeFileSync(recordOf(), '{"half');
    expect(await processOf().releaseLeft()).toEqual([{ vmid: 101 }]);
    expect([high(), existsSync(recordOf())]).toEqual(['532676608\n', false]);
  });

  it('and cannot be put back stays on record, and says why', async () => {
    await processOf().hold(ID, AT);
    leave();
    start(ID, 'nonsense');
    expect(await processOf().releaseLeft()).toEqual([
      { vmid: 101, problem: expect.stringMatching(/not in the form that the kernel writes/) },
    ]);
    expect(existsSync(recordOf())).toBe(true);
  });
});
