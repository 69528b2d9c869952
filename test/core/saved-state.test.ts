import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import { SAVED_VERSION, takeOver, toSaved } from '../../src/core/saved-state.ts';
import { type Milliseconds, mib, milliseconds } from '../../src/core/units.ts';
import { sample, vmid } from './builders.ts';

const ID = vmid(101);
const BOOT = 'boot-a';
const NOW_MS = milliseconds(5_000_000);

function lived(): LoopState {
  const state = newLoopState();
  const retryAtMs = milliseconds(5_060_000);
  state.grants.set(ID, mib(512));
  state.samples.set(ID, sample({ atMs: milliseconds(4_990_000) }));
  state.failures.set(ID, { count: 2, retryAtMs });
  state.shrinkRetry.set(ID, { count: 1, retryAtMs });
  state.pendingCores.set(ID, { cores: 4, sinceMs: milliseconds(4_999_000), warned: false });
  state.startedMs.set(ID, milliseconds(4_000_000));
  state.oomKills.set(ID, milliseconds(4_100_000));
  state.changedMs.set('101/cores', milliseconds(4_900_000));
  return state;
}

/** The wall clock runs a million seconds ahead. */
const at = (nowMs: Milliseconds) => ({ nowMs, wallMs: milliseconds(nowMs + 1e9) });

/** As it comes back from a file. */
const saved = (state = lived()): Record<string, unknown> =>
  JSON.parse(JSON.stringify(toSaved(state, BOOT, at(NOW_MS))));

function taken(content: unknown, boot: string | undefined = BOOT, nowMs = NOW_MS) {
  const state = newLoopState();
  return { state, outcome: takeOver(state, content, boot, at(nowMs)) };
}

const SURVIVES = [
  ...(['grants', 'samples', 'failures', 'shrinkRetry'] as const),
  ...(['pendingCores', 'startedMs', 'oomKills', 'changedMs'] as const),
];

describe('the state that is taken over', () => {
  it('is what was saved, in the same boot', () => {
    const { state, outcome } = taken(saved());
    expect(outcome.ok).toBe(true);
    const before = lived();
    for (const field of SURVIVES) {
      expect(JSON.stringify([...state[field]])).toBe(JSON.stringify([...before[field]]));
    }
  });

  it.each([['boot-b'], ['']])('of another boot (%j) is only what was granted', (boot) => {
    const { state } = taken(saved(), boot);
    expect([...state.grants]).toEqual([[ID, 512]]);
    for (const field of SURVIVES.slice(1)) expect(state[field].size).toBe(0);
  });

  it('holds no sample older than an hour', () => {
    const later = milliseconds(4_990_000 + 3_600_001);
    expect(taken(saved(), BOOT, later).state.samples.size).toBe(0);
    expect(taken(saved(), BOOT, later).state.failures.size).toBe(1);
  });
});

describe('a state that is not whole', () => {
  it.each([
    [
      'of another version',
      { version: SAVED_VERSION + 1 },
      `its version is ${SAVED_VERSION + 1}, not`,
    ],
    ['with a field that is missing', { grants: undefined }, 'its field grants is not'],
    ['with an id that is none', { grants: [['101\n', 512]] }, 'its field grants is not'],
    ['with a number that is none', { grants: [[101, '512']] }, 'its field grants is not'],
    ['with a sample cut short', { samples: [[101, { atMs: 1 }]] }, 'its field samples is not'],
    ['with a foreign key', { changedMs: [['../cores', 1]] }, 'its field changedMs is not'],
    ['without its boot', { boot: 7 }, 'its field boot is not'],
  ])('%s is not taken over', (_what, wrong, detail) => {
    const { state, outcome } = taken({ ...saved(), ...wrong });
    expect(outcome).toMatchObject({ ok: false, detail: expect.stringContaining(detail) });
    for (const field of SURVIVES) expect(state[field].size).toBe(0);
  });

  it('of whatever JSON never throws, and leaves the state as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...SURVIVES), (value, field) => {
        for (const content of [value, { ...saved(), [field]: value }]) {
          const { state, outcome } = taken(content);
          if (!outcome.ok) for (const each of SURVIVES) expect(state[each].size).toBe(0);
        }
      }),
    );
  });
});
