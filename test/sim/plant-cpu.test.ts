import { expect, it } from 'vitest';
import { placeCores, shareCores } from '../../src/sim/plant-cpu.ts';
import { fc } from '../fast-check.ts';

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

const placed = fc.array(
  fc.record({
    cpus: fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 8 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    weight: fc.integer({ min: 1, max: 10_000 }),
  }),
  { maxLength: 12 },
);

it('gives no CPU away twice, and none that a claim may not run on', () => {
  fc.assert(
    fc.property(placed, fc.double({ min: 0, max: 2, noNaN: true }), (raw, base) => {
      const claims = raw.map(({ cpus, share, weight }) => ({
        cpus,
        weight,
        capCores: share * cpus.length,
      }));
      const { granted, perCpu } = placeCores(claims, 8, base);
      for (const busy of perCpu) expect(busy).toBeLessThanOrEqual(1 + 1e-6);
      for (const [index, { capCores }] of claims.entries()) {
        expect(granted[index]).toBeLessThanOrEqual(capCores + 1e-6);
      }
      // No set of CPUs gives more than it has.
      for (const cpu of perCpu.keys()) {
        const confined = claims.map(({ cpus }, i) =>
          cpus.length === 1 && cpus[0] === cpu ? (granted[i] ?? 0) : 0,
        );
        expect(sum(confined)).toBeLessThanOrEqual(1 + 1e-6);
      }
      expect(sum(granted) + base).toBeCloseTo(sum(perCpu), 4);
    }),
  );
});

it('a container with room elsewhere goes out of the way of one that has none', () => {
  const claims = [
    { capCores: 1, weight: 100, cpus: [0] },
    { capCores: 1, weight: 100, cpus: [0, 1] },
  ];
  const { granted, perCpu } = placeCores(claims, 2, 0);
  expect(granted[0]).toBeCloseTo(1, 3);
  expect(granted[1]).toBeCloseTo(1, 3);
  expect(perCpu.map((busy) => Math.round(busy))).toEqual([1, 1]);
});

it('a crowded CPU is shared by weight', () => {
  const claims = [
    { capCores: 1, weight: 100, cpus: [0] },
    { capCores: 1, weight: 300, cpus: [0] },
  ];
  expect(placeCores(claims, 4, 0).granted).toEqual([0.25, 0.75]);
});
