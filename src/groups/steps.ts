import { memberAddress } from '../core/groups/addresses.ts';
import { bearsNonce } from '../core/groups/description.ts';
import type { GroupPolicy } from '../core/groups/group-policy.ts';
import type { GroupGuest } from '../core/groups/group-view.ts';
import { isEntryOf, type LedgerMember } from '../core/groups/ledger.ts';
import { lackingLimits } from '../core/groups/member-settings.ts';
import { isOurs } from '../core/groups/members.ts';
import { netFields } from '../core/groups/net-lines.ts';
import type { StepOutcome } from '../core/groups/outcome.ts';
import type { CloneStep, ConfigureStep, Step } from '../core/groups/step.ts';
import { guestState, isStopped } from '../core/guest-state.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { CommandOutcome, CommandWatch, GroupCommand } from '../node/port.ts';
import type { ActingGroupWorld, GroupWorld } from '../ports.ts';
import { whyNoRoom } from './storage-room.ts';

/** How a step is carried out. What may have changed since it was planned is looked at again. */

export interface DoContext {
  readonly world: ActingGroupWorld;
  readonly policy: GroupPolicy;
  /** Of all groups. */
  readonly sources: ReadonlySet<Vmid>;
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
  return (await isReached(context, step)) ? { kind: 'done' } : outcome;
}

async function isReached(context: DoContext, step: Step): Promise<boolean> {
  const guest = await guestNow(context, step.vmid);
  const { kind: state } = guestState(context.world.cgroups.sample(step.vmid));
  switch (step.kind) {
    case 'snapshot':
      return guest.ok && guest.value.snapshots.has(step.name);
    case 'delete-snapshot':
      return guest.ok && !guest.value.snapshots.has(step.name);
    case 'clone': {
      const entry = entryNow(context, step.vmid);
      return guest.ok && entry.ok && bearsNonce(guest.value, entry.value.nonce);
    }
    case 'start':
      return state === 'running' || state === 'frozen';
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
      return change(context, step);
    case 'delete-snapshot':
      return deleteSnapshot(context, step);
    case 'clone':
      return clone(context, step);
    case 'configure':
      return configure(context, step);
    case 'mark':
      return { kind: 'done' };
    case 'start':
      return start(context, step.vmid);
    case 'admit':
      return admit(context, step.vmid);
    case 'take-out':
      return takeOut(context, step.vmid, step.drain);
    case 'destroy':
      return destroy(context, step.vmid);
    case 'discard':
      return discard(context, step.vmid);
    case 'unlock-source': {
      const source = await guestNow(context, step.vmid);
      if (!source.ok) return failed(source.detail);
      if (source.value.lock !== step.lock) return { kind: 'done' };
      return change(context, { kind: 'unlock', vmid: step.vmid });
    }
  }
}

/** Whatever changes a configuration, or ends it, comes after a copy that was read back. */
async function change(context: DoContext, command: GroupCommand): Promise<StepOutcome> {
  const { world, policy } = context;
  await world.inspect(command.vmid);
  const file = world.guests.read(command.vmid);
  if (!file.ok) return failed(`no backup could be made: ${file.detail}`);
  if (command.kind === 'set' && file.value.config.digest !== command.digest) {
    const message = 'detected modified configuration: it has changed since it was looked at';
    return { kind: 'overtaken', message };
  }
  const reason = `${command.kind} for the group ${policy.label}`;
  const backup = world.backups.write(file.value, { reason });
  return backup.ok ? run(context, command) : failed(backup.message);
}

async function run({ world, watch }: DoContext, command: GroupCommand): Promise<StepOutcome> {
  return outcomeOf(await world.hands.run(command, watch));
}

function outcomeOf(outcome: CommandOutcome): StepOutcome {
  switch (outcome.kind) {
    case 'done':
      return { kind: 'done' };
    case 'failed': {
      const { why, message } = outcome;
      return why === 'modified' ? { kind: 'overtaken', message } : { kind: 'failed', why, message };
    }
    case 'not-started':
      return failed(outcome.message);
    case 'timed-out':
      return { kind: 'broken', message: outcome.message };
    case 'killed': {
      const { message, isUnseen } = outcome;
      return { kind: 'broken', message, ...(isUnseen && { isUnseen }) };
    }
  }
}

/** The last checks before a clone: the cluster says that the id is free, and there is room. */
async function clone(context: DoContext, step: CloneStep): Promise<StepOutcome> {
  const { eyes } = context.world;
  const free = await eyes.isIdFree(step.vmid);
  if (!free.ok) return failed(`it is not known whether the id is free: ${free.detail}`);
  if (!free.value) return { kind: 'taken', message: `the id ${step.vmid} is taken` };
  if (step.full && step.disk !== undefined) {
    const { storage, mib } = step.disk;
    const tight = await whyNoRoom(eyes, step.source, [{ storage, mib, rootMib: mib }]);
    if (tight !== undefined) return failed(tight);
  }
  const problem = context.beforeClone();
  if (problem !== undefined) return failed(problem);
  const outcome = await run(context, step);
  const taken = outcome.kind === 'failed' && outcome.why === 'exists';
  return taken ? { kind: 'taken', message: outcome.message } : outcome;
}

