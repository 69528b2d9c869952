import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LEAST_PRIVILEGES } from '../../src/node/api/privileges.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { RestServer } from '../../src/sim/rest-server.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import {
  API_MINIMAL,
  API_WHOLE,
  HUSH,
  MACHINES_ENV,
  MACHINES_SSH,
  MACHINES_TOKEN,
  MACHINES_WHOLE,
  PYTHON_ADVANCED,
  PYTHON_BASIC,
  PYTHON_HERE,
  PYTHON_SSH,
} from '../config/foreign-examples.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { SERVER_TLS } from '../notify/certificate.ts';
import { guest, HOST, hungry, NodeUnderTest } from './node-under-test.ts';

/** Files of other tools, as their owners have them: migrated, checked, and a cycle run by them. */

const OLD = '/etc/old.yaml';
const NEW = '/etc/lxc_autoscale/lxc_autoscale.yaml';

/** Everything here would grow if it were managed. */
const HERE = [101, 102, 103].map(hungry);

const open: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** A node behind its API, whose guests would all grow too. */
async function farNode(nodeName: string): Promise<RestServer> {
  const node = await SimulatedNode.create({
    root: temporaryDirectory(),
    host: HOST,
    nodeName,
    lockTimeoutMs: 50,
    guests: [101, 102, 103, 104].map((vmid) =>
      guest(vmid, { cores: 2, memoryMib: 1024 }, { cpuCores: 2, anonMib: 1000 }),
    ),
  });
  node.advance(20_000);
  const access = { '/': LEAST_PRIVILEGES };
  const tokens = ['root@pam!lxc_autoscaler', 'root@pam!autoscale', 'autoscale@pve!autoscale-token'];
  const server = await RestServer.listen({
    node,
    tls: SERVER_TLS,
    refusalMs: 5,
    accounts: { tokens: tokens.map((id) => ({ id, secret: HUSH, access })), users: [] },
  });
  open.push(async () => {
    await server.close();
    await node.close();
  });
  return server;
}

async function migrated(text: string, env = '', vms: readonly VmSpec[] = []) {
  const under = await NodeUnderTest.create(HERE, { vms });
  writeFileSync(join(under.root, OLD), text, { mode: 0o600 });
  const variables = join(under.root, 'etc/dot-env');
  writeFileSync(variables, env, { mode: 0o600 });
  const args = ['migrate-config', OLD, '--env-file', variables, '--out', NEW];
  const ended = await under.run(args);
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  const written = readFileSync(join(under.root, NEW), 'utf8');
  expect(`${ended.stdout}${written}`).not.toContain(HUSH);
  const environment = join(under.root, 'etc/lxc_autoscale/environment');
  mkdirSync(join(under.root, 'etc/lxc_autoscale'), { recursive: true });
  const needed = [...written.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => `${name}=${HUSH}\n`);
  writeFileSync(environment, needed.join('') + env, { mode: 0o600 });
  return { under, report: ended.stdout, variables };
}

/** Guests with a line about a change that would be made; `proxmox: 101` of another node. */
async function wouldChange(under: NodeUnderTest): Promise<string[]> {
  const ended = await under.run(['once', '--dry-run']);
  expect(`${ended.stdout}${ended.stderr}`).not.toContain(HUSH);
  const lines = under.log().split('\n');
  const found = lines.flatMap((line) => {
    const match = /- INFO - (?:(\S+): )?.*\bmemory for (?:container|VM) (\d+)/.exec(line);
    return match === null ? [] : [`${match[1] ?? 'here'}: ${match[2]}`];
  });
  return [...new Set(found)].sort();
}

/** The same file for a node behind a port of this host, whose certificate nobody has signed. */
const forApi = (text: string, port: number): string =>
  text
    .replace(/ {2}(?:port|verify_ssl): .*\n/g, '')
    .replace('"192.0.2.90"', `127.0.0.1\n  port: ${port}\n  verify_ssl: false`);

const forPython = (text: string, port: number): string =>
  text
    .replace(/ {2}proxmox_api_verify_ssl.*\n/, '')
    .replace(/(api_host: ).*/, `$1127.0.0.1:${port}\n  proxmox_api_verify_ssl: false`);

/** One cycle is all that there is. */
function decidingAtOnce({ root }: NodeUnderTest): void {
  const path = join(root, NEW);
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll('periods: 3', 'periods: 1'));
}

describe('a file of lxc-autoscaler', () => {
  it.each([
    ['minimal', API_MINIMAL, [101, 102]],
    ['whole', API_WHOLE, [101]],
  ])('that is %s scales its containers, and none here', async (_what, text, ids) => {
    const far = await farNode('pve9');
    const { under } = await migrated(forApi(text, far.port));
    const checked = await under.run(['check-config']);
    expect(checked.code).toBe(0);
    expect(checked.stdout).toMatch(/^proxmox +127\.0\.0\.1:\d+ +API +4 +reached$/m);
    expect(checked.stdout).toMatch(/^101 .*no tier and no group lists it/m);
    decidingAtOnce(under);
    expect(await wouldChange(under)).toEqual(ids.map((id) => `proxmox: ${id}`));
    expect(far.calls.filter(({ method }) => method !== 'GET')).toEqual([]);
    expect(under.sets()).toEqual([]);
  });
});

