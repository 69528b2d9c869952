import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import type { Reading } from '../../src/core/reading.ts';
import { present } from '../../src/core/reading.ts';
import { mib } from '../../src/core/units.ts';
import { parseGuestConfig } from '../../src/node/guests/lxc-conf.ts';
import { parseMachineMemory } from '../../src/node/guests/qemu.ts';
import { type CgroupFiles, createCgroups } from '../../src/node/local/kernel/cgroup-files.ts';
import {
  parseCpuMax,
  parseCpuStat,
  parseMemoryEvents,
  parseMemoryStat,
  parseSingleNumber,
} from '../../src/node/local/kernel/cgroup-values.ts';
import { countCpuList } from '../../src/node/local/kernel/cpu-list.ts';
import { parsePressure } from '../../src/node/local/kernel/pressure-file.ts';
import { createHostView } from '../../src/node/local/kernel/proc-files.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { parseGroupGuest } from '../../src/node/local/pve/cluster-files.ts';
import { parseStartTime, parseVmlist } from '../../src/node/local/pve/vmlist-file.ts';
import { fc } from '../fast-check.ts';
import { manualClock, plant, vmid } from '../node/local/world.ts';
import { damaged, fuzz } from './fuzz.ts';
import { keptDirectory } from './kept-directory.ts';

/** Files of the node: what its guests, its cluster and its kernel say of themselves. */

const CONF = `#A description%3A with \\x1b and more
arch: amd64
cores: 2
cpulimit: 1.5
hostname: web-1
memory: 1024
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=10.0.0.5/24,type=veth
rootfs: local-lvm:vm-101-disk-0,size=8G
mp0: local:1/vm.raw,mp=/data,size=512M
swap: 512
tags: autoscale;web
lock: backup
template: 0

[pve:pending]
memory: 2048
delete: cpulimit,!swap

[autoscale-web-abc]
memory: 512
snapstate: prepare
`;

const isWhole = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most;

describe('the configuration of a guest, whatever it holds, gives values that can be', () => {
  fuzz('of a container', 4000, damaged(CONF), (bytes) => {
    const config = parseGuestConfig(vmid(101), bytes);
    if (!config.ok) {
      expect(config.detail.length).toBeLessThan(2000);
      return;
    }
    const { cores, cpuLimit, memoryMib, swapMib, name, tags, pendingKeys, digest } = config.value;
    expect(cores === null || isWhole(cores, 1, 8192)).toBe(true);
    expect(cpuLimit === null || (cpuLimit > 0 && cpuLimit <= 8192)).toBe(true);
    expect(isWhole(memoryMib, 16, 2 ** 33) && isWhole(swapMib, 0, 2 ** 33)).toBe(true);
    expect(name.length).toBeLessThanOrEqual(255);
    expect(tags.length + pendingKeys.length).toBeLessThanOrEqual(256);
    expect(digest).toMatch(/^[0-9a-f]{40}$/);
    // A default stands for a line that is not there, never for one that cannot be read.
    const lines = bytes.toString('utf8').split('\n');
    const end = lines.findIndex((line) => /^\[.+\]$/.test(line.trimEnd()));
    const live = end < 0 ? lines : lines.slice(0, end);
    const said = live.filter((line) => line.startsWith('memory:'));
    if (memoryMib === 512) expect(said.at(-1) ?? 'memory: 512').toMatch(/^memory:\s*512\s*$/);
  });

  fuzz('of a member of a group', 2000, damaged(CONF), (bytes) => {
    const guest = parseGroupGuest(vmid(101), 'pve1', bytes);
    if (!guest.ok) return;
    const { disk, storages } = guest.value;
    expect(disk === undefined || (disk.mib >= 0 && Number.isFinite(disk.mib))).toBe(true);
    expect(storages).not.toContain('');
  });

  fuzz('of a virtual machine', 2000, damaged(CONF, 'memory: current=2048\n'), (bytes) => {
    const memory = parseMachineMemory(bytes.toString('latin1'));
    expect(memory === undefined || isWhole(memory, 16, 2 ** 33)).toBe(true);
  });
});

const ids = {
  101: { node: 'pve1', type: 'lxc', version: 10 },
  102: { node: 'pve2', type: 'qemu', version: 11 },
};
const VMLIST = JSON.stringify({ version: 8, ids });

describe('the lists of the cluster', () => {
  fuzz('name containers with versions, or nothing', 3000, damaged(VMLIST), (bytes) => {
    for (const [id, { version }] of parseVmlist(bytes.toString('utf8')) ?? []) {
      expect(isWhole(id, 100, 999_999_999) && Number.isSafeInteger(version)).toBe(true);
    }
  });

  fuzz('have a time of start, or none', 1000, damaged('{"starttime":1795000000}'), (bytes) => {
    const start = parseStartTime(bytes.toString('utf8'));
    expect(start === undefined || typeof start === 'number').toBe(true);
  });
});

const CPU_STAT =
  'usage_usec 5000000\nuser_usec 0\nsystem_usec 5000000\nnr_periods 0\n' +
  'nr_throttled 0\nthrottled_usec 100\n';
const MEMORY_STAT =
  'anon 83886080\nfile 125829120\nkernel 1000\nshmem 4096\ninactive_anon 1\n' +
  'active_anon 2\ninactive_file 100000000\nactive_file 25829120\nunevictable 0\n' +
  'slab_reclaimable 5\nslab_unreclaimable 6\nworkingset_refault_anon 0\n' +
  'workingset_refault_file 7\n';
