/** `qemu-server/ID.conf`: taken apart, and put together as Proxmox VE does. */

export interface VmConf {
  /** The lines of the description, with their `#`. */
  description: readonly string[];
  readonly main: Map<string, string>;
  /** Changes that wait for the next start. */
  readonly pending: Map<string, string>;
  /** Snapshots and what cloud-init was told, as they stand. */
  readonly rest: string;
}

const SETTING = /^([a-z][a-z_-]*[0-9]*):\s*(.*?)\s*$/;

export function parseVmConf(text: string): VmConf {
  const description: string[] = [];
  const main = new Map<string, string>();
  const pending = new Map<string, string>();
  const rest: string[] = [];
  let section = '';
  for (const line of text.split('\n')) {
    const heading = /^\[(.+)\]\s*$/.exec(line)?.[1]?.toLowerCase();
    if (heading !== undefined) section = heading;
    const isOther = section !== '' && section !== 'pending';
    if (isOther) rest.push(line);
    else if (line.startsWith('#')) description.push(line);
    const [, key, value] = SETTING.exec(line) ?? [];
    if (isOther || key === undefined || value === undefined) continue;
    (section === '' ? main : pending).set(key, value);
  }
  return { description, main, pending, rest: rest.join('\n') };
}

/** Lines as `qm config` shows them, and the file has them. */
export const rows = (values: ReadonlyMap<string, string>): string =>
  [...values.keys()]
    .sort()
    .map((key) => `${key}: ${values.get(key)}\n`)
    .join('');

export function vmConfText({ description, main, pending, rest }: VmConf): string {
  const about = description.map((line) => `${line}\n`).join('');
  const waiting = pending.size === 0 ? '' : `\n[PENDING]\n${rows(pending)}`;
  return `${about}${rows(main)}${waiting}${rest === '' ? '' : `\n${rest}`}`;
}

const numberOf = (values: ReadonlyMap<string, string>, key: string, otherwise: number): number => {
  const value = Number(values.get(key)?.replace(/^current=/, ''));
  return Number.isFinite(value) && values.has(key) ? value : otherwise;
};

export interface VmValues {
  readonly mostCpus: number;
  readonly vcpus: number;
  readonly memoryMib: number;
  /** undefined: no balloon device. */
  readonly balloonMib: number | undefined;
  readonly shares: number;
  readonly cpuLimit: number | undefined;
  readonly cpuUnits: number;
  readonly hotplug: ReadonlySet<string>;
  /** Whether memory can be plugged in. */
  readonly plugsMemory: boolean;
}

export function vmValues(values: ReadonlyMap<string, string>): VmValues {
  const mostCpus =
    numberOf(values, 'sockets', numberOf(values, 'smp', 1)) * numberOf(values, 'cores', 1);
  const memoryMib = numberOf(values, 'memory', 512);
  const balloonMib = numberOf(values, 'balloon', memoryMib);
  const cpuLimit = numberOf(values, 'cpulimit', 0);
  const words = values.get('hotplug') ?? '1';
  const features = words === '1' ? 'network,disk,usb' : words;
  const hotplug = new Set(features.split(/[,;\s]+/));
  const isBlocked = [...values.keys()].some((key) => /^(?:numa|virtiofs)[0-9]+$/.test(key));
  return {
    mostCpus,
    vcpus: Math.min(numberOf(values, 'vcpus', mostCpus), mostCpus),
    memoryMib,
    balloonMib: balloonMib === 0 ? undefined : balloonMib,
    shares: numberOf(values, 'shares', 1000),
    cpuLimit: cpuLimit === 0 ? undefined : cpuLimit,
    cpuUnits: numberOf(values, 'cpuunits', 100),
    hotplug,
    plugsMemory: hotplug.has('memory') && values.get('numa') === '1' && !isBlocked,
  };
}
