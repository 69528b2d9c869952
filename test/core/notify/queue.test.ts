import { describe, expect, it } from 'vitest';
import { eventsIn, type Message } from '../../../src/core/notify/message.ts';
import {
  accept,
  type ChannelRules,
  delivered,
  EMPTY_QUEUE,
  FOLD_MS,
  failed,
  MAX_WAITING,
  nextStep,
  type Queue,
  wants,
} from '../../../src/core/notify/queue.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { fc } from '../../fast-check.ts';
import { at, error, message, messages, minutes, rules } from './events.ts';

const filled = (all: readonly Message[], by = rules(), ms = 0): Queue =>
  all.reduce((queue, one) => accept(queue, one, by, at(ms)), EMPTY_QUEUE);

/** Sends what may go, as a server does that takes everything at once. */
function drain(queue: Queue, by: ChannelRules, ms: number): { queue: Queue; sent: Message[] } {
  const sent: Message[] = [];
  let rest = queue;
  for (;;) {
    const { queue: next, step } = nextStep(rest, by, at(ms));
    rest = next;
    if (step.kind !== 'send') return { queue: rest, sent };
    sent.push(step.one.message);
    rest = delivered(rest, step.one, at(ms));
  }
}

const texts = (all: readonly Message[]): string[][] =>
  all.map(({ lines }) => lines.map(({ text }) => text));

const eventsOf = ({ waiting }: Queue): number =>
  waiting.reduce((sum, one) => sum + eventsIn(one.message), 0);

describe('which events a channel takes', () => {
  it('goes by kind and severity', () => {
    const by = rules({ events: new Set(['failed', 'changed']), minSeverity: 'warning' });
    expect(wants(by, { kind: 'failed', severity: 'error' })).toBe(true);
    expect(wants(by, { kind: 'failed', severity: 'warning' })).toBe(true);
    expect(wants(by, { kind: 'changed', severity: 'info' })).toBe(false);
    expect(wants(by, { kind: 'emergency', severity: 'error' })).toBe(false);
  });
});

describe('what is sent', () => {
  it('goes in its order', () => {
    const { sent, queue } = drain(filled([message('a'), message('b')]), rules(), 0);
    expect(texts(sent)).toEqual([['a'], ['b']]);
    expect(nextStep(queue, rules(), at(0)).step).toEqual({ kind: 'idle' });
  });

  it('is one message where it waits and says the same', () => {
    const { waiting } = filled([message('a'), message('b'), message('a')]);
    expect(waiting.map(({ message: { lines } }) => lines[0]?.times)).toEqual([2, 1]);
  });

  it('is held back for a while where the same was said just now, and counted', () => {
    let { queue } = drain(filled([message('a')]), rules(), 0);
    for (const ms of [1000, 2000, 3000]) queue = accept(queue, message('a'), rules(), at(ms));
    queue = accept(queue, message('b'), rules(), at(4000));
    expect(texts(drain(queue, rules(), 5000).sent)).toEqual([['b']]);
    const { sent } = drain(queue, rules(), FOLD_MS);
    expect(sent.map(({ lines: [line] }) => [line?.text, line?.times])).toEqual([
      ['a', 3],
      ['b', 1],
    ]);
  });

  it('waits no longer for that when the clock was set back', () => {
    const { queue } = drain(filled([message('a')]), rules(), minutes(600));
    const again = accept(queue, message('a'), rules(), at(0));
    expect(drain(again, rules(), 0).sent).toHaveLength(1);
  });
});

describe('the rate limit', () => {
  const by = rules({ perHour: 3 });
  const burst = Array.from({ length: 10 }, (_, index) => message(`m${index}`));

  it('lets so many through, and then one message with all the rest', () => {
    const first = drain(filled(burst), by, 0);
    expect(texts(first.sent)).toEqual([['m0'], ['m1'], ['m2']]);
    expect(first.queue.waiting).toHaveLength(1);
    const more = accept(first.queue, error('late'), by, at(minutes(30)));
    expect(more.waiting).toHaveLength(1);
    const { step } = nextStep(more, by, at(minutes(30)));
    expect(step).toEqual({ kind: 'wait', ms: minutes(30) });
    const second = drain(more, by, minutes(60));
    expect(second.sent).toHaveLength(1);
    expect(texts(second.sent)[0]?.[0]).toBe('late');
    expect(eventsIn(second.sent[0] as Message)).toBe(8);
  });

  it('is not got round by the clock', () => {
    const { queue } = drain(filled(burst), by, minutes(600));
    expect(queue.sent).toHaveLength(3);
    // Set back by hours: what lies in the future is as good as long ago.
    expect(drain(queue, by, 0).sent).toHaveLength(1);
  });
});

describe('quiet hours', () => {
  const isQuiet = (ms: number): boolean => ms < at(minutes(60));
  const by = rules({ isQuiet });

  it('let errors through, and the rest in one message when they are over', () => {
    const queue = filled([message('a'), error('b'), message('c'), message('d')], by);
    const { sent, queue: rest } = drain(queue, by, 0);
    expect(texts(sent)).toEqual([['b']]);
    expect(nextStep(rest, by, at(0)).step).toEqual({ kind: 'wait', ms: 60_000 });
    expect(texts(drain(rest, by, minutes(60)).sent)).toEqual([['a', 'c', 'd']]);
  });
});

