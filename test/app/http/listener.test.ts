import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../patience.ts';
import { serve, TOKENS } from './served.ts';

/** The listener itself: TLS, files with tokens, and what floods and idlers get of it. */

const certificate = (name: string): string =>
  new URL(`../../notify/certificates/${name}`, import.meta.url).pathname;

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-listener-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** The status and the headers of an answer over TLS. */
function askOverTls(port: number, path: string, body: object) {
  return new Promise<{ status: number; cookie: string }>((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const about = { host: '127.0.0.1', port, path, method: 'POST', headers, agent: false } as const;
    const asking = request({ ...about, rejectUnauthorized: false }, (response) => {
      const cookie = `${response.headers['set-cookie']}`;
      response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, cookie }));
    });
    asking.on('error', reject);
    asking.end(JSON.stringify(body));
  });
}

const tlsYaml =
  `  http_tls_cert: ${certificate('server.pem')}\n` +
  `  http_tls_key: ${certificate('server-key.pem')}\n`;

describe('over TLS', () => {
  it('the cookie is for TLS only, and the link says https', async () => {
    const { port, part } = await serve(tlsYaml);
    const { status, cookie } = await askOverTls(port, '/api/v1/login', { token: TOKENS.read });
    expect(status).toBe(200);
    expect(cookie).toMatch(/; Secure$/);
    expect(await part.loginLink()).toEqual({ url: expect.stringMatching(/^https:/) });
  });

  it('who speaks without it is not answered, and others still are', async () => {
    const { port, node } = await serve(tlsYaml);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => socket.destroyed);
    expect((await askOverTls(port, '/api/v1/login', { token: TOKENS.read })).status).toBe(200);
    expect(node.lines.filter((line) => line.startsWith('ERROR'))).toEqual([]);
  });

  it('without its files nothing is served, and the log says why', async () => {
    const { node, part } = await serve('  http_tls_cert: /no/cert\n  http_tls_key: /no/key\n');
    expect(node.lines.join('\n')).toContain('The page and the API are not served: ');
    expect(await part.loginLink()).toEqual({ error: expect.stringContaining('no page is served') });
  });
});

describe('at a reload', () => {
  /** A listener with TLS whose files can be changed. */
  async function withFiles() {
    const own = mkdtempSync(join(directory, 'tls-'));
    const cert = join(own, 'cert.pem');
    const key = join(own, 'key.pem');
    copyFileSync(certificate('server.pem'), cert);
    copyFileSync(certificate('server-key.pem'), key);
    const yaml = `  http_tls_cert: ${cert}\n  http_tls_key: ${key}\n`;
    const served = await serve(yaml);
    const login = () => askOverTls(served.port, '/api/v1/login', { token: TOKENS.read });
    return { served, cert, key, yaml, login };
  }

  it.each<[string, (files: { readonly cert: string; readonly key: string }) => void, RegExp]>([
    ['no certificate', ({ cert }) => rmSync(cert), /ENOENT/],
    ['no key', ({ key }) => rmSync(key), /ENOENT/],
    ['a certificate that is none', ({ cert }) => writeFileSync(cert, 'none'), /cannot be used/],
    ['a key that is none', ({ key }) => writeFileSync(key, 'none'), /cannot be used/],
    [
      'the key of another certificate',
      ({ cert }) => copyFileSync(certificate('authority.pem'), cert),
      /cannot be used/,
    ],
  ])('with %s the listener goes on with what it has, and says so', async (_what, spoil, why) => {
    const { served, cert, key, yaml, login } = await withFiles();
    spoil({ cert, key });
    await served.apply(yaml);
    expect((await login()).status).toBe(200);
    const said = served.node.lines.at(-1);
    expect(said).toMatch(why);
    expect(said).toContain('are served with the certificate of before');
    expect(await served.part.loginLink()).toHaveProperty('url');
    copyFileSync(certificate('server.pem'), cert);
    copyFileSync(certificate('server-key.pem'), key);
    await served.apply(yaml);
    expect(served.node.lines.at(-1)).toBe(said);
    expect((await login()).status).toBe(200);
  });

  it('a certificate that was renewed is served', async () => {
    const { served, cert, yaml, login } = await withFiles();
    appendFileSync(cert, readFileSync(certificate('authority.pem')));
    await served.apply(yaml);
    expect(served.node.lines.filter((line) => line.includes('are served at'))).toHaveLength(2);
    expect((await login()).status).toBe(200);
  });

  it('that wants TLS in vain a listener without it ends', async () => {
    const served = await serve();
    await served.apply('  http_tls_cert: /no/cert\n  http_tls_key: /no/key\n');
    expect(served.node.lines.at(-1)).toContain('The page and the API are not served: ');
    expect(await served.part.loginLink()).toHaveProperty('error');
    await expect(served.as('read', 'GET', '/healthz')).rejects.toThrow('ECONNREFUSED');
  });
});

