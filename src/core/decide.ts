import type { Decision, HoldReason, Resource, Skip, SkipReason } from './decision.ts';
import { roundDown } from './guards.ts';
import type { LoopState } from './loop-state.ts';
import type {
  ContainerObservation,
  ContainerUsage,
  GuestConfig,
  HostObservation,
  MemoryUsage,
} from './observation.ts';
import { changeKey, paced, type Seen } from './pace.ts';
import { thresholdCores, thresholdMemory, type Verdict } from './policies/threshold.ts';
import type { ContainerPolicy, HostPolicy, Management } from './policy.ts';
import { withoutProof } from './proof.ts';
import { cores, type Milliseconds, mib, type Vmid } from './units.ts';

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
  /** Containers that a person has taken in hand, and for how long still. */
  readonly holds: ReadonlyMap<Vmid, HandHold>;
}

export interface HandHold {
  readonly reason: string;
  readonly leftMs: number;
}

/** Changes of these that wait for a restart must not be piled upon. */
const PENDING_THAT_MATTER: ReadonlySet<string> = new Set(['cores', 'cpulimit', 'memory', 'swap']);

export function decide(input: DecideInput): Verdicts {
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
  { vmid, config, state }: ContainerObservation,
  input: DecideInput,
): { readonly decisions: readonly Decision[] } | Skip {
  if (!config.ok) {
    const because: SkipReason = { kind: 'unreadable', reading: config };
    return { vmid, name: `CT${vmid}`, because };
  }
  const guest = config.value;
  const skip = (because: SkipReason): Skip => ({ vmid, name: guest.name, because });
  const management = input.manage(guest);
  if (management.kind === 'ignored') return skip(management);
  const held = input.holds.get(vmid);
  if (held !== undefined) return skip({ kind: 'held-by-hand', ...held });
  if (guest.template) return skip({ kind: 'template' });
  if (guest.lock !== undefined) return skip({ kind: 'locked', lock: guest.lock });
  if (state.kind === 'stopped') return skip({ kind: 'stopped' });
  if (state.kind === 'unknown') return skip({ kind: 'unreadable', reading: state.reason });
  const keys = guest.pendingKeys.filter((key) => PENDING_THAT_MATTER.has(key));
  if (keys.length > 0) return skip({ kind: 'pending-changes', keys });
  const failure = input.state.failures.get(vmid);
  if (failure !== undefined && failure.retryAtMs > input.nowMs) {
    const retryInMs = failure.retryAtMs - input.nowMs;
    return skip({ kind: 'failed-lately', failures: failure.count, retryInMs });
  }
  const { policy, mode } = management;
  const decisions = [
    named(guest, policy, 'cores', decideCores(guest, state.usage, policy, input)),
    named(guest, policy, 'memory', decideMemory(guest, state.usage, policy, input)),
  ];
  return { decisions: mode === 'observe' ? decisions.map(onlyObserved) : decisions };
}

function named(
  { vmid, name }: GuestConfig,
  { priority }: ContainerPolicy,
  resource: Resource,
  verdict: Unmeasured,
): Decision {
  if (verdict.verdict === 'hold') return { vmid, name, resource, ...verdict };
  return { vmid, name, resource, priority, ...verdict };
}

function onlyObserved(decision: Decision): Decision {
  if (decision.verdict === 'hold') return decision;
  const { vmid, name, resource, measured, after } = decision;
  const because: HoldReason = { kind: 'observe-only', would: after };
  return { vmid, name, resource, verdict: 'hold', because, measured };
}

type Unmeasured = Verdict | { readonly verdict: 'hold'; readonly because: HoldReason };

const hold = (because: HoldReason): Unmeasured => ({ verdict: 'hold', because });

