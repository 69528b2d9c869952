import type { AllKeys, SectionKeys } from './keys.ts';
import { printableKey, quoted, THE_VALUE } from './printable.ts';
import type { Problem } from './problem.ts';
import { isBlank } from './read-values.ts';
import { check, type Fault, type KeyInfo } from './schema.ts';
import { closest } from './suggest.ts';
import { plainlyUnknown, unknownKey } from './unknown-keys.ts';
import type { Environment } from './variables.ts';
import { expandVariables } from './variables.ts';
import type { YamlEntry, YamlList, YamlMap, YamlNode } from './yaml.ts';

/** One section of the file: its keys read and checked one by one, all problems gathered. */

export interface Reader {
  readonly file: string;
  readonly env: Environment;
  /** Whether variables such as `LOG_LEVEL` stand over the file. */
  readonly isOverridden: boolean;
  readonly keys: AllKeys;
  /** Asked only where nodes are named; undefined: nobody knows where the text will be used. */
  readonly self?: (() => Self) | undefined;
  readonly problems: Problem[];
  furtherProblems: number;
  /** What merge keys have added so far, in the whole file. */
  mergedKeys: number;
  /** Characters of all values so far, one more for each; labels (`*a`) can repeat large ones. */
  weight: number;
}

/** The machine that the program runs on. */
export interface Self {
  /** As its own host name says, without the domain. */
  readonly name: string;
  /** Names and addresses under which it reaches itself, in small letters. */
  readonly hosts: ReadonlySet<string>;
  /** Names of the nodes of its cluster, itself left out. */
  readonly cluster: readonly string[];
}

export interface Section<V> {
  readonly name: string;
  readonly line: number;
  /** What was given and is valid. */
  readonly values: Partial<V>;
  /** Every known key that was given, valid or not. */
  readonly given: ReadonlyMap<string, Given>;
}

/** A value as it stands in the file, for messages. */
export interface Given {
  readonly line: number;
  /** Fit to be printed, and never a secret. */
  readonly shown: string;
  /** Its text came from a variable (or is secret), so no part of it may be printed. */
  readonly masked: boolean;
  /** It is a secret, and stands in the file itself. */
  readonly inClear: boolean;
  /** All of it is a variable in a notation of other programs, such as `$NAME`. */
  readonly seemsVariable: boolean;
  /** Of a list: its items. */
  readonly items: readonly Given[];
  /** Of a mapping in place of a value: what stands at its keys. */
  readonly parts: ReadonlyMap<string, Given>;
}

/** Problems beyond these are only counted. */
const MAX_KEPT_PROBLEMS = 500;

export function report(
  reader: Reader,
  line: number | undefined,
  key: string,
  message: string,
): void {
  if (reader.problems.length >= MAX_KEPT_PROBLEMS) {
    reader.furtherProblems++;
    return;
  }
  reader.problems.push({ file: reader.file, line, key, message });
}

/** Merge keys (`<<`) can repeat a large section in many others; this bounds what that comes to. */
const MAX_MERGED_KEYS = 10_000;
const MAX_MERGE_DEPTH = 20;

/** Far more than any configuration has, and little enough for the memory of the daemon. */
const MAX_WEIGHT = 150_000;

/** `poll_interval = 300` and `poll_interval:300` are texts in YAML. Only a known key is named. */
function keyWithoutColon(keys: SectionKeys, text: string): string | undefined {
  const key = /^([a-z0-9_]+) *[=:]/.exec(text)?.[1];
  return key !== undefined && Object.hasOwn(keys, key) ? key : undefined;
}

/**
 * Reads the keys of one section. An empty section (null) is one without keys.
 */
