import { createHash } from 'node:crypto';
import { LEAST_MEMORY_MIB, MOST_CORES } from '../../core/allocation.ts';
import { guestIdentity } from '../../core/identity.ts';
import type { GuestConfig, Pin } from '../../core/observation.ts';
import { pinnedBy } from '../../core/pins.ts';
import type { Reading } from '../../core/reading.ts';
import { missing, present } from '../../core/reading.ts';
import type { Vmid } from '../../core/units.ts';
import { mib } from '../../core/units.ts';

/**
 * `/etc/pve/lxc/VMID.conf`, bytes to core types. Three kinds of sections stand in such a file: the
 * live one at the top, `[pve:pending]` with what waits for the next start, and one for each
 * snapshot, with the same keys and old values. Only the live one says what is in force.
 */

/** `/etc/pve` itself takes no larger file. */
export const GUEST_CONFIG_LIMIT_BYTES = 1024 * 1024;

const NEWLINE = 0x0a;
const DEFAULT_MEMORY_MIB = 512;
/** 2^53 bytes, beyond which bytes are no longer exact. */
const LARGEST_MEMORY_MIB = 2 ** 33;
const LONGEST_TEXT = 255;
const MOST_NAMES = 128;

interface Sections {
  /** Key -> value of the wanted keys of the live section; the last one of a key is in force. */
  readonly live: Map<string, string>;
  /** The values of `netN:` lines of the live section, by key. */
  readonly nets: Map<string, string>;
  /** Lines for LXC that overrule what is set here, by their key. */
  readonly pins: Map<string, readonly Pin[]>;
  readonly pendingKeys: Set<string>;
  /** Lines of the live section that are `key: value`, wanted or not. */
  liveLines: number;
}

const WANTED: ReadonlySet<string> = new Set([
  'hostname',
  'cores',
  'cpulimit',
  'memory',
  'swap',
  'tags',
  'lock',
  'template',
  'rootfs',
]);

/**
 * Reads the live section of a configuration. What stands there in another form than Proxmox VE
 * writes it is `malformed` and never replaced by a default; lines and keys that are none of ours
 * are passed over, as Proxmox VE does. Source of the form: pct.conf(5) and recorded files.
 */
export function parseGuestConfig(vmid: Vmid, content: Uint8Array): Reading<GuestConfig> {
  const file = `${vmid}.conf`;
  if (content.length > GUEST_CONFIG_LIMIT_BYTES) {
    return missing('malformed', `${file}: larger than ${GUEST_CONFIG_LIMIT_BYTES} bytes`);
  }
  if (content.includes(0)) return missing('malformed', `${file}: holds NUL bytes, is no text`);
  const { live, nets, pins, pendingKeys, liveLines } = splitSections(content);
  if (liveLines === 0) return missing('malformed', `${file}: holds no settings`);

  const problems: string[] = [];
  const coreCount = wholeSetting(live, problems, 'cores', 1, MOST_CORES);
  const cpuLimit = cpuLimitSetting(live, problems);
  const memory = wholeSetting(live, problems, 'memory', LEAST_MEMORY_MIB, LARGEST_MEMORY_MIB);
  const swap = wholeSetting(live, problems, 'swap', 0, LARGEST_MEMORY_MIB);
  const template = booleanSetting(live, problems, 'template');
  if (problems.length > 0) return missing('malformed', `${file}: ${problems.join('; ')}`);
  return present({
    vmid,
    name: shortened(live.get('hostname')) ?? `CT${vmid}`,
    cores: coreCount ?? null,
    cpuLimit: cpuLimit ?? null,
    memoryMib: mib(memory ?? DEFAULT_MEMORY_MIB),
    swapMib: mib(swap ?? DEFAULT_MEMORY_MIB),
    tags: namesIn(live.get('tags') ?? '').map((tag) => tag.slice(0, LONGEST_TEXT)),
    lock: shortened(live.get('lock')),
    template,
    pendingKeys: [...pendingKeys].slice(0, MOST_NAMES),
    digest: createHash('sha1').update(content).digest('hex'),
    pins: [...pins.values()].flat().slice(0, MOST_NAMES),
    identity: guestIdentity(live.get('rootfs'), [...nets.values()]),
  });
}

