import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { journalLabel } from '../../src/core/journal-words.ts';
import { exchange } from '../app/http/served.ts';
import { freePort } from '../free-port.ts';
import { configuration, FIRST_ID, GroupUnderTest, LEDGER, SOURCE } from './group-under-test.ts';
import { MemberNetwork, whyNoMemberNetwork } from './member-network.ts';
import { calm, guest, HOST, hungry, NodeUnderTest } from './node-under-test.ts';

/** Horizontal groups from end to end: the real program, and `pct` as a real node has it. */

const actionsOf = (group: GroupUnderTest): unknown[] => group.under.journal().map(journalLabel);

it('load doubles and doubles again, then falls: 2 -> 5 -> 2', async () => {
  const group = await GroupUnderTest.create({ scale_in: 'destroy', start_order: 7 });
  const before = group.under.conf(SOURCE);
  const daemon = group.start();
  await group.until(() => group.inService().length === 2);
  const clone = group.under.conf(FIRST_ID);
  expect(clone).toMatch(/^tags: autoscale-group-web$/m);
  expect(clone).toMatch(/^hostname: web-99000$/m);
  expect(clone).toMatch(/^startup: order=7$/m);
  expect(clone).toMatch(/^net0: .*ip=198\.18\.9\.10\/16/m);
  expect(clone).not.toContain('notes');
  const explained = await group.under.run(['explain', 'web']);
  expect(explained.stdout).toMatch(/^Group web, 2 to 5 members, made of 101:\n2 in service/);
  expect(explained.stdout).toMatch(/99000 +web-99000 +serving +this program +198\.18\.9\.10/);
  const asked = await group.under.run(['status']);
  expect(asked.stdout).toMatch(/\nweb +101 +2 +2 +2-5 +destroy/);
  const wrong = await group.under.run(['explain', 'mail']);
  expect(wrong.stderr).toMatch(/^No guest or group is called 'mail'\. /);
  group.ask(4);
  await group.until(() => group.inService().length >= 3);
  // Not all of the host's 8 CPUs: then another member would help nobody.
  group.ask(7);
  await group.until(() => group.inService().length === 5 && group.isClean());
  group.expectClean();
  group.ask(0.2);
  await group.until(() => group.members().length === 2 && group.isClean());
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
  group.expectClean();
  expect(group.inService()).toEqual([SOURCE, FIRST_ID]);
  expect(group.under.conf(SOURCE)).toBe(before);
  const actions = actionsOf(group);
  expect(actions.filter((one) => one === 'Scale Out')).toHaveLength(4);
  expect(actions.filter((one) => one === 'Scale In')).toHaveLength(3);
  const [first] = group.under.journal();
  expect(first).toMatchObject({ container_id: '99000', group: 'web', address: '198.18.9.10' });
});

it('a person asks for a member more and one less, by the API', async () => {
  const port = await freePort();
  const token = 'deploy-token-0123456789';
  const group = await GroupUnderTest.create(
    { scale_in: 'destroy', min_instances: 1, scale_in_grace_period: 600 },
    {},
    {
      http_listen: `127.0.0.1:${port}`,
      http_tokens: [{ name: 'deploy', token, role: 'scale' }],
    },
  );
  const daemon = group.start();
  const ask = (what: string) =>
    exchange(port, 'POST', `/api/v1/groups/${what}`, { authorization: `Bearer ${token}` }, {});
  await daemon.cycles(3);
  const said = await ask('web/scale-out?dry_run=1');
  expect(said.json).toMatchObject({
    group: 'web',
    says: `Group web: 1 -> 2 members, by cloning container ${SOURCE} from a snapshot.`,
  });
  expect(group.under.node.calls).toEqual([]);
  expect((await ask('web/scale-out')).json).toEqual(said.json);
  expect(await ask('web/scale-out')).toMatchObject({ status: 409, json: { code: 'refused' } });
  await group.until(() => group.inService().length === 2 && group.isClean());
  let answer = await ask('web/scale-in');
  // Its load is known only after a while in service.
  while (answer.status === 409 && String(answer.json['detail']).includes('not known yet')) {
    await daemon.cycles(1);
    answer = await ask('web/scale-in');
  }
  expect(answer).toMatchObject({
    status: 200,
    json: { says: expect.stringMatching(/^Group web: 2 -> 1 members, by taking container 99000 /) },
  });
  await group.until(() => group.members().length === 1 && group.isClean());
  expect(await ask('mail/scale-in')).toMatchObject({ json: { code: 'no-such-group' } });
  daemon.signal('SIGTERM');
  await daemon.ended;
  const events = group.under.journal();
  expect(events.map(journalLabel)).toEqual([
    'Scale Out Asked',
    'Scale Out',
    'Scale In Asked',
    'Scale In',
  ]);
  expect(events[0]).toMatchObject({ action: 'None', event: 'asked', asked_by: 'api:deploy' });
  expect(events[3]).toMatchObject({ reason: 'it was asked for by api:deploy' });
});

