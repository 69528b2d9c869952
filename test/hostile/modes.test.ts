import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hungry, NodeUnderTest } from '../e2e/node-under-test.ts';
import { httpServer } from '../notify/http-server.ts';

/** Every file and directory that the real program makes, with who may do what with it. */

const BUNDLE = new URL('../../dist/lxc-autoscale.cjs', import.meta.url).pathname;

/** As `SECURITY.md` has them; `D` is a day, `T` the time and digest of a copy. */
const MADE: Readonly<Record<string, string>> = {
  'etc/lxc_autoscale/written.yaml': '640',
  'run/lxc_autoscale': '700',
  'run/lxc_autoscale/control.sock': '600',
  'run/lxc_autoscale/lock': '600',
  'var/lib/lxc_autoscale': '700',
  'var/lib/lxc_autoscale/backups': '700',
  'var/lib/lxc_autoscale/backups/102': '700',
  'var/lib/lxc_autoscale/backups/102/T.conf': '600',
  'var/lib/lxc_autoscale/backups/102/T.json': '600',
  'var/lib/lxc_autoscale/holds': '700',
  'var/lib/lxc_autoscale/holds/102': '600',
  'var/lib/lxc_autoscale/messages.json': '600',
  'var/lib/lxc_autoscale/state.json': '600',
  'var/lib/lxc_autoscale/usage': '700',
  'var/lib/lxc_autoscale/usage/D.001.csv': '600',
  'var/lock/lxc_autoscale.lock': '644',
  'var/log/lxc_autoscale.json': '640',
  'var/log/lxc_autoscale.log': '640',
  'var/metrics/figures.prom': '644',
};
/** They are there in every node, and other programs make them. */
const NOT_OURS = ['etc/pve', 'proc', 'sys', 'usr', 'etc/hostname', 'run/node.sock', 'run/lock'];

function modesIn(root: string, place = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(join(root, place))) {
    const path = join(place, name);
    if (NOT_OURS.some((other) => path === other || path.startsWith(`${other}/`))) continue;
    const stat = statSync(join(root, path), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    const shown = path
      .replace(/\d{8}T[\d.]+Z-[0-9a-f]{8}/, 'T')
      .replace(/\d{4}-\d{2}-\d{2}\./, 'D.');
    found.set(shown, (stat.mode & 0o7777).toString(8));
    if (stat.isDirectory()) for (const one of modesIn(root, path)) found.set(...one);
  }
  return found;
}

/** Runs the program under a umask of its own, and ends it once `until` says so. */
async function runUnder(
  umask: string,
  under: NodeUnderTest,
  argv: readonly string[],
  until: () => boolean = () => false,
): Promise<void> {
  under.node.start();
  const words = [process.execPath, BUNDLE, '--sysroot', under.root, ...argv];
  const script = ['-c', `umask ${umask} && exec "$@"`, 'sh', ...words];
  const child = spawn('/bin/sh', script, {
    env: { ...process.env, PATH: under.path },
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const timer = setInterval(() => {
    if (!until()) return;
    clearInterval(timer);
    child.kill('SIGTERM');
  }, 100);
  await ended;
  clearInterval(timer);
}

it.each(['000', '022', '077'])('under the umask %s', async (umask) => {
  const under = await NodeUnderTest.create([hungry(102)]);
  const messages = await httpServer({ kind: 'answers', status: 503 });
  under.configure(
    'DEFAULT:\n  poll_interval: 1\n  lock_file: /var/lock/lxc_autoscale.lock\n' +
      `  gotify_url: ${messages.url}\n  gotify_token: tok3n\n` +
      '  metrics_textfile: /var/metrics/figures.prom\n',
  );
  mkdirSync(join(under.root, 'var/metrics'), { recursive: true, mode: 0o755 });
  let whileRunning = new Map<string, string>();
  await runUnder(umask, under, ['daemon'], () => {
    if (!/Confirmed\.(.*\n)*.*Next run in/.test(under.log())) return false;
    whileRunning = modesIn(under.root);
    return true;
  });
  await runUnder(umask, under, ['rollback', '102']);
  const old = '/etc/lxc_autoscale/lxc_autoscale.yaml';
  const out = '/etc/lxc_autoscale/written.yaml';
  await runUnder(umask, under, ['migrate-config', old, '--out', out]);
  const all = new Map([...whileRunning, ...modesIn(under.root)]);
  const mask = Number.parseInt(umask, 8) | 0o022;
  for (const [path, mode] of Object.entries(MADE)) {
    const narrowed = path.endsWith('written.yaml') ? 0o7777 : ~mask;
    const wanted = (Number.parseInt(mode, 8) & narrowed).toString(8);
    expect({ path, mode: all.get(path) }).toEqual({ path, mode: wanted });
  }
  // And nothing else that others could write to, or that holds what is nobody's business.
  for (const [path, mode] of all) {
    expect({ path, mode: (Number.parseInt(mode, 8) & 0o022).toString(8) }).toEqual({
      path,
      mode: '0',
    });
  }
});
