import { describe, expect, it } from 'vitest';
import type { Budget } from '../../src/core/admission.ts';
import { decide } from '../../src/core/decide.ts';
import type { Change, Decision } from '../../src/core/decision.ts';
import { addGrant } from '../../src/core/guest-record.ts';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { ContainerObservation } from '../../src/core/observation.ts';
import { leftOf, type Plan, plan } from '../../src/core/plan.ts';
import { present } from '../../src/core/reading.ts';
import { mib, ratio } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';
import {
  broken,
  budgetOf,
  budgetWith,
  container,
  coresChange,
  decideInput,
  gone,
  grantedMib,
  guest,
  hold,
  host,
  hostPolicy,
  memoryChange,
  memoryUse,
  policy,
  remembered,
  vmid,
} from './builders.ts';

const order = (planned: Plan): readonly number[] => planned.changes.map(({ vmid }) => vmid);
const PLENTY = budgetOf(64, 1_000_000);

describe('the order', () => {
  const share = (part: number) => ({ share: ratio(part) });

  it('is shrinking first, then OOM victims, then by the share that is used', () => {
    const decisions = [
      memoryChange(101, 1024, 1536, {}, share(0.85)),
      coresChange(102, 2, 4, {}, share(0.95)),
      memoryChange(103, 1024, 1536, { rule: 'oom-kill' }, share(0.1)),
      memoryChange(104, 8192, 4096),
      memoryChange(105, 1024, 1536, {}, share(0.9)),
      coresChange(106, 8, 4),
    ];
    expect(order(plan(decisions, PLENTY))).toEqual([104, 106, 103, 102, 105, 101]);
  });

  it('is by id where nothing else tells', () => {
    const decisions = [107, 103, 105].map((id) => memoryChange(id, 1024, 1536));
    expect(order(plan(decisions, PLENTY))).toEqual([103, 105, 107]);
    const shrinking = [107, 103, 105].map((id) => memoryChange(id, 4096, 1536));
    expect(order(plan(shrinking, PLENTY))).toEqual([103, 105, 107]);
  });

  it('counts a container that grows in one resource among the growing', () => {
    const decisions = [
      coresChange(101, 2, 4, {}, share(0.85)),
      memoryChange(101, 8192, 4096),
      memoryChange(102, 8192, 4096),
    ];
    const planned = plan(decisions, PLENTY);
    expect(order(planned)).toEqual([102, 101]);
    expect(planned.changes[1]).toMatchObject({ cores: { after: 4 }, memory: { after: 4096 } });
  });

  it('decides who gets memory that is not enough for all', () => {
    const decisions = [
      memoryChange(101, 1024, 1536, {}, share(0.85)),
      memoryChange(102, 1024, 1536, {}, share(0.99)),
      memoryChange(103, 1024, 1536, { rule: 'oom-kill' }, share(0.3)),
    ];
    const { changes, held } = plan(decisions, budgetOf(64, 1024));
    expect(changes.map(({ vmid, memory }) => [vmid, memory?.after])).toEqual([
      [103, 1536],
      [102, 1536],
    ]);
    expect(held).toMatchObject([{ vmid: 101, because: { kind: 'host-memory' } }]);
  });
});

