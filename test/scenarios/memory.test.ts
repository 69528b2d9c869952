import { describe, expect, it } from 'vitest';
import { play } from './drive.ts';
import { figures, printFigures } from './figures.ts';
import { container, HOUR, leak, MINUTE, ramp, steady } from './habits.ts';

printFigures();

describe('memory', () => {
  it('a leak, with room above it', async () => {
    const played = await play({ guests: [container(101, leak(300))], forMs: 24 * HOUR });
    const found = figures('leak of 300 MiB an hour, 24 h', played);
    expect(found.oomKills).toBe(0);
    expect(found.starvedMemoryS).toBe(0);
    expect(found.changes).toBeLessThanOrEqual(14);
  });

  it('a leak that reaches max_memory is killed there, and not chased any further', async () => {
    const played = await play({
      yaml: 'DEFAULT:\n  max_memory: 3072\n',
      guests: [container(101, leak(300))],
      forMs: 24 * HOUR,
    });
    const found = figures('the same, max_memory 3072', played);
    expect(played.node.config(101)?.memoryMib).toBeLessThanOrEqual(3072);
    // 2600 MiB at 300 an hour take more than eight hours: three times in a day, at the most.
    expect(found.oomKills).toBeLessThanOrEqual(3);
    expect(found.changes).toBeLessThanOrEqual(17);
  });

  it('a database whose page cache looks free', async () => {
    const demand = steady({ cpuCores: 1, anonMib: 600, fileSetMib: 3200 });
    const played = await play({
      guests: [container(101, demand, { memoryMib: 4096 })],
      forMs: 12 * HOUR,
    });
    const found = figures('page cache of 3.2 GiB, 12 h', played);
    const live = played.node.machine.running(101);
    expect(found.oomKills).toBe(0);
    // It waits for its files for no more than a hundredth of the time.
    expect(live?.memoryPressure.some.totalUs).toBeLessThan((12 * HOUR * 1000) / 100);
    // What it misses it gets back, and each time it is longer until that is tried again.
    const limits = played.node.sets.map(({ request }) => request.memoryMib);
    expect(limits.filter((_, index) => index % 2 === 1).every((mib) => mib === 4096)).toBe(true);
    expect(found.changes).toBeLessThanOrEqual(10);
  });

  it('a database that reads its files anew whenever they were given up', async () => {
    const demand = steady({ cpuCores: 1, anonMib: 600, fileSetMib: 3200 });
    const played = await play({
      guests: [container(101, demand, { memoryMib: 4096 })],
      forMs: 6 * HOUR,
      // A kernel that gets nothing, since all of it is in use again at once.
      events: (node) => {
        node.onReclaim = () => 0;
      },
    });
    const found = figures('page cache that cannot be had, 6 h', played);
    expect(played.node.config(101)?.memoryMib).toBe(4096);
    expect(found.changes).toBe(0);
  });

  it('tmpfs that fills: it counts as in use, and is never taken for cache', async () => {
    const low = { cpuCores: 0.4, anonMib: 300, shmemMib: 100, fileSetMib: 200 };
    const high = { ...low, shmemMib: 5000 };
    const played = await play({
      guests: [container(101, ramp(HOUR, 4 * HOUR, low, high))],
      forMs: 8 * HOUR,
    });
    const found = figures('tmpfs up to 4.9 GiB, 8 h', played);
    expect(found.oomKills).toBe(0);
    expect(played.node.config(101)?.memoryMib).toBeGreaterThan(5300);
    expect(found.changes).toBeLessThanOrEqual(13);
  });

  it('a full tmpfs beside idle processes is not shrunk below it', async () => {
    const demand = steady({ cpuCores: 0.1, anonMib: 100, shmemMib: 1500, fileSetMib: 300 });
    const played = await play({
      guests: [container(101, demand, { memoryMib: 16_384 })],
      forMs: 4 * HOUR,
    });
    const found = figures('tmpfs of 1.5 GiB in 16 GiB, 4 h', played);
    expect(found.oomKills).toBe(0);
    expect(played.node.config(101)?.memoryMib).toBeGreaterThan(1700);
    expect(played.node.config(101)?.memoryMib).toBeLessThan(8192);
  });

  it('a jump beyond the limit costs one kill, and is helped at once', async () => {
    const played = await play({
      guests: [container(101, (at) => steady({ anonMib: at < HOUR ? 1200 : 2600 })(at, 0))],
      forMs: 3 * HOUR,
    });
    const found = figures('a jump from 1.2 to 2.6 GiB, 3 h', played);
    expect(found.oomKills).toBeLessThanOrEqual(3);
    expect(found.starvedMemoryS).toBeLessThanOrEqual(MINUTE / 1000);
  });
});
