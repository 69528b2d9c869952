import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openFarNodes } from '../../../src/app/far-nodes.ts';
import type { FarNode } from '../../../src/app/world.ts';
import { foundConfig } from '../../../src/config/found-nodes.ts';
import { present } from '../../../src/core/reading.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import { REAL_CLOCK } from '../local/world.ts';
import { type NodeBehindSsh, nodeBehindSsh } from './ssh-node.ts';
import { NO_SSHD } from './sshd.ts';

/** The other nodes of a cluster, as a node that is reached by SSH tells of them. */

const open: { close(): unknown }[] = [];

beforeEach((context) => {
  if (NO_SSHD !== undefined) context.skip(NO_SSHD);
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

function reached({ node, server }: NodeBehindSsh) {
  const entry = { ...server.settings, discovers: true };
  const context = { paths: createPaths(node.root), clock: REAL_CLOCK, env: process.env };
  const [far] = openFarNodes({ nodes: [entry] }, context);
  if (far?.cluster === undefined) throw new Error('it tells of no cluster');
  open.push(far);
  const other = async (name: string): Promise<FarNode> => {
    const seenMs = milliseconds(0);
    const config = foundConfig(entry, { name, by: entry.name, host: '127.0.0.1', seenMs });
    if (config === undefined || far.cluster === undefined) throw new Error('cannot be reached');
    const opened = far.cluster.open(config);
    open.push(opened);
    await opened.eyes.observe();
    return opened;
  };
  return { far, seen: far.cluster.seen, other };
}

it('are reached at their address, and only if they call themselves so', async () => {
  const one = await nodeBehindSsh();
  open.push(one);
  const { far, seen, other } = reached(one);
  expect(seen()).toMatchObject({ ok: false });
  await far.eyes.observe();
  const own = one.node.machine.options.nodeName;
  expect(seen()).toEqual(present({ own, members: [{ name: own }], isQuorate: true }));
  const nodelist = { [own]: { id: 1, ip: '127.0.0.1' }, next: { id: 2, ip: '127.0.0.1' } };
  const members = { nodename: own, version: 3, cluster: { name: 'lab', quorate: 1 }, nodelist };
  writeFileSync(join(one.node.root, 'etc/pve/.members'), JSON.stringify(members));
  await far.eyes.observe();
  expect(seen()).toEqual(
    present({
      own,
      members: [own, 'next'].map((name) => ({ name, host: '127.0.0.1' })),
      isQuorate: true,
    }),
  );
  expect((await other('next')).problem()).toContain(`it calls itself ${own}, and not next`);
  expect((await other(own)).eyes.guests.list()).toMatchObject({ ok: true });
});
