import { type Allocation, describeDiff, diffOf, isEmpty } from '../core/allocation.ts';
import { isSameGuest } from '../core/identity.ts';
import { MANUAL_HOLD_MS } from '../core/manual-hold.ts';
import type { GuestConfig } from '../core/observation.ts';
import { takesMemory } from '../core/proof.ts';
import { planRestore, type RestorePlan } from '../core/rollback.ts';
import { bytesToMib, mib, milliseconds } from '../core/units.ts';
import type { ActingWorld, CycleWorld, World } from '../ports.ts';
import { agree } from './bring-back.ts';
import { apply } from './executor.ts';
import { whyNotGiven } from './headroom.ts';
import { logRestore } from './log-restore.ts';
import { NEED_UNSEEN } from './read-back.ts';
import type { RestoreContext, RestoreGoal, RestoreResult } from './restoration.ts';
import type { ChangeResult } from './wish.ts';

/** A rollback by hand of one container, from end to end. It needs no lock: the digest protects. */

/**
 * Brings cores, cpulimit and memory back to what a backup says, as every change is made. Then the
 * loop is told to leave the container alone for a while. What goes wrong is told in the result.
 * What was done is put on record. Without hands it only says what it would do.
 */
export async function restore(
  world: CycleWorld,
  goal: RestoreGoal,
  context: RestoreContext,
): Promise<RestoreResult> {
  const result = await tryToRestore(world, goal, context);
  if (world.hands !== undefined) logRestore(world, result, goal, context);
  return result;
}

async function tryToRestore(
  world: CycleWorld,
  goal: RestoreGoal,
  context: RestoreContext,
): Promise<RestoreResult> {
  const { vmid } = goal;
  await world.inspect(vmid);
  const file = world.guests.read(vmid);
  if (!file.ok) {
    const kind = file.why === 'absent' ? 'absent' : 'failed';
    const { name, kind: guest } = goal.config;
    const who = { name, ...(guest !== undefined && { guest }) };
    return { kind, ...who, before: {}, target: {}, note: file.detail };
  }
  const now = file.value.config;
  const who = { name: now.name, ...(now.kind !== undefined && { guest: now.kind }) };
  if (now.identity !== goal.guest && !isSameGuest(now.identity, goal.guest)) {
    const note = 'another guest has been given its id meanwhile';
    return { kind: 'failed', ...who, before: {}, target: {}, note };
  }
  if (now.lock !== undefined) {
    const note = `it is locked (${now.lock}), since another operation is at work on it`;
    return { kind: 'failed', ...who, before: {}, target: {}, note };
  }
  await world.observe(undefined, 'change');
  const tooMuch = whyNotGiven(world, context.hostPolicy, now, goal.config.memoryMib);
  const sample = world.cgroups.sample(vmid);
  const isUnseen = world.cgroups.capabilities(vmid)?.workingSet === false;
  const isLess = takesMemory(sample, goal.config.memoryMib);
  const unseen = isUnseen && isLess ? NEED_UNSEEN : undefined;
  const plan = planRestore(now, goal.config, sample, tooMuch ?? unseen);
  const kind = kindOf(plan);
  const { hands } = world;
  if (hands === undefined) return { kind: kind ?? 'dry-run', ...who, ...plan };
  const acting = { ...world, hands };
  if (kind === 'already') return { ...who, ...(await bringInForce(acting, goal, now, context)) };
  if (kind === 'refused') return { kind, ...who, ...plan };
  return { ...who, ...(await change(acting, goal, now, plan, context)) };
}

/** Where there is nothing to change: why. */
function kindOf({ target, refused }: RestorePlan): 'already' | 'refused' | undefined {
  if (!isEmpty(target)) return undefined;
  return refused === undefined ? 'already' : 'refused';
}

type Outcome = Omit<RestoreResult, 'name' | 'guest'>;

