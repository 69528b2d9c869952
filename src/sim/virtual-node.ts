import { type Capabilities, CONTROLLERS } from '../core/capabilities.ts';
import type { JournalEvent } from '../core/journal-event.ts';
import type { ManualHold } from '../core/manual-hold.ts';
import type { CgroupSample, GuestConfig } from '../core/observation.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import { bytes, bytesToMib, type Cores, cores, milliseconds, type Vmid } from '../core/units.ts';
import type {
  CommandOutcome,
  GuestFile,
  ReclaimAnswer,
  ReclaimWish,
  SetRequest,
} from '../node/port.ts';
import type { ActingWorld, BackupPurpose } from '../ports.ts';
import type { Fault } from './faults.ts';
import { Glances } from './glances.ts';
import { confText, parseConf } from './guest-conf.ts';
import type { GuestSpec, ReclaimHook } from './machine.ts';
import { type HostSpec, Plant } from './plant.ts';
import { wholePages } from './plant-memory.ts';
import { kernelHasReclaim } from './reclaim-files.ts';
import { VirtualMachine } from './virtual-machine.ts';
import { virtualSet } from './virtual-pct.ts';
import { floorMib, guestConfigOf, hostOf, sampleOf } from './virtual-samples.ts';
import { ScoreKeeper } from './virtual-score.ts';
import { VirtualTime } from './virtual-time.ts';
import { VirtualVms } from './virtual-vms.ts';
import type { VmSpec } from './vms.ts';

/**
 * A node without files and processes, in virtual time: the ports of the loop straight over the
 * plant, so that a day of many containers passes in seconds.
 */

export interface VirtualOptions {
  readonly host: HostSpec;
  readonly guests: readonly GuestSpec[];
  /** Virtual machines, which are managed too. */
  readonly vms?: readonly VmSpec[];
  /** The plant's steps are at most this long. Default 1000. */
  readonly stepMs?: number;
  readonly demandStartMs?: number;
  /** Default 10,000, as the real one. */
  readonly pvestatdPeriodMs?: number;
  /** How long a `pct set` takes. Default 600, as the real one. */
  readonly commandMs?: number;
  /** What the wall clock says at the beginning, milliseconds since 1970. */
  readonly wallStartMs?: number;
  /** Of the CPUs that containers get at their start. Default 1. */
  readonly seed?: number;
}

/** One `pct set`, as it was asked for and as it went. */
export interface VirtualSet {
  readonly atMs: number;
  readonly request: SetRequest;
  /** The configuration before. */
  readonly before: GuestConfig;
  /** What the container held that no reclaim takes away, at the moment of the change, in MiB. */
  readonly heldMib: number;
  outcome: CommandOutcome | undefined;
}

export type VirtualEvent = JournalEvent & { readonly atMs: number };

const UPTIME_AT_START_MS = 7_200_000;
const WALL_START_MS = 1_795_300_000_000;
const RECLAIM_MS = 50;
/** The program asks in parts of this size. */
const RECLAIM_PART_BYTES = 64 * 1024 * 1024;
const LOOK_MS = 100;

export class VirtualNode {
  readonly time: VirtualTime;
  readonly plant: Plant;
  readonly machine: VirtualMachine;
  readonly vms: VirtualVms;
  readonly scores = new ScoreKeeper();
  readonly sets: VirtualSet[] = [];
  readonly backups: { readonly file: GuestFile; readonly purpose: BackupPurpose }[] = [];
  readonly events: VirtualEvent[] = [];
  /** `WARN: text`, and no debug lines. */
  readonly lines: string[] = [];
  readonly holds = new Map<Vmid, ManualHold>();
  /** Whose `memory.high` is held below the limit. */
  readonly guarded = new Set<Vmid>();
  readonly #held = new Map<Vmid, { readonly at: number; readonly before: number | undefined }>();
  /** Asked before every `pct set`; what it returns happens in its place. */
  onSet: ((request: SetRequest) => Fault | undefined) | undefined;
  /** Stands in for the kernel's reclaim, as `Machine.reclaimHook` does. */
  onReclaim: ReclaimHook | undefined;
  /** Stands between the kernel's files and who reads them. */
  onSample: ((vmid: Vmid, real: CgroupSample) => Reading<CgroupSample>) | undefined;
  readonly #options: VirtualOptions;
  readonly #glances = new Glances();
  readonly #configs = new Map<Vmid, GuestConfig>();
  readonly #contents = new Map<Vmid, string>();

