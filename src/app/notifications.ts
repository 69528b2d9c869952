import { version } from '../../package.json';
import type { Config } from '../config/model.ts';
import { secretsOf } from '../config/secrets-of.ts';
import type { NotificationEvent } from '../core/notify/event.ts';
import { begun, conditionsIn, eventOf, type Said } from '../core/notify/gather.ts';
import { masking } from '../core/secrets.ts';
import { milliseconds } from '../core/units.ts';
import { type CycleResult, isStandby } from '../loop/cycle.ts';
import type { MessengerCounts } from '../notify/messenger.ts';
import { ofComponent } from '../output/component-log.ts';
import type { ProcessContext } from './context.ts';
import type { DaemonState } from './control-answer.ts';
import type { Messengers } from './messengers.ts';
import type { JournalListener, Outputs } from './outputs.ts';
import type { Part } from './part.ts';
import type { WeeklyMessages, WeeklyOptions } from './weekly.ts';

/**
 * Messages for an admin. They are recorded where the event happens, and sent later. Without a
 * configured channel nothing is loaded, and this does nothing.
 */
export interface Notifications extends Required<Part> {
  notify(event: NotificationEvent): void;
  /** Messages sent, failed and waiting, by channel. */
  counts(): ReadonlyMap<string, MessengerCounts>;
  /** @param limitMs how long to wait for a message that is being sent */
  stop(limitMs?: number): Promise<void>;
}

export interface NotificationsOptions {
  /** Sends a message at the start and at the end of the program. */
  readonly announces?: boolean;
  /** The node whose messages need no name, unless it is only the first of several. */
  readonly home: string;
  readonly isAway?: boolean;
  /** What is known of each node, for the weekly report; left out: there is none. */
  readonly known?: () => readonly DaemonState[];
}

const isWanted = ({ notify }: Config): boolean => {
  const { gotify, email, ntfy, webhook, uptimeKuma, proxmox } = notify;
  return [gotify, email, ntfy, webhook, uptimeKuma, proxmox].some((one) => one !== undefined);
};

const NOTHING_SENT: ReadonlyMap<string, MessengerCounts> = new Map();

export function openNotifications(
  outputs: Outputs,
  context: ProcessContext,
  { announces = false, home, isAway = false, known }: NotificationsOptions,
): Notifications {
  const { clock } = context;
  const log = ofComponent(outputs.log, 'notify');
  let messengers: Messengers | undefined;
  let weekly: WeeklyMessages | undefined;
  let beganMs = clock.monotonicMs();
  let isAnnounced = !announces;
  let mask = masking([]);
  const notify = ({ text, further = [], ...event }: NotificationEvent): void =>
    messengers?.messenger.enqueue({ ...event, text: mask(text), further: further.map(mask) });

  /** An event of a node; one of another than the home begins with its name. */
  const notifyOf = (node: string, event: NotificationEvent): void =>
    notify(node === home && !isAway ? event : { ...event, text: `${node}: ${event.text}` });

  const hear = hearing(notify, notifyOf, () => weekly);
  const notifiedOf = perNode(notifyOf);
  return {
    notify,
    async apply(config) {
      if (messengers !== undefined || isWanted(config)) {
        const { messengersOf } = await import('./messengers.ts');
        messengers = await messengersOf(config, context, log, messengers);
        mask = masking(secretsOf(config));
        outputs.listen(hear);
      }
      if (!isAnnounced) notify(started(config));
      isAnnounced = true;
      weekly = await weeklyFor(config, weekly, { context, log, known, home, isAway, notify });
    },
    cycleBegins(node) {
      if (node === home) beganMs = clock.monotonicMs();
      messengers?.messenger.cycleBegins();
    },
    cycleEnded(cycle) {
      const { node, result, view } = cycle;
      if (messengers === undefined) return;
      const { said, standing: notifyStanding } = notifiedOf(node);
      notifyStanding(result);
      if (view !== undefined) {
        const conditions = conditionsIn(view.planned.held, view.available);
        for (const event of begun(said, conditions, clock.wallMs())) notifyOf(node, event);
        const pingMs = clock.monotonicMs() - beganMs;
        if (node === home) messengers.heartbeats?.beat({ ...healthOf(result), pingMs });
      } else if (!result.ok && node === home) {
        messengers.heartbeats?.beat({ ...healthOf(result), pingMs: 0 });
      }
      messengers.messenger.cycleEnds();
      weekly?.cycleEnded(cycle, messengers.messenger);
    },
    counts: () => messengers?.messenger.counts() ?? NOTHING_SENT,
    async stop(limitMs = 3000) {
      if (announces) notify({ kind: 'daemon', severity: 'info', text: 'Stopped.' });
      messengers?.heartbeats?.stop();
      weekly?.stop();
      await messengers?.messenger.close(milliseconds(limitMs));
    },
  };
}