function decideCores(
  guest: GuestConfig,
  usage: ContainerUsage,
  policy: ContainerPolicy,
  { host, state, nowMs }: DecideInput,
): Unmeasured {
  if (!usage.cpu.ok) return hold({ kind: 'missing', reading: usage.cpu });
  if (!host.cpus.ok) return hold({ kind: 'missing', reading: host.cpus });
  const configured = Math.min(guest.cores ?? host.cpus.value, host.cpus.value);
  if (usage.cpusetCpus !== undefined && usage.cpusetCpus !== configured) {
    return hold({ kind: 'not-in-force', configured, live: usage.cpusetCpus });
  }
  const { vmid, cpuLimit } = guest;
  const cpu = usage.cpu.value;
  const has = guest.cores ?? host.cpus.value;
  const seen = state.seenCores.get(vmid) ?? [{ used: cpu.used, peak: cpu.used }];
  const { timing } = policy;
  const changedMs = state.changedMs.get(changeKey(vmid, 'cores'));
  return paced({ seen, timing, changedMs, nowMs }, ({ used, peak }: Seen) =>
    thresholdCores(has, cpuLimit, { ...cpu, used: cores(used) }, policy, peak),
  );
}

function decideMemory(
  guest: GuestConfig,
  usage: ContainerUsage,
  policy: ContainerPolicy,
  { host, hostPolicy, state, nowMs }: DecideInput,
): Unmeasured {
  if (!usage.memory.ok) return hold({ kind: 'missing', reading: usage.memory });
  const memory = usage.memory.value;
  if (memory.limitMib !== guest.memoryMib) {
    const live = memory.limitMib ?? null;
    return hold({ kind: 'not-in-force', configured: guest.memoryMib, live });
  }
  if (policy.memory.maxMib === undefined && !host.memory.ok) {
    return hold({ kind: 'missing', reading: host.memory });
  }
  const hostMaxMib = host.memory.ok
    ? roundDown(host.memory.value.totalMib - hostPolicy.reserveMemoryMib, 16)
    : 0;
  // Without a configured maximum nothing is lowered for being above it: it only bounds growth.
  const maxMib = policy.memory.maxMib ?? Math.max(guest.memoryMib, hostMaxMib);
  const { vmid } = guest;
  const now = { used: memory.workingSetMib, peak: memory.workingSetMib };
  const seen = state.seenMemory.get(vmid) ?? [now];
  const { timing } = policy;
  const changedMs = state.changedMs.get(changeKey(vmid, 'memory'));
  const verdict = paced({ seen, timing, changedMs, nowMs }, ({ used, peak }: Seen) => {
    const average = { ...memory, workingSetMib: mib(used) };
    return thresholdMemory(guest.memoryMib, maxMib, average, policy, peak);
  });
  return verdict.verdict === 'shrink'
    ? maySafelyShrink(vmid, verdict, memory, policy, state, nowMs)
    : verdict;
}

/** What keeps memory from being taken back, however little of it is in use. */
function maySafelyShrink(
  vmid: Vmid,
  verdict: Verdict,
  memory: MemoryUsage,
  policy: ContainerPolicy,
  state: LoopState,
  nowMs: Milliseconds,
): Unmeasured {
  const { measured } = verdict;
  const { startGraceMs } = policy.timing;
  const sinceMs = (atMs: number | undefined): number => nowMs - (atMs ?? Number.NEGATIVE_INFINITY);
  if (sinceMs(state.oomKills.get(vmid)) < startGraceMs) {
    return { verdict: 'hold', because: { kind: 'oom-lately' }, measured };
  }
  if (sinceMs(state.startedMs.get(vmid)) < startGraceMs) {
    return { verdict: 'hold', because: { kind: 'started-lately' }, measured };
  }
  const unproven = state.shrinkRetry.get(vmid);
  if (unproven !== undefined && unproven.retryAtMs > nowMs) {
    const retryInMs = unproven.retryAtMs - nowMs;
    const because: HoldReason = { kind: 'unproven-lately', attempts: unproven.count, retryInMs };
    return { verdict: 'hold', because, measured };
  }
  return state.reclaimSupported === false ? withoutProof(verdict, memory) : verdict;
}
