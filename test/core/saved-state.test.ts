import { describe, expect, it } from 'vitest';
import type { GuestRecord } from '../../src/core/guest-record.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import {
  type Instant,
  SAVED_VERSION,
  type SavedGuest,
  takeOver,
  toSaved,
} from '../../src/core/saved-state.ts';
import { type Milliseconds, mib, milliseconds } from '../../src/core/units.ts';
import { parseSavedState } from '../../src/store/saved-state-schema.ts';
import { fc } from '../fast-check.ts';
import { identity, remembered, sample, vmid } from './builders.ts';

const ID = vmid(101);
const BOOT = 'boot-a';
const NOW_MS = milliseconds(5_000_000);

function lived(): LoopState {
  const state = newLoopState();
  const retryAtMs = milliseconds(5_060_000);
  recordOf(state, ID).identity = identity(101);
  recordOf(state, ID).grantMib = mib(512);
  recordOf(state, ID).life.sample = sample({ atMs: milliseconds(4_990_000) });
  recordOf(state, ID).failure = { count: 2, retryAtMs };
  recordOf(state, ID).life.shrinkRetry = { count: 1, retryAtMs };
  recordOf(state, ID).life.pendingCores = {
    cores: 4,
    sinceMs: milliseconds(4_999_000),
    warned: false,
  };
  recordOf(state, ID).life.startedMs = milliseconds(4_000_000);
  recordOf(state, ID).life.oomKillMs = milliseconds(4_100_000);
  recordOf(state, ID).life.heldBackMs = milliseconds(4_200_000);
  recordOf(state, vmid(101)).cores.changedMs = milliseconds(4_900_000);
  const waited = { before: 1, after: 2, share: 0.5, atMs: milliseconds(4_900_000), count: 0 };
  recordOf(state, vmid(101)).cores.waited = waited;
  recordOf(state, vmid(101)).cores.taken = {
    norm: 4,
    shrunkMs: milliseconds(4_800_000),
    flaps: 2,
    flappedMs: milliseconds(4_900_000),
  };
  recordOf(state, vmid(101)).cores.boost = {
    before: 2,
    boosted: 3,
    endMs: milliseconds(5_100_000),
  };
  recordOf(state, vmid(101)).memory.offPeak = { before: 2048, givenBackMs: undefined };
  recordOf(state, vmid(101)).cores.offPeak = { before: 4, givenBackMs: milliseconds(4_990_000) };
  const values = { cores: 2, cpuLimit: null, memoryMib: mib(1024) };
  recordOf(state, ID).known = values;
  recordOf(state, ID).shortages = {
    kills: 1,
    nested: 2,
    byHost: 3,
    limitHits: 4,
    killedWallMs: milliseconds(1e9),
  };
  const ofDay = { sinceMs: milliseconds(1), atMs: milliseconds(2), openMs: milliseconds(3) };
  recordOf(state, ID).day = { ...ofDay, openMib: 40, hours: [50, 60.5] };
  recordOf(state, ID).intended = { ...values, cores: 3, cpuLimit: 0.5 };
  recordOf(state, vmid(101)).memory.handHoldMs = milliseconds(5_600_000);
  const text = 'cores 2 -> 3 cores';
  recordOf(state, ID).lastChange = { wallMs: milliseconds(1e9), text, status: 'confirmed' };
  return state;
}

/** The wall clock runs a million seconds ahead. */
const at = (nowMs: Milliseconds) => ({ nowMs, wallMs: milliseconds(nowMs + 1e9) });

/** As it comes back from a file. */
const saved = (state = lived()): Record<string, unknown> =>
  JSON.parse(JSON.stringify(toSaved(state, BOOT, at(NOW_MS))));

const badPressure = { ...sample(), memoryPressure: { ok: true } };

/** Reads it, and takes over what was read. */
function take(state: LoopState, content: unknown, boot: string | undefined, instant: Instant) {
  const parsed = parseSavedState(content);
  if (parsed.ok) takeOver(state, parsed.value, boot, instant);
  return parsed;
}

