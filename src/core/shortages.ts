import type { GuestRecord, Shortages } from './guest-record.ts';
import type { CgroupSample } from './observation.ts';
import type { Milliseconds } from './units.ts';
import { ownLimit } from './usage.ts';

const NONE: Shortages = { kills: 0, nested: 0, byHost: 0, limitHits: 0, killedWallMs: undefined };

/**
 * Counts what the counters have risen by since the last sample of this life; of the first one
 * nothing. Where events are not told there is no count: nothing known is not zero.
 */
export function noteShortages(record: GuestRecord, now: CgroupSample, wallMs: Milliseconds): void {
  const { memory, identity } = now;
  if (!memory.ok || (memory.value.ooms === undefined && memory.value.own === undefined)) return;
  const { sample } = record.life;
  const before =
    sample?.identity === identity && sample.memory.ok ? sample.memory.value : undefined;
  const { kills, hits, others } = ownLimit(before, memory.value);
  const sum = record.shortages ?? NONE;
  const areHitsTold = memory.value.own === undefined || memory.value.own.limitHits !== undefined;
  const isKilled = kills + others.nested + others.byHost > 0;
  record.shortages = {
    kills: sum.kills + kills,
    nested: sum.nested + others.nested,
    // Nothing tells a kill by the host from one for a limit inside where `oom` is not counted.
    byHost: memory.value.ooms === undefined ? undefined : (sum.byHost ?? 0) + others.byHost,
    limitHits: areHitsTold ? (sum.limitHits ?? 0) + hits : undefined,
    killedWallMs: isKilled ? wallMs : sum.killedWallMs,
  };
}

/** Processes that were killed, for whichever limit. */
export const oomKills = ({ kills, nested, byHost }: Shortages): number =>
  kills + nested + (byHost ?? 0);
