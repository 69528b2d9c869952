import { cronTimes } from '../config/cron.ts';
import type { Config } from '../config/model.ts';
import { WEEKDAYS } from '../config/notify-values.ts';
import type { JournalEvent } from '../core/journal-event.ts';
import type { NotificationEvent } from '../core/notify/event.ts';
import { fromSavedWeek, toSavedWeek } from '../core/notify/saved-week.ts';
import { newWeek, nodeOf, noteOutcome, noteSeen, type Week } from '../core/notify/week.ts';
import { type NodeNow, weeklyReport } from '../core/notify/weekly-report.ts';
import { statusReport } from '../core/report/status.ts';
import { type Milliseconds, milliseconds } from '../core/units.ts';
import { type CycleView, isStandby } from '../loop/cycle.ts';
import type { Paths } from '../node/local/paths.ts';
import type { Clock } from '../node/port.ts';
import type { Messenger } from '../notify/messenger.ts';
import { createTimestamp } from '../os/timestamp.ts';
import type { Log } from '../ports.ts';
import { createStateFile } from '../store/state-file.ts';
import type { ProcessContext } from './context.ts';
import { type DaemonState, inputOf } from './control-answer.ts';
import type { EndedCycle } from './part.ts';

/** Counts what a week brings, and says when its report is due. Loaded only if there is one. */

const WEEK_FILE = '/var/lib/lxc_autoscale/week.json';
/** What only grows with the time may be lost for so long in a crash; what happened never is. */
const SAVE_MS = 600_000;
/** A cycle that is later than that many intervals did not see the time between. */
const LATEST = 2;

export interface WeekFile {
  /** undefined: there is none that makes sense, which is said unless there is none at all. */
  read(complain: (message: string) => void): Week | undefined;
  /** Returns what went wrong, undefined if nothing did. */
  write(week: Week): string | undefined;
}

export function weekFile(paths: Paths): WeekFile {
  const file = createStateFile(paths, WEEK_FILE);
  return {
    read(complain) {
      const read = file.read();
      if (!read.ok) {
        if (read.why !== 'absent') complain(`The counts of the week are lost: ${read.detail}`);
        return undefined;
      }
      const week = fromSavedWeek(read.value);
      if (week === undefined) complain('The counts of the week make no sense; they begin anew');
      return week;
    },
    write: (week) => file.write(toSavedWeek(week)),
  };
}

/** Nodes as they stand now, for the report. */
function nodesNow(known: readonly DaemonState[], isNamed: boolean): readonly NodeNow[] {
  return known.map((one) => {
    const { node, view } = one;
    const report = view === undefined ? undefined : statusReport(inputOf(view, one));
    return { node, label: isNamed ? node : '', report };
  });
}

export interface WeeklyOptions {
  readonly context: Pick<ProcessContext, 'paths' | 'clock'>;
  readonly log: Log;
  readonly known: () => readonly DaemonState[];
  readonly home: string;
  readonly isAway: boolean;
  readonly notify: (event: NotificationEvent) => void;
}

type Gathering = Pick<Messenger, 'cycleBegins' | 'cycleEnds'>;

export interface WeeklyMessages {
  use(config: Pick<Config, 'notify' | 'timezone'>): void;
  hear(event: JournalEvent, node: string): void;
  cycleEnded(cycle: EndedCycle, messenger: Gathering): void;
  stop(): void;
}

export function weeklyMessages(options: WeeklyOptions): WeeklyMessages {
  const { context, log, known, home, isAway, notify } = options;
  const weekly = new Weekly(weekFile(context.paths), context.clock, log);
  /** Nodes that another program scales, whose report is that one's to send. */
  const ofOthers = new Set<string>();
  const ours = (): readonly DaemonState[] => known().filter(({ node }) => !ofOthers.has(node));
  const isNamed = (): boolean => isAway || known().length > 1;
  /**
   * As a message of its own, which lies on the disk before the week is over: it may come twice if
   * the process is killed right between, but is never lost.
   */
  const send = ([text = '', ...further]: readonly string[], messenger: Gathering): void => {
    for (const line of [text, ...further]) log.info(line);
    messenger.cycleBegins();
    notify({ kind: 'report', severity: 'info', text, further });
    messenger.cycleEnds();
    weekly.sent(ours());
  };
  return {
    use: (config) => weekly.use(config),
    hear: (event, node) => weekly.hear(event, node),
    cycleEnded({ node, result, view }, messenger) {
      if (isStandby(result)) ofOthers.add(node);
      else if (result.ok) ofOthers.delete(node);
      const mine = ours();
      const one = mine.find((each) => each.node === node);
      if (view !== undefined && one !== undefined) weekly.seen(one, view);
      const mayTell = view !== undefined && node === home;
      const lines = mayTell ? weekly.due(mine, isNamed()) : undefined;
      if (lines !== undefined && mine.length > 0) send(lines, messenger);
      else if (lines !== undefined) weekly.sent([]);
      weekly.save();
    },
    stop: () => weekly.stop(),
  };
}

