import type { Budget } from '../core/admission.ts';
import type { Resource } from '../core/allocation.ts';
import type { Change, Hold, Measured, Skip } from '../core/decision.ts';
import { amount, explainChange, explainHold, explainSkip, withUnit } from '../core/explain.ts';
import { guestInside, guestLabel, kindOf } from '../core/guest-words.ts';
import type { ChangeStatus } from '../core/journal-event.ts';
import type { LineFacts } from '../core/log-line.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { Plan, PlannedChange } from '../core/plan.ts';
import type { Pool } from '../core/pool.ts';
import type { Missing } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { World } from '../ports.ts';
import type { Framed } from './framed-log.ts';
import { putOnRecord } from './record.ts';

/** How the loop explains itself: the lines of the text log and of the JSON log. */

export const changesOf = (planned: PlannedChange): readonly Change[] =>
  [planned.cores, planned.memory].filter((change) => change !== undefined);

const stepOf = ({ resource, after, measured }: Change): string =>
  amount(resource, Math.abs(after - measured.before));

/**
 * The first line of a cycle, or of decisions that cannot wait for one.
 *
 * @param asked who wants something done; undefined: nobody
 */
export function logStart(
  { frame }: Framed,
  urgent: ReadonlySet<Vmid> | undefined,
  asked: string | undefined,
): void {
  const whom = [...(urgent ?? [])].join(', ');
  if (urgent === undefined) frame('Starting resource allocation process...');
  else if (asked !== undefined) {
    frame(`Evaluation of ${whom}: ${asked} has asked for a change`, { component: 'decide' });
  } else {
    frame(`Early evaluation of ${whom}: saturated, or out of memory`, { component: 'decide' });
  }
}

/** What the host has left, in the form that the field's logs have. */
export function logPool({ frame }: Framed, when: 'Initial' | 'Final', pool: Pool): void {
  const cores = pool.cores.ok ? pool.cores.value : 'unknown';
  const memory = pool.memoryMib.ok ? pool.memoryMib.value : 'unknown';
  const place = when === 'Initial' ? 'before' : 'after';
  const left = `${cores} cores, ${memory} MB memory`;
  frame(`${when} resources ${place} adjustments: ${left}`, { component: 'decide' });
}

/** What cannot be given out, and whom the plan leaves alone and why. */
export function logPlan(
  world: World,
  state: LoopState,
  { coresCeiling, memoryMib }: Budget,
  skipped: readonly Skip[],
  { held, changes }: Plan,
): void {
  for (const reading of [coresCeiling, memoryMib]) {
    if (reading.ok) continue;
    world.log.warn(`Nothing can be given out: ${reading.detail}`, { component: 'decide' });
  }
  forgetSaid(state, [...held, ...changes], changes.flatMap(changesOf));
  for (const skip of skipped) logSkipped(world, state, skip);
  for (const hold of held) logHeld(world, state, hold);
}

/** The containers cannot be listed at all: a cycle without eyes does nothing. */
export function logBlind({ log }: World, reading: Missing): Missing {
  const about = { component: 'observe', event: 'blind', outcome: reading.why } as const;
  log.error(`The containers cannot be seen, so nothing is scaled: ${reading.detail}`, about);
  return reading;
}

export function logTimes({ log }: World, cycle: number, spent: ReadonlyMap<string, number>): void {
  log.debug(() => {
    const stages = [...spent].map(([stage, ms]) => `${stage} ${ms.toFixed(1)} ms`);
    return `Cycle ${cycle}: ${stages.join(', ')}`;
  });
}

/** The line before a change, in the form that the field's logs have. */
export function logIntent({ log }: World, planned: PlannedChange, dryRun: boolean): void {
  for (const change of changesOf(planned)) {
    const [would, doing] =
      change.verdict === 'grow' ? ['increase', 'Increasing'] : ['decrease', 'Decreasing'];
    const what = `${change.resource} for ${guestInside(change)} by ${stepOf(change)}`;
    const about = { ...aboutChanges([change]), event: 'intent' };
    if (dryRun) log.info(`Would ${would} ${what}: ${describe(change)}`, about);
    else log.info(`${doing} ${what}...`, about);
  }
}

