import { describe, expect, it } from 'vitest';
import { type Budget, budget, keepPromise } from '../../src/core/admission.ts';
import type { HostCpu } from '../../src/core/host-state.ts';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { ContainerObservation, GuestConfig } from '../../src/core/observation.ts';
import type { HostPolicy } from '../../src/core/policy.ts';
import { present } from '../../src/core/reading.ts';
import {
  type Mib,
  mib,
  mibToBytes,
  microseconds,
  milliseconds,
  ratio,
  type Vmid,
} from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import {
  broken,
  budgetWith,
  container,
  gone,
  guest,
  host,
  hostMemory,
  hostPolicy,
  machine,
  memoryCounters,
  memoryUse,
  sample,
  vmid,
} from './builders.ts';

const noGrants: ReadonlyMap<Vmid, Mib> = new Map();

const grantsOf = (...pairs: readonly (readonly [number, number])[]): Map<Vmid, Mib> =>
  new Map(pairs.map(([id, granted]) => [vmid(id), mib(granted)]));

/** Uses so much of its limit. */
function using(id: number, usedMib: number, limitMib: number | undefined): ContainerObservation {
  const limit = limitMib === undefined ? undefined : mib(limitMib);
  const memory = present(memoryUse(usedMib, { limitMib: limit }));
  return container(guest(id, { memoryMib: mib(limitMib ?? 512) }), { memory });
}

