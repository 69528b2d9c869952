import { afterChange, boostOf, takeOffPeak } from '../core/after-change.ts';
import { type Allocation, allocationOf, type Resource } from '../core/allocation.ts';
import type { Change, Rule } from '../core/decision.ts';
import { explainChange } from '../core/explain.ts';
import {
  afterFailure,
  afterUnproven,
  type Boost,
  type GuestRecord,
  type Unsettled,
} from '../core/guest-record.ts';
import { guestLabel, kindOf } from '../core/guest-words.ts';
import type { Headroom } from '../core/headroom.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import { ownKeys } from '../core/pending.ts';
import type { PlannedChange } from '../core/plan.ts';
import type { Unproven } from '../core/proof.ts';
import { type Milliseconds, mib } from '../core/units.ts';
import type { NodeHands } from '../node/port.ts';
import type { World } from '../ports.ts';
import { carryOut, sideOf } from './change.ts';
import { aboutChanges, changesOf, describe, logIntent, logOutcome } from './log-cycle.ts';
import type { Observed } from './observe.ts';
import { noticePause, noticeRefusal } from './pause.ts';
import { keepAllTemporary, keepTemporary } from './temporary.ts';
import type { ChangeResult } from './wish.ts';

export interface ActContext {
  readonly cycle: number;
  /** What the decisions were made on. */
  readonly observed: Observed;
  /** What they leave of the host. */
  readonly headroom: Headroom;
  /** What carries the changes out; none in a dry run. */
  readonly hands: NodeHands | undefined;
  /** How many changes may be under way at a time; 1 if not given. */
  readonly atOnce?: number;
  /** Fires when the program is to end: the change in hand is finished, no further one begun. */
  readonly stop: AbortSignal;
  /** Saves the state, so that a crash loses no change. Returns why it could not be saved. */
  readonly save?: (() => string | undefined) | undefined;
  /** Is told how each change went that was tried. */
  readonly told?: ((planned: PlannedChange, result: ChangeResult) => void) | undefined;
  /** Is told what has come about, as it was read back. */
  readonly came?: (came: PlannedChange) => void;
}

export interface ActCounts {
  done: number;
  failed: number;
}

/**
 * Begins the planned changes in their order, so many at once, and waits for all of them. A failure
 * is told, remembered so that it is not repeated at once, and stops nothing.
 */
export async function act(
  world: World,
  state: LoopState,
  changes: readonly PlannedChange[],
  context: ActContext,
): Promise<ActCounts> {
  const counts = { done: 0, failed: 0 };
  const waiting = changes[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (const planned of waiting) {
      if (context.stop.aborted || !mayChange(world, state, context)) return;
      const { intended, unsettled } = state.guests.get(planned.vmid) ?? {};
      const outcome = await actOn(world, state, planned, context);
      const record = state.guests.get(planned.vmid);
      if (record !== undefined) {
        record.intended = whatMayCome(record, outcome, { intended, unsettled });
      }
      if (outcome !== undefined) counts[outcome] += 1;
    }
  };
  await Promise.all(Array.from({ length: context.atOnce ?? 1 }, work));
  if (context.hands !== undefined) keepAllTemporary(world, state);
  return counts;
}

/** The change that may still land: this one, or if it has done nothing the one before it. */
function whatMayCome(
  record: GuestRecord,
  outcome: keyof ActCounts | undefined,
  before: Partial<Pick<GuestRecord, 'intended' | 'unsettled'>>,
): GuestRecord['intended'] {
  const { intended, unsettled } = record;
  if (outcome === undefined) return before.intended;
  if (unsettled === undefined) return undefined;
  // It is of the one before, as much of it as is not settled now.
  if (unsettled.sinceMs === before.unsettled?.sinceMs) return before.intended;
  // Its outcome has been told.
  return intended && { ...intended, told: true };
}

/** Asked before each change, since a long one may have outlasted what was true. */
const mayChange = (world: World, state: LoopState, { hands, save }: ActContext): boolean =>
  hands === undefined || (noticePause(world, state) === undefined && mayRecord(world, state, save));

