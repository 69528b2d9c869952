import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { secretsOf } from '../../src/config/secrets-of.ts';

const PRINT = Array.from({ length: 32 }, () => '5b').join(':');

function loaded(text: string, env = {}) {
  const result = parseConfig(text, 'f.yaml', env);
  if (!result.ok) throw new Error(result.problems.map(renderProblem).join('\n'));
  return result;
}

function nodeOf(keys: string, env = {}) {
  const node = loaded(`NODES:\n  lab:\n    host: lab.example\n${keys}`, env).config.nodes[0];
  return node?.connection === 'api' ? node : undefined;
}

const LOGIN = '    token_id: as@pve!x\n    token_secret: hush\n';

describe('NODES', () => {
  it('is empty without the section, and for the node of the program itself', () => {
    expect(loaded('DEFAULT:\n').config.nodes).toEqual([]);
    expect(loaded('NODES:\n').config.nodes).toEqual([]);
    expect(loaded('NODES: {pve1: {connection: local}}').config.nodes).toEqual([]);
  });

  it('has a node with the port of the API, and the name that its cluster has for it', () => {
    expect(nodeOf(LOGIN)).toEqual({
      connection: 'api',
      name: 'lab',
      node: 'lab',
      host: 'lab.example',
      port: 8006,
      credentials: { kind: 'token', id: 'as@pve!x', secret: 'hush' },
      trust: { kind: 'usual' },
    });
    expect(nodeOf(`${LOGIN}    port: 443\n    node: pve7\n`)).toMatchObject({
      name: 'lab',
      node: 'pve7',
      port: 443,
    });
  });

  it('may be the only one there, whatever it is called', () => {
    expect(nodeOf(`${LOGIN}    node: '*'\n`)).toMatchObject({ name: 'lab', node: undefined });
    const other = `  two:\n    host: LAB.example\n${LOGIN}`;
    const text = `NODES:\n  lab:\n    host: lab.example\n    node: '*'\n${LOGIN}${other}`;
    for (const one of [text, `${text.replace("    node: '*'\n", '')}    node: '*'\n`]) {
      const result = parseConfig(one, 'f.yaml', {});
      if (result.ok) throw new Error('it was taken');
      expect(result.problems.map(renderProblem)).toEqual([
        expect.stringMatching(/two: is the same node as lab \(line 2\); remove one of the two/),
      ]);
    }
    const self = { name: 'pve1', hosts: new Set(['lab.example']), cluster: [] };
    const here = parseConfig(text.replace(other, ''), 'f.yaml', {}, () => self);
    if (here.ok) throw new Error('it was taken');
    expect(here.problems[0]?.message).toMatch(/^is this node itself/);
  });

  it('takes a user and a password, and secrets from variables', () => {
    const keys = `    user: root@pam\n    password: $\{PW} x\n`;
    expect(nodeOf(keys, { PW: 'two words' })?.credentials).toEqual({
      kind: 'password',
      user: 'root@pam',
      password: 'two words x',
    });
  });

  it.each([
    ['    ca_file: /etc/a.pem\n', { kind: 'file', path: '/etc/a.pem' }],
    [`    fingerprint: ${PRINT}\n`, { kind: 'fingerprint', sha256: PRINT.toUpperCase() }],
    ['    verify_tls: False\n', { kind: 'none' }],
    ['    verify_tls: True\n', { kind: 'usual' }],
  ])('trusts by %j', (keys, trust) => {
    expect(nodeOf(LOGIN + keys)?.trust).toEqual(trust);
  });

  it('says what it means to check no certificate, and where a secret stands', () => {
    const keys = `NODES:\n  lab:\n    host: 10.0.0.1\n${LOGIN}    verify_tls: no\n`;
    const { notes, secretAt } = loaded(keys);
    expect(notes.map(renderProblem)).toEqual([
      expect.stringMatching(/^f.yaml:6: verify_tls: whoever is between .* ca_file or fingerprint/),
    ]);
    expect(secretAt).toEqual({ line: 5, key: 'token_secret' });
  });

  it('names no node twice, in whatever words', () => {
    const node = (name: string, more: string) => `  ${name}:\n    host: ${more}\n${LOGIN}`;
    const problems = (...nodes: readonly string[]): readonly string[] => {
      const result = parseConfig(`NODES:\n${nodes.join('')}`, 'f.yaml', {});
      return result.ok ? [] : result.problems.map(renderProblem);
    };
    const first = node('lab', 'lab.example');
    expect(problems(first, node('two', 'LAB.example\n    port: 8006\n    node: Lab'))).toEqual([
      'f.yaml:6: two: is the same node as lab (line 2); remove one of the two',
    ]);
    // Another node of the same cluster, and another cluster behind another port.
    expect(problems(first, node('two', 'lab.example'))).toEqual([]);
    expect(problems(first, node('two', 'lab.example\n    port: 443\n    node: lab'))).toEqual([]);
  });

  it('has one entry for a host that is reached by SSH, whatever it is called', () => {
    const node = (name: string, keys: string) => `  ${name}: {connection: ssh, host: ${keys}}\n`;
    const problems = (keys: string): readonly string[] => {
      const nodes = node('old', 'old.example') + node('two', keys);
      const result = parseConfig(`NODES:\n${nodes}`, 'f.yaml', {});
      return result.ok ? [] : result.problems.map(renderProblem);
    };
    const refused = ['f.yaml:3: two: is the same node as old (line 2); remove one of the two'];
    expect(problems('OLD.example')).toEqual(refused);
    expect(problems('old.example, port: 22, node: pve7, user: me')).toEqual(refused);
    // What a host in between calls so may be another one.
    for (const other of ['old.example, port: 23', 'old.example, jump: b', 'new.example']) {
      expect(problems(other)).toEqual([]);
    }
  });

  it('has a node that is reached by SSH, as root if nobody else is named', () => {
    const one = (keys: string) =>
      loaded(`NODES: {old: {connection: ssh, host: old.example${keys}}}`).config.nodes[0];
    const usual = { connection: 'ssh', name: 'old', host: 'old.example', port: 22, user: 'root' };
    expect(one('')).toEqual({ ...usual });
    const keys = ', port: 2222, user: me, node: pve3, identity_file: /k, known_hosts: /h';
    expect(one(`${keys}, jump: 'a@b:23'`)).toEqual({
      ...usual,
      port: 2222,
      user: 'me',
      node: 'pve3',
      alias: 'pve3',
      identityFile: '/k',
      knownHosts: '/h',
      jump: 'a@b:23',
    });
  });

  it('keeps the keys of the two connections apart', () => {
    const problems = (keys: string): readonly string[] => {
      const result = parseConfig(`NODES:\n  old:\n    host: h\n${keys}`, 'f.yaml', {});
      return result.ok ? [] : result.problems.map(renderProblem);
    };
    expect(problems('    connection: ssh\n    user: root@pam\n')).toEqual([
      'f.yaml:5: user: has no realm with ssh: root',
    ]);
    expect(problems('    connection: ssh\n    password: x\n')).toEqual([
      'f.yaml:5: password: is for nodes that are reached by the API; remove it',
    ]);
    expect(problems(`${LOGIN}    jump: h\n`)).toEqual([
      'f.yaml:6: jump: is for nodes that are reached by SSH; remove it',
    ]);
    expect(problems('    user: root\n    password: x\n')).toEqual([
      'f.yaml:4: user: needs its realm: root@pam',
    ]);
    expect(problems('    connection: ssh\n    jump: -oProxyCommand=x\n')).toHaveLength(1);
    expect(problems('    connection: ssh\n    user: -x\n')).toHaveLength(1);
  });

  it('says whether memory may shrink unproven, where no tier says it', () => {
    const text = `DEFAULT:
  memory_shrink: proven
TIER_DB:
  lxc_containers: [101]
  memory_shrink: proven
TIER_WEB:
  lxc_containers: [102]
NODES:
  lab:
    host: h
    memory_shrink: unproven
${LOGIN}  two:
    host: i
${LOGIN}`;
    const { config } = loaded(text);
    const said = (node: string) => {
      const { defaults, tiers } = onNode(config, node);
      return [defaults, ...tiers.map(({ policy }) => policy)].map(({ memory }) => memory.unproven);
    };
    expect(said('lab')).toEqual([true, false, true]);
    expect(said('two')).toEqual([undefined, false, undefined]);
    const all = loaded(text.replace('memory_shrink: proven', 'memory_shrink: unproven'));
    expect(onNode(all.config, 'two').defaults.memory.unproven).toBe(true);
    const ssh = 'NODES: {a: {host: h, connection: ssh, memory_shrink: unproven}}';
    const result = parseConfig(ssh, 'f.yaml', {});
    expect(result.ok ? '' : result.problems.map(renderProblem).join()).toContain(
      'memory_shrink: is for nodes that are reached by the API',
    );
  });

  it('has secrets that no log may hold', () => {
    const { config } = loaded(`NODES: {a: {host: h, user: a@b, password: hush1}}`);
    expect(secretsOf(config)).toEqual(['hush1']);
  });
});

