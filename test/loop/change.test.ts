import { describe, expect, it } from 'vitest';
import type { Headroom } from '../../src/core/headroom.ts';
import type { PlannedChange } from '../../src/core/plan.ts';
import { present } from '../../src/core/reading.ts';
import { cores, mib, milliseconds } from '../../src/core/units.ts';
import { carryOut } from '../../src/loop/change.ts';
import type { ChangeResult } from '../../src/loop/wish.ts';
import type { CommandOutcome, SetRequest } from '../../src/node/port.ts';
import { AMPLE_ROOM, broken, coresChange, gone, memoryChange, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);
const name = 'web';

/** 2 cores and 1024 MB, 400 MB of them in use. */
function nodeWithOne(): FakeNode {
  const node = new FakeNode();
  node.add(101);
  return node;
}

const growBoth: PlannedChange = {
  vmid: ID,
  name,
  cores: coresChange(101, 2, 4),
  memory: memoryChange(101, 1024, 2048),
};
const growMemory: PlannedChange = { vmid: ID, name, memory: memoryChange(101, 1024, 2048) };
const growCores: PlannedChange = { vmid: ID, name, cores: coresChange(101, 2, 4) };
const shrinkMemory: PlannedChange = { vmid: ID, name, memory: memoryChange(101, 1024, 512) };

/** Decides on what the node shows now; `meanwhile` happens between deciding and acting. */
async function carry(
  node: FakeNode,
  planned: PlannedChange,
  meanwhile: () => void = () => {},
  headroom: Headroom = AMPLE_ROOM,
): Promise<ChangeResult> {
  node.goAfar();
  const decidedOn = node.get(101).config;
  meanwhile();
  const context = { hostCpus: 16, headroom, stop: new AbortController().signal };
  return carryOut(node.world, planned, decidedOn, context);
}

const failure: CommandOutcome = {
  kind: 'failed',
  why: 'locked',
  exitCode: 255,
  message: 'CT is locked (backup)',
};

describe('a change that works', () => {
  it('is one backup, then one pct set for both, with the digest of the decision', async () => {
    const node = nodeWithOne();
    const { digest } = node.get(101).config;
    await carry(node, growBoth);
    expect(node.done).toEqual(['backup 101', 'set 101']);
    expect(node.sets).toEqual([{ vmid: 101, cores: 4, memoryMib: 2048, digest }]);
  });

  it('asks only for what changes', async () => {
    const node = nodeWithOne();
    await carry(node, growMemory);
    expect(node.sets[0]).not.toHaveProperty('cores');
    const other = nodeWithOne();
    await carry(other, growCores);
    expect(other.sets[0]).not.toHaveProperty('memoryMib');
  });

  it('backs the whole file up as it was, with what it is for', async () => {
    const node = nodeWithOne();
    const { digest } = node.get(101).config;
    await carry(node, growBoth);
    expect(node.backups[0]?.file.config).toMatchObject({ digest, cores: 2, memoryMib: 1024 });
    expect(node.backups[0]?.purpose).toMatchObject({
      cores: { from: 2, to: 4 },
      memoryMib: { from: 1024, to: 2048 },
      reason: expect.stringContaining('2 -> 4 cores'),
    });
  });

  it('of memory is confirmed at once, of cores pending until the cpuset follows', async () => {
    const memory = await carry(nodeWithOne(), growMemory);
    expect(memory).toEqual({ kind: 'confirmed', backup: '/backups/101-1.conf' });
    const cores = await carry(nodeWithOne(), growCores);
    expect(cores).toMatchObject({ kind: 'pending', note: expect.stringContaining('pvestatd') });
    const node = nodeWithOne();
    node.pct = (request) => {
      const outcome = node.apply(request);
      node.rebalance();
      return outcome;
    };
    expect((await carry(node, growCores)).kind).toBe('confirmed');
  });

  it('counts also when pct says that it failed, and says so', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      node.apply(request);
      return failure;
    };
    const result = await carry(node, growMemory);
    expect(result.kind).toBe('confirmed');
    expect(result.note).toMatch(/active, though pct exited with 255: CT is locked/);
  });
});

