import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../../src/core/units.ts';
import type { ApiAnswer } from '../../../src/node/api/failure.ts';
import {
  FINGERPRINT,
  LOGIN,
  NEVER,
  PASSWORD,
  type RestNode,
  restNode,
  SECRET,
} from './rest-node.ts';

const CONFIG = '/nodes/pve1/lxc/101/config';
const HOUR_MS = 60 * 60_000;

const digestOf = (answer: ApiAnswer): string => {
  if (!answer.ok) throw new Error(answer.message);
  return (answer.data as { digest: string }).digest;
};

const coresOf = ({ node }: RestNode): number | undefined => node.limits(101)?.cores;

const paths = ({ server }: RestNode): string[] =>
  server.calls.map(({ method, path }) => `${method} ${path}`);

describe('the client of the REST API', () => {
  it('reads, and changes with the digest of what was read', async () => {
    const rest = await restNode();
    const client = rest.client();
    const digest = digestOf(await client.get(CONFIG, NEVER));
    expect(await client.put(CONFIG, { cores: '3', digest }, NEVER)).toEqual({
      ok: true,
      data: null,
    });
    expect(coresOf(rest)).toBe(3);
    expect(await client.put(CONFIG, { cores: '4', digest }, NEVER)).toMatchObject({
      ok: false,
      why: 'modified',
    });
    expect(coresOf(rest)).toBe(3);
  });

  it('keeps its connection from read to read, and takes another for a change', async () => {
    const rest = await restNode();
    const client = rest.client();
    await client.get('/version', NEVER);
    await client.get('/cluster/resources', NEVER);
    await client.put(CONFIG, { cores: '3' }, NEVER);
    await client.get('/version', NEVER);
    expect(rest.server.calls.map(({ connection }) => connection)).toEqual([1, 1, 2, 1]);
  });

  it('has few requests under way at once', async () => {
    const rest = await restNode();
    const client = rest.client();
    const answers = Array.from({ length: 20 }, () => client.get('/version', NEVER));
    expect((await Promise.all(answers)).every(({ ok }) => ok)).toBe(true);
    expect(new Set(rest.server.calls.map(({ connection }) => connection)).size).toBe(3);
  });
});

describe('what fails has a name', () => {
  it.each<[string, (rest: RestNode) => void, object]>([
    [
      'a lock',
      ({ node }) => node.setLock(101, 'backup'),
      { why: 'locked', message: expect.stringContaining('CT is locked (backup)') },
    ],
    [
      'a lock file that is held',
      ({ node }) => void node.holdConfigLock(101),
      { why: 'busy', message: expect.stringContaining("can't lock file") },
    ],
    ['no quorum', ({ node }) => node.setQuorum(false), { why: 'no-quorum' }],
    ['a guest that is gone', ({ node }) => node.destroyContainer(101), { why: 'gone' }],
    [
      'pve-cluster that is stopped',
      ({ node }) => node.setCluster(false),
      { why: 'unreachable', status: 500 },
    ],
    [
      'pvedaemon that is stopped',
      ({ server }) => {
        server.fault = () => ({ kind: 'no-daemon' });
      },
      { why: 'unreachable', status: 595, message: expect.stringContaining('does not answer') },
    ],
    [
      'a node that is away behind another',
      ({ server }) => {
        server.fault = () => ({ kind: 'answers', status: 596, words: 'Connection timed out' });
      },
      { why: 'unreachable', status: 596, message: expect.stringContaining('gave no answer') },
    ],
    [
      'a redirect',
      ({ server }) => {
        server.fault = () => ({ kind: 'answers', status: 301, words: 'Moved Permanently' });
      },
      { why: 'malformed', status: 301 },
    ],
    [
      'something that is no Proxmox VE',
      ({ server }) => {
        server.fault = () => ({ kind: 'answers', status: 200, words: 'OK', body: '<html>' });
      },
      { why: 'malformed' },
    ],
    [
      'half an answer',
      ({ server }) => {
        server.fault = () => ({ kind: 'cut' });
      },
      { why: 'unreachable' },
    ],
    [
      'a connection that is reset',
      ({ server }) => {
        server.fault = () => ({ kind: 'reset', isDone: false });
      },
      { why: 'unreachable' },
    ],
  ])('%s', async (_what, happens, expected) => {
    const rest = await restNode();
    happens(rest);
    const answer = await rest.client().put(CONFIG, { cores: '3' }, NEVER);
    expect(answer).toMatchObject({ ok: false, message: expect.stringMatching(/./), ...expected });
    expect(rest.server.calls).toHaveLength(1);
  });

  it('wrong values, each with its problem', async () => {
    const rest = await restNode();
    const answer = await rest.client().put(CONFIG, { cores: '0', memory: '5' }, NEVER);
    expect(answer).toMatchObject({
      why: 'other',
      status: 400,
      message: expect.stringMatching(/cores: value must .* minimum value of 1.*memory: value must/),
    });
  });

  it('a missing privilege, with the command that grants it', async () => {
    const rest = await restNode();
    const credentials = { kind: 'token', id: 'as@pve!cpu', secret: SECRET } as const;
    const answer = await rest.client({ credentials }).put(CONFIG, { memory: '2048' }, NEVER);
    expect(answer).toMatchObject({
      why: 'denied',
      status: 403,
      message:
        'as@pve!cpu lacks VM.Config.Memory on /vms/101; grant it with: ' +
        "pveum acl modify /vms/101 --tokens 'as@pve!cpu' --roles LxcAutoscale",
    });
  });

  it('a privilege that the role has not, with the command that adds it to that first', async () => {
    const rest = await restNode();
    const credentials = { kind: 'token', id: 'as@pve!cpu', secret: SECRET } as const;
    const answer = await rest.client({ credentials }).put(CONFIG, { description: 'x' }, NEVER);
    expect(answer).toMatchObject({
      message:
        'as@pve!cpu lacks VM.Config.Options on /vms/101; grant it with: ' +
        'pveum role modify LxcAutoscale --privs VM.Config.Options --append 1 && ' +
        "pveum acl modify /vms/101 --tokens 'as@pve!cpu' --roles LxcAutoscale",
    });
  });

  it('no answer in time, after which a change may have been made', async () => {
    const rest = await restNode();
    rest.server.fault = () => ({ kind: 'silent' });
    const client = rest.client({ writeLimitMs: milliseconds(50) });
    expect(await client.put(CONFIG, { cores: '3' }, NEVER)).toMatchObject({
      why: 'timeout',
      message: 'no answer within 0.05 s',
    });
    const stop = new AbortController();
    const asked = rest.client().get('/version', stop.signal);
    stop.abort();
    expect(await asked).toMatchObject({ why: 'stopped' });
  });

  it('an answer without end', async () => {
    const rest = await restNode();
    const client = rest.client({}, async ({ mostBytes }) => {
      expect(mostBytes).toBe(32 * 1024 * 1024);
      return { kind: 'too-long' };
    });
    expect(await client.get('/cluster/resources', NEVER)).toEqual({
      ok: false,
      why: 'malformed',
      message: 'it answers with more than 33554432 bytes',
    });
  });

  it('nobody who listens, or another who does', async () => {
    const rest = await restNode();
    const { port } = rest.server;
    await rest.server.close();
    const change = () => rest.client({ port }).put(CONFIG, { cores: '3' }, NEVER);
    expect(await change()).toMatchObject({ why: 'unreachable' });
    const other = createServer((socket) => socket.resume().end('220 mail ESMTP\r\n'));
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
    expect(await change()).toMatchObject({ why: 'unreachable' });
    await new Promise((resolve) => other.close(resolve));
  });
});

