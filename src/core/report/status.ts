import { type Allocation, allocationOf, type Resource } from '../allocation.ts';
import { lacksWorkingSet } from '../capabilities.ts';
import { type Connection, connectionWords } from '../connection.ts';
import { lackWords } from '../day-seen.ts';
import { stateWords } from '../explain.ts';
import type { GroupReport } from '../groups/group-report.ts';
import type { LastChange, Shortages } from '../guest-record.ts';
import { LONGEST_NAME } from '../guest-words.ts';
import { overdueCores } from '../loop-state.ts';
import type {
  ContainerObservation,
  ContainerState,
  ContainerUsage,
  GuestConfig,
} from '../observation.ts';
import { plainText } from '../plain-text.ts';
import type { CpuUnit, ScalingMode } from '../policy.ts';
import type { Missing, Reading } from '../reading.ts';
import { oomFloorMib } from '../shortage.ts';
import { oomKills } from '../shortages.ts';
import type { Vmid } from '../units.ts';
import { percentOf, short } from './fact.ts';
import { coresNotActive } from './health.ts';
import { kindIn, LEFT_BEHIND, type Now, nameOf, nextTime, nowOf, wouldOf } from './now.ts';
import {
  type CourseOf,
  coursesOf,
  isDryRun,
  REPORT_FORMAT,
  type ReportInput,
} from './report-input.ts';
import { type Observing, observing, type WouldRow } from './would.ts';

/** `status`: the host and every container as the last cycle saw them. Plain data, safe as JSON. */

export interface StatusReport {
  readonly format: typeof REPORT_FORMAT;
  readonly from: ReportInput['from'];
  readonly cycle: number;
  /** When that cycle was, in local time, and for machines. */
  readonly time: string;
  readonly at: string;
  readonly dryRun: boolean;
  /** What would be changed without observe mode and dry run; null: nothing is only observed. */
  readonly observing: (Observing & { readonly firstCpuAt: string | null }) | null;
  readonly host: HostRow;
  readonly containers: readonly ContainerRow[];
  /** Left out where no daemon answers: groups are not looked at then. */
  readonly groups?: readonly GroupReport[];
  /** The configuration that counts, if the nodes of the cluster share it; left out otherwise. */
  readonly configuration?: string;
  /** The node, and what else the daemon looks after; left out where it has one node only. */
  readonly node?: string;
  readonly others?: readonly NodeSummary[];
  /** How the node is reached; left out for the node of the program. */
  readonly connection?: ConnectionRow;
  /** How it came to be looked after; left out if the configuration names it. */
  readonly found?: FoundRow;
}

export interface FoundRow {
  /** The entry of `NODES` in whose cluster it was found. */
  readonly by: string;
  /** For how many seconds it is still only observed; 0: no more. */
  readonly observedForS: number;
  readonly says: string;
}

export interface ConnectionRow {
  readonly by: Connection['by'];
  /** Why it is not reached by the connection that comes first; null: it is. */
  readonly why: string | null;
  readonly says: string;
}

/** Another node of the same daemon; null: it was not seen yet. */
export interface NodeSummary {
  readonly node: string;
  readonly cycle: number | null;
  readonly guests: number | null;
  readonly paused: string | null;
  readonly connection?: ConnectionRow;
  readonly found?: FoundRow;
}

/** null: it is not known. */
export interface HostRow {
  readonly cpus: number | null;
  readonly busyPercent: number | null;
  readonly load1: number | null;
  readonly memoryMib: number | null;
  readonly availableMib: number | null;
  readonly reserve: { readonly cpuPercent: number; readonly memoryMib: number };
  /** What all running guests come to, and how much less than they were given. */
  readonly allocated: {
    readonly cores: number;
    readonly memoryMib: number;
    readonly savedCores: number;
    readonly savedMemoryMib: number;
  };
  /** What may be handed out: the most cores of one container, and memory. */
  readonly budget: { readonly cores: number | null; readonly memoryMib: number | null };
  /** Why nothing at all may grow now. */
  readonly refused: { readonly cores: string | null; readonly memory: string | null };
  /** Why nothing of this node can be changed now; null: it can. */
  readonly paused: string | null;
  /** Which cores were set long ago and are not active yet; null: none. */
  readonly overdue: string | null;
  /** Guests that the OOM killer struck at a limit of their own in the last 24 hours. */
  readonly oomKilled: readonly Vmid[];
  /** Why something is not known. */
  readonly missing: readonly string[];
}

