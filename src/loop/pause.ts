import type { LoopState } from '../core/loop-state.ts';
import { type Pause, pauseAfter, pauseRefused } from '../core/pause.ts';
import type { World } from '../ports.ts';

const ABOUT = { component: 'observe', event: 'pause' } as const;

/**
 * Looks whether configurations can be written now; without that nothing is changed on this node.
 * Says once that a pause begins, and once that it is over.
 */
export function noticePause(world: World, state: LoopState): Pause | undefined {
  const nowMs = world.clock.monotonicMs();
  const now = pauseAfter(state.pause, world.guests.quorum(), nowMs, world.notOurs?.());
  return begin(world, state, now);
}

/** Takes it in that a change was refused since nothing can be written. */
export function noticeRefusal(world: World, state: LoopState, message: string): Pause {
  const nowMs = world.clock.monotonicMs();
  const quorum = pauseAfter(undefined, world.guests.quorum(), nowMs);
  const pause = quorum ?? pauseRefused(state.refusedWrites, message, nowMs);
  state.refusedWrites = pause.retry;
  begin(world, state, pause);
  return pause;
}

function begin({ log, clock }: World, state: LoopState, now: Pause | undefined): Pause | undefined {
  const before = state.pause;
  state.pause = now;
  if (now !== undefined && now.kind !== before?.kind) {
    const line = `Nothing is changed on this node: ${now.why}. It goes on by itself.`;
    if (now.kind === 'elsewhere') log.warn(line, ABOUT);
    else log.error(line, ABOUT);
  } else if (now === undefined && before !== undefined) {
    const seconds = Math.round((clock.monotonicMs() - before.sinceMs) / 1000);
    const over =
      before.kind === 'elsewhere'
        ? 'No other program scales this node any more'
        : 'Configurations can be written again';
    log.info(`${over} after ${seconds} s: scaling goes on.`, ABOUT);
  }
  return now;
}
