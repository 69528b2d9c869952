import { begin, isSuspicious, isUrgent, withSample } from '../core/between.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { Management } from '../core/policy.ts';
import type { Vmid } from '../core/units.ts';
import type { World } from '../ports.ts';

export interface Sampled {
  /** Containers whose next decision cannot wait. */
  readonly urgent: ReadonlySet<Vmid>;
  /** Something may have begun: the next sample should come soon. */
  readonly suspicious: boolean;
}

export interface SampleSettings {
  readonly urgentSamples: number;
  readonly manage: (config: GuestConfig) => Management;
}

/** A decision on a container that is left alone anyway need not be brought forward. */
const mayBeHelped = (config: GuestConfig, management: Management): boolean =>
  management.kind === 'managed' &&
  management.mode === 'act' &&
  config.lock === undefined &&
  !config.template;

/**
 * Looks at every container that the last cycle saw running, between two cycles. Reads files only;
 * what it sees is kept for the next decision.
 */
export function sample(
  { cgroups }: World,
  state: LoopState,
  { urgentSamples, manage }: SampleSettings,
): Sampled {
  const urgent = new Set<Vmid>();
  let suspicious = false;
  for (const [vmid, config] of state.running) {
    const now = cgroups.sample(vmid);
    const before = state.between.get(vmid);
    if (!now.ok || before === undefined || state.hostCpus === undefined) {
      // A gap: what was seen before it says nothing of what comes after.
      if (now.ok) state.between.set(vmid, begin(now.value));
      else state.between.delete(vmid);
      continue;
    }
    const after = withSample(before, now.value, config, state.hostCpus);
    state.between.set(vmid, after);
    if (!mayBeHelped(config, manage(config))) continue;
    if (isUrgent(after, urgentSamples)) urgent.add(vmid);
    else if (isSuspicious(before, after)) suspicious = true;
  }
  return { urgent, suspicious };
}
