import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { NotificationEvent } from '../../src/core/notify/event.ts';
import type { ChannelRules } from '../../src/core/notify/queue.ts';
import { missing, present, type Reading } from '../../src/core/reading.ts';
import { milliseconds } from '../../src/core/units.ts';
import type { Channel, Delivery, Letter } from '../../src/notify/channel.ts';
import { Messenger, type Route } from '../../src/notify/messenger.ts';
import { event, rules } from '../core/notify/events.ts';

const OK: Delivery = { ok: true, said: '200 OK' };
const DOWN: Delivery = { ok: false, said: '503 busy', fault: 'passing' };

/** A channel that says what it is told to, and keeps what it got. */
class Mouth implements Channel {
  readonly letters: Letter[] = [];
  delivery: Delivery | 'never' = OK;

  constructor(readonly name: Channel['name'] = 'gotify') {}

  send(letter: Letter, stop: AbortSignal): Promise<Delivery> {
    this.letters.push(letter);
    const { delivery } = this;
    if (delivery !== 'never') return Promise.resolve(delivery);
    return new Promise((resolve) => {
      stop.addEventListener('abort', () => resolve(DOWN));
    });
  }
}

/** Everything around a messenger, which two of them in a row may share. */
function surroundings() {
  const lines: string[] = [];
  const log = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  let disk: Reading<unknown> = missing('absent', 'no file');
  const store = {
    writes: 0,
    failure: undefined as string | undefined,
    read: () => disk,
    write(content: unknown): string | undefined {
      store.writes++;
      if (store.failure === undefined) disk = present(JSON.parse(JSON.stringify(content)));
      return store.failure;
    },
    damage(content: unknown) {
      disk = present(content);
    },
  };
  const parts = {
    clock: {
      wallMs: () => milliseconds(Date.now()),
      monotonicMs: () => milliseconds(performance.now()),
    },
    log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    store,
    host: 'pve1',
    timezone: 'UTC',
  };
  return { lines, store, parts };
}

const route = (channel: Channel, rest: Partial<ChannelRules> = {}): Route => ({
  channel,
  rules: rules(rest),
});

const failure = (text: string): NotificationEvent =>
  event(text, { kind: 'failed', severity: 'error' });

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 10, 22, 4, 0, 0) });
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

describe('a messenger', () => {
  it('makes one message a channel of all events of a cycle, by its rules', async () => {
    const { parts, store } = surroundings();
    const [all, few] = [new Mouth('gotify'), new Mouth('email')];
    const messenger = new Messenger(parts);
    messenger.use([route(all), route(few, { minSeverity: 'error' })]);
    messenger.cycleBegins();
    messenger.enqueue(event('one'));
    await pass(60_000);
    messenger.enqueue(failure('two'));
    messenger.enqueue(event('three'));
    expect([all.letters, store.writes]).toEqual([[], 0]);
    messenger.cycleEnds();
    await pass(0);
    expect(all.letters).toHaveLength(1);
    expect(all.letters[0]).toMatchObject({
      title: 'lxc-autoscale on pve1: 1 failed, 2 changed',
      text: '2026-11-22 04:00:00 to 2026-11-22 04:01:00\ntwo\none\nthree',
      severity: 'error',
      time: '2026-11-22 04:01:00',
      host: 'pve1',
    });
    expect(few.letters.map(({ text }) => text)).toEqual(['2026-11-22 04:01:00\ntwo']);
    messenger.cycleBegins();
    messenger.cycleEnds();
    await pass(0);
    expect(all.letters).toHaveLength(1);
  });

  it('waits a moment for more where no cycle runs', async () => {
    const { parts } = surroundings();
    const mouth = new Mouth();
    const messenger = new Messenger(parts);
    messenger.use([route(mouth)]);
    messenger.enqueue(event('one'));
    await pass(1000);
    messenger.enqueue(event('two'));
    await pass(1000);
    expect(mouth.letters.map(({ text }) => text)).toEqual(['2026-11-22 04:00:01\none\ntwo']);
  });

  it('tries again until it works, says each trouble once, and that it is over', async () => {
    const { parts, lines } = surroundings();
    const mouth = new Mouth();
    mouth.delivery = DOWN;
    const messenger = new Messenger(parts);
    messenger.use([route(mouth)]);
    messenger.cycleBegins();
    messenger.enqueue(event('one'));
    messenger.cycleEnds();
    await pass(100_000);
    const tries = mouth.letters.length;
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(7);
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([
      expect.stringMatching(
        /^warn Messages by gotify do not arrive: 503 busy\. Next try in \d+ s$/,
      ),
    ]);
    expect(messenger.counts().get('gotify')).toEqual({ sent: 0, failed: tries, waiting: 1 });
    mouth.delivery = OK;
    await pass(400_000);
    expect(mouth.letters).toHaveLength(tries + 1);
    expect(lines.at(-1)).toBe('info Message sent again by gotify; answer: 200 OK');
    expect(messenger.counts().get('gotify')).toEqual({ sent: 1, failed: tries, waiting: 0 });
    await pass(4_000_000);
    expect(mouth.letters).toHaveLength(tries + 1);
  });

  it('lets one channel that hangs hold up no other one', async () => {
    const { parts } = surroundings();
    const [hanging, working] = [new Mouth('gotify'), new Mouth('ntfy')];
    hanging.delivery = 'never';
    const messenger = new Messenger(parts);
    messenger.use([route(hanging), route(working)]);
    for (const text of ['one', 'two', 'three']) {
      messenger.cycleBegins();
      messenger.enqueue(event(text));
      messenger.cycleEnds();
      await pass(1000);
    }
    expect(working.letters).toHaveLength(3);
    expect(hanging.letters).toHaveLength(1);
  });
});