describe('a file with a token', () => {
  const token = 'token-in-a-file-0123456789';
  const yaml = (path: string, port: number): string =>
    `  http_listen: 127.0.0.1:${port}\n` +
    `  http_tokens: [{name: filed, token_file: ${path}, role: read}]\n`;

  it('is read, and read again with each reload', async () => {
    const served = await serve();
    const path = join(directory, 'one.token');
    const status = async (given: string): Promise<number> =>
      (await served.ask('GET', '/healthz', { authorization: `Bearer ${given}` })).status;
    writeFileSync(path, `${token}\n`, { mode: 0o600 });
    await served.apply(yaml(path, served.port));
    expect(await status(token)).toBe(200);
    writeFileSync(path, 'another-token-0123456789\n');
    await served.apply(yaml(path, served.port));
    expect([await status(token), await status('another-token-0123456789')]).toEqual([401, 200]);
  });

  it.each([
    ['that others may read', token, 0o644, 'others may read'],
    ['that is too short', 'short', 0o600, 'has no token'],
    ['that others may write', token, 0o666, 'is not used'],
  ])('%s is not used', async (_what, text, mode, why) => {
    const served = await serve();
    const path = join(directory, 'bad.token');
    writeFileSync(path, text);
    chmodSync(path, mode);
    await served.apply(yaml(path, served.port));
    expect(served.node.lines.join('\n')).toContain(why);
    expect(served.node.lines.join('\n')).not.toContain(text);
    const asked = await served.ask('GET', '/healthz', { authorization: `Bearer ${text}` });
    expect(asked.status).toBe(401);
  });
});

describe('strangers who hold connections', () => {
  it('do not keep the owner out', async () => {
    const served = await serve();
    const idle: Socket[] = Array.from({ length: 150 }, () => {
      const socket = connect(served.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write('POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n');
      return socket;
    });
    expect((await served.as('read', 'GET', '/healthz')).status).toBe(200);
    await until(() => idle.every((socket) => socket.destroyed));
  });

  it('may listen to events, sixteen of them, and nobody else misses an answer', async () => {
    const served = await serve();
    const listening: Socket[] = [];
    const head = `GET /api/v1/events HTTP/1.1\r\nHost: a.b\r\nAuthorization: Bearer ${TOKENS.read}`;
    const heard: string[] = [];
    for (let count = 0; count < 17; count += 1) {
      const socket = connect(served.port, '127.0.0.1');
      socket.on('data', (chunk) => {
        heard[count] = `${heard[count] ?? ''}${chunk}`;
      });
      socket.write(`${head.replace('a.b', 'localhost')}\r\n\r\n`);
      listening.push(socket);
      await until(() => heard[count] !== undefined);
    }
    expect(heard.filter((text) => text.startsWith('HTTP/1.1 200'))).toHaveLength(16);
    expect(heard[16]).toMatch(/^HTTP\/1\.1 503/);
    served.node.add(101);
    await served.cycle();
    await until(() => heard.slice(0, 16).every((text) => text.includes('event: cycle\ndata: {')));
    expect((await served.as('read', 'GET', '/healthz')).status).toBe(200);
    const pause = { minutes: 5 };
    const paused = await served.as('scale', 'POST', '/api/v1/guests/101/pause', pause);
    expect(paused.status).toBe(200);
    listening[0]?.destroy();
    await served.part.stop();
    await until(() => listening.every((socket) => socket.destroyed));
    expect(heard[1]).toContain('event: bye');
  });
});

it('a listener on an address that is taken says so', async () => {
  const { port } = await serve();
  const other = await serve();
  await other.apply(`  http_listen: 127.0.0.1:${port}\n`);
  expect(other.node.lines.join('\n')).toContain('another program listens there already');
});
