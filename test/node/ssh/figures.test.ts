import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { vmid } from '../local/world.ts';
import { ALL_MACHINES, MACHINES } from '../machine-contract.ts';
import { type NodeBehindSsh, nodeBehindSsh } from './ssh-node.ts';
import { NO_SSHD } from './sshd.ts';

/** What pvestatd says of machines of a far node whose guests tell nothing. */

const SILENT = vmid(202);
const HOUR_MS = 3_600_000;
const open: NodeBehindSsh[] = [];

beforeEach((context) => {
  if (NO_SSHD !== undefined) context.skip(NO_SSHD);
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function looked(aheadMs: number): Promise<NodeBehindSsh> {
  const one = await nodeBehindSsh(undefined, MACHINES, aheadMs);
  open.push(one);
  one.far.lookAfter(ALL_MACHINES);
  one.node.advance(10_000);
  // Who tells nothing is known after the first look, and what it uses after the second.
  for (let looks = 0; looks < 2; looks += 1) await one.far.eyes.observe();
  return one;
}

const figure = ({ far }: NodeBehindSsh) => {
  const sample = far.eyes.cgroups.sample(SILENT);
  return sample.ok ? sample.value.memory : sample;
};

it.each([-HOUR_MS, 0, HOUR_MS])('counts where the clock of the node is %i ms ahead', async (ms) => {
  expect(figure(await looked(ms))).toMatchObject({ ok: true, value: { countsCache: true } });
});

it('is fetched when it is time, and not with each look', async () => {
  const one = await looked(0);
  const line = 'pve2.3-vm/999:1:x:running:0:1:1:0:1:1:1:1:1:1:1:1\n';
  appendFileSync(join(one.node.root, 'etc/pve/.rrd'), line.repeat(20_000));
  const before = one.server.wire.returned;
  await one.far.eyes.observe();
  await one.far.eyes.observe();
  expect(one.server.wire.returned - before).toBeLessThan(line.length * 20_000);
  expect(figure(one).ok).toBe(true);
});
