import { describe, expect, it } from 'vitest';
import { type UseSample, withCooldown, withUseSample } from '../../src/core/cooldown.ts';
import type { Change } from '../../src/core/decision.ts';
import { thresholdCores } from '../../src/core/policies/threshold.ts';
import type { Timing } from '../../src/core/policy.ts';
import { milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { cpuUse, policy } from './builders.ts';

const NOW_MS = 1_000_000;

function timing(own: Partial<Timing> = {}): Timing {
  return {
    cooldownUpMs: milliseconds(0),
    cooldownDownMs: milliseconds(300_000),
    periodsUp: 1,
    periodsDown: 3,
    startGraceMs: milliseconds(600_000),
    firstShrinkMs: milliseconds(0),
    manualHoldMs: milliseconds(0),
    ...own,
  };
}

const steady = (...used: number[]): UseSample[] => used.map((each) => ({ used: each, peak: each }));

/** Four cores, 20..80 %, judged by the threshold policy. */
function judged(seen: readonly UseSample[], own: Partial<Timing> = {}, changedMs?: number) {
  const nowMs = milliseconds(NOW_MS);
  return withCooldown(
    {
      seen,
      timing: timing(own),
      nowMs,
      changedMs: changedMs === undefined ? undefined : milliseconds(changedMs),
    },
    ({ used, peak }) => thresholdCores({ has: 4 }, cpuUse(used, 4), policy(), peak),
  );
}

describe('growing', () => {
  it('is urgent: the latest observation is enough, whatever came before', () => {
    expect(judged(steady(0.1, 0.1, 3.9))).toMatchObject({ verdict: 'grow' });
    expect(judged(steady(3.9))).toMatchObject({ verdict: 'grow' });
  });

  it('rests on as many observations as the policy asks for', () => {
    expect(judged(steady(3.9), { periodsUp: 2 })).toMatchObject({
      verdict: 'hold',
      because: { kind: 'too-few-observations', have: 1, want: 2 },
    });
    expect(judged(steady(3.9, 3.9), { periodsUp: 2 })).toMatchObject({ verdict: 'grow' });
    expect(judged(steady(1, 3.9), { periodsUp: 2 })).toMatchObject({ verdict: 'hold' });
  });

  it('waits for its cooldown', () => {
    const own = { cooldownUpMs: milliseconds(60_000) };
    expect(judged(steady(3.9), own, NOW_MS - 59_999)).toMatchObject({
      verdict: 'hold',
      because: { kind: 'cooldown', toward: 'grow', leftMs: 1 },
    });
    expect(judged(steady(3.9), own, NOW_MS - 60_000)).toMatchObject({ verdict: 'grow' });
  });
});

describe('shrinking', () => {
  it('is never urgent: one low reading takes nothing', () => {
    for (const few of [steady(0.1), steady(0.1, 0.1)]) {
      expect(judged(few)).toMatchObject({ because: { kind: 'too-few-observations', want: 3 } });
    }
    expect(judged(steady(0.1, 0.1, 0.1))).toMatchObject({ verdict: 'shrink' });
  });

  it('takes the average of the last ones', () => {
    expect(judged(steady(3, 0.1, 0.1))).toMatchObject({ because: { kind: 'in-band' } });
    expect(judged(steady(3, 0.1, 0.1, 0.1))).toMatchObject({ verdict: 'shrink', after: 1 });
  });

  it('leaves room for the peak in them', () => {
    const burst = [{ used: 0.3, peak: 2.2 }, ...steady(0.1, 0.1)];
    expect(judged(burst)).toMatchObject({ verdict: 'shrink', after: 3, limits: ['need'] });
  });

  it('waits for its cooldown after a change, growth or not', () => {
    expect(judged(steady(0.1, 0.1, 0.1), {}, NOW_MS - 299_999)).toMatchObject({
      because: { kind: 'cooldown', toward: 'shrink', leftMs: 1 },
    });
    expect(judged(steady(0.1, 0.1, 0.1), {}, NOW_MS - 300_000)).toMatchObject({
      verdict: 'shrink',
    });
  });
});

describe('for any usage', () => {
  const seen = fc.array(fc.double({ min: 0, max: 4, noNaN: true }), { minLength: 1, maxLength: 8 });

  it('no step comes within its cooldown, so no up-down pair does', () => {
    fc.assert(
      fc.property(seen, fc.integer({ min: 0, max: 299_999 }), (used, agoMs) => {
        const both = { cooldownUpMs: milliseconds(300_000) };
        expect(judged(steady(...used), both, NOW_MS - agoMs).verdict).toBe('hold');
      }),
    );
  });

  it('no core is taken that a peak in the window needs', () => {
    fc.assert(
      fc.property(seen, (used) => {
        const step = judged(steady(...used)) as Partial<Change>;
        if (step.verdict !== 'shrink') return;
        const peak = Math.max(...used.slice(-3));
        expect(peak / (step.after ?? 0)).toBeLessThanOrEqual(0.8 + 1e-6);
      }),
    );
  });
});

describe('the window', () => {
  it('is bounded, newest last, and ends with a reading that is missing', () => {
    let window: readonly UseSample[] = [];
    for (let used = 0; used < 1000; used += 1) {
      window = withUseSample(window, { used, peak: used }, 5);
    }
    expect(window.map(({ used }) => used)).toEqual([995, 996, 997, 998, 999]);
    window = withUseSample(window, { used: 1000, peak: 1000 }, 2);
    expect(window.map(({ used }) => used)).toEqual([999, 1000]);
    window = withUseSample(window, undefined, 2);
    expect(window).toEqual([]);
  });

  it('holds a decision that was brought forward until the interval is over, and its peak', () => {
    let window: readonly UseSample[] = [];
    window = withUseSample(window, { used: 1, peak: 2 }, 3);
    window = withUseSample(window, { used: 5, peak: 5.9, early: true }, 3);
    expect(window.map(({ used }) => used)).toEqual([1, 5]);
    window = withUseSample(window, { used: 3, peak: 4, early: true }, 3);
    window = withUseSample(window, { used: 0.3, peak: 0.3, early: false }, 3);
    expect(window).toEqual([
      { used: 1, peak: 2 },
      { used: 0.3, peak: 5.9, early: false },
    ]);
  });
});
