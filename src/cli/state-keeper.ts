import { type LoopState, newLoopState } from '../core/loop-state.ts';
import { type Instant, takeOver, toSaved } from '../core/saved-state.ts';
import { createStateFile } from '../host/state-file.ts';
import type { World } from '../ports.ts';
import type { Surroundings } from './world.ts';

/** The loop's state over the lives of processes: taken over at the start, saved when it matters. */
export interface StateKeeper {
  readonly state: LoopState;
  /** After a cycle that changed something, and at the end. */
  save(): void;
}

export function stateKeeper(
  { clock, log }: World,
  { paths }: Surroundings,
  dryRun: boolean,
): StateKeeper {
  const file = createStateFile(paths);
  const boot = file.boot();
  const state = newLoopState();
  const instant = (): Instant => ({ nowMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  const read = file.read();
  const taken = read.ok ? takeOver(state, read.value, boot, instant()) : read;
  if (!taken.ok && taken.why !== 'absent') {
    log.warn(`The saved state is ignored, and a new one begins: ${taken.detail}`);
  }
  return {
    state,
    save() {
      // A dry run has changed nothing, so it has nothing to remember.
      if (dryRun) return;
      const failure = file.write(toSaved(state, boot, instant()));
      if (failure !== undefined) log.warn(failure);
    },
  };
}
