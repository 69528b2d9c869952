import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { doorHere } from '../../src/app/running-groups.ts';
import { type GroupLedger, newLedger } from '../../src/core/groups/ledger.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { GroupDoor } from '../../src/node/port.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { vmid } from '../core/builders.ts';
import { SMALL_HOST } from '../sim/small-host.ts';
import { guestSpec } from './api/rest-node.ts';
import { REAL_CLOCK, temporaryDirectory } from './local/world.ts';
import { type NodeBehindSsh, nodeBehindSsh } from './ssh/ssh-node.ts';
import { NO_SSHD } from './ssh/sshd.ts';

/** What groups need of a node, the same whichever way it is reached. */

interface Opened {
  readonly node: SimulatedNode;
  readonly door: GroupDoor;
  /** Brings what is read up to now. */
  look(): Promise<void>;
  readonly ssh?: NodeBehindSsh;
  close(): Promise<void>;
}

async function here(): Promise<Opened> {
  const node = await SimulatedNode.create({
    root: temporaryDirectory(),
    guests: [101, 102].map(guestSpec),
    host: SMALL_HOST,
    lockTimeoutMs: 50,
  });
  const env = { PATH: `${node.binDirectory}:/usr/bin:/bin` };
  const context = { paths: createPaths(node.root), clock: REAL_CLOCK, env };
  const door = doorHere(undefined, context);
  return { node, door, look: async () => door.cluster.look?.(), close: () => node.close() };
}

async function behindSsh(): Promise<Opened> {
  const ssh = await nodeBehindSsh();
  const { node, far } = ssh;
  if (far.groups === undefined) throw new Error('it has no door');
  const door = far.groups;
  const look = async (): Promise<void> => {
    await far.eyes.observe();
    await door.cluster.look?.();
  };
  return { node, door, look, ssh, close: () => ssh.close() };
}

const CLONE = vmid(99_000);
const clone = {
  kind: 'clone',
  vmid: CLONE,
  source: vmid(102),
  snapshot: undefined,
  full: true,
  hostname: 'web-99000',
  description: "a 'quote', a blank and ü",
} as const;

function ledgerOf(madeS: number): GroupLedger {
  const ledger = newLedger();
  ledger.members.set(CLONE, {
    vmid: CLONE,
    node: 'pve1',
    nonce: '0123456789abcdef'.repeat(2),
    state: 'cloning',
    served: false,
    madeS,
    address: '10.0.0.9',
    identity: undefined,
  });
  return ledger;
}

