import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { NodeOptions } from '../../src/sim/node.ts';
import { exchange } from '../app/http/served.ts';
import { freePort } from '../free-port.ts';
import { until } from '../patience.ts';
import { calm, guest, NodeUnderTest } from './node-under-test.ts';

/** Disks, snapshots and clones of the real daemon, by the lines that scripts of before send. */

const TOKENS = { scale: 'scale-token-0123456789', admin: 'admin-token-0123456789' } as const;
const IDLE = { cpuCores: 0.1, anonMib: 100 };
const fixed = guest(104, { name: 'web', cores: 1, memoryMib: 512 }, IDLE);
const web = { ...fixed, conf: fixed.conf.replace(/ip=[0-9./]+/, 'ip=dhcp') };

async function served(options: Partial<NodeOptions> = {}, more = '', guests = [calm(101), web]) {
  const under = await NodeUnderTest.create(guests, options);
  const port = await freePort();
  const tokens = Object.entries(TOKENS)
    .map(([role, token]) => `{name: ${role}, token: ${token}, role: ${role}}`)
    .join(', ');
  under.configure(
    `DEFAULT:\n  poll_interval: 1\n  http_listen: 127.0.0.1:${port}\n` +
      `  http_tokens: [${tokens}]\n${more}`,
  );
  const daemon = under.start(['daemon']);
  await daemon.cycles(2);
  const as = (role: keyof typeof TOKENS) => (method: string, path: string, body?: object) =>
    exchange(port, method, path, { authorization: `Bearer ${TOKENS[role]}` }, body);
  const commands = (): string[] =>
    under.node.calls
      .map(({ argv }) => argv.join(' '))
      .filter((line) => /^(?:pct|qm) (?!set )/.test(line));
  const again = () => under.start(['daemon']).cycles(2);
  return { under, daemon, again, commands, scale: as('scale'), admin: as('admin') };
}

const edit = (under: NodeUnderTest, vmid: number, change: (text: string) => string): void =>
  under.node.machine.files.write(vmid, change(under.conf(vmid)));

const disksIn = (under: NodeUnderTest) =>
  under
    .journal()
    .filter(({ resource }) => resource === 'disk')
    .map(({ event, step, status }) => `${event} ${step} ${status}`);

describe('a disk', () => {
  it('grows once it is confirmed, and says first what would come of it', async () => {
    const { under, admin, scale, commands } = await served();
    const line = { vm_id: 104, disk_size: 2 };
    const path = '/scale/storage/increase';
    expect(await scale('POST', path, line)).toMatchObject({ status: 403, json: { code: 'role' } });
    const words = /^Container 104 \(web\): rootfs 8 GiB -> 10 GiB on local-lvm\. A disk cannot be/;
    const would = await admin('POST', `${path}?dry_run=1`, line);
    expect(would).toMatchObject({
      status: 200,
      json: { status: 'dry-run', message: expect.stringMatching(words) },
    });
    const asked = await admin('POST', path, line);
    expect(asked).toMatchObject({ status: 409, json: { code: 'confirm-needed' } });
    expect(asked.json['detail']).toMatch(words);
    expect([commands(), disksIn(under)]).toEqual([[], []]);
    const before = under.conf(104);
    const done = await admin('POST', path, { ...line, confirm: true });
    expect(done).toMatchObject({
      status: 200,
      json: {
        status: 'success',
        data: { vm_id: 104, disk: 'rootfs', before_mib: 8192, after_mib: 10_240 },
      },
    });
    expect(commands()).toEqual([expect.stringMatching(/^pct resize 104 rootfs \+2G --digest /)]);
    expect(under.conf(104)).toContain('size=10G');
    expect(under.backups(104)).toEqual([before]);
    expect(disksIn(under)).toEqual(['asked grow asked', 'done grow confirmed']);
    expect(under.journal().at(-1)).toMatchObject({
      container_id: '104',
      action: 'None',
      asked_by: 'api:admin',
      before_mib: 8192,
      after_mib: 10_240,
    });
  });

  it('that did not grow is no success, whatever the command says', async () => {
    const { under, admin, commands } = await served();
    const ask = (vm_id: number) =>
      admin('POST', '/scale/storage/increase', { vm_id, disk_size: 1, confirm: true });
    under.node.onCommand(({ argv }) => (argv[1] === 'resize' ? { kind: 'no-effect' } : undefined));
    const silent = await ask(104);
    expect(silent).toMatchObject({ status: 502, json: { code: 'failed' } });
    expect(silent.json['detail']).toContain('did not grow as asked for: it says 8 GiB');
    under.node.onCommand(({ argv }) =>
      argv[1] === 'resize' ? { kind: 'fail', exit: 255, stderr: 'lvextend failed\n' } : undefined,
    );
    expect((await ask(104)).json['detail']).toContain('lvextend failed');
    under.node.onCommand(undefined);
    edit(under, 101, (text) => `lock: backup\n${text}`);
    const asked = commands().length;
    expect(await ask(101)).toMatchObject({
      status: 409,
      json: { detail: 'Container 101 is locked (backup).' },
    });
    expect(commands()).toHaveLength(asked);
  });
});

