import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import { SAVED_VERSION, takeOver, toSaved } from '../../src/core/saved-state.ts';
import { type Milliseconds, mib, milliseconds } from '../../src/core/units.ts';
import { identity, sample, vmid } from './builders.ts';

const ID = vmid(101);
const BOOT = 'boot-a';
const NOW_MS = milliseconds(5_000_000);

function lived(): LoopState {
  const state = newLoopState();
  const retryAtMs = milliseconds(5_060_000);
  state.identities.set(ID, identity(101));
  state.grants.set(ID, mib(512));
  state.samples.set(ID, sample({ atMs: milliseconds(4_990_000) }));
  state.failures.set(ID, { count: 2, retryAtMs });
  state.shrinkRetry.set(ID, { count: 1, retryAtMs });
  state.pendingCores.set(ID, { cores: 4, sinceMs: milliseconds(4_999_000), warned: false });
  state.startedMs.set(ID, milliseconds(4_000_000));
  state.oomKills.set(ID, milliseconds(4_100_000));
  state.changedMs.set('101/cores', milliseconds(4_900_000));
  const waited = { before: 1, after: 2, share: 0.5, atMs: milliseconds(4_900_000), count: 0 };
  state.waited.set('101/cores', waited);
  state.taken.set('101/cores', {
    ...{ norm: 4, shrunkMs: milliseconds(4_800_000) },
    ...{ flaps: 2, flappedMs: milliseconds(4_900_000) },
  });
  state.boosts.set('101/cores', { before: 2, boosted: 3, endMs: milliseconds(5_100_000) });
  state.offPeak.set('101/memory', { before: 2048, givenBackMs: undefined });
  state.offPeak.set('101/cores', { before: 4, givenBackMs: milliseconds(4_990_000) });
  const values = { cores: 2, cpuLimit: null, memoryMib: mib(1024) };
  state.known.set(ID, values);
  state.intended.set(ID, { ...values, cores: 3, cpuLimit: 0.5 });
  state.handHolds.set('101/memory', milliseconds(5_600_000));
  const text = 'cores 2 -> 3 cores';
  state.lastChanges.set(ID, { wallMs: milliseconds(1e9), text, status: 'confirmed' });
  return state;
}

/** The wall clock runs a million seconds ahead. */
const at = (nowMs: Milliseconds) => ({ nowMs, wallMs: milliseconds(nowMs + 1e9) });

/** As it comes back from a file. */
const saved = (state = lived()): Record<string, unknown> =>
  JSON.parse(JSON.stringify(toSaved(state, BOOT, at(NOW_MS))));

const badPressure = { ...sample(), memoryPressure: { ok: true } };

function taken(content: unknown, boot: string | undefined = BOOT, nowMs = NOW_MS) {
  const state = newLoopState();
  return { state, outcome: takeOver(state, content, boot, at(nowMs)) };
}

const SURVIVES = [
  'identities' as const,
  ...(['grants', 'samples', 'failures', 'shrinkRetry'] as const),
  ...(['pendingCores', 'startedMs', 'oomKills', 'changedMs', 'waited'] as const),
  ...(['boosts', 'offPeak', 'handHolds', 'taken'] as const),
  ...(['known', 'intended', 'lastChanges'] as const),
];
/** What another boot does not end. */
const LASTS = new Set<string>(['identities', 'grants', 'known', 'intended', 'lastChanges']);
/** What it changes, but does not end. */
const GOES_ON = new Set<string>(['boosts', 'offPeak', 'handHolds', 'taken']);

