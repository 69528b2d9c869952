import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { createView } from '../../src/cli/demo-view.ts';
import type { JournalLine } from '../../src/cli/journal-tail.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { SCENARIO_HOST, scenarioGuests } from '../../src/sim/scenario.ts';
import { Scratch } from '../sim/recorded.ts';

const scratch = new Scratch();
const nodes: SimulatedNode[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.close();
  scratch.clear();
});

/** What a spectator has on the screen after `changes` of them. */
async function seen(size: object, changes: number): Promise<readonly string[]> {
  const root = scratch.directory();
  const guests = scenarioGuests();
  const node = await SimulatedNode.create({ root, host: SCENARIO_HOST, guests });
  nodes.push(node);
  const out = Object.assign(new PassThrough(), size);
  const first = new Map(guests.map(({ vmid }) => [vmid, node.limits(vmid)]));
  createView(node, out, { startMs: 0, first, hint: HINT }).show(
    Array.from({ length: changes }, change),
  );
  const text = String(out.read());
  return text.replace('\x1b[H\x1b[J', '').trimEnd().split('\n');
}

const HINT = 'Meanwhile, in another terminal: explain 101 --sysroot /tmp/lxc-autoscale-demo-a/node';

const change = (_: unknown, index: number): JournalLine => ({
  timestamp: '2026-11-30 01:00:00',
  container_id: '104',
  name: 'intranet',
  action: 'Decrease Memory',
  change: `${index + 1} MB`,
  before: index + 2,
  after: index + 1,
  reason: 'it uses 327 of its 12288 MB (2.7 %) '.repeat(10),
});

describe('the table of the demo', () => {
  it.each([
    { columns: 120, rows: 40 },
    { columns: 60, rows: 20 },
    { columns: 200, rows: 60 },
  ])('fills a screen of $columns x $rows, and no line more', async (size) => {
    const lines = await seen({ isTTY: true, ...size }, 80);
    expect(lines).toHaveLength(size.rows - 1);
    expect(lines.at(-1)).toContain('104 intranet 81 -> 80');
    expect(lines.filter((line) => /^10[1-8] /.test(line))).toHaveLength(8);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(size.columns);
    expect(lines.includes(HINT)).toBe(size.columns > 80);
    const row = lines.find((line) => line.startsWith('101 ')) ?? '';
    expect(row.length).toBeGreaterThan(Math.min(size.columns, 110) * 0.8);
  });

  it('has whole reasons in a file', async () => {
    const lines = await seen({}, 1);
    expect(lines[0]?.match(/it uses 327/g)).toHaveLength(10);
  });
});
