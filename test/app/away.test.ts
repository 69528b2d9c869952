import { EventEmitter } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readConfiguration } from '../../src/app/configuration.ts';
import type { ProcessContext } from '../../src/app/context.ts';
import { daemon } from '../../src/app/daemon.ts';
import { EXIT } from '../../src/app/exit-codes.ts';
import { openNamed, unknownNode } from '../../src/app/named-node.ts';
import { once } from '../../src/app/once.ts';
import { run } from '../../src/app/run.ts';
import type { FarNode } from '../../src/app/world.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { askControlSocket } from '../../src/os/control-client.ts';
import { CONTROL_SOCKET } from '../../src/os/control-path.ts';
import { collecting } from '../cli/collecting.ts';
import { host } from '../core/builders.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { plant, REAL_CLOCK, temporaryDirectory } from '../node/local/world.ts';
import { PATIENCE_MS } from '../patience.ts';

/** The program runs on a host that is no node; two nodes are reached from it. */

const entry = (name: string): string => `  ${name}:
    {host: 127.0.0.1, port: 1, token_id: a@pve!b, token_secret: 00000000-0000,
     verify_tls: False, node: ${name}}
`;
const GROUP = `HORIZONTAL_SCALING_GROUP_1:
  base_snapshot_name: 101
  min_instances: 1
  max_instances: 2
  starting_clone_id: 900
  clone_network_type: dhcp
  horiz_cpu_upper_threshold: 80
  horiz_memory_upper_threshold: 80
`;

let root: string;
let out: ReturnType<typeof collecting>;
let context: ProcessContext;
const signals = new EventEmitter();
/** Why the second node cannot be seen. */
let problem: string | undefined;

beforeEach(() => {
  root = temporaryDirectory();
  const nodes = ['one', 'two'].map(entry).join('');
  const text = `DEFAULT: {poll_interval: 300}\nNODES:\n${nodes}${GROUP}`;
  plant(root, { 'etc/lxc_autoscale/lxc_autoscale.yaml': text });
  out = collecting();
  const clock = REAL_CLOCK;
  const paths = createPaths(root, undefined, `${root}/keep`);
  context = { paths, clock, env: {}, stdout: out.stream, stderr: out.stream };
  problem = undefined;
});

afterEach(() => {
  signals.removeAllListeners();
});

const CHOICE = {
  configFile: undefined,
  pollIntervalSeconds: undefined,
  energyMode: false,
  debug: false,
};

function runIn(mode: typeof once) {
  const nodes = ['one', 'two'].map((name): FarNode => {
    const node = new FakeNode();
    node.seen = host();
    const away = () => (name === 'two' ? problem : undefined);
    return {
      name,
      eyes: node.world,
      hands: node.world.hands,
      problem: away,
      lookAfter: () => {},
      connection: () => ({ by: 'ssh' }),
      close: () => {},
    };
  });
  return run(mode, { ...CHOICE, dryRun: false }, context, signals, async () => nodes);
}

it('says what it looks after and what not, and names no node where none is meant', async () => {
  expect(await runIn(once)).toBe(EXIT.fine);
  const said = out.text();
  expect(said).toContain('only the nodes below NODES are looked after: one, two.');
  expect(said).toContain('A group that names no node is not looked after here');
  expect(said).toMatch(/^[0-9: -]+ - INFO - Resource allocation process completed\.$/m);
});

it('is not away on a node whose cluster file system is not running', async () => {
  plant(root, { 'var/lib/pve-cluster/config.db': '' });
  expect(await runIn(once)).toBe(EXIT.failure);
  expect(out.text()).toMatch(/^This is not a Proxmox VE node, or its cluster file system .*\n$/);
  expect(out.text()).not.toContain('NODES');
});

describe('a directory of --state', () => {
  const started = async (mode: number, uid = process.geteuid?.() ?? 0, gid?: number) => {
    const keep = join(root, 'keep');
    mkdirSync(keep);
    chownSync(keep, uid, gid ?? process.getegid?.() ?? 0);
    chmodSync(keep, mode);
    const code = await runIn(once);
    return { code, said: out.text(), isUsed: existsSync(join(keep, 'nodes')) };
  };
  const isRoot = process.geteuid?.() === 0;

  it.each([0o700, 0o755, 0o2770])('may have the mode %o', async (mode) => {
    expect(await started(mode)).toMatchObject({ code: EXIT.fine, isUsed: true });
  });

  it.each([0o777, 0o703, 0o1777])('that everybody may write to is refused: %o', async (mode) => {
    const { code, said, isUsed } = await started(mode);
    expect({ code, isUsed }).toEqual({ code: EXIT.failure, isUsed: false });
    expect(said).toMatch(
      /^--state .*keep is not used: it can be written by everybody; (?:run: chmod|take another) /,
    );
    expect(said).toContain(`Only user ${process.geteuid?.()} may write to it`);
  });

  it.runIf(isRoot)('that another group may write to is refused', async () => {
    const { code, said } = await started(0o770, 0, 65_534);
    expect(code).toBe(EXIT.failure);
    expect(said).toMatch(/is not used: it can be written by the group 65534; run: chmod g-w /);
  });

  it.runIf(isRoot)('of another user is refused', async () => {
    const { code, said } = await started(0o700, 65_534);
    expect(code).toBe(EXIT.failure);
    expect(said).toMatch(/is not used: it belongs to the user 65534, who could change it/);
  });
});

it('is well only while all nodes are, and names one that is not', async () => {
  const ended = runIn(daemon);
  const health = async () => {
    const answer = await askControlSocket(context.paths.at(CONTROL_SOCKET), { command: 'health' });
    return JSON.stringify(answer);
  };
  const heals = (text: string) =>
    vi.waitFor(async () => expect(await health()).toContain(text), PATIENCE_MS);
  await heals('"healthy":true');
  problem = 'it is down';
  await heals('"name":"cycle","ok":false,"says":"two: it is down"');
  expect(await health()).not.toContain('"pct"');
  signals.emit('SIGTERM');
  expect(await ended).toBe(EXIT.fine);
});

it('commands mean the first node if none is named, and this host is none', async () => {
  const loaded = readConfiguration(CHOICE, context);
  if (!loaded.ok) throw new Error('the configuration is wrong');
  const { config } = loaded;
  const open = await openNamed(undefined, config, context);
  if (typeof open === 'string') throw new Error(open);
  expect([open.name, open.below]).toEqual(['one', 'nodes/one']);
  await open.close();
  expect(unknownNode('two', config, context)).toBeUndefined();
  expect(unknownNode(context.paths.nodeName(), config, context)).toContain('Unknown node');
});
