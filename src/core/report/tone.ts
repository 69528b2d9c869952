import type { ContainerRow } from './status.ts';

/** How a row looks. Bad: it failed. Busy: something holds it. Idle: it is not scaled. */
export type Tone = 'calm' | 'busy' | 'bad' | 'idle';

const WENT_WELL: ReadonlySet<string> = new Set(['confirmed', 'pending', 'observed', 'dry-run']);

export const wentWrong = ({ lastChange }: Pick<ContainerRow, 'lastChange'>): boolean =>
  lastChange !== null && !WENT_WELL.has(lastChange.status);

/** The same for the page and the terminal. */
export function toneOf(row: ContainerRow): Tone {
  const { now, would, mode, state } = row;
  if (/failed|unreadable/.test(now.brief)) return 'bad';
  if (mode === 'ignored' || state.startsWith('stopped')) return 'idle';
  if (wentWrong(row)) return 'bad';
  if (would !== null) return 'busy';
  return isAtRest(now.brief) ? 'calm' : 'busy';
}

/** A guest that idles at its minimum is as it should be. */
const isAtRest = (brief: string): boolean =>
  brief.split(', ').every((part) => part === 'in band' || part.endsWith(' at minimum'));
