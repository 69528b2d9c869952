import { describe, expect, it } from 'vitest';
import {
  GIVEN_BACK_MS,
  arbitrate as judged,
  type ScalingCase,
  type Times,
} from '../../src/core/arbitrate.ts';
import { averaged, type UseSample } from '../../src/core/cooldown.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { thresholdCores, thresholdMemory } from '../../src/core/policies/threshold.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { cores, milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import { cpuUse, memoryUse, policy, vmid } from './builders.ts';

const ID = vmid(101);
const NOW_MS = milliseconds(50_000_000);
const IN_BOOST: Partial<ContainerPolicy> = { scaling: 'boost' };

const steady = (...used: number[]): UseSample[] => used.map((each) => ({ used: each, peak: each }));

/** So many cores, of which so much was in use in the last cycles. */
function ofCores(has: number, used: readonly number[], own: Partial<ContainerPolicy> = {}): Asked {
  const its: ContainerPolicy = { ...policy(), ...own };
  return {
    resource: 'cores',
    policy: its,
    quantum: 1,
    leastSurplus: 1,
    seen: steady(...used),
    saturated: 0,
    threshold: ({ used: now, peak, demand = now }) => {
      const usage = { ...cpuUse(now, has), demand: cores(demand) };
      return thresholdCores({ has }, usage, its, peak);
    },
  };
}

const timing = (own: Partial<ContainerPolicy['timing']>) => ({
  timing: { ...policy().timing, ...own },
});

type Asked = Omit<ScalingCase, 'record'>;
type Moment = Times & { readonly state: LoopState };

const judge = (one: Asked, { state, ...times }: Moment) =>
  judged({ ...one, record: recordOf(state, ID)[one.resource] }, times);

function at(own: Partial<Times> = {}, recall: (state: LoopState) => void = () => {}): Moment {
  const state = newLoopState();
  recall(state);
  return { state, nowMs: NOW_MS, offPeak: false, emergency: false, ...own };
}

const later = (ms: number) => milliseconds(NOW_MS + ms);

/** All voices at once: a hand, a boost, a wish for more, a host in need, and the night. */
describe('of several voices the strongest counts', () => {
  const hand = (state: LoopState) => (recordOf(state, vmid(101)).cores.handHoldMs = later(1000));
  const on = (state: LoopState) =>
    (recordOf(state, vmid(101)).cores.boost = { before: 2, boosted: 4, endMs: later(5000) });
  const ALL = { offPeak: true, emergency: true };
  const saturated = { ...ofCores(4, [4], IN_BOOST), saturated: 9 };

  it('a boost that is on, since it was asked for after a hand', () => {
    const both = at(ALL, (state) => {
      hand(state);
      on(state);
    });
    expect(judge(saturated, both)).toMatchObject({
      verdict: 'hold',
      because: { kind: 'boosted', leftMs: 5000 },
    });
  });

  it('a hand before growth, too', () => {
    const hungry = ofCores(4, [4]);
    expect(judge(hungry, at({}, hand))).toMatchObject({ because: { kind: 'changed-by-hand' } });
    const over = at({}, (state) => (recordOf(state, vmid(101)).cores.handHoldMs = NOW_MS));
    expect(judge(hungry, over)).toMatchObject({ verdict: 'grow' });
  });

  it('the hand on the memory is none on the cores', () => {
    const memory = at({}, (state) => (recordOf(state, vmid(101)).memory.handHoldMs = later(1000)));
    expect(judge(ofCores(4, [4]), memory)).toMatchObject({ verdict: 'grow' });
  });

  it('a boost that is on before growth, and before a host in need', () => {
    expect(judge(saturated, at(ALL, on))).toMatchObject({
      because: { kind: 'boosted', until: 2, leftMs: 5000 },
    });
    const idle = ofCores(4, [0.1]);
    expect(judge(idle, at(ALL, on))).toMatchObject({ because: { kind: 'boosted' } });
  });

  it('a boost ends in its time though the mode is another one by now', () => {
    const over = at(
      {},
      (state) =>
        (recordOf(state, vmid(101)).cores.boost = { before: 2, boosted: 4, endMs: NOW_MS }),
    );
    expect(judge(ofCores(4, [2]), over)).toMatchObject({ after: 2, rule: 'boost-end' });
  });

  it('growth before a host in need, which the plan then refuses', () => {
    expect(judge(ofCores(4, [4]), at(ALL))).toMatchObject({
      verdict: 'grow',
      rule: 'above-upper',
    });
    expect(judge(saturated, at(ALL))).toMatchObject({ verdict: 'grow', rule: 'saturated' });
  });

  it('a host in need before the night, and before the end of it', () => {
    const quiet = ofCores(4, [1.5]);
    expect(judge(quiet, at(ALL))).toMatchObject({ after: 2, rule: 'host-emergency' });
    const taken = at(
      { emergency: true },
      (state) => (recordOf(state, vmid(101)).cores.offPeak = { before: 8, givenBackMs: undefined }),
    );
    expect(judge(quiet, taken)).toMatchObject({ after: 2, rule: 'host-emergency' });
  });

  it('the night before the mode, where that finds nothing to change', () => {
    const quiet = ofCores(4, [1.5]);
    expect(judge(quiet, at({ offPeak: true }))).toMatchObject({ after: 2, rule: 'off-peak' });
    expect(judge(quiet, at())).toMatchObject({ because: { kind: 'in-band' } });
    const idle = ofCores(8, [0.4]);
    expect(judge(idle, at({ offPeak: true }))).toMatchObject({ rule: 'below-lower' });
  });

  it('the night not in mode boost, where what it has is its norm', () => {
    const quiet = ofCores(4, [1.5], IN_BOOST);
    expect(judge(quiet, at({ offPeak: true }))).toMatchObject({ because: { kind: 'in-band' } });
  });
});

describe('mode boost', () => {
  const timesOf = (changedMs: number) =>
    at({}, (state) => (recordOf(state, vmid(101)).cores.changedMs = milliseconds(changedMs)));

  it('takes nothing back that is idle, and gives nothing for being busy', () => {
    expect(judge(ofCores(4, [0.1], IN_BOOST), at()).verdict).toBe('hold');
    expect(judge(ofCores(4, [3.6], IN_BOOST), at()).verdict).toBe('hold');
  });

  it('answers the saturation of the moment, and waits for the cooldown', () => {
    const own = { ...IN_BOOST, ...timing({ cooldownUpMs: milliseconds(60_000), periodsUp: 3 }) };
    const full = { ...ofCores(4, [4], own), saturated: 3 };
    expect(judge(full, timesOf(NOW_MS - 60_000))).toMatchObject({ after: 6, boostMs: 120_000 });
    expect(judge(full, timesOf(NOW_MS - 59_999))).toMatchObject({
      because: { kind: 'cooldown', toward: 'grow', leftMs: 1 },
    });
  });

  it('still knows its minimum and its maximum', () => {
    const its = { ...policy({ minCores: 2, maxCores: 4 }), ...IN_BOOST };
    expect(judge(ofCores(1, [0.5], its), at())).toMatchObject({ rule: 'below-minimum', after: 2 });
    expect(judge(ofCores(8, [2], its), at())).toMatchObject({ rule: 'above-maximum', after: 4 });
  });

  it('keeps its norm when the host is in need: nothing would give it back', () => {
    const idle = ofCores(8, [0.5], IN_BOOST);
    expect(judge(idle, at({ emergency: true })).verdict).toBe('hold');
  });
});

describe('a host in need', () => {
  const patient = timing({ cooldownDownMs: milliseconds(300_000), periodsDown: 3 });

  it('takes at once, whatever the cooldown and however little was seen', () => {
    const changed = at(
      { emergency: true },
      (state) => (recordOf(state, vmid(101)).cores.changedMs = NOW_MS),
    );
    const quiet = ofCores(8, [0.5], patient);
    expect(judge(quiet, changed)).toMatchObject({ after: 1, rule: 'host-emergency' });
  });

  it('takes no more than the latest reading, the averages and the peaks leave', () => {
    const times = at({ emergency: true });
    expect(judge(ofCores(8, [0.5, 0.5, 3.2], patient), times)).toMatchObject({ after: 4 });
    const burst = ofCores(8, [0.5], patient);
    const seen = [{ used: 0.5, peak: 4.8 }];
    expect(judge({ ...burst, seen }, times)).toMatchObject({ after: 6 });
  });

  it('where there is no surplus leaves it at what the mode says', () => {
    const times = at({ emergency: true });
    expect(judge(ofCores(2, [1.5]), times)).toMatchObject({ because: { kind: 'in-band' } });
  });
});

describe('the off-peak time', () => {
  const night = { offPeak: true };
  const patient = timing({ cooldownDownMs: milliseconds(300_000), periodsDown: 3 });

  it('takes when the cooldown is over and enough was seen', () => {
    expect(judge(ofCores(4, [1.5, 1.5], patient), at(night))).toMatchObject({
      because: { kind: 'too-few-observations', have: 2, want: 3 },
    });
    const quiet = ofCores(4, [1.5, 1.5, 1.5], patient);
    const changed = (agoMs: number) =>
      at(night, (state) => (recordOf(state, vmid(101)).cores.changedMs = later(-agoMs)));
    expect(judge(quiet, changed(299_999))).toMatchObject({ because: { kind: 'cooldown' } });
    expect(judge(quiet, changed(300_000))).toMatchObject({ rule: 'off-peak', after: 2 });
  });

  it('takes nothing from who waits for more', () => {
    const cooling = { ...timing({ cooldownUpMs: milliseconds(60_000) }) };
    const changed = at(
      night,
      (state) => (recordOf(state, vmid(101)).cores.changedMs = later(-30_000)),
    );
    expect(judge(ofCores(4, [0.5, 0.5, 3.9], cooling), changed)).toMatchObject({
      because: { kind: 'cooldown', toward: 'grow' },
    });
  });

  it('gives back what it took at its end, as a whole', () => {
    const taken = at(
      {},
      (state) => (recordOf(state, vmid(101)).cores.offPeak = { before: 8, givenBackMs: undefined }),
    );
    expect(judge(ofCores(2, [0.5]), taken)).toMatchObject({
      verdict: 'grow',
      after: 8,
      rule: 'peak-again',
    });
    // Of its own accord it would be given more, and that is growth.
    expect(judge(ofCores(2, [1.9]), taken)).toMatchObject({ rule: 'above-upper' });
    const asMuch = ofCores(8, [4]);
    expect(judge(asMuch, taken)).toMatchObject({ because: { kind: 'in-band' } });
  });

  it('gives back no more than the maximum of now', () => {
    const taken = at(
      {},
      (state) => (recordOf(state, vmid(101)).cores.offPeak = { before: 8, givenBackMs: undefined }),
    );
    const bounded = { ...policy({ maxCores: 3 }) };
    expect(judge(ofCores(2, [1], bounded), taken)).toMatchObject({ after: 3 });
  });

  it('gives back to who is in mode boost by now', () => {
    const taken = at(
      night,
      (state) => (recordOf(state, vmid(101)).cores.offPeak = { before: 8, givenBackMs: undefined }),
    );
    expect(judge(ofCores(2, [0.5], IN_BOOST), taken)).toMatchObject({ rule: 'peak-again' });
  });

  it('what it has given back stays for an hour, though it is idle', () => {
    const idle = ofCores(8, [0.4]);
    const given = (agoMs: number) =>
      at(
        {},
        (state) =>
          (recordOf(state, vmid(101)).cores.offPeak = { before: 8, givenBackMs: later(-agoMs) }),
      );
    expect(GIVEN_BACK_MS).toBe(3_600_000);
    expect(judge(idle, given(GIVEN_BACK_MS - 1))).toMatchObject({
      because: { kind: 'given-back', leftMs: 1 },
    });
    expect(judge(idle, given(GIVEN_BACK_MS))).toMatchObject({ rule: 'below-lower' });
    // Above its maximum it does not stay, and more it may always get.
    const bounded = ofCores(8, [0.4], policy({ maxCores: 4 }));
    expect(judge(bounded, given(0))).toMatchObject({ rule: 'above-maximum' });
    expect(judge(ofCores(4, [4]), given(0))).toMatchObject({ verdict: 'grow' });
  });
});

describe('no step down, of the night or of the thresholds', () => {
  const part = fc.double({ min: 0, max: 1, noNaN: true });
  const series = fc.array(part, { minLength: 1, maxLength: 6 });
  const periods = fc.integer({ min: 1, max: 4 });
  const cooled = fc.constantFrom(0, 60_000);
  const occasions = fc.constantFrom({}, { offPeak: true }, { emergency: true });

  /** Memory in MiB, and the case with another limit. */
  const ofMemory = (has: number, seen: readonly UseSample[], its: ContainerPolicy): Asked => ({
    resource: 'memory',
    policy: its,
    quantum: 16,
    leastSurplus: 64,
    seen,
    saturated: 0,
    threshold: ({ used, peak }) => thresholdMemory(has, 1_000_000, memoryUse(used), its, peak),
  });

  it('leads to where a reading in sight asks for more', () => {
    fc.assert(
      fc.property(series, periods, periods, cooled, occasions, (shares, up, down, ms, when) => {
        const timed = timing({
          periodsUp: up,
          periodsDown: down,
          cooldownUpMs: milliseconds(ms),
        });
        const its = { ...policy(), ...timed };
        const has = 8192;
        const seen = steady(...shares.map((share) => share * has));
        const times = at(
          when,
          (state) => (recordOf(state, vmid(101)).memory.changedMs = later(-30_000)),
        );
        const step = judge(ofMemory(has, seen, its), times);
        if (step.verdict !== 'shrink') return;
        const next = ofMemory(step.after, seen, its);
        for (const window of [1, up, down]) {
          const said = next.threshold(averaged(seen, window));
          expect(said.verdict).not.toBe('grow');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('is less than a chunk where the latest reading bounds it', () => {
    const its = { ...policy(), ...timing({ periodsDown: 4 }) };
    const withLatest = (latest: number) =>
      judge(ofMemory(8192, steady(10, 10, 10, latest), its), at());
    expect(withLatest(4000)).toMatchObject({ after: 5008, limits: ['opposite'] });
    expect(withLatest(6140)).toMatchObject({ after: 7680, limits: ['opposite'] });
    expect(withLatest(6150)).toMatchObject({ because: { kind: 'opposite' } });
  });

  it('with energy mode off the window changes nothing', () => {
    fc.assert(
      fc.property(series, periods, (shares, down) => {
        const its = { ...policy(), ...timing({ periodsDown: down }) };
        const seen = steady(...shares.map((share) => share * 8192));
        const day = judge(ofMemory(8192, seen, its), at());
        expect(day.verdict === 'hold' || day.rule !== 'off-peak').toBe(true);
        const other = { offPeak: false, nowMs: milliseconds(NOW_MS + 12 * 3_600_000) };
        expect(judge(ofMemory(8192, seen, its), at(other))).toEqual(day);
      }),
    );
  });
});

it('what was taken and grew again within an hour is not taken again at once', () => {
  const idle = ofCores(4, [0.1, 0.1, 0.1, 0.1, 0.1]);
  const taken = { norm: 4, shrunkMs: later(-1_200_000), flaps: 2, flappedMs: later(-600_000) };
  const flapping = at({}, (state) => Object.assign(recordOf(state, ID).cores, { taken }));
  expect(judge(idle, at())).toMatchObject({ verdict: 'shrink' });
  expect(judge(idle, flapping)).toMatchObject({
    verdict: 'hold',
    because: { kind: 'flapping', flaps: 2, leftMs: 7_200_000 - 600_000 },
  });
});