/** The container as it is now; with it comes whether it runs, and what the ledger has. */
async function guestNow({ world }: DoContext, vmid: Vmid): Promise<Reading<GroupGuest>> {
  await Promise.all([world.inspect(vmid), world.cluster.look?.()]);
  const cluster = world.cluster.read();
  if (!cluster.ok) return cluster;
  return cluster.value.guests.get(vmid) ?? missing('absent', `container ${vmid} is gone`);
}

/** What the ledger says of it now. */
function entryNow({ world, policy }: DoContext, vmid: Vmid): Reading<LedgerMember> {
  const ledger = world.ledgers.read(policy.label);
  if (!ledger.ok) return ledger;
  const entry = ledger.value.members.get(vmid);
  return entry === undefined ? missing('absent', `${vmid} is not in the ledger`) : present(entry);
}

interface MemberNow {
  readonly guest: GroupGuest;
  readonly entry: LedgerMember;
}

/** A container and its entry, where this program made it and nobody has taken it in hand. */
async function memberNow(context: DoContext, vmid: Vmid): Promise<Reading<MemberNow>> {
  const guest = await guestNow(context, vmid);
  if (!guest.ok) return guest;
  const entry = entryNow(context, vmid);
  if (!entry.ok) return entry;
  if (!isEntryOf(entry.value, guest.value)) {
    return missing('malformed', `container ${vmid} is another one than the member of the ledger`);
  }
  if (!isOurs(context, guest.value, entry.value)) {
    return missing('malformed', `container ${vmid} is kept: it no longer has the group's tag`);
  }
  return present({ guest: guest.value, entry: entry.value });
}

/** A container that runs is never configured, whatever it was made for: it has a life already. */
async function configure(context: DoContext, step: ConfigureStep): Promise<StepOutcome> {
  const { vmid } = step;
  const member = await memberNow(context, vmid);
  if (!member.ok) return failed(member.detail);
  const { state, identity } = member.value.entry;
  if (state !== 'cloning' || identity === undefined) return failed(`${vmid} is no fresh clone`);
  if (!isDown(context, vmid)) return failed(`${vmid} runs, and is not configured as a clone`);
  const outcome = await change(context, { ...step, kind: 'set' });
  if (outcome.kind !== 'done') return outcome;
  const after = await guestNow(context, vmid);
  if (!after.ok) return failed(after.detail);
  const has = (key: string): string | undefined =>
    key === 'hostname' ? after.value.hostname : after.value.nets.get(key);
  const keys = [...step.set.keys()].filter((key) => key === 'hostname' || /^net[0-9]/.test(key));
  const { tags, config } = after.value;
  const lacking = [
    ...keys.filter((key) => !isSameSetting(has(key), step.set.get(key))),
    ...lackingLimits(step, config),
    ...(tags.includes(context.policy.tag) ? [] : ['tags']),
  ];
  if (lacking.length === 0) return outcome;
  return failed(`it was configured without an error, and lacks ${lacking.join(', ')}`);
}

/** The fields of an interface may come back in another order. */
const isSameSetting = (seen = '', wanted = ''): boolean =>
  seen.split(',').sort().join() === wanted.split(',').sort().join();

const isDown = ({ world }: DoContext, vmid: Vmid): boolean => isStopped(world.cgroups.sample(vmid));

/** Has a member start with the host, or no longer; nothing if it is so. */
async function setOnboot(
  context: DoContext,
  { vmid, digest, settings }: GroupGuest,
  value: '0' | '1',
): Promise<StepOutcome> {
  if ((settings.get('onboot') ?? '0') === value) return { kind: 'done' };
  return change(context, {
    kind: 'set',
    vmid,
    digest,
    set: new Map([['onboot', value]]),
    remove: [],
  });
}

async function start(context: DoContext, vmid: Vmid): Promise<StepOutcome> {
  const member = await memberNow(context, vmid);
  if (!member.ok) return failed(member.detail);
  const boots = await setOnboot(context, member.value.guest, '1');
  return boots.kind === 'done' ? run(context, { kind: 'start', vmid }) : boots;
}

async function admit(context: DoContext, vmid: Vmid): Promise<StepOutcome> {
  const before = await memberNow(context, vmid);
  if (!before.ok) return failed(before.detail);
  const hooked = await hook(context, 'on_ready', vmid);
  if (hooked.kind !== 'done') return hooked;
  const after = await memberNow(context, vmid);
  return after.ok ? { kind: 'done' } : failed(after.detail);
}

