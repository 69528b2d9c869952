import { expect, it } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { NodeUnderTest } from '../e2e/node-under-test.ts';

/** Who may edit a container gives it a tag that names a tier with more. */

/** Short of memory, so that its tier decides what it gets. */
const short = (vmid: number, name: string): GuestSpec => ({
  vmid,
  conf: guestText({ vmid, name, cores: 2, memoryMib: 1024, tags: 'autoscale-tier-large' }),
  demand: () => ({ cpuCores: 1, anonMib: 900 }),
});

const configuration = (tagsFirst: string): string => `DEFAULT:
  poll_interval: 1
  cooldown_seconds: 0
  ${tagsFirst}
TIER_small:
  lxc_containers: [101, 110-119, accounts]
  max_memory: 1024
TIER_large:
  lxc_containers: [199]
  max_memory: 1536
`;

const ALL = [101, 115, 120];

it('moves none out of the tier that lists it, unless tags_first is set', async () => {
  const guests = [short(101, 'by-id'), short(115, 'by-range'), short(120, 'accounts')];
  const under = await NodeUnderTest.create(guests);
  under.configure(configuration('tags_first: False'));
  const daemon = under.start(['daemon']);
  await daemon.cycles(3);
  expect(under.sets()).toEqual([]);
  expect((await under.run(['explain', '101'])).stdout).toContain('TIER_small, by its id');

  under.configure(configuration(''));
  daemon.signal('SIGHUP');
  await daemon.saying('The configuration was reloaded');
  await daemon.cycles(3);
  expect(under.sets()).toEqual([]);

  under.configure(configuration('tags_first: True'));
  daemon.signal('SIGHUP');
  for (const vmid of ALL) {
    await daemon.saying(new RegExp(`Container ${vmid} .*memory 1024 -> 1536 MB`));
  }
  expect((await under.run(['explain', '101'])).stdout).toContain('TIER_large, by its tag');
  daemon.signal('SIGTERM');
  await daemon.ended;
  expect(ALL.map((vmid) => under.node.limits(vmid)?.memoryMib)).toEqual([1536, 1536, 1536]);
});
