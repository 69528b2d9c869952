import { type Allocation, type Lever, pick } from '../core/allocation.ts';
import { guestLabel } from '../core/guest-words.ts';
import type { LoopState } from '../core/loop-state.ts';
import { machineNeedMib } from '../core/machine-guards.ts';
import type { ContainerObservation, GuestConfig } from '../core/observation.ts';
import { mib, type Vmid } from '../core/units.ts';
import { leftPending, type MachineVerdict, verifyMachine } from '../core/verify-machine.ts';
import type { CommandOutcome, SetRequest } from '../node/port.ts';
import type { ActingWorld, World } from '../ports.ts';
import { outcomeWords } from './read-back.ts';
import {
  type ApplyContext,
  type ChangeResult,
  stopAlsoAtTheEnd,
  type Tried,
  type Wish,
} from './wish.ts';

/**
 * A change of a virtual machine: the part of the executor for a guest whose levers move piece by
 * piece. What its guest refuses stays pending and would take effect at the next start, so it is
 * dropped, and that is read back.
 */
export async function setMachine(
  world: ActingWorld,
  { vmid, before, target }: Wish,
  request: SetRequest,
  context: ApplyContext,
): Promise<Tried> {
  const outcome = await world.hands.apply(request, context.stop);
  const left = await dropPending(world, vmid, target, outcome, context);
  const verdict = await lookAt(world, vmid, before, target);
  const result = {
    ...resultOf(outcome, verdict, left),
    ...(left.problem !== undefined && { leftPending: true as const }),
  };
  return { outcome, result };
}

/** Before memory is taken its guest is asked once more, by the look that precedes each change. */
export function whyTooLittle(
  { cgroups }: World,
  { vmid, decidedOn, target }: Wish,
): string | undefined {
  const { memoryMib } = target;
  if (memoryMib === undefined || memoryMib >= decidedOn.memoryMib) return undefined;
  const sample = cgroups.sample(vmid);
  const memory = sample.ok ? sample.value.memory : sample;
  if (!memory.ok) {
    return `its memory could not be read once more before shrinking: ${memory.detail}`;
  }
  const needMib = machineNeedMib(memory.value);
  if (needMib <= memoryMib) return undefined;
  return `it needs ${Math.ceil(needMib)} MB now, so ${memoryMib} MB would be too little`;
}

async function lookAt(
  world: ActingWorld,
  vmid: Vmid,
  before: Partial<Allocation>,
  target: Partial<Allocation>,
): Promise<MachineVerdict> {
  await world.inspect(vmid);
  const file = world.guests.read(vmid);
  const config = file.ok ? ({ ok: true, value: file.value.config } as const) : file;
  return verifyMachine(before, target, { config, liveCpuLimit: world.cgroups.cpuLimit(vmid) });
}

/** These begin nothing, so whatever is pending is somebody else's. */
const isBegun = (outcome: CommandOutcome): boolean =>
  outcome.kind !== 'not-started' &&
  !(outcome.kind === 'failed' && ['locked', 'busy', 'modified', 'gone'].includes(outcome.why));

/**
 * Drops what a change has left for the next start. Returns what could not be dropped, in words.
 */
async function dropPending(
  world: ActingWorld,
  vmid: Vmid,
  target: Partial<Allocation>,
  outcome: CommandOutcome,
  context: ApplyContext,
): Promise<Dropped> {
  await world.inspect(vmid);
  const file = world.guests.read(vmid);
  if (!file.ok || !isBegun(outcome)) return NOTHING_LEFT;
  const levers = leftPending(file.value.config, target);
  if (levers.length === 0) return NOTHING_LEFT;
  const problem = await revert(world, file.value.config, levers, context);
  return { levers, ...(problem !== undefined && { problem }) };
}

interface Dropped {
  readonly levers: readonly Lever[];
  /** Why it is still there. */
  readonly problem?: string;
}

const NOTHING_LEFT: Dropped = { levers: [] };