export function readSection<V>(keys: SectionKeys, entry: YamlEntry, reader: Reader): Section<V> {
  const values: Record<string, unknown> = {};
  const given = new Map<string, Given>();
  const section = { name: entry.key, line: entry.line, values: values as Partial<V>, given };
  const { value } = entry;
  if (value.kind === 'null' || (value.kind === 'text' && isBlank(value.text))) return section;
  if (value.kind !== 'map') {
    const unspaced = value.kind === 'text' ? keyWithoutColon(keys, value.text) : undefined;
    const what = value.kind === 'list' ? 'a list' : 'a text';
    const how =
      unspaced === undefined
        ? 'write one `key: value` a line below it, indented, with a blank after the colon'
        : `write \`${unspaced}: VALUE\`, a line below it and indented`;
    report(reader, entry.line, entry.key, `holds ${what} where keys are expected; ${how}`);
    return section;
  }
  for (const { key, line, value: node } of entriesOf(value, reader)) {
    const known = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (known === undefined) {
      const uncompared = reader.problems.length >= MAX_KEPT_PROBLEMS;
      const { name, message } = uncompared
        ? plainlyUnknown(key)
        : unknownKey(key, keys, reader.keys);
      report(reader, line, name, message);
      continue;
    }
    reader.weight += weightOf(node);
    if (reader.weight > MAX_WEIGHT) {
      report(reader, line, key, `adds too much: all values may have ${MAX_WEIGHT} characters`);
      continue;
    }
    const { info } = known;
    const expanded = expandValue(node, { line, key }, info, reader);
    given.set(key, expanded.given);
    for (const fault of expanded.faults) {
      report(reader, fault.line, fault.key ?? key, fault.message);
    }
    const isPartlyThere = expanded.raw instanceof Map && expanded.raw.size > 0;
    if (expanded.faults.length > 0 && !isPartlyThere) continue;
    const checked = check(known, expanded.raw);
    if (checked.ok) {
      values[key] = checked.value;
      continue;
    }
    for (const fault of checked.faults) reportFault(reader, key, node, expanded.given, fault, info);
  }
  return section;
}

function expandValue(node: YamlNode, place: Place, info: KeyInfo, reader: Reader): Expanded {
  if (node.kind === 'map' && info.parts !== undefined) {
    return expandParts(node, place, info.parts, reader);
  }
  if (node.kind === 'list' && info.rows !== undefined) {
    return expandRows(node, place, info.rows, reader);
  }
  const one = expandNode(node, place.line, info.secret !== undefined, reader.env);
  const given = { ...one.given, inClear: one.given.inClear && info.secret === true };
  return { ...one, given };
}

/** What a value costs to check. What lies deeper than a list of mappings is never looked at. */
function weightOf(node: YamlNode, deeper = 2): number {
  if (node.kind === 'text') return node.text.length + 1;
  if (node.kind === 'null' || deeper === 0) return 1;
  const inner = node.kind === 'list' ? node.items : node.entries.map(({ value }) => value);
  let sum = 1;
  for (const item of inner) {
    sum += weightOf(item, deeper - 1);
    if (sum > MAX_WEIGHT) break;
  }
  return sum;
}

/** The entries of a mapping, each key once, merge keys (`<<: *label`) filled in. */
export function entriesOf(map: YamlMap, reader: Reader): YamlEntry[] {
  const entries = new Map<string, YamlEntry>();
  const merges: YamlEntry[] = [];
  for (const entry of map.entries) {
    const first = entries.get(entry.key);
    if (entry.key === '<<') merges.push(entry);
    else if (first === undefined) entries.set(entry.key, entry);
    else {
      const message = `stands here a second time, after line ${first.line}; keep one of the two`;
      report(reader, entry.line, printableKey(entry.key), message);
    }
  }
  for (const merge of merges) {
    const sources = merge.value.kind === 'list' ? merge.value.items : [merge.value];
    for (const source of sources) mergeInto(entries, merge, source, reader, 1);
  }
  return [...entries.values()];
}

/** Adds what is not there yet: nearer sections win over those that they merge in turn. */
function mergeInto(
  entries: Map<string, YamlEntry>,
  merge: YamlEntry,
  source: YamlNode,
  reader: Reader,
  depth: number,
): void {
  if (source.kind !== 'map') {
    report(reader, merge.line, '<<', 'takes another section by its label, as in `<<: *web`');
    return;
  }
  reader.mergedKeys += source.entries.length + 1;
  if (reader.mergedKeys > MAX_MERGED_KEYS || depth > MAX_MERGE_DEPTH) {
    report(reader, merge.line, '<<', `adds too much: ${MAX_MERGED_KEYS} keys at most in a file`);
    return;
  }
  for (const entry of source.entries) {
    if (entry.key !== '<<' && !entries.has(entry.key)) entries.set(entry.key, entry);
  }
  for (const { key, value } of source.entries) {
    if (key !== '<<') continue;
    const inner = value.kind === 'list' ? value.items : [value];
    for (const next of inner) mergeInto(entries, merge, next, reader, depth + 1);
  }
}

