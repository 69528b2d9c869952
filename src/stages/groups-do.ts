import type { GroupPolicy } from '../core/groups/group-policy.ts';
import type { GroupGuest } from '../core/groups/group-view.ts';
import { describedBy } from '../core/groups/marker.ts';
import { isOurs } from '../core/groups/members.ts';
import type { StepOutcome } from '../core/groups/outcome.ts';
import type { CloneStep, Step } from '../core/groups/step.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { CommandOutcome, CommandWatch, GroupCommand, GroupWorld } from '../ports.ts';

/** How a step is carried out. What may have changed since it was planned is looked at again. */

export interface DoContext {
  readonly world: GroupWorld;
  readonly policy: GroupPolicy;
  readonly watch: CommandWatch;
  /** Writes down that a clone is about to be begun; returns why that could not be done. */
  readonly beforeClone: () => string | undefined;
}

const failed = (message: string): StepOutcome => ({ kind: 'failed', message });

/**
 * Carries a step out. What a command says is a hint only: where it failed and what was wanted is
 * there all the same (a former life of this program has begun it), it is done.
 */
export async function carryOutStep(context: DoContext, step: Step): Promise<StepOutcome> {
  const outcome = await attempt(context, step);
  if (outcome.kind !== 'failed' && outcome.kind !== 'taken') return outcome;
  return isReached(context, step) ? { kind: 'done' } : outcome;
}

function isReached(context: DoContext, step: Step): boolean {
  const guest = guestNow(context, step.vmid);
  const life = context.world.cgroups.sample(step.vmid);
  switch (step.kind) {
    case 'snapshot':
      return guest.ok && guest.value.snapshotNames.includes(step.name);
    case 'delete-snapshot':
      return guest.ok && !guest.value.snapshotNames.includes(step.name);
    case 'clone':
      return memberNow(context, step.vmid).ok;
    case 'start':
      return life.ok;
    case 'destroy':
    case 'discard':
      return !guest.ok && guest.why === 'absent';
    default:
      return false;
  }
}

async function attempt(context: DoContext, step: Step): Promise<StepOutcome> {
  switch (step.kind) {
    case 'snapshot':
    case 'delete-snapshot':
    case 'start':
      return run(context, step);
    case 'clone':
      return clone(context, step);
    case 'configure':
      return run(context, { ...step, kind: 'set' });
    case 'mark': {
      const { vmid, digest } = step;
      const set = new Map([
        ['description', step.description],
        ['onboot', step.onboot ? '1' : '0'],
      ]);
      return run(context, { kind: 'set', vmid, digest, set, remove: [] });
    }
    case 'admit':
      return admit(context, step);
    case 'take-out':
      return takeOut(context, step.vmid, step.drain);
    case 'destroy':
      return destroy(context, step.vmid);
    case 'discard':
      return discard(context, step.vmid);
    case 'unlock-source': {
      const source = guestNow(context, step.vmid);
      if (!source.ok) return failed(source.detail);
      if (source.value.lock !== step.lock) return { kind: 'done' };
      return run(context, { kind: 'unlock', vmid: step.vmid });
    }
  }
}

async function run({ world, watch }: DoContext, command: GroupCommand): Promise<StepOutcome> {
  return outcomeOf(await world.tools.run(command, watch));
}

function outcomeOf(outcome: CommandOutcome): StepOutcome {
  switch (outcome.kind) {
    case 'done':
      return { kind: 'done' };
    case 'failed': {
      const overtaken = /detected modified configuration/.test(outcome.message);
      return { kind: overtaken ? 'overtaken' : 'failed', message: outcome.message };
    }
    case 'not-started':
      return failed(outcome.message);
    case 'timed-out':
    case 'killed':
      return { kind: 'broken', message: outcome.message };
  }
}

/** The last checks before a clone: the cluster says that the id is free, and there is room. */
async function clone(context: DoContext, step: CloneStep): Promise<StepOutcome> {
  const { tools } = context.world;
  const free = await tools.isIdFree(step.vmid);
  if (!free.ok) return failed(`it is not known whether the id is free: ${free.detail}`);
  if (!free.value) return { kind: 'taken', message: `the id ${step.vmid} is taken` };
  if (step.full && step.disk !== undefined) {
    const { storage, mib } = step.disk;
    const room = await tools.storageRoom(storage, step.source);
    if (!room.ok) return failed(`the room on ${storage} is not known: ${room.detail}`);
    const { freeMib, thin, sourceUsedMib } = room.value;
    const needMib = thin ? Math.min(mib, sourceUsedMib ?? mib) : mib;
    if (needMib > freeMib) {
      const free = Math.floor(freeMib);
      return failed(`the storage ${storage} has ${free} MB left, and it needs ${needMib} MB`);
    }
  }
  const problem = context.beforeClone();
  if (problem !== undefined) return failed(problem);
  const outcome = await run(context, step);
  const taken = outcome.kind === 'failed' && /already exists/.test(outcome.message);
  return taken ? { kind: 'taken', message: outcome.message } : outcome;
}

