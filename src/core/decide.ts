import type { Decision, HoldReason, Resource, Skip, SkipReason } from './decision.ts';
import { roundDown } from './guards.ts';
import type { LoopState } from './loop-state.ts';
import type {
  ContainerObservation,
  ContainerUsage,
  GuestConfig,
  HostObservation,
} from './observation.ts';
import { thresholdCores, thresholdMemory, type Verdict } from './policies/threshold.ts';
import type { ContainerPolicy, HostPolicy, Management } from './policy.ts';
import type { Milliseconds } from './units.ts';

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
}

/** After an OOM kill the usage looks small for a while, so memory is not taken back so soon. */
const OOM_GRACE_MS = 600_000;
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
  const { policy } = management;
  return {
    decisions: [
      named(guest, 'cores', decideCores(guest, state.usage, policy, input)),
      named(guest, 'memory', decideMemory(guest, state.usage, policy, input)),
    ],
  };
}

function named(guest: GuestConfig, resource: Resource, verdict: Unmeasured): Decision {
  return { vmid: guest.vmid, name: guest.name, resource, ...verdict };
}

type Unmeasured = Verdict | { readonly verdict: 'hold'; readonly because: HoldReason };

const hold = (because: HoldReason): Unmeasured => ({ verdict: 'hold', because });

function decideCores(
  guest: GuestConfig,
  usage: ContainerUsage,
  policy: ContainerPolicy,
  { host }: DecideInput,
): Unmeasured {
  if (!usage.cpu.ok) return hold({ kind: 'missing', reading: usage.cpu });
  if (!host.cpus.ok) return hold({ kind: 'missing', reading: host.cpus });
  const configured = Math.min(guest.cores ?? host.cpus.value, host.cpus.value);
  if (usage.cpusetCpus !== undefined && usage.cpusetCpus !== configured) {
    return hold({ kind: 'not-in-force', configured, live: usage.cpusetCpus });
  }
  return thresholdCores(guest.cores ?? host.cpus.value, guest.cpuLimit, usage.cpu.value, policy);
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
  const verdict = thresholdMemory(guest.memoryMib, maxMib, memory, policy);
  const oomAtMs = state.oomKills.get(guest.vmid);
  if (verdict.verdict === 'shrink' && oomAtMs !== undefined && nowMs - oomAtMs < OOM_GRACE_MS) {
    return { verdict: 'hold', because: { kind: 'oom-lately' }, measured: verdict.measured };
  }
  return verdict;
}
