import { describe, expect, it } from 'vitest';
import type { VmGuestSpec } from '../../src/sim/vm-guest.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import { type Played, play } from './drive.ts';
import { machineFigures, note, printFigures } from './figures.ts';
import { container, HOUR, MINUTE, steady } from './habits.ts';

/** Days of virtual machines: guest OOM kills, starved seconds, changes. */

const YAML = 'DEFAULT:\n  manage_vms: true\n  poll_interval: 60\n';
/** See `vm-guest.ts`. */
const SLOW_MIB_PER_S = 2;
const SETTINGS = { cores: 4, shares: 0, balloon: 2048 };

const machine = (guest: VmGuestSpec, own: Partial<VmSpec> = {}): VmSpec => ({
  vmid: 200,
  memoryMib: 8192,
  settings: SETTINGS,
  guest,
  ...own,
});

function guestOf({ node }: Played, vmid = 200) {
  const vm = node.vms.machine.running(vmid);
  if (vm === undefined) throw new Error(`${vmid} does not run`);
  return vm.guest;
}

/** In machines and in containers, also those by the host. */
const killsOf = ({ node }: Played): number => node.scores.total().oomKills;

const setting = ({ node }: Played, key: string, vmid = 200): number =>
  Number(node.vms.machine.conf(vmid)?.main.get(key));

printFigures();

/** Into the table, by the name of the test. */
function tabled(scenario: Played, what = ''): Played {
  const name = expect.getState().currentTestName?.replace(/^a virtual machine > /, '') ?? '';
  machineFigures(`${name.slice(0, 58)}${what}`, scenario);
  return scenario;
}

const played = async (vms: readonly VmSpec[], forMs: number, yaml = YAML): Promise<Played> =>
  tabled(
    await play({
      yaml,
      guests: [container(101, steady({ cpuCores: 0.5, anonMib: 300 }))],
      vms,
      forMs,
    }),
  );

