import type { HandHold } from '../../src/core/decide.ts';
import type { GroupReport } from '../../src/core/groups/group-report.ts';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import type { ContainerObservation } from '../../src/core/observation.ts';
import type { Management } from '../../src/core/policy.ts';
import { present } from '../../src/core/reading.ts';
import { type Account, accountOf } from '../../src/core/report/account.ts';
import type { HealthReport } from '../../src/core/report/health.ts';
import type { ReportInput } from '../../src/core/report/report-input.ts';
import { type StatusReport, statusReport } from '../../src/core/report/status.ts';
import { cores, mib, milliseconds, ratio, type Vmid } from '../../src/core/units.ts';
import {
  budgetOf,
  container,
  cpuUse,
  guest,
  host,
  memoryUse,
  policy,
  vmid,
} from '../core/builders.ts';
import { reportInput } from '../core/report/report.ts';

/** A node with guests in all states, as the real reports tell of it. */

interface Plan {
  readonly id: number;
  readonly name: string;
  readonly cores: number;
  readonly mib: number;
  readonly usedCores: number;
  readonly usedMib: number;
  readonly tier?: string;
  readonly mode?: 'observe' | 'ignored';
  readonly lock?: string;
  readonly isStopped?: boolean;
  readonly held?: string;
  readonly oomMinutesAgo?: number;
  readonly maxCores?: number;
  readonly given?: { readonly cores: number; readonly mib: number };
  readonly change?: readonly [text: string, status: string, minutesAgo: number];
}

const GROWN = 'cores 2 -> 4 cores, since it uses 1.92 of its 2 cores (96 %), above the upper';
const SHRUNK = 'memory 4096 -> 3072 MB, since it uses 512 of its 4096 MB (12.5 %), below the lower';

/** In the order of their ids. */
const PLANS: readonly Plan[] = [
  { id: 100, name: 'gateway', cores: 2, mib: 1024, usedCores: 0.7, usedMib: 480, tier: 'edge' },
  {
    id: 101,
    name: 'web-shop',
    cores: 4,
    mib: 4096,
    usedCores: 2.4,
    usedMib: 2310,
    tier: 'web',
    change: [`${GROWN} threshold of 80 %`, 'confirmed', 14],
  },
  {
    id: 102,
    name: 'database',
    cores: 8,
    mib: 16_384,
    usedCores: 6.1,
    usedMib: 11_800,
    tier: 'db',
  },
  {
    id: 103,
    name: 'batch',
    cores: 8,
    mib: 6144,
    usedCores: 7.8,
    usedMib: 3900,
    tier: 'jobs',
  },
  {
    id: 104,
    name: 'intranet',
    cores: 6,
    mib: 12_288,
    usedCores: 0.03,
    usedMib: 327,
    mode: 'observe',
  },
  {
    id: 105,
    name: 'leaky-app',
    cores: 1,
    mib: 2048,
    usedCores: 0.3,
    usedMib: 1840,
    oomMinutesAgo: 46,
    change: [
      'memory 1536 -> 2048 MB, since it uses 1400 of its 1536 MB (91.1 %), above the upper',
      'failed',
      44,
    ],
  },
  { id: 106, name: 'build-runner', cores: 4, mib: 4096, usedCores: 1.6, usedMib: 1900, tier: 'ci' },
  {
    id: 107,
    name: 'legacy-mail',
    cores: 2,
    mib: 2048,
    usedCores: 1.7,
    usedMib: 1700,
    mode: 'ignored',
  },
  { id: 108, name: 'wiki', cores: 4, mib: 4096, usedCores: 0.9, usedMib: 1380, lock: 'backup' },
  {
    id: 109,
    name: 'monitoring',
    cores: 2,
    mib: 3072,
    usedCores: 0.9,
    usedMib: 1430,
    given: { cores: 4, mib: 8192 },
    change: [`${SHRUNK} threshold of 20 %`, 'confirmed', 190],
  },
  {
    id: 110,
    name: 'nextcloud',
    cores: 2,
    mib: 4096,
    usedCores: 0.8,
    usedMib: 2100,
    held: 'it was rolled back by hand',
  },
  {
    id: 111,
    name: 'git',
    cores: 2,
    mib: 2048,
    usedCores: 0.6,
    usedMib: 900,
    held: 'it is paused by api:dashboard',
  },
  { id: 112, name: 'old-shop', cores: 2, mib: 2048, usedCores: 0, usedMib: 0, isStopped: true },
];

function observed(one: Plan): ContainerObservation {
  const config = guest(one.id, {
    name: one.name,
    cores: one.cores,
    memoryMib: mib(one.mib),
    lock: one.lock,
  });
  if (one.isStopped)
    return { vmid: vmid(one.id), config: present(config), state: { kind: 'stopped' } };
  return container(config, {
    cpu: present({ ...cpuUse(one.usedCores, one.cores), pressure: ratio(one.usedCores / 100) }),
    memory: present(
      memoryUse(one.usedMib, { limitMib: mib(one.mib), cacheMib: mib(one.usedMib / 4) }),
    ),
    cpusetCpus: one.cores,
  });
}

