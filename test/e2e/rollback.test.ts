import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import { guest, hungry, NodeUnderTest, wantingBoth } from './node-under-test.ts';

/** `backups` and `rollback` on a node where the daemon has changed something, or does so now. */

/** 300 MB in use of what it has, so that memory can be taken. */
const modest = (vmid: number) =>
  guest(vmid, { cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib: 300 });

const backupDirectory = ({ root }: NodeUnderTest) => join(root, 'var/lib/lxc_autoscale/backups');

/** The ids of the backups of a container, oldest first. */
function idsOf(under: NodeUnderTest, vmid: number): string[] {
  const names = readdirSync(join(backupDirectory(under), String(vmid)));
  const copies = names.filter((name) => name.endsWith('.conf')).sort();
  return copies.map((name) => name.slice(0, -'.conf'.length));
}

function holdOf({ root }: NodeUnderTest, vmid: number): Record<string, unknown> | undefined {
  const path = join(root, `var/lib/lxc_autoscale/holds/${vmid}`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

/** A node with containers that the program has given more memory: 1536 MB instead of 1024. */
async function grownNode(...vmids: number[]) {
  const under = await NodeUnderTest.create(vmids.map(hungry));
  const before = new Map(vmids.map((vmid) => [vmid, under.conf(vmid)]));
  expect((await under.run(['once'])).code).toBe(0);
  for (const vmid of vmids) expect(under.node.limits(vmid)?.memoryMib).toBe(1536);
  return { under, before };
}

describe('a rollback', () => {
  it('restores exactly what was there before the daemon changed it', async () => {
    const { under, grow } = await wantingBoth();
    const before = under.conf(101);
    await grow();
    const daemon = under.start(['daemon']);
    await daemon.saying('Configured.');
    daemon.signal('SIGTERM');
    await daemon.ended;
    under.node.setPvestatd(true);
    expect(under.node.limits(101)).toMatchObject({ cores: 3, memoryMib: 1536 });

    const { code, stdout, stderr } = await under.run(['rollback', '101']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [id] = idsOf(under, 101);
    expect(stdout).toMatch(
      new RegExp(
        String.raw`^Rolled back container 101 \(ct101\): cores 3 -> 1, memory 1536 -> 1024 MB, ` +
          String.raw`as in the backup of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(${id}\)\. .*\n$`,
      ),
    );
    expect(under.conf(101)).toBe(before);
    expect(under.node.limits(101)).toMatchObject({ live: { memoryMib: 1024 } });
    expect(under.node.oomKills(101)).toBe(0);
    expect(under.sets()).toHaveLength(2);
    expect(under.sets()[1]?.slice(0, 7)).toEqual([
      'pct',
      'set',
      '101',
      '--cores',
      '1',
      '--memory',
      '1024',
    ]);
    expect(under.journal().slice(-2)).toMatchObject([
      { container_id: '101', action: 'Decrease Cores', change: '2', event: 'rollback', after: 1 },
      { container_id: '101', action: 'Decrease Memory', change: '512MB', event: 'rollback' },
    ]);
    expect(under.log()).toMatch(/ - INFO - Rolled back container 101 .* Backup: .*\.conf\n$/);
  });

  it('once more does nothing, and is itself undone by the id of its own backup', async () => {
    const { under } = await grownNode(101);
    await under.run(['rollback', '101']);
    const again = await under.run(['rollback', '101']);
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toMatch(/^Nothing to restore for container 101/);
    for (const to of ['2020-01-01', 'yesterday', '2h', '0:00']) {
      expect((await under.run(['rollback', '101', '--to', to])).stdout).toMatch(/^Nothing/);
    }
    expect(under.sets()).toHaveLength(2);
    const own = idsOf(under, 101).at(-1) ?? '';
    expect((await under.run(['rollback', '101', '--to', own])).code).toBe(0);
    expect(under.node.limits(101)).toMatchObject({ memoryMib: 1536, live: { memoryMib: 1536 } });
  });

  it('works while the daemon runs, and tells it to leave the container alone', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    const before = under.conf(101);
    const daemon = under.start(['daemon']);
    await daemon.saying('Confirmed.');
    const { code, stdout } = await under.run(['rollback', '101']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/ The daemon skips it until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\n$/);
    // The daemon may see the pause before the command has written its line.
    await daemon.saying('Rolled back ');
    await daemon.saying(/Container 101 .*rolled back by hand/);
    await daemon.cycles(3);
    expect(under.sets()).toHaveLength(2);
    expect(under.conf(101)).toBe(before);
    expect(under.sets()[1]?.slice(3, 5)).toEqual(['--memory', '1024']);
    expect(under.backups(101)[0]).toBe(before);
    expect(holdOf(under, 101)).toEqual({
      until: expect.stringMatching(/^\d{4}-.*Z$/),
      reason: `it was rolled back by hand to ${idsOf(under, 101)[0]}`,
      guest: 'bc:24:11:00:00:65 local-lvm:vm-101-disk-0',
    });
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });

  it('as a dry run says what it would do, and writes nothing', async () => {
    const { under } = await grownNode(101);
    const log = under.log();
    const { code, stdout } = await under.run(['rollback', '101', '--dry-run']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Would roll back container 101 \(ct101\): memory 1536 -> 1024 MB/);
    expect([under.sets().length, idsOf(under, 101).length, holdOf(under, 101)]).toEqual([
      1,
      1,
      undefined,
    ]);
    expect(under.log()).toBe(log);
  });

  it('of a stopped container changes its configuration', async () => {
    const { under, before } = await grownNode(101);
    under.node.stopContainer(101);
    expect((await under.run(['rollback', '101'])).code).toBe(0);
    expect(under.conf(101)).toBe(before.get(101));
  });
});

describe('a rollback of all', () => {
  it.each([{ argv: ['rollback', '--all'] }, { argv: ['--rollback'] }])(
    'brings each container back, by $argv',
    async ({ argv }) => {
      const { under, before } = await grownNode(101, 102, 103);
      under.node.destroyContainer(103);
      const { code, stdout, stderr } = await under.run(argv);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      for (const vmid of [101, 102]) expect(under.conf(vmid)).toBe(before.get(vmid));
      expect(stdout.split('\n')).toEqual([
        expect.stringMatching(/^Rolled back container 101 /),
        expect.stringMatching(/^Rolled back container 102 /),
        'Container 103 was NOT rolled back: it is not on this node (destroyed or migrated).',
        '',
      ]);
    },
  );

  it('goes on after one that fails, and ends with 1', async () => {
    const { under, before } = await grownNode(101, 102, 103);
    under.node.setLock(101, 'backup');
    rmSync(join(backupDirectory(under), '102'), { recursive: true });
    symlinkSync('103', join(backupDirectory(under), '102'));
    const { code, stdout, stderr } = await under.run(['rollback', '--all']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^Rolled back container 103 .*\n$/);
    expect(stderr).toMatch(/^Left out: .*\/102: .*symbolic link, which is not followed\n/);
    expect(stderr).toMatch(/\nContainer 101 \(ct101\) was NOT rolled back .*locked \(backup\)/);
    expect(under.conf(103)).toBe(before.get(103));
    expect(under.node.limits(102)?.memoryMib).toBe(1536);
  });

  it('finishes the change in hand when it is told to stop, and begins no other', async () => {
    const { under, before } = await grownNode(101, 102);
    const calls = under.node.calls.length;
    under.node.onCommand(() => ({ kind: 'slow', delayMs: 500 }));
    const rollback = under.start(['rollback', '--all']);
    while (under.node.calls.length === calls) await new Promise((go) => setTimeout(go, 20));
    rollback.signal('SIGINT');
    const { code, stdout, stderr } = await rollback.ended;
    expect(code).toBe(1);
    expect(stdout).toMatch(/^Rolled back container 101 .*\n$/);
    expect(stderr).toBe('Stopped before container 102.\n');
    expect(under.conf(101)).toBe(before.get(101));
    expect(under.node.calls).toHaveLength(calls + 1);
  });

  it('has nothing to do where there are no backups', async () => {
    const under = await NodeUnderTest.create([modest(101)]);
    mkdirSync(backupDirectory(under), { recursive: true });
    expect(await under.run(['--rollback'])).toEqual({
      code: 0,
      stderr: '',
      stdout: `Nothing to roll back: there are no backups in ${backupDirectory(under)}.\n`,
    });
  });
});

describe('a rollback that is refused', () => {
  it('has no backup to go to, or none so young', async () => {
    const { under } = await grownNode(101);
    const none = await under.run(['rollback', '102']);
    expect(none).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Container 102 was NOT rolled back: it has no backups.\n',
    });
    const { code, stderr } = await under.run(['rollback', '101', '--to', '2096-02-29 12:00']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/not changed since 2096-02-29 12:00; its newest backup is of \d{4}-/);
    expect(under.sets()).toHaveLength(1);
  });

  it('would take memory that is in use', async () => {
    let anonMib = 900;
    const demand = () => ({ cpuCores: 1, anonMib });
    const under = await NodeUnderTest.create([{ ...hungry(101), demand }]);
    await under.run(['once']);
    anonMib = 1300;
    under.node.advance(5000);
    const { code, stderr } = await under.run(['rollback', '101']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Container 101 \(ct101\) was NOT rolled back .* Its memory is left/);
    expect(stderr).toMatch(/it needs 1\d{3} MB now, so 1024 MB would be too little\.\n$/);
    expect(under.sets()).toHaveLength(1);
    expect(under.node.oomKills(101)).toBe(0);
  });

  it.each([
    ['its copy was written to', (path: string) => writeFileSync(path, 'memory: 16\n')],
    [
      'its copy is a link',
      (path: string) => {
        rmSync(path);
        symlinkSync('../../../../../etc/pve/nodes/pve1/lxc/102.conf', path);
      },
    ],
  ])('because %s', async (_, damage) => {
    const { under } = await grownNode(101, 102);
    const [id] = idsOf(under, 101);
    damage(join(backupDirectory(under), '101', `${id}.conf`));
    const { code, stderr } = await under.run(['rollback', '101']);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /was NOT rolled back: its backup \S+ cannot be used \(.*rollback 101 --to/,
    );
    expect(under.sets()).toHaveLength(2);
  });

  it('is not refused for a damaged description: the copy itself is whole', async () => {
    const { under, before } = await grownNode(101);
    const [id] = idsOf(under, 101);
    writeFileSync(join(backupDirectory(under), '101', `${id}.json`), '{"version": 1, "rea');
    const list = await under.run(['backups', '101']);
    expect(list).toMatchObject({ code: 0, stderr: '' });
    expect(list.stdout).toContain(`not known: ${id}.json is damaged`);
    expect((await under.run(['rollback', '101'])).code).toBe(0);
    expect(under.conf(101)).toBe(before.get(101));
  });

  it('is half done by a pct that is killed, and is taken back', async () => {
    const { under } = await grownNode(101);
    under.node.onCommand(() =>
      under.node.calls.length === 2 ? { kind: 'killed', done: 'live-only' } : undefined,
    );
    const { code, stderr } = await under.run(['rollback', '101']);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /The previous values are active again: pct set 101 was ended by SIGKILL/,
    );
    expect(under.node.limits(101)).toMatchObject({ memoryMib: 1536, live: { memoryMib: 1536 } });
    expect(under.journal().at(-1)).toMatchObject({ action: 'None', event: 'rollback-failed' });
    // What was half done is no state to go back to: the same rollback once more goes further back.
    expect((await under.run(['rollback', '101'])).code).toBe(0);
    expect(under.node.limits(101)).toMatchObject({ memoryMib: 1024, live: { memoryMib: 1024 } });
  });

  it('is on no Proxmox node', async () => {
    const { under } = await grownNode(101);
    rmSync(join(under.root, 'etc/pve'), { recursive: true });
    const { code, stderr } = await under.run(['rollback', '101']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^The containers cannot be seen: .*not a Proxmox VE node/);
  });
});

