import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { missing } from '../../src/core/reading.ts';
import { parseVmid } from '../../src/core/units.ts';
import type { VirtualNode } from '../../src/sim/virtual-node.ts';
import { labelled } from '../core/journal-events.ts';
import { type Played, play } from './drive.ts';
import { container, HOUR, MINUTE, steady } from './habits.ts';

/** What other tools of this kind do, each as a test that fails should this one ever do it too. */

const memorySteps = ({ node }: Played, vmid = 101): readonly (readonly [number, number])[] =>
  node.sets.flatMap(({ request, before }) =>
    request.vmid === vmid && request.memoryMib !== undefined
      ? [[before.memoryMib, request.memoryMib] as const]
      : [],
  );

const idle = steady({ cpuCores: 0.02, anonMib: 150, fileSetMib: 50 });
const unreadable = missing('unreadable', 'the file could not be read');

describe('the defects of others', () => {
  it.each<[string, (node: VirtualNode) => void]>([
    [
      'of the memory',
      (node) => {
        node.onSample = (_vmid, real) => ({ ok: true, value: { ...real, memory: unreadable } });
      },
    ],
    [
      'of the CPU',
      (node) => {
        node.onSample = (_vmid, real) => ({ ok: true, value: { ...real, cpu: unreadable } });
      },
    ],
    [
      'of everything',
      (node) => {
        node.onSample = () => unreadable;
      },
    ],
  ])('does not shrink on a failed reading %s', async (what, events) => {
    const guests = [container(101, idle, { memoryMib: 8192, cores: 4 })];
    const { node } = await play({ guests, forMs: 2 * HOUR, events });
    const shrunk = node.sets.map(({ request }) => request);
    if (what !== 'of the CPU') {
      expect(shrunk.filter(({ memoryMib }) => memoryMib !== undefined)).toEqual([]);
    }
    if (what !== 'of the memory') {
      expect(shrunk.filter(({ cores }) => cores !== undefined)).toEqual([]);
    }
    // With its readings it is shrunk, or this would show nothing.
    const seeing = await play({ guests, forMs: 2 * HOUR });
    expect(seeing.node.config(101)?.memoryMib).toBeLessThan(8192);
    expect(seeing.node.config(101)?.cores).toBeLessThan(4);
  });

  it('does not take 1100 MB with 209 in use down to 76', async () => {
    const yaml = `DEFAULT:
  min_memory: 16
  behaviour: aggressive
  memory_lower_threshold: 30
  min_decrease_chunk: 16
`;
    const demand = steady({ cpuCores: 0.1, anonMib: 204, fileSetMib: 20 });
    const guests = [container(101, demand, { memoryMib: 1100 })];
    const played = await play({ yaml, guests, forMs: 4 * HOUR });
    expect(played.node.scores.total().oomKills).toBe(0);
    expect(memorySteps(played).length).toBeGreaterThan(0);
    for (const [, after] of memorySteps(played)) expect(after).toBeGreaterThanOrEqual(209 + 64);
  });

  it.each([
    [2048, 2048 + 512],
    [16_384, 16_384 * 1.25],
  ])('does not grow %i MB by gigabytes at once when 95 %% is in use', async (has, most) => {
    const demand = steady({ anonMib: has * 0.93, fileSetMib: 0 });
    const guests = [container(101, demand, { memoryMib: has })];
    const played = await play({ guests, forMs: HOUR });
    const [first] = memorySteps(played);
    expect(first?.[0]).toBe(has);
    expect(first?.[1]).toBeGreaterThan(has);
    expect(first?.[1]).toBeLessThanOrEqual(most);
  });

  it('goes to the maximum where a step would overshoot it, instead of doing nothing', async () => {
    const yaml = `DEFAULT:
  max_cores: 5
  core_min_increment: 4
  max_memory: 2200
`;
    const demand = steady({ cpuCores: 9, anonMib: 1900 });
    const { node } = await play({ yaml, guests: [container(101, demand)], forMs: HOUR });
    expect(node.config(101)?.cores).toBe(5);
    expect(node.config(101)?.memoryMib).toBe(2200);
  });

  it('does not subtract the reserve twice', async () => {
    const yaml = `DEFAULT:
  max_cores: 64
  core_max_increment: 64
  reserve_cpu_percent: 10
  reserve_memory_mb: 2048
  memory_min_increment: 16384
`;
    const host = { cpus: 20, memoryMib: 8192, swapMib: 0, baseMemoryMib: 1024 };
    const demand = steady({ cpuCores: 40, anonMib: 1900 });
    let free = 0;
    const played = await play({
      yaml,
      host,
      guests: [container(101, demand)],
      forMs: 30 * MINUTE,
      events: ({ world }) => {
        const { memory } = world.host.observe();
        free = memory.ok ? memory.value.availableMib - 2048 : 0;
      },
    });
    expect(played.node.config(101)?.cores).toBe(18);
    const [first] = memorySteps(played);
    // In one step it gets all there is above the reserve, in units of 16 MiB.
    expect(first?.[1]).toBeGreaterThan(2048 + free - 64);
    expect(first?.[1]).toBeLessThanOrEqual(2048 + free);
  });

  it('does not let twenty 4 GB containers on 32 GB all grow', async () => {
    // Most of what the host counts as available is promised already, and cannot be given twice.
    const guests = Array.from({ length: 20 }, (_, index) =>
      container(101 + index, steady({ anonMib: 1200, fileSetMib: 0 }), {
        memoryMib: index < 4 ? 4096 : 1408,
        cores: 1,
      }),
    );
    const host = { memoryMib: 32_768, swapMib: 0 };
    const played = await play({ host, guests, forMs: HOUR, stepMs: 2500 });
    expect(played.broken).toEqual([]);
    const grown = guests.filter(({ vmid }) => memorySteps(played, vmid).length > 0);
    expect(grown.length).toBeGreaterThan(0);
    expect(grown.length).toBeLessThan(16);
    expect(played.node.scores.total().oomKills).toBe(0);
  });

  it.each([
    ['does nothing and says that all is well', { kind: 'no-effect' } as const],
    ['fails', { kind: 'fail', exit: 255, stderr: 'no quorum\n' } as const],
    ['never ends', { kind: 'hang' } as const],
  ])('does not report a pct set as done that %s', async (_what, fault) => {
    const guests = [container(101, steady({ cpuCores: 3 }))];
    const { node } = await play({
      guests,
      forMs: 20 * MINUTE,
      events: (it) => {
        it.onSet = () => fault;
      },
    });
    const labels = node.events.map((event) => labelled(event).action);
    expect(labels).toContain('Increase Cores Failed');
    expect(labels).not.toContain('Increase Cores');
    expect(node.events.map(({ details }) => details.status)).not.toContain('confirmed');
    expect(node.config(101)?.cores).toBe(2);
  });

  it.each([15, 30, 50, 70, 79])(
    'does not let energy mode and thresholds undo each other at %i %% in use',
    async (percent) => {
      const yaml = 'DEFAULT:\n  energy_mode: true\n  off_peak_start: 22\n  off_peak_end: 6\n';
      const demand = steady({
        cpuCores: 0.06 * percent,
        anonMib: 40 * percent,
        fileSetMib: 0,
      });
      const { node } = await play({
        yaml: `${yaml}  timezone: UTC\n`,
        forMs: 7 * HOUR,
        wallStartMs: Date.parse('2026-02-10T22:00:00Z'),
        guests: [container(101, demand, { cores: 6, memoryMib: 4096 })],
      });
      const directions = (of: 'cores' | 'memoryMib') =>
        node.sets.flatMap(({ request, before }) => {
          const after = request[of];
          return typeof after === 'number' ? [Math.sign(after - (before[of] ?? 0))] : [];
        });
      expect(directions('cores')).not.toContain(1);
      expect(directions('memoryMib')).not.toContain(1);
      expect(node.sets.length).toBeLessThanOrEqual(4);
    },
  );

  it('does not let boosts add up, nor one outlive a cycle that was missed', async () => {
    const yaml = 'DEFAULT:\n  scaling_mode: boost\n';
    const guests = [container(101, steady({ cpuCores: 8 }))];
    const restarts = [{ atMs: 2 * MINUTE, downMs: 20 * MINUTE, crash: true }];
    const { node } = await play({ yaml, guests, restarts, forMs: 4 * HOUR });
    const steps = node.sets.map(({ request, before }) => `${before.cores} -> ${request.cores}`);
    expect(new Set(steps)).toEqual(new Set(['2 -> 3', '3 -> 2']));
    expect(node.sets[1]?.atMs).toBeLessThanOrEqual(23 * MINUTE);
  });

  it('ignores the ids of "101,102"', async () => {
    const guests = [101, 102, 103].map((vmid) => container(vmid, steady({ cpuCores: 3 })));
    const yaml = 'DEFAULT:\n  ignore_lxc: "101,102"\n';
    const { node } = await play({ yaml, guests, forMs: HOUR });
    expect(new Set(node.sets.map(({ request }) => request.vmid))).toEqual(new Set([103]));
  });

  it('does not take "100\\n" for an id', () => {
    expect(parseVmid('100\n')).toBeUndefined();
    expect(parseVmid('100')).toBe(100);
    const loaded = parseConfig('DEFAULT:\n  ignore_lxc: ["100\\n"]\n', 'a.yaml', {});
    if (loaded.ok) expect(loaded.config.ignored.ids).toEqual([]);
    else expect(loaded.problems[0]?.key).toContain('ignore_lxc');
  });
});
