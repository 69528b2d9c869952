import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nextStart, runOnSchedule, type Schedule, type Signals } from '../../src/app/scheduler.ts';
import { milliseconds } from '../../src/core/units.ts';

type Signal = Parameters<Signals['on']>[0];

/** What `process` is to the program. */
class FakeSignals implements Signals {
  readonly listeners = new Map<Signal, Set<() => void>>();

  on(signal: Signal, listener: () => void): void {
    this.listeners.set(signal, (this.listeners.get(signal) ?? new Set()).add(listener));
  }

  off(signal: Signal, listener: () => void): void {
    this.listeners.get(signal)?.delete(listener);
  }

  send(signal: Signal): void {
    for (const listener of this.listeners.get(signal) ?? []) listener();
  }

  get count(): number {
    return [...this.listeners.values()].reduce((sum, each) => sum + each.size, 0);
  }
}

/** A daemon on a fake clock; times are in seconds since its start. */
class Run {
  readonly signals = new FakeSignals();
  readonly starts: number[] = [];
  readonly rests: number[] = [];
  readonly reloads: number[] = [];
  /** What the service manager was told, and when. */
  readonly told: string[] = [];
  readonly beats: number[] = [];
  readonly beatIntervalMs: number | undefined;
  readonly startMs = performance.now();
  intervalMs = 10_000;
  /** How long the next cycle takes. */
  cycleMs = 0;
  onReload: () => void | Promise<void> = () => {};
  onCycle: (stop: AbortSignal) => void = () => {};
  ended: 'running' | 'ended' | Error = 'running';

  constructor(beatIntervalMs?: number) {
    this.beatIntervalMs = beatIntervalMs;
    const clock = {
      wallMs: () => milliseconds(0),
      monotonicMs: () => milliseconds(performance.now()),
    };
    const tell = async (what: string): Promise<void> => {
      this.told.push(`${this.seconds()} ${what}`);
    };
    const parts: Schedule = {
      clock,
      supervisor: {
        beatIntervalMs: this.beatIntervalMs,
        ready: () => tell('ready'),
        reloading: () => tell('reloading'),
        beat: () => void this.beats.push(this.seconds()),
        stopping: () => tell('stopping'),
      },
      cycle: async (stop) => {
        this.starts.push(this.seconds());
        this.onCycle(stop);
        if (this.cycleMs > 0) await new Promise((resolve) => setTimeout(resolve, this.cycleMs));
      },
      resting: (untilNextMs) => void this.rests.push(Math.round(untilNextMs) / 1000),
      pollIntervalMs: () => this.intervalMs,
      reload: async () => {
        this.reloads.push(this.seconds());
        await this.onReload();
      },
    };
    runOnSchedule(parts, this.signals).then(
      () => {
        this.ended = 'ended';
      },
      (error: Error) => {
        this.ended = error;
      },
    );
  }

  seconds(): number {
    return Math.round(performance.now() - this.startMs) / 1000;
  }

  /** Lets so many seconds pass. */
  async pass(seconds: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(seconds * 1000);
  }

  async stop(): Promise<void> {
    this.signals.send('SIGTERM');
    await vi.advanceTimersByTimeAsync(this.cycleMs);
  }
}

let run: Run;

beforeEach(() => {
  vi.useFakeTimers();
  run = new Run();
});

afterEach(async () => {
  await run.stop();
  vi.useRealTimers();
});

describe('the rhythm', () => {
  it('begins at once and goes from start to start', async () => {
    run.cycleMs = 3000;
    await run.pass(35);
    expect(run.starts).toEqual([0, 10, 20, 30]);
  });

  it('says after each cycle how long it is until the next', async () => {
    await run.pass(0);
    run.cycleMs = 3000;
    await run.pass(15);
    expect(run.rests).toEqual([10, 7]);
  });

  it('drops the starts that a late cycle has missed, and shifts none that follow', async () => {
    await run.pass(5);
    run.cycleMs = 24_000;
    await run.pass(6);
    run.cycleMs = 0;
    await run.pass(50);
    expect(run.starts).toEqual([0, 10, 40, 50, 60]);
    expect(run.rests[1]).toBe(6);
  });

  it('bears an interval that is longer than a timer can be', async () => {
    await run.pass(5);
    run.intervalMs = 3_000_000_000;
    await run.pass(5);
    expect(run.starts).toEqual([0, 10]);
    await run.pass(2_999_999);
    expect(run.starts.length).toBe(2);
    await run.pass(1);
    expect(run.starts).toEqual([0, 10, 3_000_010]);
  });

  it.each([
    [0, 10, 0, 10],
    [0, 10, 9.9, 10],
    [0, 10, 10, 20],
    [0, 10, 34, 40],
    [100, 10, 95, 110],
  ])('after %d every %d, seen at %d: %d', (last, interval, now, next) => {
    expect(nextStart(last, interval, now)).toBe(next);
  });
});

