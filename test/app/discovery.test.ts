import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { readConfiguration } from '../../src/app/configuration.ts';
import type { ProcessContext } from '../../src/app/context.ts';
import { daemon } from '../../src/app/daemon.ts';
import { EXIT, type ExitCode } from '../../src/app/exit-codes.ts';
import { once } from '../../src/app/once.ts';
import { run } from '../../src/app/run.ts';
import { nodeLines } from '../../src/cli/check-nodes.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { askControlSocket } from '../../src/os/control-client.ts';
import { CONTROL_SOCKET } from '../../src/os/control-path.ts';
import type { RestCall, RestFault } from '../../src/sim/rest-server.ts';
import { collecting } from '../cli/collecting.ts';
import { type RestNode, restNode, SECRET } from '../node/api/rest-node.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { PATIENCE_MS, TEST_LIMIT_MS } from '../patience.ts';

/** A cluster behind one API, whose nodes come and go; the program is away from all of them. */

const CONFIG = 'etc/lxc_autoscale/lxc_autoscale.yaml';
const GIB = 1024 ** 3;
const DAY_MS = 86_400_000;

vi.setConfig({ testTimeout: TEST_LIMIT_MS });

let root: string;
let rest: RestNode;
/** The nodes of the cluster now; the guest of the n-th is 100 n + 1. */
let members: string[];
/** What each guest uses of its GiB. */
let usedGib: number;
/** What this host's clock is ahead of the real one. */
let aheadMs: number;
let context: ProcessContext;
let out: ReturnType<typeof collecting>;
const signals = new EventEmitter();

beforeEach(async () => {
  root = temporaryDirectory();
  rest = await restNode([]);
  members = ['pve1'];
  usedGib = 0.99;
  aheadMs = 0;
  rest.server.fault = answer;
  out = collecting();
  const monotonicMs = () => milliseconds(performance.now() + aheadMs);
  context = {
    paths: createPaths(root, undefined, join(root, 'keep')),
    clock: { wallMs: () => milliseconds(Date.now()), monotonicMs },
    env: {},
    stdout: out.stream,
    stderr: out.stream,
  };
});

afterEach(() => {
  signals.removeAllListeners();
});

const idOf = (node: string): number => 100 * (members.indexOf(node) + 1) + 1;
const CONF = { hostname: 'web', cores: 2, memory: 1024, digest: 'a'.repeat(40), arch: 'amd64' };

/** All nodes answer as one of their cluster does. Each guest has nearly filled its memory. */
function answer({ method, path }: RestCall): RestFault | undefined {
  const body = bodyOf(method, path);
  if (body === undefined) return undefined;
  return { kind: 'answers', status: 200, words: 'OK', body: JSON.stringify({ data: body }) };
}

function bodyOf(method: string, path: string): unknown {
  if (path === '/cluster/resources') return members.flatMap((node) => rowsOf(node));
  if (path === '/cluster/status') return [{ type: 'cluster', name: 'lab', quorate: 1 }];
  if (method === 'PUT') return null;
  if (path.includes('/config')) return CONF;
  if (path.endsWith('/pending')) {
    return Object.entries(CONF).map(([key, value]) => ({ key, value }));
  }
  return undefined;
}

const rowsOf = (node: string): readonly object[] =>
  node === 'off' ? [{ type: 'node', node, status: 'offline' }] : rowsOfOne(node);

const rowsOfOne = (node: string): readonly object[] => [
  { type: 'node', node, status: 'online', cpu: 0.1, maxcpu: 16, mem: 4 * GIB, maxmem: 64 * GIB },
  {
    type: 'lxc',
    node,
    vmid: idOf(node),
    name: 'web',
    status: 'running',
    cpu: 0.05,
    maxcpu: 2,
    mem: usedGib * GIB,
    maxmem: GIB,
    uptime: 90_000,
    template: 0,
  },
];

