import type { AllKeys, SectionKeys } from './keys.ts';
import type { Block } from './migrated-block.ts';
import type { OldFile } from './old-file.ts';
import { NEW_NAMES, oldKey } from './old-keys.ts';
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
export type KindOf = (name: string) => SectionKind | undefined;

/** Why the file is refused before anything is made of it; undefined if it is not. Pure. */
export function whyForeign(file: OldFile, kindOf: KindOf, keys: AllKeys): Refusal | undefined {
  return ofAnotherTool(file, kindOf) ?? namesWhatIsNotTaken(file, kindOf, keys);
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
  ['lxc-autoscaler', ['proxmox', 'containers', 'global', 'safety']],
  [
    'Proxmox VM Autoscale',
    [
      'proxmox_hosts',
      'virtual_machines',
      'scaling_thresholds',
      'scaling_limits',
      'host_limits',
      'alerts',
      'gotify',
    ],
  ],
  [
    'LXC AutoScale ML',
    [
      'model',
      'spike_detection',
      'scaling',
      'prediction',
      'feature_engineering',
      'retry_logic',
      'interval_seconds',
    ],
  ],
  ['LXC AutoScale API', ['lxc', 'gunicorn', 'rate_limiting', 'error_handling']],
  ['LXC Monitor', ['monitoring']],
  ['Docker', ['services']],
  ['Kubernetes', ['apiVersion', 'kind']],
];

interface OtherTool {
  readonly tool: string;
  /** By what it is known. */
  readonly found: readonly string[];
}

/** The tool that a file is of, if no section of it is one of ours. */
export function toolOf({ sections, loose }: OldFile, kindOf: KindOf): OtherTool | undefined {
  if (sections.some(({ name }) => kindOf(name) !== undefined)) return undefined;
  const names = new Set([...sections.map(({ name }) => name), ...loose.map(({ key }) => key)]);
  let best: OtherTool | undefined;
  for (const [tool, marks] of TOOLS) {
    const found = marks.filter((mark) => names.has(mark));
    if (found.length > (best?.found.length ?? 0)) best = { tool, found };
  }
  return best;
}

function ofAnotherTool(file: OldFile, kindOf: KindOf): Refusal | undefined {
  const best = toolOf(file, kindOf);
  if (best === undefined) return undefined;
  const keys = best.found.join(', ');
  const message =
    `seems to be a configuration of ${best.tool}, by ${keys}; it cannot be converted, and a ` +
    'file without the guests that it names would scale every container; write the settings by ' +
    'hand, or start with: lxc-autoscale configure';
  return { line: undefined, message };
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
