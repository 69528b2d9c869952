import fc from 'fast-check';
import { expect, it } from 'vitest';
import { shareCores } from '../../src/simulator/plant-cpu.ts';

const claims = fc.array(
  fc.record({
    capCores: fc.double({ min: 0, max: 16, noNaN: true }),
    weight: fc.integer({ min: 1, max: 10_000 }),
  }),
  { maxLength: 20 },
);

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

it('gives all there is, to none more than it can use, and favours none against its weight', () => {
  fc.assert(
    fc.property(claims, fc.double({ min: 0, max: 64, noNaN: true }), (wanted, available) => {
      const granted = shareCores(wanted, available);
      const all = sum(wanted.map((claim) => claim.capCores));
      expect(sum(granted)).toBeCloseTo(Math.min(all, available), 6);
      const hungry = wanted.flatMap((claim, index) => {
        const cores = granted[index] ?? 0;
        expect(cores).toBeLessThanOrEqual(claim.capCores + 1e-9);
        return cores < claim.capCores - 1e-9 ? [cores / claim.weight] : [];
      });
      for (const rate of hungry) expect(rate).toBeCloseTo(hungry[0] ?? 0, 6);
    }),
  );
});

it('leaves demands alone that fit', () => {
  const wanted = [
    { capCores: 1, weight: 1 },
    { capCores: 2, weight: 10_000 },
  ];
  expect(shareCores(wanted, 3)).toEqual([1, 2]);
});
