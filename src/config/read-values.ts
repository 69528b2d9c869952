import { endsOf, nobodysIn } from '../core/groups/addresses.ts';
import { NODE_NAME } from '../core/node-name.ts';
import { spanSeconds } from '../core/span.ts';
import { parseVmid, type Vmid } from '../core/units.ts';
import { scopeOf } from './node-scope.ts';
import { isTag } from './tags.ts';

/**
 * What the text of a value means. Every reader is total: it gives the value, or hands back what it
 * was given, for the schema to refuse.
 */

const NUMBER = /^[+-]?(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9]+)?$/;

/** Blanks around a value are nobody's intention; a line break in one shows a mistake. */
function trimmed(text: string): string {
  // Not by a pattern, which would try each blank of a long run anew.
  let [start, end] = [0, text.length];
  while (isSpace(text[start])) start++;
  while (end > start && isSpace(text[end - 1])) end--;
  return text.slice(start, end);
}

const isSpace = (character: string | undefined): boolean => character === ' ' || character === '\t';

/** `80`, `'80'`, `80.5`, `1_000`. Not `080`, which is 64 or 80 depending on who reads it. */
export function toNumber(raw: unknown): unknown {
  if (typeof raw !== 'string') return raw;
  const text = trimmed(raw);
  return NUMBER.test(text) ? Number(text.replaceAll('_', '')) : raw;
}

/** What numbers of a key are counted in; behind a number another unit of the kind may stand. */
export type Unit = '' | 'MiB' | 'seconds' | 'minutes' | 'days' | 'hours' | 'percent';

const SIZES: Readonly<Record<string, number>> = { k: 1 / 1024, m: 1, g: 1024, t: 1024 * 1024 };
const OF_UNIT: Readonly<Partial<Record<Unit, number>>> = {
  seconds: 1,
  minutes: 60,
  days: 86_400,
};

/** The units that a number of that kind may have, for a message; undefined if it has none. */
export function unitsOf(unit: Unit): string | undefined {
  if (unit === 'MiB') return 'K, M, G or T';
  if (unit === 'percent') return '%';
  if (unit === 'hours') return ':00';
  return OF_UNIT[unit] === undefined ? undefined : 's, m, h or d';
}

/** A number as `toNumber` reads it, or one with a unit: `4G`, `5m`, `1h30m`, `80%`, `22:00`. */
export function toAmount(raw: unknown, unit: Unit): unknown {
  const plain = toNumber(raw);
  if (typeof plain !== 'string' || unit === '') return plain;
  const text = trimmed(plain).toLowerCase();
  const amount = text.length > MAX_AMOUNT_CHARS ? undefined : amountIn(text, unit);
  return amount === undefined ? raw : Number(amount.toFixed(6));
}

const MAX_AMOUNT_CHARS = 40;

function amountIn(text: string, unit: Unit): number | undefined {
  if (unit === 'percent') return numberBefore(text, /^([0-9.]+) *%$/);
  if (unit === 'hours') return numberBefore(text, /^([0-9]{1,2}) *(?::00|h)$/, true);
  if (unit === 'MiB') {
    const [, number = '', letter = ''] = /^([0-9.]+) *([kmgt])(?:i|i?b)?$/.exec(text) ?? [];
    const value = toNumber(number);
    return typeof value === 'number' ? value * (SIZES[letter] ?? Number.NaN) : undefined;
  }
  const seconds = spanSeconds(text);
  return seconds && seconds / (OF_UNIT[unit] ?? Number.NaN);
}

function numberBefore(text: string, form: RegExp, zeros = false): number | undefined {
  const [, number] = form.exec(text) ?? [];
  if (number === undefined) return undefined;
  const value = zeros ? Number(number) : toNumber(number);
  return typeof value === 'number' ? value : undefined;
}

const TRUE = new Set(['true', 'yes', 'on', 'y', '1']);
const FALSE = new Set(['false', 'no', 'off', 'n', '0']);

/** The words of YAML 1.1, in any letter case. */
export function toBoolean(raw: unknown): unknown {
  if (typeof raw !== 'string') return raw;
  const word = trimmed(raw).toLowerCase();
  if (TRUE.has(word)) return true;
  return FALSE.has(word) ? false : raw;
}

/** A word in lower case, a second name for it replaced by the first. */
export function toWord(raw: unknown, secondNames: Readonly<Record<string, string>> = {}): unknown {
  if (typeof raw !== 'string') return raw;
  const word = trimmed(raw).toLowerCase();
  return Object.hasOwn(secondNames, word) ? secondNames[word] : word;
}

