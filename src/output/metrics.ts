import type { Resource } from '../core/allocation.ts';
import { emergencyOf } from '../core/host-state.ts';
import type { ContainerObservation, GuestConfig } from '../core/observation.ts';
import { plainText } from '../core/plain-text.ts';
import type { ContainerPolicy, Mode } from '../core/policy.ts';
import { nameOf } from '../core/report/now.ts';
import { coursesOf, type ReportInput } from '../core/report/report-input.ts';
import { configNow } from '../core/report/status.ts';
import type { Milliseconds } from '../core/units.ts';
import { createExposition, type Exposition, type Family, type Labels } from './exposition.ts';
import { keyOf, partsOf, REFUSALS, type Tally } from './tally.ts';

/**
 * What the last cycle knew and what has happened since the start, for Prometheus. Containers bear
 * the label `id="lxc/101"` of the exporter that Proxmox users run (prometheus-pve-exporter), so
 * that `* on (id) group_left (name) pve_guest_info` joins the two. Base units throughout: seconds,
 * bytes, ratios, and cores. What is not known has no series; nothing is kept of a container that is
 * gone; the number of series is bounded by that of the containers.
 */

/** Of one node. */
export interface NodeMetrics {
  readonly node: string;
  /** undefined: no cycle is over yet. */
  readonly report: ReportInput | undefined;
  readonly tally: Tally;
}

export interface MetricsInput extends NodeMetrics {
  readonly version: string;
  /** Further nodes. If there are any, every series of a node has the label `node`. */
  readonly others?: readonly NodeMetrics[];
  readonly pollIntervalMs: Milliseconds;
  readonly own: ProcessMetrics;
  /** Messages by channel; left out where none is set up. */
  readonly notifications?: readonly ChannelMetrics[];
}

/** Of this process. */
export interface ProcessMetrics {
  readonly nodeVersion: string;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** Since 1970. */
  readonly startSeconds: number;
}

export interface ChannelMetrics {
  readonly channel: string;
  readonly sent: number;
  readonly failed: number;
  readonly waiting: number;
}

const BYTES_PER_MIB = 1024 * 1024;
const bytesOf = (mib: number | undefined): number | undefined =>
  mib === undefined ? undefined : Math.round(mib * BYTES_PER_MIB);

const NONE: Labels = {};

/** The text of `/metrics`. */
export function metricsText(input: MetricsInput): string {
  const out = createExposition();
  addOwn(out, input);
  addNotifications(out, input.notifications ?? []);
  const { others = [] } = input;
  if (others.length === 0) addNode(out, input);
  else for (const one of [input, ...others]) addNode(out.labelled({ node: one.node }), one);
  return out.text();
}

function addNode(out: Exposition, { node, report, tally }: NodeMetrics): void {
  addLoop(out, tally);
  addEvents(out, tally);
  if (report === undefined) return;
  addHost(out, report);
  addContainers(out, report, node);
}

const PREFIX = 'lxc_autoscale_';

function gauge(out: Exposition, name: string, help: string, fill: (family: Family) => void): void {
  out.family(`${PREFIX}${name}`, 'gauge', help, fill);
}

function counter(
  out: Exposition,
  name: string,
  help: string,
  fill: (family: Family) => void,
): void {
  out.family(`${PREFIX}${name}_total`, 'counter', help, fill);
}

function one(out: Exposition, name: string, help: string, value: number | undefined): void {
  gauge(out, name, help, (add) => add.sample(NONE, value));
}

function addOwn(out: Exposition, { version, own, pollIntervalMs }: MetricsInput): void {
  gauge(out, 'build_info', 'The version of this program and of Node.', (add) =>
    add.sample({ version, node_version: own.nodeVersion }, 1),
  );
  counter(out, 'process_cpu_seconds', 'CPU time that the daemon itself has used.', (add) =>
    add.sample(NONE, own.cpuSeconds),
  );
  one(out, 'process_resident_memory_bytes', 'Memory of the daemon itself.', own.residentBytes);
  one(out, 'process_heap_bytes', 'Heap of the daemon that is in use.', own.heapBytes);
  one(
    out,
    'process_start_time_seconds',
    'When the daemon was started, in seconds since 1970.',
    own.startSeconds,
  );
  one(out, 'poll_interval_seconds', 'The time from one cycle to the next.', pollIntervalMs / 1000);
}