describe('a change of the cpulimit', () => {
  const toLimit = (before: number, after: number): PlannedChange => ({
    vmid: ID,
    name,
    cores: coresChange(101, before, after, { unit: 'cpulimit' }),
  });

  it('is asked for as such, and is confirmed at once', async () => {
    const node = nodeWithOne();
    node.write(101, { cpuLimit: cores(0.5) });
    const { digest } = node.get(101).config;
    expect((await carry(node, toLimit(0.5, 0.8))).kind).toBe('confirmed');
    expect(node.sets).toEqual([{ vmid: 101, cpuLimit: 0.8, digest }]);
    expect(node.backups[0]?.purpose).toMatchObject({ cpuLimit: { from: 0.5, to: 0.8 } });
    expect(node.backups[0]?.purpose).not.toHaveProperty('cores');
  });

  it('goes with one of memory in a single pct set', async () => {
    const node = nodeWithOne();
    await carry(node, { ...growMemory, ...toLimit(2, 1.5) });
    expect(node.sets).toMatchObject([{ cpuLimit: 1.5, memoryMib: 2048 }]);
    expect(node.sets[0]).not.toHaveProperty('cores');
    expect(node.backups[0]?.purpose).toMatchObject({ cpuLimit: { from: null, to: 1.5 } });
  });

  it('that is not in force is half done, and is put back', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      const outcome = node.apply(request);
      node.get(101).liveCpuLimit = null;
      return outcome;
    };
    const result = await carry(node, toLimit(2, 1.5));
    expect(result.kind).toBe('rolled-back');
    expect(result.note).toMatch(/half done \(cores 2, cpulimit 1.5, live cpulimit none, memory/);
    expect(node.sets).toMatchObject([{ cpuLimit: 1.5 }, { cpuLimit: null }]);
    expect(node.get(101).config.cpuLimit).toBeNull();
  });

  it('whose outcome cannot be read is not known', async () => {
    const node = nodeWithOne();
    node.get(101).cpuLimitMissing = broken();
    const result = await carry(node, toLimit(2, 1.5));
    expect(result.kind).toBe('failed');
    expect(result.note).toMatch(/not known: the live cpulimit could not be read/);
  });
});

