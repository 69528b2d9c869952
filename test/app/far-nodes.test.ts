import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readConfiguration, renderProblems } from '../../src/app/configuration.ts';
import type { ProcessContext } from '../../src/app/context.ts';
import { EXIT, type ExitCode } from '../../src/app/exit-codes.ts';
import { openFarNodes } from '../../src/app/far-nodes.ts';
import { once } from '../../src/app/once.ts';
import { run } from '../../src/app/run.ts';
import { nodeLines } from '../../src/cli/check-nodes.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { foundConfig } from '../../src/config/found-nodes.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { collecting } from '../cli/collecting.ts';
import { guestSpec, type RestNode, restNode, SECRET } from '../node/api/rest-node.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { AUTHORITY_FILE } from '../notify/certificate.ts';
import { SMALL_HOST } from '../sim/small-host.ts';

/** This node is simulated, and so is another one behind its REST API. */

const CONFIG = 'etc/lxc_autoscale/lxc_autoscale.yaml';

let root: string;
let home: SimulatedNode;
let rest: RestNode;
/** Of container 201, in MiB. */
let wanted: number;

beforeEach(async () => {
  root = temporaryDirectory();
  home = await SimulatedNode.create({
    root,
    guests: [],
    host: SMALL_HOST,
  });
  // The one has nearly filled its memory, the other hardly uses it.
  wanted = 980;
  rest = await restNode([
    { ...guestSpec(201), demand: () => ({ cpuCores: 0.1, anonMib: wanted }) },
    { ...guestSpec(202), demand: () => ({ cpuCores: 0.1, anonMib: 50 }) },
  ]);
  rest.node.advance(60_000);
});

afterEach(() => home.close());

function configure(node: string): void {
  mkdirSync(dirname(join(root, CONFIG)), { recursive: true });
  const text = `DEFAULT:\n  first_shrink_seconds: 0\nNODES:\n  lab:\n${node}`;
  writeFileSync(join(root, CONFIG), text, { mode: 0o600 });
}

const reached = (): string =>
  `    host: 127.0.0.1\n    port: ${rest.server.port}\n    node: pve1\n`;
const LOGIN = `    token_id: as@pve!ps\n    token_secret: ${SECRET}\n`;

function contextOf(): ProcessContext {
  const clock = {
    wallMs: () => milliseconds(Date.now()),
    monotonicMs: () => milliseconds(performance.now()),
  };
  const stream = (): PassThrough => new PassThrough().resume();
  return {
    paths: createPaths(root),
    clock,
    env: { PATH: home.binDirectory },
    stdout: stream(),
    stderr: stream(),
  };
}

const CHOICE = {
  configFile: undefined,
  pollIntervalSeconds: undefined,
  energyMode: false,
  debug: true,
};

function runOnce(dryRun = false): Promise<ExitCode> {
  const launch = { ...CHOICE, dryRun };
  return run(once, launch, contextOf(), { on: () => {}, off: () => {} });
}

async function typed(...argv: string[]) {
  const parsed = parseArguments([...argv, '--sysroot', root]);
  if (parsed.kind !== 'run') throw new Error(`${argv}`);
  const [out, err] = [collecting(), collecting()];
  const context = { ...contextOf(), stdout: out.stream, stderr: err.stream };
  const { stdin } = process;
  const signals = { on: () => {}, off: () => {} };
  const code = await parsed.command.run(parsed.arguments, { ...context, stdin, signals });
  return { code, out: out.text(), err: err.text() };
}

const log = (): string => readFileSync(join(root, 'var/log/lxc_autoscale.log'), 'utf8');
const memoryOf = (id: number): number | undefined => rest.node.limits(id)?.memoryMib;

it('a guest of another node gets what it needs by the API, and nothing is taken back', async () => {
  mkdirSync(join(root, 'etc/keys'), { recursive: true });
  writeFileSync(join(root, 'etc/keys/ca.pem'), readFileSync(AUTHORITY_FILE));
  configure(`${reached()}${LOGIN}    ca_file: /etc/keys/ca.pem\n`);
  expect(await runOnce()).toBe(EXIT.fine);
  expect(memoryOf(201)).toBeGreaterThan(1024);
  expect(memoryOf(202)).toBe(1024);
  expect(existsSync(join(root, 'var/lib/lxc_autoscale/backups/nodes/lab/201'))).toBe(true);
  expect(log()).toMatch(/lab: .*201/);
  expect(log()).toContain('lab: the API does not show whether another program scales this node');
  expect(log()).toContain('lab: What containers need of their memory cannot be seen from here');
  expect(log()).not.toContain(SECRET);
});

