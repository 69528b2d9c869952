import type { Allocation } from '../core/allocation.ts';
import type { Unsettled } from '../core/guest-record.ts';
import { guestLabel } from '../core/guest-words.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { ContainerObservation, GuestConfig } from '../core/observation.ts';
import { LONGEST_QM_MS, ownKeys, stillPending } from '../core/pending.ts';
import type { CommandOutcome } from '../node/port.ts';
import type { ActingWorld } from '../ports.ts';
import { outcomeWords } from './read-back.ts';
import { type ApplyContext, stopAlsoAtTheEnd } from './wish.ts';

/**
 * What a change of a virtual machine leaves for the next start, since the guest has refused it, is
 * dropped. What an administrator has pending is not.
 */

export interface Dropped {
  /** Something waited for the next start, and waits no more. */
  readonly isDropped: boolean;
  /** Something does wait, or may come to: the command may still be at work. */
  readonly isUnsettled: boolean;
  /** Why it is still there, or is not known to be gone, and what to do. */
  readonly problem?: string;
}

const NOTHING_LEFT: Dropped = { isDropped: false, isUnsettled: false };

/** These begin nothing, so whatever is pending is somebody else's. */
const isBegun = (outcome: CommandOutcome): boolean =>
  outcome.kind !== 'not-started' &&
  !(outcome.kind === 'failed' && ['locked', 'busy', 'modified', 'gone'].includes(outcome.why));

/** Drops what a change has left for the next start, and says what could not be dropped. */
export async function dropPending(
  world: ActingWorld,
  decidedOn: GuestConfig,
  target: Partial<Allocation>,
  outcome: CommandOutcome,
  context: ApplyContext,
): Promise<Dropped> {
  const keys = ownKeys(decidedOn, target);
  if (!isBegun(outcome) || keys.length === 0) return NOTHING_LEFT;
  const { vmid } = decidedOn;
  await world.inspect(vmid);
  const file = world.guests.read(vmid);
  if (!file.ok) {
    // One that is on another node now may come back soon.
    if (file.why === 'absent') return { isDropped: false, isUnsettled: true };
    return { isDropped: false, isUnsettled: true, problem: hint(decidedOn, keys, file.detail) };
  }
  const left = stillPending(file.value.config, keys);
  if (left.length === 0) {
    // What its caller has left may have come no further than to wait for the lock.
    const mayStillCome = outcome.kind === 'timed-out' || outcome.kind === 'killed';
    return { isDropped: false, isUnsettled: mayStillCome };
  }
  const problem = await revert(world, file.value.config, left, context);
  if (problem === undefined) return { isDropped: true, isUnsettled: false };
  return { isDropped: false, isUnsettled: true, problem: hint(decidedOn, left, problem) };
}

const hint = ({ vmid }: GuestConfig, keys: readonly string[], why: string): string =>
  `it could not be dropped (${why}); please run \`qm set ${vmid} --revert ${keys.join(',')}\``;

/** Returns why it did not come about. */
async function revert(
  world: ActingWorld,
  { vmid }: GuestConfig,
  keys: readonly string[],
  context: ApplyContext,
): Promise<string | undefined> {
  const file = world.guests.read(vmid);
  if (!file.ok) return file.detail;
  const reason = 'Dropping what the guest refused, which would take effect at its next start';
  const backup = world.backups.write(file.value, { reason });
  if (!backup.ok) return `no backup: ${backup.message}`;
  const request = { vmid, revert: keys, digest: file.value.config.digest };
  const outcome = await world.hands.apply(request, stopAlsoAtTheEnd(context));
  await world.inspect(vmid);
  const after = world.guests.read(vmid);
  if (after.ok && stillPending(after.value.config, keys).length === 0) return undefined;
  return outcome.kind === 'done' ? 'qm set --revert did not help' : outcomeWords(outcome, 'qm');
}

/**
 * Drops what changes have left that were cut off by the end of this program, or whose guest could
 * not be asked to forget them at the time. After a while, what is pending may be anybody's.
 */
export async function dropLeft(
  world: ActingWorld,
  state: LoopState,
  containers: readonly ContainerObservation[],
  context: ApplyContext,
): Promise<void> {
  for (const { vmid, config } of containers) {
    const record = state.guests.get(vmid);
    if (record?.unsettled === undefined) continue;
    const { keys, sinceMs } = record.unsettled;
    const nowMs = world.clock.monotonicMs();
    if (nowMs < sinceMs || nowMs - sinceMs > LONGEST_QM_MS) record.unsettled = undefined;
    else if (config.ok && config.value.lock === undefined) {
      record.unsettled = await dropNow(world, config.value, { keys, sinceMs }, context);
    }
  }
}

/** Returns what is still not settled. */
async function dropNow(
  world: ActingWorld,
  config: GuestConfig,
  unsettled: Unsettled,
  context: ApplyContext,
): Promise<Unsettled | undefined> {
  const left = stillPending(config, unsettled.keys);
  if (left.length === 0) return unsettled;
  const problem = await revert(world, config, left, context);
  const who = `${guestLabel(config)} (${config.name})`;
  const what = 'what a change that was cut off has left for its next start';
  const about = { component: 'act', vmid: config.vmid, event: 'left-pending' } as const;
  if (problem === undefined) {
    world.log.warn(`${who}: ${what} is dropped`, about);
    return undefined;
  }
  world.log.error(`${who}: ${what} is still there: ${hint(config, left, problem)}`, about);
  return unsettled;
}
