import type { Skip, SkipReason } from '../core/decision.ts';
import type { GuestRecord } from '../core/guest-record.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import { type MemoryGuard, wantedGuard, whyNoGuard } from '../core/memory-guard.ts';
import type { CgroupSample, ContainerObservation, GuestConfig } from '../core/observation.ts';
import type { Pause } from '../core/pause.ts';
import type { Management } from '../core/policy.ts';
import { present, type Reading } from '../core/reading.ts';
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
  /** Whose limits may be others than when they were observed. */
  readonly changed: ReadonlySet<Vmid>;
  /**
   * Nothing is changed now, so that nothing would be raised in time: no guard comes closer. None
   * stays if another program scales the node: it sets its own.
   */
  readonly pause: Pause | undefined;
}

/** Sets, moves and takes back the guards of the containers that this cycle has seen. */
export async function guardMemory(
  world: CycleWorld,
  state: LoopState,
  containers: readonly ContainerObservation[],
  { manage, skipped, urgent, changed, pause }: Guarding,
): Promise<void> {
  const guards = world.hands?.memoryGuards;
  if (guards === undefined) return;
  if (pause?.kind === 'elsewhere') return endGuards(world, state, OTHERS_SCALE);
  const stood: ReadonlySet<Vmid> = new Set(guards.standing());
  const standing = new Set(stood);
  const why = new Map(skipped.map(({ vmid, because }) => [vmid, because.kind]));
  for (const { vmid, config } of containers) {
    const kind = why.get(vmid);
    const isWanted = config.ok && wantsGuard(config.value, manage(config.value));
    // What cannot be seen now, or stands still, keeps what it has.
    if (kind !== undefined ? STAYS.has(kind) : !config.ok || isWanted) standing.delete(vmid);
    if (kind !== undefined || !isWanted) continue;
    const isChanged = changed.has(vmid);
    const how = { vmid, isPaused: pause !== undefined, isChanged, stands: stood.has(vmid) };
    await guardOne(world, state, guards, how);
  }
  if (urgent !== undefined) return;
  for (const vmid of standing) await endGuard(world, state, guards, { vmid, why: NOT_WANTED });
}

const NOT_WANTED = 'no memory_guard';
const OTHERS_SCALE = 'another program scales this node';

const STAYS: ReadonlySet<SkipReason['kind']> = new Set(['unreadable', 'frozen']);

/** Whether the limit of a container is raised by us, and it is to have a guard. */
const wantsGuard = (config: GuestConfig, management: Management): boolean =>
  management.kind === 'managed' &&
  management.policy.memory.guard === true &&
  whyNoGuard(config, management) === undefined;

interface GuardedOne {
  readonly vmid: Vmid;
  readonly isPaused: boolean;
  readonly isChanged: boolean;
  /** One is on record, of this life of the program or of one before. */
  readonly stands: boolean;
}

async function guardOne(
  world: World,
  state: LoopState,
  guards: MemoryGuards,
  one: GuardedOne,
): Promise<void> {
  const { vmid, isPaused, isChanged, stands } = one;
  const { life } = recordOf(state, vmid);
  const nowMs = world.clock.monotonicMs();
  const due = (sample: Reading<CgroupSample>) => moveDue(life, sample, { nowMs, isPaused, stands });
  // The look of this cycle tells that nothing is to be done; what is done goes by one more.
  if (!isChanged && life.sample !== undefined && due(present(life.sample)) === undefined) return;
  const move = due(world.cgroups.sample(vmid));
  if (move === undefined) return;
  const { limitMib } = move;
  const moved = await moveGuard(world, guards, { ...move, vmid, told: life.guard?.problem });
  life.guard = { limitMib, checkedMs: nowMs, ...moved };
}

/** Where a guard is wanted; undefined: it need not be moved, or must not now. */
function moveDue(
  { guard }: GuestRecord['life'],
  sample: Reading<CgroupSample>,
  { nowMs, isPaused, stands }: Pick<GuardedOne, 'isPaused' | 'stands'> & { readonly nowMs: number },
): Move | undefined {
  const usage = sample.ok ? memoryUsage(undefined, sample.value) : sample;
  if (!usage.ok || usage.value.limitMib === undefined) return undefined;
  const { limitMib, workingSetMib } = usage.value;
  const known = guard?.limitMib === limitMib ? guard : undefined;
  const nowMib = known?.atMib;
  const wanted = wantedGuard({ limitMib, workingSetMib, nowMib });
  const givesWay = nowMib !== undefined && (wanted ?? limitMib) > nowMib;
  // Where one stands that an earlier life has set is not known: it may have to give way.
  if (isPaused && !givesWay && !(known === undefined && stands)) return undefined;
  const checkMs = known?.problem === undefined ? CHECK_MS : RETRY_MS;
  const isFresh = known !== undefined && nowMs - known.checkedMs < checkMs;
  const isIdle = wanted === nowMib || (known?.problem !== undefined && !givesWay);
  return isFresh && isIdle ? undefined : { limitMib, workingSetMib, wanted, nowMib };
}

