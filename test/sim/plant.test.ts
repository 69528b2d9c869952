import { describe, expect, it } from 'vitest';
import {
  type Demand,
  type DemandAt,
  type HostSpec,
  type Limits,
  Plant,
  type PlantContainer,
} from '../../src/sim/plant.ts';
import { currentBytes, fileBytes, unreclaimableBytes } from '../../src/sim/plant-memory.ts';
import { fc } from '../fast-check.ts';

const MIB = 1024 * 1024;
const HOST: HostSpec = {
  cpus: 8,
  memoryMib: 32_768,
  swapMib: 4096,
  baseCores: 0.2,
  baseMemoryMib: 1024,
  pressure: true,
  kernelRelease: '6.8',
};

const limits = (change: Partial<Limits> = {}): Limits => ({
  cpus: [0, 1],
  cpuLimit: undefined,
  cpuWeight: 100,
  memoryMaxBytes: 512 * MIB,
  swapMaxBytes: 0,
  ...change,
});

function plantOf(host: Partial<HostSpec> = {}, demandSpeed = 1): Plant {
  return new Plant({ ...HOST, ...host }, { demandSpeed, demandStartMs: 0 });
}

const steady =
  (demand: Demand): DemandAt =>
  () =>
    demand;

/** A demand that a test may change between steps. */
function changing(first: Demand): { demand: DemandAt; set: (next: Demand) => void } {
  let now = first;
  return {
    demand: () => now,
    set: (next) => {
      now = next;
    },
  };
}

function run(plant: Plant, ms: number, stepMs = 200): void {
  for (let gone = 0; gone < ms; gone += stepMs) plant.step(stepMs);
}

describe('CPU', () => {
  it('uses what is wanted within cpuset and cpulimit, at true rates per second', () => {
    const plant = plantOf({ cpus: 8 });
    const a = plant.start(101, limits(), steady({ cpuCores: 1.5, anonMib: 10 }));
    const b = plant.start(102, limits({ cpus: [2, 3] }), steady({ cpuCores: 5, anonMib: 10 }));
    const throttled = limits({ cpus: [4, 5], cpuLimit: 0.5 });
    const c = plant.start(103, throttled, steady({ cpuCores: 5, anonMib: 10 }));
    run(plant, 10_000);
    expect(a.cpu.usageUs).toBeCloseTo(15_000_000, 0);
    expect(b.cpu.usageUs).toBeCloseTo(20_000_000, 0);
    expect(c.cpu.usageUs).toBeCloseTo(5_000_000, 0);
    expect(a.cpu.throttledUs + b.cpu.throttledUs).toBe(0);
    expect(c.cpu.throttledUs).toBeCloseTo(15_000_000, 0);
    expect(c.cpu.periods).toBeCloseTo(100, 5);
  });

  it('shares a full host by weight', () => {
    const plant = plantOf({ cpus: 4, baseCores: 0 });
    const all = { cpus: [0, 1, 2, 3] };
    const busy = steady({ cpuCores: 4, anonMib: 10 });
    const light = plant.start(101, limits({ ...all, cpuWeight: 100 }), busy);
    const heavy = plant.start(102, limits({ ...all, cpuWeight: 300 }), busy);
    run(plant, 1000);
    expect(light.cpu.usedCores).toBeCloseTo(1, 6);
    expect(heavy.cpu.usedCores).toBeCloseTo(3, 6);
    expect(light.cpuPressure.some.avg10).toBeGreaterThan(5);
    expect(light.cpuPressure.full.avg10).toBe(0);
  });

  it('two busy containers of one core on one CPU have half of it each, and both wait', () => {
    const plant = plantOf({ cpus: 4, baseCores: 0.2 });
    const busy = steady({ cpuCores: 1, anonMib: 10 });
    const one = plant.start(101, limits({ cpus: [0] }), busy);
    const other = plant.start(102, limits({ cpus: [0] }), busy);
    const free = plant.start(103, limits({ cpus: [3] }), busy);
    run(plant, 60_000);
    for (const { cpu, cpuPressure } of [one, other]) {
      expect(cpu.usedCores).toBeCloseTo(0.5, 6);
      expect(cpuPressure.some.avg10).toBeGreaterThan(49);
    }
    expect(free.cpu.usedCores).toBeCloseTo(1, 6);
    expect(free.cpuPressure.some.avg10).toBeLessThan(1);
    expect(plant.gauges.usedCores).toBeCloseTo(2.2, 6);
    // More CPUs help it out, and the other with it.
    plant.setLimits(101, { cpus: [0, 1] });
    run(plant, 60_000);
    expect(one.cpu.usedCores + other.cpu.usedCores).toBeCloseTo(2, 2);
    expect(other.cpuPressure.some.avg10).toBeLessThan(2);
  });

  it('runs the demand faster than the clock, never the rates', () => {
    const plant = plantOf({}, 1440);
    const hours: number[] = [];
    const demand: DemandAt = (timeMs) => {
      hours.push(timeMs / 3_600_000);
      return { cpuCores: 1, anonMib: 10 };
    };
    const container = plant.start(101, limits(), demand);
    run(plant, 60_000);
    expect(hours.at(-1)).toBeCloseTo(24, 6);
    expect(container.cpu.usageUs).toBeCloseTo(60_000_000, 0);
  });
});