describe('nothing is done', () => {
  async function expectNothing(
    node: FakeNode,
    planned: PlannedChange,
    meanwhile?: () => void,
  ): Promise<ChangeResult> {
    const result = await carry(node, planned, meanwhile);
    expect(node.done).toEqual([]);
    return result;
  }

  it('when the configuration was changed meanwhile: an admin wins', async () => {
    const node = nodeWithOne();
    const result = await expectNothing(node, growBoth, () => node.write(101, { cores: 6 }));
    expect(result).toMatchObject({ kind: 'overtaken', note: expect.stringMatching(/meanwhile/) });
    const described = nodeWithOne();
    await expectNothing(described, growBoth, () => described.write(101, { name: 'renamed' }));
  });

  it('when the configuration is gone or cannot be read any more', async () => {
    const node = nodeWithOne();
    const result = await expectNothing(node, growBoth, () => {
      node.get(101).configMissing = gone('101.conf is not there');
    });
    expect(result).toEqual({ kind: 'overtaken', note: '101.conf is not there' });
  });

  describe('when the host was', () => {
    /** 512 MB are left once 101 has its 2048. */
    const room = {
      ...AMPLE_ROOM,
      wholeMib: present(mib(512)),
      limitsMib: new Map([[ID, mib(2048)]]),
    };

    it.each([
      [512, true, 'confirmed'],
      [513, true, 'overtaken'],
      [4096, false, 'confirmed'],
    ])('given to another one with %d MB that runs: %s', async (memoryMib, running, kind) => {
      const node = nodeWithOne();
      const start = (): void => {
        node.add(102, { memoryMib: mib(memoryMib) }).running = running;
      };
      const result = await carry(node, growMemory, start, room);
      expect(result.kind).toBe(kind);
      if (kind === 'confirmed') return;
      expect(node.done).toEqual([]);
      expect(result.note).toBe(
        '513 MB were taken by others since the host was sampled; deciding anew',
      );
      expect((await carry(node, growCores, () => {}, room)).kind).toBe('pending');
    });

    it('not to be seen any more', async () => {
      const node = nodeWithOne();
      const lose = (): void => {
        node.listMissing = gone('the list is not there');
      };
      const result = await carry(node, growMemory, lose, room);
      expect(result).toEqual({ kind: 'overtaken', note: 'the list is not there; deciding anew' });
      expect(node.done).toEqual([]);
    });
  });

  it('when the need has risen above what memory is to shrink to', async () => {
    const node = nodeWithOne();
    const result = await expectNothing(node, shrinkMemory, () => {
      node.get(101).memory = { current: 600, anon: 600 };
    });
    expect(result).toMatchObject({ kind: 'unproven', note: expect.stringMatching(/664 MB now/) });
  });

  it('when swap makes the need larger than what memory is to shrink to', async () => {
    const node = nodeWithOne();
    await expectNothing(node, shrinkMemory, () => {
      node.get(101).memory = { current: 300, anon: 300, swap: 200 };
    });
  });

  it.each([
    ['the memory', { memoryMissing: broken() }],
    ['the cgroup', { sampleMissing: broken() }],
    ['a container that has stopped', { running: false }],
    ['nonsense', { memory: { current: 10, inactive: 500 } }],
  ])('when memory is to shrink and %s cannot be read once more', async (_what, state) => {
    const node = nodeWithOne();
    const result = await expectNothing(node, shrinkMemory, () => {
      Object.assign(node.get(101), state);
    });
    expect(result).toMatchObject({ kind: 'overtaken', note: expect.stringMatching(/once more/) });
  });

  it('when memory is to shrink and nobody can see what it needs; it may grow', async () => {
    const node = nodeWithOne();
    node.tellsNeed = false;
    const result = await expectNothing(node, shrinkMemory);
    expect(result).toMatchObject({
      kind: 'overtaken',
      note: expect.stringMatching(/cannot be seen/),
    });
    expect((await carry(node, growMemory)).kind).toBe('confirmed');
  });

  it('when a day stands in for that, and more is used by now than it allows', async () => {
    const node = nodeWithOne();
    node.tellsNeed = false;
    const { memory = memoryChange(101, 1024, 768) } = shrinkMemory;
    const ofDay = (after: number): PlannedChange => ({
      ...shrinkMemory,
      memory: { ...memory, after, measured: { ...memory.measured, dayPeakMib: 300 } },
    });
    const tooFar = await expectNothing(node, ofDay(752));
    expect(tooFar).toMatchObject({ kind: 'overtaken', note: expect.stringMatching(/a quarter/) });
    const tooMuch = await expectNothing(node, ofDay(768), () => {
      node.get(101).memory = { ...node.get(101).memory, current: 650, anon: 650 };
    });
    expect(tooMuch).toMatchObject({ kind: 'overtaken', note: expect.stringMatching(/816 MB/) });
    node.get(101).memory = { ...node.get(101).memory, current: 200, anon: 200 };
    expect((await carry(node, ofDay(768))).kind).toBe('confirmed');
    expect(node.get(101).limitMib).toBe(768);
  });

  it('when the backup fails: no pct call', async () => {
    const node = nodeWithOne();
    node.backupFailure = 'no space left on the device';
    const result = await expectNothing(node, growBoth);
    expect(result.kind).toBe('failed');
    expect(result.note).toMatch(/Nothing was changed.*no space left/);
  });

  it('but a shrink that the need allows is done', async () => {
    const node = nodeWithOne();
    expect((await carry(node, shrinkMemory)).kind).toBe('confirmed');
    expect(node.get(101).limitMib).toBe(512);
  });
});