describe('memory', () => {
  it('is granted in part where the whole cannot be', () => {
    const { changes } = plan([memoryChange(101, 1024, 2048)], budgetOf(64, 500));
    expect(changes).toMatchObject([{ memory: { after: 1024 + 496, limits: ['host'] } }]);
  });

  it('is refused where less than 16 MB are left, with both numbers', () => {
    const { changes, held } = plan([memoryChange(101, 1024, 2048)], budgetOf(64, 15));
    expect(changes).toEqual([]);
    const because = { kind: 'host-memory', wanted: 1024, budget: 15 };
    expect(held).toMatchObject([{ vmid: 101, resource: 'memory', because }]);
  });

  it('is refused where the host could not be measured, while shrinking goes on', () => {
    const blind: Budget = { ...PLENTY, memoryMib: broken('/proc/meminfo') };
    const decisions = [memoryChange(101, 1024, 2048), memoryChange(102, 8192, 4096)];
    const { changes, held } = plan(decisions, blind);
    expect(order({ changes, held })).toEqual([102]);
    expect(held).toMatchObject([{ because: { kind: 'missing' }, measured: { before: 1024 } }]);
  });

  it('that cannot be given does not hold up the cores', () => {
    const decisions = [coresChange(101, 2, 4), memoryChange(101, 1024, 2048)];
    const { changes, held } = plan(decisions, budgetOf(64, 0));
    expect(changes).toMatchObject([{ vmid: 101, cores: { after: 4 } }]);
    expect(changes[0]?.memory).toBeUndefined();
    expect(held).toMatchObject([{ resource: 'memory' }]);
  });

  it('that is taken back is not handed out in the same cycle', () => {
    const decisions = [memoryChange(101, 8192, 4096), memoryChange(102, 1024, 2048)];
    expect(order(plan(decisions, budgetOf(64, 0)))).toEqual([101]);
  });
});

describe('cores', () => {
  it('are cut to what the reserve of the host leaves', () => {
    const { changes } = plan([coresChange(101, 2, 8)], budgetOf(3, 0));
    expect(changes).toMatchObject([{ cores: { after: 3, limits: ['host'] } }]);
  });

  it('are refused to who has that much already', () => {
    const { changes, held } = plan([coresChange(101, 4, 8)], budgetOf(3, 0));
    expect(changes).toEqual([]);
    expect(held).toMatchObject([{ because: { kind: 'host-cores', ceiling: 3 } }]);
  });

  it('are not taken back to the ceiling, which only bounds growth', () => {
    const { changes } = plan([coresChange(101, 16, 12)], budgetOf(3, 0));
    expect(changes).toMatchObject([{ cores: { after: 12, limits: [] } }]);
  });

  it('are refused where the CPUs of the host could not be counted', () => {
    const blind: Budget = { ...PLENTY, coresCeiling: gone('/proc/stat') };
    const { changes, held } = plan([coresChange(101, 2, 4), coresChange(102, 8, 4)], blind);
    expect(order({ changes, held })).toEqual([102]);
    expect(held).toMatchObject([{ vmid: 101, because: { kind: 'missing' } }]);
  });
});

describe('a boost', () => {
  const boost = (has: number, first: number, second?: number, own: Partial<Change> = {}) => ({
    ...memoryChange(101, has, first, { rule: 'saturated', ...own }),
    ...(second !== undefined && { fallback: second }),
  });
  const cores = (has: number, first: number, second?: number) => ({
    ...coresChange(101, has, first, { rule: 'saturated', boostMs: 120_000 }),
    ...(second !== undefined && { fallback: second }),
  });

  it('is given as it was meant where it fits', () => {
    const { changes } = plan([cores(4, 6, 5), boost(1024, 1536, 1280)], budgetOf(6, 512));
    expect(changes).toMatchObject([{ cores: { after: 6 }, memory: { after: 1536, limits: [] } }]);
  });

  it('is given as its second choice only where the first does not fit', () => {
    const { changes } = plan([cores(4, 6, 5), boost(1024, 1536, 1280)], budgetOf(5, 511));
    const fallen = { limits: ['host'], boostMs: 120_000 };
    expect(changes).toMatchObject([{ cores: { after: 5, ...fallen }, memory: { after: 1280 } }]);
  });

  it('is not given in part: what fits neither is refused, with the reason', () => {
    const { changes, held } = plan([cores(4, 6, 5), boost(1024, 1536, 1280)], budgetOf(4, 255));
    expect(changes).toEqual([]);
    expect(held.map(({ because }) => because.kind)).toEqual(['host-cores', 'host-memory']);
    const alone = plan([cores(4, 6), boost(1024, 1536)], budgetOf(5, 511));
    expect(alone.changes).toEqual([]);
  });

  it('that falls back is charged for what it gets', () => {
    const other = memoryChange(102, 1024, 1536, {}, { share: 0.81 });
    const first = { ...boost(1024, 1536, 1280), priority: 90 };
    const { changes } = plan([first, other], budgetOf(8, 256 + 128));
    expect(changes.map(({ memory }) => memory?.after)).toEqual([1280, 1024 + 128]);
  });
});

