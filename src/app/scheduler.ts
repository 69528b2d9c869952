import type { Clock } from '../node/port.ts';

/** Decides when a cycle runs: timer, signals and reload. It does not know what a cycle does. */
export interface Schedule {
  readonly clock: Clock;
  /** Runs one cycle. `stop` fires when the program is to end. */
  readonly cycle: (stop: AbortSignal) => Promise<void>;
  /** After each cycle, with the time until the next one. */
  readonly resting: (untilNextMs: number) => void;
  readonly pollIntervalMs: () => number;
  /** When the first cycle is due, on the monotonic clock; left out: at once. */
  readonly firstMs?: number | undefined;
  /** Samples the containers between two cycles. */
  readonly sampling?: Sampling;
  /** Makes a new configuration active, or refuses it. It never throws for a wrong one. */
  readonly reload: () => Promise<void>;
  readonly supervisor?: Supervision;
}

/** The service manager that watches the daemon; see os/systemd.ts. */
export interface Supervision {
  readonly beatIntervalMs: number | undefined;
  ready(): Promise<void>;
  reloading(): Promise<void>;
  beat(): void;
  stopping(): Promise<void>;
}

export interface Sampling {
  readonly intervalMs: () => number;
  /** When a glance comes between two samples, from the first of them on; Infinity: none comes. */
  readonly glanceAfterMs?: () => number;
  /** May run an early cycle. Returns whether the next sample should come soon. */
  readonly sample: (stop: AbortSignal, look: Look) => Promise<boolean>;
  /** When a look is due that does not wait for its turn; Infinity: none is. */
  readonly prompts?: { readonly dueMs: number; wakeBy(wake: () => void): void } | undefined;
  /**
   * Samples only, while changes are in progress; nothing is decided. Returns whether a decision
   * cannot wait; then `sample` follows as soon as the changes are over.
   */
  readonly look?: () => boolean;
}

/**
 * `prompted`: only those are looked at for which `prompts` has asked. `glance`: only those are
 * sampled in which something begins.
 */
export type Look = 'all' | 'prompted' | 'glance';

/** How much sooner the next sample comes when something may have begun. */
export const SOON = 0.25;