describe('a queue whose server is away', () => {
  it('is bounded, whatever comes, and forgets to count nothing', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => message(`m${index}`));
    const queue = filled(many);
    expect(queue.waiting).toHaveLength(MAX_WAITING);
    expect(eventsOf(queue)).toBe(10_000);
    expect(JSON.stringify(queue).length).toBeLessThan(20_000);
  });

  it('leaves the message alone that is being sent', () => {
    let queue = filled([message('a')]);
    const [first] = queue.waiting;
    for (let index = 0; index < 100; index++) {
      const text = index % 2 === 0 ? 'a' : `b${index}`;
      queue = accept(queue, message(text), rules({ perHour: 1 }), at(0), first?.id);
    }
    expect(queue.waiting[0]).toBe(first);
    expect(eventsOf(queue)).toBe(101);
  });

  it('waits longer after each failure, up to an hour, with some chance in it', () => {
    let queue = filled([message('a')]);
    const [one] = queue.waiting;
    if (one === undefined) throw new Error('nothing waits');
    const waits: number[] = [];
    for (let count = 0; count < 12; count++) {
      ({ queue } = failed(queue, one, { fault: 'passing' }, at(0), 0.5));
      waits.push((queue.retryAtMs - at(0)) / 1000);
    }
    expect(waits).toEqual([10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
    const least = failed(queue, one, { fault: 'passing' }, at(0), 0).queue.retryAtMs;
    const most = failed(queue, one, { fault: 'passing' }, at(0), 1).queue.retryAtMs;
    expect([(least - at(0)) / 1000, (most - at(0)) / 1000]).toEqual([1800, 5400]);
    expect(queue.waiting).toHaveLength(1);
    expect(nextStep(queue, rules(), at(0)).step).toEqual({ kind: 'wait', ms: minutes(60) });
  });

  it('asks no sooner than the server wants', () => {
    const queue = filled([message('a')]);
    const [one] = queue.waiting;
    if (one === undefined) throw new Error('nothing waits');
    const failure = { fault: 'passing', retryAfterMs: milliseconds(90_000) } as const;
    expect(failed(queue, one, failure, at(0), 0).queue.retryAtMs).toBe(at(90_000));
  });

  it('folds into one what comes when it is away for long', () => {
    let queue = filled([message('first')]);
    const [one] = queue.waiting;
    if (one === undefined) throw new Error('nothing waits');
    for (let count = 0; count < 5; count++) {
      ({ queue } = failed(queue, one, { fault: 'settings' }, at(0), 0.5));
    }
    for (const text of ['a', 'b', 'c']) queue = accept(queue, message(text), rules(), at(0));
    expect(queue.waiting).toHaveLength(1);
    expect(eventsOf(queue)).toBe(4);
  });

  it('gives up on one message that is refused each time, and goes on with the next', () => {
    let queue = filled([message('bad'), message('good')]);
    const dropped: Message[] = [];
    for (let ms = 0; ms < minutes(10); ms += 1000) {
      const { step } = nextStep(queue, rules(), at(ms));
      if (step.kind !== 'send') continue;
      if (step.one.message.lines[0]?.text === 'good') {
        queue = delivered(queue, step.one, at(ms));
        continue;
      }
      const after = failed(queue, step.one, { fault: 'message' }, at(ms), 0.5);
      queue = after.queue;
      if (after.dropped !== undefined) dropped.push(after.dropped);
    }
    expect(texts(dropped)).toEqual([['bad']]);
    expect(queue.waiting).toEqual([]);
    expect(queue.sent).toHaveLength(1);
  });
});

type Happening =
  | { readonly kind: 'comes'; readonly message: Message }
  | { readonly kind: 'works' | 'fails' | 'refuses' }
  | { readonly kind: 'passes'; readonly ms: number };

const happenings: fc.Arbitrary<Happening> = fc.oneof(
  messages.map((one) => ({ kind: 'comes' as const, message: one })),
  fc.constantFrom('works', 'fails', 'refuses').map((kind) => ({ kind })),
  fc.integer({ min: 0, max: minutes(90) }).map((ms) => ({ kind: 'passes' as const, ms })),
);

describe('whatever happens', () => {
  it('loses no event, and sends no more in an hour than it may', () => {
    const by = rules({ perHour: 4, isQuiet: (ms) => Math.floor(ms / minutes(240)) % 2 === 0 });
    fc.assert(
      fc.property(fc.array(happenings, { maxLength: 80 }), (all) => {
        let queue = EMPTY_QUEUE;
        let [ms, come, gone] = [0, 0, 0];
        const sentMs: number[] = [];
        for (const one of all) {
          if (one.kind === 'comes') {
            queue = accept(queue, one.message, by, at(ms));
            come += eventsIn(one.message);
          } else if (one.kind === 'passes') ms += one.ms;
          else {
            const next = nextStep(queue, by, at(ms));
            queue = next.queue;
            if (next.step.kind !== 'send') continue;
            const tried = next.step.one;
            if (one.kind === 'works') {
              queue = delivered(queue, tried, at(ms));
              gone += eventsIn(tried.message);
              sentMs.push(ms);
            } else {
              const fault = one.kind === 'fails' ? 'passing' : 'message';
              const after = failed(queue, tried, { fault }, at(ms), 0.3);
              queue = after.queue;
              gone += after.dropped === undefined ? 0 : eventsIn(after.dropped);
            }
          }
          expect(queue.waiting.length).toBeLessThanOrEqual(MAX_WAITING);
          expect(queue.sent.length).toBeLessThanOrEqual(4);
        }
        expect(gone + eventsOf(queue)).toBe(come);
        for (const [index, end] of sentMs.slice(4).entries()) {
          expect(end - (sentMs[index] ?? 0)).toBeGreaterThanOrEqual(minutes(60));
        }
      }),
    );
  });
});
