import type { Vmid } from '../core/units.ts';
import { parseYaml, type YamlEntry, type YamlMap } from './yaml.ts';

/**
 * Switches observe mode on or off in the text of a configuration. Lines are put in, taken out or
 * made comments; all others stay byte for byte. The text is one that has been checked.
 */

export type Mode = 'act' | 'observe';

/** A section by its name, everything, or one guest in a tier of its own. */
export type Target =
  | { readonly kind: 'all' }
  | { readonly kind: 'section'; readonly name: string }
  | { readonly kind: 'guest'; readonly vmid: Vmid };

export type Edited =
  | { readonly ok: true; readonly text: string }
  /** A plain sentence without its full stop. */
  | { readonly ok: false; readonly message: string };

/** What stands before a mode that observing has made a comment, so that it can come back. */
export const LATER = '# when active: ';
const OBSERVE = 'scaling_mode: observe';
const ACT = 'scaling_mode: threshold';
/** What stands above the line in a new configuration. */
export const OBSERVE_WORDS =
  'Observe mode: nothing is changed. To switch on: lxc-autoscale activate';
/** Of earlier versions too. */
const OUR_COMMENT = /^\s*# (Decides and reports, and changes nothing|Observe mode: nothing is)/;

/** The tiers that this command keeps for single guests. */
export const OWN_TIERS: Readonly<Record<Mode, string>> = {
  act: 'TIER_activated',
  observe: 'TIER_observed',
};

const BY_HAND = 'edit scaling_mode in the file by hand, then run: lxc-autoscale check-config';

export function editMode(text: string, target: Target, mode: Mode): Edited {
  const parsed = parseYaml(text);
  if (!parsed.ok || parsed.root?.kind !== 'map') {
    return { ok: false, message: `the file has a form that cannot be edited here; ${BY_HAND}` };
  }
  const file = new Lines(text, parsed.root);
  const inline = file.inline();
  if (inline !== undefined) {
    return { ok: false, message: `${inline} is written in one line with braces; ${BY_HAND}` };
  }
  if (target.kind === 'guest') return editGuest(file, target.vmid, mode);
  for (const name of target.kind === 'all' ? file.names() : [target.name]) {
    const isNamed = target.kind === 'section' || name === 'DEFAULT';
    if (mode === 'observe') observeSection(file, name, isNamed);
    else actSection(file, name, isNamed);
  }
  if (target.kind === 'all' && mode === 'observe' && !file.has('DEFAULT')) {
    file.append(['DEFAULT:', `  ${OBSERVE}`]);
  }
  return { ok: true, text: file.text() };
}

/** @param isNamed false: it only follows DEFAULT, and keeps what it says itself */
function observeSection(file: Lines, name: string, isNamed: boolean): void {
  const mode = file.valueLine(name, 'scaling_mode');
  const indent = file.indentOf(name);
  const line = mode === undefined ? undefined : file.at(mode);
  if (line?.trimStart().startsWith(OBSERVE) === true) return;
  const now = isNamed ? [`${indent}${OBSERVE}`] : [];
  if (mode === undefined) file.insert(file.lineOf(name), now);
  else file.replace(mode, [`${indent}${LATER}${line?.trim()}`, ...now]);
}

function actSection(file: Lines, name: string, isNamed: boolean): void {
  const mode = file.valueLine(name, 'scaling_mode');
  const later = file.lines(name).find((line) => file.at(line).trimStart().startsWith(LATER));
  const isObserve = file.observes(name);
  if (isObserve && !isNamed) return;
  const own = [`${file.indentOf(name)}${ACT}`];
  if (later !== undefined) file.replace(later, [file.at(later).replace(LATER, '')]);
  if (mode !== undefined && isObserve) {
    for (let above = mode - 1; OUR_COMMENT.test(file.at(above)); above--) file.replace(above, []);
    // Without a line of its own it would observe as DEFAULT does.
    const isLeft = later === undefined && name !== 'DEFAULT' && file.observes('DEFAULT');
    file.replace(mode, isLeft ? own : []);
  }
  if (mode === undefined && later === undefined && isNamed && name !== 'DEFAULT') {
    file.insert(file.lineOf(name), own);
  }
}

