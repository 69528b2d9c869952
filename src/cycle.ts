import { budget } from './core/admission.ts';
import { decide } from './core/decide.ts';
import type { LoopState } from './core/loop-state.ts';
import type { GuestConfig } from './core/observation.ts';
import { plan } from './core/plan.ts';
import type { HostPolicy, Management } from './core/policy.ts';
import type { Missing } from './core/reading.ts';
import type { World } from './ports.ts';
import { type ActCounts, act } from './stages/act.ts';
import { confirmPending } from './stages/confirm.ts';
import { observe } from './stages/observe.ts';
import { stopwatch } from './stages/stopwatch.ts';
import { tellBlind, tellPlan, tellTimes } from './stages/tell.ts';

/** What a cycle needs of the configuration and of the command line. */
export interface CycleSettings {
  readonly manage: (config: GuestConfig) => Management;
  readonly hostPolicy: HostPolicy;
  readonly dryRun: boolean;
}

export type CycleResult = (ActCounts & { readonly ok: true }) | Missing;

/**
 * THE LOOP: one cycle observes the containers, decides what each needs, plans what the host can
 * give, acts through `pct`, and reports. What goes wrong with one container stops no other.
 */
export async function runCycle(
  world: World,
  { manage, hostPolicy, dryRun }: CycleSettings,
  state: LoopState,
  stop: AbortSignal,
): Promise<CycleResult> {
  state.cycle += 1;
  const timed = stopwatch(world.clock);
  world.log.info('Starting resource allocation process...');

  const observed = timed('observe', () => observe(world, state));
  if (!observed.ok) return tellBlind(world, observed);
  const { host, containers, holds, atMs } = observed.value;
  timed('confirm', () => confirmPending(world, state, observed.value));

  const verdicts = timed('decide', () =>
    decide({ containers, host, holds, manage, hostPolicy, state, nowMs: atMs }),
  );
  const available = budget(host, hostPolicy, containers, state.grants);
  const planned = timed('plan', () => plan(verdicts.decisions, available));
  timed('explain', () => tellPlan(world, state, available, verdicts.skipped, planned));

  const context = { cycle: state.cycle, observed: observed.value, dryRun, stop };
  const counts = await timed('act', () => act(world, state, planned.changes, context));
  tellTimes(world, state.cycle, timed.spentMs);
  return { ok: true, ...counts };
}
