import { LEAST_MEMORY_MIB, MOST_CORES } from '../../core/allocation.ts';
import { guestIdentity } from '../../core/identity.ts';
import type { GuestConfig } from '../../core/observation.ts';
import type { Reaches } from '../../core/reach.ts';
import { missing, present, type Reading } from '../../core/reading.ts';
import { mib, type Vmid } from '../../core/units.ts';
import type { GuestIdentity } from '../port.ts';
import { type MachineSettings, reachesOf } from './qemu-reach.ts';

/**
 * `/etc/pve/qemu-server/VMID.conf`, text to core types. The live section stands at the top;
 * `[PENDING]` has what waits for the next start, `[special:cloudinit]` what the guest was told, and
 * each snapshot has a section of its own with the same keys and old values.
 */

/** The configuration of a virtual machine, with how far each of its levers can be moved. */
export interface MachineConfig extends GuestConfig {
  readonly reaches: Reaches;
}

const DEFAULT_MEMORY_MIB = 512;
const DEFAULT_SHARES = 1000;
const DEFAULT_HOTPLUG = 'network,disk,usb';
/** 2^53 bytes, beyond which bytes are no longer exact. */
const LARGEST_MEMORY_MIB = 2 ** 33;
const LONGEST_TEXT = 255;
const MOST_NAMES = 128;

/** Source: `parse_vm_config` of qemu-server. */
const SETTING = /^([a-z][a-z_-]*[0-9]*):\s*(.*)$/s;
const HEADING = /^\[(.+)\]$/;

interface Sections {
  readonly live: ReadonlyMap<string, string>;
  readonly pendingKeys: readonly string[];
}

/**
 * Reads the live section of a virtual machine's configuration. What stands there in another form
 * than Proxmox VE writes it is `malformed` and never replaced by a default; keys that are none of
 * ours are passed over. Source of the form: qm.conf(5).
 *
 * @param digest SHA-1 of the file in hex
 */
export function parseMachineConfig(
  vmid: Vmid,
  text: string,
  digest: string,
): Reading<MachineConfig> {
  const file = `${vmid}.conf`;
  if (text.includes('\0')) return missing('malformed', `${file}: holds NUL bytes, is no text`);
  const { live, pendingKeys } = sectionsOf(text);
  if (live.size === 0) return missing('malformed', `${file}: holds no settings`);
  const values = new Values(live);
  const machine = settingsOf(live, values);
  const cpuLimit = values.number('cpulimit', 0, MOST_CORES, 0);
  const template = values.flag('template');
  if (values.problems.length > 0) {
    return missing('malformed', `${file}: ${values.problems.join('; ')}`);
  }
  return present({
    ...namedIn(vmid, live),
    cores: machine.vcpus,
    cpuLimit: cpuLimit === 0 ? null : cpuLimit,
    memoryMib: mib(targetMib(machine)),
    swapMib: mib(0),
    lock: shortened(live.get('lock')),
    template,
    pendingKeys: pendingKeys.slice(0, MOST_NAMES),
    digest,
    pins: [],
    identity: identityOf(live),
    reaches: reachesOf(vmid, machine),
    assignedMib: mib(machine.memoryMib),
  });
}

const namedIn = (vmid: Vmid, live: Sections['live']): GuestIdentity => ({
  vmid,
  kind: 'qemu',
  name: shortened(live.get('name')) ?? `VM${vmid}`,
  tags: namesIn(live.get('tags') ?? '').map((tag) => tag.slice(0, LONGEST_TEXT)),
});

/** What it is called, also if something else in its text is malformed; undefined: no text. */
export function parseMachineIdentity(vmid: Vmid, text: string): GuestIdentity | undefined {
  const { live } = sectionsOf(text);
  return live.size === 0 || text.includes('\0') ? undefined : namedIn(vmid, live);
}

/** undefined: it says something in another form than Proxmox VE does. */
export function parseMachineSettings(text: string): MachineSettings | undefined {
  const { live } = sectionsOf(text);
  const values = new Values(live);
  const machine = settingsOf(live, values);
  return values.problems.length === 0 ? machine : undefined;
}

