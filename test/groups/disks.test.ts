import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mib } from '../../src/core/units.ts';
import type { GroupCommand } from '../../src/node/port.ts';
import { DiskNode, FAILED, WEB } from './disk-node.ts';

/** What may have changed between a plan and its command, and what is only seen afterwards. */

const CLONE = { kind: 'clone', vmid: 104, newVmid: 105, name: 'c' };
const GROW = { kind: 'grow', vmid: 104, gib: 2 };
const DESTROY = { kind: 'destroy', vmid: 105 };
const SNAPSHOT = 'autoscale-clone-0123456789ab';
const NONCE = `lxc-autoscale: reservation ${'0123456789abcdef'.repeat(2)}`;
const stopped = (): DiskNode => {
  const node = new DiskNode();
  node.running.clear();
  return node;
};
const sized = (size: string) => (text: string) => text.replace(/size=[^,\n]+/, `size=${size}`);
const statuses = ({ events }: DiskNode): string[] =>
  events.map(({ vmid, details }) => `${vmid} ${details['step']} ${details['status']}`);

describe('a disk that grows', () => {
  const grown = async (size: string | undefined) => {
    const node = new DiskNode();
    node.instead = (command) => {
      if (command.kind === 'resize' && size !== undefined) node.edit(104, sized(size));
      return undefined;
    };
    return { node, answer: await node.ask(GROW) };
  };

  it.each([
    ['10G', 10_240, undefined],
    ['10244M', 10_244, expect.stringMatching(/^It has 10\.004 GiB: the storage has rounded up/)],
    ['11T', 11 * 1024 * 1024, expect.stringContaining('rounded up')],
  ])('to %s has grown, and says to what', async (size, after, note) => {
    const { node, answer } = await grown(size);
    expect(answer).toMatchObject({ ok: true, facts: { before_mib: 8192, after_mib: after } });
    expect(answer).toEqual(
      note === undefined
        ? expect.not.objectContaining({ note })
        : expect.objectContaining({ note }),
    );
    expect(node.events.at(-1)?.details).toMatchObject({ status: 'confirmed', after_mib: after });
  });

  it.each([undefined, '9G', '10239M', 'much'])('to %s has not', async (size) => {
    expect((await grown(size)).answer).toMatchObject({ ok: false, code: 'failed' });
  });

  it('is another one by now, or of another guest: nothing is done', async () => {
    for (const change of [
      sized('9G'),
      (text: string) => text.replace('00:00:04', '00:00:99').replace('disk-0', 'disk-7'),
      (text: string) => `lock: backup\n${text}`,
    ]) {
      const node = new DiskNode();
      node.meanwhile = () => node.edit(104, change);
      expect(await node.ask(GROW)).toMatchObject({ ok: false, code: 'failed' });
      expect([node.commands, node.backups]).toEqual([[], []]);
    }
  });

  it('goes by the configuration as it is by then, of which there is a copy', async () => {
    const node = new DiskNode();
    node.meanwhile = () => node.edit(104, (text) => `cores: 2\n${text}`);
    await node.ask(GROW);
    expect(node.kinds).toEqual(['resize 104']);
    expect(node.backups).toEqual([expect.stringContaining('cores: 2')]);
  });
});

it('what could not be put on record is not begun', async () => {
  const node = new DiskNode();
  node.journalProblem = 'the disk is full';
  expect(await node.ask(CLONE)).toMatchObject({
    ok: false,
    code: 'refused',
    why: expect.stringContaining('the disk is full'),
  });
  expect(await node.ask(CLONE, { dryRun: true })).toMatchObject({ ok: true });
  expect([node.kinds, node.events, node.backups]).toEqual([[], [], []]);
});

it('nothing is done that depends on whether a guest runs, if that is not known', async () => {
  const node = new DiskNode();
  node.edit(104, (text) => `${text}\n[before]\n${text}snaptime: 1700000000\n`);
  await node.ask(CLONE);
  const before = node.kinds.length;
  node.unknown = true;
  const rollback = { kind: 'rollback', vmid: 104, name: 'before' };
  for (const wish of [rollback, { ...CLONE, newVmid: 106 }, DESTROY]) {
    expect(await node.ask(wish)).toMatchObject({ why: expect.stringMatching(/not known whether/) });
  }
  expect(node.kinds.slice(before)).toEqual([]);
});

