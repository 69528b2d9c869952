import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { GuestSpec } from '../../src/sim/machine.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import { NO_SSHD, type SshServer, startSshd } from '../node/ssh/sshd.ts';
import { until } from '../patience.ts';
import { calm, guest, NodeUnderTest } from './node-under-test.ts';

/** The real program on one node, and another node that it reaches by a real sshd. */

let server: SshServer | undefined;

beforeEach((context) => {
  if (NO_SSHD !== undefined) context.skip(NO_SSHD);
  if (spawnSync('unshare', ['-m', 'true']).status !== 0) context.skip('needs unshare -m');
});
afterEach(() => server?.close());

/** Half a gigabyte of its cache can go. */
const CACHED = { cpuCores: 1, anonMib: 300, fileSetMib: 2000 };

async function twoNodes(
  at: Record<'home' | 'far', readonly GuestSpec[]>,
  more: string,
  vms: readonly VmSpec[] = [],
) {
  const home = await NodeUnderTest.create(at.home);
  const far = await NodeUnderTest.create(at.far, { vms });
  far.node.start();
  // Behind this sshd the far node's files are where the program looks for those of a node.
  const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
  const before = ['unshare', '-m', 'sh', '-c', script, 'sh', far.root, home.root];
  server = await startSshd({ path: `${far.node.binDirectory}:/usr/bin:/bin`, before });
  const { port, user, identityFile, knownHosts } = server.settings;
  const now = `cooldown_seconds: 0, evaluation_periods: 1, first_shrink_seconds: 0${more}`;
  const reached = `host: 127.0.0.1, port: ${port}, user: ${user}`;
  const keys = `identity_file: ${identityFile}, known_hosts: ${knownHosts}`;
  home.configure(
    `DEFAULT: {poll_interval: 1, ${now}}\nNODES:\n  old: {connection: ssh, ${reached}, ${keys}}\n`,
  );
  return { home, far, server };
}

const backupsOf = (home: NodeUnderTest, vmid: number): string[] => {
  const directory = join(home.root, `var/lib/lxc_autoscale/backups/nodes/old/${vmid}`);
  return existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => name.endsWith('.conf'))
        .map((name) => readFileSync(join(directory, name), 'utf8'))
    : [];
};

/** The first line of the journal that has all of it. */
const lineOf = (home: NodeUnderTest, wanted: object) =>
  home.journal().find((each) => Object.entries(wanted).every(([key, is]) => each[key] === is));