function taken(content: unknown, boot: string | undefined = BOOT, nowMs = NOW_MS) {
  const state = newLoopState();
  return { state, outcome: take(state, content, boot, at(nowMs)) };
}

const guestOf = (state: LoopState): GuestRecord => recordOf(state, ID);

/** What another boot does not end. */
const LASTS = [
  'identity',
  'grantMib',
  'known',
  'shortages',
  'day',
  'intended',
  'lastChange',
] as const;
/** The times of which belong to one boot. */
const ENDS = [
  'failure',
  'sample',
  'pendingCores',
  'startedMs',
  'oomKillMs',
  'heldBackMs',
  'shrinkRetry',
] as const;
const OF_BOOT = ['changedMs', 'grownMs', 'waited'] as const;
/** What it changes, but does not end. */
const GOES_ON = ['boost', 'offPeak', 'handHoldMs', 'taken'] as const;
const SURVIVES = [...LASTS, ...ENDS, ...OF_BOOT, ...GOES_ON];

describe('the state that is taken over', () => {
  it('is what was saved, in the same boot', () => {
    const { state, outcome } = taken(saved());
    expect(outcome.ok).toBe(true);
    for (const field of SURVIVES) {
      expect([field, ...remembered(state, field)]).toEqual([field, ...remembered(lived(), field)]);
    }
  });

  it.each([['boot-b'], ['']])('of another boot (%j) has none of its times', (boot) => {
    const { state } = taken(saved(), boot);
    for (const field of LASTS) {
      expect([...remembered(state, field)]).toEqual([...remembered(lived(), field)]);
    }
    for (const field of [...ENDS, ...OF_BOOT]) expect(remembered(state, field).size).toBe(0);
  });

  it('is of another boot where the clock has begun anew, or the boot is not known', () => {
    expect(guestOf(taken(saved(), BOOT, milliseconds(4000)).state).life.sample).toBeUndefined();
    const state = newLoopState();
    take(state, saved(), undefined, at(NOW_MS));
    expect([guestOf(state).life.sample, guestOf(state).grantMib]).toEqual([undefined, 512]);
  });

  it('has every field of a record that is meant to survive', () => {
    const [, one = {} as SavedGuest] = toSaved(lived(), BOOT, at(NOW_MS)).guests[0] ?? [];
    const all = guestOf(lived());
    const lost = (whole: object, kept: object): string[] =>
      Object.keys(whole)
        .filter((name) => !(name in kept))
        .sort();
    expect(lost(all, one)).toEqual([
      'awaySinceMs',
      'loggedSkip',
      'recorded',
      'refused',
      'rewriter',
      'running',
    ]);
    expect(lost(all.life, one.life ?? {})).toEqual([
      'crowdedMs',
      'grantUsedMs',
      'guard',
      'interval',
      'seen',
    ]);
    // What was learnt is saved beside the records.
    expect(lost(all.cores, one.cores ?? {})).toEqual(['loggedHold', 'model']);
  });

  it('holds no sample older than an hour', () => {
    const later = milliseconds(4_990_000 + 3_600_001);
    const record = guestOf(taken(saved(), BOOT, later).state);
    expect([record.life.sample, record.failure?.count]).toEqual([undefined, 2]);
  });
});

/** As the release before wrote it: a list for each field, under the ids of the guests. */
function version2(): Record<string, unknown> {
  const state = lived();
  const list = (field: (typeof SURVIVES)[number]) => [...remembered(state, field)];
  const { cores = null, ...rest } = guestOf(state).intended ?? {};
  const boost = { before: 2, boosted: 3, endMs: 5_100_000 };
  const intended = { cores, ...rest, boosts: [['101/cores', boost]] };
  return JSON.parse(
    JSON.stringify({
      version: 2,
      boot: BOOT,
      savedMs: NOW_MS,
      savedWallMs: at(NOW_MS).wallMs,
      identities: list('identity'),
      grants: list('grantMib'),
      samples: list('sample'),
      failures: list('failure'),
      shrinkRetry: list('shrinkRetry'),
      shrunk: [],
      pendingCores: list('pendingCores'),
      startedMs: list('startedMs'),
      oomFloors: [],
      oomKills: list('oomKillMs'),
      changedMs: list('changedMs'),
      grownMs: [],
      waited: list('waited'),
      taken: list('taken'),
      boosts: list('boost'),
      offPeak: list('offPeak'),
      known: list('known'),
      intended: [[101, intended]],
      handHolds: list('handHoldMs'),
      lastChanges: list('lastChange'),
      learnt: { version: 1, of: [] },
    }),
  );
}