export interface ContainerRow {
  readonly vmid: Vmid;
  readonly name: string;
  /** Left out for a container. */
  readonly kind?: 'qemu';
  /** null: it is not managed. */
  readonly policy: string | null;
  readonly why: string;
  readonly mode: 'act' | 'observe' | 'ignored' | 'unknown';
  readonly scaling: ScalingMode | null;
  readonly unit: CpuUnit | null;
  readonly priority: number | null;
  readonly state: 'running' | 'frozen' | 'stopped' | typeof LEFT_BEHIND | 'unknown';
  readonly cpu: CpuRow | Absent;
  readonly memory: MemoryRow | Absent;
  /** As it is now; null if the configuration cannot be read. */
  readonly allocation: AllocationRow | null;
  readonly need: { readonly cores: number | null; readonly memoryMib: number | null };
  /** Share of the time in which a task had to wait. */
  readonly pressure: { readonly cpuPercent: number | null; readonly memoryPercent: number | null };
  /** How often it was short of memory since it was first seen; null: that is not known. */
  readonly shortages: ShortagesRow | null;
  readonly lastChange: ChangeRow | null;
  /** The change that observe mode or a dry run leaves out; null: none. */
  readonly would: WouldRow | null;
  readonly now: Now;
}

export interface ShortagesRow {
  /** Processes that the OOM killer ended, for whichever limit. */
  readonly oomKills: number;
  /** Times that it met its own limit; null: nobody tells, as of a virtual machine. */
  readonly limitHits: number | null;
  /** When a kill was last seen: in local time, and for machines; null: never. */
  readonly lastKillTime: string | null;
  readonly lastKillAt: string | null;
}

export interface Absent {
  readonly missing: string;
}

export interface CpuRow {
  readonly usedCores: number;
  readonly allowedCores: number;
  /** Of what it was allowed while it used them. */
  readonly percent: number;
}

export interface MemoryRow {
  /** The working set: without the cache that can be reclaimed. */
  readonly usedMib: number;
  /** Of the limit as it is now. */
  readonly percent: number;
  readonly cacheMib: number;
  readonly swapMib: number;
  /** Where `memory_guard` holds `memory.high`; left out: nowhere. */
  readonly guardMib?: number;
  /** What is missing for it to shrink, where nothing can be proven of it; left out: nothing. */
  readonly lack?: string;
}

export interface AllocationRow extends Allocation {
  readonly swapMib: number;
}

export interface ChangeRow {
  readonly time: string;
  readonly at: string;
  readonly what: string;
  readonly status: string;
}

export function statusReport(input: ReportInput): StatusReport {
  const courseOf = coursesOf(input);
  return {
    format: REPORT_FORMAT,
    from: input.from,
    cycle: input.cycle,
    time: input.localTime(input.wallMs),
    at: new Date(input.wallMs).toISOString(),
    dryRun: input.dryRun,
    observing: observingNow(input),
    host: hostRow(input),
    containers: input.containers.map((container) => containerRow(container, input, courseOf)),
    ...connectionOf(input.state),
  };
}

export function connectionOf({
  connection,
}: ReportInput['state']): Pick<StatusReport, 'connection'> {
  if (connection === undefined) return {};
  const { by, why } = connection;
  const says = plainText(connectionWords(connection));
  return { connection: { by, why: why === undefined ? null : plainText(why), says } };
}

function observingNow(input: ReportInput): StatusReport['observing'] {
  const { planned, containers, manage } = input;
  const dryRun = isDryRun(input);
  const managements = containers.flatMap(({ config }) => (config.ok ? [manage(config.value)] : []));
  const seen = observing({ planned, dryRun, managements });
  if (seen === undefined) return null;
  return { ...seen, firstCpuAt: seen.measuring > 0 ? (nextTime(input) ?? null) : null };
}

