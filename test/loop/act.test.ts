import { describe, expect, it } from 'vitest';
import { afterFailure } from '../../src/core/guest-record.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { PlannedChange } from '../../src/core/plan.ts';
import { present } from '../../src/core/reading.ts';
import { milliseconds } from '../../src/core/units.ts';
import { type ActCounts, act } from '../../src/loop/act.ts';
import { observe } from '../../src/loop/observe.ts';
import type { CommandOutcome } from '../../src/node/port.ts';
import {
  AMPLE_ROOM,
  coresChange,
  everyone,
  memoryChange,
  remembered,
  vmid,
} from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const MINUTE_MS = 60_000;

function nodeWith(...ids: readonly number[]): FakeNode {
  const node = new FakeNode();
  for (const id of ids) node.add(id, { name: `name-${id}` });
  return node;
}

const growMemory = (id: number): PlannedChange => ({
  vmid: vmid(id),
  name: `name-${id}`,
  memory: memoryChange(id, 1024, 2048),
});
const growCores = (id: number): PlannedChange => ({
  vmid: vmid(id),
  name: `name-${id}`,
  cores: coresChange(id, 2, 4),
});
const shrinkMemory = (id: number): PlannedChange => ({
  vmid: vmid(id),
  name: `name-${id}`,
  memory: memoryChange(id, 2048, 1024),
});

interface Around {
  readonly save?: () => string | undefined;
  readonly state?: LoopState;
  readonly dryRun?: boolean;
  readonly stop?: AbortController;
}

async function run(
  node: FakeNode,
  changes: readonly PlannedChange[],
  around: Around = {},
): Promise<ActCounts> {
  const state = around.state ?? newLoopState();
  const observed = observe(node.world, newLoopState(), everyone());
  if (!observed.ok) throw new Error(observed.detail);
  const stop = (around.stop ?? new AbortController()).signal;
  const hands = around.dryRun === true ? undefined : node.world.hands;
  return act(node.world, state, changes, {
    cycle: 7,
    observed: observed.value,
    headroom: AMPLE_ROOM,
    hands,
    stop,
    save: around.save,
  });
}