describe('the state of the release before', () => {
  it('is taken over as a whole', () => {
    const { state, outcome } = taken(version2());
    expect(outcome.ok).toBe(true);
    for (const field of SURVIVES) {
      // It had the one in another form, and none of the others.
      if (['intended', 'shortages', 'day', 'heldBackMs'].includes(field)) continue;
      expect([field, ...remembered(state, field)]).toEqual([field, ...remembered(lived(), field)]);
    }
    const boosts = { cores: { before: 2, boosted: 3, endMs: 5_100_000 } };
    expect(guestOf(state).intended).toEqual({ ...guestOf(lived()).intended, boosts });
  });

  it('is taken over where it named no guests', () => {
    const { identities: _, taken: __, waited: ___, ...old } = version2();
    const { state, outcome } = taken(old);
    expect(outcome.ok).toBe(true);
    expect([guestOf(state).identity, guestOf(state).grantMib]).toEqual([undefined, 512]);
  });

  it.each([
    ['a field that is no list', { grants: 5 }, 'its field grants is no list'],
    ['an id that is none', { grants: [['101\n', 512]] }, 'its field guests.'],
    ['a foreign key', { changedMs: [['../cores', 1]] }, 'its field guests.'],
    ['a guest that is not named as it should be', { identities: [[101, 'x']] }, 'identity'],
    ['a hold of nobody', { handHolds: [['101/disk', 1]] }, 'its field guests.'],
  ])('with %s is not taken over', (_what, wrong, detail) => {
    const { state, outcome } = taken({ ...version2(), ...wrong });
    expect(outcome).toMatchObject({ ok: false, detail: expect.stringContaining(detail) });
    expect(state).toEqual(newLoopState());
  });
});

describe('what was given or taken for a while', () => {
  const BOOTED_MS = milliseconds(60_000);

  /** After a reboot that took so long, a minute after it. */
  function rebooted(awayMs: number, content: unknown = saved()): LoopState {
    const state = newLoopState();
    const wallMs = milliseconds(NOW_MS + 1e9 + awayMs);
    take(state, content, 'boot-b', { nowMs: BOOTED_MS, wallMs });
    return state;
  }

  it('goes on in the same boot, to the millisecond', () => {
    const { state } = taken(saved(), BOOT, milliseconds(5_050_000));
    expect(state.guests.get(vmid(101))?.cores.boost?.endMs).toBe(5_100_000);
    expect(state.guests.get(vmid(101))?.memory.handHoldMs).toBe(5_600_000);
  });

  it('a boost is over after a reboot, at once, and its norm is known', () => {
    expect(guestOf(rebooted(1000)).cores.boost).toEqual({
      before: 2,
      boosted: 3,
      endMs: BOOTED_MS,
    });
  });

  it('how long nothing is taken goes on by the wall clock', () => {
    const other = guestOf(rebooted(600_000)).cores.taken;
    expect(other).toMatchObject({ norm: 4, flaps: 2 });
    expect(other?.flappedMs).toBe(BOOTED_MS - 600_000 - 100_000);
    expect(other?.shrunkMs).toBe(BOOTED_MS - 600_000 - 200_000);
  });

  it('the off-peak time still has to give back, and does not so twice', () => {
    const { cores, memory } = guestOf(rebooted(1000));
    expect(memory.offPeak).toMatchObject({ before: 2048 });
    expect(cores.offPeak).toBeUndefined();
  });

  it('a hand is respected for the rest of its time, by the wall clock', () => {
    expect(guestOf(rebooted(200_000)).memory.handHoldMs).toBe(BOOTED_MS + 400_000);
    expect(guestOf(rebooted(600_000)).memory.handHoldMs).toBeUndefined();
    // A wall clock that went back makes no hold longer.
    expect(guestOf(rebooted(-5_000_000)).memory.handHoldMs).toBe(BOOTED_MS + 600_000);
  });
});

