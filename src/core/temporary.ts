import { withUnit } from './explain.ts';
import type { GuestRecord } from './guest-record.ts';
import { type GuestIdentity, parseGuestIdentity } from './identity.ts';
import type { Instant } from './saved-state.ts';
import { milliseconds } from './units.ts';

/**
 * What was changed of a guest only for a while, and what it goes back to. It travels with the
 * guest: a boost that a migration carries to another node would be the norm there for good. Pure.
 */

export interface TemporaryRecord {
  readonly guest: GuestIdentity;
  /** Where it was changed. */
  readonly node: string;
  readonly changes: readonly TemporaryChange[];
}

export interface TemporaryChange {
  readonly resource: 'cores' | 'memory';
  /** What it had, in cores or MiB, and gets back. */
  readonly before: number;
  /** Of a boost; the rest was taken by the off-peak time. */
  readonly boost?: {
    readonly boosted: number;
    /** On the wall clock, in milliseconds since 1970. */
    readonly endWallMs: number;
  };
}

const RESOURCES = ['cores', 'memory'] as const;

/** What is to be on record of a guest; undefined if nothing is to be undone. */
export function temporaryOf(
  record: GuestRecord,
  node: string,
  { nowMs, wallMs }: Instant,
): TemporaryRecord | undefined {
  const guest = record.identity;
  const changes: TemporaryChange[] = [];
  for (const resource of RESOURCES) {
    const { boost, offPeak: taken } = record[resource];
    if (boost !== undefined) {
      const { before, boosted, endMs } = boost;
      // To the second: two clocks that are read one after the other differ each time.
      const endWallMs = Math.round((wallMs + endMs - nowMs) / 1000) * 1000;
      changes.push({ resource, before, boost: { boosted, endWallMs } });
    }
    if (taken !== undefined && taken.givenBackMs === undefined) {
      changes.push({ resource, before: taken.before });
    }
  }
  return guest === undefined || changes.length === 0 ? undefined : { guest, node, changes };
}

/** Remembers what another node, or an earlier life of this one, is to undo. */
export function takeTemporary(
  record: GuestRecord,
  { changes }: TemporaryRecord,
  { nowMs, wallMs }: Instant,
): void {
  for (const { resource, before, boost } of changes) {
    const known = record[resource];
    if (boost === undefined) known.offPeak = { before, givenBackMs: undefined };
    else {
      const endMs = milliseconds(nowMs + boost.endWallMs - wallMs);
      known.boost = { before, boosted: boost.boosted, endMs };
    }
  }
}

/** `a boost to 4 cores (2 cores before)`. */
export const describeTemporary = ({ changes }: TemporaryRecord): string =>
  changes
    .map(({ resource, before, boost }) => {
      const what = boost
        ? `a boost to ${withUnit(resource, boost.boosted)}`
        : `less ${resource} for the off-peak time`;
      return `${what} (${withUnit(resource, before)} before)`;
    })
    .join(' and ');

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0;

/** undefined for what is no whole record. */
export function parseTemporary(record: unknown): TemporaryRecord | undefined {
  if (!isObject(record) || !Array.isArray(record['changes'])) return undefined;
  const guest = parseGuestIdentity(record['guest']);
  const { node } = record;
  const changes = record['changes'].map(parseChange);
  if (guest === undefined || typeof node !== 'string' || node === '') return undefined;
  const whole = changes.filter((each) => each !== undefined);
  return whole.length < changes.length ? undefined : { guest, node, changes: whole };
}

function parseChange(value: unknown): TemporaryChange | undefined {
  if (!isObject(value)) return undefined;
  const { before, boost } = value;
  const resource = RESOURCES.find((known) => known === value['resource']);
  if (resource === undefined || !isAmount(before)) return undefined;
  if (boost === undefined) return { resource, before };
  if (!isObject(boost)) return undefined;
  const { boosted, endWallMs } = boost;
  if (!isAmount(boosted) || !isAmount(endWallMs)) return undefined;
  return { resource, before, boost: { boosted, endWallMs } };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
