import type { ForeignKeys, ForeignReport, NeededVariable, Written } from './foreign-keys.ts';
import type { Placed } from './foreign-place.ts';
import { KEYS } from './keys.ts';
import { parseConfig } from './load.ts';
import type { Migrated, Whereabouts } from './migrated.ts';
import { printable } from './printable.ts';
import type { Entry } from './schema.ts';
import type { Environment } from './variables.ts';
import { commentLines, yamlLines, yamlScalar } from './yaml-text.ts';

/** The new file that is made of another tool's. */

export interface Draft {
  readonly tool: string;
  readonly defaults: Written[];
  readonly nodes: Placed[];
  /** That `defaults` read. */
  readonly variables: NeededVariable[];
  readonly tiers: { readonly name: string; readonly keys: readonly Written[] }[];
}

export type DefaultKey = keyof typeof KEYS.default;

/** The keys of this program that take a value, for `ForeignKeys`. */
export const to = (...keys: readonly DefaultKey[]): readonly (readonly [string, Entry])[] =>
  keys.map((key) => [key, KEYS.default[key]]);

/**
 * The beginning of a draft: it manages only the guests that are listed.
 *
 * @param usual what that tool takes where a file leaves the key out
 */
export function draftOf(
  tool: string,
  own: readonly Written[],
  usual: readonly (readonly [DefaultKey, string])[],
  variables: NeededVariable[] = [],
): Draft {
  const left = usual.filter(([key]) => !own.some((one) => one.key === key));
  const added = 'what that tool takes, where its file leaves it out';
  const defaults: Written[] = [
    { key: 'manage', value: 'listed', line: undefined },
    ...own,
    ...left.map(([key, value]) => ({ key, value, line: undefined, added })),
  ];
  return { tool, defaults, nodes: [], variables, tiers: [] };
}

/** One that this program does not have is above `error`. */
export function logLevel(keys: ForeignKeys, key: string): Written[] {
  const found = keys.peek(key);
  const isAbove = found?.kind === 'text' && found.text.trim().toUpperCase() === 'CRITICAL';
  if (!isAbove) return keys.value(key, to('log_level'));
  keys.drop(key, 'now error, which is the highest here');
  return [{ key: 'log_level', value: 'error', line: found.line }];
}

/** The new file, or why there is none: it must load as it is, or nothing is made. */
export function finished(
  draft: Draft,
  report: ForeignReport,
  shownFile: string,
  where: Whereabouts,
): Migrated {
  const [fault] = [...report.faults].sort((a, b) => a.line - b.line);
  const more = report.faults.length - 1;
  if (fault !== undefined) {
    const others = more === 0 ? '' : ` (and ${more} more, of which the next try tells)`;
    return { ok: false, line: fault.line, message: fault.message + others };
  }
  const page = new Page();
  const head =
    `Configuration of lxc-autoscale, carried over from ${printable(shownFile, 400)}, a ` +
    `configuration of ${draft.tool}. It manages the guests that are listed here, and no others.`;
  page.lines.push(...commentLines(head, ''));
  const needed = [...draft.nodes.flatMap(({ variables }) => variables), ...draft.variables];
  const names = new Map(needed.map((one) => [one.name, one]));
  for (const one of names.values()) page.needs(one);
  page.section('DEFAULT', draft.defaults);
  if (draft.nodes.length > 0) page.nodes(draft.nodes);
  for (const { name, keys } of draft.tiers) page.section(name, keys);
  return page.checked(report, shownFile, where);
}

class Page {
  readonly lines: string[] = [];
  /** From a line here to that of the old file. */
  readonly #origins = new Map<number, number>();

  needs({ name, line }: NeededVariable): void {
    const how = `Set ${name} in /etc/lxc_autoscale/environment, to the secret of line ${line}.`;
    this.lines.push(...commentLines(how, ''));
  }

  section(name: string, keys: readonly Written[]): void {
    this.lines.push('', `${name}:`);
    this.#keys(keys, '  ');
  }

  nodes(nodes: readonly Placed[]): void {
    this.lines.push('', 'NODES:');
    for (const { name, keys } of nodes) {
      this.lines.push(`  ${yamlScalar(name)}:`);
      this.#keys(keys, '    ');
    }
  }

  #keys(keys: readonly Written[], indent: string): void {
    let reason = '';
    for (const { key, value, line, added = '' } of keys) {
      if (added !== '' && added !== reason) {
        this.lines.push(...commentLines(`Added: ${added}`, indent));
      }
      reason = added;
      for (const one of yamlLines(key, value, indent)) {
        this.lines.push(one);
        if (line !== undefined) this.#origins.set(this.lines.length, line);
      }
    }
  }

  checked({ env, lines }: ForeignReport, shownFile: string, { self }: Whereabouts): Migrated {
    const text = `${this.lines.join('\n')}\n`;
    const asIf = withPlaceholders(text, env);
    const loaded = parseConfig(text, shownFile, asIf, self && (() => self), 'for its variables');
    if (loaded.ok) {
      const inOrder = [...lines].sort((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity));
      return { ok: true, form: 'YAML', text, lines: inOrder };
    }
    const { line, key = '', message } = loaded.problems[0] ?? { line: undefined, message: '' };
    const why = `${key}: ${withoutValue(message)}`;
    const what = `cannot be taken as it is: ${why}; mend it and migrate again`;
    return { ok: false, line: this.#origins.get(line ?? 0), message: what };
  }
}

/** An address can have a password in it. */
export const withoutValue = (message: string): string =>
  message.replace(/^'(?:[^']|'')*' /, 'the value ');

/** A login may name variables that are not set yet: those have a value that fits. */
const PLACEHOLDER = 'user@pam!name';

/** The variables that the text names, as they are set, or with a value that fits a login. */
export function withPlaceholders(text: string, env: Environment): Environment {
  const names = [...text.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g)].map(([, name = '']) => name);
  return Object.fromEntries(names.map((name) => [name, env[name] || PLACEHOLDER]));
}
