import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';
import { HangingMounts, whyNoHangingMounts } from './hanging-mount.ts';
import { calm, hungry, NodeUnderTest, type Running } from './node-under-test.ts';

/** File systems that do not answer, under the real program. */

const cannot = whyNoHangingMounts();
const DOES_NOT_ANSWER = 'does not answer';

let under: NodeUnderTest;
let mounts: HangingMounts;

beforeEach(async (context) => {
  if (cannot !== undefined) return context.skip(cannot);
  under = await NodeUnderTest.create([calm(101), hungry(102)]);
  mounts = await HangingMounts.create();
});

const inRoot = (path: string): string => join(under.root, path);
const start = (...args: string[]): Running => under.start(args, under.path, mounts.inside);
const run = (...args: string[]) => start(...args).ended;

async function waitFor(isSo: () => boolean, limitMs = PATIENCE_MS): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`never: ${isSo}\n${under.log()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const blindCycles = (): number => under.log().split('so nothing is scaled: the file').length - 1;

describe('/etc/pve that hangs', () => {
  it.each(['once', 'daemon', 'status', 'check-config', 'rollback --all', 'history', 'backups'])(
    'ends %s with 1 and a sentence',
    { timeout: 240_000 },
    async (command) => {
      mounts.hang(inRoot('etc/pve'));
      const { code, stdout, stderr } = await run(...command.split(' '));
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^Nothing can be done now: the file system of .*\/etc\/pve does not /);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    },
  );

  it('is what health-check says', async () => {
    mounts.hang(inRoot('etc/pve'));
    const { code, stdout } = await run('health-check', '--json');
    expect(code).toBe(1);
    const says = expect.stringContaining(DOES_NOT_ANSWER);
    expect(JSON.parse(stdout).checks).toContainEqual({ name: 'cycle', ok: false, says });
  });

  it('makes a daemon blind until it answers again', async () => {
    under.configure('DEFAULT:\n  poll_interval: 1\n  metrics_listen: 127.0.0.1:9741\n');
    const daemon = start('daemon');
    await daemon.saying('Next run in');
    mounts.hang(inRoot('etc/pve'));
    await waitFor(() => blindCycles() > 2);
    const healthz = await fetch('http://127.0.0.1:9741/healthz');
    expect([healthz.status, await healthz.text()]).toEqual([
      503,
      expect.stringContaining(DOES_NOT_ANSWER),
    ]);
    const asked = await run('health-check', '--json');
    expect(asked.code).toBe(1);
    expect(JSON.parse(asked.stdout).checks).toContainEqual({
      name: 'cycle',
      ok: false,
      says: expect.stringContaining(DOES_NOT_ANSWER),
    });
    mounts.answer(inRoot('etc/pve'));
    const seen = under.log().split('Next run in').length;
    await waitFor(() => under.log().split('Next run in').length > seen + 2);
    expect((await fetch('http://127.0.0.1:9741/healthz')).status).toBe(200);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });

  it('keeps no daemon from ending in order', async () => {
    const daemon = start('daemon');
    await daemon.saying('Next run in');
    mounts.hang(inRoot('etc/pve'));
    await waitFor(() => blindCycles() > 0);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(daemon.child.signalCode).toBe('SIGTERM');
    expect(under.log()).toMatch(/Stopped\.\n$/);
    mounts.answer(inRoot('etc/pve'));
    expect((await run('once')).code).toBe(0);
  });
});

describe('a directory on the network that hangs', () => {
  it('under backups: nothing is changed, and the daemon goes on', async () => {
    mkdirSync(inRoot('mnt/nfs'), { recursive: true });
    mounts.mount(inRoot('mnt/nfs'));
    under.configure('DEFAULT:\n  poll_interval: 1\n  backup_dir: /mnt/nfs\n  ignore_lxc: 102\n');
    const daemon = start('daemon');
    await daemon.saying('Next run in');
    mounts.hang(inRoot('mnt/nfs'));
    under.configure('DEFAULT:\n  poll_interval: 1\n  backup_dir: /mnt/nfs\n');
    daemon.signal('SIGHUP');
    await daemon.saying(/Nothing is changed, since it could not be backed up.*does not answer/);
    expect(under.sets()).toEqual([]);
    mounts.answer(inRoot('mnt/nfs'));
    daemon.signal('SIGTERM');
    await daemon.ended;
  });

  it('under logs: nothing is changed, and the daemon goes on', async () => {
    mkdirSync(inRoot('mnt/nfs'), { recursive: true });
    mounts.mount(inRoot('mnt/nfs'));
    const logs = 'log_file: /mnt/nfs/ours.log';
    under.configure(`DEFAULT:\n  poll_interval: 1\n  ${logs}\n  ignore_lxc: 102\n`);
    const daemon = start('daemon');
    let console = '';
    daemon.child.stdout?.on('data', (chunk) => {
      console += String(chunk);
    });
    await waitFor(() => console.includes('Next run in'));
    mounts.hang(inRoot('mnt/nfs'));
    under.configure(`DEFAULT:\n  poll_interval: 1\n  ${logs}\n`);
    const before = console.split('Next run in').length;
    await waitFor(() => console.split('Next run in').length > before + 3);
    daemon.signal('SIGHUP');
    await waitFor(() => /Nothing is changed.*does not answer/.test(console));
    expect(under.sets()).toEqual([]);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(console).toMatch(/Stopped\.\n$/);
    mounts.answer(inRoot('mnt/nfs'));
  });
});
