import { parseVmid, type Vmid } from '../core/units.ts';
import { chooseCpus, rebalance } from './cpusets.ts';
import {
  confText,
  effectiveLimits,
  type GuestConf,
  numberIn,
  parseConf,
  type Section,
} from './guest-conf.ts';
import { type GuestSpec, limitsFrom } from './machine.ts';
import type { SettableMachine } from './pct-context.ts';
import type { DemandAt, Plant, PlantContainer } from './plant.ts';

/** Configurations in memory and the plant below them: a `Machine` without any file. */
export class VirtualMachine implements SettableMachine {
  readonly plant: Plant;
  /** A pvestatd that is stopped never brings `cores` to a cpuset. */
  pvestatdRuns = true;
  readonly #contents = new Map<Vmid, string>();
  readonly #demands = new Map<number, DemandAt>();
  readonly #lives = new Map<number, number>();

  constructor(plant: Plant, guests: readonly GuestSpec[]) {
    this.plant = plant;
    for (const guest of guests) this.add(guest, true);
  }

  readonly files = {
    read: (vmid: number): string | undefined => this.#contents.get(vmid as Vmid),
    relativePath: (vmid: number): string => `nodes/pve1/lxc/${vmid}.conf`,
  };

  vmids(): IterableIterator<Vmid> {
    return this.#contents.keys();
  }

  /** How often a container was started: each life has a cgroup of its own. */
  lifeOf(vmid: number): number {
    return this.#lives.get(vmid) ?? 0;
  }

  /** @param warm it has been up for an hour */
  add(guest: GuestSpec, warm = false): void {
    const vmid = parseVmid(String(guest.vmid));
    if (vmid === undefined) throw new Error(`${guest.vmid} is no id of a container`);
    this.#contents.set(vmid, guest.conf);
    this.#demands.set(vmid, guest.demand);
    if (guest.running !== false) this.start(vmid, warm);
  }

  remove(vmid: number): void {
    this.plant.stop(vmid);
    this.#contents.delete(vmid as Vmid);
  }

  write(vmid: number, content: string): void {
    this.#contents.set(vmid as Vmid, content);
  }

  conf(vmid: number): GuestConf | undefined {
    const content = this.files.read(vmid);
    return content === undefined ? undefined : parseConf(vmid, content);
  }

  save(vmid: number, conf: GuestConf): void {
    this.write(vmid, confText(conf));
  }

  running(vmid: number): PlantContainer | undefined {
    return this.plant.container(vmid);
  }

  applyLimits(vmid: number, section: Section): void {
    const container = this.running(vmid);
    if (container === undefined) return;
    this.plant.setLimits(vmid, limitsFrom(section, container.limits.cpus));
  }

  /** Who wants to know what was set looks at the requests. */
  note(): void {}

  touchLockFile(vmid: number): string {
    return `/run/lock/lxc/pve-config-${vmid}.lock`;
  }

  start(vmid: number, warm = false): void {
    const conf = this.conf(vmid);
    const demand = this.#demands.get(vmid);
    if (conf === undefined || demand === undefined || this.running(vmid) !== undefined) return;
    const { cpus: hostCpus } = this.plant.host;
    const others = [...this.plant.containers()].map(({ limits }) => limits.cpus);
    const cpus = chooseCpus(others, effectiveLimits(conf.main).cores ?? hostCpus, hostCpus);
    this.#lives.set(vmid, this.lifeOf(vmid) + 1);
    this.plant.start(vmid, limitsFrom(conf.main, cpus), demand, warm);
  }

  /** One pass of pvestatd: the cpusets follow `cores:`. */
  pvestatdPass(): void {
    if (!this.pvestatdRuns) return;
    const { cpus: hostCpus } = this.plant.host;
    const wishes = [...this.plant.containers()].map(({ vmid, limits }) => {
      const conf = this.conf(vmid);
      return { vmid, cpus: limits.cpus, cores: (conf && numberIn(conf.main, 'cores')) ?? hostCpus };
    });
    for (const [vmid, cpus] of rebalance(wishes, hostCpus)) this.plant.setLimits(vmid, { cpus });
  }
}