function addLoop(out: Exposition, { cycles, lastGood, stages, reloads }: Tally): void {
  counter(out, 'cycles', 'Cycles; blind: the containers could not be listed.', (add) => {
    add.sample({ result: 'good' }, cycles.good);
    add.sample({ result: 'blind' }, cycles.blind);
  });
  one(
    out,
    'last_good_cycle_timestamp_seconds',
    'When the last good cycle ended, in seconds since 1970.',
    lastGood === undefined ? undefined : lastGood.wallMs / 1000,
  );
  out.family(
    `${PREFIX}cycle_stage_duration_seconds`,
    'summary',
    'How long the stages of a cycle took.',
    (add) => {
      for (const [stage, { ms, count }] of stages) {
        add.sample({ stage }, ms / 1000, '_sum');
        add.sample({ stage }, count, '_count');
      }
    },
  );
  counter(out, 'config_reloads', 'Reloads of the configuration; refused: it was wrong.', (add) => {
    add.sample({ result: 'done' }, reloads.done);
    add.sample({ result: 'refused' }, reloads.refused);
  });
}

const RESULTS = ['confirmed', 'pending', 'failed', 'rolled-back', 'partly', 'unproven'] as const;

function addEvents(out: Exposition, { changes, refusals, groupChanges, ...tally }: Tally): void {
  // A series that begins with its first event hides it: the rate of a new series is 0.
  const known = (counts: ReadonlyMap<string, number>, keys: readonly string[]) =>
    new Map([...keys.map((key) => [key, 0] as const), ...counts]);
  const each = ['cpu', 'memory'];
  const ways = each.flatMap((resource) => ['up', 'down'].map((way) => keyOf(resource, way)));
  const results = ways.flatMap((way) => RESULTS.map((result) => keyOf(way, result)));
  counter(out, 'changes', 'Changes of a resource of a container, by how they went.', (add) => {
    for (const [key, count] of known(changes, results)) {
      const [resource = '', direction = '', result = ''] = partsOf(key);
      add.sample({ resource, direction, result }, count);
    }
  });
  const reasons = each.flatMap((resource) => REFUSALS.map((reason) => keyOf(resource, reason)));
  counter(out, 'refusals', 'Growth that the host could not give, once a cycle.', (add) => {
    for (const [key, count] of known(refusals, reasons)) {
      const [resource = '', reason = ''] = partsOf(key);
      add.sample({ resource, reason }, count);
    }
  });
  counter(out, 'group_changes', 'Members of groups added and taken away.', (add) => {
    for (const [key, count] of groupChanges) {
      const [group = '', direction = '', result = ''] = partsOf(key);
      add.sample({ group: plainText(group, 64), direction, result }, count);
    }
  });
  counter(out, 'unwritten_log_lines', 'Lines of the JSON log that could not be written.', (add) =>
    add.sample(NONE, tally.unwrittenLines),
  );
}

function addNotifications(out: Exposition, channels: readonly ChannelMetrics[]): void {
  counter(out, 'notifications', 'Messages by channel, and how they went.', (add) => {
    for (const { channel, sent, failed } of channels) {
      add.sample({ channel, result: 'sent' }, sent);
      add.sample({ channel, result: 'failed' }, failed);
    }
  });
  gauge(out, 'notifications_waiting', 'Messages that wait to be sent.', (add) => {
    for (const { channel, waiting } of channels) add.sample({ channel }, waiting);
  });
}

function addHost(out: Exposition, { host, hostPolicy, available, state, planned }: ReportInput) {
  const { cpus, load1, memory, cpuPressure, memoryPressure } = host;
  one(out, 'host_cpus', 'CPUs of the host.', cpus.ok ? cpus.value : undefined);
  one(out, 'host_cpu_busy_ratio', 'How busy the CPUs of the host are.', state.hostCpu?.busy);
  one(out, 'host_load1', 'Load average over one minute.', load1.ok ? load1.value : undefined);
  const known = memory.ok ? memory.value : undefined;
  one(out, 'host_memory_bytes', 'Memory of the host.', bytesOf(known?.totalMib));
  const free = known === undefined ? undefined : known.availableMib + known.arcReclaimableMib;
  one(
    out,
    'host_memory_available_bytes',
    'Memory that can be had without swapping, with what the ZFS cache can give back.',
    bytesOf(free),
  );
  gauge(out, 'host_pressure_ratio', 'Share of 10 s in which a task of the host waited.', (add) => {
    if (cpuPressure.ok) add.sample({ resource: 'cpu' }, cpuPressure.value.someAvg10);
    if (memoryPressure.ok) add.sample({ resource: 'memory' }, memoryPressure.value.someAvg10);
  });
  const emergency = emergencyOf(host, hostPolicy);
  gauge(out, 'host_emergency', '1 where the host has next to none of a resource left.', (add) => {
    add.sample({ resource: 'memory' }, emergency === undefined ? 0 : 1);
  });
  const { coresCeiling, memoryMib } = available;
  one(
    out,
    'budget_container_cores',
    'The most cores that one container may have.',
    coresCeiling.ok ? coresCeiling.value : undefined,
  );
  one(
    out,
    'budget_memory_bytes',
    'Memory that could be handed out in the last cycle.',
    memoryMib.ok ? bytesOf(memoryMib.value) : undefined,
  );
  const wanted = planned.changes.length;
  one(out, 'planned_changes', 'Containers that the last cycle was to change.', wanted);
  one(
    out,
    'changes_blocked',
    '1 where changes could not be backed up or recorded, so that none is made.',
    state.unrecorded === undefined ? 0 : 1,
  );
  one(
    out,
    'changes_paused',
    '1 where /etc/pve takes no changes (no quorum of the cluster), so that none is made.',
    state.pause === undefined ? 0 : 1,
  );
}

