import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type NodeOfProgram, takeOverMigrated } from '../../src/app/migrations.ts';
import type { Connection } from '../../src/core/connection.ts';
import { newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { missing, present } from '../../src/core/reading.ts';
import { cores, milliseconds } from '../../src/core/units.ts';
import { observe } from '../../src/loop/observe.ts';
import type { TemporaryRecords } from '../../src/node/port.ts';
import { moveBackups } from '../../src/store/move-backups.ts';
import { everyone } from '../core/builders.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { temporaryDirectory, vmid } from '../node/local/world.ts';

/** Guests that go from one node of a program to another. */

const ID = vmid(101);
const BOOST = { before: cores(2), boosted: cores(4), endMs: milliseconds(99_000) };

function nodeOf(name: string, ...ids: readonly number[]) {
  const fake = new FakeNode();
  for (const id of ids) fake.add(id, { name: 'web' });
  const node: NodeOfProgram = { name, world: fake.world, state: newLoopState() };
  return { ...node, fake, look: () => observe(fake.world, node.state, everyone()) };
}

/** It has a boost on pve1, and is on pve2 now. */
function migrated() {
  const [from, to] = [nodeOf('pve1', 101), nodeOf('pve2')];
  from.look();
  Object.assign(recordOf(from.state, ID).cores, { boost: BOOST });
  const moved: string[] = [];
  const takeOver = () =>
    takeOverMigrated(to, [from, to], (id, { name }) => {
      moved.push(`${id} from ${name}`);
      return undefined;
    });
  const migrate = () => {
    from.fake.containers.delete(ID);
    to.fake.add(101, { name: 'web' });
  };
  return { from, to, takeOver, migrate, moved };
}

it('takes its record and its backups along', () => {
  const { from, to, takeOver, migrate, moved } = migrated();
  migrate();
  from.look();
  takeOver();
  to.look();
  const record = to.state.guests.get(ID);
  expect(record?.cores.boost).toEqual(BOOST);
  expect(record?.running).toBeDefined();
  expect([from.state.guests.has(ID), moved]).toEqual([false, ['101 from pve1']]);
  expect(to.fake.linesOf('INFO')).toContain(
    'INFO: Container 101 (web) came from pve1: what is known of it came with it.',
  );
});

it('also if it was seen there before it was missed here', () => {
  const { from, to, takeOver, migrate, moved } = migrated();
  migrate();
  takeOver();
  to.look();
  expect(moved).toEqual([]);
  from.look();
  takeOver();
  expect([to.state.guests.get(ID)?.cores.boost, moved.length]).toEqual([BOOST, 1]);
});

it.each([
  [new Set(['pve2']), 500, 'takes'],
  [new Set(['pve2']), 700, 'loses'],
  [new Set(['pve3']), 0, 'loses'],
  [undefined, 0, 'loses'],
])(
  'from a node of a cluster, with %s as further nodes and %i s later, %s it',
  (others, s, what) => {
    const { from, to, takeOver, migrate, moved } = migrated();
    const temporary = { ...NO_RECORDS, node: 'pve1', nodeOf: () => present('pve2') };
    const home = { ...from.fake.world, temporary };
    const handover = others && { nodes: others, withinMs: milliseconds(600_000) };
    const look = () => observe(home, from.state, { ...everyone(), handover });
    migrate();
    look();
    from.fake.nowMs += s * 1000;
    look();
    takeOver();
    expect(moved.length).toBe(what === 'takes' ? 1 : 0);
    expect(to.state.guests.has(ID)).toBe(what === 'takes');
  },
);

const NO_RECORDS: TemporaryRecords = {
  node: '',
  read: () => missing('absent', 'there is none'),
  write: () => ({ ok: true }),
  all: () => [],
  nodeOf: () => present(undefined),
};

it('but nothing of another guest, of one that is here still, or over a change of its own', () => {
  const stranger = migrated();
  stranger.migrate();
  stranger.from.look();
  const known = recordOf(stranger.from.state, ID);
  known.identity = 'bc:24:11:00:00:99 local:vm-101-disk-9' as typeof known.identity;
  const staying = migrated();
  staying.to.fake.add(101, { name: 'web' });
  staying.from.look();
  const changed = migrated();
  changed.migrate();
  changed.to.look();
  Object.assign(recordOf(changed.to.state, ID).memory, { boost: BOOST });
  changed.from.look();
  for (const { from, takeOver, moved } of [stranger, staying, changed]) {
    takeOver();
    expect([from.state.guests.has(ID), moved]).toEqual([true, []]);
  }
});

it('nobody is forgotten while a connection is in use that may show fewer guests', () => {
  const { from, migrate } = migrated();
  migrate();
  const look = (connection: Connection): void => {
    observe({ ...from.fake.world, connection: () => connection }, from.state, everyone());
    from.fake.nowMs += 700_000;
  };
  for (let times = 0; times < 3; times++) look({ by: 'api', why: 'SSH does not answer' });
  expect(from.state.guests.has(ID)).toBe(true);
  for (let times = 0; times < 2; times++) look({ by: 'ssh' });
  expect(from.state.guests.has(ID)).toBe(false);
});

it('takes nothing along that was learnt by another connection', () => {
  const { from, to, takeOver, migrate } = migrated();
  to.state.connection = { by: 'api' };
  const record = recordOf(from.state, ID);
  record.aside.api = { day: undefined, cores: undefined, memory: undefined };
  expect(record.memory.model).toBeDefined();
  migrate();
  from.look();
  takeOver();
  expect(to.state.guests.get(ID)).toMatchObject({ aside: {}, memory: { model: undefined } });
  expect(Object.keys(record.aside)).toEqual([]);
});

it('says what to do if its backups cannot go', () => {
  const { from, to, migrate } = migrated();
  migrate();
  from.look();
  takeOverMigrated(to, [from, to], () => 'a cannot be moved to b: no space left');
  expect(to.fake.linesOf('WARN').at(-1)).toMatch(
    /^WARN(ING)?: Backups of container 101 were left behind: a cannot .*left\. Move them by hand/,
  );
});

it('copies of its configuration are moved, and none is written over', () => {
  const [from, to] = [temporaryDirectory(), temporaryDirectory()];
  for (const [directory, names] of [
    [from, ['a.conf', 'b.conf']],
    [to, ['b.conf']],
  ] as const) {
    mkdirSync(join(directory, '101'));
    for (const name of names) writeFileSync(join(directory, '101', name), directory);
  }
  expect(moveBackups(from, to, ID)).toBeUndefined();
  expect(readdirSync(join(to, '101'))).toEqual(['a.conf', 'b.conf']);
  expect(readdirSync(join(from, '101'))).toEqual(['b.conf']);
  expect(moveBackups(from, to, vmid(102))).toBeUndefined();
});
