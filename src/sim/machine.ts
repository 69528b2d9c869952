import { statSync } from 'node:fs';
import { seededRandom } from '../core/seeded-random.ts';
import { cpuListText } from './cpusets.ts';
import {
  confText,
  effectiveLimits,
  type GuestConf,
  parseConf,
  type Section,
} from './guest-conf.ts';
import { HighFiles } from './high-files.ts';
import { KernelTree, outerCgroup } from './kernel-tree.ts';
import { balance, balanceWarm, startCpus } from './placement.ts';
import { type DemandAt, type HostSpec, type Limits, Plant, type PlantContainer } from './plant.ts';
import { unreclaimableBytes } from './plant-memory.ts';
import { type ForeignGuest, PveFiles } from './pve-files.ts';
import { kernelHasReclaim, ReclaimFiles } from './reclaim-files.ts';
import { Tree } from './tree.ts';
import { VmMachine } from './vm-machine.ts';
import { type VmSpec, vmText } from './vms.ts';

/** The node without its commands: plant, configurations, kernel files, and pvestatd's passes. */

const MIB = 1024 * 1024;

export interface GuestSpec {
  readonly vmid: number;
  readonly demand: DemandAt;
  /** The whole text of its configuration file; see `guestText` for making one. */
  readonly conf: string;
  /** Default: running, and up for an hour. */
  readonly running?: boolean;
}

export interface MachineOptions {
  readonly root: string;
  readonly nodeName: string;
  readonly host: HostSpec;
  readonly guests: readonly GuestSpec[];
  readonly foreign: readonly ForeignGuest[];
  readonly vms?: readonly VmSpec[];
  /** Default: the clock of this process. */
  readonly sharedWallMs?: (() => number) | undefined;
  readonly demandSpeed: number;
  /** Steps of the plant are at most this long, however much passes at once. Default 200. */
  readonly stepMs?: number | undefined;
  readonly demandStartMs: number;
  /** How often pvestatd passes. */
  readonly pvestatdPeriodMs: number;
  /** What the wall clock of the node says at the beginning, seconds since 1970. */
  readonly wallStartS: number;
  readonly cloneDemand?: (vmid: number) => DemandAt;
  /** Of the CPUs that containers get at their start. */
  readonly seed?: number;
}

export type NodeEventKind =
  | 'set'
  | 'cpuset'
  | 'start'
  | 'stop'
  | 'died'
  | 'oom-kill'
  | 'reclaim'
  | 'high'
  | 'create'
  | 'destroy'
  | 'edit';

export interface NodeEvent {
  /** Since the node was made, on the host's clock. */
  readonly atMs: number;
  /** On the demand's clock. */
  readonly demandMs: number;
  readonly vmid: number;
  readonly what: NodeEventKind;
  readonly detail: string;
}

/** Sums over the demand's time, for telling what was saved. */
export interface Ledger {
  readonly demandMs: number;
  readonly allocatedCoreMs: number;
  readonly usedCoreMs: number;
  readonly allocatedMibMs: number;
  readonly usedMibMs: number;
}

/** What pvestatd saw of a container in its last pass. */
export interface StatusSample {
  readonly usageUs: number;
  readonly usedCores: number;
}

/** Stands in for the kernel's reclaim: how much of what was asked for is tried for. */
export type ReclaimHook = (vmid: number, bytes: number) => number | undefined;

const STEP_MS = 200;
const UPTIME_AT_START_MS = 7_200_000;

const noLedger: Ledger = {
  demandMs: 0,
  allocatedCoreMs: 0,
  usedCoreMs: 0,
  allocatedMibMs: 0,
  usedMibMs: 0,
};

export const limitsFrom = (section: Section, cpus: readonly number[]): Limits => {
  const wanted = effectiveLimits(section);
  return {
    cpus,
    cpuLimit: wanted.cpuLimit,
    cpuWeight: wanted.cpuUnits,
    memoryMaxBytes: wanted.memoryMib * MIB,
    swapMaxBytes: wanted.swapMib * MIB,
  };
};

/** Of the settings that are changed. Memory and swap go together, and set `memory.high` anew. */
export function liveChange(section: Section, changed: ReadonlySet<string>): Partial<Limits> {
  const { memoryMaxBytes, swapMaxBytes, cpuLimit, cpuWeight } = limitsFrom(section, []);
  const isMemory = changed.has('memory') || changed.has('swap');
  return {
    ...(isMemory && { memoryMaxBytes, swapMaxBytes, memoryHighBytes: undefined }),
    ...(changed.has('cpulimit') && { cpuLimit }),
    ...(changed.has('cpuunits') && { cpuWeight }),
  };
}

