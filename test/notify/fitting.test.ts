import { describe, expect, it } from 'vitest';
import type { Delivery, Letter } from '../../src/notify/channel.ts';
import { fitting, shortened } from '../../src/notify/fitting.ts';
import { gotify } from '../../src/notify/gotify.ts';
import { knownLimit, longestText, webhook, webhookBody } from '../../src/notify/webhook.ts';
import { fc } from '../fast-check.ts';
import { type Behaviour, httpServer } from './http-server.ts';
import { LETTER, LIMITS, many, NEVER } from './letters.ts';

const OK: Delivery = { ok: true, said: '200 OK' };
const REFUSED: Delivery = { ok: false, said: '400 too long', fault: 'message' };

/** Half of a character that takes two units. */
const HALF = /\p{Surrogate}/u;

const lengthOf = ({ text }: Letter): number => text.length;
const within = (most: number) => (letter: Letter) => lengthOf(letter) <= most;

/** A channel that takes texts of so many units, and what it was sent. */
function mouth(takes: number, refusal: Delivery = REFUSED) {
  const sizes: number[] = [];
  const texts: string[] = [];
  const post = (letter: Letter): Promise<Delivery> => {
    sizes.push(letter.text.length);
    texts.push(letter.text);
    return Promise.resolve(letter.text.length <= takes ? OK : refusal);
  };
  return { sizes, texts, post };
}

describe('a shortened letter', () => {
  it('is as it was where it fits', () => {
    expect(shortened(LETTER, within(5000))).toBe(LETTER);
  });

  it('keeps whole lines from the first one on, and counts the others', () => {
    const { text } = shortened(many(20), within(500));
    expect(text.split('\n').slice(0, -1)).toEqual(many(20).text.split('\n').slice(0, 4));
    expect(text).toMatch(/\n\.\.\. and 17 more lines; see the log$/);
    const two = { ...LETTER, text: `${'a'.repeat(50)}\n${'b'.repeat(50)}` };
    expect(shortened(two, within(90)).text).toBe(
      `${'a'.repeat(50)}\n... and 1 more line; see the log`,
    );
  });

  it('fits for any text and any limit that leaves room for a few characters', () => {
    const line = fc.string({ unit: 'binary', maxLength: 60 });
    const lines = fc.array(line, { minLength: 1, maxLength: 25 });
    fc.assert(
      fc.property(lines, fc.integer({ min: 4, max: 900 }), (all, most) => {
        const text = all.join('\n');
        const short = shortened({ ...LETTER, text }, within(most)).text;
        expect(short.length).toBeLessThanOrEqual(Math.max(most, 4));
        // No character is cut in two.
        if (!HALF.test(text)) expect(short).not.toMatch(HALF);
      }),
    );
  });
});

describe('a letter that a server finds too long', () => {
  it('is sent shorter at once, and the next one in that size', async () => {
    const { sizes, texts, post } = mouth(2000);
    const send = fitting(Number.POSITIVE_INFINITY, lengthOf, post);
    expect(await send(many(40), NEVER)).toEqual(OK);
    expect(sizes).toHaveLength(3);
    expect(texts.at(-1)).toMatch(/ more lines; see the log$/);
    expect(await send(many(40), NEVER)).toEqual(OK);
    expect(sizes).toHaveLength(4);
    expect(await send(LETTER, NEVER)).toEqual(OK);
    expect(texts.at(-1)).toBe(LETTER.text);
  });

  it('is never sent longer than what is known', async () => {
    const { sizes, post } = mouth(Number.POSITIVE_INFINITY);
    await fitting(2000, lengthOf, post)(many(40), NEVER);
    expect(sizes).toHaveLength(1);
    expect(sizes[0]).toBeLessThanOrEqual(2000);
  });

  it('is refused with the first answer where no size goes, and a short one only once', async () => {
    const { sizes, post } = mouth(0);
    const send = fitting(Number.POSITIVE_INFINITY, lengthOf, post);
    expect(await send(many(40), NEVER)).toEqual(REFUSED);
    expect(sizes.every((size, index) => index === 0 || size < (sizes[index - 1] ?? 0))).toBe(true);
    const before = sizes.length;
    expect(await send(LETTER, NEVER)).toEqual(REFUSED);
    expect(sizes).toHaveLength(before + 1);
    // What was refused in all sizes taught nothing.
    await send(many(40), NEVER);
    expect(Math.max(...sizes.slice(before + 1))).toBe(many(40).text.length);
  });

  it.each(['passing', 'settings'] as const)(
    'is not shortened where the fault is %s',
    async (fault) => {
      const failure: Delivery = { ok: false, said: 'no', fault };
      const { sizes, post } = mouth(0, failure);
      const send = fitting(Number.POSITIVE_INFINITY, lengthOf, post);
      expect(await send(many(40), NEVER)).toEqual(failure);
      expect(sizes).toHaveLength(1);
    },
  );
});

describe('servers with a limit', () => {
  const DISCORD: Behaviour = {
    kind: 'bounds',
    isTooLong: (body) => [...JSON.parse(body).content].length > 2000,
  };
  const TEMPLATE = '{"content":"**{{title}}**\\n{{message}}"}';

  it('get a message on twenty changes in one', async () => {
    const server = await httpServer(DISCORD);
    const channel = webhook({ url: server.url, token: '', body: TEMPLATE }, LIMITS);
    expect(await channel.send(many(20), NEVER)).toMatchObject({ ok: true });
    const { content } = JSON.parse(server.got.at(-1)?.body ?? '');
    expect(content.startsWith(`**${LETTER.title}**\n${LETTER.time}\nContainer 101 (aaa`)).toBe(
      true,
    );
    expect(content).toMatch(/\n\.\.\. and [0-9]+ more lines; see the log$/);
  });

  it.each([400, 413, 422])('that answer %i by a proxy before Gotify, too', async (status) => {
    const isTooLong = (body: string) => body.length > 1024;
    const server = await httpServer({ kind: 'bounds', isTooLong, status });
    const channel = gotify({ url: server.url, token: 'x', priority: 5 }, LIMITS);
    expect(await channel.send(many(20), NEVER)).toMatchObject({ ok: true });
  });

  it.each([
    ['https://discord.com/api/webhooks/1/x', 2000],
    ['https://ptb.discord.com/api/webhooks/1/x', 2000],
    ['https://discordapp.com/api/webhooks/1/x', 2000],
    ['https://api.telegram.org/bot1:x/sendMessage', 4096],
    ['https://notdiscord.com/x', Number.POSITIVE_INFINITY],
    ['http://[', Number.POSITIVE_INFINITY],
  ])('%s takes %f characters in any of its texts', (url, most) => {
    expect(knownLimit(url)).toBe(most);
  });

  it('count in UTF-16 units, the title with the message where both are in one text', () => {
    const rocket = { ...LETTER, title: 'T', text: '\u{1f680}\u{1f680}' };
    expect(longestText(webhookBody('{"a":"x","b":["{{title}}: {{message}}"]}', rocket))).toBe(7);
  });
});
