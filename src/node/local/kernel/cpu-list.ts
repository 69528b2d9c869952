import { wholeNumber } from '../../../os/byte-numbers.ts';

const NEWLINE = 0x0a;
const COMMA = 0x2c;
const DASH = 0x2d;
/** Far above the 8192 of any kernel; what claims more is no list of CPUs. */
const LARGEST_CPU = 65_535;

/**
 * Counts the CPUs of a list in the kernel's form, `0-1,3` and a newline: 3. Returns 0 for an empty
 * list and -1 for what is none. Source of the form: cpuset(7), "List format".
 */
export function countCpuList(bytes: Uint8Array, length: number): number {
  if (length === 0 || (length === 1 && bytes[0] === NEWLINE)) return 0;
  if (bytes[length - 1] !== NEWLINE) return -1;
  let count = 0;
  let last = -1;
  for (let start = 0; start < length; ) {
    let dash = -1;
    let end = start;
    for (; end < length - 1 && bytes[end] !== COMMA; end++) {
      if (bytes[end] === DASH && dash < 0) dash = end;
    }
    const from = wholeNumber(bytes, start, dash < 0 ? end : dash);
    const to = dash < 0 ? from : wholeNumber(bytes, dash + 1, end);
    // The kernel writes them in ascending order, so anything else is not its writing.
    if (from <= last || to < from || to > LARGEST_CPU) return -1;
    count += to - from + 1;
    last = to;
    start = end + 1;
  }
  return count;
}