describe('a messenger that ends', () => {
  it('gives its last message a chance', async () => {
    const { parts } = surroundings();
    const mouth = new Mouth();
    const messenger = new Messenger(parts);
    messenger.use([route(mouth)]);
    messenger.enqueue(event('Stopped.'));
    await messenger.close(milliseconds(3000));
    expect(mouth.letters).toHaveLength(1);
  });

  it('does not wait for a server that hangs, and leaves the rest to the next one', async () => {
    const first = surroundings();
    const mouth = new Mouth();
    mouth.delivery = 'never';
    const messenger = new Messenger(first.parts);
    messenger.use([route(mouth)]);
    messenger.enqueue(event('one'));
    const closing = messenger.close(milliseconds(3000));
    await pass(3000);
    await closing;
    expect(first.lines).toEqual([]);
    const next = new Mouth();
    const after = new Messenger(first.parts);
    after.use([route(next)]);
    await pass(0);
    expect(next.letters.map(({ text }) => text)).toEqual(['2026-11-22 04:00:00\none']);
  });

  it('loses nothing when it is killed, and does not forget how many it has sent', async () => {
    const shared = surroundings();
    const mouth = new Mouth();
    const killed = new Messenger(shared.parts);
    killed.use([route(mouth, { perHour: 2 })]);
    for (let index = 0; index < 5; index++) {
      killed.cycleBegins();
      killed.enqueue(event(`event ${index}`));
      killed.cycleEnds();
      await pass(0);
    }
    expect(mouth.letters).toHaveLength(2);
    // No close: as after kill -9.
    const next = new Mouth();
    const after = new Messenger(shared.parts);
    after.use([route(next, { perHour: 2 })]);
    await pass(3_500_000);
    expect(next.letters).toEqual([]);
    await pass(200_000);
    expect(next.letters).toHaveLength(1);
    expect(next.letters[0]?.text).toMatch(/\nevent 2\nevent 3\nevent 4$/);
  });
});

describe('10,000 events in a burst', () => {
  it('in one cycle are one message that counts them all', async () => {
    const { parts, store } = surroundings();
    const mouth = new Mouth();
    const messenger = new Messenger(parts);
    messenger.use([route(mouth)]);
    messenger.cycleBegins();
    for (let index = 0; index < 9999; index++) messenger.enqueue(event(`event ${index}`));
    messenger.enqueue(failure('the one that matters'));
    messenger.cycleEnds();
    await pass(0);
    expect(mouth.letters).toHaveLength(1);
    expect(mouth.letters[0]?.title).toMatch(/: 1 failed, 9999 changed$/);
    expect(mouth.letters[0]?.text).toMatch(/\nthe one that matters\nevent 0\n/);
    expect(store.writes).toBeLessThan(4);
  });

  it('in many cycles, at a server that is away, are bounded and all counted', async () => {
    const { parts, store } = surroundings();
    const mouth = new Mouth();
    mouth.delivery = DOWN;
    const messenger = new Messenger(parts);
    messenger.use([route(mouth)]);
    for (let index = 0; index < 1000; index++) {
      messenger.cycleBegins();
      for (let one = 0; one < 10; one++) messenger.enqueue(event(`event ${index * 10 + one}`));
      messenger.cycleEnds();
      await pass(1000);
    }
    const saved = store.read();
    expect(JSON.stringify(saved).length).toBeLessThan(50_000);
    mouth.delivery = OK;
    const before = mouth.letters.length;
    await pass(3 * 3_600_000);
    const counts = mouth.letters
      .slice(before)
      .map(({ title }) => / (\d+) changed$/.exec(title)?.[1]);
    expect(counts.reduce((sum, count) => sum + Number(count), 0)).toBe(10_000);
  });
});

describe('a new configuration', () => {
  it('takes away a channel, brings another, and lets what was wrong be tried at once', async () => {
    const { parts } = surroundings();
    const [old, wrong] = [new Mouth('email'), new Mouth('gotify')];
    wrong.delivery = { ok: false, said: '401 no', fault: 'settings' };
    const messenger = new Messenger(parts);
    messenger.use([route(old), route(wrong)]);
    messenger.enqueue(event('one'));
    await pass(2000);
    const [right, fresh] = [new Mouth('gotify'), new Mouth('ntfy')];
    messenger.use([route(right), route(fresh)]);
    await pass(0);
    expect(right.letters).toHaveLength(1);
    messenger.enqueue(event('two'));
    await pass(2000);
    expect([old, wrong, right, fresh].map(({ letters }) => letters.length)).toEqual([1, 1, 2, 1]);
  });
});

describe('the file of waiting messages', () => {
  it('may be unwritable, which is said once; messages go out all the same', async () => {
    const { parts, store, lines } = surroundings();
    store.failure = 'The state could not be saved: ENOSPC';
    const mouth = new Mouth();
    const messenger = new Messenger(parts);
    messenger.use([route(mouth)]);
    for (const text of ['one', 'two']) {
      messenger.enqueue(event(text));
      await pass(2000);
    }
    expect(mouth.letters).toHaveLength(2);
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([
      'warn The state could not be saved: ENOSPC; messages wait in memory only',
    ]);
  });

  it.each([[5], [{ format: 99 }]])('may make no sense: %j', async (content) => {
    const { parts, store, lines } = surroundings();
    store.damage(content);
    const messenger = new Messenger(parts);
    messenger.use([route(new Mouth())]);
    expect(lines).toEqual(['warn The file of waiting messages makes no sense; a new one']);
  });
});
