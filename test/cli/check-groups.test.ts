import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/cli/check-config.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { ClusterView } from '../../src/core/groups/group-view.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import { missing, present, type Reading } from '../../src/core/reading.ts';
import { mib } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { createCluster } from '../../src/node/local/pve/cluster-files.ts';
import { programProblem } from '../../src/os/executable-files.ts';
import { plant, temporaryDirectory, vmid } from '../node/local/world.ts';

const guest = (id: number): Reading<GuestConfig> =>
  present({
    vmid: vmid(id),
    name: 'web',
    cores: 2,
    cpuLimit: null,
    memoryMib: mib(512),
    swapMib: mib(0),
    tags: [],
    lock: undefined,
    template: false,
    pendingKeys: [],
    digest: '',
    pins: [],
    identity: undefined,
  });
const GUESTS = present(new Map([101, 102].map((id) => [vmid(id), guest(id)])));

/** A group for each list of lines; what is said of them: the Notes, and the rows of the table. */
function check(
  groups: Readonly<Record<string, readonly string[]>>,
  {
    guests = GUESTS as Parameters<typeof checkConfig>[0]['guests'],
    problem = programProblem,
    readCluster = (): Reading<ClusterView> => missing('absent', 'there is none'),
  } = {},
) {
  const sections = Object.entries(groups).map(([name, lines]) =>
    [`HORIZONTAL_SCALING_GROUP_${name}:`, ...lines.map((line) => `  ${line}`), ''].join('\n'),
  );
  const loadResult = parseConfig(`DEFAULT:\n${sections.join('')}`, '/etc/x.yaml', {});
  let text = '';
  const write = (more: string) => {
    text += more;
  };
  expect(
    checkConfig({ loadResult, node: 'pve1', guests, programProblem: problem, readCluster, write }),
    text,
  ).toBe(0);
  const lines = text.trimEnd().split('\n');
  const heading = lines.indexOf('The groups:');
  const notes = lines.flatMap(
    (line) => /^Note: HORIZONTAL_SCALING_GROUP_(.*)$/.exec(line)?.[1] ?? [],
  );
  return { notes, rows: heading < 0 ? [] : lines.slice(heading + 2) };
}

const range = (from: number, to: number, type = 'static'): readonly string[] => [
  `clone_network_type: ${type}`,
  `static_ip_range: ['10.0.0.${from}', '10.0.0.${to}']`,
];

const readFrom = (root: string) => () => createCluster(createPaths(root)).read();