describe('a pct that does not do what it says', () => {
  it('done, and nothing has changed: failed', async () => {
    const node = nodeWithOne();
    node.pct = () => ({ kind: 'done' });
    const result = await carry(node, growBoth);
    expect(result.kind).toBe('failed');
    expect(result.note).toBe('Nothing was changed: success was reported, and nothing has changed');
    expect(node.sets.length).toBe(1);
  });

  it.each([
    [failure, 'pct exited with 255: CT is locked (backup)'],
    [{ kind: 'timed-out', afterMs: milliseconds(40_000), message: 'too long' }, 'too long'],
    [{ kind: 'killed', signal: 'SIGKILL', message: 'from outside' }, 'from outside'],
    [{ kind: 'not-started', message: 'not in PATH' }, 'pct could not be started: not in PATH'],
  ] satisfies (readonly [CommandOutcome, string])[])('$kind: failed', async (outcome, words) => {
    const node = nodeWithOne();
    node.pct = () => outcome;
    const result = await carry(node, growBoth);
    const backup = '/backups/101-1.conf';
    expect(result).toEqual({ kind: 'failed', backup, note: `Nothing was changed: ${words}` });
  });

  it('and a configuration that cannot be read afterwards: failed, and not known', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      node.apply(request);
      node.get(101).configMissing = gone('101.conf is not there');
      return { kind: 'done' };
    };
    const result = await carry(node, growBoth);
    expect(result).toMatchObject({ kind: 'failed', note: expect.stringMatching(/not known: 101/) });
    expect(node.sets.length).toBe(1);
  });

  it('ended, and what it has done is seen only at the second look: it is in force', async () => {
    const node = nodeWithOne();
    const { guests } = node.world;
    let looks = 0;
    let asked: SetRequest | undefined;
    node.pct = (request) => {
      asked = request;
      return { kind: 'timed-out', afterMs: milliseconds(40_000), message: 'too long' };
    };
    const read: typeof guests.read = (id) => {
      looks += 1;
      if (looks === 3 && asked !== undefined) node.apply(asked);
      return guests.read(id);
    };
    const world = { ...node.world, guests: { ...guests, read } };
    const context = { hostCpus: 16, headroom: AMPLE_ROOM, stop: new AbortController().signal };
    const result = await carryOut(world, growMemory, node.get(101).config, context);
    expect(result).toMatchObject({ kind: 'confirmed', note: 'It is active, though too long.' });
  });

  it.each([
    [{ kind: 'done' }, 'failed'],
    [{ kind: 'killed', signal: 'SIGKILL', message: 'from outside' }, 'failed'],
    [failure, 'overtaken'],
  ] satisfies (readonly [CommandOutcome, string])[])(
    '$kind, and somebody else has written another line',
    async (outcome, kind) => {
      const node = nodeWithOne();
      node.pct = () => {
        node.write(101, { name: 'renamed' });
        return outcome;
      };
      expect((await carry(node, growBoth)).kind).toBe(kind);
    },
  );

  it('while somebody else sets another value: theirs is left', async () => {
    const node = nodeWithOne();
    node.pct = () => {
      node.write(101, { cores: 6 });
      return failure;
    };
    const result = await carry(node, growBoth);
    expect(result.kind).toBe('failed');
    expect(result.note).toMatch(/somebody else changed it.*cores 6.*CT is locked/);
    expect(node.sets.length).toBe(1);
    expect(node.get(101).config.cores).toBe(6);
  });
});