/** A guest without a number of cores may use all CPUs: it promises none of them. */
function allocatedNow(input: ReportInput): HostRow['allocated'] {
  const sums = { cores: 0, memoryMib: 0, savedCores: 0, savedMemoryMib: 0 };
  for (const { vmid, config, state } of input.containers) {
    if (!config.ok || state.kind === 'stopped') continue;
    const now = configNow(config.value, input);
    const given = input.state.guests.get(vmid)?.given;
    sums.cores += now.cores ?? 0;
    sums.memoryMib += now.memoryMib;
    sums.savedCores += (given?.cores ?? now.cores ?? 0) - (now.cores ?? 0);
    sums.savedMemoryMib += (given?.memoryMib ?? now.memoryMib) - now.memoryMib;
  }
  return sums;
}

function hostRow(input: ReportInput): HostRow {
  const { host, hostPolicy, available, state, containers, nowMs } = input;
  const struck = ({ vmid }: ContainerObservation): boolean =>
    oomFloorMib(state.guests.get(vmid)?.oomFloor, nowMs) > 0;
  const { cpus, load1, memory } = host;
  const { coresCeiling, memoryMib } = available;
  const unknown = [cpus, load1, memory, coresCeiling, memoryMib].filter(isMissing);
  const busy = state.hostCpu?.busy;
  const overdue = overdueCores(state);
  return {
    cpus: orNull(cpus),
    busyPercent: busy === undefined ? null : percentOf(busy),
    load1: orNull(load1),
    memoryMib: memory.ok ? Math.round(memory.value.totalMib) : null,
    availableMib: memory.ok ? Math.round(memory.value.availableMib) : null,
    reserve: {
      cpuPercent: percentOf(hostPolicy.reserveCpu),
      memoryMib: hostPolicy.reserveMemoryMib,
    },
    allocated: allocatedNow(input),
    budget: { cores: orNull(coresCeiling), memoryMib: orNull(memoryMib) },
    refused: {
      cores: available.coresRefused?.kind ?? null,
      memory: available.memoryRefused?.kind ?? null,
    },
    paused: state.pause === undefined ? null : plainText(state.pause.why),
    overdue: overdue.length === 0 ? null : coresNotActive(overdue),
    oomKilled: containers.filter(struck).map(({ vmid }) => vmid),
    missing: [...new Set(unknown.map(({ detail }) => plainText(detail)))],
  };
}

const isMissing = (reading: Reading<unknown>): reading is Missing => !reading.ok;
const orNull = (reading: Reading<number>): number | null =>
  reading.ok ? short(reading.value) : null;

/** The configuration as it is now: what this program has changed since the cycle is in it. */
export const configNow = (seen: GuestConfig, { state }: ReportInput): GuestConfig => {
  const running = state.guests.get(seen.vmid)?.running;
  if (running === undefined) return seen;
  const { cores, cpuLimit, memoryMib } = running;
  return { ...seen, cores, cpuLimit, memoryMib };
};

function containerRow(
  container: ContainerObservation,
  input: ReportInput,
  courseOf: CourseOf,
): ContainerRow {
  const { vmid, config, state } = container;
  const name = nameOf(container);
  const usage = state.kind === 'running' ? state.usage : undefined;
  const needOf = (resource: Resource): number | null => {
    const need = courseOf(vmid, resource).decided?.measured?.need;
    return need === undefined ? null : short(need);
  };
  const now = config.ok ? configNow(config.value, input) : undefined;
  const last = input.state.guests.get(vmid)?.lastChange;
  return {
    vmid,
    name,
    ...kindIn(container),
    ...managementOf(container, input),
    state: stateOf(state),
    cpu: cpuRow(container, usage),
    memory: memoryRow(container, usage, now, {
      lack: lackOf(container, input),
      guardMib: input.state.guests.get(vmid)?.life.guard?.atMib,
    }),
    allocation: now === undefined ? null : { ...allocationOf(now), swapMib: now.swapMib },
    need: { cores: needOf('cores'), memoryMib: needOf('memory') },
    pressure: pressureOf(usage),
    shortages: shortagesRow(input.state.guests.get(vmid)?.shortages, input),
    lastChange: last === undefined ? null : changeRow(last, input),
    would: wouldOf(vmid, input, courseOf),
    now: nowOf(container, input, courseOf),
  };
}

