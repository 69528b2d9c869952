import type { Plant, PlantVm } from './plant.ts';
import { rrdText } from './rrd-text.ts';
import { parseVmConf, type VmConf, vmConfText, vmValues } from './vm-conf.ts';
import { VmGuest } from './vm-guest.ts';
import type { VmSpec } from './vms.ts';

/** The virtual machines of a node: configurations, what runs of them, and what pvestatd does. */

const MIB = 1024 * 1024;

export interface VmMachineParts {
  readonly plant: Plant;
  readonly files: {
    readVm(vmid: number): string | undefined;
    writeVmText(vmid: number, text: string): void;
  };
  /** The scope of a machine comes, goes, or has another limit. */
  readonly kernel: {
    showVm(vmid: number, runs: boolean): void;
    limitsChanged(vmid: number): void;
  };
  readonly rrd: { wallS(): number; write(text: string): void };
  readonly note: (vmid: number, what: 'set' | 'start' | 'stop', detail: string) => void;
}

export class VmMachine {
  readonly specs: ReadonlyMap<number, VmSpec>;
  readonly #parts: VmMachineParts;
  /** Machines in which nothing goes on. */
  readonly #still = new Set<number>();

  constructor(specs: readonly VmSpec[], parts: VmMachineParts) {
    this.specs = new Map(specs.map((spec) => [spec.vmid, spec]));
    this.#parts = parts;
  }

  running(vmid: number): PlantVm | undefined {
    return this.#parts.plant.vms.get(vmid);
  }

  isUp(vmid: number): boolean {
    return this.#still.has(vmid) || this.running(vmid) !== undefined;
  }

  conf(vmid: number): VmConf | undefined {
    const text = this.#parts.files.readVm(vmid);
    return text === undefined ? undefined : parseVmConf(text);
  }

  save(vmid: number, conf: VmConf): void {
    this.#parts.files.writeVmText(vmid, vmConfText(conf));
  }

  /** What is pending comes into force, as it does at the stop. */
  start(vmid: number, warm = false): void {
    const spec = this.specs.get(vmid);
    const conf = this.conf(vmid);
    if (spec === undefined || conf === undefined || this.isUp(vmid)) return;
    this.#settle(vmid, conf);
    const { plant, kernel } = this.#parts;
    if (spec.guest === undefined) {
      this.#still.add(vmid);
      plant.vmBytes += (spec.usedMib ?? spec.memoryMib) * MIB;
    } else {
      const values = vmValues(conf.main);
      const guest = new VmGuest(spec.guest, values, plant.demandMs, warm);
      plant.startVm(vmid, { cpuLimit: values.cpuLimit, cpuWeight: values.cpuUnits }, guest);
    }
    kernel.showVm(vmid, true);
    if (!warm) this.#parts.note(vmid, 'start', '');
  }

  stop(vmid: number): void {
    if (!this.isUp(vmid)) return;
    this.kill(vmid);
    const conf = this.conf(vmid);
    if (conf !== undefined) this.#settle(vmid, conf);
  }

  kill(vmid: number): void {
    if (!this.isUp(vmid)) return;
    const { plant, kernel } = this.#parts;
    const spec = this.specs.get(vmid);
    if (this.#still.delete(vmid)) {
      plant.vmBytes -= (spec?.usedMib ?? spec?.memoryMib ?? 0) * MIB;
    }
    plant.vms.delete(vmid);
    kernel.showVm(vmid, false);
    this.#parts.note(vmid, 'stop', '');
  }

  #settle(vmid: number, conf: VmConf): void {
    if (conf.pending.size === 0) return;
    applyPending(conf);
    this.save(vmid, conf);
  }

  /** What is live of a configuration reaches the machine. */
  applyLive(vmid: number, conf: VmConf, changed: string): void {
    const vm = this.running(vmid);
    if (vm === undefined) return;
    const { cpuLimit, cpuUnits: cpuWeight, balloonMib, shares, memoryMib } = vmValues(conf.main);
    vm.limits = { ...vm.limits, cpuLimit, cpuWeight };
    this.#parts.kernel.limitsChanged(vmid);
    // With shares the target is stored, and pvestatd goes by it.
    if (changed === 'balloon' && shares === 0) vm.guest.setTarget(balloonMib ?? memoryMib);
  }

  note(vmid: number, detail: string): void {
    this.#parts.note(vmid, 'set', detail);
  }

  /**
   * One pass of pvestatd: it tells the cluster of its machines. Those with shares are ballooned, by
   * 100 MiB at most, so that the host uses 80 % of its memory. Source: PVE::AutoBalloon, in short.
   */
  pvestatdPass(): void {
    const { plant } = this.#parts;
    const use = plant.memoryUse();
    const inUse = use.baseBytes + use.anonBytes + use.shmemBytes + use.kernelBytes + use.vmBytes;
    const spareMib = (use.totalBytes * 0.8 - inUse) / MIB;
    for (const { vmid, guest } of plant.vms.values()) {
      const conf = this.conf(vmid);
      const values = conf && vmValues(conf.main);
      if (values === undefined || values.shares === 0 || !conf?.main.has('balloon')) continue;
      const { balloonMib, memoryMib } = values;
      if (balloonMib === undefined) continue;
      const step = Math.max(-100, Math.min(100, spareMib));
      guest.targetMib = Math.min(memoryMib, Math.max(balloonMib, guest.actualMib + step));
    }
    this.#tell();
  }

  #tell(): void {
    const lines = [...this.#parts.plant.vms.values()].map(({ vmid, guest }) => ({
      vmid,
      name: `vm${vmid}`,
      cpus: guest.vcpus,
      maxMib: guest.memoryMib,
      usedMib: guest.usedMib,
      heldMib: guest.heldMib,
    }));
    const { rrd } = this.#parts;
    if (lines.length > 0) rrd.write(rrdText(lines, rrd.wallS()));
  }
}

function applyPending({ main, pending }: VmConf): void {
  for (const key of pending.get('delete')?.split(/[,;\s]+/) ?? []) main.delete(key);
  pending.delete('delete');
  for (const [key, value] of pending) main.set(key, value);
  pending.clear();
}
