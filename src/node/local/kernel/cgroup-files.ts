import { type Capabilities, CONTROLLERS } from '../../../core/capabilities.ts';
import type {
  CgroupLife,
  CgroupSample,
  CpuCounters,
  Glance,
  MemoryCounters,
  Pressure,
} from '../../../core/observation.ts';
import type { Missing, Present, Reading } from '../../../core/reading.ts';
import { missing, present } from '../../../core/reading.ts';
import type { Cores, Milliseconds, Vmid } from '../../../core/units.ts';
import { bytes, cores, microseconds } from '../../../core/units.ts';
import { createFileReader, type ReadSmallFile } from '../../../os/file-reader.ts';
import { missingBecause } from '../../../os/os-error.ts';
import { type FileStatus, identityOf, type ReadableFiles } from '../../../os/readable-files.ts';
import type { Cgroups, Clock } from '../../port.ts';
import type { Paths } from '../paths.ts';
import type { OpenCgroup } from './cgroup-descriptors.ts';
import { ABSENT, CgroupDescriptors, GONE, UNREADABLE } from './cgroup-descriptors.ts';
import type { EventsRead } from './cgroup-memo.ts';
import {
  type MemoryEvents,
  parseCgroupEvents,
  parseCpuMax,
  parseCpuStat,
  parseCpuUsage,
  parseMemoryEvents,
  parseMemoryStat,
  parseOwnEvents,
  parseSingleNumber,
  saysMax,
} from './cgroup-values.ts';
import { countCpuList } from './cpu-list.ts';
import { parsePressure } from './pressure-file.ts';

/**
 * The files of a sample, in the order in which they are read, as far as they are. The kernel counts
 * a container's own `oom` before the kill that follows from it, and `memory.events.local` before
 * `memory.events`: read in this order, no kill is seen without its cause.
 */
export const CGROUP_FILES = [
  'cgroup.events',
  'cpu.stat',
  'cpuset.cpus',
  'cpuset.cpus.effective',
  'cpu.pressure',
  'memory.current',
  'memory.max',
  'memory.stat',
  'memory.events',
  'memory.events.local',
  'memory.swap.current',
  'memory.pressure',
  'cpu.max',
] as const;
const CGROUP_EVENTS = 0;
const CPU_STAT = 1;
const CPUSET_CPUS = 2;
const CPUSET_EFFECTIVE = 3;
const CPU_PRESSURE = 4;
const MEMORY_CURRENT = 5;
const MEMORY_MAX = 6;
const MEMORY_STAT = 7;
const MEMORY_EVENTS = 8;
const MEMORY_EVENTS_LOCAL = 9;
const MEMORY_SWAP = 10;
const MEMORY_PRESSURE = 11;
const CPU_MAX = 12;

/** memory.stat has about 1.5 KB; a cpuset of every second CPU of 8192 has 20 KB. */
const BUFFER_BYTES = 32 * 1024;
const SMALL_FILE_BYTES = 256;
/** Enough for 455 containers. There is an end: an open kernel file holds a page of memory. */
const MOST_DESCRIPTORS = 455 * CGROUP_FILES.length;

export interface CgroupFiles extends Cgroups {
  glance(vmid: Vmid): Glance | undefined;
  /** Descriptors that are held at the moment, for tests and self-observation. */
  readonly keptDescriptors: number;
  close(): void;
}

/**
 * Reads the live cgroups (v2) of running containers under `/sys/fs/cgroup/lxc`, the outer ones,
 * which carry the limits. A sample costs a stat and ten reads of files that stay open. Two more
 * are read if they can have changed, and `cpu.max` once a cycle.
 */
export function createCgroups(
  paths: Paths,
  clock: Clock,
  mostDescriptors: number = MOST_DESCRIPTORS,
): CgroupFiles {
  return new KeptCgroups(paths, clock, mostDescriptors);
}

const NEVER = Number.NEGATIVE_INFINITY;
/** The kernel makes it of `cpuset.cpus` and of what is around it; read again all the same. */
const EFFECTIVE_FOR_MS = 30_000;
/** The containers of one cycle are looked at within less. */
const AROUND_FOR_MS = 500;
/** `cgroup.events` of nearly all containers nearly all the time. */
const RUNS = present({ populated: true, frozen: false });
const RUNS_TEXT = Buffer.from('populated 1\nfrozen 0\n');

class KeptCgroups implements CgroupFiles {
  readonly #readSmall: ReadSmallFile;
  readonly #readOneLine: ReadSmallFile;
  #around = '';
  #aroundAtMs = NEVER;
  readonly #paths: Paths;
  readonly #clock: Clock;
  readonly #files: CgroupDescriptors;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  /** Set when one of the files of the sample in hand turned out to be GONE or UNREADABLE. */
  #worst = 0;

