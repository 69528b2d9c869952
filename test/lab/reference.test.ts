import { describe, expect, it } from 'vitest';
import { classic, oracle, unscaled } from '../../src/lab/baselines.ts';
import { TRACE_BOUNDS } from '../../src/lab/demand.ts';
import type { LabPolicy } from '../../src/lab/replay.ts';
import type { Figures } from '../../src/lab/score.ts';
import { trial } from '../../src/lab/trial.ts';
import { vpa } from '../../src/lab/vpa.ts';
import { hasTraces, PART, recorded } from './traces.ts';

/**
 * The figures that the scoring rules of the traces give for the reference policies, in percent and
 * resizes a day: slack, starved, unmet; slack and out-of-memory steps of memory; resizes.
 */
interface Reference {
  readonly policy: LabPolicy;
  readonly cpu: readonly [slack: number, starved: number, unmet: number];
  readonly memory?: readonly [slack: number, outOfMemory: number];
  readonly resizes: readonly [cpu: number, memory?: number];
}

const REFERENCES: Readonly<Record<string, readonly Reference[]>> = {
  // Every twelfth container of the next one, by the same code.
  [PART]: [
    { policy: classic, cpu: [50.6, 0.06, 0.01], memory: [53.2, 0.02], resizes: [1.1, 1.3] },
    { policy: vpa, cpu: [51.6, 0.0, 0.0], memory: [51.4, 0.02], resizes: [0.0, 0.2] },
    { policy: oracle, cpu: [18.1, 0.0, 0.0], memory: [0.6, 0.0], resizes: [25.8, 97.4] },
  ],
  'google-2011': [
    { policy: classic, cpu: [54.5, 0.06, 0.02], memory: [49.5, 0.021], resizes: [1.7, 0.5] },
    { policy: vpa, cpu: [55.1, 0.09, 0.04], memory: [48.3, 0.038], resizes: [0.0, 0.2] },
    { policy: oracle, cpu: [19.0, 0.0, 0.0], memory: [0.5, 0.01], resizes: [26.6, 96.7] },
  ],
  'planetlab-2011': [
    { policy: classic, cpu: [62.9, 3.6, 4.41], resizes: [34.5] },
    { policy: vpa, cpu: [59.6, 2.46, 3.38], resizes: [0.1] },
    { policy: oracle, cpu: [43.9, 0.01, 0.02], resizes: [58.2] },
  ],
  'ec2-2014': [
    { policy: classic, cpu: [64.2, 3.2, 6.05], resizes: [4.7] },
    { policy: vpa, cpu: [69.8, 3.58, 8.82], resizes: [0.1] },
    { policy: oracle, cpu: [47.1, 0.0, 0.0], resizes: [11.7] },
  ],
};

const POINTS = 0.3;
const OOM_POINTS = 0.005;

const near = (figure: number, reference: number, points: number): void => {
  expect(Math.abs(figure - reference)).toBeLessThanOrEqual(points);
};

function compare(figures: Figures, [slack, starved, unmet]: readonly number[]): void {
  near(figures.slack * 100, slack ?? 0, POINTS);
  near(figures.short * 100, starved ?? 0, POINTS);
  near(figures.unmet * 100, unmet ?? 0, POINTS);
}

describe('the reference policies on the recorded traces (all but a part is in ../shared)', () => {
  for (const [file, references] of Object.entries(REFERENCES)) {
    for (const { policy, cpu, memory, resizes } of references) {
      const has = it.skipIf(file !== PART && !hasTraces);
      has(`${policy.name} has its figures on ${file}`, async () => {
        const result = trial(await recorded(file), policy, TRACE_BOUNDS);
        compare(result.cpu, cpu);
        near(result.cpu.resizesPerDay, resizes[0], 0.3);
        expect(result.memory === undefined).toBe(memory === undefined);
        if (memory === undefined || result.memory === undefined) return;
        near(result.memory.slack * 100, memory[0], POINTS);
        near(result.memory.short * 100, memory[1], OOM_POINTS);
        near(result.memory.resizesPerDay, resizes[1] ?? 0, 0.3);
      });
    }
  }

  it.skipIf(!hasTraces)('static starves nobody that a host could feed', async () => {
    const { cpu, memory } = trial(await recorded('google-2011'), unscaled, TRACE_BOUNDS);
    expect(cpu.short).toBe(0);
    near((memory?.short ?? 1) * 100, 0.01, OOM_POINTS);
  });
});
