import { seededRandom } from '../core/seeded-random.ts';
import { parseVmid, type Vmid } from '../core/units.ts';
import { confText, type GuestConf, parseConf, type Section } from './guest-conf.ts';
import { type GuestSpec, limitsFrom, liveChange } from './machine.ts';
import type { SettableMachine } from './pct-context.ts';
import { balance, balanceWarm, startCpus } from './placement.ts';
import type { DemandAt, Plant, PlantContainer } from './plant.ts';

/** Configurations in memory and the plant below them: a `Machine` without any file. */
export class VirtualMachine implements SettableMachine {
  readonly plant: Plant;
  /** A pvestatd that is stopped never brings `cores` to a cpuset. */
  pvestatdRuns = true;
  readonly #contents = new Map<Vmid, string>();
  readonly #demands = new Map<number, DemandAt>();
  readonly #lives = new Map<number, number>();
  readonly #random: () => number;

  /** @param seed of the CPUs that containers get at their start */
  constructor(plant: Plant, guests: readonly GuestSpec[], seed = 1) {
    this.plant = plant;
    this.#random = seededRandom(seed);
    for (const guest of guests) this.add(guest, true);
    balanceWarm(plant, (vmid) => this.conf(vmid));
  }

  /** Whether `/etc/pve` takes changes. */
  quorate = true;

  readonly files: SettableMachine['files'] = filesOf(this);

  contentOf(vmid: number): string | undefined {
    return this.#contents.get(vmid as Vmid);
  }

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

  applyLimits(vmid: number, section: Section, changed: ReadonlySet<string>): void {
    this.plant.setLimits(vmid, liveChange(section, changed));
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
    const cpus = startCpus(conf.main, this.plant.host.cpus, this.#random);
    this.#lives.set(vmid, this.lifeOf(vmid) + 1);
    this.plant.start(vmid, limitsFrom(conf.main, cpus), demand, warm);
  }

  /** One pass of pvestatd: the cpusets follow `cores:`. */
  pvestatdPass(): void {
    if (this.pvestatdRuns) balance(this.plant, (vmid) => this.conf(vmid));
  }
}

const filesOf = (machine: VirtualMachine): SettableMachine['files'] => ({
  get canWrite() {
    return machine.quorate;
  },
  read: (vmid) => machine.contentOf(vmid),
  relativePath: (vmid) => `nodes/pve1/lxc/${vmid}.conf`,
});
