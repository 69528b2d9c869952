import { mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { LimitEventFiles } from '../../../../src/node/local/kernel/limit-events.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { until } from '../../../patience.ts';
import { watchesOf } from '../../../watches.ts';
import { plant, temporaryDirectory, vmid } from '../world.ts';

/** Inotify is the same on plain files; `test/kernel` asks a kernel about those of cgroups. */

const QUIET = 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n';
const cgroup = (id: number): string => `sys/fs/cgroup/lxc/${id}`;
const open: LimitEventFiles[] = [];

afterEach(() => {
  for (const events of open.splice(0)) events.close();
});

function nodeWith(ids: readonly number[], most?: number) {
  const root = temporaryDirectory();
  for (const id of ids) plant(root, { [`${cgroup(id)}/memory.events.local`]: QUIET });
  const events = new LimitEventFiles(createPaths(root), most);
  open.push(events);
  return { root, events, file: (id: number) => join(root, cgroup(id), 'memory.events.local') };
}

const watches = (): number => watchesOf('self');

it('tells of each rise in the own events of a container, until it is closed', async () => {
  const { events, file } = nodeWith([101, 102]);
  const before = watches();
  let told = 0;
  const watch = events.watch(vmid(101), () => {
    told += 1;
  });
  expect(watches()).toBe(before + 1);
  writeFileSync(file(101), QUIET.replace('max 0', 'max 1'));
  await until(() => told > 0);
  if (!watch.ok) throw new Error(watch.detail);
  watch.value.close();
  expect(watches()).toBe(before);
});

it('says which life it watches: that of the samples', () => {
  const { root, events } = nodeWith([101]);
  const directory = join(root, cgroup(101));
  const identityNow = (): unknown => events.watch(vmid(101), () => {});
  const { ino, birthtimeMs } = statSync(directory);
  expect(identityNow()).toMatchObject({ ok: true, value: { identity: ino + birthtimeMs } });
  renameSync(directory, `${directory}-removed`);
  expect(identityNow()).toMatchObject({ ok: false, why: 'absent' });
  mkdirSync(directory);
  // A kernel before 5.2 has no such file.
  expect(identityNow()).toMatchObject({ ok: false, why: 'absent' });
});

it('holds no more watches than it may', () => {
  const { events } = nodeWith([101, 102, 103], 2);
  const before = watches();
  const [first, , third] = [101, 102, 103].map((id) => events.watch(vmid(id), () => {}));
  expect(third).toEqual({
    ok: false,
    why: 'unreadable',
    detail: '2 are watched, which is the most',
  });
  if (!first?.ok) throw new Error(first?.detail);
  first.value.close();
  expect(events.watch(vmid(103), () => {}).ok).toBe(true);
  expect(watches()).toBe(before + 2);
  events.close();
  expect(watches()).toBe(before);
});