class Weekly {
  readonly #file: WeekFile;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #lastSeenMs = new Map<string, Milliseconds>();
  #week: Week;
  #nextMs: (afterMs: number) => number | undefined = () => undefined;
  #localTime: (wallMs: Milliseconds) => string = String;
  #savedMs = Number.NEGATIVE_INFINITY;
  #isUnsaved = false;
  #complaint: string | undefined;

  constructor(file: WeekFile, clock: Clock, log: Log) {
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
    this.#week = file.read((message) => log.warn(message)) ?? newWeek(clock.wallMs());
  }

  use({ notify: { weekly }, timezone }: Pick<Config, 'notify' | 'timezone'>): void {
    const { day, hour } = weekly ?? { day: 'monday', hour: 8 };
    const weekday = (WEEKDAYS.indexOf(day) + 1) % WEEKDAYS.length;
    this.#nextMs = cronTimes(`0 ${hour} * * ${weekday}`, timezone);
    this.#localTime = createTimestamp(timezone);
  }

  hear(event: JournalEvent, node: string): void {
    if (noteOutcome(nodeOf(this.#week, node), event)) this.#isUnsaved = true;
  }

  /** A whole cycle that saw the guests. */
  seen(known: DaemonState, view: CycleView): void {
    const { node, pollIntervalMs } = known;
    const { atMs } = view.observed;
    const sinceMs = atMs - (this.#lastSeenMs.get(node) ?? atMs);
    const isWhole = pollIntervalMs !== undefined && sinceMs <= LATEST * pollIntervalMs;
    this.#lastSeenMs.set(node, atMs);
    this.#note(known, view, isWhole ? sinceMs : 0);
  }

  #note({ node, state }: DaemonState, view: CycleView, lastedMs: number): void {
    const { observed, planned } = view;
    const shortages = new Map(
      observed.containers.map(({ vmid }) => [vmid, state.guests.get(vmid)?.shortages]),
    );
    noteSeen(nodeOf(this.#week, node), { lastedMs, held: planned.held, shortages });
  }

  /** The lines of the report if it is due; one that was missed is due until it is `sent`. */
  due(known: readonly DaemonState[], isNamed: boolean): readonly string[] | undefined {
    const nowMs = this.#clock.wallMs();
    // A clock that was set back must not put the report off.
    if (this.#week.sinceMs > nowMs) this.#week.sinceMs = nowMs;
    const dueMs = this.#nextMs(this.#week.sinceMs);
    if (dueMs === undefined || dueMs > nowMs) return undefined;
    return weeklyReport(this.#week, nodesNow(known, isNamed), nowMs, this.#localTime);
  }

  /** The report is on its way: the next week begins. */
  sent(known: readonly DaemonState[]): void {
    this.#week = newWeek(milliseconds(this.#clock.wallMs()));
    for (const one of known) if (one.view !== undefined) this.#note(one, one.view, 0);
    this.#isUnsaved = true;
  }

  save(): void {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#isUnsaved && nowMs - this.#savedMs < SAVE_MS) return;
    const failure = this.#file.write(this.#week);
    if (failure !== undefined && failure !== this.#complaint) this.#log.warn(failure);
    this.#complaint = failure;
    this.#isUnsaved = failure !== undefined;
    this.#savedMs = nowMs;
  }

  stop(): void {
    this.#isUnsaved = true;
    this.save();
  }
}
