import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  leaseDirectory,
  type NodeLease,
  openNodeLease,
  sharedLeaseFiles,
  together,
} from '../../src/app/node-lease.ts';
import { present } from '../../src/core/reading.ts';
import { bytes, mib, milliseconds } from '../../src/core/units.ts';
import { leaseFilesIn } from '../../src/os/lease-files.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { REAL_CLOCK, temporaryDirectory, vmid } from '../node/local/world.ts';

/** The lease of a node, and the hands that it guards. */

const open: NodeLease[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const pve = join(temporaryDirectory(), 'etc/pve');
mkdirSync(join(pve, 'priv'), { recursive: true });
const directory = leaseDirectory(pve, 'pve1');

function leaseOf(host: string): NodeLease {
  const leasing = { host, seat: host, clock: REAL_CLOCK };
  const lease = openNodeLease(leaseFilesIn(directory), 'ssh', leasing);
  open.push(lease);
  return lease;
}

const NEVER = new AbortController().signal;

it('keeps the hands still from the moment on in which another one has it', async () => {
  const node = new FakeNode();
  node.add(101, { memoryMib: mib(1024) });
  const [one, other] = [leaseOf('one'), leaseOf('other')];
  const hands = one.guard(node.world.hands);
  for (const lease of [one, other]) await lease.tend();
  expect([one.problem(), other.problem()]).toEqual([
    undefined,
    { kind: 'elsewhere', why: 'waiting, since lxc-autoscale on one (by SSH) scales this node' },
  ]);
  const file = node.world.guests.read(vmid(101));
  const digest = file.ok ? file.value.config.digest : '';
  const request = { vmid: vmid(101), memoryMib: mib(2048), digest };
  expect(await hands.apply(request, NEVER)).toEqual({ kind: 'done' });
  // It stood still, and nothing has told it that its place was taken.
  const taken = { host: 'third', how: 'local', seat: 'third', instance: 'third', ttlS: 90 };
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, '9.lease'), JSON.stringify(taken));
  expect(one.problem()).toBeUndefined();
  expect(await hands.apply(request, NEVER)).toEqual({
    kind: 'not-started',
    message: 'waiting, since lxc-autoscale on third (its own daemon) scales this node',
  });
  expect(await hands.memoryHigh.hold(vmid(101), bytes(1))).toMatchObject({ kind: 'refused' });
  expect(node.sets).toHaveLength(1);
});

it('two leases are taken in one order, so that no two programs wait for each other', async () => {
  let nowMs = 0;
  const clock = { ...REAL_CLOCK, monotonicMs: () => milliseconds(nowMs) };
  const directories = [temporaryDirectory(), temporaryDirectory()] as const;
  const programOf = (host: string): NodeLease => {
    const leaseIn = (directory: string, mayTake?: () => boolean): NodeLease =>
      openNodeLease(leaseFilesIn(directory), 'api', { host, seat: host, clock }, mayTake);
    const first = leaseIn(directories[0]);
    const both = together(first, (mayTake) => leaseIn(directories[1], mayTake)) ?? first;
    open.push(both);
    return both;
  };
  const [one, other] = [programOf('one'), programOf('other')];
  // The second one is free for a moment.
  await one.tend();
  rmSync(join(directories[1], '1.lease'));
  nowMs += 16_000;
  await other.tend();
  expect(readdirSync(directories[1])).toEqual([]);
  await one.tend();
  expect([one.problem(), other.problem()]).toEqual([
    undefined,
    expect.objectContaining({ kind: 'elsewhere' }),
  ]);
  await one.close();
  nowMs += 16_000;
  await other.tend();
  expect(other.problem()).toBeUndefined();
});

describe('a directory that programs share', () => {
  const named = (name: string) => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'shared'), '', { mode: 0o644 });
    return { directory, files: sharedLeaseFiles(directory, () => present(name)) };
  };

  it('has one for each node, below its name', async () => {
    const { directory, files } = named('pve1');
    expect(await files.read()).toEqual(present(new Map()));
    await files.create('1.lease', 'mine');
    expect(await files.read()).toEqual(present(new Map([['1.lease', 'mine']])));
    expect(readdirSync(directory).sort()).toEqual(['pve1', 'shared']);
    await expect(files.create('1.lease', 'other')).rejects.toMatchObject({ code: 'EEXIST' });
  });

  it.each(['../x', '', '.', 'a/b'])('is not left by the name %j', async (name) => {
    const { directory, files } = named(name);
    expect(await files.read()).toMatchObject({ ok: false });
    await expect(files.create('1.lease', 'mine')).rejects.toThrow('as no node can');
    expect(readdirSync(directory)).toEqual(['shared']);
  });

  it('does not count without its mark, nor if everybody may write to it', async () => {
    const { directory, files } = named('pve1');
    chmodSync(directory, 0o777);
    expect(await files.read()).toMatchObject({ ok: false, why: 'unreadable' });
    chmodSync(directory, 0o700);
    rmSync(join(directory, 'shared'));
    const why = await files.read();
    expect(why).toMatchObject({ ok: false, detail: expect.stringContaining('make this file') });
  });
});
