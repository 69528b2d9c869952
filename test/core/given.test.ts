import { describe, expect, it } from 'vitest';
import { allocationOf } from '../../src/core/allocation.ts';
import { noteGiven, withGiven } from '../../src/core/given.ts';
import { newGuestRecord } from '../../src/core/guest-record.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { mib } from '../../src/core/units.ts';
import { guest, policy } from './builders.ts';

/** Bounds that are shares of what an administrator gave. */

const configured = (own: Partial<ContainerPolicy['cpu']> = {}) => {
  const base = policy();
  return {
    ...base,
    cpu: { ...base.cpu, ...own, ofGiven: { min: 1, max: 1.5 } },
    memory: { ...base.memory, ofGiven: { min: 1, max: 1.5 } },
  };
};

const managed = (its: ContainerPolicy) =>
  ({ kind: 'managed', policy: its, mode: 'act', because: 'DEFAULT' }) as const;

const boundsOf = (its: ContainerPolicy, config = guest(101), record = newGuestRecord()) => {
  const found = withGiven(managed(its), config, record);
  if (found.kind === 'ignored') throw new Error('ignored');
  const { cpu, memory } = found.policy;
  return [cpu.min, cpu.max, memory.minMib, memory.maxMib];
};

describe('a bound that is a share', () => {
  const given = guest(101, { cores: 3, memoryMib: mib(1000) });

  it('is a share of what was given, whatever the guest has now', () => {
    const record = newGuestRecord();
    noteGiven(record, allocationOf(given));
    const now = guest(101, { cores: 1, memoryMib: mib(600) });
    expect(boundsOf(configured(), now, record)).toEqual([3, 5, 1000, 1500]);
  });

  it('takes nothing from a guest of which nothing is noted yet', () => {
    expect(boundsOf(configured(), given)).toEqual([3, 5, 1000, 1500]);
    expect(withGiven(managed(policy()), given, undefined)).toEqual(managed(policy()));
  });

  it('leaves the cores of a guest without a limit to the other bounds', () => {
    const record = newGuestRecord();
    noteGiven(record, { cores: null, cpuLimit: null, memoryMib: mib(512) });
    const { cpu } = policy();
    expect(boundsOf(configured(), given, record).slice(0, 2)).toEqual([cpu.min, cpu.max]);
  });

  it('is in tenths where the unit is cpulimit', () => {
    const record = newGuestRecord();
    noteGiven(record, { cores: 4, cpuLimit: 1.5, memoryMib: mib(512) });
    const [min, max] = boundsOf(configured({ unit: 'cpulimit' }), given, record);
    expect([min, max]).toEqual([1.5, 2.3]);
  });
});

it('what somebody else sets is what was given from then on, resource by resource', () => {
  const record = newGuestRecord();
  noteGiven(record, { cores: 2, cpuLimit: null, memoryMib: mib(1024) });
  // What this program sets in between is none of it.
  noteGiven(record, { cores: 1, cpuLimit: null, memoryMib: mib(4096) }, ['memory']);
  expect(record.given).toEqual({ cores: 2, cpuLimit: null, memoryMib: 4096 });
  noteGiven(record, { cores: 1, cpuLimit: null, memoryMib: mib(512) });
  expect(record.given).toEqual({ cores: 2, cpuLimit: null, memoryMib: 4096 });
});
