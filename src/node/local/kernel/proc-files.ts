import type { CpuTimes, HostMemory, HostObservation, Pressure } from '../../../core/observation.ts';
import type { Reading } from '../../../core/reading.ts';
import { missing, present } from '../../../core/reading.ts';
import { bytesToMib, kibToMib, type Mib, mib, bytes as toBytes } from '../../../core/units.ts';
import type { ReadSmallFile } from '../../../os/file-reader.ts';
import { createFileReader, readHead } from '../../../os/file-reader.ts';
import type { HostView } from '../../port.ts';
import type { Paths } from '../paths.ts';
import { countCpuList } from './cpu-list.ts';
import { parsePressure } from './pressure-file.ts';

/** `/proc/stat` of a host with thousands of CPUs and interrupts stays below this. */
const FILE_LIMIT_BYTES = 4 * 1024 * 1024;
/** More than the first line of `/proc/stat`: ten numbers of at most 20 digits. */
const STAT_HEAD_BYTES = 256;

/**
 * What the host has and how busy it is, from `/proc` and `/sys`. Read once a cycle.
 *
 * @param vmMemoryMib what its running virtual machines may use, which stands elsewhere
 */
export function createHostView(paths: Paths, vmMemoryMib: () => Reading<Mib>): HostView {
  const read = createFileReader(FILE_LIMIT_BYTES, paths.files);
  const head = Buffer.allocUnsafeSlow(STAT_HEAD_BYTES);
  const readFirstLine: ReadSmallFile = (path) => readHead(path, head, paths.files);
  return {
    observe: (): HostObservation => ({
      cpus: readCpus(read, paths),
      memory: readMemory(read, paths),
      load1: readValue(read, paths.procLoadavg, parseLoadavg),
      cpuTimes: readValue(readFirstLine, paths.procStat, parseCpuTimes),
      vmMemoryMib: vmMemoryMib(),
      cpuPressure: readPressure(read, paths.procPressure('cpu')),
      memoryPressure: readPressure(read, paths.procPressure('memory')),
    }),
  };
}

/**
 * CPUs online (`/sys/devices/system/cpu/online`, else the `cpuN` lines of `/proc/stat`), without
 * those that the cgroup around all containers does not have: pvestatd deals out no others.
 */
function readCpus(read: ReadSmallFile, paths: Paths): Reading<number> {
  const list = readValue(read, paths.cpusOnline, countCpus);
  const online = list.ok ? list : readValue(read, paths.procStat, countStatCpus);
  const ofGuests = readValue(read, paths.cpusOfGuests, countCpus);
  if (!online.ok || !ofGuests.ok) return online;
  return present(Math.min(online.value, ofGuests.value));
}

function countCpus(bytes: Buffer): number | undefined {
  const count = countCpuList(bytes, bytes.length);
  return count > 0 ? count : undefined;
}

function readMemory(read: ReadSmallFile, paths: Paths): Reading<HostMemory> {
  const memory = readValue(read, paths.procMeminfo, parseMeminfo);
  if (!memory.ok) return memory;
  const { totalMib, availableMib } = memory.value;
  const file = read(paths.arcstats);
  const arcMib = file.ok ? parseArcstats(file.value) : mib(0);
  // What is in the cache is not available: more than that is a figure that can't be right.
  const arcReclaimableMib = arcMib > totalMib - availableMib ? mib(0) : arcMib;
  return present({ ...memory.value, arcReclaimableMib });
}

function readPressure(read: ReadSmallFile, path: string): Reading<Pressure> {
  return readValue(read, path, (bytes) => parsePressure(bytes, bytes.length));
}

function readValue<T>(
  read: ReadSmallFile,
  path: string,
  parse: (bytes: Buffer) => T | undefined,
): Reading<T> {
  const content = read(path);
  if (!content.ok) return content;
  const value = parse(content.value);
  if (value !== undefined) return present(value);
  return missing('malformed', `${path}: not in the form that the kernel writes`);
}

/** The CPUs that `/proc/stat` lists; undefined if it lists none. */
export function countStatCpus(bytes: Buffer): number | undefined {
  const count = bytes.toString('latin1').match(/^cpu[0-9]+ /gm)?.length ?? 0;
  return count > 0 ? count : undefined;
}

/**
 * The time of all CPUs together, of the first line of `/proc/stat`; busy is all but idle and
 * iowait. The times of guests are not added, since those of user and nice hold them already.
 * Source: proc_stat(5).
 *
 *     cpu  user nice system idle iowait irq softirq steal guest guest_nice
 */
export function parseCpuTimes(bytes: Buffer): CpuTimes | undefined {
  const end = bytes.indexOf('\n');
  const line = bytes.toString('latin1', 0, Math.max(0, end));
  // Eight numbers of 15 digits add up to less than 2^53.
  if (!/^cpu {1,8}[0-9]{1,15}( [0-9]{1,15}){7}( |$)/.test(line)) return undefined;
  const ticks = line.split(/ +/, 9).slice(1).map(Number);
  const totalTicks = ticks.reduce((sum, value) => sum + value, 0);
  const [, , , idle = 0, iowait = 0] = ticks;
  return { busyTicks: totalTicks - idle - iowait, totalTicks };
}

/**
 * What the ZFS cache (ARC) could give back: what it holds beyond its minimum, which the kernel
 * counts as used. 0 if the file cannot be understood: then nothing is handed out on its account.
 */
export function parseArcstats(bytes: Buffer): Mib {
  const text = bytes.toString('latin1');
  const size = arcBytes(text, 'size');
  const least = arcBytes(text, 'c_min');
  if (size === undefined || least === undefined) return mib(0);
  return bytesToMib(toBytes(Math.max(0, size - least)));
}

/** Lines are `name type data`; type 4 is an unsigned number. */
function arcBytes(text: string, key: 'size' | 'c_min'): number | undefined {
  const digits = new RegExp(`^${key} +4 +([0-9]{1,15})\n`, 'm').exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Without what the ZFS cache could give back, which stands elsewhere. */
export type Meminfo = Omit<HostMemory, 'arcReclaimableMib'>;

/** Some lines of `/proc/meminfo`, which counts in 1024 bytes. */
export function parseMeminfo(bytes: Buffer): Meminfo | undefined {
  const text = bytes.toString('latin1');
  const total = meminfoKib(text, 'MemTotal');
  const available = meminfoKib(text, 'MemAvailable');
  const swapFree = meminfoKib(text, 'SwapFree');
  if (total === undefined || available === undefined || swapFree === undefined) return undefined;
  if (total === 0 || available > total) return undefined;
  return {
    totalMib: kibToMib(total),
    availableMib: kibToMib(available),
    swapFreeMib: kibToMib(swapFree),
  };
}

function meminfoKib(
  text: string,
  key: 'MemTotal' | 'MemAvailable' | 'SwapFree',
): number | undefined {
  const digits = new RegExp(`^${key}: {1,32}([0-9]{1,15}) kB\n`, 'm').exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The load average over one minute, the first number of `/proc/loadavg`. */
export function parseLoadavg(bytes: Buffer): number | undefined {
  const digits = /^([0-9]{1,9}\.[0-9]{1,9}) /.exec(bytes.toString('latin1', 0, 128))?.[1];
  return digits === undefined ? undefined : Number(digits);
}