describe('what is refused to all', () => {
  const refusing: Budget = {
    ...PLENTY,
    coresRefused: { kind: 'host-busy', share: ratio(0.97) },
    memoryRefused: { kind: 'host-pressure', share: ratio(0.2) },
  };

  it('grows nobody, and shrinks as ever', () => {
    const decisions = [
      coresChange(101, 2, 4),
      memoryChange(102, 1024, 2048, { rule: 'oom-kill' }),
      coresChange(103, 8, 4),
      memoryChange(104, 8192, 4096),
    ];
    const { changes, held } = plan(decisions, refusing);
    expect(order({ changes, held })).toEqual([103, 104]);
    expect(held.map(({ because }) => because.kind).sort()).toEqual(['host-busy', 'host-pressure']);
  });

  it('one resource does not hold up the other', () => {
    const busy = { ...refusing, memoryRefused: undefined };
    const { changes } = plan([coresChange(101, 2, 4), memoryChange(101, 1024, 2048)], busy);
    expect(changes[0]?.cores).toBeUndefined();
    expect(changes).toMatchObject([{ memory: { after: 2048 } }]);
  });

  it('says what bounds it: what is free, or the limits together', () => {
    const bound: Budget = { ...budgetOf(8, 10), memoryBound: 'overcommit' };
    const { held } = plan([memoryChange(101, 1024, 2048)], bound);
    expect(held).toMatchObject([{ because: { kind: 'overcommit', wanted: 1024, room: 10 } }]);
  });
});

describe('what is left of a budget', () => {
  it('is less by what a plan gives, and no more by what it takes', () => {
    const before = { ...budgetOf(8, 1000), wholeMib: present(mib(1500)) };
    const decisions = [
      memoryChange(101, 1024, 1536),
      memoryChange(102, 4096, 2048),
      coresChange(103, 2, 4),
    ];
    const { memoryMib, wholeMib } = leftOf(before, plan(decisions, before));
    expect([memoryMib, wholeMib]).toEqual([present(488), present(988)]);
    const blind = { ...before, wholeMib: broken('meminfo'), memoryMib: broken('meminfo') };
    expect(leftOf(blind, plan(decisions, before)).wholeMib).toEqual(broken('meminfo'));
  });
});

describe('a cycle', () => {
  it('makes no more than a hundred changes; the others wait for the next', () => {
    const decisions = Array.from({ length: 130 }, (_, index) =>
      memoryChange(101 + index, 1024, 1536),
    );
    const { changes, held } = plan(decisions, PLENTY);
    expect(changes.length).toBe(100);
    expect(held.length).toBe(30);
    expect(new Set(held.map(({ because }) => because.kind))).toEqual(new Set(['next-cycle']));
  });

  it('does not charge what waits', () => {
    const shrinks = Array.from({ length: 100 }, (_, index) => memoryChange(101 + index, 8192, 512));
    const { changes, held } = plan([...shrinks, memoryChange(300, 1024, 1536)], PLENTY);
    expect(changes.length).toBe(100);
    expect(held).toMatchObject([{ vmid: 300, because: { kind: 'next-cycle' } }]);
  });

  it('keeps every hold of the policies, unchanged', () => {
    const holds = [hold(101, { kind: 'in-band' }), hold(102, { kind: 'oom-lately' })];
    expect(plan(holds, PLENTY)).toEqual({ changes: [], held: holds });
  });
});