/** The source of signals: `process` in the program. */
export interface Signals {
  on(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGUSR1', listener: () => void): void;
  off(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGUSR1', listener: () => void): void;
}

/** The most that setTimeout takes. A longer sleep is divided into several. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

/**
 * Runs a cycle every `pollIntervalMs`, from one start to the next, until SIGTERM or SIGINT. A late
 * cycle drops the starts it has missed; it neither piles them up nor shifts those that follow.
 */
export async function runOnSchedule(schedule: Schedule, signals: Signals): Promise<void> {
  const stop = new AbortController();
  const alarm = new Alarm();
  const { supervisor } = schedule;
  const prompts = schedule.sampling?.prompts;
  const longestSleepMs = supervisor?.beatIntervalMs ?? Number.POSITIVE_INFINITY;
  let reloadAsked = false;
  let isReady = false;
  const onStop = (): void => {
    stop.abort();
    alarm.ring();
  };
  const onReload = (): void => {
    reloadAsked = true;
    alarm.ring();
  };
  signals.on('SIGTERM', onStop);
  signals.on('SIGINT', onStop);
  signals.on('SIGHUP', onReload);
  try {
    let nextMs = schedule.firstMs ?? (schedule.clock.monotonicMs() as number);
    const times = new LookTimes(schedule);
    prompts?.wakeBy(() => alarm.ring());
    while (!stop.signal.aborted) {
      supervisor?.beat();
      if (reloadAsked) {
        reloadAsked = false;
        const intervalBefore = schedule.pollIntervalMs();
        await supervisor?.reloading();
        await schedule.reload();
        await supervisor?.ready();
        // A changed interval counts from the last start.
        if (isReady) nextMs += schedule.pollIntervalMs() - intervalBefore;
        continue;
      }
      const lookMs = times.nextMs;
      const waitMs = Math.min(nextMs, lookMs) - schedule.clock.monotonicMs();
      if (waitMs > 0) {
        await alarm.sleep(Math.min(waitMs, longestSleepMs));
        continue;
      }
      if (lookMs < nextMs) {
        const { next } = times;
        const looks = lookMeanwhile(schedule.sampling);
        const soon = await schedule.sampling?.sample(stop.signal, next).finally(looks.end);
        times.after(next, looks.cannotWait ? 0 : soon ? SOON : 1);
        continue;
      }
      const looks = lookMeanwhile(schedule.sampling);
      await schedule.cycle(stop.signal).finally(looks.end);
      times.after('all', looks.cannotWait ? 0 : 1);
      nextMs = nextStart(nextMs, schedule.pollIntervalMs(), schedule.clock.monotonicMs());
      if (!stop.signal.aborted) schedule.resting(nextMs - schedule.clock.monotonicMs());
      if (!isReady) await supervisor?.ready();
      isReady = true;
    }
    await supervisor?.stopping();
  } finally {
    signals.off('SIGTERM', onStop);
    signals.off('SIGINT', onStop);
    signals.off('SIGHUP', onReload);
  }
}

export interface LookRhythm extends Pick<Schedule, 'clock'> {
  readonly sampling?: Pick<Sampling, 'intervalMs' | 'glanceAfterMs' | 'prompts'> | undefined;
}

/** When the next look comes, and of which kind. */
export class LookTimes {
  readonly #schedule: LookRhythm;
  #sampleMs = Number.POSITIVE_INFINITY;
  #glanceMs = Number.POSITIVE_INFINITY;

  constructor(schedule: LookRhythm) {
    this.#schedule = schedule;
  }

  get nextMs(): number {
    return Math.min(this.#sampleMs, this.#promptMs, this.#glanceMs);
  }

  get next(): Look {
    const { nextMs } = this;
    if (nextMs === this.#sampleMs) return 'all';
    return nextMs === this.#promptMs ? 'prompted' : 'glance';
  }

  get #promptMs(): number {
    return this.#schedule.sampling?.prompts?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** @param share of the interval that passes until the next sample */
  after(look: Look, share: number): void {
    const { clock, sampling } = this.#schedule;
    const { intervalMs = NEVER, glanceAfterMs = NEVER } = sampling ?? {};
    const nowMs = clock.monotonicMs();
    const nextMs = nowMs + intervalMs() * share;
    // What comes in between puts no sample off.
    this.#sampleMs = look === 'all' ? nextMs : Math.min(this.#sampleMs, nextMs);
    if (look === 'all') this.#glanceMs = nowMs + glanceAfterMs();
    else if (look === 'glance') this.#glanceMs = Number.POSITIVE_INFINITY;
  }
}

const NEVER = (): number => Number.POSITIVE_INFINITY;

interface Looks {
  /** A container was seen whose decision cannot wait. */
  readonly cannotWait: boolean;
  readonly end: () => void;
}

/** Changes may take half a minute and more. Containers are sampled meanwhile. */
function lookMeanwhile(sampling: Sampling | undefined): Looks {
  let cannotWait = false;
  const look = (): void => {
    cannotWait = sampling?.look?.() === true;
  };
  const intervalMs = sampling?.look === undefined ? undefined : sampling.intervalMs();
  const timer =
    intervalMs === undefined
      ? undefined
      : setInterval(look, Math.min(intervalMs, LONGEST_SLEEP_MS));
  return {
    get cannotWait() {
      return cannotWait;
    },
    end: () => clearInterval(timer),
  };
}

/** The next start in the fixed rhythm. */
export function nextStart(lastMs: number, intervalMs: number, nowMs: number): number {
  const missed = Math.max(0, Math.floor((nowMs - lastMs) / intervalMs));
  return lastMs + (missed + 1) * intervalMs;
}

/** A sleep that a signal ends early. */
class Alarm {
  #wake: (() => void) | undefined;
  #rung = false;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async sleep(ms: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(ms, LONGEST_SLEEP_MS));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = undefined;
    this.#rung = false;
  }
}