describe('memory', () => {
  it('fills the page cache as far as there is room, and gives it back to processes', () => {
    const plant = plantOf();
    const load = changing({ cpuCores: 0, anonMib: 100, fileSetMib: 2000 });
    const container = plant.start(101, limits(), load.demand);
    run(plant, 20_000);
    const { memory } = container;
    expect(fileBytes(memory) / MIB).toBeGreaterThan(350);
    expect(currentBytes(memory)).toBeLessThanOrEqual(512 * MIB);
    expect(memory.events.oomKill).toBe(0);
    expect(memory.counts.refaultFile).toBeGreaterThan(0);
    load.set({ cpuCores: 0, anonMib: 450, fileSetMib: 2000 });
    run(plant, 1000);
    expect(memory.anonBytes / MIB).toBeCloseTo(450, 0);
    expect(fileBytes(memory) / MIB).toBeLessThan(60);
    expect(container.memoryPressure.some.avg10).toBeGreaterThan(0);
  });

  it('swaps what does not fit, up to swap.max, and kills beyond it', () => {
    const plant = plantOf();
    const load = changing({ cpuCores: 0, anonMib: 600 });
    const container = plant.start(101, limits({ swapMaxBytes: 200 * MIB }), load.demand);
    run(plant, 10_000);
    expect(container.memory.swapBytes / MIB).toBeGreaterThan(80);
    expect(container.memory.events.oomKill).toBe(0);
    load.set({ cpuCores: 0, anonMib: 720 });
    run(plant, 1000);
    expect(container.memory.events.oomKill).toBe(1);
    expect(container.memory.anonBytes).toBeLessThanOrEqual(8 * MIB);
    expect(plant.takeEvents()).toEqual([{ kind: 'oom-kill', vmid: 101, scope: 'container' }]);
  });

  it('starts a killed process again, which grows again', () => {
    const plant = plantOf();
    const load = changing({ cpuCores: 1, anonMib: 300 });
    const container = plant.start(101, limits(), load.demand, true);
    load.set({ cpuCores: 1, anonMib: 700 });
    run(plant, 200);
    expect(container.memory.events.oomKill).toBe(1);
    expect(container.cpu.usedCores).toBe(0);
    load.set({ cpuCores: 1, anonMib: 300 });
    run(plant, 2000);
    expect(container.memory.anonBytes).toBeLessThanOrEqual(8 * MIB);
    run(plant, 8000);
    expect(container.memory.anonBytes / MIB).toBeCloseTo(300, 0);
    expect(container.cpu.usedCores).toBe(1);
    expect(container.memory.events.oomKill).toBe(1);
  });

  it('tells a process how old it is, so that a leak begins anew after a kill', () => {
    const plant = plantOf();
    const demand: DemandAt = (_, ageMs) => ({ cpuCores: 0, anonMib: 100 + ageMs / 50 });
    const container = plant.start(101, limits(), demand);
    run(plant, 20_600);
    expect(container.memory.events.oomKill).toBe(1);
    run(plant, 8000);
    expect(container.memory.anonBytes / MIB).toBeLessThan(220);
  });

  it('stops a container whose limit is set below what it holds', () => {
    const plant = plantOf();
    plant.start(101, limits(), steady({ cpuCores: 0, anonMib: 300 }), true);
    plant.setLimits(101, { memoryMaxBytes: 256 * MIB });
    expect(plant.container(101)?.memory.events.oomKill).toBe(4);
    run(plant, 3000);
    expect(plant.container(101)).toBeUndefined();
    const kinds = plant.takeEvents().map((event) => event.kind);
    expect(kinds).toEqual(['oom-kill', 'died']);
  });

  it('bears a limit below what it holds when swap takes the rest', () => {
    const plant = plantOf();
    const limit = limits({ swapMaxBytes: 512 * MIB });
    const container = plant.start(101, limit, steady({ cpuCores: 0, anonMib: 300 }), true);
    plant.setLimits(101, { memoryMaxBytes: 256 * MIB });
    run(plant, 3000);
    expect(container.memory.events.oomKill).toBe(0);
    expect(container.memory.swapBytes / MIB).toBeGreaterThan(40);
  });

  it('reclaims cache first, then swaps, and says how much it got', () => {
    const plant = plantOf();
    const demand = steady({ cpuCores: 0, anonMib: 200, fileSetMib: 100 });
    const container = plant.start(101, limits(), demand, true);
    const before = currentBytes(container.memory);
    expect(plant.reclaim(101, 60 * MIB)).toBe(60 * MIB);
    expect(before - currentBytes(container.memory)).toBe(60 * MIB);
    // Without swap there is nothing but the rest of the cache.
    expect(plant.reclaim(101, 500 * MIB) / MIB).toBeCloseTo(40, 0);
    expect(plant.reclaim(101, MIB)).toBe(0);
    expect(container.memory.events.oomKill).toBe(0);
    expect(plant.reclaim(999, MIB)).toBe(0);
  });

  it('takes cache, and then a process, when the host itself has no more', () => {
    const plant = plantOf({ memoryMib: 2048, baseMemoryMib: 512, swapMib: 0 });
    const roomy = limits({ memoryMaxBytes: 4096 * MIB });
    const cache = steady({ cpuCores: 0, anonMib: 50, fileSetMib: 3000 });
    const load = changing({ cpuCores: 0, anonMib: 300 });
    const reader = plant.start(101, roomy, cache);
    const eater = plant.start(102, roomy, load.demand);
    run(plant, 20_000);
    const held = currentBytes(reader.memory) + currentBytes(eater.memory);
    expect(held).toBeLessThanOrEqual(1536 * MIB);
    expect(reader.memory.events.oomKill + eater.memory.events.oomKill).toBe(0);
    load.set({ cpuCores: 0, anonMib: 1800 });
    run(plant, 400);
    expect(eater.memory.events).toMatchObject({ oomKill: 1, oom: 0 });
  });
});