it('stopped members are used again', async () => {
  const group = await GroupUnderTest.create({ scale_in: 'stop', max_instances: 3 });
  const daemon = group.start();
  group.ask(5);
  await group.until(() => group.inService().length === 3 && group.isClean());
  group.ask(0.2);
  await group.until(() => group.inService().length === 2);
  await group.until(() => group.members().filter(({ running }) => running).length === 2);
  expect(group.members()).toHaveLength(3);
  group.ask(5);
  await group.until(() => group.inService().length === 3);
  daemon.signal('SIGTERM');
  await daemon.ended;
  const clones = group.under.node.calls.filter(({ argv }) => argv[1] === 'clone');
  expect(clones).toHaveLength(2);
  group.expectClean();
});

it('an address range that is used up, and an id that a VM has', async () => {
  const vms = [{ vmid: FIRST_ID, memoryMib: 512, running: false }];
  const range = ['198.18.9.10', '198.18.9.11'];
  const group = await GroupUnderTest.create({ min_instances: 5, static_ip_range: range }, { vms });
  const daemon = group.start();
  await daemon.saying('no clone is made: all addresses of static_ip_range are in use');
  await group.until(() => group.inService().length === 3 && group.isClean());
  await daemon.cycles(2);
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(group.inService()).toEqual([SOURCE, FIRST_ID + 1, FIRST_ID + 2]);
  expect(group.under.log().match(/all addresses/g)).toHaveLength(1);
  group.expectClean();
});

it('an id that a VM takes at the last moment', async () => {
  const group = await GroupUnderTest.create();
  group.under.node.onCommand(({ argv }) => {
    if (argv[2] !== '/cluster/nextid' || argv[4] !== `${FIRST_ID}`) return undefined;
    group.under.node.machine.files.writeVmText(FIRST_ID, 'memory: 512\n');
    return undefined;
  });
  const daemon = group.start();
  await group.until(() => group.inService().length === 2 && group.isClean());
  daemon.signal('SIGTERM');
  await daemon.ended;
  const ids = group.under.node.calls
    .filter(({ argv }) => argv[1] === 'clone')
    .map(({ argv }) => argv[3]);
  expect(ids).toEqual([`${FIRST_ID + 1}`]);
  expect(group.under.log()).toContain(`the id ${FIRST_ID} is taken; another id is taken`);
});

