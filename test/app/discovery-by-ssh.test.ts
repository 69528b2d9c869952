import { beforeEach, expect, it } from 'vitest';
import { Discovery } from '../../src/app/discovery.ts';
import type { OpenWorld } from '../../src/app/world.ts';
import { withFound } from '../../src/config/found-nodes.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import type { ClusterSeen, Member } from '../../src/core/found-nodes.ts';
import { missing, present, type Reading } from '../../src/core/reading.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { temporaryDirectory } from '../node/local/world.ts';

/** What is made of what nodes tell of their cluster, each reached at an address of its own. */

const TEXT = `NODES:
  lab: {host: 10.0.0.1, connection: ssh, discover: True}
  second: {host: 10.9.9.9, connection: ssh}
`;
const MINUTE_MS = 60_000;

let nowMs: number;
let config: Config;
let node: FakeNode;
let members: readonly Member[];
/** What `second` tells of its cluster. */
let told: Reading<ClusterSeen>;
let added: string[];
let removed: string[];
/** How often this node was looked at. */
let looks: number;
let discovery: Discovery;

beforeEach(() => {
  const loaded = parseConfig(TEXT, 'f.yaml', {});
  if (!loaded.ok) throw new Error('not valid');
  [nowMs, looks, added, removed] = [0, 0, [], []];
  config = withFound(loaded.config, [], '');
  node = new FakeNode();
  members = [{ name: 'pve1', host: '10.0.0.1' }];
  told = missing('unreadable', 'not yet');
  const root = temporaryDirectory();
  const clock = { wallMs: () => milliseconds(0), monotonicMs: () => milliseconds(nowMs) };
  const stream = { write: () => true } as unknown as NodeJS.WriteStream;
  discovery = new Discovery({
    context: { paths: createPaths(root), clock, env: {}, stdout: stream, stderr: stream },
    isDry: false,
    log: node.world.log,
    self: '',
    config: () => config,
    nodes: () => [lab(), second()],
    use: (next) => {
      config = next;
    },
    add: ({ name }) => void added.push(name),
    remove: (name) => void removed.push(name),
  });
});

function openNode(name: string, seen: () => Reading<ClusterSeen>): OpenWorld {
  const host = {
    observe: () => {
      looks += 1;
      return node.world.host.observe();
    },
  };
  const cluster = { seen };
  return { name, hanging: () => undefined, world: { ...node.world, host }, cluster } as OpenWorld;
}
const lab = (): OpenWorld =>
  openNode('lab', () => present({ own: 'pve1', members, isQuorate: true }));
const second = (): OpenWorld => openNode('second', () => told);

function minutes(count: number): void {
  for (let minute = 0; minute < count; minute += 1) {
    nowMs += MINUTE_MS;
    discovery.looked(lab());
  }
}

const join = (...more: readonly Member[]): void => {
  members = [...members, ...more];
  minutes(1);
};

it('one that is off, and has no address meanwhile, has not left', () => {
  join({ name: 'pve2', host: '10.0.0.2' });
  expect(added).toEqual(['pve2']);
  members = [members[0] ?? { name: '' }, { name: 'pve2' }];
  minutes(30);
  expect(removed).toEqual([]);
  members = [members[0] ?? { name: '' }, { name: 'pve2', host: '10.0.0.3' }];
  minutes(12);
  expect(removed).toEqual(['pve2']);
});

it('a node that is another entry by what it calls itself stays so while it is away', () => {
  told = present({ own: 'pve2', members: [], isQuorate: true });
  join({ name: 'pve2', host: '10.0.0.2' });
  told = missing('unreadable', 'it is away');
  minutes(2);
  expect(added).toEqual([]);
});

it('what is not added is told once, in whatever order nodes are listed', () => {
  const strange = ['a b', '../c'].map((name) => ({ name }));
  join(...strange);
  members = [...members].reverse();
  minutes(3);
  expect(node.lines.filter((line) => line.includes('no node can be called so'))).toHaveLength(1);
});

it('only a node whose day is not over is asked whether it is seen', () => {
  minutes(5);
  expect(looks).toBe(0);
});