/** What its balloon leaves it, where only an administrator or this program moves the balloon. */
const targetMib = ({ balloonMib, shares, memoryMib }: MachineSettings): number =>
  shares === 0 && balloonMib !== undefined && balloonMib > 0
    ? Math.min(balloonMib, memoryMib)
    : memoryMib;

function settingsOf(live: ReadonlyMap<string, string>, values: Values): MachineSettings {
  // `smp` is what `sockets` was called at first; qemu-server still goes by it.
  const sockets = values.whole('sockets', 1, MOST_CORES, values.whole('smp', 1, MOST_CORES, 1));
  const mostCpus = sockets * values.whole('cores', 1, MOST_CORES, 1);
  const keys = [...live.keys()];
  const numbered = (name: string): string | undefined =>
    keys.find((key) => key.startsWith(name) && /^[0-9]+$/.test(key.slice(name.length)));
  return {
    mostCpus,
    // More than there are is stored, and capped at the start.
    vcpus: Math.min(values.whole('vcpus', 1, MOST_CORES, mostCpus), mostCpus),
    affinity: live.get('affinity'),
    memoryMib: values.memory(),
    balloonMib: live.has('balloon') ? values.whole('balloon', 0, LARGEST_MEMORY_MIB, 0) : undefined,
    shares: values.whole('shares', 0, 50_000, DEFAULT_SHARES),
    hotplug: hotplugOf(live.get('hotplug')),
    numa: values.flag('numa'),
    numaNode: numbered('numa'),
    virtiofs: numbered('virtiofs'),
    passedThrough: numbered('hostpci'),
    hugepages: live.get('hugepages'),
  };
}

/** `1` stands for the default, `0` for nothing. */
function hotplugOf(value: string | undefined): ReadonlySet<string> {
  if (value === '0') return new Set();
  return new Set(namesIn(value === undefined || value === '1' ? DEFAULT_HOTPLUG : value));
}

function sectionsOf(text: string): Sections {
  const live = new Map<string, string>();
  const pending = new Set<string>();
  let section = '';
  for (const whole of text.split('\n')) {
    const line = whole.trimEnd();
    const heading = HEADING.exec(line)?.[1];
    if (heading !== undefined) section = heading.toLowerCase();
    const [, key, value] = SETTING.exec(line) ?? [];
    if (heading !== undefined || key === undefined || value === undefined) continue;
    if (section === '') live.set(key, value);
    else if (section === 'pending') for (const name of waiting(key, value)) pending.add(name);
  }
  return { live, pendingKeys: [...pending] };
}

/** A pending `delete: a,!b` names settings too, where `!` asks to delete with force. */
const waiting = (key: string, value: string): readonly string[] =>
  key === 'delete'
    ? namesIn(value).map((name) => name.replace(/^!/, ''))
    : [key.slice(0, LONGEST_TEXT)];

const namesIn = (list: string): readonly string[] =>
  list
    .split(/[;, ]+/, MOST_NAMES + 1)
    .filter((name) => name !== '')
    .slice(0, MOST_NAMES);

const shortened = (text: string | undefined): string | undefined =>
  text === undefined || text === '' ? undefined : text.slice(0, LONGEST_TEXT);

const DISKS = ['scsi0', 'virtio0', 'sata0', 'ide0'] as const;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The SMBIOS id is drawn for each new machine and stays over a rollback, which `vmgenid` does not.
 * A machine that has neither is told by its first disk.
 */