const ABOUT = { component: 'act', event: 'unrecorded' } as const;

/**
 * Whether a change could be backed up and recorded; one that could not is not made. Nothing of the
 * container is the cause, so the log says it once for all, and no failure counts. A state that
 * could not be saved is tried again here.
 */
function mayRecord(world: World, state: LoopState, save: ActContext['save']): boolean {
  const { backups, journal } = world;
  const isDoubtful = state.unrecorded !== undefined;
  const unsaved = (): string | undefined => (isDoubtful ? save?.() : undefined);
  const problem = backups.problem?.() ?? journal.problem?.() ?? unsaved();
  noteUnrecorded(world, state, problem);
  return problem === undefined;
}

function noteUnrecorded({ log }: World, state: LoopState, problem: string | undefined): void {
  const before = state.unrecorded;
  state.unrecorded = problem;
  const what = 'Nothing is changed, since it could not be backed up or recorded';
  if (problem === undefined && before !== undefined) {
    log.info('Changes can be backed up and recorded again.', ABOUT);
  } else if (problem !== undefined && before === undefined) {
    log.error(`${what}: ${problem}`, ABOUT);
  }
}

async function actOn(
  world: World,
  state: LoopState,
  planned: PlannedChange,
  { cycle, observed, headroom, hands, stop, save, told, came }: ActContext,
): Promise<keyof ActCounts | undefined> {
  logIntent(world, planned, hands === undefined);
  if (hands === undefined) {
    logOutcome(world, planned, 'dry-run', { cycle });
    return undefined;
  }
  const { containers, host } = observed;
  const config = containers.find(({ vmid }) => vmid === planned.vmid)?.config;
  if (!config?.ok) return undefined;
  const record = recordOf(state, planned.vmid);
  const { unsettled } = record;
  const forget = intend(world, state, planned, config.value);
  const unkept = keepTemporary(world, state, planned.vmid);
  if (unkept !== undefined && changesOf(planned).some(isForAWhile)) {
    forget();
    logUnkept(world, planned, unkept);
    return undefined;
  }
  const unsaved = save?.();
  if (unsaved !== undefined) {
    forget();
    noteUnrecorded(world, state, unsaved);
    return undefined;
  }
  const changing = { hostCpus: host.cpus.ok ? host.cpus.value : 0, headroom, stop };
  const acting = { ...world, hands };
  let carried = planned;
  let result = await carryOut(acting, carried, config.value, changing);
  if (result.kind === 'unproven') {
    putOff(world, state, planned, result, cycle);
    const { vmid, name, cores } = planned;
    if (result.unsettled !== true) record.unsettled = unsettled;
    if (cores === undefined) told?.(planned, result);
    if (cores === undefined) return undefined;
    // What it may not lose must not keep it from what it needs.
    carried = { vmid, name, ...kindOf(planned), cores };
    result = await carryOut(acting, carried, config.value, changing);
  }
  told?.(carried, result);
  const isDone = result.kind === 'confirmed' || result.kind === 'pending';
  if (result.unsettled !== true) {
    // One that was refused its lock says nothing of an earlier one, which may have it.
    const settled = isDone ? ownKeys(config.value, sideOf(carried, 'after', config.value)) : [];
    record.unsettled = without(unsettled, settled);
  }
  logResult(world, state, carried, result, cycle);
  remember(world, state, carried, result, config.value);
  if (result.unwritable !== undefined) noticeRefusal(world, state, result.unwritable);
  if (isDone) came?.(carried);
  else if (result.inForce !== undefined) came?.(whatCame(carried, result.inForce));
  if (isDone) return 'done';
  return result.kind === 'overtaken' ? undefined : 'failed';
}

/** What an earlier change may have left for the next start is not settled by one of other keys. */
function without(
  unsettled: Unsettled | undefined,
  settled: readonly string[],
): Unsettled | undefined {
  const keys = unsettled?.keys.filter((key) => !settled.includes(key)) ?? [];
  if (unsettled === undefined || keys.length === unsettled.keys.length) return unsettled;
  return keys.length === 0 ? undefined : { ...unsettled, keys };
}

