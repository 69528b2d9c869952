import { getHeapStatistics } from 'node:v8';

/**
 * V8 lets 8 MB of garbage gather before it collects the old generation. On a quiet node that is
 * half of what the daemon holds. If Node is started with `--expose-gc`, as the unit file does,
 * garbage is collected earlier, and only when no work is in progress.
 */

const LEAST_BYTES = 3 * 1024 * 1024;
/** Share of the memory in use: collecting a larger heap takes longer. */
const LEAST_SHARE = 0.3;

/** The result is called when no work is in progress. Without `--expose-gc` it does nothing. */
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
