import { describe, expect, it } from 'vitest';
import { allocationOf } from '../../src/core/allocation.ts';
import { GIVEN_BACK_MS } from '../../src/core/arbitrate.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import type { PlannedChange } from '../../src/core/plan.ts';
import type { ContainerPolicy, Management } from '../../src/core/policy.ts';
import { takeOver, toSaved } from '../../src/core/saved-state.ts';
import { cores, mib, milliseconds } from '../../src/core/units.ts';
import { act } from '../../src/loop/act.ts';
import { recordDrift } from '../../src/loop/drift.ts';
import { type Observed, observe } from '../../src/loop/observe.ts';
import { noticePause } from '../../src/loop/pause.ts';
import {
  AMPLE_ROOM,
  coresChange,
  everyone,
  machine,
  memoryChange,
  policy,
  remembered,
  vmid,
} from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);
const HOUR_MS = 3_600_000;

const managed = (own: ContainerPolicy = policy()): Management => ({
  kind: 'managed',
  policy: own,
  mode: 'act',
  because: 'DEFAULT',
});

const planned = (own: Partial<PlannedChange>): PlannedChange => ({
  vmid: ID,
  name: 'guest-101',
  ...own,
});
const boost = (before: number, after: number): PlannedChange =>
  planned({ cores: coresChange(101, before, after, { rule: 'saturated', boostMs: 120_000 }) });

/** One node, one container, and a program that may crash. */
class Life {
  readonly node = new FakeNode();
  readonly one = this.node.add(101);
  state: LoopState = newLoopState();
  management: Management = managed();
  /** What stood in the file when the process ended. */
  saved = '';

  /** Whether another program has the node. */
  isElsewhere = false;

  look(): Observed {
    const { isElsewhere } = this;
    const notOurs = () =>
      isElsewhere ? ({ kind: 'elsewhere', why: 'another has it' } as const) : undefined;
    this.state.cycle += 1;
    const seen = observe(this.node.world, this.state, everyone());
    if (!seen.ok) throw new Error(seen.detail);
    const world = { ...this.node.world, notOurs };
    recordDrift(world, this.state, seen.value, () => this.management);
    noticePause(world, this.state);
    return seen.value;
  }

