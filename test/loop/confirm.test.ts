import { describe, expect, it } from 'vitest';
import { type LoopState, newLoopState, overdueCores, recordOf } from '../../src/core/loop-state.ts';
import { present } from '../../src/core/reading.ts';
import { milliseconds } from '../../src/core/units.ts';
import { confirmPending } from '../../src/loop/confirm.ts';
import { observe } from '../../src/loop/observe.ts';
import { broken, everyone, host, remembered, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);

/** Four cores are configured since now, and the cpuset still has two. */
function waiting(): { readonly node: FakeNode; readonly state: LoopState } {
  const node = new FakeNode();
  node.add(101);
  node.write(101, { cores: 4 });
  const state = newLoopState();
  observe(node.world, state, everyone());
  const sinceMs = milliseconds(node.nowMs);
  recordOf(state, ID).life.pendingCores = { cores: 4, sinceMs, warned: false };
  return { node, state };
}

function confirm(node: FakeNode, state: LoopState): void {
  const observed = observe(node.world, state, everyone());
  if (!observed.ok) throw new Error(observed.detail);
  confirmPending(node.world, state, observed.value);
}

describe('pending cores', () => {
  it('are confirmed once they are in the cpuset, in both logs', () => {
    const { node, state } = waiting();
    state.cycle = 3;
    confirm(node, state);
    expect(node.lines).toEqual([]);
    node.rebalance();
    node.pass(10_000);
    confirm(node, state);
    expect(node.lines).toEqual(['INFO: Container 101: 4 cores confirmed, now in its cpuset']);
    expect(node.events).toEqual([
      {
        kind: 'confirm',
        vmid: 101,
        action: 'Confirm Cores',
        change: '4',
        details: { status: 'confirmed', after: 4, cycle: 3 },
      },
    ]);
    confirm(node, state);
    expect(node.lines.length).toBe(1);
    expect(remembered(state, 'pendingCores').size).toBe(0);
  });

  it('that do not come within two minutes are said once, with the likely cause', () => {
    const { node, state } = waiting();
    node.pass(120_000);
    confirm(node, state);
    expect(node.lines).toEqual([]);
    expect(overdueCores(state)).toEqual([]);
    node.pass(15_000);
    confirm(node, state);
    node.pass(60_000);
    confirm(node, state);
    expect(node.lines).toEqual([
      'WARN: Container 101: 4 cores were set 135 s ago and are not active: pvestatd is not ' +
        'applying them; see `systemctl status pvestatd`',
    ]);
    expect(overdueCores(state)).toEqual([101]);
    node.rebalance();
    confirm(node, state);
    expect(node.linesOf('INFO').length).toBe(1);
    expect(overdueCores(state)).toEqual([]);
  });

  it('are awaited no more when somebody has configured another number since', () => {
    const { node, state } = waiting();
    node.write(101, { cores: 6 });
    node.pass(120_000);
    confirm(node, state);
    expect(node.lines).toEqual([]);
    expect(remembered(state, 'pendingCores').size).toBe(0);
  });

  it('of which the host has fewer are confirmed by all that it has', () => {
    const { node, state } = waiting();
    node.seen = host({ cpus: present(3) });
    node.rebalance();
    confirm(node, state);
    expect(node.linesOf('INFO').length).toBe(1);
    expect(node.events.length).toBe(1);
  });

  it('are neither confirmed nor missed while nothing can be read', () => {
    const { node, state } = waiting();
    node.get(101).cpuMissing = broken();
    node.get(101).configMissing = broken();
    node.pass(10_000);
    confirm(node, state);
    node.get(101).sampleMissing = broken();
    confirm(node, state);
    expect(node.lines).toEqual([]);
    expect(remembered(state, 'pendingCores').size).toBe(1);
  });

  it('of a container that has stopped are nobody’s business any more', () => {
    const { node, state } = waiting();
    node.get(101).running = false;
    node.pass(120_000);
    confirm(node, state);
    expect(node.lines).toEqual([]);
    expect(remembered(state, 'pendingCores').size).toBe(0);
  });

  it('say when the journal cannot be written', () => {
    const { node, state } = waiting();
    node.journalWorks = false;
    node.rebalance();
    confirm(node, state);
    expect(node.linesOf('ERROR')).toEqual([
      'ERROR: The JSON log could not be written for container 101',
    ]);
  });
});
