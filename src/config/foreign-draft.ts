import type { ForeignReport, NeededVariable, Written } from './foreign-keys.ts';
import type { Placed } from './foreign-place.ts';
import { parseConfig } from './load.ts';
import type { Migrated, Whereabouts } from './migrated.ts';
import { printable } from './printable.ts';
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

/** Fit for every key of a login. */
const PLACEHOLDER = 'user@pam!name';

/** Where a variable is not set yet, what depends on its value is looked at when it is. */
export function withPlaceholders(text: string, env: Environment): Environment {
  const names = [...text.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g)].map(([, name = '']) => name);
  const unset = names.filter((name) => (env[name] ?? '') === '');
  return { ...Object.fromEntries(unset.map((name) => [name, PLACEHOLDER])), ...setIn(env, names) };
}

/** Those of them that are set. What a file of its own holds is read here. */
const setIn = (env: Environment, names: readonly string[]): Environment =>
  Object.fromEntries(
    names.flatMap((name) => {
      const value = env[name] ?? '';
      return value === '' ? [] : [[name, value]];
    }),
  );
