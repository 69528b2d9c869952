import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import type { Severity } from '../../src/core/notify/event.ts';
import type { Channel } from '../../src/notify/channel.ts';
import { gotify } from '../../src/notify/gotify.ts';
import type { HttpLimits } from '../../src/notify/http.ts';
import { ntfy } from '../../src/notify/ntfy.ts';
import { proxmox } from '../../src/notify/proxmox.ts';
import { beat } from '../../src/notify/uptime-kuma.ts';
import { webhook, webhookBody } from '../../src/notify/webhook.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { PATIENCE_MS } from '../patience.ts';
import { AUTHORITY_FILE } from './certificate.ts';
import { type Behaviour, httpServer } from './http-server.ts';
import { HASTY, LETTER, LIMITS, many, NEVER } from './letters.ts';

const TOKEN = 'hush-hush-token';

describe('gotify', () => {
  it('posts a message, the token in a header', async () => {
    const server = await httpServer({ kind: 'answers' });
    const settings = { url: `${server.url}/`, token: TOKEN, priority: 5 };
    const delivery = await gotify(settings, LIMITS).send(LETTER, NEVER);
    expect(delivery).toEqual({ ok: true, said: '200 OK {"id":1,"ok":true}' });
    const [got] = server.got;
    expect([got?.method, got?.url]).toEqual(['POST', '/message']);
    expect(got?.headers['x-gotify-key']).toBe(TOKEN);
    expect(JSON.parse(got?.body ?? '')).toEqual({
      title: LETTER.title,
      message: LETTER.text,
      priority: 8,
    });
  });

  it.each<[Severity, number, number]>([
    ['info', 5, 5],
    ['warning', 5, 7],
    ['error', 9, 10],
  ])('gives a message of %s from %i the priority %i', async (severity, priority, expected) => {
    const server = await httpServer({ kind: 'answers' });
    const channel = gotify({ url: server.url, token: TOKEN, priority }, LIMITS);
    await channel.send({ ...LETTER, severity }, NEVER);
    expect(JSON.parse(server.got[0]?.body ?? '').priority).toBe(expected);
  });

  it('is not content with any page that answers', async () => {
    const server = await httpServer({ kind: 'answers', body: '<html>Welcome</html>' });
    const channel = gotify({ url: server.url, token: TOKEN, priority: 5 }, LIMITS);
    const delivery = await channel.send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
    expect(delivery.said).toContain('no answer of a Gotify server: 200 OK <html>');
  });
});

describe('ntfy', () => {
  it('publishes to the topic of its address', async () => {
    const server = await httpServer({ kind: 'answers' });
    const channel = ntfy({ url: `${server.url}/my-topic/`, token: TOKEN }, LIMITS);
    expect(await channel.send(LETTER, NEVER)).toMatchObject({ ok: true });
    const [got] = server.got;
    expect([got?.url, got?.headers.authorization]).toEqual(['/', `Bearer ${TOKEN}`]);
    expect(JSON.parse(got?.body ?? '')).toEqual({
      topic: 'my-topic',
      title: LETTER.title,
      message: LETTER.text,
      priority: 5,
      tags: ['rotating_light'],
    });
  });

  it('sends no token where there is none, and no message that would become a file', async () => {
    const server = await httpServer({ kind: 'answers' });
    const long = { ...LETTER, text: 'ö'.repeat(5000) };
    await ntfy({ url: `${server.url}/t`, token: '' }, LIMITS).send(long, NEVER);
    const [got] = server.got;
    expect(got?.headers.authorization).toBeUndefined();
    const { message } = JSON.parse(got?.body ?? '');
    expect(Buffer.byteLength(message)).toBeLessThan(4096);
    expect(message).toMatch(/^ö{1800,} \.\.\.$/);
    const lines = { ...LETTER, text: many(40).text };
    await ntfy({ url: `${server.url}/t`, token: '' }, LIMITS).send(lines, NEVER);
    const { message: cut } = JSON.parse(server.got[1]?.body ?? '');
    expect(Buffer.byteLength(cut)).toBeLessThan(4096);
    expect(cut).toMatch(/^Container 1[0-9]+ .*\n\.\.\. and [0-9]+ more lines; see the log$/m);
  });
});