describe('a state that is not whole', () => {
  const guest = (fields: object) => ({ guests: [[101, fields]] });
  it.each([
    [
      'of another version',
      { version: SAVED_VERSION + 1 },
      `its version is ${SAVED_VERSION + 1}, not`,
    ],
    ['of a version that is none', { version: { toString: null } }, 'its version is no number'],
    ['without its guests', { guests: undefined }, 'its field guests is not'],
    ['with an id that is none', { guests: [['101', {}]] }, 'its field guests.0.0 is not'],
    ['with a number that is none', guest({ grantMib: '512' }), 'its field guests.0.1.grantMib'],
    ['with a sample cut short', guest({ life: { sample: { atMs: 1 } } }), 'life.sample'],
    ['without its boot', { boot: 7 }, 'its field boot is not'],
    ['without its time', { savedMs: undefined }, 'its field savedMs is not'],
    ['without the time of day', { savedWallMs: 'now' }, 'its field savedWallMs is not'],
    ['with a boost without end', guest({ cores: { boost: { before: 2, boosted: 3 } } }), 'endMs'],
    ['with values cut short', guest({ known: { cores: 2 } }), 'its field guests.0.1.known'],
    ['with a guest that is none', guest({ identity: 'x' }), 'its field guests.0.1.identity'],
    ['with a pressure that is none', guest({ life: { sample: badPressure } }), 'memoryPressure'],
  ])('%s is not taken over', (_what, wrong, detail) => {
    const { state, outcome } = taken({ ...saved(), ...wrong });
    expect(outcome).toMatchObject({ ok: false, detail: expect.stringContaining(detail) });
    expect(state).toEqual(newLoopState());
  });

  it('of whatever JSON never throws, and leaves the state as it is', () => {
    const fields = Object.keys(saved());
    const ofGuest = Object.keys((saved()['guests'] as [[number, object]])[0][1]);
    fc.assert(
      fc.property(
        ...[fc.jsonValue(), fc.constantFrom(...fields), fc.constantFrom(...ofGuest)],
        (value, field, name) => {
          const one = { ...(saved()['guests'] as [[number, object]])[0][1], [String(name)]: value };
          const contents = [
            value,
            { ...saved(), [String(field)]: value },
            { ...saved(), ...guest(one) },
          ];
          for (const content of contents) {
            const { state, outcome } = taken(content);
            if (!outcome.ok) expect(state).toEqual(newLoopState());
          }
        },
      ),
    );
  });
});

it('what a machine has left pending is known by keys, and on this boot only', () => {
  const saved = (unsettled: unknown, boot: string) => {
    const state = parseSavedState({
      version: SAVED_VERSION,
      boot: BOOT,
      savedMs: NOW_MS,
      savedWallMs: NOW_MS + 1e9,
      learnt: undefined,
      guests: [[ID, { unsettled }]],
    });
    if (!state.ok) throw new Error(state.detail);
    const taken = newLoopState();
    takeOver(taken, state.value, boot, at(NOW_MS));
    return recordOf(taken, ID).unsettled;
  };
  const now = { keys: ['vcpus'], sinceMs: 4_990_000 };
  expect(saved(now, BOOT)).toEqual(now);
  expect(saved({ levers: ['cores'], sinceMs: 4_990_000 }, BOOT)?.keys).toEqual([]);
  expect(saved(now, 'boot-b')).toBeUndefined();
});
