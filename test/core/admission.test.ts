import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Budget } from '../../src/core/admission.ts';
import type { LoopState } from '../../src/core/loop-state.ts';
import type { ContainerObservation } from '../../src/core/observation.ts';
import type { HostPolicy } from '../../src/core/policy.ts';
import { present } from '../../src/core/reading.ts';
import { type Mib, mib, ratio, type Vmid } from '../../src/core/units.ts';
import {
  broken,
  budgetWith,
  container,
  gone,
  guest,
  host,
  hostPolicy,
  memoryUse,
  vmid,
} from './builders.ts';

const noGrants: LoopState['grants'] = new Map();

const grantsOf = (...pairs: readonly (readonly [number, number])[]): Map<Vmid, Mib> =>
  new Map(pairs.map(([id, granted]) => [vmid(id), mib(granted)]));

/** Uses so much of its limit. */
function using(id: number, usedMib: number, limitMib: number | undefined): ContainerObservation {
  const limit = limitMib === undefined ? undefined : mib(limitMib);
  const memory = present(memoryUse(usedMib, { limitMib: limit }));
  return container(guest(id, { memoryMib: mib(limitMib ?? 512) }), { memory });
}

/** Of a host with 10240 MiB available and 2048 in reserve: 8192 where nothing is promised. */
function free(containers: readonly ContainerObservation[], grants: LoopState['grants']): number {
  const around = host({ availableMib: 10_240 });
  const { memoryMib } = budgetWith(around, hostPolicy, containers, grants);
  return memoryMib.ok ? memoryMib.value : Number.NaN;
}

describe('the memory that can be handed out', () => {
  it('is what is available less the reserve', () => {
    expect(free([using(101, 900, 1024)], noGrants)).toBe(8192);
  });

  it('is nothing where less than the reserve is available, never less than nothing', () => {
    const small = host({ availableMib: 1000 });
    expect(budgetWith(small, hostPolicy, [], noGrants).memoryMib).toEqual(present(0));
  });

  it('is in steps of 16, rounded down', () => {
    const odd = host({ availableMib: 2048 + 47 });
    expect(budgetWith(odd, hostPolicy, [], noGrants).memoryMib).toEqual(present(32));
  });

  it('is missing where the host could not be measured', () => {
    const blind = { ...host(), memory: broken('/proc/meminfo') };
    expect(budgetWith(blind, hostPolicy, [], noGrants).memoryMib).toEqual(broken('/proc/meminfo'));
    const nonsense = host({ availableMib: Number.NaN });
    expect(budgetWith(nonsense, hostPolicy, [], noGrants).memoryMib.ok).toBe(false);
  });
});

describe('what was granted before', () => {
  it.each([
    ['and is not used at all yet is promised as a whole', 3900, 5120, 1024],
    ['and is used in part is promised for the rest', 4720, 5120, 400],
    ['and is used as a whole is promised no more', 5120, 5120, 0],
  ])('%s', (_what, usedMib, limitMib, promised) => {
    expect(free([using(101, usedMib, limitMib)], grantsOf([101, 1024]))).toBe(8192 - promised);
  });

  it('is promised again when the container uses less again', () => {
    const grants = grantsOf([101, 1024]);
    expect(free([using(101, 5120, 5120)], grants)).toBe(8192);
    expect(free([using(101, 1000, 5120)], grants)).toBe(7168);
  });

  it('is promised as a whole where the usage or the limit cannot be read', () => {
    const grants = grantsOf([101, 1024]);
    const unread = container(guest(101), { memory: broken() });
    expect(free([unread], grants)).toBe(7168);
    const unknown = { ...unread, state: { kind: 'unknown', reason: broken() } } as const;
    expect(free([unknown], grants)).toBe(7168);
    expect(free([using(101, 100, undefined)], grants)).toBe(7168);
  });

  it('is not promised while the container is stopped', () => {
    const stopped = { ...container(guest(101)), state: { kind: 'stopped' } } as const;
    expect(free([stopped], grantsOf([101, 1024]))).toBe(8192);
  });

  it('adds up over the containers', () => {
    const two = [using(101, 3900, 5120), using(102, 900, 2048), using(103, 900, 2048)];
    expect(free(two, grantsOf([101, 1024], [102, 512]))).toBe(8192 - 1024 - 512);
  });
});

describe('the most cores that one container may have', () => {
  const ceiling = (cpus: number, reserveCpu: number): Budget['coresCeiling'] => {
    const policy: HostPolicy = { ...hostPolicy, reserveCpu: ratio(reserveCpu) };
    return budgetWith(host({ cpus: present(cpus) }), policy, [], noGrants).coresCeiling;
  };

  it.each([
    [40, 0.1, 36],
    [10, 0.1, 9],
    [4, 0.1, 3],
    [4, 0, 4],
    [1, 0.1, 1],
    [2, 0.9, 1],
    [100, 0.29, 71],
  ])('of %d CPUs with a reserve of %d is %d', (cpus, reserve, most) => {
    expect(ceiling(cpus, reserve)).toEqual(present(most));
  });

  it('is missing where the CPUs could not be counted', () => {
    const blind = budgetWith(host({ cpus: gone('/proc/stat') }), hostPolicy, [], noGrants);
    expect(blind.coresCeiling).toEqual(gone('/proc/stat'));
    expect(blind.memoryMib.ok).toBe(true);
  });
});

it('a budget never is more than what is available less the reserve and the unused grants', () => {
  const megabytes = fc.integer({ min: 0, max: 100_000 });
  const some = fc.array(fc.record({ used: megabytes, more: megabytes, granted: megabytes }), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(megabytes, megabytes, some, (availableMib, reserve, containers) => {
      const seen = containers.map(({ used, more }, index) => using(101 + index, used, used + more));
      const grants = grantsOf(
        ...containers.map(({ granted }, index): [number, number] => [101 + index, granted]),
      );
      const reserved = { reserveMemoryMib: mib(reserve), overcommitRatio: 1000 };
      const policy = { ...hostPolicy, ...reserved };
      const { memoryMib } = budgetWith(
        host({ totalMib: 500_000, availableMib }),
        policy,
        seen,
        grants,
      );
      const unused = containers.reduce(
        (sum, { more, granted }) => sum + Math.min(more, granted),
        0,
      );
      const most = Math.max(0, availableMib - reserve - unused);
      expect(memoryMib.ok).toBe(true);
      if (!memoryMib.ok) return;
      expect(memoryMib.value).toBeLessThanOrEqual(most);
      expect(memoryMib.value).toBeGreaterThan(most - 16);
    }),
    { numRuns: 500 },
  );
});
