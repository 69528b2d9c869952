import { quoted, THE_VALUE } from './printable.ts';
import { isBlank } from './read-values.ts';
import { check, type Entry, type KeyInfo } from './schema.ts';
import type { Environment } from './variables.ts';
import { expandVariables } from './variables.ts';
import type { YamlNode } from './yaml.ts';
import { yamlScalar } from './yaml-text.ts';

/** Values of an earlier program's file, brought to what the schema takes. */

export type Converted =
  | {
      readonly ok: true;
      /** As it stands in the new file, for `yamlLines`. */
      readonly written: string | readonly string[];
      /** What was done to it; undefined: it is as it was. */
      readonly how: string | undefined;
      /** Parts of a list that could not be taken. */
      readonly leftOut: readonly LeftOut[];
    }
  | { readonly ok: false; readonly why: string };

export interface LeftOut {
  /** As it stands in the old file. */
  readonly text: string;
  /** A sentence with its reason, never a secret. */
  readonly why: string;
}

/** Brings one value to what the schema of its key takes, or says why that cannot be. */
export function convertValue(key: Entry, node: YamlNode, env: Environment): Converted {
  const { info } = key;
  if (info === undefined) return { ok: false, why: 'is not known' };
  if (node.kind === 'map') return convertMap(key, node, env, info);
  if (node.kind === 'list' || isListed(info)) return convertList(key, node, env, info);
  if (node.kind === 'null') {
    if (check(key, null).ok) return { ok: true, written: '', how: undefined, leftOut: [] };
    return { ok: false, why: `has no value; allowed: ${info.allowed}` };
  }
  return convertText(key, node.text, env, info);
}

const isListed = ({ allowed }: KeyInfo): boolean =>
  /as a list or separated by commas/.test(allowed);

const asWritten = (written: string | readonly string[], how?: string): Converted => ({
  ok: true,
  written,
  how,
  leftOut: [],
});

function convertText(key: Entry, text: string, env: Environment, info: KeyInfo): Converted {
  const expanded = expandVariables(text, env);
  if (!expanded.ok) return { ok: false, why: expanded.message };
  const checked = check(key, expanded.text);
  if (checked.ok) {
    const word = info.words?.find((one) => one === text.trim().toLowerCase());
    if (word !== undefined && word !== text) return asWritten(word, `written ${word}`);
    return asWritten(isBlank(text) && text.trim() !== '' ? '' : yamlScalar(text));
  }
  if (!expanded.fromVariable) {
    for (const other of otherForms(text)) {
      if (check(key, other).ok) return asWritten(yamlScalar(other), `written ${other}`);
    }
  }
  const shown = info.secret !== undefined || expanded.fromVariable ? THE_VALUE : quoted(text);
  const why = checked.faults[0]?.why ?? 'is not valid';
  return { ok: false, why: `${shown} ${why}; allowed: ${info.allowed}` };
}

/** What a value may stand for that is not taken as it is: numbers with zeros before them. */
function otherForms(text: string): string[] {
  const plain = text.trim();
  return /^[0-9]{1,9}(?:\.[0-9]{1,6})?$/.test(plain) ? [String(Number(plain))] : [];
}

function convertMap(
  key: Entry,
  node: YamlNode & { kind: 'map' },
  env: Environment,
  info: KeyInfo,
): Converted {
  const raw = new Map<string, unknown>();
  const parts: string[] = [];
  for (const { key, value } of node.entries) {
    const known = info.parts?.includes(key) === true && value.kind === 'text';
    const expanded = known ? expandVariables(value.text, env) : undefined;
    if (!known || expanded?.ok !== true) {
      return { ok: false, why: `is a section of keys; allowed: ${info.allowed}` };
    }
    raw.set(key, expanded.text);
    parts.push(`${key}: ${yamlScalar(value.text)}`);
  }
  if (info.parts === undefined || !check(key, raw).ok) {
    return { ok: false, why: `is a section of keys; allowed: ${info.allowed}` };
  }
  return asWritten(`{${parts.join(', ')}}`);
}

/** More than any configuration lists. */
const MAX_ITEMS = 2000;

/** A list, or a text of several. */
function convertList(key: Entry, node: YamlNode, env: Environment, info: KeyInfo): Converted {
  const texts = textsOf(node, isListed(info) || node.kind !== 'list');
  if (texts === undefined) return { ok: false, why: `is no plain list; allowed: ${info.allowed}` };
  const items: Item[] = [];
  for (const text of texts) {
    const expanded = expandVariables(text, env);
    if (!expanded.ok) return { ok: false, why: expanded.message };
    const masked = info.secret !== undefined || expanded.fromVariable;
    items.push({ text, expanded: expanded.text, shown: masked ? 'one' : quoted(text) });
  }
  const how = node.kind === 'text' && items.length > 1 ? 'written as a list' : undefined;
  const stands = items.map(({ expanded }) => expanded);
  if (!items.some(hasPrefix(items)) && check(key, stands).ok) {
    return asWritten(texts.map(yamlScalar), how);
  }
  return convertItems(key, items, info);
}

interface Item {
  readonly text: string;
  readonly expanded: string;
  /** For messages. */
  readonly shown: string;
}

/** An address with the length of its network behind it. Alone, `10.0.0.0/24` is a network. */
const hasPrefix =
  (items: readonly Item[]) =>
  ({ text }: Item): boolean =>
    /^[0-9.]{7,15}\/[0-9]{1,2}$/.test(text) && (items.length > 1 || !text.includes('.0/'));

/** Each part by itself, so that one that is wrong costs only that one. */
function convertItems(key: Entry, items: readonly Item[], info: KeyInfo): Converted {
  const kept: string[] = [];
  const leftOut: LeftOut[] = [];
  let how: string | undefined;
  for (const item of items) {
    const bare = hasPrefix(items)(item) ? item.text.replace(/\/.*/, '') : item.text;
    const checked = check(key, [bare === item.text ? item.expanded : bare]);
    if (checked.ok) {
      kept.push(bare);
      if (bare !== item.text) how = 'addresses are written without the length of their network';
    } else {
      const why = `${item.shown} ${checked.faults[0]?.why ?? 'is not valid'}`;
      leftOut.push({ text: item.text, why });
    }
  }
  const whole = check(key, kept);
  if (!whole.ok || kept.length === 0) {
    const why =
      leftOut[0]?.why ?? (whole.ok ? 'is empty' : (whole.faults[0]?.why ?? 'is not valid'));
    return { ok: false, why: `${why}; allowed: ${info.allowed}` };
  }
  return { ok: true, written: kept.map(yamlScalar), how, leftOut };
}

/** The parts of a list or of a text with commas; undefined for what is more than that. */
function textsOf(node: YamlNode, split: boolean): string[] | undefined {
  if (node.kind === 'null') return [];
  const items = node.kind === 'list' ? node.items : [node];
  const texts: string[] = [];
  for (const item of items.slice(0, MAX_ITEMS + 1)) {
    if (item.kind === 'null') continue;
    if (item.kind !== 'text') return undefined;
    const parts = split ? item.text.split(',').map((part) => part.trim()) : [item.text];
    texts.push(...(split ? parts.filter((part) => !isBlank(part)) : parts));
  }
  return texts.length > MAX_ITEMS ? undefined : texts;
}
