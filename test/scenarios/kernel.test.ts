import { describe, expect, it } from 'vitest';
import { type Played, play } from './drive.ts';
import { container, HOUR, MINUTE, steady } from './habits.ts';

/** What the kernel counts that is none of a container's own limit, and what is no need. */

const SMALL = { memoryMib: 1024 };
const YAML = 'DEFAULT: {poll_interval: 60, min_memory: 512}\n';

const memoryOf = ({ node }: Played, vmid = 101): number | undefined => node.config(vmid)?.memoryMib;

const growths = ({ node }: Played, vmid = 101): readonly number[] =>
  node.sets.flatMap(({ request, before }) => {
    const { memoryMib } = request;
    const grew = request.vmid === vmid && memoryMib !== undefined && memoryMib > before.memoryMib;
    return grew ? [memoryMib] : [];
  });

describe('a limit inside of a container', () => {
  it('that kills once a second makes it no larger, and sets no floor', async () => {
    const nested = { memoryMib: 64, anonMib: 200 };
    const demand = steady({ cpuCores: 1, anonMib: 400, fileSetMib: 20, nested });
    const played = await play({
      yaml: YAML,
      guests: [container(101, demand, SMALL)],
      forMs: 20 * MINUTE,
    });
    expect(played.node.plant.container(101)?.memory.nestedEvents.oomKill).toBeGreaterThan(1000);
    expect([growths(played), memoryOf(played)]).toEqual([[], 1024]);
    expect([played.state.oomFloors.size, played.state.oomKills.size]).toEqual([0, 0]);
    expect(played.broken).toEqual([]);
  });

  it('that is met all the time makes it no larger, and does not keep what it has', async () => {
    const nested = { memoryMib: 64, anonMib: 10, fileSetMib: 500 };
    const demand = steady({ cpuCores: 1, anonMib: 100, fileSetMib: 20, nested });
    const guests = [container(101, demand, { memoryMib: 4096 })];
    const played = await play({ yaml: YAML, guests, forMs: 3 * HOUR });
    expect(played.node.plant.container(101)?.memory.nestedEvents.max).toBeGreaterThan(1000);
    expect(growths(played)).toEqual([]);
    expect(memoryOf(played)).toBeLessThan(4096);
    expect(played.node.scores.total().oomKills).toBe(0);
  });
});

describe('the limit of a container itself', () => {
  it('that kills makes it larger, though it uses little again when it is looked at', async () => {
    const demand = steady({ cpuCores: 1, anonMib: 1600, fileSetMib: 20 });
    const guests = [container(101, demand, SMALL)];
    const played = await play({ yaml: YAML, guests, forMs: 20 * MINUTE });
    expect(memoryOf(played)).toBeGreaterThanOrEqual(1600);
    expect(played.state.oomFloors.get(101 as never)?.limitMib).toBeGreaterThanOrEqual(1024);
  });
});

describe('directory entries and inodes', () => {
  const walk = (anonMib: number) =>
    steady({ cpuCores: 1, anonMib, fileSetMib: 30, slabMib: 100_000 });

  it('that fill its memory make it no larger', async () => {
    const guests = [container(101, walk(700))];
    const played = await play({ yaml: YAML, guests, forMs: 3 * HOUR });
    const seen = played.node.plant.container(101)?.memory.slabBytes ?? 0;
    expect(seen).toBeGreaterThan(800 * 1024 * 1024);
    expect([growths(played), memoryOf(played)]).toEqual([[], 2048]);
    expect(played.node.scores.total().oomKills).toBe(0);
  });

  it('are no reason to keep it from growing where its processes need more', async () => {
    const guests = [container(101, walk(1800))];
    const played = await play({ yaml: YAML, guests, forMs: HOUR });
    expect(memoryOf(played)).toBeGreaterThanOrEqual(2048 + 512);
    expect(played.node.scores.total().oomKills).toBe(0);
  });

  it('go before memory is taken, with nobody hurt', async () => {
    const guests = [container(101, walk(300), { memoryMib: 4096 })];
    const played = await play({ yaml: YAML, guests, forMs: 3 * HOUR });
    expect(memoryOf(played)).toBeLessThan(2048);
    expect(growths(played)).toEqual([]);
    expect(played.node.scores.total().oomKills).toBe(0);
    expect(played.broken).toEqual([]);
  });
});
