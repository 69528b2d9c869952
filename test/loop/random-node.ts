import type { GuestConfig } from '../../src/core/observation.ts';
import type { ContainerPolicy, HostPolicy, Management } from '../../src/core/policy.ts';
import { present } from '../../src/core/reading.ts';
import { cores, mib, milliseconds, ratio } from '../../src/core/units.ts';
import { broken, gone, host, hostMemory, policy } from '../core/builders.ts';
import { fc } from '../fast-check.ts';
import { FakeNode } from './fake-node.ts';

/** Nodes, configurations and usage at random, for what must hold whatever they are. */

export interface Moment {
  /** Cores that it would like to keep busy, and memory that it would like to hold. */
  readonly wants: number;
  readonly holdsMib: number;
  readonly cacheMib: number;
  readonly refaults: number;
  readonly kills: number;
  readonly missing: 'nothing' | 'cpu' | 'memory' | 'config' | 'cgroup';
}

export interface OneGuest {
  readonly cores: number | null;
  readonly cpuLimit: number | null;
  readonly memoryMib: number;
  readonly policy: ContainerPolicy;
  readonly moments: readonly Moment[];
}

export interface HostMoment {
  readonly availableMib: number;
  readonly busy: number;
  readonly missing: 'nothing' | 'memory' | 'vms' | 'cpus';
  readonly offPeak: boolean;
  /** Since the cycle before. */
  readonly passedMs: number;
}

export interface Story {
  readonly cpus: number;
  readonly totalMib: number;
  readonly vmMib: number;
  readonly hostPolicy: HostPolicy;
  readonly guests: readonly OneGuest[];
  readonly moments: readonly HostMoment[];
}

const seldom = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 9, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(usual, ...others) },
  );

const moment: fc.Arbitrary<Moment> = fc.record({
  wants: fc.double({ min: 0, max: 12, noNaN: true }),
  holdsMib: fc.integer({ min: 0, max: 12_000 }),
  cacheMib: fc.integer({ min: 0, max: 8000 }),
  refaults: seldom(0, 20_000),
  kills: seldom(0, 1),
  missing: seldom<Moment['missing']>('nothing', 'cpu', 'memory', 'config', 'cgroup'),
});

const timing = fc
  .record({
    up: fc.constantFrom(0, 0, 60, 600),
    down: fc.constantFrom(0, 300, 1200),
    periodsUp: fc.integer({ min: 1, max: 3 }),
    periodsDown: fc.integer({ min: 1, max: 4 }),
    grace: fc.constantFrom(0, 600),
    first: fc.constantFrom(0, 0, 3600),
  })
  .map(({ up, down, periodsUp, periodsDown, grace, first }) => ({
    cooldownUpMs: milliseconds(up * 1000),
    cooldownDownMs: milliseconds(down * 1000),
    periodsUp,
    periodsDown,
    startGraceMs: milliseconds(grace * 1000),
    firstShrinkMs: milliseconds(first * 1000),
    manualHoldMs: milliseconds(3_600_000),
  }));

const anyPolicy: fc.Arbitrary<ContainerPolicy> = fc
  .record({
    lower: fc.integer({ min: 5, max: 40 }),
    width: fc.integer({ min: 20, max: 50 }),
    minCores: fc.integer({ min: 1, max: 3 }),
    moreCores: fc.integer({ min: 0, max: 10 }),
    minMib: fc.constantFrom(128, 512, 1000),
    maxMib: fc.constantFrom(undefined, 4096, 8000),
    stepFactor: fc.constantFrom(0.5, 1, 2),
    unit: fc.constantFrom('cores' as const, 'cpulimit' as const),
    scaling: fc.constantFrom('threshold' as const, 'boost' as const),
    boostMs: fc.constantFrom(30_000, 120_000, 900_000),
    timing,
    priority: fc.integer({ min: 1, max: 100 }),
    mayUseSwap: fc.boolean(),
  })
  .map((p) => {
    const { minMib, maxMib, minCores, stepFactor } = p;
    const band = { lower: p.lower / 100, upper: (p.lower + p.width) / 100 };
    const maxCores = minCores + p.moreCores;
    const own = policy({ ...band, minMib, maxMib, minCores, maxCores, stepFactor });
    const least = p.unit === 'cores' ? 1 : 0.1;
    return {
      ...own,
      cpu: { ...own.cpu, unit: p.unit, minIncrement: cores(least) },
      memory: { ...own.memory, minDecreaseMib: mib(64), mayUseSwap: p.mayUseSwap },
      timing: p.timing,
      scaling: p.scaling,
      priority: p.priority,
      boost: { ...own.boost, consecutiveSamples: 1, durationMs: milliseconds(p.boostMs) },
    };
  });

const STEPS = 8;