describe('SIGHUP', () => {
  it('while resting reloads at once and leaves the rhythm alone', async () => {
    await run.pass(13);
    run.signals.send('SIGHUP');
    await run.pass(0);
    expect(run.reloads).toEqual([13]);
    await run.pass(20);
    expect(run.starts).toEqual([0, 10, 20, 30]);
  });

  it('during a cycle reloads when that has ended', async () => {
    run.cycleMs = 0;
    await run.pass(5);
    run.cycleMs = 4000;
    await run.pass(6);
    run.signals.send('SIGHUP');
    run.signals.send('SIGHUP');
    expect(run.reloads).toEqual([]);
    await run.pass(20);
    expect(run.reloads).toEqual([14]);
    expect(run.starts).toEqual([0, 10, 20, 30]);
  });

  it('a shorter interval counts from the last start on', async () => {
    await run.pass(13);
    run.onReload = () => {
      run.intervalMs = 5000;
    };
    run.signals.send('SIGHUP');
    await run.pass(8);
    expect(run.starts).toEqual([0, 10, 15, 20]);
  });

  it('an interval that has passed already begins a cycle at once', async () => {
    await run.pass(17);
    run.onReload = () => {
      run.intervalMs = 2000;
    };
    run.signals.send('SIGHUP');
    await run.pass(4);
    expect(run.starts).toEqual([0, 10, 17, 18, 20]);
  });

  it('a longer interval delays the next cycle', async () => {
    await run.pass(13);
    run.onReload = () => {
      run.intervalMs = 60_000;
    };
    run.signals.send('SIGHUP');
    await run.pass(60);
    expect(run.starts).toEqual([0, 10, 70]);
  });
});

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it('while resting ends the daemon at once', async () => {
    await run.pass(13);
    run.signals.send(signal);
    await run.pass(0);
    expect(run.ended).toBe('ended');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('during a cycle tells the cycle, waits for it and begins no other', async () => {
    await run.pass(5);
    run.cycleMs = 30_000;
    let told: AbortSignal | undefined;
    run.onCycle = (stop) => {
      told = stop;
    };
    await run.pass(6);
    expect(told?.aborted).toBe(false);
    run.signals.send(signal);
    expect(told?.aborted).toBe(true);
    await run.pass(10);
    expect(run.ended).toBe('running');
    await run.pass(20);
    expect(run.ended).toBe('ended');
    expect(run.starts).toEqual([0, 10]);
    expect(run.rests).toEqual([10]);
  });

  it('during a reload begins no cycle any more, though one is due', async () => {
    await run.pass(9);
    run.onReload = () => new Promise((resolve) => setTimeout(resolve, 5000));
    run.signals.send('SIGHUP');
    await run.pass(3);
    run.signals.send(signal);
    await run.pass(3);
    expect(run.ended).toBe('ended');
    expect(run.starts).toEqual([0]);
  });
});

describe('an end', () => {
  it('leaves no listener behind', async () => {
    expect(run.signals.count).toBe(3);
    await run.stop();
    expect(run.signals.count).toBe(0);
  });

  it('by a broken invariant in a cycle is not hidden, and leaves none either', async () => {
    await run.pass(5);
    run.onCycle = () => {
      throw new Error('broken');
    };
    await run.pass(10);
    expect(run.ended).toEqual(new Error('broken'));
    expect(run.signals.count).toBe(0);
  });
});

describe('the service manager', () => {
  it('hears once that the first cycle is over, of each reload, and of the end', async () => {
    run.cycleMs = 3000;
    await run.pass(15);
    run.onReload = () => new Promise((resolve) => setTimeout(resolve, 500));
    run.signals.send('SIGHUP');
    await run.pass(10);
    await run.stop();
    expect(run.told).toEqual(['0 ready', '15 reloading', '15.5 ready', '25 stopping']);
  });

  it('gets its signs of life however long nothing is to be done', async () => {
    await run.stop();
    run = new Run(40_000);
    run.intervalMs = 100_000;
    await run.pass(205);
    expect([...new Set(run.beats)]).toEqual([0, 40, 80, 100, 140, 180, 200]);
  });

  it('gets none while a cycle hangs', async () => {
    await run.stop();
    run = new Run(40_000);
    await run.pass(1);
    run.cycleMs = 1_000_000;
    await run.pass(205);
    expect(Math.max(...run.beats)).toBe(10);
  });
});