describe('acting', () => {
  it('carries out one change after the other, in the order of the plan', async () => {
    const node = nodeWith(101, 102);
    expect(await run(node, [growMemory(102), growMemory(101)])).toEqual({ done: 2, failed: 0 });
    expect(node.done).toEqual(['backup 102', 'set 102', 'backup 101', 'set 101']);
  });

  describe('without quorum', () => {
    const unwritable = (message: string): CommandOutcome => ({
      kind: 'failed',
      why: 'no-quorum',
      exitCode: 2,
      message,
    });

    it('begins nothing, and says so once', async () => {
      const node = nodeWith(101, 102);
      const state = newLoopState();
      node.quorum = present(false);
      expect(await run(node, [growMemory(101)], { state })).toEqual({ done: 0, failed: 0 });
      await run(node, [growMemory(102)], { state });
      expect(node.done).toEqual([]);
      expect(node.linesOf('ERROR')).toHaveLength(1);
      expect(node.linesOf('ERROR')[0]).toContain('the cluster has no quorum');
      node.quorum = present(true);
      expect(await run(node, [growMemory(101)], { state })).toEqual({ done: 1, failed: 0 });
      expect(node.linesOf('INFO').join()).toContain('Configurations can be written again');
    });

    it('stops between two changes when it is lost meanwhile', async () => {
      const node = nodeWith(101, 102);
      node.pct = (request) => {
        const outcome = node.apply(request);
        node.quorum = present(false);
        return outcome;
      };
      expect(await run(node, [growMemory(101), growMemory(102)])).toEqual({ done: 1, failed: 0 });
      expect(node.sets.map(({ vmid: id }) => id)).toEqual([101]);
    });

    it('takes a refused write for what it is: nothing more is tried, nobody blamed', async () => {
      const node = nodeWith(101, 102);
      const state = newLoopState();
      const text =
        "unable to open file '/etc/pve/nodes/pve1/lxc/101.conf.tmp.1' - Permission denied";
      node.pct = ({ vmid: id, memoryMib }) => {
        node.get(id).limitMib = memoryMib;
        return unwritable(text);
      };
      const changes = [growMemory(101), growMemory(102)];
      expect(await run(node, changes, { state })).toEqual({ done: 0, failed: 1 });
      expect(node.sets).toHaveLength(1);
      expect(remembered(state, 'failure').size).toBe(0);
      expect(state.pause?.kind).toBe('refused');
      // It has quorum by its own word, and is left alone for a while nevertheless.
      expect(await run(node, changes, { state })).toEqual({ done: 0, failed: 0 });
      node.pass(MINUTE_MS);
      node.pct = (request) => node.apply(request);
      node.get(101).limitMib = 1024;
      expect(await run(node, [growMemory(102)], { state })).toEqual({ done: 1, failed: 0 });
      expect(state.refusedWrites).toBeUndefined();
    });
  });

  it('says what it does in the form that existing scripts read', async () => {
    const node = nodeWith(101);
    await run(node, [growMemory(101)]);
    expect(node.linesOf('INFO')[0]).toBe('INFO: Increasing memory for container 101 by 1024MB...');
    const shrinking = nodeWith(101);
    await run(shrinking, [{ ...shrinkMemory(101), memory: memoryChange(101, 1024, 512) }]);
    const [first] = shrinking.linesOf('INFO');
    expect(first).toBe('INFO: Decreasing memory for container 101 by 512MB...');
  });

  it('says how it went, with the numbers, the reason and the backup', async () => {
    const node = nodeWith(101);
    await run(node, [growMemory(101)]);
    expect(node.linesOf('INFO')[1]).toBe(
      'INFO: Container 101 (name-101): memory 1024 -> 2048 MB, since it uses 922 of its 1024 MB ' +
        '(90 %), above the upper threshold of 80 %. Confirmed. Backup: /backups/101-1.conf',
    );
  });

  it('writes one line of the journal for each resource', async () => {
    const node = nodeWith(101);
    await run(node, [{ ...growMemory(101), ...growCores(101) }]);
    expect(node.events.map(({ action, change }) => [action, change])).toEqual([
      ['Increase Cores', '2'],
      ['Increase Memory', '1024MB'],
    ]);
    expect(node.events[1]).toMatchObject({ vmid: 101 });
    expect(node.events[1]?.details).toMatchObject({
      name: 'guest-101',
      status: 'pending',
      before: 1024,
      after: 2048,
      cycle: 7,
      rule: 'above-upper',
      limits: [],
      usage: { used: 921.6, percent: 90 },
      thresholds: { lower: 20, upper: 80, min: 512, max: 65_536, need: 64 },
      backup: '/backups/101-1.conf',
    });
  });

  it('leaves no number in the journal that JSON cannot hold', async () => {
    const node = nodeWith(101);
    await run(node, [{ ...growMemory(101), ...growCores(101) }]);
    for (const { details } of node.events) {
      expect(JSON.parse(JSON.stringify(details))).toEqual(details);
    }
  });

  it('says when the journal cannot be written, for each line that is lost', async () => {
    const node = nodeWith(101);
    node.journalWorks = false;
    await run(node, [{ ...growMemory(101), ...growCores(101) }]);
    const said = 'ERROR: The JSON log could not be written for container 101';
    expect(node.linesOf('ERROR')).toEqual([said, said]);
    expect(node.get(101).config.memoryMib).toBe(2048);
  });
});

describe('a dry run', () => {
  it('makes no backup and starts no pct, and says what would be done', async () => {
    const node = nodeWith(101, 102);
    const both = { ...growMemory(101), ...growCores(101) };
    const shrink = { ...shrinkMemory(102), memory: memoryChange(102, 1024, 512) };
    expect(await run(node, [both, shrink], { dryRun: true })).toEqual({ done: 0, failed: 0 });
    expect(node.done).toEqual([]);
    expect(node.lines).toEqual([
      'INFO: Would increase cores for container 101 by 2: 2 -> 4 cores, since it uses 1.8 of its ' +
        '2 cores (90 %), above the upper threshold of 80 %',
      'INFO: Would increase memory for container 101 by 1024MB: 1024 -> 2048 MB, since it uses ' +
        '922 of its 1024 MB (90 %), above the upper threshold of 80 %',
      'INFO: Would decrease memory for container 102 by 512MB: 1024 -> 512 MB, since it uses ' +
        '102 of its 1024 MB (10 %), below the lower threshold of 20 %',
    ]);
    expect(node.events.map(({ action }) => action)).toEqual([
      'Would Increase Cores',
      'Would Increase Memory',
      'Would Decrease Memory',
    ]);
    expect(node.events[0]?.details).toMatchObject({ status: 'dry-run', cycle: 7 });
  });

  it('remembers nothing that was not done', async () => {
    const node = nodeWith(101);
    const state = newLoopState();
    await run(node, [{ ...growMemory(101), ...growCores(101) }], { dryRun: true, state });
    expect(state).toEqual(newLoopState());
  });
});

