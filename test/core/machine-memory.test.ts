import { describe, expect, it } from 'vitest';
import { type MonitorAnswer, machineMemory } from '../../src/core/machine-memory.ts';
import type { MemoryCounters } from '../../src/core/observation.ts';
import { missing, present } from '../../src/core/reading.ts';
import { bytes, milliseconds } from '../../src/core/units.ts';
import { ownLimit, reclaimableBytes } from '../../src/core/usage.ts';

const MIB = 1024 * 1024;
const of = (mib: number) => bytes(mib * MIB);

function answer(limit: number, total: number, free: number, available: number): MonitorAnswer {
  return {
    atMs: milliseconds(1000),
    isRunning: true,
    vcpus: 2,
    actualBytes: present(of(limit)),
    stats: present({
      totalBytes: of(total),
      freeBytes: of(free),
      availableBytes: of(available),
      swappedInBytes: undefined,
      oomKills: undefined,
      allocationStalls: undefined,
    }),
  };
}

/** Counters of a guest with so much of 4096 free, after so many kills and stalls. */
function counted(free: number, oomKills: number, allocationStalls?: number): MemoryCounters {
  const good = answer(4096, 3950, free, free);
  const stats = good.stats.ok ? { ...good.stats.value, oomKills, allocationStalls } : undefined;
  const memory = machineMemory({ ...good, ...(stats && { stats: present(stats) }) });
  if (!memory.ok) throw new Error(memory.detail);
  return memory.value;
}

describe('the memory of a guest', () => {
  it.each([
    [4096, 3950, 150, 3000, 3946, 2850, 1096],
    [4096, 3950, 3000, 3100, 1096, 100, 996],
    [2048, 3950, 150, 3000, 3800, 2850, 950],
  ])('limit %d, total %d, free %d, available %d', (limit, total, free, available, ...expected) => {
    const memory = machineMemory(answer(limit, total, free, available));
    if (!memory.ok) throw new Error(memory.detail);
    const { currentBytes } = memory.value;
    const cache = reclaimableBytes(memory.value);
    expect([currentBytes, cache, currentBytes - cache].map((one) => one / MIB)).toEqual(expected);
  });

  it('is missing without a driver, without the figure, and where it cannot be true', () => {
    const good = answer(4096, 3950, 150, 3000);
    const none = missing('absent', 'no driver');
    expect(machineMemory({ ...good, stats: none })).toBe(none);
    expect(machineMemory({ ...good, actualBytes: none })).toBe(none);
    expect(machineMemory(answer(4096, 3950, 150, 4000))).toMatchObject({ why: 'implausible' });
    const plain = good.stats.ok ? { ...good.stats.value, availableBytes: undefined } : undefined;
    if (plain === undefined) throw new Error('no stats');
    expect(machineMemory({ ...good, stats: present(plain) })).toMatchObject({ why: 'absent' });
  });
});

describe('an OOM kill in the guest', () => {
  it('is for want of its memory only if something had to wait for memory', () => {
    const before = counted(3000, 2, 40);
    expect(ownLimit(before, counted(3000, 3, 41))).toMatchObject({ kills: 1, near: true });
    expect(ownLimit(before, counted(3000, 3, 40))).toMatchObject({
      kills: 0,
      near: false,
      others: { nested: 1, byHost: 0 },
    });
    expect(ownLimit(before, counted(3000, 2, 41)).kills).toBe(0);
    expect(counted(3000, 2, 41).own).toEqual({ highHits: 0, limitHits: undefined, ooms: 41 });
  });

  it('of which no more is told is so only if there was hardly any left', () => {
    const full = counted(100, 2);
    expect(ownLimit(full, counted(3000, 3)).kills).toBe(1);
    expect(ownLimit(counted(3000, 2), counted(3000, 3))).toMatchObject({
      kills: 0,
      others: { nested: 1, byHost: 0 },
    });
  });
});