/** Where the hook does not succeed nothing is taken away: it may still be at work. */
async function takeOut(context: DoContext, vmid: Vmid, drain: boolean): Promise<StepOutcome> {
  const before = await memberNow(context, vmid);
  if (!before.ok) return failed(before.detail);
  if (drain) {
    const hooked = await hook(context, 'on_terminating', vmid);
    if (hooked.kind !== 'done') return hooked;
  }
  const member = await memberNow(context, vmid);
  if (!member.ok) return failed(member.detail);
  const state = mayEnd(member.value);
  if (state !== undefined) return failed(state);
  const boots = await setOnboot(context, member.value.guest, '0');
  if (boots.kind !== 'done') return boots;
  const outcome = await run(context, { kind: 'shutdown', vmid });
  if (outcome.kind !== 'failed') return outcome;
  await context.world.inspect(vmid);
  return isDown(context, vmid) ? { kind: 'done' } : outcome;
}

/** Why a member is not to be ended; undefined if the ledger says that it is. */
const mayEnd = ({ guest, entry }: MemberNow): string | undefined =>
  entry.state === 'leaving' || entry.state === 'failed'
    ? undefined
    : `container ${guest.vmid} is not to be removed, as the ledger has it`;

async function destroy(context: DoContext, vmid: Vmid): Promise<StepOutcome> {
  const member = await memberNow(context, vmid);
  if (!member.ok) return failed(member.detail);
  const state = mayEnd(member.value);
  if (state !== undefined) return failed(state);
  if (member.value.guest.protection) return failed(`container ${vmid} is protected`);
  if (!isDown(context, vmid)) return failed(`container ${vmid} runs`);
  return change(context, { kind: 'destroy', vmid });
}

/** Removes a clone that was cut off. It never ran, and all that it has came of its cloning. */
async function discard(context: DoContext, vmid: Vmid): Promise<StepOutcome> {
  const there = await guestNow(context, vmid);
  if (!there.ok) return there.why === 'absent' ? { kind: 'done' } : failed(there.detail);
  const member = await memberNow(context, vmid);
  if (!member.ok) return failed(member.detail);
  if (member.value.entry.state !== 'cloning') return { kind: 'done' };
  if (!isDown(context, vmid)) return failed(`container ${vmid} runs`);
  if (member.value.guest.lock === 'create') {
    const unlocked = await change(context, { kind: 'unlock', vmid });
    if (unlocked.kind !== 'done') return unlocked;
  }
  const lifted = await liftCopied(context, vmid);
  return lifted.kind === 'done' ? change(context, { kind: 'destroy', vmid }) : lifted;
}

/** Protection that the clone has of its source only. */
async function liftCopied(context: DoContext, vmid: Vmid): Promise<StepOutcome> {
  const member = await memberNow(context, vmid);
  if (!member.ok) return failed(member.detail);
  const { digest, protection } = member.value.guest;
  if (!protection) return { kind: 'done' };
  const source = await guestNow(context, context.policy.source);
  if (!source.ok || !source.value.protection) return failed(`container ${vmid} is protected`);
  const remove = ['protection'];
  return change(context, { kind: 'set', vmid, digest, set: new Map(), remove });
}

/** Only a snapshot that the ledger has, and that is still the one that was taken. */
async function deleteSnapshot(
  context: DoContext,
  step: Step & { kind: 'delete-snapshot' },
): Promise<StepOutcome> {
  const { world, policy } = context;
  const ledger = world.ledgers.read(policy.label);
  if (!ledger.ok) return failed(ledger.detail);
  const known = ledger.value.snapshots.get(step.name);
  const source = await guestNow(context, step.vmid);
  if (!source.ok) return failed(source.detail);
  const snaptime = source.value.snapshots.get(step.name)?.snaptime;
  const isOwn = known?.source === step.vmid && (known.snaptime ?? snaptime) === snaptime;
  return isOwn ? change(context, step) : failed(`the snapshot ${step.name} is not of this program`);
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
  const outcome = outcomeOf(await world.hands.hook(words, policy.hookTimeoutMs));
  if (outcome.kind === 'done') return outcome;
  return failed(`${name} did not succeed: ${'message' in outcome ? outcome.message : ''}`);
}

/** From its mark, from its configuration, or as the running container has it. */
export async function addressOf(
  context: { readonly world: GroupWorld } & Partial<DoContext>,
  vmid: Vmid,
): Promise<Reading<string>> {
  const cluster = context.world.cluster.read();
  const guest = cluster.ok ? cluster.value.guests.get(vmid) : cluster;
  if (guest?.ok === true) {
    const configured = netFields(guest.value.nets.get('net0') ?? '').get('ip');
    if (configured !== undefined && /^[0-9]/.test(configured)) {
      const address = memberAddress(configured, context.world.eyes.ownAddresses());
      if (address !== undefined) return present(address);
      return missing('malformed', `${configured} is no address of a container's own`);
    }
  }
  return context.world.eyes.addressOf(vmid);
}
