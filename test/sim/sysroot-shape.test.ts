import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { FIXTURE, hasShared, Scratch } from './recorded.ts';
import { fixtureConf, recordedNode } from './recorded-node.ts';

const scratch = new Scratch();

/**
 * Only files that can be read were recorded. The kernel of the recording has this one too, in every
 * cgroup; the simulator offers it where it is of use, in the outer cgroup of a container.
 */
const RECLAIM = 'memory.reclaim';
const ALSO_RECLAIMS: ReadonlySet<string> = new Set(['lxc/101', 'lxc/102']);
let node: SimulatedNode;

const filesOf = (root: string, directory: string): string[] =>
  readdirSync(join(root, directory), { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();

const ours = (path: string): string => readFileSync(join(node.root, path), 'utf8');
const theirs = (path: string): string => readFileSync(join(FIXTURE, path), 'utf8');
const keys = (text: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/[ :]+/)[0] ?? '');

describe.skipIf(!hasShared)('the tree beside a real one (of ../shared)', () => {
  beforeAll(async () => {
    const root = scratch.directory();
    node = (await recordedNode(root, { conf101: fixtureConf(101) })).node;
    node.advance(1000);
  });
  afterAll(async () => {
    await node.close();
    scratch.clear();
  });

  const groups = ['lxc', 'lxc/101', 'lxc/101/ns', 'lxc/102', 'lxc.monitor/101', ''];
  for (const group of groups) {
    it(`has the same files in /sys/fs/cgroup/${group}`, () => {
      const path = join('sys/fs/cgroup', group);
      const wanted = filesOf(FIXTURE, path);
      if (ALSO_RECLAIMS.has(group)) wanted.push(RECLAIM);
      // Every kernel with cgroup v2 has it below the root; the copy was made without it.
      if (group !== '') wanted.push('memory.events.local');
      expect(filesOf(node.root, path)).toEqual(wanted.sort());
    });
  }

  const sameKeys = [
    'sys/fs/cgroup/lxc/101/memory.stat',
    'sys/fs/cgroup/lxc/101/ns/memory.stat',
    'sys/fs/cgroup/lxc/101/cpu.stat',
    'sys/fs/cgroup/lxc/101/memory.events',
    'sys/fs/cgroup/lxc/101/cgroup.stat',
    'sys/fs/cgroup/lxc/101/cpu.pressure',
    'proc/stat',
  ];
  for (const path of sameKeys) {
    it(`has the same keys in the same order in ${path}`, () => {
      const wanted = keys(theirs(path)).filter((key) => key !== 'softirq');
      expect(keys(ours(path))).toEqual(wanted);
    });
  }

  it('has lines of /proc/meminfo that a real one has, in its order', () => {
    const real = keys(theirs('proc/meminfo'));
    expect(keys(ours('proc/meminfo'))).toEqual(real.slice(0, 25));
  });

  const sameText = [
    'cpu.max',
    'cpu.weight',
    'memory.max',
    'memory.high',
    'memory.swap.max',
    'memory.low',
    'cgroup.controllers',
    'cgroup.events',
    'cgroup.stat',
    'cgroup.type',
    'pids.max',
  ].flatMap((name) => [`sys/fs/cgroup/lxc/101/${name}`, `sys/fs/cgroup/lxc/101/ns/${name}`]);
  for (const path of [...sameText, 'etc/hostname', 'etc/pve/.members', 'etc/pve/storage.cfg']) {
    it(`has the same text in ${path}`, () => {
      expect(ours(path)).toBe(theirs(path));
    });
  }

  it('has pressure lines in the form of the kernel', () => {
    const form = /^some avg10=\d+\.\d\d avg60=\d+\.\d\d avg300=\d+\.\d\d total=\d+\nfull avg10=/;
    expect(theirs('proc/pressure/cpu')).toMatch(form);
    for (const path of ['proc/pressure/cpu', 'sys/fs/cgroup/lxc/101/memory.pressure']) {
      expect(ours(path)).toMatch(form);
    }
  });

  it('has the links of /etc/pve, which the fixture holds as text files', () => {
    for (const link of ['lxc', 'local', 'qemu-server']) {
      expect(readlinkSync(join(node.root, 'etc/pve', link))).toBe(theirs(`etc/pve/${link}`));
    }
    expect(lstatSync(join(node.root, 'etc/pve/nodes/pve1/lxc')).isDirectory()).toBe(true);
  });

  it('has a .vmlist in the form of pmxcfs, and counts as it does', async () => {
    const rows = (text: string) =>
      text
        .replace(/"version": \d+/g, '"version": N')
        .replace(/,/g, '')
        .split('\n')
        .sort();
    const plain = (text: string) => rows(text.replaceAll('}}', '}'));
    expect(plain(ours('etc/pve/.vmlist'))).toEqual(plain(theirs('etc/pve/.vmlist')));
    const before = JSON.parse(ours('etc/pve/.vmlist'));
    expect(before.version).toBe(1);
    await node.run(['pct', 'set', '101', '--cores', '2']);
    const after = JSON.parse(ours('etc/pve/.vmlist'));
    expect(after.version).toBe(2);
    expect(after.ids['101'].version).toBe(4);
    expect(after.ids['102']).toEqual(before.ids['102']);
    expect(JSON.parse(ours('etc/pve/.version')).vmlist).toBe(2);
  });

  it('has the directories that a daemon needs', () => {
    for (const path of ['var/log', 'var/lib', 'var/lock', 'run/lock']) {
      expect(statSync(join(node.root, path)).isDirectory()).toBe(true);
    }
  });
});