/** Of a host with 10240 MiB available and 2048 in reserve: 8192 where nothing is promised. */
function free(containers: readonly ContainerObservation[], grants: ReadonlyMap<Vmid, Mib>): number {
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

describe('what the OOM killer has ended in one that is not asked now', () => {
  const MINUTE = 60_000;
  const left = (
    killedMs: number | undefined,
    usedMib: number | undefined,
    running = true,
    containers: readonly ContainerObservation[] = [],
  ): number => {
    const state = newLoopState();
    const record = recordOf(state, vmid(101));
    if (running) record.running = guest(101, { memoryMib: mib(2048) });
    record.life.oomKillMs = killedMs === undefined ? undefined : milliseconds(killedMs);
    const currentBytes = mibToBytes(mib(usedMib ?? 0));
    const memory = { ...memoryCounters(), currentBytes, anonBytes: currentBytes };
    const isRead = usedMib !== undefined;
    record.life.sample = sample({ memory: isRead ? present(memory) : broken() });
    const when = { nowMs: milliseconds(60 * MINUTE), urgent: true };
    const around = host({ availableMib: 10_240 });
    const given = { host: around, policy: hostPolicy, containers, state, ...when };
    const { memoryMib } = budget(given);
    return memoryMib.ok ? memoryMib.value : Number.NaN;
  };

  it('is promised for ten minutes: it begins anew, and takes again what it had', () => {
    expect(left(55 * MINUTE, 48)).toBe(8192 - 2000);
    expect(left(45 * MINUTE, 48)).toBe(8192);
    expect(left(undefined, 48)).toBe(8192);
  });

  it('is not promised twice, and not for one that does not run', () => {
    expect(left(55 * MINUTE, 2048)).toBe(8192);
    expect(left(55 * MINUTE, 48, false)).toBe(8192);
  });

  it('is promised by its last sample if it cannot be read now, and as a whole without one', () => {
    const unread = container(guest(101), { memory: broken() });
    const frozen = { ...unread, state: { kind: 'frozen' } } as const;
    const unknown = { ...unread, state: { kind: 'unknown', reason: broken() } } as const;
    for (const seen of [unread, unknown, frozen, using(101, 48, undefined)]) {
      expect(left(55 * MINUTE, 48, true, [seen])).toBe(8192 - 2000);
      expect(left(45 * MINUTE, 48, true, [seen])).toBe(8192);
    }
    expect(left(55 * MINUTE, undefined, true, [unread])).toBe(8192 - 2048);
    expect(left(55 * MINUTE, undefined)).toBe(8192 - 2048);
    const stopped = { ...unread, state: { kind: 'stopped' } } as const;
    expect(left(55 * MINUTE, 48, true, [stopped])).toBe(8192);
  });
});

describe('what a machine has not taken of the target of its balloon', () => {
  const around = host({ availableMib: 10_240 });
  const left = (own: GuestConfig, heldMib: number | undefined, grantMib?: number): number => {
    const state = newLoopState();
    const record = recordOf(state, own.vmid);
    const held = heldMib === undefined ? {} : { heldBytes: mibToBytes(mib(heldMib)) };
    record.running = own;
    // Its monitor says nothing: what QEMU has of the host is known all the same.
    record.life.sample = sample({ memory: broken(), ...held });
    if (grantMib !== undefined) record.grantMib = mib(grantMib);
    const when = { nowMs: milliseconds(0), urgent: true };
    const given = { host: around, policy: hostPolicy, containers: [], state, ...when };
    const { memoryMib } = budget(given);
    return memoryMib.ok ? memoryMib.value : Number.NaN;
  };
  const moves = machine(200, { memoryMib: mib(2048) });

  it('is promised, since its kernel will fill it with cache', () => {
    expect(left(moves, 1024)).toBe(8192 - 1024);
    expect(left(moves, 2048)).toBe(8192);
    expect(left(moves, 2100)).toBe(8192);
    expect(left(moves, 1024, 512)).toBe(8192 - 1024);
  });

  it('is left to the ratio where that is not known, or its balloon does not move', () => {
    expect(left(moves, undefined)).toBe(8192);
    const oneWay = { why: 'x', remedy: 'y' };
    expect(left(machine(200, {}, { memoryMib: { oneWay } }), 1024)).toBe(8192);
    expect(left(guest(101, { memoryMib: mib(2048) }), 1024)).toBe(8192);
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

describe('the limits of all running guests together', () => {
  /** 8192 MiB of which 2048 are kept back, and plenty of it free. */
  const around = host({ totalMib: 10_240, availableMib: 9000 });
  const two = [using(101, 100, 2048), using(102, 100, 1024)];
  const roomAt = (overcommitRatio: number, vmMib = 0, own = two) => {
    const seen = { ...around, vmMemoryMib: present(mib(vmMib)) };
    return budgetWith(seen, { ...hostPolicy, overcommitRatio }, own, noGrants);
  };

  it('stay below the memory of the host less its reserve where none may be overcommitted', () => {
    const { memoryMib, memoryBound } = roomAt(1);
    expect([memoryMib, memoryBound]).toEqual([present(8192 - 3072), 'overcommit']);
    expect(roomAt(1, 0, [using(101, 100, 9000)]).memoryMib).toEqual(present(0));
  });

  it('may be a multiple of that, and then what is free decides', () => {
    const { memoryMib, memoryBound } = roomAt(2);
    expect([memoryMib, memoryBound]).toEqual([present(6944), 'free']);
  });

  it('count the virtual machines', () => {
    expect(roomAt(1, 4096).memoryMib).toEqual(present(8192 - 3072 - 4096));
  });

  it('leave no room where the virtual machines could not be counted', () => {
    const blind = { ...around, vmMemoryMib: broken('qemu-server') };
    expect(budgetWith(blind, hostPolicy, two, noGrants).memoryMib).toEqual(broken('qemu-server'));
  });

  it('count those that this cycle did not look at', () => {
    const state = newLoopState();
    for (const id of [101, 102]) {
      recordOf(state, vmid(id)).running = guest(id, { memoryMib: mib(2048) });
    }
    const policy = { ...hostPolicy, overcommitRatio: 1 };
    const seen = budget({
      host: around,
      policy,
      containers: two.slice(0, 1),
      state,
      nowMs: milliseconds(0),
      urgent: true,
    });
    expect(seen.memoryMib).toEqual(present(8192 - 4096));
  });

  it('count the one whose configuration or cgroup cannot be read', () => {
    const [whole] = two;
    if (whole === undefined) throw new Error('there are two');
    const reason = broken('EIO');
    const noConfig = { ...whole, config: broken('101.conf') };
    const noCgroup = { ...whole, state: { kind: 'unknown', reason } } as const;
    for (const half of [noConfig, noCgroup]) {
      expect(roomAt(1, 0, [half]).memoryMib).toEqual(present(8192 - 2048));
    }
    const neither = { ...noConfig, state: { kind: 'unknown', reason } } as const;
    expect(roomAt(1, 0, [neither]).memoryMib).toMatchObject({ ok: false });
    const stopped = { ...noConfig, state: { kind: 'stopped' } } as const;
    expect(roomAt(2, 0, [stopped]).memoryMib.ok).toBe(true);
    const leftBehind = { ...noConfig, state: { kind: 'stopped', leftBehind: true } } as const;
    expect(roomAt(2, 0, [leftBehind]).memoryMib.ok).toBe(false);
  });

  it('do not count a machine that could not be read once more: its node has counted it', () => {
    const [whole] = two;
    if (whole === undefined) throw new Error('there are two');
    const unread = { ...whole, kind: 'qemu', config: broken('200.conf') } as const;
    expect(roomAt(1, 4096, [unread]).memoryMib).toEqual(present(8192 - 4096));
  });

  it('leave no room where a whole step is missing a fraction of a byte', () => {
    const all = using(101, 10, 32_752);
    expect(roomAt(4, 0, [all]).memoryMib).toEqual(present(16));
    expect(roomAt(3.999999999998047, 0, [all]).memoryMib).toEqual(present(0));
  });

  it('keep back what members of groups on their way will have', () => {
    const state = { ...newLoopState(), running: new Map() };
    const own = { containers: two, state, nowMs: milliseconds(0), urgent: false };
    const policy = { ...hostPolicy, overcommitRatio: 1 };
    const seen = (comingMib: number) => budget({ host: around, policy, ...own, comingMib });
    expect([seen(1000).memoryMib, seen(1000).wholeMib]).toEqual([present(4112), present(5120)]);
    expect([seen(9000).memoryMib, seen(9000).wholeMib]).toEqual([present(0), present(5120)]);
  });

  it('never pass the ceiling by what is handed out', () => {
    const limits = fc.array(fc.integer({ min: 16, max: 4096 }), { maxLength: 12 });
    const ratios = fc.double({ min: 1, max: 4, noNaN: true });
    fc.assert(
      fc.property(limits, fc.nat(4096), ratios, (each, vmMib, overcommitRatio) => {
        const own = each.map((limit, index) => using(101 + index, 10, limit));
        const { memoryMib } = roomAt(overcommitRatio, vmMib, own);
        if (!memoryMib.ok || memoryMib.value === 0) return;
        const sum = each.reduce((total, limit) => total + limit, vmMib) + memoryMib.value;
        expect(sum).toBeLessThanOrEqual(8192 * overcommitRatio);
      }),
    );
  });
});

describe('while the host has too little of its own', () => {
  const cpuOf = (busy: number): HostCpu => ({
    atMs: milliseconds(0),
    times: { busyTicks: 0, totalTicks: 0 },
    busy: ratio(busy),
  });
  const refusedAt = (busy: number | undefined, availableMib = 32_768, fullAvg10 = 0) => {
    const idle = { someAvg10: ratio(0), someTotalUs: microseconds(0) };
    const line = { ...idle, fullAvg10: ratio(fullAvg10), fullTotalUs: microseconds(0) };
    const around = { ...host({ availableMib }), memoryPressure: present(line) };
    const hostCpu = busy === undefined ? undefined : cpuOf(busy);
    const state = { ...newLoopState(), hostCpu };
    const { coresRefused, memoryRefused } = budget({
      host: around,
      policy: hostPolicy,
      containers: [],
      state,
      nowMs: milliseconds(0),
      urgent: false,
    });
    return [coresRefused?.kind, memoryRefused?.kind];
  };

  it.each([
    ['nothing is refused on an ordinary day', 0.5, 32_768, 0, [undefined, undefined]],
    ['nothing is refused where its CPU is not known', undefined, 32_768, 0, [undefined, undefined]],
    ['busy CPUs refuse cores', 0.96, 32_768, 0, ['host-busy', undefined]],
    ['CPUs that are used up refuse cores', 1, 32_768, 0, ['host-busy', undefined]],
    ['waiting for little memory refuses memory', 0.5, 6000, 0.1, [undefined, 'host-pressure']],
    ['waiting of one container refuses none', 0.5, 32_768, 0.9, [undefined, undefined]],
    ['memory that is used up refuses memory', 0.5, 1000, 0.1, [undefined, 'host-emergency']],
  ])('%s', (_what, busy, available, full, refused) => {
    expect(refusedAt(busy, available, full)).toEqual(refused);
  });

  it('the admin says from which use of the host on nothing more is given', () => {
    const of = (busy: number, own: object) => {
      const policy = { ...hostPolicy, ...own };
      const state = { ...newLoopState(), hostCpu: cpuOf(busy) };
      const { coresRefused, memoryRefused } = budget({
        host: host({ availableMib: 6553 }),
        policy,
        containers: [],
        state,
        nowMs: milliseconds(0),
        urgent: false,
      });
      return [coresRefused?.kind, memoryRefused?.kind];
    };
    expect(of(0.8, {})).toEqual([undefined, undefined]);
    expect(of(0.8, { mostCpu: ratio(0.8) })).toEqual(['host-busy', undefined]);
    expect(of(0.96, { mostCpu: ratio(0.97) })).toEqual([undefined, undefined]);
    expect(of(0.5, { mostMemory: ratio(0.85) })).toEqual([undefined, 'host-full']);
    expect(of(0.5, { mostMemory: ratio(0.95) })).toEqual([undefined, undefined]);
    const both = { mostMemory: ratio(0.85), emergency: ratio(0.9) };
    expect(of(0.5, both)).toEqual([undefined, 'host-emergency']);
  });

  it('the ZFS cache is memory that can be handed out', () => {
    const memory = { ...hostMemory(65_536, 1000), arcReclaimableMib: mib(9000) };
    const around = { ...host(), memory: present(memory) };
    const { memoryMib } = budgetWith(around, hostPolicy, [], noGrants);
    expect(memoryMib).toEqual(present(7952 - (7952 % 16)));
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

describe('a grant that is not used', () => {
  const HOUR_MS = 3_600_000;
  function granted() {
    const state = newLoopState();
    recordOf(state, vmid(101)).grantMib = mib(1024);
    const look = (hours: number, usedMib: number): boolean => {
      const usage = memoryUse(usedMib, { limitMib: mib(2048) });
      keepPromise(recordOf(state, vmid(101)), usage, milliseconds(hours * HOUR_MS));
      return state.guests.get(vmid(101))?.grantMib !== undefined;
    };
    return { state, look };
  }

  it('stops being promised after some hours', () => {
    const { look } = granted();
    expect([0, 1, 2, 2.9].map((hours) => look(hours, 600))).toEqual([true, true, true, true]);
    expect(look(3, 600)).toBe(false);
  });

  it('is promised on where some of it was used, or more was granted meanwhile', () => {
    const { state, look } = granted();
    look(0, 600);
    look(2, 1100);
    expect(look(4, 600)).toBe(true);
    recordOf(state, vmid(101)).memory.grownMs = milliseconds(4.5 * HOUR_MS);
    expect(look(7, 600)).toBe(true);
    expect(look(7.5, 600)).toBe(false);
  });
});
