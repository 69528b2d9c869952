import { MEMORY_QUANTUM_MIB, type Resource } from './allocation.ts';
import { arbitrate, type ScalingCase, type Times } from './arbitrate.ts';
import { lacksLimit, lacksProof, lacksWorkingSet } from './capabilities.ts';
import type { Step } from './cooldown.ts';
import { asSeen } from './day-seen.ts';
import type { Decision, HoldReason, Rule, Skip, SkipReason } from './decision.ts';
import { roundDown } from './guards.ts';
import { type GuestRecord, newGuestRecord } from './guest-record.ts';
import { kindOf, unreadName } from './guest-words.ts';
import { emergencyOf } from './host-state.ts';
import { bringCpuLimitInForce, bringInForce } from './in-force.ts';
import { coresForecast, memoryForecast } from './learning.ts';
import type { LoopState } from './loop-state.ts';
import {
  asSettable,
  asUnplugged,
  mostCores,
  mostMemoryMib,
  whyBalloonMoves,
  whyFixed,
  whyNoMoreCpus,
} from './machine-guards.ts';
import { slowed } from './memory-step.ts';
import type {
  ContainerObservation,
  ContainerUsage,
  GuestConfig,
  HostObservation,
  MemoryUsage,
} from './observation.ts';
import { cpuPin, hasOwnCpuset, memoryPin } from './pins.ts';
import { forecastVerdict } from './policies/forecast-verdict.ts';
import {
  type CpuLever,
  cpuQuantum,
  thresholdCores,
  thresholdMemory,
  type Verdict,
} from './policies/threshold.ts';
import type { ContainerPolicy, HostPolicy, Management } from './policy.ts';
import { withoutProof } from './proof.ts';
import { onPvestatd } from './pvestatd-memory.ts';
import { isMissed, oomFloorMib, whyShort } from './shortage.ts';
import { cores, type Milliseconds, mib, type Vmid } from './units.ts';
import { usableCpus } from './usage.ts';
import { withWaiting } from './waiting.ts';

/** What is to become of each container, before it is asked what the host can give. Pure. */
export interface Verdicts {
  readonly decisions: readonly Decision[];
  readonly skipped: readonly Skip[];
}

export interface DecideInput {
  readonly containers: readonly ContainerObservation[];
  readonly host: HostObservation;
  readonly manage: (config: GuestConfig) => Management;
  readonly hostPolicy: HostPolicy;
  readonly state: LoopState;
  readonly nowMs: Milliseconds;
  /** Whether it is off-peak time, in energy mode. */
  readonly offPeak: boolean;
  /** Containers that a person has taken in hand, and for how long still. */
  readonly holds: ReadonlyMap<Vmid, HandHold>;
}

export interface HandHold {
  readonly reason: string;
  readonly leftMs: number;
}

/** Changes of these that wait for a restart must not be piled upon. */
const PENDING_THAT_MATTER: ReadonlySet<string> = new Set(['cores', 'cpulimit', 'memory', 'swap']);

/** `qm set` tries all that is pending again. What only counts at the start is no hindrance. */
const PENDING_OF_MACHINES: ReadonlySet<string> = new Set([
  'vcpus',
  'cpulimit',
  'memory',
  'balloon',
]);

/** With what holds for all containers alike. */
interface Deciding extends DecideInput {
  /** Whether the host's memory is used up. */
  readonly emergency: boolean;
}

export function decide(given: DecideInput): Verdicts {
  const { host, hostPolicy } = given;
  const input = { ...given, emergency: emergencyOf(host, hostPolicy) !== undefined };
  const decisions: Decision[] = [];
  const skipped: Skip[] = [];
  for (const container of input.containers) {
    const result = decideContainer(container, input);
    if ('decisions' in result) decisions.push(...result.decisions);
    else skipped.push(result);
  }
  return { decisions, skipped };
}