it('the backups that the daemon made are listed, and nothing is changed by that', async () => {
  const { under } = await grownNode(101, 102);
  const files = readdirSync(join(backupDirectory(under), '101'));
  const { code, stdout } = await under.run(['backups']);
  expect(code).toBe(0);
  const [head, ...rows] = stdout.trimEnd().split('\n');
  expect(head).toMatch(/^VMID +NAME +TIME +CORES +CPULIMIT +MEMORY MB +ID +MADE FOR$/);
  expect(rows).toHaveLength(2);
  const line = rows.find((row) => row.startsWith('101 ')) ?? '';
  expect(line).toMatch(/ct101 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +2 +none +1024 +\d{8}T/);
  expect(line).toMatch(/ 1024 -> 1536 MB/);
  expect(JSON.parse((await under.run(['backups', '102', '--json'])).stdout)).toMatchObject([
    { vmid: 102, cores: 2, memoryMib: 1024, madeFor: { memoryMib: { from: 1024, to: 1536 } } },
  ]);
  expect(readdirSync(join(backupDirectory(under), '101'))).toEqual(files);
});

it.each([
  [['rollback'], /rollback needs the id or the name of a container, or --all/],
  [['rollback', '101', '--to', 'tomorrow'], /--to takes .* a time such as .*not 'tomorrow'/],
  [['--rollback', 'daemon'], /--rollback stands without a command/],
])('wrong usage, %j, ends with 64 and changes nothing', async (argv, message) => {
  const under = await NodeUnderTest.create([hungry(101)]);
  const { code, stdout, stderr } = await under.run(argv);
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
  expect(stderr).toMatch(message);
  expect(under.sets()).toEqual([]);
});

