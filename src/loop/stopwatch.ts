import type { Clock } from '../node/port.ts';

/** Runs a stage and notes how long it took, in milliseconds, under its name. */
export interface Stopwatch {
  <T>(stage: string, run: () => T): T;
  readonly spentMs: ReadonlyMap<string, number>;
}

export function stopwatch(clock: Clock): Stopwatch {
  const spentMs = new Map<string, number>();
  const timed = <T>(stage: string, run: () => T): T => {
    const startMs = clock.monotonicMs();
    const note = (): void => {
      spentMs.set(stage, clock.monotonicMs() - startMs);
    };
    const result = run();
    if (result instanceof Promise) return result.finally(note) as T;
    note();
    return result;
  };
  return Object.assign(timed, { spentMs });
}
