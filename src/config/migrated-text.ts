import type { Carried } from './migrate-keys.ts';
import type { Block } from './migrated-block.ts';
import type { OldFile } from './old-file.ts';
import { printable, printableKey } from './printable.ts';
import { commentLines, keptComment, yamlLines, yamlScalar } from './yaml-text.ts';

/** The new file of a migration, as text, with what stands in which of its lines. */

export interface Place {
  readonly block: Block;
  /** undefined: the head of the section. */
  readonly carried: Carried | undefined;
}

export interface Rendered {
  readonly text: string;
  /** By line, from 1 on. */
  readonly places: ReadonlyMap<number, Place>;
}

/** Writes the sections with the comments of the old file where they stood. Pure. */
export function renderMigrated(
  shownFile: string,
  file: OldFile,
  blocks: readonly Block[],
): Rendered {
  const page = new Page(file);
  for (const line of commentLines(
    HEAD.replace('FILE', () => printable(shownFile, 400)),
    '',
  )) {
    page.add(line);
  }
  if (!blocks.some(({ name, dead }) => name === 'DEFAULT' && dead === undefined)) {
    page.add('', 'DEFAULT:');
  }
  for (const block of blocks) renderBlock(block, page);
  page.rest();
  return { text: `${page.lines.join('\n')}\n`, places: page.places };
}

const HEAD =
  'Configuration of lxc-autoscale, carried over from FILE. What that file holds and this program ' +
  'does not take stands here as comments, each with its reason.';

class Page {
  readonly lines: string[] = [];
  readonly places = new Map<number, Place>();
  readonly #kept = new Set<number>();
  readonly #comments: readonly (readonly [number, string])[];
  /** Of each line with a key, the one with a key before it. */
  readonly #before = new Map<number, number>();
  readonly #after = new Map<number, number>();
  #reason = '';

  constructor(private readonly file: OldFile) {
    this.#comments = [...file.comments].sort(([a], [b]) => a - b);
    const heads = file.sections.flatMap(({ line, entries }) => [
      line,
      ...entries.map((entry) => entry.line),
    ]);
    let before = 0;
    for (const line of heads.sort((a, b) => a - b)) {
      if (line === before) continue;
      this.#before.set(line, before);
      this.#after.set(before, line);
      before = line;
    }
  }

  add(...lines: readonly string[]): void {
    this.lines.push(...lines);
  }

  /** Why something is a comment; said once for several in a row. */
  because(reason: string, indent: string): void {
    if (reason !== '' && reason !== this.#reason) this.add(...commentLines(reason, indent));
    this.#reason = reason;
  }

  /** Lines that the loader may complain about. A reason above them may hold for the next, too. */
  put(lines: readonly string[], place: Place, isSharing = false): void {
    if (!isSharing) this.#reason = '';
    for (const line of lines) {
      this.lines.push(line);
      this.places.set(this.lines.length, place);
    }
  }

  /** The comments that stand above a line of the old file, as far as its last key. */
  above(line: number | undefined, indent: string): void {
    if (line === undefined) return;
    const after = this.#before.get(line) ?? line;
    for (const [at, text] of this.#comments) {
      if (at <= after || at > line || this.#kept.has(at)) continue;
      this.#kept.add(at);
      this.add(keptComment(text, indent));
    }
  }

  aside(line: number | undefined): string {
    const text = line === undefined ? undefined : this.file.asides.get(line);
    return text === undefined || text.trim() === '' ? '' : `  ${keptComment(text, '')}`;
  }

  /** Comments behind the further lines of a value that goes over several. */
  within(line: number | undefined, indent: string): void {
    if (line === undefined) return;
    const end = this.#after.get(line) ?? Number.POSITIVE_INFINITY;
    for (const [at, text] of this.file.asides) {
      if (at > line && at < end) this.add(keptComment(text, indent));
    }
  }

  /** Comments that no key follows. */
  rest(): void {
    const left = this.#comments.filter(([at]) => !this.#kept.has(at));
    if (left.length > 0) this.add('');
    for (const [, text] of left) this.add(keptComment(text, ''));
  }
}

function renderBlock(block: Block, page: Page): void {
  const { name, dead, line, carried } = block;
  page.add('');
  page.above(line, '');
  const isStray = name === '';
  if (dead !== undefined) {
    page.because(`Not supported: ${dead}`, '');
    page.add(`# ${printable(name, 200)}:`);
  } else if (!isStray) {
    page.put([`${yamlScalar(name)}:${page.aside(line)}`], { block, carried: undefined });
  }
  for (const one of carried) {
    const indent = isStray || dead !== undefined ? '' : '  ';
    page.above(one.line, indent);
    if (one.written === undefined || dead !== undefined) renderComment(one, indent, page);
    else renderKey(one, block, page);
  }
}

function renderKey(one: Carried, block: Block, page: Page): void {
  const { key, written, verdict, why } = one;
  if (written === undefined) return;
  const isAdded = verdict === 'added';
  if (isAdded) page.because(`Added: ${why}`, '  ');
  else if (/left out:/.test(why)) page.add(...commentLines(`Note: ${why}`, '  '));
  const lines = yamlLines(key, written, '  ');
  const [first = '', ...more] = lines;
  page.put([`${first}${page.aside(one.line)}`, ...more], { block, carried: one }, isAdded);
  page.within(one.line, '  ');
}

const SAID = { dropped: 'Dropped', 'not supported': 'Not supported' } as const;

function renderComment(one: Carried, indent: string, page: Page): void {
  const { verdict, why, shown, line, oldKey } = one;
  if (verdict === 'dropped' || verdict === 'not supported') {
    page.because(why === '' ? '' : `${SAID[verdict]}: ${why}`, indent);
  }
  const value = shown === '' ? '' : ` ${shown}`;
  const key = printableKey(oldKey);
  page.add(keptComment(` ${key}:${value}`, indent));
  const aside = page.aside(line);
  if (aside !== '') page.add(`${indent}${aside.trimStart()}`);
  page.within(line, indent);
}
