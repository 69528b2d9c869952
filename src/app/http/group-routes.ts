import * as z from 'zod/mini';
import type { GroupWish } from '../../core/groups/draft.ts';
import { askedBy, type ChangeQuery, changeQuery, refuseInDryRun } from './change-answer.ts';
import { answerOf } from './guests.ts';
import { HttpProblem } from './problem.ts';
import { type Asked, type Route, route } from './route.ts';

/** A member more or less of a group, by the rules that hold for what its load asks for. */

const groupAnswer = z.object({ group: z.string(), says: z.string() });

async function scale(
  asked: Asked<ChangeQuery>,
  direction: GroupWish['direction'],
): Promise<z.infer<typeof groupAnswer>> {
  const { service, params, query } = asked;
  const group = params['name'] ?? '';
  refuseInDryRun(service.nodes()[0].settings.dryRun, query);
  const wish = { direction, by: askedBy(asked) };
  const answer = await service.askGroup(group, wish, query.dry_run);
  if (answer === undefined) {
    answerOf<object>(service, { command: 'explain-group', group }, 'group');
    throw new HttpProblem('no-such-group', 'This group is not looked after any more');
  }
  if (answer.ok) return { group, says: answer.says };
  throw new HttpProblem('refused', `Group ${group} was not changed: ${answer.why}`);
}

const groupChange = (what: string, direction: GroupWish['direction'], summary: string): Route =>
  route({
    method: 'POST',
    path: `/api/v1/groups/{name}/${what}`,
    role: 'scale',
    summary,
    query: changeQuery,
    body: z.strictObject({}),
    answer: groupAnswer,
    run: (asked) => scale(asked, direction),
  });

export const groupRoutes: readonly Route[] = [
  groupChange('scale-out', 'out', 'Have a group make one more member'),
  groupChange('scale-in', 'in', 'Have a group take away the member that is the newest of its own'),
];
