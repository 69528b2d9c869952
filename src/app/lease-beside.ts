import type { NotOurs } from '../core/pause.ts';
import type { NodeHands } from '../node/port.ts';
import type { NodeLease } from './node-lease.ts';

/** A lease that is reached by one of two connections, while the node may be seen by the other. */

export interface Beside {
  /** Whether the node is seen by the connection of the lease now. If not, no look waits for it. */
  readonly isSeenBy: () => boolean;
  /**
   * Whether the node is ours to change also if nothing is known of the lease now. Another program
   * that is known to have it is waited for all the same.
   */
  readonly isOptional: () => boolean;
}

export function leaseBeside(lease: NodeLease, { isSeenBy, isOptional }: Beside): NodeLease {
  const isFree = (problem: NotOurs | undefined): boolean =>
    problem?.kind === 'not-known' && isOptional();
  return {
    ...lease,
    async tend() {
      const over = lease.tend();
      if (isSeenBy()) await over;
    },
    problem() {
      const problem = lease.problem();
      return isFree(problem) ? undefined : problem;
    },
    guard(hands): NodeHands {
      const guarded = lease.guard(hands);
      const now = (): NodeHands => (isFree(lease.problem()) ? hands : guarded);
      return { ...guarded, apply: (...asked) => now().apply(...asked) };
    },
  };
}
