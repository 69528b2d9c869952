/** How a process that was killed comes back, in a container and in a virtual machine alike. */

/** Its supervisor starts it again after so long. */
export const RESTART_DELAY_MS = 3000;
/** Then it warms up. */
const RAMP_MS = 5000;

/** The share of its demand that a process of this age has: 0 while it is dead, then up to 1. */
export const vigourAt = (ageMs: number): number => Math.min(1, Math.max(0, ageMs / RAMP_MS));
