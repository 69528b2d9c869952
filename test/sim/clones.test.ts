import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { HOST } from '../e2e/node-under-test.ts';

let directory: string;
let node: SimulatedNode;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'clones-'));
  const conf = guestText({ vmid: 101, name: 'web', memoryMib: 512, tags: 'prod' });
  const guest = { vmid: 101, conf, demand: () => ({ cpuCores: 0, anonMib: 1 }) };
  node = await SimulatedNode.create({ root: join(directory, 'n'), host: HOST, guests: [guest] });
  await node.run(['pct', 'snapshot', '101', 's1']);
});
afterEach(async () => {
  await node.close();
  rmSync(directory, { recursive: true, force: true });
});

const CLONE = ['pct', 'clone', '101', '120', '--snapname', 's1', '--full'];
const lockOf = (vmid: number) => node.machine.conf(vmid)?.main.values.get('lock');

describe('a clone that takes its time', () => {
  it('locks itself and its source, and lets both go at its end', async () => {
    node.onClone(() => ({ durationMs: 200 }));
    const done = node.run([...CLONE, '--description', 'mine']);
    expect(node.machine.files.read(120)).toBe('lock: create\n');
    expect([lockOf(101), lockOf(120)]).toEqual(['disk', 'create']);
    const main = () => node.machine.conf(120)?.main;
    while (main()?.description.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    // All but the root volume, which is still copied.
    expect(main()?.description).toEqual(['mine']);
    expect(main()?.values.get('tags')).toBe('prod');
    expect(main()?.values.has('rootfs')).toBe(false);
    expect(lockOf(120)).toBe('create');
    expect((await node.run(['pct', 'set', '101', '--cores', '1'])).stderr).toBe(
      'CT is locked (disk)\n',
    );
    expect((await done).exit).toBe(0);
    expect([lockOf(101), lockOf(120)]).toEqual([undefined, undefined]);
    expect(main()?.values.get('rootfs')).toMatch(/^local-lvm:vm-120-disk-0,/);
  });

  it('that fails is gone, with both locks', async () => {
    const failure = { exit: 255, stderr: 'clone failed: no space left\n' };
    node.onClone(() => ({ durationMs: 20, failure }));
    expect(await node.run(CLONE)).toMatchObject(failure);
    expect(node.machine.conf(120)).toBeUndefined();
    expect(lockOf(101)).toBeUndefined();
  });

  it('that prints nothing prints nothing', async () => {
    node.onClone(() => ({ silent: true }));
    expect(await node.run(CLONE)).toMatchObject({ exit: 0, stdout: '' });
  });

  it('on a thin pool has the warnings of LVM among its progress', async () => {
    node.onClone(() => ({ thinWarnings: true }));
    const { stdout } = await node.run(CLONE);
    const lines = `${stdout}`.split('\n');
    expect(lines.filter((line) => /^ {2}WARNING: /.test(line))).toHaveLength(3);
    expect(lines.findIndex((line) => /WARNING: Sum/.test(line))).toBeGreaterThan(
      lines.findIndex((line) => /Logical volume "vm-120-disk-0" created/.test(line)),
    );
  });

  it('on a directory formats a file, and has no snapshots and no linked clones', async () => {
    const rootfs = 'local:109/vm-109-disk-0.raw,size=1G';
    const conf = guestText({ vmid: 109, name: 'd', memoryMib: 512, rootfs });
    const demand = () => ({ cpuCores: 0, anonMib: 1 });
    node.addContainer({ vmid: 109, conf, demand, running: false });
    expect(await node.run(['pct', 'snapshot', '109', 's1'])).toMatchObject({
      exit: 255,
      stderr: 'snapshot feature is not available\n',
    });
    const { stdout } = await node.run(['pct', 'clone', '109', '140', '--full']);
    expect(stdout).toContain("\nFormatting '/var/lib/vz/images/140/vm-140-disk-0.raw', fmt=raw ");
    expect(node.machine.files.read(140)).toContain('rootfs: local:140/vm-140-disk-0.raw,size=1G');
    node.editConfig(140, (text) => `${text}template: 1\n`);
    expect(await node.run(['pct', 'clone', '140', '143'])).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/^Linked clone feature for 'local:140/),
    });
  });
});

it('says whether an id is free, and which addresses a container has', async () => {
  const get = (...words: string[]) =>
    node.run(['pvesh', 'get', ...words, '--output-format', 'json']);
  expect((await get('/cluster/nextid', '--vmid', '120')).stdout).toBe('"120"\n');
  const taken = await get('/cluster/nextid', '--vmid', '101');
  expect(taken).toMatchObject({ exit: 255 });
  expect(taken.stderr).toContain('vmid: VM 101 already exists');
  const interfaces = await get('/nodes/pve1/lxc/101/interfaces');
  expect(JSON.parse(`${interfaces.stdout}`)).toMatchObject([
    { name: 'lo' },
    { inet: '10.0.0.103/16' },
  ]);
});