const stateOf = (state: ContainerState): ContainerRow['state'] =>
  state.kind === 'stopped' && state.leftBehind ? LEFT_BEHIND : state.kind;

type Managed = Pick<ContainerRow, 'policy' | 'why' | 'mode' | 'scaling' | 'unit' | 'priority'>;

function managementOf({ config }: ContainerObservation, { manage }: ReportInput): Managed {
  const none = { policy: null, scaling: null, unit: null, priority: null };
  if (!config.ok) return { ...none, mode: 'unknown', why: plainText(config.detail) };
  const management = manage(config.value);
  const why = plainText(management.because);
  if (management.kind === 'ignored') return { ...none, mode: 'ignored', why };
  const { policy, mode } = management;
  const { source, scaling, priority } = policy;
  return {
    policy: plainText(source, LONGEST_NAME),
    why,
    mode,
    scaling,
    priority,
    unit: policy.cpu.unit,
  };
}

function cpuRow(container: ContainerObservation, usage: ContainerUsage | undefined) {
  if (usage === undefined) return absent(container);
  if (!usage.cpu.ok) return { missing: plainText(usage.cpu.detail) };
  const { used, allowed } = usage.cpu.value;
  const row: CpuRow = {
    usedCores: short(used),
    allowedCores: short(allowed),
    percent: percentOf(used / allowed),
  };
  return row;
}

function memoryRow(
  container: ContainerObservation,
  usage: ContainerUsage | undefined,
  now: GuestConfig | undefined,
  {
    lack,
    guardMib,
  }: Readonly<Record<'lack', string | undefined> & Record<'guardMib', number | undefined>>,
) {
  if (usage === undefined) return absent(container);
  if (!usage.memory.ok) return { missing: plainText(usage.memory.detail) };
  const { workingSetMib, cacheMib, swapMib, limitMib } = usage.memory.value;
  const limit = now?.memoryMib ?? limitMib ?? Number.POSITIVE_INFINITY;
  const row: MemoryRow = {
    usedMib: short(workingSetMib),
    percent: percentOf(workingSetMib / limit),
    cacheMib: short(cacheMib),
    swapMib: short(swapMib),
    ...(guardMib !== undefined && { guardMib: short(guardMib) }),
    ...(lack !== undefined && { lack }),
  };
  return row;
}

function lackOf({ vmid, config }: ContainerObservation, input: ReportInput): string | undefined {
  const management = config.ok ? input.manage(config.value) : undefined;
  if (!config.ok || management?.kind !== 'managed') return undefined;
  if (!lacksWorkingSet(input.state)) return undefined;
  const { unproven = false } = management.policy.memory;
  return lackWords(unproven, input.state.guests.get(vmid)?.day, config.value);
}

function absent({ state, kind }: ContainerObservation): Absent {
  if (state.kind === 'unknown') return { missing: plainText(state.reason.detail) };
  if (state.kind === 'running') return { missing: 'it was not sampled' };
  return { missing: stateWords(state, kind) };
}

function pressureOf(usage: ContainerUsage | undefined): ContainerRow['pressure'] {
  const share = (value: number | undefined): number | null =>
    value === undefined ? null : percentOf(value);
  return {
    cpuPercent: share(usage?.cpu.ok ? usage.cpu.value.pressure : undefined),
    memoryPercent: share(usage?.memory.ok ? usage.memory.value.pressure : undefined),
  };
}

function shortagesRow(
  seen: Shortages | undefined,
  { localTime }: Pick<ReportInput, 'localTime'>,
): ShortagesRow | null {
  if (seen === undefined) return null;
  const { limitHits, killedWallMs } = seen;
  const isKilled = killedWallMs !== undefined;
  return {
    oomKills: oomKills(seen),
    limitHits: limitHits ?? null,
    lastKillTime: isKilled ? localTime(killedWallMs) : null,
    lastKillAt: isKilled ? new Date(killedWallMs).toISOString() : null,
  };
}

export function changeRow(
  { wallMs, text, status }: LastChange,
  { localTime }: Pick<ReportInput, 'localTime'>,
): ChangeRow {
  const at = new Date(wallMs).toISOString();
  return { time: localTime(wallMs), at, what: plainText(text), status };
}
