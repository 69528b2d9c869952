import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPaths } from '../../../../src/node/local/paths.ts';
import {
  ByVersion,
  LOOKS_A_ROUND,
  PveInventory,
} from '../../../../src/node/local/pve/pve-inventory.ts';
import { plant, temporaryDirectory, vmid } from '../world.ts';

const entry = (version: number, node = 'n1', type = 'lxc') => ({ node, type, version });

class FakeCluster {
  readonly root = temporaryDirectory();
  readonly inventory = new PveInventory(createPaths(this.root));

  constructor() {
    this.started(1);
    this.lists({ 101: entry(1) });
    plant(this.root, { 'etc/pve/.members': '{"nodename": "n1"}' });
  }

  started(starttime: number): void {
    plant(this.root, { 'etc/pve/.version': JSON.stringify({ starttime }) });
  }

  lists(ids: Readonly<Record<number, unknown>>): void {
    plant(this.root, { 'etc/pve/.vmlist': JSON.stringify({ ids }) });
  }

  guests() {
    const { guests } = this.inventory.look();
    if (!guests.ok) throw new Error(guests.detail);
    return guests.value;
  }
}

describe('the inventory of a cluster', () => {
  it('has the guests of all nodes and of every kind, and this node by its name', () => {
    const cluster = new FakeCluster();
    cluster.lists({ 101: entry(1), 102: entry(2, 'n2'), 103: entry(3, 'n1', 'qemu') });
    expect(cluster.inventory.look()).toMatchObject({ node: 'n1', guests: { ok: true } });
    expect([...cluster.guests().values()]).toEqual([
      { vmid: 101, ...entry(1) },
      { vmid: 102, ...entry(2, 'n2') },
      { vmid: 103, ...entry(3, 'n1', 'qemu') },
    ]);
  });

  it('is the same thing for as long as nothing has changed', () => {
    const cluster = new FakeCluster();
    const first = cluster.guests();
    expect(cluster.guests()).toBe(first);
    cluster.lists({ 101: entry(2) });
    expect(cluster.guests()).not.toBe(first);
    expect(cluster.guests().get(vmid(101))).toMatchObject({ version: 2 });
  });

  it('keeps a name that was read wrong for one round of looks at most', () => {
    const cluster = new FakeCluster();
    plant(cluster.root, { 'etc/pve/.members': '{"nodename": "n0"}' });
    expect(cluster.inventory.look().node).toBe('n0');
    plant(cluster.root, { 'etc/pve/.members': '{"nodename": "n1"}' });
    for (let look = 1; look < LOOKS_A_ROUND; look += 1) cluster.inventory.look();
    expect(cluster.inventory.look().node).toBe('n1');
  });

  it('begins another epoch with each start of the cluster file system', () => {
    const cluster = new FakeCluster();
    const { epoch } = cluster.inventory.look();
    expect(cluster.inventory.look().epoch).toBe(epoch);
    cluster.started(2);
    expect(cluster.inventory.look().epoch).not.toBe(epoch);
  });

  it('begins one with each look where it is not known when that was started', () => {
    const cluster = new FakeCluster();
    rmSync(join(cluster.root, 'etc/pve/.version'));
    const { epoch } = cluster.inventory.look();
    expect(cluster.inventory.look().epoch).not.toBe(epoch);
  });

  it('is missing with its reason, and whole again afterwards', () => {
    const cluster = new FakeCluster();
    cluster.guests();
    writeFileSync(join(cluster.root, 'etc/pve/.vmlist'), '{"ids": {"101": {"no');
    expect(cluster.inventory.look().guests).toMatchObject({ why: 'malformed' });
    rmSync(join(cluster.root, 'etc/pve/.vmlist'));
    const { guests } = cluster.inventory.look();
    expect(guests).toMatchObject({ why: 'absent' });
    expect(guests.ok ? '' : guests.detail).toContain('this is not a Proxmox VE node');
    cluster.lists({ 101: entry(1) });
    expect(cluster.guests().size).toBe(1);
  });

  it('knows whether configurations can be written', () => {
    const cluster = new FakeCluster();
    expect(cluster.inventory.quorum()).toMatchObject({ value: true });
    const lost = '{"nodename": "n1", "cluster": {"name": "c", "nodes": 2, "quorate": 0}}';
    plant(cluster.root, { 'etc/pve/.members': lost });
    expect(cluster.inventory.quorum()).toMatchObject({ value: false });
  });
});

describe('what was made of a configuration', () => {
  it('is kept for its version, its node and its epoch', () => {
    const known = new ByVersion<string>();
    const guest = { vmid: vmid(101), ...entry(1) };
    known.begin(7);
    known.set(guest, 'made');
    expect(known.get({ ...guest })).toBe('made');
    expect(known.get({ ...guest, version: 2 })).toBeUndefined();
    expect(known.get({ ...guest, node: 'n2' })).toBeUndefined();
    expect(known.begin(7)).toBe(false);
    expect(known.get(guest)).toBe('made');
    expect(known.begin(8)).toBe(true);
    expect(known.get(guest)).toBeUndefined();
  });

  it('is read again in one round of looks, and a few at each of them', () => {
    const known = new ByVersion<string>();
    const guests = Array.from({ length: 2 * LOOKS_A_ROUND }, (_, at) => ({
      vmid: vmid(101 + at),
      ...entry(1),
    }));
    known.begin(7);
    for (const guest of guests) known.set(guest, 'first');
    for (let look = 0; look < LOOKS_A_ROUND; look += 1) {
      expect(known.begin(7)).toBe(true);
      const dropped = guests.filter((guest) => known.get(guest) === undefined);
      expect(dropped).toEqual(guests.slice(2 * look, 2 * look + 2));
      for (const guest of dropped) known.set(guest, 'again');
    }
    expect(guests.every((guest) => known.get(guest) === 'again')).toBe(true);
  });
});
