import { allCpus, type CpusetWish, chooseCpus, parseCpuList, rebalance } from './cpusets.ts';
import { type GuestConf, numberIn, type Section } from './guest-conf.ts';
import type { Plant, PlantContainer } from './plant.ts';

/** Which CPUs containers get: at their start by PVE::LXC, later by pvestatd. */

/** Settles after as many passes at most; a real node has had hours. */
const WARM_PASSES = 10;

/** The CPUs of a `cpuset.cpus` line of its own; the last one counts. */
export function pinnedCpus(section: Section): readonly number[] | undefined {
  const line = section.raw.filter(([key]) => /^lxc\.cgroup2?\.cpuset\.cpus$/.test(key)).at(-1);
  return line === undefined ? undefined : parseCpuList(line[1]);
}

export function startCpus(main: Section, hostCpus: number, random: () => number): number[] {
  const pinned = pinnedCpus(main)?.filter((cpu) => cpu < hostCpus);
  if (pinned !== undefined && pinned.length > 0) return pinned;
  return chooseCpus(numberIn(main, 'cores') ?? hostCpus, hostCpus, random);
}

const wishOf = ({ vmid, limits }: PlantContainer, conf: GuestConf | undefined): CpusetWish => ({
  vmid,
  cpus: limits.cpus,
  cores: conf && numberIn(conf.main, 'cores'),
  pinned: conf !== undefined && pinnedCpus(conf.main) !== undefined,
});

/** One pass of pvestatd over a plant. Returns the cpusets that it has changed. */
export function balance(
  plant: Plant,
  confOf: (vmid: number) => GuestConf | undefined,
): ReadonlyMap<number, readonly number[]> {
  const wishes = [...plant.containers()].map((each) => wishOf(each, confOf(each.vmid)));
  const allowed = plant.usable(allCpus(plant.host.cpus));
  const changed = rebalance(wishes, plant.host.cpus, allowed);
  for (const [vmid, cpus] of changed) plant.setLimits(vmid, { cpus });
  return changed;
}

/** What pvestatd has made of containers that have been up for long. */
export function balanceWarm(plant: Plant, confOf: (vmid: number) => GuestConf | undefined): void {
  for (let pass = 0; pass < WARM_PASSES && balance(plant, confOf).size > 0; pass += 1);
}