describe('check-config on groups', () => {
  it.each([
    ['local:101/vm-101-disk-0.raw,size=4G', 'its storage local (dir) has no snapshots'],
    ['local-lvm:vm-101-disk-0,size=4G', undefined],
    ['local-lvm:vm-101-disk-0\nmp0: /srv/data,mp=/srv', "a mount of the host's /srv/data keeps"],
    ['local:101/vm-101-disk-0.raw\ntemplate: 1', undefined],
  ])('says of a source on %s what keeps it from snapshots: %s', (rootfs, words) => {
    const root = temporaryDirectory();
    plant(root, {
      'etc/pve/.members': '{ "nodename": "pve1" }',
      'etc/pve/.vmlist': '{"ids": {"101": {"node": "pve1", "type": "lxc", "version": 1}}}',
      'etc/pve/storage.cfg': 'dir: local\n\tpath /var/lib/vz\n\nlvmthin: local-lvm\n',
      'etc/pve/nodes/pve1/lxc/101.conf': `memory: 512\nrootfs: ${rootfs}\n`,
    });
    const { notes } = check({ web: ['source: 101'] }, { readCluster: readFrom(root) });
    const what = 'web has the source 101, of which no clone is made while it runs';
    expect(notes).toEqual(
      words === undefined ? [] : [expect.stringContaining(`${what}: ${words}`)],
    );
    if (words !== undefined)
      expect(notes[0]).toContain('what works there: a template as the source');
    expect(
      check({ web: ['source: 101', 'source_snapshot: s1'] }, { readCluster: readFrom(root) }),
    ).toMatchObject({ notes: [] });
  });

  it('prints a line for each, and nothing where there is none', () => {
    const groups = {
      web: ['source: 101', 'lxc_containers: [101, 105-107]', ...range(10, 15), 'bridge: vmbr1'],
      Mail: ['source: 102', 'min_instances: 1', 'scale_in: stop', 'horiz_cpu_lower_threshold: 20'],
    };
    expect(check(groups)).toEqual({
      notes: [],
      rows: [
        'GROUP  SOURCE  MEMBERS       MIN-MAX  SCALE IN  NETWORK',
        'web    101     101, 105-107  2-5      off       static, 6 addresses, on vmbr1',
        'mail   102     -             1-5      stop      dhcp',
      ],
    });
    expect(check({})).toEqual({ notes: [], rows: [] });
  });

  it('notes a source that is not on this node, where its containers can be seen', () => {
    const elsewhere = { web: ['source: 300'] };
    expect(check(elsewhere).notes).toEqual([
      'web has the source 300, which is not on this node: no clones are made here',
    ]);
    const guests = missing('absent', '/etc/pve/lxc is not there');
    expect(check(elsewhere, { guests }).notes).toEqual([]);
    expect(check(elsewhere, { guests }).rows).toHaveLength(2);
  });

  it('notes fewer addresses than clones; who is listed has one of its own', () => {
    const base = ['source: 101', 'max_instances: 4'];
    expect(check({ web: [...base, ...range(1, 3)] }).notes).toEqual([
      'web has 3 in static_ip_range for the 4 clones that max_instances allows; ' +
        'give it more addresses, or lower max_instances',
    ]);
    expect(check({ web: [...base, ...range(1, 3), 'lxc_containers: [101]'] }).notes).toEqual([]);
    expect(check({ web: [...base, ...range(1, 4)] }).notes).toEqual([]);
    expect(check({ web: [...base, ...range(1, 3, 'dhcp')] }).notes).toEqual([]);
    const list = (text: string) => ['clone_network_type: static', `static_ip_range: ${text}`];
    const twice = list("['10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.4']");
    expect(check({ web: [...base, ...twice] }).notes).toHaveLength(1);
    expect(check({ web: [...base, ...list('10.0.0.8/30')] }).notes).toHaveLength(1);
    expect(check({ web: [...base, ...list('10.0.0.8/29')] }).notes).toEqual([]);
  });

  it('notes what two groups share', () => {
    const web = ['source: 101', ...range(10, 20)];
    expect(check({ web, shop: ['source: 101'] }).notes).toEqual([
      'shop has the same source as HORIZONTAL_SCALING_GROUP_web: 101',
    ]);
    expect(check({ web, shop: ['source: 102', ...range(20, 30)] }).notes).toEqual([
      'shop has addresses in static_ip_range that HORIZONTAL_SCALING_GROUP_web has too, ' +
        'such as 10.0.0.20',
    ]);
    expect(check({ web, shop: ['source: 102', ...range(21, 30)] }).notes).toEqual([]);
    expect(check({ web, shop: ['source: 102', ...range(20, 30, 'dhcp')] }).notes).toEqual([]);
  });

  it('notes scale_in that has nothing to go by', () => {
    const base = ['source: 101', 'scale_in: destroy'];
    expect(check({ web: base }).notes).toEqual([
      'web has scale_in: destroy and no lower threshold, so it never has fewer members; ' +
        'set horiz_cpu_lower_threshold or horiz_memory_lower_threshold',
    ]);
    expect(check({ web: [...base, 'horiz_memory_lower_threshold: 20'] }).notes).toEqual([]);
    expect(check({ web: ['source: 101'] }).notes).toEqual([]);
  });

  it('notes programs that cannot be run', () => {
    const directory = temporaryDirectory();
    plant(directory, { good: '#!/bin/sh\n', plain: 'text\n' });
    const [good, plain, gone] = ['good', 'plain', 'gone'].map((name) => join(directory, name));
    chmodSync(`${good}`, 0o755);
    chmodSync(`${plain}`, 0o644);
    const hooks = (ready: unknown, terminating: unknown) =>
      check({
        web: ['source: 101', `on_ready: [${ready}, a]`, `on_terminating: [${terminating}]`],
      });
    expect(hooks(plain, gone).notes).toEqual([
      `web has a program in on_ready that cannot be run: ${plain} is no executable file`,
      `web has a program in on_terminating that cannot be run: ${gone} is not there`,
    ]);
    expect(hooks(good, good).notes).toEqual([]);
    expect(hooks(directory, good).notes).toEqual([
      `web has a program in on_ready that cannot be run: ${directory} is no executable file`,
    ]);
  });
});
