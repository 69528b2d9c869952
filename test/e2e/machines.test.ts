import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { VmSpec } from '../../src/sim/vms.ts';
import { freePort } from '../free-port.ts';
import { until } from '../patience.ts';
import { calm, hungry, NodeUnderTest } from './node-under-test.ts';

/** Virtual machines through the real program: `qm`, QMP and the configurations of a node. */

const CONFIG = `DEFAULT:
  poll_interval: 1
  manage_vms: true
  cooldown_seconds: 0
  first_shrink_seconds: 0
  start_grace_seconds: 0
`;

const machine = (vmid: number, own: Partial<VmSpec> = {}): VmSpec => ({
  vmid,
  memoryMib: 8192,
  settings: { cores: 4, shares: 0, balloon: 2048 },
  guest: { demand: () => ({ cpuCores: 1.5, anonMib: 1000, fileSetMib: 300 }) },
  ...own,
});

const settingOf = (under: NodeUnderTest, vmid: number, key: string): string | undefined =>
  under.node.machine.vms.conf(vmid)?.main.get(key);

const qmSets = (under: NodeUnderTest): readonly string[] =>
  under.node.calls.filter(({ argv }) => argv[0] === 'qm').map(({ argv }) => argv.join(' '));

/** Four CPUs, of which it uses next to nothing. */
const idleMachine = machine(200, {
  settings: {
    cores: 4,
    shares: 0,
    balloon: 2048,
    hotplug: 'network,disk,usb,cpu',
    vcpus: 4,
  },
  guest: { demand: () => ({ cpuCores: 0.1, anonMib: 1000, fileSetMib: 300 }) },
});

