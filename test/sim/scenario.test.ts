import { expect, it } from 'vitest';
import { effectiveLimits, parseConf } from '../../src/sim/guest-conf.ts';
import { Plant } from '../../src/sim/plant.ts';
import { kernelBytesFor } from '../../src/sim/plant-memory.ts';
import {
  IGNORED_VMID,
  LOCKED_VMID,
  SCENARIO_DAY_MS,
  SCENARIO_HOST,
  SCENARIO_START_MS,
  scenarioGuests,
} from '../../src/sim/scenario.ts';

const MIB = 1024 * 1024;
const MINUTE_MS = 60_000;
const LONG_RUNNING = Number.POSITIVE_INFINITY;

const guests = scenarioGuests().map((guest) => ({
  ...guest,
  conf: parseConf(guest.vmid, guest.conf),
}));
const find = (vmid: number) => {
  const guest = guests.find((one) => one.vmid === vmid);
  if (guest === undefined) throw new Error(`there is no container ${vmid}`);
  return guest;
};

it('has eight containers that fit on its host, one of them locked', () => {
  expect(guests.map((guest) => guest.vmid)).toEqual([101, 102, 103, 104, 105, 106, 107, 108]);
  expect(guests.flatMap((guest) => guest.conf.warnings)).toEqual([]);
  const locked = guests.filter((guest) => guest.conf.main.values.get('lock') === 'backup');
  expect(locked.map((guest) => guest.vmid)).toEqual([LOCKED_VMID]);
  expect(find(IGNORED_VMID).conf.main.values.get('hostname')).toBe('legacy-mail');
  const memory = guests.map((guest) => effectiveLimits(guest.conf.main).memoryMib);
  expect(memory.reduce((sum, mib) => sum + mib, 0)).toBeLessThan(SCENARIO_HOST.memoryMib * 0.75);
});

/** What cannot be reclaimed, as a share of the memory that the day begins with. */
function fill(vmid: number, timeMs: number, ageMs = LONG_RUNNING): number {
  const guest = find(vmid);
  const { anonMib, shmemMib = 0 } = guest.demand(timeMs, ageMs);
  const held = anonMib + shmemMib + kernelBytesFor(anonMib * MIB) / MIB;
  return held / effectiveLimits(guest.conf.main).memoryMib;
}

it('begins within the limits, and never needs more than a host could give', () => {
  for (const { vmid, demand } of guests) {
    expect(fill(vmid, SCENARIO_START_MS)).toBeLessThan(0.9);
    for (let ms = 0; ms < 2 * SCENARIO_DAY_MS; ms += 10 * MINUTE_MS) {
      const { cpuCores, anonMib } = demand(ms, LONG_RUNNING);
      expect(cpuCores).toBeGreaterThan(0);
      expect(cpuCores).toBeLessThan(8);
      expect(anonMib).toBeLessThan(8192);
    }
  }
});

it('changes slowly enough for memory to be followed every 48 minutes', () => {
  for (const { vmid, demand } of guests) {
    for (let ms = 0; ms < 2 * SCENARIO_DAY_MS; ms += 10 * MINUTE_MS) {
      const now = demand(ms, LONG_RUNNING).anonMib;
      const later = demand(ms + 48 * MINUTE_MS, LONG_RUNNING).anonMib;
      // From just under four fifths of a limit it does not reach the whole.
      expect(later / now, `container ${vmid} at ${ms / 3_600_000} h`).toBeLessThan(1.24);
    }
  }
});

it('asks for the batch job soon after the start, for many cores', () => {
  const { demand } = find(103);
  expect(demand(SCENARIO_START_MS, LONG_RUNNING).cpuCores).toBeLessThan(0.3);
  const soon = SCENARIO_START_MS + 90 * MINUTE_MS;
  expect(demand(soon, LONG_RUNNING).cpuCores).toBeGreaterThan(5.5);
  expect(demand(14 * 60 * MINUTE_MS, LONG_RUNNING).cpuCores).toBeLessThan(0.1);
});

it('lets the leak grow until four, and begin anew then and after a kill', () => {
  const { demand } = find(105);
  const at = (hour: number, ageHours = LONG_RUNNING) =>
    demand(hour * 60 * MINUTE_MS, ageHours * 60 * MINUTE_MS).anonMib;
  expect(at(27.9)).toBeGreaterThan(1800);
  expect(at(28.1)).toBeLessThan(500);
  expect(at(27.9, 1)).toBeLessThan(500);
});

it('passes without a kill even when nobody scales', () => {
  const plant = new Plant(SCENARIO_HOST, {
    demandSpeed: SCENARIO_DAY_MS / 60_000,
    demandStartMs: SCENARIO_START_MS,
  });
  for (const { vmid, conf, demand } of guests) {
    const limits = effectiveLimits(conf.main);
    const cpus = Array.from({ length: limits.cores ?? 1 }, (_, cpu) => cpu);
    const memoryMaxBytes = limits.memoryMib * MIB;
    const swapMaxBytes = limits.swapMib * MIB;
    const set = { cpus, cpuLimit: undefined, cpuWeight: 100, memoryMaxBytes, swapMaxBytes };
    plant.start(vmid, set, demand, true);
  }
  for (let ms = 0; ms < 60_000; ms += 200) plant.step(200);
  expect(plant.takeEvents()).toEqual([]);
});
