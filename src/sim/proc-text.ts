import type { HostSpec } from './plant.ts';
import type { HostGauges, HostMemoryUse } from './plant-host.ts';

/** The host's `/proc` files, as far as anyone reads them. */

const kib = (bytes: number): number => Math.max(0, Math.floor(bytes / 1024));

const line = (key: string, kibibytes: number): string =>
  `${`${key}:`.padEnd(16)}${`${kibibytes}`.padStart(8)} kB`;

export interface HostMemoryFigures {
  readonly freeBytes: number;
  readonly availableBytes: number;
}

/** Memory of the host's own that is cache, as a share of what it holds. */
const BASE_CACHE_SHARE = 0.3;
/** Pages that the kernel never gives out, as a share of all. */
const WATERMARK_SHARE = 0.005;

export function hostMemoryFigures(use: HostMemoryUse): HostMemoryFigures {
  const guests = use.anonBytes + use.shmemBytes + use.kernelBytes + use.vmBytes;
  const held = use.baseBytes + guests + use.arcBytes;
  const freeBytes = Math.max(0, use.totalBytes - held - use.fileBytes);
  const cache = use.fileBytes + use.baseBytes * BASE_CACHE_SHARE;
  const available = freeBytes + cache - use.totalBytes * WATERMARK_SHARE;
  return { freeBytes, availableBytes: Math.max(0, available) };
}

export function meminfoText(use: HostMemoryUse): string {
  const { freeBytes, availableBytes } = hostMemoryFigures(use);
  const baseCache = use.baseBytes * BASE_CACHE_SHARE;
  const baseAnon = use.baseBytes * (0.9 - BASE_CACHE_SHARE);
  const slab = use.baseBytes * 0.1 + use.kernelBytes;
  const anon = use.anonBytes + baseAnon + use.vmBytes;
  const file = use.fileBytes + baseCache;
  const lines = [
    line('MemTotal', kib(use.totalBytes)),
    line('MemFree', kib(freeBytes)),
    line('MemAvailable', kib(availableBytes)),
    line('Buffers', kib(baseCache * 0.05)),
    line('Cached', kib(file * 0.95 + use.shmemBytes)),
    line('SwapCached', 0),
    line('Active', kib(file * 0.35 + anon * 0.1)),
    line('Inactive', kib(file * 0.65 + anon * 0.9)),
    line('Active(anon)', kib(anon * 0.1)),
    line('Inactive(anon)', kib(anon * 0.9)),
    line('Active(file)', kib(file * 0.35)),
    line('Inactive(file)', kib(file * 0.65)),
    line('Unevictable', 0),
    line('Mlocked', 0),
    line('SwapTotal', kib(use.swapTotalBytes)),
    line('SwapFree', kib(use.swapTotalBytes - use.swapBytes)),
    line('Dirty', 0),
    line('Writeback', 0),
    line('AnonPages', kib(anon)),
    line('Mapped', kib(file * 0.2)),
    line('Shmem', kib(use.shmemBytes)),
    line('KReclaimable', kib(slab * 0.4)),
    line('Slab', kib(slab)),
    line('SReclaimable', kib(slab * 0.4)),
    line('SUnreclaim', kib(slab * 0.6)),
  ];
  return `${lines.join('\n')}\n`;
}

/** Of the ZFS cache, in the form of its kernel module; `meminfo` counts it as used. */
export function arcstatsText(use: HostMemoryUse, sizeMib: number): string {
  const most = sizeMib * 1024 * 1024;
  const size = Math.floor(use.arcBytes);
  const rows = [
    ['hits', 1_042_768],
    ['misses', 20_113],
    ['c', Math.max(size, use.arcMinBytes)],
    ['c_min', use.arcMinBytes],
    ['c_max', most],
    ['size', size],
    ['compressed_size', Math.floor(size * 0.8)],
    ['metadata_size', Math.floor(size * 0.1)],
    ['arc_meta_used', Math.floor(size * 0.15)],
  ] as const;
  const lines = rows.map(([name, value]) => `${name.padEnd(32)}4    ${value}`);
  const head = ['9 1 0x01 147 39984 3651244 7200103665', `${'name'.padEnd(32)}type data`];
  return `${[...head, ...lines].join('\n')}\n`;
}

/** Jiffies of 10 ms: USER_HZ is 100 on Proxmox VE. */
const ticks = (ms: number): number => Math.floor(ms / 10);

export function procStatText(gauges: HostGauges, bootTimeS: number): string {
  const row = (name: string, busyMs: number, elapsedMs: number): string => {
    const system = ticks(busyMs * 0.2);
    const idle = ticks(Math.max(0, elapsedMs - busyMs));
    return `${name} ${ticks(busyMs) - system} 0 ${system} ${idle} 0 0 0 0 0 0`;
  };
  const busy = gauges.busyMs.reduce((sum, ms) => sum + ms, 0);
  return [
    row('cpu ', busy, gauges.elapsedMs * gauges.cpus),
    ...gauges.busyMs.map((ms, cpu) => row(`cpu${cpu}`, ms, gauges.elapsedMs)),
    'intr 0',
    'ctxt 0',
    `btime ${bootTimeS}`,
    'processes 1582',
    'procs_running 1',
    'procs_blocked 0\n',
  ].join('\n');
}

export function loadavgText(gauges: HostGauges): string {
  const loads = gauges.load.map((load) => load.toFixed(2)).join(' ');
  return `${loads} ${Math.max(1, Math.round(gauges.usedCores))}/412 1583\n`;
}

export function uptimeText(uptimeMs: number, gauges: HostGauges): string {
  const busy = gauges.busyMs.reduce((sum, ms) => sum + ms, 0);
  const idleMs = Math.max(0, uptimeMs * gauges.cpus - busy);
  return `${(uptimeMs / 1000).toFixed(2)} ${(idleMs / 1000).toFixed(2)}\n`;
}

export const versionText = (host: HostSpec): string =>
  `Linux version ${host.kernelRelease} (build@proxmox) (gcc (Debian 12.2.0-14) 12.2.0) #1 SMP\n`;

/** As the kernel writes it: a random id of the boot, here made of its time. */
export const bootId = (bootTimeS: number): string =>
  `7f1d3c52-8a4e-4b6f-9c0d-${Math.floor(bootTimeS).toString(16).padStart(12, '0')}`;