describe('a rollback', () => {
  const snapshotOf = (memory: string, more = '') =>
    `${WEB}\n[before]\n${WEB.replace('memory: 512', memory)}${more}snaptime: 1700000000\n`;
  const rollback = { kind: 'rollback', vmid: 104, name: 'before' };

  it('to more memory than the host can give is not made', async () => {
    const node = new DiskNode();
    node.write(104, snapshotOf('memory: 8192'));
    expect(await node.ask(rollback)).toMatchObject({
      ok: false,
      why: 'Container 104 (web) is not taken back to its snapshot before: 8192 MB are too many.',
    });
    node.write(104, snapshotOf('memory: lots'));
    expect(await node.ask(rollback)).toMatchObject({ why: expect.stringContaining('not known') });
    node.write(104, snapshotOf('memory: 512', 'vmstate: local-lvm:vm-104-state\n'));
    node.running.clear();
    node.room = { ok: true, value: 100 };
    expect(await node.ask(rollback)).toMatchObject({ why: expect.stringContaining('512 MB') });
    expect(node.kinds).toEqual([]);
    node.room = { ok: true, value: 1000 };
    node.instead = () => {
      node.edit(104, (text) => `parent: before\n${text}`);
      return undefined;
    };
    expect(await node.ask(rollback)).toMatchObject({ ok: true });
    expect([node.kept, node.disks.comingMib]).toEqual([[512], 0]);
  });

  it('keeps the memory of a guest that runs while that is stopped', async () => {
    const node = new DiskNode();
    node.write(104, snapshotOf('memory: 768'));
    await node.ask(rollback);
    expect([node.kept, node.disks.comingMib]).toEqual([[768], 0]);
  });
});

