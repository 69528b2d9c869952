/**
 * How the JSON log says what happened. `action` is for changes that took place, in the words that
 * scripts search for; what is no change of an allocation or of a group has a field of its own, so
 * that no script counts it as one.
 */

/** The label of a line (`Increase Cores Failed`) in its parts. */
export interface JournalWords {
  /** `Increase Cores`, `Scale Out` ...; `None` where nothing was changed. */
  readonly action: string;
  /** By how much; `0` where nothing was changed. */
  readonly change: string;
  /** What kind of event it is; of a label that is not known the label itself. */
  readonly event: JournalWord | (string & {});
  readonly resource: 'cores' | 'memory' | 'members' | undefined;
  /** Which way; undefined where it cannot be told. */
  readonly direction: 'up' | 'down' | undefined;
  /** By how much it would have been, where it was not. */
  readonly by: string | undefined;
}

export type JournalWord =
  | 'change'
  /** Cores that were given before have reached the cpuset. */
  | 'confirmed'
  | 'would'
  | 'failed'
  | 'rolled-back'
  | 'not-proven'
  /** By hand: what a container had before. */
  | 'rollback'
  | 'rollback-failed';

export const NO_ACTION = 'None';

const VERBS = 'Increase|Decrease|Confirm|Rollback|Scale';
const LABEL = new RegExp(
  `^(Would )?(${VERBS}) (Cores|Memory|Out|In)( Failed| Rolled Back| Not Proven)?$`,
);

const RESOURCES = { Cores: 'cores', Memory: 'memory', Out: 'members', In: 'members' } as const;
const DIRECTIONS = { Increase: 'up', Decrease: 'down', Out: 'up', In: 'down' } as const;
const ENDINGS: Readonly<Record<string, JournalWord>> = {
  ...{ ' Failed': 'failed', ' Rolled Back': 'rolled-back', ' Not Proven': 'not-proven' },
};

/**
 * The parts of a label, with the amount that it is about. A label that is not known is no change.
 *
 * @param before what was there, to tell which way a rollback went
 */
export function journalWords(
  label: string,
  amount: string,
  before: unknown,
  after: unknown,
): JournalWords {
  const [, would, verb = '', what = '', ending] = LABEL.exec(label) ?? [];
  const resource = at(RESOURCES, what);
  const event = resource === undefined ? label : eventOf(would, verb, at(ENDINGS, ending ?? ''));
  const direction =
    event === 'rollback' ? wayOf(before, after) : (at(DIRECTIONS, verb) ?? at(DIRECTIONS, what));
  if (event === 'change') {
    return { action: label, change: amount, event, resource, direction, by: undefined };
  }
  if (event === 'rollback' && direction !== undefined) {
    const action = actionOf(resource, direction);
    return { action, change: amount, event, resource, direction, by: undefined };
  }
  const change = resource === 'memory' ? '0MB' : '0';
  return { action: NO_ACTION, change, event, resource, direction, by: amount };
}

const at = <V>(table: Readonly<Record<string, V>>, key: string): V | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;

function eventOf(
  would: string | undefined,
  verb: string,
  ending: JournalWord | undefined,
): JournalWord {
  if (would !== undefined) return 'would';
  if (verb === 'Rollback') return ending === undefined ? 'rollback' : 'rollback-failed';
  if (ending !== undefined) return ending;
  return verb === 'Confirm' ? 'confirmed' : 'change';
}

/** `all` cores and no limit (`max`) are more than any number. */
function wayOf(before: unknown, after: unknown): JournalWords['direction'] {
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

/** What a person reads for a line of the JSON log, also for one from before there was `event`. */
export function journalLabel(line: Readonly<Record<string, unknown>>): string {
  const text = (key: string): string => (typeof line[key] === 'string' ? line[key] : '');
  const event = text('event');
  const resource = text('resource') as JournalWords['resource'];
  const what = resource === 'memory' ? 'Memory' : 'Cores';
  const direction = text('direction');
  const base = direction === 'up' || direction === 'down' ? actionOf(resource, direction) : what;
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
    case 'not-proven':
      return `${base} Not Proven`;
    default:
      return text('action');
  }
}
