import { describe, expect, it } from 'vitest';
import { pluggableMib } from '../../src/core/reach.ts';
import { fc } from '../fast-check.ts';

/** As `foreach_dimm` of qemu-server counts: module by module. */
function byModules(wantedMib: number): number | undefined {
  let sum = 1024;
  let module = 512;
  if (wantedMib <= sum) return sum;
  for (let size = 0; size < 8; size += 1, module *= 2) {
    for (let count = 0; count < 32; count += 1) {
      sum += module;
      if (sum >= wantedMib) return sum;
    }
  }
  return undefined;
}

describe('memory of plugged modules', () => {
  it.each([
    [1000, 1024],
    [1025, 1536],
    [17_408, 17_408],
    [17_409, 18_432],
    [4_178_944, 4_178_944],
    [4_178_945, undefined],
  ])('%d becomes %s', (wanted, expected) => {
    expect(pluggableMib(wanted)).toBe(expected);
  });

  it('is what qemu-server makes of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4_300_000 }), (wanted) => {
        expect(pluggableMib(wanted)).toBe(byModules(wanted));
      }),
    );
  });
});