function managed(one: Plan | undefined): Management {
  if (one?.mode === 'ignored') return { kind: 'ignored', because: 'listed in ignore_lxc' };
  const source = one?.tier === undefined ? 'DEFAULT' : `TIER_${one.tier}`;
  const because =
    one?.tier === undefined ? 'DEFAULT, since it is in no tier' : `${source} lists it`;
  const own = { ...policy({ maxCores: one?.maxCores ?? 8 }), source };
  return { kind: 'managed', policy: own, mode: one?.mode ?? 'act', because };
}

export interface Fixture {
  readonly status: StatusReport;
  accountOf(id: number): Account | undefined;
}

/** The wall clock of the report: now, so that its age is one. */
export function fixture(plans: readonly Plan[] = PLANS, own: Partial<ReportInput> = {}): Fixture {
  const byId = new Map(plans.map((one) => [vmid(one.id), one]));
  const nowMs = Date.now();
  const localTime = (ms: number): string =>
    new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
  const state = newLoopState();
  state.hostCpu = {
    busy: ratio(0.41),
    atMs: milliseconds(0),
    times: { busyTicks: 0, totalTicks: 0 },
  };
  const holds = new Map<Vmid, HandHold>();
  for (const { id, held, given, change, oomMinutesAgo } of plans) {
    const record = recordOf(state, vmid(id));
    if (oomMinutesAgo !== undefined) {
      record.oomFloor = { limitMib: 1536, atMs: milliseconds(10_000_000 - oomMinutesAgo * 60_000) };
    }
    if (held !== undefined) holds.set(vmid(id), { reason: held, leftMs: 2_040_000 });
    if (given !== undefined) {
      record.given = { cores: cores(given.cores), cpuLimit: null, memoryMib: mib(given.mib) };
    }
    if (change !== undefined) {
      const [text, status, minutesAgo] = change;
      record.lastChange = { wallMs: milliseconds(nowMs - minutesAgo * 60_000), text, status };
    }
  }
  const manage: ReportInput['manage'] = (config) => managed(byId.get(config.vmid));
  const containers = plans.map(observed);
  const seen = host({ availableMib: 31_200 });
  const input = reportInput(
    containers,
    {
      cycle: 412,
      wallMs: milliseconds(nowMs - 12_000),
      localTime,
      manage,
      holds,
      state,
      host: seen,
      available: budgetOf(6, 12_288),
      ...own,
    },
    { manage, holds, state, host: seen },
  );
  return {
    status: statusReport(input),
    accountOf: (id) => accountOf(input, vmid(id)),
  };
}

/** Guests by the hundred, most of them calm. */
export const manyGuests = (count: number, round = 0): readonly Plan[] =>
  Array.from({ length: count }, (_, place) => ({
    id: 100 + place,
    name: `guest-${place}-of-many`,
    cores: 4,
    mib: 4096,
    usedCores: 1 + ((place * 7 + round) % 20) / 10,
    usedMib: 1200 + ((place * 13 + round * 11) % 1500),
  }));

/** Names, tags and log lines that would do harm where they were taken for HTML. */
export const HOSTILE = '<img src=x onerror="document.title=`hacked`"><script>hacked()</script>';

export const hostileGuests: readonly Plan[] = [
  {
    id: 100,
    name: HOSTILE,
    cores: 2,
    mib: 1024,
    usedCores: 0.9,
    usedMib: 500,
    tier: HOSTILE,
    held: HOSTILE,
    change: [HOSTILE, 'confirmed', 3],
  },
];

export const HEALTH: HealthReport = {
  format: 1,
  healthy: false,
  checks: [
    { name: 'configuration', ok: true, says: 'the file is valid' },
    { name: 'daemon', ok: true, says: 'it answers' },
    { name: 'cycle', ok: true, says: 'the last good cycle ended 12 s ago' },
    { name: 'backups', ok: true, says: 'a copy can be written' },
    { name: 'notifications', ok: false, says: 'gotify: 2 wait, and none was sent for 2400 s' },
  ],
};

export const GROUP: GroupReport = {
  label: 'shop',
  source: 101,
  wanted: 3,
  inService: 2,
  min: 1,
  max: 5,
  scaleIn: 'stop',
  standing: 'one more member is on its way, since the CPU was 84 % busy for 60 s',
  members: [
    {
      vmid: 101,
      name: 'web-shop',
      role: 'serving',
      ours: false,
      address: '10.0.0.11',
      cpuPercent: 84,
      memoryPercent: 56,
      says: '',
    },
    {
      vmid: 9001,
      name: 'shop-1',
      role: 'serving',
      ours: true,
      address: '10.0.0.21',
      cpuPercent: 83,
      memoryPercent: 49,
      says: 'the CPU was busy',
    },
  ],
  underWay: ['clone 101 to 9002'],
  notes: ['a load balancer finds the members in /etc/haproxy/shop.cfg'],
  failures: [{ what: 'start of 9003', count: 2, retryInS: 90, message: 'no free address' }],
};

