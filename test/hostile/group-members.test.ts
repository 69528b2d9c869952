import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { FIRST_ID, GroupUnderTest, LEDGER, SOURCE } from '../e2e/group-under-test.ts';

/** Somebody who may edit containers wants the daemon to end one that is not its own. */

const VICTIM = 150;

/** Much of its memory in use: what lowers its limit kills it. */
const victim = (own: (text: string) => string = (text) => text): GuestSpec => {
  const text = guestText({ vmid: VICTIM, name: 'accounts', cores: 4, memoryMib: 4096 });
  const conf = own(`${text}protection: 1\n`);
  return { vmid: VICTIM, conf, demand: () => ({ cpuCores: 0.5, anonMib: 3000 }) };
};

const said = (lines: string) => (text: string) =>
  `${lines
    .split('\n')
    .map((line) => `#${encodeURIComponent(line)}\n`)
    .join('')}${text}`;

const marked = (state: string, check: string): string =>
  `lxc-autoscale: group=web vmid=${VICTIM} state=${state} served=0 made=1700000000 check=${check}`;

const tagged = (text: string): string => `${text}tags: autoscale-group-web\n`;
const unprotected = (text: string): string => text.replace('protection: 1\n', '');

/** What the person may write, alone and together. */
const FORGED: readonly (readonly [string, (text: string) => string])[] = [
  ['the description of the case', said(marked('cloning', '73131f60'))],
  [
    'a description, with its protection gone',
    (text) => unprotected(said(marked('cloning', '73131f60'))(text)),
  ],
  ['the tag of the group', tagged],
  ['the tag, with its protection gone', (text) => unprotected(tagged(text))],
  ['the name of a member', (text) => text.replace('hostname: accounts', `hostname: web-${VICTIM}`)],
  ['everything at once', (text) => unprotected(tagged(said(marked('leaving', '00000000'))(text)))],
];

/** Grows, shrinks, and lets every step of a group happen meanwhile. */
async function throughLife(group: GroupUnderTest): Promise<void> {
  const daemon = group.start();
  await group.until(() => group.inService().length === 2 && group.isClean());
  group.ask(5);
  await group.until(() => group.inService().length === 3 && group.isClean());
  group.ask(0.2);
  await group.until(() => group.inService().length === 2 && group.isClean());
  daemon.signal('SIGTERM');
  await daemon.ended;
}

function expectUntouched(group: GroupUnderTest, vmid: number, before: string): void {
  expect(group.under.conf(vmid)).toBe(before);
  const calls = group.under.node.calls.filter(({ argv }) => argv.includes(`${vmid}`));
  expect(calls.map(({ argv }) => argv.join(' '))).toEqual([]);
}

const KEYS = { scale_in: 'destroy', max_instances: 3 };

describe('a container of others', () => {
  it.each(FORGED)('is never touched for %s', async (_what, forge) => {
    const group = await GroupUnderTest.create(KEYS);
    group.under.node.addContainer(victim(forge));
    const before = group.under.conf(VICTIM);
    await throughLife(group);
    expectUntouched(group, VICTIM, before);
    expect(group.under.node.machine.running(VICTIM)).toBeDefined();
    expect(group.under.node.oomKills(VICTIM)).toBe(0);
  });

  it.each([
    [
      'the description',
      (text: string, member: string) => `${(member.match(/^#.*\n/gm) ?? []).join('')}${text}`,
    ],
    ['all of the configuration', (_text: string, member: string) => member],
  ])('is never touched for %s of a member', async (_what, forge) => {
    const group = await GroupUnderTest.create(KEYS);
    const first = group.start();
    await group.until(() => group.inService().length === 2 && group.isClean());
    const member = group.under.conf(FIRST_ID);
    group.under.node.addContainer(victim((text) => forge(text, member)));
    const before = group.under.conf(VICTIM);
    const note = `${VICTIM} says by its`;
    await group.until(() => group.under.log().includes(note));
    first.signal('SIGTERM');
    await first.ended;
    await throughLife(group);
    expectUntouched(group, VICTIM, before);
    expect(group.under.node.machine.running(VICTIM)).toBeDefined();
  });

  it('is never touched for the id of a member that is gone', async () => {
    const group = await GroupUnderTest.create(KEYS);
    const first = group.start();
    await group.until(() => group.inService().length === 2 && group.isClean());
    const member = group.under.conf(FIRST_ID);
    first.signal('SIGTERM');
    await first.ended;
    group.under.node.destroyContainer(FIRST_ID);
    // The volume has the same name again; the hardware address is another one.
    const conf = member.replace(/hwaddr=[0-9A-F:]+/, 'hwaddr=BC:24:11:0D:0D:0D');
    group.under.node.addContainer({ ...victim(), vmid: FIRST_ID, conf });
    const before = group.under.conf(FIRST_ID);
    const calls = group.under.node.calls.length;
    const second = group.start();
    await group.until(() => group.inService().includes(FIRST_ID + 1) && group.isClean());
    expect(group.under.log()).toContain(`${FIRST_ID} is another container now`);
    group.ask(0.1);
    await second.cycles(4);
    second.signal('SIGTERM');
    await second.ended;
    expect(group.under.conf(FIRST_ID)).toBe(before);
    const later = group.under.node.calls.slice(calls);
    const own = later.filter(({ argv }) => argv[0] === 'pct' && argv.includes(`${FIRST_ID}`));
    expect(own).toEqual([]);
  });
});