const isForAWhile = ({ rule, boostMs }: Change): boolean =>
  rule === 'off-peak' || (rule === 'saturated' && boostMs !== undefined);

/** What is not on record would be the norm for good after a migration to another node. */
function logUnkept({ log }: World, planned: PlannedChange, why: string): void {
  const { vmid, name } = planned;
  const about = { component: 'act', vmid, event: 'unrecorded' } as const;
  log.warn(
    `${guestLabel(planned)} (${name}) was not changed, since a change for a while only could not ` +
      `be recorded for the other nodes: ${why}`,
    about,
  );
}

/**
 * Records a change before it is made: after a crash it must not look like somebody else's. Returns
 * how to take the record back.
 */
function intend(
  { clock }: World,
  state: LoopState,
  planned: PlannedChange,
  config: GuestConfig,
): () => void {
  const { vmid } = planned;
  const sinceMs = clock.monotonicMs();
  const reasons: Partial<Record<Resource, string>> = {};
  const rules: Partial<Record<Resource, Rule>> = {};
  const boosts: Partial<Record<Resource, Boost>> = {};
  const record = recordOf(state, vmid);
  const forget = remembering(record);
  for (const change of changesOf(planned)) {
    const { resource, rule, measured } = change;
    reasons[resource] = explainChange(change);
    rules[resource] = rule;
    if (rule === 'off-peak') takeOffPeak(record[resource], measured.before);
    const boost = boostOf(change, sinceMs);
    if (boost === undefined) continue;
    boosts[resource] = boost;
    record[resource].boost = boost;
  }
  record.intended = {
    ...allocationOf(config),
    ...valuesAfter(planned),
    sinceMs,
    reasons,
    rules,
    boosts,
  };
  if (config.reaches !== undefined) {
    const earlier = record.unsettled?.keys ?? [];
    const own = ownKeys(config, sideOf(planned, 'after', config));
    record.unsettled = { keys: [...new Set([...earlier, ...own])], sinceMs };
  }
  return forget;
}

/** Returns how to put the record back if the change is not made after all. */
function remembering(record: GuestRecord): () => void {
  const { cores, memory, unsettled } = record;
  const before = [cores, memory].map(({ boost, offPeak }) => ({ boost, offPeak }));
  return () => {
    record.unsettled = unsettled;
    for (const [index, each] of [cores, memory].entries()) Object.assign(each, before[index]);
  };
}

/** A limit that is put right is configured already. */
function setValueOf(change: Change | undefined): 'cores' | 'cpuLimit' | undefined {
  if (change === undefined || change.rule === 'in-force') return undefined;
  return change.unit === 'cpulimit' ? 'cpuLimit' : 'cores';
}

function valuesAfter({ cores, memory }: PlannedChange): Partial<Allocation> {
  const cpu = setValueOf(cores);
  return {
    ...(cpu && cores && { [cpu]: cores.after }),
    ...(memory && { memoryMib: mib(memory.after) }),
  };
}

/** Memory that could not be proven free stays where it is, and is not asked for again soon. */
function putOff(
  world: World,
  state: LoopState,
  planned: PlannedChange,
  { unproven, note }: ChangeResult,
  cycle: number,
): void {
  const { vmid, name, memory } = planned;
  if (memory === undefined || unproven === undefined) return;
  const nowMs = world.clock.monotonicMs();
  const { life } = recordOf(state, vmid);
  const retry = afterUnproven(life.shrinkRetry, nowMs);
  life.shrinkRetry = retry;
  const seconds = Math.ceil((retry.retryAtMs - nowMs) / 1000);
  logOutcome(world, { vmid, name, ...kindOf(planned), memory }, 'unproven', {
    cycle,
    note: `The limit stays: ${note}. Next try in ${seconds} s.`,
    proof: proofFacts(unproven),
  });
}