/** What lines on changes of one container are about. */
export function aboutChanges(changes: readonly Change[]): LineFacts {
  const verdicts = new Set(changes.map(({ verdict }) => verdict));
  const vmid = changes[0]?.vmid;
  const about = { component: 'act', event: 'change', verdict: [...verdicts].join(',') } as const;
  return vmid === undefined ? about : { ...about, vmid };
}

/** The name of a container is its owner's text; the log makes control characters harmless. */
const who = (guest: Pick<PlannedChange, 'vmid' | 'name' | 'kind'>): string =>
  `${guestLabel(guest)} (${guest.name})`;

export function describe(change: Change): string {
  const { resource, measured, after } = change;
  return `${measured.before} -> ${withUnit(resource, after)}, since ${explainChange(change)}`;
}

interface Facts {
  readonly cycle: number;
  readonly backup?: string;
  readonly note?: string;
  /** The numbers of an attempt to have memory given up. */
  readonly proof?: Readonly<Record<string, unknown>>;
}

/** The line after a change, with the outcome and the numbers, and one JSON line a resource. */
export function logOutcome(
  world: World,
  planned: PlannedChange,
  status: ChangeStatus,
  facts: Facts,
): void {
  const { log } = world;
  const details = changesOf(planned).map(
    (change) => `${change.unit ?? change.resource} ${describe(change)}`,
  );
  const line = `${who(planned)}: ${details.join('. And ')}.`;
  const note = facts.note === undefined ? '' : ` ${facts.note}`;
  const backup = facts.backup === undefined ? '' : ` Backup: ${facts.backup}`;
  const about = { ...aboutChanges(changesOf(planned)), outcome: status };
  if (status === 'confirmed') log.info(`${line} Confirmed.${note}${backup}`, about);
  if (status === 'pending') log.info(`${line} Configured.${note}${backup}`, about);
  if (status === 'failed') log.error(`FAILED. ${line}${note}${backup}`, about);
  if (status === 'rolled-back') log.error(`ROLLED BACK. ${line}${note}${backup}`, about);
  if (status === 'partly') log.warn(`PARTLY. ${line}${note}${backup}`, about);
  if (status === 'unproven') log.warn(`NOT PROVEN. ${line}${note}`, about);
  for (const change of changesOf(planned)) logJournal(world, change, status, facts);
}

function logJournal(world: World, change: Change, status: ChangeStatus, facts: Facts): void {
  const { vmid, resource, verdict, rule, limits, measured, after } = change;
  putOnRecord(world, {
    kind: 'change',
    vmid,
    resource,
    direction: verdict === 'grow' ? 'up' : 'down',
    details: {
      name: change.name,
      ...kindOf(change),
      status,
      before: measured.before,
      after,
      ...(change.unit !== undefined && { unit: change.unit }),
      reason: explainChange(change),
      rule,
      ...(change.askedBy !== undefined && { asked_by: change.askedBy }),
      limits,
      ...numbers(measured),
      ...facts,
    },
  });
}

function numbers(measured: Measured): Readonly<Record<string, unknown>> {
  const round = (value: number): number => Math.round(value * 1000) / 1000;
  return {
    usage: { used: round(measured.used), percent: round(measured.share * 100) },
    thresholds: {
      lower: round(measured.band.lower * 100),
      upper: round(measured.band.upper * 100),
      min: measured.min,
      max: measured.max,
      need: round(measured.need),
    },
  };
}

/** Cores that were pending have reached the cpuset. */
export function logConfirmed(world: World, vmid: Vmid, cores: number, cycle: number): void {
  const about = { component: 'act', vmid, event: 'change', outcome: 'confirmed' } as const;
  const what = `${withUnit('cores', cores)} confirmed, now in its cpuset`;
  world.log.info(`Container ${vmid}: ${what}`, about);
  const details = { status: 'confirmed', after: cores, cycle } as const;
  putOnRecord(world, { kind: 'confirm', vmid, details });
}

