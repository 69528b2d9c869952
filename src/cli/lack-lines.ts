import { firstOf } from '../core/first-of.ts';
import type { Vmid } from '../core/units.ts';

/** What is missing for the memory of a guest to shrink. */
export type GuestLack = readonly [vmid: Vmid, lack: string];

export const MOST_IDS = 12;

/** A line for all guests of whom the same is to be said. */
export function lackLines(lacks: readonly GuestLack[]): readonly string[] {
  const ids = new Map<string, Vmid[]>();
  for (const [vmid, lack] of lacks) ids.set(lack, [...(ids.get(lack) ?? []), vmid]);
  return [...ids].map(([lack, all]) => `${firstOf(all, MOST_IDS)}: ${lack}.`);
}
