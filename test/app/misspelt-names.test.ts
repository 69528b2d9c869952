import { expect, it } from 'vitest';
import { misspeltNames } from '../../src/app/misspelt-names.ts';
import type { EndedCycle } from '../../src/app/part.ts';
import type { OpenWorld } from '../../src/app/world.ts';
import { parseConfig } from '../../src/config/load.ts';
import { onNode } from '../../src/config/on-node.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { known } from './known.ts';

/** What the log says of the names in `ignore_lxc`, where the guest 101 is called so. */
async function said(called: string, ignored: string, cycles = 1): Promise<readonly string[]> {
  const fake = new FakeNode();
  const loaded = parseConfig(`DEFAULT:\n  ignore_lxc: [${ignored}]\n`, 'test.yaml', {});
  if (!loaded.ok) throw new Error('not valid');
  const { view } = known('pve1', [101]);
  const containers = view?.observed.containers.map((one) => ({
    ...one,
    config: one.config.ok ? { ok: true, value: { ...one.config.value, name: called } } : one.config,
  }));
  const open = { name: 'pve1' } as OpenWorld;
  const part = misspeltNames({ config: onNode(loaded.config, 'pve1'), world: fake.world, open });
  await part.apply(loaded.config);
  for (let cycle = 0; cycle < cycles; cycle++) {
    part.cycleEnded?.({ node: 'pve2', view: undefined } as EndedCycle);
    const seen = { ...view, observed: { ...view?.observed, containers } };
    part.cycleEnded?.({ node: 'pve1', kind: 'whole', view: seen } as unknown as EndedCycle);
  }
  return fake.lines;
}

it('warns once of a name that is nearly that of a guest', async () => {
  const line =
    'ignore_lxc has nextclod, and no guest here is called so: nextcloud is not ignored. If it is ' +
    'meant, correct the name.';
  expect(await said('nextcloud', 'nextclod', 3)).toEqual([`WARN: ${line}`]);
  expect(await said('nextcloud', 'CT101')).toEqual([expect.stringContaining('101 is not ignored')]);
});

it.each([
  ['Nextcloud', 'nextcloud'],
  ['nextcloud', 'next*'],
  ['nextcloud', 'tag:nextclod'],
  ['nextcloud', 'postgres'],
  ['nextcloud', '101'],
  // It may be on another node.
  ['web-2', 'web-1'],
  ['Web-2', 'web-1'],
])('says nothing of %s beside %s', async (called, ignored) => {
  expect(await said(called, ignored)).toEqual([]);
});