describe('a life', () => {
  it('begins with counters at zero', () => {
    const plant = plantOf();
    const demand = steady({ cpuCores: 1, anonMib: 100, fileSetMib: 50 });
    const first = plant.start(101, limits(), demand);
    run(plant, 5000);
    expect(first.cpu.usageUs).toBeGreaterThan(0);
    plant.stop(101);
    const second = plant.start(101, limits(), demand);
    expect(second).not.toBe(first);
    expect(second.cpu.usageUs).toBe(0);
    expect(second.memory.peakBytes).toBeLessThan(20 * MIB);
  });

  it('is the same twice', () => {
    const state = () => {
      const plant = plantOf({}, 60);
      const demand: DemandAt = (ms) => ({ cpuCores: 1 + Math.sin(ms / 1e5), anonMib: ms / 1e4 });
      const container = plant.start(101, limits(), demand);
      run(plant, 30_000);
      return JSON.stringify([container, plant.gauges]);
    };
    expect(state()).toBe(state());
  });
});

const demands = fc.record({
  cpuCores: fc.double({ min: 0, max: 12, noNaN: true }),
  anonMib: fc.double({ min: 0, max: 900, noNaN: true }),
  shmemMib: fc.double({ min: 0, max: 200, noNaN: true }),
  fileSetMib: fc.double({ min: 0, max: 2000, noNaN: true }),
});
const changes = fc.record({
  demand: demands,
  memoryMib: fc.integer({ min: 16, max: 1024 }),
  swapMib: fc.integer({ min: 0, max: 512 }),
  cpus: fc.integer({ min: 1, max: 8 }),
  cpuLimit: fc.option(fc.double({ min: 0.1, max: 8, noNaN: true }), { nil: undefined }),
});

