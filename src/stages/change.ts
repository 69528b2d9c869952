import { explainUnproven } from '../core/explain.ts';
import type { GuestConfig } from '../core/observation.ts';
import { pauseAfter } from '../core/pause.ts';
import type { PlannedChange } from '../core/plan.ts';
import type { Unproven } from '../core/proof.ts';
import type { Room } from '../core/room.ts';
import { bytesToMib, mib, type Vmid } from '../core/units.ts';
import { type Target, type Verification, verify } from '../core/verify.ts';
import type { BackupPurpose, CommandOutcome, SetRequest, World } from '../ports.ts';
import { proveShrink } from './prove.ts';
import { outcomeWords, readBack } from './read-back.ts';
import { whyNoRoom } from './room.ts';
import { changesOf, describe } from './tell.ts';

/** How one change went; `note` says more for a person. */
export interface ChangeResult {
  readonly kind: 'confirmed' | 'pending' | 'failed' | 'rolled-back' | 'overtaken' | 'unproven';
  readonly backup?: string;
  readonly note?: string;
  /** It failed since somebody else has set another value. */
  readonly byOthers?: true;
  /** What `pct` said where `/etc/pve` takes no changes: another `pct set` would fail as well. */
  readonly unwritable?: string;
  /** Why its memory stays as it is; nothing at all was changed then. */
  readonly unproven?: Unproven;
}

export interface ChangeContext {
  readonly hostCpus: number;
  /** What the host can still give with this change made. */
  readonly room: Room;
  readonly stop: AbortSignal;
}

/**
 * One change from end to end: look again, prove that memory can be taken, back up, `pct set`, read
 * back, and put back what was half done. What `pct` says is only a hint: what counts is what is
 * read back.
 */
export async function carryOut(
  world: World,
  planned: PlannedChange,
  decidedOn: GuestConfig,
  context: ChangeContext,
): Promise<ChangeResult> {
  const file = world.guests.read(planned.vmid);
  if (!file.ok) return { kind: 'overtaken', note: file.detail };
  if (file.value.config.digest !== decidedOn.digest) return OVERTAKEN;
  const before = target(planned, 'before', decidedOn);
  const expected = target(planned, 'after', decidedOn);
  const refused = refuseGrowth(world, planned, context) ?? (await refuseShrink(world, planned));
  if (refused !== undefined) return refused;

  const pause = pauseAfter(undefined, world.guests.quorum(), world.clock.monotonicMs());
  if (pause !== undefined) return { kind: 'overtaken', note: pause.why };

  const backup = world.backups.write(file.value, purpose(planned, before, expected));
  if (!backup.ok) {
    return { kind: 'failed', note: `Nothing was changed, since no backup: ${backup.message}` };
  }
  const request = { vmid: planned.vmid, ...expected, digest: decidedOn.digest };
  const outcome = await world.proxmox.set(request, context.stop);
  const look = (): Verification =>
    verify(before, expected, readBack(world, planned.vmid), context.hostCpus);
  let verdict = look();
  if (verdict.kind === 'unchanged' && isChanged(world, decidedOn)) {
    // It may have come about between the two looks: a pct that was ended had begun to write.
    verdict = look();
    if (verdict.kind === 'unchanged' && outcome.kind === 'failed') return OVERTAKEN;
  }
  const result = await settle(world, planned, before, verdict, outcome, context);
  return {
    ...{ ...unlessStopped(world, planned, result), backup: backup.path },
    ...(outcome.kind === 'failed' && outcome.unwritable && { unwritable: outcome.message }),
  };
}

const OVERTAKEN: ChangeResult = {
  kind: 'overtaken',
  note: 'its configuration was changed meanwhile; deciding anew',
};

/** Whether somebody has written to a configuration since a decision was made on it. */
function isChanged({ guests }: World, { vmid, digest }: GuestConfig): boolean {
  const now = guests.read(vmid);
  return now.ok && now.value.config.digest !== digest;
}

/** The values of one side of a change. A line that was not there does not come back either. */
function target(planned: PlannedChange, side: 'before' | 'after', config: GuestConfig): Target {
  const { cores, memory } = planned;
  const before = side === 'before';
  return {
    ...(cores?.unit === undefined &&
      cores && { cores: before ? (config.cores ?? null) : cores.after }),
    ...(cores?.unit === 'cpulimit' && {
      cpuLimit: before ? (config.cpuLimit ?? null) : cores.after,
    }),
    ...(memory && { memoryMib: before ? config.memoryMib : mib(memory.after) }),
  };
}

function purpose(planned: PlannedChange, before: Target, expected: Target): BackupPurpose {
  return {
    ...(expected.cores !== undefined && {
      cores: { from: before.cores ?? null, to: expected.cores },
    }),
    ...(expected.cpuLimit !== undefined && {
      cpuLimit: { from: before.cpuLimit ?? null, to: expected.cpuLimit },
    }),
    ...(expected.memoryMib !== undefined &&
      before.memoryMib !== undefined && {
        memoryMib: { from: before.memoryMib, to: expected.memoryMib },
      }),
    reason: changesOf(planned).map(describe).join('. '),
  };
}

/** A change may come a minute after it was planned, with slow ones before it. */
function refuseGrowth(
  world: World,
  { memory }: PlannedChange,
  { room }: ChangeContext,
): ChangeResult | undefined {
  if (memory?.verdict !== 'grow') return undefined;
  const why = whyNoRoom(world, room);
  return why === undefined ? undefined : { kind: 'overtaken', note: `${why}; deciding anew` };
}

