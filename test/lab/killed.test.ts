import { describe, expect, it } from 'vitest';
import { killedShare } from '../../src/lab/killed.ts';

const step = { fromMib: 1000, hasMib: 1500, maxMib: 16_384, stepS: 300 };

describe('a step that is out of memory', () => {
  it('kills nobody as long as swap takes what is over', () => {
    expect(killedShare({ ...step, toMib: 2012, reacts: false })).toBe(0);
    expect(killedShare({ ...step, toMib: 2100, reacts: false })).toBe(1);
  });

  it('kills in fewer of the ramps if growth comes in time', () => {
    expect(killedShare({ ...step, toMib: 2600, reacts: false })).toBe(1);
    // Within 1 and 15 s nothing is in time; within 60 and 300 s it is.
    expect(killedShare({ ...step, toMib: 2600, reacts: true })).toBe(0.5);
  });

  it('reads also while a change is coming, so that a slope is what it is', () => {
    // Of the ramp of five minutes, 30 MiB/s. Twice that slope would bring the room in time.
    expect(killedShare({ ...step, toMib: 10_000, reacts: true })).toBe(1);
  });

  it('kills whatever is done if more is wanted than the maximum and its swap', () => {
    expect(killedShare({ ...step, toMib: 3000, maxMib: 2000, reacts: true })).toBe(1);
  });
});
