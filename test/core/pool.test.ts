import { expect, it } from 'vitest';
import type { Budget } from '../../src/core/admission.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import { givenTo, poolAfter, poolBefore } from '../../src/core/pool.ts';
import { missing, present } from '../../src/core/reading.ts';
import { parseVmid, type Vmid } from '../../src/core/units.ts';

const id = (index: number) => parseVmid(`${101 + index}`) as Vmid;
const running = (...configs: readonly Partial<GuestConfig>[]) =>
  new Map(configs.map((one, index) => [id(index), one as GuestConfig]));
const guest = (cores: number | undefined, memoryMib: number, cpuLimit?: number) =>
  ({ cores, memoryMib, cpuLimit }) as Partial<GuestConfig>;

it('counts all CPUs of the host without cores:, and no more than a cpulimit', () => {
  const all = running(guest(2, 512), guest(undefined, 1024), guest(8, 2048, 1.5));
  expect(givenTo(all, 16)).toEqual({ cores: 2 + 16 + 1.5, memoryMib: 3584 });
});

it('rises by what is given back and falls by what is handed out, as in the logs of old', () => {
  // 40 cores, 124750 MB; cores of two containers less by 2 each, memory of one by 6656 MB.
  const pool = { cores: present(40), memoryMib: present(124_750) };
  const before = { cores: 12, memoryMib: 8192 };
  expect(poolAfter(pool, before, { cores: 8, memoryMib: 1536 })).toEqual({
    cores: present(44),
    memoryMib: present(131_406),
  });
  expect(poolAfter(pool, before, { cores: 60, memoryMib: 200_000 })).toEqual({
    cores: present(0),
    memoryMib: present(0),
  });
});

it('is not known where the host is not', () => {
  const unknown = missing('malformed', '/proc/stat');
  const budget = { coresCeiling: unknown, memoryMib: unknown } as unknown as Budget;
  const given = { cores: 1, memoryMib: 1 };
  const pool = poolBefore(budget);
  expect(poolAfter(pool, given, given)).toEqual({ cores: unknown, memoryMib: unknown });
});
