import { afterFailure, afterUnproven, type LoopState } from '../core/loop-state.ts';
import { changeKey } from '../core/pace.ts';
import type { PlannedChange } from '../core/plan.ts';
import type { Unproven } from '../core/proof.ts';
import { type Mib, mib, type Vmid } from '../core/units.ts';
import type { World } from '../ports.ts';
import { type ChangeResult, carryOut } from './change.ts';
import type { Observed } from './observe.ts';
import { changesOf, tellIntent, tellOutcome } from './tell.ts';

export interface ActContext {
  readonly cycle: number;
  /** What the decisions were made on. */
  readonly observed: Observed;
  readonly dryRun: boolean;
  /** How many changes may be under way at a time; 1 if not given. */
  readonly atOnce?: number;
  /** Fires when the program is to end: the change in hand is finished, no further one begun. */
  readonly stop: AbortSignal;
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
      if (context.stop.aborted) return;
      const outcome = await actOn(world, state, planned, context);
      if (outcome !== undefined) counts[outcome] += 1;
    }
  };
  await Promise.all(Array.from({ length: context.atOnce ?? 1 }, work));
  return counts;
}

async function actOn(
  world: World,
  state: LoopState,
  planned: PlannedChange,
  { cycle, observed, dryRun, stop }: ActContext,
): Promise<keyof ActCounts | undefined> {
  tellIntent(world, planned, dryRun);
  if (dryRun) {
    tellOutcome(world, planned, 'dry-run', { cycle });
    return undefined;
  }
  const { containers, host } = observed;
  const config = containers.find(({ vmid }) => vmid === planned.vmid)?.config;
  if (!config?.ok) return undefined;
  const changing = { hostCpus: host.cpus.ok ? host.cpus.value : 0, stop };
  let carried = planned;
  let result = await carryOut(world, carried, config.value, changing);
  if (result.kind === 'unproven') {
    putOff(world, state, planned, result, cycle);
    const { vmid, name, cores } = planned;
    if (cores === undefined) return undefined;
    // What it may not lose must not keep it from what it needs.
    carried = { vmid, name, cores };
    result = await carryOut(world, carried, config.value, changing);
  }
  tellResult(world, carried, result, cycle);
  remember(world, state, carried, result);
  if (result.kind === 'confirmed' || result.kind === 'pending') return 'done';
  return result.kind === 'overtaken' ? undefined : 'failed';
}

/** Memory that could not be proven free stays where it is, and is not asked for again soon. */
function putOff(
  world: World,
  state: LoopState,
  { vmid, name, memory }: PlannedChange,
  { unproven, note }: ChangeResult,
  cycle: number,
): void {
  if (memory === undefined || unproven === undefined) return;
  const nowMs = world.clock.monotonicMs();
  const retry = afterUnproven(state.shrinkRetry.get(vmid), nowMs);
  state.shrinkRetry.set(vmid, retry);
  const seconds = Math.ceil((retry.retryAtMs - nowMs) / 1000);
  tellOutcome(world, { vmid, name, memory }, 'unproven', {
    ...{ cycle, note: `The limit stays: ${note}. Next try in ${seconds} s.` },
    proof: proofFacts(unproven),
  });
}

function proofFacts(because: Unproven): Readonly<Record<string, unknown>> {
  const { kind } = because;
  if (!('numbers' in because)) return { kind };
  const { wantedMib, askedMib, gotMib, currentMib } = because.numbers;
  const round = (value: number): number => Math.round(value * 10) / 10;
  return {
    ...{ kind, wanted: round(wantedMib), asked: round(askedMib) },
    ...{ got: round(gotMib), current: round(currentMib) },
  };
}

function tellResult(
  world: World,
  planned: PlannedChange,
  result: ChangeResult,
  cycle: number,
): void {
  const { kind, backup, note } = result;
  if (kind === 'overtaken' || kind === 'unproven') {
    world.log.warn(`Container ${planned.vmid} was not changed: ${note}`);
    return;
  }
  tellOutcome(world, planned, kind, {
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
): void {
  const { vmid } = planned;
  if (result.kind === 'overtaken' || result.kind === 'unproven') return;
  if (result.kind === 'failed' || result.kind === 'rolled-back') {
    state.failures.set(vmid, afterFailure(state.failures.get(vmid), clock.monotonicMs()));
    return;
  }
  state.failures.delete(vmid);
  for (const { resource, after, measured } of changesOf(planned)) {
    state.changedMs.set(changeKey(vmid, resource), clock.monotonicMs());
    const config = state.running.get(vmid);
    if (config !== undefined) {
      const value = resource === 'cores' ? { cores: after } : { memoryMib: mib(after) };
      state.running.set(vmid, { ...config, ...value });
    }
    if (resource === 'memory') {
      addGrant(state, vmid, mib(after - measured.before));
      state.shrinkRetry.delete(vmid);
    } else if (result.kind === 'pending') {
      const sinceMs = clock.monotonicMs();
      state.pendingCores.set(vmid, { cores: after, sinceMs, warned: false });
    }
  }
}

function addGrant(state: LoopState, vmid: Vmid, step: Mib): void {
  const granted = (state.grants.get(vmid) ?? 0) + step;
  if (granted > 0) state.grants.set(vmid, mib(granted));
  else state.grants.delete(vmid);
}