interface Counters {
  readonly usageUs: number;
  readonly throttledUs: number;
  readonly oomKill: number;
  readonly refaults: number;
  readonly stalledUs: number;
}

const countersOf = (container: PlantContainer): Counters => ({
  usageUs: container.cpu.usageUs,
  throttledUs: container.cpu.throttledUs,
  oomKill: container.memory.events.oomKill,
  refaults: container.memory.counts.refaultFile,
  stalledUs: container.cpuPressure.some.totalUs,
});

function expectLawful(container: PlantContainer, before: Counters, elapsedMs: number): void {
  const { limits: limit, memory } = container;
  const allowed = Math.min(limit.cpus.length, limit.cpuLimit ?? limit.cpus.length);
  const after = countersOf(container);
  const used = (after.usageUs - before.usageUs) / (elapsedMs * 1000);
  expect(used).toBeLessThanOrEqual(allowed + 1e-9);
  expect(currentBytes(memory)).toBeLessThanOrEqual(limit.memoryMaxBytes);
  expect(memory.swapBytes).toBeLessThanOrEqual(limit.swapMaxBytes);
  for (const value of [memory.anonBytes, memory.shmemBytes, fileBytes(memory), memory.swapBytes]) {
    expect(value).toBeGreaterThanOrEqual(0);
  }
  for (const key of Object.keys(after) as Array<keyof Counters>) {
    expect(after[key]).toBeGreaterThanOrEqual(before[key]);
  }
}

describe('whatever is wanted and set', () => {
  it('usage stays within limits, counters never fall, and the host is not exceeded', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(changes, changes), { minLength: 1, maxLength: 8 }), (story) => {
        const plant = plantOf({ cpus: 8 });
        const loads = [101, 102].map((vmid) => {
          const load = changing({ cpuCores: 0, anonMib: 5 });
          plant.start(vmid, limits({ memoryMaxBytes: 1024 * MIB }), load.demand);
          return load;
        });
        for (const scene of story) {
          for (const [index, change] of scene.entries()) {
            loads[index]?.set(change.demand);
            plant.setLimits(101 + index, {
              cpus: Array.from({ length: change.cpus }, (_, cpu) => cpu),
              cpuLimit: change.cpuLimit,
              memoryMaxBytes: change.memoryMib * MIB,
              swapMaxBytes: change.swapMib * MIB,
            });
          }
          for (let step = 0; step < 5; step += 1) {
            const before = new Map([...plant.containers()].map((c) => [c, countersOf(c)]));
            plant.step(500);
            for (const container of plant.containers()) {
              const counters = before.get(container);
              if (counters !== undefined) expectLawful(container, counters, 500);
            }
            expect(plant.gauges.usedCores).toBeLessThanOrEqual(8 + 1e-9);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('kills only what neither reclaim nor swap can make fit', () => {
    const size = fc.integer({ min: 1, max: 900 });
    fc.assert(
      fc.property(size, fc.integer({ min: 0, max: 300 }), size, (anonMib, swapMib, fileSetMib) => {
        const plant = plantOf();
        const limit = limits({ swapMaxBytes: swapMib * MIB });
        const demand = steady({ cpuCores: 0, anonMib, fileSetMib });
        const container = plant.start(101, limit, demand);
        run(plant, 8000);
        const mustKill = anonMib * 1.015 + 2 > 512 + swapMib + 0.1;
        const fitsEasily = anonMib * 1.015 + 2 < 512 + swapMib - 0.1;
        if (mustKill) expect(container.memory.events.oomKill).toBeGreaterThan(0);
        if (fitsEasily) {
          expect(container.memory.events.oomKill).toBe(0);
          const held = unreclaimableBytes(container.memory) + container.memory.swapBytes;
          expect(held / MIB).toBeCloseTo(anonMib * 1.015 + 2, 0);
        }
      }),
      { numRuns: 60 },
    );
  });
});