/** What is over is said again when it comes back: the lock of the next backup, say. */
function forgetSaid(
  state: LoopState,
  managed: readonly { readonly vmid: Vmid }[],
  changed: readonly Change[],
): void {
  for (const { vmid } of managed) recordOf(state, vmid).loggedSkip = undefined;
  for (const { vmid, resource } of changed) recordOf(state, vmid)[resource].loggedHold = undefined;
}

/** Of a container that does not run in the form that the field's logs have. */
function skippedLine(skip: Skip): string {
  if (skip.because.kind === 'stopped' && skip.because.leftBehind !== true) {
    return `${guestLabel(skip)} is not running. Skipping adjustments.`;
  }
  return `${who(skip)} is skipped: ${explainSkip(skip)}`;
}

function logSkipped({ log }: World, state: LoopState, skip: Skip): void {
  const line = () => skippedLine(skip);
  const isFault = skip.because.kind === 'unreadable';
  const { vmid, because } = skip;
  const about = { component: 'decide', vmid, event: 'skip', outcome: because.kind } as const;
  const record = recordOf(state, vmid);
  const before = record.loggedSkip;
  record.loggedSkip = because.kind;
  if (before === because.kind) log.debug(line, about);
  else if (isFault) log.warn(line(), about);
  else log.info(line(), about);
}

/** Held for a reason that somebody should know: said loudly once, then only at debug level. */
const LOUD: ReadonlySet<Hold['because']['kind']> = new Set([
  'at-maximum',
  'host-memory',
  'host-cores',
  'cpulimit',
  'narrowed',
  'pinned',
  'fixed',
  'not-in-force',
]);

/** Growth that the host cannot give now: an admin may want to know, once, and when it is over. */
const REFUSED: ReadonlySet<string> = new Set<Hold['because']['kind']>([
  'host-busy',
  'host-pressure',
  'host-full',
  'host-emergency',
  'overcommit',
]);

const heldLine = (hold: Hold): string => `${who(hold)}, ${hold.resource}: ${explainHold(hold)}`;

function logHeld(world: World, state: LoopState, hold: Hold): void {
  const { log } = world;
  const { vmid, resource, because } = hold;
  if (because.kind === 'observe-only') {
    logObserved(world, state, hold, because.would);
    return;
  }
  const about = { component: 'decide', vmid, event: 'hold', outcome: because.kind } as const;
  const what = because.kind === 'missing' ? `missing: ${because.reading.why}` : because.kind;
  const before = said(state, vmid, resource, what);
  if (before === what) {
    log.debug(() => heldLine(hold), about);
    return;
  }
  const line = () => heldLine(hold);
  const fault = because.kind === 'missing' && because.reading.why !== 'first-sample';
  if (fault || LOUD.has(because.kind)) log.warn(line(), about);
  else if (REFUSED.has(because.kind)) log.info(line(), about);
  else if (before !== undefined && REFUSED.has(before)) {
    log.info(`${line()}. It does not wait any more`, about);
  } else log.debug(line, about);
}

/** What is only observed is told as in a dry run, whenever it comes to something else. */
function logObserved(world: World, state: LoopState, hold: Hold, would: number): void {
  const { vmid, name, resource, measured } = hold;
  if (measured === undefined) return;
  const { before } = measured;
  const what = `observe-only ${before} ${would}`;
  if (said(state, vmid, resource, what) === what) return;
  const verdict = would > before ? 'grow' : 'shrink';
  const about = { component: 'decide', vmid, event: 'observed', verdict } as const;
  world.log.info(`${who(hold)}, ${resource}: ${explainHold(hold)}`, about);
  const status = 'observed';
  const details = {
    name,
    ...kindOf(hold),
    status,
    before,
    after: would,
    reason: explainHold(hold),
  } as const;
  const more = { ...numbers(measured), cycle: state.cycle };
  const direction = would > before ? 'up' : 'down';
  const event = { kind: 'change', vmid, resource, direction } as const;
  putOnRecord(world, { ...event, details: { ...details, ...more } });
}

/** Remembers what is said now of a resource. Returns what was said of it before. */
function said(state: LoopState, vmid: Vmid, resource: Resource, what: string): string | undefined {
  const record = recordOf(state, vmid)[resource];
  const before = record.loggedHold;
  record.loggedHold = what;
  return before;
}
