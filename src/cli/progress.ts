import type { Writable } from 'node:stream';
import type { Clock } from '../node/port.ts';

/** A bar on a terminal; nothing if the output goes elsewhere. */
export interface Progress {
  advance(by: number, doing: string): void;
  finish(): void;
}

const WIDTH = 30;
const REDRAW_MS = 100;
const ERASE_LINE = '\r\x1b[2K';

export function createProgress(out: Writable, whole: number, clock: Clock): Progress {
  if (!('isTTY' in out) || out.isTTY !== true) return { advance: () => {}, finish: () => {} };
  let done = 0;
  let drawnMs = Number.NEGATIVE_INFINITY;
  return {
    advance: (by, doing) => {
      done += by;
      const nowMs = clock.monotonicMs();
      if (nowMs - drawnMs < REDRAW_MS && done < whole) return;
      drawnMs = nowMs;
      const share = whole > 0 ? Math.min(1, done / whole) : 1;
      const full = Math.round(share * WIDTH);
      const bar = '#'.repeat(full).padEnd(WIDTH, '.');
      out.write(`${ERASE_LINE}[${bar}] ${Math.floor(share * 100)} % ${doing}`);
    },
    finish: () => {
      out.write(ERASE_LINE);
    },
  };
}