describe('the stop signal', () => {
  it('lets the change in hand finish, and no further one begin', async () => {
    const node = nodeWith(101, 102, 103);
    const stop = new AbortController();
    node.pct = (request) => {
      stop.abort();
      return node.apply(request);
    };
    const counts = await run(node, [101, 102, 103].map(growMemory), { stop });
    expect(counts).toEqual({ done: 1, failed: 0 });
    expect(node.done).toEqual(['backup 101', 'set 101']);
    expect(node.lines.join('\n')).toMatch(/Container 101 .* Confirmed/);
    expect(node.lines.join('\n')).not.toMatch(/container 10[23]/i);
  });

  it('that came before begins none at all', async () => {
    const node = nodeWith(101);
    const stop = new AbortController();
    stop.abort();
    await run(node, [growMemory(101)], { stop });
    expect(node.done).toEqual([]);
    expect(node.lines).toEqual([]);
  });
});

describe('a failure', () => {
  function failing(): FakeNode {
    const node = nodeWith(101, 102);
    node.pct = (request) =>
      request.vmid === 101
        ? { kind: 'failed', why: 'locked', exitCode: 255, message: 'CT is locked' }
        : node.apply(request);
    return node;
  }

  it('does not stop the others', async () => {
    const node = failing();
    expect(await run(node, [growMemory(101), growMemory(102)])).toEqual({ done: 1, failed: 1 });
    expect(node.get(102).limitMib).toBe(2048);
  });

  it('is said loudly, and is no change in the journal', async () => {
    const node = failing();
    await run(node, [growMemory(101)]);
    expect(node.linesOf('ERROR')[0]).toMatch(
      /FAILED\. Container 101 .*Nothing was changed: pct exited with 255: CT is locked/,
    );
    expect(node.events).toMatchObject([{ action: 'Increase Memory Failed' }]);
    expect(node.events[0]?.details).toMatchObject({ status: 'failed' });
  });

  it('waits a minute, then twice as long each time, an hour at most', async () => {
    const node = failing();
    const state = newLoopState();
    const waits: number[] = [];
    for (let count = 1; count <= 8; count++) {
      await run(node, [growMemory(101)], { state });
      const failure = state.guests.get(vmid(101))?.failure;
      expect(failure?.count).toBe(count);
      waits.push(((failure?.retryAtMs ?? 0) - node.nowMs) / MINUTE_MS);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    const late = { count: 4000, retryAtMs: milliseconds(0) };
    expect(afterFailure(late, milliseconds(0)).retryAtMs).toBe(60 * MINUTE_MS);
  });

  it('is forgotten once a change works again', async () => {
    const node = failing();
    const state = newLoopState();
    await run(node, [growMemory(101)], { state });
    node.pct = (request) => node.apply(request);
    await run(node, [growMemory(101)], { state });
    expect(remembered(state, 'failure').size).toBe(0);
  });

  it('that is put back is said loudly, counts as one and has its own action', async () => {
    const node = nodeWith(101);
    node.pct = (request) => {
      if (node.sets.length > 1) return node.apply(request);
      node.write(101, { cores: 4 });
      return { kind: 'killed', signal: 'SIGKILL', message: 'from outside' };
    };
    const state = newLoopState();
    const both = { ...growMemory(101), ...growCores(101) };
    expect(await run(node, [both], { state })).toEqual({ done: 0, failed: 1 });
    expect(node.linesOf('ERROR')[0]).toMatch(/ROLLED BACK\. Container 101/);
    expect(node.events.map(({ action }) => action)).toEqual([
      'Increase Cores Rolled Back',
      'Increase Memory Rolled Back',
    ]);
    expect(state.guests.get(vmid(101))?.failure?.count).toBe(1);
    expect(remembered(state, 'grantMib').size).toBe(0);
  });

  it('is not what being overtaken by an admin is', async () => {
    const node = nodeWith(101);
    const state = newLoopState();
    const observed = observe(node.world, state, everyone());
    if (!observed.ok) throw new Error(observed.detail);
    node.write(101, { cores: 6 });
    const stop = new AbortController().signal;
    const { hands } = node.world;
    const context = { cycle: 7, observed: observed.value, headroom: AMPLE_ROOM, hands, stop };
    const counts = await act(node.world, state, [growMemory(101)], context);
    expect(counts).toEqual({ done: 0, failed: 0 });
    expect(node.linesOf('WARN')).toEqual([
      'WARN: Container 101 was not changed: its configuration was changed meanwhile; deciding anew',
    ]);
    expect(node.events).toEqual([]);
    expect([remembered(state, 'failure').size, remembered(state, 'grantMib').size]).toEqual([0, 0]);
  });
});

describe('a change that the end of the program has come before', () => {
  it.each([
    ['pct was not started: the daemon is stopping', true, 0],
    ['pct was not started: no such file', false, 1],
  ])('%s', async (message, isStopping, failed) => {
    const node = nodeWith(101);
    const state = newLoopState();
    const observed = observe(node.world, state, everyone());
    if (!observed.ok) throw new Error(observed.detail);
    const stop = new AbortController();
    node.pct = () => {
      if (isStopping) stop.abort();
      return { kind: 'not-started', message };
    };
    const { hands } = node.world;
    const context = { observed: observed.value, headroom: AMPLE_ROOM, hands, stop: stop.signal };
    const changes = [growMemory(101)];
    const counts = await act(node.world, state, changes, { cycle: 7, ...context });
    expect(counts).toEqual({ done: 0, failed });
    expect([remembered(state, 'failure').size, node.events.length]).toEqual([failed, failed]);
    const said = `WARN: Container 101 was not changed: ${message}`;
    expect(node.linesOf('WARN')).toEqual(isStopping ? [said] : []);
    expect(node.linesOf('ERROR')).toHaveLength(failed);
  });
});

describe('what is remembered', () => {
  it('granted memory adds up, and what is taken back is subtracted', async () => {
    const node = nodeWith(101);
    const state = newLoopState();
    await run(node, [growMemory(101)], { state });
    expect(state.guests.get(vmid(101))?.grantMib).toBe(1024);
    const more = { ...growMemory(101), memory: memoryChange(101, 2048, 2560) };
    await run(node, [more], { state });
    expect(state.guests.get(vmid(101))?.grantMib).toBe(1536);
    const less = { ...growMemory(101), memory: memoryChange(101, 2560, 2048) };
    await run(node, [less], { state });
    expect(state.guests.get(vmid(101))?.grantMib).toBe(1024);
    const much = { ...growMemory(101), memory: memoryChange(101, 2048, 512) };
    await run(node, [much], { state });
    expect(remembered(state, 'grantMib').size).toBe(0);
  });

  it('cores that are not in the cpuset yet are pending', async () => {
    const node = nodeWith(101);
    const state = newLoopState();
    await run(node, [growCores(101)], { state });
    expect(state.guests.get(vmid(101))?.life.pendingCores).toEqual({
      cores: 4,
      sinceMs: node.nowMs,
      warned: false,
    });
    expect(node.lines.join('\n')).toMatch(/Configured\. Its cores take effect when pvestatd/);
    expect(node.events).toMatchObject([{ action: 'Increase Cores' }]);
  });
});

describe('what the off-peak time takes', () => {
  const KEY = '101/cores';
  const step = (
    before: number,
    after: number,
    rule: 'off-peak' | 'peak-again' | 'above-upper' | 'below-lower',
    max = 64,
  ): PlannedChange => ({
    vmid: vmid(101),
    name: 'name-101',
    cores: coresChange(101, before, after, { rule }, { max }),
  });

  /** Carries the steps out, one after the other. */
  async function stateAfter(...steps: readonly PlannedChange[]): Promise<LoopState> {
    const node = nodeWith(101);
    const state = newLoopState();
    for (const each of steps) await run(node, [each], { state });
    return state;
  }
  const owed = async (...steps: readonly PlannedChange[]): Promise<number | undefined> => {
    const taken = remembered(await stateAfter(...steps), 'offPeak').get(KEY);
    return taken?.givenBackMs === undefined ? taken?.before : undefined;
  };

  it('is owed as a whole, however many steps it took', async () => {
    expect(await owed(step(8, 4, 'off-peak'), step(4, 2, 'off-peak'))).toBe(8);
  });

  it('is owed with what it grew by in between', async () => {
    expect(await owed(step(4, 2, 'off-peak'), step(2, 3, 'above-upper'))).toBe(4);
    const more = [step(4, 2, 'off-peak'), step(2, 6, 'above-upper')];
    expect(await owed(...more)).toBeUndefined();
    expect(await owed(...more, step(6, 2, 'off-peak'))).toBe(6);
  });

  it('is owed with growth of which a crash has left no record', async () => {
    const node = nodeWith(101);
    const state = newLoopState();
    recordOf(state, vmid(101)).cores.offPeak = { before: 4, givenBackMs: undefined };
    await run(node, [step(6, 2, 'off-peak')], { state });
    expect(remembered(state, 'offPeak').get(KEY)?.before).toBe(6);
  });

  it('is still owed where the thresholds took more on top of it', async () => {
    expect(await owed(step(8, 4, 'off-peak'), step(4, 2, 'below-lower'))).toBe(8);
  });

  it('is owed until it is given back whole', async () => {
    const part = [step(8, 2, 'off-peak'), step(2, 5, 'peak-again')];
    expect(await owed(...part)).toBe(8);
    const state = await stateAfter(...part, step(5, 8, 'peak-again'));
    expect(remembered(state, 'offPeak').get(KEY)).toEqual({ before: 8, givenBackMs: 1_000_000 });
    const bounded = await stateAfter(step(8, 2, 'off-peak'), step(2, 5, 'peak-again', 5));
    expect(remembered(bounded, 'offPeak').get(KEY)?.givenBackMs).toBe(1_000_000);
  });

  it('is not owed a second time the next night', async () => {
    const night = [step(8, 2, 'off-peak'), step(2, 8, 'peak-again')];
    expect(await owed(...night, step(8, 4, 'below-lower'), step(4, 2, 'off-peak'))).toBe(4);
  });

  it('is not owed where the change did not come about', async () => {
    const node = nodeWith(101);
    const state = newLoopState();
    node.pct = () => ({ kind: 'failed', why: 'other', exitCode: 255, message: 'no' });
    await run(node, [step(4, 2, 'off-peak')], { state });
    node.pct = (request) => node.apply(request);
    await run(node, [step(4, 2, 'below-lower')], { state });
    expect(remembered(state, 'offPeak').size).toBe(0);
  });
});

describe('a boost', () => {
  const up: PlannedChange = {
    vmid: vmid(101),
    name: 'name-101',
    cores: coresChange(101, 2, 3, { rule: 'saturated', boostMs: 120_000 }),
  };

  it('is not made where its state cannot be saved, and leaves nothing behind', async () => {
    const node = nodeWith(101, 102);
    const state = newLoopState();
    recordOf(state, vmid(101)).cores.offPeak = { before: 8 };
    const before = JSON.stringify(state.guests.get(vmid(101)));
    let problem: string | undefined = 'state.json: the disk quota is used up (EDQUOT)';
    const save = () => problem;
    const night = { vmid: vmid(101), name: 'name-101' };
    const down = coresChange(101, 2, 1, { rule: 'off-peak' });
    for (const change of [up, { ...night, cores: down }]) {
      expect(await run(node, [change, growMemory(102)], { state, save })).toEqual({
        done: 0,
        failed: 0,
      });
    }
    expect(node.sets).toEqual([]);
    expect(JSON.stringify(state.guests.get(vmid(101)))).toBe(before);
    expect(node.linesOf('ERROR')).toEqual([expect.stringContaining('(EDQUOT)')]);
    problem = undefined;
    expect(await run(node, [up, growMemory(102)], { state, save })).toMatchObject({ done: 2 });
    expect(node.linesOf('INFO').join()).toContain('Changes can be backed up and recorded again.');
  });

  it('is on record, with its change, before pct is started', async () => {
    const node = nodeWith(101);
    const state = newLoopState();
    const boost = { before: 2, boosted: 3, endMs: node.nowMs + 120_000 };
    let saved: unknown;
    node.pct = (request) => {
      saved = [state.guests.get(vmid(101))?.cores.boost, state.guests.get(vmid(101))?.intended];
      return node.apply(request);
    };
    await run(node, [up], { state });
    expect(saved).toMatchObject([boost, { cores: 3, cpuLimit: null, memoryMib: 1024 }]);
    expect([state.guests.get(vmid(101))?.cores.boost, remembered(state, 'intended').size]).toEqual([
      boost,
      0,
    ]);
  });

  it.each(['boost-end', 'oom-kill', 'above-maximum'] as const)(
    'is over with a change for %s',
    async (rule) => {
      const node = nodeWith(101);
      const state = newLoopState();
      await run(node, [up], { state });
      const next = { ...up, cores: coresChange(101, 3, 2, { rule }) };
      await run(node, [next], { state });
      expect(remembered(state, 'boost').size).toBe(0);
    },
  );

  it('of the cores goes on where the memory changes', async () => {
    const node = nodeWith(101);
    const state = newLoopState();
    await run(node, [up], { state });
    await run(node, [growMemory(101)], { state });
    expect(remembered(state, 'boost').size).toBe(1);
  });
});

it('a cpulimit is remembered where it stands, and is in force at once', async () => {
  const node = nodeWith(101);
  const state = newLoopState();
  const half = coresChange(101, 2, 0.5, { unit: 'cpulimit' });
  await run(node, [{ vmid: vmid(101), name: 'name-101', cores: half }], { state });
  expect(state.guests.get(vmid(101))?.known).toMatchObject({ cores: 2, cpuLimit: 0.5 });
  expect(node.sets).toMatchObject([{ cpuLimit: 0.5 }]);
  expect(remembered(state, 'pendingCores').size).toBe(0);
});

describe('where a change could be neither backed up nor recorded', () => {
  const blocked = (node: FakeNode, whose: 'backups' | 'journal') => {
    const trouble = { now: undefined as string | undefined };
    Object.assign(node.world[whose], { problem: () => trouble.now });
    return trouble;
  };
  const NOTHING = 'ERROR: Nothing is changed, since it could not be backed up or recorded: ';

  it.each(['backups', 'journal'] as const)(
    'none is made, which is said once (%s)',
    async (whose) => {
      const node = nodeWith(101, 102);
      const trouble = blocked(node, whose);
      const state = newLoopState();
      trouble.now = 'the disk is full';
      const changes = [growMemory(101), growCores(102)];
      expect(await run(node, changes, { state })).toEqual({ done: 0, failed: 0 });
      expect(await run(node, changes, { state })).toEqual({ done: 0, failed: 0 });
      expect(node.done).toEqual([]);
      expect(node.lines).toEqual([`${NOTHING}the disk is full`]);
      expect(remembered(state, 'failure').size).toBe(0);
      trouble.now = undefined;
      expect(await run(node, changes, { state })).toEqual({ done: 2, failed: 0 });
      expect(node.linesOf('INFO')[0]).toContain('can be backed up and recorded again');
      trouble.now = 'read-only';
      await run(node, [growMemory(101)], { state });
      expect(node.lines.at(-1)).toBe(`${NOTHING}read-only`);
    },
  );

  it('those that are left are not begun when it happens in their midst', async () => {
    const node = nodeWith(101, 102, 103);
    const trouble = blocked(node, 'journal');
    const { pct } = node;
    node.pct = (request) => {
      trouble.now = 'the disk is full';
      return pct.call(node, request);
    };
    expect(await run(node, [growMemory(101), growMemory(102), growMemory(103)])).toEqual({
      done: 1,
      failed: 0,
    });
    expect(node.done).toEqual(['backup 101', 'set 101']);
  });

  it('a dry run rehearses as always', async () => {
    const node = nodeWith(101);
    blocked(node, 'journal').now = 'the disk is full';
    await run(node, [growMemory(101)], { dryRun: true });
    expect(node.linesOf('INFO')[0]).toContain('Would increase memory');
  });
});
