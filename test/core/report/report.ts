import type { DecideInput } from '../../../src/core/decide.ts';
import { decide } from '../../../src/core/decide.ts';
import type { Hold, HoldReason, Skip, SkipReason } from '../../../src/core/decision.ts';
import { plan } from '../../../src/core/plan.ts';
import type { ReportInput } from '../../../src/core/report/report-input.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { broken, budgetOf, decideInput, guest, hold, measured, vmid } from '../builders.ts';

/** What a report is made of, from a real decision on ordinary containers. */
export function reportInput(
  containers: DecideInput['containers'],
  own: Partial<ReportInput> = {},
  deciding: Partial<DecideInput> = {},
): ReportInput {
  const input = decideInput(containers, deciding);
  const verdicts = own.verdicts ?? decide(input);
  const available = own.available ?? budgetOf(14, 8192);
  const { host, holds, manage, hostPolicy, state, nowMs } = input;
  return {
    from: 'daemon',
    cycle: 7,
    wallMs: milliseconds(Date.UTC(2026, 10, 21, 22, 4, 45)),
    atMs: nowMs,
    nowMs,
    host,
    holds,
    manage,
    hostPolicy,
    state,
    containers,
    dryRun: false,
    verdicts,
    available,
    planned: plan(verdicts.decisions, available),
    localTime: (wallMs) => new Date(wallMs).toISOString().slice(0, 19).replace('T', ' '),
    ...own,
  };
}

/** One of each reason for which a resource is held; the compiler sees that none is left out. */
export const HOLD_REASONS: { readonly [K in HoldReason['kind']]: HoldReason & { kind: K } } = {
  'in-band': { kind: 'in-band' },
  'not-scaled': { kind: 'not-scaled' },
  learnt: { kind: 'learnt' },
  missing: { kind: 'missing', reading: broken() },
  'at-maximum': { kind: 'at-maximum' },
  'at-minimum': { kind: 'at-minimum' },
  'too-little-to-take': { kind: 'too-little-to-take', left: 16, least: 512 },
  opposite: { kind: 'opposite' },
  'oom-lately': { kind: 'oom-lately' },
  'held-back-lately': { kind: 'held-back-lately' },
  'observed-briefly': { kind: 'observed-briefly', leftMs: 1_800_000 },
  kept: { kind: 'kept', peakMib: 400, roomMib: 800, mib: 1328 },
  'unproven-lately': { kind: 'unproven-lately', attempts: 2, retryInMs: 90_000 },
  'cannot-prove': { kind: 'cannot-prove' },
  'counts-cache': { kind: 'counts-cache', why: 'not-for-long', leftMs: 7_200_000 },
  'need-unseen': { kind: 'need-unseen' },
  'day-unseen': { kind: 'day-unseen', leftMs: 3_600_000 },
  'kept-unseen': { kind: 'kept-unseen', peakMib: 400, mib: 512 },
  'too-few-observations': { kind: 'too-few-observations', have: 1, want: 3 },
  flapping: { kind: 'flapping', flaps: 3, leftMs: 7_200_000 },
  cooldown: { kind: 'cooldown', toward: 'shrink', leftMs: 120_000 },
  'observe-only': { kind: 'observe-only', would: 4 },
  'started-lately': { kind: 'started-lately' },
  cpulimit: { kind: 'cpulimit', cpuLimit: 1.5 },
  narrowed: { kind: 'narrowed', has: 4, usable: 2 },
  pinned: {
    kind: 'pinned',
    pin: { what: 'cpuset', line: 'lxc.cgroup2.cpuset.cpus: 12-15' },
    unit: 'cores',
  },
  'no-controller': { kind: 'no-controller', controller: 'memory' },
  fixed: {
    kind: 'fixed',
    resource: 'memory',
    why: 'it has no balloon device (balloon: 0)',
    remedy: '`qm set 101 --delete balloon --shares 0`, then stop and start it',
  },
  'balloon-moves': { kind: 'balloon-moves', targetMib: 2048, actualMib: 3072 },
  'not-in-force': { kind: 'not-in-force', configured: 4, live: 2 },
  'host-memory': { kind: 'host-memory', wanted: 512, budget: 0 },
  'host-cores': { kind: 'host-cores', ceiling: 14 },
  'host-busy': { kind: 'host-busy', share: 0.97 },
  'host-pressure': { kind: 'host-pressure', share: 0.1 },
  'host-full': { kind: 'host-full', share: 0.91 },
  'host-emergency': { kind: 'host-emergency', share: 0.99 },
  overcommit: { kind: 'overcommit', wanted: 512, room: 100 },
  'changed-by-hand': { kind: 'changed-by-hand', leftMs: 3_600_000 },
  boosted: { kind: 'boosted', until: 2, leftMs: 60_000 },
  'not-saturated': { kind: 'not-saturated', samples: 1, of: 3 },
  'given-back': { kind: 'given-back', leftMs: 20_000 },
  'memory-pressure': { kind: 'memory-pressure', share: 0.2 },
  refaults: { kind: 'refaults', mibPerS: 3 },
  'swap-growth': { kind: 'swap-growth', mib: 12 },
  'next-cycle': { kind: 'next-cycle' },
  paused: { kind: 'paused', why: 'the cluster has no quorum' },
};

/** One of each reason for which a container is left alone as a whole. */
export const SKIP_REASONS: { readonly [K in SkipReason['kind']]: SkipReason & { kind: K } } = {
  ignored: { kind: 'ignored', because: 'listed in ignore_lxc' },
  template: { kind: 'template' },
  'held-by-hand': { kind: 'held-by-hand', reason: 'it was rolled back by hand', leftMs: 600_000 },
  locked: { kind: 'locked', lock: 'backup' },
  stopped: { kind: 'stopped' },
  frozen: { kind: 'frozen' },
  'pending-changes': { kind: 'pending-changes', keys: ['memory'] },
  unreadable: { kind: 'unreadable', reading: broken() },
  'failed-lately': { kind: 'failed-lately', failures: 2, retryInMs: 90_000 },
};

/** A container whose cores are held for this reason, and whose memory is in its band. */
export function heldFor(because: HoldReason, own: Partial<ReportInput> = {}): ReportInput {
  const held: Hold[] = [
    hold(101, because, { resource: 'cores', measured: measured() }),
    hold(101, { kind: 'in-band' }, { measured: measured({ before: 1024, used: 512 }) }),
  ];
  const verdicts = { decisions: held, skipped: [] };
  return reportInput([], { verdicts, planned: { changes: [], held }, ...own });
}

export function skippedFor(because: SkipReason, own: Partial<ReportInput> = {}): ReportInput {
  const skip: Skip = { vmid: vmid(101), name: guest(101).name, because };
  const verdicts = { decisions: [], skipped: [skip] };
  return reportInput([], { verdicts, planned: { changes: [], held: [] }, ...own });
}