describe('a webhook', () => {
  it('gets an object with all that there is to say', async () => {
    const server = await httpServer({ kind: 'answers', status: 204, body: '' });
    const channel = webhook({ url: `${server.url}/hook?a=b`, token: TOKEN, body: '' }, LIMITS);
    expect(await channel.send(LETTER, NEVER)).toEqual({ ok: true, said: '204 No Content' });
    const [got] = server.got;
    expect([got?.url, got?.headers.authorization]).toEqual(['/hook?a=b', `Bearer ${TOKEN}`]);
    const { host, title, text: message, severity, time } = LETTER;
    expect(JSON.parse(got?.body ?? '')).toEqual({ host, title, message, severity, time });
  });

  it.each([
    ['discord', ['content']],
    ['slack', ['blocks', 0, 'text', 'text']],
    ['telegram', ['text']],
    ['matrix', ['body']],
  ] as const)('gets what %s takes, with title and message', async (format, path) => {
    const server = await httpServer({ kind: 'answers' });
    const url = `${server.url}/hook`;
    const yaml = `DEFAULT:\n  webhook_url: ${url}\n  webhook_format: ${format}\n`;
    const loaded = parseConfig(yaml, 'a.yaml', {});
    if (!loaded.ok || loaded.config.notify.webhook === undefined) throw new Error('no webhook');
    expect(await webhook(loaded.config.notify.webhook, LIMITS).send(LETTER, NEVER)).toMatchObject({
      ok: true,
    });
    const [got] = server.got;
    const text = path.reduce<unknown>(
      (value, key) => (value as Record<string | number, unknown>)[key],
      JSON.parse(got?.body ?? ''),
    );
    expect(text).toBe(`${LETTER.title}\n${LETTER.text}`);
    expect(got?.url).toMatch(format === 'matrix' ? /^\/hook\/[0-9a-f-]{36}$/ : /^\/hook$/);
    expect(got?.method).toBe(format === 'matrix' ? 'PUT' : 'POST');
  });

  it('gets its own form, which no text can break out of', () => {
    const template = '{"content":"{{ title }}: {{message}}","n":5,"a":["{{severity}}","{{x}}"]}';
    const evil = { ...LETTER, title: '","n":6,"x":"', text: '{{host}}\n$&' };
    expect(JSON.parse(webhookBody(template, evil))).toEqual({
      content: '","n":6,"x":": {{host}}\n$&',
      n: 5,
      a: ['error', '{{x}}'],
    });
  });
});

describe('uptime kuma', () => {
  const heartbeat = { up: false, message: 'The containers cannot be seen & more', pingMs: 12.7 };

  it('is called with how it goes, whatever its address holds already', async () => {
    const server = await httpServer({ kind: 'answers' });
    const url = `${server.url}/api/push/abc?status=up&msg=OK&ping=`;
    expect(await beat(url, heartbeat, LIMITS, NEVER)).toMatchObject({ ok: true });
    expect(server.got[0]?.method).toBe('GET');
    const called = new URL(server.got[0]?.url ?? '', server.url);
    expect(called.pathname).toBe('/api/push/abc');
    expect([...called.searchParams]).toEqual([
      ['status', 'down'],
      ['msg', heartbeat.message],
      ['ping', '13'],
    ]);
  });

  it('says that it does not know the monitor', async () => {
    const body = '{"ok":false,"msg":"Monitor not found or not active."}';
    const server = await httpServer({ kind: 'answers', body });
    const delivery = await beat(`${server.url}/api/push/x`, heartbeat, LIMITS, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
    expect(delivery.said).toContain('Monitor not found');
  });
});

describe('the notification system of the node', () => {
  it('gets a mail to root', async () => {
    const mails: string[] = [];
    const channel = proxmox(async (mail) => {
      mails.push(mail);
      return { ok: true };
    });
    expect((await channel.send(LETTER, NEVER)).ok).toBe(true);
    expect(mails[0]).toMatch(/^From: root\r\nTo: root\r\nSubject: lxc-autoscale on pve1: 1 failed/);
  });

  it('passes on what went wrong', async () => {
    const channel = proxmox(async () => ({ ok: false, why: 'no sendmail\nhere' }));
    const delivery = await channel.send(LETTER, NEVER);
    expect(delivery).toEqual({ ok: false, said: 'no sendmail\\nhere', fault: 'passing' });
  });
});

const toGotify = (url: string, limits: HttpLimits): Channel =>
  gotify({ url, token: TOKEN, priority: 5 }, limits);

describe('a server with bad habits', () => {
  const answers = (status: number): Behaviour => ({ kind: 'answers', status, body: '{"e":1}' });

  it.each<[string, Behaviour, string, string]>([
    ['401', answers(401), 'settings', '401 Unauthorized {"e":1}'],
    ['404', answers(404), 'settings', '404 Not Found {"e":1}'],
    ['400', answers(400), 'message', '400 Bad Request {"e":1}'],
    ['413', answers(413), 'message', '413 Payload Too Large {"e":1}'],
    ['500', answers(500), 'passing', '500 Internal Server Error {"e":1}'],
    ['503', answers(503), 'passing', '503 Service Unavailable {"e":1}'],
    ['hangs', { kind: 'hangs' }, 'passing', 'no answer within 0.2 s'],
    ['drips', { kind: 'drips' }, 'passing', 'no answer within 0.2 s'],
    ['closes midway', { kind: 'closes-midway' }, 'passing', 'it closed the connection before'],
    ['closes at once', { kind: 'closes-at-once' }, 'passing', 'it closed the connection before'],
    ['floods', { kind: 'floods' }, 'settings', 'more than 65536 bytes'],
  ])('that answers with or does this: %s', async (_name, behaviour, fault, said) => {
    const server = await httpServer(behaviour);
    const startMs = performance.now();
    const delivery = await toGotify(server.url, HASTY).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault });
    expect(delivery.said).toContain(said);
    expect(delivery.said).not.toContain(TOKEN);
    expect(performance.now() - startMs).toBeLessThan(PATIENCE_MS);
  });

  it('that redirects is not followed, so that no token goes astray', async () => {
    const other = await httpServer({ kind: 'answers' });
    const server = await httpServer({ kind: 'redirects', to: `${other.url}/message` });
    const delivery = await toGotify(server.url, LIMITS).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
    expect(delivery.said).toBe(
      `301: it redirects to ${other.url}/message, which is not followed; give the final address`,
    );
    expect(other.got).toEqual([]);
  });

  it('that wants a pause gets it', async () => {
    const server = await httpServer({ kind: 'wants-a-pause', seconds: 30 });
    const delivery = await toGotify(server.url, LIMITS).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'passing', retryAfterMs: 30_000 });
  });

  it('that is not there', async () => {
    const server = await httpServer({ kind: 'answers' });
    await server.close();
    const delivery = await toGotify(server.url, LIMITS).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'passing' });
    expect(delivery.said).toBe('nothing listens there (ECONNREFUSED)');
  });

  it('that has no name', async () => {
    const delivery = await toGotify('http://no-such-host.invalid', LIMITS).send(LETTER, NEVER);
    expect(delivery.ok).toBe(false);
    expect(delivery.said).toMatch(/could not be resolved/);
  });

  it('is left when the daemon stops', async () => {
    const server = await httpServer({ kind: 'hangs' });
    const stop = new AbortController();
    const sending = toGotify(server.url, LIMITS).send(LETTER, stop.signal);
    await server.after(1);
    const startMs = performance.now();
    stop.abort();
    expect(await sending).toMatchObject({ ok: false, said: 'given up, since the daemon stops' });
    expect(performance.now() - startMs).toBeLessThan(PATIENCE_MS);
  });
});

