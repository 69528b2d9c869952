import { describe, expect, it } from 'vitest';
import { TRACE_BOUNDS } from '../../src/lab/demand.ts';
import { totalOf, trial } from '../../src/lab/trial.ts';
import { daemon, hasTraces, PART, recorded } from './traces.ts';

/**
 * What mode `adaptive` reaches on the recorded traces, run through the daemon's own code; every
 * second container is shown apart. Bounds are a little wider than the figures, so that they tell a
 * step back. Of memory, a recording of one day shows the first day alone, in which three times the
 * room for a leap is kept.
 */
interface Bound {
  readonly cpu: readonly [slack: number, starved: number, resizes: number];
  readonly memory?: readonly [slack: number, outOfMemory: number, resizes: number];
}

const BOUNDS: Readonly<Record<string, { readonly all: Bound; readonly others: Bound }>> = {
  [PART]: {
    all: { cpu: [36.5, 0.15, 5.5], memory: [54.5, 0.03, 6] },
    others: { cpu: [37, 0.15, 5.5], memory: [56, 0.01, 8] },
  },
  'google-2011': {
    all: { cpu: [38.5, 0.14, 4], memory: [46.5, 0.035, 5.5] },
    others: { cpu: [38.5, 0.18, 4], memory: [47, 0.035, 5.5] },
  },
  'planetlab-2011': { all: { cpu: [65, 1.25, 12.5] }, others: { cpu: [65.5, 1.3, 13] } },
  'ec2-2014': { all: { cpu: [59.5, 0.5, 5] }, others: { cpu: [60, 0.6, 5.5] } },
};

describe('adaptive on the recorded traces (all but a part is in ../shared)', () => {
  for (const [file, bounds] of Object.entries(BOUNDS)) {
    it.skipIf(file !== PART && !hasTraces)(`stays within its figures on ${file}`, async () => {
      const result = trial(await recorded(file), daemon('adaptive'), TRACE_BOUNDS);
      const others = totalOf(result.containers.filter((_, index) => index % 2 === 1));
      for (const [figures, bound] of [
        [result, bounds.all],
        [others, bounds.others],
      ] as const) {
        const [slack, starved, resizes] = bound.cpu;
        expect(figures.cpu.slack * 100).toBeLessThanOrEqual(slack);
        expect(figures.cpu.short * 100).toBeLessThanOrEqual(starved);
        expect(figures.cpu.resizesPerDay).toBeLessThanOrEqual(resizes);
        if (bound.memory === undefined || figures.memory === undefined) continue;
        const [memorySlack, outOfMemory, memoryResizes] = bound.memory;
        expect(figures.memory.slack * 100).toBeLessThanOrEqual(memorySlack);
        expect(figures.memory.short * 100).toBeLessThanOrEqual(outOfMemory);
        expect(figures.memory.resizesPerDay).toBeLessThanOrEqual(memoryResizes);
      }
    });
  }
});