const oneGuest: fc.Arbitrary<OneGuest> = fc.record({
  cores: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(null)),
  cpuLimit: seldom<number | null>(null, 0.5, 1.5, 3),
  memoryMib: fc.integer({ min: 16, max: 600 }).map((count) => count * 16),
  policy: anyPolicy,
  moments: fc.array(moment, { minLength: STEPS, maxLength: STEPS }),
});

const hostMoment: fc.Arbitrary<HostMoment> = fc.record({
  availableMib: fc.integer({ min: 0, max: 30_000 }),
  busy: seldom(0.4, 0.96, 0.99),
  missing: seldom<HostMoment['missing']>('nothing', 'memory', 'vms', 'cpus'),
  offPeak: fc.boolean(),
  passedMs: fc.constantFrom(20_000, 60_000, 300_000, 4_000_000),
});

export const story: fc.Arbitrary<Story> = fc.record({
  cpus: fc.integer({ min: 2, max: 16 }),
  totalMib: fc.integer({ min: 8000, max: 40_000 }),
  vmMib: fc.constantFrom(0, 0, 4096),
  hostPolicy: fc
    .record({ overcommit: fc.constantFrom(1, 1.5, 2), reserve: fc.constantFrom(0, 2048) })
    .map(({ overcommit, reserve }) => ({
      reserveCpu: ratio(0.1),
      reserveMemoryMib: mib(reserve),
      overcommitRatio: overcommit,
      emergency: ratio(0.98),
      mostCpu: ratio(0.95),
      mostMemory: ratio(1),
    })),
  guests: fc.array(oneGuest, { minLength: 1, maxLength: 4 }),
  moments: fc.array(hostMoment, { minLength: STEPS, maxLength: STEPS }),
});

/** A node that lives through a story, a moment at a time. */
export class RandomNode {
  readonly node = new FakeNode();
  readonly story: Story;
  #busyTicks = 0;
  #totalTicks = 0;

  constructor(own: Story) {
    this.story = own;
    own.guests.forEach(({ cores: count, cpuLimit, memoryMib }, index) => {
      this.node.add(101 + index, { cores: count, cpuLimit, memoryMib: mib(memoryMib) });
    });
    this.#host({ availableMib: own.totalMib / 2, busy: 0.1, missing: 'nothing' });
    this.node.rebalance();
  }

  manage = ({ vmid }: GuestConfig): Management => {
    const own = this.story.guests[vmid - 101]?.policy;
    if (own === undefined) return { kind: 'ignored', because: 'it is not of this story' };
    return { kind: 'managed', policy: own, mode: 'act', because: 'DEFAULT' };
  };

  /** What the guests do from now on. */
  enter(index: number): HostMoment {
    const now = this.story.moments[index];
    if (now === undefined) throw new Error('the story is over');
    this.node.rebalance();
    this.story.guests.forEach(({ moments }, at) => {
      const own = moments[index];
      if (own !== undefined) this.#guest(101 + at, own, index);
    });
    return now;
  }

  pass(ms: number, now: HostMoment): void {
    this.node.pass(ms);
    this.#totalTicks += ms;
    this.#busyTicks += ms * now.busy;
    this.#host(now);
  }

  #guest(id: number, own: Moment, index: number): void {
    const guest = this.node.get(id);
    const limit = guest.limitMib ?? 0;
    const anon = Math.min(own.holdsMib, limit);
    const inactive = Math.min(own.cacheMib, limit - anon);
    const { refaults = 0, oomKills = 0, limitHits = 0 } = guest.memory;
    guest.memory = {
      anon,
      inactive,
      current: anon + inactive,
      refaults: refaults + own.refaults,
      oomKills: oomKills + own.kills,
      limitHits: limitHits + own.kills,
    };
    const { cpuLimit, cores: configured } = guest.config;
    const { cpus } = this.story;
    guest.load = Math.min(own.wants, guest.cpuset ?? configured ?? cpus, cpuLimit ?? cpus);
    // In the first cycle all is there: of what was never seen no early decision knows.
    const missing = index === 0 ? 'nothing' : own.missing;
    const is = (what: Moment['missing']) => (missing === what ? broken(what) : undefined);
    guest.cpuMissing = is('cpu');
    guest.memoryMissing = is('memory');
    guest.configMissing = is('config');
    guest.sampleMissing = is('cgroup');
  }

  #host({ availableMib, missing }: Pick<HostMoment, 'availableMib' | 'busy' | 'missing'>): void {
    const { cpus, totalMib, vmMib } = this.story;
    const memory = hostMemory(totalMib, Math.min(availableMib, totalMib));
    const [busyTicks, totalTicks] = [this.#busyTicks, this.#totalTicks];
    this.node.seen = {
      ...host({ cpus: missing === 'cpus' ? gone('cpus') : present(cpus) }),
      cpuTimes: present({ busyTicks, totalTicks }),
      memory: missing === 'memory' ? broken('meminfo') : present(memory),
      vmMemoryMib: missing === 'vms' ? broken('vms') : present(mib(vmMib)),
    };
  }
}
