import { budget } from './core/admission.ts';
import { decide } from './core/decide.ts';
import type { Decision } from './core/decision.ts';
import type { LoopState } from './core/loop-state.ts';
import type { GuestConfig } from './core/observation.ts';
import { type Plan, plan } from './core/plan.ts';
import type { HostPolicy, Management } from './core/policy.ts';
import type { Missing } from './core/reading.ts';
import type { Vmid } from './core/units.ts';
import type { World } from './ports.ts';
import { type ActCounts, act } from './stages/act.ts';
import { confirmPending } from './stages/confirm.ts';
import { observe } from './stages/observe.ts';
import { stopwatch } from './stages/stopwatch.ts';
import { tellBlind, tellPlan, tellStart, tellTimes } from './stages/tell.ts';

/** What a cycle needs of the configuration and of the command line. */
export interface CycleSettings {
  readonly manage: (config: GuestConfig) => Management;
  readonly hostPolicy: HostPolicy;
  readonly dryRun: boolean;
  /** How many changes may be under way at a time. */
  readonly atOnce: number;
  /** Only these, whose decision cannot wait, and only what they need more. */
  readonly urgent?: ReadonlySet<Vmid>;
}

export type CycleResult = (ActCounts & { readonly ok: true }) | Missing;

/**
 * THE LOOP: one cycle observes the containers, decides what each needs, plans what the host can
 * give, acts through `pct`, and reports. What goes wrong with one container stops no other.
 */
export async function runCycle(
  world: World,
  { manage, hostPolicy, dryRun, atOnce, urgent }: CycleSettings,
  state: LoopState,
  stop: AbortSignal,
): Promise<CycleResult> {
  state.cycle += 1;
  const timed = stopwatch(world.clock);
  tellStart(world, urgent);

  const observed = timed('observe', () => observe(world, state, urgent));
  if (!observed.ok) return tellBlind(world, observed);
  const { host, containers, holds, atMs } = observed.value;
  timed('confirm', () => confirmPending(world, state, observed.value));

  const verdicts = timed('decide', () =>
    decide({ containers, host, holds, manage, hostPolicy, state, nowMs: atMs }),
  );
  const available = budget(host, hostPolicy, containers, state.grants);
  const due = urgent === undefined ? verdicts.decisions : withoutShrinks(verdicts.decisions);
  const planned = timed('plan', () => plan(due, available));
  timed('explain', () => tellPlan(world, state, available, verdicts.skipped, planned));

  const context = { cycle: state.cycle, observed: observed.value, dryRun, atOnce, stop };
  const counts = await timed('act', () => act(world, state, planned.changes, context));
  if (urgent !== undefined) settle(state, urgent, planned);
  tellTimes(world, state.cycle, timed.spentMs);
  return { ok: true, ...counts };
}

/** What was brought forward is help; whatever may be taken back can wait. */
const withoutShrinks = (decisions: readonly Decision[]): readonly Decision[] =>
  decisions.filter(({ verdict }) => verdict !== 'shrink');

/** Who could not be helped is not looked at again before the next cycle. */
function settle(state: LoopState, urgent: ReadonlySet<Vmid>, { changes }: Plan): void {
  const helped = new Set(changes.map(({ vmid }) => vmid));
  for (const vmid of urgent) {
    const between = state.between.get(vmid);
    if (between !== undefined && !helped.has(vmid)) {
      state.between.set(vmid, { ...between, settled: true });
    }
  }
}
