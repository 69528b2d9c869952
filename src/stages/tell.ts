import type { Budget } from '../core/admission.ts';
import type { Change, Hold, Measured, Resource, Skip } from '../core/decision.ts';
import { amount, explainChange, explainHold, explainSkip, withUnit } from '../core/explain.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { Plan, PlannedChange } from '../core/plan.ts';
import type { Missing } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { World } from '../ports.ts';

/** How the loop explains itself: the lines of the text log and of the JSON log. */

/** How a change went, as the JSON log says it. */
export type Status = 'confirmed' | 'pending' | 'dry-run' | 'failed' | 'rolled-back' | 'unproven';

/** Appended to the action, so that a script which counts changes counts only real ones. */
const ACTION_FORM: Record<Status, (action: string) => string> = {
  confirmed: (action) => action,
  pending: (action) => action,
  'dry-run': (action) => `Would ${action}`,
  failed: (action) => `${action} Failed`,
  'rolled-back': (action) => `${action} Rolled Back`,
  unproven: (action) => `${action} Not Proven`,
};

const KIND: Record<Resource, string> = { cores: 'Cores', memory: 'Memory' };

export const changesOf = (planned: PlannedChange): readonly Change[] =>
  [planned.cores, planned.memory].filter((change) => change !== undefined);

const stepOf = ({ resource, after, measured }: Change): string =>
  amount(resource, Math.abs(after - measured.before));

/** The first line of a cycle, or of decisions that cannot wait for one. */
export function tellStart({ log }: World, urgent: ReadonlySet<Vmid> | undefined): void {
  if (urgent === undefined) log.info('Starting resource allocation process...');
  else log.info(`Deciding early on ${[...urgent].join(', ')}: saturated, or out of memory`);
}

/** What the host can give, and whom the plan leaves alone and why. */
export function tellPlan(
  world: World,
  state: LoopState,
  available: Budget,
  skipped: readonly Skip[],
  { held, changes }: Plan,
): void {
  const { coresCeiling, memoryMib } = available;
  const cores = coresCeiling.ok ? coresCeiling.value : 'unknown';
  const memory = memoryMib.ok ? memoryMib.value : 'unknown';
  world.log.info(`Initial resources before adjustments: ${cores} cores, ${memory} MB memory`);
  for (const reading of [coresCeiling, memoryMib]) {
    if (!reading.ok) world.log.warn(`Nothing can be given out: ${reading.detail}`);
  }
  forgetSaid(state, [...held, ...changes], changes.flatMap(changesOf));
  for (const skip of skipped) tellSkipped(world, state, skip);
  for (const hold of held) tellHeld(world, state, hold);
}

/** The containers cannot be listed at all: a cycle without eyes does nothing. */
export function tellBlind({ log }: World, reading: Missing): Missing {
  log.error(`The containers cannot be seen, so nothing is scaled: ${reading.detail}`);
  return reading;
}

export function tellTimes({ log }: World, cycle: number, spent: ReadonlyMap<string, number>): void {
  const stages = [...spent].map(([stage, ms]) => `${stage} ${ms.toFixed(1)} ms`);
  log.debug(`Cycle ${cycle}: ${stages.join(', ')}`);
}

/** The line before a change, in the form that the field's logs have. */
export function tellIntent({ log }: World, planned: PlannedChange, dryRun: boolean): void {
  for (const change of changesOf(planned)) {
    const [would, doing] =
      change.verdict === 'grow' ? ['increase', 'Increasing'] : ['decrease', 'Decreasing'];
    const what = `${change.resource} for container ${change.vmid} by ${stepOf(change)}`;
    if (dryRun) log.info(`Would ${would} ${what}: ${describe(change)}`);
    else log.info(`${doing} ${what}...`);
  }
}

/** The name of a container is its owner's text; the log makes control characters harmless. */
const who = (vmid: Vmid, name: string): string => `Container ${vmid} (${name})`;

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
export function tellOutcome(
  world: World,
  planned: PlannedChange,
  status: Status,
  facts: Facts,
): void {
  const { log } = world;
  const details = changesOf(planned).map(
    (change) => `${change.unit ?? change.resource} ${describe(change)}`,
  );
  const line = `${who(planned.vmid, planned.name)}: ${details.join('. And ')}.`;
  const note = facts.note === undefined ? '' : ` ${facts.note}`;
  const backup = facts.backup === undefined ? '' : ` Backup: ${facts.backup}`;
  if (status === 'confirmed') log.info(`${line} Confirmed.${note}${backup}`);
  if (status === 'pending') log.info(`${line} Configured.${note}${backup}`);
  if (status === 'failed') log.error(`FAILED. ${line}${note}${backup}`);
  if (status === 'rolled-back') log.error(`ROLLED BACK. ${line}${note}${backup}`);
  if (status === 'unproven') log.warn(`NOT PROVEN. ${line}${note}`);
  for (const change of changesOf(planned)) tellJournal(world, change, status, facts);
}

