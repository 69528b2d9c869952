import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ProcessContext } from '../../src/app/context.ts';
import { daemon } from '../../src/app/daemon.ts';
import { EXIT, type ExitCode } from '../../src/app/exit-codes.ts';
import { once } from '../../src/app/once.ts';
import { type Reach, run } from '../../src/app/run.ts';
import type { FarNode } from '../../src/app/world.ts';
import { missing, present } from '../../src/core/reading.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { host } from '../core/builders.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { until } from '../patience.ts';
import { SMALL_HOST } from '../sim/small-host.ts';

/** The node that the program runs on is simulated; a second one is reached from it. */

const CONFIG = 'etc/lxc_autoscale/lxc_autoscale.yaml';

const HOST = SMALL_HOST;

let root: string;
let home: SimulatedNode;
let far: FakeNode;
const open: { closed: boolean } = { closed: false };

beforeEach(async () => {
  root = temporaryDirectory();
  home = await SimulatedNode.create({ root, host: HOST, guests: [] });
  mkdirSync(dirname(join(root, CONFIG)), { recursive: true });
  writeFileSync(join(root, CONFIG), 'DEFAULT:\n  log_quiet_cycles: True\n');
  far = new FakeNode();
  far.seen = host();
  // It uses more than it may be left with.
  far.add(201, { memoryMib: mib(1024) }, { current: 1000, anon: 990 });
  open.closed = false;
});

afterEach(async () => {
  signals.removeAllListeners();
  await home.close();
  rmSync(root, { recursive: true, force: true });
});

const reached = (): FarNode => ({
  name: 'lab',
  eyes: far.world,
  hands: far.world.hands,
  problem: () => undefined,
  lookAfter: () => {},
  connection: () => ({ by: 'ssh' }),
  close: () => {
    open.closed = true;
  },
});

const signals = new EventEmitter();
const reach = async () => [reached()];

function runIn(mode: typeof once, reaching: Reach = reach): Promise<ExitCode> {
  const launch = {
    configFile: undefined,
    pollIntervalSeconds: undefined,
    energyMode: false,
    debug: false,
    dryRun: false,
  };
  const clock = {
    wallMs: () => milliseconds(Date.now()),
    monotonicMs: () => milliseconds(performance.now()),
  };
  const stream = (): PassThrough => new PassThrough().resume();
  const context: ProcessContext = {
    paths: createPaths(root),
    clock,
    env: { PATH: home.binDirectory },
    stdout: stream(),
    stderr: stream(),
  };
  return run(mode, launch, context, signals, reaching);
}
const runOnce = (): Promise<ExitCode> => runIn(once);

const log = (): readonly string[] =>
  readFileSync(join(root, 'var/log/lxc_autoscale.log'), 'utf8').split('\n');
const kept = (path: string): boolean => existsSync(join(root, 'var/lib/lxc_autoscale', path));

it('a further node is scaled beside this one, with a record and backups of its own', async () => {
  expect(await runOnce()).toBe(EXIT.fine);
  expect(far.sets).toMatchObject([{ vmid: 201 }]);
  expect(home.calls).toEqual([]);
  const about = log().filter((line) => line.includes('Container 201'));
  expect(about.length).toBeGreaterThan(0);
  expect(about.filter((line) => !line.includes('lab: '))).toEqual([]);
  expect([kept('state.json'), kept('nodes/lab/state.json')]).toEqual([true, true]);
  expect(kept('backups/nodes/lab/201')).toBe(true);
  const json = readFileSync(join(root, 'var/log/lxc_autoscale.json'), 'utf8').trim().split('\n');
  expect(json.map((line) => JSON.parse(line).proxmox_host)).toContain('lab');
  expect(open.closed).toBe(true);
});

it('one that cannot be seen is blind, and no other is hurt by it', async () => {
  far.listMissing = missing('unreadable', 'lab does not answer');
  expect(await runOnce()).toBe(EXIT.failure);
  expect(far.sets).toEqual([]);
  const said = log().join('\n');
  expect(said).toContain('lab: The containers cannot be seen, so nothing is scaled');
  expect(said).toMatch(/^(?!.*lab: ).*Final resources after adjustments/m);
});

