import { describe, expect, it } from 'vitest';
import { connectionWords } from '../../src/core/connection.ts';
import { type DemandModel, newDemandModel } from '../../src/core/demand-model.ts';
import { TAIL_LEVELS } from '../../src/core/demand-tails.ts';
import { followConnection, resumeLife } from '../../src/core/follow-connection.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { takeOver, toSaved } from '../../src/core/saved-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { parseSavedState } from '../../src/store/saved-state-schema.ts';
import { able, sample, vmid } from './builders.ts';

const AT = milliseconds(5000);
const DAY = { sinceMs: AT, atMs: AT, openMs: AT, openMib: 700, hours: [700] };
const model = (name: string) => name as unknown as DemandModel;

function seenBySsh() {
  const state = newLoopState();
  followConnection(state, { by: 'ssh' });
  state.capabilities = able();
  state.hostCpu = { atMs: AT, times: { busyTicks: 1, totalTicks: 2 }, busy: undefined };
  const record = recordOf(state, vmid(101));
  record.day = DAY;
  record.memory.model = model('working sets');
  record.cores.model = model('counters');
  record.life.sample = sample();
  record.life.seen.memory = [{ used: 1, peak: 1, early: false }];
  record.life.oomKillMs = AT;
  record.memory.boost = { before: 512, boosted: 1024, endMs: AT };
  return { state, record };
}

it('figures of one connection are none of the other, and come back with it', () => {
  const { state, record } = seenBySsh();
  expect(followConnection(state, { by: 'api', why: 'cut off' })).toBe(true);
  const { day, memory, cores, life } = record;
  expect([day, memory.model, cores.model, life.sample]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(life.seen.memory).toEqual([]);
  expect([state.capabilities, state.hostCpu]).toEqual([undefined, undefined]);
  record.memory.model = model('in use');
  expect(followConnection(state, { by: 'ssh' })).toBe(true);
  expect([record.day, record.memory.model, record.cores.model]).toEqual([
    DAY,
    'working sets',
    'counters',
  ]);
  // Rates and averages begin anew all the same.
  expect([record.life.sample, record.life.seen.memory]).toEqual([undefined, []]);
  followConnection(state, { by: 'api', why: 'cut off' });
  expect(record.memory.model).toBe('in use');
});

it('what has happened to a guest and what was done to it counts whoever sees it', () => {
  const { state, record } = seenBySsh();
  followConnection(state, { by: 'api' });
  expect(record.life.oomKillMs).toBe(AT);
  expect(record.memory.boost).toBeDefined();
});

it('the same connection with another reason changes nothing', () => {
  const { state, record } = seenBySsh();
  expect(followConnection(state, { by: 'ssh', why: 'the API is away' })).toBe(false);
  expect(record.day).toBe(DAY);
  expect(state.connection).toEqual({ by: 'ssh', why: 'the API is away' });
});

it('a restart knows whose figures it takes over', () => {
  const { state, record } = seenBySsh();
  record.memory.model = undefined;
  record.cores.model = undefined;
  const instant = { nowMs: AT, wallMs: AT };
  const saved = parseSavedState(JSON.parse(JSON.stringify(toSaved(state, 'boot', instant))));
  if (!saved.ok) throw new Error(saved.detail);
  const next = newLoopState();
  takeOver(next, saved.value, 'boot', instant);
  expect(recordOf(next, vmid(101)).day).toEqual(DAY);
  followConnection(next, { by: 'api' });
  expect(recordOf(next, vmid(101)).day).toBeUndefined();
});

/** As a restart of the program has it, on this boot or on another one. */
function restarted(state: LoopState, boot = 'boot'): LoopState {
  const instant = { nowMs: AT, wallMs: AT };
  const saved = parseSavedState(JSON.parse(JSON.stringify(toSaved(state, 'boot', instant))));
  if (!saved.ok) throw new Error(saved.detail);
  const next = newLoopState();
  takeOver(next, saved.value, boot, instant);
  return next;
}

it.each(['boot', 'another boot'])('what is put aside outlives a restart (%s)', (boot) => {
  const { state, record } = seenBySsh();
  record.memory.model = newDemandModel(AT, 0);
  record.memory.model.last = 321;
  record.cores.model = newDemandModel(AT, TAIL_LEVELS);
  // An entry `connection: ssh` becomes `[api, ssh]`, and the program is restarted twice.
  const next = restarted(state);
  followConnection(next, { by: 'api' });
  recordOf(next, vmid(101)).memory.model = newDemandModel(AT, 0);
  const last = restarted(next, boot);
  const isSameBoot = boot === 'boot';
  const life = isSameBoot ? { identity: sample().identity, atMs: sample().atMs } : undefined;
  const { aside } = recordOf(last, vmid(101));
  expect([aside.ssh?.day, aside.ssh?.life, aside.api]).toEqual([DAY, life, { life: undefined }]);
  expect(recordOf(last, vmid(101)).memory.model?.last).toBe(0);
  followConnection(last, { by: 'ssh' });
  const { day, memory, cores } = recordOf(last, vmid(101));
  expect([day, memory.model?.last, cores.model?.tails.length]).toEqual([
    DAY,
    321,
    newDemandModel(AT, TAIL_LEVELS).tails.length,
  ]);
});

describe('the first sample by another connection', () => {
  const now = (identity: number, upMs?: number) => ({
    identity,
    atMs: milliseconds(100_000),
    ...(upMs !== undefined && { upMs: milliseconds(upMs) }),
  });
  const startedAt = (upMs?: number) => {
    const { state, record } = seenBySsh();
    followConnection(state, { by: 'api' });
    expect(resumeLife(record, 'api', now(1, upMs))).toBe(true);
    expect(resumeLife(record, 'api', now(2, 1))).toBe(false);
    return record.life.startedMs;
  };

  it('is of the same life if that is older than the last sample by the other one', () => {
    const sinceMs = 100_000 - sample().atMs;
    expect(startedAt(sinceMs + 1)).toBeUndefined();
    expect(startedAt(sinceMs - 1)).toBe(100_000);
  });

  it('counts as just started if nothing tells since when it runs', () => {
    expect(startedAt()).toBe(100_000);
  });

  it('is of another life if the same connection has seen another one', () => {
    const { state, record } = seenBySsh();
    followConnection(state, { by: 'api' });
    followConnection(state, { by: 'ssh' });
    resumeLife(record, 'ssh', now(sample().identity));
    expect([record.life.startedMs, record.life.oomKillMs]).toEqual([undefined, AT]);
    record.life.sample = sample();
    followConnection(state, { by: 'api' });
    followConnection(state, { by: 'ssh' });
    resumeLife(record, 'ssh', now(sample().identity + 1));
    expect([record.life.startedMs, record.life.oomKillMs]).toEqual([100_000, undefined]);
  });
});

it('a state that names no connection is of the one that is there', () => {
  const state = newLoopState();
  recordOf(state, vmid(101)).day = DAY;
  followConnection(state, { by: 'api' });
  expect(recordOf(state, vmid(101)).day).toBe(DAY);
});

it('is told in words', () => {
  expect(connectionWords({ by: 'api' })).toBe('by the API');
  expect(connectionWords({ by: 'ssh', why: 'no answer within 10 s' })).toBe(
    'by SSH, since by the API: no answer within 10 s',
  );
});
