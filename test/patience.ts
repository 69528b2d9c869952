/**
 * How long a test waits for what has to come, in milliseconds. On a machine with a load of 20 all
 * takes many times as long; where it comes, nobody waits longer for that.
 */
export const PATIENCE_MS = 90_000;

/** How long one test may take that waits for several such things. */
export const TEST_LIMIT_MS = 4 * PATIENCE_MS;