function identityOf(live: ReadonlyMap<string, string>): GuestConfig['identity'] {
  const smbios = /(?:^|,)uuid=([^,]+)/.exec(live.get('smbios1') ?? '')?.[1]?.toLowerCase();
  const generation = live.get('vmgenid')?.toLowerCase();
  const disk = DISKS.map((key) => live.get(key)).find((value) => value !== undefined);
  const isUuid = (text: string | undefined): text is string => UUID.test(text ?? '');
  const origin = isUuid(smbios)
    ? `smbios:${smbios}`
    : isUuid(generation)
      ? `vmgenid:${generation}`
      : disk?.replace(/^file=/, '');
  const nets = [...live].filter(([key]) => /^net[0-9]+$/.test(key)).map(([, value]) => value);
  const addresses = nets.map((net) =>
    /(?:^|,)[a-z0-9-]+=((?:[0-9a-f]{2}:){5}[0-9a-f]{2})/i.exec(net),
  );
  return guestIdentity(
    origin,
    addresses.map((found) => `hwaddr=${found?.[1] ?? ''}`),
  );
}

/** The values of a section, with all that is wrong with them. */
class Values {
  readonly problems: string[] = [];
  readonly #live: ReadonlyMap<string, string>;

  constructor(live: ReadonlyMap<string, string>) {
    this.#live = live;
  }

  whole(key: string, least: number, most: number, otherwise: number): number {
    return this.#within(key, /^(0|[1-9][0-9]{0,15})$/, least, most, otherwise);
  }

  number(key: string, least: number, most: number, otherwise: number): number {
    return this.#within(key, /^[0-9]{1,4}(\.[0-9]{1,9})?$/, least, most, otherwise);
  }

  flag(key: string): boolean {
    const text = this.#live.get(key);
    if (text === undefined || /^(0|no|off|false)$/i.test(text)) return false;
    if (!/^(1|yes|on|true)$/i.test(text)) this.#complain(key, text, '0 or 1');
    return true;
  }

  memory(): number {
    const text = this.#live.get('memory');
    if (text === undefined) return DEFAULT_MEMORY_MIB;
    const value = memoryOf(text);
    if (value !== undefined) return value;
    this.#complain('memory', text, `a whole number from ${LEAST_MEMORY_MIB}`);
    return DEFAULT_MEMORY_MIB;
  }

  #within(key: string, form: RegExp, least: number, most: number, otherwise: number): number {
    const text = this.#live.get(key);
    if (text === undefined) return otherwise;
    const value = form.test(text) ? Number(text) : -1;
    if (value >= least && value <= most) return value;
    this.#complain(key, text, `a number from ${least} to ${most}`);
    return otherwise;
  }

  #complain(key: string, text: string, allowed: string): void {
    this.problems.push(`${key}: ${JSON.stringify(text.slice(0, 40))} is not ${allowed}`);
  }
}

/**
 * `memory:` of the live section alone, in MiB, and 512 where there is no such line: what a machine
 * may use of its host, also if another line is not in the form of Proxmox VE. undefined if it says
 * something else, or the text says nothing.
 */
export function parseMachineMemory(text: string): number | undefined {
  const live = text.split(/^\[.+\][^\S\n]*$/m, 1)[0] ?? '';
  if (!/^[a-z]\w*:/m.test(live)) return undefined;
  const value = [...live.matchAll(/^memory:(.*)$/gm)].at(-1)?.[1];
  return value === undefined ? DEFAULT_MEMORY_MIB : memoryOf(value.trim());
}

/** `2048` or `current=2048`. */
function memoryOf(text: string): number | undefined {
  const digits = /^(?:current=)?([1-9][0-9]{0,15})$/.exec(text)?.[1];
  const value = digits === undefined ? -1 : Number(digits);
  return value >= LEAST_MEMORY_MIB && value <= LARGEST_MEMORY_MIB ? value : undefined;
}

const OF_CONTAINERS = /^(?:rootfs:|lxc\.|arch:|hostname:)/m;
const OF_MACHINES =
  /^(?:scsi|virtio|sata|ide|efidisk)[0-9]+:|^(?:boot|smbios1|vmgenid|sockets|scsihw|bios):/m;

/** Whether a copy of a configuration is of a virtual machine. A container always has a root. */
export function isMachineConfig(content: Uint8Array): boolean {
  const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString(
    'latin1',
  );
  return !OF_CONTAINERS.test(text) && OF_MACHINES.test(text);
}
