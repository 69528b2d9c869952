import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePort } from '../free-port.ts';
import { guest, hungry, NodeUnderTest } from './node-under-test.ts';

/** A node that loses the quorum of its cluster, and one whose cluster file system is stopped. */

const WAIT_MS = 60_000;
const cycles = (count: number): RegExp => new RegExp(`(?:completed.*){${count}}`, 's');

describe('a node without quorum', () => {
  it('pauses as a whole, says so everywhere, and goes on by itself', {
    timeout: 4 * WAIT_MS,
  }, async () => {
    const test = await NodeUnderTest.create([hungry(101), hungry(102)]);
    test.node.setQuorum(false);
    const port = await freePort();
    test.configure(`DEFAULT: {poll_interval: 1, metrics_listen: "127.0.0.1:${port}"}\n`);
    const daemon = test.start(['daemon']);
    await daemon.saying(cycles(3), WAIT_MS);
    expect(test.sets()).toEqual([]);
    expect(test.log().match(/the cluster has no quorum/g)).toHaveLength(1);
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    expect(await (await get('/metrics')).text()).toMatch(/^lxc_autoscale_changes_paused 1$/m);
    expect(await (await get('/healthz')).text()).toContain('paused: the cluster has no quorum');
    expect((await get('/readyz')).status).toBe(503);
    const health = await test.run(['health-check']);
    expect(health.code).toBe(1);
    expect(health.stdout).toMatch(/FAILED +quorum +the cluster has no quorum/);
    const status = await test.run(['status']);
    expect(status.stdout).toContain('PAUSED, nothing is changed: the cluster has no quorum');
    expect(status.stdout).toContain('mem paused');

    test.node.setQuorum(true);
    await daemon.saying('Configurations can be written again', WAIT_MS);
    await daemon.saying(/memory 1024 -> 1536 MB.*memory 1024 -> 1536 MB/s, WAIT_MS);
    expect((await test.run(['health-check'])).code).toBe(0);
    expect((await get('/readyz')).status).toBe(200);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });

  it('lost between the look and the change: one refusal, and nothing more is tried', {
    timeout: 4 * WAIT_MS,
  }, async () => {
    const test = await NodeUnderTest.create([hungry(101), hungry(102), hungry(103)]);
    test.configure('DEFAULT: {poll_interval: 1, max_concurrent_operations: 1}\n');
    test.node.onCommand(() => {
      test.node.setQuorum(false);
      return undefined;
    });
    const daemon = test.start(['daemon']);
    await daemon.saying(cycles(4), WAIT_MS);
    expect(test.sets()).toHaveLength(1);
    expect(test.log()).toContain('kernel and configuration differ');
    daemon.signal('SIGTERM');
    await daemon.ended;
  });

  it('lost while memory is taken: the container keeps nearly all of it', {
    timeout: 4 * WAIT_MS,
  }, async () => {
    const cached = guest(101, { cores: 2, memoryMib: 2048 }, { cpuCores: 1, anonMib: 300 });
    const test = await NodeUnderTest.create([cached]);
    const now = 'cooldown_seconds: 0, evaluation_periods: 1, first_shrink_seconds: 0';
    test.configure(`DEFAULT: {poll_interval: 1, ${now}}\n`);
    test.node.onCommand(() => {
      if (test.node.calls.length === 1) test.node.setQuorum(false);
      return undefined;
    });
    const daemon = test.start(['daemon']);
    await daemon.saying(cycles(3), WAIT_MS);
    expect(test.node.limits(101)).toMatchObject({ memoryMib: 2048, live: { memoryMib: 2047 } });
    const memory = test.sets().map((argv) => argv[argv.indexOf('--memory') + 1]);
    expect(memory).toEqual(['1536', '2047']);
    expect(test.log()).toMatch(/what is live is nearly as before again \(memory limit 2047 MB\)/);
    const high = readFileSync(join(test.root, 'sys/fs/cgroup/lxc/101/memory.high'), 'utf8');
    expect(Number(high)).toBeGreaterThan(2000 * 2 ** 20);
    daemon.signal('SIGTERM');
    await daemon.ended;
  });

  it('rolls nothing back, and says why', { timeout: 4 * WAIT_MS }, async () => {
    const test = await NodeUnderTest.create([hungry(101)]);
    expect((await test.run(['once'])).code).toBe(0);
    const before = test.sets().length;
    test.node.setQuorum(false);
    const { code, stderr } = await test.run(['rollback', '--all']);
    expect(code).toBe(1);
    expect(stderr).toContain('Nothing was changed: the cluster has no quorum');
    expect(test.sets()).toHaveLength(before);
  });

  it('is blind while pve-cluster is stopped, and sees the same containers afterwards', {
    timeout: 4 * WAIT_MS,
  }, async () => {
    const test = await NodeUnderTest.create([hungry(101)]);
    test.node.setLock(101, 'backup');
    const daemon = test.start(['daemon']);
    await daemon.saying('completed', WAIT_MS);
    test.node.setCluster(false);
    await daemon.saying('The containers cannot be seen', WAIT_MS);
    expect(test.sets()).toEqual([]);
    test.node.setCluster(true);
    test.node.setLock(101, undefined);
    await daemon.saying('memory 1024 -> 1536 MB', WAIT_MS);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });
});
