import type { Config } from '../config/model.ts';
import { unfitFile, withoutFile } from '../core/installation.ts';
import type { CycleResult, CycleView } from '../loop/cycle.ts';

/** A cycle that is over. */
export interface EndedCycle {
  /** The name of its node. */
  readonly node: string;
  /** An early cycle serves only containers whose decision cannot wait. */
  readonly kind: 'whole' | 'early';
  readonly result: CycleResult;
  /** What it knew; undefined: it was early, or the containers could not be seen. */
  readonly view: CycleView | undefined;
}

/**
 * What the program does besides its loop: groups, usage history, notifications, metrics. All have
 * the same life cycle. A part loads its code when a configuration first needs it.
 */
export interface Part {
  /** Makes a configuration active: at the start, and again at each reload. */
  apply(config: Config): Promise<void>;
  /** @param node its name */
  cycleBegins?(node: string): void;
  cycleEnded?(cycle: EndedCycle): void;
  stop(): Promise<void>;
}

/**
 * Several parts as one. Each step calls those that are in the list by then, in their order.
 * @param complain told of a file that parts cannot do without; the others go on
 */
export const together = (
  parts: readonly Part[],
  complain: (message: string) => void,
): Required<Part> => ({
  async apply(config) {
    const unfit = new Set<string>();
    for (const part of [...parts]) {
      try {
        await part.apply(config);
      } catch (error) {
        const why = unfitFile(error);
        if (why === undefined) throw error;
        unfit.add(why);
      }
    }
    for (const why of unfit) complain(withoutFile(why));
  },
  cycleBegins(node) {
    for (const part of [...parts]) part.cycleBegins?.(node);
  },
  cycleEnded(cycle) {
    for (const part of [...parts]) part.cycleEnded?.(cycle);
  },
  async stop() {
    for (const part of [...parts]) await part.stop();
  },
});