describe('a file of the Python daemon', () => {
  it.each([
    ['a host', PYTHON_BASIC, 'proxmox', [101, 102, 103, 104]],
    ['a node, with a tier and an ignored one', PYTHON_ADVANCED, 'pve-node1', [101, 102, 103]],
  ])('for %s scales the containers there, and none here', async (_what, text, name, ids) => {
    const far = await farNode('pve-node1');
    const { under } = await migrated(forPython(text, far.port));
    const checked = await under.run(['check-config']);
    expect(checked.code).toBe(0);
    expect(checked.stdout).toMatch(new RegExp(`^${name} .* reached$`, 'm'));
    expect(await wouldChange(under)).toEqual(ids.map((id) => `${name}: ${id}`));
    expect(far.calls.filter(({ method }) => method !== 'GET')).toEqual([]);
    expect(under.sets()).toEqual([]);
  });

  it('for this host scales the containers here', async () => {
    const { under } = await migrated(PYTHON_HERE);
    expect((await under.run(['check-config'])).code).toBe(0);
    expect(await wouldChange(under)).toEqual(['here: 101', 'here: 102', 'here: 103']);
  });
});

/** Four CPUs, of which it uses next to nothing. */
const idleMachine = (vmid: number): VmSpec => ({
  vmid,
  memoryMib: 8192,
  settings: {
    cores: 4,
    shares: 0,
    balloon: 2048,
    vcpus: 4,
    hotplug: 'network,disk,usb,cpu',
  },
  guest: { demand: () => ({ cpuCores: 0.1, anonMib: 1000, fileSetMib: 300 }) },
});

describe('a file of VM Autoscale, on the node of its machines', () => {
  it('scales the one that it names, and no other guest', async () => {
    const text = MACHINES_TOKEN.replace('192.0.2.10', 'localhost').replace(
      'name: pve',
      'name: pve1',
    );
    const { under, report } = await migrated(text, MACHINES_ENV, [201, 202].map(idleMachine));
    expect(report).not.toContain('never shrinks');
    const checked = await under.run(['check-config']);
    expect(checked.code).toBe(0);
    expect(checked.stdout).toMatch(/^201 .*TIER_vms +act/m);
    expect(checked.stdout).not.toContain('NODE ');
    const path = join(under.root, NEW);
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace('poll_interval: 300', 'poll_interval: 1'),
    );
    const daemon = under.start(['daemon', '--dry-run']);
    await daemon.saying(/[Dd]ecreas\w+ (?:cores|vcpus) for VM 201/);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(under.log()).not.toMatch(/creasing .*(?:VM 202|container)/);
    expect(under.node.calls.filter(({ argv }) => argv[0] === 'qm')).toEqual([]);
  });
});

/** Ports of this host that nobody listens on: nothing of the test leaves it. */
function nowhere(text: string): string {
  const port = text.includes('ssh_user') ? 'ssh_port' : 'api_port';
  let count = 0;
  return text
    .replace(/^ +(?:api_port|ssh_port|ca_cert_path): .*\n/gm, '')
    .replace(/^( +)((?:proxmox_)?host: )(?:192\.0\.2|pve3\.).*$/gm, (_all, indent, key) => {
      count += 1;
      return `${indent}${key}127.0.0.${count}\n${indent}${port}: 1`;
    });
}

describe('a file of which the node cannot be reached, or its guests cannot be scaled there', () => {
  it.each([
    ['VM Autoscale by the API', MACHINES_TOKEN, MACHINES_ENV, ['proxmox-01']],
    ['VM Autoscale, whole', MACHINES_WHOLE, '', ['host1', 'my-cluster']],
    ['VM Autoscale by SSH', MACHINES_SSH, '', ['host1']],
    ['the Python daemon by SSH', PYTHON_SSH, '', ['proxmox']],
  ])('changes nothing here: %s', async (_what, text, env, names) => {
    const { under } = await migrated(nowhere(text), env);
    const checked = await under.run(['check-config']);
    expect(checked.code).toBe(0);
    for (const name of names) expect(checked.stdout).toMatch(new RegExp(`^${name} +127\\.`, 'm'));
    expect(await wouldChange(under)).toEqual([]);
    expect(under.sets()).toEqual([]);
  });

  it('says which variables are not set yet, and takes them from a file', async () => {
    const { under, variables } = await migrated(nowhere(MACHINES_TOKEN), MACHINES_ENV);
    writeFileSync(join(under.root, 'etc/lxc_autoscale/environment'), '');
    const alone = await under.run(['check-config']);
    expect(alone.code).toBe(78);
    expect(alone.stdout).toMatch(
      /token_secret: the environment variable PROXMOX_HOST1_API_TOKEN_S/,
    );
    const named = await under.run(['check-config', '--env-file', variables]);
    expect(named.code).toBe(0);
  });
});

it('--node that is no name of a node is said', async () => {
  const under = await NodeUnderTest.create(HERE);
  writeFileSync(join(under.root, OLD), API_MINIMAL);
  const ended = await under.run(['migrate-config', OLD, '--node', 'pve_1']);
  expect(ended).toMatchObject({ code: 64, stdout: '' });
  expect(ended.stderr).toMatch(/--node: 'pve_1' is no name of a node/);
});
