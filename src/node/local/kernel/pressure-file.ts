import type { Pressure } from '../../../core/observation.ts';
import { microseconds, percentToRatio } from '../../../core/units.ts';
import { decimalNumber, wholeNumber } from '../../../os/byte-numbers.ts';

const NEWLINE = 0x0a;
const SPACE = 0x20;
const SOME = Buffer.from('some avg10=');
const FULL = Buffer.from('full avg10=');
const TOTAL = Buffer.from(' total=');

/**
 * Reads a pressure file (PSI), of a cgroup or of the host; undefined if it is malformed.
 *
 *     some avg10=0.70 avg60=0.40 avg300=0.26 total=7168823
 *     full avg10=0.00 avg60=0.00 avg300=0.00 total=0
 *
 * Averages are in percent, totals in microseconds. Source: the kernel's accounting/psi.rst.
 */
export function parsePressure(bytes: Uint8Array, length: number): Pressure | undefined {
  const someEnd = bytes.indexOf(NEWLINE);
  const fullEnd = bytes.indexOf(NEWLINE, someEnd + 1);
  if (someEnd < 0 || fullEnd < 0 || fullEnd >= length) return undefined;
  const someAvg10 = average(bytes, 0, someEnd, SOME);
  const fullAvg10 = average(bytes, someEnd + 1, fullEnd, FULL);
  const someTotal = total(bytes, 0, someEnd);
  const fullTotal = total(bytes, someEnd + 1, fullEnd);
  if (someAvg10 < 0 || fullAvg10 < 0 || someTotal < 0 || fullTotal < 0) return undefined;
  return {
    someAvg10: percentToRatio(someAvg10),
    someTotalUs: microseconds(someTotal),
    fullAvg10: percentToRatio(fullAvg10),
    fullTotalUs: microseconds(fullTotal),
  };
}

/** The ten-second average of a line in percent, or -1. */
function average(bytes: Uint8Array, start: number, end: number, label: Uint8Array): number {
  if (!standsAt(bytes, start, label)) return -1;
  const from = start + label.length;
  let to = from;
  while (to < end && bytes[to] !== SPACE) to++;
  const percent = decimalNumber(bytes, from, to);
  return percent <= 100 ? percent : -1;
}

/** The number that ends a line, or -1. */
function total(bytes: Uint8Array, start: number, end: number): number {
  let last = end - 1;
  while (last > start && bytes[last] !== SPACE) last--;
  return standsAt(bytes, last, TOTAL) ? wholeNumber(bytes, last + TOTAL.length, end) : -1;
}

function standsAt(bytes: Uint8Array, start: number, label: Uint8Array): boolean {
  for (let at = 0; at < label.length; at++) {
    if (bytes[start + at] !== label[at]) return false;
  }
  return true;
}