describe('the ledger of members', () => {
  const path = (group: GroupUnderTest): string => join(group.under.root, LEDGER);

  /** Two members that serve, and nobody who works on them. */
  async function settledGroup(): Promise<GroupUnderTest> {
    const group = await GroupUnderTest.create({ ...KEYS, min_instances: 1 });
    const daemon = group.start();
    group.ask(1.9);
    await group.until(() => group.inService().length === 2 && group.isClean());
    daemon.signal('SIGTERM');
    await daemon.ended;
    return group;
  }

  it('is written before the clone is begun, and for root only', async () => {
    const group = await GroupUnderTest.create(KEYS);
    let before: unknown;
    group.under.node.onCommand(({ argv }) => {
      if (argv[1] === 'clone') before = JSON.parse(readFileSync(path(group), 'utf8')).members;
      return undefined;
    });
    const daemon = group.start();
    await group.until(() => group.inService().length === 2 && group.isClean());
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(before).toMatchObject([{ vmid: FIRST_ID, state: 'cloning', served: false }]);
    const { members } = JSON.parse(readFileSync(path(group), 'utf8'));
    const hwaddr = /hwaddr=([0-9A-F:]+)/.exec(group.under.conf(FIRST_ID))?.[1];
    const identity = `${hwaddr?.toLowerCase()} local-lvm:vm-${FIRST_ID}-disk-0`;
    expect(members).toMatchObject([{ vmid: FIRST_ID, state: 'serving', served: true, identity }]);
    expect(readdirSync(dirname(path(group)))).toEqual(['leases', 'web.json']);
  });

  it.each([
    ['missing', (file: string) => rmSync(file)],
    ['empty', (file: string) => writeFileSync(file, '')],
    ['cut off', (file: string) => writeFileSync(file, readFileSync(file).subarray(0, 60))],
    [
      'a directory',
      (file: string) => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
  ])('that is %s means that nothing is done, which is said', async (_what, damage) => {
    const group = await settledGroup();
    damage(path(group));
    const calls = group.under.node.calls.length;
    group.ask(0.1);
    const daemon = group.start();
    await daemon.saying('its members are not known, so nothing is done');
    await daemon.cycles(3);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(group.under.node.calls.slice(calls)).toEqual([]);
    expect(group.under.log().match(/its members are not known/g)).toHaveLength(1);
  });

  it('that cannot be written means that no clone is begun', async () => {
    const group = await GroupUnderTest.create(KEYS);
    // Where it would be written first.
    mkdirSync(join(dirname(path(group)), '.web.json.tmp'), { recursive: true });
    const daemon = group.start();
    await daemon.saying('The record of what was made here could not be written to');
    await daemon.cycles(2);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(group.under.node.calls).toEqual([]);
  });
});

it('what is changed or destroyed has a backup first', async () => {
  const group = await GroupUnderTest.create({ ...KEYS, min_instances: 1 });
  const backups = join(group.under.root, 'var/lib/lxc_autoscale/backups');
  const without: string[] = [];
  group.under.node.onCommand(({ argv: [tool, verb = '', id = ''] }) => {
    const changes = ['set', 'destroy', 'unlock', 'snapshot', 'delsnapshot'].includes(verb);
    if (tool !== 'pct' || !changes) return undefined;
    const text = group.under.conf(Number(id));
    const place = join(backups, id);
    const copies = existsSync(place) ? readdirSync(place) : [];
    const isThere = copies
      .filter((name) => name.endsWith('.conf'))
      .some((name) => readFileSync(join(place, name), 'utf8') === text);
    if (!isThere) without.push(`${verb} ${id}`);
    return undefined;
  });
  const daemon = group.start();
  group.ask(1.9);
  await group.until(() => group.inService().length === 2 && group.isClean());
  group.ask(0.1);
  await group.until(() => group.members().length === 1 && group.isClean());
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(group.members().map(({ vmid }) => vmid)).toEqual([SOURCE]);
  expect(without).toEqual([]);
});

it('a member that was given protection is never destroyed', async () => {
  const group = await GroupUnderTest.create({ ...KEYS, min_instances: 1 });
  const daemon = group.start();
  group.ask(1.9);
  await group.until(() => group.inService().length === 2 && group.isClean());
  group.under.node.editConfig(FIRST_ID, (text) => `${text}protection: 1\n`);
  const before = group.under.conf(FIRST_ID);
  group.ask(0.1);
  await daemon.saying('no member is taken out');
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(group.under.conf(FIRST_ID)).toBe(before);
  expect(group.inService()).toEqual([SOURCE, FIRST_ID]);
});

it('the clones that there are can be listed without the daemon', async () => {
  const group = await GroupUnderTest.create(KEYS);
  const daemon = group.start();
  await group.until(() => group.inService().length === 2 && group.isClean());
  daemon.signal('SIGTERM');
  await daemon.ended;
  group.under.node.addContainer(victim(tagged));
  const listed = await group.under.run(['members']);
  expect(listed.stdout).toMatch(/^GROUP +VMID +NAME +STATE +NODE +ADDRESS\nweb +99000 +web-99000 /);
  expect(listed.stdout.split('\n')).toHaveLength(3);
  const { stdout } = await group.under.run(['members', '--json']);
  expect(JSON.parse(stdout)).toMatchObject([{ group: 'web', vmid: FIRST_ID, state: 'serving' }]);
  group.under.node.destroyContainer(FIRST_ID);
  expect((await group.under.run(['members'])).stdout).toBe('There are no clones of groups.\n');
  writeFileSync(join(group.under.root, LEDGER), '{');
  const damaged = await group.under.run(['members']);
  expect(damaged).toMatchObject({ code: 1, stderr: expect.stringContaining('it is no JSON') });
});
