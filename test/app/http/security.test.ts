import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type Served, serve, TOKENS } from './served.ts';

/** What strangers, and pages of strangers, try. */

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-http-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function ready(more = ''): Promise<Served> {
  const served = await serve(more);
  served.node.add(101);
  await served.cycle();
  return served;
}

const codeOf = (link: object): string =>
  /#login=(.+)$/.exec(String(Object.values(link)[0]))?.[1] ?? '';
const cookieOf = ({ headers }: Answer): string => `${headers['set-cookie']}`.split(';', 1)[0] ?? '';

/** A browser that has logged in with a token. */
async function loggedIn(served: Served, role: keyof typeof TOKENS = 'scale') {
  const answer = await served.ask('POST', '/api/v1/login', {}, { token: TOKENS[role] });
  expect(answer.status).toBe(200);
  return { cookie: cookieOf(answer), csrf: String(answer.json['csrf']), answer };
}

const RESUME = '/api/v1/guests/101/resume';

describe('a session', () => {
  it('looks with its cookie, and changes only with the text of its page', async () => {
    const served = await ready();
    const { cookie, csrf } = await loggedIn(served);
    const other = await loggedIn(served);
    expect((await served.ask('GET', '/api/v1/status', { cookie })).status).toBe(200);
    for (const wrong of [{}, { 'x-csrf-token': '' }, { 'x-csrf-token': other.csrf }]) {
      const { status, json } = await served.ask('POST', RESUME, { cookie, ...wrong }, {});
      expect({ status, code: json['code'] }).toEqual({ status: 403, code: 'csrf' });
    }
    const right = { cookie, 'x-csrf-token': csrf };
    expect((await served.ask('POST', RESUME, right, {})).status).toBe(200);
  });

  it('has a cookie that no script reads and no other page sends', async () => {
    const { answer } = await loggedIn(await ready());
    expect(`${answer.headers['set-cookie']}`).toMatch(
      /^lxc_autoscale_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
    );
  });

  it.each([
    [undefined, true],
    ['https', true],
    ['http, https', true],
    ['http', false],
  ])('behind a proxy that says %s its cookie is for TLS only: %s', async (proto, isSecure) => {
    const served = await ready('  http_behind_proxy: True\n');
    const headers = proto === undefined ? {} : { 'x-forwarded-proto': proto };
    const answer = await served.ask('POST', '/api/v1/login', headers, { token: TOKENS.read });
    expect(`${answer.headers['set-cookie']}`.endsWith('; Secure')).toBe(isSecure);
  });

  it('is a new one with each login: a cookie from before is never logged in', async () => {
    const served = await ready();
    const planted = { cookie: 'lxc_autoscale_session=planted' };
    const answer = await served.ask('POST', '/api/v1/login', planted, { token: TOKENS.read });
    expect(cookieOf(answer)).not.toContain('planted');
    expect((await served.ask('GET', '/api/v1/status', planted)).status).toBe(401);
    const both = { cookie: `${cookieOf(answer)}; lxc_autoscale_session=planted` };
    expect((await served.ask('GET', '/api/v1/status', both)).status).toBe(401);
    const again = { cookie: cookieOf(answer) };
    await served.ask('POST', '/api/v1/login', again, { token: TOKENS.read });
    expect((await served.ask('GET', '/api/v1/status', again)).status).toBe(401);
  });

  it.each([
    ['an hour of nothing', [3_600_000], 401],
    ['twelve hours', Array.from({ length: 13 }, () => 3_400_000), 401],
    ['some hours of use', [3_500_000, 3_500_000, 3_500_000], 200],
  ])('after %s', async (_what, steps, expected) => {
    const served = await ready();
    const { cookie } = await loggedIn(served);
    let status = 0;
    for (const ms of steps) {
      served.pass(ms);
      status = (await served.ask('GET', '/api/v1/session', { cookie })).status;
    }
    expect(status).toBe(expected);
  });

  it('ends with the logout, and with its token', async () => {
    const served = await ready();
    const { cookie, csrf } = await loggedIn(served);
    const out = await served.ask('POST', '/api/v1/logout', { cookie, 'x-csrf-token': csrf }, {});
    expect(out.status).toBe(204);
    expect((await served.ask('GET', '/api/v1/session', { cookie })).status).toBe(401);
    const other = await loggedIn(served, 'read');
    const kept = await loggedIn(served, 'admin');
    const { port } = served;
    const left = `[{name: admin, token: ${TOKENS.admin}, role: admin}]`;
    await served.apply(`  http_listen: 127.0.0.1:${port}\n  http_tokens: ${left}\n`);
    const ask = (one: { cookie: string }) =>
      served.ask('GET', '/api/v1/session', { cookie: one.cookie });
    expect([(await ask(other)).status, (await ask(kept)).status]).toEqual([401, 200]);
  });
});