function decideContainer(
  container: ContainerObservation,
  input: Deciding,
): { readonly decisions: readonly Decision[] } | Skip {
  const { vmid, config, state } = container;
  if (!config.ok) {
    const because: SkipReason = { kind: 'unreadable', reading: config };
    return { vmid, name: unreadName(container), ...kindOf(container), because };
  }
  const guest = config.value;
  const skip = (because: SkipReason): Skip => ({
    vmid,
    name: guest.name,
    ...kindOf(guest),
    because,
  });
  const management = input.manage(guest);
  if (management.kind === 'ignored') return skip(management);
  const held = input.holds.get(vmid);
  if (held !== undefined) return skip({ kind: 'held-by-hand', ...held });
  if (guest.template) return skip({ kind: 'template' });
  if (guest.lock !== undefined) return skip({ kind: 'locked', lock: guest.lock });
  if (state.kind === 'stopped' || state.kind === 'frozen') return skip(state);
  if (state.kind === 'unknown') return skip({ kind: 'unreadable', reading: state.reason });
  const matter = guest.reaches === undefined ? PENDING_THAT_MATTER : PENDING_OF_MACHINES;
  const keys = guest.pendingKeys.filter((key) => matter.has(key));
  if (keys.length > 0) return skip({ kind: 'pending-changes', keys });
  const record = input.state.guests.get(vmid) ?? UNKNOWN;
  const { failure } = record;
  if (failure !== undefined && failure.retryAtMs > input.nowMs) {
    const retryInMs = failure.retryAtMs - input.nowMs;
    return skip({ kind: 'failed-lately', failures: failure.count, retryInMs });
  }
  const { policy, mode } = management;
  const { usage } = state;
  const one = { guest, usage, policy, record };
  const cpu = asAsked('cores', policy, evident(usage, decideCores(one, input)));
  const memory = asAsked('memory', policy, evident(usage, decideMemory(one, input)));
  const decisions = [
    withNorm(named(guest, policy, 'cores', cpu), record, input),
    named(guest, policy, 'memory', moduleAlone(memory, cpu)),
  ];
  return { decisions: mode === 'observe' ? decisions.map(onlyObserved) : decisions };
}

/** A module that its guest keeps must not be the end of what else is changed. */
function moduleAlone(memory: Unmeasured, cpu: Unmeasured): Unmeasured {
  if (memory.verdict === 'hold' || memory.unplugs === undefined) return memory;
  if (cpu.verdict === 'hold') return memory;
  return { verdict: 'hold', because: { kind: 'next-cycle' }, measured: memory.measured };
}

function named(
  guest: GuestConfig,
  { cpu, priority }: ContainerPolicy,
  resource: Resource,
  verdict: Unmeasured,
): Decision {
  const { vmid, name } = guest;
  const unit = resource === 'cores' && cpu.unit === 'cpulimit' ? { unit: cpu.unit } : undefined;
  // A literal that begins with a spread and has more keys gets a shape of its own each time (V8).
  if (verdict.verdict === 'hold')
    return { vmid, name, ...kindOf(guest), resource, ...unit, ...verdict };
  return { vmid, name, ...kindOf(guest), resource, ...unit, priority, ...verdict };
}

/** No more than the host has: more would be of no use. */
function withNorm(decision: Decision, record: RecordView, { host }: Deciding): Decision {
  const known = record.cores.taken;
  if (decision.verdict !== 'grow' || known === undefined || !host.cpus.ok) return decision;
  return { ...decision, norm: Math.min(known.norm, host.cpus.value) };
}

function onlyObserved(decision: Decision): Decision {
  if (decision.verdict === 'hold') return decision;
  const { vmid, name, resource, measured, after, unit } = decision;
  const because: HoldReason = { kind: 'observe-only', would: after };
  const ofUnit = unit && { unit };
  return {
    vmid,
    name,
    ...kindOf(decision),
    resource,
    ...ofUnit,
    verdict: 'hold',
    because,
    measured,
  };
}

