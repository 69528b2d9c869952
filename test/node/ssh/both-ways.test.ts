import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openNodeLease } from '../../../src/app/node-lease.ts';
import { nodeLines } from '../../../src/cli/check-nodes.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { renderProblem } from '../../../src/config/problem.ts';
import { mib, mibToBytes } from '../../../src/core/units.ts';
import { createPaths } from '../../../src/node/local/paths.ts';
import { until } from '../../patience.ts';
import { FINGERPRINT, TOKEN } from '../api/rest-node.ts';
import { vmid } from '../local/world.ts';
import { type NodeBothWays, nodeBothWays } from './both-ways.ts';
import { NO_SSHD } from './sshd.ts';

/** What goes wrong with a node that is reached by the API and by SSH, with both real. */

const ID = vmid(101);
const NEVER = new AbortController().signal;
const open: NodeBothWays[] = [];

beforeEach((context) => {
  if (NO_SSHD !== undefined) context.skip(NO_SSHD);
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function reached(...given: Parameters<typeof nodeBothWays>): Promise<NodeBothWays> {
  const one = await nodeBothWays(...given);
  open.push(one);
  await one.far.eyes.observe();
  return one;
}

/** Looks until it is so. */
async function looks({ far, clock }: NodeBothWays, isSo: () => boolean): Promise<void> {
  let isOver = false;
  const look = async (): Promise<void> => {
    while (!isOver) {
      clock.skip(20_000);
      await far.eyes.observe();
      isOver = isSo();
      if (!isOver) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await Promise.all([look(), until(() => isOver)]);
}

const seen = ({ far }: NodeBothWays) => {
  const { cgroups } = far.eyes;
  const sample = cgroups.sample(ID);
  return {
    by: far.connection().by,
    proof: cgroups.capabilities(ID)?.proof,
    pressure: sample.ok && sample.value.cpuPressure.ok,
  };
};

const BY_API = { by: 'api', proof: false, pressure: false };
const BY_SSH = { by: 'ssh', proof: true, pressure: true };

it.each([
  [['api', 'ssh'] as const, BY_API, BY_SSH],
  [['ssh', 'api'] as const, BY_SSH, BY_API],
])('%j: dies, comes back, and has what each connection can see', async (order, first, second) => {
  const one = await reached(order);
  expect(seen(one)).toEqual(first);
  const away = (isAway: boolean): void =>
    order[0] === 'api' ? one.cutApi(isAway) : one.ssh.wire.refuse(isAway);
  away(true);
  await looks(one, () => one.far.connection().by === order[1]);
  expect(one.far.problem()).toBeUndefined();
  expect(seen(one)).toEqual(second);
  expect(one.far.connection().why).toMatch(/./);
  away(false);
  await looks(one, () => one.far.connection().by === order[0]);
  expect(seen(one)).toEqual(first);
  expect(one.far.connection().why).toBeUndefined();
});

it('the lease is that of the node by SSH, also if only the API has ever shown it', async () => {
  const { far, node, clock } = await reached(['api', 'ssh']);
  expect(far.connection().by).toBe('api');
  const { files } = far.lease ?? {};
  if (files === undefined) throw new Error('there is no lease');
  const directory = join(node.root, 'etc/pve/priv/lxc_autoscale/leases/pve1');
  mkdirSync(directory, { recursive: true });
  const other = { host: 'pve9', how: 'local', seat: 'x', instance: 'y', ttlS: 900, nonce: 1 };
  writeFileSync(join(directory, '7.lease'), JSON.stringify({ ...other, isReleased: false }));
  const lease = openNodeLease(files, 'ssh', { host: 'here', seat: 'z', clock });
  await lease.tend();
  expect(lease.problem()).toMatchObject({ kind: 'elsewhere', why: expect.stringMatching(/pve9/) });
  await lease.close();
});

it('a certificate or a host key that is another one is told, and never passed over', async () => {
  const print = Array.from({ length: 32 }, () => 'AA').join(':');
  const trust = { kind: 'fingerprint', sha256: print } as const;
  const one = await reached(['api', 'ssh'], { api: { trust } });
  expect(seen(one)).toEqual(BY_SSH);
  expect(one.far.connection().why).toMatch(/certificate|fingerprint/);
  expect(one.rest.calls).toEqual([]);
  await one.ssh.changeHostKey();
  one.ssh.wire.cut();
  await looks(one, () => one.far.problem() !== undefined);
  await looks(one, () => /host key/i.test(one.far.problem() ?? ''));
  expect(one.far.problem()).toMatch(/by the API: .*; by SSH: /);
  expect(one.far.eyes.guests.list().ok).toBe(false);
  expect(one.rest.calls).toEqual([]);
});

it('another node at the other end of SSH is not taken for it', async () => {
  const one = await reached(['api', 'ssh'], { ssh: { node: 'pve9' } });
  expect(one.far.connection()).toEqual({ by: 'api' });
  one.cutApi(true);
  await looks(one, () => one.far.problem()?.includes('by SSH') === true);
  expect(one.far.problem()).toMatch(/by SSH: .*it calls itself pve1, and not pve9/);
  expect(one.far.eyes.guests.list().ok).toBe(false);
  expect(one.far.eyes.guests.read(ID).ok).toBe(false);
});

it('a node that the API does not know is seen by SSH', async () => {
  const one = await reached(['api', 'ssh'], { api: { node: 'pve9' } });
  expect(one.far.connection()).toMatchObject({ by: 'ssh', why: expect.stringContaining('pve9') });
});

it('a change whose connection dies is looked at by that one only, and sent once', async () => {
  const one = await reached(['api', 'ssh']);
  const file = one.far.eyes.guests.read(ID);
  if (!file.ok) throw new Error(file.detail);
  const { digest } = file.value.config;
  // It is carried out, and its answer is lost, as is all that follows.
  one.rest.fault = () => ({ kind: 'reset', isDone: true });
  const request = { vmid: ID, memoryMib: mib(2048), digest };
  const outcome = await one.far.hands.apply(request, NEVER);
  expect(outcome).toMatchObject({ kind: 'failed', why: 'unreachable' });
  await one.far.eyes.inspect(ID);
  await one.far.eyes.observe(undefined, 'change');
  expect(one.far.connection().by).toBe('api');
  expect(one.far.eyes.guests.read(ID).ok).toBe(false);
  expect(one.far.eyes.cgroups.sample(ID).ok).toBe(false);
  expect(one.rest.calls.filter(({ method }) => method === 'PUT')).toHaveLength(1);
  await one.far.eyes.observe();
  expect(one.far.connection().by).toBe('ssh');
  const sample = one.far.eyes.cgroups.sample(ID);
  expect(sample).toMatchObject({
    value: { memory: { value: { limitBytes: mibToBytes(mib(2048)) } } },
  });
});

it('by SSH the hands are of SSH, whatever the API says meanwhile', async () => {
  const one = await reached(['api', 'ssh']);
  one.cutApi(true);
  one.clock.skip(1000);
  await one.far.eyes.observe();
  expect(one.far.connection().by).toBe('ssh');
  one.cutApi(false);
  const file = one.far.eyes.guests.read(ID);
  if (!file.ok) throw new Error(file.detail);
  const calls = one.rest.calls.length;
  const { digest } = file.value.config;
  const request = { vmid: ID, memoryMib: mib(2048), digest };
  expect(await one.far.hands.apply(request, NEVER)).toEqual({ kind: 'done' });
  expect(one.rest.calls.length).toBe(calls);
  expect(one.node.limits(101)?.memoryMib).toBe(2048);
});

it('check-config tries both, and says of each whether it is reached', async () => {
  const one = await reached(['api', 'ssh']);
  one.ssh.wire.refuse(true);
  const { settings: server } = one.ssh;
  const text = `NODES:
  lab:
    connection: [api, ssh]
    host: 127.0.0.1
    node: pve1
    port: ${one.rest.port}
    ssh_port: ${server.port}
    user: ${server.user}
    token_id: ${TOKEN.id}
    token_secret: ${TOKEN.secret}
    fingerprint: ${FINGERPRINT}
    identity_file: ${server.identityFile}
    known_hosts: ${server.knownHosts}
`;
  const loaded = parseConfig(text, 'f.yaml', {});
  if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join());
  const paths = createPaths(one.node.root);
  const context = { paths, clock: one.clock, env: process.env };
  const lines = await nodeLines(loaded.config, context);
  expect(lines.slice(4, 6).map((line) => line.split(/ {2,}/))).toEqual([
    ['lab', `127.0.0.1:${one.rest.port}`, 'API', '2', 'reached'],
    ['lab', `127.0.0.1:${server.port}`, 'SSH', '-', expect.stringMatching(/127\.0\.0\.1: /)],
  ]);
  expect(lines.at(6)).toMatch(/^lab: 101, 102: memory never shrinks/);
});