describe('a clone that fails', () => {
  it('after a while leaves nothing, and is not tried again at once', async () => {
    const group = await GroupUnderTest.create();
    const stderr = 'clone failed: rsync error: some files could not be transferred\n';
    group.under.node.onClone(() => ({ durationMs: 1500, failure: { exit: 255, stderr } }));
    const daemon = group.start();
    await daemon.saying(/FAILED\. Group web: cloning.*rsync error/);
    await group.until(() => group.members().length === 1 && group.isClean());
    await daemon.cycles(3);
    daemon.signal('SIGTERM');
    await daemon.ended;
    group.expectClean();
    const clones = group.under.node.calls.filter(({ argv }) => argv[1] === 'clone');
    expect(clones).toHaveLength(1);
    expect(actionsOf(group)).toEqual(['Scale Out Failed']);
    expect(JSON.parse(group.state()).groups.web.reservation).toBeUndefined();
  });

  it('by being killed leaves nothing either, not even its locks', async () => {
    const group = await GroupUnderTest.create();
    group.under.node.onClone(() => ({ durationMs: 60_000, diesWithCaller: true }));
    const daemon = group.start();
    await group.until(() => group.under.conf(FIRST_ID).includes('lock: create'));
    const pid = JSON.parse(group.state()).groups.web.reservation.pid;
    process.kill(-pid, 'SIGKILL');
    await group.until(() => group.members().length === 1 && group.isClean());
    daemon.signal('SIGTERM');
    await daemon.ended;
    group.expectClean();
    expect(group.under.log()).toContain(
      'what is left of the clone 99000, since its cloning was cut',
    );
  });

  it('for want of room is not even begun', async () => {
    const group = await GroupUnderTest.create();
    group.under.node.machine.storageUsedBytes = 41_956_900_000;
    const daemon = group.start();
    await daemon.saying(/FAILED\. Group web: cloning.*the storage local-lvm has 0 MB left/);
    await group.until(() => group.isClean());
    daemon.signal('SIGTERM');
    await daemon.ended;
    const verbs = group.under.node.calls.map(({ argv }) => argv[1]);
    expect(verbs).not.toContain('clone');
    group.expectClean();
  });
});

it.each([true, false])('a clone that prints nothing: %s', async (silent) => {
  const group = await GroupUnderTest.create();
  group.under.node.onClone(() => ({ durationMs: 300, silent }));
  const daemon = group.start();
  await group.until(() => group.inService().length === 2 && group.isClean());
  daemon.signal('SIGTERM');
  expect((await daemon.ended).stderr).toBe('');
  group.expectClean();
});

it('a member that is stopped by hand is reported and left alone', async () => {
  const group = await GroupUnderTest.create({ scale_in: 'destroy' });
  const daemon = group.start();
  await group.until(() => group.inService().length === 2 && group.isClean());
  const before = group.under.conf(FIRST_ID);
  group.under.node.stopContainer(FIRST_ID);
  await daemon.saying(`${FIRST_ID} was stopped, and not by this program; it is skipped`);
  await group.until(() => group.inService().length === 2);
  await daemon.cycles(2);
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(group.under.conf(FIRST_ID)).toBe(before);
  expect(group.inService()).toEqual([SOURCE, FIRST_ID + 1]);
});

