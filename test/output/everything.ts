import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { present } from '../../src/core/reading.ts';
import { mib, milliseconds, ratio } from '../../src/core/units.ts';
import type { MetricsInput } from '../../src/output/metrics.ts';
import { newTally, noteCycle, noteEvent } from '../../src/output/tally.ts';
import { container, cpuUse, guest, hold, host, memoryUse, policy, vmid } from '../core/builders.ts';
import { eventFrom } from '../core/journal-events.ts';
import { reportInput } from '../core/report/report.ts';

const now = { wallMs: milliseconds(1_800_000_000_000), atMs: milliseconds(5000) };

/** Something of each kind of figure, so that every metric there is has a series. */
export function everything(ids: readonly number[] = [101, 102]): MetricsInput {
  const tally = newTally();
  const held = [hold(101, { kind: 'host-memory', wanted: 512, budget: 0 })];
  noteCycle(tally, now, { spentMs: new Map([['observe', 12.5]]), held });
  noteCycle(tally, now, undefined);
  noteEvent(tally, eventFrom('Increase Memory'), true);
  noteEvent(tally, eventFrom('Decrease Cores Failed'), true);
  noteEvent(tally, eventFrom('Scale Out', { group: 'web' }), true);
  const state = newLoopState();
  const { cores } = recordOf(state, vmid(101));
  cores.boost = { before: 2, boosted: 3, endMs: milliseconds(9000) };
  recordOf(state, vmid(101)).lastChange = {
    wallMs: now.wallMs,
    text: 'cores 2 -> 3',
    status: 'pending',
  };
  recordOf(state, vmid(101)).shortages = {
    kills: 3,
    nested: 2,
    byHost: 0,
    limitHits: 40,
    killedWallMs: now.wallMs,
  };
  recordOf(state, vmid(101)).given = { cores: 4, cpuLimit: null, memoryMib: mib(2048) };
  state.hostCpu = { atMs: now.atMs, times: { busyTicks: 1, totalTicks: 4 }, busy: ratio(0.25) };
  const containers = ids.map((id) =>
    container(guest(id, { name: `ct${id}` }), {
      cpu: present({ ...cpuUse(1.25, 2), pressure: ratio(0.125) }),
      memory: present(memoryUse(700, { pressure: ratio(0.5), cacheMib: mib(90) })),
    }),
  );
  const managed = policy({ maxMib: 4096 });
  const report = reportInput(containers, {
    state,
    host: host(),
    manage: () => ({ kind: 'managed', policy: managed, mode: 'act', because: 'DEFAULT' }),
  });
  const planned = { ...report.planned, held: [...report.planned.held, ...held] };
  return {
    version: '1.2.3',
    node: 'pve1',
    tally,
    pollIntervalMs: milliseconds(300_000),
    report: { ...report, planned },
    own: {
      nodeVersion: '18.20.4',
      cpuSeconds: 1.5,
      residentBytes: 5e7,
      heapBytes: 1e7,
      startSeconds: 1.7e9,
    },
    notifications: [{ channel: 'gotify', sent: 3, failed: 1, waiting: 2 }],
  };
}
