import { type LoopState, newLoopState } from '../core/loop-state.ts';
import { type Instant, takeOver, toSaved } from '../core/saved-state.ts';
import type { World } from '../ports.ts';
import { parseSavedState } from '../store/saved-state-schema.ts';
import { createStateFile, stateFileBelow } from '../store/state-file.ts';
import type { ProcessContext } from './context.ts';

/** Keeps the state of the loop across restarts: read at the start, saved when it matters. */
export interface StateKeeper {
  readonly state: LoopState;
  /** Before each change, after a cycle with changes, and at the end. Says why it failed. */
  save(): string | undefined;
  /** After a cycle that changed nothing: saves once an hour what was seen and learnt. */
  saveWhenDue(): void;
}

/** The most that a crash may lose of what was learnt. */
const LONGEST_UNSAVED_MS = 3_600_000;

/** @param below where what is kept of the node lies, as `OpenWorld` has it */
export function stateKeeper(
  { clock, log }: World,
  { paths }: ProcessContext,
  dryRun: boolean,
  below = '',
): StateKeeper {
  const file = createStateFile(paths, stateFileBelow(below));
  const boot = file.boot();
  const state = newLoopState();
  const instant = (): Instant => ({ nowMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  const read = file.read();
  const saved = read.ok ? parseSavedState(read.value) : read;
  if (saved.ok) takeOver(state, saved.value, boot, instant());
  else if (saved.why !== 'absent') {
    log.warn(`The saved state is ignored, and a new one begins: ${saved.detail}`);
  }
  let savedMs = clock.monotonicMs();
  let said: string | undefined;
  const save = (): string | undefined => {
    // A dry run has changed nothing, so it has nothing to remember.
    if (dryRun) return undefined;
    savedMs = clock.monotonicMs();
    const failure = file.write(toSaved(state, boot, instant()));
    // It is tried before each change, and one line says enough until it can be saved again.
    if (failure !== undefined && failure !== said) log.warn(failure);
    said = failure;
    return failure;
  };
  return {
    state,
    save,
    saveWhenDue() {
      if (clock.monotonicMs() - savedMs >= LONGEST_UNSAVED_MS) save();
    },
  };
}
