import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { renderProblem } from '../../src/config/problem.ts';
import type { Environment } from '../../src/config/variables.ts';

const TOKEN = {
  PROXMOX_HOST: '192.0.2.90',
  PROXMOX_USER: 'root@pam',
  PROXMOX_TOKEN_NAME: 'lxc_autoscaler',
  PROXMOX_TOKEN_VALUE: `hush-$\{x}-8c07`,
};
const SELF = { name: 'box', hosts: new Set(['127.0.0.1']), cluster: [] };

const parse = (env: Environment, text = 'DEFAULT:\n', self = SELF) =>
  parseConfig(text, 'f.yaml', env, () => self);

function nodesOf(env: Environment, text?: string, self?: typeof SELF) {
  const result = parse(env, text, self);
  if (!result.ok) throw new Error(result.problems.map(renderProblem).join('\n'));
  expect(result.secretAt).toBeUndefined();
  return result.config.nodes;
}

function problemsOf(env: Environment, text?: string): string[] {
  const result = parse(env, text);
  if (result.ok) throw new Error('it was taken');
  const said = result.problems.map(renderProblem);
  expect(said.join()).not.toMatch(/8c07/);
  return said;
}

const lab = (more: string) => `NODES:\n  lab:\n    host: lab.example\n${more}`;
const IN_FILE = `    token_id: a@pve!x\n    token_secret: $\{SECRET}\n`;

