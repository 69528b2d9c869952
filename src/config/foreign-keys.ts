import type { Verdict } from './migrate-keys.ts';
import { convertValue } from './migrate-values.ts';
import type { MigratedLine } from './migrated.ts';
import { printableKey } from './printable.ts';
import { toBoolean } from './read-values.ts';
import type { Entry } from './schema.ts';
import { type Environment, expandVariables } from './variables.ts';
import type { YamlEntry, YamlNode } from './yaml.ts';

/**
 * A file of another tool, read key by key. Each key is asked for by its name, and what nobody asked
 * for is a reason to refuse the file: half of what it means could be a change of other guests.
 */

export interface ForeignFault {
  readonly line: number;
  readonly message: string;
}

/** What was said of the keys so far. */
export class ForeignReport {
  readonly lines: MigratedLine[] = [];
  readonly faults: ForeignFault[] = [];

  constructor(readonly env: Environment) {}

  say(line: number, key: string, verdict: Verdict, why: string): void {
    this.lines.push({ line, key, verdict, why });
  }

  refuse(line: number, key: string, message: string): void {
    this.faults.push({ line, message: `${key} ${message}; mend it there and migrate again` });
  }

  /** The text with its variables, for a look at it; undefined if one of them is not set. */
  known(text: string): string | undefined {
    const expanded = expandVariables(text, this.env);
    return expanded.ok ? expanded.text : undefined;
  }
}

/** A value on its way into the new file. */
export interface Written {
  readonly key: string;
  /** As YAML. */
  readonly value: string | readonly string[];
  /** Of the old file; undefined if it was added. */
  readonly line: number | undefined;
  /** Why it was added. */
  readonly added?: string;
}

/** What the new file reads from variables, since the old one has it in clear. */
export interface NeededVariable {
  readonly name: string;
  readonly line: number;
}

export class ForeignKeys {
  readonly #left = new Map<string, YamlEntry>();

  /** @param path of the section, with a point at its end; empty for the file */
  constructor(
    readonly report: ForeignReport,
    readonly path: string,
    readonly line: number,
    entries: readonly YamlEntry[],
  ) {
    for (const entry of entries) {
      if (this.#left.has(entry.key)) report.refuse(entry.line, this.at(entry.key), 'stands twice');
      this.#left.set(entry.key, entry);
    }
  }

  at(key: string): string {
    return `${this.path}${printableKey(key)}`;
  }

  has(key: string): boolean {
    return this.#left.has(key);
  }

  left(): readonly string[] {
    return [...this.#left.keys()];
  }

  take(key: string): YamlEntry | undefined {
    const entry = this.#left.get(key);
    this.#left.delete(key);
    return entry;
  }

  /** A look at its value that leaves it to be asked for. */
  peek(key: string): YamlNode | undefined {
    return this.#left.get(key)?.value;
  }

  refuse(line: number, key: string, message: string): void {
    this.report.refuse(line, this.at(key), message);
  }

  say({ line, key }: YamlEntry, verdict: Verdict, why: string): void {
    this.report.say(line, this.at(key), verdict, why);
  }

  /** A text on one line, not looked into. */
  text(key: string): (YamlEntry & { readonly text: string }) | undefined {
    const entry = this.take(key);
    if (entry === undefined || entry.value.kind === 'null') return undefined;
    if (entry.value.kind === 'text') return { ...entry, text: entry.value.text.trim() };
    this.refuse(entry.line, key, 'is no single value');
    return undefined;
  }

  /**
   * @param usual what holds if the key is left out
   * @param meant what it means where it is on, and where it is off
   */
  flag(key: string, usual: boolean, meant: readonly [on: string, off: string]): boolean {
    const found = this.text(key);
    if (found === undefined) return usual;
    const value = toBoolean(this.report.known(found.text) ?? '');
    if (typeof value === 'boolean') {
      this.say(found, 'converted', meant[value ? 0 : 1]);
      return value;
    }
    // What is no short word could be a secret in the wrong line.
    const shown = /^[a-z]{1,12}$/i.test(found.text) ? `: '${found.text}'` : '';
    this.refuse(found.line, key, `is neither true nor false${shown}`);
    return usual;
  }

  /** A value that keys of this program take, all of them the same. */
  value(key: string, to: readonly (readonly [string, Entry])[]): Written[] {
    const entry = this.take(key);
    if (entry === undefined || entry.value.kind === 'null') return [];
    const names = to.map(([name]) => name);
    const written = to.flatMap(([name, schema]): Written[] => {
      const converted = convertValue(schema, entry.value, this.report.env);
      if (!converted.ok) this.refuse(entry.line, key, `cannot be taken: ${converted.why}`);
      return converted.ok ? [{ key: name, value: converted.written, line: entry.line }] : [];
    });
    this.say(entry, names.join() === key ? 'taken' : 'converted', nowCalled(key, names));
    return written;
  }

  /** Several keys, each with the keys of this program that take its value. */
  values(known: Readonly<Record<string, readonly (readonly [string, Entry])[]>>): Written[] {
    return Object.entries(known).flatMap(([key, to]) => this.value(key, to));
  }

  /** What this program does in any case, or has no use for. */
  drop(key: string, why: string, verdict: 'dropped' | 'not supported' = 'dropped'): void {
    const entry = this.take(key);
    if (entry !== undefined) this.say(entry, verdict, why);
  }

  section(key: string): ForeignKeys | undefined {
    const entry = this.take(key);
    if (entry === undefined || entry.value.kind === 'null') return undefined;
    return this.#inner(entry.value, key);
  }

  /** The sections of a list. */
  sections(key: string): readonly ForeignKeys[] {
    const entry = this.take(key);
    if (entry === undefined || entry.value.kind === 'null') return [];
    if (entry.value.kind !== 'list') {
      this.refuse(entry.line, key, 'is no list');
      return [];
    }
    return entry.value.items.flatMap((item, at) => this.#inner(item, `${key}[${at + 1}]`) ?? []);
  }

  #inner(node: YamlNode, key: string): ForeignKeys | undefined {
    if (node.kind !== 'map') {
      this.refuse(node.line, key, 'holds no keys');
      return undefined;
    }
    return new ForeignKeys(this.report, `${this.at(key)}.`, node.line, node.entries);
  }

  /** Refuses what nobody has asked for. */
  end(): void {
    for (const { key, line } of this.#left.values()) {
      this.refuse(line, key, 'is a key that is not known, so it is not clear what it changes');
    }
    this.#left.clear();
  }
}

const nowCalled = (key: string, names: readonly string[]): string =>
  names.join() === key ? '' : `now ${names.join(' and ')}`;
