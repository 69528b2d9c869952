import { connectionWords } from '../core/connection.ts';
import { followConnection } from '../core/follow-connection.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { World } from '../ports.ts';

const ABOUT = { component: 'observe', event: 'connection' } as const;

/** After each look: what is known of the guests goes by the connection that it was by. */
export function noticeConnection(
  { connection, log }: Pick<World, 'connection' | 'log'>,
  state: LoopState,
): void {
  const now = connection?.();
  if (now === undefined) return;
  const before = state.connection;
  const isOther = followConnection(state, now);
  if (now.why === undefined) {
    if (isOther) log.info(`It is reached ${connectionWords(now)} again.`, ABOUT);
  } else if (isOther || before?.why === undefined) {
    log.warn(`It is reached ${connectionWords(now)}.`, ABOUT);
  }
}
