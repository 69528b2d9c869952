import { describe, expect, it } from 'vitest';
import type { PlannedChange } from '../../src/core/plan.ts';
import { carryOut } from '../../src/loop/change.ts';
import { apply } from '../../src/loop/executor.ts';
import { letGoLeft } from '../../src/loop/hold-down.ts';
import type { ChangeResult } from '../../src/loop/wish.ts';
import type { CommandOutcome, MemoryHigh, SetRequest } from '../../src/node/port.ts';
import { AMPLE_ROOM, memoryChange, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

/** What may happen between the proof that memory can be taken and its being taken. */

const ID = vmid(101);
const shrinkTo = (after: number): PlannedChange => ({
  vmid: ID,
  name: 'web',
  memory: memoryChange(101, 1024, after),
});

/** 1024 MB, 200 MB of them in use. */
function nodeWithOne(): FakeNode {
  const node = new FakeNode();
  node.add(101, {}, { current: 200, anon: 200 });
  return node;
}

/** The world with another hold on `memory.high`. */
const withHigh = ({ world }: FakeNode, memoryHigh: MemoryHigh) => ({
  ...world,
  hands: { ...world.hands, memoryHigh },
});

function carry(node: FakeNode, planned = shrinkTo(512)): Promise<ChangeResult> {
  node.goAfar();
  const context = { hostCpus: 16, headroom: AMPLE_ROOM, stop: new AbortController().signal };
  return carryOut(node.world, planned, node.get(101).config, context);
}

/** Nothing holds it back any more; kernel and configuration say the same, or what is said. */
function expectFree(node: FakeNode, memoryMib: number, liveMib = memoryMib): void {
  expect(node.heldMib.size).toBe(0);
  expect(node.get(101).config.memoryMib).toBe(memoryMib);
  if (node.get(101).running) expect(node.get(101).limitMib).toBe(liveMib);
}

const grow = (node: FakeNode, current: number): void => {
  node.get(101).memory = { ...node.get(101).memory, current, anon: current };
};

/** A pct that waits for a lock until it is ended. */
const waiting =
  (node: FakeNode, meanwhile: () => void) =>
  (request: SetRequest, cancel?: AbortSignal): CommandOutcome | Promise<CommandOutcome> => {
    if (node.sets.length > 1) return node.apply(request);
    meanwhile();
    return new Promise((resolve) => {
      cancel?.addEventListener('abort', () => {
        resolve({ kind: 'killed', signal: 'SIGTERM', message: 'pct was ended' });
      });
    });
  };

describe('memory that is to be taken', () => {
  it('is held where the proof ended, until the change is there', async () => {
    const node = nodeWithOne();
    let held: number | undefined;
    node.pct = (request) => {
      held = node.heldMib.get(ID);
      return node.apply(request);
    };
    expect((await carry(node)).kind).toBe('confirmed');
    expect(held).toBe(464);
    expect(node.done).toEqual(['high 101', 'backup 101', 'set 101', 'high back 101']);
    expectFree(node, 512);
  });

  it('is not held where it grows', async () => {
    const node = nodeWithOne();
    await carry(node, { ...shrinkTo(0), memory: memoryChange(101, 1024, 2048) });
    expect(node.done).toEqual(['backup 101', 'set 101']);
  });

  it('stays where usage has come up by the time that it is held', async () => {
    const node = nodeWithOne();
    const { memoryHigh } = node.world.hands;
    const hold: typeof memoryHigh.hold = (id, at) => {
      grow(node, 500);
      return memoryHigh.hold(id, at);
    };
    const world = withHigh(node, { ...memoryHigh, hold });
    const context = { hostCpus: 16, headroom: AMPLE_ROOM, stop: new AbortController().signal };
    const result = await carryOut(world, shrinkTo(512), node.get(101).config, context);
    expect(result).toMatchObject({ kind: 'unproven', unproven: { kind: 'need-grew' } });
    expect(node.sets).toEqual([]);
    expectFree(node, 1024);
  });
});

describe('a container that pushes while pct set is under way', () => {
  it('keeps what it has: pct is ended before it has done anything', async () => {
    const node = nodeWithOne();
    node.pct = waiting(node, () => grow(node, 470));
    const result = await carry(node);
    expect(result).toMatchObject({ kind: 'unproven', unproven: { kind: 'pushed' } });
    expect(result.note).toMatch(/began to need more .*: 470 MB where it was held at 464 MB/);
    expect(node.sets).toHaveLength(1);
    expectFree(node, 1024);
  });

  it('keeps what it has where it begins to swap', async () => {
    const node = nodeWithOne();
    const swaps = { current: 300, anon: 300, swap: 4 };
    node.pct = waiting(node, () => void Object.assign(node.get(101), { memory: swaps }));
    const result = await carry(node);
    expect(result).toMatchObject({ kind: 'unproven', note: '4 MB were swapped out meanwhile' });
    expectFree(node, 1024);
  });

  it('is left alone while it only reads: file cache is given up again', async () => {
    const node = nodeWithOne();
    node.pct = async (request) => {
      node.get(101).memory = { current: 466, anon: 200, inactive: 266 };
      await new Promise((resolve) => setTimeout(resolve, 20));
      return node.apply(request);
    };
    expect((await carry(node)).kind).toBe('confirmed');
    expectFree(node, 512);
  });

  it.each([
    ['all of it', (node: FakeNode, request: SetRequest) => void node.apply(request)],
    ['the kernel only', (node: FakeNode) => void Object.assign(node.get(101), { limitMib: 512 })],
  ])('gets back what it had where pct has done %s, held until then', async (_what, half) => {
    const node = nodeWithOne();
    let held: number | undefined;
    node.pct = (request, cancel) => {
      if (node.sets.length === 1) {
        const later = waiting(node, () => {
          grow(node, 490);
          half(node, request);
        });
        return later(request, cancel);
      }
      held ??= node.heldMib.get(ID);
      return node.apply(request);
    };
    const result = await carry(node);
    expect(result).toMatchObject({ kind: 'rolled-back', note: expect.stringMatching(/need more/) });
    expect(held).toBe(464);
    expectFree(node, 1024);
  });
});

describe('a kill while memory is taken', () => {
  it('has the value before put back at once, and is a failure', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      if (node.sets.length === 1) {
        node.get(101).memory = { current: 50, anon: 50, oomKills: 1 };
      }
      return node.apply(request);
    };
    const result = await carry(node);
    expect(result.kind).toBe('rolled-back');
    expect(result.note).toMatch(/ended a process in it \(out of memory\) while its memory was low/);
    expectFree(node, 1024);
  });

  it('of its init has the value before put back into the configuration', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      const outcome = node.apply(request);
      node.get(101).running = false;
      return outcome;
    };
    const result = await carry(node);
    expect(result.kind).toBe('rolled-back');
    expect(result.note).toMatch(/^The container stopped while it was changed; please check it/);
    expect(node.sets).toMatchObject([{ memoryMib: 512 }, { memoryMib: 1024 }]);
    expectFree(node, 1024);
  });

  it('and a restart right after it, too', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      if (node.sets.length === 1) node.get(101).identity += 1;
      return node.apply(request);
    };
    expect((await carry(node)).kind).toBe('rolled-back');
    expectFree(node, 1024);
  });

  it('is nothing new where it was before', async () => {
    const node = nodeWithOne();
    node.get(101).memory = { current: 200, anon: 200, oomKills: 7 };
    expect((await carry(node)).kind).toBe('confirmed');
  });
});

