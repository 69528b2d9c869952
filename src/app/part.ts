import type { Config } from '../config/model.ts';
import type { CycleResult, CycleView } from '../cycle.ts';

/** A cycle that is over. */
export interface EndedCycle {
  /** An early one is only about containers whose decision cannot wait. */
  readonly kind: 'whole' | 'early';
  readonly result: CycleResult;
  /** What it knew; undefined: it was early, or the containers could not be seen. */
  readonly view: CycleView | undefined;
}

/**
 * What the program does besides its loop: groups, the history of usage, notifications, metrics.
 * All have the same life. A part loads what it needs when a configuration first asks for it.
 */
export interface Part {
  /** Takes a configuration into force: at the start, and again at each reload. */
  apply(config: Config): Promise<void>;
  cycleBegins?(): void;
  cycleEnded?(cycle: EndedCycle): void;
  stop(): Promise<void>;
}

/** Several parts as one: each step goes through them in their order. */
export const together = (parts: readonly Part[]): Required<Part> => ({
  async apply(config) {
    for (const part of parts) await part.apply(config);
  },
  cycleBegins() {
    for (const part of parts) part.cycleBegins?.();
  },
  cycleEnded(cycle) {
    for (const part of parts) part.cycleEnded?.(cycle);
  },
  async stop() {
    for (const part of parts) await part.stop();
  },
});