  async do(change: PlannedChange, dryRun = false): Promise<void> {
    const observed = this.look();
    const stop = new AbortController().signal;
    const save = (): undefined => {
      this.saved = JSON.stringify(toSaved(this.state, 'boot', this.#instant()));
    };
    await act(this.node.world, this.state, [change], {
      cycle: 1,
      observed,
      headroom: AMPLE_ROOM,
      hands: dryRun ? undefined : this.node.world.hands,
      stop,
      save,
    });
  }

  /** The next process, with what the last `save` has left: that comes before each change. */
  crash(): void {
    this.state = newLoopState();
    takeOver(this.state, JSON.parse(this.saved), 'boot', this.#instant());
  }

  #instant() {
    const nowMs = milliseconds(this.node.nowMs);
    return { nowMs, wallMs: nowMs };
  }

  heldUntil(resource: 'cores' | 'memory'): number | undefined {
    return remembered(this.state, 'handHoldMs').get(`101/${resource}`);
  }

  said(): readonly string[] {
    return this.node.linesOf('INFO').filter((line) => line.includes('not by this program'));
  }
}

function seen(): Life {
  const life = new Life();
  life.look();
  return life;
}

describe('a change by hand', () => {
  it('is seen, said, and respected for its hour', () => {
    const life = seen();
    life.node.write(101, { memoryMib: mib(4096) });
    life.look();
    expect(life.heldUntil('memory')).toBe(life.node.nowMs + HOUR_MS);
    expect(life.heldUntil('cores')).toBeUndefined();
    expect(life.said()).toEqual([
      'INFO: Container 101 (guest-101): its memory was set from 1024 MB to 4096 MB, ' +
        'not by this program; it stays for 3600 s',
    ]);
  });

  it('is none while another program has the node, up to the first look after that', () => {
    const life = seen();
    for (const [isElsewhere, memoryMib, held] of [
      [true, 2048, false],
      [false, 3072, false],
      [false, 4096, true],
    ] as const) {
      life.isElsewhere = isElsewhere;
      life.node.write(101, { memoryMib: mib(memoryMib) });
      life.look();
      expect([memoryMib, life.heldUntil('memory') !== undefined]).toEqual([memoryMib, held]);
    }
    const words = life.node.linesOf('INFO').filter((line) => line.includes('its memory was set'));
    expect(words[0]).toMatch(/from 1024 MB to 2048 MB, by the other lxc-autoscale$/);
    expect(words).toHaveLength(3);
  });

  it('is the new norm: it is seen once, and its hold ends', () => {
    const life = seen();
    life.node.write(101, { cores: 6 });
    life.look();
    const until = life.heldUntil('cores');
    life.node.pass(HOUR_MS - 1);
    life.look();
    expect([life.heldUntil('cores'), life.said().length]).toEqual([until, 1]);
    life.node.pass(1);
    life.look();
    expect(life.heldUntil('cores')).toBeUndefined();
  });

  it.each([
    ['cores that are taken out', { cores: null }, /number of cores was set from 2 cores to none/],
    ['a cpulimit', { cpuLimit: cores(1.5) }, /cpulimit was set from none to 1.5 cores/],
  ])('of %s counts for the cores', (_what, values, words) => {
    const life = seen();
    life.node.write(101, values);
    life.look();
    expect(life.heldUntil('cores')).toBe(life.node.nowMs + HOUR_MS);
    expect(life.said()).toEqual([expect.stringMatching(words)]);
  });

  it('of a cpulimit that is taken out is one too', () => {
    const life = new Life();
    life.node.write(101, { cpuLimit: cores(1.5) });
    life.look();
    life.node.write(101, { cpuLimit: null });
    life.look();
    expect(life.heldUntil('cores')).toBeDefined();
    expect(life.said()).toEqual([expect.stringContaining('from 1.5 cores to none')]);
  });

  it('of something else is no matter of ours', () => {
    const life = seen();
    life.node.write(101, { tags: ['new'], swapMib: mib(2048), name: 'other' });
    life.look();
    expect([remembered(life.state, 'handHoldMs').size, life.said().length]).toEqual([0, 0]);
  });

  it('ends what was to be undone: a boost, what the night took, and a proof that failed', () => {
    const life = seen();
    const record = recordOf(life.state, ID);
    record.life.shrunk = { fromMib: 4096, atMs: milliseconds(0) };
    for (const resource of ['cores', 'memory'] as const) {
      const boosted = resource === 'cores' ? 2 : 1024;
      record[resource].boost = { before: 1, boosted, endMs: milliseconds(9e9) };
      record[resource].offPeak = { before: 8, givenBackMs: undefined };
    }
    record.life.shrinkRetry = { count: 3, retryAtMs: milliseconds(9e9) };
    life.node.write(101, { memoryMib: mib(2048) });
    life.look();
    const { cores, memory } = record;
    expect([cores.boost, cores.offPeak]).not.toContain(undefined);
    expect([memory.boost, memory.offPeak]).toEqual([undefined, undefined]);
    expect(record.life).toMatchObject({ shrinkRetry: undefined, shrunk: undefined });
  });

  it('ends a boost though another value happens to be the boosted one', () => {
    const life = new Life();
    life.node.write(101, { cores: 3, cpuLimit: cores(3) });
    life.look();
    recordOf(life.state, vmid(101)).cores.boost = {
      before: 2,
      boosted: 3,
      endMs: milliseconds(9e9),
    };
    life.node.write(101, { cores: 6 });
    life.look();
    expect(remembered(life.state, 'boost').size).toBe(0);
  });

  describe('under a lock', () => {
    const write = (life: Life, lock: string | undefined, own: Partial<GuestConfig> = {}): void => {
      life.node.write(101, { lock, ...own });
      life.look();
    };

    it('is no change at all while a container is created: it has no values yet', () => {
      const life = new Life();
      life.node.write(101, { cores: null, memoryMib: mib(512) });
      write(life, 'create');
      write(life, 'create', { cores: 2, memoryMib: mib(4096) });
      write(life, undefined);
      expect([remembered(life.state, 'handHoldMs').size, life.said().length]).toEqual([0, 0]);
      write(life, undefined, { memoryMib: mib(8192) });
      expect(life.heldUntil('memory')).toBeDefined();
    });

    it.each(['create', 'rollback', 'migrate', 'some-new-lock'])(
      '%s is of the operation: the new norm, and no hold',
      (lock) => {
        const life = seen();
        recordOf(life.state, vmid(101)).memory.offPeak = { before: 8192, givenBackMs: undefined };
        write(life, lock);
        write(life, lock, { memoryMib: mib(2048) });
        write(life, undefined);
        expect([
          remembered(life.state, 'handHoldMs').size,
          remembered(life.state, 'offPeak').size,
        ]).toEqual([0, 0]);
        expect(life.node.lines.join()).toContain(
          `its memory was set from 1024 MB to 2048 MB, under the lock ${lock}`,
        );
        write(life, undefined, { memoryMib: mib(4096) });
        expect(life.heldUntil('memory')).toBeDefined();
      },
    );

    it.each(['backup', 'snapshot', 'mounted', 'disk'])(
      '%s is of a person with an editor, and counts when the lock ends',
      (lock) => {
        const life = seen();
        write(life, lock);
        write(life, lock, { memoryMib: mib(2048) });
        expect(life.heldUntil('memory')).toBeUndefined();
        write(life, undefined);
        expect(life.heldUntil('memory')).toBeDefined();
      },
    );
  });

  it('while the container is stopped is respected too', () => {
    const life = seen();
    life.one.running = false;
    life.node.write(101, { memoryMib: mib(4096) });
    life.look();
    expect(life.heldUntil('memory')).toBeDefined();
  });

  it('is respected though this program was not running meanwhile', async () => {
    const life = seen();
    await life.do(planned({ memory: memoryChange(101, 1024, 2048) }));
    life.crash();
    life.node.write(101, { memoryMib: mib(3072) });
    life.look();
    expect(life.heldUntil('memory')).toBeDefined();
  });

  it('is the new norm and no more, where manual_hold_seconds is 0', () => {
    const life = seen();
    const own = policy();
    life.management = managed({ ...own, timing: { ...own.timing, manualHoldMs: milliseconds(0) } });
    recordOf(life.state, vmid(101)).cores.boost = {
      before: 1,
      boosted: 2,
      endMs: milliseconds(9e9),
    };
    life.node.write(101, { cores: 6 });
    life.look();
    expect(remembered(life.state, 'handHoldMs').size).toBe(0);
    expect(remembered(life.state, 'boost').size).toBe(0);
    expect(life.said()).toEqual([expect.stringMatching(/not by this program$/)]);
  });

  it('on an ignored container is nobody else’s business, then or later', () => {
    const life = seen();
    life.management = { kind: 'ignored', because: 'its tag' };
    life.node.write(101, { cores: 6 });
    life.look();
    life.management = managed();
    life.look();
    expect([remembered(life.state, 'handHoldMs').size, life.said().length]).toEqual([0, 0]);
  });
});

describe('what is nobody’s hand', () => {
  it('the values that are found first', () => {
    expect(remembered(seen().state, 'handHoldMs').size).toBe(0);
  });

  it('a change by this program', async () => {
    const life = seen();
    await life.do(
      planned({ cores: coresChange(101, 2, 4), memory: memoryChange(101, 1024, 2048) }),
    );
    life.look();
    expect([remembered(life.state, 'handHoldMs').size, life.said().length]).toEqual([0, 0]);
    expect(life.state.guests.get(ID)?.known).toMatchObject({ cores: 4, memoryMib: 2048 });
  });

  it('a cpulimit that pct has rounded', async () => {
    const life = seen();
    life.node.pct = (request) => {
      life.node.write(101, { cpuLimit: cores(0.33) });
      return request.cpuLimit === 0.333 ? { kind: 'done' } : life.node.apply(request);
    };
    const change = coresChange(101, 0.5, 0.333, { unit: 'cpulimit', rule: 'boost-end' });
    await life.do(planned({ cores: change }));
    life.look();
    expect(life.said()).toEqual([]);
  });

  it('what a change that failed has left', async () => {
    const life = seen();
    life.node.pct = () => {
      life.node.write(101, { memoryMib: mib(2048) });
      return { kind: 'failed', why: 'other', exitCode: 255, message: 'half of it' };
    };
    await life.do(planned({ memory: memoryChange(101, 1024, 2048) }));
    life.look();
    expect(remembered(life.state, 'handHoldMs').size).toBe(0);
  });

  it('unless a change failed for a value that is neither the old nor the new one', async () => {
    const life = seen();
    life.node.pct = () => {
      life.node.write(101, { memoryMib: mib(1999) });
      return { kind: 'failed', why: 'modified', exitCode: 255, message: 'somebody was faster' };
    };
    await life.do(planned({ memory: memoryChange(101, 1024, 2048) }));
    life.look();
    expect(remembered(life.state, 'handHoldMs').size).toBe(1);
  });

  it('a container that was gone, and came back with other values', () => {
    const life = seen();
    life.node.containers.delete(ID);
    life.look();
    expect(remembered(life.state, 'known').size).toBe(0);
    life.node.add(101, { cores: 8, memoryMib: mib(8192) });
    life.look();
    expect([remembered(life.state, 'handHoldMs').size, life.said().length]).toEqual([0, 0]);
  });

  it('a configuration that cannot be read for a while', () => {
    const life = seen();
    life.one.configMissing = { ok: false, why: 'unreadable', detail: 'EIO' };
    life.look();
    life.one.configMissing = undefined;
    life.look();
    expect(remembered(life.state, 'handHoldMs').size).toBe(0);
    life.one.configMissing = { ok: false, why: 'unreadable', detail: 'EIO' };
    life.look();
    life.node.write(101, { cores: 3 });
    life.one.configMissing = undefined;
    life.look();
    expect(life.heldUntil('cores')).toBeDefined();
  });
});

describe('a crash', () => {
  it('before the change: the next process finds all as it was, and no boost', async () => {
    const life = seen();
    life.node.pct = () => ({ kind: 'killed', signal: 'SIGKILL', message: 'the machine' });
    await life.do(boost(2, 3));
    life.crash();
    expect(remembered(life.state, 'intended').size).toBe(1);
    life.look();
    expect(remembered(life.state, 'boost').size).toBe(0);
    life.node.pass(60_001);
    life.look();
    expect(remembered(life.state, 'intended').size).toBe(0);
    expect([remembered(life.state, 'handHoldMs').size, life.said().length]).toEqual([0, 0]);
  });

  it('in the middle of it: a pct that goes on is still ours when it is done', async () => {
    const life = seen();
    life.node.pct = () => ({ kind: 'killed', signal: 'SIGKILL', message: 'the machine' });
    await life.do(boost(2, 3));
    life.crash();
    life.look();
    life.node.pass(9000);
    life.node.write(101, { cores: 3 });
    life.look();
    expect([
      remembered(life.state, 'handHoldMs').size,
      remembered(life.state, 'intended').size,
    ]).toEqual([0, 0]);
    expect(life.state.guests.get(vmid(101))?.cores.boost).toMatchObject({ before: 2, boosted: 3 });
    expect(life.state.guests.get(vmid(101))?.cores.changedMs).toBe(life.node.nowMs);
  });

  it('in the middle of it: what comes after a minute is another hand’s', async () => {
    const life = seen();
    life.node.pct = () => ({ kind: 'killed', signal: 'SIGKILL', message: 'the machine' });
    await life.do(boost(2, 3));
    life.crash();
    life.look();
    life.node.pass(60_001);
    life.look();
    life.node.write(101, { cores: 3 });
    life.look();
    expect(life.heldUntil('cores')).toBeDefined();
  });

  it('in the middle of it: a next change that is overtaken lets it come still', async () => {
    const life = seen();
    life.node.pct = () => ({ kind: 'killed', signal: 'SIGKILL', message: 'the machine' });
    await life.do(boost(2, 3));
    life.crash();
    life.node.pct = () => {
      life.node.write(101, { cores: 3 });
      return {
        kind: 'failed',
        why: 'modified',
        exitCode: 255,
        message: 'detected modified configuration',
      };
    };
    await life.do(planned({ memory: memoryChange(101, 1024, 2048) }));
    expect(life.state.guests.get(ID)?.intended).toMatchObject({ cores: 3, memoryMib: 1024 });
    life.look();
    expect([
      remembered(life.state, 'handHoldMs').size,
      remembered(life.state, 'intended').size,
    ]).toEqual([0, 0]);
  });

  it('after it: the change is put on record, once', async () => {
    const life = new Life();
    life.node.write(101, { memoryMib: mib(2048) });
    life.one.limitMib = 2048;
    life.look();
    await life.do(
      planned({ cores: coresChange(101, 2, 4), memory: memoryChange(101, 2048, 1024) }),
    );
    life.crash();
    life.one.cpuset = 2;
    life.node.events.length = 0;
    life.look();
    life.look();
    const [first, second, ...others] = life.node.events;
    expect(others).toEqual([]);
    expect(first).toMatchObject({
      vmid: ID,
      action: 'Increase Cores',
      change: '2',
      details: {
        status: 'pending',
        before: 2,
        after: 4,
        note: expect.stringMatching(/interrupted/),
      },
    });
    expect(first?.details['reason']).toMatch(/^it uses /);
    expect(second).toMatchObject({ action: 'Decrease Memory', details: { status: 'confirmed' } });
    expect(life.state.guests.get(ID)?.life.pendingCores?.cores).toBe(4);
    expect(life.node.linesOf('INFO').filter((line) => line.includes('interrupted'))).toHaveLength(
      2,
    );
  });

  it('before it, or after it was put back: it is on record as not in force, once', async () => {
    const life = seen();
    await life.do(planned({ cores: coresChange(101, 2, 4) }));
    life.crash();
    life.node.write(101, { cores: 2 });
    life.node.events.length = 0;
    for (const passedMs of [0, 1000, 60_001]) {
      life.node.pass(passedMs);
      life.look();
    }
    expect(life.node.events).toMatchObject([
      {
        action: 'Increase Cores Failed',
        details: {
          status: 'failed',
          before: 2,
          after: 4,
          note: expect.stringMatching(/interrupted/),
        },
      },
    ]);
    const [line, ...others] = life.node.linesOf('WARN');
    expect(line).toMatch(
      /^WARN: FAILED\. .*cores 2 -> 4 cores, since .*and it is not active now\. If a pct /,
    );
    expect([others, remembered(life.state, 'intended').size]).toEqual([[], 0]);
  });

  it('in the middle of it: what the kernel does not know is told as half done', async () => {
    const life = seen();
    await life.do(planned({ memory: memoryChange(101, 1024, 2048) }));
    life.crash();
    life.one.limitMib = 1024;
    life.node.events.length = 0;
    life.look();
    expect(life.node.events).toMatchObject([
      {
        action: 'Increase Memory Failed',
        details: { status: 'failed', before: 1024, after: 2048 },
      },
    ]);
    expect(life.node.linesOf('ERROR').at(-1)).toMatch(
      /half done \(.*live limit 1024 MB\)\. Please check/,
    );
  });

  it('after it: the change is ours, and the boost ends in its time', async () => {
    const life = seen();
    await life.do(boost(2, 3));
    life.crash();
    life.look();
    expect([remembered(life.state, 'handHoldMs').size, life.said().length]).toEqual([0, 0]);
    expect(life.state.guests.get(vmid(101))?.cores.boost).toEqual({
      before: 2,
      boosted: 3,
      endMs: life.node.nowMs + 120_000,
    });
  });

  it('after it: cooldown and grant hold as if there had been none', async () => {
    const life = seen();
    await life.do(
      planned({ cores: coresChange(101, 2, 4), memory: memoryChange(101, 1024, 2048) }),
    );
    life.crash();
    expect([
      remembered(life.state, 'grantMib').size,
      remembered(life.state, 'changedMs').size,
    ]).toEqual([0, 0]);
    life.node.pass(5000);
    life.look();
    expect(life.state.guests.get(ID)?.grantMib).toBe(1024);
    const { nowMs } = life.node;
    for (const times of [remembered(life.state, 'changedMs'), remembered(life.state, 'grownMs')]) {
      expect([...times]).toEqual([
        ['101/cores', nowMs],
        ['101/memory', nowMs],
      ]);
    }
    life.look();
    expect(life.state.guests.get(ID)?.grantMib).toBe(1024);
  });

  it('after a shrink gives back no more than was granted', async () => {
    const life = seen();
    life.node.write(101, { memoryMib: mib(4096) });
    life.one.limitMib = 4096;
    life.state = newLoopState();
    life.look();
    recordOf(life.state, ID).grantMib = mib(512);
    await life.do(planned({ memory: memoryChange(101, 4096, 2048) }));
    life.crash();
    expect(life.state.guests.get(ID)?.grantMib).toBe(512);
    life.look();
    expect(remembered(life.state, 'grantMib').size).toBe(0);
    const { nowMs } = life.node;
    expect([...remembered(life.state, 'shrunk')]).toEqual([[ID, { fromMib: 4096, atMs: nowMs }]]);
    expect([
      ...remembered(life.state, 'changedMs').keys(),
      ...remembered(life.state, 'grownMs').keys(),
    ]).toEqual(['101/memory']);
  });

  it('after the night has taken: it is still to be given back', async () => {
    const life = seen();
    await life.do(planned({ cores: coresChange(101, 2, 1, { rule: 'off-peak' }) }));
    life.crash();
    life.look();
    expect(life.state.guests.get(vmid(101))?.cores.offPeak).toMatchObject({ before: 2 });
    expect(life.said()).toEqual([]);
  });

  it('and an admin’s other value after it is his', async () => {
    const life = seen();
    await life.do(boost(2, 3));
    life.crash();
    life.node.write(101, { cores: 7 });
    life.look();
    expect(life.heldUntil('cores')).toBeDefined();
    expect(remembered(life.state, 'boost').size).toBe(0);
  });
});

describe('a dry run', () => {
  it('intends nothing, so that nothing looks like being done', async () => {
    const life = seen();
    await life.do(boost(2, 3), true);
    expect([
      remembered(life.state, 'intended').size,
      remembered(life.state, 'boost').size,
      life.saved,
    ]).toEqual([0, 0, '']);
  });
});

describe('what is over', () => {
  it('is forgotten: what was given back, after its hour', () => {
    const life = seen();
    const givenBackMs = milliseconds(life.node.nowMs);
    recordOf(life.state, vmid(101)).cores.offPeak = { before: 4, givenBackMs };
    recordOf(life.state, vmid(101)).memory.offPeak = { before: 4096, givenBackMs: undefined };
    life.node.pass(GIVEN_BACK_MS);
    life.look();
    expect(remembered(life.state, 'offPeak').size).toBe(2);
    life.node.pass(1);
    life.look();
    expect([...remembered(life.state, 'offPeak').keys()]).toEqual(['101/memory']);
  });
});

describe('what an administrator gave a guest', () => {
  const given = (life: Life) => recordOf(life.state, ID).given;

  it('is taken from the backups if nothing is noted yet', () => {
    const life = new Life();
    const own = { ...allocationOf(life.one.config), cores: 8, memoryMib: mib(8192) };
    life.node.ownValues = () => own;
    life.look();
    expect(given(life)).toMatchObject({ cores: 8, memoryMib: 8192 });
    life.node.ownValues = () => undefined;
    life.look();
    expect(given(life)).toMatchObject({ cores: 8, memoryMib: 8192 });
  });

  it('is what it has if the backups cannot be read', () => {
    const life = new Life();
    life.node.ownValues = () => undefined;
    life.look();
    const { cores: count, memoryMib } = allocationOf(life.one.config);
    expect(given(life)).toMatchObject({ cores: count, memoryMib });
  });
});

describe('a crash in a change of a machine', () => {
  /** One with 4 vCPUs, and a process that has ended while these were to become 1. */
  async function cut(change: Partial<PlannedChange> = { cores: coresChange(101, 4, 1) }) {
    const life = new Life();
    life.one.config = machine(101, { digest: '0'.repeat(40) });
    life.look();
    life.node.pct = () => ({ kind: 'killed', signal: 'SIGKILL', message: 'the machine' });
    await life.do(planned({ kind: 'qemu', ...change }));
    life.crash();
    life.node.events.length = 0;
    return life;
  }

  const held = ({ state }: Life): number => remembered(state, 'handHoldMs').size;
  const changes = ({ node }: Life) =>
    node.events.flatMap(({ kind, details }) => (kind === 'change' ? [details] : []));

  it('goes on piece by piece, is nobody’s hand, and is put on record as a whole', async () => {
    const life = await cut();
    for (const cpus of [4, 3, 2]) {
      life.node.write(101, { cores: cpus });
      life.look();
      life.node.pass(60_000);
    }
    expect([held(life), life.said(), changes(life).length]).toEqual([0, [], 1]);
    life.node.write(101, { cores: 1 });
    life.look();
    const whole = { status: 'confirmed', kind: 'qemu', before: 4, after: 1 };
    expect(changes(life).at(-1)).toMatchObject(whole);
    expect([held(life), remembered(life.state, 'intended').size]).toEqual([0, 0]);
    expect(life.node.linesOf('INFO').at(-1)).toMatch(/^INFO: VM 101 \(guest-101\): cores 4 -> 1/);
  });

  it('that got no further is on record as partly after a quarter of an hour', async () => {
    const life = await cut();
    life.node.write(101, { cores: 3 });
    life.look();
    life.node.pass(900_001);
    life.look();
    expect([held(life), remembered(life.state, 'intended').size]).toEqual([0, 0]);
    expect(changes(life)).toMatchObject([{ status: 'partly', before: 4, after: 3 }]);
    expect(life.node.linesOf('WARN').at(-1)).toContain('It was to be 1, and got no further.');
    // From now on it is somebody else's.
    life.node.write(101, { cores: 2 });
    life.look();
    expect(held(life)).toBe(1);
  });

  it('has granted what it gave, and is a boost of so much', async () => {
    const grow = memoryChange(101, 2048, 4096, { rule: 'saturated', boostMs: 1_800_000 });
    const life = await cut({ memory: grow });
    life.node.write(101, { memoryMib: mib(3072) });
    life.look();
    life.node.pass(900_001);
    life.look();
    const { grantMib, memory } = recordOf(life.state, ID);
    expect([grantMib, memory.boost]).toMatchObject([1024, { before: 2048, boosted: 3072 }]);
  });

  it.each([
    ['beyond it', { cores: 5 }],
    ['another lever', { cores: 3, memoryMib: mib(1024) }],
  ])('leaves %s a change by hand', async (_what, values) => {
    const life = await cut();
    life.node.write(101, values);
    life.look();
    expect([held(life), remembered(life.state, 'intended').size]).toEqual([1, 0]);
  });
});