describe('a virtual machine', () => {
  it('with the rhythm of a day always has its need, in few changes', async () => {
    const anonMib = (ms: number): number =>
      1900 + 1700 * Math.sin((ms / (24 * HOUR)) * 2 * Math.PI);
    const demand = (ms: number) => ({ cpuCores: 1, anonMib: anonMib(ms), fileSetMib: 100 });
    const day = await played(
      [machine({ demand }, { settings: { ...SETTINGS, balloon: 4096 } })],
      24 * HOUR,
    );
    expect(guestOf(day).oomKills).toBe(0);
    expect(guestOf(day).starvedMs).toBe(0);
    expect(day.broken).toEqual([]);
    expect(day.node.vms.sets.length).toBeLessThanOrEqual(10);
    expect(setting(day, 'balloon')).toBeGreaterThan(3600);
  });

  it('that fills all its memory with page cache does not grow for it', async () => {
    const demand = () => ({ cpuCores: 0.5, anonMib: 700 });
    const cached = await played([machine({ demand })], 6 * HOUR);
    const guest = guestOf(cached);
    expect(1 - guest.freeMib / guest.totalMib).toBeGreaterThan(0.95);
    expect(setting(cached, 'balloon')).toBeLessThanOrEqual(2048);
    expect(guest.oomKills).toBe(0);
  });

  it('with a leak grows up to its memory, and is not chased beyond', async () => {
    const demand = (ms: number) => ({
      cpuCores: 0.5,
      anonMib: 600 + (ms / HOUR) * 500,
      fileSetMib: 300,
    });
    const leaking = await played([machine({ demand })], 10 * HOUR);
    expect(guestOf(leaking).oomKills).toBe(0);
    expect(setting(leaking, 'balloon')).toBeGreaterThan(6000);
    expect(setting(leaking, 'balloon')).toBeLessThanOrEqual(8192);
  });

  it('in square waves is not taken below what the high half needs', async () => {
    const isHigh = (ms: number): boolean => ms % (40 * MINUTE) < 20 * MINUTE;
    const demand = (ms: number) => ({
      cpuCores: 0.5,
      anonMib: isHigh(ms) ? 1500 : 500,
      fileSetMib: 200,
    });
    const waves = await played([machine({ demand })], 12 * HOUR);
    expect(guestOf(waves).oomKills).toBe(0);
  });

  it('without a balloon driver is left alone in memory', async () => {
    const demand = () => ({ cpuCores: 0.5, anonMib: 7000 });
    const windows = await played([machine({ demand, driver: 'absent' })], 2 * HOUR);
    expect(windows.node.vms.sets.filter((line) => line.includes('balloon'))).toEqual([]);
    expect(windows.node.lines.join('\n')).toContain('no balloon driver answers in it');
  });

  describe('of whose memory only pvestatd tells', () => {
    const PLUGS = { cores: 2, balloon: 0, hotplug: 'memory,disk', numa: 1 };
    const grown = { cpuCores: 0.5, anonMib: 3300, fileSetMib: 100 };

    it('does not grow for page cache, with a driver or without', async () => {
      const demand = () => ({ cpuCores: 0.5, anonMib: 700 });
      const vms = [
        machine({ demand, driver: 'plain' }),
        machine({ demand }, { vmid: 201, memoryMib: 4096, settings: PLUGS }),
      ];
      const cached = await played(vms, 16 * HOUR);
      expect(cached.node.vms.sets).toEqual([]);
      const log = cached.node.lines.join('\n');
      expect(log).toContain('VM 201 (vm201): its guest does not tell what it needs of its memory');
      expect(log).toContain('Remedy: a balloon driver that tells what is available');
    });

    it('grows by a quarter at most, late, and gives nothing back', async () => {
      const demand = (ms: number) => (ms < 16 * HOUR ? grown : { cpuCores: 0, anonMib: 100 });
      const vms = [machine({ demand }, { memoryMib: 4096, settings: PLUGS })];
      const { node } = await played(vms, 22 * HOUR);
      expect(node.vms.sets.map((line) => line.replace(/ --digest.*/, ''))).toEqual([
        'set 200 --memory 5120',
      ]);
      expect(node.vms.setsAtMs[0]).toBeGreaterThan(6 * HOUR);
      expect(node.lines.join('\n')).toContain('which counts page cache as used');
    });

    it('does not grow on what pvestatd said when it still ran', async () => {
      const vms = [machine({ demand: () => grown }, { memoryMib: 4096, settings: PLUGS })];
      const stopped = await play({
        yaml: YAML,
        guests: [],
        vms,
        forMs: 8 * HOUR,
        events: ({ time, machine: pve }) =>
          time.at(HOUR, () => {
            pve.pvestatdRuns = false;
          }),
      });
      expect(stopped.node.vms.sets).toEqual([]);
      expect(stopped.node.lines.join('\n')).toContain('systemctl status pvestatd');
    });
  });

  it('whose balloon is slow is not pushed while it moves', async () => {
    const demand = () => ({ cpuCores: 0.5, anonMib: 500, fileSetMib: 200 });
    const settings = { ...SETTINGS, balloon: 8192 };
    const slow = await played([machine({ demand, driver: 'slow' }, { settings })], 12 * HOUR);
    expect(guestOf(slow).oomKills).toBe(0);
    const { sets, setsAtMs } = slow.node.vms;
    const targets = sets.map((line) => Number(/--balloon (\d+)/.exec(line)?.[1]));
    expect(targets.length).toBeGreaterThan(5);
    // Each step has come to its end before the next one begins.
    let before = 8192;
    for (const [index, target] of targets.entries()) {
      const next = setsAtMs[index + 1] ?? Number.POSITIVE_INFINITY;
      const movedMib = ((next - (setsAtMs[index] ?? 0)) / 1000) * SLOW_MIB_PER_S;
      expect(movedMib).toBeGreaterThanOrEqual(before - target - 8);
      before = target;
    }
  });

  it('that pvestatd balloons is left to pvestatd', async () => {
    const demand = () => ({ cpuCores: 0.5, anonMib: 1700 });
    const settings = { ...SETTINGS, shares: 1000 };
    const auto = await played([machine({ demand }, { settings })], 2 * HOUR);
    expect(auto.node.vms.sets).toEqual([]);
    expect(auto.node.lines.join('\n')).toContain('pvestatd balloons it between 2048 and 8192 MB');
  });

  it('that refuses to give CPUs back has nothing pending, and is not asked often', async () => {
    const demand = () => ({ cpuCores: 0.1, anonMib: 1000, fileSetMib: 300 });
    const settings = { ...SETTINGS, hotplug: 'cpu,disk', vcpus: 4 };
    const refusing = await played(
      [machine({ demand, refusesUnplug: true }, { settings })],
      24 * HOUR,
    );
    expect(refusing.node.vms.machine.conf(200)?.pending.size).toBe(0);
    expect(setting(refusing, 'vcpus')).toBe(4);
    const tries = refusing.node.vms.sets.filter((line) => line.includes('--vcpus'));
    expect(tries.length).toBeLessThanOrEqual(32);
    expect(refusing.node.vms.sets.filter((line) => line.includes('--revert')).length).toBe(
      tries.length,
    );
  });

  it('gets CPUs plugged in, and no more than sockets x cores', async () => {
    const demand = () => ({ cpuCores: 8, anonMib: 1000, fileSetMib: 300 });
    const settings = { ...SETTINGS, hotplug: 'cpu,disk', vcpus: 1 };
    const busy = await played([machine({ demand }, { settings })], HOUR);
    expect(guestOf(busy).vcpus).toBe(4);
    expect(setting(busy, 'vcpus')).toBe(4);
  });

  it('grows beyond its memory by modules, where they can be plugged in', async () => {
    const demand = (ms: number) => ({
      cpuCores: 0.5,
      anonMib: 600 + (ms / HOUR) * 600,
      fileSetMib: 300,
    });
    const settings = { cores: 2, shares: 0, hotplug: 'memory,disk', numa: 1 };
    const plugged = await played([machine({ demand }, { memoryMib: 2048, settings })], 6 * HOUR);
    expect(guestOf(plugged).oomKills).toBe(0);
    expect((setting(plugged, 'memory') - 1024) % 512).toBe(0);
    expect(setting(plugged, 'memory')).toBeGreaterThan(3500);
  });

  describe('with modules and without a balloon of its own', () => {
    const demand = () => ({ cpuCores: 0.5, anonMib: 400, fileSetMib: 300 });
    const settings = { cores: 2, hotplug: 'memory,disk', numa: 1 };
    const unplugged = (unplug: boolean, guest: Partial<VmGuestSpec> = {}) =>
      played(
        [machine({ demand, ...guest }, { memoryMib: 5120, settings })],
        12 * HOUR,
        `${YAML}  vm_memory_unplug: ${unplug}\n  first_shrink_seconds: 600\n`,
      );
    const targets = ({ node }: Played): readonly number[] =>
      node.vms.sets.flatMap((line) => /--memory (\d+)/.exec(line)?.[1] ?? []).map(Number);

    it('keeps what it has, if nothing else is said', async () => {
      const kept = await unplugged(false);
      expect(targets(kept)).toEqual([]);
    });

    it('gives them back one at a time where that is asked for', async () => {
      const less = await unplugged(true);
      expect(guestOf(less).oomKills).toBe(0);
      const down = targets(less);
      expect(down.length).toBeGreaterThan(1);
      for (const [index, mib] of down.entries()) expect(mib).toBe(5120 - (index + 1) * 512);
      expect(guestOf(less).memoryMib).toBe(down.at(-1));
    });

    it('that it does not give up has nothing pending, is not asked often, and grows', async () => {
      const later = (ms: number) => ({
        ...demand(),
        anonMib: 400 + Math.max(0, ms / HOUR - 8) * 1400,
      });
      const stubborn = await unplugged(true, { refusesUnplug: true, demand: later });
      expect(guestOf(stubborn).oomKills).toBe(0);
      expect(stubborn.node.vms.machine.conf(200)?.pending.size).toBe(0);
      const all = targets(stubborn);
      expect(all.filter((mib) => mib < 5120).length).toBeGreaterThan(0);
      expect(all.filter((mib) => mib < 5120).length).toBeLessThan(10);
      expect(Math.max(...all)).toBeGreaterThan(5120);
      expect(stubborn.node.lines.join('\n')).toContain('its guest keeps the module beyond');
    });
  });

  it('and containers share a host that is short of memory, by priority', async () => {
    const yaml =
      `${YAML}TIER_gold:\n  guests: [101, 200]\n  priority: 90\n` +
      'TIER_iron:\n  guests: [102, 201]\n  priority: 10\n';
    const hungry = (ms: number) => ({
      cpuCores: 0.2,
      anonMib: Math.min(3500, 900 + (ms / HOUR) * 900),
      fileSetMib: 100,
    });
    const guests = [101, 102].map((id) => container(id, hungry, { memoryMib: 2048 }));
    const vms = [200, 201].map((vmid) => machine({ demand: hungry }, { vmid }));
    const short = await play({
      yaml,
      guests,
      vms,
      forMs: 6 * HOUR,
      host: { memoryMib: 12_200, baseMemoryMib: 1000 },
    });
    expect(short.broken).toEqual([]);
    expect(setting(short, 'balloon', 200)).toBeGreaterThanOrEqual(setting(short, 'balloon', 201));
    const limits = (vmid: number): number => short.node.config(vmid)?.memoryMib ?? 0;
    expect(limits(101)).toBeGreaterThan(limits(102));
    // Before growth is granted the host has it: it never runs out of memory itself.
    expect(short.node.scores.total().hostOomKills).toBe(0);
  });

  describe('and containers of three priorities, on a host without room for their need', () => {
    const hungry = (ms: number) => ({
      cpuCores: 0.2,
      anonMib: Math.min(3500, 900 + (ms / HOUR) * 900),
      fileSetMib: 100,
    });
    const tiers =
      'TIER_gold:\n  guests: [101, 200]\n  priority: 90\n' +
      'TIER_iron:\n  guests: [102, 201]\n  priority: 10\n';
    const managed = (ratio: number): string =>
      `${YAML}  memory_overcommit_ratio: ${ratio}\n${tiers}`;
    const alone = 'DEFAULT:\n  scaling_mode: observe\n';
    const onHost = (memoryMib: number, yaml: string): Promise<Played> =>
      play({
        yaml,
        // Those in no tier have 50.
        guests: [101, 102, 103].map((id) => container(id, hungry, { memoryMib: 2048 })),
        vms: [200, 201, 202].map((vmid) => machine({ demand: hungry }, { vmid })),
        forMs: 6 * HOUR,
        host: { memoryMib, baseMemoryMib: 1000 },
      });

    it('get no more than it has, the higher ones first, if they are containers', async () => {
      // The other way round than their ids.
      const short = await play({
        yaml: `${managed(1)}TIER_top:\n  guests: [103]\n  priority: 99\n`
          .replace('101, 200', '102')
          .replace('102, 201', '101'),
        guests: [101, 102, 103].map((id) => container(id, hungry, { memoryMib: 2048 })),
        forMs: 6 * HOUR,
        host: { memoryMib: 9000, baseMemoryMib: 1000 },
      });
      expect(short.broken).toEqual([]);
      const [low = 0, middle = 0, high = 0] = [101, 102, 103].map(
        (id) => short.node.config(id)?.memoryMib,
      );
      expect(high).toBeGreaterThan(middle);
      expect(middle).toBeGreaterThan(low);
      expect(short.node.scores.total().hostOomKills).toBe(0);
    });

    it('get no more than it has, the higher ones first', async () => {
      const short = await onHost(15_200, managed(1));
      expect(short.broken).toEqual([]);
      const [high = 0, middle = 0, low = 0] = [200, 202, 201].map((vmid) =>
        setting(short, 'balloon', vmid),
      );
      expect(high).toBeGreaterThan(middle);
      expect(middle).toBeGreaterThan(low);
      expect(short.node.scores.total().hostOomKills).toBe(0);
    });

    // What they were given comes to 13.3 GB. Where that is more than there is, it kills by itself.
    it.each([10_000, 11_500, 12_500, 13_000, 15_200])(
      'are no worse off than alone where limits may be twice as much: %d MB',
      async (memoryMib) => {
        const [left, short] = [await onHost(memoryMib, alone), await onHost(memoryMib, managed(2))];
        const bound = await onHost(memoryMib, managed(1));
        const cells = [left, bound, short].map((one) => {
          return `${killsOf(one)}, ${one.node.scores.total().hostOomKills} by the host`;
        });
        note(`${memoryMib} MB, OOM kills left alone | ratio 1 | ratio 2: ${cells.join(' | ')}`);
        expect(short.broken).toEqual([]);
        const [before, after] = [left, short].map(({ node }) => node.scores.total().hostOomKills);
        expect(after).toBeLessThanOrEqual((before ?? 0) * 1.03);
        expect(killsOf(short)).toBeLessThanOrEqual(killsOf(left) * 1.03);
      },
    );
  });
});
