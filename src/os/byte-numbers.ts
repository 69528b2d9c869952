/**
 * Numbers straight from the bytes of a kernel file, without making strings. Each function returns
 * -1 for what is not such a number, so that a hot path neither throws nor allocates.
 */

const ZERO = 0x30;
const DOT = 0x2e;
/** 2^53 - 1 has 16 digits; more can't be exact. */
const MOST_DIGITS = 16;
const MOST_DECIMALS = 9;

/** A whole number of digits only in `bytes[start..end)`, at most 2^53 - 1. */
export function wholeNumber(bytes: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > MOST_DIGITS) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : -1;
}

/** `12`, or `12.34` with at most nine decimals, in `bytes[start..end)`. */
export function decimalNumber(bytes: Uint8Array, start: number, end: number): number {
  let dot = start;
  while (dot < end && bytes[dot] !== DOT) dot++;
  const whole = wholeNumber(bytes, start, dot);
  if (whole < 0 || dot === end) return whole;
  const decimals = end - dot - 1;
  if (decimals > MOST_DECIMALS) return -1;
  const fraction = wholeNumber(bytes, dot + 1, end);
  return fraction < 0 ? -1 : whole + fraction / 10 ** decimals;
}
