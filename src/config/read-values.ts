import { parseVmid, type Vmid } from '../core/units.ts';

/**
 * What the text of a value means. Every reader is total: it gives the value, or hands back what it
 * was given, for the schema to refuse.
 */

const NUMBER = /^[+-]?(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9]+)?$/;

/** Blanks around a value are nobody's intention; a line break in one shows a mistake. */
const trimmed = (text: string): string => text.replace(/^[ \t]+|[ \t]+$/g, '');

/** `80`, `'80'`, `80.5`, `1_000`. Not `080`, which is 64 or 80 depending on who reads it. */
export function toNumber(raw: unknown): unknown {
  if (typeof raw !== 'string') return raw;
  const text = trimmed(raw);
  return NUMBER.test(text) ? Number(text.replaceAll('_', '')) : raw;
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
  /** Its place in the list; undefined where the value is no list. */
  readonly item: number | undefined;
}

/** A part of a list that cannot be used. */
export interface BadPart {
  readonly item: number | undefined;
  readonly part: unknown;
  /** Completes "`part` ...". */
  readonly why: string;
}

export interface ReadIds {
  readonly ranges: readonly VmidRange[];
  readonly bad: readonly BadPart[];
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

/** Container ids from a list, from one value, from `"100,101"`; none from an empty value. */
export function readIds(raw: unknown, allowRanges: boolean): ReadIds {
  const ranges: VmidRange[] = [];
  const bad: BadPart[] = [];
  if (textLength(raw) > MAX_IDS_CHARS) {
    return { ranges, bad: [{ item: undefined, part: undefined, why: 'is too long' }] };
  }
  for (const { item, part } of partsOf(raw)) {
    const range = readRange(part, allowRanges);
    if (typeof range === 'string') bad.push({ item, part, why: range });
    else ranges.push({ ...range, item });
  }
  return { ranges, bad };
}

function readRange(part: unknown, allowRanges: boolean): { from: Vmid; to: Vmid } | string {
  if (typeof part !== 'string') return 'is not a container id';
  const single = parseVmid(part);
  if (single !== undefined) return { from: single, to: single };
  const [first, second, ...more] = part.split('-').map(trimmed);
  const from = parseVmid(first ?? '');
  const to = parseVmid(second ?? '');
  if (from !== undefined && to !== undefined && more.length === 0) {
    if (!allowRanges) return 'is a range, which is not possible here';
    return from <= to ? { from, to } : 'is a range that runs backwards';
  }
  if (/^tag:|[*?[]/.test(part)) return 'is a tag or a pattern, only ids for now';
  return 'is not a container id';
}

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
    const text = typeof part === 'string' ? part : '';
    if (NETWORK.test(text) && parts.length > 1) {
      bad.push({ item, part, why: 'is a network, which stands alone' });
    } else if (ADDRESS.test(text) || NETWORK.test(text)) addresses.push(text);
    else bad.push({ item, part, why: 'is not an IPv4 address' });
  }
  const [first, second] = addresses;
  if (bad.length === 0 && parts.length === 2 && first !== undefined && second !== undefined) {
    if (addressNumber(first) > addressNumber(second)) {
      bad.push({ item: parts[1]?.item, part: second, why: 'comes before the first address' });
    }
  }
  return { addresses, bad };
}
