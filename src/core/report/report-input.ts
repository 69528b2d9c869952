import type { Budget } from '../admission.ts';
import type { Resource } from '../allocation.ts';
import type { HandHold, Verdicts } from '../decide.ts';
import type { Decision, HoldReason, Skip, SkipReason } from '../decision.ts';
import type { LoopState } from '../loop-state.ts';
import type { ContainerObservation, GuestConfig, HostObservation } from '../observation.ts';
import type { Plan } from '../plan.ts';
import type { HostPolicy, Management } from '../policy.ts';
import type { Milliseconds, Vmid } from '../units.ts';

/** To be raised when a field of a report or an account changes its meaning. */
export const REPORT_FORMAT = 1;

/** What a cycle knew, and what has become of it since: all that `status` and `explain` rest on. */
export interface ReportInput {
  /** `now`: no daemon answered, and this is one look without it. */
  readonly from: 'daemon' | 'now';
  readonly cycle: number;
  /** When the cycle ended, on the wall clock. */
  readonly wallMs: Milliseconds;
  /** When the next cycle is due, on the wall clock; undefined without a daemon. */
  readonly nextMs?: Milliseconds | undefined;
  /** When it looked, on the monotonic clock. */
  readonly atMs: Milliseconds;
  /** The monotonic clock now. */
  readonly nowMs: Milliseconds;
  readonly host: HostObservation;
  readonly containers: readonly ContainerObservation[];
  readonly holds: ReadonlyMap<Vmid, HandHold>;
  readonly verdicts: Verdicts;
  readonly planned: Plan;
  readonly available: Budget;
  readonly manage: (config: GuestConfig) => Management;
  readonly hostPolicy: HostPolicy;
  /** As it is now: changes made since the cycle are in it. */
  readonly state: LoopState;
  readonly dryRun: boolean;
  /** Writes a time for people: `2026-11-21 22:04:45`. */
  readonly localTime: (wallMs: Milliseconds) => string;
}

/** What became of a resource of a container: what was decided, and what the plan made of it. */
export interface Course {
  /** undefined: nothing was decided, since the container was left alone as a whole. */
  readonly decided: Decision | undefined;
  /** The change as it was admitted, or why nothing is changed. */
  readonly planned: Decision | undefined;
}

/** A one-time evaluation changes nothing either, but that is not what keeps anything back. */
export const isDryRun = ({ dryRun, from }: ReportInput): boolean => dryRun && from === 'daemon';

/** Finds the course of a resource; made once, since a node may have a thousand containers. */
export type CourseOf = (vmid: Vmid, resource: Resource) => Course;

export function coursesOf({ verdicts, planned }: Pick<ReportInput, 'verdicts' | 'planned'>) {
  const decided = byKey(verdicts.decisions);
  const admitted = planned.changes.flatMap(({ cores, memory }) =>
    [cores, memory].filter((change) => change !== undefined),
  );
  const outcome = byKey([...planned.held, ...admitted]);
  const courseOf: CourseOf = (vmid, resource) => {
    const key = keyOf(vmid, resource);
    return { decided: decided.get(key), planned: outcome.get(key) };
  };
  return courseOf;
}

const keyOf = (vmid: Vmid, resource: Resource): string => `${vmid}/${resource}`;

const byKey = (decisions: readonly Decision[]): ReadonlyMap<string, Decision> =>
  new Map(decisions.map((one) => [keyOf(one.vmid, one.resource), one]));

/** Why the container as a whole is left alone; a failure since the cycle counts too. */
export function skipOf(input: ReportInput, vmid: Vmid, name: string): Skip | undefined {
  const skipped = input.verdicts.skipped.find((skip) => skip.vmid === vmid);
  if (skipped !== undefined) {
    return { ...skipped, because: aged(skipped.because, input.nowMs - input.atMs) };
  }
  const failure = input.state.guests.get(vmid)?.failure;
  if (failure === undefined || failure.retryAtMs <= input.nowMs) return undefined;
  const retryInMs = failure.retryAtMs - input.nowMs;
  return { vmid, name, because: { kind: 'failed-lately', failures: failure.count, retryInMs } };
}

/** A reason from a while ago: what it says of the time that is left is said of now. */
export function aged<T extends HoldReason | SkipReason>(because: T, passedMs: number): T {
  const later = (ms: number): number => Math.max(0, ms - passedMs);
  if ('leftMs' in because) return { ...because, leftMs: later(because.leftMs) };
  if ('retryInMs' in because) return { ...because, retryInMs: later(because.retryInMs) };
  return because;
}