/** True where nothing was given: no value, an empty one, or YAML's words for none. */
export function isBlank(raw: unknown): boolean {
  if (raw === null) return true;
  return typeof raw === 'string' && /^(?:~|null|none)?$/i.test(trimmed(raw));
}

/** One id, or all ids from the one to the other. */
export interface VmidRange {
  readonly from: Vmid;
  readonly to: Vmid;
  /** Its place in the list; undefined if the value is no list. */
  readonly item: number | undefined;
  /** Only on this node, in lower case; left out: on every node. */
  readonly node?: string;
}

/** A part of a list that cannot be used. */
export interface BadPart {
  readonly item: number | undefined;
  readonly part: unknown;
  /** Completes "`part` ...". */
  readonly why: string;
}

/** What names containers, as it stands in the file. */
export interface ReadMembers {
  readonly ids: readonly VmidRange[];
  /** Names, and patterns on names (`web-*`), in lower case. */
  readonly names: readonly string[];
  /** Without `tag:`, in lower case, as Proxmox VE keeps tags unless it is told otherwise. */
  readonly tags: readonly string[];
  /** Nodes that parts are bound to, in lower case, each with the first such part. */
  readonly nodes?: ReadonlyMap<string, Part>;
}

interface Part {
  readonly item: number | undefined;
  readonly part: unknown;
}

/** As many ids as no node has; what is longer is not taken apart. */
const MAX_IDS_CHARS = 65_536;

const textLength = (raw: unknown): number => {
  if (typeof raw === 'string') return raw.length;
  return Array.isArray(raw) ? raw.reduce((sum: number, item) => sum + textLength(item), 0) : 0;
};

/** The parts of a list, of one value, or of several in one text (`100,101`). */
function partsOf(raw: unknown): Part[] {
  if (Array.isArray(raw)) {
    return raw.flatMap((value: unknown, item) =>
      partsOf(Array.isArray(value) ? {} : value).map(({ part }) => ({ item, part })),
    );
  }
  if (isBlank(raw)) return [];
  if (typeof raw !== 'string') return [{ item: undefined, part: raw }];
  const parts = raw.split(',').map(trimmed);
  return parts.filter((part) => part !== '').map((part) => ({ item: undefined, part }));
}

/**
 * Ids and ranges from a list, from one value, from `"100,101"`; none from an empty value. With
 * `withNames` also names, patterns on names, and tags.
 */
export function readMembers(
  raw: unknown,
  withNames: boolean,
): { readonly members: ReadMembers; readonly bad: readonly BadPart[] } {
  const ids: VmidRange[] = [];
  const names = new Set<string>();
  const tags = new Set<string>();
  const nodes = new Map<string, Part>();
  const bad: BadPart[] = [];
  const parts = textLength(raw) > MAX_IDS_CHARS ? undefined : partsOf(raw);
  if (parts === undefined) bad.push({ item: undefined, part: undefined, why: 'is too long' });
  for (const { item, part } of parts ?? []) {
    const { node, rest } =
      typeof part === 'string' ? scopeOf(part) : { node: undefined, rest: part };
    const isNode = node === undefined || NODE_NAME.test(node);
    const member = isNode ? readMember(rest) : 'does not begin with the name of a node';
    if (typeof member === 'string') {
      bad.push({ item, part, why: member });
      continue;
    }
    if (node !== undefined && !nodes.has(node)) nodes.set(node, { item, part });
    const scope = node === undefined ? '' : `${node}/`;
    if ('from' in member) ids.push({ ...member, item, ...(node !== undefined && { node }) });
    else if (!withNames) bad.push({ item, part, why: 'is a name or a tag, only ids here' });
    else if ('tag' in member) tags.add(scope + member.tag);
    else names.add(scope + member.name);
  }
  const bound = nodes.size === 0 ? undefined : { nodes };
  return { members: { ids, names: [...names], tags: [...tags], ...bound }, bad };
}

type Member =
  | { readonly from: Vmid; readonly to: Vmid }
  | { readonly name: string }
  | { readonly tag: string };

/** The characters of a host name, and the two that stand for others. */
const GLOB = /^[A-Za-z0-9.*?-]{1,255}$/;
/** What a container may be called. Source: dns-name of Proxmox VE's JSONSchema. */
const HOST_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?$/;
/** Numbers that were meant as ids, however they are written. */
const NUMBERS = /^[0-9.-]+(?:e[0-9]+)?$/i;
/** Words that say something about the list rather than name a container in it. */
const NO_NAMES = /^(?:all|none|null|true|false|yes|no)$/i;

