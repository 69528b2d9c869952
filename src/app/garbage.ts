import { getHeapStatistics } from 'node:v8';

/**
 * The engine lets 8 MB of garbage gather before it looks at what has grown old, and on a quiet node
 * that is half of what the daemon holds. Where it is started with `--expose-gc`, as the unit file
 * does, garbage is collected earlier, and only when nothing is in hand.
 */

const LEAST_BYTES = 3 * 1024 * 1024;
/** Of what is in use: a larger heap takes longer to look through. */
const LEAST_SHARE = 0.3;

/** To be called when nothing is in hand. Without `--expose-gc` it does nothing. */
export function createCollector(
  collect: (() => void) | undefined = globalThis.gc,
  usedBytes: () => number = () => getHeapStatistics().used_heap_size,
): () => void {
  if (collect === undefined) return () => {};
  let leftBytes = 0;
  return () => {
    if (usedBytes() < leftBytes + Math.max(LEAST_BYTES, leftBytes * LEAST_SHARE)) return;
    collect();
    leftBytes = usedBytes();
  };
}