describe('an id that was given to another guest', () => {
  /** The case `reused-id`: 101 was changed and destroyed, and its id given away again. */
  async function reused(conf = {}, anonMib = 500) {
    const { under } = await grownNode(101);
    under.node.destroyContainer(101);
    const settings = { vmid: 101, name: 'newcomer', cores: 6, memoryMib: 8192, life: 1, ...conf };
    under.node.addContainer({
      vmid: 101,
      conf: guestText(settings),
      demand: () => ({ cpuCores: 1, anonMib }),
    });
    under.node.advance(20_000);
    const before = under.conf(101);
    const sets = under.sets().length;
    const isUntouched = (): boolean => under.conf(101) === before && under.sets().length === sets;
    return { under, before, isUntouched };
  }

  it.each([
    ['on another storage', { rootfs: 'local-zfs:subvol-101-disk-1,size=8G' }],
    ['on the same one, with a volume of the same name', {}],
    [
      'with the same address, on another storage',
      { rootfs: 'local-zfs:subvol-101-disk-1', life: 0 },
    ],
  ])('is left alone by a rollback of all, %s', async (_, conf) => {
    const { under, isUntouched } = await reused(conf);
    for (const argv of [
      ['rollback', '--all'],
      ['--rollback'],
      ['rollback', '--all', '--to', 'own'],
    ]) {
      const { code, stdout, stderr } = await under.run(argv);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(
        /^Container 101 \(newcomer\) is skipped: it is not the guest of which there are/,
      );
      expect(stdout).toMatch(
        / It has root volume .*, hwaddr bc:.*; the newest backup: root volume .*:00:65\.\n$/,
      );
      expect(isUntouched()).toBe(true);
    }
  });

  it('is refused by its id, unless it is asked for twice', async () => {
    const { under, isUntouched } = await reused();
    const [id = ''] = idsOf(under, 101);
    for (const to of [[], ['--to', id], ['--to', '2020-01-01'], ['--to', 'first']]) {
      const { code, stdout, stderr } = await under.run(['rollback', '101', ...to]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(
        /^Container 101 \(newcomer\) was NOT rolled back: it is not the guest/,
      );
      expect(stderr).toMatch(/ the same: rollback 101 --other-guest\.\n$/);
      expect(stderr.split('\n')).toHaveLength(2);
      expect(isUntouched()).toBe(true);
    }
    const { code } = await under.run(['rollback', '101', '--other-guest', '--dry-run']);
    expect([code, isUntouched()]).toEqual([0, true]);
    expect((await under.run(['rollback', '101', '--other-guest'])).code).toBe(0);
    expect(under.node.limits(101)).toMatchObject({ cores: 2, memoryMib: 1024 });
    // What it had itself is what it goes back to now.
    expect((await under.run(['rollback', '101', '--to', 'first'])).code).toBe(0);
    expect(under.node.limits(101)).toMatchObject({ cores: 6, memoryMib: 8192 });
  });

  it('goes back to its own values only, and marks the others in the list', async () => {
    const { under } = await reused({ memoryMib: 4608 }, 4200);
    expect((await under.run(['once'])).code).toBe(0);
    const grown = under.node.limits(101)?.memoryMib ?? 0;
    expect(grown).toBeGreaterThan(4608);
    expect((await under.run(['backups', '101'])).stdout).toMatch(
      / FIRST; .*\n.* OTHER GUEST; FIRST; /,
    );
    // Its memory is in use by now, so it stays; what counts is which backup was chosen.
    const { stderr } = await under.run(['rollback', '101', '--to', '2020-01-01']);
    expect(stderr).toContain(`(${idsOf(under, 101)[1]})`);
  });

  it('cannot be recognised without a root volume, so nothing is brought back to it', async () => {
    const { under } = await grownNode(101);
    const path = join(under.root, 'etc/pve/nodes/pve1/lxc/101.conf');
    writeFileSync(path, under.conf(101).replace(/^rootfs: .*\n/m, ''));
    for (const argv of [
      ['rollback', '--all'],
      ['rollback', '101'],
    ]) {
      const { code, stderr } = await under.run(argv);
      expect(code).toBe(1);
      expect(stderr).toMatch(/NOT rolled back: it cannot be told whether it is the guest of which/);
    }
    expect(under.sets()).toHaveLength(1);
  });
});

describe("a rollback to an administrator's own values", () => {
  it('goes back over many changes, to what was set last by hand', async () => {
    const { under, before } = await grownNode(101, 102, 103);
    under.configure('DEFAULT: {poll_interval: 1, ignore_lxc: [103]}\n');
    const set = (vmid: number, memory: number) =>
      under.node.run(['pct', 'set', String(vmid), '--memory', String(memory)]);
    await set(102, 1600);
    await set(103, 1700);
    const { code, stdout, stderr } = await under.run(['rollback', '--all', '--to', 'own']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^Rolled back .* 101 .*: memory 1536 -> 1024 MB, as an administrator has set it last\. /,
      ),
      'Container 102 (ct102): its memory was set by somebody else since, and stays.',
      expect.stringMatching(/^Nothing to restore for container 102 .*: it is as an administrator/),
      'Container 103 (ct103) is left as it is: listed in ignore_lxc.',
      '',
    ]);
    expect(under.conf(101)).toBe(before.get(101));
    expect([102, 103].map((vmid) => under.node.limits(vmid)?.memoryMib)).toEqual([1600, 1700]);
  });

  it('finds the first values after a burst of changes', async () => {
    const { under, before } = await grownNode(101);
    under.configure('DEFAULT: {poll_interval: 1, backups_keep: 1}\n');
    for (let change = 0; change < 5; change++) {
      await under.run(['rollback', '101', '--to', idsOf(under, 101).at(-1) ?? '']);
    }
    // The newest three, and the first.
    expect(idsOf(under, 101)).toHaveLength(4);
    expect(under.backups(101)[0]).toBe(before.get(101));
    const other = await under.run(['rollback', '101', '--to', 'first']);
    expect(other.code).toBe(0);
    expect(under.conf(101)).toBe(before.get(101));
  });
});