/** One part of a list, or why it is none. */
function readMember(part: unknown): Member | string {
  if (typeof part !== 'string') return 'is no id of a guest';
  const single = parseVmid(part);
  if (single !== undefined) return { from: single, to: single };
  const [first, second, ...more] = part.split('-').map(trimmed);
  const from = parseVmid(first ?? '');
  const to = parseVmid(second ?? '');
  if (from !== undefined && to !== undefined && more.length === 0) {
    return from <= to ? { from, to } : 'is a range that runs backwards';
  }
  if (part.startsWith('tag:')) {
    const tag = trimmed(part.slice('tag:'.length));
    return isTag(tag) ? { tag: tag.toLowerCase() } : 'is not a tag';
  }
  if (part.startsWith('!')) {
    return 'leaves a guest out, which no list can; put it into ignore_lxc or a tier of its own';
  }
  if (!/[*?]/.test(part)) {
    if (NUMBERS.test(part)) return 'is no id of a guest';
    if (NO_NAMES.test(part)) return 'is no name of a guest; for all of them write *';
    return HOST_NAME.test(part) ? { name: part.toLowerCase() } : 'is neither an id nor a name';
  }
  if (/^[0-9][0-9*?-]*$/.test(part)) return 'is a pattern on names; for ids write a range';
  if (!GLOB.test(part)) return 'is a pattern that no host name can match';
  return { name: part.toLowerCase() };
}

/** One container id; undefined for all else. */
export const readVmid = (raw: unknown): Vmid | undefined =>
  typeof raw === 'string' ? parseVmid(trimmed(raw)) : undefined;

const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const DOTTED = `${OCTET}(?:\\.${OCTET}){3}`;
const ADDRESS = new RegExp(`^${DOTTED}$`);
export const ADDRESS_OR_NOTHING = new RegExp(`^(?:${DOTTED})?$`);
const NETWORK = new RegExp(`^${DOTTED}/(?:[89]|[12][0-9]|3[0-2])$`);

/** A dotted IPv4 address as a number, to compare with. */
export const addressNumber = (address: string): number =>
  address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);

export interface ReadAddresses {
  readonly addresses: readonly string[];
  readonly bad: readonly BadPart[];
}

/** A list of IPv4 addresses, two of which are a range; or one network as `192.168.1.0/24`. */
export function readAddresses(raw: unknown): ReadAddresses {
  const parts = partsOf(raw);
  const addresses: string[] = [];
  const bad: BadPart[] = [];
  for (const { item, part } of parts) {
    const why = whyNotMembers(part, parts.length > 1);
    if (why !== undefined) bad.push({ item, part, why });
    else if (typeof part === 'string') addresses.push(part);
  }
  const [first, second] = addresses;
  if (bad.length === 0 && parts.length === 2 && first !== undefined && second !== undefined) {
    const { item } = parts[1] ?? { item: undefined };
    const why = whyNoRange(first, second);
    if (why !== undefined) bad.push({ item, part: second, why });
  }
  return { addresses, bad };
}

const TAKE_OTHERS = "which no clone can have; take free addresses of the clones' network";

/** Why a part of such a list has no addresses for members. */
function whyNotMembers(part: unknown, isOneOfMany: boolean): string | undefined {
  const text = typeof part === 'string' ? part : '';
  const isNetwork = NETWORK.test(text);
  if (isNetwork && isOneOfMany) return 'is a network, which stands alone';
  if (!isNetwork && !ADDRESS.test(text)) return 'is not an IPv4 address';
  const met = isNetwork ? nobodysIn(...endsOf(text)) : nobodysIn(text);
  const where = isNetwork ? 'holds addresses of' : 'is in';
  return met && `${where} ${met.network} (${met.name}), ${TAKE_OTHERS}`;
}

function whyNoRange(first: string, last: string): string | undefined {
  if (addressNumber(first) > addressNumber(last)) return 'comes before the first address';
  const met = nobodysIn(first, last);
  return met && `ends a range through ${met.network} (${met.name}), ${TAKE_OTHERS}`;
}

/** Link-local addresses are gateways of some hosting networks. */
export const canBeGateway = (address: string): boolean =>
  [undefined, 'link-local'].includes(nobodysIn(address)?.name);