describe('memory.high never stays low', () => {
  it.each<[string, CommandOutcome]>([
    ['fails', { kind: 'failed', why: 'busy', exitCode: 4, message: 'got timeout' }],
    ['is killed', { kind: 'killed', signal: 'SIGKILL', message: 'killed' }],
    ['takes too long', { kind: 'timed-out', afterMs: 40_000 as never, message: 'too long' }],
    ['cannot be started', { kind: 'not-started', message: 'no pct' }],
    ['does nothing', { kind: 'done' }],
  ])('where pct %s', async (_what, outcome) => {
    const node = nodeWithOne();
    node.pct = () => outcome;
    expect((await carry(node)).kind).toBe('failed');
    expect(node.done).toEqual(['high 101', 'backup 101', 'set 101', 'high back 101']);
    expectFree(node, 1024);
  });

  it('where there is no backup', async () => {
    const node = nodeWithOne();
    node.backupFailure = 'no space';
    await carry(node);
    expect(node.done).toEqual(['high 101', 'high back 101']);
  });

  it('where something of ours breaks', async () => {
    const node = nodeWithOne();
    node.pct = () => {
      throw new Error('a bug');
    };
    await expect(carry(node)).rejects.toThrow('a bug');
    expectFree(node, 1024);
  });

  it('and one that cannot be put back is told', async () => {
    const node = nodeWithOne();
    const { memoryHigh } = node.world.hands;
    const release = async () => ({ ok: false, message: 'read-only' }) as const;
    const world = withHigh(node, { ...memoryHigh, release });
    const context = { hostCpus: 16, headroom: AMPLE_ROOM, stop: new AbortController().signal };
    await carryOut(world, shrinkTo(512), node.get(101).config, context);
    expect(node.linesOf('ERROR')).toEqual([
      expect.stringMatching(/101: memory.high could not be put back and is low: read-only/),
    ]);
  });

  it('where a process was killed that had held it: the next one says what it did', async () => {
    const node = nodeWithOne();
    const left = [{ vmid: ID }, { vmid: vmid(102), problem: 'no' }];
    const memoryHigh = { ...node.world.hands.memoryHigh, releaseLeft: async () => left };
    await letGoLeft(withHigh(node, memoryHigh));
    expect(node.lines).toEqual([
      expect.stringMatching(/^WARN: Container 101: .* ended, and is put back/),
      expect.stringMatching(/^ERROR: Container 102: .* could not be put back: no/),
    ]);
  });
});

