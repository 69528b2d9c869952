import { describe, expect, it } from 'vitest';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import {
  describeTemporary,
  parseTemporary,
  takeTemporary,
  temporaryOf,
} from '../../src/core/temporary.ts';
import { milliseconds } from '../../src/core/units.ts';
import { identity, remembered, vmid } from './builders.ts';

const ID = vmid(101);
const at = (nowMs: number, wallMs: number) => ({
  nowMs: milliseconds(nowMs),
  wallMs: milliseconds(wallMs),
});

function owing() {
  const state = newLoopState();
  recordOf(state, ID).identity = identity(101);
  recordOf(state, vmid(101)).cores.boost = { before: 2, boosted: 4, endMs: milliseconds(100_000) };
  recordOf(state, vmid(101)).memory.offPeak = { before: 2048, givenBackMs: undefined };
  return state;
}

describe('what was changed for a while only', () => {
  it('is the same on another node, whose clock began at another time', () => {
    const record = temporaryOf(recordOf(owing(), ID), 'pve1', at(40_000, 1_000_000));
    const read = parseTemporary(JSON.parse(JSON.stringify(record)));
    expect(read).toEqual(record);
    const there = newLoopState();
    if (read !== undefined) takeTemporary(recordOf(there, ID), read, at(7_000_000, 1_030_000));
    expect([...remembered(there, 'boost')]).toEqual([
      ['101/cores', { before: 2, boosted: 4, endMs: 7_000_000 + 30_000 }],
    ]);
    expect([...remembered(there, 'offPeak')]).toEqual([
      ['101/memory', { before: 2048, givenBackMs: undefined }],
    ]);
  });

  it('is nothing of a guest to which all was given back, or that cannot be recognised', () => {
    const state = owing();
    for (const each of state.guests.values()) each.cores.boost = undefined;
    recordOf(state, vmid(101)).memory.offPeak = { before: 2048, givenBackMs: milliseconds(1) };
    expect(temporaryOf(recordOf(state, ID), 'pve1', at(0, 0))).toBeUndefined();
    const unknown = owing();
    for (const each of unknown.guests.values()) each.identity = undefined;
    expect(temporaryOf(recordOf(unknown, ID), 'pve1', at(0, 0))).toBeUndefined();
  });

  it('is told in words', () => {
    const record = temporaryOf(recordOf(owing(), ID), 'pve1', at(0, 0));
    expect(record && describeTemporary(record)).toBe(
      'a boost to 4 cores (2 cores before) and less memory for the off-peak time (2048 MB before)',
    );
  });

  it('is not read of half a record, or of one that somebody else has made up', () => {
    const record = temporaryOf(recordOf(owing(), ID), 'pve1', at(0, 1_000_000));
    const wrong = [
      undefined,
      null,
      5,
      [],
      {},
      { ...record, guest: 'x' },
      { ...record, node: '' },
      { ...record, changes: 5 },
      { ...record, changes: [null] },
      { ...record, changes: [{ resource: 'disk', before: 1 }] },
      { ...record, changes: [{ resource: 'cores', before: 0 }] },
      { ...record, changes: [{ resource: 'cores', before: 1, boost: { boosted: 2 } }] },
    ];
    for (const each of wrong) expect(parseTemporary(each)).toBeUndefined();
  });
});
