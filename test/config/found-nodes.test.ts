import { describe, expect, it } from 'vitest';
import { keepingNodes, withFound } from '../../src/config/found-nodes.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import { onNode } from '../../src/config/on-node.ts';
import { manage } from '../../src/config/resolve.ts';
import type { FoundNode } from '../../src/core/found-nodes.ts';
import { milliseconds } from '../../src/core/units.ts';
import { vmid } from '../node/local/world.ts';

/** What `discover` makes of the nodes that it has found. */

const LOGIN = 'token_id: as@pve!x, token_secret: hush, verify_tls: False';
const DAY_MS = 86_400_000;
const DAY = milliseconds(DAY_MS);
const TWO = `  two: {host: b, ${LOGIN}}\n`;

function loaded(nodes: string): Config {
  const result = parseConfig(`NODES:\n${nodes}`, 'f.yaml', {});
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

const found = (name: string, more: Partial<FoundNode> = {}): FoundNode => {
  return { name, by: 'lab', seenMs: milliseconds(0), ...more };
};
const names = ({ nodes }: Config): readonly string[] => nodes.map(({ name }) => name);

it('is reached as the entry that found it, and only observed in its first day', () => {
  const config = loaded(`  lab: {host: a, node: pve1, discover: True, ${LOGIN}}\n`);
  const more = withFound(
    config,
    [found('pve2'), found('pve3', { seenMs: milliseconds(DAY_MS) })],
    '',
  );
  expect(more.nodes).toMatchObject([
    { name: 'lab', node: 'pve1', alias: 'pve1', discovers: true },
    { name: 'pve2', node: 'pve2', host: 'a', found: { by: 'lab', leftMs: DAY_MS } },
    { name: 'pve3', node: 'pve3', found: { by: 'lab', leftMs: 0 } },
  ]);
  const [, second] = more.nodes;
  expect(second).not.toHaveProperty('alias');
  expect(second).not.toHaveProperty('discovers');
  const guest = { vmid: vmid(201), name: 'web', tags: [] };
  expect(manage(onNode(more, 'pve2'), guest)).toMatchObject({
    mode: 'observe',
    because: expect.stringContaining('only observed, by the first day of a node that was found'),
  });
  for (const node of ['lab', 'pve3']) {
    expect(manage(onNode(more, node), guest)).toMatchObject({ mode: 'act' });
  }
});

it('is reached by SSH at its own address, and not without one', () => {
  const ssh = 'connection: ssh, port: 2222, user: root, identity_file: /k, jump: gate';
  const config = loaded(`  lab: {host: a, discover: True, ${ssh}}\n`);
  expect(withFound(config, [found('pve2', { host: '10.0.0.2' }), found('pve3')], '').nodes).toEqual(
    [
      expect.objectContaining({ name: 'lab', host: 'a' }),
      expect.objectContaining({
        name: 'pve2',
        node: 'pve2',
        host: '10.0.0.2',
        port: 2222,
        jump: 'gate',
        identityFile: '/k',
      }),
    ],
  );
});

it.each([
  ['an entry of its name', `  PVE2: {host: b, ${LOGIN}}\n`, ''],
  ['an entry whose node it is', `  other: {host: b, node: pve2, ${LOGIN}}\n`, ''],
  ['an entry at its address', '  other: {host: 10.0.0.2, connection: ssh}\n', ''],
  ['this node', '', 'pve2'],
])('is left out for %s', (_what, entry, self) => {
  const config = loaded(`  lab: {host: a, node: pve1, discover: True, ${LOGIN}}\n${entry}`);
  const more = withFound(config, [found('pve2', { host: '10.0.0.2' })], self);
  expect(names(more)).toEqual(names(config));
});

it('is left out without an entry that discovers', () => {
  const config = loaded(`  lab: {host: a, ${LOGIN}}\n`);
  expect(withFound(config, [found('pve2')], '')).toBe(config);
  const again = loaded(`  lab: {host: a, discover: True, ${LOGIN}}\n`);
  const both = withFound(again, [found('pve2'), found('pve3', { by: 'gone' })], '');
  expect(names(both)).toEqual(['lab', 'pve2']);
  expect(names(withFound(both, [], ''))).toEqual(['lab']);
});

describe('a new text of the file, while the daemon runs', () => {
  const start = loaded(
    `  lab: {host: a, node: pve1, discover: True, ${LOGIN}}\n  two: {host: b, ${LOGIN}}\n`,
  );
  const guest = { vmid: vmid(201), name: 'web', tags: [] };
  const mode = (config: Config, node: string): unknown => manage(onNode(config, node), guest);
  const taken = (nodes: string): Config =>
    withFound(keepingNodes(loaded(nodes), start), [found('pve9', { seenMs: DAY })], '');

  it('takes what it says of memory, and reaches each node as before', () => {
    const again = 'token_id: as@pve!x, token_secret: other, verify_tls: False';
    const config = taken(`  lab: {host: a, node: pve1, memory_shrink: unproven, ${again}}\n${TWO}`);
    expect(names(config)).toEqual(['lab', 'two', 'pve9']);
    for (const node of ['lab', 'pve9']) {
      expect(onNode(config, node).defaults.memory.unproven).toBe(true);
      expect(mode(config, node)).toMatchObject({ mode: 'act' });
    }
    expect(config.nodes).toMatchObject([
      { credentials: { secret: 'hush' }, discovers: true, alias: 'pve1' },
      {},
      { credentials: { secret: 'hush' }, found: { leftMs: 0 } },
    ]);
    expect(keepingNodes(start, start)).toEqual(start);
  });

  it.each([
    ['is gone', `  two: {host: b, ${LOGIN}}\n`],
    ['has another name', `  lob: {host: a, node: pve1, ${LOGIN}}\n  two: {host: b, ${LOGIN}}\n`],
    ['is another node', `  lab: {host: a, node: pve3, ${LOGIN}}\n  two: {host: b, ${LOGIN}}\n`],
    ['has moved', `  lab: {host: c, node: pve1, ${LOGIN}}\n  two: {host: b, ${LOGIN}}\n`],
  ])('changes nothing on a node whose entry %s, nor on those found by it', (_what, nodes) => {
    const config = taken(nodes);
    expect(mode(config, 'two')).toMatchObject({ mode: 'act' });
    for (const node of ['lab', 'pve9']) {
      expect(mode(config, node)).toMatchObject({
        mode: 'observe',
        because: expect.stringContaining('a change of NODES; restart the daemon'),
      });
    }
  });
});