describe('PROXMOX_HOST and its companions', () => {
  it('make a node, which is the only one there', () => {
    expect(nodesOf(TOKEN)).toEqual([
      {
        connection: 'api',
        name: 'proxmox',
        node: undefined,
        host: '192.0.2.90',
        port: 8006,
        credentials: { kind: 'token', id: 'root@pam!lxc_autoscaler', secret: `hush-$\{x}-8c07` },
        trust: { kind: 'usual' },
      },
    ]);
  });

  it('make one with a password, at another port', () => {
    const env = { PROXMOX_HOST: 'lab.example', PROXMOX_PORT: '443', PROXMOX_USER: 'a@pve' };
    expect(nodesOf({ ...env, PROXMOX_PASSWORD: 'hush 8c07' })).toMatchObject([
      { port: 443, credentials: { kind: 'password', user: 'a@pve', password: 'hush 8c07' } },
    ]);
  });

  it('are the login of the API where the node is reached by SSH as well', () => {
    for (const list of ['[ssh, api]', 'ssh, api']) {
      const text = lab(`    connection: ${list}\n`);
      expect(nodesOf({ ...TOKEN, PROXMOX_HOST: 'lab.example' }, text)).toMatchObject([
        { connection: 'ssh', instead: { credentials: { id: 'root@pam!lxc_autoscaler' } } },
      ]);
    }
  });

  it('call it otherwise where this host has that name, and leave this host in NODES', () => {
    const text = 'NODES: {proxmox: {connection: local}}\n';
    const [node] = nodesOf(TOKEN, text, { ...SELF, name: 'proxmox' });
    expect(node).toMatchObject({ name: 'proxmox-api' });
  });

  it('do nothing where they are empty', () => {
    const none = { PROXMOX_HOST: '', PROXMOX_USER: '', PROXMOX_PASSWORD: '' };
    expect(nodesOf(none)).toEqual([]);
  });

  it('stand over the one node of the file, whose other keys stay', () => {
    const text = lab(`${IN_FILE}    node: pve7\n    verify_tls: True\n`);
    const env = { SECRET: 's', ...TOKEN, PROXMOX_HOST: 'LAB.example' };
    expect(nodesOf(env, text)).toMatchObject([
      {
        name: 'lab',
        node: 'pve7',
        host: 'LAB.example',
        credentials: { id: 'root@pam!lxc_autoscaler', secret: `hush-$\{x}-8c07` },
      },
    ]);
  });

  it.each([
    [{ PROXMOX_TOKEN_VALUE: 'new' }, IN_FILE, { id: 'a@pve!x', secret: 'new' }],
    [{ PROXMOX_PORT: '443' }, IN_FILE, { id: 'a@pve!x', secret: 's' }],
    [{ PROXMOX_USER: 'b@pve', PROXMOX_PASSWORD: 'p' }, IN_FILE, { user: 'b@pve', password: 'p' }],
    [{ PROXMOX_PASSWORD: 'p' }, '    user: b@pve\n', { user: 'b@pve', password: 'p' }],
    [{ PROXMOX_USER: 'c@pve' }, '    user: b@pve\n    password: q\n', { user: 'c@pve' }],
  ])('take %j as the part that it is', (env, keys, credentials) => {
    const text = lab(keys.replace('password: q', `password: $\{SECRET}`));
    expect(nodesOf({ SECRET: 's', ...env }, text)).toMatchObject([{ credentials }]);
  });

  it.each([
    ['by the same variable', `$\{PROXMOX_HOST}`],
    ['by one of its own', `$\{LAB}`],
  ])('stand over the one node of a file that has its host %s', (_what, host) => {
    const text = lab(IN_FILE).replace('lab.example', host);
    const env = { ...TOKEN, SECRET: 's', LAB: '192.0.2.90' };
    expect(nodesOf(env, text)).toMatchObject([
      { name: 'lab', host: '192.0.2.90', credentials: { id: 'root@pam!lxc_autoscaler' } },
    ]);
  });

  it('are what the file makes of them where it names them itself', () => {
    const named = lab(
      `    user: $\{PROXMOX_USER}\n    password: $\{PROXMOX_PASSWORD}\n    node: pve7\n`,
    ).replace('lab.example', `$\{PROXMOX_HOST:-a}`);
    const two = `${named}  two: {host: b, user: c@pve, password: "$\{PROXMOX_PASSWORD}"}\n`;
    const env = { PROXMOX_HOST: '192.0.2.90', PROXMOX_USER: 'a@pve', PROXMOX_PASSWORD: 'p' };
    const one = { host: '192.0.2.90', node: 'pve7', credentials: { user: 'a@pve', password: 'p' } };
    expect(nodesOf(env, named)).toMatchObject([one]);
    expect(nodesOf(env, two)).toMatchObject([
      one,
      { host: 'b', credentials: { user: 'c@pve', password: 'p' } },
    ]);
  });

  it('stand over a node whose connections are variables', () => {
    const keys = `${IN_FILE}    connection: ["$\{FIRST}", "$\{OTHER}"]\n`;
    const env = { SECRET: 's', PROXMOX_TOKEN_VALUE: 'new', FIRST: 'SSH', OTHER: 'api' };
    expect(nodesOf(env, lab(keys))).toMatchObject([
      { connection: 'ssh', instead: { connection: 'api', credentials: { secret: 'new' } } },
    ]);
  });

  it('have the user for a token also if the file names that variable', () => {
    const text = lab(`    user: $\{PROXMOX_USER}\n    password: $\{SECRET}\n`);
    const env = { ...TOKEN, SECRET: 's', PROXMOX_HOST: 'lab.example' };
    expect(nodesOf(env, text)).toMatchObject([
      { credentials: { kind: 'token', id: 'root@pam!lxc_autoscaler' } },
    ]);
  });

  it.each<[string, Environment, string, RegExp]>([
    ['no host', { PROXMOX_USER: 'a@pve' }, '', /PROXMOX_USER: has no effect without PROXMOX_HOST/],
    ['no login', { PROXMOX_HOST: 'a' }, '', /PROXMOX_USER: is not set, and PROXMOX_HOST needs/],
    ['no secret', { ...TOKEN, PROXMOX_TOKEN_VALUE: '' }, '', /PROXMOX_TOKEN_VALUE: is not set/],
    ['no name', { ...TOKEN, PROXMOX_TOKEN_NAME: '' }, '', /PROXMOX_TOKEN_NAME: is not set, and/],
    ['no user', { ...TOKEN, PROXMOX_USER: '' }, '', /PROXMOX_USER: is not set, and PROXMOX_TOKEN/],
    ['two logins', { ...TOKEN, PROXMOX_PASSWORD: '8c07' }, '', /PASSWORD: does not go with/],
    ['a user alone', { PROXMOX_HOST: 'a', PROXMOX_USER: 'a@b' }, '', /TOKEN_VALUE: is not set/],
    ['another host', TOKEN, lab(IN_FILE), /PROXMOX_HOST: is not the host of lab, which NODES has/],
    [
      'several nodes',
      { PROXMOX_TOKEN_VALUE: '8c07' },
      `${lab(IN_FILE)}  two: {host: b, token_id: a@pve!x, token_secret: x}\n`,
      /PROXMOX_TOKEN_VALUE: is for one node, and NODES has several \(lab, two\)/,
    ],
    [
      'a node by SSH',
      { PROXMOX_HOST: 'lab.example', PROXMOX_USER: 'a@pve' },
      lab('    connection: ssh\n'),
      /PROXMOX_HOST: is for the API, and lab in NODES is reached by ssh/,
    ],
    [
      'a wrong port',
      { ...TOKEN, PROXMOX_PORT: '0' },
      '',
      /NODES\.port: '\$\{PROXMOX_PORT\}' is too/,
    ],
    [
      'a wrong user',
      { ...TOKEN, PROXMOX_USER: 'root' },
      '',
      /token_id: '.*' is no name of a token/,
    ],
    ['this host', { ...TOKEN, PROXMOX_HOST: '127.0.0.1' }, '', /proxmox: is this node itself/],
  ])('are refused with %s', (_what, env, text, message) => {
    const said = problemsOf({ SECRET: 's', ...env }, text === '' ? undefined : text);
    expect(said).toEqual([said[0]]);
    expect(said[0]).toMatch(message);
    expect(said[0]).toMatch(/^the environment: /);
  });
});