function editGuest(file: Lines, vmid: Vmid, mode: Mode): Edited {
  const from = OWN_TIERS[mode === 'act' ? 'observe' : 'act'];
  if (file.has(from) && !file.setList(from, (ids) => ids.filter((id) => id !== `${vmid}`))) {
    return { ok: false, message: `${from} has a form that cannot be edited here; ${BY_HAND}` };
  }
  const to = OWN_TIERS[mode];
  const added = (ids: readonly string[]): string[] => [...new Set([...ids, `${vmid}`])];
  if (!file.has(to)) {
    const line = mode === 'act' ? ACT : OBSERVE;
    file.append([`${to}:`, `  lxc_containers: [${vmid}]`, `  ${line}`]);
  } else if (!file.setList(to, added)) {
    return { ok: false, message: `${to} has a form that cannot be edited here; ${BY_HAND}` };
  }
  return { ok: true, text: file.text() };
}

/** The lines of a file by their numbers, which stay as they were while some are replaced. */
class Lines {
  readonly #lines: string[];
  readonly #entries: readonly YamlEntry[];
  readonly #changed = new Map<number, readonly string[]>();
  readonly #end: string;
  #appended: readonly string[] = [];

  constructor(text: string, root: YamlMap) {
    this.#end = text.includes('\r\n') ? '\r\n' : '\n';
    this.#lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
    this.#entries = root.entries;
  }

  names(): readonly string[] {
    return this.#entries.map(({ key }) => key).filter((key) => /^(DEFAULT$|TIER_)/.test(key));
  }

  has = (name: string): boolean => this.#entries.some(({ key }) => key === name);

  /** A section with braces, which has no line for each key. */
  inline(): string | undefined {
    const isInline = ({ line, value, key }: YamlEntry): boolean =>
      /^(DEFAULT$|TIER_)/.test(key) &&
      value.kind === 'map' &&
      value.entries.some((entry) => entry.line === line);
    return this.#entries.find(isInline)?.key;
  }

  #section(name: string): YamlEntry | undefined {
    return this.#entries.find(({ key }) => key === name);
  }

  /** 1-based, as all of them; the file must have the section. */
  lineOf(name: string): number {
    return this.#section(name)?.line ?? 0;
  }

  /** The numbers of all lines below a section, also of comments. */
  lines(name: string): readonly number[] {
    const begin = this.lineOf(name) + 1;
    const next = this.#entries.filter(({ line }) => line >= begin).map(({ line }) => line);
    const end = Math.min(this.#lines.length + 1, ...next);
    return Array.from({ length: Math.max(0, end - begin) }, (_, index) => begin + index);
  }

  valueLine(name: string, key: string): number | undefined {
    const section = this.#section(name)?.value;
    if (section?.kind !== 'map') return undefined;
    return section.entries.find((entry) => entry.key === key)?.line;
  }

  observes(name: string): boolean {
    const line = this.valueLine(name, 'scaling_mode');
    return line !== undefined && this.at(line).trimStart().startsWith(OBSERVE);
  }

  indentOf(name: string): string {
    const section = this.#section(name)?.value;
    const first = section?.kind === 'map' ? section.entries[0]?.line : undefined;
    return /^\s*/.exec(first === undefined ? '' : this.at(first))?.[0] || '  ';
  }

  at(line: number): string {
    return this.#lines[line - 1] ?? '';
  }

  replace(line: number, by: readonly string[]): void {
    this.#changed.set(line, by);
  }

  insert(after: number, added: readonly string[]): void {
    this.replace(after, [...(this.#changed.get(after) ?? [this.at(after)]), ...added]);
  }

  append(added: readonly string[]): void {
    this.#appended = ['', ...added];
  }

  /** Changes `lxc_containers: [...]` of a section; one that names nobody goes. Whether it could. */
  setList(name: string, change: (ids: readonly string[]) => readonly string[]): boolean {
    const line = this.valueLine(name, 'lxc_containers');
    const [, head = '', list] = /^(\s*lxc_containers:\s*)\[([^\]]*)\]\s*$/.exec(
      line === undefined ? '' : this.at(line),
    ) ?? [undefined];
    if (line === undefined || list === undefined) return false;
    const ids = list.split(',').map((id) => id.trim());
    const left = change(ids.filter((id) => id !== ''));
    if (left.length > 0) this.replace(line, [`${head}[${left.join(', ')}]`]);
    else for (const each of [this.lineOf(name), ...this.lines(name)]) this.replace(each, []);
    return true;
  }

  text(): string {
    const kept = this.#lines.flatMap((line, index) => this.#changed.get(index + 1) ?? [line]);
    while (this.#appended.length > 0 && kept.at(-1) === '') kept.pop();
    return [...kept, ...this.#appended, ''].join(this.#end);
  }
}