describe('a change that is half done', () => {
  /** The first call stops half-way, the ones after it work. */
  function halfDone(node: FakeNode, half: (request: SetRequest) => void): void {
    node.pct = (request) => {
      if (node.sets.length > 1) return node.apply(request);
      half(request);
      return failure;
    };
  }

  it('is put back, with a backup before it and a verification after it', async () => {
    const node = nodeWithOne();
    halfDone(node, () => node.write(101, { cores: 4 }));
    const result = await carry(node, growBoth);
    expect(result.kind).toBe('rolled-back');
    expect(result.note).toMatch(/active again: pct exited with 255/);
    expect(node.done).toEqual(['backup 101', 'set 101', 'backup 101', 'set 101']);
    expect(node.sets[1]).toMatchObject({ cores: 2, memoryMib: 1024 });
    expect(node.sets[1]?.digest).not.toBe(node.sets[0]?.digest);
    expect(node.backups[1]?.file.config.cores).toBe(4);
    expect(node.get(101).config).toMatchObject({ cores: 2, memoryMib: 1024 });
  });

  it('takes the cores line out again where there was none', async () => {
    const node = nodeWithOne();
    node.write(101, { cores: null });
    node.get(101).cpuset = 16;
    halfDone(node, () => node.write(101, { cores: 4 }));
    const fromAll = { ...growBoth, cores: coresChange(101, 16, 4) };
    expect((await carry(node, fromAll)).kind).toBe('rolled-back');
    expect(node.sets[1]?.cores).toBeNull();
    expect(node.get(101).config.cores).toBeNull();
  });

  it('is carried to its end when more is in use by now, and says so', async () => {
    const node = nodeWithOne();
    halfDone(node, () => {
      node.get(101).limitMib = 2048;
      node.get(101).memory = { current: 1500, anon: 1500 };
    });
    const result = await carry(node, growMemory);
    expect(result.kind).toBe('confirmed');
    expect(result.note).toMatch(/though pct .*as it is live, 2048 MB, since it needs 1650 MB now/);
    expect(node.get(101)).toMatchObject({ limitMib: 2048, config: { memoryMib: 2048 } });
  });

  it('is not lowered to what was before when its memory cannot be read', async () => {
    const node = nodeWithOne();
    halfDone(node, () => {
      node.get(101).limitMib = 2048;
      node.get(101).memory = { current: 10, inactive: 500 };
    });
    const result = await carry(node, growMemory);
    expect(result.note).toMatch(/as it is live, 2048 MB, since its memory could not be read: /);
    expect(node.get(101)).toMatchObject({ limitMib: 2048, config: { memoryMib: 2048 } });
  });

  it('is put back where that takes nothing, however much is in use', async () => {
    const node = nodeWithOne();
    node.get(101).memory = { current: 1000, anon: 1000 };
    halfDone(node, () => node.write(101, { cores: 4 }));
    expect((await carry(node, growBoth)).kind).toBe('rolled-back');
    const shrinking = nodeWithOne();
    halfDone(shrinking, () => {
      shrinking.get(101).limitMib = 512;
      shrinking.get(101).memory = { current: 500, anon: 500 };
    });
    expect((await carry(shrinking, shrinkMemory)).kind).toBe('rolled-back');
    expect(shrinking.get(101).limitMib).toBe(1024);
  });

  it('is not put back without a backup', async () => {
    const node = nodeWithOne();
    halfDone(node, () => {
      node.write(101, { cores: 4 });
      node.backupFailure = 'no space left';
    });
    const result = await carry(node, growBoth);
    expect(result.note).toMatch(/NOT put back \(no backup: no space left\)/);
    expect(node.sets.length).toBe(1);
  });

  it('and cannot be put back either: failed, with both reasons', async () => {
    const node = nodeWithOne();
    node.pct = () => {
      if (node.sets.length === 1) node.write(101, { cores: 4 });
      return failure;
    };
    const result = await carry(node, growBoth);
    expect(result.kind).toBe('failed');
    expect(result.note).toMatch(/NOT put back \(pct exited with 255.*\): pct exited.*cores 4/);
    expect(node.sets.length).toBe(2);
  });

  it('and put back only in words: failed', async () => {
    const node = nodeWithOne();
    node.pct = () => {
      if (node.sets.length > 1) return { kind: 'done' };
      node.write(101, { cores: 4 });
      return failure;
    };
    const result = await carry(node, growBoth);
    expect(result).toMatchObject({ kind: 'failed', note: expect.stringMatching(/did not help/) });
  });
});

describe('a container that stops while it is changed', () => {
  function stopping(node: FakeNode, half: boolean): void {
    node.pct = (request) => {
      if (half && node.sets.length === 1) node.write(101, { cores: 4 });
      else node.apply(request);
      node.get(101).running = false;
      return half && node.sets.length === 1 ? failure : { kind: 'done' };
    };
  }

  it('is a failure, though its configuration shows the new values', async () => {
    const node = nodeWithOne();
    stopping(node, false);
    const result = await carry(node, growBoth);
    expect(result.kind).toBe('failed');
    expect(result.note).toMatch(/^The container stopped while it was changed; please check it/);
    expect(result.backup).toBe('/backups/101-1.conf');
  });

  it('half-way gets its values back, which takes nothing, and it is said', async () => {
    const node = nodeWithOne();
    node.get(101).memory = { current: 1000, anon: 1000 };
    stopping(node, true);
    const result = await carry(node, growBoth);
    expect(result.kind).toBe('rolled-back');
    expect(result.note).toMatch(/^The container stopped.*active again/);
    expect(node.get(101).config).toMatchObject({ cores: 2, memoryMib: 1024 });
  });
});
