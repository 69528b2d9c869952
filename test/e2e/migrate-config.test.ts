import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calm, NodeUnderTest } from './node-under-test.ts';

/** Old configurations on a node: migrated, checked, and run by. */

const INI = '/etc/lxc_autoscale/lxc_autoscale.conf';
const YAML = '/etc/lxc_autoscale/lxc_autoscale.yaml';

const OLD_INI = `[DEFAULT]

poll_interval = 2             
cpu_upper_threshold = 80         
storage_upper_threshold = 80     
reserve_cpu_percent = 10         # for the host
behaviour = Normal
ignore_lxc = 104
gotify_url =                     
gotify_token =                   

[TIER_1]
nodes = 101, 102 
memory_upper_threshold = 90
`;

const OLD_YAML = `DEFAULTS:
  poll_interval: 2
  memory_exclude_cache: true
  use_remote_proxmox: false
  ssh_password: hunter2
  ignore_lxc:
    - "104"
TIER_web:
  lxc_containers:
    - "101"
  cpu_pinning: p-cores
`;

async function nodeWith(path: string, text: string): Promise<NodeUnderTest> {
  const under = await NodeUnderTest.create([calm(101), calm(102), calm(104)]);
  mkdirSync(join(under.root, 'etc/lxc_autoscale'), { recursive: true });
  writeFileSync(join(under.root, path), text, { mode: 0o600 });
  return under;
}

describe('migrate-config', () => {
  it('brings an INI file to a form that check-config and a cycle take', async () => {
    const under = await nodeWith(INI, OLD_INI);
    const migrated = await under.run(['migrate-config', INI, '--out', YAML]);
    expect(migrated).toMatchObject({ code: 0, stderr: '' });
    expect(migrated.stdout).toContain(`${INI}:13: TIER_1.nodes: converted: now lxc_containers`);
    expect(migrated.stdout).toContain('Read as INI: ');
    expect(readFileSync(join(under.root, INI), 'utf8')).toBe(OLD_INI);
    const checked = await under.run(['check-config']);
    expect(checked.code).toBe(0);
    expect(checked.stdout).toMatch(/^101 .*TIER_1/m);
    expect(checked.stdout).toMatch(/^104 .*ignored/m);
    expect(await under.run(['once'])).toMatchObject({ code: 0 });
  });

  it('replaces an older YAML file in its place, with a backup, and tells no secret', async () => {
    const under = await nodeWith(YAML, OLD_YAML);
    expect((await under.run(['check-config'])).code).toBe(78);
    const migrated = await under.run(['migrate-config', YAML, '--out', YAML]);
    expect(migrated).toMatchObject({ code: 0, stderr: '' });
    const [, backup = ''] = /kept as (.*)/.exec(migrated.stdout) ?? [];
    expect(readFileSync(backup, 'utf8')).toBe(OLD_YAML);
    const text = readFileSync(join(under.root, YAML), 'utf8');
    expect(`${text}${migrated.stdout}`).not.toContain('hunter2');
    expect((await under.run(['check-config'])).code).toBe(0);
  });

  it('prints the new file where none is named, and the report beside it', async () => {
    const under = await nodeWith(INI, OLD_INI);
    const { code, stdout, stderr } = await under.run(['migrate-config', INI]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^DEFAULT:\n {2}poll_interval: 2$/m);
    expect(stderr).toContain('Read as INI: ');
  });

  it.each([
    ['/etc/none.conf', 1, /none\.conf: does not exist; check the path/],
    ['/etc/broken.yaml', 78, /broken\.yaml:2: .*\nNothing was migrated\./],
  ])('says why %s cannot be migrated', async (path, code, message) => {
    const under = await nodeWith('/etc/broken.yaml', 'A:\n  b: "c\n');
    const ended = await under.run(['migrate-config', path, '--out', '/etc/new.yaml']);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toMatch(message);
    expect(existsSync(join(under.root, 'etc/new.yaml'))).toBe(false);
  });

  it.each([
    ['half a form', 'proxmox:\n  host: a\ncontainers:\n  - vmid: 101\n', /:1: .*no whole login/],
    ['a stack of containers', 'version: 3\nservices:\n  a: {image: b}\n', /Docker/],
    [
      'one for another host',
      'DEFAULTS:\n  min_cores: 1\n  proxmox_api_host: pve2\n',
      /no login for it/,
    ],
    ['one of which nothing was taken', 'DEFAULT:\n  pol: 5\n', /nothing that this program/],
  ])('refuses %s, and writes nothing', async (_what, text, message) => {
    const under = await nodeWith(YAML, text);
    const kept = join(under.root, YAML);
    for (const out of [[], ['--out', '/etc/new.yaml'], ['--out', YAML]]) {
      const ended = await under.run(['migrate-config', YAML, ...out]);
      expect(ended).toMatchObject({ code: 78, stdout: '' });
      expect(ended.stderr).toMatch(message);
      expect(ended.stderr.trimEnd().split('\n')).toHaveLength(2);
      expect(existsSync(join(under.root, 'etc/new.yaml'))).toBe(false);
      expect(readFileSync(kept, 'utf8')).toBe(text);
    }
  });

  it('is what the refusal of an older file points to', async () => {
    const under = await nodeWith(YAML, OLD_YAML.replace('DEFAULTS', 'DEFAULT'));
    const { stdout } = await under.run(['check-config']);
    expect(stdout).toMatch(/ssh_password: is a key of the Python tool.*migrate-config/);
  });
});

it('configure needs a terminal or --yes, and says so', async () => {
  const under = await nodeWith(YAML, OLD_YAML);
  const alone = await under.run(['configure', '--for', '2']);
  expect(alone).toMatchObject({ code: 64, stdout: '' });
  expect(alone.stderr).toMatch(/no terminal.*--yes/);
  under.node.stopContainer(102);
  const { code, stdout } = await under.run(['configure', '--for', '2', '--yes']);
  expect(code).toBe(0);
  const measuring = 'Measuring 2 running containers for 2 seconds (1 more does not run)...';
  expect(stdout).toContain(measuring);
  expect((await under.run(['check-config'])).code).toBe(0);
});