/** The container as it is now. */
function guestNow({ world }: DoContext, vmid: Vmid): Reading<GroupGuest> {
  const cluster = world.cluster.read();
  if (!cluster.ok) return cluster;
  return cluster.value.guests.get(vmid) ?? missing('absent', `container ${vmid} is gone`);
}

/** The same, where it is a member that this program made and nobody has taken from it. */
function memberNow(context: DoContext, vmid: Vmid): Reading<GroupGuest> {
  const guest = guestNow(context, vmid);
  if (!guest.ok) return guest;
  if (isOurs(context.policy, guest.value)) return present(guest.value);
  return missing('absent', `container ${vmid} no longer bears the tag and the mark of the group`);
}

async function admit(context: DoContext, step: Step & { kind: 'admit' }): Promise<StepOutcome> {
  const { vmid } = step;
  const before = memberNow(context, vmid);
  if (!before.ok) return failed(before.detail);
  const hooked = await hook(context, 'on_ready', vmid);
  if (hooked.kind !== 'done') return hooked;
  const guest = memberNow(context, vmid);
  if (!guest.ok) return failed(guest.detail);
  const { digest, description } = guest.value;
  const set = new Map([['description', describedBy(step.marker, description)]]);
  return run(context, { kind: 'set', vmid, digest, set, remove: [] });
}

/** Where the hook does not succeed nothing is taken away: it may still be at work. */
async function takeOut(context: DoContext, vmid: Vmid, drain: boolean): Promise<StepOutcome> {
  const before = memberNow(context, vmid);
  if (!before.ok) return failed(before.detail);
  if (drain) {
    const hooked = await hook(context, 'on_terminating', vmid);
    if (hooked.kind !== 'done') return hooked;
  }
  const guest = memberNow(context, vmid);
  if (!guest.ok) return failed(guest.detail);
  const outcome = await run(context, { kind: 'shutdown', vmid });
  const life = context.world.cgroups.sample(vmid);
  const stopped = outcome.kind === 'failed' && !life.ok && life.why === 'absent';
  return stopped ? { kind: 'done' } : outcome;
}

async function destroy(context: DoContext, vmid: Vmid): Promise<StepOutcome> {
  const guest = memberNow(context, vmid);
  if (!guest.ok) return failed(guest.detail);
  const state = guest.value.marker?.state;
  if (state !== 'leaving' && state !== 'failed') {
    return failed(`container ${vmid} is not marked to be removed`);
  }
  return run(context, { kind: 'destroy', vmid });
}

async function discard(context: DoContext, vmid: Vmid): Promise<StepOutcome> {
  const guest = memberNow(context, vmid);
  if (!guest.ok) return guest.why === 'absent' ? { kind: 'done' } : failed(guest.detail);
  if (guest.value.marker?.state !== 'cloning') return { kind: 'done' };
  if (guest.value.lock === 'create') {
    const unlocked = await run(context, { kind: 'unlock', vmid });
    if (unlocked.kind !== 'done') return unlocked;
  }
  return run(context, { kind: 'destroy', vmid });
}

async function hook(
  context: DoContext,
  name: 'on_ready' | 'on_terminating',
  vmid: Vmid,
): Promise<StepOutcome> {
  const { policy, world } = context;
  const argv = name === 'on_ready' ? policy.onReady : policy.onTerminating;
  if (argv.length === 0) return { kind: 'done' };
  let address = '';
  if (argv.some((word) => word.includes('{ip}'))) {
    const found = await addressOf(context, vmid);
    if (!found.ok) return failed(`${name} needs {ip}, which is not known: ${found.detail}`);
    address = found.value;
  }
  const words = argv.map((word) =>
    word.replaceAll('{vmid}', `${vmid}`).replaceAll('{ip}', address),
  );
  const outcome = outcomeOf(await world.tools.hook(words, policy.hookTimeoutMs));
  if (outcome.kind === 'done') return outcome;
  return failed(`${name} did not succeed: ${'message' in outcome ? outcome.message : ''}`);
}

/** From its mark, from its configuration, or as the running container has it. */
export async function addressOf(
  context: Pick<DoContext, 'world'> & Partial<DoContext>,
  vmid: Vmid,
): Promise<Reading<string>> {
  const cluster = context.world.cluster.read();
  const guest = cluster.ok ? cluster.value.guests.get(vmid) : cluster;
  if (guest?.ok === true) {
    const configured = /(?:^|,)ip=([0-9.]+)\//.exec(guest.value.nets.get('net0') ?? '')?.[1];
    if (configured !== undefined) return present(configured);
  }
  return context.world.tools.addressOf(vmid);
}
