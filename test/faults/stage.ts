import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import type { DemandAt, HostSpec } from '../../src/sim/plant.ts';
import { type Levels, levelsOf } from './levels.ts';
import { hasMachines, MACHINE_TIERS } from './machine-stage.ts';
import { Random } from './random.ts';

/** The node that a trial plays on: its containers with their demand, and the configuration. */

export const HOST: HostSpec = {
  cpus: 8,
  memoryMib: 16_384,
  swapMib: 2048,
  baseCores: 0.1,
  baseMemoryMib: 1024,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};

/** With machines beside the containers. */
export const LARGER_HOST: HostSpec = { ...HOST, cpus: 16, memoryMib: 34_816 };

/** Older than `memory.reclaim`. */
export const OLD_KERNEL = '5.15.158-2-pve';

export const IGNORED = 108;
export const TAGGED_IGNORE = 109;
export const OBSERVED = 107;
export const MANAGED: readonly number[] = [101, 102, 103, 104, 105, 106];
export const ALL: readonly number[] = [...MANAGED, OBSERVED, IGNORED, TAGGED_IGNORE];

const LEVELS: Levels = {
  cpu: [0.05, 0.1, 0.5, 1, 2, 4],
  anon: [60, 150, 300, 700, 1200, 2000],
  files: [0, 50, 300, 900],
  longestS: 400,
};

const TAGS: Readonly<Record<number, string>> = {
  [OBSERVED]: 'autoscale-observe',
  [TAGGED_IGNORE]: 'autoscale-ignore',
};

export function guestsOf(seed: string): GuestSpec[] {
  return ALL.map((vmid) => {
    const random = new Random(seed, vmid, 'conf');
    const tags = TAGS[vmid];
    const conf = guestText({
      vmid,
      name: `ct${vmid}`,
      cores: random.whole(1, 4),
      memoryMib: random.pick([768, 1024, 2048, 3072]),
      swapMib: random.pick([0, 512]),
      ...(vmid === 106 && { cpuLimit: random.pick([1, 1.5, 2]) }),
      ...(tags !== undefined && { tags }),
    });
    return { vmid, conf, demand: levelsOf(seed, vmid, LEVELS) };
  });
}

export const POLL_MS = 5000;

/** A configuration of this seed, the `version`th that the administrator writes. */
export function configurationOf(seed: string, version: number): string {
  const random = new Random(seed, 'configuration', version);
  const mode = random.pick(['threshold', 'boost', 'adaptive']);
  return [
    'DEFAULT:',
    `  ignore_lxc: [${IGNORED}]`,
    '  log_quiet_cycles: True',
    `  poll_interval: ${POLL_MS / 1000}`,
    `  sample_interval: ${random.pick([2, 5])}`,
    `  max_concurrent_operations: ${random.pick([1, 1, 3])}`,
    `  cooldown_seconds: {up: 0, down: ${random.pick([20, 60])}}`,
    '  evaluation_periods: {up: 1, down: 2}',
    '  first_shrink_seconds: 20',
    '  start_grace_seconds: 20',
    '  manual_hold_seconds: 60',
    `  min_memory: ${random.pick([128, 256])}`,
    `  max_memory: ${random.pick([2560, 4096])}`,
    '  min_decrease_chunk: 64',
    '  memory_min_increment: 128',
    `  max_cores: ${random.pick([4, 6])}`,
    '  reserve_memory_mb: 1024',
    `  memory_overcommit_ratio: ${random.pick([1, 1.5])}`,
    '  backups_keep: 20',
    ...(hasMachines(seed) ? ['  manage_vms: True', ...MACHINE_TIERS] : []),
    'TIER_OTHER:',
    '  lxc_containers: [103, 104]',
    `  scaling_mode: ${mode}`,
    '  consecutive_samples: 2',
    '  boost_duration: 60',
    '  min_cores: 2',
    'TIER_PARTS:',
    '  lxc_containers: [106]',
    '  cpu_unit: cpulimit',
    '  min_cores: 0.5',
    '  max_cores: 3',
    ...(hasGroup(seed) ? [groupConfiguration(seed, version)] : []),
    '',
  ].join('\n');
}

export const BROKEN_CONFIGURATION = 'DEFAULT:\n  poll_interval: never\n  min_cores: 99\n';

export function writeConfiguration(root: string, text: string): void {
  const directory = join(root, 'etc/lxc_autoscale');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'lxc_autoscale.yaml'), text);
}

/** The group of the trials that have one: those whose seed begins with a `g`. */
export const GROUP = { label: 'web', source: 110, firstId: 9000, most: 4 } as const;

export const hasGroup = (seed: string): boolean => seed.startsWith('g');

const GROUP_CORES = [0.1, 0.4, 1, 2.5, 5] as const;

/** What the whole group is asked for, shared among those of its members that run. */
export function groupDemand(seed: string, running: () => number): DemandAt {
  const levelMs = new Random(seed, 'group', 'rhythm').whole(90, 300) * 1000;
  return (timeMs) => {
    const random = new Random(seed, 'group', 'level', Math.floor(timeMs / levelMs));
    return { cpuCores: random.pick(GROUP_CORES) / Math.max(1, running()), anonMib: 150 };
  };
}

export function sourceOf(demand: DemandAt): GuestSpec {
  const text = guestText({
    vmid: GROUP.source,
    name: 'web',
    cores: 2,
    memoryMib: 768,
    tags: 'prod',
  });
  return { vmid: GROUP.source, conf: `#notes of mine\n${text}`, demand };
}

function groupConfiguration(seed: string, version: number): string {
  const random = new Random(seed, 'group configuration', version);
  const keys = {
    source: GROUP.source,
    lxc_containers: [GROUP.source],
    min_instances: random.pick([1, 2]),
    max_instances: GROUP.most,
    starting_clone_id: GROUP.firstId,
    clone_network_type: 'static',
    static_ip_range: ['10.9.0.10', '10.9.0.19'],
    gateway: '10.9.0.1',
    horiz_cpu_upper_threshold: 80,
    horiz_cpu_lower_threshold: 30,
    scale_in: random.pick(['destroy', 'destroy', 'stop']),
    scale_out_grace_period: 20,
    scale_in_grace_period: 20,
    warmup_seconds: 5,
    ready_timeout: 30,
    clone_timeout: 120,
  };
  return `HORIZONTAL_SCALING_GROUP_${GROUP.label}: ${JSON.stringify(keys)}`;
}