/** What is remembered of a container. Nothing here changes it. */
type RecordView = Readonly<GuestRecord>;
const UNKNOWN: RecordView = newGuestRecord();

/** A container that runs and is managed. */
interface One {
  readonly guest: GuestConfig;
  readonly usage: ContainerUsage;
  readonly policy: ContainerPolicy;
  readonly record: RecordView;
}

type Unmeasured = Verdict | { readonly verdict: 'hold'; readonly because: HoldReason };

const hold = (because: HoldReason): Unmeasured => ({ verdict: 'hold', because });

/** Nothing is taken from what may have stood still, for whatever reason. */
function evident({ life, cpu }: ContainerUsage, verdict: Unmeasured): Unmeasured {
  if (verdict.verdict !== 'shrink') return verdict;
  const { measured } = verdict;
  const frozen = !cpu.ok && cpu.why === 'frozen' ? cpu : undefined;
  const reading = life.ok ? frozen : life;
  if (reading === undefined) return verdict;
  return { verdict: 'hold', because: { kind: 'missing', reading }, measured };
}

/** What was given or taken for a while only ends in time, whatever is asked for since then. */
const UNDOES: ReadonlySet<Rule> = new Set(['boost-end', 'peak-again']);

/** A resource that the admin does not want scaled stays as it is. */
function asAsked(resource: Resource, { only }: ContainerPolicy, verdict: Unmeasured): Unmeasured {
  if (only === undefined || only === resource) return verdict;
  if (verdict.verdict !== 'hold' && UNDOES.has(verdict.rule)) return verdict;
  const measured = 'measured' in verdict ? { measured: verdict.measured } : undefined;
  return { verdict: 'hold', because: { kind: 'not-scaled' }, ...measured };
}

/** What keeps CPU from being scaled at all, however much of it is used. */
function whyNoCpu(
  guest: GuestConfig,
  { cpu: { unit } }: ContainerPolicy,
  state: LoopState,
): HoldReason | undefined {
  const pin = cpuPin(guest, unit);
  if (pin !== undefined) return { kind: 'pinned', pin, unit };
  if (guest.reaches !== undefined) return whyFixed(guest, unit === 'cores' ? 'cores' : 'cpuLimit');
  const controller = unit === 'cores' ? 'cpuset' : 'cpu';
  return lacksLimit(state, controller) ? { kind: 'no-controller', controller } : undefined;
}

/** Cores that are configured and not in force yet. CPUs that went offline are another matter. */
function notInForce(
  guest: GuestConfig,
  { cpusetCpus }: ContainerUsage,
  hostCpus: number,
): HoldReason | undefined {
  const has = guest.cores ?? hostCpus;
  const configured = Math.min(has, hostCpus);
  if (cpusetCpus === undefined || hasOwnCpuset(guest)) return undefined;
  if (cpusetCpus === configured || cpusetCpus === has) return undefined;
  return { kind: 'not-in-force', configured, live: cpusetCpus };
}

/** More cores are no help to a container that cannot use all of those that it has. */
function unlessNarrowed(
  verdict: Verdict,
  guest: GuestConfig,
  usable: number,
  hostCpus: number,
): Verdict {
  const has = guest.cores ?? hostCpus;
  if (usable >= has || hasOwnCpuset(guest)) return verdict;
  const isWanted =
    verdict.verdict === 'grow' ||
    (verdict.verdict === 'hold' && verdict.because.kind === 'at-maximum');
  if (!isWanted) return verdict;
  const because: HoldReason = { kind: 'narrowed', has, usable };
  return { verdict: 'hold', because, measured: verdict.measured };
}

/** Less than a quantum of CPU, and less memory than this, is not taken for being surplus. */
const LEAST_SURPLUS_MIB = 64;