describe('for any decisions and any budget', () => {
  const changeOf = (id: number): fc.Arbitrary<readonly Decision[]> =>
    fc
      .record({
        memory: fc.tuple(fc.integer({ min: 1, max: 64 }), fc.integer({ min: -64, max: 64 })),
        cores: fc.tuple(fc.integer({ min: 1, max: 32 }), fc.integer({ min: -32, max: 32 })),
        rule: fc.constantFrom('above-upper' as const, 'oom-kill' as const),
        used: fc.double({ min: 0.8, max: 1, noNaN: true }),
      })
      .map(({ memory, cores, rule, used }) => {
        const share = { share: ratio(used) };
        const decisions: Decision[] = [];
        const [has, step] = [memory[0] * 100, memory[1] * 48];
        if (step > 0) decisions.push(memoryChange(id, has, has + step, { rule }, share));
        else if (has + step >= 16) decisions.push(memoryChange(id, has, has + step));
        else decisions.push(hold(id, { kind: 'in-band' }));
        const [count, more] = cores;
        if (more > 0) decisions.push(coresChange(id, count, count + more, {}, share));
        else if (more < 0 && count + more >= 1)
          decisions.push(coresChange(id, count, count + more));
        return decisions;
      });
  const ids = Array.from({ length: 25 }, (_, index) => 101 + index);
  const decisions = fc.tuple(...ids.map(changeOf)).map((each) => each.flat());
  const budgets = fc
    .tuple(fc.integer({ min: 1, max: 48 }), fc.integer({ min: 0, max: 20_000 }))
    .map(([ceiling, memory]) => budgetOf(ceiling, memory));

  const RUNS = { numRuns: 400 };

  it('the growth of memory adds up to no more than the budget', () => {
    fc.assert(
      fc.property(decisions, budgets, (wanted, available) => {
        const most = available.memoryMib.ok ? available.memoryMib.value : 0;
        expect(grantedMib(plan(wanted, available))).toBeLessThanOrEqual(most);
      }),
      RUNS,
    );
  });

  it('nobody grows above the ceiling, nor gets more than was wanted, nor grows backwards', () => {
    fc.assert(
      fc.property(decisions, budgets, (wanted, available) => {
        const ceiling = available.coresCeiling.ok ? available.coresCeiling.value : 0;
        for (const { vmid, cores, memory } of plan(wanted, available).changes) {
          if (cores?.verdict === 'grow') expect(cores.after).toBeLessThanOrEqual(ceiling);
          for (const change of [cores, memory]) {
            if (change === undefined) continue;
            const asked = wanted.find(
              (each) => each.vmid === vmid && each.resource === change.resource,
            );
            if (asked === undefined || asked.verdict === 'hold') throw new Error('never asked');
            if (change.verdict === 'shrink') expect(change).toEqual(asked);
            else expect(change.after).toBeLessThanOrEqual(asked.after);
            if (change.verdict === 'grow')
              expect(change.after).toBeGreaterThan(asked.measured.before);
          }
        }
      }),
      RUNS,
    );
  });

  it('every decision is carried out or held, once', () => {
    fc.assert(
      fc.property(decisions, budgets, (wanted, available) => {
        const { changes, held } = plan(wanted, available);
        const carried = changes.flatMap(({ cores, memory }) => [cores, memory]);
        const all = [...carried.filter((change) => change !== undefined), ...held];
        const keys = (some: readonly Pick<Decision, 'vmid' | 'resource'>[]): string[] =>
          some.map(({ vmid, resource }) => `${vmid}/${resource}`).sort();
        expect(keys(all)).toEqual(keys(wanted));
      }),
      RUNS,
    );
  });

  it('the order of the input makes no difference', () => {
    fc.assert(
      fc.property(decisions, budgets, (wanted, available) => {
        const { changes } = plan([...wanted].reverse(), available);
        expect(changes).toEqual(plan(wanted, available).changes);
      }),
      RUNS,
    );
  });
});

