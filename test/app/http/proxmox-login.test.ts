import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type AskProxmoxUser, proxmoxUsers } from '../../../src/app/proxmox-users.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import { SimulatedNode } from '../../../src/sim/node.ts';
import type { AccessList, User } from '../../../src/sim/rest-access.ts';
import { RestServer } from '../../../src/sim/rest-server.ts';
import { temporaryDirectory } from '../../node/local/world.ts';
import { AUTHORITY_FILE, SERVER_TLS } from '../../notify/certificate.ts';
import { SMALL_HOST } from '../../sim/small-host.ts';
import { type Answer, type Served, serve } from './served.ts';

/** A user of Proxmox VE logs in with a password, as the API of the node knows it. */

const PASSWORD = 'correct horse battery';
const LOOKS = ['VM.Audit', 'Sys.Audit'];
const LIMITS = [...LOOKS, 'VM.Config.CPU', 'VM.Config.Memory'];
const ON_GUESTS = [...LIMITS, 'VM.Allocate', 'VM.Clone', 'VM.PowerMgmt', 'VM.Snapshot'];
const CHANGES = [...ON_GUESTS, 'Datastore.AllocateSpace'];
const RULES = [...CHANGES, 'VM.Config.Disk', 'VM.Snapshot.Rollback', 'Sys.Modify'];

const account = (id: string, access: AccessList, secondFactor = false) => ({
  id,
  password: PASSWORD,
  access,
  secondFactor,
});

const USERS: readonly User[] = [
  account('look@pve', { '/': LOOKS }),
  account('change@pve', { '/': CHANGES }),
  account('root@pam', { '/': RULES }),
  account('disks@pve', { '/': [...CHANGES, 'Sys.Modify'] }),
  account('limits@pve', { '/': LIMITS }),
  account('nowhere@pve', { '/': ON_GUESTS }),
  account('slow@pve', { '/': RULES, '/storage/slow': LOOKS }),
  account('other@pve', { '/': RULES, '/nodes/pve1': LOOKS }),
  account('blind@pve', { '/': CHANGES, '/nodes/pve2': ['VM.Audit'] }),
  account('nodes@pve', { '/': CHANGES, '/nodes': RULES, '/vms': RULES }),
  account('part@pve', { '/': CHANGES, '/vms/101': LOOKS }),
  account('guests@pve', { '/vms': CHANGES }),
  account('one@pve', { '/vms/101': CHANGES, '/nodes': LOOKS }),
  account('none@pve', {}),
  account('two@pve', { '/': CHANGES }, true),
];

const servers: RestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

interface Node {
  readonly served: Served;
  readonly server: RestServer;
  readonly users: Array<{ -readonly [Key in keyof User]: User[Key] }>;
}

const KEY = '  http_proxmox_login: True\n';

async function ready(more = KEY, certificate: string | Buffer = SERVER_TLS.cert): Promise<Node> {
  const root = temporaryDirectory();
  const node = await SimulatedNode.create({
    root: temporaryDirectory(),
    guests: [],
    lockTimeoutMs: 50,
    host: SMALL_HOST,
  });
  const users = USERS.map((user) => ({ ...user }));
  const accounts = { tokens: [], users };
  const server = await RestServer.listen({ node, tls: SERVER_TLS, accounts, refusalMs: 5 });
  servers.push(server);
  const directory = join(root, 'etc/pve/nodes/pve1');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(root, 'etc/hostname'), 'pve1\n');
  writeFileSync(join(directory, 'pve-ssl.pem'), certificate);
  const clock = { wallMs: () => 0, monotonicMs: () => 0 } as never;
  const context = { clock, paths: createPaths(root) };
  const { port } = server;
  const pause = async (): Promise<void> => {};
  const proxmoxUser = proxmoxUsers(context, async () => undefined, { port, tools: { pause } });
  const served = await serve(more, { root, service: { proxmoxUser } });
  served.node.add(101);
  await served.cycle();
  return { served, server, users };
}