function decideCores({ guest, usage, policy, record }: One, input: Deciding): Unmeasured {
  const { host, state } = input;
  const impossible = whyNoCpu(guest, policy, state);
  if (impossible !== undefined) return hold(impossible);
  if (!usage.cpu.ok) return hold({ kind: 'missing', reading: usage.cpu });
  if (!host.cpus.ok) return hold({ kind: 'missing', reading: host.cpus });
  const hostCpus = host.cpus.value;
  const waits = notInForce(guest, usage, hostCpus);
  if (waits !== undefined) return hold(waits);
  const usable = usableCpus(usage, hostCpus);
  const { cpuLimit } = guest;
  const { life } = record;
  const cpu = usage.cpu.value;
  const has = guest.cores ?? hostCpus;
  const lever: CpuLever =
    policy.cpu.unit === 'cores' ? coresOf(guest, has) : cpuLimitOf(guest, usable);
  const differing = bringCpuLimitInForce(cpu, policy, lever, record, input.nowMs);
  if (differing !== undefined) return differing;
  const quantum = cpuQuantum(policy);
  const samples = life.interval?.saturated.cores ?? 0;
  const now = { used: cpu.used, peak: cpu.used, demand: cpu.demand };
  const one: ScalingCase = {
    resource: 'cores',
    record: record.cores,
    policy,
    quantum,
    leastSurplus: quantum,
    seen: life.seen.cores.length === 0 ? [now] : life.seen.cores,
    // More cores are no help where the cpulimit binds before them.
    saturated: (cpuLimit ?? has) < has && policy.cpu.unit === 'cores' ? 0 : samples,
    threshold: ({ used, peak, demand = used }) => {
      const average = { ...cpu, used: cores(used), demand: cores(demand) };
      return thresholdCores(lever, average, policy, peak);
    },
    ...(policy.scaling === 'adaptive' && {
      forecast: (now: Verdict) => {
        const { before, min, max } = now.measured;
        const ask = { has: before, min, max, quantum, stepFactor: policy.stepFactor };
        const forecast = coresForecast(record.cores, cpu, ask);
        return forecast && forecastVerdict(now, forecast, cpu.used, quantum);
      },
    }),
  };
  const judged = arbitrate(one, timesOf(input, 'cores'));
  // Tasks inside of a machine do not show; its own threads wait for the host.
  const waiting =
    isForWaiting(policy, cpuLimit, has) && guest.reaches === undefined
      ? withWaiting(judged, {
          cpu,
          hostBusy: state.hostCpu?.busy,
          nowMs: input.nowMs,
          step: policy.cpu.minIncrement,
          waited: record.cores.waited,
        })
      : judged;
  const said = whyNoMoreCpus(guest, waiting, policy, hostCpus);
  const verdict = unlessNarrowed(said, guest, usable, hostCpus);
  // What the OOM killer has ended begins anew, and looks idle while it does.
  const because = whyRecovers(life, policy.timing, input.nowMs);
  if (verdict.verdict !== 'shrink' || ENDS.has(verdict.rule) || !because) return verdict;
  return { verdict: 'hold', because, measured: verdict.measured };
}

/** What it has gone through lately, so that its use says little of what it needs. */
function whyRecovers(
  { oomKillMs, heldBackMs }: RecordView['life'],
  { startGraceMs }: ContainerPolicy['timing'],
  nowMs: Milliseconds,
): HoldReason | undefined {
  const isLately = (atMs = Number.NEGATIVE_INFINITY): boolean => nowMs - atMs < startGraceMs;
  if (isLately(oomKillMs)) return { kind: 'oom-lately' };
  return isLately(heldBackMs) ? { kind: 'held-back-lately' } : undefined;
}

function coresOf(guest: GuestConfig, has: number): CpuLever {
  const most = mostCores(guest);
  return { has, cpuLimit: guest.cpuLimit, ...(most !== undefined && { most }) };
}

/** Without a cpulimit it has all CPUs that it can use, and no limit above them is of any use. */
function cpuLimitOf(guest: GuestConfig, usable: number): CpuLever {
  const most = hasOwnCpuset(guest) ? usable : Math.min(guest.cores ?? usable, usable);
  return { has: guest.cpuLimit ?? most, most };
}

