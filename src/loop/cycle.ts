import { type Budget, budget } from '../core/admission.ts';
import { decide, type Verdicts } from '../core/decide.ts';
import type { Decision, Hold } from '../core/decision.ts';
import { type Headroom, headroomAfter } from '../core/headroom.ts';
import { type LoopState, recordOf, runningGuests } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import { holdAll, type Pause } from '../core/pause.ts';
import { type Plan, type PlannedChange, plan } from '../core/plan.ts';
import type { HostPolicy, Management } from '../core/policy.ts';
import { givenTo, poolAfter, poolBefore } from '../core/pool.ts';
import type { Missing } from '../core/reading.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import type { CycleWorld, World } from '../ports.ts';
import { type ActCounts, act } from './act.ts';
import type { Asking } from './asked.ts';
import { confirmPending } from './confirm.ts';
import { recordDrift } from './drift.ts';
import { framed } from './framed-log.ts';
import { guardMemory } from './guard-memory.ts';
import { letGoLeft } from './hold-down.ts';
import { keepNotes } from './keep-notes.ts';
import { dropLeft } from './left-pending.ts';
import { logBlind, logPlan, logPool, logStart, logTimes } from './log-cycle.ts';
import { noticeConnection } from './notice-connection.ts';
import { type Handover, type Observed, observe } from './observe.ts';
import { noticePause } from './pause.ts';
import { type Stopwatch, stopwatch } from './stopwatch.ts';
import { takeOverTemporary } from './temporary.ts';

/** What a cycle needs of the configuration and of the command line. */
export interface CycleSettings {
  readonly manage: (config: GuestConfig) => Management;
  readonly hostPolicy: HostPolicy;
  readonly dryRun: boolean;
  /** Whether a cycle in which nothing happened is logged too; yes, if it is left out. */
  readonly logQuietCycles?: boolean;
  /** Whether somebody is there to raise a limit in time, so that `memory_guard` counts. */
  readonly guards?: boolean;
  /** How many changes may be under way at a time. */
  readonly atOnce: number;
  /** Only these, whose decision cannot wait, and only what they need more. */
  readonly urgent?: ReadonlySet<Vmid>;
  /** What a person wants for one of them, in place of what would be decided. */
  readonly asking?: Asking;
  /** Whether a time is off-peak; never, if it is left out. */
  readonly isOffPeak?: (wallMs: Milliseconds) => boolean;
  readonly handover?: Handover | undefined;
  /** Saves the state before a change, in case that this process does not survive it. */
  readonly save?: () => string | undefined;
  /** What members of groups that are on their way will have. */
  readonly comingMib?: () => number;
  /** Is handed what the host can still give as soon as that is known, before anything is done. */
  readonly onHeadroom?: (headroom: Headroom) => void;
  /** Is handed what a whole cycle knew, at its end. */
  readonly inspect?: (view: CycleView) => void;
}

/** All that one cycle knew and decided. */
export interface CycleView {
  readonly cycle: number;
  readonly wallMs: Milliseconds;
  readonly observed: Observed;
  readonly verdicts: Verdicts;
  readonly planned: Plan;
  readonly available: Budget;
  /** How long each stage took, in milliseconds. */
  readonly spentMs: ReadonlyMap<string, number>;
}

export type CycleResult =
  | (ActCounts & {
      readonly ok: true;
      /** At its end. */
      readonly pause: Pause | undefined;
      /** Whether the log has a line on it at level info. */
      readonly eventful: boolean;
    })
  | Missing;

/** Whether another program scales the node, and this one waits for its end. */
export const isStandby = (result: CycleResult): boolean =>
  result.ok && result.pause?.kind === 'elsewhere';

/**
 * THE LOOP: one cycle observes the containers, decides what each needs, plans what the host can
 * give, acts through `pct`, and reports. What goes wrong with one container stops no other.
 */