describe('a virtual machine', () => {
  it('whose guest needs more memory gets a larger balloon target', async () => {
    const guest = { demand: () => ({ cpuCores: 1, anonMib: 1600 }) };
    const under = await NodeUnderTest.create([], { vms: [machine(200, { guest })] });
    under.configure(CONFIG);
    const daemon = under.start(['daemon']);
    await until(() => Number(settingOf(under, 200, 'balloon')) > 2048);
    expect(qmSets(under)[0]).toMatch(/^qm set 200 --balloon \d+ --digest [0-9a-f]{40}$/);
    await daemon.saying(/VM 200 \(vm200\): memory .*Confirmed/);
    expect(under.node.oomKills(200)).toBe(0);
  });

  it('is left alone as long as nobody asks for it', async () => {
    const guest = { demand: () => ({ cpuCores: 4, anonMib: 1900 }) };
    const under = await NodeUnderTest.create([], { vms: [machine(200, { guest })] });
    under.configure('DEFAULT:\n  poll_interval: 1\n');
    const daemon = under.start(['daemon']);
    await daemon.cycles(3);
    expect(qmSets(under)).toEqual([]);
    expect(under.node.qmpConversations(200)).toBe(0);
  });

  it('is scaled by cpulimit, in fractions and at once', async () => {
    const settings = { cores: 4, shares: 0, balloon: 2048, cpulimit: 0.8 };
    const under = await NodeUnderTest.create([], { vms: [machine(200, { settings })] });
    under.configure(`${CONFIG}  cpu_unit: cpulimit\n  min_cores: 0.5\n`);
    under.start(['daemon']);
    await until(() => Number(settingOf(under, 200, 'cpulimit')) > 1.5);
    const quota = readFileSync(
      join(under.root, 'sys/fs/cgroup/qemu.slice/200.scope/cpu.max'),
      'utf8',
    );
    expect(quota).not.toMatch(/^(?:80000|max)/);
  });

  it('that does not give a CPU back has nothing pending afterwards', async () => {
    const hotplug = { hotplug: 'network,disk,usb,cpu', vcpus: 4 };
    const idle = {
      demand: () => ({ cpuCores: 0.1, anonMib: 1000, fileSetMib: 300 }),
      refusesUnplug: true,
    };
    const settings = { cores: 4, shares: 0, balloon: 2048, ...hotplug };
    const under = await NodeUnderTest.create([], {
      vms: [machine(200, { settings, guest: idle })],
    });
    under.configure(CONFIG);
    const daemon = under.start(['daemon']);
    await daemon.saying(/FAILED. VM 200 \(vm200\): cores .*nothing of it is left pending/);
    const [first, second] = qmSets(under);
    expect(first).toMatch(/^qm set 200 --vcpus 1 --digest/);
    expect(second).toMatch(/^qm set 200 --revert vcpus --digest/);
    expect(under.node.machine.vms.conf(200)?.pending.size).toBe(0);
    expect(settingOf(under, 200, 'vcpus')).toBe('4');
  });

  it('of which a killed qm has done one CPU of three keeps that, and no more', async () => {
    const under = await NodeUnderTest.create([], { vms: [idleMachine] });
    under.node.onCommand(({ argv }) =>
      argv.includes('--vcpus') ? { kind: 'killed', done: 'first-option' } : undefined,
    );
    under.configure(CONFIG);
    const daemon = under.start(['daemon']);
    await daemon.saying(/PARTLY. VM 200 \(vm200\): cores .*It has vcpus 3 now/);
    expect(under.node.machine.vms.conf(200)?.pending.size).toBe(0);
    expect(settingOf(under, 200, 'vcpus')).toBe('3');
  });

  it('has nothing pending for long if the daemon is killed in the middle of a change', async () => {
    const under = await NodeUnderTest.create([], { vms: [idleMachine] });
    under.node.onCommand(({ argv }) => (argv.includes('--vcpus') ? { kind: 'hang' } : undefined));
    under.configure(CONFIG);
    const daemon = under.start(['daemon']);
    await until(() => qmSets(under).length > 0);
    daemon.signal('SIGKILL');
    await daemon.ended;
    under.node.onCommand(undefined);
    // The qm that it left behind goes on, and the guest refuses.
    await under.node.run(['qm', 'set', '200', '--vcpus', '1'], 'C.UTF-8', 'first-option');
    expect(under.node.machine.vms.conf(200)?.pending.get('vcpus')).toBe('1');
    const next = under.start(['daemon']);
    await next.saying(/VM 200 \(vm200\): what a change that was cut off has left .* is dropped/);
    expect(under.node.machine.vms.conf(200)?.pending.size).toBe(0);
  });

  it('with a monitor that hangs is not scaled in memory, and holds nobody up', async () => {
    const guest = { demand: () => ({ cpuCores: 1, anonMib: 1600 }) };
    const under = await NodeUnderTest.create([calm(101)], { vms: [machine(200, { guest })] });
    await under.node.setQmpFault(200, 'hang');
    under.configure(CONFIG);
    const daemon = under.start(['daemon']);
    await daemon.saying(/VM 200 \(vm200\), memory: .*no greeting within 3000 ms/);
    await daemon.cycles(3);
    expect(qmSets(under).filter((line) => line.includes('--balloon'))).toEqual([]);
    expect(under.node.qmpConversations(200)).toBe(1);
  });

  it('is called a VM by check-config, status and explain, with what it can do', async () => {
    const settings = { cores: 4, name: 'shop-db' };
    const under = await NodeUnderTest.create([calm(101)], { vms: [machine(200, { settings })] });
    under.configure(CONFIG);
    const checked = await under.run(['check-config']);
    expect(checked.stdout).toMatch(/^200 VM +shop-db +DEFAULT/m);
    expect(checked.stdout).toContain('VM 200 (shop-db) is not scaled in memory: its balloon does');
    const status = await under.run(['status']);
    expect(status.stdout).toMatch(/^ *200 VM +shop-db/m);
    const explained = await under.run(['explain', 'shop-db']);
    expect(explained.stdout).toMatch(/^VM 200 \(shop-db\), as of/);
    expect(explained.stdout).toContain('live, from 0.01 to 4');
    expect(explained.stdout).toContain('`qm set 200 --shares 0` hands its balloon to this program');
  });

  it('that dies while it is changed is reported, and keeps a readable configuration', async () => {
    const guest = { demand: () => ({ cpuCores: 1, anonMib: 1600 }) };
    const under = await NodeUnderTest.create([calm(101)], { vms: [machine(200, { guest })] });
    under.node.onCommand(({ argv }) => {
      if (argv.includes('--balloon')) void under.node.setVmRunning(200, false);
      return undefined;
    });
    under.configure(CONFIG);
    const daemon = under.start(['daemon']);
    await daemon.saying(/FAILED. VM 200 \(vm200\): memory .*The VM stopped while it was changed/);
    await daemon.saying('VM 200 is not running. Skipping adjustments.');
    expect(under.node.machine.vms.conf(200)?.pending.size).toBe(0);
  });

  it.each([
    ['is managed any more', 'DEFAULT:\n'],
    ['is listed any more', 'DEFAULT:\n  manage: listed\n  manage_vms: true\n'],
  ])('goes back by hand to what it had before, also where none %s', async (_, later) => {
    const settings = { cores: 4, shares: 0, balloon: 2048, cpulimit: 0.8 };
    const under = await NodeUnderTest.create([calm(101)], { vms: [machine(200, { settings })] });
    under.configure(`${CONFIG}  cpu_unit: cpulimit\n  min_cores: 0.5\n`);
    const daemon = under.start(['daemon']);
    await daemon.saying(/VM 200 \(vm200\): cpulimit .*Confirmed/);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(settingOf(under, 200, 'cpulimit')).not.toBe('0.8');
    under.configure(later);
    const { stdout, code } = await under.run(['rollback', '200', '--to', 'first']);
    expect(stdout).toMatch(/Rolled back VM 200 \(vm200\): cpulimit \S+ -> 0.8/);
    expect(code).toBe(0);
    expect(settingOf(under, 200, 'cpulimit')).toBe('0.8');
  });

  it('is called so by a rollback that is told to stop, or finds no backup', async () => {
    const settings = { cores: 4, shares: 0, balloon: 2048, cpulimit: 0.8 };
    const both = [machine(200, { settings }), machine(201, { settings })];
    const ignored = machine(202, { settings: { ...settings, tags: 'autoscale-ignore' } });
    const under = await NodeUnderTest.create([calm(101)], { vms: [...both, ignored] });
    under.configure(`${CONFIG}  cpu_unit: cpulimit\n  min_cores: 0.5\n`);
    const daemon = under.start(['daemon']);
    for (const id of [200, 201]) {
      await daemon.saying(new RegExp(`VM ${id} \\(vm${id}\\): cpulimit .*Confirmed`));
    }
    daemon.signal('SIGTERM');
    await daemon.ended;
    const { stderr } = await under.run(['rollback', '202']);
    expect(stderr).toBe('VM 202 was NOT rolled back: it has no backups.\n');
    const calls = qmSets(under).length;
    under.node.onCommand(() => ({ kind: 'slow', delayMs: 500 }));
    const rollback = under.start(['rollback', '--all', '--to', 'first']);
    await until(() => qmSets(under).length > calls);
    rollback.signal('SIGINT');
    expect((await rollback.ended).stderr).toBe('Stopped before VM 201.\n');
  });

  it('whose configuration could never be read is shown as such, and holds nobody up', async () => {
    const under = await NodeUnderTest.create([calm(101), hungry(102)], {
      vms: [machine(200), machine(201)],
    });
    under.node.editVm(200, (text) => text.replace('cores: 4', 'cores: many'));
    const port = await freePort();
    const token = 'read-token-0123456789';
    under.configure(
      `${CONFIG}  http_listen: 127.0.0.1:${port}\n` +
        `  http_tokens: [{name: reader, token: ${token}, role: read}]\n`,
    );
    const daemon = under.start(['daemon']);
    const why = '200.conf: cores: "many" is not a number from 1 to 8192';
    await daemon.saying(`VM 200 (VM200) is skipped: it could not be read: ${why}`);
    // What it may use is known all the same.
    await daemon.saying(/Container 102 \(ct102\): memory .*Confirmed/);
    const status = await under.run(['status']);
    expect(status.stdout).toMatch(/^200 VM +VM200 .* unreadable$/m);
    const checked = await under.run(['check-config']);
    expect(checked.stdout).toContain(`its configuration cannot be read (${why})`);
    expect(checked.stdout).toMatch(/^200 VM /m);
    const explained = await under.run(['explain', '200']);
    expect(explained.stdout).toContain(`It is skipped: it could not be read: ${why}.`);
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/guests`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(JSON.stringify(await answer.json())).toContain('could not be read: 200.conf');
    expect(qmSets(under).filter((line) => line.includes(' 200 '))).toEqual([]);
  });

  it('under HA grows as any other; one that is locked, or a template, stays', async () => {
    const guest = { demand: () => ({ cpuCores: 1, anonMib: 1600 }) };
    const settings = { cores: 4, shares: 0, balloon: 2048 };
    const under = await NodeUnderTest.create([], {
      vms: [
        machine(200, { guest }),
        machine(201, { guest, settings: { ...settings, lock: 'migrate' } }),
        machine(202, { guest, settings: { ...settings, lock: 'suspended' } }),
        machine(203, { guest, settings: { ...settings, template: 1 } }),
      ],
    });
    const ha = join(under.root, 'etc/pve/ha');
    mkdirSync(ha, { recursive: true });
    writeFileSync(join(ha, 'resources.cfg'), 'vm: 200\n\tgroup all\n\tstate started\n');
    under.configure(CONFIG);
    const daemon = under.start(['daemon']);
    await daemon.saying(/VM 200 \(vm200\): memory .*Confirmed/);
    await daemon.cycles(3);
    expect(qmSets(under).filter((line) => !line.startsWith('qm set 200 '))).toEqual([]);
    const { stdout } = await under.run(['status']);
    expect(stdout).toMatch(/^201 VM .*migrate/m);
    expect(stdout).toMatch(/^202 VM .*suspended/m);
  });

  it('that has moved to another node of the cluster is left to that one', async () => {
    const guest = { demand: () => ({ cpuCores: 1, anonMib: 1600 }) };
    const under = await NodeUnderTest.create([calm(101)], { vms: [machine(200, { guest })] });
    under.configure(CONFIG);
    const daemon = under.start(['daemon']);
    await daemon.saying(/VM 200 \(vm200\): memory .*Confirmed/);
    const nodes = join(under.root, 'etc/pve/nodes');
    mkdirSync(join(nodes, 'pve2/qemu-server'), { recursive: true });
    renameSync(join(nodes, 'pve1/qemu-server/200.conf'), join(nodes, 'pve2/qemu-server/200.conf'));
    rmSync(join(under.root, 'sys/fs/cgroup/qemu.slice/200.scope'), { recursive: true });
    // What began before may end.
    await daemon.cycles(2);
    const before = qmSets(under).length;
    await daemon.cycles(3);
    expect(qmSets(under)).toHaveLength(before);
    expect((await under.run(['status'])).stdout).not.toContain('200 VM');
    expect(under.log()).not.toMatch(/ERROR|internal error/);
  });

  it('that nobody asks for is said to be left alone, and why', async () => {
    const under = await NodeUnderTest.create([calm(101)], { vms: [machine(200)] });
    under.configure('DEFAULT:\n  poll_interval: 1\n');
    const why = 'virtual machines are not managed: `manage_vms` is not set, and no tier lists it';
    const said = `VM 200 (vm200) is left alone: ${why}.\n`;
    const explained = await under.run(['explain', '200']);
    expect(explained).toMatchObject({ code: 1, stderr: expect.stringContaining(said) });
    const status = await under.run(['status', '200']);
    expect(status).toMatchObject({ code: 1, stderr: expect.stringContaining(said) });
  });

  it('is explained as the daemon sees it, whatever the file says meanwhile', async () => {
    const under = await NodeUnderTest.create([calm(101)], { vms: [machine(200)] });
    under.configure('DEFAULT:\n  poll_interval: 1\n  manage_vms: True\n');
    const daemon = under.start(['daemon']);
    await daemon.cycles(1);
    under.configure('DEFAULT:\n  poll_interval: 1\n');
    const { code, stdout, stderr } = await under.run(['explain', '200']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^VM 200 \(vm200\), cycle /);
  });
});