describe('what somebody listens to', () => {
  const listen = async ({ port }: Served, headers: Readonly<Record<string, string>>) => {
    const asking = get({ host: '127.0.0.1', port, path: '/api/v1/events', headers, agent: false });
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    const heard = { text: '', isOver: false };
    response.on('data', (chunk) => {
      heard.text += String(chunk);
    });
    response.on('end', () => {
      heard.isOver = true;
    });
    return heard;
  };

  it('ends with the logout, and with the token', async () => {
    const served = await ready();
    const { cookie, csrf } = await loggedIn(served, 'read');
    const [mine, ofToken, other] = await Promise.all([
      listen(served, { cookie }),
      listen(served, { authorization: `Bearer ${TOKENS.scale}` }),
      listen(served, { authorization: `Bearer ${TOKENS.admin}` }),
    ]);
    await served.cycle();
    await expect.poll(() => mine.text).toContain('event: cycle');
    await served.ask('POST', '/api/v1/logout', { cookie, 'x-csrf-token': csrf }, {});
    const left = `[{name: admin, token: ${TOKENS.admin}, role: admin}]`;
    await served.apply(`  http_listen: 127.0.0.1:${served.port}\n  http_tokens: ${left}\n`);
    other.text = '';
    mine.text = '';
    ofToken.text = '';
    await served.cycle();
    await expect.poll(() => other.text).toContain('event: cycle');
    await expect.poll(() => [mine, ofToken].map(({ isOver }) => isOver)).toEqual([true, true]);
    expect([mine.text, ofToken.text, other.isOver]).toEqual(['', '', false]);
  });

  it('ends with the time of its session, and is no use of it', async () => {
    const served = await ready();
    const { cookie } = await loggedIn(served, 'read');
    const mine = await listen(served, { cookie });
    served.pass(1_800_000);
    await served.cycle();
    await expect.poll(() => mine.text).toContain('event: cycle');
    served.pass(1_800_000);
    await served.cycle();
    await expect.poll(() => mine.isOver).toBe(true);
  });
});

describe('a link that logs in', () => {
  it('does so once, as admin', async () => {
    const served = await ready();
    const link = await served.part.loginLink();
    expect(link).toEqual({
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/#login=[\w-]{43}$/),
    });
    const code = codeOf(link);
    const first = await served.ask('POST', '/api/v1/login', {}, { code });
    expect(first.json).toMatchObject({ name: 'dashboard', role: 'admin' });
    const second = await served.ask('POST', '/api/v1/login', {}, { code });
    expect(second.json).toMatchObject({ status: 401, code: 'wrong-login' });
  });

  it('is worth nothing after five minutes', async () => {
    const served = await ready();
    const code = codeOf(await served.part.loginLink());
    served.pass(5 * 60_000);
    expect((await served.ask('POST', '/api/v1/login', {}, { code })).status).toBe(401);
  });
});

