import type { CgroupSample, GuestState } from './observation.ts';
import type { Reading } from './reading.ts';

const RUNNING: GuestState = { kind: 'running' };
const FROZEN: GuestState = { kind: 'frozen' };
const STOPPED: GuestState = { kind: 'stopped' };
const LEFT_BEHIND: GuestState = { kind: 'stopped', leftBehind: true };

/** The only place that concludes from a sample, or from a missing one, whether a guest runs. */
export function guestState(sample: Reading<CgroupSample>): GuestState {
  if (!sample.ok) return sample.why === 'absent' ? STOPPED : { kind: 'unknown', reason: sample };
  const { life } = sample.value;
  // Its cgroup is there. Without `cgroup.events` it counts as running; no shrink is based on that.
  if (!life.ok) return RUNNING;
  if (!life.value.populated) return LEFT_BEHIND;
  return life.value.frozen ? FROZEN : RUNNING;
}

/**
 * Whether its limit is of no concern to the host. A cgroup without a process may be that of a guest
 * that is just starting: its limit is set before its first process is there.
 */
export const hasNoCgroup = (state: GuestState): boolean =>
  state.kind === 'stopped' && state.leftBehind !== true;

export const isStopped = (sample: Reading<CgroupSample>): boolean =>
  guestState(sample).kind === 'stopped';
