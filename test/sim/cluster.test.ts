import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { createPaths } from '../../src/node/local/paths.ts';
import { createGuests } from '../../src/node/local/pve/guests.ts';
import { guestText } from '../../src/sim/guest-text.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { vmid } from '../core/builders.ts';
import { Scratch } from './recorded.ts';
import { RECORDED_HOST } from './recorded-node.ts';

const scratch = new Scratch();
let node: SimulatedNode | undefined;

afterEach(async () => {
  await node?.close();
  node = undefined;
});
afterAll(() => scratch.clear());

async function made(): Promise<SimulatedNode> {
  const guests = [101, 102].map((id) => ({
    vmid: id,
    conf: guestText({ vmid: id, name: `ct${id}`, cores: 2, memoryMib: 512 }),
    demand: () => ({ cpuCores: 0.1, anonMib: 50 }),
  }));
  node = await SimulatedNode.create({ root: scratch.directory(), host: RECORDED_HOST, guests });
  return node;
}

it('with pve-cluster stopped /etc/pve is empty, pct exits 111, and nothing is seen', async () => {
  const one = await made();
  const guests = createGuests(createPaths(one.root));
  expect(guests.list().ok).toBe(true);
  one.setCluster(false);
  expect(readdirSync(join(one.root, 'etc/pve'))).toEqual([]);
  const got = await one.run(['pct', 'set', '101', '--cores', '1']);
  expect(got.exit).toBe(111);
  expect(got.stderr).toContain('Unable to load access control list: Connection refused');
  // Blind, and never a node without containers.
  expect(guests.list()).toMatchObject({ ok: false, why: 'absent' });
  expect(guests.quorum()).toMatchObject({ ok: false, why: 'absent' });
  one.setCluster(true);
  expect(guests.list().ok).toBe(true);
  expect(guests.quorum()).toEqual({ ok: true, value: true });
});

it('versions begin anew with pve-cluster, and the numbers of before prove nothing', async () => {
  const one = await made();
  const guests = createGuests(createPaths(one.root));
  const coresOf = (id: number) => {
    const list = guests.list();
    const config = list.ok ? list.value.get(vmid(id)) : undefined;
    return config?.ok ? config.value.cores : undefined;
  };
  const version = (id: number): number =>
    JSON.parse(readFileSync(join(one.root, 'etc/pve/.vmlist'), 'utf8')).ids[id].version;
  // As 101 is now, 102 will be after the restart; it is changed meanwhile.
  expect(version(101)).toBe(1);
  expect(coresOf(102)).toBe(2);
  one.advance(5000);
  one.setCluster(false);
  one.setCluster(true);
  expect(version(102)).toBe(1);
  one.editConfig(102, (text) => text.replace('cores: 2', 'cores: 4'));
  one.editConfig(101, (text) => text.replace('cores: 2', 'cores: 3'));
  expect([coresOf(101), coresOf(102)]).toEqual([3, 4]);
  expect(existsSync(join(one.root, 'etc/pve.stopped'))).toBe(false);
});
