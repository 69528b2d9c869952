/**
 * Values of the API as they come: numbers as numbers or as text, flags as 0 and 1. undefined
 * stands for what is not there and for what is none.
 */

/** What an answer is about. Throws if it is none of Proxmox VE. */
export function dataOf(text: string): unknown {
  const body: unknown = JSON.parse(text);
  if (typeof body === 'object' && body !== null && 'data' in body) return body.data;
  throw new Error('it has no data');
}

export type Row = Readonly<Record<string, unknown>>;

export const rowOf = (value: unknown): Row | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Row) : undefined;

export const rowsOf = (value: unknown): readonly Row[] | undefined =>
  Array.isArray(value)
    ? value.map(rowOf).filter((row): row is Row => row !== undefined)
    : undefined;

/** Never negative, never more than a double holds exactly. */
export function numberOf(value: unknown): number | undefined {
  const isNumber = typeof value === 'string' && /^[0-9]{1,16}(?:\.[0-9]{1,20})?$/.test(value);
  const number = isNumber ? Number(value) : value;
  if (typeof number !== 'number' || !(number >= 0)) return undefined;
  return number <= Number.MAX_SAFE_INTEGER ? number : undefined;
}

export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

export const flagOf = (value: unknown): boolean => value === 1 || value === '1' || value === true;
