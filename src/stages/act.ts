import { afterFailure, type LoopState } from '../core/loop-state.ts';
import type { PlannedChange } from '../core/plan.ts';
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
  /** Fires when the program is to end: the change in hand is finished, no further one begun. */
  readonly stop: AbortSignal;
}

export interface ActCounts {
  done: number;
  failed: number;
}

/**
 * Carries the planned changes out, one after the other. A failure is told, remembered so that it
 * is not repeated at once, and stops nothing.
 */
export async function act(
  world: World,
  state: LoopState,
  changes: readonly PlannedChange[],
  context: ActContext,
): Promise<ActCounts> {
  const counts = { done: 0, failed: 0 };
  const { containers, host } = context.observed;
  const configs = new Map(containers.map(({ vmid, config }) => [vmid, config]));
  const hostCpus = host.cpus.ok ? host.cpus.value : 0;
  for (const planned of changes) {
    if (context.stop.aborted) break;
    tellIntent(world, planned, context.dryRun);
    if (context.dryRun) {
      tellOutcome(world, planned, 'dry-run', { cycle: context.cycle });
      continue;
    }
    const config = configs.get(planned.vmid);
    if (!config?.ok) continue;
    const changing = { hostCpus, stop: context.stop };
    const result = await carryOut(world, planned, config.value, changing);
    tellResult(world, planned, result, context.cycle);
    remember(world, state, planned, result);
    if (result.kind === 'confirmed' || result.kind === 'pending') counts.done += 1;
    else counts.failed += 1;
  }
  return counts;
}

function tellResult(
  world: World,
  planned: PlannedChange,
  result: ChangeResult,
  cycle: number,
): void {
  const { kind, backup, note } = result;
  if (kind === 'overtaken') {
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
  if (result.kind === 'overtaken') return;
  if (result.kind === 'failed' || result.kind === 'rolled-back') {
    state.failures.set(vmid, afterFailure(state.failures.get(vmid), clock.monotonicMs()));
    return;
  }
  state.failures.delete(vmid);
  for (const { resource, after, measured } of changesOf(planned)) {
    if (resource === 'memory') addGrant(state, vmid, mib(after - measured.before));
    else if (result.kind === 'pending') {
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
