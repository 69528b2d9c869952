import { guestText } from './guest-text.ts';
import type { GuestSpec } from './machine.ts';
import type { Demand, DemandAt, HostSpec } from './plant.ts';

/**
 * The day that the demo shows: eight containers on one host, each with a habit of its own. All
 * curves are smooth, so that a day that passes in a minute can still be followed.
 */

const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;

/** The demo begins a little before the batch job does. */
export const SCENARIO_START_MS = 6 * HOUR_MS;
export const SCENARIO_DAY_MS = DAY_HOURS * HOUR_MS;

export const SCENARIO_HOST: HostSpec = {
  cpus: 16,
  memoryMib: 65_536,
  swapMib: 8192,
  baseCores: 0.3,
  baseMemoryMib: 2200,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};

const hourOfDay = (timeMs: number): number => (timeMs / HOUR_MS) % DAY_HOURS;

/** A hill around an hour of the day, 1 at its top, gone about `width` hours beside it. */
function hill(hour: number, top: number, width: number): number {
  const away = Math.abs(hour - top);
  const distance = Math.min(away, DAY_HOURS - away);
  return Math.exp(-((distance / (width / 2)) ** 2));
}

/** 0 to 1 and back, between two hours of a day, with slopes of so many hours. */
function shift(hour: number, from: number, to: number, slope: number): number {
  const rise = 1 / (1 + Math.exp((from - hour) / (slope / 4)));
  const fall = 1 / (1 + Math.exp((hour - to) / (slope / 4)));
  return rise * fall;
}

/** Shoppers come before noon and again in the evening. */
const shoppers = (hour: number): number =>
  Math.min(1, 0.08 + 0.75 * hill(hour, 11, 7) + 0.95 * hill(hour, 20, 5));

const webShop: DemandAt = (timeMs) => {
  const load = shoppers(hourOfDay(timeMs));
  return {
    cpuCores: 0.2 + 4 * load,
    anonMib: 800 + 800 * load,
    shmemMib: 64,
    fileSetMib: 500,
  };
};

/** Its buffers are shared memory, its files fill every room they get, and it grows with the day. */
const database: DemandAt = (timeMs) => {
  const load = shoppers(hourOfDay(timeMs));
  const daysOpen = Math.max(0, timeMs - SCENARIO_START_MS) / SCENARIO_DAY_MS;
  return {
    cpuCores: 0.5 + 1.8 * load,
    anonMib: 1500 + 1700 * Math.min(1, daysOpen) + 300 * load,
    shmemMib: 1536,
    fileSetMib: 12_288,
  };
};

/** At night's end and late in the evening it wants twice the cores that it begins with. */
const batch: DemandAt = (timeMs) => {
  const hour = hourOfDay(timeMs);
  const work = shift(hour, 6.3, 10.5, 0.2) + shift(hour, 22, 23.8, 0.3);
  const memory = shift(hour, 7, 11, 2) + shift(hour, 22, 24, 2);
  return { cpuCores: 0.05 + 6 * work, anonMib: 1000 + 500 * memory, fileSetMib: 1500 };
};

const idle: DemandAt = () => ({ cpuCores: 0.03, anonMib: 320, fileSetMib: 200 });

/** Leaks 60 MiB an hour; a timer restarts it at four in the morning, and a kill does too. */
const leaking: DemandAt = (timeMs, processAgeMs) => {
  const sinceFour = (hourOfDay(timeMs) - 4 + DAY_HOURS) % DAY_HOURS;
  const ageHours = Math.min(sinceFour, processAgeMs / HOUR_MS);
  return { cpuCores: 0.25, anonMib: 420 + 60 * ageHours, fileSetMib: 150 };
};

const bursty: DemandAt = (timeMs) => {
  const wave = Math.max(0, Math.sin((2 * Math.PI * timeMs) / (4 * HOUR_MS))) ** 3;
  return { cpuCores: 0.15 + 2.6 * wave, anonMib: 500 + 120 * wave, fileSetMib: 300 };
};

/** Would be given more if it were not left out. */
const ignored: DemandAt = (timeMs): Demand => ({
  cpuCores: 1.7 + 0.2 * Math.sin((2 * Math.PI * timeMs) / (6 * HOUR_MS)),
  anonMib: 1700,
  fileSetMib: 100,
});

/** Would be given less if no backup were running. */
const locked: DemandAt = () => ({ cpuCores: 0.1, anonMib: 380, fileSetMib: 900 });

/** Begins with the batch job on CPUs of its own: how crowded CPUs go is not what the demo shows. */
export const SCENARIO_SEED = 3;

/** Ids of the container that the demo's configuration ignores, and of the one with a lock. */
export const IGNORED_VMID = 107;
export const LOCKED_VMID = 108;

export function scenarioGuests(): GuestSpec[] {
  const rows = [
    { vmid: 101, name: 'web-shop', cores: 2, memoryMib: 2048, tags: 'prod;web', demand: webShop },
    { vmid: 102, name: 'database', cores: 4, memoryMib: 5120, tags: 'db;prod', demand: database },
    { vmid: 103, name: 'batch', cores: 3, memoryMib: 4096, tags: 'jobs', demand: batch },
    { vmid: 104, name: 'intranet', cores: 6, memoryMib: 12_288, tags: 'office', demand: idle },
    { vmid: 105, name: 'leaky-app', cores: 1, memoryMib: 2048, tags: 'prod', demand: leaking },
    { vmid: 106, name: 'build-runner', cores: 2, memoryMib: 1536, tags: 'ci', demand: bursty },
    { vmid: 107, name: 'legacy-mail', cores: 2, memoryMib: 2048, tags: 'mail', demand: ignored },
    { vmid: 108, name: 'wiki', cores: 4, memoryMib: 4096, tags: 'office', demand: locked },
  ];
  return rows.map(({ demand, ...settings }) => {
    const lock = settings.vmid === LOCKED_VMID ? { lock: 'backup' } : {};
    return { vmid: settings.vmid, demand, conf: guestText({ ...settings, ...lock }) };
  });
}