interface Place {
  readonly line: number;
  readonly key: string;
}

interface Expanded {
  /** For the schema: text, null, a list or a Map of these; `{}` for what is none of them. */
  readonly raw: unknown;
  readonly given: Given;
  /** Variables that could not be put in. */
  readonly faults: readonly ExpansionFault[];
}

interface ExpansionFault {
  readonly line: number;
  readonly message: string;
  /** Where it is a key within the value. */
  readonly key?: string;
}

const NOTHING_WITHIN = {
  inClear: false,
  seemsVariable: false,
  items: [],
  parts: new Map<string, never>(),
};
const MAPPING = 'a section of keys';

/** As a shell, a Makefile or a template has it; here it is plain text. */
const OTHER_NOTATION = /^(?:\$[A-Za-z_]\w*|\$\([A-Za-z_]\w*\)|\{\{ *[A-Za-z_]\w* *\}\})$/;
const NOTATION = `a variable is written $\{NAME}`;

/** Within a secret, what stands in braces may be part of it, and not the name of a variable. */
const isOneReference = (text: string): boolean => /^\$\{[^}]*\}$/.test(text.trim());
const A_VARIABLE =
  'holds a variable that is not set or cannot be read; set it for the service, or write $${ ' +
  'for a literal ${';

function expandNode(node: YamlNode, line: number, secret: boolean, env: Environment): Expanded {
  const plain = (raw: unknown, shown: string): Expanded => ({
    raw,
    given: { ...NOTHING_WITHIN, line, masked: secret, shown },
    faults: [],
  });
  if (node.kind === 'null') return plain(null, 'no value');
  if (node.kind === 'map') return plain({}, MAPPING);
  if (node.kind === 'list') {
    const inner = node.items.map((item) =>
      item.kind === 'list'
        ? expandNested(item.line, secret)
        : expandNode(item, item.line, secret, env),
    );
    const items = inner.map((item) => item.given);
    return {
      raw: inner.map((item) => item.raw),
      given: { ...NOTHING_WITHIN, line, masked: secret, items, shown: 'a list' },
      faults: inner.flatMap((item) => item.faults),
    };
  }
  const expanded = expandVariables(node.text, env);
  const shown = secret ? THE_VALUE : quoted(node.text);
  if (!expanded.ok) {
    const message = secret && !isOneReference(node.text) ? A_VARIABLE : expanded.message;
    return { ...plain(null, shown), faults: [{ line, message }] };
  }
  const masked = secret || expanded.fromVariable || shown === THE_VALUE;
  const inClear = secret && !expanded.fromVariable && !isBlank(node.text);
  const seemsVariable = OTHER_NOTATION.test(node.text.trim());
  const given = { ...NOTHING_WITHIN, line, masked, inClear, seemsVariable, shown };
  return { raw: expanded.text, given, faults: [] };
}

/** A mapping in place of a value, of which only the keys in `allowed` are taken. */
function expandParts(
  map: YamlMap,
  place: Place,
  allowed: readonly string[],
  reader: Reader,
  isSecret: (key: string) => boolean = () => false,
): Expanded {
  const raw = new Map<string, unknown>();
  const parts = new Map<string, Given>();
  const faults: ExpansionFault[] = [];
  for (const { key, line, value } of entriesOf(map, reader)) {
    const within = `${place.key}.${printableKey(key)}`;
    if (!allowed.includes(key)) {
      const meant = closest(key, allowed);
      const hint =
        meant === undefined ? `allowed: ${allowed.join(', ')}` : `did you mean ${meant}?`;
      faults.push({ line, key: within, message: `unknown key; ${hint}` });
      continue;
    }
    const expanded = expandNode(value, line, isSecret(key), reader.env);
    parts.set(key, expanded.given);
    for (const { message } of expanded.faults) faults.push({ line, key: within, message });
    if (expanded.faults.length === 0) raw.set(key, expanded.raw);
  }
  const given = { ...NOTHING_WITHIN, line: place.line, masked: false, shown: MAPPING, parts };
  return { raw, given, faults };
}

