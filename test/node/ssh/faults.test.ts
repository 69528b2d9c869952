import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FarNode } from '../../../src/app/world.ts';
import { bytes } from '../../../src/core/units.ts';
import { HIGH_DIRECTORY } from '../../../src/node/local/kernel/high-file.ts';
import { PATIENCE_MS, until } from '../../patience.ts';
import { manualClock, vmid } from '../local/world.ts';
import { type NodeBehindSsh, nodeBehindSsh } from './ssh-node.ts';
import { NO_SSHD, type SshServerOptions } from './sshd.ts';

/** What goes wrong between here and a node that is reached by SSH, with a real sshd. */

const ID = vmid(101);
const NEVER = new AbortController().signal;
const open: NodeBehindSsh[] = [];

beforeEach((context) => {
  if (NO_SSHD !== undefined) context.skip(NO_SSHD);
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function behindSsh(forced?: SshServerOptions['forced']): Promise<NodeBehindSsh> {
  const one = await nodeBehindSsh(forced);
  open.push(one);
  return one;
}

/** Nothing is known, each with the same reason, and nothing is zero or absent. */
function expectBlind({ eyes, problem }: FarNode, why: RegExp): void {
  expect(problem()).toMatch(why);
  const { cpus, memory, vmMemoryMib } = eyes.host.observe();
  const { guests, cgroups } = eyes;
  const all = [guests.list(), guests.read(ID), guests.quorum(), cgroups.sample(ID)];
  for (const reading of [...all, cgroups.cpuLimit(ID), cpus, memory, vmMemoryMib]) {
    expect(reading).toMatchObject({ ok: false, why: 'unreadable' });
  }
  const sample = cgroups.sample(ID);
  expect(sample.ok ? '' : sample.detail).toMatch(why);
  expect(cgroups.capabilities(ID)).toBeUndefined();
}

async function seenAgain({ eyes, problem }: FarNode): Promise<void> {
  let isSeen = false;
  const look = async (): Promise<void> => {
    while (!isSeen) {
      await eyes.observe();
      isSeen = problem() === undefined;
      if (!isSeen) await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await Promise.all([look(), until(() => isSeen)]);
  expect(eyes.cgroups.sample(ID)).toMatchObject({ ok: true });
}

describe('a look', () => {
  it.each([
    ['before its first byte', 1],
    ['in the middle', 3000],
  ])('that is cut off %s is none, and the next connection sees again', async (_where, after) => {
    const { far, server } = await behindSsh();
    await far.eyes.observe();
    expect(far.problem()).toBeUndefined();
    server.wire.cut(after);
    await far.eyes.observe();
    expectBlind(far, /127\.0\.0\.1: /);
    await seenAgain(far);
  });

  it('that a guest is looked at again in is none, if it breaks there', async () => {
    const { far, server } = await behindSsh();
    await far.eyes.observe();
    server.wire.cut(10);
    await far.eyes.inspect(ID);
    expectBlind(far, /127\.0\.0\.1: /);
  });

  it('that comes too late is none', async () => {
    const { open: another, server, far } = await behindSsh();
    const slow = another({}, 500);
    await slow.eyes.observe();
    expect(slow.problem()).toBeUndefined();
    server.wire.still(true);
    await slow.eyes.observe();
    expectBlind(slow, /has not answered within 0\.5 s/);
    server.wire.still(false);
    await seenAgain(far);
  });

  it('does not knock again before it is time', async () => {
    const { server, open: another } = await behindSsh();
    const clock = manualClock();
    const identityFile = join(server.directory, 'stranger');
    const stranger = another({ identityFile }, PATIENCE_MS, clock);
    await stranger.eyes.observe();
    expectBlind(stranger, /refuses the login/);
    expect(server.wire.connections).toBe(1);
    clock.advance(499);
    await stranger.eyes.observe();
    expect(server.wire.connections).toBe(1);
    clock.advance(1);
    await stranger.eyes.observe();
    expect(server.wire.connections).toBe(2);
    expectBlind(stranger, /refuses the login/);
  });

  it.each([
    ['at the whole node', (far: FarNode) => far.eyes.observe()],
    ['at one guest', (far: FarNode) => far.eyes.inspect(ID)],
  ])('%s, without cgroup v2 or a name of its own, is none', async (_where, look) => {
    const { far, node } = await behindSsh();
    await far.eyes.observe();
    expect(far.problem()).toBeUndefined();
    const at = (path: string): string => join(node.root, path);
    const moved = async (path: string, to: string, why: RegExp): Promise<void> => {
      renameSync(at(path), at(to));
      await look(far);
      expectBlind(far, why);
      renameSync(at(to), at(path));
      await seenAgain(far);
    };
    await moved('sys/fs/cgroup/cgroup.controllers', 'sys/fs/cgroup/memory', /cgroup v1/);
    await moved('sys/fs/cgroup/cgroup.controllers', 'controllers', /no control groups/);
    writeFileSync(at('etc/hostname'), '-\n');
    await moved('etc/pve/.members', 'members', /hold no name that a node can have/);
    rmSync(at('etc/hostname'));
    await moved('etc/pve/.members', 'members', /is no Proxmox VE node, or not up yet/);
  });
});

describe('nobody is believed', () => {
  it('with another host key than the known one', async () => {
    const { far, server } = await behindSsh();
    await server.changeHostKey();
    await far.eyes.observe();
    expectBlind(far, /host key is another one than the known one/);
  });

  it('with a host key that is not known', async () => {
    const { open: another, server } = await behindSsh();
    const none = join(server.directory, 'none known "here" %h');
    writeFileSync(none, '');
    const far = another({ knownHosts: none });
    await far.eyes.observe();
    expectBlind(far, /host key is not known here/);
  });

  it('who prints something of his own', async () => {
    const { far } = await behindSsh(() => 'echo Welcome');
    await far.eyes.observe();
    expectBlind(far, /login shell must print nothing/);
  });

  it('who calls himself otherwise', async () => {
    const { open: another } = await behindSsh();
    const far = another({ node: 'pve7' });
    await far.eyes.observe();
    expectBlind(far, /calls itself pve1, and not pve7/);
  });
});

it('a host in between is gone through with the same key and the same known hosts', async () => {
  const { open: another, server } = await behindSsh();
  const { user, port } = server.settings;
  const far = another({ jump: `${user}@127.0.0.1:${port}` });
  const before = server.wire.connections;
  await far.eyes.observe();
  expect(far.problem()).toBeUndefined();
  expect(server.wire.connections).toBe(before + 2);
});

describe('memory.high that is held down', () => {
  const AT = bytes(67_108_864);
  const high = (one: NodeBehindSsh): string =>
    readFileSync(join(one.node.root, 'sys/fs/cgroup/lxc/101/memory.high'), 'utf8');
  const recordOf = (one: NodeBehindSsh): string =>
    join(one.node.root, HIGH_DIRECTORY, 'nodes/far/101');

  it('is put back by who held it', async () => {
    const one = await behindSsh();
    const before = high(one);
    const { memoryHigh } = one.far.hands;
    expect(await memoryHigh.hold(ID, AT)).toEqual({ kind: 'held' });
    expect([high(one), existsSync(recordOf(one))]).toEqual(['67108864\n', true]);
    expect(await memoryHigh.release(ID)).toEqual({ ok: true });
    expect([high(one), existsSync(recordOf(one))]).toEqual([before, false]);
  });

  it.each([
    ['the connection is cut', ({ server }: NodeBehindSsh) => server.wire.cut()],
    ['this program ends', ({ far }: NodeBehindSsh) => far.close()],
  ])('is put back by the far side if %s', async (_what, happen) => {
    const one = await behindSsh();
    const before = high(one);
    expect(await one.far.hands.memoryHigh.hold(ID, AT)).toEqual({ kind: 'held' });
    happen(one);
    await until(() => high(one) === before);
  });

  it('is put back if nothing comes through any more', async () => {
    const one = await behindSsh();
    const before = high(one);
    expect(await one.far.hands.memoryHigh.hold(ID, AT)).toEqual({ kind: 'held' });
    one.server.wire.still(true);
    await until(() => high(one) === before);
    one.server.wire.still(false);
  });

  it('is put back by the next program if the far side was killed as well', async () => {
    const one = await behindSsh((directory) => `echo $$ >${directory}/pid`);
    const before = high(one);
    expect(await one.far.hands.memoryHigh.hold(ID, AT)).toEqual({ kind: 'held' });
    const pid = readFileSync(join(one.server.directory, 'pid'), 'utf8').trim();
    process.kill(Number(pid), 'SIGKILL');
    await until(() => !existsSync(`/proc/${pid}`));
    one.far.close();
    expect(high(one)).toBe('67108864\n');
    const next = one.open();
    expect(await next.hands.memoryHigh.releaseLeft()).toEqual([{ vmid: ID }]);
    expect([high(one), existsSync(recordOf(one))]).toEqual([before, false]);
  });

  it('is not taken for put back if nothing can be said', async () => {
    const one = await behindSsh();
    const { memoryHigh } = one.far.hands;
    await memoryHigh.hold(ID, AT);
    one.server.wire.cut();
    expect(await memoryHigh.release(ID)).toMatchObject({ ok: false });
    expect(existsSync(recordOf(one))).toBe(true);
  });
});

describe('a command', () => {
  /** No other run of these tests on this machine has the same. */
  const sleep = `sleep 86399.${process.pid}`;
  const sleeping = (): string[] =>
    execFileSync('ps', ['-eo', 'args'])
      .toString()
      .split('\n')
      .filter((line) => line === sleep);
  const hangingPct = (one: NodeBehindSsh, before = ''): void => {
    const script = `#!/bin/sh\n${before}\n${sleep} & wait\n`;
    writeFileSync(join(one.node.binDirectory, 'pct'), script, { mode: 0o755 });
  };

  it('that was under way when the connection broke is ended there', async () => {
    const one = await behindSsh();
    await one.far.eyes.observe();
    hangingPct(one);
    const config = one.far.eyes.guests.read(ID);
    const digest = config.ok ? config.value.config.digest : '';
    const outcome = one.far.hands.apply({ vmid: ID, digest, cores: 3 }, NEVER);
    await until(() => sleeping().length > 0);
    one.server.wire.cut();
    expect(await outcome).toMatchObject({
      kind: 'killed',
      message: expect.stringMatching(/^pct set 101 was under way when the connection .* ended/),
    });
    await until(() => sleeping().length === 0);
  });

  // One of its group has ended, and its parent, which has left the group, never asks for that.
  const leaveZombie = `perl -e 'exit unless fork; setpgrp(0, 0); exec qw(sleep 5)' &`;

  it.each([
    ['', ''],
    [', though nobody asks for the end of what it began', leaveZombie],
  ])('that is not wanted any more is ended there%s', async (_what, more) => {
    const one = await behindSsh();
    await one.far.eyes.observe();
    hangingPct(one, more);
    const cancel = new AbortController();
    const digest = 'a'.repeat(40);
    const outcome = one.far.hands.apply({ vmid: ID, digest, cores: 3 }, NEVER, cancel.signal);
    await until(() => sleeping().length > 0);
    cancel.abort();
    expect(await outcome).toMatchObject({
      kind: 'killed',
      message: 'pct set 101 was not wanted any more and was ended',
    });
    expect(sleeping()).toEqual([]);
  });
});