it('commands are about it if it is named, and about this one if not', async () => {
  configure(`${reached()}${LOGIN}    verify_tls: False\n`);
  await runOnce();
  const grown = memoryOf(201);
  expect(await typed('status', '--node', 'lab')).toMatchObject({
    code: EXIT.fine,
    out: expect.stringMatching(/^201 .*\n202 .*\n201, 202: memory never /m),
  });
  expect((await typed('status')).out).toContain('no containers');
  expect(await typed('explain', '202', '--node', 'lab')).toMatchObject({
    code: EXIT.fine,
    out: expect.stringContaining('what it needs cannot be seen from here'),
  });
  expect((await typed('backups', '--node', 'lab')).out).toMatch(/^201 /m);
  expect((await typed('backups')).out).toContain('There are no backups');
  expect(await typed('backups', '--node', 'lob')).toMatchObject({
    code: EXIT.failure,
    err: "Unknown node 'lob'. Did you mean 'lab'?\n",
  });
  // It runs and uses little, and nobody here can tell whether it could do with less.
  wanted = 50;
  rest.node.advance(60_000);
  const refused = await typed('rollback', '201', '--node', 'lab');
  expect(refused.code).toBe(EXIT.failure);
  expect(refused.err + refused.out).toContain('cannot be seen from here');
  expect(memoryOf(201)).toBe(grown);
  rest.node.stopContainer(201);
  expect(await typed('rollback', '201', '--node', 'lab')).toMatchObject({ code: EXIT.fine });
  expect(memoryOf(201)).toBe(1024);
});

it('a rollback sees also a guest that one look at many does not come to', async () => {
  configure(`${reached()}${LOGIN}    verify_tls: False\n`);
  await runOnce();
  expect(memoryOf(201)).toBeGreaterThan(1024);
  // So many stand before it that its configuration is left for a later look.
  const others = Array.from({ length: 60 }, (_, index) => guestSpec(110 + index));
  rest = await restNode([
    ...others,
    { ...guestSpec(201), demand: () => ({ cpuCores: 0, anonMib: 50 }) },
  ]);
  rest.node.stopContainer(201);
  configure(`${reached()}${LOGIN}    verify_tls: False\n`);
  const back = await typed('rollback', '201', '--node', 'lab');
  expect(back).toMatchObject({ code: EXIT.fine, err: '' });
  expect(back.out).toContain('201');
});

it('check-config says whether it is reached, and why not', async () => {
  configure(`${reached()}${LOGIN}    verify_tls: False\n`);
  const checked = await typed('check-config');
  expect(checked.code).toBe(EXIT.fine);
  expect(checked.out).toMatch(
    /Other nodes:\n\nNODE .*\nlab +127\.0\.0\.1:[0-9]+ +API +2 +reached\n/,
  );
  configure(`${reached()}${LOGIN.replace('!ps', '!noacl')}    verify_tls: False\n`);
  expect((await typed('check-config')).out).toMatch(/lab .* - +as@pve!noacl is shown no guest/);
  expect(rest.server.calls.filter(({ method }) => method !== 'GET')).toEqual([]);
});

it('check-config waits for all nodes together, and names who did not answer', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const slow = (name: string) =>
    `  ${name}:\n    host: 127.0.0.1\n    port: ${port}\n${LOGIN}    verify_tls: False\n`;
  configure(`${reached()}${LOGIN}    verify_tls: False\n${slow('one')}${slow('two')}`);
  const loaded = readConfiguration(CHOICE, contextOf());
  if (!loaded.ok) throw new Error(renderProblems(loaded));
  const lines = await nodeLines(loaded.config, contextOf(), milliseconds(1500));
  expect(lines.slice(4).map((line) => line.split(/ {2,}/))).toEqual([
    ['lab', `127.0.0.1:${rest.server.port}`, 'API', '2', 'reached'],
    ['one', `127.0.0.1:${port}`, 'API', '-', 'no answer within 1.5 s'],
    ['two', `127.0.0.1:${port}`, 'API', '-', 'no answer within 1.5 s'],
    [expect.stringMatching(/^lab: 201, 202: memory never shrinks.*`memory_shrink: unproven`/)],
  ]);
  silent.close();
});

it('a dry run changes nothing there', async () => {
  configure(`${reached()}${LOGIN}    verify_tls: False\n`);
  expect(await runOnce(true)).toBe(EXIT.fine);
  expect(rest.server.calls.filter(({ method }) => method !== 'GET')).toEqual([]);
  expect(memoryOf(201)).toBe(1024);
});

it.each([
  ['an authority that is not to be had', '    ca_file: /etc/none.pem\n', /ca_file: .*none\.pem/],
  ['one that did not sign it', '', /unknown authority; give .* as ca_file/],
])('nobody is talked to with %s', async (_what, trust, why) => {
  configure(`${reached()}${LOGIN}${trust}`);
  expect(await runOnce()).toBe(EXIT.failure);
  expect(rest.server.calls).toEqual([]);
  expect(log()).toMatch(why);
});

it('a node that joins this cluster later has a lease here as soon as it is found', async () => {
  configure(`${reached()}${LOGIN}    verify_tls: False\n    discover: True\n`);
  const loaded = readConfiguration(CHOICE, contextOf());
  if (!loaded.ok) throw new Error(renderProblems(loaded));
  const [lab] = openFarNodes(loaded.config, contextOf());
  const [entry] = loaded.config.nodes;
  const found = entry && foundConfig(entry, { name: 'pve7', by: 'lab', seenMs: milliseconds(0) });
  if (lab === undefined || found === undefined) throw new Error('it does not discover');
  expect(lab.cluster?.open(found).lease).toBeUndefined();
  mkdirSync(join(root, 'etc/corosync'), { recursive: true });
  writeFileSync(
    join(root, 'etc/corosync/corosync.conf'),
    'nodelist {\n  node {\n    name: pve7\n  }\n}\n',
  );
  expect(lab.cluster?.open(found).lease).toMatchObject({ how: 'api' });
  lab.close();
});
