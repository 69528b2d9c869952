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
import type { ChangeStatus } from '../core/journal-event.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import { verify } from '../core/verify.ts';
import type { World } from '../ports.ts';
import { asSeen } from './read-back.ts';
import { putOnRecord } from './record.ts';

/**
 * What a former life of this program had in hand when it was cut off. A change that came about is
 * put on record now, since nobody knows whether it was, and counts as one of ours.
 */

export interface CutOff {
  readonly vmid: Vmid;
  readonly name: string;
  readonly before: Allocation;
  readonly now: Allocation;
  readonly intended: Intended;
}

/** A `pct set` may outlive its caller: it waits for a lock for 10 s, and a busy node adds to it. */
const LATEST_MS = 60_000;

/** Whether nothing has come about so far, and something still may. */
export function mayStillCome({ before, now, intended }: CutOff, nowMs: Milliseconds): boolean {
  const { sinceMs } = intended;
  if (sinceMs === undefined || nowMs < sinceMs || nowMs - sinceMs > LATEST_MS) return false;
  return differing(before, now).length === 0;
}

/** Takes what came about for what it is: remembered, told, and recorded. */
export function catchUp(world: World, state: LoopState, cutOff: CutOff, nowMs: Milliseconds): void {
  const { vmid, before, now, intended } = cutOff;
  for (const of of differing(before, now)) {
    if (!isSameValue(of, now[of], intended[of])) continue;
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
    if (boost !== undefined) record[resource].boost = boost;
    tell(world, state, cutOff, of, nowMs);
  }
}

const NOT_IN_FORCE =
  'The process that was making it was interrupted, and it is not active now. If a pct that it ' +
  'left running still makes it, that is recorded too.';

/** What was in hand and left all as it was: whether it was ever in force nobody knows. */
export function logNotInForce(world: World, state: LoopState, cutOff: CutOff): void {
  const { vmid, before, now, intended } = cutOff;
  for (const of of LEVERS) {
    const isUndone =
      isSameValue(of, before[of], now[of]) && !isSameValue(of, before[of], intended[of]);
    if (!isUndone) continue;
    const change = changeOf({ ...cutOff, now: intended }, of);
    const about = { room: 'act', vmid, event: 'change', outcome: 'failed' } as const;
    world.log.warn(`FAILED. ${change.line}. ${NOT_IN_FORCE}`, about);
    record(world, state, change, 'failed', NOT_IN_FORCE);
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
  const { vmid, before, now } = cutOff;
  const sides = [{ [of]: before[of] }, { [of]: now[of] }] as const;
  const found = verify(...sides, asSeen(world, vmid), state.hostCpus ?? 0);
  const isDone = found.kind === 'confirmed' || found.kind === 'pending';
  const status = isDone ? found.kind : 'failed';
  if (found.kind === 'pending' && now.cores !== null) {
    const pending = { cores: now.cores, sinceMs: nowMs, warned: false };
    recordOf(state, vmid).life.pendingCores = pending;
  }
  const half = 'found' in found ? ` It is half done (${found.found}).` : '';
  const note = isDone ? AFTERWARDS : `${AFTERWARDS}${half} Please check the container.`;
  const change = changeOf(cutOff, of);
  const last = { wallMs: world.clock.wallMs(), text: change.text, status };
  recordOf(state, vmid).lastChange = last;
  const line = `${change.line}. ${note}`;
  if (isDone) world.log.info(line);
  else world.log.error(`FAILED. ${line}`);
  record(world, state, change, status, note);
}

/** From `before` to `now`, in words. */
function changeOf(cutOff: CutOff, of: Lever) {
  const { vmid, name, before, now, intended } = cutOff;
  const resource = resourceOf(of);
  const reason = intended.reasons?.[resource] ?? 'unknown';
  const unit = of === 'cpuLimit' ? ('cpulimit' as const) : undefined;
  const [from, to] = [before[of], now[of]];
  const after = to === null ? 'none' : withUnit(resource, to);
  const text = `${unit ?? resource} ${from ?? 'none'} -> ${after}, since ${reason}`;
  const hasGrown = isMore(now[of], before[of]);
  const line = `Container ${vmid} (${name}): ${text}`;
  return { vmid, name, resource, reason, unit, from, to, hasGrown, text, line };
}

function record(
  world: World,
  { cycle }: LoopState,
  change: ReturnType<typeof changeOf>,
  status: ChangeStatus,
  note: string,
): void {
  const { vmid, name, resource, reason, unit, from, to, hasGrown } = change;
  putOnRecord(world, {
    ...{ kind: 'change', vmid, resource, direction: hasGrown ? 'up' : 'down' },
    details: { name, status, before: from, after: to, unit, reason, note, cycle },
  });
}