describe('a node where memory.high cannot be written', () => {
  const refusing = (): FakeNode => {
    const node = nodeWithOne();
    node.highRefused = 'read-only file system';
    return node;
  };

  it('lets a small step be made', async () => {
    const node = refusing();
    expect((await carry(node, shrinkTo(928))).kind).toBe('confirmed');
    expectFree(node, 928);
  });

  it('lets no larger one be made, and says why', async () => {
    const node = refusing();
    const result = await carry(node, shrinkTo(912));
    expect(result).toMatchObject({ kind: 'unproven', unproven: { kind: 'cannot-hold' } });
    expect(result.note).toMatch(/912 MB is not safe, .* limited meanwhile: read-only file system/);
    expectFree(node, 1024);
  });
});

describe('a change of which only the kernel knows', () => {
  it('is put back by real changes: a value that is configured already does nothing', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      if (node.sets.length > 1) return node.apply(request);
      node.get(101).limitMib = 512;
      return { kind: 'failed', why: 'other', exitCode: 2, message: 'unable to open file' };
    };
    const result = await carry(node);
    expect(result.kind).toBe('rolled-back');
    expect(node.sets).toMatchObject([{ memoryMib: 512 }, { memoryMib: 512 }, { memoryMib: 1024 }]);
    expectFree(node, 1024);
  });
});

describe('quorum that is lost while a limit is lowered', () => {
  const NO_QUORUM = "unable to open file '/etc/pve/lxc/101.conf.tmp.1' - Permission denied";

  /** What is live follows, the configuration does not; a value that it has is a no-op. */
  function unwritten(node: FakeNode): FakeNode['pct'] {
    return async ({ vmid: id, memoryMib, cpuLimit }) => {
      const one = node.get(id);
      if (memoryMib !== undefined && memoryMib !== one.config.memoryMib) one.limitMib = memoryMib;
      if (cpuLimit !== undefined && cpuLimit !== one.config.cpuLimit) {
        one.liveCpuLimit = cpuLimit;
      }
      return { kind: 'failed', why: 'no-quorum', exitCode: 2, message: NO_QUORUM };
    };
  }

  it('leaves a container nearly what it had, by pct alone', async () => {
    const node = nodeWithOne();
    node.pct = unwritten(node);
    const result = await carry(node);
    expect(result).toMatchObject({ kind: 'failed', unwritable: NO_QUORUM });
    expect(result.note).toMatch(/kernel and configuration differ; .* \(memory limit 1023 MB\)$/);
    expect(node.sets.map(({ memoryMib }) => memoryMib)).toEqual([512, 1023]);
    expect(node.backups).toHaveLength(2);
    expectFree(node, 1024, 1023);
  });

  it('leaves it so where it pushes, too', async () => {
    const node = nodeWithOne();
    const set = unwritten(node);
    node.pct = (request) => {
      if (node.sets.length === 1) grow(node, 490);
      return set(request);
    };
    const result = await carry(node);
    expect(result).toMatchObject({ kind: 'failed', unwritable: NO_QUORUM });
    expect(result.note).toContain('(memory limit 1023 MB)');
    expectFree(node, 1024, 1023);
  });

  it.each([
    [4, 3.99],
    [null, 16],
  ])('the same of a cpulimit of %j', async (before, lifted) => {
    const node = nodeWithOne();
    node.write(101, { cpuLimit: before });
    node.get(101).liveCpuLimit = before;
    node.pct = unwritten(node);
    const target = { cpuLimit: 2 };
    const { config } = node.get(101);
    const wish = { vmid: ID, decidedOn: config, before: { cpuLimit: before }, target };
    const context = { hostCpus: 16, stop: new AbortController().signal };
    const result = await apply(node.world, { ...wish, purpose: { reason: 'x' } }, context);
    expect(result.kind).toBe('failed');
    expect(node.sets.map((set) => set.cpuLimit)).toEqual([2, lifted]);
    expect(node.get(101).liveCpuLimit).toBe(lifted);
  });

  it('takes nothing back of what has grown, and says so where nothing helps', async () => {
    const grown = nodeWithOne();
    grown.pct = unwritten(grown);
    await carry(grown, { ...shrinkTo(0), memory: memoryChange(101, 1024, 2048) });
    expect(grown.sets).toHaveLength(1);
    const dead = nodeWithOne();
    const set = unwritten(dead);
    const refused = { kind: 'failed', why: 'unreachable', exitCode: 111, message: 'ipcc' } as const;
    dead.pct = async (request) => (dead.sets.length === 1 ? set(request) : refused);
    const { note } = await carry(dead);
    expect(note).toMatch(/kernel and configuration differ$/);
  });
});
