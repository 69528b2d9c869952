import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { createCluster } from '../../../../src/node/local/pve/cluster-files.ts';
import { LOOKS_A_ROUND } from '../../../../src/node/local/pve/pve-inventory.ts';
import { vmid } from '../../../core/builders.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cluster-'));
  put('.members', '{ "nodename": "pve1" }');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(name: string, text: string): void {
  const path = join(root, 'etc/pve', name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function list(guests: Record<number, readonly [node: string, type: string, version: number]>) {
  const rows = Object.entries(guests).map(([id, [node, type, version]]) => [
    id,
    { node, type, version },
  ]);
  put('.vmlist', JSON.stringify({ version: 1, ids: Object.fromEntries(rows) }));
}

const read = () => createCluster(createPaths(root)).read();

describe('the view of the cluster', () => {
  it('has the ids and the addresses of all guests of all nodes, VMs too', () => {
    list({ 100: ['pve1', 'lxc', 1], 101: ['pve2', 'lxc', 1], 102: ['pve2', 'qemu', 1] });
    put('nodes/pve1/lxc/100.conf', 'memory: 512\nnet0: name=eth0,gw=10.0.0.1,ip=10.0.0.5/24\n');
    put(
      'nodes/pve2/lxc/101.conf',
      '#taken%3A ip=10.0.0.44 says a description\nmemory: 512\n' +
        'net0: name=eth0,ip=dhcp\n\n[old]\nnet0: name=eth0,ip=10.0.0.9/24\n',
    );
    put('nodes/pve2/qemu-server/102.conf', 'ipconfig0: ip=10.0.0.7/24,gw=10.0.0.1\n');
    const view = read();
    if (!view.ok || !view.value.usedAddresses.ok) throw new Error('there is no view');
    expect([...view.value.takenIds]).toEqual([100, 101, 102]);
    expect([...view.value.guests.keys()]).toEqual([100, 101]);
    expect([...view.value.usedAddresses.value].sort()).toEqual([
      '10.0.0.1',
      '10.0.0.5',
      '10.0.0.7',
      '10.0.0.9',
    ]);
  });

  it('has what a group needs to know of a container', () => {
    list({ 200: ['pve1', 'lxc', 1] });
    put(
      'nodes/pve1/lxc/200.conf',
      '#my n%C3%B6te\nhostname: web-200\nlock: backup\n' +
        'memory: 768\n' +
        'mp0: local-lvm:vm-200-disk-1,mp=/data,size=512M\n' +
        'net0: name=eth0,ip=10.0.0.44/24\nmp1: /srv/data,mp=/srv\n' +
        'protection: 1\nrootfs: local-lvm:vm-200-disk-0,size=4G\n' +
        'tags: Web;autoscale-group-web\n\n[pve:pending]\ncores: 3\n\n' +
        '[autoscale-web-1]\nsnapstate: prepare\nsnaptime: 17\n' +
        'memory: 512\n\n[byhand]\nmemory: 512\n',
    );
    const view = read();
    const guest = view.ok ? view.value.guests.get(vmid(200)) : view;
    if (guest?.ok !== true) throw new Error('the guest was not read');
    expect(guest.value).toMatchObject({
      node: 'pve1',
      hostname: 'web-200',
      lock: 'backup',
      memoryMib: 768,
      template: false,
      tags: ['web', 'autoscale-group-web'],
      description: ['my nöte'],
      protection: true,
      disk: { storage: 'local-lvm', mib: 4608 },
      storages: ['local-lvm', '/srv/data', 'local-lvm'],
    });
    expect([...guest.value.snapshots]).toEqual([
      ['autoscale-web-1', { snaptime: '17', unfinished: true }],
      ['byhand', { snaptime: undefined, unfinished: false }],
    ]);
  });

  it.each([
    ['protection: 1', true],
    ['protection: yes', true],
    ['protection: x', true],
    ['protection: 0', false],
    ['onboot: 1', false],
  ])('with %s it is protected: %s', (line, expected) => {
    list({ 200: ['pve1', 'lxc', 1] });
    put('nodes/pve1/lxc/200.conf', `memory: 512\n${line}\n`);
    const view = read();
    const guest = view.ok ? view.value.guests.get(vmid(200)) : view;
    expect(guest?.ok === true && guest.value.protection).toBe(expected);
  });

  it('knows the kinds of its storages', () => {
    list({});
    const types = () => {
      const view = read();
      return view.ok ? [...view.value.storageTypes] : view;
    };
    expect(types()).toEqual([]);
    put('storage.cfg', 'dir: local\n\tpath /var/lib/vz\n\nzfspool: tank-1\n\tpool tank\n');
    expect(types()).toEqual([
      ['local', 'dir'],
      ['tank-1', 'zfspool'],
    ]);
  });

  it('reads a configuration anew only where its version has risen', () => {
    put('.version', '{"starttime": 1795000000}');
    const cluster = createCluster(createPaths(root));
    const memory = () => {
      const view = cluster.read();
      const guest = view.ok ? view.value.guests.get(vmid(200)) : undefined;
      return guest?.ok ? guest.value.memoryMib : undefined;
    };
    list({ 200: ['pve1', 'lxc', 1] });
    put('nodes/pve1/lxc/200.conf', 'memory: 512\n');
    expect(memory()).toBe(512);
    put('nodes/pve1/lxc/200.conf', 'memory: 1024\n');
    expect(memory()).toBe(512);
    list({ 200: ['pve1', 'lxc', 2] });
    expect(memory()).toBe(1024);
  });

  it('keeps what one reading got wrong for one round of looks at most', () => {
    put('.version', '{"starttime": 1795000000}');
    const cluster = createCluster(createPaths(root));
    list({ 200: ['pve1', 'lxc', 1], 201: ['pve1', 'lxc', 1], 202: ['pve1', 'lxc', 1] });
    for (const id of [200, 201, 202]) put(`nodes/pve1/lxc/${id}.conf`, 'memory: 512\n');
    const snapshots = () => {
      const view = cluster.read();
      if (!view.ok) return view;
      return [...view.value.guests.values()].map(
        (one) => one.ok && [...one.value.snapshots.keys()],
      );
    };
    expect(snapshots()).toEqual([[], [], []]);
    // The versions are as before: the reading was wrong, and nothing has changed since.
    for (const id of [200, 201, 202]) {
      put(`nodes/pve1/lxc/${id}.conf`, 'memory: 512\n\n[autoscale-web-1]\nmemory: 512\n');
    }
    for (let look = 0; look < LOOKS_A_ROUND; look += 1) snapshots();
    expect(snapshots()).toEqual(Array(3).fill(['autoscale-web-1']));
  });

  it('gives out no address where one configuration cannot be read', () => {
    list({ 200: ['pve1', 'lxc', 1], 201: ['pve1', 'lxc', 1] });
    put('nodes/pve1/lxc/200.conf', 'memory: 512\n');
    mkdirSync(join(root, 'etc/pve/nodes/pve1/lxc/201.conf'));
    const view = read();
    expect(view.ok && view.value.usedAddresses).toMatchObject({ ok: false, why: 'unreadable' });
    expect(view.ok && view.value.guests.get(vmid(200))?.ok).toBe(true);
  });

  it.each(['', '{', '{"ids": {"1": {}}}', '{"ids": {"100": {"node": "../x", "version": 1}}}'])(
    'is missing where the list is %j',
    (text) => {
      put('.vmlist', text);
      expect(read().ok).toBe(false);
    },
  );
});
