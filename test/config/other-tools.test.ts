import { describe, expect, it } from 'vitest';
import { withFound } from '../../src/config/found-nodes.ts';
import { parseConfig } from '../../src/config/load.ts';
import { migrate } from '../../src/config/migrate.ts';
import type { Migrated, Whereabouts } from '../../src/config/migrated.ts';
import type { Config } from '../../src/config/model.ts';
import { onNode } from '../../src/config/on-node.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { manage } from '../../src/config/resolve.ts';
import { milliseconds } from '../../src/core/units.ts';
import { vmid } from '../core/builders.ts';
import {
  API_MINIMAL,
  API_WHOLE,
  HUSH,
  MACHINES_SSH,
  MACHINES_TOKEN,
  MACHINES_WHOLE,
  PYTHON_ADVANCED,
  PYTHON_BASIC,
  PYTHON_HERE,
  PYTHON_SSH,
} from './foreign-examples.ts';

/** Files of other tools: the same to the same guests, and nothing to others. */

const SELF = { name: 'box', hosts: new Set(['localhost', '192.0.2.1']), cluster: [] };
const OFF: Whereabouts = { self: SELF, nodes: [] };
const ON_IT = (address: string, name: string, cluster: readonly string[] = []): Whereabouts => ({
  self: { name, hosts: new Set(['localhost', address]), cluster },
  nodes: [],
});
const SET = {
  PVE_TOKEN_SECRET: 's',
  PVE_MY_CLUSTER_PASSWORD: 's',
  PROXMOX_HOST1_API_PASSWORD: 's',
  PROXMOX_HOST1_API_TOKEN_ID: 'a@pve!b',
  PROXMOX_HOST1_API_TOKEN_SECRET: 's',
  SMTP_PASSWORD: 's',
  GOTIFY_TOKEN: 's',
};

type Done = Migrated & { readonly ok: true };

/** Without any variable set: what is not known yet is no reason to refuse. */
function done(text: string, where: Whereabouts = OFF): Done {
  const result = migrate(text, 'old.yaml', {}, where);
  if (!result.ok) throw new Error(`${result.line}: ${result.message}`);
  const report = result.lines.map(({ why }) => why).join('\n');
  expect(`${result.text}${report}`).not.toContain(HUSH);
  return result;
}

function refused(text: string, where: Whereabouts = OFF): string {
  const result = migrate(text, 'old.yaml', {}, where);
  if (result.ok) throw new Error(result.text);
  expect(result.message).not.toContain(HUSH);
  expect(result.message).toMatch(/migrate again/);
  return `${result.line}: ${result.message}`;
}

function load({ text }: Done, { self }: Whereabouts = OFF): { config: Config; notes: string[] } {
  const loaded = parseConfig(text, 'new.yaml', SET, self && (() => self));
  if (!loaded.ok) throw new Error(`${loaded.problems.map(renderProblem).join('\n')}\n${text}`);
  return { config: loaded.config, notes: loaded.notes.map(renderProblem) };
}

const IDS = [100, 101, 102, 103, 104, 105, 201, 202, 203];

/** `ct101 TIER_101` of all that would be changed on a node, whatever tags it has. */
function managedOn(config: Config, node: string): string[] {
  const here = onNode(config, node);
  const tags = ['autoscale', 'autoscale-tier-web'];
  return [undefined, 'qemu' as const].flatMap((kind) =>
    IDS.flatMap((id) => {
      const named = { vmid: vmid(id), name: `guest${id}`, tags, ...(kind && { kind }) };
      const found = manage(here, named);
      if (found.kind === 'ignored') return [];
      const { source, only } = found.policy;
      const what = `${kind === undefined ? 'ct' : 'vm'}${id} ${source}`;
      return [only === undefined ? what : `${what} ${only}`];
    }),
  );
}

const why = ({ lines }: Done, key: string) => {
  const found = lines.find((line) => line.key === key);
  return `${found?.verdict}: ${found?.why}`;
};