const firstCycle = () => expect.poll(() => log().join()).toContain('Final resources');

it('a signal ends the look at a node that does not answer', async () => {
  const hanging = (stop?: AbortSignal): Promise<void> =>
    new Promise((resolve) => stop?.addEventListener('abort', () => resolve()));
  const silent = { ...reached(), eyes: { ...far.world, observe: hanging } };
  const ended = runIn(daemon, async () => [silent]);
  await firstCycle();
  signals.emit('SIGTERM');
  expect(await ended).toBe(EXIT.fine);
  expect([kept('state.json'), kept('nodes/lab/state.json')]).toEqual([true, true]);
  expect(log().join('\n')).not.toContain('cannot be seen');
});

it('the state of a node is saved also while another one does not end', async () => {
  let answer = (): void => {};
  const hanging = (): Promise<void> =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const deaf = { ...reached(), eyes: { ...far.world, observe: hanging } };
  const ended = runIn(daemon, async () => [deaf]);
  await firstCycle();
  expect(kept('state.json')).toBe(false);
  signals.emit('SIGTERM');
  await until(() => kept('state.json'));
  expect(kept('nodes/lab/state.json')).toBe(false);
  answer();
  expect(await ended).toBe(EXIT.fine);
});

it('a reload asked for while the daemon starts is done before its first cycle', async () => {
  const ended = runIn(daemon, async () => {
    writeFileSync(join(root, CONFIG), 'DEFAULT:\n  log_quiet_cycles: True\n  poll_interval: 77\n');
    signals.emit('SIGHUP');
    return [];
  });
  expect(signals.listenerCount('SIGHUP')).toBe(1);
  await firstCycle();
  signals.emit('SIGTERM');
  await ended;
  expect(log().filter((line) => line.includes('was reloaded'))).toHaveLength(1);
  expect(log().join('\n')).toMatch(/Next run in 7[67] seconds/);
});

const SHARED = 'etc/pve/lxc_autoscale.yaml';
const OFTEN = 'DEFAULT:\n  log_quiet_cycles: True\n  poll_interval: 5\n';
const share = (more: string): void => writeFileSync(join(root, SHARED), `${OFTEN}${more}`);
const times = (text: string): number => log().filter((line) => line.includes(text)).length;

it('a change of the configuration of the cluster is taken over, a broken one is not', async () => {
  rmSync(join(root, CONFIG));
  share('');
  const ended = runIn(daemon, async () => []);
  await firstCycle();
  expect(times('The nodes of the cluster share /etc/pve/lxc_autoscale.yaml')).toBe(1);
  share('  log_level: loud\n');
  await until(() => times('NOT reloaded') === 1);
  await until(() => times('Final resources') > 2);
  expect(times('NOT reloaded')).toBe(1);
  share('  cpu_upper_threshold: 77\n');
  await until(() => times('was reloaded') === 1);
  signals.emit('SIGTERM');
  expect(await ended).toBe(EXIT.fine);
  expect(times('was reloaded')).toBe(1);
}, 60_000);

it('a node that was found is closed too if the loop of another one fails', async () => {
  const login = 'token_id: a@pve!b, token_secret: 00000000-0000, verify_tls: False';
  const text = `DEFAULT: {poll_interval: 5}\nNODES:\n  lab: {host: b, discover: True, ${login}}\n`;
  writeFileSync(join(root, CONFIG), text, { mode: 0o600 });
  const fails = async (): Promise<void> => {
    throw new Error('an invariant is broken');
  };
  const found = { ...reached(), name: 'pve7', eyes: { ...far.world, observe: fails } };
  const seen = () =>
    present({ own: 'lab', members: [{ name: 'lab' }, { name: 'pve7' }], isQuorate: true });
  const lab = { ...reached(), close: () => {}, cluster: { seen, open: () => found } };
  await expect(runIn(daemon, async () => [lab])).rejects.toThrow('an invariant is broken');
  expect(open.closed).toBe(true);
});
