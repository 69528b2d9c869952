import type { Skip, SkipReason } from '../core/decision.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import { type MemoryGuard, wantedGuard } from '../core/memory-guard.ts';
import type { ContainerObservation, GuestConfig } from '../core/observation.ts';
import { memoryPin } from '../core/pins.ts';
import type { Management } from '../core/policy.ts';
import { type Mib, mib, mibToBytes, type Vmid } from '../core/units.ts';
import { memoryUsage } from '../core/usage.ts';
import type { MemoryGuards } from '../node/port.ts';
import type { CycleWorld, World } from '../ports.ts';

/**
 * `memory_guard`: after the changes of a cycle `memory.high` of each container that asks for it
 * stands a little below its limit, and that of all others where Proxmox VE has set it.
 */

/** What was set is looked at again after so long, should somebody else have written it. */
const CHECK_MS = 3_600_000;
/** What could not be set is tried again. */
const RETRY_MS = 300_000;

export interface Guarding {
  readonly manage: (config: GuestConfig) => Management;
  /** Whose limits nobody raises now, and why. */
  readonly skipped: readonly Skip[];
  /** Only these were looked at; undefined: all. */
  readonly urgent: ReadonlySet<Vmid> | undefined;
  /** Nothing is changed now, so that nothing would be raised in time: no guard comes closer. */
  readonly isPaused: boolean;
}

/** Sets, moves and takes back the guards of the containers that this cycle has seen. */
export async function guardMemory(
  world: CycleWorld,
  state: LoopState,
  containers: readonly ContainerObservation[],
  { manage, skipped, urgent, isPaused }: Guarding,
): Promise<void> {
  const guards = world.hands?.memoryGuards;
  if (guards === undefined) return;
  const standing = new Set(guards.standing());
  const why = new Map(skipped.map(({ vmid, because }) => [vmid, because.kind]));
  for (const { vmid, config } of containers) {
    const kind = why.get(vmid);
    const isWanted = config.ok && wantsGuard(config.value, manage(config.value));
    // What cannot be seen now, or stands still, keeps what it has.
    if (kind !== undefined ? STAYS.has(kind) : !config.ok || isWanted) standing.delete(vmid);
    if (kind === undefined && isWanted) await guardOne(world, state, guards, { vmid, isPaused });
  }
  if (urgent !== undefined) return;
  for (const vmid of standing) await endGuard(world, state, guards, vmid);
}

const STAYS: ReadonlySet<SkipReason['kind']> = new Set(['unreadable', 'frozen']);

/** Whether the limit of a container is raised by us, and it is to have a guard. */
function wantsGuard(config: GuestConfig, management: Management): boolean {
  if (management.kind !== 'managed' || management.mode !== 'act') return false;
  const { memory, only } = management.policy;
  if (memory.guard !== true || only === 'cores') return false;
  return config.reaches === undefined && memoryPin(config) === undefined;
}

/** @param one its limit may have been changed since it was observed */
async function guardOne(
  world: World,
  state: LoopState,
  guards: MemoryGuards,
  { vmid, isPaused }: { readonly vmid: Vmid; readonly isPaused: boolean },
): Promise<void> {
  const { life } = recordOf(state, vmid);
  const nowMs = world.clock.monotonicMs();
  const sample = world.cgroups.sample(vmid);
  const usage = sample.ok ? memoryUsage(undefined, sample.value) : sample;
  if (!usage.ok || usage.value.limitMib === undefined) return;
  const { limitMib, workingSetMib } = usage.value;
  const known = life.guard?.limitMib === limitMib ? life.guard : undefined;
  const nowMib = known?.atMib;
  const wanted = wantedGuard({ limitMib, workingSetMib, nowMib });
  const checkMs = known?.problem === undefined ? CHECK_MS : RETRY_MS;
  const isFresh = known !== undefined && nowMs - known.checkedMs < checkMs;
  if (isFresh && (wanted === nowMib || known.problem !== undefined)) return;
  if (isPaused && (nowMib === undefined || (wanted ?? limitMib) < nowMib)) return;
  const about: Told = { vmid, limitMib, workingSetMib, wanted };
  const problem = await moveGuard(world, guards, about, life.guard?.problem);
  const atMib = problem === undefined ? wanted : undefined;
  const guard: MemoryGuard = { limitMib, atMib, checkedMs: nowMs };
  life.guard = problem === undefined ? guard : { ...guard, problem };
}

interface Told {
  readonly vmid: Vmid;
  readonly limitMib: Mib;
  readonly workingSetMib: Mib;
  readonly wanted: number | undefined;
}

/** Returns why it could not be moved. */
async function moveGuard(
  { log }: World,
  guards: MemoryGuards,
  { vmid, limitMib, workingSetMib, wanted }: Told,
  toldBefore: string | undefined,
): Promise<string | undefined> {
  const numbers = `limit ${Math.round(limitMib)} MB, ${Math.round(workingSetMib)} MB in use`;
  const what = `Container ${vmid}: memory.high`;
  if (wanted === undefined) {
    const isStanding = guards.standing().includes(vmid);
    const ended = await guards.end(vmid);
    if (!ended.ok)
      log.error(`${what} could not be put back: ${ended.message}`, about(vmid, 'failed'));
    else if (isStanding) {
      const why = 'memory_guard has no room below the limit';
      log.info(`${what} is as Proxmox VE sets it: ${why} (${numbers})`, about(vmid, 'ended'));
    }
    return ended.ok ? undefined : ended.message;
  }
  const answer = await guards.set(vmid, mibToBytes(mib(wanted)));
  switch (answer.kind) {
    case 'kept':
      return undefined;
    case 'set': {
      const was = answer.wasMib === undefined ? 'none' : `${Math.round(answer.wasMib)}MB`;
      log.info(`${what} ${was} -> ${wanted}MB, by memory_guard (${numbers})`, about(vmid, 'set'));
      return undefined;
    }
    case 'others':
    case 'refused': {
      const { message } = answer;
      const text = `Container ${vmid} has no memory_guard: ${message}`;
      if (message !== toldBefore) log.warn(text, about(vmid, 'failed'));
      return message;
    }
  }
}

const about = (vmid: Vmid, outcome: 'set' | 'ended' | 'failed') =>
  ({ component: 'act', vmid, event: 'memory-guard', outcome }) as const;

async function endGuard(
  { log }: World,
  state: LoopState,
  guards: MemoryGuards,
  vmid: Vmid,
): Promise<void> {
  const ended = await guards.end(vmid);
  const life = state.guests.get(vmid)?.life;
  if (life !== undefined) life.guard = undefined;
  const what = `Container ${vmid}: memory.high`;
  if (ended.ok) log.info(`${what} is as Proxmox VE sets it: no memory_guard`, about(vmid, 'ended'));
  else log.error(`${what} could not be put back: ${ended.message}`, about(vmid, 'failed'));
}

/** Nobody raises a limit from now on: all guards are taken back. */
export async function endGuards({ hands, ...world }: CycleWorld, state: LoopState): Promise<void> {
  const guards = hands?.memoryGuards;
  for (const vmid of guards?.standing() ?? []) {
    if (guards !== undefined) await endGuard(world, state, guards, vmid);
  }
}
