import { begin } from '../core/between.ts';
import { decide } from '../core/decide.ts';
import type { Change, Decision } from '../core/decision.ts';
import { learnCores, learnMemory } from '../core/learning.ts';
import { type LoopState, newLoopState } from '../core/loop-state.ts';
import type { CpuUsage, GuestConfig, HostObservation, MemoryUsage } from '../core/observation.ts';
import { addSeen, changeKey } from '../core/pace.ts';
import type { ContainerPolicy, HostPolicy } from '../core/policy.ts';
import { missing, present } from '../core/reading.ts';
import { oomFloorMib } from '../core/shortage.ts';
import { rememberTaken } from '../core/taken.ts';
import { cores, type Milliseconds, mib, milliseconds, ratio, type Vmid } from '../core/units.ts';
import { cpuDemand } from '../core/usage.ts';
import type { Allocation, Demand } from './demand.ts';
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
    ...{ totalMib: AMPLE_MIB, availableMib: AMPLE_MIB },
    ...{ arcReclaimableMib: mib(0), swapFreeMib: mib(0) },
  }),
  ...{ load1: unknown, cpuTimes: unknown, vmMemoryMib: unknown },
  ...{ cpuPressure: unknown, memoryPressure: unknown },
};

const RUNS = present({ populated: true, frozen: false });

const HOST_POLICY: HostPolicy = {
  ...{ reserveCpu: ratio(0), reserveMemoryMib: mib(0), overcommitRatio: 10, emergency: ratio(1) },
};

export function daemonPolicy(name: string, policyOf: PolicyOf): LabPolicy {
  return {
    name,
    begin: (demand) => {
      const policy = policyOf(demand);
      if (policy === undefined || policy.scaling === 'observe') return () => {};
      const state = newLoopState();
      const hasMemory = demand.memory !== undefined;
      return (seen, has) => {
        const nowMs = milliseconds((seen.index + 1) * demand.stepS * 1000);
        const step = stepOf(seen, has, demand.stepS, nowMs);
        remember(state, policy, step, hasMemory);
        if (policy.scaling === 'boost') countSaturation(state, policy, step);
        for (const decision of decided(state, policy, step, has)) {
          if (decision.verdict === 'hold') continue;
          if (decision.resource === 'cores') has.cores = decision.after;
          else if (hasMemory) has.memoryMib = decision.after;
          else continue;
          noteChange(state, decision, nowMs);
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

function stepOf(seen: StepSeen, has: Allocation, stepS: number, nowMs: Milliseconds): Step {
  const used = cores(seen.cpuUsed);
  const allowed = cores(has.cores);
  const signs = { used, allowed, throttledCores: 0, pressure: 0 };
  const inUse = mib(seen.memoryUsedMib);
  const none = mib(0);
  return {
    nowMs,
    cpu: {
      ...{ used, allowed, demand: cpuDemand(signs), pressure: undefined },
      ...{ overMs: milliseconds(stepS * 1000), throttled: ratio(0) },
    },
    memory: {
      ...{ workingSetMib: inUse, currentMib: inUse, activeFileMib: none, cacheMib: none },
      ...{ swapMib: none, lockedMib: none, limitMib: mib(has.memoryMib) },
      ...{ newOomKills: seen.outOfMemory ? 1 : 0, newLimitHits: 0, refaultMibPerS: 0 },
      ...{ newOtherKills: { nested: 0, byHost: 0 }, nearLimit: seen.outOfMemory },
      ...{ slabMib: none, swapGrowthMib: none, pressure: undefined },
    },
  };
}

/** What the stage `observe` would note. */
function remember(
  state: LoopState,
  policy: ContainerPolicy,
  { nowMs, cpu, memory }: Step,
  hasMemory: boolean,
): void {
  const { used, demand } = cpu;
  const { workingSetMib } = memory;
  const seenCores = { used, peak: used, demand };
  const seenMemory = { used: workingSetMib, peak: workingSetMib };
  addSeen(state.seenCores, NOBODY, seenCores);
  addSeen(state.seenMemory, NOBODY, seenMemory);
  if (memory.newOomKills > 0 && memory.limitMib !== undefined) {
    state.oomKills.set(NOBODY, nowMs);
    if (oomFloorMib(state.oomFloors.get(NOBODY), nowMs) < memory.limitMib) {
      state.oomFloors.set(NOBODY, { limitMib: memory.limitMib, atMs: nowMs });
    }
  }
  if (policy.scaling === 'adaptive') learnCores(state.learnt, NOBODY, cpu, nowMs);
  if (hasMemory) learnMemory(state.learnt, NOBODY, memory, workingSetMib, nowMs);
}

/** A step is longer than the samples that a boost takes: all of them are saturated, or none. */
function countSaturation(
  { between }: LoopState,
  { boost }: ContainerPolicy,
  { nowMs, cpu, memory }: Step,
): void {
  const samples = (used: number, allowed: number | undefined): number =>
    allowed !== undefined && used >= allowed * boost.saturation ? boost.consecutiveSamples : 0;
  const nothing = { cpu: unknown, memory: unknown, cpuPressure: unknown, memoryPressure: unknown };
  between.set(NOBODY, {
    ...begin({ atMs: nowMs, identity: 0, life: unknown, ...nothing }),
    saturated: {
      cores: samples(cpu.used, cpu.allowed),
      memory: samples(memory.workingSetMib, memory.limitMib),
    },
  });
}

function decided(
  state: LoopState,
  policy: ContainerPolicy,
  { nowMs, cpu, memory }: Step,
  has: Allocation,
): readonly Decision[] {
  const isLimit = policy.cpu.unit === 'cpulimit';
  const guest: GuestConfig = {
    ...{ vmid: NOBODY, name: 'trace', tags: [], lock: undefined, template: false },
    cores: isLimit ? AMPLE_CPUS : has.cores,
    cpuLimit: isLimit ? cores(has.cores) : undefined,
    ...{ memoryMib: mib(has.memoryMib), swapMib: mib(0), pendingKeys: [], digest: '' },
    pins: [],
    identity: undefined,
  };
  const usage = {
    ...{ cpu: present(cpu), memory: present(memory) },
    ...{ cpusetCpus: undefined, effectiveCpus: undefined, life: RUNS },
    ...{ cpuPressure: unknown, memoryPressure: unknown },
  };
  const { decisions } = decide({
    containers: [{ vmid: NOBODY, config: present(guest), state: { kind: 'running', usage } }],
    manage: () => ({ kind: 'managed', policy, mode: 'act', because: '' }),
    ...{ host: HOST, hostPolicy: HOST_POLICY, state, nowMs, offPeak: false, holds: NO_HOLDS },
  });
  return decisions;
}

/** What the stage `act` would note. */
function noteChange(state: LoopState, change: Change, nowMs: Milliseconds): void {
  const { resource, verdict, rule, measured, after, boostMs } = change;
  const key = changeKey(NOBODY, resource);
  state.changedMs.set(key, nowMs);
  if (verdict === 'grow') state.grownMs.set(key, nowMs);
  rememberTaken(state, key, change, nowMs);
  if (rule !== 'saturated') state.boosts.delete(key);
  if (boostMs === undefined) return;
  const endMs = milliseconds(nowMs + boostMs);
  state.boosts.set(key, { before: measured.before, boosted: after, endMs });
}
