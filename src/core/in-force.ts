import { isSameCpuLimit } from './allocation.ts';
import type { HoldReason } from './decision.ts';
import type { Differing, GuestRecord, ResourceRecord } from './guest-record.ts';
import type { CpuUsage, GuestConfig, MemoryUsage } from './observation.ts';
import {
  type CpuLever,
  thresholdCores,
  thresholdMemory,
  type Verdict,
} from './policies/threshold.ts';
import type { ContainerPolicy } from './policy.ts';
import { type Milliseconds, milliseconds } from './units.ts';

/**
 * A memory limit or a cpulimit that is not what the configuration says. Nothing brings the two
 * together by itself: `pvestatd` deals with cores only, and the next start goes by the
 * configuration, whatever is in use by then. `pct set` changes the live limit first and the
 * configuration last, so a difference is left alone until no `pct` can still be under way.
 *
 * | live       | configured | brought about                                               |
 * | ---------- | ---------- | ----------------------------------------------------------- |
 * | lower      | higher     | the configuration, as growth: where the host has it to give |
 * | higher     | lower      | the configuration; of memory where it is proven to be       |
 * | no limit   | any        | enough, else that is raised to what is live                 |
 *
 * A cpulimit beside `cores` that are scaled is not this program's to set; it is named where it
 * binds.
 */

/** Longer than a `pct set` lasts: it waits 10 s for a lock, and is ended after 40 s. */
const STAYS_MS = 60_000;

/** null: no limit. In MiB, or in cores of a cpulimit. */
/** Keeps in mind since when a container's limit and its configuration differ as they do now. */
export function noteDiffering(
  { memory, intended }: GuestRecord,
  { memoryMib: configured }: GuestConfig,
  { limitMib }: MemoryUsage,
  nowMs: Milliseconds,
): void {
  const live = limitMib ?? null;
  if (live === configured) {
    memory.differing = undefined;
    return;
  }
  keep(memory, { live, configured }, intended?.memoryMib === live, nowMs);
}

/** The same of its cpulimit. */
export function noteCpuDiffering(
  { cores, intended }: GuestRecord,
  { cpuLimit: configured }: GuestConfig,
  live: number | null,
  nowMs: Milliseconds,
): void {
  if (isSameCpuLimit(live, configured)) {
    cores.differing = undefined;
    return;
  }
  const ours = intended?.cpuLimit;
  const isOurs = ours !== undefined && isSameCpuLimit(ours, live);
  keep(cores, { live, configured }, isOurs, nowMs);
}

function keep(
  record: ResourceRecord,
  { live, configured }: Omit<Differing, 'sinceMs'>,
  isOurs: boolean,
  nowMs: Milliseconds,
): void {
  const known = record.differing;
  if (known?.live === live && known.configured === configured) return;
  // What this program has begun and was cut off from is known, and needs no wait.
  const sinceMs = milliseconds(isOurs ? nowMs - STAYS_MS : nowMs);
  record.differing = { live, configured, sinceMs };
}

type RecordView = Readonly<GuestRecord>;
type InForceVerdict = Verdict | { readonly verdict: 'hold'; readonly because: HoldReason };

/** What is to become of a memory limit that is not the configured one. */
export function bringInForce(
  guest: GuestConfig,
  memory: MemoryUsage,
  policy: ContainerPolicy,
  maxMib: number,
  { memory: record }: RecordView,
  nowMs: Milliseconds,
): InForceVerdict {
  const { memoryMib: configured } = guest;
  const live = memory.limitMib ?? null;
  const waits = whyWait(record, { kind: 'not-in-force', configured, live }, nowMs);
  if (waits !== undefined) return { verdict: 'hold', because: waits };
  // One without a limit may use all that the host has.
  const before = live ?? Math.max(maxMib, configured + 1);
  const { measured } = thresholdMemory(before, maxMib, memory, policy);
  const verdict = before < configured ? 'grow' : 'shrink';
  return { verdict, after: configured, rule: 'in-force', limits: [], measured };
}

/** The same of a cpulimit; undefined if it is the configured one, or does not matter. */
export function bringCpuLimitInForce(
  cpu: CpuUsage,
  policy: ContainerPolicy,
  lever: CpuLever,
  { cores: record }: RecordView,
  nowMs: Milliseconds,
): InForceVerdict | undefined {
  const found = record.differing;
  if (found === undefined) return undefined;
  // Without a limit, or with one above them, it has all CPUs that it can use.
  const most = lever.most ?? lever.has;
  const { live, configured } = found;
  const before = Math.min(live ?? most, most);
  const after = Math.min(configured ?? most, most);
  const { unit } = policy.cpu;
  const because: HoldReason = { kind: 'not-in-force', configured, live, quota: unit };
  if (before === after) return undefined;
  if (unit === 'cores') return { verdict: 'hold', because };
  const waits = whyWait(record, because, nowMs);
  if (waits !== undefined) return { verdict: 'hold', because: waits };
  const { measured } = thresholdCores({ ...lever, has: before }, cpu, policy);
  const verdict = before < after ? 'grow' : 'shrink';
  return { verdict, after, rule: 'in-force', limits: [], measured };
}

/** A hand is respected, and a `pct set` may still be under way. */
function whyWait(
  { differing, handHoldMs }: Readonly<ResourceRecord>,
  because: HoldReason,
  nowMs: Milliseconds,
): HoldReason | undefined {
  const leftMs = (handHoldMs ?? 0) - nowMs;
  if (leftMs > 0) return { kind: 'changed-by-hand', leftMs };
  const since = differing?.sinceMs ?? nowMs;
  return nowMs - since < STAYS_MS ? because : undefined;
}
