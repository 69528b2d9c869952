import type { YamlEntry, YamlMap, YamlNode } from './yaml.ts';
import { parseYaml } from './yaml.ts';

/**
 * The configuration of an earlier program as it stands, before anything is made of it: INI as
 * Python's configparser reads it, or YAML. Comments are kept, since an admin wrote them.
 */

export interface OldSection {
  readonly name: string;
  /** 1-based. */
  readonly line: number;
  /** Merge keys are filled in; a key that stands twice is there twice. */
  readonly entries: readonly YamlEntry[];
}

export interface OldFile {
  readonly form: 'INI' | 'YAML';
  readonly sections: readonly OldSection[];
  /** Keys that stand in no section. */
  readonly loose: readonly YamlEntry[];
  /** Lines that no reader makes anything of. */
  readonly unread: readonly OldLine[];
  /** Lines that are comments, without their mark, by line. */
  readonly comments: ReadonlyMap<number, string>;
  /** Comments behind a value, by line. */
  readonly asides: ReadonlyMap<number, string>;
}

export interface OldLine {
  readonly line: number;
  readonly text: string;
}

export type OldFileResult =
  | { readonly ok: true; readonly file: OldFile }
  | { readonly ok: false; readonly line: number | undefined; readonly message: string };

/** Reads either form; which one it is shows in the first line that is no comment. */
export function parseOldFile(text: string): OldFileResult {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/);
  const first = lines.find((line) => /^\s*[^\s#;]/.test(line)) ?? '';
  return /^\s*\[[^\]]*\]/.test(first) ? { ok: true, file: readIni(lines) } : readYaml(text, lines);
}

/** What is read of an INI file so far. */
interface IniState {
  readonly sections: { name: string; line: number; entries: YamlEntry[] }[];
  readonly loose: YamlEntry[];
  readonly unread: OldLine[];
  readonly comments: Map<number, string>;
  readonly asides: Map<number, string>;
  /** Where lines that are indented further belong to. */
  last: { readonly entry: YamlEntry; readonly indent: number } | undefined;
}

function readIni(lines: readonly string[]): OldFile {
  const state: IniState = {
    sections: [],
    loose: [],
    unread: [],
    comments: new Map(),
    asides: new Map(),
    last: undefined,
  };
  for (const [index, line] of lines.entries()) readIniLine(line, index + 1, state);
  const { last: _, ...read } = state;
  return { form: 'INI', ...read };
}

function readIniLine(whole: string, line: number, state: IniState): void {
  const text = whole.trim();
  if (text === '') return;
  const comment = /^[#;]+(.*)$/s.exec(text);
  if (comment !== null) {
    state.comments.set(line, comment[1] ?? '');
    return;
  }
  const section = /^\[([^\]]*)\]\s*(?:[#;](.*))?$/s.exec(text);
  if (section !== null) {
    state.sections.push({ name: (section[1] ?? '').trim(), line, entries: [] });
    state.last = undefined;
    if (section[2] !== undefined) state.asides.set(line, section[2]);
    return;
  }
  const indent = whole.length - whole.trimStart().length;
  const pair = /^([A-Za-z_][\w.-]*)\s*[=:]\s*(.*)$/s.exec(text);
  const goesOn = pair === null && state.last !== undefined && indent > state.last.indent;
  const { value, aside } = withoutAside(goesOn ? text : (pair?.[2] ?? ''));
  if (aside !== undefined) state.asides.set(line, aside);
  const entries = state.sections.at(-1)?.entries ?? state.loose;
  if (goesOn && state.last !== undefined) {
    const { entry } = state.last;
    const longer = { ...entry, value: continued(entry.value, value) };
    entries.splice(-1, 1, longer);
    state.last = { ...state.last, entry: longer };
  } else if (pair?.[1] !== undefined) {
    const node: YamlNode =
      value === '' ? { kind: 'null', line } : { kind: 'text', line, text: value };
    // As configparser does; no key of that program has a capital letter.
    const entry = { key: pair[1].toLowerCase(), line, value: node };
    entries.push(entry);
    state.last = { entry, indent };
  } else {
    state.unread.push({ line, text });
  }
}

const continued = (before: YamlNode, more: string): YamlNode => ({
  kind: 'text',
  line: before.line,
  text: before.kind === 'text' ? `${before.text.replace(/,\s*$/, '')},${more}` : more,
});

/** That program took ` # ...` behind a value for a part of it, and failed; nobody means that. */
function withoutAside(text: string): { value: string; aside: string | undefined } {
  const found = /(?:^|\s)[#;]/.exec(text);
  if (found === null) return { value: text, aside: undefined };
  const end = found.index + found[0].length;
  return { value: text.slice(0, found.index).trimEnd(), aside: text.slice(end) };
}

function readYaml(text: string, lines: readonly string[]): OldFileResult {
  const yaml = parseYaml(text);
  if (!yaml.ok) return yaml;
  const { root } = yaml;
  if (root !== undefined && root.kind !== 'map') {
    const what = root.kind === 'list' ? 'a list' : 'a text';
    const message = `holds ${what} and no sections, so it is no configuration of that program`;
    return { ok: false, line: root.line, message };
  }
  const sections: OldSection[] = [];
  const loose: YamlEntry[] = [];
  for (const entry of root === undefined ? [] : merged(root)) {
    const { key, line, value } = entry;
    if (value.kind === 'map') sections.push({ name: key, line, entries: merged(value) });
    else if (value.kind === 'null') sections.push({ name: key, line, entries: [] });
    else loose.push(entry);
  }
  const comments = new Map<number, string>();
  const asides = new Map<number, string>();
  for (const [index, line] of lines.entries()) {
    const mark = line.indexOf('#');
    if (mark < 0) continue;
    const before = line.slice(0, mark);
    const text = line.slice(mark).replace(/^#+/, '');
    const item = /\s$/.test(before) ? itemIn(before) : undefined;
    if (before.trim() === '') comments.set(index + 1, text);
    else if (item !== undefined) asides.set(index + 1, ` ${item}:${text}`);
    // Only behind what is surely no text in quotes.
    else if (/^[^'"]*\s$/.test(before)) asides.set(index + 1, text);
  }
  return { ok: true, file: { form: 'YAML', sections, loose, unread: [], comments, asides } };
}

/** The one plain or quoted text of a list's item; undefined if the line is something else. */
function itemIn(line: string): string | undefined {
  const [, text = ''] = /^-\s+(\S.*)$/s.exec(line.trim()) ?? [];
  const [, item] = /^["']?([^'"]+)["']?$/.exec(text) ?? [];
  return item;
}

/** Labels can repeat a section in many others, and those in others again. */
const MAX_MERGED = 2000;

/** The entries with what `<<` adds behind them, nearer ones first. */
function merged(map: YamlMap): YamlEntry[] {
  const entries: YamlEntry[] = map.entries.filter(({ key }) => key !== '<<');
  const has = new Set(entries.map(({ key }) => key));
  const open = map.entries.filter(({ key }) => key === '<<').map(({ value }) => value);
  const seen = new Set<YamlNode>();
  for (let count = 0; count < MAX_MERGED; count++) {
    const next = open.shift();
    if (next === undefined) break;
    if (seen.has(next)) continue;
    seen.add(next);
    if (next.kind === 'list') open.unshift(...next.items.slice(0, MAX_MERGED));
    if (next.kind !== 'map') continue;
    for (const entry of next.entries) {
      if (entry.key === '<<') open.push(entry.value);
      else if (!has.has(entry.key)) {
        has.add(entry.key);
        entries.push(entry);
      }
    }
  }
  return entries;
}
