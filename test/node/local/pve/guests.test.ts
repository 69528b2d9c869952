import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { createGuests } from '../../../../src/node/local/pve/guests.ts';
import { LOOKS_A_ROUND } from '../../../../src/node/local/pve/pve-inventory.ts';
import type { Guests } from '../../../../src/node/port.ts';
import {
  copyRecordedSysroot,
  plant,
  RECORDED_SYSROOT,
  temporaryDirectory,
  vmid,
} from '../world.ts';

/** A node of its own for each test, and the hand that changes it. */
class FakeNode {
  readonly root = temporaryDirectory();
  readonly guests: Guests;
  readonly #versions: Record<string, object> = {};
  #startTime = 1000;

  constructor() {
    plant(this.root, { 'etc/pve/.members': '{"nodename":"n1"}' });
    mkdirSync(join(this.root, 'etc/pve/nodes/n1/lxc'), { recursive: true });
    symlinkSync('nodes/n1/lxc', join(this.root, 'etc/pve/lxc'));
    this.guests = createGuests(createPaths(this.root));
  }

  conf(id: number): string {
    return join(this.root, `etc/pve/nodes/n1/lxc/${id}.conf`);
  }

  write(id: number, text: string, version: number, node = 'n1', type = 'lxc'): void {
    if (type === 'lxc' && node === 'n1') writeFileSync(this.conf(id), text);
    this.#versions[id] = { node, type, version };
    this.publish();
  }

  restart(): void {
    this.#startTime++;
    this.publish();
  }