const entry = (name: string, node: string, more = ''): string =>
  `  ${name}: {host: 127.0.0.1, port: ${rest.server.port}, node: ${node}, verify_tls: False,
    token_id: as@pve!ps, token_secret: ${SECRET}${more}}\n`;

function configure(...entries: readonly string[]): void {
  mkdirSync(dirname(join(root, CONFIG)), { recursive: true });
  const text = `DEFAULT: {poll_interval: 60}\nNODES:\n${entries.join('')}`;
  writeFileSync(join(root, CONFIG), text, { mode: 0o600 });
}

const LAB = () => entry('lab', 'pve1', ', discover: True');

const CHOICE = {
  configFile: undefined,
  pollIntervalSeconds: undefined,
  energyMode: false,
  debug: true,
};

interface Running {
  end(): Promise<ExitCode>;
}

function start(): Running {
  const ended = run(daemon, { ...CHOICE, dryRun: false }, context, signals);
  return {
    end() {
      signals.emit('SIGTERM');
      return ended;
    },
  };
}

const log = (): string => out.text();
/** @param between done between two looks at it */
async function until(isSo: () => boolean | Promise<boolean>, between?: () => void): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`it never came to be: ${isSo}\n${log()}`);
    between?.();
    await new Promise((resolve) => setTimeout(resolve, between === undefined ? 20 : 150));
  }
}

const says = (text: string): Promise<void> => until(() => log().includes(text));
const puts = (): readonly string[] =>
  rest.server.calls.filter(({ method }) => method === 'PUT').map(({ path }) => path);
const kept = (): unknown =>
  JSON.parse(readFileSync(join(root, 'keep/found-nodes.json'), 'utf8')).nodes;

/** So much later: a signal wakes the schedules, which then find a cycle due. */
function later(seconds: number): void {
  aheadMs += seconds * 1000;
  signals.emit('SIGHUP');
}

async function status(node: string): Promise<Record<string, unknown>> {
  const path = context.paths.at(CONTROL_SOCKET);
  const answered = await askControlSocket(path, { command: 'status', node });
  if (answered.kind !== 'answered') throw new Error(answered.kind);
  return answered.content;
}

const cycles = (node: string): number => log().split(`${node}: `).length;

it('a node that joins is looked after, only observed, and known to every command', async () => {
  configure(LAB());
  const running = start();
  await says('Resource allocation process completed');
  await until(() => puts().length > 0);
  expect(puts()).toEqual(['/nodes/pve1/lxc/101/config']);
  members.push('pve2', 'off');
  later(60);
  await says('pve2 is looked after too: found by lab; only observed for another 24 h 0 min');
  await until(async () => (await status('pve2'))['error'] === undefined, later60);
  // A node that is switched off is no fault of this program.
  await says('off: Nothing can be given out: the node off is offline');
  const path = context.paths.at(CONTROL_SOCKET);
  await until(async () => {
    const health = await askControlSocket(path, { command: 'health' });
    return JSON.stringify(health).includes('"healthy":true');
  }, later60);
  const { report } = (await status('pve2')) as { report: Record<string, unknown> };
  expect(report).toMatchObject({
    node: 'pve2',
    found: { by: 'lab', observedForS: expect.any(Number) },
    observing: { scope: 'all' },
    containers: [{ vmid: 201, mode: 'observe', would: expect.anything() }],
    others: [{ node: 'lab' }, { node: 'off' }],
  });
  expect(puts().filter((path) => path.includes('pve2'))).toEqual([]);
  expect(await running.end()).toBe(EXIT.fine);
  expect(kept()).toMatchObject([
    { name: 'pve2', by: 'lab' },
    { name: 'off', seenMs: 0 },
  ]);
  const loaded = readConfiguration(CHOICE, context);
  const lines = loaded.ok ? await nodeLines(loaded.config, context) : [];
  expect(lines.join('\n')).toMatch(/pve2: found by lab; only observed for another 2\d h/);
});

const later60 = (): void => later(60);

