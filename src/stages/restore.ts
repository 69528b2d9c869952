import { explainUnproven } from '../core/explain.ts';
import { type GuestIdentity, isSameGuest } from '../core/identity.ts';
import { MANUAL_HOLD_MS, type ManualHold } from '../core/manual-hold.ts';
import type { GuestConfig } from '../core/observation.ts';
import {
  describeTarget,
  isEmpty,
  planRestore,
  type RestorePlan,
  refuseMemory,
  takesMemory,
} from '../core/rollback.ts';
import { bytesToMib, type Mib, milliseconds, type Vmid } from '../core/units.ts';
import { type Target, verify } from '../core/verify.ts';
import type { CommandOutcome, GuestFile, World } from '../ports.ts';
import { proveShrink } from './prove.ts';
import { outcomeWords, readBack } from './read-back.ts';

/** A rollback by hand of one container, from end to end. It needs no lock: the digest protects. */

/** The backup that a container goes back to. */
export interface RestoreGoal {
  readonly vmid: Vmid;
  readonly backupId: string;
  /** What that backup says. */
  readonly config: GuestConfig;
  /** The guest that was found under this id when the backup was chosen. */
  readonly guest: GuestIdentity | undefined;
}

export interface RestoreContext {
  /** CPUs online; undefined where they could not be counted. */
  readonly hostCpus: number | undefined;
  readonly dryRun: boolean;
  readonly stop: AbortSignal;
}

export interface RestoreResult {
  readonly kind:
    | 'confirmed'
    /** Configured; the cpuset follows when pvestatd next runs. */
    | 'pending'
    /** The container has these values already. */
    | 'already'
    /** Nothing is done: this is what would be. */
    | 'dry-run'
    | 'failed'
    /** Its memory must stay, and nothing else differs. */
    | 'refused'
    /** It is not on this node: destroyed, or migrated away. */
    | 'absent';
  readonly name: string;
  /** Empty where it never came to that. */
  readonly before: Target;
  readonly target: Target;
  /** Why the memory is not restored, while the rest is. */
  readonly refused?: string;
  readonly note?: string;
  /** The copy made right before, by which this rollback can be undone. */
  readonly backup?: string;
  readonly hold?: ManualHold;
}

/**
 * Brings cores, cpulimit and memory back to what a backup says, as every change is made: checked
 * against what is in use, after a backup, with the digest, read back. Then the loop is told to
 * leave the container alone for a while. What goes wrong is told in the result.
 */
export async function restore(
  world: World,
  goal: RestoreGoal,
  context: RestoreContext,
): Promise<RestoreResult> {
  const { vmid } = goal;
  const file = world.guests.read(vmid);
  if (!file.ok) {
    const kind = file.why === 'absent' ? 'absent' : 'failed';
    return { kind, name: goal.config.name, before: {}, target: {}, note: file.detail };
  }
  const now = file.value.config;
  if (now.identity !== goal.guest && !isSameGuest(now.identity, goal.guest)) {
    const note = 'another guest has been given its id meanwhile';
    return { kind: 'failed', name: now.name, before: {}, target: {}, note };
  }
  if (now.lock !== undefined) {
    const note = `it is locked (${now.lock}), since another operation is at work on it`;
    return { kind: 'failed', name: now.name, before: {}, target: {}, note };
  }
  const { name } = now;
  const plan = planRestore(now, goal.config, world.cgroups.sample(vmid));
  if (context.dryRun) return { kind: kindOf(plan) ?? 'dry-run', name, ...plan };
  const proven = await prove(world, vmid, plan);
  const kind = kindOf(proven);
  if (kind === 'already') {
    const note = whyNotInForce(world, now);
    if (note !== undefined) return { kind: 'failed', name, ...proven, note };
    return { kind, name, ...proven, ...hold(world, goal) };
  }
  if (kind === 'refused') return { kind, name, ...proven };
  return { name, ...proven, ...(await change(world, goal, file.value, proven, context)) };
}

/** Where there is nothing to change: why. */
function kindOf({ target, refused }: RestorePlan): 'already' | 'refused' | undefined {
  if (!isEmpty(target)) return undefined;
  return refused === undefined ? 'already' : 'refused';
}

/** Of a change that was cut off: its configuration is as it should be, and nothing else. */
function whyNotInForce({ cgroups }: World, { vmid, memoryMib }: GuestConfig): string | undefined {
  const sample = cgroups.sample(vmid);
  const counters = sample.ok ? sample.value.memory : sample;
  if (!counters.ok) return undefined;
  const { limitBytes } = counters.value;
  const live = limitBytes === undefined ? undefined : bytesToMib(limitBytes);
  if (live === memoryMib) return undefined;
  const found = live === undefined ? 'has no limit' : `goes by ${live} MB`;
  return `Its configuration says ${memoryMib} MB already, and the kernel ${found}. Please look.`;
}

/** Leaves the memory out of a plan where it cannot be taken safely. */
async function prove(world: World, vmid: Vmid, plan: RestorePlan): Promise<RestorePlan> {
  const { memoryMib, ...target } = plan.target;
  if (memoryMib === undefined) return plan;
  const refused = await refuseNow(world, vmid, memoryMib);
  if (refused === undefined) return plan;
  const { memoryMib: _, ...before } = plan.before;
  return { before, target, refused };
}

/** Why a memory limit must not be set now. Has the kernel give up first what it would take. */
async function refuseNow(world: World, vmid: Vmid, limitMib: Mib): Promise<string | undefined> {
  const sample = world.cgroups.sample(vmid);
  const refused = refuseMemory(sample, limitMib);
  if (refused !== undefined || !takesMemory(sample, limitMib)) return refused;
  const proof = await proveShrink(world, { vmid, toMib: limitMib });
  if (proof.kind === 'proven') return undefined;
  if (proof.kind === 'unproven') return explainUnproven(proof.because);
  return `its use of memory could not be read: ${proof.detail}`;
}

