import { fnv1a } from '../fnv1a.ts';
import { type Milliseconds, milliseconds } from '../units.ts';
import { type EventKind, isAtLeast, type Severity } from './event.ts';
import { contentOf, type Message, merged, saysTheSame } from './message.ts';

/**
 * What waits to be sent through one channel, and the rules on when it goes. Every operation gives a
 * new queue of bounded size. Times are wall times, since the queue outlives the process.
 */

export interface ChannelRules {
  readonly events: ReadonlySet<EventKind>;
  readonly minSeverity: Severity;
  /** Whether only what cannot wait is sent now. */
  readonly isQuiet: (wallMs: Milliseconds) => boolean;
  readonly perHour: number;
}

export interface Queue {
  /** Oldest first. */
  readonly waiting: readonly Waiting[];
  /** What went in the last hour, oldest first: never more than may go in an hour. */
  readonly sent: readonly Sent[];
  /** In a row. */
  readonly failures: number;
  /** No attempt before. */
  readonly retryAtMs: Milliseconds;
  readonly nextId: number;
}

export interface Waiting {
  readonly id: number;
  readonly message: Message;
  /** It was said a short while ago, so it is held back for some time. */
  readonly notBeforeMs: Milliseconds;
  /** How often the server has found fault with just this one. */
  readonly refusals: number;
}

export interface Sent {
  readonly atMs: Milliseconds;
  /** A number made of what it said. */
  readonly content: number;
}

export const EMPTY_QUEUE: Queue = {
  waiting: [],
  sent: [],
  failures: 0,
  retryAtMs: milliseconds(0),
  nextId: 1,
};

const HOUR_MS = 3_600_000;
export const MAX_WAITING = 20;
/** The same is not said again sooner; what comes meanwhile is counted. */
export const FOLD_MS = 15 * 60_000;
/** A server that is away for so long gets one message of it all, and not one for each cycle. */
const FOLD_AFTER_FAILURES = 5;
const FIRST_RETRY_MS = 10_000;
const LONGEST_RETRY_MS = HOUR_MS;
/** After so many refusals of one message the next one is tried. */
const MAX_REFUSALS = 3;
/** How often is looked whether quiet hours are over. */
const QUIET_LOOK_MS = 60_000;

/** A report is asked for by name, so that no severity keeps it back. */
export const wants = (
  { events, minSeverity }: ChannelRules,
  { kind, severity }: { readonly kind: EventKind; readonly severity: Severity },
): boolean => events.has(kind) && (kind === 'report' || isAtLeast(severity, minSeverity));

/** @param inFlight the id of the message that is being sent: it is left as it is */
export function accept(
  queue: Queue,
  message: Message,
  rules: ChannelRules,
  nowMs: Milliseconds,
  inFlight?: number,
): Queue {
  const { nextId, waiting } = queue;
  const added: Waiting = {
    id: nextId,
    message,
    notBeforeMs: foldedUntil(queue, message, nowMs),
    refusals: 0,
  };
  const next = { ...queue, waiting: [...waiting, added], nextId: nextId + 1 };
  const free = ({ id }: Waiting): boolean => id !== inFlight;
  if (isLimited(next, rules, nowMs) || queue.failures >= FOLD_AFTER_FAILURES) {
    return folded(next, free);
  }
  if (rules.isQuiet(nowMs)) {
    const canWait = ({ message: { severity } }: Waiting): boolean => severity !== 'error';
    if (canWait(added)) return folded(next, (one) => free(one) && canWait(one));
  }
  const same = waiting.find((one) => free(one) && saysTheSame(one.message, message));
  if (same !== undefined) return folded(next, ({ id }) => id === same.id || id === nextId);
  if (next.waiting.length <= MAX_WAITING) return next;
  const [first, second] = next.waiting.filter(free);
  return folded(next, ({ id }) => id === first?.id || id === second?.id);
}

/** All that `which` is true of in one message, at the place of the first. */
function folded(queue: Queue, which: (one: Waiting) => boolean): Queue {
  const [first, ...others] = queue.waiting.filter(which);
  if (first === undefined || others.length === 0) return queue;
  const all = [first, ...others];
  const message = others.reduce((sum, one) => merged(sum, one.message), first.message);
  // What is more than the same once more has something to say that is new.
  const notBeforeMs = milliseconds(Math.min(...all.map((one) => one.notBeforeMs)));
  const whole: Waiting = { id: queue.nextId, message, notBeforeMs, refusals: 0 };
  const waiting = queue.waiting.flatMap((one) => {
    if (one.id === first.id) return [whole];
    return which(one) ? [] : [one];
  });
  return { ...queue, waiting, nextId: queue.nextId + 1 };
}

