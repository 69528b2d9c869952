import { afterChange, boostOf } from '../core/after-change.ts';
import { afterObservation } from '../core/after-observation.ts';
import { decide } from '../core/decide.ts';
import type { Decision } from '../core/decision.ts';
import type { GuestRecord } from '../core/guest-record.ts';
import { type LoopState, newLoopState, recordOf } from '../core/loop-state.ts';
import type { CpuUsage, GuestConfig, HostObservation, MemoryUsage } from '../core/observation.ts';
import type { ContainerPolicy, HostPolicy } from '../core/policy.ts';
import { missing, present } from '../core/reading.ts';
import { begin } from '../core/sampling-interval.ts';
import { cores, type Milliseconds, mib, milliseconds, ratio, type Vmid } from '../core/units.ts';
import { cpuDemand } from '../core/usage.ts';
import type { Demand, Supply } from './demand.ts';
import type { LabPolicy, StepSeen } from './replay.ts';

/**
 * The daemon's own way of deciding, in the lab: each step is a cycle on a host that has plenty, and
 * what `decide` answers is the next step's allocation. It is the code that the daemon runs, with
 * its guards, paces and cooldowns.
 */

/** How the daemon would manage this container; undefined: it would leave it alone. */
export type PolicyOf = (demand: Demand) => ContainerPolicy | undefined;

const NOBODY: Vmid = 100 as Vmid;
const AMPLE_CPUS = 1024;
const AMPLE_MIB = mib(2 ** 24);
const NO_HOLDS = new Map();
const unknown = missing('absent', 'a trace has none');

const HOST: HostObservation = {
  cpus: present(AMPLE_CPUS),
  memory: present({
    totalMib: AMPLE_MIB,
    availableMib: AMPLE_MIB,
    arcReclaimableMib: mib(0),
    swapFreeMib: mib(0),
  }),
  load1: unknown,
  cpuTimes: unknown,
  vmMemoryMib: unknown,
  cpuPressure: unknown,
  memoryPressure: unknown,
};

const RUNS = present({ populated: true, frozen: false });

const HOST_POLICY: HostPolicy = {
  reserveCpu: ratio(0),
  reserveMemoryMib: mib(0),
  overcommitRatio: 10,
  emergency: ratio(1),
  mostCpu: ratio(0.95),
  mostMemory: ratio(1),
};

export function daemonPolicy(name: string, policyOf: PolicyOf): LabPolicy {
  return {
    name,
    reacts: true,
    begin: (demand) => {
      const policy = policyOf(demand);
      if (policy === undefined || policy.scaling === 'observe') return () => {};
      const state = newLoopState();
      const hasMemory = demand.memory !== undefined;
      return (seen, has) => {
        const nowMs = milliseconds((seen.index + 1) * demand.stepS * 1000);
        const step = stepOf(seen, has, demand.stepS, nowMs);
        const record = recordOf(state, NOBODY);
        afterObservation(record, {
          cpu: present(step.cpu),
          memory: hasMemory ? present(step.memory) : unknown,
          interval: undefined,
          policy,
          nowMs,
          wallMs: nowMs,
        });
        if (policy.scaling === 'boost') countSaturation(record, policy, step);
        for (const decision of decided(state, policy, step, has)) {
          if (decision.verdict === 'hold') continue;
          if (decision.resource === 'cores') has.cores = decision.after;
          else if (hasMemory) has.memoryMib = decision.after;
          else continue;
          afterChange(record, decision, nowMs);
          record[decision.resource].boost = boostOf(decision, nowMs);
        }
      };
    },
  };
}

interface Step {
  readonly nowMs: Milliseconds;
  readonly cpu: CpuUsage;
  readonly memory: MemoryUsage;
}

function stepOf(seen: StepSeen, has: Supply, stepS: number, nowMs: Milliseconds): Step {
  const used = cores(seen.cpuUsed);
  const allowed = cores(has.cores);
  const signs = { used, allowed, throttledCores: 0, pressure: 0 };
  const inUse = mib(seen.memoryUsedMib);
  const none = mib(0);
  return {
    nowMs,
    cpu: {
      used,
      allowed,
      demand: cpuDemand(signs),
      pressure: undefined,
      overMs: milliseconds(stepS * 1000),
      throttled: ratio(0),
    },
    memory: {
      workingSetMib: inUse,
      currentMib: inUse,
      activeFileMib: none,
      cacheMib: none,
      swapMib: none,
      lockedMib: none,
      limitMib: mib(has.memoryMib),
      newOomKills: seen.outOfMemory ? 1 : 0,
      newLimitHits: 0,
      refaultMibPerS: 0,
      newOtherKills: { nested: 0, byHost: 0 },
      nearLimit: seen.outOfMemory,
      slabMib: none,
      swapGrowthMib: none,
      pressure: undefined,
    },
  };
}

/** A step is longer than the samples that a boost takes: all of them are saturated, or none. */
function countSaturation(
  { life }: GuestRecord,
  { boost }: ContainerPolicy,
  { nowMs, cpu, memory }: Step,
): void {
  const samples = (used: number, allowed: number | undefined): number =>
    allowed !== undefined && used >= allowed * boost.saturation ? boost.consecutiveSamples : 0;
  const nothing = { cpu: unknown, memory: unknown, cpuPressure: unknown, memoryPressure: unknown };
  life.interval = {
    ...begin({ atMs: nowMs, identity: 0, life: unknown, ...nothing }),
    saturated: {
      cores: samples(cpu.used, cpu.allowed),
      memory: samples(memory.workingSetMib, memory.limitMib),
    },
  };
}

function decided(
  state: LoopState,
  policy: ContainerPolicy,
  { nowMs, cpu, memory }: Step,
  has: Supply,
): readonly Decision[] {
  const isLimit = policy.cpu.unit === 'cpulimit';
  const guest: GuestConfig = {
    vmid: NOBODY,
    name: 'trace',
    tags: [],
    lock: undefined,
    template: false,
    cores: isLimit ? AMPLE_CPUS : has.cores,
    cpuLimit: isLimit ? cores(has.cores) : null,
    memoryMib: mib(has.memoryMib),
    swapMib: mib(0),
    pendingKeys: [],
    digest: '',
    pins: [],
    identity: undefined,
  };
  const usage = {
    cpu: present(cpu),
    memory: present(memory),
    cpusetCpus: undefined,
    effectiveCpus: undefined,
    life: RUNS,
    cpuPressure: unknown,
    memoryPressure: unknown,
  };
  const { decisions } = decide({
    containers: [{ vmid: NOBODY, config: present(guest), state: { kind: 'running', usage } }],
    manage: () => ({ kind: 'managed', policy, mode: 'act', because: '' }),
    host: HOST,
    hostPolicy: HOST_POLICY,
    state,
    nowMs,
    offPeak: false,
    holds: NO_HOLDS,
  });
  return decisions;
}
