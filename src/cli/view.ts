import type { ProcessContext } from '../app/context.ts';
import { clip, padTo, textWidth } from '../output/text-width.ts';
import type { Arguments } from './arguments.ts';

/** How wide and how coloured a table may be, and the table that fits. */

export interface View {
  readonly isTerminal: boolean;
  /** undefined: lines are never cut, and no column is left out. */
  readonly width: number | undefined;
  readonly paint: Paint;
  /** The keys of the columns that are wanted; undefined: as many as fit. */
  readonly columns: readonly string[] | undefined;
}

export type Colour = 'red' | 'amber' | 'green' | 'dim' | 'bold';
export type Paint = (colour: Colour, text: string) => string;

const CODES: Readonly<Record<Colour, string>> = {
  red: '31',
  amber: '33',
  green: '32',
  dim: '2',
  bold: '1',
};

const painted: Paint = (colour, text) => `\x1b[${CODES[colour]}m${text}\x1b[0m`;
export const plain: Paint = (_colour, text) => text;

/** Of a pipe or a file, which has no width of its own, and of a terminal that does not tell it. */
const USUAL_WIDTH = 120;

/** Colours are for terminals only, and not where they are unwanted. Source: https://no-color.org */
export function viewOf({ view }: Pick<Arguments, 'view'>, context: ProcessContext): View {
  const { isTTY = false } = context.stdout as Partial<NodeJS.WriteStream>;
  const isUnwanted = !view.colour || Boolean(context.env['NO_COLOR']);
  const isDumb = context.env['TERM'] === 'dumb';
  return {
    isTerminal: isTTY,
    width: view.wide ? undefined : (terminalWidth(context) ?? USUAL_WIDTH),
    paint: isTTY && !isUnwanted && !isDumb ? painted : plain,
    columns: view.columns,
  };
}

export interface Column {
  /** As `--columns` names it. */
  readonly key: string;
  readonly head: string;
  /** If there is no room, the highest goes first; 0 stays. */
  readonly rank: number;
  /** Its cells are cut before a column of a low rank goes. */
  readonly mayBeCut?: true;
}

const GAP = 2;
/** The last column is a sentence: it takes what is left, and never less than this. */
const LEAST_LAST = 12;
/** Other columns leave for this much of it. */
const WANTED_LAST = 24;
/** A column that may be cut is never narrower. */
const LEAST_CUT = 8;
/** Columns of at most this rank leave only if nothing else makes the table fit. */
const KEPT_RANK = 2;

/**
 * Columns two blanks apart, as many as the width has room for. The last cell of a row is cut.
 *
 * @param rows a cell for each column
 * @param tint paints the last cell of a row
 */
export function fitted(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { width, columns: wanted, paint }: Omit<View, 'isTerminal'>,
  tint: (row: number, text: string) => string = (_row, text) => text,
): readonly string[] {
  const widths = columns.map(({ head }, column) =>
    Math.max(head.length, ...rows.map((row) => textWidth(row[column] ?? ''))),
  );
  const shown = shownColumns(columns, widths, { width, columns: wanted });
  const last = shown.at(-1) ?? 0;
  const before = shown.slice(0, -1);
  const taken = (): number => before.reduce((sum, column) => sum + (widths[column] ?? 0) + GAP, 0);
  const cut = before.find((column) => columns[column]?.mayBeCut === true);
  if (width !== undefined && cut !== undefined) {
    const over = taken() + Math.min(widths[last] ?? 0, WANTED_LAST) - width;
    const own = widths[cut] ?? 0;
    if (over > 0) widths[cut] = Math.max(Math.min(own, LEAST_CUT), own - over);
  }
  const room = width === undefined ? undefined : Math.max(LEAST_LAST, width - taken());
  const line = (cells: readonly string[], row: number): string => {
    const end = clip(cells[last] ?? '', room);
    const begin = before.map((column) => {
      const own = widths[column] ?? 0;
      return padTo(clip(cells[column] ?? '', own), own + GAP);
    });
    if (row < 0) return paint('bold', `${begin.join('')}${end}`.trimEnd());
    return `${begin.join('')}${tint(row, end)}`.trimEnd();
  };
  return [
    line(
      columns.map(({ head }) => head),
      -1,
    ),
    ...rows.map(line),
  ];
}

/** The places of the columns that are shown, in order. */
function shownColumns(
  columns: readonly Column[],
  widths: readonly number[],
  { width, columns: wanted }: Pick<View, 'width' | 'columns'>,
): readonly number[] {
  if (wanted !== undefined) {
    return wanted.flatMap((key) => {
      const place = columns.findIndex((column) => column.key === key);
      return place < 0 ? [] : [place];
    });
  }
  const shown = columns.map((_, place) => place);
  const end = shown.length - 1;
  const needed = (isLastResort: boolean): number =>
    shown.reduce((sum, place) => {
      const own = widths[place] ?? 0;
      const isCut = isLastResort && columns[place]?.mayBeCut === true;
      const most =
        place !== end ? (isCut ? LEAST_CUT : own) : isLastResort ? LEAST_LAST : WANTED_LAST;
      return sum + Math.min(own, most) + GAP;
    }, -GAP);
  for (const isLastResort of [false, true]) {
    while (width !== undefined && needed(isLastResort) > width) {
      const ranks = shown.map((place) => columns[place]?.rank ?? 0);
      const highest = Math.max(...ranks);
      if (highest <= (isLastResort ? 0 : KEPT_RANK)) break;
      shown.splice(ranks.indexOf(highest), 1);
    }
  }
  return shown;
}

/** Words in lines of at most this width; a word that is longer has a line of its own. */
export function folded(text: string, width: number | undefined): readonly string[] {
  if (width === undefined) return [text];
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1) ?? ''} ${word}`;
    if (lines.length > 0 && textWidth(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Of a terminal; undefined elsewhere, where lines stay whole, for grep and for files. */
export const terminalWidth = ({ stdout }: Pick<ProcessContext, 'stdout'>): number | undefined =>
  widthOf(stdout);

/** A serial console says that it has no columns at all. */
export function widthOf(stream: object): number | undefined {
  const { isTTY = false, columns } = stream as Partial<NodeJS.WriteStream>;
  return isTTY ? columns || undefined : undefined;
}

/** A mark, a heading and two blanks, before what is said. */
const HEADED = /^[ *] \S.*? {2,}(?=\S)/;
const LEAST_HUNG = 20;
const INDENT = 2;

/** Sentences at the width of the terminal: what is longer goes on below its own beginning. */
export function hanging(lines: readonly string[], width: number | undefined): readonly string[] {
  if (width === undefined) return lines;
  return lines.flatMap((line) => {
    if (textWidth(line) <= width) return [line];
    const head = HEADED.exec(line)?.[0] ?? '';
    const isHung = head !== '' && width - head.length >= LEAST_HUNG;
    const indent = isHung ? head.length : INDENT;
    const [first = '', ...rest] = folded(line.slice(indent), width - indent);
    return [line.slice(0, indent) + first, ...rest.map((more) => ' '.repeat(indent) + more)];
  });
}