function proofFacts(because: Unproven): Readonly<Record<string, unknown>> {
  const { kind } = because;
  if (!('numbers' in because)) return { kind };
  const { wantedMib, askedMib, gotMib, currentMib } = because.numbers;
  const round = (value: number): number => Math.round(value * 10) / 10;
  return {
    kind,
    wanted: round(wantedMib),
    asked: round(askedMib),
    got: round(gotMib),
    current: round(currentMib),
  };
}

function logResult(
  world: World,
  state: LoopState,
  planned: PlannedChange,
  result: ChangeResult,
  cycle: number,
): void {
  const { kind, backup, note } = result;
  if (kind === 'overtaken' || kind === 'unproven') {
    const about = { ...aboutChanges(changesOf(planned)), outcome: kind };
    world.log.warn(`${guestLabel(planned)} was not changed: ${note}`, about);
    return;
  }
  const text = changesOf(planned).map((change) => `${change.resource} ${describe(change)}`);
  const last = { wallMs: world.clock.wallMs(), text: text.join('. And '), status: kind };
  recordOf(state, planned.vmid).lastChange = last;
  logOutcome(world, planned, kind, {
    cycle,
    ...(backup === undefined ? {} : { backup }),
    ...(note === undefined ? {} : { note }),
  });
}

function remember(
  { clock }: World,
  state: LoopState,
  planned: PlannedChange,
  result: ChangeResult,
  decidedOn: GuestConfig,
): void {
  if (result.kind === 'overtaken' || result.kind === 'unproven') return;
  const record = recordOf(state, planned.vmid);
  const nowMs = clock.monotonicMs();
  if (result.kind === 'failed' || result.kind === 'rolled-back' || result.kind === 'partly') {
    // What cannot be written is nothing of this container: the node as a whole pauses.
    if (result.unwritable === undefined) record.failure = afterFailure(record.failure, nowMs);
    if (result.inForce !== undefined) {
      const came = whatCame(planned, result.inForce);
      adjustBoosts(record, planned, came);
      takeIn(record, came, { ...allocationOf(decidedOn), ...result.inForce }, nowMs);
    } else if (result.unsettled) record.known = allocationOf(decidedOn);
    // Whatever is found next is what this has left, and nobody's hand; unless it was one.
    else if (result.byOthers !== true) record.known = undefined;
    return;
  }
  record.failure = undefined;
  state.refusedWrites = undefined;
  takeIn(record, planned, { ...allocationOf(decidedOn), ...valuesAfter(planned) }, nowMs);
  const { cores } = planned;
  if (cores === undefined || result.kind !== 'pending') return;
  record.life.pendingCores = { cores: cores.after, sinceMs: nowMs, warned: false };
}

/** A change is in force: from now on the guest has these values. */
function takeIn(
  record: GuestRecord,
  came: PlannedChange,
  values: Allocation,
  nowMs: Milliseconds,
): void {
  record.known = values;
  if (record.running !== undefined) record.running = { ...record.running, ...values };
  for (const change of changesOf(came)) afterChange(record, change, nowMs);
}

/** Of a change that went half its way: as if what it got to had been planned. */
function whatCame(
  { cores, memory, ...who }: PlannedChange,
  has: Partial<Allocation>,
): PlannedChange {
  const cpu = cores?.unit === 'cpulimit' ? has.cpuLimit : has.cores;
  return {
    ...who,
    ...reached(cores, cpu),
    ...reached(memory, has.memoryMib),
  };
}

const reached = (
  change: Change | undefined,
  value: number | null | undefined,
): Partial<Record<Resource, Change>> =>
  change === undefined || typeof value !== 'number' || value === change.measured.before
    ? {}
    : { [change.resource]: { ...change, after: value } };

/** What a boost did not reach is not to be undone. */
function adjustBoosts(record: GuestRecord, planned: PlannedChange, came: PlannedChange): void {
  for (const { resource, after } of changesOf(planned)) {
    const { boost } = record[resource];
    if (boost?.boosted !== after) continue;
    const got = came[resource];
    record[resource].boost = got && { ...boost, boosted: got.after };
  }
}
