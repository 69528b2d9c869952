import { amount } from './explain.ts';
import type { ChangeStatus, GroupDetails, JournalEvent, RollbackValue } from './journal-event.ts';

/**
 * How the JSON log says what happened. `action` is for changes that took place, in the words that
 * scripts search for; what is no change of an allocation or of a group has a field of its own, so
 * that no script counts it as one.
 */

export interface JournalWords {
  /** `Increase Cores`, `Scale Out` ...; `None` where nothing was changed. */
  readonly action: string;
  /** By how much; `0` where nothing was changed. */
  readonly change: string;
  readonly event: JournalWord;
  readonly resource: 'cores' | 'memory' | 'members' | 'disk';
  /** Which way; undefined if it cannot be told. */
  readonly direction: 'up' | 'down' | undefined;
  /** By how much it would have been changed, if it was not. */
  readonly by: string | undefined;
}

export type JournalWord =
  | 'change'
  /** Cores that were given before have reached the cpuset. */
  | 'confirmed'
  | 'would'
  | 'failed'
  | 'rolled-back'
  | 'partly'
  | 'not-proven'
  /** A member more or less was asked for. */
  | 'asked'
  /** A disk, a snapshot or a clone that was asked for. */
  | 'done'
  /** By hand: what a container had before. */
  | 'rollback'
  | 'rollback-failed';

export const NO_ACTION = 'None';

const WORDS: Readonly<Record<ChangeStatus | GroupDetails['status'], JournalWord>> = {
  confirmed: 'change',
  pending: 'change',
  'dry-run': 'would',
  observed: 'would',
  failed: 'failed',
  'rolled-back': 'rolled-back',
  partly: 'partly',
  unproven: 'not-proven',
  asked: 'asked',
};

type Parts = Pick<JournalWords, 'event' | 'resource' | 'direction'>;

/** How the JSON log words an event. */
export function journalWords(event: JournalEvent): JournalWords {
  const parts = partsOf(event);
  const { resource, direction } = parts;
  const amountOfIt = amountOf(event);
  const isChange = parts.event === 'change' || parts.event === 'rollback';
  if (isChange && direction !== undefined) {
    const action = actionOf(resource, direction);
    return { ...parts, action, change: amountOfIt, by: undefined };
  }
  const change = resource === 'memory' ? '0MB' : '0';
  const by = event.kind === 'disk' ? undefined : amountOfIt;
  return { ...parts, action: NO_ACTION, change, by };
}

function partsOf(one: JournalEvent): Parts {
  switch (one.kind) {
    case 'change': {
      const { resource, direction } = one;
      return { event: WORDS[one.details.status], resource, direction };
    }
    case 'confirm':
      return { event: 'confirmed', resource: 'cores', direction: undefined };
    case 'rollback': {
      const { resource, details } = one;
      if (details.status === 'failed') {
        return { event: 'rollback-failed', resource, direction: undefined };
      }
      return { event: 'rollback', resource, direction: wayOf(details.before, details.after) };
    }
    case 'disk': {
      const { status, step } = one.details;
      const event = status === 'confirmed' ? 'done' : status;
      return { event, resource: 'disk', direction: step === 'grow' ? 'up' : undefined };
    }
    case 'group': {
      const direction = one.direction === 'out' ? 'up' : 'down';
      return { event: WORDS[one.details.status], resource: 'members', direction };
    }
  }
}

function amountOf(event: JournalEvent): string {
  if (event.kind === 'disk') return '0';
  if (event.kind === 'confirm') return String(event.details.after);
  if (event.kind === 'group') return event.direction === 'out' ? '+1' : '-1';
  const { before, after } = event.details;
  if (typeof before !== 'number' || typeof after !== 'number') return 'unknown';
  return amount(event.resource, Math.abs(after - before));
}

/** `all` cores and no limit (`max`) are more than any number. */
function wayOf(before: RollbackValue, after: RollbackValue): JournalWords['direction'] {
  const [from, to] = [before, after].map((side) =>
    typeof side === 'number' ? side : Number.POSITIVE_INFINITY,
  );
  if (from === undefined || to === undefined || from === to) return undefined;
  return to > from ? 'up' : 'down';
}

function actionOf(resource: JournalWords['resource'], direction: 'up' | 'down'): string {
  if (resource === 'members') return `Scale ${direction === 'up' ? 'Out' : 'In'}`;
  const verb = direction === 'up' ? 'Increase' : 'Decrease';
  return `${verb} ${resource === 'memory' ? 'Memory' : 'Cores'}`;
}

const DISK_STEPS: Readonly<Record<string, string>> = {
  grow: 'Grow Disk',
  snapshot: 'Take Snapshot',
  rollback: 'Restore Snapshot',
  clone: 'Clone',
  destroy: 'Destroy Clone',
  'delete-snapshot': 'Remove Snapshot',
};

/** What a person reads for a line of the JSON log, also for one from before there was `event`. */
export function journalLabel(line: Readonly<Record<string, unknown>>): string {
  const text = (key: string): string => (typeof line[key] === 'string' ? line[key] : '');
  const event = text('event');
  const resource = text('resource') as JournalWords['resource'];
  const what = resource === 'memory' ? 'Memory' : 'Cores';
  const direction = text('direction');
  const base = direction === 'up' || direction === 'down' ? actionOf(resource, direction) : what;
  if (resource === 'disk') {
    const step = DISK_STEPS[text('step')] ?? 'Disk';
    return event === 'done' ? step : `${step} ${event === 'asked' ? 'Asked' : 'Failed'}`;
  }
  switch (event) {
    case 'confirmed':
      return `Confirm ${what}`;
    case 'rollback':
      return `Rollback ${what}`;
    case 'rollback-failed':
      return `Rollback ${what} Failed`;
    case 'would':
      return `Would ${base}`;
    case 'failed':
      return `${base} Failed`;
    case 'rolled-back':
      return `${base} Rolled Back`;
    case 'partly':
      return `${base} Partly`;
    case 'not-proven':
      return `${base} Not Proven`;
    case 'asked':
      return `${base} Asked`;
    default:
      return text('action');
  }
}
