import type { AllKeys, SectionKeys } from './keys.ts';
import type { Block } from './migrated-block.ts';
import type { OldFile } from './old-file.ts';
import { isNo, NEW_NAMES, oldKey } from './old-keys.ts';
import { printable, printableKey } from './printable.ts';
import { isBlank } from './read-values.ts';
import type { SectionKind } from './unknown-keys.ts';
import type { YamlEntry, YamlNode } from './yaml.ts';

/**
 * Files that must not be migrated though they can be read. A new file without the guests or the
 * host that the old one names would scale every container of this node.
 */

export interface Refusal {
  /** 1-based; undefined if it concerns the whole file. */
  readonly line: number | undefined;
  /** Completes "FILE ...": what the file seems to be, and what to do. */
  readonly message: string;
}

/** The kind of section that each name of the old file stands for. */
type KindOf = (name: string) => SectionKind | undefined;

/** Why the file is refused before anything is made of it; undefined if it is not. Pure. */
export function whyForeign(file: OldFile, kindOf: KindOf, keys: AllKeys): Refusal | undefined {
  return (
    ofAnotherTool(file, kindOf) ??
    actsElsewhere(file, kindOf) ??
    namesWhatIsNotTaken(file, kindOf, keys)
  );
}

/** Why a file of which nothing was taken is no success; undefined if something was. */
export function whyEmpty(blocks: readonly Block[]): Refusal | undefined {
  const carried = blocks.flatMap((block) =>
    block.dead === undefined ? block.carried : block.carried.map(withoutValue),
  );
  if (carried.some(({ written, verdict }) => written !== undefined && verdict !== 'added')) {
    return undefined;
  }
  const first = carried.find(({ verdict }) => verdict === 'not supported');
  const dead = blocks.find((block) => block.dead !== undefined);
  const why =
    dead === undefined
      ? first && `${printableKey(first.oldKey)} ${first.why}`
      : `${printable(dead.oldName)} ${dead.dead}`;
  const reason = why === undefined ? '' : ` (${why})`;
  return {
    line: dead?.line ?? first?.line,
    message: `holds nothing that this program could take${reason}; ${BY_HAND}`,
  };
}

const withoutValue = (one: Block['carried'][number]) => ({ ...one, written: undefined });

const BY_HAND = 'check that it is the right file, or start with: lxc-autoscale configure';

/** Names at the left margin that show which tool a file is of. */
const TOOLS: readonly (readonly [tool: string, marks: readonly string[]])[] = [
  ['lxc-autoscaler (which works by the API)', ['proxmox', 'containers', 'global', 'safety']],
  [
    'Proxmox VM Autoscale (for virtual machines)',
    [
      ...['proxmox_hosts', 'virtual_machines', 'scaling_thresholds', 'scaling_limits'],
      ...['host_limits', 'alerts', 'gotify'],
    ],
  ],
  [
    'LXC AutoScale ML',
    [
      ...['model', 'spike_detection', 'scaling', 'prediction', 'feature_engineering'],
      ...['retry_logic', 'interval_seconds'],
    ],
  ],
  ['LXC AutoScale API', ['lxc', 'gunicorn', 'rate_limiting', 'error_handling']],
  ['LXC Monitor', ['monitoring']],
  ['Docker', ['services']],
  ['Kubernetes', ['apiVersion', 'kind']],
];

function ofAnotherTool({ sections, loose }: OldFile, kindOf: KindOf): Refusal | undefined {
  if (sections.some(({ name }) => kindOf(name) !== undefined)) return undefined;
  const names = new Set([...sections.map(({ name }) => name), ...loose.map(({ key }) => key)]);
  let best: { readonly tool: string; readonly found: readonly string[] } | undefined;
  for (const [tool, marks] of TOOLS) {
    const found = marks.filter((mark) => names.has(mark));
    if (found.length > (best?.found.length ?? 0)) best = { tool, found };
  }
  if (best === undefined) return undefined;
  const keys = best.found.join(', ');
  const message =
    `seems to be a configuration of ${best.tool}, by ${keys}; it is not converted yet, and a ` +
    'file without the guests that it names would scale every container; write the settings by ' +
    'hand, or start with: lxc-autoscale configure';
  return { line: undefined, message };
}

/** Keys that name the host a file is for, each with the switch that puts it out of use. */
const HOST_KEYS: readonly (readonly [key: string, used: string])[] = [
  ['proxmox_host', 'use_remote_proxmox'],
  ['proxmox_api_host', 'use_proxmox_api'],
  ['proxmox_node', 'use_proxmox_api'],
  ['proxmox_api.host', 'backend'],
];

const isUnused = (value: string): boolean => isNo(value) || value.trim().toLowerCase() === 'cli';

const isThisHost = (host: string): boolean =>
  isBlank(host) || /^(?:https?:\/\/)?(?:localhost|127\.[0-9.]+|\[?::1\]?)(?:[:/]|$)/i.test(host);