describe('the state that is taken over', () => {
  it('is what was saved, in the same boot', () => {
    const { state, outcome } = taken(saved());
    expect(outcome.ok).toBe(true);
    const before = lived();
    for (const field of SURVIVES) {
      expect(JSON.stringify([...state[field]])).toBe(JSON.stringify([...before[field]]));
    }
  });

  it.each([['boot-b'], ['']])('of another boot (%j) has none of its times', (boot) => {
    const { state } = taken(saved(), boot);
    expect([...state.grants]).toEqual([[ID, 512]]);
    for (const field of SURVIVES) {
      if (LASTS.has(field)) expect([...state[field]]).toEqual([...lived()[field]]);
      else if (!GOES_ON.has(field)) expect(state[field].size).toBe(0);
    }
  });

  it('is of another boot where the clock has begun anew, or the boot is not known', () => {
    expect(taken(saved(), BOOT, milliseconds(4000)).state.samples.size).toBe(0);
    const state = newLoopState();
    takeOver(state, saved(), undefined, at(NOW_MS));
    expect([state.samples.size, state.grants.size]).toEqual([0, 1]);
  });

  it('has every field of the state that is meant to survive', () => {
    const lost = Object.keys(newLoopState()).filter((field) => !(field in saved()));
    expect(lost.sort()).toEqual([
      ...['between', 'cycle', 'grantUsedMs', 'hostCpu', 'hostCpus', 'lacking', 'pause'],
      ...['reclaimSupported', 'recorded', 'refused', 'refusedWrites', 'rewriters', 'running'],
      ...['said', 'seenCores', 'seenMemory'],
      'unrecorded',
    ]);
  });

  it('is taken over from a release that named no guests', () => {
    const { identities: _, taken: __, waited: ___, differing: ____, ...old } = saved();
    const { state, outcome } = taken(old);
    expect(outcome.ok).toBe(true);
    expect([state.identities.size, state.grants.size]).toEqual([0, 1]);
  });

  it('is none with a guest that is not named as it should be', () => {
    expect(taken({ ...saved(), identities: [[101, 'x']] }).outcome.ok).toBe(false);
  });

  it('holds no sample older than an hour', () => {
    const later = milliseconds(4_990_000 + 3_600_001);
    expect(taken(saved(), BOOT, later).state.samples.size).toBe(0);
    expect(taken(saved(), BOOT, later).state.failures.size).toBe(1);
  });
});

describe('what was given or taken for a while', () => {
  const BOOTED_MS = milliseconds(60_000);

  /** After a reboot that took so long, a minute after it. */
  function rebooted(awayMs: number, content: unknown = saved()): LoopState {
    const state = newLoopState();
    const wallMs = milliseconds(NOW_MS + 1e9 + awayMs);
    takeOver(state, content, 'boot-b', { nowMs: BOOTED_MS, wallMs });
    return state;
  }

  it('goes on in the same boot, to the millisecond', () => {
    const { state } = taken(saved(), BOOT, milliseconds(5_050_000));
    expect(state.boosts.get('101/cores')?.endMs).toBe(5_100_000);
    expect(state.handHolds.get('101/memory')).toBe(5_600_000);
  });

  it('a boost is over after a reboot, at once, and its norm is known', () => {
    expect(rebooted(1000).boosts.get('101/cores')).toEqual({
      ...{ before: 2, boosted: 3, endMs: BOOTED_MS },
    });
  });

  it('how long nothing is taken goes on by the wall clock', () => {
    const other = rebooted(600_000).taken.get('101/cores');
    expect(other).toMatchObject({ norm: 4, flaps: 2 });
    expect(other?.flappedMs).toBe(BOOTED_MS - 600_000 - 100_000);
    expect(other?.shrunkMs).toBe(BOOTED_MS - 600_000 - 200_000);
  });

  it('the off-peak time still has to give back, and does not so twice', () => {
    const { offPeak } = rebooted(1000);
    expect(offPeak.get('101/memory')).toMatchObject({ before: 2048 });
    expect(offPeak.has('101/cores')).toBe(false);
  });

  it('a hand is respected for the rest of its time, by the wall clock', () => {
    expect(rebooted(200_000).handHolds.get('101/memory')).toBe(BOOTED_MS + 400_000);
    expect(rebooted(600_000).handHolds.size).toBe(0);
    // A wall clock that went back makes no hold longer.
    expect(rebooted(-5_000_000).handHolds.get('101/memory')).toBe(BOOTED_MS + 600_000);
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
    ['without its time', { savedMs: undefined }, 'its field savedMs is not'],
    ['without the time of day', { savedWallMs: 'now' }, 'its field savedWallMs is not'],
    ['with a boost without end', { boosts: [['101/cores', { before: 2, boosted: 3 }]] }, 'boosts'],
    ['with values cut short', { known: [[101, { cores: 2 }]] }, 'its field known is not'],
    ['with a hold of nobody', { handHolds: [['101/disk', 1]] }, 'its field handHolds is not'],
    ['with a pressure that is none', { samples: [[101, badPressure]] }, 'samples'],
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