/** A list of mappings: each has these keys, and is called by its number. */
function expandRows(
  { items }: YamlList,
  { line, key }: Place,
  keys: NonNullable<KeyInfo['rows']>,
  reader: Reader,
): Expanded {
  const rows = items.map((item, index) => {
    const place = { line: item.line, key: `${key}[${index + 1}]` };
    const one =
      item.kind === 'map'
        ? expandParts(item, place, Object.keys(keys), reader, (name) => keys[name] === 'secret')
        : expandNode(item, item.line, true, reader.env);
    return { ...one, given: { ...one.given, masked: true, shown: `entry ${index + 1}` } };
  });
  const isClear = ({ given }: Expanded): boolean =>
    [...given.parts.values()].some(({ inClear }) => inClear);
  const given = { ...NOTHING_WITHIN, line, masked: true, shown: 'a list' };
  return {
    raw: rows.map(({ raw }) => raw),
    given: { ...given, items: rows.map((row) => row.given), inClear: rows.some(isClear) },
    faults: rows.flatMap(({ faults }) => faults),
  };
}

/** No key takes lists within a list, so what such a list holds is not looked at. */
const expandNested = (line: number, masked: boolean): Expanded => ({
  raw: {},
  given: { ...NOTHING_WITHIN, line, masked, shown: 'a list within the list' },
  faults: [],
});

function reportFault(
  reader: Reader,
  key: string,
  node: YamlNode,
  given: Given,
  fault: Fault,
  info: KeyInfo,
): void {
  const place = withinGiven(given, fault.item);
  const at = typeof fault.item === 'string' ? `${key}.${fault.item}` : key;
  const inner = node.kind === 'map' ? node.entries : [];
  const written = inner.find((entry) => entry.key === fault.item)?.value ?? node;
  const allowed = `allowed: ${info.allowed}`;
  if (written.kind === 'null') {
    report(reader, place.line, at, `has no value; ${allowed}; or leave the line out`);
    return;
  }
  const known = place.masked ? undefined : fault.part;
  const part = known === undefined ? undefined : quoted(known);
  const text = known ?? (written.kind === 'text' ? written.text : undefined);
  const hint = text === undefined ? '' : hintFor(text, fault.why, info);
  report(reader, place.line, at, `${part ?? place.shown} ${fault.why}; ${allowed}${hint}`);
}

function withinGiven(given: Given, item: number | string | undefined): Given {
  if (item === undefined) return given;
  return (typeof item === 'number' ? given.items[item] : given.parts.get(item)) ?? given;
}

function unitWords(units: string | undefined): string {
  if (units === undefined) return 'write the number alone, without a unit';
  if (units === ':00') return 'write full hours, as in 22:00';
  return units.length === 1 ? `the unit is ${units}` : `units are ${units}`;
}

const nearTo = (word: string, { near, words = [] }: KeyInfo): readonly string[] =>
  near?.(word) ?? [closest(word, words) ?? []].flat();

function hintFor(text: string, why: string, info: KeyInfo): string {
  const word = text.trim();
  const meant = new Map(Object.entries(info.meant ?? {})).get(word.toLowerCase());
  const near = meant === undefined ? nearTo(word, info) : [meant];
  if (near.length > 0) return `; did you mean ${near.join(' or ')}?`;
  if (/[^ \t]#|[ \t](?:;|\/\/)/.test(word)) return '; a comment begins with a blank and #';
  if (OTHER_NOTATION.test(word)) return `; ${NOTATION}`;
  if (!/number$/.test(why)) return '';
  if (/^[0-9]+,[0-9]/.test(word)) return '; write it with a point, or without the comma';
  if (/^[0-9][0-9.]* *[A-Za-z%:]/.test(word)) {
    return `; ${unitWords(info.units)}`;
  }
  return /^0[0-9]/.test(text) ? '; write it without the leading 0' : '';
}