describe('lxc-autoscaler', () => {
  it('has its containers on the one node of its host, and none here', () => {
    const { config } = load(done(API_MINIMAL));
    expect(config.nodes).toMatchObject([
      {
        connection: 'api',
        name: 'proxmox',
        node: undefined,
        host: '192.0.2.90',
        port: 8006,
        credentials: { kind: 'token', id: 'root@pam!lxc_autoscaler', secret: 's' },
      },
    ]);
    expect(managedOn(config, 'proxmox')).toEqual(['ct101 TIER_101', 'ct102 TIER_102']);
    expect(managedOn(config, 'box')).toEqual([]);
    expect(config.pollIntervalMs).toBe(60_000);
  });

  it('keeps to the most and the steps of that tool where its file leaves them out', () => {
    const text = API_MINIMAL.replace('- vmid: 101', '- vmid: 101\n    limits: {max_cpu_cores: 2}');
    for (const { policy } of load(done(text)).config.tiers) {
      const memory = { maxMib: 8192, minMib: 512, minIncrementMib: 256 };
      expect(policy).toMatchObject({ memory });
    }
  });

  it('has them on the nodes that are named, wherever they are', () => {
    const { config } = load(done(API_MINIMAL, { ...OFF, nodes: ['pve1', 'pve2'] }));
    expect(config.nodes.map(({ name, node }) => [name, node])).toEqual([
      ['pve1', 'pve1'],
      ['pve2', 'pve2'],
    ]);
    expect(managedOn(config, 'pve2')).toEqual(['ct101 TIER_101', 'ct102 TIER_102']);
    expect(managedOn(config, 'box')).toEqual([]);
  });

  it('has them here, if this is its host', () => {
    const here = ON_IT('192.0.2.90', 'pve7');
    const { config } = load(done(API_MINIMAL, here), here);
    expect(config.nodes).toEqual([]);
    expect(managedOn(config, 'pve7')).toEqual(['ct101 TIER_101', 'ct102 TIER_102']);
    expect(managedOn(config, 'pve8')).toEqual([]);
  });

  it('has them on all nodes of the cluster, if this is one of it', () => {
    const here = ON_IT('192.0.2.90', 'pve7', ['pve8']);
    const { config } = load(done(API_MINIMAL, here), here);
    expect(config.nodes.map(({ name }) => name)).toEqual(['pve8']);
    for (const node of ['pve7', 'pve8']) {
      expect(managedOn(config, node)).toEqual(['ct101 TIER_101', 'ct102 TIER_102']);
    }
  });

  it('has its values, and every key of it is accounted for', () => {
    const result = done(API_WHOLE);
    const { config } = load(result);
    expect(managedOn(config, 'proxmox')).toEqual(['ct101 TIER_101']);
    const [tier] = config.tiers;
    expect(tier?.policy).toMatchObject({
      cpu: { band: { lower: 0.3, upper: 0.8 }, min: 1, max: 6, minIncrement: 1, maxIncrement: 1 },
      memory: {
        band: { lower: 0.4, upper: 0.85 },
        minMib: 512,
        maxMib: 8192,
        minIncrementMib: 512,
      },
      timing: { cooldownUpMs: 300_000, cooldownDownMs: 300_000, periodsUp: 3, periodsDown: 3 },
      scaling: 'threshold',
    });
    expect(config.host).toMatchObject({ mostCpu: 0.95, mostMemory: 0.9, emergency: 0.98 });
    const said = new Set(result.lines.map(({ line }) => line));
    const keys = API_WHOLE.split('\n').flatMap((text, at) => (/:\s*\S/.test(text) ? [at + 1] : []));
    expect(keys.filter((line) => !said.has(line))).toEqual([]);
    expect(why(result, 'proxmox.token_value')).toMatch(/set PVE_TOKEN_SECRET in/);
    expect(why(result, 'proxmox.password')).toMatch(/^dropped: the token counts/);
  });

  it('only observes where it was a dry run, and logs in with a password where it did', () => {
    const dry = API_WHOLE.replace('dry_run: false', 'dry_run: true').replace(/ {2}token_.*\n/g, '');
    const result = done(dry.replace('verify_ssl: true', 'verify_ssl: no'));
    expect(result.text).toContain('$' + '{PVE_PASSWORD}');
    const loaded = parseConfig(result.text, 'f', { PVE_PASSWORD: 'p' });
    if (!loaded.ok) throw new Error('it does not load');
    const [node] = loaded.config.nodes;
    expect(node).toMatchObject({ credentials: { user: 'root@pam' }, trust: { kind: 'none' } });
    expect(loaded.config.tiers[0]?.policy.scaling).toBe('observe');
  });

  it.each<[string, (text: string) => string, RegExp]>([
    ['no host', (text) => text.replace(/ {2}host.*\n/, ''), /^1: proxmox\.host is missing/],
    [
      'no login',
      (text) => text.replace(/ {2}token_.*\n/g, ''),
      /^1: proxmox\.user is no whole login/,
    ],
    ['no connection', (text) => text.replace(/^proxmox:[\s\S]*\n\n/, ''), /^1: proxmox is missing/],
    ['no container', (text) => text.replace(/^containers:[\s\S]*/m, ''), /containers lists no/],
    [
      'none enabled',
      (text) => text.replaceAll('enabled: true', 'enabled: no'),
      /containers lists no/,
    ],
    [
      'an id twice',
      (text) => text.replace('102', '101'),
      /^10: containers\[2\]\.vmid names 101 a second/,
    ],
    ['no id', (text) => text.replace('102', 'web'), /^10: containers\[2\]\.vmid is no id/],
    [
      'a switch of another kind',
      (text) => text.replace('true', 'maybe'),
      /^9: .*enabled is neither/,
    ],
    [
      'an unknown key',
      (text) => `${text}    only_nodes: [pve1]\n`,
      /^12: containers\[2\]\.only_nodes is a key/,
    ],
    [
      'an unknown section',
      (text) => `${text}exclude:\n  - 101\n`,
      /^12: exclude is a key that is not known/,
    ],
    [
      'a value beyond',
      (text) => `${text}global:\n  monitoring_interval: 0\n`,
      /^13: .*allowed: a whole/,
    ],
    ['thresholds that cross', crossed, /^14: cannot be taken as it is: cpu_lower_threshold/],
    ['two faults, of which one is told', (text) => `${text}a: 1\nb: 2\n`, /^12: a .* \(and 1 more/],
  ])('is refused as a whole with %s', (_what, change, message) => {
    expect(refused(change(API_MINIMAL))).toMatch(message);
  });
});

function crossed(text: string): string {
  return `${text}    thresholds:\n      cpu_scale_up: 40\n      cpu_scale_down: 50\n`;
}

describe('Proxmox VM Autoscale', () => {
  it('has its machines on their hosts, says what is not scaled of them, and none here', () => {
    const result = done(MACHINES_WHOLE);
    const { config, notes } = load(result);
    expect(config.nodes).toMatchObject([
      {
        name: 'host1',
        node: 'pve1',
        host: '192.0.2.10',
        trust: { kind: 'file', path: '/etc/ssl/own-ca.crt' },
        credentials: { kind: 'password', user: 'root@pam' },
      },
      { name: 'my-cluster', node: undefined, host: '192.0.2.20', trust: { kind: 'none' } },
    ]);
    expect(managedOn(config, 'host1')).toEqual(['vm201 TIER_vms']);
    expect(managedOn(config, 'my-cluster')).toEqual(['vm202 TIER_vms_cpu cores']);
    expect(managedOn(config, 'box')).toEqual([]);
    expect(config).toMatchObject({ pollIntervalMs: 120_000, logLevel: 'error' });
    expect(config.host).toMatchObject({ mostCpu: 0.9, mostMemory: 0.85 });
    expect(config.notify).toMatchObject({
      gotify: { url: 'https://gotify.example.com', token: 's', priority: 5 },
      email: { server: 'smtp.example.com', to: ['admin@example.com'], from: 'admin@example.com' },
    });
    expect(config.tiers[0]?.policy).toMatchObject({
      cpu: { band: { lower: 0.2, upper: 0.8 }, min: 1, max: 8, maxIncrement: 1 },
      memory: { band: { lower: 0.25, upper: 0.85 }, minMib: 1024, maxMib: 16_384 },
      timing: { cooldownUpMs: 240_000, cooldownDownMs: 240_000 },
    });
    expect(why(result, 'virtual_machines: 201')).toMatch(
      /^not supported: by the API its memory never/,
    );
    expect(
      notes.filter((note) => /virtual_machines: memory of those of host1 hardly/.test(note)),
    ).toEqual([expect.anything()]);
  });

  it('keeps the names of its variables, and scales its machines on their own node', () => {
    const here = ON_IT('192.0.2.10', 'pve');
    const off = done(MACHINES_TOKEN);
    expect(off.text).toContain("token_secret: '$" + "{PROXMOX_HOST1_API_TOKEN_SECRET}'");
    const result = done(MACHINES_TOKEN, here);
    const { config, notes } = load(result, here);
    expect(config.nodes).toEqual([]);
    expect(managedOn(config, 'pve')).toEqual(['vm201 TIER_vms']);
    expect(why(result, 'virtual_machines: 201')).toBe('undefined: undefined');
    expect(notes).toEqual([]);
  });

  it('finds the other nodes of its cluster, if one of them is named', () => {
    const all = MACHINES_TOKEN.replace('auto_discover_nodes: false', 'auto_discover_nodes: true');
    const at = { name: 'pve9', by: 'proxmox-01', seenMs: milliseconds(0) };
    const key = 'proxmox_hosts[1].auto_discover_nodes';
    const away: Whereabouts = { self: undefined, nodes: [] };
    const result = done(all, away);
    const found = withFound(load(result, away).config, [at], '');
    expect(found.nodes).toMatchObject([{ node: 'pve', discovers: true }, { name: 'pve9' }]);
    for (const node of ['proxmox-01', 'pve9']) {
      expect(managedOn(found, node)).toEqual(['vm201 TIER_vms']);
    }
    expect(why(result, key)).toBe('converted: now discover: True');
    // Ids of this node are those of other guests.
    const beside = done(all);
    const { config } = load(beside);
    expect(managedOn(config, 'box')).toEqual([]);
    expect(managedOn(config, 'proxmox-01')).toEqual(['vm201 TIER_vms']);
    expect(why(beside, key)).toMatch(
      /^converted: now discover: True; for guests of a node that it/,
    );
    const unnamed = done(all.replace('    node_name: pve\n', ''));
    expect(load(unnamed).config.nodes).toMatchObject([{ node: undefined }]);
    expect(unnamed.text).not.toContain('discover:');
    expect(why(unnamed, key)).toMatch(/^converted: name a node of it by --node/);
    const named = load(done(all, { ...OFF, nodes: ['pve1', 'pve2'] })).config;
    expect(named.nodes.map(({ name, discovers }) => [name, discovers])).toEqual([
      ['pve1', true],
      ['pve2', undefined],
    ]);
  });

  it('reaches another node of the cluster through this one', () => {
    const here = ON_IT('192.0.2.10', 'pve9', ['pve']);
    const { config } = load(done(MACHINES_TOKEN, here), here);
    expect(config.nodes).toMatchObject([{ name: 'proxmox-01', node: 'pve', host: '192.0.2.10' }]);
  });

  it('by SSH has its key, and says that a password is none', () => {
    const result = done(MACHINES_SSH);
    const { config } = load(result);
    expect(config.nodes).toMatchObject([
      {
        connection: 'ssh',
        name: 'host1',
        host: '192.0.2.10',
        user: 'root',
        identityFile: '/etc/keys/id_rsa',
      },
    ]);
    expect(managedOn(config, 'host1')).toEqual(['vm201 TIER_vms']);
    expect(managedOn(config, 'box')).toEqual([]);
    expect(config.notify).toMatchObject({ email: undefined, gotify: undefined });
    expect(why(result, 'proxmox_hosts[1].ssh_password')).toMatch(/^not supported: .*make a key/);
  });

  it.each([
    ['scaling_enabled', 'lists no virtual machine that is scaled'],
    ['cpu_scaling', 'vm201 TIER_vms_memory memory'],
    ['ram_scaling', 'vm201 TIER_vms_cpu cores'],
  ])('by SSH does not scale what %s is left out or empty for', (flag, expected) => {
    const line = new RegExp(`( +${flag}:) true\\n`);
    for (const text of [MACHINES_SSH.replace(line, ''), MACHINES_SSH.replace(line, '$1\n')]) {
      expect(text).not.toBe(MACHINES_SSH);
      const migrated = migrate(text, 'old.yaml', {}, OFF);
      const found = migrated.ok
        ? managedOn(load(done(text)).config, 'host1').join()
        : migrated.message;
      expect(found).toContain(expected);
    }
  });

  it.each([
    `https://u:${HUSH}@gotify.example.com`,
    `https://gotify.example.com/message?token=${HUSH}`,
    `https://gotify.example.com/#${HUSH}`,
  ])('is refused with the secret in the address %s', (url) => {
    const said = refused(MACHINES_WHOLE.replace('https://gotify.example.com', url));
    expect(said).toMatch(/^71: gotify\.server_url has a login or a token in it/);
  });

  it('is refused without telling what stands where a switch is expected', () => {
    const said = refused(MACHINES_TOKEN.replace('verify_ssl: true', `verify_ssl: ${HUSH}`));
    expect(said).toMatch(/^7: proxmox_hosts\[1\]\.verify_ssl is neither true nor false; mend/);
  });

  it('has a variable of its own for each secret, however alike its hosts are called', () => {
    const host = (name: string, at: number) =>
      `  - {name: ${name}, host: 192.0.2.2${at}, api_username: a@pam, api_password: ${HUSH}}\n`;
    const machine = (name: string) =>
      `  - {vm_id: 201, proxmox_host: ${name}, scaling_enabled: true}\n`;
    const names = ['pve-1', 'pve_1', 'PVE-1', 'pve-1-2'];
    const hosts = `proxmox_hosts:\n${names.map(host).join('')}`;
    const machines = `virtual_machines:\n${names.map(machine).join('')}`;
    const rest = MACHINES_TOKEN.replace(/^[\s\S]*\n(?=scaling_thresholds)/, '');
    const { text } = done(`${hosts}${machines}${rest}`);
    const used = [...text.matchAll(/password: \S*\{(\w+)\}/g)].map(([, name]) => name);
    expect(new Set(used).size).toBe(names.length);
    for (const name of used) expect(text).toMatch(new RegExp(`# Set ${name} in`));
  });

  it('by the API scales what no flag says otherwise for', () => {
    const text = MACHINES_TOKEN.replace(/ +(?:scaling_enabled|cpu_scaling|ram_scaling).*\n/g, '');
    expect(managedOn(load(done(text)).config, 'proxmox-01')).toEqual(['vm201 TIER_vms']);
  });

  it.each<[string, (text: string) => string, RegExp]>([
    [
      'a host that is none',
      (text) => text.replace('host: proxmox-01', 'host: pve9'),
      /names no host/,
    ],
    ['no machine', (text) => text.replace('enabled: true', 'enabled: false'), /lists no virtual/],
    [
      'no limits',
      (text) => text.replace(/^scaling_limits[\s\S]*/m, ''),
      /scaling_limits is missing/,
    ],
    [
      'no login',
      (text) => text.replace(/.*token_secret.*\n/, ''),
      /api_token_id is no whole login/,
    ],
    ['an unknown key', (text) => `${text}dry_run: true\n`, /: dry_run is a key that is not known/],
    [
      'the host twice',
      (text) => text.replace('virtual_m', `${HOST_AGAIN}virtual_m`),
      /name stands/,
    ],
    [
      'the key twice',
      (text) => text.replace('    verify', '    host: a\n    verify'),
      /host stands/,
    ],
  ])('is refused as a whole with %s', (_what, change, message) => {
    expect(refused(change(MACHINES_TOKEN))).toMatch(message);
  });
});

const HOST_AGAIN = `  - name: proxmox-01
    host: 192.0.2.99
    api_username: a@pve
    api_password: b

`;

describe('the Python daemon, for another node', () => {
  it('by the API has all containers of that node, with its tiers, and none here', () => {
    const result = done(PYTHON_ADVANCED);
    const { config } = load(result);
    expect(config.nodes).toMatchObject([
      {
        connection: 'api',
        name: 'pve-node1',
        node: 'pve-node1',
        host: 'pve.example.com',
        credentials: { kind: 'token', id: 'autoscale@pve!autoscale-token' },
      },
    ]);
    expect(managedOn(config, 'pve-node1')).toEqual([
      'ct100 TIER_all_others',
      'ct101 TIER_web',
      'ct102 TIER_web',
      'ct103 TIER_all_others',
      ...['ct105', 'ct201', 'ct202', 'ct203'].map((one) => `${one} TIER_all_others`),
    ]);
    expect(managedOn(config, 'box')).toEqual([]);
    expect(config.groups).toEqual([]);
    expect(why(result, 'HORIZONTAL_SCALING_GROUP_1')).toMatch(/^not supported: groups/);
    expect(why(result, 'DEFAULTS.proxmox_api_token_value')).toMatch(/set PVE_TOKEN_SECRET in/);
  });

  it('by the API without a node has the only one there', () => {
    const { config } = load(done(PYTHON_BASIC));
    expect(config.nodes).toMatchObject([{ name: 'proxmox', node: undefined, host: '192.0.2.100' }]);
    expect(managedOn(config, 'proxmox')).toHaveLength(IDS.length);
    expect(managedOn(config, 'box')).toEqual([]);
  });

  it('by the API with a password has that, and not the way by SSH', () => {
    const user = PYTHON_BASIC.replace(/ {2}.*token_name.*\n/, '').replace(
      'token_value',
      'password',
    );
    const result = done(`${user}  use_remote_proxmox: true\n  proxmox_host: 192.0.2.100\n`);
    const loaded = parseConfig(result.text, 'f', { PVE_PASSWORD: 'p' });
    if (!loaded.ok) throw new Error('it does not load');
    expect(loaded.config.nodes).toMatchObject([
      { connection: 'api', credentials: { kind: 'password', user: 'root@pam', password: 'p' } },
    ]);
    expect(why(result, 'DEFAULTS.proxmox_host')).toMatch(/^dropped: the API is used/);
  });

  it.each<[string, string, readonly string[]]>([
    ['first of two', `${PYTHON_BASIC}DEFAULTS:\n  poll_interval: 60\n`, []],
    ['second of two', `DEFAULTS:\n  poll_interval: 60\n${PYTHON_BASIC}`, ['192.0.2.100']],
    ['one that DEFAULT overrules', `DEFAULT:\n  use_proxmox_api: no\n${PYTHON_BASIC}`, []],
    [
      'one whose host DEFAULT overrules',
      `DEFAULT:\n  proxmox_api_host: 192.0.2.7\n${PYTHON_BASIC}`,
      ['192.0.2.7'],
    ],
  ])('is where the keys that count say, with the node in the %s', (_what, text, hosts) => {
    const { config } = load(done(text));
    expect(config.nodes.map((node) => node.host)).toEqual(hosts);
    expect(managedOn(config, 'box').length > 0).toBe(hosts.length === 0);
  });

  it.each([
    ['left out', ''],
    ['empty', '  use_remote_proxmox:\n'],
    ['off', '  use_remote_proxmox: false\n'],
  ])('is here if the switch for SSH is %s, whatever host stands there', (_what, line) => {
    const { config } = load(done(PYTHON_SSH.replace('  use_remote_proxmox: true\n', line)));
    expect(config.nodes).toEqual([]);
    expect(managedOn(config, 'box')).toHaveLength(2 * (IDS.length - 1));
  });

  it('by SSH has it by SSH', () => {
    const result = done(PYTHON_SSH);
    const { config } = load(result);
    expect(config.nodes).toMatchObject([
      {
        connection: 'ssh',
        name: 'pve3',
        host: 'pve3.example.com',
        port: 2222,
        user: 'root',
        identityFile: '/etc/keys/id_ed25519',
      },
    ]);
    expect(managedOn(config, 'pve3')).toHaveLength(IDS.length - 1);
    expect(managedOn(config, 'box')).toEqual([]);
    expect(why(result, 'DEFAULT.ssh_password')).toMatch(/^not supported: .*make a key/);
  });

  it.each([
    ['localhost', OFF],
    ['192.0.2.1', OFF],
  ])('has all containers of this node, if %s is that', (host, where) => {
    const result = done(PYTHON_HERE.replace('localhost', host), where);
    const { config } = load(result);
    expect(config.nodes).toEqual([]);
    expect(managedOn(config, 'box')).toHaveLength(2 * IDS.length);
    expect(why(result, 'DEFAULTS.proxmox_api_token_value')).toMatch(/^dropped: /);
  });

  it('is elsewhere behind a tunnel, whose port is another one', () => {
    const { config } = load(done(PYTHON_HERE.replace('localhost', 'localhost:18006')));
    expect(config.nodes).toMatchObject([{ name: 'proxmox', host: 'localhost', port: 18_006 }]);
    expect(managedOn(config, 'box')).toEqual([]);
    const ssh = PYTHON_SSH.replace('pve3.example.com', 'localhost');
    expect(load(done(ssh)).config.nodes).toMatchObject([{ host: 'localhost', port: 2222 }]);
    const api = API_MINIMAL.replace('192.0.2.90"', '127.0.0.1"\n  port: 18006');
    expect(load(done(api)).config.nodes).toMatchObject([{ host: '127.0.0.1', port: 18_006 }]);
  });

  it.each<[string, string, object]>([
    [
      'by lxc-autoscaler',
      API_MINIMAL.replace('192.0.2.90', '192.0.2.90:18006'),
      { host: '192.0.2.90', port: 18_006 },
    ],
    [
      'as IPv6 by lxc-autoscaler',
      API_MINIMAL.replace('192.0.2.90', '[2001:db8::9]:443'),
      { host: '2001:db8::9', port: 443 },
    ],
    [
      'by VM Autoscale',
      MACHINES_SSH.replace('192.0.2.10\n    ssh_port: 22', '192.0.2.10:2222'),
      { host: '192.0.2.10', port: 2222 },
    ],
    [
      'by SSH',
      PYTHON_SSH.replace('example.com', 'example.com:2222').replace(/ +ssh_port.*\n/, ''),
      { name: 'pve3', host: 'pve3.example.com', port: 2222 },
    ],
  ])('has the host and the port that stand as one, %s', (_what, text, node) => {
    expect(load(done(text)).config.nodes).toMatchObject([node]);
  });

  it('is this node behind its usual port, if that stands behind its address', () => {
    const { config } = load(done(API_MINIMAL.replace('192.0.2.90', '192.0.2.1:8006')));
    expect(config.nodes).toEqual([]);
  });

  it.each([
    API_MINIMAL.replace('192.0.2.90"', '192.0.2.90:443"\n  port: 8006'),
    PYTHON_SSH.replace('example.com', 'example.com:22'),
    PYTHON_BASIC.replace('192.0.2.100"', 'https://192.0.2.100:443/"\n  proxmox_api_port: 8006'),
    PYTHON_BASIC.replace('192.0.2.100"', '[2001:db8::1]:443"\n  proxmox_api_port: 8006'),
  ])('is refused with two ports for one host', (text) => {
    expect(refused(text)).toMatch(
      /^[235]: its host names port \d+, and beside it stands \d+; mend/,
    );
  });

  it('is refused with a host that a variable names which is not set', () => {
    const text = API_MINIMAL.replace('192.0.2.90', '$' + '{NO_SUCH}');
    expect(refused(text)).toMatch(/^2: its host names a variable that is not set \(--env-file/);
  });

  it('is here if the node that it names is this one', () => {
    const { config } = load(done(`${PYTHON_HERE}  proxmox_node: BOX\n`));
    expect(config.nodes).toEqual([]);
  });

  it.each([
    [
      'a manage of its own',
      `${PYTHON_BASIC}  manage: tagged\n`,
      /^7: manage stands in a file that/,
    ],
    ['NODES of its own', `${PYTHON_BASIC}NODES:\n  a: {host: b}\n`, /^8: a\.host names guests/],
    ['a host that is none', PYTHON_BASIC.replace('192.0.2.100', 'a b'), /cannot be taken over: /],
  ])('is refused with %s', (_what, text, message) => {
    expect(refused(text)).toMatch(message);
  });
});

describe('a file that lost a line, or has one twice', () => {
  const ELSEWHERE = {
    API_MINIMAL,
    API_WHOLE,
    MACHINES_TOKEN,
    MACHINES_WHOLE,
    MACHINES_SSH,
    PYTHON_BASIC,
    PYTHON_ADVANCED,
  };

  it.each(Object.entries(ELSEWHERE))(
    'changes nothing here, and tells no secret: %s',
    (_n, text) => {
      const lines = text.split('\n');
      let taken = 0;
      for (const [at, line] of lines.entries()) {
        for (const others of [[], [line, line], [`${line} x`], [`  ${line}`]]) {
          const changed = [...lines.slice(0, at), ...others, ...lines.slice(at + 1)].join('\n');
          const result = migrate(changed, 'old.yaml', {}, OFF);
          expect(JSON.stringify(result)).not.toContain(HUSH);
          if (!result.ok) continue;
          taken++;
          const loaded = parseConfig(result.text, 'f', { ...SET, PVE_PASSWORD: 's' }, () => SELF);
          if (loaded.ok) expect(managedOn(loaded.config, 'box'), changed).toEqual([]);
        }
      }
      expect(taken).toBeGreaterThan(5);
    },
  );

  it('shows no password in an address', () => {
    const within = '"http://u:hunter2-8c07-4c7a@192.0.2.9"';
    expect(refused(API_MINIMAL.replace('"192.0.2.90"', within))).toMatch(/host: the value is nei/);
    expect(refused(PYTHON_BASIC.replace('"192.0.2.100"', within))).toMatch(/taken over/);
  });

  it.each([
    ['only the switch', 'DEFAULTS:\n  use_proxmox_api: true\n', /^2: use_proxmox_api .* names no/],
    [
      'a slip beside it',
      PYTHON_HERE.replace('  use', '  pol_interval: 5\n  use'),
      /^2: holds nothing/,
    ],
  ])('is refused with %s', (_what, text, message) => {
    const result = migrate(text, 'old.yaml', {}, OFF);
    if (result.ok) throw new Error(result.text);
    expect(`${result.line}: ${result.message}`).toMatch(message);
  });
});
