import { decodeText, type GuestConf, type Section } from './guest-conf.ts';
import { statusFacts } from './guest-status.ts';
import type { Machine } from './machine.ts';
import { hostMemoryFigures } from './proc-text.ts';
import { type VmConf, vmValues } from './vm-conf.ts';

/** The objects that the API hands out, in the shape of the recorded ones. */

export const VERSION = { release: '8.4', repoid: '2606ac850d46da29', version: '8.4.21' };
const MIB = 1024 * 1024;
const FINGERPRINT = Array.from({ length: 32 }, () => '5B').join(':');

type Setting = string | number | Section['raw'];

export function settingsJson(section: Section): Record<string, Setting> {
  const settings: Record<string, Setting> = {};
  for (const [key, value] of section.values) {
    settings[key] = /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
  }
  if (section.description.length > 0) {
    settings['description'] = section.description.map((line) => `${decodeText(line)}\n`).join('');
  }
  if (section.raw.length > 0) settings['lxc'] = section.raw;
  return settings;
}

/** `.../pending`: what is in force, and beside it what waits; raw lines are left out. */
export function pendingJson(
  { main, pending }: Pick<GuestConf, 'main' | 'pending'>,
  digest: string,
): readonly object[] {
  const { lxc: _, ...values } = settingsJson(main);
  const { delete: removed = '', ...waiting } = settingsJson(pending);
  const gone = new Set(`${removed}`.split(/[,; ]+/).filter((key) => key !== ''));
  const keys = new Set([...Object.keys(values), ...Object.keys(waiting), ...gone]);
  const rows = [...keys].map((key) => ({
    key,
    ...(values[key] !== undefined && { value: values[key] }),
    ...(waiting[key] !== undefined && { pending: waiting[key] }),
    ...(gone.has(key) && { delete: 1 }),
  }));
  return [...rows, { key: 'digest', value: digest }];
}

/** A container in `/cluster/resources`: what pvestatd saw last, CPU as a share of its cores. */
export function resource(machine: Machine, vmid: number, conf: GuestConf): object {
  const { cpus, maxswap, pid, swap, template, ...facts } = statusFacts(machine, vmid, conf);
  const used = machine.statusSample(vmid)?.usedCores ?? 0;
  return {
    ...facts,
    cpu: used / Math.max(1, Number(cpus)),
    id: `lxc/${vmid}`,
    maxcpu: cpus,
    node: machine.options.nodeName,
    template: template ?? 0,
  };
}

/** A virtual machine there; its CPU as a share of its vCPUs, its memory all that is not free. */
export function machineResource(machine: Machine, vmid: number, { main }: VmConf): object {
  const values = vmValues(main);
  const running = machine.vms.running(vmid);
  const guest = running?.guest;
  const maxcpu = Math.min(values.vcpus, machine.plant.host.cpus);
  const usedMib = guest?.stats === undefined ? guest?.heldMib : guest.totalMib - guest.freeMib;
  const startedMs = running?.startedAtMs ?? machine.plant.hostMs;
  const lock = main.get('lock');
  const tags = main.get('tags');
  return {
    vmid,
    id: `qemu/${vmid}`,
    type: 'qemu',
    node: machine.options.nodeName,
    name: main.get('name') ?? `VM ${vmid}`,
    status: machine.vms.isUp(vmid) ? 'running' : 'stopped',
    maxcpu,
    cpu: (running?.cpu.usedCores ?? 0) / maxcpu,
    maxmem: values.memoryMib * MIB,
    mem: Math.floor((usedMib ?? 0) * MIB),
    uptime: Math.floor((machine.plant.hostMs - startedMs) / 1000),
    disk: 0,
    maxdisk: 0,
    diskread: 0,
    diskwrite: 0,
    netin: 0,
    netout: 0,
    template: 0,
    ...(lock === undefined ? {} : { lock }),
    ...(tags === undefined ? {} : { tags }),
  };
}

/** A configuration of a virtual machine in the form of one of a container. */
const asGuestConf = ({
  description,
  main,
  pending,
}: VmConf): Pick<GuestConf, 'main' | 'pending'> => ({
  main: { description: description.map((line) => line.slice(1)), values: main, raw: [] },
  pending: { description: [], values: pending, raw: [] },
});

/** `.../config`, with what is pending as if it were in force, or as it is now. */
export function machineConfigJson(conf: VmConf, digest: string, isCurrent: boolean): object {
  const { main, pending } = asGuestConf(conf);
  const { delete: _, ...waiting } = isCurrent ? {} : settingsJson(pending);
  const all = { ...settingsJson(main), ...waiting };
  // Its memory comes as text.
  const memory = all['memory'] === undefined ? {} : { memory: `${all['memory']}` };
  const about = all['description'];
  // White space at its end is not kept.
  const description = typeof about === 'string' && { description: about.trimEnd() };
  return { ...all, ...memory, ...description, digest };
}

export const machinePendingJson = (conf: VmConf, digest: string): readonly object[] =>
  pendingJson(asGuestConf(conf), digest);

export function nodeFacts(machine: Machine): Record<string, unknown> {
  const { gauges, host } = machine.plant;
  const use = machine.plant.memoryUse();
  const node = machine.options.nodeName;
  return {
    cpu: gauges.usedCores / host.cpus,
    disk: 1_326_833_664,
    id: `node/${node}`,
    level: '',
    maxcpu: host.cpus,
    maxdisk: 41_956_900_864,
    maxmem: use.totalBytes,
    mem: use.totalBytes - hostMemoryFigures(use).availableBytes,
    node,
    ssl_fingerprint: FINGERPRINT,
    status: 'online',
    type: 'node',
    uptime: Math.floor(machine.uptimeMs / 1000),
  };
}

export function storageFacts(machine: Machine, storage: string, plugintype: string): object {
  const node = machine.options.nodeName;
  const content = plugintype === 'dir' ? 'backup,images,iso,rootdir' : 'rootdir,images';
  const id = `storage/${node}/${storage}`;
  const sizes = { disk: machine.storageUsedBytes, maxdisk: 41_956_900_864 };
  const fixed = { shared: 0, status: 'available', type: 'storage' };
  return { content, id, node, plugintype, storage, ...sizes, ...fixed };
}

export function nodeStatus(machine: Machine): object {
  const { gauges, host } = machine.plant;
  const use = machine.plant.memoryUse();
  const { freeBytes } = hostMemoryFigures(use);
  const total = use.swapTotalBytes;
  return {
    'boot-info': { mode: 'efi' },
    cpu: 0,
    cpuinfo: {
      cores: host.cpus,
      cpus: host.cpus,
      flags: 'fpu',
      hvm: '',
      mhz: 0,
      model: 'simulated',
      sockets: 1,
      user_hz: 100,
    },
    'current-kernel': {
      machine: 'x86_64',
      release: host.kernelRelease,
      sysname: 'Linux',
      version: '#1 SMP',
    },
    idle: 0,
    ksm: { shared: 0 },
    kversion: `Linux ${host.kernelRelease} #1 SMP`,
    loadavg: gauges.load.map((load) => load.toFixed(2)),
    memory: { free: freeBytes, total: use.totalBytes, used: use.totalBytes - freeBytes },
    pveversion: `pve-manager/${VERSION.version}/${VERSION.repoid}`,
    rootfs: {
      avail: 38_465_798_144,
      free: 40_630_059_008,
      total: 41_956_900_864,
      used: 1_326_841_856,
    },
    swap: { free: total - use.swapBytes, total, used: use.swapBytes },
    uptime: Math.floor(machine.uptimeMs / 1000),
    wait: 0,
  };
}
