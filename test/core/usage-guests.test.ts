import { describe, expect, it } from 'vitest';
import { type GuestIdentity, guestIdentity } from '../../src/core/identity.ts';
import { UsageGuests } from '../../src/core/usage-guests.ts';
import type { UsageRecord } from '../../src/core/usage-history.ts';
import { identity, vmid } from './builders.ts';

const ID = vmid(101);

const record = (
  timeS: number,
  guest?: GuestIdentity,
  own: Partial<UsageRecord> = {},
): UsageRecord => ({
  timeS,
  vmid: ID,
  cpuCores: 1,
  memoryMib: 400,
  cpuDemand: 1,
  cpuPeak: 1,
  cpuAllowed: 2,
  memoryPeakMib: 400,
  memoryLimitMib: 1024,
  cpuWaitPercent: 0,
  memoryWaitPercent: 0,
  ...(guest && { guest }),
  ...own,
});

/** The times of those records that are about the guest of now. */
function own(
  records: readonly UsageRecord[],
  now: ReadonlyMap<typeof ID, GuestIdentity | undefined> = new Map(),
): readonly number[] {
  const guests = new UsageGuests();
  for (const each of records) guests.take(each);
  return records.filter(guests.filter(now)).map(({ timeS }) => timeS);
}

const [A, B] = [identity(101), identity(101, 1)];

describe('whose a record is', () => {
  it('is known where its guest is named', () => {
    const all = [record(1, A), record(2, A), record(3, B), record(4, A)];
    expect(own(all, new Map([[ID, A]]))).toEqual([1, 2, 4]);
    expect(own(all, new Map([[ID, B]]))).toEqual([3]);
    expect(own(all)).toEqual([1, 2, 4]);
    expect(own(all, new Map([[ID, undefined]]))).toEqual([]);
  });

  it('is known too where devices were replaced one by one', () => {
    const nets = (...last: readonly number[]) =>
      guestIdentity(
        'a:b',
        last.map((each) => `hwaddr=BC:24:11:00:00:0${each}`),
      ) as GuestIdentity;
    const all = [record(1, nets(1)), record(2, nets(1, 2)), record(3, nets(2))];
    expect(own(all, new Map([[ID, nets(2, 3)]]))).toEqual([1, 2, 3]);
  });

  it('does not matter where no guest was ever named', () => {
    expect(own([record(1), record(2)], new Map([[ID, A]]))).toEqual([1, 2]);
  });

  it('is the first named guest, where an earlier release was replaced and it went on', () => {
    expect(own([record(1), record(2), record(300, A)], new Map([[ID, A]]))).toEqual([1, 2, 300]);
  });

  it.each<[string, UsageRecord]>([
    ['after a long time', record(4000, A)],
    ['with another limit', record(300, A, { memoryLimitMib: 8192 })],
    ['with other cores', record(300, A, { cpuAllowed: 6 })],
  ])('is not the first named guest %s', (_, named) => {
    expect(own([record(1), record(2), named], new Map([[ID, A]]))).toEqual([named.timeS]);
  });

  it('is not a newcomer, of a record from before the first named guest', () => {
    expect(own([record(1), record(2, A), record(3, B)], new Map([[ID, B]]))).toEqual([3]);
  });
});