interface Move {
  readonly limitMib: Mib;
  readonly workingSetMib: Mib;
  readonly wanted: number | undefined;
  readonly nowMib: number | undefined;
}

/** What is known of a guard after it was to be moved. */
type Stands = Pick<MemoryGuard, 'atMib' | 'problem'>;

async function moveGuard(
  { log }: World,
  guards: MemoryGuards,
  move: Move & { readonly vmid: Vmid; readonly told: string | undefined },
): Promise<Stands> {
  const { vmid, limitMib, workingSetMib, wanted, nowMib, told } = move;
  const numbers = `limit ${Math.round(limitMib)} MB, ${Math.round(workingSetMib)} MB in use`;
  if (wanted === undefined) {
    const why = `memory_guard has no room below the limit (${numbers})`;
    const problem = await takeBack(log, guards, { vmid, why, told });
    return problem === undefined ? { atMib: undefined } : { atMib: nowMib, problem };
  }
  const answer = await guards.set(vmid, mibToBytes(mib(wanted)));
  switch (answer.kind) {
    case 'kept':
      return { atMib: wanted };
    case 'set': {
      const was = answer.wasMib === undefined ? 'none' : `${Math.round(answer.wasMib)}MB`;
      const what = `Container ${vmid}: memory.high`;
      log.info(`${what} ${was} -> ${wanted}MB, by memory_guard (${numbers})`, about(vmid, 'set'));
      return { atMib: wanted };
    }
    case 'others':
    case 'refused': {
      const { message: problem } = answer;
      const atMib = answer.kind === 'refused' ? answer.standsMib : undefined;
      const text =
        atMib === undefined
          ? `Container ${vmid} has no memory_guard: ${problem}`
          : `Container ${vmid}: memory_guard stays at ${Math.round(atMib)} MB: ${problem}`;
      if (problem !== told) log.warn(text, about(vmid, 'failed'));
      return { atMib, problem };
    }
  }
}

const about = (vmid: Vmid, outcome: 'set' | 'ended' | 'failed') =>
  ({ component: 'act', vmid, event: 'memory-guard', outcome }) as const;

interface Ending {
  readonly vmid: Vmid;
  readonly why: string;
}

/**
 * Returns why it could not be put back.
 * @param ending `told`: what the log has said of it last
 */
async function takeBack(
  log: World['log'],
  guards: MemoryGuards,
  { vmid, why, told }: Ending & { readonly told: string | undefined },
): Promise<string | undefined> {
  const ended = await guards.end(vmid);
  const what = `Container ${vmid}: memory.high`;
  if (!ended.ok) {
    const { message } = ended;
    const next = 'The next cycle or the next start tries again';
    const text = `${what} could not be put back: ${message}. ${next}.`;
    if (message !== told) log.error(text, about(vmid, 'failed'));
    return message;
  }
  if (ended.isPutBack) {
    log.info(`${what} is as Proxmox VE sets it: ${why}`, about(vmid, 'ended'));
  }
  return undefined;
}

async function endGuard(
  { log, clock }: World,
  state: LoopState,
  guards: MemoryGuards,
  { vmid, why }: Ending,
): Promise<void> {
  const life = state.guests.get(vmid)?.life;
  const problem = await takeBack(log, guards, { vmid, why, told: life?.guard?.problem });
  if (life === undefined) return;
  const { limitMib, atMib } = life.guard ?? {};
  // What could not be put back still slows the container.
  const left = problem && { limitMib, atMib, problem, checkedMs: clock.monotonicMs() };
  life.guard = left || undefined;
}

/** Nobody raises a limit from now on: all guards are taken back. */
export async function endGuards(
  { hands, ...world }: CycleWorld,
  state: LoopState,
  why = 'nobody raises its limit from now on',
): Promise<void> {
  const guards = hands?.memoryGuards;
  for (const vmid of guards?.standing() ?? []) {
    if (guards !== undefined) await endGuard(world, state, guards, { vmid, why });
  }
}
