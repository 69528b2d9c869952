import { LEAST_CPU_LIMIT, LEAST_MEMORY_MIB } from '../../core/allocation.ts';
import {
  MOST_PLUGGED_MIB,
  pluggableBelow,
  pluggableMib,
  type Reach,
  type Reaches,
  STATIC_MIB,
} from '../../core/reach.ts';
import type { Vmid } from '../../core/units.ts';

/** What of a virtual machine can be changed while it runs, by its configuration. */

export interface MachineSettings {
  /** Sockets times cores. */
  readonly mostCpus: number;
  readonly vcpus: number;
  /** The CPUs of the host that it may run on, as Proxmox VE writes them; undefined: all. */
  readonly affinity: string | undefined;
  readonly memoryMib: number;
  /** undefined: no such line, which stands for a balloon whose target is `memory`. */
  readonly balloonMib: number | undefined;
  readonly shares: number;
  readonly hotplug: ReadonlySet<string>;
  readonly numa: boolean;
  /** The first key `numaN`, `virtiofsN` or `hostpciN` that it has. */
  readonly numaNode: string | undefined;
  readonly virtiofs: string | undefined;
  readonly passedThrough: string | undefined;
  readonly hugepages: string | undefined;
}

/**
 * | lever    | is live                                                                        |
 * | -------- | ------------------------------------------------------------------------------ |
 * | cpulimit | always; more than its vCPUs is no use                                          |
 * | vcpus    | with `cpu` in `hotplug`, up to sockets x cores                                 |
 * | balloon  | with `shares: 0` and a device: both ways, up to `memory`                       |
 * | memory   | upwards, with `memory` in `hotplug`, `numa: 1`, no `numaN`, no virtio-fs        |
 * |          | down by one module where asked for, if it has no `balloon` and `shares` above 0 |
 *
 * Memory is fixed where devices are passed through, since QEMU then holds all of it, and with huge
 * pages, which are of the host and not of the guest.
 */
export function reachesOf(vmid: Vmid, machine: MachineSettings): Reaches {
  return {
    cores: coresReach(vmid, machine),
    cpuLimit: limitReach(vmid, machine),
    memoryMib: memoryReach(vmid, machine),
  };
}

/** Its vCPUs share the CPUs that it may run on: more of them than that are of no use. */
function cappedTo(vmid: Vmid, { affinity }: MachineSettings, most: number) {
  const usable = affinity === undefined ? undefined : cpusIn(affinity);
  if (usable === undefined || usable >= most) return { max: most };
  const why = `it may run on ${usable} CPUs of the host (affinity: ${affinity?.slice(0, 40)})`;
  return {
    max: usable,
    capped: { why, remedy: `\`qm set ${vmid} --delete affinity\`, then stop and start it` },
  };
}

/** More than Linux knows. */
const MOST_CPUS = 10_000;

/** How many CPUs are in a list such as `0-3,8`; undefined if it is none. */
function cpusIn(list: string): number | undefined {
  const isIn = new Uint8Array(MOST_CPUS);
  for (const range of list.split(',')) {
    const [, from, to = from] = /^([0-9]{1,4})(?:-([0-9]{1,4}))?$/.exec(range.trim()) ?? [];
    if (from === undefined) return undefined;
    isIn.fill(1, Number(from), Number(to) + 1);
  }
  const count = isIn.reduce((sum, one) => sum + one, 0);
  return count > 0 ? count : undefined;
}

const limitReach = (vmid: Vmid, machine: MachineSettings): Reach => ({
  kind: 'live',
  min: LEAST_CPU_LIMIT,
  ...cappedTo(vmid, machine, machine.vcpus),
});

function coresReach(vmid: Vmid, machine: MachineSettings): Reach {
  const { hotplug, mostCpus, vcpus } = machine;
  const { max, ...capped } = cappedTo(vmid, machine, mostCpus);
  // What it has been given beyond that is not taken for it.
  if (hotplug.has('cpu')) return { kind: 'live', min: 1, max: Math.max(max, vcpus), ...capped };
  const features = [...hotplug, 'cpu'].join(',');
  return {
    kind: 'fixed',
    why: 'its vcpus only change at the next start: `hotplug` does not have `cpu`',
    remedy:
      `\`qm set ${vmid} --hotplug ${features}\`, then stop and start it; ` +
      'or use `cpu_unit: cpulimit`',
  };
}

function memoryReach(vmid: Vmid, machine: MachineSettings): Reach {
  const { passedThrough, hugepages, memoryMib } = machine;
  if (passedThrough !== undefined) {
    const why = `a device of the host is passed through (${passedThrough}), which pins its memory`;
    return { kind: 'fixed', why, remedy: 'its CPU can still be scaled' };
  }
  if (hugepages !== undefined) {
    const why = `it uses huge pages of the host (hugepages: ${hugepages.slice(0, 8)})`;
    return { kind: 'fixed', why, remedy: 'its CPU can still be scaled' };
  }
  const blocked = whyNoBalloon(vmid, machine);
  const canPlug = whyNoPlug(machine) === undefined && pluggableMib(memoryMib) === memoryMib;
  if (blocked !== undefined && !canPlug) return blocked;
  const pluggedFrom = canPlug ? memoryMib : undefined;
  // Where a balloon is set, pvestatd moves it, or `qm` refuses less memory than its target.
  const hasModule = canPlug && blocked !== undefined && memoryMib > STATIC_MIB;
  const canUnplug = hasModule && machine.balloonMib === undefined;
  return {
    kind: 'live',
    min: blocked === undefined ? LEAST_MEMORY_MIB : memoryMib,
    max: canPlug ? MOST_PLUGGED_MIB : memoryMib,
    ...(blocked !== undefined && { oneWay: { why: blocked.why, remedy: blocked.remedy } }),
    ...(pluggedFrom !== undefined && { pluggedFrom }),
    ...(canUnplug && { unpluggedTo: pluggableBelow(memoryMib - 1) }),
  };
}

/** What keeps its balloon from following a target; undefined if nothing does. */
function whyNoBalloon(
  vmid: Vmid,
  { balloonMib, shares, memoryMib }: MachineSettings,
): Extract<Reach, { kind: 'fixed' }> | undefined {
  if (balloonMib === 0) {
    return {
      kind: 'fixed',
      why: 'it has no balloon device (balloon: 0)',
      remedy: `\`qm set ${vmid} --delete balloon --shares 0\`, then stop and start it`,
    };
  }
  if (shares === 0) return undefined;
  const isAutomatic = balloonMib !== undefined && balloonMib < memoryMib;
  return {
    kind: 'fixed',
    why: isAutomatic
      ? `pvestatd balloons it between ${balloonMib} and ${memoryMib} MB (shares: ${shares})`
      : `its balloon does not follow a target (shares: ${shares})`,
    remedy: `\`qm set ${vmid} --shares 0\` hands its balloon to this program`,
  };
}

/** What keeps memory from being plugged in; undefined if nothing does. */
function whyNoPlug({ hotplug, numa, numaNode, virtiofs }: MachineSettings): string | undefined {
  if (!hotplug.has('memory')) return '`hotplug` does not have `memory`';
  if (!numa) return 'it does not have `numa: 1`';
  return numaNode ?? virtiofs;
}
