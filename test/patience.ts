/**
 * How long a test waits for what has to come, in milliseconds. On a machine with a load of 20 all
 * takes many times as long; where it comes, nobody waits longer for that.
 */
export const PATIENCE_MS = 90_000;

/** Waits until it is so, and fails where it does not come to be. */
export async function until(
  isSo: () => boolean,
  what: () => string = () => '',
  limitMs = PATIENCE_MS,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`it never came to be: ${isSo}\n${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** How long one test may take that waits for several such things. */
export const TEST_LIMIT_MS = 4 * PATIENCE_MS;

/**
 * Lets the process hear from others. What plays for minutes without it is taken for dead by vitest.
 */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
