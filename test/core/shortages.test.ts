import { expect, it } from 'vitest';
import { newGuestRecord } from '../../src/core/guest-record.ts';
import type { CgroupSample } from '../../src/core/observation.ts';
import { present } from '../../src/core/reading.ts';
import { noteShortages } from '../../src/core/shortages.ts';
import { milliseconds } from '../../src/core/units.ts';
import { broken, type MemoryNumbers, memoryCounters, sample } from './builders.ts';

const at = (own: MemoryNumbers, identity = 1): CgroupSample =>
  sample({ identity, memory: present(memoryCounters(own)) });

/** What is counted after these samples, one a second. */
function counted(...samples: readonly CgroupSample[]) {
  const record = newGuestRecord();
  for (const [second, now] of samples.entries()) {
    noteShortages(record, now, milliseconds(second * 1000));
    record.life.sample = now;
  }
  return record.shortages;
}

const NONE = { kills: 0, nested: 0, byHost: 0, limitHits: 0, killedWallMs: undefined };

it('begins with nothing: what was before the first sample is not ours', () => {
  expect(counted(at({ oomKills: 5, limitHits: 70 }))).toEqual(NONE);
});

it('counts kills by what was too small, and goes on after a restart of the guest', () => {
  const first = at({ oomKills: 5, limitHits: 70 });
  const own = at({ oomKills: 7, limitHits: 80 });
  const nested = at({ oomKills: 7, limitHits: 80, nestedKills: 1 });
  expect(counted(first, own)).toEqual({ ...NONE, kills: 2, limitHits: 10, killedWallMs: 1000 });
  const restarted = [at({ oomKills: 1 }, 2), at({ oomKills: 1, hostKills: 3 }, 2)];
  expect(counted(first, own, nested, ...restarted)).toEqual({
    kills: 2,
    nested: 1,
    byHost: 3,
    limitHits: 10,
    killedWallMs: 4000,
  });
});

it('has no count of what nobody tells of a virtual machine', () => {
  const of = (oomKills: number, ooms: number): CgroupSample => {
    const own = { highHits: 0, limitHits: undefined, ooms };
    return sample({ memory: present({ ...memoryCounters(), oomKills, ooms: undefined, own }) });
  };
  const seen = counted(of(0, 0), of(1, 1), of(2, 1));
  expect(seen).toEqual({
    kills: 1,
    nested: 1,
    byHost: undefined,
    limitHits: undefined,
    killedWallMs: 2000,
  });
});

it('has no count where the events of the kernel are not told', () => {
  const untold = sample({
    memory: present({ ...memoryCounters(), ooms: undefined, own: undefined }),
  });
  expect(counted(untold, untold)).toBeUndefined();
  expect(counted(sample({ memory: broken() }))).toBeUndefined();
});