describe('while changes are under way', () => {
  /** When it looked and when it sampled, with cycles that take their time. */
  function watched(
    cycleMs: number,
    cannotWait: (second: number) => boolean,
    glanceAfterMs?: number,
  ) {
    const startMs = performance.now();
    const seconds = (): number => Math.round((performance.now() - startMs) / 1000);
    const seen: string[] = [];
    const signals = new FakeSignals();
    let wake = (): void => {};
    const prompts = {
      dueMs: Number.POSITIVE_INFINITY,
      wakeBy: (by: () => void) => {
        wake = by;
      },
    };
    const ended = runOnSchedule(
      {
        clock: {
          wallMs: () => milliseconds(0),
          monotonicMs: () => milliseconds(performance.now()),
        },
        cycle: async () => {
          seen.push(`${seconds()} cycle`);
          await new Promise((resolve) => setTimeout(resolve, cycleMs));
        },
        sampling: {
          intervalMs: () => 10_000,
          prompts,
          ...(glanceAfterMs && { glanceAfterMs: () => glanceAfterMs }),
          sample: async (_stop, look) => {
            seen.push(`${seconds()} ${look === 'all' ? 'sample' : look}`);
            if (look === 'prompted') prompts.dueMs = Number.POSITIVE_INFINITY;
            return cannotWait(seconds());
          },
          look: () => {
            seen.push(`${seconds()} look`);
            return cannotWait(seconds());
          },
        },
        resting: () => {},
        pollIntervalMs: () => 300_000,
        reload: async () => {},
      },
      signals,
    );
    const stop = async (): Promise<void> => {
      signals.send('SIGTERM');
      await vi.advanceTimersByTimeAsync(cycleMs);
      await ended;
    };
    const prompt = (): void => {
      prompts.dueMs = performance.now() + 250;
      wake();
    };
    return { seen, stop, prompt };
  }

  it('containers are looked at in the rhythm of the samples', async () => {
    const { seen, stop } = watched(26_000, () => false);
    await vi.advanceTimersByTimeAsync(47_000);
    await stop();
    expect(seen).toEqual(['0 cycle', '10 look', '20 look', '36 sample', '46 sample']);
  });

  it('what cannot wait is decided as soon as they are over', async () => {
    const { seen, stop } = watched(26_000, (second) => second === 20);
    await vi.advanceTimersByTimeAsync(37_000);
    await stop();
    expect(seen).toEqual(['0 cycle', '10 look', '20 look', '26 sample', '36 sample']);
  });

  it('what is over by the last sample waits for the next sample', async () => {
    const { seen, stop } = watched(26_000, (second) => second === 10);
    await vi.advanceTimersByTimeAsync(37_000);
    await stop();
    expect(seen).toEqual(['0 cycle', '10 look', '20 look', '36 sample']);
  });

  it('what a node tells is looked at when they are over', async () => {
    const { seen, stop, prompt } = watched(26_000, () => false);
    await vi.advanceTimersByTimeAsync(5000);
    prompt();
    await vi.advanceTimersByTimeAsync(32_000);
    await stop();
    expect(seen).toEqual(['0 cycle', '10 look', '20 look', '26 prompted', '36 sample']);
  });

  it('and else at once, in between the samples, which stay where they are', async () => {
    const { seen, stop, prompt } = watched(0, () => false);
    for (const ms of [13_000, 3000]) {
      await vi.advanceTimersByTimeAsync(ms);
      prompt();
    }
    await vi.advanceTimersByTimeAsync(15_000);
    await stop();
    const samples = ['10 sample', '13 prompted', '16 prompted', '20 sample', '30 sample'];
    expect(seen).toEqual(['0 cycle', ...samples]);
  });

  it('a glance comes between two samples, and puts none off', async () => {
    const { seen, stop } = watched(0, () => false, 5000);
    await vi.advanceTimersByTimeAsync(31_000);
    await stop();
    const looks = ['5 glance', '10 sample', '15 glance', '20 sample', '25 glance', '30 sample'];
    expect(seen).toEqual(['0 cycle', ...looks]);
  });

  it('a sample follows soon where a glance sees a beginning', async () => {
    const { seen, stop } = watched(0, (second) => second === 5, 5000);
    await vi.advanceTimersByTimeAsync(14_000);
    await stop();
    expect(seen).toEqual(['0 cycle', '5 glance', '8 sample', '13 glance']);
  });

  it('a sample follows soon where what was told may be a beginning', async () => {
    const { seen, stop, prompt } = watched(0, (second) => second === 13);
    await vi.advanceTimersByTimeAsync(13_000);
    prompt();
    await vi.advanceTimersByTimeAsync(4000);
    await stop();
    expect(seen).toEqual(['0 cycle', '10 sample', '13 prompted', '16 sample']);
  });
});
