import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BUNDLE, calm, hearing, NodeUnderTest } from '../e2e/node-under-test.ts';
import { breathe } from '../patience.ts';
import { serviceStart } from '../service-flags.ts';

/** More containers than any node has, in the memory that the unit file allows. */

const UNIT = new URL('../../systemd/lxc_autoscale.service', import.meta.url).pathname;
const FIRST = 101;
/** So many files are made in a moment only where no disk takes part. */
const IN_MEMORY = '/dev/shm';

const { TMPDIR } = process.env;
beforeAll(() => {
  if (existsSync(IN_MEMORY)) process.env['TMPDIR'] = IN_MEMORY;
});
afterAll(() => {
  if (TMPDIR === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = TMPDIR;
});

/** A node whose one running container is there so many times; its time stands still. */
async function withGuests(count: number, running: boolean): Promise<NodeUnderTest> {
  const under = await NodeUnderTest.create([calm(FIRST)]);
  const pve = join(under.root, 'etc/pve');
  const list = JSON.parse(readFileSync(join(pve, '.vmlist'), 'utf8'));
  const one = list.ids[FIRST];
  const conf = under.conf(FIRST);
  const group = join(under.root, 'sys/fs/cgroup/lxc');
  for (let vmid = FIRST + 1; vmid < FIRST + count; vmid += 1) {
    list.ids[vmid] = one;
    if (!running) continue;
    if (vmid % 100 === 0) await breathe();
    writeFileSync(join(pve, `nodes/pve1/lxc/${vmid}.conf`), conf);
    cpSync(join(group, `${FIRST}`), join(group, `${vmid}`), { recursive: true });
  }
  writeFileSync(join(pve, '.vmlist'), JSON.stringify(list));
  return under;
}

/** Started as the unit file starts it. Ends it once `until` is in its log. */
async function runAsService(under: NodeUnderTest, command: string, until?: RegExp) {
  const { flags, allocator } = serviceStart(UNIT);
  const argv = [...flags, BUNDLE, '--sysroot', under.root, command];
  const env = { ...process.env, PATH: under.path, ...allocator };
  const child = spawn(process.execPath, argv, { env });
  const heard = hearing(child);
  const closed = once(child, 'close');
  const watch = setInterval(() => {
    if (until?.test(under.log()) !== true) return;
    clearInterval(watch);
    child.kill('SIGTERM');
  }, 200);
  const [code, signal] = await closed;
  clearInterval(watch);
  return { code, signal, ...heard() };
}

it('five thousand that run are looked at again and again', { timeout: 600_000 }, async () => {
  const under = await withGuests(5000, true);
  expect(readdirSync(join(under.root, 'sys/fs/cgroup/lxc')).length).toBeGreaterThan(4999);
  mkdirSync(join(under.root, 'etc/lxc_autoscale'), { recursive: true });
  under.configure('DEFAULT:\n  poll_interval: 1\n  scaling_mode: observe\n');
  const until = /(Next run in[\s\S]*){4}/;
  const { code, signal, stderr } = await runAsService(under, 'daemon', until);
  expect([code, signal, stderr]).toEqual([0, null, '']);
});

it('more than ten thousand are told, and nothing is changed', async () => {
  const under = await withGuests(10_001, false);
  const { code, stdout } = await runAsService(under, 'once');
  expect(code).toBe(1);
  expect(stdout).toContain('this node has 10001 containers, and this program is made for at most');
});