describe('a clone', () => {
  it('is started by what the host can spare once it is made', async () => {
    const node = stopped();
    node.instead = ({ kind }) => {
      if (kind === 'clone') node.room = { ok: true, value: 100 };
      return undefined;
    };
    const answer = await node.ask(CLONE);
    expect(answer).toMatchObject({ ok: true, says: expect.stringContaining('It is started then') });
    expect(answer).toMatchObject({
      note:
        'The clone was not started: it needs 512 MB, and the host can spare 100. ' +
        'It does not start with the host either: its onboot is off.',
    });
    expect(node.kinds).toEqual(['clone 105', 'set 105']);
    expect(node.conf(105)).toContain('onboot: 0');
    expect(node.backups).toEqual([expect.stringContaining('onboot: 1')]);
  });

  it('that does not run though its start said so is told of, and stays off', async () => {
    const node = stopped();
    node.instead = ({ kind }) => (kind === 'start' ? { kind: 'done' } : undefined);
    const { note } = { note: '', ...(await node.ask(CLONE)) };
    expect(note).toContain('The clone was not started: it does not run.');
    expect(node.conf(105)).toContain('onboot: 0');
    node.instead = ({ kind }) => (kind === 'set' ? { kind: 'done' } : undefined);
    node.room = { ok: true, value: 0 };
    expect(await node.ask({ ...CLONE, newVmid: 106 })).toMatchObject({
      note: expect.stringContaining('pct set 106 --onboot 0'),
    });
  });

  it('whose snapshot stays though its removal said otherwise says so', async () => {
    const node = new DiskNode();
    node.instead = ({ kind }) => (kind === 'delete-snapshot' ? { kind: 'done' } : undefined);
    expect(await node.ask(CLONE)).toMatchObject({
      ok: true,
      note: `The snapshot ${SNAPSHOT} of 104 is left: it is still there.`,
    });
  });

  it('has its memory kept while it starts', async () => {
    const node = stopped();
    await node.ask(CLONE);
    expect(node.kinds).toEqual(['clone 105', 'start 105']);
    expect([node.kept, node.disks.comingMib]).toEqual([[0, 512], 0]);
  });

  it('is not destroyed if another guest has its id', async () => {
    const node = stopped();
    await node.ask(CLONE);
    node.edit(105, (text) => text.replace('00:00:05', '00:00:77'));
    expect(await node.ask(DESTROY)).toMatchObject({
      code: 'refused',
      why: expect.stringContaining('was not made by a clone/create'),
    });
  });

  it('is made of the guest that is there by then', async () => {
    const node = stopped();
    node.meanwhile = () =>
      node.edit(104, (text) => text.replace('00:00:04', '00:00:99').replace('disk-0', 'disk-7'));
    expect(await node.ask(CLONE)).toMatchObject({
      why: 'Container 104: another guest has the id 104 by now',
    });
    const other = stopped();
    other.meanwhile = () => other.running.add(104);
    await other.ask(CLONE);
    expect(other.kinds.slice(0, 2)).toEqual(['snapshot 104', 'clone 105']);
  });

  it('needs room on each storage for all that is there', async () => {
    const node = stopped();
    node.edit(
      104,
      (text) =>
        `${text}mp0: slow:vm-104-disk-1,mp=/a,size=6G\nmp1: slow:vm-104-disk-2,mp=/b,size=6G\n`,
    );
    const slow = { freeMib: mib(10_000), thin: false, sourceUsedMib: mib(10) };
    node.rooms = { slow };
    let asked = 0;
    node.meanwhile = () => {
      asked += 1;
    };
    const why = 'the storage slow has 10000 MB left, and it needs 12288 MB';
    expect(await node.ask(CLONE)).toMatchObject({ ok: false, why: `Container 104: ${why}` });
    expect(asked).toBe(1);
    node.rooms = { slow: { ...slow, thin: true } };
    expect(await node.ask(CLONE)).toMatchObject({ ok: false, why: `Container 104: ${why}` });
    node.edit(104, (text) => text.replace('/b,size=6G', '/b'));
    expect(await node.ask(CLONE)).toMatchObject({
      why: 'Container 104: the size of mp1 is not known',
    });
    node.edit(104, (text) => text.replace(/^mp.*\n/gm, ''));
    node.rooms = { 'local-lvm': { freeMib: mib(4000), thin: true, sourceUsedMib: mib(3000) } };
    expect(await node.ask(CLONE)).toMatchObject({ ok: true });
  });

  it('may be made beside a hundred that are gone, and not that are elsewhere', async () => {
    const node = stopped();
    await node.ask(CLONE);
    const { snapshots, ...ledger } = JSON.parse(readFileSync(node.ledgerPath, 'utf8'));
    const [one] = ledger.members;
    const members = Array.from({ length: 100 }, (_, at) => ({ ...one, vmid: 300 + at }));
    const kept = () =>
      node.put(
        'priv/lxc_autoscale/_clones-of-pve1.json',
        JSON.stringify({ ...ledger, members, snapshots }),
      );
    kept();
    expect(await node.ask({ ...CLONE, newVmid: 106 })).toMatchObject({ ok: true });
    expect(node.clones.map(({ vmid }) => vmid)).toEqual([106]);
    kept();
    for (const { vmid } of members) node.elsewhere.add(vmid);
    node.list();
    expect(await node.ask({ ...CLONE, newVmid: 107 })).toMatchObject({
      why: 'There are 100 clones; delete some first.',
    });
  });

  it('that was migrated is still ours when it comes back', async () => {
    const node = stopped();
    await node.ask(CLONE);
    const text = node.conf(105);
    node.elsewhere.add(105);
    node.write(105, undefined);
    expect(await node.ask(DESTROY)).toMatchObject({ code: 'refused' });
    await node.ask({ ...CLONE, newVmid: 106 });
    expect(node.clones.map(({ vmid }) => vmid)).toEqual([105, 106]);
    node.elsewhere.delete(105);
    node.running.clear();
    node.write(105, text);
    expect(await node.ask(DESTROY)).toMatchObject({ ok: true });
  });

  it('that fails after a command of an hour says how it is removed', async () => {
    const node = new DiskNode();
    node.instead = (command) => {
      if (command.kind !== 'clone') return undefined;
      node.does(command);
      node.edit(105, (text) => `${text.replace(/^rootfs.*\n/m, '')}lock: create\n`);
      node.edit(104, (text) => `lock: disk\n${text}`);
      return FAILED('pct clone 104 took longer than 3600 s');
    };
    const { why } = { why: '', ...(await node.ask(CLONE)) };
    expect(why).toContain('container 105 is there, locked (create), and is not whole');
    expect(why).toContain('remove it: pct unlock 105, pct destroy 105');
    expect(why).toContain(`The snapshot ${SNAPSHOT} of 104 is left: Container 104 (web) is locked`);
    expect(await node.ask(DESTROY)).toMatchObject({
      why: expect.stringMatching(/^Container 105 is locked \(create\): .* pct unlock 105/),
    });
    expect(await node.ask({ ...CLONE, newVmid: 106 })).toMatchObject({
      why: expect.stringMatching(/^Container 104 is locked \(disk\): .*: pct unlock 104/),
    });
    node.edit(105, (text) => text.replace('lock: create\n', ''));
    expect(await node.ask(DESTROY)).toMatchObject({
      why: 'Container 105 (c) was begun by clone/create, and stays: it is not whole.',
    });
  });

  it('that is whole was made, though its command ended badly', async () => {
    const node = new DiskNode();
    node.instead = (command) => {
      if (command.kind !== 'clone') return undefined;
      node.does(command);
      return FAILED('pct clone 104 took longer than 3600 s');
    };
    expect(await node.ask(CLONE)).toMatchObject({
      ok: true,
      note: 'It is whole, though its command failed: pct clone 104 took longer than 3600 s.',
    });
    expect(node.kinds).toEqual(['snapshot 104', 'clone 105', 'delete-snapshot 104', 'start 105']);
    expect(await node.ask(DESTROY)).toMatchObject({ ok: true });
  });

  it('that is to be left alone is not destroyed', async () => {
    const node = stopped();
    await node.ask(CLONE);
    node.leftAlone = 'listed in ignore_lxc';
    expect(await node.ask(DESTROY)).toMatchObject({
      why: 'Container 105 is skipped: listed in ignore_lxc.',
    });
  });
});