function splitSections(content: Uint8Array): Sections {
  // A view, not a copy. Each line becomes a string of its own, so that none keeps the whole text.
  const buffer = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const sections: Sections = {
    live: new Map(),
    nets: new Map(),
    pins: new Map(),
    pendingKeys: new Set(),
    liveLines: 0,
  };
  let section = '';
  for (let start = 0; start < buffer.length; ) {
    const newline = buffer.indexOf(NEWLINE, start);
    const end = newline < 0 ? buffer.length : newline;
    const line = buffer.toString('utf8', start, end).trimEnd();
    start = end + 1;
    const heading = /^\[(.+)\]$/.exec(line)?.[1];
    if (heading !== undefined) section = heading.toLowerCase();
    else if (section === '') takeLiveLine(sections, line);
    else if (section === 'pve:pending') takePendingLine(sections.pendingKeys, line);
  }
  return sections;
}

/**
 * `key: value`; the key is what Proxmox VE accepts as one. An empty value is let through. Its dot
 * takes every character (`s`): one that stopped at a carriage return would try each of the blanks
 * before it anew, for minutes.
 */
const SETTING = /^([a-z][a-z_]*[0-9]*):\s*(.*)$/s;

/** A line for LXC itself, which applies it at the start: `lxc.KEY: value`, or with ` = `. */
const RAW = /^(lxc\.[a-z0-9_.-]+)\s*[:=]\s*(.*)$/s;

/**
 * An empty value takes back what LXC was told by earlier lines of that key. A cpuset line counts
 * all the same: pvestatd goes by the key alone.
 */
function takeRawLine(pins: Sections['pins'], line: string): void {
  const [, key = '', value] = RAW.exec(line) ?? [];
  const what = pinnedBy(key);
  if (what === undefined) return;
  if (value === '' && what !== 'cpuset') pins.delete(key);
  else pins.set(key, [...(pins.get(key) ?? []), { what, line: line.slice(0, LONGEST_TEXT) }]);
}

function takeLiveLine(sections: Sections, line: string): void {
  if (line.startsWith('lxc.')) {
    takeRawLine(sections.pins, line);
    return;
  }
  const match = SETTING.exec(line);
  const key = match?.[1];
  const value = match?.[2];
  if (key === undefined || value === undefined) return;
  sections.liveLines++;
  if (WANTED.has(key)) sections.live.set(key, value);
  else if (/^net[0-9]+$/.test(key)) sections.nets.set(key, value);
}

/** A pending `delete: a,!b` names settings too, where `!` asks to delete with force. */
function takePendingLine(keys: Set<string>, line: string): void {
  const match = SETTING.exec(line);
  const key = match?.[1]?.slice(0, LONGEST_TEXT);
  if (key === undefined) return;
  if (key !== 'delete') keys.add(key);
  else for (const name of namesIn(match?.[2] ?? '')) keys.add(name.replace(/^!/, ''));
}

function namesIn(list: string): readonly string[] {
  return list
    .split(/[;, ]+/, MOST_NAMES + 1)
    .filter((name) => name !== '')
    .slice(0, MOST_NAMES);
}

function shortened(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text.slice(0, LONGEST_TEXT);
}

/** A whole number within bounds; undefined if the key is not there, or with a problem. */
function wholeSetting(
  live: ReadonlyMap<string, string>,
  problems: string[],
  key: string,
  least: number,
  most: number,
): number | undefined {
  const text = live.get(key);
  if (text === undefined) return undefined;
  const value = /^(0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : -1;
  if (value >= least && value <= most) return value;
  problems.push(notUnderstood(key, text, `a whole number from ${least} to ${most}`));
  return undefined;
}

/** 0 says the same as no line at all: no limit. */
function cpuLimitSetting(
  live: ReadonlyMap<string, string>,
  problems: string[],
): number | undefined {
  const text = live.get('cpulimit');
  if (text === undefined) return undefined;
  const value = /^[0-9]{1,4}(\.[0-9]{1,9})?$/.test(text) ? Number(text) : -1;
  if (value >= 0 && value <= MOST_CORES) return value === 0 ? undefined : value;
  problems.push(notUnderstood('cpulimit', text, `a number from 0 to ${MOST_CORES}`));
  return undefined;
}

function booleanSetting(
  live: ReadonlyMap<string, string>,
  problems: string[],
  key: string,
): boolean {
  const text = live.get(key);
  if (text === undefined || /^(0|no|off|false)$/i.test(text)) return false;
  if (/^(1|yes|on|true)$/i.test(text)) return true;
  problems.push(notUnderstood(key, text, '0 or 1'));
  return false;
}

function notUnderstood(key: string, text: string, allowed: string): string {
  return `${key}: ${JSON.stringify(text.slice(0, 40))} is not ${allowed}`;
}
