import { describe, expect, it } from 'vitest';
import { play } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR, ramp, steady } from './habits.ts';

printFigures();

const SMALL = { cpus: 8, memoryMib: 16_384, swapMib: 0 };
const TIERS = `
DEFAULT: {}
TIER_first: {lxc_containers: [103], priority: 90}
TIER_second: {lxc_containers: [102], priority: 50}
TIER_third: {lxc_containers: [101], priority: 10}
`;

describe('a host that cannot give all that is wanted', () => {
  it('serves three priorities in their order, and gives a part rather than nothing', async () => {
    // All three would have 5.2 GiB in the end, and there are about 12.6 above the reserve.
    const demand = ramp(
      0.5 * HOUR,
      3.5 * HOUR,
      { cpuCores: 0.5, anonMib: 1200 },
      { cpuCores: 0.5, anonMib: 3900 },
    );
    const guests = [101, 102, 103].map((vmid) => container(vmid, demand));
    const played = await play({ yaml: TIERS, host: SMALL, guests, forMs: 5 * HOUR });
    const found = figures('shortage with three priorities, 5 h', played);
    const { node } = played;
    const [first = 0, second = 0, third = 0] = [103, 102, 101].map(
      (vmid) => node.config(vmid)?.memoryMib,
    );
    // The first gets what is left when all ask for more; the others what comes free later.
    expect(first).toBeGreaterThan(second);
    expect(second).toBeGreaterThanOrEqual(third);
    expect(third).toBeGreaterThan(3900 * 1.03);
    expect(found.oomKills).toBe(0);
    const inParts = node.events.filter(({ details }) =>
      (details['limits'] as readonly string[] | undefined)?.includes('host'),
    );
    expect(inParts[0]?.vmid).toBe(103);
  });

  it('keeps its mind where far more is wanted than there is', async () => {
    // 18.5 GiB are wanted in the end.
    const demand = ramp(
      0.5 * HOUR,
      3.5 * HOUR,
      { cpuCores: 0.5, anonMib: 1200 },
      { cpuCores: 0.5, anonMib: 6000 },
    );
    const guests = [101, 102, 103].map((vmid) => container(vmid, demand));
    const played = await play({ yaml: TIERS, host: SMALL, guests, forMs: 5 * HOUR });
    const found = figures('half as much again as there is, 5 h', played);
    const { scores } = played.node;
    // Who is killed has too little under its own limit; the host itself never runs out.
    for (const { vmid } of guests) expect(scores.of(vmid).hostOomKills).toBe(0);
    expect(scores.of(103).oomKills).toBeLessThan(scores.of(102).oomKills);
    expect(found.changes).toBeLessThanOrEqual(30);
  });

  it('twenty containers of 4 GB on 32 GB', async () => {
    const guests = Array.from({ length: 20 }, (_, index) => {
      const busy = index < 6;
      const anonMib = busy ? 3500 : 300;
      return container(101 + index, steady({ cpuCores: 0.2, anonMib, fileSetMib: 100 }), {
        memoryMib: 4096,
        cores: 1,
      });
    });
    const host = { memoryMib: 32_768, swapMib: 0 };
    const played = await play({ host, guests, forMs: 6 * HOUR, stepMs: 2500 });
    const found = figures('twenty of 4 GB on 32 GB, 6 h', played);
    expect(found.oomKills).toBe(0);
    let sum = 0;
    for (const { vmid } of guests) sum += played.node.config(vmid)?.memoryMib ?? 0;
    expect(sum).toBeLessThan(20 * 4096);
  });

  it('CPU: nobody gets more than the host has less its reserve', async () => {
    const guests = [101, 102, 103, 104].map((vmid) => container(vmid, steady({ cpuCores: 7 })));
    const yaml = 'DEFAULT:\n  max_cores: 64\n';
    const played = await play({ yaml, host: SMALL, guests, forMs: 3 * HOUR });
    figures('28 cores wanted of 8, 3 h', played);
    for (const { vmid } of guests) expect(played.node.config(vmid)?.cores).toBeLessThanOrEqual(7);
  });
});