describe('a snapshot', () => {
  it('is taken, listed, and gone back to by an admin', async () => {
    const { under, admin, scale, commands } = await served();
    const body = { vm_id: 104, snapshot_name: 'my_snapshot' };
    expect(await scale('POST', '/snapshot/create', body)).toMatchObject({
      status: 200,
      json: { status: 'success', data: { snapshot_name: 'my_snapshot' } },
    });
    const list = await scale('GET', '/snapshot/list?vm_id=104');
    expect(list.json['snapshots']).toEqual([expect.objectContaining({ name: 'my_snapshot' })]);
    expect(await scale('POST', '/snapshot/create', body)).toMatchObject({
      status: 409,
      json: { detail: 'Container 104 (web) has a snapshot my_snapshot already.' },
    });
    expect((await scale('POST', '/snapshot/rollback', body)).status).toBe(403);
    edit(under, 104, (text) => text.replace('hostname: web', 'hostname: broken'));
    const back = await admin('POST', '/snapshot/rollback', body);
    expect(back).toMatchObject({ status: 200, json: { status: 'success' } });
    expect(back.json['message']).toContain('it is stopped and started again');
    expect(under.conf(104)).toMatch(/^hostname: web$/m);
    expect(commands().at(-1)).toBe('pct rollback 104 my_snapshot --start 1');
    expect(under.node.limits(104)).toBeDefined();
    const other = { ...body, snapshot_name: 'another' };
    expect((await admin('POST', '/snapshot/rollback', other)).json['detail']).toBe(
      'Container 104 (broken) has no snapshot another; it has my_snapshot.'.replace(
        'broken',
        'web',
      ),
    );
  });

  it('has a name that Proxmox VE takes, and no option', async () => {
    const { scale, commands } = await served();
    for (const name of [
      '--force',
      'a',
      'current',
      'x y',
      'x;reboot',
      'vzdump',
      'autoscale-clone-1',
      '../x',
      `a${'b'.repeat(40)}`,
    ]) {
      const answer = await scale('POST', '/snapshot/create', { vm_id: 104, snapshot_name: name });
      expect([name, answer.status]).toEqual([name, 409]);
    }
    expect(commands()).toEqual([]);
  });

  it('with more memory than the host has is not gone back to', async () => {
    const { under, scale, admin, commands } = await served();
    const body = { vm_id: 104, snapshot_name: 'before' };
    await scale('POST', '/snapshot/create', body);
    edit(under, 104, (text) => text.replace(/(\[before\][\s\S]*memory: )512/, '$1999999'));
    const back = await admin('POST', '/snapshot/rollback', body);
    expect(back).toMatchObject({ status: 409, json: { code: 'refused' } });
    expect(back.json['detail']).toContain('999999 MB are more than the');
    expect(commands()).toHaveLength(1);
  });
});

it('what a guest had that is gone back for is given to nobody else meanwhile', async () => {
  const { under, daemon, scale, admin } = await served();
  const body = { vm_id: 104, snapshot_name: 'before' };
  await scale('POST', '/snapshot/create', body);
  const budget = async (): Promise<number> => {
    await daemon.cycles(2);
    const { json } = await scale('GET', '/resource/node/status');
    return (json['budget'] as { readonly memoryMib: number }).memoryMib;
  };
  const before = await budget();
  let goOn = (): void => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const isRollback = ({ argv }: { readonly argv: readonly string[] }) => argv[1] === 'rollback';
  under.node.onCommand((call) => (isRollback(call) ? { kind: 'held', until: held } : undefined));
  const back = admin('POST', '/snapshot/rollback', body);
  await until(() => under.node.calls.some(isRollback));
  expect(before - (await budget())).toBeGreaterThan(400);
  goOn();
  expect((await back).status).toBe(200);
  expect(before - (await budget())).toBeLessThan(200);
});