it('looks at a cluster are one request, also for nodes that came later', async () => {
  configure(LAB());
  // Around changes there are looks of their own.
  usedGib = 0.6;
  const running = start();
  await says('Resource allocation process completed');
  members.push('pve2', 'pve3', 'pve4');
  later(60);
  await says('pve4 is looked after too');
  const asked = () => rest.server.calls.filter(({ path }) => path === '/cluster/resources').length;
  await until(async () => (await status('pve4'))['error'] === undefined, later60);
  const cycleOf = async (node: string): Promise<number> =>
    ((await status(node)) as { report: { cycle: number } }).report.cycle;
  for (let round = 0; round < 5; round += 1) {
    const before = await cycleOf('pve4');
    const requests = asked();
    later(60);
    await until(async () => (await cycleOf('pve4')) > before);
    await until(async () => (await cycleOf('pve2')) > before);
    expect(asked() - requests).toBeLessThanOrEqual(2);
  }
  await running.end();
});

it('is scaled after its day, also if that day was seen before a restart', async () => {
  configure(LAB());
  members.push('pve2');
  mkdirSync(join(root, 'keep'), { recursive: true, mode: 0o700 });
  const seen = { name: 'pve2', by: 'lab', seenMs: DAY_MS - 200_000 };
  writeFileSync(join(root, 'keep/found-nodes.json'), JSON.stringify({ format: 1, nodes: [seen] }));
  const running = start();
  await says('pve2 is looked after too: found by lab; only observed for another 0 h 4 min');
  await until(async () => (await status('pve2'))['error'] === undefined);
  expect(puts().filter((path) => path.includes('pve2'))).toEqual([]);
  await until(() => log().includes('pve2 was observed for a day'), later60);
  await until(() => puts().includes('/nodes/pve2/lxc/201/config'), later60);
  await running.end();
});

it('a file of it that nobody understands is told, and the day begins anew', async () => {
  configure(LAB());
  members.push('pve2');
  mkdirSync(join(root, 'keep'), { recursive: true, mode: 0o700 });
  const nodes = [{ name: '../pve2', by: 'lab', seenMs: DAY_MS }];
  writeFileSync(join(root, 'keep/found-nodes.json'), JSON.stringify({ format: 1, nodes }));
  const running = start();
  await says('nodes are found anew, and observed for a day');
  await says('pve2 is looked after too: found by lab; only observed for another 24 h 0 min');
  await running.end();
});

it('one that NODES names is not doubled, nor one that cannot be a name', async () => {
  configure(LAB(), entry('second', 'pve2'));
  members.push('pve2', '../../etc', 'x;reboot', 'pve5');
  const running = start();
  await says('lab: Nodes of these names are looked after already: pve2');
  await says('no node can be called so, and it is skipped: ../../etc, x;reboot');
  await says('pve5 is looked after too');
  expect(log()).not.toContain('pve2 is looked after too');
  await running.end();
  expect(readdirSync(join(root, 'keep/nodes')).sort()).toEqual(['lab', 'pve5', 'second']);
});

it('one that leaves is told and let go of, and what is known of it stays', async () => {
  configure(LAB());
  members.push('pve2');
  const running = start();
  await says('pve2 is looked after too');
  await until(async () => (await status('pve2'))['error'] === undefined, later60);
  members.pop();
  await until(() => log().includes('pve2 has left the cluster'), later60);
  expect(await status('pve2')).toMatchObject({ error: expect.stringContaining('pve2') });
  // It comes again as another one.
  members.push('pve2');
  const found = () => log().split('pve2 is looked after too').length;
  await until(() => found() === 3, later60);
  await running.end();
  expect(existsSync(join(root, 'keep/nodes/pve2/state.json'))).toBe(true);
});

