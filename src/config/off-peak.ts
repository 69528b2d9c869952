import type { Milliseconds } from '../core/units.ts';
import { cronTimes } from './cron.ts';
import type { Config } from './model.ts';
import type { OffPeakCron } from './settings.ts';

/** Whether it is off-peak time, by two hours of the day or by a cron expression and a length. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const MINUTES_PER_DAY = 24 * 60;

type OffPeakConfig = Pick<
  Config,
  'energyMode' | 'offPeakStartHour' | 'offPeakEndHour' | 'offPeakCron' | 'timezone'
>;

/** Minutes since midnight on the clock on the wall. */
type LocalClock = (wallMs: number) => number;

/**
 * A function that says whether off-peak time counts at a moment; never where `energy_mode` is off.
 *
 * By hours: while the local hour lies in [start, end), across midnight where the end is the smaller
 * one, so that from 22 to 6 are seven hours in the night that loses one, nine where one comes
 * twice. By cron: for its whole length from each moment at which the expression comes true.
 * Cheap: the answer is kept for as long as it holds.
 */
export function offPeakAt(config: OffPeakConfig): (wallMs: Milliseconds) => boolean {
  if (!config.energyMode) return () => false;
  const localClock = clockIn(config.timezone);
  const answer =
    config.offPeakCron === undefined
      ? byHours(config, localClock)
      : byCron(config.offPeakCron, config.timezone, localClock);
  let known: Answer | undefined;
  return (wallMs) => {
    if (known === undefined || wallMs < known.fromMs || wallMs >= known.untilMs) {
      known = answer(wallMs);
    }
    return known.isOffPeak;
  };
}

/** Holds from the one moment until before the other. */
interface Answer {
  readonly isOffPeak: boolean;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Without a time zone the host's own clock answers, and ICU's 7 MB are not touched. */
function clockIn(timezone: string | undefined): LocalClock {
  if (timezone === undefined) {
    return (wallMs) => {
      const date = new Date(wallMs);
      return date.getHours() * 60 + date.getMinutes();
    };
  }
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (wallMs) => {
    const [hours, minutes] = format.format(wallMs).split(':');
    return Number(hours) * 60 + Number(minutes);
  };
}

/** Whether an hour lies in [from, to), across midnight where the end is the smaller one. */
const liesIn = (hour: number, from: number, to: number): boolean =>
  from <= to ? from <= hour && hour < to : from <= hour || hour < to;

/** Whether messages that can wait have to. */
export function quietHours(
  { from, to }: { readonly from: number; readonly to: number },
  timezone: string | undefined,
): (wallMs: Milliseconds) => boolean {
  const localClock = clockIn(timezone);
  return (wallMs) => liesIn(Math.floor(localClock(wallMs) / 60), from, to);
}

function byHours(
  { offPeakStartHour: start, offPeakEndHour: end }: OffPeakConfig,
  localClock: LocalClock,
): (wallMs: number) => Answer {
  return (wallMs) => {
    const isOffPeak = liesIn(Math.floor(localClock(wallMs) / 60), start, end);
    // All clocks change at whole minutes.
    const fromMs = Math.floor(wallMs / MINUTE_MS) * MINUTE_MS;
    return { isOffPeak, fromMs, untilMs: fromMs + MINUTE_MS };
  };
}

/**
 * It is off-peak time where the first start after `lastsMs` ago is not in the future. So only
 * starts to come are asked for, and the first one tells until when the answer holds.
 */
function byCron(
  { expression, lastsMs }: OffPeakCron,
  timezone: string | undefined,
  localClock: LocalClock,
): (wallMs: number) => Answer {
  const nextStart = cronTimes(expression, timezone);
  return (wallMs) => {
    const startMs = firstAfter(nextStart, wallMs - lastsMs, localClock);
    if (startMs === undefined) {
      return { isOffPeak: false, fromMs: wallMs, untilMs: wallMs + HOUR_MS };
    }
    if (startMs > wallMs) return { isOffPeak: false, fromMs: wallMs, untilMs: startMs };
    return { isOffPeak: true, fromMs: startMs, untilMs: startMs + lastsMs };
  };
}

/** Longer than a clock change is felt. */
const CHANGE_MS = 3 * HOUR_MS;

/**
 * The first start after a moment. Asked from right behind a clock change, cron misses a start that
 * the change put off, and gives one that came before it once more; so it is asked from before.
 */
function firstAfter(
  nextStart: (afterMs: number) => number | undefined,
  momentMs: number,
  localClock: LocalClock,
): number | undefined {
  const passed = localClock(momentMs) - localClock(momentMs - CHANGE_MS);
  const isChanged = (passed + MINUTES_PER_DAY) % MINUTES_PER_DAY !== CHANGE_MS / MINUTE_MS;
  let startMs = nextStart(isChanged ? momentMs - CHANGE_MS : momentMs);
  while (startMs !== undefined && startMs <= momentMs) startMs = nextStart(startMs);
  return startMs;
}
