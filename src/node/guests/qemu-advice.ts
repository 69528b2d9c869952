import type { HostSize } from '../../core/machine-guards.ts';
import { pluggableMib, pluggableWithin, STATIC_MIB } from '../../core/reach.ts';
import { missing, present, type Reading } from '../../core/reading.ts';
import type { Vmid } from '../../core/units.ts';
import { parseMachineConfig, parseMachineSettings } from './qemu.ts';
import type { MachineSettings } from './qemu-reach.ts';

/**
 * What an administrator can set at the next maintenance of a virtual machine, so that more of it
 * can be changed while it runs. This program never sets these.
 */
export interface MachineAdvice {
  readonly vmid: Vmid;
  /** Untrusted text. */
  readonly name: string;
  readonly proposals: readonly Proposed[];
}

/** One command, without its end. It takes effect when the machine is stopped and started. */
export interface Proposed {
  readonly command: string;
  readonly gives: string;
}

/** What a record of its demand says that it should have. */
export interface Wanted {
  readonly cores: number;
  readonly memoryMib?: number | undefined;
}

/**
 * @param wanted undefined: nothing is known of its demand
 * @param host undefined: its size is not known. A machine with more CPUs than it does not start
 */
export function machineAdvice(
  vmid: Vmid,
  text: string,
  wanted?: Wanted,
  host?: HostSize,
): Reading<MachineAdvice> {
  const config = parseMachineConfig(vmid, text, '');
  if (!config.ok) return config;
  const machine = parseMachineSettings(text);
  if (machine === undefined) return missing('malformed', `${vmid}.conf: not understood`);
  if (config.value.template) return missing('absent', `${vmid} is a template`);
  const options = [
    liveOptions(machine),
    moduleOptions(machine),
    sizeOptions(machine, wanted, host),
  ];
  const proposals = options.flatMap((one) =>
    one.args.length === 0
      ? []
      : [{ command: `qm set ${vmid} ${one.args.join(' ')}`, gives: one.gives }],
  );
  return present({ vmid, name: config.value.name, proposals });
}

interface Options {
  readonly args: readonly string[];
  readonly gives: string;
}

const hotplugWith = ({ hotplug }: MachineSettings, ...more: readonly string[]): string =>
  [...new Set([...hotplug, ...more])].join(',');

const isPinned = ({ passedThrough, hugepages }: MachineSettings): boolean =>
  passedThrough !== undefined || hugepages !== undefined;

/** vCPUs and the balloon. A balloon that pvestatd moves is somebody's choice, and stays. */
function liveOptions(machine: MachineSettings): Options {
  const { hotplug, mostCpus, balloonMib, shares, memoryMib } = machine;
  const plugsCpus = mostCpus === 1 || hotplug.has('cpu');
  const isAutomatic = shares > 0 && (balloonMib ?? memoryMib) < memoryMib && balloonMib !== 0;
  const ballooned = isPinned(machine) || isAutomatic || (shares === 0 && balloonMib !== 0);
  const gives = [
    ...(plugsCpus ? [] : ['its vCPUs']),
    ...(ballooned ? [] : [`its memory up to ${memoryMib} MB, by its balloon`]),
  ];
  return {
    args: [
      ...(plugsCpus ? [] : ['--hotplug', hotplugWith(machine, 'cpu')]),
      ...(ballooned || balloonMib !== 0 ? [] : ['--delete', 'balloon']),
      ...(ballooned ? [] : ['--shares', '0']),
    ],
    gives: gives.join(', and '),
  };
}

/** Memory modules. What no modules make up is rounded up to what they do. */
function moduleOptions(machine: MachineSettings): Options {
  const { hotplug, numa, numaNode, virtiofs, memoryMib } = machine;
  const wholeMib = pluggableMib(Math.max(STATIC_MIB, memoryMib));
  const isDone = hotplug.has('memory') && numa && wholeMib === memoryMib;
  const isImpossible = numaNode !== undefined || virtiofs !== undefined || wholeMib === undefined;
  if (isDone || isImpossible || isPinned(machine)) return { args: [], gives: '' };
  const cpu = machine.mostCpus === 1 ? [] : ['cpu'];
  return {
    args: [
      '--hotplug',
      hotplugWith(machine, ...cpu, 'memory'),
      '--numa',
      '1',
      ...(wholeMib === memoryMib ? [] : ['--memory', String(wholeMib)]),
    ],
    gives: `its memory beyond ${wholeMib} MB, by modules`,
  };
}

/** More than it can have while it runs; what is less needs no maintenance. */
function sizeOptions(
  { mostCpus, memoryMib }: MachineSettings,
  wanted?: Wanted,
  host: HostSize = { cpus: Infinity, memoryMib: Infinity },
): Options {
  if (wanted === undefined) return { args: [], gives: '' };
  const cores = Math.ceil(Math.min(wanted.cores, host.cpus));
  const needMib = Math.ceil(wanted.memoryMib ?? 0);
  const wantedMib = needMib > memoryMib ? pluggableWithin(needMib, host.memoryMib) : 0;
  return {
    args: [
      ...(cores > mostCpus ? ['--sockets', '1', '--cores', String(cores)] : []),
      ...(wantedMib > memoryMib ? ['--memory', String(wantedMib)] : []),
    ],
    gives: 'what the record says that it should have',
  };
}
