import { padTo, textWidth } from './text-width.ts';

/** Columns two blanks apart. A sentence may end a row; it widens no column. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const columns = rows[0]?.length ?? 0;
  const widths: number[] = [];
  for (const row of rows) {
    const cells = row.length < columns ? row.slice(0, -1) : row.slice(0, columns);
    for (const [column, cell] of cells.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, textWidth(cell));
    }
  }
  return rows.map((row) =>
    row
      .map((cell, column) => padTo(cell, widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