function actsElsewhere({ sections }: OldFile, kindOf: KindOf): Refusal | undefined {
  for (const { name, entries } of sections) {
    if (kindOf(name) !== 'default') continue;
    const at = (key: string) => textAt(entries, key);
    for (const [key, used] of HOST_KEYS) {
      const host = at(key);
      const isUsed = at(used);
      if (host === undefined || isThisHost(host.text)) continue;
      if (isUsed === undefined || !isUnused(isUsed.text)) return refuseHost(host.line, key, host);
    }
    const remote = at('use_remote_proxmox');
    if (remote !== undefined && !isNo(remote.text)) {
      return refuseHost(remote.line, 'use_remote_proxmox', remote);
    }
  }
  return undefined;
}

function refuseHost(line: number, key: string, { text }: { readonly text: string }): Refusal {
  const message =
    `${key}: ${printable(text)} means that this file acts on another host, which is not ` +
    'converted yet: on this node it would scale every container; install lxc-autoscale there, or ' +
    'remove the line if it means this node, and migrate again';
  return { line, message };
}

/** The text at a key, also at one within a section (`proxmox_api.host`); the last one counts. */
function textAt(entries: readonly YamlEntry[], key: string) {
  const [first = '', ...rest] = key.split('.');
  const entry = entries.filter((one) => one.key === key || one.key === first).at(-1);
  if (entry === undefined) return undefined;
  const { value, line } = entry;
  if (value.kind === 'text') {
    return entry.key === key ? { line, text: value.text } : undefined;
  }
  if (value.kind !== 'map' || rest.length === 0) return undefined;
  const inner = value.entries.find((one) => one.key === rest.join('.'));
  return inner?.value.kind === 'text' ? { line: inner.line, text: inner.value.text } : undefined;
}

function namesWhatIsNotTaken(
  { sections, loose }: OldFile,
  kindOf: KindOf,
  keys: AllKeys,
): Refusal | undefined {
  const untaken: YamlEntry[] = loose.filter(({ key }) => oldKey(key, '') === undefined);
  for (const { name, line, entries } of sections) {
    const kind = kindOf(name);
    if (kind !== undefined) {
      untaken.push(...entries.filter(({ key }) => !isAnswered(key, keys[kind])));
    } else if (oldKey(name, '') === undefined) {
      untaken.push({ key: name, line, value: { kind: 'map', line, entries } });
    }
  }
  const seen = new Set<YamlNode>();
  for (const entry of untaken) {
    const found = guestOrHost(entry, seen);
    if (found === undefined) continue;
    const message =
      `${printable(found.path)} names guests or hosts, and this program takes nothing from it: ` +
      'without it every container would be scaled; write the containers into a TIER_ section or ' +
      'into ignore_lxc (or remove the line if it names none), and migrate again';
    return { line: found.line, message };
  }
  return undefined;
}

/** Whether a key is taken, under its name or a new one, or known to have nothing to answer it. */
function isAnswered(key: string, keys: SectionKeys): boolean {
  const renamed = Object.hasOwn(NEW_NAMES, key) ? NEW_NAMES[key] : undefined;
  const knows = (name: string): boolean => Object.hasOwn(keys, name);
  return knows(key) || knows(renamed ?? '') || oldKey(key, '') !== undefined;
}

const GUEST_WORD = /^(?:vm|vms|vmid|vmids|ct|cts|ctid|ctids|lxc|lxcs|containers?|guests?)$/;
const MACHINE = /(?:^|_)(?:vm|ct|lxc)_?ids?$|(?:^|_)(?:virtual_)?machines?$/;
const HOST_KEY =
  /^(?:(?:proxmox|pve|cluster|api|ssh|remote)_)?(?:hosts?|nodes?|hostname|node_name)$/;
const GUEST_ID = /^[1-9][0-9]{2,8}$/;

/** The first key that names a guest or a host, within the entry or itself. */
function guestOrHost(
  entry: YamlEntry,
  seen: Set<YamlNode>,
  above = '',
): { readonly line: number; readonly path: string } | undefined {
  const { key, line, value } = entry;
  const path = `${above}${printableKey(key)}`;
  const named = { line, path };
  const word = key.toLowerCase();
  const isOfGuests = word.split(/[_.\- ]/).some((part) => GUEST_WORD.test(part));
  if (GUEST_ID.test(key) && above !== '') return named;
  if (value.kind === 'text') {
    const texts = value.text.split(',').map((part) => part.trim());
    const areIds = texts.every((text) => GUEST_ID.test(text));
    if (areIds && texts.length > 1) return named;
    const isNothing = isBlank(value.text) || /^(?:true|false|yes|no|on|off)$/i.test(value.text);
    if (isNothing || (texts.length === 1 && /^[0-9]{1,2}$/.test(value.text))) return undefined;
    return isOfGuests || MACHINE.test(word) || HOST_KEY.test(word) ? named : undefined;
  }
  if (seen.has(value)) return undefined;
  seen.add(value);
  if (value.kind === 'list') {
    const isNamed = value.items.some(
      (item) => item.kind === 'map' || (item.kind === 'text' && GUEST_ID.test(item.text.trim())),
    );
    const isList = isOfGuests || MACHINE.test(word) || HOST_KEY.test(word);
    return isNamed || (isList && value.items.length > 0) ? named : undefined;
  }
  if (value.kind !== 'map') return undefined;
  for (const inner of value.entries) {
    const found = guestOrHost(inner, seen, `${path}.`);
    if (found !== undefined) return found;
  }
  return undefined;
}