function foldedUntil({ sent }: Queue, message: Message, nowMs: Milliseconds): Milliseconds {
  const content = numberOf(message);
  let untilMs = 0;
  for (const one of sent) {
    if (one.content === content && one.atMs <= nowMs) untilMs = one.atMs + FOLD_MS;
  }
  return milliseconds(untilMs > nowMs ? untilMs : 0);
}

const numberOf = (message: Message): number => fnv1a(contentOf(message));

/** Clocks may be set back: what lies in the future counts as sent long ago. */
const lately = ({ sent }: Queue, nowMs: number): readonly Sent[] =>
  sent.filter(({ atMs }) => nowMs - atMs < HOUR_MS && atMs <= nowMs);

const isLimited = (queue: Queue, { perHour }: ChannelRules, nowMs: number): boolean =>
  lately(queue, nowMs).length >= perHour;

export type NextStep =
  | { readonly kind: 'send'; readonly one: Waiting }
  | { readonly kind: 'wait'; readonly ms: Milliseconds }
  | { readonly kind: 'idle' };

/** What to do now, if nothing is being sent; the queue is the one to go on with. */
export function nextStep(
  queue: Queue,
  rules: ChannelRules,
  nowMs: Milliseconds,
): { readonly queue: Queue; readonly step: NextStep } {
  if (queue.waiting.length === 0) return { queue, step: { kind: 'idle' } };
  const wait = (untilMs: number): NextStep => ({
    kind: 'wait',
    ms: milliseconds(Math.max(1, Math.min(untilMs - nowMs, HOUR_MS))),
  });
  if (isLimited(queue, rules, nowMs)) {
    const [oldest] = lately(queue, nowMs);
    const step = wait((oldest?.atMs ?? nowMs) + HOUR_MS);
    return { queue: folded(queue, () => true), step };
  }
  if (nowMs < queue.retryAtMs) return { queue, step: wait(queue.retryAtMs) };
  const quiet = rules.isQuiet(nowMs);
  const may = queue.waiting.filter(({ message }) => !quiet || message.severity === 'error');
  if (may.length === 0) return { queue, step: wait(nowMs + QUIET_LOOK_MS) };
  const one = may.find(({ notBeforeMs }) => notBeforeMs <= nowMs || notBeforeMs > nowMs + FOLD_MS);
  if (one !== undefined) return { queue, step: { kind: 'send', one } };
  return { queue, step: wait(Math.min(...may.map(({ notBeforeMs }) => notBeforeMs))) };
}

export function delivered(queue: Queue, { id, message }: Waiting, nowMs: Milliseconds): Queue {
  return {
    ...queue,
    waiting: queue.waiting.filter((one) => one.id !== id),
    sent: [...lately(queue, nowMs), { atMs: nowMs, content: numberOf(message) }],
    failures: 0,
    retryAtMs: milliseconds(0),
  };
}

/** Whose fault it is that a message did not arrive. */
export type Fault =
  /** The server's or the network's: it may pass. */
  | 'passing'
  /** The configuration's: nothing goes before somebody mends it. */
  | 'settings'
  /** The message's own: others may go. */
  | 'message';

export interface Failure {
  readonly fault: Fault;
  /** The server has said when it wants to be asked again. */
  readonly retryAfterMs?: Milliseconds | undefined;
}

/**
 * Waits 10 s after the first failure and twice as long after each further one, up to an hour, times
 * a random factor from 0.5 to 1.5, so that many nodes do not ask a server that is back all at once.
 *
 *     failures   1    2    3    4     5     6     7      8      9      10
 *     mean       10 s 20 s 40 s 80 s  160 s 320 s 640 s  1280 s 2560 s 1 h
 *
 * @param chance from 0 to 1
 */
export function failed(
  queue: Queue,
  { id }: Waiting,
  { fault, retryAfterMs = milliseconds(0) }: Failure,
  nowMs: Milliseconds,
  chance: number,
): { readonly queue: Queue; readonly dropped: Message | undefined } {
  const failures = queue.failures + 1;
  // Nothing is gained by asking often where the settings are wrong.
  const doublings = fault === 'settings' ? failures + 2 : failures - 1;
  const meanMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(doublings, 20), LONGEST_RETRY_MS);
  const waitMs = Math.max(meanMs * (0.5 + chance), Math.min(retryAfterMs, LONGEST_RETRY_MS));
  const next = { ...queue, failures, retryAtMs: milliseconds(Math.round(nowMs + waitMs)) };
  if (fault !== 'message') return { queue: next, dropped: undefined };
  const own = queue.waiting.find((one) => one.id === id);
  if (own !== undefined && own.refusals + 1 >= MAX_REFUSALS) {
    const waiting = queue.waiting.filter((one) => one.id !== id);
    return { queue: { ...next, waiting }, dropped: own.message };
  }
  const waiting = queue.waiting.map((one) =>
    one.id === id ? { ...one, refusals: one.refusals + 1 } : one,
  );
  return { queue: { ...next, waiting }, dropped: undefined };
}