describe('a program that ended while a clone was made', () => {
  const cut = async () => {
    const node = new DiskNode();
    let goOn = (): void => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const begun = new Promise<void>((resolve) => {
      node.instead = (command) => {
        if (command.kind === 'clone') resolve();
        return undefined;
      };
    });
    node.wait = ({ kind }) => (kind === 'clone' ? held : undefined);
    const answer = node.ask(CLONE);
    await Promise.race([begun, answer]);
    await node.disks.end(Promise.resolve());
    return { node, goOn, answer };
  };

  it('begins no further command, and takes the rest in with the next start', async () => {
    const { node, goOn, answer } = await cut();
    expect(node.lines.at(-1)).toBe('A disk or clone is under way; it is left to finish.');
    goOn();
    expect(await answer).toMatchObject({
      ok: true,
      note: expect.stringContaining('about to stop'),
    });
    expect(node.kinds).toEqual(['snapshot 104', 'clone 105']);
    expect(await node.ask(CLONE)).toMatchObject({ code: 'refused' });
    node.events.length = 0;
    expect(await node.again().settle()).toBe(true);
    expect(node.kinds.slice(2)).toEqual(['set 105', 'delete-snapshot 104']);
    expect(statuses(node)).toEqual([
      '105 clone confirmed',
      '104 delete-snapshot asked',
      '104 delete-snapshot confirmed',
    ]);
    expect(node.events.at(-1)?.details).toMatchObject({ snapshot_name: SNAPSHOT });
    expect(node.conf(105)).toContain('onboot: 0');
    expect(node.clones).toEqual([expect.objectContaining({ vmid: 105, state: 'new' })]);
  });

  it('while the snapshot is removed begins nothing more either', async () => {
    const node = new DiskNode();
    let ended = Promise.resolve();
    node.instead = ({ kind }) => {
      if (kind === 'delete-snapshot') ended = node.disks.end(Promise.resolve());
      return undefined;
    };
    expect(await node.ask(CLONE)).toMatchObject({
      ok: true,
      note: 'The program is about to stop; its next start takes the clone in.',
    });
    await ended;
    expect(await node.again().settle()).toBe(true);
    expect(node.kinds).toEqual(['snapshot 104', 'clone 105', 'delete-snapshot 104', 'set 105']);
  });

  it('takes the clone in with a later start if it ends again meanwhile', async () => {
    const { node, goOn, answer } = await cut();
    goOn();
    await answer;
    const disks = node.again();
    let ended = Promise.resolve();
    node.instead = ({ kind }) => {
      if (kind !== 'set') return undefined;
      ended = disks.end(Promise.resolve());
      return FAILED('it was stopped');
    };
    expect(await disks.settle()).toBe(false);
    await ended;
    expect(node.conf(105)).toContain('onboot: 1');
    node.instead = () => undefined;
    expect(await node.again().settle()).toBe(true);
    expect(node.conf(105)).toContain('onboot: 0');
  });

  it('waits for a clone that is still copied, and takes it in then', async () => {
    const { node } = await cut();
    node.does(node.commands.at(-1) ?? never());
    node.edit(105, (text) => `lock: create\n${text}`);
    node.edit(104, (text) => `lock: disk\n${text}`);
    node.lines.length = 0;
    const disks = node.again();
    expect(await disks.settle()).toBe(false);
    expect(node.clones).toEqual([expect.objectContaining({ vmid: 105, state: 'cloning' })]);
    node.edit(105, (text) => text.replace('lock: create\n', ''));
    expect(await disks.settle()).toBe(false);
    expect(node.lines.join('\n')).not.toContain('is left');
    node.edit(104, (text) => text.replace('lock: disk\n', ''));
    expect(await disks.settle()).toBe(true);
    expect(node.clones).toEqual([expect.objectContaining({ vmid: 105, state: 'new' })]);
  });

  it('waits for a locked clone whose source is not locked', async () => {
    const { node } = await cut();
    node.does(node.commands.at(-1) ?? never());
    node.edit(105, (text) => `lock: create\n${text}`);
    const before = node.kinds.length;
    expect(await node.again().settle()).toBe(false);
    expect(node.kinds.slice(before)).toEqual([]);
    node.edit(105, (text) => text.replace('lock: create\n', ''));
    expect(await node.disks.settle()).toBe(true);
    expect(node.kinds.slice(before)).toEqual(['set 105', 'delete-snapshot 104']);
  });

  it('waits for the snapshot of its clone too, which is not there yet', async () => {
    const { node } = await cut();
    node.does({ kind: 'delete-snapshot', name: SNAPSHOT, vmid: 104 } as GroupCommand);
    node.edit(104, (text) => `lock: snapshot\n${text}`);
    expect(await node.again().settle()).toBe(false);
    expect(readFileSync(node.ledgerPath, 'utf8')).toContain(SNAPSHOT);
  });

  it('waits for no clone and no source that are locked for hours', async () => {
    const { node } = await cut();
    node.does(node.commands.at(-1) ?? never());
    for (const vmid of [104, 105]) node.edit(vmid, (text) => `lock: disk\n${text}`);
    node.nowS += 8000;
    expect(await node.again().settle()).toBe(true);
    expect(node.lines.at(-1)).toContain(`The snapshot ${SNAPSHOT} of 104 is left: Container 104`);
  });

  it('says of nobody that they have asked for the clone of another', async () => {
    const { node } = await cut();
    node.does(node.commands.at(-1) ?? never());
    node.events.length = 0;
    const says = 'Container 105 (c) is a clone that was begun earlier, and is whole now.';
    node.wait = () => undefined;
    node.again();
    expect(await node.ask({ ...CLONE, newVmid: 106 })).toMatchObject({ ok: true });
    expect(node.lines.some((line) => line.includes(says))).toBe(true);
    const asked = node.events.map(({ vmid, details }) => [vmid, details['asked_by']]);
    expect(asked.filter(([vmid]) => vmid === 105)).toEqual([[105, 'lxc-autoscale']]);
    expect(asked).toContainEqual([104, 'lxc-autoscale']);
    expect(asked).toContainEqual([104, 'api:test']);
  });

  it('and was killed takes in the clone that nobody has started', async () => {
    const { node } = await cut();
    node.does(node.commands.at(-1) ?? never());
    expect(node.clones).toEqual([expect.objectContaining({ vmid: 105, state: 'cloning' })]);
    node.events.length = 0;
    expect(await node.again().settle()).toBe(true);
    expect(node.clones).toEqual([expect.objectContaining({ vmid: 105, state: 'new' })]);
    expect(statuses(node)[0]).toBe('105 clone confirmed');
    expect(node.conf(105)).toContain('onboot: 0');
    expect(await node.ask(DESTROY)).toMatchObject({ ok: true });
  });

  it.each([
    ['runs', (node: DiskNode) => node.running.add(105)],
    ['is old', (node: DiskNode) => (node.nowS += 8000)],
    ['is another one', (node: DiskNode) => node.edit(105, (text) => text.replace(/^#.*$/gm, ''))],
  ])('does not take what has its id for its own if it %s', async (_, become) => {
    const { node } = await cut();
    node.does(node.commands.at(-1) ?? never());
    expect(node.conf(105)).toContain(encodeURIComponent(NONCE));
    become(node);
    await node.again().settle();
    expect(await node.ask(DESTROY)).toMatchObject({ code: 'refused' });
    expect(node.conf(105)).toContain('hostname: c');
  });

  it('while the files hang does nothing', async () => {
    const { node } = await cut();
    node.blind = '/etc/pve does not answer';
    const before = node.kinds.length;
    await node.again().settle();
    expect(node.kinds.slice(before)).toEqual([]);
    expect(node.lines.at(-1)).toContain(
      `104 cannot be seen, and may keep the snapshot ${SNAPSHOT}`,
    );
  });
});

const never = (): never => {
  throw new Error('there is no command');
};