/** Why memory is not taken; undefined where none is to be, and where it has been proven. */
async function refuseShrink(
  world: World,
  { vmid, memory }: PlannedChange,
): Promise<ChangeResult | undefined> {
  if (memory?.verdict !== 'shrink') return undefined;
  const fromMib = memory.measured.before;
  const swapStays = memory.measured.swapStays ?? false;
  const proof = await proveShrink(world, { vmid, toMib: memory.after, fromMib, swapStays });
  if (proof.kind === 'proven') return undefined;
  if (proof.kind === 'unproven') {
    const { because } = proof;
    return { kind: 'unproven', note: explainUnproven(because), unproven: because };
  }
  const note = `its memory could not be read once more before shrinking: ${proof.detail}`;
  return { kind: 'overtaken', note };
}

async function settle(
  world: World,
  planned: PlannedChange,
  before: Target,
  verdict: Verification,
  outcome: CommandOutcome,
  context: ChangeContext,
): Promise<ChangeResult> {
  const said = outcome.kind === 'done' ? undefined : outcomeWords(outcome);
  switch (verdict.kind) {
    case 'confirmed':
    case 'pending':
      return accepted(verdict, said);
    case 'unchanged': {
      const note = said ?? 'pct reported success, and nothing has changed';
      return { kind: 'failed', note: `Nothing was changed: ${note}` };
    }
    case 'unknown':
      return { kind: 'failed', note: `What came of it is not known: ${verdict.detail}` };
    case 'changed-by-others': {
      const note = `Left as it is, since somebody else changed it meanwhile (${verdict.found})`;
      const all = said === undefined ? note : `${note}; ${said}`;
      return { kind: 'failed', byOthers: true, note: all };
    }
    case 'half-done':
      if (outcome.kind === 'failed' && outcome.unwritable === true) {
        const half = `${outcome.message} (${verdict.found}); kernel and configuration differ`;
        return { kind: 'failed', note: `Half done, and cannot be put back now: ${half}` };
      }
      return putBack(world, planned, before, `${said ?? 'half done'} (${verdict.found})`, context);
  }
}

function accepted(
  verdict: Verification & { kind: 'confirmed' | 'pending' },
  said: string | undefined,
): ChangeResult {
  const notes: string[] = [];
  if (said !== undefined) notes.push(`It is in force, though ${said}.`);
  if (verdict.kind === 'pending') {
    notes.push('Its cores come into force when pvestatd next rebalances, in about 10 s.');
  }
  return { kind: verdict.kind, ...(notes.length > 0 && { note: notes.join(' ') }) };
}

/** A container that no longer runs is a failure, whatever its configuration says. */
function unlessStopped(
  { cgroups }: World,
  { vmid }: PlannedChange,
  result: ChangeResult,
): ChangeResult {
  const sample = cgroups.sample(vmid);
  if (sample.ok || sample.why !== 'absent') return result;
  const kind = result.kind === 'rolled-back' ? 'rolled-back' : 'failed';
  const stopped = 'The container stopped while it was changed; please look.';
  return { kind, note: result.note === undefined ? stopped : `${stopped} ${result.note}` };
}

/** Why the values before must not come back: that would take memory that is in use by now. */
async function refusePutBack(
  world: World,
  vmid: Vmid,
  before: Target,
): Promise<string | undefined> {
  if (before.memoryMib === undefined) return undefined;
  const sample = world.cgroups.sample(vmid);
  // A container that has stopped uses none.
  if (!sample.ok && sample.why === 'absent') return undefined;
  const counters = sample.ok ? sample.value.memory : sample;
  const liveBytes = counters.ok ? counters.value.limitBytes : undefined;
  if (liveBytes !== undefined && bytesToMib(liveBytes) <= before.memoryMib) return undefined;
  const proof = await proveShrink(world, { vmid, toMib: before.memoryMib });
  if (proof.kind === 'proven') return undefined;
  if (proof.kind === 'unseen') return `its memory could not be read: ${proof.detail}`;
  return explainUnproven(proof.because);
}

/** Restores the values before a change that was half done. */
async function putBack(
  world: World,
  planned: PlannedChange,
  before: Target,
  why: string,
  context: ChangeContext,
): Promise<ChangeResult> {
  const failed = (note: string): ChangeResult => ({
    kind: 'failed',
    note: `Half done and NOT put back (${note}): ${why}. Please look at container ${planned.vmid}.`,
  });
  const file = world.guests.read(planned.vmid);
  if (!file.ok) return failed(file.detail);
  const unsafe = await refusePutBack(world, planned.vmid, before);
  if (unsafe !== undefined) return failed(unsafe);
  const reason = `Putting back what was half done: ${why}`;
  const backup = world.backups.write(file.value, { reason });
  if (!backup.ok) return failed(`no backup: ${backup.message}`);
  const request: SetRequest = {
    vmid: planned.vmid,
    ...before,
    digest: file.value.config.digest,
  };
  // Also when the program is about to end: a stop that has fired already would keep pct from
  // starting, and a container would be left half changed.
  const stop = context.stop.aborted ? AbortSignal.timeout(1) : context.stop;
  const outcome = await world.proxmox.set(request, stop);
  const verdict = verify({}, before, readBack(world, planned.vmid), context.hostCpus);
  if (verdict.kind === 'confirmed' || verdict.kind === 'pending') {
    return { kind: 'rolled-back', note: `The values before are back in force: ${why}` };
  }
  return failed(outcome.kind === 'done' ? 'pct set did not help' : outcomeWords(outcome));
}