/** A container with what all of its series need. */
interface Row {
  readonly id: Labels;
  readonly container: ContainerObservation;
  readonly config: GuestConfig | undefined;
  readonly policy: ContainerPolicy | undefined;
  readonly mode: Mode | 'ignored' | 'unknown';
  readonly hostCpus: number | undefined;
}

function rowOf(container: ContainerObservation, input: ReportInput): Row {
  const { vmid, config } = container;
  const { cpus } = input.host;
  const seen = { id: { id: `lxc/${vmid}` }, container, hostCpus: cpus.ok ? cpus.value : undefined };
  if (!config.ok) return { ...seen, config: undefined, policy: undefined, mode: 'unknown' };
  const management = input.manage(config.value);
  const managed = management.kind === 'managed' ? management : undefined;
  return {
    ...seen,
    config: configNow(config.value, input),
    policy: managed?.policy,
    mode: managed?.mode ?? 'ignored',
  };
}

type Value = (row: Row) => number | undefined;

const usageOf = ({ container: { state } }: Row) =>
  state.kind === 'running' ? state.usage : undefined;
const cpuOf = (row: Row) => {
  const cpu = usageOf(row)?.cpu;
  return cpu?.ok ? cpu.value : undefined;
};
const memoryOf = (row: Row) => {
  const memory = usageOf(row)?.memory;
  return memory?.ok ? memory.value : undefined;
};

/** Where nothing is said, all CPUs of the host. */
const coresLimit: Value = ({ config, hostCpus }) => {
  if (config === undefined) return undefined;
  const cores = config.cores ?? hostCpus;
  const most = Math.min(
    cores ?? Number.POSITIVE_INFINITY,
    config.cpuLimit ?? Number.POSITIVE_INFINITY,
  );
  return Number.isFinite(most) ? most : undefined;
};

/** Name without the prefix `container_`, what it says, and its value. */
const SIMPLE: ReadonlyArray<readonly [name: string, help: string, value: Value]> = [
  ['running', 'Whether the container runs, be it frozen.', isRunning],
  ['frozen', 'Whether the container is frozen.', isFrozen],
  ['cpu_used_cores', 'CPU in use since the cycle before.', (row) => cpuOf(row)?.used],
  ['cpu_limit_cores', 'CPU that it may use by its configuration.', coresLimit],
  ['cpu_min_cores', 'The minimum of its policy.', ({ policy }) => policy?.cpu.min],
  ['cpu_max_cores', 'The maximum of its policy.', ({ policy }) => policy?.cpu.max],
  ['cpu_throttled_ratio', 'Share of the time it was throttled.', (row) => cpuOf(row)?.throttled],
  [
    'memory_used_bytes',
    'Its working set: memory in use without the cache that can be reclaimed.',
    (row) => bytesOf(memoryOf(row)?.workingSetMib),
  ],
  [
    'memory_cache_bytes',
    'Reclaimable file cache and slab.',
    (row) => bytesOf(memoryOf(row)?.cacheMib),
  ],
  ['memory_swap_used_bytes', 'What it has swapped out.', (row) => bytesOf(memoryOf(row)?.swapMib)],
  [
    'memory_limit_bytes',
    'Memory that it may use by its configuration.',
    ({ config }) => bytesOf(config?.memoryMib),
  ],
  [
    'memory_min_bytes',
    'The minimum of its policy.',
    ({ policy }) => bytesOf(policy?.memory.minMib),
  ],
  [
    'memory_max_bytes',
    'The maximum of its policy.',
    ({ policy }) => bytesOf(policy?.memory.maxMib),
  ],
];

function isFrozen({ container: { state } }: Row): number | undefined {
  return state.kind === 'unknown' ? undefined : Number(state.kind === 'frozen');
}

