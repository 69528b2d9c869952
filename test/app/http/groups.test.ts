import { describe, expect, it } from 'vitest';
import type { GroupWish } from '../../../src/core/groups/draft.ts';
import type { WishAnswer } from '../../../src/core/groups/wish.ts';
import { serve } from './served.ts';

/** What is asked of a group gets to the group, with who asks; its answer is handed on. */

const STEP = { kind: 'start', vmid: 200 as never } as const;

async function withGroup(answer: WishAnswer | undefined, more = '') {
  const asked: (readonly [string, GroupWish, boolean])[] = [];
  const served = await serve(more, {
    askGroup: async (...one) => {
      asked.push(one);
      return answer;
    },
  });
  return { served, asked };
}

describe('a group', () => {
  it.each(['out', 'in'] as const)('is asked for a step %s', async (direction) => {
    const { served, asked } = await withGroup({ ok: true, says: 'Group web: so.', step: STEP });
    const path = `/api/v1/groups/web/scale-${direction}`;
    const { status, json } = await served.as('scale', 'POST', path, {});
    expect({ status, json }).toEqual({
      status: 200,
      json: { group: 'web', says: 'Group web: so.' },
    });
    await served.as('admin', 'POST', `${path}?dry_run=1`, {});
    expect(asked).toEqual([
      ['web', { direction, by: 'api:scale' }, false],
      ['web', { direction, by: 'api:admin' }, true],
    ]);
  });

  it('says why it does not', async () => {
    const { served } = await withGroup({ ok: false, why: 'it may have no more members' });
    const answer = await served.as('scale', 'POST', '/api/v1/groups/web/scale-out', {});
    expect(answer).toMatchObject({
      status: 409,
      json: { code: 'refused', detail: 'Group web was not changed: it may have no more members' },
    });
  });

  it('that is not there is named, with those that are', async () => {
    const { served } = await withGroup(undefined);
    served.node.add(101);
    await served.cycle();
    const answer = await served.as('scale', 'POST', '/api/v1/groups/mail/scale-out', {});
    expect(answer).toMatchObject({
      status: 404,
      json: { code: 'no-such-group', detail: expect.stringContaining("group 'mail'") },
    });
  });
});
