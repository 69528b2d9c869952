import { describe, expect, it } from 'vitest';
import { gotify } from '../../src/notify/gotify.ts';
import type { HttpLimits } from '../../src/notify/http.ts';
import { beat } from '../../src/notify/uptime-kuma.ts';
import { webhook } from '../../src/notify/webhook.ts';
import { AUTHORITY_FILE } from './certificate.ts';
import { httpServer } from './http-server.ts';
import { HASTY, LETTER, LIMITS, NEVER } from './letters.ts';
import { proxyServer } from './proxy-server.ts';

const LOGIN = 'me:hush%40hush';
const BASIC = `Basic ${Buffer.from('me:hush@hush').toString('base64')}`;

const by = (proxy: string, limits: HttpLimits = LIMITS): HttpLimits => ({
  ...limits,
  caFile: AUTHORITY_FILE,
  proxyFor: () => proxy,
});

describe('a message through a proxy', () => {
  it('goes in a tunnel to a server with TLS, whose certificate is checked', async () => {
    const server = await httpServer({ kind: 'answers' }, true);
    const proxy = await proxyServer('works');
    const address = `http://${LOGIN}@127.0.0.1:${proxy.port}`;
    const settings = { url: server.url, token: 'x', priority: 5 };
    const sent = await gotify(settings, by(address)).send(LETTER, NEVER);
    expect(sent).toEqual({ ok: true, said: '200 OK {"id":1,"ok":true}' });
    expect(proxy.asked).toEqual([`CONNECT 127.0.0.1:${server.port}`]);
    expect(proxy.logins).toEqual([BASIC]);
    expect(server.got[0]?.url).toBe('/message');
    expect(server.got[0]?.headers['proxy-authorization']).toBeUndefined();
    const unknown = { ...by(address), caFile: undefined };
    const refused = await gotify(settings, unknown).send(LETTER, NEVER);
    expect(refused).toMatchObject({ ok: false, fault: 'settings' });
    expect(refused.said).toContain('signed by an unknown authority');
  });

  it('goes with its whole address to a server without', async () => {
    const server = await httpServer({ kind: 'answers' });
    const proxy = await proxyServer('works');
    const limits = by(`http://${LOGIN}@127.0.0.1:${proxy.port}`);
    const url = `${server.url}/hook?a=b#c`;
    const sent = await webhook({ url, token: '', body: '' }, limits).send(LETTER, NEVER);
    expect(sent).toMatchObject({ ok: true });
    expect(proxy.asked).toEqual([`POST ${server.url}/hook?a=b`]);
    expect(proxy.logins).toEqual([BASIC]);
    const heartbeat = { up: true, message: 'x', pingMs: 1 };
    expect(await beat(`${server.url}/api/push/a`, heartbeat, limits, NEVER)).toMatchObject({
      ok: true,
    });
    expect(proxy.asked[1]).toMatch(/^GET http:.*\/api\/push\/a\?status=up/);
  });

  it.each(['http', 'https'])('that it refuses is told, without its login: %s', async (scheme) => {
    const proxy = await proxyServer('refuses');
    const limits = by(`http://${LOGIN}@127.0.0.1:${proxy.port}`);
    const url = `${scheme}://gotify.example`;
    const sent = await gotify({ url, token: 'x', priority: 5 }, limits).send(LETTER, NEVER);
    expect(sent).toMatchObject({ ok: false, fault: 'settings' });
    expect(sent.said).toContain('407 Proxy Authentication Required');
    expect(sent.said).not.toContain('hush');
    if (scheme === 'https') expect(sent.said).toContain(`by the proxy 127.0.0.1:${proxy.port}`);
  });

  it.each(['http', 'https'])(
    'is given up where it hangs, with no connection left: %s',
    async (scheme) => {
      const proxy = await proxyServer('hangs');
      const limits = by(`http://127.0.0.1:${proxy.port}`, HASTY);
      const url = `${scheme}://gotify.example`;
      const sent = await gotify({ url, token: 'x', priority: 5 }, limits).send(LETTER, NEVER);
      expect(sent).toMatchObject({ ok: false, fault: 'passing' });
      expect(sent.said).toMatch(/^by the proxy 127\.0\.0\.1:\d+: no answer within 0.2 s$/);
      await expect.poll(() => proxy.open()).toBe(0);
    },
  );

  it.each([
    ['http://127.0.0.1:1', 'passing', /^by the proxy 127\.0\.0\.1:1: nothing listens there/],
    ['socks5://me:hush@127.0.0.1:1', 'settings', /^the address of the proxy .* is none that/],
    ['http://', 'settings', /^the address of the proxy .* is none that/],
  ])('by %s is told', async (address, fault, said) => {
    const url = 'https://gotify.example';
    const sent = await gotify({ url, token: 'x', priority: 5 }, by(address)).send(LETTER, NEVER);
    expect(sent).toMatchObject({ ok: false, fault, said: expect.stringMatching(said) });
  });
});