/** Tells of what happens, and once if the JSON log cannot be written. */
function hearing(
  notify: Notifications['notify'],
  notifyOf: (node: string, event: NotificationEvent) => void,
  weekly: () => WeeklyMessages | undefined,
): JournalListener {
  let isUnwritten = false;
  return (event, isWritten, node) => {
    const found = eventOf(event);
    if (found !== undefined) notifyOf(node, found);
    if (!isWritten && !isUnwritten) {
      notify({ kind: 'failed', severity: 'error', text: 'The JSON log cannot be written.' });
    }
    isUnwritten = !isWritten;
    weekly()?.hear(event, node);
  };
}

async function weeklyFor(
  config: Config,
  before: WeeklyMessages | undefined,
  {
    known,
    ...others
  }: Omit<WeeklyOptions, 'known'> & { known: WeeklyOptions['known'] | undefined },
): Promise<WeeklyMessages | undefined> {
  if (config.notify.weekly === undefined || known === undefined) return undefined;
  const { weeklyMessages } = await import('./weekly.ts');
  const made = before ?? weeklyMessages({ ...others, known });
  made.use(config);
  return made;
}

/** What was said of a node, so that it is said once. */
interface Notified {
  readonly said: Said;
  readonly standing: ReturnType<typeof standing>;
}

function perNode(
  notifyOf: (node: string, event: NotificationEvent) => void,
): (node: string) => Notified {
  const nodes = new Map<string, Notified>();
  return (node) => {
    const known = nodes.get(node);
    if (known !== undefined) return known;
    const notified = { said: new Map(), standing: standing((event) => notifyOf(node, event)) };
    nodes.set(node, notified);
    return notified;
  };
}

function started({ pollIntervalMs }: Config): NotificationEvent {
  const every = `one cycle every ${pollIntervalMs / 1000} seconds`;
  return { kind: 'daemon', severity: 'info', text: `Started, version ${version}, ${every}.` };
}

/** Tells once that the loop is blind, waits or is paused, and once that this is over. */
function standing(notify: (event: NotificationEvent) => void): (result: CycleResult) => void {
  let isBlind = false;
  let before: 'waits' | 'paused' | undefined;
  return (result) => {
    if (!result.ok && !isBlind) {
      const text = `The containers cannot be seen, so nothing is scaled: ${result.detail}.`;
      notify({ kind: 'failed', severity: 'error', text });
    }
    isBlind = !result.ok;
    if (!result.ok) return;
    const now = result.pause && (isStandby(result) ? 'waits' : 'paused');
    if (now !== before) {
      const why = result.pause?.why;
      const text = why === undefined ? OVER[before ?? 'paused'] : `${UNCHANGED}: ${why}.`;
      notify({ kind: 'failed', severity: now === 'paused' ? 'error' : 'info', text });
    }
    before = now;
  };
}

const UNCHANGED = 'Nothing is changed on this node';
const OVER = {
  waits: 'No other program scales this node any more: scaling goes on.',
  paused: 'Configurations can be written again: scaling goes on.',
} as const;

/** Who waits for another program to end is as well as can be. */
function healthOf(result: CycleResult): { readonly up: boolean; readonly message: string } {
  if (!result.ok) return { up: false, message: 'The containers cannot be seen' };
  const { pause } = result;
  if (pause !== undefined) {
    return isStandby(result)
      ? { up: true, message: pause.why }
      : { up: false, message: 'Nothing can be changed' };
  }
  return { up: true, message: `${result.done} changes done, ${result.failed} failed` };
}