describe.each([
  ['this node', here, undefined],
  ['a node by SSH', behindSsh, NO_SSHD],
])('the door of %s', (_, open, without) => {
  let opened: Opened;
  beforeEach(async (context) => {
    if (without !== undefined) context.skip(without);
    opened = await open();
    opened.node.start();
    await opened.look();
  });
  afterEach(() => opened?.close());

  it('makes a clone, starts it, stops it and destroys it, and shows each', async () => {
    const { node, door, look } = opened;
    node.stopContainer(102);
    expect(await door.eyes.isIdFree(CLONE)).toEqual({ ok: true, value: true });
    expect(await door.hands.run(clone)).toEqual({ kind: 'done' });
    await look();
    const seen = door.cluster.read();
    const guest = seen.ok ? seen.value.guests.get(CLONE) : undefined;
    expect(guest?.ok === true && guest.value.hostname).toBe('web-99000');
    expect(guest?.ok === true && guest.value.description).toContain(clone.description);
    expect(await door.eyes.isIdFree(CLONE)).toEqual({ ok: true, value: false });
    expect(await door.hands.run(clone)).toMatchObject({ kind: 'failed', why: 'exists' });
    const digest = guest?.ok === true ? guest.value.digest : '';
    const set = { kind: 'set', vmid: CLONE, set: new Map([['onboot', '1']]), remove: [] } as const;
    const old = await door.hands.run({ ...set, digest: '0'.repeat(40) });
    expect(old).toMatchObject({ kind: 'failed', why: 'modified' });
    for (const command of [
      { ...set, digest },
      { kind: 'start', vmid: CLONE } as const,
      { kind: 'shutdown', vmid: CLONE } as const,
      { kind: 'destroy', vmid: CLONE } as const,
    ]) {
      expect(await door.hands.run(command)).toEqual({ kind: 'done' });
    }
    await look();
    const after = door.cluster.read();
    expect(after.ok && after.value.takenIds.has(CLONE)).toBe(false);
  });

  it('keeps ledgers whole, reads them back, and lists them', async () => {
    const { door, look } = opened;
    expect(door.ledgers.list()).toEqual({ ok: true, value: [] });
    expect(door.ledgers.read('web')).toMatchObject({ ok: false, why: 'absent' });
    for (const madeS of [1, 2]) {
      expect(await door.ledgers.write('web', ledgerOf(madeS))).toBeUndefined();
      expect(door.ledgers.read('web')).toEqual({ ok: true, value: ledgerOf(madeS) });
    }
    await look();
    expect(door.ledgers.read('web')).toEqual({ ok: true, value: ledgerOf(2) });
    expect(door.ledgers.list()).toEqual({ ok: true, value: ['web'] });
  });

  it('takes half of a ledger for none, and not for an empty one', async () => {
    const { node, door, look } = opened;
    const directory = join(node.root, 'etc/pve/priv/lxc_autoscale');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'web.json'), '{"version": 1, "group": "web", "members": [');
    await look();
    expect(door.ledgers.read('web')).toMatchObject({ ok: false, why: 'malformed' });
  });

  it('shows who is where, and knows the room of a storage', async () => {
    const { door } = opened;
    const seen = door.cluster.read();
    expect(seen.ok && [...seen.value.takenIds].sort()).toEqual([101, 102]);
    expect(seen.ok && seen.value.node).toBe('pve1');
    const roomOn = await door.eyes.storageRooms(vmid(101));
    expect([roomOn('local').ok, roomOn('nowhere').ok]).toEqual([true, false]);
  });
});

describe('the door of a node by SSH', () => {
  it('tells nothing to another machine that answers in its place', async (context) => {
    if (NO_SSHD !== undefined) context.skip(NO_SSHD);
    const { node, door, look, close } = await behindSsh();
    try {
      await look();
      const other = { nodename: 'pve7', version: 0 };
      writeFileSync(join(node.root, 'etc/pve/.members'), JSON.stringify(other));
      const outcome = await door.hands.run({ kind: 'destroy', vmid: vmid(102) });
      expect(outcome).toMatchObject({ kind: 'not-started' });
      expect('message' in outcome && outcome.message).toContain('calls itself pve7, and not pve1');
      await door.cluster.look?.();
      expect(door.cluster.read()).toMatchObject({ ok: false, why: 'unreadable' });
      expect(await door.ledgers.write('web', newLedger())).toMatch(/could not be written/);
      expect(node.calls).toEqual([]);
    } finally {
      await close();
    }
  });

  it('tells nothing of a node that does not answer, nor how a command ended', async (context) => {
    if (NO_SSHD !== undefined) context.skip(NO_SSHD);
    const opened = await behindSsh();
    const { node, door, look, ssh } = opened;
    try {
      node.start();
      await look();
      node.stopContainer(102);
      node.onCommand(() => {
        setTimeout(() => ssh?.server.wire.refuse(true), 30);
        return { kind: 'slow', delayMs: 2000 };
      });
      expect(await door.hands.run(clone)).toMatchObject({ kind: 'killed', isUnseen: true });
      await look();
      expect(door.cluster.read()).toMatchObject({ ok: false, why: 'unreadable' });
      expect(door.ledgers.read('web')).toMatchObject({ ok: false, why: 'unreadable' });
      expect(await door.ledgers.write('web', newLedger())).toMatch(/could not be written/);
      expect(await door.hands.run(clone)).toMatchObject({ kind: 'not-started' });
    } finally {
      await opened.close();
    }
  });
});