const logIn = (
  { served }: Node,
  user: string,
  password = PASSWORD,
  headers = {},
): Promise<Answer> => served.ask('POST', '/api/v1/login', headers, { user, password });
const cookieOf = ({ headers }: Answer): { readonly cookie: string } => ({
  cookie: `${headers['set-cookie']}`.split(';', 1)[0] ?? '',
});
const session = ({ served }: Node, login: Answer): Promise<Answer> =>
  served.ask('GET', '/api/v1/session', cookieOf(login));

describe('a user of Proxmox VE', () => {
  it.each([
    ['look@pve', 'read'],
    ['change@pve', 'scale'],
    ['limits@pve', 'read'],
    ['nowhere@pve', 'read'],
    ['slow@pve', 'read'],
    ['other@pve', 'scale'],
    ['disks@pve', 'scale'],
    ['nodes@pve', 'scale'],
    ['part@pve', 'read'],
    ['root@pam', 'admin'],
    ['root', 'admin'],
  ])('%s has the role %s', async (user, role) => {
    const node = await ready();
    const login = await logIn(node, user);
    expect(login).toMatchObject({ status: 200, json: { role, name: expect.stringMatching(/@/) } });
    expect(`${login.headers['set-cookie']}`).toMatch(/HttpOnly; SameSite=Strict/);
    expect((await session(node, login)).json).toMatchObject({ role });
    const admin = await node.served.ask('GET', '/api/v1/config', cookieOf(login));
    expect(admin.status).toBe(role === 'admin' ? 200 : 403);
  });

  it.each(['none@pve', 'guests@pve', 'one@pve', 'blind@pve'])('%s may not look', async (user) => {
    const { status, json, headers } = await logIn(await ready(), user);
    expect({ status, code: json['code'] }).toEqual({ status: 403, code: 'role' });
    expect(json['detail']).toContain('VM.Audit on /vms and Sys.Audit on /nodes');
    expect(headers['set-cookie']).toBeUndefined();
  });

  it('with a second factor is told so', async () => {
    const { status, json } = await logIn(await ready(), 'two@pve');
    expect({ status, code: json['code'] }).toEqual({ status: 401, code: 'second-factor' });
    expect(json['detail']).toContain('Log in with a token, or with a link');
  });

  it.each(['a b@pve', 'as@pve!token', 'x'.repeat(65), ''])('is not called %j', async (user) => {
    const node = await ready();
    const detail = 'This is no user of Proxmox VE; write NAME or NAME@REALM';
    expect((await logIn(node, user)).json).toMatchObject({ code: 'wrong-request', detail });
    expect(node.server.calls).toEqual([]);
  });
});