describe('a clone', () => {
  it('of a container that runs is made, started and destroyed', async () => {
    const { under, scale, commands } = await served();
    const body = { vm_id: 104, new_vm_id: 105, new_vm_name: 'cloned_container' };
    expect((await scale('DELETE', '/clone/delete', { vm_id: 104 })).json['detail']).toContain(
      'was not made by a clone/create of this program, so it stays',
    );
    const made = await scale('POST', '/clone/create', body);
    expect(made).toMatchObject({
      status: 200,
      json: { status: 'success', data: { vm_id: 104, new_vm_id: 105 } },
    });
    expect(made.json['note']).toBeUndefined();
    expect(commands().map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
      'pct snapshot 104',
      'pct clone 104',
      'pct delsnapshot 104',
      'pct start 105',
    ]);
    expect(under.conf(105)).toMatch(/^hostname: cloned-container$/m);
    expect(under.conf(104)).not.toContain('[autoscale-clone');
    const ledger = join(under.root, 'etc/pve/priv/lxc_autoscale/_clones-of-pve1.json');
    expect(JSON.parse(readFileSync(ledger, 'utf8')).members).toEqual([
      expect.objectContaining({ vmid: 105, state: 'new' }),
    ]);
    expect((await scale('POST', '/clone/create', body)).json['detail']).toBe(
      'The id 105 is taken.',
    );
    const gone = await scale('DELETE', '/clone/delete', { vm_id: 105 });
    expect(gone).toMatchObject({ status: 200, json: { status: 'success' } });
    expect(under.node.machine.files.takenIds().has(105)).toBe(false);
    expect(JSON.parse(readFileSync(ledger, 'utf8')).members).toEqual([]);
    expect(disksIn(under).filter((line) => line.startsWith('done'))).toEqual([
      'done clone confirmed',
      'done destroy confirmed',
    ]);
  });

  it('stays if it is protected, or another guest has its id by now', async () => {
    const { under, scale } = await served();
    await scale('POST', '/clone/create', { vm_id: 104, new_vm_id: 105, new_vm_name: 'c' });
    edit(under, 105, (text) => `protection: 1\n${text}`);
    const drop = () => scale('DELETE', '/clone/delete', { vm_id: 105 });
    expect((await drop()).json['detail']).toBe('Container 105 (c) is protected.');
    edit(under, 105, (text) =>
      text.replace('protection: 1\n', '').replace(/hwaddr=[0-9A-F:]+/, 'hwaddr=BC:24:11:99:99:99'),
    );
    expect(await drop()).toMatchObject({ status: 409, json: { code: 'refused' } });
    // What stands in its description is text that others can write.
    const ledger = join(under.root, 'etc/pve/priv/lxc_autoscale/_clones-of-pve1.json');
    writeFileSync(ledger, 'no ledger');
    expect((await drop()).json['detail']).toContain('What was cloned here cannot be read');
    expect(under.conf(105)).toContain('hostname: c');
  });

  it('that fails leaves nothing behind, and is no success', async () => {
    const { under, scale } = await served();
    const failure = { exit: 255, stderr: 'out of space\n' };
    under.node.onClone(() => ({ failure, durationMs: 10 }));
    const made = await scale('POST', '/clone/create', {
      vm_id: 104,
      new_vm_id: 105,
      new_vm_name: 'c',
    });
    expect(made).toMatchObject({ status: 502, json: { code: 'failed' } });
    expect(made.json['detail']).toContain('out of space');
    expect(under.conf(104)).not.toContain('[autoscale-clone');
    expect(under.node.machine.files.takenIds().has(105)).toBe(false);
    expect(disksIn(under).at(-1)).toBe('failed clone failed');
  });

  it('of a daemon that is killed is ours, and its snapshot goes with the next start', async () => {
    const { under, daemon, scale, again } = await served();
    under.node.onClone((newid) => (newid === 105 ? { durationMs: 1500 } : undefined));
    const body = { vm_id: 104, new_vm_id: 105, new_vm_name: 'c' };
    const cut = scale('POST', '/clone/create', body).catch(() => 'cut');
    await until(() => under.node.calls.some(({ argv }) => argv[1] === 'clone'));
    daemon.signal('SIGKILL');
    expect(await cut).toBe('cut');
    await until(() => !/^lock:/m.test(under.conf(105)) && /^rootfs:/m.test(under.conf(105)));
    expect(under.conf(104)).toContain('[autoscale-clone');
    const copies = under.backups(104).length;
    await again();
    await until(() => disksIn(under).at(-1) === 'done delete-snapshot confirmed');
    expect(under.conf(104)).not.toContain('[autoscale-clone');
    expect(under.backups(104)).toHaveLength(copies + 1);
    expect(disksIn(under)).toContain('done clone confirmed');
    expect(under.conf(105)).toMatch(/^onboot: 0$/m);
    expect(under.log()).toContain('is a clone that was begun earlier, and is whole now');
    expect((await scale('DELETE', '/clone/delete', { vm_id: 105 })).status).toBe(200);
  });

  it('of a daemon that is stopped goes on, and is neither started nor lost', async () => {
    const { under, daemon, scale, commands, again } = await served();
    under.node.onClone((newid) => (newid === 105 ? { durationMs: 4000 } : undefined));
    const body = { vm_id: 104, new_vm_id: 105, new_vm_name: 'c' };
    const cut = scale('POST', '/clone/create', body).catch(() => 'cut');
    await until(() => under.node.calls.some(({ argv }) => argv[1] === 'clone'));
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    expect(await cut).toBe('cut');
    expect(under.log()).toContain('A disk or clone is under way; it is left to finish.');
    await until(() => !/^lock:/m.test(under.conf(105)) && /^rootfs:/m.test(under.conf(105)));
    // As if it were still copied.
    edit(under, 104, (text) => `lock: disk\n${text}`);
    edit(under, 105, (text) => `lock: create\n${text}`);
    const before = disksIn(under);
    await again();
    expect(disksIn(under)).toEqual(before);
    for (const vmid of [105, 104]) edit(under, vmid, (text) => text.replace(/^lock: .*\n/m, ''));
    await until(() => disksIn(under).at(-1) === 'done delete-snapshot confirmed');
    expect(under.log()).not.toContain('is left: Container 104');
    expect(under.conf(105)).toMatch(/^onboot: 0$/m);
    expect(commands().filter((line) => line.startsWith('pct start'))).toEqual([]);
    expect((await scale('DELETE', '/clone/delete', { vm_id: 105 })).status).toBe(200);
  });

  it('with the address of its source is not started', async () => {
    const { under, scale, commands } = await served({}, '', [fixed]);
    const made = await scale('POST', '/clone/create', {
      vm_id: 104,
      new_vm_id: 105,
      new_vm_name: 'c',
    });
    expect(made.json['message']).toMatch(/It is not started, since it has the address of its/);
    expect(commands().some((line) => line.startsWith('pct start'))).toBe(false);
    expect([under.conf(104), under.conf(105)]).toEqual([
      expect.stringMatching(/^onboot: 1$/m),
      expect.stringMatching(/^onboot: 0$/m),
    ]);
    expect(made.json['note']).toContain('It does not start with the host either');
    expect(under.backups(105)).toHaveLength(1);
  });
});