describe('whom it talks to', () => {
  it('is known by the authority of the cluster', async () => {
    const rest = await restNode();
    const client = rest.client({ trust: { kind: 'usual' } });
    expect(await client.get('/version', NEVER)).toMatchObject({
      why: 'certificate',
      message: expect.stringMatching(/unknown authority; give .*pve-root-ca\.pem\) as ca_file/),
    });
    expect(rest.server.calls).toEqual([]);
  });

  it('or by the fingerprint of its certificate, before a word is said', async () => {
    const rest = await restNode();
    const pinned = (sha256: string) => rest.client({ trust: { kind: 'fingerprint', sha256 } });
    expect(await pinned(FINGERPRINT).get('/version', NEVER)).toMatchObject({ ok: true });
    const calls = rest.server.calls.length;
    const other = FINGERPRINT.replace(/../, (byte) => (byte === '00' ? '01' : '00'));
    expect(await pinned(other).get('/version', NEVER)).toMatchObject({
      why: 'certificate',
      message: expect.stringContaining(`has the fingerprint ${FINGERPRINT}, not the pinned one`),
    });
    expect(rest.server.calls).toHaveLength(calls);
  });

  it('or not at all, if that is wanted', async () => {
    const rest = await restNode();
    const answer = await rest.client({ trust: { kind: 'none' } }).get('/version', NEVER);
    expect(answer.ok).toBe(true);
  });
});

describe('a read', () => {
  it('is tried again where nobody answered, later each time', async () => {
    const rest = await restNode();
    let failures = 2;
    rest.server.fault = () => (failures-- > 0 ? { kind: 'reset', isDone: false } : undefined);
    expect(await rest.client().get('/version', NEVER)).toMatchObject({ ok: true });
    expect(rest.server.calls).toHaveLength(3);
    expect(rest.pauses).toEqual([200, 400]);
  });

  it('and not for ever', async () => {
    const rest = await restNode();
    rest.server.fault = () => ({ kind: 'answers', status: 596, words: 'Connection timed out' });
    expect(await rest.client().get('/version', NEVER)).toMatchObject({ why: 'unreachable' });
    expect(rest.server.calls).toHaveLength(3);
  });

  it('is not tried again if it was answered', async () => {
    const rest = await restNode();
    expect(await rest.client().get('/nodes/pve1/lxc/999/config', NEVER)).toMatchObject({
      why: 'gone',
      status: 500,
    });
    expect(rest.server.calls).toHaveLength(1);
  });
});

