import type { HoldReason } from './decision.ts';
import type { LoopState } from './loop-state.ts';
import type { GuestConfig, MemoryUsage } from './observation.ts';
import { changeKey } from './pace.ts';
import { thresholdMemory, type Verdict } from './policies/threshold.ts';
import type { ContainerPolicy } from './policy.ts';
import { type Milliseconds, milliseconds, type Vmid } from './units.ts';

/**
 * A memory limit that is not what the configuration says. Nothing brings the two together by
 * itself: `pvestatd` deals with cores only, and the next start goes by the configuration, whatever
 * is in use by then. `pct set` changes the live limit first and the configuration last, so a
 * difference is left alone until no `pct` can still be under way.
 *
 * | live       | configured | brought about                                               |
 * | ---------- | ---------- | ----------------------------------------------------------- |
 * | lower      | higher     | the configuration, as growth: where the host has the memory |
 * | higher     | lower      | the configuration, where it is proven to be enough; else    |
 * | no limit   | any        | the configuration is raised to what is live                 |
 */

/** Longer than a `pct set` lasts: it waits 10 s for a lock, and is ended after 40 s. */
const STAYS_MS = 60_000;

export interface Differing {
  /** null: no limit. */
  readonly live: number | null;
  readonly configured: number;
  readonly sinceMs: Milliseconds;
}

/** Keeps in mind since when a container's limit and its configuration differ as they do now. */
export function noteDiffering(
  { differing, intended }: LoopState,
  vmid: Vmid,
  { memoryMib: configured }: GuestConfig,
  { limitMib }: MemoryUsage,
  nowMs: Milliseconds,
): void {
  const live = limitMib ?? null;
  if (live === configured) {
    differing.delete(vmid);
    return;
  }
  const known = differing.get(vmid);
  if (known?.live === live && known.configured === configured) return;
  // What this program has begun and was cut off from is known, and needs no wait.
  const isOurs = intended.get(vmid)?.memoryMib === live;
  const sinceMs = milliseconds(isOurs ? nowMs - STAYS_MS : nowMs);
  differing.set(vmid, { live, configured, sinceMs });
}

/** What is to become of a memory limit that is not the configured one. */
export function bringInForce(
  guest: GuestConfig,
  memory: MemoryUsage,
  policy: ContainerPolicy,
  maxMib: number,
  { differing, handHolds }: LoopState,
  nowMs: Milliseconds,
): Verdict | { readonly verdict: 'hold'; readonly because: HoldReason } {
  const { vmid, memoryMib: configured } = guest;
  const live = memory.limitMib ?? null;
  const since = differing.get(vmid)?.sinceMs ?? nowMs;
  const leftMs = (handHolds.get(changeKey(vmid, 'memory')) ?? 0) - nowMs;
  if (leftMs > 0) return { verdict: 'hold', because: { kind: 'changed-by-hand', leftMs } };
  if (nowMs - since < STAYS_MS) {
    return { verdict: 'hold', because: { kind: 'not-in-force', configured, live } };
  }
  // One without a limit may use all that the host has.
  const before = live ?? Math.max(maxMib, configured + 1);
  const { measured } = thresholdMemory(before, maxMib, memory, policy);
  const verdict = before < configured ? 'grow' : 'shrink';
  return { verdict, after: configured, rule: 'in-force', limits: [], measured };
}
