import type { HoldReason, Rule } from './decision.ts';
import type { Verdict } from './policies/threshold.ts';
import type { Timing } from './policy.ts';
import type { Milliseconds } from './units.ts';

/** When a step may be taken: growing is urgent, shrinking never. */

/** What one cycle saw of a resource: its use (average of the time since), and the peak in it. */
export interface UseSample {
  readonly used: number;
  readonly peak: number;
  /** What would have been used if nothing had held it back, if that is known. */
  readonly demand?: number;
  /** Of a decision that was brought forward: the next observation takes its place. */
  readonly early?: boolean;
}

/**
 * A window with one more observation, newest last. A missing one ends the window. One that was
 * early leaves its peak to the next, so that a window is as many whole intervals, with all their
 * peaks. It is another array: one that grows in place has room for 17, and each guest has two.
 *
 * @param most that it holds: what nobody asks for would be most of what a guest takes of memory
 */
export function withUseSample(
  window: readonly UseSample[],
  now: UseSample | undefined,
  most: number,
): readonly UseSample[] {
  if (now === undefined) return [];
  const last = window.at(-1);
  if (last?.early !== true) return window.slice(Math.max(0, window.length + 1 - most)).concat(now);
  return window.slice(0, -1).concat({ ...now, peak: Math.max(last.peak, now.peak) });
}

/** The average of the last so many, and the most of their peaks. It runs often: no arrays. */
export function averaged(seen: readonly UseSample[], periods: number): UseSample {
  const first = Math.max(0, seen.length - periods);
  let used = 0;
  let demand = 0;
  let peak = 0;
  for (let index = first; index < seen.length; index++) {
    const one = seen[index] as UseSample;
    used += one.used;
    demand += one.demand ?? one.used;
    peak = Math.max(peak, one.peak);
  }
  const count = Math.max(1, seen.length - first);
  return { used: used / count, demand: demand / count, peak };
}

export interface CooldownInput {
  readonly seen: readonly UseSample[];
  readonly timing: Timing;
  /** When it was last changed; undefined if that was not seen. */
  readonly changedMs: Milliseconds | undefined;
  readonly nowMs: Milliseconds;
}

/**
 * Lets a policy judge the average of the last `periodsUp` observations for growth and of the last
 * `periodsDown` for shrinking, the peaks of those included; holds what comes too soon after a
 * change. A minimum that is not met and what the kernel says of a want of memory wait for nothing.
 */
export function withCooldown(input: CooldownInput, judge: (seen: UseSample) => Verdict): Verdict {
  const { seen, timing } = input;
  const quick = judge(averaged(seen, timing.periodsUp));
  if (quick.verdict === 'grow') return whenDue(input, quick, timing.periodsUp);
  const slow = judge(averaged(seen, timing.periodsDown));
  if (slow.verdict === 'shrink') return whenDue(input, slow, timing.periodsDown);
  if (slow.verdict === 'hold') return slow;
  // The longer average asks for more than the latest readings do: the need has just passed.
  return quick.verdict === 'hold' ? quick : holding(slow, { kind: 'in-band' });
}

export type Step = Extract<Verdict, { verdict: 'grow' | 'shrink' }>;

const WAITS_FOR_NOTHING: ReadonlySet<Rule> = new Set(['oom-kill', 'limit-hit', 'below-minimum']);

const holding = ({ measured }: Verdict, because: HoldReason): Verdict => ({
  verdict: 'hold',
  because,
  measured,
});

/** Whether a step may be taken now that rests on so many observations; else what it waits for. */
export function whenDue(input: CooldownInput, step: Step, periods: number): Verdict {
  if (WAITS_FOR_NOTHING.has(step.rule)) return step;
  const { seen, timing, changedMs, nowMs } = input;
  if (seen.length < periods) {
    return holding(step, { kind: 'too-few-observations', have: seen.length, want: periods });
  }
  const cooldownMs = step.verdict === 'grow' ? timing.cooldownUpMs : timing.cooldownDownMs;
  const leftMs = (changedMs ?? Number.NEGATIVE_INFINITY) + cooldownMs - nowMs;
  if (leftMs > 0) return holding(step, { kind: 'cooldown', toward: step.verdict, leftMs });
  return step;
}