export class Machine {
  readonly options: MachineOptions;
  readonly plant: Plant;
  readonly files: PveFiles;
  readonly vms: VmMachine;
  readonly events: NodeEvent[] = [];
  readonly #tree: Tree;
  readonly #kernel: KernelTree;
  /** undefined if the kernel is too old for it. */
  readonly #reclaimFiles: ReclaimFiles | undefined;
  readonly #highFiles: HighFiles;
  readonly #demands = new Map<number, DemandAt>();
  readonly #lives = new Map<number, number>();
  readonly #ledgers = new Map<number, Ledger>();
  readonly #samples = new Map<number, StatusSample>();
  /** A pvestatd that is stopped never brings `cores` to a cpuset. */
  pvestatdRuns = true;
  /** Containers that are just stopping. */
  readonly stopping = new Set<number>();
  reclaimHook: ReclaimHook | undefined;
  /** What is used of each storage. */
  storageUsedBytes = 1_326_841_856;
  readonly #heldVmLocks = new Set<number>();
  readonly #random: () => number;
  #sinceStatusMs = 0;

  constructor(options: MachineOptions) {
    this.options = options;
    this.#random = seededRandom(options.seed ?? 1);
    const { demandSpeed, demandStartMs, root, nodeName: node, foreign } = options;
    this.plant = new Plant(options.host, { demandSpeed, demandStartMs });
    const bootTimeS = options.wallStartS - UPTIME_AT_START_MS / 1000;
    this.files = new PveFiles({ sysroot: root, node, startTimeS: bootTimeS, foreign });
    this.files.load(new Map(options.guests.map((guest) => [guest.vmid, guest.conf])));
    this.#tree = new Tree(root);
    for (const directory of ['var/log', 'var/lib', 'var/lock', 'run/lock', 'run/lock/lxc']) {
      this.#tree.makeDirectory(directory);
    }
    this.#tree.write('etc', 'hostname', `${node}\n`);
    const uptimeAtStartMs = UPTIME_AT_START_MS;
    this.#kernel = new KernelTree(this.#tree, this.plant, { bootTimeS, uptimeAtStartMs });
    this.#reclaimFiles = kernelHasReclaim(options.host.kernelRelease)
      ? new ReclaimFiles(this.#tree, (vmid, bytes) => this.#reclaim(vmid, bytes))
      : undefined;
    this.#highFiles = new HighFiles(this.#tree, (vmid, bytes) => this.#setHigh(vmid, bytes));
    this.vms = new VmMachine(options.vms ?? [], {
      plant: this.plant,
      files: this.files,
      kernel: this.#kernel,
      note: (vmid, what, detail) => this.note(vmid, what, detail),
      rrd: {
        wallS: () => Math.floor(this.sharedWallMs() / 1000),
        write: (text) => this.files.writeRrd(text),
      },
    });
    for (const vm of options.vms ?? []) {
      this.files.writeVmText(vm.vmid, vmText(vm));
      if (vm.running !== false) this.vms.start(vm.vmid, true);
    }
    for (const guest of options.guests) {
      this.#demands.set(guest.vmid, guest.demand);
      if (guest.running !== false) this.#boot(guest.vmid, true);
    }
    balanceWarm(this.plant, (vmid) => this.conf(vmid));
    for (const container of this.plant.containers()) this.#kernel.adoptInnerCpus(container);
    this.sync();
  }

  /** Seconds since 1970 on the node's own clock. */
  get wallS(): number {
    return this.options.wallStartS + Math.floor(this.plant.hostMs / 1000);
  }

  /** What the program's own clock says too, as pvestatd and QEMU tell times. */
  sharedWallMs(): number {
    return (this.options.sharedWallMs ?? Date.now)();
  }

  get uptimeMs(): number {
    return UPTIME_AT_START_MS + this.plant.hostMs;
  }

  /** How often a file of the tree was written so far. */
  get treeWrites(): number {
    return this.#tree.writes;
  }

  conf(vmid: number): GuestConf | undefined {
    const content = this.files.read(vmid);
    return content === undefined ? undefined : parseConf(vmid, content);
  }

  save(vmid: number, conf: GuestConf): void {
    this.files.write(vmid, confText(conf));
  }

  running(vmid: number): PlantContainer | undefined {
    return this.plant.container(vmid);
  }

  note(vmid: number, what: NodeEventKind, detail: string): void {
    const { hostMs: atMs, demandMs } = this.plant;
    this.events.push({ atMs, demandMs, vmid, what, detail });
  }

  /** Makes the lock file of a configuration; returns its path as the node's own tools name it. */
  touchLockFile(vmid: number): string {
    const name = `pve-config-${vmid}.lock`;
    this.#tree.write('run/lock/lxc', name, '');
    return `/run/lock/lxc/${name}`;
  }

  /** A new container, stopped. */
  add(vmid: number, content: string, demand: DemandAt): void {
    this.#lives.set(vmid, this.livesOf(vmid) + 1);
    this.files.write(vmid, content);
    this.#demands.set(vmid, demand);
    this.note(vmid, 'create', '');
  }

  /** How many guests have been given this id since the node was made, beside the first ones. */
  livesOf(vmid: number): number {
    return this.#lives.get(vmid) ?? 0;
  }

  /** Starts a stopped container; pending changes of its configuration come into force. */
  start(vmid: number): void {
    const conf = this.conf(vmid);
    if (conf === undefined || this.running(vmid) !== undefined) return;
    if (conf.pending.values.size > 0) {
      for (const key of conf.pending.values.get('delete')?.split(/[,;\s]+/) ?? []) {
        conf.main.values.delete(key);
      }
      conf.pending.values.delete('delete');
      for (const [key, value] of conf.pending.values) conf.main.values.set(key, value);
      conf.pending.values.clear();
      this.save(vmid, conf);
    }
    this.#boot(vmid, false);
    this.note(vmid, 'start', '');
  }

  stop(vmid: number): void {
    const container = this.running(vmid);
    if (container === undefined) return;
    this.plant.stop(vmid);
    this.#reclaimFiles?.remove(vmid);
    this.#highFiles.remove(vmid);
    this.#kernel.remove(vmid, container.cpu.usageUs);
    this.#samples.delete(vmid);
    this.note(vmid, 'stop', '');
  }

  /** `lxc-freeze`, or what a snapshot does for a while. */
  setFrozen(vmid: number, frozen: boolean): void {
    const container = this.running(vmid);
    if (container === undefined) return;
    container.frozen = frozen;
    this.#kernel.limitsChanged(vmid);
    this.sync();
  }

  /** Stops a container whose cgroup stays, empty. */
  leaveBehind(vmid: number): void {
    if (this.running(vmid) === undefined) return;
    this.plant.stop(vmid);
    this.#reclaimFiles?.remove(vmid);
    this.#kernel.leaveBehind(vmid);
    this.#samples.delete(vmid);
    this.note(vmid, 'stop', 'its cgroup stays');
  }

  /**
   * Takes CPUs away from all containers: the host has them offline, or the cgroup around all
   * containers does not have them.
   */
  setUnusableCpus(cpus: readonly number[], how: 'offline' | 'parent' = 'offline'): void {
    this.plant.unusableCpus = new Set(cpus);
    this.#kernel.cpusChanged(how === 'offline' ? this.plant.unusableCpus : new Set());
    this.sync();
  }

  destroy(vmid: number): void {
    this.stop(vmid);
    this.files.remove(vmid);
    this.#demands.delete(vmid);
    this.note(vmid, 'destroy', '');
  }

  /** The lock of a machine's configuration, and who holds it, as `/proc/locks` tells. */
  showVmLock(vmid: number, isHeld: boolean): void {
    this.#tree.write('run/lock/qemu-server', `lock-${vmid}.conf`, '');
    if (isHeld) this.#heldVmLocks.add(vmid);
    else this.#heldVmLocks.delete(vmid);
    const lines = [...this.#heldVmLocks].map((id, index) => {
      const { ino } = statSync(this.#tree.path('run/lock/qemu-server', `lock-${id}.conf`));
      return `${index + 1}: FLOCK  ADVISORY  WRITE 4711 00:1a:${ino} 0 EOF\n`;
    });
    this.#tree.write('proc', 'locks', lines.join(''));
  }

  /** What pct does to a running container at once, of the settings that it changes. */
  applyLimits(vmid: number, section: Section, changed: ReadonlySet<string>): void {
    const container = this.running(vmid);
    if (container === undefined) return;
    this.#highFiles.look();
    this.plant.setLimits(vmid, liveChange(section, changed));
    this.#kernel.limitsChanged(vmid);
    this.#takeEvents();
  }

  /** Lets time pass, and writes the tree once at the end. */
  advance(elapsedMs: number): void {
    this.#reclaimFiles?.look();
    this.#highFiles.look();
    let leftMs = elapsedMs;
    while (leftMs > 0) {
      const stepMs = Math.min(this.options.stepMs ?? STEP_MS, leftMs);
      leftMs -= stepMs;
      this.plant.step(stepMs);
      this.#keepLedgers(stepMs);
      this.#takeEvents();
      this.#sinceStatusMs += stepMs;
      const due = this.#sinceStatusMs >= this.options.pvestatdPeriodMs;
      if (due && this.pvestatdRuns) this.pvestatdPass();
    }
    this.sync();
  }

  /** One pass of pvestatd: cpusets follow `cores:`, and the figures of the cluster are new. */
  pvestatdPass(): void {
    const elapsedMs = this.#sinceStatusMs;
    this.#sinceStatusMs = 0;
    for (const [vmid, cpus] of balance(this.plant, (id) => this.conf(id))) {
      const container = this.running(vmid);
      if (container !== undefined) this.#kernel.adoptInnerCpus(container);
      this.note(vmid, 'cpuset', cpuListText(cpus));
    }
    this.vms.pvestatdPass();
    for (const container of this.plant.containers()) {
      const { usageUs } = container.cpu;
      const before = this.#samples.get(container.vmid)?.usageUs;
      const gained = before === undefined || elapsedMs <= 0 ? 0 : usageUs - before;
      const usedCores = gained === 0 ? 0 : gained / (elapsedMs * 1000);
      this.#samples.set(container.vmid, { usageUs, usedCores });
    }
  }

  /** A cpuset written to the cgroups by hand, the outer and the inner one. */
  writeCpuset(vmid: number, cpus: readonly number[]): void {
    this.plant.setLimits(vmid, { cpus });
    const container = this.running(vmid);
    if (container !== undefined) this.#kernel.adoptInnerCpus(container);
    this.sync();
  }

  statusSample(vmid: number): StatusSample | undefined {
    return this.#samples.get(vmid);
  }

  ledger(vmid: number): Ledger {
    return this.#ledgers.get(vmid) ?? noLedger;
  }

  sync(): void {
    this.#kernel.sync();
  }

  /** Closes its files; the tree stays as it is. */
  close(): void {
    this.#reclaimFiles?.close();
    this.#highFiles.close();
    this.#tree.close();
  }

  #boot(vmid: number, warm: boolean): void {
    const conf = this.conf(vmid);
    const demand = this.#demands.get(vmid);
    if (conf === undefined || demand === undefined) return;
    const cpus = startCpus(conf.main, this.plant.host.cpus, this.#random);
    const container = this.plant.start(vmid, limitsFrom(conf.main, cpus), demand, warm);
    this.#kernel.create(container, warm ? cpuListText(cpus) : '');
    this.#reclaimFiles?.add(vmid, outerCgroup(vmid));
    this.#highFiles.add(vmid, outerCgroup(vmid));
    this.#takeEvents();
  }

  /** Somebody wrote to a `memory.reclaim`. */
  #reclaim(vmid: number, asked: number): void {
    const bytes = this.reclaimHook?.(vmid, asked) ?? asked;
    const got = this.plant.reclaim(vmid, bytes);
    this.note(vmid, 'reclaim', `${asked} ${got}`);
    const container = this.running(vmid);
    if (container !== undefined) this.#kernel.syncContainer(container);
  }