function tellJournal({ journal, log }: World, change: Change, status: Status, facts: Facts): void {
  const { vmid, resource, verdict, rule, limits, measured, after } = change;
  const plain = `${verdict === 'grow' ? 'Increase' : 'Decrease'} ${KIND[resource]}`;
  const written = journal.record({
    vmid,
    action: ACTION_FORM[status](plain),
    change: stepOf(change),
    details: {
      name: change.name,
      status,
      before: measured.before,
      after,
      ...(change.unit !== undefined && { unit: change.unit }),
      reason: explainChange(change),
      rule,
      limits,
      ...numbers(measured),
      ...facts,
    },
  });
  if (!written) tellUnwritten({ log }, vmid);
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
export function tellConfirmed(world: World, vmid: Vmid, cores: number, cycle: number): void {
  world.log.info(`Container ${vmid}: ${withUnit('cores', cores)} confirmed, now in its cpuset`);
  const details = { status: 'confirmed', after: cores, cycle };
  const event = { vmid, action: 'Confirm Cores', change: String(cores), details };
  if (!world.journal.record(event)) tellUnwritten(world, vmid);
}

function tellUnwritten({ log }: Pick<World, 'log'>, vmid: Vmid): void {
  log.error(`The JSON log could not be written for container ${vmid}`);
}

/** What is over is said again when it comes back: the lock of the next backup, say. */
function forgetSaid(
  state: LoopState,
  managed: readonly { readonly vmid: Vmid }[],
  changed: readonly Change[],
): void {
  for (const { vmid } of managed) state.said.delete(`${vmid}/`);
  for (const { vmid, resource } of changed) state.said.delete(`${vmid}/${resource}`);
}

function tellSkipped({ log }: World, state: LoopState, skip: Skip): void {
  const line = `${who(skip.vmid, skip.name)} is left alone: ${explainSkip(skip)}`;
  const isFault = skip.because.kind === 'unreadable';
  once(state, `${skip.vmid}/`, skip.because.kind, (isNew) => {
    if (!isNew) log.debug(line);
    else if (isFault) log.warn(line);
    else log.info(line);
  });
}

/** Held for a reason that somebody should know: said loudly once, then only at debug level. */
const LOUD: ReadonlySet<Hold['because']['kind']> = new Set([
  'at-maximum',
  'host-memory',
  'host-cores',
  'cpulimit',
  'not-in-force',
]);

function tellHeld(world: World, state: LoopState, hold: Hold): void {
  const { log } = world;
  const { vmid, name, resource, because } = hold;
  if (because.kind === 'observe-only') {
    tellObserved(world, state, hold, because.would);
    return;
  }
  const line = `${who(vmid, name)}, ${resource}: ${explainHold(hold)}`;
  const fault = because.kind === 'missing' && because.reading.why !== 'first-sample';
  once(state, `${vmid}/${resource}`, because.kind, (isNew) => {
    if (isNew && (fault || LOUD.has(because.kind))) log.warn(line);
    else log.debug(line);
  });
}

/** What is only observed is told as in a dry run, whenever it comes to something else. */
function tellObserved({ log, journal }: World, state: LoopState, hold: Hold, would: number): void {
  const { vmid, name, resource, measured } = hold;
  if (measured === undefined) return;
  const { before } = measured;
  const verb = would > before ? 'Increase' : 'Decrease';
  const step = amount(resource, Math.abs(would - before));
  once(state, `${vmid}/${resource}`, `observe-only ${before} ${would}`, (isNew) => {
    if (!isNew) return;
    log.info(`${who(vmid, name)}, ${resource}: ${explainHold(hold)}`);
    const status = 'observed';
    const details = { name, status, before, after: would, reason: explainHold(hold) };
    const more = { ...numbers(measured), cycle: state.cycle };
    const action = `Would ${verb} ${KIND[resource]}`;
    const event = { vmid, action, change: step, details: { ...details, ...more } };
    if (!journal.record(event)) tellUnwritten({ log }, vmid);
  });
}

function once(state: LoopState, key: string, what: string, say: (isNew: boolean) => void): void {
  say(state.said.get(key) !== what);
  state.said.set(key, what);
}
