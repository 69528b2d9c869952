import { describe, expect, it } from 'vitest';
import { accept, delivered, EMPTY_QUEUE } from '../../../src/core/notify/queue.ts';
import { fromSavedQueues, toSavedQueues } from '../../../src/core/notify/saved-queues.ts';
import { fc } from '../../fast-check.ts';
import { at, error, message, messages, rules } from './events.ts';

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('the queues on the disk', () => {
  it('bring back what waits and what was sent', () => {
    const one = accept(EMPTY_QUEUE, message('a'), rules(), at(0));
    const [waiting] = one.waiting;
    if (waiting === undefined) throw new Error('nothing waits');
    const queue = accept(delivered(one, waiting, at(5)), error('b'), rules(), at(10));
    const read = fromSavedQueues(throughJson(toSavedQueues(new Map([['gotify', queue]]))));
    const back = read?.get('gotify');
    expect(back?.waiting.map((each) => each.message)).toEqual([error('b')]);
    expect(back?.sent).toEqual(queue.sent);
    expect(back?.nextId).toBe(2);
  });

  it('bring back every message as it was', () => {
    fc.assert(
      fc.property(messages, (one) => {
        const queue = accept(EMPTY_QUEUE, one, rules(), at(0));
        const saved = throughJson(toSavedQueues(new Map([['ntfy', queue]])));
        expect(fromSavedQueues(saved)?.get('ntfy')?.waiting[0]?.message).toEqual(one);
      }),
    );
  });

  it.each([
    null,
    5,
    'x',
    [],
    {},
    { format: 2, channels: {} },
    { format: 1 },
    { format: 1, channels: [] },
  ])('are none where the file makes no sense: %j', (saved) => {
    expect(fromSavedQueues(saved)).toBeUndefined();
  });

  it('leave out what makes no sense', () => {
    const good = message('a');
    const bad = [
      null,
      5,
      [],
      {},
      { ...good, lines: [] },
      { ...good, severity: 'loud' },
      { ...good, more: -1 },
      { ...good, firstMs: 'then' },
      { ...good, counts: 3 },
      { ...good, lines: [{ text: 5, times: 1, severity: 'info' }] },
      { ...good, lines: [{ text: 'x', times: 'often', severity: 'info' }] },
    ];
    const channels = { gotify: { waiting: [...bad, good], sent: [{}, 5] }, email: 7 };
    const read = fromSavedQueues({ format: 1, channels });
    expect([...(read?.keys() ?? [])]).toEqual(['gotify']);
    expect(read?.get('gotify')?.waiting.map((one) => one.message)).toEqual([good]);
    expect(read?.get('gotify')?.sent).toEqual([]);
  });

  it('survive any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        fromSavedQueues(value);
        fromSavedQueues({ format: 1, channels: { gotify: value } });
        fromSavedQueues({ format: 1, channels: { gotify: { waiting: [value], sent: [value] } } });
      }),
    );
  });
});
