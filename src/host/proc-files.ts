import type { HostMemory, HostObservation, Pressure } from '../core/observation.ts';
import type { Reading } from '../core/reading.ts';
import { missing, present } from '../core/reading.ts';
import { kibToMib, mib } from '../core/units.ts';
import type { HostView } from '../ports.ts';
import { countCpuList } from './cpu-list.ts';
import type { ReadSmallFile } from './file-reader.ts';
import { createFileReader } from './file-reader.ts';
import type { Paths } from './paths.ts';
import { parsePressure } from './pressure-file.ts';

/** `/proc/stat` of a host with thousands of CPUs and interrupts stays below this. */
const FILE_LIMIT_BYTES = 4 * 1024 * 1024;

/** What the host has and how busy it is, from `/proc` and `/sys`. Read once a cycle. */
export function createHostView(paths: Paths): HostView {
  const read = createFileReader(FILE_LIMIT_BYTES);
  return {
    observe: (): HostObservation => ({
      cpus: readCpus(read, paths),
      memory: readValue(read, paths.procMeminfo, parseMeminfo),
      load1: readValue(read, paths.procLoadavg, parseLoadavg),
      cpuTimes: missing('absent', 'not read'),
      vmMemoryMib: present(mib(0)),
      cpuPressure: readPressure(read, paths.procPressure('cpu')),
      memoryPressure: readPressure(read, paths.procPressure('memory')),
    }),
  };
}

/** CPUs online: `/sys/devices/system/cpu/online`, else the `cpuN` lines of `/proc/stat`. */
function readCpus(read: ReadSmallFile, paths: Paths): Reading<number> {
  const online = readValue(read, paths.cpusOnline, (bytes) => {
    const count = countCpuList(bytes, bytes.length);
    return count > 0 ? count : undefined;
  });
  return online.ok ? online : readValue(read, paths.procStat, countStatCpus);
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

/** The CPUs that `/proc/stat` lists; undefined where it lists none. */
export function countStatCpus(bytes: Buffer): number | undefined {
  const count = bytes.toString('latin1').match(/^cpu[0-9]+ /gm)?.length ?? 0;
  return count > 0 ? count : undefined;
}

/** `MemTotal` and `MemAvailable` of `/proc/meminfo`, which counts in 1024 bytes. */
export function parseMeminfo(bytes: Buffer): HostMemory | undefined {
  const text = bytes.toString('latin1');
  const total = meminfoKib(text, 'MemTotal');
  const available = meminfoKib(text, 'MemAvailable');
  if (total === undefined || available === undefined) return undefined;
  if (total === 0 || available > total) return undefined;
  return {
    totalMib: kibToMib(total),
    availableMib: kibToMib(available),
    arcReclaimableMib: mib(0),
    swapFreeMib: mib(0),
  };
}

function meminfoKib(text: string, key: 'MemTotal' | 'MemAvailable'): number | undefined {
  const digits = new RegExp(`^${key}: {1,32}([0-9]{1,15}) kB\n`, 'm').exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The load average over one minute, the first number of `/proc/loadavg`. */
export function parseLoadavg(bytes: Buffer): number | undefined {
  const digits = /^([0-9]{1,9}\.[0-9]{1,9}) /.exec(bytes.toString('latin1', 0, 128))?.[1];
  return digits === undefined ? undefined : Number(digits);
}