const EVENTS = 'low 0\nhigh 0\nmax 3\noom 0\noom_kill 0\noom_group_kill 0\n';
const PRESSURE =
  'some avg10=0.10 avg60=0.20 avg300=0.30 total=123456\n' +
  'full avg10=0.00 avg60=0.00 avg300=0.00 total=12\n';

const isAmount = (value: number): boolean => Number.isFinite(value) && value >= 0;

/** All numbers anywhere in it are finite and not negative. */
function allAmounts(value: unknown): boolean {
  if (typeof value === 'number') return isAmount(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.values(value).every(allAmounts);
}

describe('the files of the kernel, whatever they hold, give amounts or nothing', () => {
  const anyKernelFile = damaged(CPU_STAT, MEMORY_STAT, EVENTS, PRESSURE, '1073741824\n', 'max\n');

  fuzz('each read as any of them', 6000, anyKernelFile, (bytes) => {
    const { length } = bytes;
    const read = [parseCpuStat, parseMemoryStat, parseMemoryEvents, parsePressure];
    expect(read.every((parse) => allAmounts(parse(bytes, length)))).toBe(true);
    expect(parseSingleNumber(bytes, length)).toBeGreaterThanOrEqual(-1);
    const limit = parseCpuMax(bytes.toString('latin1'));
    expect(limit === -1 || limit > 0).toBe(true);
    const cpus = countCpuList(bytes, length);
    expect(isWhole(cpus, -1, 65_536)).toBe(true);
  });
});

const FILES: Readonly<Record<string, string>> = {
  'cpu.stat': CPU_STAT,
  'cpuset.cpus': '0-1,3\n',
  'cpu.pressure': PRESSURE,
  'memory.current': '209715200\n',
  'memory.max': '1073741824\n',
  'memory.stat': MEMORY_STAT,
  'memory.events': EVENTS,
  'memory.swap.current': '0\n',
  'memory.pressure': PRESSURE,
};
const names = Object.keys(FILES);
const CGROUP = 'sys/fs/cgroup/lxc/101';

describe('a cgroup of which files are damaged', () => {
  const root = keptDirectory();
  let cgroups: CgroupFiles;
  beforeAll(() => {
    plant(root(), Object.fromEntries(names.map((name) => [join(CGROUP, name), FILES[name] ?? ''])));
    cgroups = createCgroups(createPaths(root()), manualClock());
    return () => cgroups.close();
  });
  const anyDamage = fc
    .constantFrom(...names)
    .chain((name) => fc.tuple(fc.constant(name), damaged(FILES[name] ?? '')));

  fuzz('is read as amounts, or as missing, never as zero', 600, anyDamage, ([name, bytes]) => {
    const path = join(root(), CGROUP, name);
    writeFileSync(path, bytes);
    const sample = cgroups.sample(vmid(101));
    if (!sample.ok) throw new Error(sample.detail);
    const { cpu, memory } = sample.value;
    expect(allAmounts(sample.value)).toBe(true);
    const text = bytes.toString('latin1');
    if (memory.ok && memory.value.currentBytes === 0) expect(text).toMatch(/^0+\n?$/);
    if (cpu.ok && cpu.value.usageUs === 0) expect(text).toMatch(/usage_usec 0+$/m);
    writeFileSync(path, FILES[name] ?? '');
  });
});

const MEMINFO =
  'MemTotal:       8137252 kB\nMemFree:        5012340 kB\nMemAvailable:   6612340 kB\n' +
  'SwapTotal:      4194300 kB\nSwapFree:       4194300 kB\n';
const HOST: Readonly<Record<string, string>> = {
  'proc/meminfo': MEMINFO,
  'proc/loadavg': '0.52 0.58 0.59 1/467 12345\n',
  'proc/stat':
    'cpu  100 0 200 3000 40 0 5 0 0 0\ncpu0 50 0 100 1500 20 0 2 0 0 0\nbtime 1795000000\n',
  'proc/pressure/cpu': PRESSURE,
  'proc/pressure/memory': PRESSURE,
  'proc/spl/kstat/zfs/arcstats': 'name type data\nsize 4 1073741824\nc_min 4 268435456\n',
  'sys/devices/system/cpu/online': '0-3\n',
};

describe('a host of which files are damaged', () => {
  const root = keptDirectory();
  beforeAll(() => plant(root(), HOST));
  const paths = Object.keys(HOST);
  const anyDamage = fc
    .constantFrom(...paths)
    .chain((name) => fc.tuple(fc.constant(name), damaged(HOST[name] ?? '')));

  fuzz('is read as amounts, or as missing', 500, anyDamage, ([name, bytes]) => {
    const path = join(root(), name);
    writeFileSync(path, bytes);
    const host = createHostView(createPaths(root()), () => present(mib(0))).observe();
    const readings: readonly Reading<unknown>[] = Object.values(host);
    expect(readings.every((one) => !one.ok || allAmounts(one.value))).toBe(true);
    if (host.memory.ok) expect(host.memory.value.totalMib).toBeGreaterThan(0);
    if (host.cpus.ok) expect(host.cpus.value).toBeGreaterThan(0);
    writeFileSync(path, HOST[name] ?? '');
  });
});
