import type { AllKeys, SectionKeys } from './keys.ts';
import type { Converted } from './migrate-values.ts';
import { convertValue } from './migrate-values.ts';
import { NEW_NAMES, oldKey } from './old-keys.ts';
import type { SectionKind } from './unknown-keys.ts';
import { unknownKey } from './unknown-keys.ts';
import type { Environment } from './variables.ts';
import type { YamlEntry, YamlNode } from './yaml.ts';

/** What becomes of each key of an earlier program's file. */

export type Verdict = 'taken' | 'renamed' | 'converted' | 'added' | 'not supported' | 'dropped';

/** One key on its way into the new file. */
export interface Carried {
  readonly line: number | undefined;
  readonly oldKey: string;
  readonly key: string;
  verdict: Verdict;
  why: string;
  /** undefined: it stands in the new file as a comment. */
  written: string | readonly string[] | undefined;
  /** What the comment shows as its value. */
  readonly shown: string;
  /** It named containers that the new file does not name. */
  lost: boolean;
}

/** What names the containers that are left alone, or treated in a way of their own. */
export const CONTAINER_LISTS: ReadonlySet<string> = new Set(['ignore_lxc', 'lxc_containers']);

/** What surrounds a key. */
export interface Around {
  readonly all: AllKeys;
  readonly env: Environment;
  /** The whole section. */
  readonly entries: readonly YamlEntry[];
}

/** What becomes of one key of a section of that kind. */
export function carry(
  entry: YamlEntry,
  keys: SectionKeys,
  kind: SectionKind,
  { all, env, entries }: Around,
): Carried[] {
  const { key: oldName, line, value } = entry;
  const later = entries.find((other) => other.key === oldName && other.line > line);
  if (later !== undefined) {
    const why = `stands a second time in line ${later.line}, which is what counted`;
    return [{ ...base(entry), verdict: 'dropped', why }];
  }
  const renamed = Object.hasOwn(NEW_NAMES, oldName) ? NEW_NAMES[oldName] : undefined;
  const knows = (name: string) => Object.hasOwn(keys, name);
  const key = renamed !== undefined && knows(renamed) ? renamed : oldName;
  if (key !== oldName && entries.some((other) => other.key === key)) {
    return [{ ...base(entry), verdict: 'dropped', why: `${key} stands here too and counts` }];
  }
  const known = knows(key) ? keys[key] : undefined;
  if (known === undefined) return unknownToSection(entry, keys, kind, all);
  const converted = convertValue(known, value, env);
  if (!converted.ok) {
    const refused = whyRefused(value, converted);
    const lost = CONTAINER_LISTS.has(key) && refused.verdict === 'not supported';
    return [{ ...base(entry), key, lost, ...refused }];
  }
  const name = key === oldName ? [] : [`now ${key}`];
  const how = [...name, ...(converted.how === undefined ? [] : [converted.how])];
  const whys = converted.leftOut.map(({ why }) => why);
  const leftOut = whys.length > 0 ? [`left out: ${whys.join('; ')}`] : [];
  const lost = CONTAINER_LISTS.has(key) && converted.leftOut.some(({ text }) => !isNumber(text));
  const changed = converted.how !== undefined || leftOut.length > 0;
  const verdict = changed ? 'converted' : key === oldName ? 'taken' : 'renamed';
  const { written } = converted;
  return [{ ...base(entry), key, verdict, why: [...how, ...leftOut].join('; '), written, lost }];
}

/** A number that is no container id has never been one. */
const isNumber = (text: string): boolean => /^[0-9]+$/.test(text);

function whyRefused(
  value: YamlNode,
  { why }: Converted & { ok: false },
): Pick<Carried, 'verdict' | 'why'> {
  const isEmpty = value.kind === 'null' || (value.kind === 'text' && value.text.trim() === '');
  if (isEmpty) return { verdict: 'dropped', why: 'has no value, so the default holds' };
  return { verdict: 'not supported', why };
}

const base = ({ key, line, value }: YamlEntry): Carried => ({
  line,
  oldKey: key,
  key,
  verdict: 'not supported',
  why: '',
  written: undefined,
  shown: shownValue(key, value),
  lost: false,
});

/** What names a secret in files of any program. */
const SECRET = /passw(?:or)?d|passphrase|token|secret|webhook|(?:api|private)[_-]?key|credential/i;

function shownValue(key: string, value: YamlNode): string {
  if (oldKey(key, '')?.secret || SECRET.test(key)) return '(its value is not copied)';
  return shownNode(value, 0);
}

function shownNode(node: YamlNode, depth: number): string {
  if (node.kind === 'text') return /:\/\/[^/]*@/.test(node.text) ? '(not copied)' : node.text;
  if (node.kind === 'null') return '';
  if (depth > 0 || node.kind === 'map') return '(a section)';
  const shown = node.items.slice(0, 200).map((item) => shownNode(item, depth + 1));
  return `[${shown.join(', ')}]`;
}

function unknownToSection(
  entry: YamlEntry,
  keys: SectionKeys,
  kind: SectionKind,
  all: AllKeys,
): Carried[] {
  const { key, value } = entry;
  const known = oldKey(key, value.kind === 'text' ? value.text : '');
  if (known === undefined) {
    const ofHost = kind === 'tier' && Object.hasOwn(all.default, key);
    const why = ofHost
      ? 'counts for the whole program and stands in DEFAULT only'
      : unknownKey(key, keys, all).message.replace(/; remove the line.*/, '');
    return unknownEntry(entry, why);
  }
  return flattened(entry).map((one) => ({ ...base(one), verdict: known.verdict, why: known.why }));
}

/** A key that nothing is made of, as one or, if it is a section, as several. */
export const unknownEntry = (entry: YamlEntry, why: string): Carried[] =>
  flattened(entry).map((one) => ({ ...base(one), why }));

const MAX_FLATTENED = 200;
const MAX_DEPTH = 4;

/** A section within a section as keys with points: `proxmox_api.host`. */
function flattened(entry: YamlEntry): YamlEntry[] {
  const flat: YamlEntry[] = [];
  const add = (one: YamlEntry, depth: number): void => {
    if (flat.length >= MAX_FLATTENED) return;
    if (one.value.kind !== 'map' || one.value.entries.length === 0 || depth > MAX_DEPTH) {
      flat.push(one);
      return;
    }
    for (const inner of one.value.entries) {
      add({ ...inner, key: `${one.key}.${inner.key}` }, depth + 1);
    }
  };
  add(entry, 0);
  return flat;
}
