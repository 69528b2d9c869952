import { describe, expect, it } from 'vitest';
import type { DemandAt } from '../../src/sim/plant.ts';
import type { VirtualNode } from '../../src/sim/virtual-node.ts';
import { remembered } from '../core/builders.ts';
import { type Played, play } from './drive.ts';
import { container, HOUR, MINUTE, SECOND, steady } from './habits.ts';

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
    expect([
      remembered(played.state, 'oomFloor').size,
      remembered(played.state, 'oomKillMs').size,
    ]).toEqual([0, 0]);
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
    expect(played.state.guests.get(101 as never)?.oomFloor?.limitMib).toBeGreaterThanOrEqual(1024);
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

describe('a frozen container', () => {
  const demand = steady({ cpuCores: 3, anonMib: 1200, fileSetMib: 30 });
  const guests = [container(101, demand, { cores: 4 })];
  const freeze = (fromMs: number, toMs: number) => (node: VirtualNode) => {
    const set = (frozen: boolean) => () => {
      const running = node.plant.container(101);
      if (running !== undefined) running.frozen = frozen;
    };
    node.time.at(fromMs, set(true));
    node.time.at(toMs, set(false));
  };

  it('for an hour keeps all that it has, and so it does afterwards', async () => {
    const events = freeze(20 * MINUTE, 80 * MINUTE);
    const played = await play({ guests, forMs: 3 * HOUR, events });
    expect(played.node.sets).toEqual([]);
    expect(played.node.lines.filter((line) => /is skipped: it is frozen/.test(line))).toHaveLength(
      1,
    );
  });

  it('for half a minute again and again is not idle by that', async () => {
    const events = (node: VirtualNode) => {
      for (let at = 10 * MINUTE; at < 3 * HOUR; at += 90 * SECOND) {
        freeze(at, at + 80 * SECOND)(node);
      }
    };
    const yaml = 'DEFAULT: {poll_interval: 300, evaluation_periods: 1, cooldown_seconds: 0}\n';
    const played = await play({ yaml, guests, forMs: 3 * HOUR, events });
    expect(played.node.sets).toEqual([]);
  });

  it('gives a boost back when it goes on, not before', async () => {
    const yaml =
      'DEFAULT: {poll_interval: 60, scaling_mode: boost, boost_duration: 300, max_cores: 8}\n';
    const busy =
      (fromMs: number, toMs: number): DemandAt =>
      (timeMs) => ({
        cpuCores: timeMs >= fromMs && timeMs < toMs ? 4 : 1,
        anonMib: 800,
        fileSetMib: 30,
      });
    const boosting = [container(101, busy(5 * MINUTE, 8 * MINUTE), { cores: 2 })];
    const events = freeze(7 * MINUTE, 40 * MINUTE);
    const { node } = await play({ yaml, guests: boosting, forMs: HOUR, events });
    const [up, down, ...more] = node.sets.map(
      ({ atMs, request }) => [atMs, request.cores] as const,
    );
    expect([up?.[1], down?.[1], more]).toEqual([3, 2, []]);
    expect(down?.[0]).toBeGreaterThan(40 * MINUTE);
    expect(down?.[0]).toBeLessThan(42 * MINUTE);
  });
});

describe('CPUs that it cannot use', () => {
  it('are said to be the cause where it starves, and no cores are written', async () => {
    const demand = steady({ cpuCores: 4, anonMib: 1000, fileSetMib: 30 });
    const guests = [container(101, demand, { cores: 4 })];
    const host = { cpus: 8 };
    const events = (node: VirtualNode) => {
      node.machine.pvestatdRuns = false;
      const cpus = node.plant.container(101)?.limits.cpus ?? [];
      node.plant.unusableCpus = new Set(cpus.slice(2));
    };
    const { node } = await play({ guests, host, forMs: HOUR, events });
    expect(node.sets).toEqual([]);
    expect(node.lines).toContainEqual(expect.stringMatching(/can use only 2 of its 4 CPUs/));
  });

  it('are no longer dealt out by pvestatd, and that is told too', async () => {
    const demand = steady({ cpuCores: 4, anonMib: 1000, fileSetMib: 30 });
    const guests = [container(101, demand, { cores: 4 })];
    const events = (node: VirtualNode) => {
      node.plant.unusableCpus = new Set([2, 3, 4, 5, 6, 7]);
    };
    const { node } = await play({ guests, host: { cpus: 8 }, forMs: HOUR, events });
    expect(node.sets).toEqual([]);
    expect(node.lines).toContainEqual(expect.stringMatching(/can use only [12] of its 4 CPUs/));
  });
});

describe('a cpuset line of its own', () => {
  const LINE = 'lxc.cgroup2.cpuset.cpus: 12-15';
  const demand = steady({ cpuCores: 3.9, anonMib: 1000, fileSetMib: 30 });
  const pinned = (cores: number) => {
    const { conf, ...rest } = container(101, demand, { cores });
    return { ...rest, conf: `${conf}${LINE}\n` };
  };

  it('leaves cores alone, and names the line and the way out', async () => {
    const { node } = await play({ guests: [pinned(4)], forMs: HOUR });
    expect(node.sets).toEqual([]);
    const said = node.lines.filter((line) => line.includes(LINE));
    expect(said).toEqual([expect.stringMatching(/WARN: .*not scaled; `cpu_unit: cpulimit` works/)]);
  });

  it('lets a cpulimit go up and down within its CPUs', async () => {
    const yaml = 'DEFAULT: {poll_interval: 60, cpu_unit: cpulimit, max_cores: 8}\n';
    const { conf, ...rest } = container(101, demand, { cores: 1, cpuLimit: 1 });
    const guests = [{ ...rest, conf: `${conf}${LINE}\n` }];
    const { node } = await play({ yaml, guests, forMs: HOUR });
    expect(node.config(101)?.cpuLimit).toBe(4);
  });
});
