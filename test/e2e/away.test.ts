import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { guestSpec, type RestNode, restNode, SECRET } from '../node/api/rest-node.ts';
import { plant, temporaryDirectory } from '../node/local/world.ts';
import { PATIENCE_MS, TEST_LIMIT_MS, until } from '../patience.ts';
import { BUNDLE, hearing } from './node-under-test.ts';

/** The program on a host that is no node, as a user who may write to one directory only. */

const isRoot = process.getuid?.() === 0;
const AS_NOBODY = ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--no-new-privs'];

let host: string;
let state: string;
let rest: RestNode;

beforeEach(async () => {
  host = temporaryDirectory();
  state = temporaryDirectory();
  // It has nearly filled its memory.
  rest = await restNode([{ ...guestSpec(201), demand: () => ({ cpuCores: 0.1, anonMib: 980 }) }]);
  rest.node.advance(60_000);
  configure(`  lab:\n${rest.entry}`);
  chmodSync(host, 0o755);
  if (isRoot) chownSync(state, 1000, 1000);
});

function configure(nodes: string): void {
  const quiet = 'DEFAULT: {poll_interval: 1, log_quiet_cycles: True}\n';
  const text = nodes === '' ? quiet : `${quiet}NODES:\n${nodes}`;
  plant(host, { 'etc/lxc_autoscale/lxc_autoscale.yaml': text });
}

function start(...args: string[]) {
  const argv = [process.execPath, BUNDLE, ...args, '--sysroot', host];
  const [file = '', ...rest] = isRoot ? [...AS_NOBODY, ...argv] : argv;
  const env = { PATH: process.env['PATH'], LAB_TOKEN: SECRET, LXC_AUTOSCALE_STATE: state };
  const child = spawn(file, rest, { env, cwd: '/' });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ended, said: hearing(child) };
}

async function run(...args: string[]) {
  const { ended, said } = start(...args);
  const code = await ended;
  return { code, ...said() };
}

async function whileItRuns(work: (daemon: ReturnType<typeof start>) => Promise<void>) {
  const daemon = start('daemon');
  try {
    await work(daemon);
  } finally {
    await end(daemon.child, daemon.ended);
  }
}

async function end(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  if (child.exitCode === null) child.kill('SIGKILL');
  await ended;
}

describe('away from a node', { timeout: TEST_LIMIT_MS }, () => {
  it('scales those of NODES, and keeps everything in the directory of --state', async () => {
    const red = await run('health-check');
    expect(red).toMatchObject({ code: 1, stdout: expect.stringMatching(/FAILED +daemon/) });
    await whileItRuns(async ({ child, ended, said }) => {
      const out = () => said().stdout + said().stderr;
      await until(() => out().includes('lab: Final resources'), out);
      await until(() => (rest.node.limits(201)?.memoryMib ?? 0) > 1024, out);
      expect(out()).toContain('This host is no Proxmox VE node, so only the nodes below NODES');
      expect(out()).toMatch(/ - INFO - Started, one cycle every 1 seconds/);
      expect(out()).not.toContain(SECRET);
      expect(await run('health-check')).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/ok +cycle +lab: .*\nHealthy/s),
      });
      expect(await run('status')).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^201/m),
      });
      expect((await run('explain', '201')).stdout).toContain('cannot be seen from here');
      expect((await run('backups')).stdout).toMatch(/^201 /m);
      expect(await run('daemon')).toMatchObject({ code: 75 });
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
      expect(said().stdout).toMatch(/Stopped\.\n$/);
    });
    const kept = ['backups/nodes/lab/201', 'log/lxc_autoscale.json', 'nodes/lab/state.json', 'run'];
    expect(kept.filter((name) => !existsSync(join(state, name)))).toEqual([]);
    expect(readdirSync(join(state, 'log'))).toEqual(['lxc_autoscale.json']);
    expect(readdirSync(host)).toEqual(['etc']);
  });

  it('is not well while a node does not answer', async () => {
    await whileItRuns(async ({ said }) => {
      const out = () => said().stdout;
      await until(() => out().includes('lab: Final resources'), out);
      await rest.server.close();
      await vi.waitFor(
        async () =>
          expect((await run('health-check')).stdout).toMatch(
            /^FAILED +cycle +lab: nothing listens there.*^1 of /ms,
          ),
        PATIENCE_MS,
      );
    });
  });
});

it('says what is needed if no node is named, or nothing can be kept', async () => {
  configure('');
  expect(await run('once')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('name the nodes below NODES'),
  });
  configure(`  lab:\n${rest.entry}`);
  mkdirSync(join(host, 'kept'));
  const { code, stderr } = await run('once', '--state', join(host, 'kept'));
  if (!isRoot) return;
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/--state .*kept cannot be used: .*user 1000 may/),
  });
});

it('says nothing of what the host it runs on can give', async () => {
  const yaml = `DEFAULT: {reserve_memory_mb: 16T}\nNODES:\n  lab:\n${rest.entry}`;
  plant(host, {
    'proc/meminfo': readFileSync('/proc/meminfo', 'utf8'),
    'sys/devices/system/cpu/online': '0-1\n',
    'etc/lxc_autoscale/lxc_autoscale.yaml': yaml,
  });
  const { code, stdout } = await run('check-config');
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('is valid') });
  expect(stdout).not.toMatch(/of the host \(/);
});

it('goes by nothing that others may have written into the directory of --state', async () => {
  chmodSync(state, 0o1777);
  const refused = expect.stringMatching(/^--state .* is not used: it can be written by everybody/);
  for (const args of [
    ['daemon'],
    ['once'],
    ['rollback', '201'],
    ['activate', '201'],
    ['backups'],
  ]) {
    expect(await run(...args), args.join(' ')).toMatchObject({ code: 1, stderr: refused });
  }
  expect(readdirSync(state)).toEqual([]);
});
