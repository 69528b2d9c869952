import { describe, expect, it } from 'vitest';
import type { Hold } from '../../src/core/decision.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import type { PlannedChange } from '../../src/core/plan.ts';
import { logOutcome, logPlan } from '../../src/loop/log-cycle.ts';
import { budgetOf, coresChange, hold, measured, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

describe('a change of the cpulimit', () => {
  const cores = coresChange(101, 0.5, 0.75, { unit: 'cpulimit' });
  const planned: PlannedChange = { vmid: vmid(101), name: 'web', cores };

  it('is one of cores in the journal, with its unit among the details', () => {
    const node = new FakeNode();
    logOutcome(node.world, planned, 'confirmed', { cycle: 7 });
    expect(node.events).toMatchObject([
      {
        vmid: 101,
        action: 'Increase Cores',
        change: '0.25',
        details: { status: 'confirmed', before: 0.5, after: 0.75, unit: 'cpulimit' },
      },
    ]);
    expect(node.abouts).toEqual([
      { component: 'act', vmid: 101, event: 'change', verdict: 'grow', outcome: 'confirmed' },
    ]);
    expect(node.linesOf('INFO')[0]).toMatch(/\(web\): cpulimit 0\.5 -> 0\.75 cores, since it uses/);
  });

  it('is told from one of whole cores', () => {
    const node = new FakeNode();
    const whole = { ...planned, cores: coresChange(101, 2, 4) };
    logOutcome(node.world, whole, 'confirmed', { cycle: 7 });
    expect(node.events[0]?.details).not.toHaveProperty('unit');
    expect(node.linesOf('INFO')[0]).toContain('(web): cores 2 -> 4 cores, since');
  });
});

describe('a decision that is only observed', () => {
  it('is told as in a dry run, and again only when it comes to something else', () => {
    const node = new FakeNode();
    const state = newLoopState();
    const observed = (would: number): Hold =>
      hold(101, { kind: 'observe-only', would }, { resource: 'cores', measured: measured() });
    for (const would of [4, 4, 6]) {
      logPlan(node.world, state, budgetOf(7, 1024), [], { held: [observed(would)], changes: [] });
    }
    expect(node.events).toMatchObject([
      { action: 'Would Increase Cores', change: '2', details: { status: 'observed', after: 4 } },
      { action: 'Would Increase Cores', change: '4', details: { status: 'observed', after: 6 } },
    ]);
    const said = node.linesOf('INFO').filter((line) => line.includes('observe mode'));
    expect(said).toHaveLength(2);
  });
});

describe('growth that the host cannot give now', () => {
  it.each(['host-busy', 'host-pressure', 'host-emergency'] as const)(
    'is said once, and when it is over: %s',
    (kind) => {
      const node = new FakeNode();
      const state = newLoopState();
      const cycle = (because: Hold['because']): void => {
        const held = [hold(101, because, { resource: 'cores', measured: measured() })];
        logPlan(node.world, state, budgetOf(7, 1024), [], { held, changes: [] });
      };
      const said = (): readonly string[] =>
        node.linesOf('INFO').filter((line) => line.includes('Container 101'));
      for (const share of [0.97, 0.98, 0.99]) cycle({ kind, share });
      expect(said()).toHaveLength(1);
      expect(said()[0]).toContain('it should get more, but ');
      for (let count = 0; count < 3; count += 1) cycle({ kind: 'in-band' });
      expect(said()).toHaveLength(2);
      expect(said()[1]).toMatch(/It does not wait any more$/);
      cycle({ kind, share: 0.99 });
      expect(said()).toHaveLength(3);
    },
  );
});
