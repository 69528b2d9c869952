import { milliseconds } from '../../src/core/units.ts';
import type { Letter } from '../../src/notify/channel.ts';

export const LETTER: Letter = {
  host: 'pve1',
  title: 'lxc-autoscale on pve1: 1 failed, 2 changed',
  text: '2026-11-22 04:00:00\nContainer 101 (größe "x"): memory 512 -> 1024 MB.\n.\nlast line',
  severity: 'error',
  atMs: milliseconds(Date.UTC(2026, 10, 22, 3, 0, 0)),
  time: '2026-11-22 04:00:00',
};

export const NEVER = new AbortController().signal;

export const LIMITS = { timeLimitMs: milliseconds(5000), caFile: undefined };
export const HASTY = { timeLimitMs: milliseconds(200), caFile: undefined };

/** A letter on so many changes, of containers with names as long as they can be. */
export function many(count: number): Letter {
  const lines = Array.from({ length: count }, (_, index) => {
    const name = `${'a'.repeat(55)}-${1000 + index}`;
    return `Container ${101 + index} (${name}): memory 1024 -> 1536 MB, since it uses 900 MB.`;
  });
  return { ...LETTER, text: [LETTER.time, ...lines].join('\n') };
}
