import { describe, expect, it } from 'vitest';
import { newGroupState } from '../../../src/core/groups/group-state.ts';
import { SNAPSHOT_LIMIT_MS } from '../../../src/core/groups/ledger.ts';
import { applyOutcome, type StepOutcome } from '../../../src/core/groups/outcome.ts';
import type { Step } from '../../../src/core/groups/step.ts';
import { milliseconds, type Vmid } from '../../../src/core/units.ts';

/** A command on another node that went out of sight: what became of it is read, not assumed. */

const NOW = milliseconds(10_000_000);
const VMID = 99_000 as Vmid;
const UNSEEN: StepOutcome = { kind: 'broken', message: 'the connection has ended', isUnseen: true };
const CLONE: Step = {
  kind: 'clone',
  vmid: VMID,
  source: 101 as Vmid,
  snapshot: undefined,
  full: true,
  hostname: 'web-99000',
  description: '',
  address: undefined,
  disk: undefined,
  reason: '',
};

function cloning() {
  const state = newGroupState();
  state.reservation = {
    vmid: VMID,
    address: undefined,
    nonce: '0'.repeat(32),
    startedMs: NOW,
    reason: '',
    boot: 'boot',
    begun: true,
    pid: undefined,
    ended: undefined,
    orphanedMs: undefined,
  };
  return state;
}

describe('a command whose line was cut', () => {
  it('has not ended for the reservation of its clone', () => {
    const state = cloning();
    applyOutcome(state, CLONE, UNSEEN, NOW);
    expect(state.reservation?.ended).toBeUndefined();
    const { isUnseen: _, ...ended } = { ...UNSEEN, isUnseen: undefined };
    applyOutcome(state, CLONE, ended as StepOutcome, NOW);
    expect(state.reservation?.ended).toBe('broken');
  });

  it('is tried again when the far side has ended it for certain, and later from then on', () => {
    const state = cloning();
    const step: Step = { kind: 'start', vmid: VMID };
    applyOutcome(state, step, UNSEEN, NOW);
    expect(state.failures.get(`start/${VMID}`)?.retryAtMs).toBe(NOW + 20_000);
    applyOutcome(state, step, UNSEEN, NOW);
    expect(state.failures.get(`start/${VMID}`)?.retryAtMs).toBeGreaterThanOrEqual(NOW + 60_000);
  });

  it('has a lock that a snapshot left taken off after two minutes, and not at once', () => {
    const state = newGroupState();
    state.snapshotBoot = 'boot';
    state.snapshotMs = NOW;
    const step: Step = { kind: 'snapshot', vmid: VMID, name: 's', description: '', reason: '' };
    applyOutcome(state, step, UNSEEN, NOW);
    expect(state.snapshotBoot).toBe('boot');
    expect((state.snapshotMs ?? 0) + SNAPSHOT_LIMIT_MS).toBe(NOW + 120_000);
  });
});