describe('a node with two connections', () => {
  const both = (keys: string, order = '[api, ssh]') =>
    loaded(`NODES:\n  lab:\n    host: lab.example\n    connection: ${order}\n${keys}`).config
      .nodes[0];
  const wrong = (keys: string, order = '[api, ssh]') => {
    const text = `NODES:\n  lab:\n    host: lab.example\n    connection: ${order}\n${keys}`;
    const result = parseConfig(text, 'f.yaml', {});
    return result.ok ? [] : result.problems.map(renderProblem);
  };

  it('has both in the order of the list, each with its own port, and the same node', () => {
    const keys = `${LOGIN}    identity_file: /etc/key\n    ssh_port: 2222\n    port: 443\n`;
    const api = { connection: 'api', node: 'lab', port: 443 };
    const ssh = { connection: 'ssh', node: 'lab', port: 2222, user: 'root', jump: undefined };
    expect(both(keys)).toMatchObject({ ...api, instead: ssh });
    expect(both(keys, 'ssh, api')).toMatchObject({ ...ssh, instead: api });
    expect(both(`${LOGIN}    node: pve7\n`)).toMatchObject({
      node: 'pve7',
      port: 8006,
      instead: { node: 'pve7', port: 22 },
    });
  });

  it('has the user of the one that it fits', () => {
    const credentials = { kind: 'password', user: 'root@pam' };
    expect(both('    user: root@pam\n    password: hush\n')).toMatchObject({
      credentials,
      instead: { user: 'root' },
    });
    expect(both(`${LOGIN}    user: scaler\n`)).toMatchObject({ instead: { user: 'scaler' } });
  });

  it('keeps the secret and the policy of the API, whichever comes first', () => {
    const text = `NODES:\n  lab:\n    host: a\n    connection: [ssh, api]\n${LOGIN}`;
    const { config } = loaded(`${text}    memory_shrink: unproven\n`);
    expect(secretsOf(config)).toContain('hush');
    expect(onNode(config, 'lab').defaults.memory.unproven).toBe(true);
  });

  it.each([
    [LOGIN, '[api, local]', /f\.yaml:4: connection: local goes with no other connection/],
    [LOGIN, '[api, telnet]', /f\.yaml:4: connection: 'telnet' is not known; allowed: one or more/],
    [`${LOGIN}    node: '*'\n`, '[api, ssh]', /f\.yaml:7: node: is \*, and by SSH one node is/],
    ['', '[api, ssh]', /lab: has no login/],
    ['    user: root\n    password: x\n', '[ssh, api]', /password: needs user beside it/],
    [`${LOGIN}    ssh_port: 22\n`, 'api', /ssh_port: is for nodes that are reached by SSH/],
    ['    ssh_port: 22\n', 'ssh', /ssh_port: is for two connections; write it as `port`/],
  ])('%j with %s is told', (keys, order, message) => {
    expect(wrong(keys, order).join('\n')).toMatch(message);
  });

  it('is the same node as another entry that one of them leads to', () => {
    const text =
      `NODES:\n  lab:\n    host: lab.example\n    connection: [api, ssh]\n${LOGIN}` +
      '  two:\n    host: lab.example\n    connection: ssh\n';
    const result = parseConfig(text, 'f.yaml', {});
    expect(result.ok ? [] : result.problems.map(renderProblem)).toEqual([
      expect.stringMatching(/two: is the same node as lab \(line 2\)/),
    ]);
  });
});