/** What was given for a while, or to no avail, is taken back at any time. */
const ENDS: ReadonlySet<Rule> = new Set(['boost-end', 'waiting-undone']);

/** A cpulimit says nothing of which CPUs there are; and in mode boost what it has is its norm. */
const isForWaiting = (
  { cpu, scaling }: ContainerPolicy,
  cpuLimit: number | null,
  has: number,
): boolean => cpu.unit === 'cores' && scaling !== 'boost' && (cpuLimit ?? has) >= has;

function timesOf({ nowMs, offPeak, emergency }: Deciding, resource: Resource): Times {
  return { nowMs, offPeak, emergency: emergency && resource === 'memory' };
}

function decideMemory({ guest, usage, policy, record }: One, input: Deciding): Unmeasured {
  const { host, hostPolicy, state, nowMs } = input;
  const impossible = whyNoMemory(guest, state);
  if (impossible !== undefined) return hold(impossible);
  if (!usage.memory.ok) return hold({ kind: 'missing', reading: usage.memory });
  const memory = usage.memory.value;
  if (policy.memory.maxMib === undefined && !host.memory.ok) {
    return hold({ kind: 'missing', reading: host.memory });
  }
  const hostMaxMib = host.memory.ok
    ? roundDown(host.memory.value.totalMib - hostPolicy.reserveMemoryMib, MEMORY_QUANTUM_MIB)
    : 0;
  // Without a configured maximum nothing is lowered for being above it: it only bounds growth.
  const policyMax = policy.memory.maxMib ?? Math.max(guest.memoryMib, hostMaxMib);
  const maxMib = mostMemoryMib(guest, policyMax);
  const moving = whyBalloonMoves(guest, memory);
  if (moving !== undefined && moving.actualMib < moving.targetMib) return hold(moving);
  if (guest.reaches === undefined && memory.limitMib !== guest.memoryMib) {
    return bringInForce(guest, memory, policy, maxMib, record, nowMs);
  }
  const { life } = record;
  const now = { used: memory.workingSetMib, peak: memory.workingSetMib };
  const floorMib = oomFloorMib(record.oomFloor, nowMs);
  const { model } = record.memory;
  const freeSwapMib = freeSwap(guest, memory, host);
  const earlier = { floorMib, model };
  const one: ScalingCase = {
    resource: 'memory',
    record: record.memory,
    policy,
    quantum: MEMORY_QUANTUM_MIB,
    leastSurplus: LEAST_SURPLUS_MIB,
    seen: life.seen.memory.length === 0 ? [now] : life.seen.memory,
    saturated: life.interval?.saturated.memory ?? 0,
    missedMib: missedMib(memory, record, nowMs),
    rise: life.interval?.rise,
    threshold: ({ used, peak }) => {
      const average = { ...memory, workingSetMib: mib(used) };
      return thresholdMemory(guest.memoryMib, maxMib, average, policy, peak, earlier);
    },
    ...(policy.scaling === 'adaptive' && {
      forecast: (verdict: Verdict) => {
        const { before, min, max, need } = verdict.measured;
        const quantum = MEMORY_QUANTUM_MIB;
        const ask = { has: before, min, max, quantum, stepFactor: policy.stepFactor };
        const seen = life.seen.memory.at(-1) ?? now;
        const swapMib = policy.memory.mayUseSwap ? freeSwapMib : 0;
        const forecast = memoryForecast(record.memory, seen, ask, swapMib);
        return forecast && forecastVerdict(verdict, forecast, need, quantum);
      },
    }),
  };
  const asked = arbitrate(one, timesOf(input, 'memory'));
  const isUnseen = lacksWorkingSet(state);
  const settable = asSettable(guest, asked, maxMib, policy.memory.unplugs);
  const judged = byItsFigure(settable, { guest, memory, record, nowMs, isUnseen });
  if (judged.verdict !== 'shrink') return judged;
  if (isUnseen && (policy.memory.unproven !== true || guest.reaches !== undefined)) {
    return { verdict: 'hold', because: { kind: 'need-unseen' }, measured: judged.measured };
  }
  const because = beyondNeed(judged) ?? moving ?? whyKeep(memory, policy, record, nowMs);
  if (because !== undefined) return { verdict: 'hold', because, measured: judged.measured };
  const verdict = slowed(judged, { model, usage: memory, policy, freeSwapMib });
  if (isUnseen) return asSeen(verdict, record.day);
  const module = policy.memory.unplugs ? asUnplugged(verdict, memory, guest) : undefined;
  if (module !== undefined) return module;
  // A guest cannot be asked what it could do without, whatever the kernel of its host can.
  const isUnasked = guest.reaches !== undefined || lacksProof(state);
  return isUnasked ? withoutProof(verdict, memory, guest) : verdict;
}