it('a guest that the configuration ignores is left alone', async () => {
  const { scale, admin, commands } = await served({}, '  ignore_lxc: [104]\n');
  const named = { vm_id: 104, snapshot_name: 'before' };
  for (const answer of [
    await scale('POST', '/snapshot/create', named),
    await admin('POST', '/scale/storage/increase', { vm_id: 104, disk_size: 1, confirm: true }),
  ]) {
    expect(answer).toMatchObject({ status: 409, json: { code: 'refused' } });
    expect(answer.json['detail']).toContain('is skipped: listed in ignore_lxc');
  }
  expect(commands()).toEqual([]);
});

it('a virtual machine grows, is set back, cloned and destroyed by qm', async () => {
  const vm = { vmid: 200, memoryMib: 2048, settings: { shares: 0, balloon: 2048 } };
  const more = 'TIER_vms:\n  virtual_machines: [200]\n';
  const { under, scale, admin, commands } = await served({ vms: [vm] }, more);
  const grown = await admin('POST', '/scale/storage/increase', {
    vm_id: 200,
    disk_size: 2,
    confirm: true,
  });
  expect(grown).toMatchObject({
    status: 200,
    json: { data: { disk: 'scsi0', after_mib: 10_240 }, note: expect.stringContaining('file sys') },
  });
  const body = { vm_id: 200, snapshot_name: 'before' };
  expect((await scale('POST', '/snapshot/create', body)).status).toBe(200);
  expect((await admin('POST', '/snapshot/rollback', body)).status).toBe(200);
  const made = await scale('POST', '/clone/create', {
    vm_id: 200,
    new_vm_id: 201,
    new_vm_name: 'vm2',
  });
  expect(made).toMatchObject({ status: 200, json: { status: 'success' } });
  expect((await scale('DELETE', '/clone/delete', { vm_id: 201 })).status).toBe(200);
  expect(commands().map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
    'qm resize 200',
    'qm snapshot 200',
    'qm rollback 200',
    'qm clone 200',
    'qm destroy 201',
  ]);
  expect(under.node.machine.vms.conf(201)).toBeUndefined();
});
