import * as z from 'zod/mini';
import { mayAs } from './access.ts';
import { HttpProblem } from './problem.ts';
import type { Asked } from './route.ts';

/** What all that changes a guest is asked with, and is answered. */

const YES_AND_NO = ['0', '1', 'true', 'false'] as const;

export const changeQuery = z.strictObject({
  node: z.optional(z.string()),
  dry_run: z._default(
    z.pipe(
      z.enum(YES_AND_NO),
      z.transform((text: (typeof YES_AND_NO)[number]) => text === '1' || text === 'true'),
    ),
    false,
  ),
});
export type ChangeQuery = z.infer<typeof changeQuery>;

export const changeAnswer = z.object({
  outcome: z.enum(['confirmed', 'pending', 'dry-run', 'already']),
  vmid: z.int(),
  changes: z.array(
    z.object({
      resource: z.enum(['cores', 'memory']),
      unit: z.optional(z.literal('cpulimit')),
      before: z.nullable(z.number()),
      after: z.nullable(z.number()),
    }),
  ),
  says: z.string(),
  backup: z.optional(z.string()),
  note: z.optional(z.string()),
});
export type ChangeAnswer = z.infer<typeof changeAnswer>;

/** Who it was, as log and journal have it. */
export const askedBy = ({ who }: Pick<Asked, 'who'>): string => `api:${who?.name ?? 'nobody'}`;

/** The bounds of a policy are for everybody else. */
export const isAdmin = ({ who }: Pick<Asked, 'who'>): boolean =>
  who !== undefined && mayAs(who.role, 'admin');

export function refuseInDryRun(isDryRun: boolean, { dry_run }: ChangeQuery): void {
  if (!isDryRun || dry_run) return;
  const detail = 'This daemon is a dry run and changes nothing; ask with ?dry_run=1';
  throw new HttpProblem('dry-run', detail);
}
