import { whyNotUnseen } from '../core/day-seen.ts';
import { explainUnproven } from '../core/explain.ts';
import { isStopped } from '../core/guest-state.ts';
import { guestNoun } from '../core/guest-words.ts';
import type { CgroupSample, GuestConfig } from '../core/observation.ts';
import { pauseAfter } from '../core/pause.ts';
import { provenBelow, takesMemory, type Unproven } from '../core/proof.ts';
import type { Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import { memoryUsage } from '../core/usage.ts';
import { type Verification, verify } from '../core/verify.ts';
import type { CommandOutcome, SetRequest } from '../node/port.ts';
import type { ActingWorld, World } from '../ports.ts';
import { bringBack, liftLive } from './bring-back.ts';
import { type HeldDown, holdDown, letGo, setWatched, whatWasKilled } from './hold-down.ts';
import { setMachine, whyTooLittle } from './machine-change.ts';
import { isUnwritable, NEED_UNSEEN, outcomeWords, readBack, type Unwritable } from './read-back.ts';
import type { ApplyContext, ChangeResult, Tried, Wish } from './wish.ts';

/** The one way to change a guest: for the loop, a rollback by hand, and repairs. */

/**
 * One change from end to end: look again, prove that memory can be taken and hold its growth back,
 * back up, set, read back, and put back what was half done or has hurt. What the command says is
 * only a hint: what counts is what is read back.
 */
export async function apply(
  world: ActingWorld,
  wish: Wish,
  context: ApplyContext,
): Promise<ChangeResult> {
  const { vmid, decidedOn, target } = wish;
  const overtaken = await whyOvertaken(world, decidedOn);
  if (overtaken !== undefined) return { kind: 'overtaken', note: overtaken };
  const { memoryMib } = target;
  const sample = world.cgroups.sample(vmid);
  const takes = memoryMib !== undefined && takesMemory(sample, memoryMib);
  const refused = await wish.refuse?.();
  if (refused !== undefined) return { kind: 'overtaken', note: refused };
  if (decidedOn.reaches !== undefined) {
    const tooLittle = whyTooLittle(world, wish);
    if (tooLittle !== undefined) return { kind: 'overtaken', note: tooLittle };
    return set(world, wish, context, (request) => setMachine(world, wish, request, context));
  }
  const held = (down?: HeldDown) =>
    set(world, wish, context, (request) => setContainer(world, wish, request, down, context));
  if (!takes) return held();
  if (world.cgroups.capabilities(vmid)?.workingSet === false) {
    const why = whyUnseen(wish, memoryMib, sample);
    return why === undefined ? held() : { kind: 'overtaken', note: why };
  }

  const down = await holdDown(world, { vmid, toMib: memoryMib, ...wish.lowering });
  if (down.kind === 'unproven') {
    return { kind: 'unproven', note: explainUnproven(down.because), unproven: down.because };
  }
  if (down.kind === 'unseen') {
    const note = `its memory could not be read once more before shrinking: ${down.detail}`;
    return { kind: 'overtaken', note };
  }
  try {
    return await held(down.held);
  } finally {
    await letGo(world, vmid);
  }
}

/** Why memory is not lowered unproven; undefined: a day that was seen allows it. */
function whyUnseen(
  { lowering }: Wish,
  toMib: number,
  sample: Reading<CgroupSample>,
): string | undefined {
  const { fromMib, dayPeakMib } = lowering ?? {};
  if (fromMib === undefined || dayPeakMib === undefined) return NEED_UNSEEN;
  const usage = sample.ok ? memoryUsage(undefined, sample.value) : sample;
  if (!usage.ok) return `its memory could not be read once more before shrinking: ${usage.detail}`;
  return whyNotUnseen({ fromMib, toMib, dayPeakMib, usedMib: usage.value.workingSetMib });
}

const OVERTAKEN = 'its configuration was changed meanwhile; deciding anew';

/** Why nothing that was decided on this configuration is to be done any more. */
export async function whyOvertaken(
  { inspect, guests, clock, notOurs }: World,
  decidedOn: GuestConfig,
): Promise<string | undefined> {
  await inspect(decidedOn.vmid);
  const file = guests.read(decidedOn.vmid);
  if (!file.ok) return file.detail;
  if (file.value.config.digest !== decidedOn.digest) return OVERTAKEN;
  return pauseAfter(undefined, guests.quorum(), clock.monotonicMs(), notOurs?.())?.why;
}

/** Backs up, changes, and says what came of it. */
async function set(
  world: ActingWorld,
  wish: Wish,
  { stop }: ApplyContext,
  how: (request: SetRequest) => Promise<Tried>,
): Promise<ChangeResult> {
  const { vmid, decidedOn, target } = wish;
  const file = world.guests.read(vmid);
  if (!file.ok) return { kind: 'overtaken', note: file.detail };
  const backup = world.backups.write(file.value, wish.purpose);
  if (!backup.ok) {
    return { kind: 'failed', note: `Nothing was changed, since no backup: ${backup.message}` };
  }
  wish.justBefore?.();
  const wasRunning = isRunning(world, vmid);
  const { outcome, result } = await how({
    vmid,
    ...target,
    digest: decidedOn.digest,
    ...(wish.unplugs && { unplugs: true }),
  });
  if (result.kind === 'overtaken') return result;
  if (result.kind === 'failed' && outcome.kind === 'not-started' && stop.aborted) {
    // The end of the program came first: that says nothing against the change.
    return { kind: 'overtaken', note: outcome.message };
  }
  return {
    ...unlessStopped(world, decidedOn, wasRunning, result),
    backup: backup.path,
    ...(isUnwritable(outcome) && !isInForce(result) && { unwritable: outcome.message }),
  };
}

/** What was written shows that it can be, whatever was answered. */
const isInForce = ({ kind }: ChangeResult): boolean => kind === 'confirmed' || kind === 'partly';

async function setContainer(
  world: ActingWorld,
  wish: Wish,
  request: SetRequest,
  held: HeldDown | undefined,
  context: ApplyContext,
): Promise<Tried> {
  const { vmid, decidedOn, before, target } = wish;
  const { outcome, pushed } = await setWatched(world, request, context.stop, held);
  const look = async (): Promise<Verification> =>
    verify(before, target, await readBack(world, vmid), context.hostCpus);
  let verdict = await look();
  if (verdict.kind === 'unchanged' && isChanged(world, decidedOn)) {
    // It may have come about between the two looks: a pct that was ended had begun to write.
    verdict = await look();
    if (verdict.kind === 'unchanged' && outcome.kind === 'failed') {
      return { outcome, result: { kind: 'overtaken', note: OVERTAKEN } };
    }
  }
  const done: Done = { outcome, pushed, verdict, held };
  return { outcome, result: await settle(world, wish, done, context) };
}

interface Done {
  readonly outcome: CommandOutcome;
  readonly pushed: Unproven | undefined;
  readonly verdict: Verification;
  readonly held: HeldDown | undefined;
}

/** Whether somebody has written to a configuration since a decision was made on it. */
function isChanged({ guests }: World, { vmid, digest }: GuestConfig): boolean {
  const now = guests.read(vmid);
  return now.ok && now.value.config.digest !== digest;
}

async function settle(
  world: ActingWorld,
  wish: Wish,
  { outcome, pushed, verdict, held }: Done,
  context: ApplyContext,
): Promise<ChangeResult> {
  const said = outcome.kind === 'done' ? undefined : outcomeWords(outcome);
  const killed = held && whatWasKilled(world, held);
  if (killed !== undefined && verdict.kind !== 'unchanged') {
    return bringBack(world, wish, KILLED[killed], context);
  }
  if (pushed !== undefined) {
    const why = explainUnproven(pushed);
    if (verdict.kind === 'unchanged') return { kind: 'unproven', note: why, unproven: pushed };
    // pct has set it anew, and what pushes must not come to the limit before that is back.
    if (held !== undefined) await world.hands.memoryHigh.hold(wish.vmid, provenBelow(held.toMib));
    return bringBack(world, wish, why, context);
  }
  switch (verdict.kind) {
    case 'confirmed':
    case 'pending':
      if (said === undefined) return { kind: verdict.kind };
      return { kind: verdict.kind, note: `It is active, though ${said}.` };
    case 'unchanged': {
      const note = said ?? 'success was reported, and nothing has changed';
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
      if (isUnwritable(outcome)) return halfUnwritten(world, wish, outcome, verdict, context);
      return bringBack(world, wish, `${said ?? 'half done'} (${verdict.found})`, context);
  }
}

async function halfUnwritten(
  world: ActingWorld,
  { vmid, before }: Wish,
  { message }: Unwritable,
  { found }: Extract<Verification, { readonly kind: 'half-done' }>,
  context: ApplyContext,
): Promise<ChangeResult> {
  const reason = `Half done without being written: ${message}`;
  const lifted = await liftLive(world, { vmid, target: before, reason }, context);
  const half = `${message} (${found}); kernel and configuration differ`;
  const note = `Half done, and cannot be put back now: ${half}`;
  return { kind: 'failed', note: lifted === undefined ? note : `${note}; ${lifted}` };
}

const KILLED = {
  kill: 'the kernel ended a process in it (out of memory) while its memory was lowered',
  stopped: 'it stopped while its memory was lowered',
} as const;

const isRunning = ({ cgroups }: World, vmid: Vmid): boolean => !isStopped(cgroups.sample(vmid));

/** A guest that no longer runs is a failure, whatever its configuration says. */
function unlessStopped(
  world: World,
  guest: GuestConfig,
  wasRunning: boolean,
  result: ChangeResult,
): ChangeResult {
  if (!wasRunning || isRunning(world, guest.vmid)) return result;
  const kind = result.kind === 'rolled-back' ? 'rolled-back' : 'failed';
  const stopped = `The ${guestNoun(guest)} stopped while it was changed; please check it.`;
  const note = result.note === undefined ? stopped : `${stopped} ${result.note}`;
  return { ...(result.unsettled && { unsettled: true }), kind, note };
}
