import type { BalloonDriver, VmGuestSpec } from '../../src/sim/vm-guest.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import { type Levels, levelsOf } from './levels.ts';
import { Random } from './random.ts';

/** The virtual machines of the trials that have some: those whose seed begins with a `v`. */

export const hasMachines = (seed: string): boolean => seed.startsWith('v');

/** One of each kind: what its levers are, and what its guest does of what it is asked. */
export const MACHINE = {
  byLimit: 201,
  byCpus: 202,
  byAll: 203,
  unplugs: 204,
  refuses: 205,
  /** Of whose memory only pvestatd tells. */
  noDriver: 206,
  /** pvestatd moves its balloon. */
  automatic: 207,
  observed: 208,
  ignored: 209,
} as const;

export const LEFT_ALONE: readonly number[] = [MACHINE.observed, MACHINE.ignored];
export const MANAGED_MACHINES: readonly number[] = Object.values(MACHINE).filter(
  (vmid) => !LEFT_ALONE.includes(vmid),
);

const PLUGS = { hotplug: 'cpu,memory,disk', numa: 1 };
const BALLOON = { shares: 0, balloon: 1536 };

const SHAPES: Readonly<Record<number, Pick<VmSpec, 'memoryMib' | 'settings'>>> = {
  [MACHINE.byLimit]: { memoryMib: 4096, settings: { cores: 4, cpulimit: 1.5, ...BALLOON } },
  [MACHINE.byCpus]: {
    memoryMib: 3072,
    settings: { cores: 4, vcpus: 2, hotplug: 'disk,cpu', ...BALLOON },
  },
  [MACHINE.byAll]: {
    memoryMib: 1536,
    settings: { cores: 4, vcpus: 2, shares: 0, balloon: 1024, ...PLUGS },
  },
  [MACHINE.unplugs]: { memoryMib: 3072, settings: { cores: 4, vcpus: 3, ...PLUGS } },
  [MACHINE.refuses]: { memoryMib: 3072, settings: { cores: 4, vcpus: 3, ...PLUGS } },
  [MACHINE.noDriver]: { memoryMib: 2048, settings: { cores: 2, hotplug: 'memory', numa: 1 } },
  [MACHINE.automatic]: { memoryMib: 4096, settings: { cores: 2, balloon: 1024 } },
  [MACHINE.observed]: {
    memoryMib: 2048,
    settings: { cores: 4, vcpus: 2, tags: 'autoscale-observe', ...BALLOON, ...PLUGS },
  },
  [MACHINE.ignored]: {
    memoryMib: 2048,
    settings: { cores: 4, vcpus: 2, tags: 'autoscale-ignore', ...BALLOON, ...PLUGS },
  },
};

const LEVELS: Levels = {
  cpu: [0.05, 0.1, 0.5, 1, 2, 4],
  anon: [100, 250, 500, 800, 1200, 1700],
  files: [50, 200, 400, 4000],
  longestS: 300,
  filesAtOnce: true,
};
const SPELL_MS = 120_000;

/** A guest that helps today and does not tomorrow. */
function guestOf(seed: string, vmid: number): VmGuestSpec {
  const levels = levelsOf(seed, vmid, LEVELS);
  let nowMs = 0;
  const spell = (what: string): Random =>
    new Random(seed, vmid, what, Math.floor(nowMs / SPELL_MS));
  return {
    demand: (timeMs, ageMs) => {
      nowMs = timeMs;
      return levels(timeMs, ageMs);
    },
    get refusesUnplug() {
      return vmid === MACHINE.refuses || spell('refuses').chance(0.2);
    },
    get driver(): BalloonDriver {
      if (vmid === MACHINE.noDriver) return 'absent';
      return spell('driver').pick(['prompt', 'prompt', 'prompt', 'slow', 'plain', 'absent']);
    },
  };
}

export const machinesOf = (seed: string): readonly VmSpec[] =>
  Object.entries(SHAPES).map(([id, shape]) => ({
    vmid: Number(id),
    ...shape,
    guest: guestOf(seed, Number(id)),
  }));

/** Tiers in the form of the configuration; all others are in `DEFAULT`. */
export const MACHINE_TIERS: readonly string[] = [
  'TIER_LIMITS:',
  `  virtual_machines: [${MACHINE.byLimit}]`,
  '  cpu_unit: cpulimit',
  '  min_cores: 0.5',
  '  max_cores: 3',
  'TIER_MODULES:',
  `  virtual_machines: ["${MACHINE.unplugs}-${MACHINE.refuses}"]`,
  '  vm_memory_unplug: True',
];
