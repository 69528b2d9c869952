import { effectiveLimits, type GuestConf } from './guest-conf.ts';
import type { Machine } from './machine.ts';
import { unreclaimableBytes } from './plant-memory.ts';

/** The figures of a container as `pct status --verbose` and the API give them. */

export type Facts = Readonly<Record<string, string | number>>;

const UNITS: Readonly<Record<string, number>> = { K: 10, M: 20, G: 30, T: 40 };

/** Bytes of `size=4G` in a volume's line. */
export function volumeBytes(volume: string): number {
  const [, digits, unit] = /size=(\d+)([KMGT]?)/.exec(volume) ?? [];
  return Number(digits ?? 0) * 2 ** (UNITS[unit ?? ''] ?? 0);
}

/** An ext4 file system of so many bytes offers this much. */
const FILE_SYSTEM_SHARE = 0.9648;
const USED_SHARE = 0.05;

export interface DiskFigures {
  readonly totalBytes: number;
  readonly usedBytes: number;
}

export function diskOf(conf: GuestConf, running: boolean): DiskFigures {
  const size = volumeBytes(conf.main.values.get('rootfs') ?? '');
  if (!running) return { totalBytes: size, usedBytes: 0 };
  const blocks = (bytes: number) => Math.floor(bytes / 4096) * 4096;
  return {
    totalBytes: blocks(size * FILE_SYSTEM_SHARE),
    usedBytes: blocks(size * USED_SHARE),
  };
}

const MIB = 1024 * 1024;

/** Everything but `cpu`, which each command reports in a way of its own. */
export function statusFacts(machine: Machine, vmid: number, conf: GuestConf): Facts {
  const container = machine.running(vmid);
  const limits = effectiveLimits(conf.main);
  const disk = diskOf(conf, container !== undefined);
  const { values } = conf.main;
  const lock = values.get('lock');
  const tags = values.get('tags');
  const traffic = container === undefined ? 0 : Math.floor(container.cpu.usageUs / 10_000);
  return {
    cpus: limits.cores ?? limits.cpuLimit ?? machine.plant.host.cpus,
    disk: disk.usedBytes,
    diskread: Math.floor(container?.memory.counts.readBytes ?? 0),
    diskwrite: 0,
    ...(lock === undefined ? {} : { lock }),
    maxdisk: disk.totalBytes,
    maxmem: limits.memoryMib * MIB,
    maxswap: limits.swapMib * MIB,
    // As Proxmox has it: memory.current less file, and shared memory counts as file.
    mem:
      container === undefined
        ? 0
        : unreclaimableBytes(container.memory) - container.memory.shmemBytes,
    name: values.get('hostname') ?? `CT${vmid}`,
    netin: traffic,
    netout: traffic,
    ...(container === undefined ? {} : { pid: 1000 + vmid }),
    status: container === undefined ? 'stopped' : 'running',
    swap: container?.memory.swapBytes ?? 0,
    ...(tags === undefined ? {} : { tags }),
    ...(values.get('template') === '1' ? { template: 1 } : {}),
    type: 'lxc',
    uptime:
      container === undefined
        ? 0
        : Math.floor((machine.plant.hostMs - container.startedAtMs) / 1000),
    vmid,
  };
}
