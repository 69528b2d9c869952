import type { NodeLoop } from '../node-loop.ts';
import { HttpProblem, refuseGone } from './problem.ts';
import type { Asked } from './route.ts';

/** What is asked of a node while it is at work. */

/** A change may take a minute: whoever comes after so many would wait too long. */
export const MOST_IN_LINE = 8;
const inLine = new WeakMap<NodeLoop, number>();

const count = (loop: NodeLoop, more: number): void => {
  inLine.set(loop, (inLine.get(loop) ?? 0) + more);
};

const tooMany = (): HttpProblem =>
  new HttpProblem('busy', 'Too many requests are waiting; ask again in a moment');

/** For an answer that may take more than some seconds. Throws if too many wait for such a one. */
export function stayOn(stay: Asked['stay']): void {
  if (!stay()) throw tooMany();
}

/**
 * Does this when it is its turn, beside cycles and samples. Throws if too many wait already, and
 * does nothing for somebody who has gone meanwhile.
 */
export async function whenItsTurn<T>(
  { service, request, stay }: Pick<Asked, 'service' | 'request' | 'stay'>,
  loop: NodeLoop,
  work: (stop: AbortSignal) => T | Promise<T>,
): Promise<T> {
  if ((inLine.get(loop) ?? 0) >= MOST_IN_LINE) throw tooMany();
  stayOn(stay);
  count(loop, 1);
  return service.inTurn(loop, async (stop) => {
    count(loop, -1);
    refuseGone(request.signal);
    return work(stop);
  });
}