/** A day of one guest, a row every five minutes. */
export function usage(nowMs: number): object {
  const columns = ['timeS', 'cpuCores', 'memoryMib', 'cpuAllowed', 'memoryLimitMib'];
  const start = Math.round(nowMs / 1000) - 86_400;
  const rows = Array.from({ length: 288 }, (_, step) => {
    const hour = step / 12;
    const load = Math.exp(-(((hour - 11) / 3) ** 2)) + 0.8 * Math.exp(-(((hour - 19) / 2) ** 2));
    const wobble = Math.sin(step * 1.7) * 0.08 + Math.sin(step * 0.61) * 0.05;
    const used = Math.max(0.1, 0.4 + 2.1 * load + wobble);
    const allowed = hour < 9 || hour > 21 ? 2 : 4;
    const memory = 1100 + 1150 * load + 40 * wobble;
    const limit = hour < 9.3 ? 2048 : hour < 21.5 ? 4096 : 3072;
    return [start + step * 300, Math.min(used, allowed), memory, allowed, limit];
  });
  return { vmid: 101, from: new Date(start * 1000).toISOString(), columns, rows };
}

export function sparks(ids: readonly number[]): object {
  const guests = Object.fromEntries(
    ids.map((id) => {
      const wave = (speed: number) =>
        Array.from({ length: 48 }, (_, step) => 0.4 + 0.35 * Math.sin((step * speed) / 9 + id));
      return [id, { cpu: wave(1 + (id % 5)), memory: wave(0.4 + (id % 3)) }];
    }),
  );
  return { from: new Date(Date.now() - 86_400_000).toISOString(), stepS: 1800, points: 48, guests };
}

export interface LineOptions {
  readonly vmid?: number;
  readonly name?: string;
  readonly hoursAgo?: number;
  readonly event?: string;
  readonly reason?: string;
}

const STATUS: Readonly<Record<string, string>> = { change: 'confirmed', would: 'observed' };

/** A line of the JSON log. */
export function line(own: LineOptions = {}): object {
  const { vmid: id = 101, name = 'web-shop', hoursAgo = 1, event = 'change' } = own;
  const at = new Date(Date.now() - hoursAgo * 3_600_000);
  const isoTime = at.toISOString();
  return {
    timestamp: isoTime.slice(0, 19).replace('T', ' '),
    proxmox_host: 'pve1',
    time: isoTime,
    container_id: String(id),
    action: 'Increase Cores',
    change: '2',
    event,
    name,
    resource: 'cores',
    direction: 'up',
    before: 2,
    after: 4,
    status: STATUS[event] ?? event,
    reason: own.reason ?? 'it uses 1.92 of its 2 cores (96 %), above the upper threshold of 80 %',
    backup: `/var/lib/lxc_autoscale/backups/${id}/20261121T220445.123Z-0a1b2c3d.conf`,
  };
}

export const LINES: readonly object[] = [
  line({ hoursAgo: 0.2 }),
  line({ vmid: 105, name: 'leaky-app', hoursAgo: 0.7, event: 'failed', reason: 'pct set failed' }),
  line({ vmid: 104, name: 'intranet', hoursAgo: 2, event: 'would' }),
  line({ hoursAgo: 13.5 }),
  line({ vmid: 109, name: 'monitoring', hoursAgo: 15 }),
];

export const ADVICE = {
  containers: [
    {
      container: '101',
      hours: 240,
      sure: 'high',
      tier: 'TIER_4_cores_4096_mb',
      cores: { recommended: 3, peak: 2.4, had: 4, saves: 1, at_limit: 0 },
      memory_mb: { recommended: 2560, peak: 2310, had: 4096, saves: 1536, at_limit: 0 },
    },
    {
      container: '103',
      hours: 30,
      sure: 'fair',
      tier: 'TIER_8_cores_8192_mb',
      cores: { recommended: 8, peak: 7.9, had: 8, saves: 0, at_limit: 0.12 },
      memory_mb: null,
    },
  ],
  diff:
    '--- /etc/lxc_autoscale/lxc_autoscale.yaml\n+++ /etc/lxc_autoscale/lxc_autoscale.yaml\n' +
    '@@ -8,0 +9,5 @@\n+\n+TIER_4_cores_4096_mb:\n+  guests: [101]\n' +
    '+  scaling_mode: adaptive\n+  max_cores: 8\n',
  left: [103],
  note: 'To apply it: (cd / && patch -p0) < FILE, then lxc-autoscale check-config.',
};