describe('wrong tokens', () => {
  it('make an address wait after ten of them, but not who was right there before', async () => {
    const served = await ready();
    expect((await served.as('read', 'GET', '/api/v1/status')).status).toBe(200);
    const wrong = { authorization: 'Bearer wrong-token-0123456789' };
    const statuses: number[] = [];
    for (let count = 0; count < 12; count += 1) {
      statuses.push((await served.ask('GET', '/api/v1/status', wrong)).status);
    }
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
    const admin = await served.as('admin', 'GET', '/api/v1/status');
    expect(admin).toMatchObject({ status: 429, json: { code: 'too-many-wrong' } });
    expect(Number(admin.headers['retry-after'])).toBeGreaterThan(0);
    expect((await served.as('read', 'GET', '/api/v1/status')).status).toBe(200);
    const code = codeOf(await served.part.loginLink());
    expect((await served.ask('POST', '/api/v1/login', {}, { code })).status).toBe(200);
    served.pass(60_000);
    expect((await served.as('admin', 'GET', '/api/v1/status')).status).toBe(200);
  });

  it('are told from each other by the last address that a proxy names', async () => {
    const served = await ready('  http_behind_proxy: True\n');
    const from = (address: string, token: string) =>
      served.ask('GET', '/api/v1/status', {
        authorization: `Bearer ${token}`,
        'x-forwarded-for': `10.9.9.9, ${address}`,
      });
    for (let count = 0; count < 10; count += 1) await from('10.0.0.1', 'wrong');
    expect((await from('10.0.0.1', TOKENS.read)).status).toBe(429);
    expect((await from('10.0.0.2', TOKENS.read)).status).toBe(200);
    for (let count = 0; count < 10; count += 1) await from(`2001:db8::${count + 1}`, 'wrong');
    expect((await from('2001:db8::ffff', TOKENS.read)).status).toBe(429);
    expect((await from('2001:db8:0:1::1', TOKENS.read)).status).toBe(200);
  });

  it('of many networks shut nobody out who has logged in before', async () => {
    const served = await ready('  http_behind_proxy: True\n');
    const from = (address: string, token: string) =>
      served.ask('GET', '/api/v1/status', {
        authorization: `Bearer ${token}`,
        'x-forwarded-for': address,
      });
    expect((await from('10.0.0.1', TOKENS.read)).status).toBe(200);
    for (let count = 0; count < 1100; count += 1) {
      await from(`10.${1 + (count >> 8)}.${count & 255}.1`, 'wrong');
    }
    const stranger = await from('10.200.0.1', TOKENS.read);
    expect(stranger).toMatchObject({ status: 429, json: { code: 'too-many-wrong' } });
    expect((await from('10.0.0.1', TOKENS.read)).status).toBe(200);
    expect((await from('10.0.0.1', TOKENS.admin)).status).toBe(200);
    const code = codeOf(await served.part.loginLink());
    expect((await served.ask('POST', '/api/v1/login', {}, { code })).status).toBe(200);
    served.pass(60_000);
    expect((await from('10.200.0.1', TOKENS.read)).status).toBe(200);
  });

  it('nor right ones are in any line of the log', async () => {
    const served = await ready();
    await loggedIn(served);
    await served.as('admin', 'GET', '/api/v1/config');
    await served.ask('GET', '/api/v1/status', { authorization: 'Bearer wrong-token-0123456789' });
    const lines = served.node.lines.join('\n');
    for (const token of [...Object.values(TOKENS), 'wrong-token']) {
      expect(lines).not.toContain(token);
    }
  });
});

describe('pages of strangers', () => {
  it.each([
    ['another origin', { origin: 'http://evil.example' }],
    ['no origin that can be read', { origin: 'null' }],
    ['another port', { origin: 'http://127.0.0.1:1' }],
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a neighbour', { 'sec-fetch-site': 'same-site' }],
  ])('change nothing, and log nobody in: %s', async (_what, headers) => {
    const served = await ready();
    const login = await served.ask('POST', '/api/v1/login', headers, { token: TOKENS.read });
    expect(login).toMatchObject({ status: 403, json: { code: 'foreign-origin' } });
    const { cookie, csrf } = await loggedIn(served);
    const change = { ...headers, cookie, 'x-csrf-token': csrf };
    expect((await served.ask('POST', RESUME, change, {})).status).toBe(403);
  });

  it('cannot take us for their own host', async () => {
    const served = await ready('  http_hosts: [pve.example.org]\n');
    const { port } = served;
    const ask = async (host: string) => (await served.ask('GET', '/', { host })).status;
    const refused = ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', 'a b'];
    for (const host of refused) expect([host, await ask(host)]).toEqual([host, 421]);
    const own = ['localhost', `127.0.0.1:${port}`, '[::1]:80', '10.0.0.7', 'PVE.example.org:443'];
    for (const host of own) expect([host, await ask(host)]).toEqual([host, 200]);
  });

  it('cannot show ours in theirs, nor keep what they saw', async () => {
    const served = await ready();
    for (const path of ['/', '/api/v1/openapi.json', '/api/v1/status', '/nothing']) {
      const { headers } = await served.ask('GET', path);
      expect(headers).toMatchObject({
        'x-frame-options': 'DENY',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
      });
      expect(headers).not.toHaveProperty('access-control-allow-origin');
    }
  });
});

it('the page may run its own scripts and styles, and no others', async () => {
  const pageFile = join(directory, 'page.html');
  const html = '<!doctype html><style>a{}</style><script type="module">let a = 1;</script>';
  writeFileSync(pageFile, html);
  const served = await serve('', { pageFile });
  const { text, headers } = await served.ask('GET', '/');
  expect(text).toBe(html);
  const sum = (inner: string) => createHash('sha256').update(inner).digest('base64');
  expect(headers['content-security-policy']).toBe(
    `default-src 'none'; script-src 'sha256-${sum('let a = 1;')}'; ` +
      `style-src 'sha256-${sum('a{}')}'; img-src 'self' data:; connect-src 'self'; ` +
      "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
  );
});

