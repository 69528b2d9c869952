import type { Milliseconds, Vmid } from '../units.ts';
import { secondsOf } from './fact.ts';

/** Whether the daemon does its work, as named checks that a monitor can ask for. */

/** To be raised when a field changes its meaning. */
export const HEALTH_FORMAT = 1;

export type CheckName =
  /** The configuration file as it is now is valid. */
  | 'configuration'
  /** A daemon runs and answers. */
  | 'daemon'
  /** The last cycle that saw the containers ended not long ago. */
  | 'cycle'
  /** A backup could be written. */
  | 'backups'
  /** The JSON log could be written. */
  | 'logs'
  /** `/etc/pve` takes changes. */
  | 'quorum'
  /** Cores that were set take effect. */
  | 'pvestatd'
  /** The node's own tool is there. */
  | 'pct'
  /** Messages get through. */
  | 'notifications';

export interface HealthRow {
  readonly name: CheckName;
  readonly ok: boolean;
  /** A sentence without its full stop. */
  readonly says: string;
}

export interface HealthReport {
  readonly format: typeof HEALTH_FORMAT;
  readonly healthy: boolean;
  readonly checks: readonly HealthRow[];
}

export const healthReport = (checks: readonly HealthRow[]): HealthReport => ({
  format: HEALTH_FORMAT,
  healthy: checks.every(({ ok }) => ok),
  checks,
});

/** @param problem what is wrong; undefined: nothing is */
export const row = (name: CheckName, problem: string | undefined, fine: string): HealthRow => ({
  name,
  ok: problem === undefined,
  says: problem ?? fine,
});

/** A cycle that changes much takes so long, and one may be lost without anything being wrong. */
const CYCLE_GRACE_MS = 60_000;

/** How old the last good cycle may be. */
export const oldestCycleMs = (pollIntervalMs: Milliseconds): number =>
  2 * pollIntervalMs + CYCLE_GRACE_MS;

export interface CycleTimes {
  /** On the monotonic clock, as the others. */
  readonly nowMs: Milliseconds;
  readonly startedMs: Milliseconds;
  /** When the last good cycle ended; undefined: there was none. */
  readonly lastGoodMs: Milliseconds | undefined;
  readonly pollIntervalMs: Milliseconds;
}

/** Young enough is a good cycle, and a daemon that has not had the time for one. */
export function cycleRow({ nowMs, startedMs, lastGoodMs, pollIntervalMs }: CycleTimes): HealthRow {
  const ageMs = nowMs - (lastGoodMs ?? startedMs);
  const most = secondsOf(oldestCycleMs(pollIntervalMs));
  const age = secondsOf(ageMs);
  const says =
    lastGoodMs === undefined
      ? `there was no good cycle yet, ${age} s after the start`
      : `the last good cycle ended ${age} s ago`;
  const isLate = ageMs > oldestCycleMs(pollIntervalMs);
  return { name: 'cycle', ok: !isLate, says: isLate ? `${says}; at most ${most} are right` : says };
}

/** @param overdue containers whose cores were set long enough ago to be active */
export function coresRow(overdue: readonly Vmid[]): HealthRow {
  const problem = overdue.length === 0 ? undefined : coresNotActive(overdue);
  return row('pvestatd', problem, 'cores that were set are active');
}

export const coresNotActive = (overdue: readonly Vmid[]): string =>
  `the cores of ${overdue.join(', ')} are set but not active: pvestatd is not applying them; ` +
  'see `systemctl status pvestatd`';

/** How long messages may fail before somebody should look: a server may be restarted. */
const STUCK_MS = 30 * 60_000;

export interface Delivery {
  readonly channel: string;
  readonly waiting: number;
  /** When the failures began that no message has got through since; undefined: there are none. */
  readonly failingSinceMs: Milliseconds | undefined;
}

export function deliveryRow(deliveries: readonly Delivery[], nowMs: Milliseconds): HealthRow {
  const stuck = deliveries.filter(
    ({ waiting, failingSinceMs }) =>
      waiting > 0 && failingSinceMs !== undefined && nowMs - failingSinceMs > STUCK_MS,
  );
  const words = stuck.map(
    ({ channel, waiting, failingSinceMs = nowMs }) =>
      `${channel}: ${waiting} wait, and none was sent for ${secondsOf(nowMs - failingSinceMs)} s`,
  );
  return row(
    'notifications',
    words.length === 0 ? undefined : words.join('; '),
    'no message is overdue',
  );
}