  constructor(options: VirtualOptions) {
    this.#options = options;
    const { demandStartMs = 0 } = options;
    this.plant = new Plant(options.host, { demandSpeed: 1, demandStartMs });
    this.machine = new VirtualMachine(this.plant, options.guests, options.seed);
    this.vms = new VirtualVms(options.vms ?? [], {
      plant: this.plant,
      sleep: (ms) => this.time.sleep(ms),
      nowMs: () => this.monotonicMs,
      wallMs: () => this.wallMs,
      commandMs: options.commandMs ?? 600,
      canWrite: () => this.machine.quorate,
    });
    this.#takeEvents();
    this.time = new VirtualTime((elapsedMs) => this.#pass(elapsedMs));
    const period = options.pvestatdPeriodMs ?? 10_000;
    this.time.every(period, () => {
      this.machine.pvestatdPass();
      if (this.machine.pvestatdRuns) this.vms.machine.pvestatdPass();
    });
  }

  get wallMs(): number {
    return (this.#options.wallStartMs ?? WALL_START_MS) + this.time.nowMs;
  }

  get monotonicMs(): number {
    return UPTIME_AT_START_MS + this.time.nowMs;
  }

  config(vmid: number): GuestConfig | undefined {
    const id = vmid as Vmid;
    const content = this.machine.files.read(vmid);
    if (content === undefined) return undefined;
    const known = this.#configs.get(id);
    if (known !== undefined && this.#contents.get(id) === content) return known;
    const config = guestConfigOf(id, content);
    this.#contents.set(id, content);
    this.#configs.set(id, config);
    return config;
  }

  /** Changes a configuration as an administrator does with `pct set`: at once. */
  edit(vmid: number, values: Readonly<Record<string, string | number | undefined>>): void {
    const conf = this.machine.conf(vmid);
    if (conf === undefined) return;
    for (const [key, value] of Object.entries(values)) {
      if (value === undefined) conf.main.values.delete(key);
      else conf.main.values.set(key, String(value));
    }
    this.machine.save(vmid, conf);
    this.machine.applyLimits(vmid, conf.main, new Set(Object.keys(values)));
    this.#takeEvents();
  }

  /** Changes the text of a configuration with an editor; nothing of it is in force by that. */
  editText(vmid: number, change: (text: string) => string): void {
    const text = this.machine.files.read(vmid);
    if (text !== undefined) this.machine.write(vmid, confText(parseConf(vmid, change(text))));
  }

  stop(vmid: number): void {
    this.plant.stop(vmid);
  }

  start(vmid: number): void {
    this.machine.start(vmid);
    this.scores.started(vmid);
    this.#takeEvents();
  }

  readonly world: ActingWorld = {
    clock: {
      wallMs: () => milliseconds(this.wallMs),
      monotonicMs: () => milliseconds(this.monotonicMs),
    },
    observe: async () => this.vms.look(),
    inspect: async (vmid) => this.vms.inspect(vmid),
    guests: {
      list: () => {
        const all = [...this.machine.vmids()].map((vmid) => [vmid, this.#guest(vmid)] as const);
        return present(new Map([...all, ...this.vms.list()]));
      },
      read: (vmid) => {
        if (this.vms.has(vmid)) return this.vms.read(vmid);
        const config = this.#guest(vmid);
        const content = Buffer.from(this.machine.files.read(vmid) ?? '');
        return config.ok ? present({ config: config.value, content }) : config;
      },
      quorum: () => present(this.machine.quorate),
    },
    cgroups: {
      sample: (vmid) =>
        this.vms.has(vmid)
          ? this.vms.sample(vmid, this.monotonicMs)
          : this.#glances.keep(vmid, this.#sample(vmid)),
      glance: (vmid) =>
        this.vms.has(vmid) ? undefined : this.#glances.of(vmid, this.#sample(vmid)),
      cpuLimit: (vmid) => this.#cpuLimit(vmid),
      sampledCpuLimit: (vmid) => this.#cpuLimit(vmid),
      capabilities: (vmid) => this.#capabilities(vmid),
    },
    hands: {
      apply: (request, _stop, cancel) =>
        this.vms.has(request.vmid) ? this.vms.apply(request) : this.#set(request, cancel),
      reclaim: {
        ask: (vmid, wish) => this.#reclaim(vmid, wish),
      },
      memoryHigh: {
        hold: async (vmid, at) => {
          const before = this.#highOf(vmid);
          if (before !== undefined && before <= at) return { kind: 'held' };
          this.#held.set(vmid, { at, before });
          this.plant.setHigh(vmid, at);
          return { kind: 'held' };
        },
        release: async (vmid) => {
          const held = this.#held.get(vmid);
          this.#held.delete(vmid);
          if (held?.at === this.#highOf(vmid)) this.plant.setHigh(vmid, held?.before);
          return { ok: true };
        },
        releaseLeft: async () => [],
        pause: () => this.time.sleep(LOOK_MS),
      },
      memoryGuards: {
        set: async (vmid, at) => {
          const was = this.#highOf(vmid);
          if (was === at) return { kind: 'kept' };
          this.plant.setHigh(vmid, at);
          this.guarded.add(vmid);
          return { kind: 'set', wasMib: was === undefined ? undefined : bytesToMib(bytes(was)) };
        },
        end: async (vmid) => {
          const isPutBack = this.guarded.delete(vmid);
          if (isPutBack) this.plant.setHigh(vmid, undefined);
          return { ok: true, isPutBack };
        },
        standing: () => [...this.guarded],
      },
    },
    host: { observe: () => hostOf(this.plant) },
    backups: {
      write: (file, purpose) => {
        this.backups.push({ file, purpose });
        return { ok: true, path: `${file.config.vmid}-${this.backups.length}.conf` };
      },
    },
    journal: {
      record: (event) => {
        this.events.push({ atMs: this.time.nowMs, ...event });
        return true;
      },
    },
    holds: {
      read: () => ({
        holds: new Map([...this.holds].filter(([, { untilMs }]) => untilMs > this.wallMs)),
        warnings: [],
      }),
      write: (vmid, hold) => {
        this.holds.set(vmid, hold);
        return { ok: true };
      },
    },
    log: {
      debug: () => {},
      info: (message) => void this.lines.push(`INFO: ${message}`),
      warn: (message) => void this.lines.push(`WARN: ${message}`),
      error: (message) => void this.lines.push(`ERROR: ${message}`),
    },
  };

  /** Where `memory.high` is, if not as Proxmox VE sets it. */
  readonly #highOf = (vmid: Vmid): number | undefined =>
    this.machine.running(vmid)?.limits.memoryHighBytes;

  #guest(vmid: Vmid): Reading<GuestConfig> {
    const config = this.config(vmid);
    return config === undefined ? missing('absent', `${vmid}.conf: not there`) : present(config);
  }

  #capabilities(vmid: Vmid): Capabilities | undefined {
    if (this.machine.running(vmid) === undefined) return undefined;
    const { kernelRelease, pressure } = this.plant.host;
    const proof = kernelHasReclaim(kernelRelease);
    return { proof, pressure, workingSet: true, liveLimits: new Set(CONTROLLERS) };
  }

  #cpuLimit(vmid: Vmid): Reading<Cores | undefined> {
    if (this.vms.has(vmid)) return this.vms.cpuLimit(vmid);
    const limits = this.machine.running(vmid)?.limits;
    if (limits === undefined) return missing('absent', `${vmid}: not running`);
    return present(limits.cpuLimit === undefined ? undefined : cores(limits.cpuLimit));
  }

  #sample(vmid: Vmid): Reading<CgroupSample> {
    const container = this.machine.running(vmid);
    if (container === undefined) return missing('absent', `${vmid}: not running`);
    const identity = vmid * 1000 + this.machine.lifeOf(vmid);
    const { pressure } = this.plant.host;
    const usableCpus = this.plant.usable(container.limits.cpus).length;
    const atMs = this.monotonicMs;
    const real = sampleOf(container, { atMs, identity, pressure, usableCpus });
    return this.onSample?.(vmid, real) ?? present(real);
  }

  async #set(request: SetRequest, cancel?: AbortSignal): Promise<CommandOutcome> {
    const before = this.config(request.vmid);
    const container = this.machine.running(request.vmid);
    if (before === undefined) {
      return {
        kind: 'failed',
        why: 'gone',
        exitCode: 2,
        message: 'its configuration does not exist',
      };
    }
    const heldMib = container === undefined ? 0 : floorMib(container);
    const atMs = this.time.nowMs;
    const set: VirtualSet = { atMs, request, before, heldMib, outcome: undefined };
    this.sets.push(set);
    const { commandMs = 600 } = this.#options;
    const parts = { machine: this.machine, sleep: (ms: number) => this.time.sleep(ms), commandMs };
    set.outcome = await virtualSet(parts, request, this.onSet?.(request), cancel);
    this.#takeEvents();
    const score = this.scores.of(request.vmid);
    if (set.outcome.kind === 'done') score.changes += 1;
    else score.refused += 1;
    return set.outcome;
  }

  async #reclaim(vmid: Vmid, wish: ReclaimWish): Promise<ReclaimAnswer> {
    if (!kernelHasReclaim(this.plant.host.kernelRelease)) return { kind: 'unsupported' };
    let leftBytes = this.onReclaim?.(vmid, wish.bytes) ?? wish.bytes;
    let askedBytes = 0;
    let isShort = false;
    // A part that falls short is EAGAIN, though some of it was given up, and the last one.
    while (askedBytes < wish.bytes && !isShort) {
      const part = Math.min(RECLAIM_PART_BYTES, wish.bytes - askedBytes);
      const tried = Math.min(part, leftBytes);
      isShort = this.plant.reclaim(vmid, tried) < wholePages(part);
      leftBytes -= tried;
      askedBytes += part;
    }
    await this.time.sleep(RECLAIM_MS);
    return { kind: 'asked', bytes: bytes(askedBytes) };
  }

  #pass(elapsedMs: number): void {
    const { stepMs = 1000 } = this.#options;
    for (let leftMs = elapsedMs; leftMs > 0; ) {
      const step = Math.min(stepMs, leftMs);
      leftMs -= step;
      this.plant.step(step);
      this.scores.step(this.plant, step);
      this.#takeEvents();
    }
  }

  #takeEvents(): void {
    for (const event of this.plant.takeEvents()) this.scores.take(event);
  }
}