function isRunning({ container: { state } }: Row): number | undefined {
  return state.kind === 'unknown' ? undefined : Number(state.kind !== 'stopped');
}

function addContainers(out: Exposition, input: ReportInput, node: string): void {
  const rows = input.containers.map((container) => rowOf(container, input));
  const perContainer = (name: string, help: string, value: Value): void =>
    gauge(out, `container_${name}`, help, (add) => {
      for (const row of rows) add.sample(row.id, value(row));
    });
  gauge(out, 'container_info', 'Who a container is, and how it is scaled.', (add) => {
    for (const { id, container, policy, mode } of rows) {
      const called = policy === undefined ? '' : plainText(policy.source, 64);
      const how = { policy: called, scaling: policy?.scaling ?? '', mode };
      add.sample({ ...id, name: nameOf(container), node, ...how }, 1);
    }
  });
  for (const each of SIMPLE) perContainer(...each);
  const courseOf = coursesOf(input);
  const needOf = ({ container }: Row, resource: Resource): number | undefined =>
    courseOf(container.vmid, resource).decided?.measured?.need;
  const givenTo = ({ container }: Row) => input.state.guests.get(container.vmid)?.given;
  perContainer(
    'cpu_given_cores',
    'What an administrator gave it; less what it has now, that is saved.',
    (row) => givenTo(row)?.cores ?? undefined,
  );
  perContainer(
    'memory_given_bytes',
    'What an administrator gave it; less its limit now, that is saved.',
    (row) => bytesOf(givenTo(row)?.memoryMib),
  );
  perContainer('cpu_needed_cores', 'In use plus headroom: no limit goes below it.', (row) =>
    needOf(row, 'cores'),
  );
  perContainer('memory_needed_bytes', 'In use plus headroom: no limit goes below it.', (row) =>
    bytesOf(needOf(row, 'memory')),
  );
  addPressure(out, rows);
  addShortages(out, rows, input);
  perContainer(
    'last_change_timestamp_seconds',
    'When it was last changed by this program.',
    (row) => {
      const last = input.state.guests.get(row.container.vmid)?.lastChange;
      return last === undefined ? undefined : last.wallMs / 1000;
    },
  );
  perContainer('boosted', 'Whether a boost of its CPU is on.', ({ container: { vmid } }) =>
    input.state.guests.get(vmid)?.cores.boost !== undefined ? 1 : 0,
  );
  addHolds(out, rows, input);
}

/** Over all restarts of a container. Where the kernel's events are not seen there is no series. */
function addShortages(out: Exposition, rows: readonly Row[], { state }: ReportInput): void {
  const seen = rows.flatMap(({ id, container: { vmid } }) => {
    const shortages = state.guests.get(vmid)?.shortages;
    return shortages === undefined ? [] : [{ id, ...shortages }];
  });
  const killed = 'Processes that the OOM killer ended in it, by what was too small.';
  counter(out, 'container_oom_kills', killed, (add) => {
    for (const { id, kills, nested, byHost } of seen) {
      for (const [limit, count] of Object.entries({ own: kills, nested, host: byHost })) {
        add.sample({ ...id, limit }, count);
      }
    }
  });
  counter(out, 'container_memory_limit_hits', 'Times that it met its own limit.', (add) => {
    for (const { id, limitHits } of seen) add.sample(id, limitHits);
  });
}

function addPressure(out: Exposition, rows: readonly Row[]): void {
  const help = 'Share of the time in which a task of it waited.';
  gauge(out, 'container_pressure_ratio', help, (add) => {
    for (const row of rows) {
      add.sample({ ...row.id, resource: 'cpu' }, cpuOf(row)?.pressure);
      add.sample({ ...row.id, resource: 'memory' }, memoryOf(row)?.pressure);
    }
  });
}

/** Why nothing changes, but for those to whom nothing should happen. */
function addHolds(out: Exposition, rows: readonly Row[], input: ReportInput): void {
  const known = new Map(rows.map((row) => [row.container.vmid, row.id]));
  gauge(out, 'container_held', '1 for each reason that keeps a container as it is.', (add) => {
    for (const { vmid, because } of input.verdicts.skipped) {
      const id = known.get(vmid);
      if (id !== undefined) add.sample({ ...id, resource: 'all', reason: because.kind }, 1);
    }
    for (const { vmid, resource, because } of input.planned.held) {
      const id = known.get(vmid);
      if (id === undefined || because.kind === 'in-band') continue;
      const what = resource === 'cores' ? 'cpu' : 'memory';
      add.sample({ ...id, resource: what, reason: because.kind }, 1);
    }
  });
}