/** Drops what waits for the next start. Returns why that did not come about. */
export async function revert(
  world: ActingWorld,
  { vmid }: GuestConfig,
  levers: readonly Lever[],
  context: ApplyContext,
): Promise<string | undefined> {
  const file = world.guests.read(vmid);
  if (!file.ok) return file.detail;
  const reason = 'Dropping what the guest refused, which would take effect at its next start';
  const backup = world.backups.write(file.value, { reason });
  if (!backup.ok) return `no backup: ${backup.message}`;
  const request = { vmid, revert: levers, digest: file.value.config.digest };
  const outcome = await world.hands.apply(request, stopAlsoAtTheEnd(context));
  await world.inspect(vmid);
  const after = world.guests.read(vmid);
  if (after.ok && leftPending(after.value.config, pick(ANY, levers)).length === 0) return undefined;
  return outcome.kind === 'done' ? 'qm set --revert did not help' : outcomeWords(outcome, 'qm');
}

/** Longer than a `qm set` that its caller has left may still be at work. */
const LATEST_MS = 900_000;

/**
 * Drops what changes have left that were cut off by the end of this program, or whose guest could
 * not be asked to forget them at the time.
 */
export async function dropLeft(
  world: ActingWorld,
  state: LoopState,
  containers: readonly ContainerObservation[],
  context: ApplyContext,
): Promise<void> {
  for (const { vmid, config } of containers) {
    const record = state.guests.get(vmid);
    if (record?.unsettled === undefined || !config.ok || config.value.lock !== undefined) continue;
    const { levers, sinceMs } = record.unsettled;
    const left = leftPending(config.value, pick(ANY, levers));
    const sinceChangeMs = world.clock.monotonicMs() - sinceMs;
    const isOver = sinceChangeMs < 0 || sinceChangeMs > LATEST_MS;
    if (left.length === 0) {
      if (isOver) record.unsettled = undefined;
      continue;
    }
    const problem = await revert(world, config.value, left, context);
    const who = `${guestLabel(config.value)} (${config.value.name})`;
    const what = 'what a change that was cut off has left for its next start';
    const about = { room: 'act', vmid, event: 'left-pending' } as const;
    if (problem === undefined) world.log.warn(`${who}: ${what} is dropped`, about);
    else world.log.error(`${who}: ${what} could not be dropped: ${problem}`, about);
  }
}

/** Of any value: what counts is which levers they are. */
const ANY: Allocation = { cores: null, cpuLimit: null, memoryMib: mib(0) };

function resultOf(
  outcome: CommandOutcome,
  verdict: MachineVerdict,
  { levers, problem }: Dropped,
): ChangeResult {
  const said = outcome.kind === 'done' ? undefined : outcomeWords(outcome, 'qm');
  const why = said ?? 'qm reported success';
  const danger =
    problem === undefined
      ? ''
      : `. What it refused takes effect at its next start and could not be dropped (${problem}); ` +
        'please run `qm set ID --revert KEY`';
  const dropped =
    levers.length > 0 && problem === undefined ? '; nothing of it is left pending' : '';
  switch (verdict.kind) {
    case 'confirmed':
      if (problem !== undefined) return { kind: 'failed', note: `It is active${danger}.` };
      return said === undefined
        ? { kind: 'confirmed' }
        : { kind: 'confirmed', note: `It is active, though ${said}.` };
    case 'unchanged':
      return { kind: 'failed', note: `Nothing was changed: ${why}${dropped}${danger}` };
    case 'partly':
      return { kind: 'partly', note: `It has ${verdict.found} now: ${why}${dropped}${danger}` };
    case 'changed-by-others': {
      const found = `Left as it is, since somebody else changed it meanwhile (${verdict.found})`;
      return { kind: 'failed', byOthers: true, note: `${found}${danger}` };
    }
    case 'unknown':
      return { kind: 'failed', note: `What came of it is not known: ${verdict.detail}${danger}` };
  }
}
