import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { SMALL_HOST } from './small-host.ts';

/** Disks and snapshots, which no recording has: as the sources of Proxmox VE say. */

let directory: string;
let node: SimulatedNode;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'disks-'));
  const conf = guestText({ vmid: 101, name: 'ct101', cores: 2, memoryMib: 512 });
  const demand = () => ({ cpuCores: 0.1, anonMib: 100 });
  node = await SimulatedNode.create({
    root: join(directory, 'node'),
    host: SMALL_HOST,
    guests: [{ vmid: 101, conf, demand }],
    vms: [{ vmid: 200, memoryMib: 1024, usedMib: 100, settings: { shares: 0 } }],
  });
});

afterEach(async () => {
  await node.close();
  rmSync(directory, { recursive: true, force: true });
});

const run = async (line: string) => {
  const { exit, stdout, stderr } = await node.run(line.split(' '));
  return { exit, said: `${stdout}${stderr}`.trim() };
};
const text = (kind: string, vmid: number): string =>
  readFileSync(join(node.root, `etc/pve/${kind}/${vmid}.conf`), 'utf8');

describe('a disk', () => {
  it.each([
    [
      'pct',
      101,
      'rootfs',
      'lxc',
      'unable to shrink disk size',
      'disk is already at specified size',
    ],
    ['qm', 200, 'scsi0', 'qemu-server', 'shrinking disks is not supported', ''],
  ])('of %s grows by so much or to it, and never shrinks', async (tool, id, disk, kind, no, so) => {
    const from = Number(/size=(\d+)G/.exec(text(kind, id))?.[1]);
    expect(await run(`${tool} resize ${id} ${disk} +512M`)).toMatchObject({ exit: 0 });
    expect(text(kind, id)).toContain(`size=${from * 1024 + 512}M`);
    expect(await run(`${tool} resize ${id} ${disk} ${from + 1}G`)).toMatchObject({ exit: 0 });
    expect(text(kind, id)).toContain(`size=${from + 1}G`);
    expect(await run(`${tool} resize ${id} ${disk} 1G`)).toEqual({ exit: 255, said: no });
    const same = { exit: so === '' ? 0 : 255, said: so };
    expect(await run(`${tool} resize ${id} ${disk} ${from + 1}G`)).toEqual(same);
  });

  it('of a machine that is not there, or of a CD, does not', async () => {
    const no = { exit: 255, said: "disk 'scsi5' does not exist" };
    expect(await run('qm resize 200 scsi5 +1G')).toEqual(no);
    node.editVm(200, (conf) => `ide2: local:iso/x.iso,media=cdrom,size=1G\n${conf}`);
    const cd = { exit: 255, said: "you can't resize a cdrom" };
    expect(await run('qm resize 200 ide2 +1G')).toEqual(cd);
  });
});

describe('a rollback', () => {
  it.each([
    ['pct', 101, 'lxc'],
    ['qm', 200, 'qemu-server'],
  ])('of %s keeps notes and unused volumes, and takes no half snapshot', async (tool, id, kind) => {
    const edit = (change: (conf: string) => string): void =>
      tool === 'qm' ? node.editVm(id, change) : node.editConfig(id, change);
    await run(`${tool} snapshot ${id} s1 --description then`);
    edit((conf) => `#now\nunused0: local-lvm:vm-${id}-disk-7\n${conf}`);
    expect(await run(`${tool} rollback ${id} s1`)).toMatchObject({ exit: 0 });
    const [live = ''] = text(kind, id).split('\n[');
    expect(live).toMatch(/^#now\n/);
    expect(live).toContain(`unused0: local-lvm:vm-${id}-disk-7`);
    expect(live).not.toContain('then');
    const none = { exit: 255, said: "snapshot 's2' does not exist" };
    edit((conf) => `lock: backup\n${conf}`);
    expect(await run(`${tool} rollback ${id} s2`)).toEqual(none);
    expect(await run(`${tool} rollback ${id} s1`)).toMatchObject({
      said: expect.stringMatching(/^(CT|VM) is locked \(backup\)$/),
    });
    edit((conf) =>
      conf.replace('lock: backup\n', '').replace('[s1]\n', '[s1]\nsnapstate: delete\n'),
    );
    expect(await run(`${tool} rollback ${id} s1`)).toEqual({
      exit: 255,
      said: 'unable to rollback to incomplete snapshot (snapstate = delete)',
    });
  });
});

it('a clone of a machine has its notes, and a name after it', async () => {
  node.editVm(200, (conf) => `#mine\n${conf}`);
  expect(await run('qm clone 200 201')).toEqual({
    exit: 0,
    said: 'creating a clone of VM 200 with ID 201',
  });
  expect(text('qemu-server', 201)).toMatch(/^#mine\n[\s\S]*name: Copy-of-VM-vm200\n/);
  expect(await run('qm clone 200 202 --snapname s9')).toEqual({
    exit: 255,
    said: "snapshot 's9' does not exist",
  });
});
