import { offPeakAt } from '../config/off-peak.ts';
import type { ConfigOnNode } from '../config/on-node.ts';
import { hostPolicy, manage } from '../config/resolve.ts';
import { withGiven } from '../core/given.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { Management } from '../core/policy.ts';
import type { CycleSettings } from '../loop/cycle.ts';

/** The settings of a cycle, made once from a configuration and the command line. */
export const settingsOf = (
  config: ConfigOnNode,
  { dryRun }: { readonly dryRun: boolean },
): CycleSettings => ({
  manage: remembering((guest) => manage(config, guest)),
  hostPolicy: hostPolicy(config),
  isOffPeak: offPeakAt(config),
  atOnce: config.maxConcurrentOperations,
  dryRun,
  logQuietCycles: config.logQuietCycles,
});

/** Bounds that are shares of what a guest was given are numbers for whoever asks. */
export const forGuestsOf = (settings: CycleSettings, state: () => LoopState): CycleSettings => ({
  ...settings,
  manage: (guest) => withGiven(settings.manage(guest), guest, state().guests.get(guest.vmid)),
});

/**
 * Remembers the answer per guest configuration: a cycle asks several times for the same object. One
 * answer stands for all guests that have the same.
 */
function remembering(ask: CycleSettings['manage']): CycleSettings['manage'] {
  const answers = new WeakMap<GuestConfig, Management>();
  let last: Management | undefined;
  return (guest) => {
    const known = answers.get(guest);
    if (known !== undefined) return known;
    const answer = ask(guest);
    if (last === undefined || !isSame(last, answer)) last = answer;
    answers.set(guest, last);
    return last;
  };
}

const isSame = (one: Management, other: Management): boolean =>
  one.kind === 'managed' && other.kind === 'managed'
    ? one.because === other.because && one.mode === other.mode && one.policy === other.policy
    : one.kind === other.kind && one.because === other.because;

/** A single cycle observes only once, so it cannot wait for a series of observations. */
export function onFirstSight(settings: CycleSettings): CycleSettings {
  return {
    ...settings,
    manage: (guest) => {
      const management = settings.manage(guest);
      if (management.kind === 'ignored') return management;
      const timing = { ...management.policy.timing, periodsUp: 1, periodsDown: 1 };
      return { ...management, policy: { ...management.policy, timing } };
    },
  };
}