it('a reload keeps it, also one whose text does not ask for it any more', async () => {
  configure(LAB());
  members.push('pve2');
  const running = start();
  await says('pve2 is looked after too');
  await until(async () => (await status('pve2'))['error'] === undefined, later60);
  configure(entry('lab', 'pve1'));
  signals.emit('SIGHUP');
  await says('NODES has changed');
  later(60);
  later(60);
  expect(await status('pve2')).toMatchObject({
    report: { found: { by: 'lab' }, containers: [{ mode: 'observe' }] },
  });
  await running.end();
  expect(puts().filter((path) => path.includes('pve2'))).toEqual([]);
});

it('69 others at once: no more than 64 are looked after', async () => {
  configure(LAB());
  for (let place = 2; place <= 70; place += 1) members.push(`pve${place}`);
  const running = start();
  await says('lab: 5 nodes more than can be found are skipped');
  await until(async () => (await status('pve65'))['error'] === undefined, later60);
  expect(cycles('pve65')).toBeGreaterThan(0);
  expect(await running.end()).toBe(EXIT.fine);
  expect(readdirSync(join(root, 'keep/nodes'))).toHaveLength(65);
});

it('a reload that names it in NODES lets go of it at once, and changes nothing there', async () => {
  configure(LAB());
  members.push('pve2');
  const running = start();
  await says('pve2 is looked after too');
  await until(async () => (await status('pve2'))['error'] === undefined, later60);
  configure(LAB(), entry('second', 'pve2'));
  signals.emit('SIGHUP');
  await says('pve2 is named in NODES by now, and is not looked after as one that was found');
  await says('NODES has changed');
  expect(kept()).toEqual([]);
  expect(await status('pve2')).toMatchObject({ error: expect.any(String) });
  await running.end();
  expect(puts().filter((path) => path.includes('pve2'))).toEqual([]);
});

it.each([
  [
    'has another connection',
    () => LAB().replace('node: pve1', 'connection: [api, ssh], node: pve1'),
  ],
  ['is another node', () => LAB().replace('node: pve1', 'node: pve7')],
])('a reload whose entry %s does not end the first day', async (_what, text) => {
  configure(LAB());
  members.push('pve2');
  const running = start();
  await says('pve2 is looked after too');
  await until(async () => (await status('pve2'))['error'] === undefined, later60);
  configure(text().replace(', discover: True', ''));
  signals.emit('SIGHUP');
  await says('NODES has changed');
  later(60);
  await says('pve2: Final resources');
  expect(await status('pve2')).toMatchObject({
    report: { found: { by: 'lab' }, containers: [{ mode: 'observe' }] },
  });
  await running.end();
  expect(puts().filter((path) => path.includes('pve2'))).toEqual([]);
});

it('once finds nodes too, and only observes them, also the next time', async () => {
  configure(LAB());
  const text = readFileSync(join(root, CONFIG), 'utf8');
  writeFileSync(join(root, CONFIG), text.replace('DEFAULT: {', 'DEFAULT: {ignore_lxc: lab/101, '));
  members.push('pve2', 'off');
  const runOnce = (dryRun = false) => run(once, { ...CHOICE, dryRun }, context, signals);
  expect(await runOnce(true)).toBe(EXIT.fine);
  expect(log()).toContain('pve2 is looked after too');
  expect(existsSync(join(root, 'keep/found-nodes.json'))).toBe(false);
  for (let run = 0; run < 2; run += 1) {
    const before = log().length;
    expect(await runOnce()).toBe(EXIT.fine);
    const said = log().slice(before);
    expect(said).toContain(
      'pve2 is looked after too: found by lab; only observed for another 24 h',
    );
    expect(said).toContain('pve2: Final resources');
    expect(said).toMatch(/pve2: .*Container 201 .*observe/);
  }
  expect(puts()).toEqual([]);
  expect(kept()).toEqual([
    { name: 'pve2', by: 'lab', seenMs: 0 },
    { name: 'off', by: 'lab', seenMs: 0 },
  ]);
  expect(existsSync(join(root, 'keep/nodes/pve2/state.json'))).toBe(true);
});