it('a group that lists guests of another node is told to be looked after there only', () => {
  const group = `HORIZONTAL_SCALING_GROUP_web:
  base_snapshot_name: 101
  min_instances: 1
  max_instances: 2
  starting_clone_id: 900
  clone_network_type: dhcp
  horiz_cpu_upper_threshold: 80
  horiz_memory_upper_threshold: 80
  lxc_containers: [pve7/102, 103]
`;
  const text = `NODES:\n  lab:\n    host: a\n    node: pve7\n${LOGIN}${group}`;
  const self = () => ({ name: 'pve1', hosts: new Set<string>(), cluster: [] });
  const result = parseConfig(text, 'f.yaml', {}, self);
  expect(result.ok ? result.notes.map(renderProblem) : result.problems).toEqual([
    'f.yaml:15: lxc_containers: names guests of pve7, and the group is on the node that the ' +
      'program runs on; write `node` if it is on another one',
  ]);
});

it('a node that may still be found may be named, and is remarked on', () => {
  const self = () => ({ name: 'pve1', hosts: new Set<string>(), cluster: [] });
  const text = (more: string) =>
    `DEFAULT: {ignore_lxc: [pve9/101]}\nNODES:\n  lab:\n    host: a\n${LOGIN}${more}`;
  const told = (more: string) => {
    const result = parseConfig(text(more), 'f.yaml', {}, self);
    return (result.ok ? result.notes : result.problems).map(renderProblem);
  };
  expect(told('')).toEqual([expect.stringContaining('names a node that is not known; allowed')]);
  expect(parseConfig(text('    discover: True\n'), 'f.yaml', {}, self).ok).toBe(true);
  expect(told('    discover: True\n')).toEqual([
    expect.stringMatching(
      /^f\.yaml:1: ignore_lxc: 'pve9\/101' names .* no guest until it is found/,
    ),
  ]);
});