  constructor(paths: Paths, clock: Clock, mostDescriptors: number) {
    this.#paths = paths;
    this.#clock = clock;
    this.#readSmall = createFileReader(BUFFER_BYTES, paths.files);
    this.#readOneLine = createFileReader(SMALL_FILE_BYTES, paths.files);
    this.#files = new CgroupDescriptors(paths.files, CGROUP_FILES, clock, mostDescriptors);
  }

  get keptDescriptors(): number {
    return this.#files.keptDescriptors;
  }

  close(): void {
    this.#files.forgetAll();
  }

  cpuLimit(vmid: Vmid): Reading<Cores | undefined> {
    const directory = this.#paths.cgroup(vmid);
    const path = `${directory}/cpu.max`;
    // Opened anew: after a change the container may be another life than the one sampled last.
    const file = this.#readOneLine(path);
    if (file.ok) {
      const limit = quotaOf(file.value.toString('latin1'));
      return limit ?? missing('malformed', `${path}: not in the form that the kernel writes`);
    }
    // `absent` says that the container does not run. One that does has this file on every node.
    if (file.why !== 'absent' || !statDirectory(directory, this.#paths.files).ok) return file;
    return missing('unreadable', `${path}: not there, though the container runs`);
  }

  sampledCpuLimit(vmid: Vmid): Reading<Cores | undefined> {
    const kept = this.#files.kept(vmid);
    if (kept === undefined) return this.cpuLimit(vmid);
    const length = this.#files.readFromStart(kept.descriptors[CPU_MAX] ?? ABSENT, this.#buffer);
    const { memo } = kept;
    if (memo.quotaText.isSame(this.#buffer, length) && memo.quota !== undefined) return memo.quota;
    memo.quota = length < 0 ? undefined : quotaOf(this.#buffer.toString('latin1', 0, length));
    return memo.quota ?? this.cpuLimit(vmid);
  }

  capabilities(vmid: Vmid): Capabilities | undefined {
    const sample = this.sample(vmid);
    if (!sample.ok) return undefined;
    const { cpuPressure } = sample.value;
    return {
      proof: isThere(`${this.#paths.cgroup(vmid)}/memory.reclaim`, this.#paths.files),
      pressure: cpuPressure.ok || cpuPressure.why !== 'absent',
      workingSet: true,
      liveLimits: this.#liveLimits(vmid),
    };
  }

  /** By `cgroup.controllers`. A kernel whose file cannot be read is taken to have them all. */
  #liveLimits(vmid: Vmid): Capabilities['liveLimits'] {
    const file = this.#readOneLine(`${this.#paths.cgroup(vmid)}/cgroup.controllers`);
    const text = file.ok ? file.value.toString('latin1') : '';
    if (!/^[a-z_ ]*\n$/.test(text)) return new Set(CONTROLLERS);
    const words = text.trim().split(' ');
    return new Set(CONTROLLERS.filter((controller) => words.includes(controller)));
  }

  sample(vmid: Vmid): Reading<CgroupSample> {
    const directory = this.#paths.cgroup(vmid);
    // Twice: where the files turn out to be those of a cgroup just gone, there may be a new one.
    for (let attempt = 0; attempt < 2; attempt++) {
      const stats = statDirectory(directory, this.#paths.files);
      if (!stats.ok) {
        this.#files.forget(vmid);
        return stats;
      }
      const opened = this.#files.open(vmid, directory, stats.value);
      const atMs = stats.value.seenAtMs ?? this.#clock.monotonicMs();
      const sample = this.#readAll(opened, atMs);
      const worst = this.#worst;
      this.#files.done(vmid, opened);
      if (worst !== 0) this.#files.forget(vmid);
      if (worst !== GONE) return present(sample);
    }
    return missing('absent', `${directory}: the cgroup goes away while it is read`);
  }

  /** Four reads of files that are open anyway. */
  glance(vmid: Vmid): Glance | undefined {
    const kept = this.#files.kept(vmid);
    if (kept === undefined || !kept.settled) return undefined;
    const { memo } = kept;
    const atMs = this.#clock.monotonicMs();
    const lifeLength = this.#read(kept, CGROUP_EVENTS);
    if (lifeLength !== RUNS_TEXT.length || !startsWith(this.#buffer, RUNS_TEXT)) return undefined;
    const cpuLength = this.#read(kept, CPU_STAT);
    const usageUs = cpuLength < 0 ? -1 : parseCpuUsage(this.#buffer, cpuLength);
    const memoryLength = this.#read(kept, MEMORY_CURRENT);
    const current = memoryLength < 0 ? -1 : parseSingleNumber(this.#buffer, memoryLength);
    if (usageUs < 0 || current < 0) return undefined;
    // Last, so that all shows which the rest may already bear the traces of.
    const eventsLength = this.#read(kept, MEMORY_EVENTS);
    if (memo.eventsAgain || !memo.eventsText.equals(this.#buffer, eventsLength)) return undefined;
    // Files of a removed cgroup cannot be read. Those of a plain tree stand still.
    if (usageUs === memo.usageUs && !this.#isSame(kept)) return undefined;
    memo.usageUs = usageUs;
    return {
      atMs,
      sinceMs: memo.sampledMs,
      usageUs: microseconds(usageUs),
      currentBytes: bytes(current),
    };
  }

  #isSame({ directory, identity, mtimeMs }: OpenCgroup): boolean {
    const stats = statDirectory(directory, this.#paths.files);
    return stats.ok && identityOf(stats.value) === identity && stats.value.mtimeMs === mtimeMs;
  }

  #readAll(opened: OpenCgroup, atMs: Milliseconds): CgroupSample {
    this.#worst = 0;
    opened.memo.sampledMs = atMs;
    return {
      atMs,
      identity: opened.identity,
      life: this.#readLife(opened),
      cpu: this.#readCpu(opened),
      memory: this.#readMemory(opened),
      cpuPressure: this.#readPressure(opened, CPU_PRESSURE),
      memoryPressure: this.#readPressure(opened, MEMORY_PRESSURE),
    };
  }

  #read(opened: OpenCgroup, file: number): number {
    const descriptor = opened.descriptors[file] ?? ABSENT;
    const length = this.#files.readFromStart(descriptor, this.#buffer);
    // What failed already on opening is tried again later anyway; see RETRY_INCOMPLETE_MS.
    if (length === GONE || (length === UNREADABLE && descriptor >= 0)) {
      this.#worst = Math.min(this.#worst, length);
    }
    return length;
  }

  #readCpu(opened: OpenCgroup): Reading<CpuCounters> {
    const length = this.#read(opened, CPU_STAT);
    const stat = length < 0 ? undefined : parseCpuStat(this.#buffer, length);
    if (stat === undefined) return noValue(opened, CPU_STAT, length);
    opened.memo.usageUs = stat.usageUs;
    const cpuset = this.#readCpuset(opened);
    return present({
      usageUs: microseconds(stat.usageUs),
      throttledUs: microseconds(stat.throttledUs),
      cpusetCpus: cpuset.cpusetCpus,
      effectiveCpus: cpuset.effectiveCpus,
    });
  }

  #readCpuset(opened: OpenCgroup): Pick<CpuCounters, 'cpusetCpus' | 'effectiveCpus'> {
    const { memo } = opened;
    const nowMs = this.#clock.monotonicMs();
    const around = this.#cpusAround(nowMs);
    const length = this.#read(opened, CPUSET_CPUS);
    const isSame = memo.cpusetText.isSame(this.#buffer, length);
    const isKnown = around === memo.around && nowMs - memo.effectiveAtMs < EFFECTIVE_FOR_MS;
    if (isSame && isKnown) return memo;
    memo.cpusetCpus = countOrNone(this.#buffer, length);
    memo.effectiveCpus = countOrNone(this.#buffer, this.#read(opened, CPUSET_EFFECTIVE));
    memo.around = around;
    memo.effectiveAtMs = nowMs;
    return memo;
  }

  /** What the cgroup around all containers has of the CPUs, read once a cycle. */
  #cpusAround(nowMs: number): string {
    if (nowMs - this.#aroundAtMs < AROUND_FOR_MS) return this.#around;
    const file = this.#readSmall(this.#paths.cpusOfGuests);
    this.#around = file.ok ? file.value.toString('latin1') : '';
    this.#aroundAtMs = nowMs;
    return this.#around;
  }

  /** `memory.events` with the own ones, which a kernel before 5.2 does not tell. */
  #readEvents(opened: OpenCgroup): Reading<EventsRead> {
    const { memo } = opened;
    const length = this.#read(opened, MEMORY_EVENTS);
    const isSame = memo.eventsText.isSame(this.#buffer, length);
    if (isSame && memo.events?.ok && !memo.eventsAgain) return memo.events;
    const events = length < 0 ? undefined : parseMemoryEvents(this.#buffer, length);
    memo.events = events ? this.#withOwn(opened, events) : noValue(opened, MEMORY_EVENTS, length);
    memo.eventsAgain = !isSame;
    return memo.events;
  }

  #withOwn(opened: OpenCgroup, events: MemoryEvents): Present<EventsRead> | Missing {
    const length = this.#read(opened, MEMORY_EVENTS_LOCAL);
    const own = length < 0 ? undefined : parseOwnEvents(this.#buffer, length);
    // One that is there and says nothing is another matter.
    if (own === undefined && length !== ABSENT) return noValue(opened, MEMORY_EVENTS_LOCAL, length);
    return { ok: true, value: { ...events, own } };
  }

  #readLife(opened: OpenCgroup): Reading<CgroupLife> {
    const length = this.#read(opened, CGROUP_EVENTS);
    if (length === RUNS_TEXT.length && startsWith(this.#buffer, RUNS_TEXT)) return RUNS;
    const life = length < 0 ? undefined : parseCgroupEvents(this.#buffer, length);
    return life === undefined ? noValue(opened, CGROUP_EVENTS, length) : present(life);
  }

  #readMemory(opened: OpenCgroup): Reading<MemoryCounters> {
    const current = this.#readNumber(opened, MEMORY_CURRENT);
    if (!current.ok) return current;
    const limit = this.#readLimit(opened);
    if (!limit.ok) return limit;
    const statLength = this.#read(opened, MEMORY_STAT);
    const stat = statLength < 0 ? undefined : parseMemoryStat(this.#buffer, statLength);
    if (stat === undefined) return noValue(opened, MEMORY_STAT, statLength);
    const events = this.#readEvents(opened);
    if (!events.ok) return events;
    const swap = this.#readNumber(opened, MEMORY_SWAP);
    // The kernel leaves this file out only where it keeps no account of swap. There is then no
    // number to be had, and nothing is decided on swap alone; all else must not be lost for it.
    if (!swap.ok && swap.why !== 'absent') return swap;
    return present({
      currentBytes: bytes(current.value),
      limitBytes: limit.value === undefined ? undefined : bytes(limit.value),
      swapBytes: bytes(swap.ok ? swap.value : 0),
      anonBytes: bytes(stat.anon),
      shmemBytes: bytes(stat.shmem),
      activeFileBytes: bytes(stat.activeFile),
      inactiveFileBytes: bytes(stat.inactiveFile),
      unevictableBytes: bytes(stat.unevictable),
      slabUnreclaimableBytes: bytes(stat.slabUnreclaimable),
      slabReclaimableBytes: bytes(stat.slabReclaimable),
      refaults: stat.refaults,
      limitHits: events.value.limitHits,
      oomKills: events.value.oomKills,
      ooms: events.value.ooms,
      own: events.value.own,
    });
  }

  #readNumber(opened: OpenCgroup, file: number): Reading<number> {
    const length = this.#read(opened, file);
    const value = length < 0 ? -1 : parseSingleNumber(this.#buffer, length);
    return value < 0 ? noValue(opened, file, length) : present(value);
  }

  /** `memory.max`; undefined stands for no limit. */
  #readLimit(opened: OpenCgroup): Reading<number | undefined> {
    const length = this.#read(opened, MEMORY_MAX);
    if (length > 0 && saysMax(this.#buffer, length)) return present(undefined);
    const value = length < 0 ? -1 : parseSingleNumber(this.#buffer, length);
    return value < 0 ? noValue(opened, MEMORY_MAX, length) : present(value);
  }

  #readPressure(opened: OpenCgroup, file: number): Reading<Pressure> {
    const length = this.#read(opened, file);
    const pressure = length < 0 ? undefined : parsePressure(this.#buffer, length);
    return pressure === undefined ? noValue(opened, file, length) : present(pressure);
  }
}

/** What `cpu.max` says; undefined if it is not in the form that the kernel writes. */
function quotaOf(text: string): Present<Cores | undefined> | undefined {
  const limit = parseCpuMax(text);
  if (limit < 0) return undefined;
  return { ok: true, value: Number.isFinite(limit) ? cores(limit) : undefined };
}

function startsWith(buffer: Buffer, text: Buffer): boolean {
  let index = 0;
  while (index < text.length && buffer[index] === text[index]) index += 1;
  return index === text.length;
}

function countOrNone(buffer: Buffer, length: number): number | undefined {
  const cpus = length < 0 ? 0 : countCpuList(buffer, length);
  return cpus > 0 ? cpus : undefined;
}

function noValue(opened: OpenCgroup, file: number, length: number): Missing {
  const path = `${opened.directory}/${CGROUP_FILES[file] ?? ''}`;
  if (length === ABSENT || length === GONE) return missing('absent', `${path}: not there`);
  if (length === UNREADABLE) return missing('unreadable', `${path}: could not be read`);
  return missing('malformed', `${path}: not in the form that the kernel writes`);
}

function isThere(path: string, files: ReadableFiles): boolean {
  try {
    return files.stat(path) !== undefined;
  } catch {
    return false;
  }
}

function statDirectory(directory: string, files: ReadableFiles): Reading<FileStatus> {
  try {
    const stats = files.stat(directory);
    if (stats === undefined) return missing('absent', `${directory}: not running`);
    if (stats.isDirectory()) return present(stats);
    return missing('malformed', `${directory}: not a directory`);
  } catch (error) {
    return missingBecause(error, directory);
  }
}