/** The configuration is as it should be; of a change that was cut off the kernel may not be. */
async function bringInForce(
  world: ActingWorld,
  goal: RestoreGoal,
  { vmid, memoryMib, reaches }: GuestConfig,
  context: RestoreContext,
): Promise<Outcome> {
  const sample = world.cgroups.sample(vmid);
  const counters = sample.ok ? sample.value.memory : sample;
  const limit = counters.ok ? counters.value.limitBytes : undefined;
  const live = limit === undefined ? undefined : bytesToMib(limit);
  // A balloon comes to its target by itself.
  if (!counters.ok || live === memoryMib || reaches !== undefined) {
    return { kind: 'already', before: {}, target: {}, ...hold(world, goal) };
  }
  const held = hold(world, goal);
  const found = live === undefined ? 'has no limit' : `goes by ${live} MB`;
  const why = `its configuration says ${memoryMib} MB already, and the kernel ${found}`;
  const target = { memoryMib };
  const agreed = await agree(world, { vmid, target, reason: why }, applyContext(context));
  const before = live === undefined ? {} : { memoryMib: mib(live) };
  if (agreed.kind === 'agreed') return { kind: 'confirmed', before, target, ...held };
  const end = agreed.kind === 'kept' ? agreed.because : agreed.note;
  return { kind: 'failed', before, target, ...held, note: `${why}: ${end}. Please check it` };
}

const applyContext = ({ hostCpus, stop }: RestoreContext) => ({
  hostCpus: hostCpus ?? Number.POSITIVE_INFINITY,
  stop,
});

async function change(
  world: ActingWorld,
  goal: RestoreGoal,
  now: GuestConfig,
  { before, target, refused }: RestorePlan,
  context: RestoreContext,
): Promise<Outcome> {
  const { vmid, backupId } = goal;
  const reason = `Rollback to ${backupId}: ${describeDiff(before, target)}`;
  let held: Held = {};
  const result = await apply(
    world,
    {
      vmid,
      decidedOn: now,
      before,
      target,
      purpose: { ...diffOf(before, target), reason, rollbackTo: backupId },
      refuse: async () => {
        const { memoryMib } = target;
        if (memoryMib === undefined) return undefined;
        await world.observe(undefined, 'change');
        return whyNotGiven(world, context.hostPolicy, now, memoryMib);
      },
      // Before the change, so that the loop does not undo it in the moment after.
      justBefore: () => {
        held = hold(world, goal);
      },
    },
    applyContext(context),
  );
  if (result.kind !== 'unproven') {
    return { ...outcomeOf(result, held), before, target, ...(refused && { refused }) };
  }
  // What memory it may not lose must not keep it from the rest.
  const why = result.note ?? 'it could not be shown that it can do with less';
  const rest = { before: withoutMemory(before), target: withoutMemory(target), refused: why };
  if (isEmpty(rest.target)) return { kind: 'refused', ...rest };
  return change(world, goal, now, rest, context);
}

const withoutMemory = ({ memoryMib: _, ...rest }: Partial<Allocation>) => rest;

type Held = Pick<RestoreResult, 'hold' | 'note'>;

function outcomeOf(
  { kind, note, backup }: ChangeResult,
  held: Held,
): Pick<RestoreResult, 'kind' | 'note' | 'backup' | 'hold'> {
  const isDone = kind === 'confirmed' || kind === 'pending';
  const notes = [held.note, note].filter((text) => text !== undefined).join(' ');
  return {
    ...held,
    kind: isDone ? kind : 'failed',
    ...(backup !== undefined && { backup }),
    ...(notes !== '' && { note: notes }),
  };
}

function hold({ clock, holds }: World, { vmid, backupId, guest }: RestoreGoal): Held {
  const untilMs = milliseconds(clock.wallMs() + MANUAL_HOLD_MS);
  const reason = `it was rolled back by hand to ${backupId}`;
  const made = { untilMs, reason, ...(guest && { guest }) };
  const written = holds.write(vmid, made);
  if (written.ok) return { hold: made };
  return { note: `${written.message}, so a running daemon may change it again at once.` };
}