it('what a guest needs is changed there, with backup, proof, read-back and journal', async () => {
  const guests = [
    guest(201, { cores: 2, memoryMib: 1024 }, { cpuCores: 1.95, anonMib: 500 }),
    guest(202, { cores: 2, memoryMib: 2560 }, CACHED),
  ];
  // However long the trial takes, nothing is to be done at home.
  const { home, far } = await twoNodes({ home: [calm(101)], far: guests }, ', ignore_lxc: [101]');
  const checked = await home.run(['check-config']);
  expect(checked.stdout).toMatch(/^old +127\.0\.0\.1:[0-9]+ +SSH +2 +reached$/m);
  const daemon = home.start(['daemon']);
  const line = (wanted: object) => lineOf(home, wanted);
  const grown = { container_id: '201', action: 'Increase Cores' };
  // At once, if pvestatd came in between; otherwise a later cycle sees it.
  const inForce = () =>
    line({ ...grown, status: 'confirmed' }) ?? line({ container_id: '201', event: 'confirmed' });
  const lowered = () =>
    line({ container_id: '202', action: 'Decrease Memory', status: 'confirmed' });
  for (const seen of [inForce, lowered]) {
    await until(
      () => seen() !== undefined,
      () => home.log(),
    );
    expect(seen()).toMatchObject({ proxmox_host: 'old' });
  }
  expect(line(grown)).toMatchObject({ before: 2, proxmox_host: 'old' });
  expect(far.node.limits(201)?.cores).toBeGreaterThan(2);
  expect(far.node.limits(202)?.live?.memoryMib).toBeLessThan(2560);
  expect(backupsOf(home, 201)[0]).toMatch(/^cores: 2$/m);
  expect(backupsOf(home, 202)[0]).toMatch(/^memory: 2560$/m);
  // The kernel was asked there, nobody was hurt, and nothing is held down any more.
  expect(far.node.events.some(({ what }) => what === 'reclaim')).toBe(true);
  expect(far.node.oomKills(202)).toBe(0);
  // The next step down may be under way by now.
  const held = join(home.root, 'var/lib/lxc_autoscale/memory-high/nodes/old/202');
  await until(() => !existsSync(held));
  expect(home.node.calls).toEqual([]);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('virtual machines are asked, grown, and rid of what they refuse, as on a node', async () => {
  const settings = { cores: 4, shares: 0, balloon: 2048, hotplug: 'network,disk,usb,cpu' };
  const needy = { demand: () => ({ cpuCores: 1, anonMib: 1600 }) };
  const idle = { demand: () => ({ cpuCores: 0.1, anonMib: 1000, fileSetMib: 300 }) };
  const vms: readonly VmSpec[] = [
    { vmid: 300, memoryMib: 8192, settings: { ...settings, vcpus: 2 }, guest: needy },
    {
      vmid: 301,
      memoryMib: 8192,
      settings: { ...settings, vcpus: 4 },
      guest: { ...idle, refusesUnplug: true },
    },
  ];
  const { home, far } = await twoNodes(
    { home: [calm(101)], far: [] },
    ', ignore_lxc: [101], manage_vms: true, start_grace_seconds: 0',
    vms,
  );
  const daemon = home.start(['daemon']);
  await daemon.saying(/old: .*VM 300 \(vm300\): memory .*Confirmed/);
  await daemon.saying(/old: .*FAILED. VM 301 .*nothing of it is left pending/);
  const qm = far.node.calls.map(({ argv }) => argv.join(' '));
  expect(qm.find((one) => one.includes('300'))).toMatch(
    /^qm set 300 --balloon \d+ --digest [0-9a-f]{40}$/,
  );
  expect(qm).toContainEqual(expect.stringMatching(/^qm set 301 --revert vcpus --digest/));
  expect(far.node.machine.vms.conf(301)?.pending.size).toBe(0);
  expect(far.node.machine.vms.conf(301)?.main.get('vcpus')).toBe('4');
  expect(far.node.oomKills(300)).toBe(0);
  expect(backupsOf(home, 300)[0]).toMatch(/^balloon: 2048$/m);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});

it('a node that goes away is blind, holds up no other, and is seen again', async () => {
  let anonMib = 500;
  const needy = (vmid: number): GuestSpec => ({
    ...calm(vmid),
    demand: () => ({ cpuCores: 1, anonMib }),
  });
  const at = { home: [needy(101)], far: [needy(201)] };
  const { home, far, server: sshd } = await twoNodes(at, '');
  const grown = (vmid: number, more: object = {}): Promise<void> =>
    until(
      () =>
        lineOf(home, {
          container_id: String(vmid),
          action: 'Increase Memory',
          status: 'confirmed',
          ...more,
        }) !== undefined,
      () => home.log(),
    );
  const daemon = home.start(['daemon']);
  await until(() => sshd.wire.connections > 0);
  await daemon.cycles(2);
  sshd.wire.refuse(true);
  await daemon.saying(/old: .*127\.0\.0\.1: /);
  anonMib = 900;
  await grown(101);
  expect(far.node.calls).toEqual([]);
  sshd.wire.refuse(false);
  await grown(201, { proxmox_host: 'old' });
  expect(far.node.limits(201)?.live?.memoryMib).toBeGreaterThan(1024);
  daemon.signal('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
});