describe('strange requests', () => {
  it.each([
    ['/api/v1/../../etc/passwd', 404],
    ['//api/v1/status', 404],
    ['/api/v1/%2e%2e/%2e%2e/etc/passwd', 404],
    ['/api/v1/guests/101%2fexplain', 404],
    ['/api/v1/guests/..%2f..%2fetc', 404],
    ['/api/v1/guests/%00', 404],
    ['/api/v1/guests/1e3', 404],
    ['/api/v1/guests/__proto__', 404],
    ['/api/v1/groups/constructor', 404],
    ['/api/v1/status?node=__proto__', 404],
    ['/api/v1/status?what=1', 400],
    ['/api/v1/history?limit=0', 400],
    ['/api/v1/history?limit=1e9', 400],
    ['/api/v1/history?since=never', 400],
    ['/api/v1/guests/101/usage?hours=-1', 400],
    ['/api/v1/guests/%E0%A4%A', 404],
    ['http://127.0.0.1/api/v1/status', 200],
  ])('for %s', async (path, status) => {
    const served = await ready();
    const answer = await served.as('admin', 'GET', path);
    expect(answer.status).toBe(status);
    expect(answer.text).not.toContain('root:');
  });

  it.each([
    ['no JSON', '{', 400],
    ['no object', '[]', 400],
    ['a further field', { cores: 2, memory: 1 }, 400],
    ['a text for a number', { cores: '2' }, 400],
    ['a fraction', { cores: 1.5 }, 400],
    ['too much', { cores: 1e9 }, 400],
    ['a field of every object', '{"__proto__": {"cores": 2}}', 400],
    ['a megabyte', JSON.stringify({ cores: 2, x: 'x'.repeat(1024 * 1024) }), 413],
  ])('with a body that is %s', async (_what, body, status) => {
    const served = await ready();
    const answer = await served.as('admin', 'POST', '/api/v1/guests/101/cores', body);
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(served.node.sets).toEqual([]);
  });

  it('of another form than JSON, or by another method', async () => {
    const served = await ready();
    const authorization = `Bearer ${TOKENS.admin}`;
    const form = { authorization, 'content-type': 'application/x-www-form-urlencoded' };
    expect((await served.ask('POST', RESUME, form, 'a=b')).status).toBe(400);
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const { status, json } = await served.as('admin', method, '/api/v1/status');
      expect({ status, code: json['code'] }).toEqual({ status: 405, code: 'other-method' });
    }
  });
});

describe('odd requests', () => {
  const cores = '/api/v1/guests/101/cores';

  it.each([
    ['TRACE', '/api/v1/status', ''],
    ['PUT', '/api/v1/reload', 'POST'],
    ['OPTIONS', '/api/v1/status', 'HEAD, GET'],
    ['GET', cores, 'POST'],
  ])('%s %s is told what goes', async (method, path, allow) => {
    const { status, json, headers } = await (await ready()).as('admin', method, path);
    expect([status, json['code'], headers['allow'] ?? '']).toEqual([405, 'other-method', allow]);
  });

  it.each(['dry_run=1&dry_run=0', 'dry_run=0&dry_run=1', 'node=pve1&node=pve1'])(
    'a query with %s is not guessed at',
    async (query) => {
      const served = await ready();
      const answer = await served.as('scale', 'POST', `${cores}?${query}`, { cores: 3 });
      expect(answer).toMatchObject({ status: 400, json: { code: 'wrong-request' } });
      expect(served.node.done).toEqual([]);
    },
  );

  it.each([
    ['{"cores": "4"}'],
    ['{"cores": 1e999}'],
    ['{"cores": NaN}'],
    ['{"cores": -1}'],
    ['{"cores": null}'],
    ['{"cores": 2, "foo": 1}'],
    ['{"cores": 2, "__proto__": {"force": true}}'],
    ['[1]'],
    [''],
  ])('the body %s changes nothing', async (body) => {
    const served = await ready();
    expect(await served.as('scale', 'POST', cores, body)).toMatchObject({
      status: 400,
      json: { code: 'wrong-request' },
    });
    expect(served.node.done).toEqual([]);
  });

  it.each([
    ['/api/v1/../../etc/passwd', 'no-such-route'],
    ['/%2e%2e/%2e%2e/etc/passwd', 'no-such-route'],
    ['//api/v1/status', 'no-such-route'],
    ['/api//v1/status', 'no-such-route'],
    ['/api/v1/guests/101%2f..%2f102', 'no-such-guest'],
    ['/api/v1/guests/0101', 'no-such-guest'],
    ['/api/v1/guests/1e2', 'no-such-guest'],
    ['/api/v1/guests/101%00', 'no-such-guest'],
    ['/api/v1/guests/%zz', 'no-such-guest'],
    ['/api/v1/guests/99999999999999999999', 'no-such-guest'],
  ])('%s is nothing', async (path, code) => {
    const answer = await (await ready()).as('admin', 'GET', path);
    expect(answer).toMatchObject({ status: 404, json: { code } });
  });
});