describe('twenty containers of 4 GB on a host of 32 GB', () => {
  const ids = Array.from({ length: 20 }, (_, index) => 101 + index);
  const USED_MIB = 1200;
  const around = host({ totalMib: 32_768, availableMib: 32_768 - 20 * USED_MIB });
  /** 29 % in use is above this band's upper threshold, so that each of them wants 1 GB more. */
  const hungry = policy({ lower: 0.05, upper: 0.25 });

  // What is free decides here, and not the sum of the limits.
  const lavish = { ...hostPolicy, overcommitRatio: 10 };

  it('do not all grow, also not when what was granted is not used yet', () => {
    const state = newLoopState();
    const has = new Map(ids.map((id) => [id, 4096]));
    const grown: number[] = [];
    for (let cycle = 1; cycle <= 5; cycle++) {
      const containers = ids.map((id): ContainerObservation => {
        const memoryMib = mib(has.get(id) ?? 0);
        const memory = present(memoryUse(USED_MIB, { limitMib: memoryMib }));
        return container(guest(id, { memoryMib }), { memory });
      });
      const because = 'DEFAULT';
      const manage = () => ({ kind: 'managed', policy: hungry, mode: 'act', because }) as const;
      const { decisions } = decide(decideInput(containers, { manage, host: around }));
      const planned = plan(
        decisions,
        budgetWith(around, lavish, containers, remembered(state, 'grantMib')),
      );
      grown.push(grantedMib(planned));
      for (const { vmid, memory } of planned.changes) {
        if (memory === undefined) continue;
        has.set(vmid, memory.after);
        addGrant(recordOf(state, vmid), memory.after - memory.measured.before);
      }
    }
    const canGive = 32_768 - 20 * USED_MIB - 2048;
    expect(grown[0]).toBeGreaterThan(4096);
    expect(grown[0]).toBeLessThanOrEqual(canGive);
    expect(grown.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(canGive);
    expect(grown.slice(1)).toEqual([0, 0, 0, 0]);
  });
});

describe('priority', () => {
  it('serves the higher one first where memory is scarce, whatever the usage', () => {
    const low = memoryChange(101, 1024, 1536, { priority: 10 }, { share: 0.99 });
    const high = memoryChange(102, 1024, 1536, { priority: 90 }, { share: 0.81 });
    const { changes, held } = plan([low, high], budgetOf(8, 512));
    expect(changes.map(({ vmid: id }) => id)).toEqual([102]);
    expect(held).toMatchObject([{ vmid: 101, because: { kind: 'host-memory' } }]);
  });

  it('is followed by who uses the largest share', () => {
    const decisions = [0.82, 0.97, 0.9].map((share, index) =>
      memoryChange(101 + index, 1024, 1536, { priority: 70 }, { share }),
    );
    const { changes } = plan(decisions, budgetOf(8, 1024 + 256));
    expect(changes.map(({ vmid: id, memory }) => [id, memory?.after])).toEqual([
      [102, 1536],
      [103, 1536],
      [101, 1280],
    ]);
  });

  it('comes before want: among equals who was killed or held back is served first', () => {
    const starved = (rule: Change['rule'], priority: number): Change =>
      memoryChange(103, 1024, 1536, { rule, priority }, { share: 0.1 });
    const high = memoryChange(101, 1024, 1536, { priority: 90 });
    const equal = memoryChange(102, 1024, 1536, { priority: 50 });
    for (const rule of ['oom-kill', 'limit-hit'] as const) {
      const planned = plan([equal, high, starved(rule, 50)], budgetOf(8, 4096));
      expect(order(planned)).toEqual([101, 103, 102]);
    }
  });

  it('keeps in an early decision what those of higher priority wait for, and no more', () => {
    const budget = (priority: number) => ({
      ...budgetOf(8, 1024),
      kept: [{ vmid: vmid(102), mib: mib(768), priority }],
    });
    const given = (priority: number) =>
      plan([memoryChange(101, 1024, 1536, { priority: 50 })], budget(priority)).changes.map(
        ({ memory }) => memory?.after,
      );
    expect([given(90), given(50)]).toEqual([[1280], [1536]]);
  });
});
