import { expect, it } from 'vitest';
import { hourlySummary } from '../../src/app/hourly-summary.ts';
import type { EndedCycle } from '../../src/app/part.ts';
import type { OpenWorld } from '../../src/app/world.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { known } from './known.ts';

/** Two cycles an hour of a node, and what the log says in that hour. */
async function node(logQuietCycles: boolean) {
  const fake = new FakeNode();
  const { settings, view } = known('pve1', [101]);
  const open = { name: 'pve1' } as OpenWorld;
  const part = hourlySummary({ settings, world: fake.world, open });
  await part.apply({ logQuietCycles } as never);
  return (done: number): readonly string[] => {
    const before = fake.lines.length;
    for (let cycle = 0; cycle < 2; cycle++) {
      fake.pass(1_800_000);
      const result = { ok: true, done, failed: 0 };
      part.cycleEnded({ node: 'pve1', kind: 'whole', result, view } as EndedCycle);
    }
    return fake.lines.slice(before);
  };
}

it('says once an hour what there was in quiet cycles', async () => {
  const hour = await node(false);
  expect(hour(0)).toEqual(['INFO: The last hour: 2 cycles, nothing was changed.']);
  expect(hour(1)).toEqual(['INFO: The last hour: 2 cycles, 2 changes, 0 failed.']);
});

it('says nothing if every cycle is logged', async () => {
  expect((await node(true))(1)).toEqual([]);
});
