import { expect, it } from 'vitest';
import { createCollector } from '../../src/app/garbage.ts';

const MIB = 1024 * 1024;

/** A heap of which so much is in use, and of which so much is garbage. */
function heap(liveMib: number) {
  const state = { live: liveMib * MIB, garbage: 0, collected: 0 };
  const collect = createCollector(
    () => {
      state.garbage = 0;
      state.collected += 1;
    },
    () => state.live + state.garbage,
  );
  return { state, collect };
}

it('collects when 3 MB of garbage have gathered, not before', () => {
  const { state, collect } = heap(9);
  collect();
  expect(state.collected).toBe(1);
  state.garbage = 2.9 * MIB;
  collect();
  expect(state.collected).toBe(1);
  state.garbage = 3 * MIB;
  collect();
  expect(state.collected).toBe(2);
});

it('waits for more where the heap is larger', () => {
  const { state, collect } = heap(20);
  collect();
  state.garbage = 5.9 * MIB;
  collect();
  expect(state.collected).toBe(1);
  state.garbage = 6 * MIB;
  collect();
  expect(state.collected).toBe(2);
});

it('does nothing where the engine cannot be asked', () => {
  expect(() => createCollector(undefined, () => 1e9)()).not.toThrow();
});
