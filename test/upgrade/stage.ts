import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { type NodeOptions, SimulatedNode } from '../../src/sim/node.ts';
import type { DemandAt, HostSpec } from '../../src/sim/plant.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import type { EarlierBuild } from './earlier-builds.ts';

/** A node on which each thing happens that is to be remembered over an update of the program. */

const MINUTE_MS = 60_000;
/** An evening: the off-peak time of the configuration has begun. */
export const START_MS = Date.UTC(2026, 10, 21, 22, 30);
/** Of the simulated node at its beginning. */
export const UPTIME_MS = 7_200_000;
/** How long an earlier build has run on it when it is replaced. */
export const RECORDED_MS = 100 * MINUTE_MS;

/** Its CPU is saturated from the ninetieth minute on. */
export const BOOSTED = 101;
export const LEARNT = 102;
/** `pct set` fails for it from the eightieth minute on. */
export const REFUSED = 104;
/** An administrator gives it more memory in the ninetieth minute. */
export const BY_HAND = 105;
/** The OOM killer strikes in the seventieth minute. */
export const KILLED = 106;
/** Rolled back by hand at the end. */
export const ROLLED_BACK = 107;
export const SOURCE = 110;
export const FIRST_CLONE = 99_000;
export const MACHINE = 201;
const OTHERS = [103, 108] as const;

const HOST: HostSpec = {
  cpus: 64,
  memoryMib: 131_072,
  swapMib: 8192,
  baseCores: 0.3,
  baseMemoryMib: 2048,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};

/** One value before a minute of the node, another one from then on. */
const from = (minute: number, atMs: number, before: number, after: number): number =>
  atMs < minute * MINUTE_MS ? before : after;

const rhythm = (atMs: number, minutes: number): number =>
  1 + Math.sin((2 * Math.PI * atMs) / (minutes * MINUTE_MS));

const DEMANDS: Readonly<Record<number, DemandAt>> = {
  [BOOSTED]: (atMs) => ({ cpuCores: from(90, atMs, 0.9, 8), anonMib: 500 }),
  [LEARNT]: (atMs) => ({ cpuCores: 0.1 + rhythm(atMs, 60), anonMib: 300 + 500 * rhythm(atMs, 70) }),
  [REFUSED]: (atMs) => ({ cpuCores: 1, anonMib: from(80, atMs, 500, 980) }),
  [BY_HAND]: () => ({ cpuCores: 1, anonMib: 500 }),
  [KILLED]: (atMs) => ({ cpuCores: 1, anonMib: from(70, atMs, 500, 5000) }),
  [ROLLED_BACK]: (atMs) => ({ cpuCores: from(20, atMs, 1, 3), anonMib: 500 }),
};

/** Of all others: each has a rhythm of its own. */
function demandOf(vmid: number): DemandAt {
  const known = DEMANDS[vmid];
  if (known !== undefined) return known;
  if (vmid === SOURCE || vmid >= FIRST_CLONE) return () => ({ cpuCores: 1.2, anonMib: 500 });
  const minutes = RESTLESS.includes(vmid) ? 9 + (vmid % 5) : 50 + (vmid % 7) * 9;
  return (atMs) => ({
    cpuCores: rhythm(atMs, minutes),
    anonMib: 200 + 600 * rhythm(atMs, minutes),
  });
}

/** Of the long form: with these something is changed in nearly each cycle. */
export const RESTLESS: readonly number[] = Array.from({ length: 12 }, (_, at) => 130 + at);

const CONTAINERS = [BOOSTED, LEARNT, REFUSED, BY_HAND, KILLED, ROLLED_BACK, SOURCE, ...OTHERS];

const machineOf = (conf: Readonly<Record<string, string | number>> = {}): VmSpec => ({
  vmid: MACHINE,
  memoryMib: 8192,
  settings: { cores: 4, shares: 0, balloon: 2048, hotplug: 'network,disk,usb,cpu', ...conf },
  guest: { demand: (atMs) => ({ cpuCores: 1, anonMib: 1000 + 500 * rhythm(atMs, 40) }) },
});

