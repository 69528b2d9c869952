import { afterChange } from '../core/after-change.ts';
import {
  type Allocation,
  differing,
  isMore,
  isSameValue,
  LEVERS,
  type Lever,
  resourceOf,
} from '../core/allocation.ts';
import { withUnit } from '../core/explain.ts';
import type { Intended } from '../core/guest-record.ts';
import { guestLabel, guestNoun, kindOf, toolOf } from '../core/guest-words.ts';
import type { ChangeStatus } from '../core/journal-event.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import { LONGEST_QM_MS } from '../core/pending.ts';
import type { Milliseconds } from '../core/units.ts';
import { verify } from '../core/verify.ts';
import { isBetween } from '../core/verify-machine.ts';
import type { World } from '../ports.ts';
import { asSeen } from './read-back.ts';
import { putOnRecord } from './record.ts';

/**
 * What a former life of this program had in hand when it was cut off. A change that came about is
 * put on record now, since nobody knows whether it was, and counts as one of ours.
 */

export interface CutOff {
  readonly guest: Pick<GuestConfig, 'vmid' | 'name' | 'kind'>;
  readonly before: Allocation;
  readonly now: Allocation;
  readonly intended: Intended;
}

/** A `pct set` may outlive its caller: it waits for a lock for 10 s, and a busy node adds to it. */
const LONGEST_PCT_MS = 60_000;

/** Whether the rest of it may still come about: nothing has so far, or of a machine a part. */
export function mayStillCome(cutOff: CutOff, nowMs: Milliseconds): boolean {
  const { guest, before, now, intended } = cutOff;
  const isMachine = guest.kind === 'qemu';
  const { sinceMs } = intended;
  const latestMs = isMachine ? LONGEST_QM_MS : LONGEST_PCT_MS;
  if (sinceMs === undefined || nowMs < sinceMs || nowMs - sinceMs > latestMs) return false;
  const moved = differing(before, now);
  if (!isMachine) return moved.length === 0;
  return differing(now, intended).length > 0 && moved.every((lever) => isOurs(cutOff, lever));
}

/** Whether what a lever has now has come of it. That of a machine may have gone half its way. */
export function isOurs({ guest, before, now, intended }: CutOff, of: Lever): boolean {
  if (isSameValue(of, now[of], intended[of])) return true;
  return guest.kind === 'qemu' && isBetween(of, before[of], intended[of], now[of]);
}

/** Takes what came about for what it is: remembered, told, and recorded. */
export function catchUp(world: World, state: LoopState, cutOff: CutOff, nowMs: Milliseconds): void {
  const { before, now, intended } = cutOff;
  const { vmid } = cutOff.guest;
  for (const of of differing(before, now)) {
    if (!isOurs(cutOff, of)) continue;
    const resource = resourceOf(of);
    const record = recordOf(state, vmid);
    const boost = intended.boosts?.[resource];
    const [from, to] = [before[of] ?? state.hostCpus, now[of] ?? state.hostCpus];
    if (from === undefined || to === undefined) record[resource].changedMs = nowMs;
    else {
      const verdict = isMore(now[of], before[of]) ? 'grow' : 'shrink';
      const plain = verdict === 'grow' ? 'above-upper' : 'below-lower';
      const rule = intended.rules?.[resource] ?? (boost === undefined ? plain : 'saturated');
      const step = { resource, verdict, rule, after: to, measured: { before: from } } as const;
      afterChange(record, step, nowMs);
    }
    if (boost !== undefined) record[resource].boost = { ...boost, boosted: to ?? boost.boosted };
    tell(world, state, cutOff, of, nowMs);
  }
}

const notInForce = (tool: string): string =>
  'The process that was making it was interrupted, and it is not active now. ' +
  `If a ${tool} that it left running still makes it, that is recorded too.`;

/** What was in hand and left all as it was: whether it was ever in force nobody knows. */
export function logNotInForce(world: World, state: LoopState, cutOff: CutOff): void {
  const { before, now, intended } = cutOff;
  const { vmid } = cutOff.guest;
  for (const of of LEVERS) {
    const isUndone =
      isSameValue(of, before[of], now[of]) && !isSameValue(of, before[of], intended[of]);
    if (!isUndone) continue;
    const change = changeOf({ ...cutOff, now: intended }, of);
    const about = { component: 'act', vmid, event: 'change', outcome: 'failed' } as const;
    const note = notInForce(toolOf(cutOff.guest));
    world.log.warn(`FAILED. ${change.line}. ${note}`, about);
    record(world, state, change, 'failed', note);
  }
}

const AFTERWARDS = 'The process that made it was interrupted, so it is recorded only now.';

function tell(
  world: World,
  state: LoopState,
  cutOff: CutOff,
  of: Lever,
  nowMs: Milliseconds,
): void {
  const { guest, before, now, intended } = cutOff;
  const { vmid } = guest;
  const sides = [{ [of]: before[of] }, { [of]: now[of] }] as const;
  const found = verify(...sides, asSeen(world, vmid), state.hostCpus ?? 0);
  const isDone = found.kind === 'confirmed' || found.kind === 'pending';
  const isWhole = isSameValue(of, now[of], intended[of]);
  const status = isDone ? (isWhole ? found.kind : 'partly') : 'failed';
  if (found.kind === 'pending' && now.cores !== null) {
    const pending = { cores: now.cores, sinceMs: nowMs, warned: false };
    recordOf(state, vmid).life.pendingCores = pending;
  }
  const half = 'found' in found ? ` It is half done (${found.found}).` : '';
  const short = isWhole ? '' : ` It was to be ${intended[of] ?? 'none'}, and got no further.`;
  const note = isDone
    ? AFTERWARDS + short
    : `${AFTERWARDS}${half} Please check the ${guestNoun(guest)}.`;
  const change = changeOf(cutOff, of);
  const last = { wallMs: world.clock.wallMs(), text: change.text, status };
  recordOf(state, vmid).lastChange = last;
  const line = `${change.line}. ${note}`;
  if (status === 'partly') world.log.warn(`PARTLY. ${line}`);
  else if (isDone) world.log.info(line);
  else world.log.error(`FAILED. ${line}`);
  record(world, state, change, status, note);
}

/** From `before` to `now`, in words. */
function changeOf(cutOff: CutOff, of: Lever) {
  const { guest, before, now, intended } = cutOff;
  const resource = resourceOf(of);
  const reason = intended.reasons?.[resource] ?? 'unknown';
  const unit = of === 'cpuLimit' ? ('cpulimit' as const) : undefined;
  const [from, to] = [before[of], now[of]];
  const after = to === null ? 'none' : withUnit(resource, to);
  const text = `${unit ?? resource} ${from ?? 'none'} -> ${after}, since ${reason}`;
  const hasGrown = isMore(now[of], before[of]);
  const line = `${guestLabel(guest)} (${guest.name}): ${text}`;
  return { guest, resource, reason, unit, from, to, hasGrown, text, line };
}

function record(
  world: World,
  { cycle }: LoopState,
  change: ReturnType<typeof changeOf>,
  status: ChangeStatus,
  note: string,
): void {
  const { guest, resource, reason, unit, from, to, hasGrown } = change;
  const { vmid, name } = guest;
  putOnRecord(world, {
    kind: 'change',
    vmid,
    resource,
    direction: hasGrown ? 'up' : 'down',
    details: { name, ...kindOf(guest), status, before: from, after: to, unit, reason, note, cycle },
  });
}
