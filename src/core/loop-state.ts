import type { CgroupSample } from './observation.ts';
import type { Mib, Milliseconds, Vmid } from './units.ts';

/** What the loop carries from one cycle to the next, per container. Plain data. */
export interface LoopState {
  /** Counts from 1. */
  cycle: number;
  /** The sample of the cycle before: rates are differences to it. */
  readonly samples: Map<Vmid, CgroupSample>;
  /** Memory granted by this program; what of it is not yet in use is promised, not free. */
  readonly grants: Map<Vmid, Mib>;
  readonly failures: Map<Vmid, Failure>;
  /** Cores that are configured and not yet in the cpuset. */
  readonly pendingCores: Map<Vmid, PendingCores>;
  /** When an OOM kill was last seen. */
  readonly oomKills: Map<Vmid, Milliseconds>;
  /** What was last said of a container (and resource) that is left alone, so that it is said once. */
  readonly said: Map<string, string>;
}

export interface Failure {
  readonly count: number;
  readonly retryAtMs: Milliseconds;
}

export interface PendingCores {
  readonly cores: number;
  readonly sinceMs: Milliseconds;
  readonly warned: boolean;
}

export function newLoopState(): LoopState {
  return {
    cycle: 0,
    samples: new Map(),
    grants: new Map(),
    failures: new Map(),
    pendingCores: new Map(),
    oomKills: new Map(),
    said: new Map(),
  };
}

const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 3_600_000;

/** A change that failed is not repeated at once: a minute, then twice as long each time, an hour. */
export function afterFailure(before: Failure | undefined, nowMs: Milliseconds): Failure {
  const count = (before?.count ?? 0) + 1;
  const waitMs = Math.min(FIRST_RETRY_MS * 2 ** (count - 1), LONGEST_RETRY_MS);
  return { count, retryAtMs: (nowMs + waitMs) as Milliseconds };
}