export interface StageGuests {
  /** Configurations by ids. */
  readonly containers: ReadonlyMap<number, string>;
  /** Configurations by ids. */
  readonly machines: ReadonlyMap<number, string>;
}

/** @param guests of a node on which something has happened already; else as at its beginning */
export async function stage(
  options: Pick<NodeOptions, 'root'> & Partial<NodeOptions>,
  { containers, machines }: StageGuests,
): Promise<SimulatedNode> {
  const guests = [...containers].map(([vmid, conf]): GuestSpec => {
    return { vmid, conf, demand: demandOf(vmid) };
  });
  let node: SimulatedNode | undefined;
  const sharedWallMs = (): number => START_MS + (node?.machine.plant.hostMs ?? 0);
  node = await SimulatedNode.create({
    sharedWallMs,
    host: HOST,
    guests,
    vms: [...machines.values()].map((conf) => machineOf(settingsOf(conf))),
    stepMs: 1000,
    wallStartS: START_MS / 1000,
    cloneDemand: demandOf,
    ...options,
  });
  return node;
}

const settingsOf = (conf: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    conf
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  );

/** As nothing has happened yet. */
export const beginning = (
  { hasVms }: Pick<EarlierBuild, 'hasVms'>,
  more: readonly number[] = [],
): StageGuests => ({
  containers: new Map(
    [...CONTAINERS, ...more].map((vmid) => [
      vmid,
      guestText({ vmid, name: `ct${vmid}`, cores: 2, memoryMib: vmid === SOURCE ? 2048 : 1024 }),
    ]),
  ),
  machines: new Map(hasVms ? [[MACHINE, '']] : []),
});

/** The configuration that a build has run with. */
export function configurationFor({ state, keys, hasGroups }: EarlierBuild): string {
  const boosts = { saturation_threshold: 0.9, boost_duration: 1800 };
  const energy = { energy_mode: true, off_peak_start: 22, off_peak_end: 1 };
  const sections = {
    DEFAULT: {
      poll_interval: 60,
      sample_interval: 10,
      ...keys,
      ...(state > 1 && { ...energy, first_shrink_seconds: 600, backups_keep: 3 }),
    },
    ...(state > 1 && {
      TIER_BOOSTED: { lxc_containers: [BOOSTED], scaling_mode: 'boost', max_cores: 16, ...boosts },
      TIER_LEARNING: { lxc_containers: [LEARNT], scaling_mode: 'adaptive' },
    }),
    ...(hasGroups && {
      HORIZONTAL_SCALING_GROUP_web: {
        source: SOURCE,
        lxc_containers: [SOURCE],
        min_instances: 3,
        max_instances: 5,
        starting_clone_id: FIRST_CLONE,
        clone_network_type: 'static',
        static_ip_range: ['198.18.9.10', '198.18.9.19'],
        gateway: '198.18.9.1',
      },
    }),
  };
  return `${JSON.stringify(sections, undefined, 2)}\n`;
}

/** What happens besides demand, each once, as time goes on. */
export class Happenings {
  readonly #node: SimulatedNode;
  #isEdited: boolean;

  constructor(node: SimulatedNode, elapsedMs = 0) {
    this.#node = node;
    this.#isEdited = elapsedMs > 90 * MINUTE_MS;
    let nowMs = elapsedMs;
    node.onCommand(({ argv }) =>
      nowMs >= 80 * MINUTE_MS && argv[1] === 'set' && argv[2] === String(REFUSED)
        ? { kind: 'fail', exit: 255, stderr: 'unable to open file - Permission denied\n' }
        : undefined,
    );
    this.goOn = (atMs) => {
      nowMs = atMs;
      this.#edit(atMs);
    };
  }

  readonly goOn: (atMs: number) => void;

  #edit(atMs: number): void {
    if (this.#isEdited || atMs < 90 * MINUTE_MS) return;
    this.#isEdited = true;
    void this.#node.run(['pct', 'set', String(BY_HAND), '--memory', '1536']);
  }
}