  /** Somebody wrote to a `memory.high`. */
  #setHigh(vmid: number, bytes: number): void {
    this.plant.setHigh(vmid, bytes);
    this.note(vmid, 'high', Number.isFinite(bytes) ? `${bytes}` : 'max');
    const container = this.running(vmid);
    this.#kernel.limitsChanged(vmid);
    if (container !== undefined) this.#kernel.syncContainer(container);
  }

  #takeEvents(): void {
    for (const event of this.plant.takeEvents()) {
      if (event.kind === 'oom-kill') this.note(event.vmid, 'oom-kill', event.scope);
      else {
        this.#reclaimFiles?.remove(event.vmid);
        this.#highFiles.remove(event.vmid);
        this.#kernel.remove(event.vmid, event.usageUs);
        this.#samples.delete(event.vmid);
        this.note(event.vmid, 'died', 'the out-of-memory killer ended its init');
      }
    }
  }

  #keepLedgers(elapsedMs: number): void {
    const demandMs = elapsedMs * this.options.demandSpeed;
    for (const { vmid, cpu, limits, memory } of this.plant.containers()) {
      const before = this.ledger(vmid);
      const cores = Math.min(limits.cpus.length, limits.cpuLimit ?? limits.cpus.length);
      this.#ledgers.set(vmid, {
        demandMs: before.demandMs + demandMs,
        allocatedCoreMs: before.allocatedCoreMs + cores * demandMs,
        usedCoreMs: before.usedCoreMs + cpu.usedCores * demandMs,
        allocatedMibMs: before.allocatedMibMs + (limits.memoryMaxBytes / MIB) * demandMs,
        usedMibMs: before.usedMibMs + (unreclaimableBytes(memory) / MIB) * demandMs,
      });
    }
  }
}