describe('a token', () => {
  it('that is refused is not asked for again for a while', async () => {
    const rest = await restNode();
    const credentials = { kind: 'token', id: 'as@pve!ps', secret: `${SECRET}x` } as const;
    const client = rest.client({ credentials });
    const refused = { why: 'denied', message: expect.stringContaining('Authentication failed!') };
    expect(await client.get('/version', NEVER)).toMatchObject(refused);
    expect(await client.get('/version', NEVER)).toMatchObject({
      message: expect.stringMatching(/Authentication failed!; it is asked again in 30 s/),
    });
    expect(rest.server.calls).toHaveLength(1);
    rest.time.ms += 30_000;
    await client.get('/version', NEVER);
    expect(await client.get('/version', NEVER)).toMatchObject({
      message: expect.stringContaining('in 60 s'),
    });
    expect(rest.server.calls).toHaveLength(2);
  });

  it('never stands in an error, whatever a server says', async () => {
    const rest = await restNode();
    rest.server.fault = () => ({
      kind: 'answers',
      status: 500,
      words: `no ${SECRET}`,
      body: `{"message":"${SECRET}"}`,
    });
    expect(JSON.stringify(await rest.client().get('/version', NEVER))).not.toContain(SECRET);
  });
});

describe('a password', () => {
  const logins = (rest: RestNode): number =>
    rest.server.calls.filter(({ path }) => path === '/access/ticket').length;

  it('makes a ticket once, and a change has the token that goes with it', async () => {
    const rest = await restNode();
    const client = rest.client({ credentials: LOGIN });
    const all = ['/version', '/cluster/resources', CONFIG].map((path) => client.get(path, NEVER));
    expect((await Promise.all(all)).every(({ ok }) => ok)).toBe(true);
    expect(await client.put(CONFIG, { cores: '3' }, NEVER)).toMatchObject({ ok: true });
    expect(logins(rest)).toBe(1);
  });

  it('is not needed to renew it', async () => {
    const rest = await restNode();
    const client = rest.client({ credentials: LOGIN });
    for (let hour = 0; hour < 5; hour++) {
      expect(await client.get('/version', NEVER)).toMatchObject({ ok: true });
      rest.time.ms += HOUR_MS;
    }
    const asked = rest.server.calls.filter(({ path }) => path === '/access/ticket');
    expect(asked).toHaveLength(5);
    expect(asked.filter(({ body }) => body.includes('correct+horse'))).toHaveLength(1);
  });

  it('makes a new one if the old one has ended, also in the middle of a cycle', async () => {
    const rest = await restNode();
    const client = rest.client({ credentials: LOGIN });
    await client.get('/version', NEVER);
    rest.time.ms += 3 * HOUR_MS;
    expect(await client.get('/version', NEVER)).toMatchObject({ ok: true });
    rest.time.ms += HOUR_MS / 2;
    rest.server.forgetTickets();
    expect(await client.put(CONFIG, { cores: '3' }, NEVER)).toMatchObject({ ok: true });
    expect(paths(rest).slice(-3)).toEqual([
      `PUT ${CONFIG}`,
      'POST /access/ticket',
      `PUT ${CONFIG}`,
    ]);
  });

  it('keeps the ticket while it lasts if it cannot be renewed', async () => {
    const rest = await restNode();
    const client = rest.client({ credentials: LOGIN });
    await client.get('/version', NEVER);
    rest.time.ms += HOUR_MS + 1000;
    rest.server.fault = ({ path }) =>
      path === '/access/ticket' ? { kind: 'reset', isDone: false } : undefined;
    expect(await client.get('/version', NEVER)).toMatchObject({ ok: true });
  });

  it('that is wrong, or not enough, is said', async () => {
    const rest = await restNode();
    const wrong = rest.client({ credentials: { ...LOGIN, password: 'wrong' } });
    expect(await wrong.get('/version', NEVER)).toMatchObject({
      why: 'denied',
      message: 'it does not know as@pve: authentication failure',
    });
    expect(await wrong.get('/version', NEVER)).toMatchObject({ why: 'denied' });
    expect(logins(rest)).toBe(1);
    const second = rest.client({ credentials: { ...LOGIN, user: 'two@pve' } });
    expect(await second.get('/version', NEVER)).toMatchObject({
      why: 'second-factor',
      message: 'two@pve has a second factor; use a token instead',
    });
  });

  it('never stands in an error', async () => {
    const rest = await restNode();
    rest.server.fault = () => ({ kind: 'answers', status: 401, words: `not ${PASSWORD}` });
    const answer = await rest.client({ credentials: LOGIN }).get('/version', NEVER);
    expect(JSON.stringify(answer)).not.toContain(PASSWORD);
  });
});