export async function runCycle(
  outer: CycleWorld,
  settings: CycleSettings,
  state: LoopState,
  stop: AbortSignal,
): Promise<CycleResult> {
  const { manage, hostPolicy, dryRun, atOnce, urgent, asking, isOffPeak, save, inspect } = settings;
  const comingMib = settings.comingMib?.() ?? 0;
  state.cycle += 1;
  const frame = framed(outer.log, settings.logQuietCycles ?? true);
  const world = { ...outer, log: frame.log };
  const timed = stopwatch(world.clock);
  logStart(frame, urgent, asking?.wanted.by);
  noticeConnection(world, state);
  if (urgent === undefined) await letGoLeft(world);

  const observed = timed('observe', () => observe(world, state, settings));
  if (!observed.ok) return logBlind(world, observed);
  const { host, containers, holds, atMs } = observed.value;
  timed('notice', () => {
    takeOverTemporary(world, state, containers, manage, dryRun);
    recordDrift(world, state, observed.value, manage);
  });
  const pause = timed('quorum', () => noticePause(world, state));
  if (!dryRun && pause === undefined) await dropLeftBy(world, state, observed.value, stop);
  timed('confirm', () => confirmPending(world, state, observed.value));

  const offPeak = isOffPeak?.(world.clock.wallMs()) ?? false;
  // Who has taken a guest in hand is who asks.
  const inHand = asking === undefined ? holds : NOBODY;
  const verdicts = timed('decide', () =>
    decide({ containers, host, holds: inHand, manage, hostPolicy, state, offPeak, nowMs: atMs }),
  );
  const available = budget({
    host,
    policy: hostPolicy,
    containers,
    state,
    nowMs: atMs,
    urgent: urgent !== undefined,
    comingMib,
  });
  const due = asking?.decide(verdicts, observed.value, state) ?? dueOf(verdicts, urgent);
  const whole = timed('plan', () => plan(due, available));
  const granted = pause === undefined ? whole : holdAll(whole, pause);
  const planned = asking === undefined ? granted : { ...granted, changes: asking.planned(granted) };
  const running = runningGuests(state);
  const headroom = headroomAfter(available, planned, running, host.vmMemoryMib);
  settings.onHeadroom?.(headroom);
  const hostCpus = host.cpus.ok ? host.cpus.value : 0;
  const given = givenTo(running, hostCpus);
  const pool = poolBefore(available);
  logPool(frame, 'Initial', pool);
  if (asking === undefined) {
    timed('explain', () => logPlan(world, state, available, verdicts.skipped, planned));
  }

  const came = new Map<Vmid, PlannedChange>();
  const context = {
    cycle: state.cycle,
    observed: observed.value,
    headroom,
    atOnce,
    stop,
    save,
    hands: dryRun ? undefined : world.hands,
    told: asking?.told,
    came: (each: PlannedChange) => void came.set(each.vmid, each),
  };
  const counts = await timed('act', () => act(world, state, planned.changes, context));
  if (settings.guards === true && !dryRun) {
    const changed = new Set(planned.changes.map(({ vmid }) => vmid));
    const { skipped } = verdicts;
    const guarding = { manage, skipped, urgent, changed, pause: state.pause };
    await timed('guard', () => guardMemory(world, state, containers, guarding));
  }
  const noting = { manage, containers, came, urgent, stop };
  if (!dryRun) await keepNotes(world, state, noting);
  logPool(frame, 'Final', poolAfter(pool, given, givenTo(runningGuests(state), hostCpus)));
  if (urgent === undefined) rememberRefused(state, planned);
  const known = { observed: observed.value, verdicts, planned, available };
  if (asking === undefined && urgent !== undefined) settle(state, urgent, planned, atMs);
  else if (urgent === undefined) inspect?.({ ...known, ...viewed(world, state, timed) });
  logTimes(world, state.cycle, timed.spentMs);
  return { ok: true, pause: state.pause, eventful: frame.end(), ...counts };
}

/** What former changes of machines have left for their next start. */
async function dropLeftBy(
  { hands, ...world }: CycleWorld,
  state: LoopState,
  { host, containers }: Observed,
  stop: AbortSignal,
): Promise<void> {
  const hostCpus = host.cpus.ok ? host.cpus.value : 0;
  if (hands !== undefined) {
    await dropLeft({ ...world, hands }, state, containers, { hostCpus, stop });
  }
}

const viewed = ({ clock }: World, { cycle }: LoopState, { spentMs }: Stopwatch) => ({
  cycle,
  wallMs: clock.wallMs(),
  spentMs,
});

const NOBODY: Observed['holds'] = new Map();

const dueOf = ({ decisions }: Verdicts, urgent: CycleSettings['urgent']): readonly Decision[] =>
  urgent === undefined ? decisions : withoutShrinks(decisions);

/** An early decision may only grow a container or end its boost. Other shrinks wait. */
const withoutShrinks = (decisions: readonly Decision[]): readonly Decision[] =>
  decisions.filter((each) => each.verdict !== 'shrink' || each.rule === 'boost-end');

/** Memory that the host could not give now is reserved for them until the next whole cycle. */
function rememberRefused(state: LoopState, { held }: Plan): void {
  for (const record of state.guests.values()) record.refused = undefined;
  for (const { vmid, because, priority } of held) {
    if (because.kind !== 'host-memory' && because.kind !== 'overcommit') continue;
    recordOf(state, vmid).refused = { mib: because.wanted, priority: priority ?? 0 };
  }
}

/** So long after a change it is waited for that the new cores come into force. */
const IN_FORCE_MS = 30_000;

/**
 * Containers we could not help are not evaluated again until the next cycle; but for those that
 * have just been changed, and shall have it in force first.
 */
function settle(
  state: LoopState,
  urgent: ReadonlySet<Vmid>,
  { changes, held }: Plan,
  nowMs: Milliseconds,
): void {
  const isFresh = ({ vmid, because }: Hold): boolean => {
    const changedMs = state.guests.get(vmid)?.cores.changedMs ?? Number.NEGATIVE_INFINITY;
    return because.kind === 'not-in-force' && nowMs - changedMs < IN_FORCE_MS;
  };
  const helped = new Set([...changes, ...held.filter(isFresh)].map(({ vmid }) => vmid));
  for (const vmid of urgent) {
    const life = state.guests.get(vmid)?.life;
    if (life?.interval === undefined || helped.has(vmid)) continue;
    life.interval = { ...life.interval, settled: true };
  }
}