type Outcome = Pick<RestoreResult, 'kind' | 'note' | 'backup' | 'hold'>;
type Sides = Pick<RestoreResult, 'before' | 'target'>;

async function change(
  world: World,
  goal: RestoreGoal,
  file: GuestFile,
  sides: Sides,
  context: RestoreContext,
): Promise<Outcome> {
  const { vmid } = goal;
  const backup = backUp(world, file, sides, goal.backupId);
  if (!backup.ok) {
    return { kind: 'failed', note: `Nothing was changed, since no backup: ${backup.message}` };
  }
  const wasRunning = isRunning(world, vmid);
  // Before the change, so that the loop does not undo it in the moment after.
  const held = hold(world, goal);
  const request = { vmid, ...sides.target, digest: file.config.digest };
  const outcome = await world.proxmox.set(request, context.stop);
  const result = await settle(world, vmid, sides, outcome, context);
  const notes = [held.note, result.note];
  if (wasRunning && !isRunning(world, vmid)) {
    notes.push('The container stopped while it was changed; please look.');
    result.kind = 'failed';
  }
  const note = notes.filter((text) => text !== undefined).join(' ');
  return { ...held, kind: result.kind, backup: backup.path, ...(note !== '' && { note }) };
}

function backUp(world: World, file: GuestFile, { before, target }: Sides, backupId: string) {
  const { cores, cpuLimit, memoryMib } = target;
  return world.backups.write(file, {
    ...(cores !== undefined && { cores: { from: before.cores ?? null, to: cores } }),
    ...(cpuLimit !== undefined && { cpuLimit: { from: before.cpuLimit ?? null, to: cpuLimit } }),
    ...(memoryMib !== undefined &&
      before.memoryMib !== undefined && { memoryMib: { from: before.memoryMib, to: memoryMib } }),
    reason: `Rollback to ${backupId}: ${describeTarget(before, target)}`,
    rollbackTo: backupId,
  });
}

function hold(
  { clock, holds }: World,
  { vmid, backupId, guest }: RestoreGoal,
): Pick<RestoreResult, 'hold' | 'note'> {
  const untilMs = milliseconds(clock.wallMs() + MANUAL_HOLD_MS);
  const reason = `it was rolled back by hand to ${backupId}`;
  const made = { untilMs, reason, ...(guest && { guest }) };
  const written = holds.write(vmid, made);
  if (written.ok) return { hold: made };
  return { note: `${written.message}, so a running daemon may change it again at once.` };
}

const isRunning = ({ cgroups }: World, vmid: Vmid): boolean => {
  const sample = cgroups.sample(vmid);
  return sample.ok || sample.why !== 'absent';
};

interface Settled {
  kind: 'confirmed' | 'pending' | 'failed';
  readonly note?: string;
}

/** What came of it, by what is read back: what `pct` says is only a hint. */
async function settle(
  world: World,
  vmid: Vmid,
  sides: Sides,
  outcome: CommandOutcome,
  context: RestoreContext,
): Promise<Settled> {
  const said = outcome.kind === 'done' ? undefined : outcomeWords(outcome);
  const verdict = verify(sides.before, sides.target, readBack(world, vmid), cpusOf(context));
  switch (verdict.kind) {
    case 'confirmed':
    case 'pending':
      if (said === undefined) return { kind: verdict.kind };
      return { kind: verdict.kind, note: `It is in force, though ${said}.` };
    case 'unchanged':
      return failed(`Nothing was changed: ${said ?? 'pct reported success, and nothing changed'}`);
    case 'unknown':
      return failed(`What came of it is not known: ${verdict.detail}`);
    case 'changed-by-others': {
      const also = said === undefined ? '' : `; ${said}`;
      return failed(`Somebody else changed it meanwhile (${verdict.found})${also}`);
    }
    case 'half-done': {
      const why = `${said ?? 'pct reported success'}, and it was half done (${verdict.found})`;
      return failed(`${why}; ${await putBack(world, vmid, sides, context)}`);
    }
  }
}

const failed = (note: string): Settled => ({ kind: 'failed', note });
const cpusOf = ({ hostCpus }: RestoreContext): number => hostCpus ?? Number.POSITIVE_INFINITY;

/** Takes back what was half done. Returns how that went, in words. */
async function putBack(
  world: World,
  vmid: Vmid,
  { before }: Sides,
  context: RestoreContext,
): Promise<string> {
  const notDone = (why: string): string => `NOT put back (${why}), please look at the container`;
  const file = world.guests.read(vmid);
  if (!file.ok) return notDone(file.detail);
  const { memoryMib } = before;
  const unsafe = memoryMib === undefined ? undefined : await refuseNow(world, vmid, memoryMib);
  if (unsafe !== undefined) return notDone(unsafe);
  const backup = world.backups.write(file.value, { reason: 'Putting back a half-done rollback' });
  if (!backup.ok) return notDone(backup.message);
  const { digest } = file.value.config;
  // Not to be stopped: a container would be left half changed.
  const outcome = await world.proxmox.set(
    { vmid, ...before, digest },
    new AbortController().signal,
  );
  const { kind } = verify({}, before, readBack(world, vmid), cpusOf(context));
  if (kind === 'confirmed' || kind === 'pending') return 'the values before are back in force';
  return notDone(outcome.kind === 'done' ? 'pct set did not help' : outcomeWords(outcome));
}