describe('an address that is none', () => {
  it.each(['http://[', 'http://a:b:c/x'])('is told, not thrown: %s', async (url) => {
    const heartbeat = { up: true, message: 'x', pingMs: 0 };
    const all = await Promise.all([
      toGotify(url, LIMITS).send(LETTER, NEVER),
      ntfy({ url: `${url}/t%zz`, token: '' }, LIMITS).send(LETTER, NEVER),
      webhook({ url, token: '', body: '' }, LIMITS).send(LETTER, NEVER),
      beat(url, heartbeat, LIMITS, NEVER),
    ]);
    for (const delivery of all) expect(delivery.ok).toBe(false);
  });
});

describe('TLS', () => {
  it('is spoken with a server that a file vouches for', async () => {
    const server = await httpServer({ kind: 'answers' }, true);
    const limits = { ...LIMITS, caFile: AUTHORITY_FILE };
    expect(await toGotify(server.url, limits).send(LETTER, NEVER)).toMatchObject({ ok: true });
  });

  it('is not spoken with one that nobody vouches for', async () => {
    const server = await httpServer({ kind: 'answers' }, true);
    const delivery = await toGotify(server.url, LIMITS).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
    expect(delivery.said).toMatch(/signed by an unknown authority; set notify_ca_file/);
    expect(server.got).toEqual([]);
  });

  it('is missed by name where the server has none', async () => {
    const server = await httpServer({ kind: 'answers' });
    const url = server.url.replace('http:', 'https:');
    const delivery = await toGotify(url, LIMITS).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
    expect(delivery.said).toMatch(/it does not speak TLS there/);
  });

  it('is told of a certificate that is damaged', async () => {
    const caFile = join(temporaryDirectory(), 'ca.pem');
    writeFileSync(caFile, '-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n');
    const server = await httpServer({ kind: 'answers' }, true);
    const delivery = await toGotify(server.url, { ...LIMITS, caFile }).send(LETTER, NEVER);
    expect(delivery.ok).toBe(false);
  });

  it.each([
    ['/no/such/file', /^notify_ca_file could not be read: ENOENT/],
    [new URL('letters.ts', import.meta.url).pathname, /holds no certificate$/],
  ])('needs a file with certificates: %s', async (caFile, said) => {
    const channel = toGotify('https://127.0.0.1:1', { ...LIMITS, caFile });
    const delivery = await channel.send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
    expect(delivery.said).toMatch(said);
  });
});
