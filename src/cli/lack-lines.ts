import type { Vmid } from '../core/units.ts';

/** What is missing for the memory of a guest to shrink. */
export type GuestLack = readonly [vmid: Vmid, lack: string];

const MOST_IDS = 12;

/** A line for all guests of whom the same is to be said. */
export function lackLines(lacks: readonly GuestLack[]): readonly string[] {
  const ids = new Map<string, Vmid[]>();
  for (const [vmid, lack] of lacks) ids.set(lack, [...(ids.get(lack) ?? []), vmid]);
  return [...ids].map(([lack, all]) => `${idWords(all)}: ${lack}.`);
}

function idWords(ids: readonly Vmid[]): string {
  const more = ids.length > MOST_IDS ? ` and ${ids.length - MOST_IDS} more` : '';
  return `${ids.slice(0, MOST_IDS).join(', ')}${more}`;
}
