import type { ProcessContext } from '../app/context.ts';
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

/** Of a pipe or a file, which has no width of its own. */
const USUAL_WIDTH = 120;

/** Colours are for terminals only, and not where they are unwanted. Source: https://no-color.org */
export function viewOf({ view }: Pick<Arguments, 'view'>, context: ProcessContext): View {
  const { isTTY = false, columns = USUAL_WIDTH } = context.stdout as Partial<NodeJS.WriteStream>;
  const isUnwanted = !view.colour || Boolean(context.env['NO_COLOR']);
  const isDumb = context.env['TERM'] === 'dumb';
  return {
    isTerminal: isTTY,
    width: view.wide ? undefined : isTTY ? columns : USUAL_WIDTH,
    paint: isTTY && !isUnwanted && !isDumb ? painted : plain,
    columns: view.columns,
  };
}

export interface Column {
  /** As `--columns` names it. */
  readonly key: string;
  readonly head: string;
  /** Where there is no room, the highest goes first; 0 stays. */
  readonly rank: number;
}

const GAP = 2;
/** The last column is a sentence: it takes what is left, and never less than this. */
const LEAST_LAST = 12;

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
    Math.max(head.length, ...rows.map((row) => lengthOf(row[column] ?? ''))),
  );
  const shown = shownColumns(columns, widths, { width, columns: wanted });
  const last = shown.at(-1) ?? 0;
  const before = shown.slice(0, -1);
  const taken = before.reduce((sum, column) => sum + (widths[column] ?? 0) + GAP, 0);
  const room = width === undefined ? undefined : Math.max(LEAST_LAST, width - taken);
  const line = (cells: readonly string[], row: number): string => {
    const end = clip(cells[last] ?? '', room);
    const begin = before.map((column) => pad(cells[column] ?? '', (widths[column] ?? 0) + GAP));
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
  const needed = (): number =>
    shown.reduce((sum, place) => {
      const own = place === end ? Math.min(widths[place] ?? 0, LEAST_LAST * 2) : widths[place];
      return sum + (own ?? 0) + GAP;
    }, -GAP);
  while (width !== undefined && needed() > width) {
    const ranks = shown.map((place) => columns[place]?.rank ?? 0);
    const highest = Math.max(...ranks);
    if (highest === 0) break;
    shown.splice(ranks.indexOf(highest), 1);
  }
  return shown;
}

const lengthOf = (text: string): number => [...text].length;

const pad = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - lengthOf(text)));

export function clip(text: string, width: number | undefined): string {
  if (width === undefined || lengthOf(text) <= width) return text;
  return `${[...text].slice(0, Math.max(0, width - 3)).join('')}...`;
}

/** Words in lines of at most this width; a word that is longer has a line of its own. */
export function folded(text: string, width: number | undefined): readonly string[] {
  if (width === undefined) return [text];
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1) ?? ''} ${word}`;
    if (lines.length > 0 && lengthOf(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