it('two daemons on one group: exactly one acts', async () => {
  const group = await GroupUnderTest.create();
  const first = group.start();
  await first.saying('Group web: taking the snapshot');
  const other = join(dirname(group.under.root), 'other');
  mkdirSync(join(other, 'etc/lxc_autoscale'), { recursive: true });
  mkdirSync(join(other, 'var/lock'), { recursive: true });
  mkdirSync(join(other, 'var/log'), { recursive: true });
  for (const name of ['etc/pve', 'sys', 'proc', 'etc/hostname']) {
    symlinkSync(join(group.under.root, name), join(other, name));
  }
  writeFileSync(join(other, 'etc/lxc_autoscale/lxc_autoscale.yaml'), configuration());
  const second = group.under.start(['--sysroot', other, 'daemon']);
  const log = () => {
    const path = join(other, 'var/log/lxc_autoscale.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  await group.until(() => log().includes('another daemon of the cluster works on it'));
  await group.until(() => group.inService().length === 2 && group.isClean());
  const cycles = () => log().split('Next run in').length;
  const goal = cycles() + 2;
  await group.until(() => cycles() >= goal);
  expect(log()).not.toMatch(/Group web: (taking|cloning|starting)/);
  const clones = group.under.node.calls.filter(({ argv }) => argv[1] === 'clone');
  expect(clones).toHaveLength(1);
  first.signal('SIGTERM');
  await first.ended;
  // The first has given its lease back, so the second goes on at once.
  group.under.node.destroyContainer(FIRST_ID);
  await group.until(() => group.inService().length === 2 && group.isClean());
  expect(log()).toMatch(/Group web: cloning/);
  second.signal('SIGTERM');
  await second.ended;
});

it('a group whose source is on another node is left to that', async () => {
  const foreign = [{ vmid: 500, node: 'pve2', type: 'lxc' as const }];
  const group = await GroupUnderTest.create({ source: 500 }, { foreign });
  const daemon = group.start();
  await daemon.saying('its source 500 is on the node pve2, so it is worked on there');
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(group.under.node.calls).toEqual([]);
  expect(existsSync(join(group.under.root, LEDGER))).toBe(false);
});

// So long that a busy machine, too, sees what does not wait for the clone.
it('a long clone delays no vertical decision', { retry: 2 }, async () => {
  // A clone of 20 s and cycles of 1 s stand for 10 minutes and 30 s.
  const group = await GroupUnderTest.create({}, {}, { scaling_mode: 'threshold' });
  group.under.node.onClone(() => ({ durationMs: 20_000 }));
  const daemon = group.start();
  await group.until(() => group.under.conf(FIRST_ID).includes('lock: create'));
  group.under.node.addContainer(hungry(300));
  await group.until(() => (group.under.node.limits(300)?.memoryMib ?? 0) > 1024);
  expect(group.under.conf(FIRST_ID)).toContain('lock: create');
  // The daemon does not wait for it at its end, and the next life finds it finished.
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(group.under.conf(FIRST_ID)).toContain('lock: create');
  const again = group.start();
  await group.until(() => group.inService().length === 2 && group.isClean());
  again.signal('SIGTERM');
  await again.ended;
  expect(group.under.node.calls.filter(({ argv }) => argv[1] === 'clone')).toHaveLength(1);
});

describe('health checks and hooks', () => {
  it('what never answers comes not into service, and is removed', async () => {
    const keys = { health_check: 'http', health_port: 18_080, ready_timeout: 2 };
    const group = await GroupUnderTest.create({ ...keys, lxc_containers: [], min_instances: 1 });
    const daemon = group.start();
    await daemon.saying(/member 99000 is taken out, since it was not ready within 2 s: .*18080/);
    await group.until(() => group.members().length === 1 && group.isClean());
    daemon.signal('SIGTERM');
    await daemon.ended;
    group.expectClean();
    expect(actionsOf(group)).toEqual(['Scale Out Failed']);
  });

  it('the node asks none of its own services, though a member names one', {
    timeout: 240_000,
  }, async () => {
    let asked = 0;
    const own = createServer(() => (asked += 1)).listen(0, '127.0.0.1');
    await once(own, 'listening');
    const { port } = own.address() as AddressInfo;
    const keys = { health_check: 'tcp', health_port: port, ready_timeout: 2, min_instances: 1 };
    const group = await GroupUnderTest.create({ ...keys, lxc_containers: [] });
    group.under.node.onCommand(({ argv: [, verb, id = ''] }) => {
      const toOwn = (text: string) => text.replace(/ip=[0-9.]+/, 'ip=127.0.0.1');
      if (verb === 'start') group.under.node.editConfig(Number(id), toOwn);
      return undefined;
    });
    const daemon = group.start();
    await daemon.saying(/127\.0\.0\.1\/\d+ is no address of a container's own/);
    daemon.signal('SIGTERM');
    await daemon.ended;
    own.close();
    expect(asked).toBe(0);
  });

  it('an unhealthy member is replaced, after its hook; the hooks know whom', async (context) => {
    const cannot = whyNoMemberNetwork();
    if (cannot !== undefined) return context.skip(cannot);
    const keys = {
      health_check: 'tcp',
      health_port: 18_081,
      scale_in: 'destroy',
      lxc_containers: [],
      healthy_count: 1,
      unhealthy_count: 2,
      min_instances: 1,
      horiz_cpu_lower_threshold: 0,
    };
    const network = await MemberNetwork.create();
    const makeSick = await network.serve('198.18.9.10', 18_081);
    await network.serve('198.18.9.11', 18_081);
    const group = await GroupUnderTest.create(keys);
    const told = join(group.under.root, 'told');
    const hook = join(group.under.root, 'hook');
    writeFileSync(hook, `#!/bin/sh\necho "$@" >> ${told}\n`);
    chmodSync(hook, 0o755);
    group.configure({
      ...keys,
      on_ready: [hook, 'ready', '{vmid}', '{ip}'],
      on_terminating: [hook, 'terminating', '{vmid}', '{ip}'],
    });
    const daemon = group.start(network.inside);
    await group.until(() => group.inService().includes(FIRST_ID));
    await makeSick();
    await group.until(() => group.members().every(({ vmid }) => vmid !== FIRST_ID));
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(readFileSync(told, 'utf8')).toBe(
      'ready 99000 198.18.9.10\nready 99001 198.18.9.11\nterminating 99000 198.18.9.10\n',
    );
    group.expectClean();
  });

  it('a terminating hook that fails blocks the removal', async () => {
    const keys = { scale_in: 'destroy', min_instances: 1, on_terminating: ['/bin/false'] };
    const group = await GroupUnderTest.create(keys);
    const daemon = group.start();
    group.ask(1.9);
    await group.until(() => group.inService().length === 2);
    group.ask(0.1);
    await daemon.saying(/FAILED\. Group web: taking container 99000 out.*on_terminating did not/);
    await daemon.cycles(2);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(group.members().filter(({ running }) => running)).toHaveLength(2);
    const verbs = group.under.node.calls.map(({ argv }) => argv[1]);
    expect(verbs).not.toContain('shutdown');
  });
});

describe('between two cycles, which are far apart', () => {
  /** 4096 MiB to hand out, of which the source has 1024. */
  const host = { ...HOST, memoryMib: 6144 };
  const defaults = { poll_interval: 3600, sample_interval: 1, memory_overcommit_ratio: 1 };
  const keys = { min_instances: 1, max_instances: 2 };

  const expectNoClone = async (group: GroupUnderTest): Promise<void> => {
    await group.until(() => /no clone is made: it needs 1024 MB of memory/.test(group.under.log()));
    const verbs = group.under.node.calls.map(({ argv }) => argv[1]);
    expect(verbs).not.toContain('clone');
    expect(verbs).not.toContain('start');
  };

  it('no clone is made with the memory that somebody else has started with', async () => {
    const group = await GroupUnderTest.create(keys, { host }, defaults);
    const { node } = group.under;
    node.addContainer(calm(102));
    node.addContainer({
      ...guest(103, { memoryMib: 1536 }, { cpuCores: 0.1, anonMib: 300 }),
      running: false,
    });
    const daemon = group.start();
    await daemon.saying('Next run in 3600 seconds.');
    node.startContainer(103);
    group.ask(8);
    await expectNoClone(group);
    node.stopContainer(103);
    await group.until(() => group.inService().length === 2 && group.isClean());
    daemon.signal('SIGTERM');
    await daemon.ended;
  });

  it('no clone is made with the memory that an early decision has given', async () => {
    const group = await GroupUnderTest.create(keys, { host }, defaults);
    const { node } = group.under;
    let mib = 900;
    const conf = guest(102, { memoryMib: 2048 }, { cpuCores: 0.1, anonMib: 300 }).conf;
    node.addContainer({ vmid: 102, conf, demand: () => ({ cpuCores: 0.5, anonMib: mib }) });
    const TIER_big = { lxc_containers: [102], scaling_mode: 'threshold' };
    const rest = JSON.parse(configuration(keys, defaults));
    group.under.configure(JSON.stringify({ ...rest, TIER_big }));
    const daemon = group.under.start(['daemon']);
    await daemon.saying('Next run in 3600 seconds.');
    mib = 2200;
    await daemon.saying('Increasing memory for container 102');
    group.ask(8);
    await expectNoClone(group);
    daemon.signal('SIGTERM');
    await daemon.ended;
  });
});

it('a dry run says what it would do, and does none of it', async () => {
  const group = await GroupUnderTest.create();
  group.configure({});
  const daemon = group.under.start(['--dry-run', 'daemon']);
  await daemon.saying('Group web: dry run, left out: taking the snapshot');
  await daemon.cycles(2);
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(group.under.node.calls).toEqual([]);
  expect(actionsOf(group)).toEqual(['Would Scale Out']);
  expect(existsSync(join(group.under.root, 'etc/pve/priv/lxc_autoscale'))).toBe(false);
  expect(existsSync(join(group.under.root, 'var/lib/lxc_autoscale/groups.json'))).toBe(false);
});

it('without groups nothing of them is there', async () => {
  const under = await NodeUnderTest.create([hungry(101)]);
  const daemon = under.start(['daemon']);
  await daemon.saying('Resource allocation process completed');
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(readdirSync(join(under.root, 'etc/pve/priv/lxc_autoscale'))).toEqual(['leases']);
  expect(existsSync(join(under.root, 'var/lib/lxc_autoscale/groups.json'))).toBe(false);
});

it('a slow `pct set` makes no group at rest go out and in', async () => {
  const group = await GroupUnderTest.create({ scale_in: 'destroy', min_instances: 1 });
  // Slower than it is from one look to the next.
  group.under.node.onCommand(({ argv }) =>
    argv[1] === 'set' ? { kind: 'slow', delayMs: 2500 } : undefined,
  );
  const daemon = group.start();
  group.ask(5);
  await group.until(() => group.inService().length >= 3 && group.isClean());
  group.ask(0.1);
  await group.until(() => group.members().length === 1 && group.isClean());
  await daemon.cycles(3);
  daemon.signal('SIGTERM');
  await daemon.ended;
  const verbs = group.under.node.calls.map(({ argv }) => argv[1]);
  expect(verbs).toContain('shutdown');
  expect(verbs.slice(verbs.indexOf('shutdown'))).not.toContain('clone');
  expect(group.inService()).toEqual([SOURCE]);
});

it('a snapshot that has no effect is not taken again and again', async () => {
  const group = await GroupUnderTest.create();
  group.under.node.onCommand(({ argv }) =>
    argv[1] === 'snapshot' ? { kind: 'no-effect' } : undefined,
  );
  const daemon = group.start();
  await daemon.saying(/ended without an error, and had no effect; it is tried again later/);
  await daemon.cycles(8);
  daemon.signal('SIGTERM');
  await daemon.ended;
  const verbs = group.under.node.calls.map(({ argv }) => argv[1]);
  expect(verbs.filter((verb) => verb === 'snapshot')).toHaveLength(1);
});

it('a running source on a directory storage is said, and not tried', async () => {
  const group = await GroupUnderTest.create();
  group.under.node.editConfig(SOURCE, (text) =>
    text.replace(/^rootfs: .*$/m, 'rootfs: local:101/vm-101-disk-0.raw,size=8G'),
  );
  group.configure({});
  const checked = await group.under.run(['check-config']);
  expect(checked.stdout).toMatch(
    /Note: .*its storage local \(dir\) has no snapshots of containers/,
  );
  const daemon = group.start();
  await daemon.saying(/its source 101 runs, and its storage local \(dir\) has no snapshots/);
  await daemon.cycles(2);
  expect(group.under.node.calls).toEqual([]);
  group.under.node.stopContainer(SOURCE);
  await group.until(() => group.inService().length >= 1 && group.isClean());
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(group.under.conf(FIRST_ID)).toMatch(
    /^rootfs: local:99000\/vm-99000-disk-0\.raw,size=8G$/m,
  );
});
