import { expect, it } from 'vitest';
import { answerTo } from '../../src/app/control-answer.ts';
import { vmid } from '../core/builders.ts';
import { known } from './known.ts';

/** What a daemon answers that looks after several nodes. */

const HOME = known('pve1', [101]);
const LAB = known('lab', [201, 202]);
const NEW = known('new', undefined);

it('status is of the home, and names what else there is', () => {
  const { report } = answerTo({ command: 'status' }, [HOME, LAB, NEW]) as { report: object };
  expect(report).toMatchObject({
    node: 'pve1',
    containers: [{ vmid: 101 }],
    others: [
      { node: 'lab', guests: 2, cycle: 7, paused: null },
      { node: 'new', guests: null, cycle: null, paused: null },
    ],
  });
});

it('status of one node alone says nothing of others', () => {
  const { report } = answerTo({ command: 'status' }, [HOME]) as { report: object };
  expect(report).not.toHaveProperty('others');
});

it('status and explain of a named node', () => {
  const request = { command: 'status', node: 'lab' } as const;
  expect(answerTo(request, [HOME, LAB])).toMatchObject({
    report: { node: 'lab', containers: [{ vmid: 201 }, { vmid: 202 }] },
  });
  const elsewhere = { command: 'explain', vmid: vmid(101), node: 'lab' } as const;
  expect(answerTo(elsewhere, [HOME, LAB])).toEqual({
    error: 'guest 101 was not on this node in the last cycle',
  });
  expect(answerTo({ ...request, node: 'lap' }, [HOME, LAB])).toMatchObject({
    error: expect.stringMatching(/lap.*lab/),
  });
});

it('explain finds an id on whatever node has it', () => {
  const all = [HOME, LAB, NEW] as const;
  const explain = (id: number) => answerTo({ command: 'explain', vmid: vmid(id) }, all);
  expect(explain(202)).toMatchObject({ account: { vmid: 202 } });
  expect(explain(303)).toEqual({
    error: 'guest 303 was not on any node in the last cycle',
  });
});