interface Figured {
  readonly guest: GuestConfig;
  readonly memory: MemoryUsage;
  readonly record: RecordView;
  readonly nowMs: Milliseconds;
  readonly isUnseen: boolean;
}

/** A figure that counts page cache is good for less than others. */
function byItsFigure(verdict: Verdict, figured: Figured): Verdict {
  const { guest, memory, record, nowMs, isUnseen } = figured;
  if (memory.countsCache === undefined) return verdict;
  const { crowdedMs } = record.life;
  const { changedMs } = record.memory;
  const givenMib = record.given?.memoryMib ?? guest.memoryMib;
  return onPvestatd(verdict, memory, { crowdedMs, changedMs, givenMib, nowMs, isUnseen });
}

/** What keeps memory from being scaled at all. */
function whyNoMemory(guest: GuestConfig, state: LoopState): HoldReason | undefined {
  if (guest.reaches !== undefined) return whyFixed(guest, 'memoryMib');
  if (lacksLimit(state, 'memory')) return { kind: 'no-controller', controller: 'memory' };
  const pin = memoryPin(guest);
  return pin === undefined ? undefined : { kind: 'pinned', pin };
}

/** What its swap can still take; nothing, if the host's is not known. */
function freeSwap(
  { swapMib }: GuestConfig,
  usage: MemoryUsage,
  { memory }: HostObservation,
): number {
  if (!memory.ok) return 0;
  return Math.max(0, Math.min(swapMib - usage.swapMib, memory.value.swapFreeMib));
}

/** Memory of a boost that is in use by now is taken back later: less of it would kill. */
function beyondNeed({ after, measured, rule }: Step): HoldReason | undefined {
  if (rule !== 'boost-end' || after >= measured.need) return undefined;
  return { kind: 'boosted', until: after, leftMs: 0 };
}

/** What it had before its last shrink, if that is missed since. */
function missedMib(
  memory: MemoryUsage,
  { life }: RecordView,
  nowMs: Milliseconds,
): number | undefined {
  const last = life.shrunk;
  return last !== undefined && isMissed(memory, nowMs - last.atMs) ? last.fromMib : undefined;
}

/** What keeps memory from being taken back, however little of it is in use. */
function whyKeep(
  memory: MemoryUsage,
  { timing }: ContainerPolicy,
  { life }: RecordView,
  nowMs: Milliseconds,
): HoldReason | undefined {
  const recovers = whyRecovers(life, timing, nowMs);
  if (recovers !== undefined) return recovers;
  const startedMs = life.startedMs ?? Number.NEGATIVE_INFINITY;
  if (nowMs - startedMs < timing.startGraceMs) return { kind: 'started-lately' };
  const short = whyShort(memory);
  if (short !== undefined) return short;
  const unproven = life.shrinkRetry;
  if (unproven === undefined || unproven.retryAtMs <= nowMs) return undefined;
  const retryInMs = unproven.retryAtMs - nowMs;
  return { kind: 'unproven-lately', attempts: unproven.count, retryInMs };
}