describe('a login of a user', () => {
  it('is nothing unless the configuration wants it, and over if it does no more', async () => {
    const off = await ready('');
    expect((await logIn(off, 'root@pam')).json).toMatchObject({ code: 'not-here' });
    expect(off.server.calls).toEqual([]);
    const ways = await off.served.ask('GET', '/api/v1/login');
    expect(ways.json).toEqual({ proxmox: false });
    const on = await ready();
    expect((await on.served.ask('GET', '/api/v1/login')).json).toEqual({ proxmox: true });
    const login = await logIn(on, 'root@pam');
    await on.served.apply('');
    expect((await session(on, login)).status).toBe(401);
  });

  it('with a wrong password counts, many at once too', async () => {
    const node = await ready();
    const statuses: number[] = [];
    for (let count = 0; count < 11; count += 1) {
      const answer = await logIn(node, 'root@pam', 'wrong');
      statuses.push(answer.status);
      if (count === 0) expect(answer.json).toMatchObject({ code: 'wrong-login' });
    }
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429]);
    const asked = node.server.calls.length;
    expect((await logIn(node, 'root@pam')).status).toBe(429);
    expect(node.server.calls).toHaveLength(asked);
    node.served.pass(61_000);
    expect((await logIn(node, 'root@pam')).status).toBe(200);
    const many = await Promise.all(
      Array.from({ length: 30 }, () => logIn(node, 'root@pam', 'wrong')),
    );
    expect(node.server.calls.length - asked).toBeLessThan(15);
    const codes = many.map(({ json }) => json['code']);
    expect(codes).toContain('busy');
    expect(codes.filter((code) => code === 'wrong-login').length).toBeLessThanOrEqual(10);
  });

  it('that could not be checked counts, and is logged once, without its user', async () => {
    const node = await ready();
    await node.server.close();
    const codes: unknown[] = [];
    for (let count = 0; count < 11; count += 1) {
      codes.push((await logIn(node, 'hush')).json['code']);
    }
    expect(codes).toEqual([...Array.from({ length: 10 }, () => 'failed'), 'too-many-wrong']);
    const lines = node.served.node.lines.filter((line) => line.includes('could not be checked'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('hush');
  });

  it('that is right does not count', async () => {
    const node = await ready();
    for (let count = 0; count < 12; count += 1) {
      expect((await logIn(node, 'look@pve')).status).toBe(200);
    }
  });

  it('goes to nobody but the node: its certificate must be the one in /etc/pve', async () => {
    const node = await ready(KEY, readFileSync(AUTHORITY_FILE));
    const { status, json } = await logIn(node, 'root@pam');
    expect({ status, code: json['code'] }).toEqual({ status: 502, code: 'failed' });
    expect(json['detail']).toMatch(/The node cannot be asked: .*fingerprint/);
    expect(node.server.calls).toEqual([]);
  });

  it('leaves its password in no log and no answer', async () => {
    const node = await ready();
    const answers = [await logIn(node, 'root@pam'), await logIn(node, 'two@pve')];
    node.server.fault = () => ({ kind: 'answers', status: 500, words: `no ${PASSWORD}` });
    answers.push(await logIn(node, 'root@pam'));
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 502]);
    const said = JSON.stringify([answers, node.served.node.lines]);
    expect(said).not.toContain(PASSWORD);
  });
});

describe('the rights of a user', () => {
  const AFTER_MS = 5 * 60_000 + 1000;

  it('are looked up again after a while', async () => {
    const node = await ready();
    const login = await logIn(node, 'change@pve');
    const user = node.users.find(({ id }) => id === 'change@pve');
    if (user === undefined) throw new Error('there is none');
    user.access = { '/': LOOKS };
    user.password = 'another';
    expect((await session(node, login)).json).toMatchObject({ role: 'scale' });
    node.served.pass(AFTER_MS);
    expect((await session(node, login)).json).toMatchObject({ role: 'read' });
    user.access = {};
    node.served.pass(AFTER_MS);
    expect((await session(node, login)).status).toBe(401);
  });

  it('end if the node does not know the user any more', async () => {
    const node = await ready();
    const login = await logIn(node, 'root@pam');
    node.server.forgetTickets();
    node.served.pass(AFTER_MS);
    expect((await session(node, login)).status).toBe(401);
  });

  it('last for a quarter of an hour if the node does not answer', async () => {
    const node = await ready();
    const login = await logIn(node, 'root@pam');
    await node.server.close();
    node.served.pass(AFTER_MS);
    expect((await session(node, login)).json).toMatchObject({ role: 'admin' });
    node.served.pass(AFTER_MS);
    expect((await session(node, login)).status).toBe(200);
    node.served.pass(AFTER_MS);
    expect((await session(node, login)).status).toBe(401);
  });
});

it('nobody can be asked where there is no certificate, or /etc/pve hangs', async () => {
  const paths = createPaths(temporaryDirectory());
  const clock = { wallMs: () => 0, monotonicMs: () => 0 } as never;
  const ask = (why?: string): ReturnType<AskProxmoxUser> =>
    proxmoxUsers({ clock, paths }, async () => why)('root@pam', PASSWORD);
  expect(await ask()).toEqual({
    kind: 'no-answer',
    why: expect.stringMatching(/^this host has no certificate of Proxmox VE in .*etc.pve.nodes/),
  });
  expect(await ask('it does not answer')).toEqual({ kind: 'no-answer', why: 'it does not answer' });
});