  publish(): void {
    plant(this.root, {
      'etc/pve/.version': JSON.stringify({ starttime: this.#startTime }),
      'etc/pve/.vmlist': JSON.stringify({ version: 1, ids: this.#versions }),
    });
  }

  /** What the program sees: cores of each container, or why not. */
  seen(): Record<string, number | string | undefined> {
    const list = this.guests.list();
    if (!list.ok) return { all: list.why };
    const entries = [...list.value].map(([id, config]) => [
      id,
      config.ok ? config.value.cores : config.why,
    ]);
    return Object.fromEntries(entries);
  }
}

describe('the list of containers', () => {
  it('reads a configuration again only when its version has changed', () => {
    const node = new FakeNode();
    node.write(101, 'cores: 1\n', 1);
    node.write(102, 'cores: 1\n', 1);
    expect(node.seen()).toStrictEqual({ 101: 1, 102: 1 });
    writeFileSync(node.conf(101), 'cores: 5\n');
    writeFileSync(node.conf(102), 'cores: 5\n');
    node.write(102, 'cores: 2\n', 2);
    expect(node.seen()).toStrictEqual({ 101: 1, 102: 2 });
  });

  it('keeps what one reading got wrong for one round of looks at most', () => {
    const node = new FakeNode();
    for (const id of [101, 102, 103]) node.write(id, 'cores: 1\n', 1);
    expect(node.seen()).toStrictEqual({ 101: 1, 102: 1, 103: 1 });
    for (const id of [101, 102, 103]) writeFileSync(node.conf(id), 'cores: 5\n');
    for (let look = 0; look < LOOKS_A_ROUND; look += 1) node.seen();
    expect(node.seen()).toStrictEqual({ 101: 5, 102: 5, 103: 5 });
  });

  it('reads all again after the cluster file system was restarted', () => {
    const node = new FakeNode();
    node.write(101, 'cores: 1\n', 1);
    node.seen();
    writeFileSync(node.conf(101), 'cores: 5\n');
    node.restart();
    expect(node.seen()).toStrictEqual({ 101: 5 });
  });

  it('trusts no version where it is not known when the cluster file system was started', () => {
    const node = new FakeNode();
    node.write(101, 'cores: 1\n', 1);
    rmSync(join(node.root, 'etc/pve/.version'));
    node.seen();
    // Restarted meanwhile, for all that anybody can say; the numbers are the same.
    writeFileSync(node.conf(101), 'cores: 5\n');
    expect(node.seen()).toStrictEqual({ 101: 5 });
  });

  it('leaves out virtual machines and the containers of other nodes', () => {
    const node = new FakeNode();
    node.write(101, 'cores: 1\n', 1);
    node.write(102, '', 1, 'n2');
    node.write(103, '', 1, 'n1', 'qemu');
    expect(node.seen()).toStrictEqual({ 101: 1 });
  });

  it('forgets a container that has moved away, and reads it when it is back', () => {
    const node = new FakeNode();
    node.write(101, 'cores: 1\n', 7);
    node.seen();
    node.write(101, '', 7, 'n2');
    expect(node.seen()).toStrictEqual({});
    node.write(101, 'cores: 4\n', 7);
    expect(node.seen()).toStrictEqual({ 101: 4 });
  });

  it('does not keep what could not be read', () => {
    const node = new FakeNode();
    node.write(101, 'cores: none\n', 1);
    node.write(102, 'cores: 1\n', 1);
    rmSync(node.conf(102));
    expect(node.seen()).toStrictEqual({ 101: 'malformed', 102: 'absent' });
    writeFileSync(node.conf(101), 'cores: 2\n');
    writeFileSync(node.conf(102), 'cores: 2\n');
    expect(node.seen()).toStrictEqual({ 101: 2, 102: 2 });
  });

  it('takes a directory or an oversized file in place of a configuration for what it is', () => {
    const node = new FakeNode();
    node.write(101, 'x: y\n'.repeat(300_000), 1);
    node.write(102, '', 1);
    rmSync(node.conf(102));
    mkdirSync(node.conf(102));
    expect(node.seen()).toStrictEqual({ 101: 'malformed', 102: 'unreadable' });
  });

  it.each([
    ['is absent', undefined],
    ['is cut off', '{"version": 1, "ids": {"101": {"no'],
  ])('comes from the directory when .vmlist %s', (_, text) => {
    const node = new FakeNode();
    node.write(1000, 'cores: 2\n', 1);
    node.write(101, 'cores: 1\n', 1);
    node.seen();
    rmSync(join(node.root, 'etc/pve/.vmlist'));
    if (text !== undefined) plant(node.root, { 'etc/pve/.vmlist': text });
    plant(node.root, {
      'etc/pve/nodes/n1/lxc/101.conf': 'cores: 3\n',
      'etc/pve/nodes/n1/lxc/102.conf.tmp.7': 'cores: 3\n',
      'etc/pve/nodes/n1/lxc/x.conf': 'cores: 3\n',
    });
    expect(node.seen()).toStrictEqual({ 101: 3, 1000: 2 });
    node.publish();
    expect(node.seen()).toStrictEqual({ 101: 3, 1000: 2 });
  });

  it('is missing as a whole where there is no cluster file system', () => {
    const root = temporaryDirectory();
    const list = createGuests(createPaths(root)).list();
    expect(list).toMatchObject({ ok: false, why: 'absent' });
    expect(list.ok ? '' : list.detail).toContain('this is not a Proxmox VE node');
    mkdirSync(join(root, 'etc/pve'), { recursive: true });
    expect(createGuests(createPaths(root)).list()).toMatchObject({ ok: false, why: 'absent' });
  });
});

describe('one configuration, read now', () => {
  it('comes with its bytes, and does not change when another is read', () => {
    const node = new FakeNode();
    node.write(101, 'cores: 1\nhostname: \u00fc\n', 1);
    node.write(102, 'cores: 2\nhostname: other\n', 1);
    const file = node.guests.read(vmid(101));
    node.guests.read(vmid(102));
    if (!file.ok) throw new Error(file.detail);
    expect(Buffer.from(file.value.content)).toStrictEqual(readFileSync(node.conf(101)));
    expect(file.value.config).toMatchObject({ vmid: 101, cores: 1, name: '\u00fc' });
  });

  it('is missing where the file has gone', () => {
    expect(new FakeNode().guests.read(vmid(101))).toMatchObject({ ok: false, why: 'absent' });
  });

  it('also tells the list when a file was changed without a new version', () => {
    const node = new FakeNode();
    node.write(101, 'cores: 1\n', 1);
    node.seen();
    writeFileSync(node.conf(101), 'cores: 5\n');
    node.guests.read(vmid(101));
    expect(node.seen()).toStrictEqual({ 101: 5 });
  });
});

it.skipIf(!existsSync(RECORDED_SYSROOT))('reads the recorded node', () => {
  const list = createGuests(createPaths(copyRecordedSysroot())).list();
  if (!list.ok) throw new Error(list.detail);
  const seen = [...list.value].map(([id, config]) => [id, config.ok && config.value.memoryMib]);
  expect(seen).toStrictEqual([
    [101, 512],
    [102, 128],
    [103, 128],
  ]);
});
