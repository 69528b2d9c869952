import { type Allocation, allocationOf, isSameCpuLimit } from '../../src/core/allocation.ts';
import { CONTROLLERS } from '../../src/core/capabilities.ts';
import type { FailureWhy } from '../../src/core/failure-why.ts';
import { notesLines } from '../../src/core/guest-notes.ts';
import type { LineFacts } from '../../src/core/log-line.ts';
import type { ManualHold } from '../../src/core/manual-hold.ts';
import type {
  CgroupLife,
  CgroupSample,
  Controller,
  GuestConfig,
  HostObservation,
  Pressure,
} from '../../src/core/observation.ts';
import { type Missing, missing, present, type Reading } from '../../src/core/reading.ts';
import {
  bytes,
  type Cores,
  microseconds,
  milliseconds,
  ratio,
  cores as toCores,
  type Vmid,
} from '../../src/core/units.ts';
import { whatIsWrongWith } from '../../src/node/guests/lxc-change.ts';
import type {
  CommandOutcome,
  GuardAnswer,
  GuardEnd,
  GuestFile,
  ReclaimAnswer,
  ReclaimWish,
  SetRequest,
} from '../../src/node/port.ts';
import type { ActingWorld, BackupPurpose } from '../../src/ports.ts';
import { Glances } from '../../src/sim/glances.ts';
import {
  cpuCounters,
  guest,
  host,
  type MemoryNumbers,
  memoryCounters,
  sample,
  vmid,
} from '../core/builders.ts';
import { type LabelledEvent, labelled } from '../core/journal-events.ts';

/** A container of the fake node. What a test wants otherwise it sets. */
export interface FakeContainer {
  config: GuestConfig;
  running: boolean;
  identity: number;
  /** CPUs in the live cpuset. */
  cpuset: number | undefined;
  /** Those that it can really use, where that is fewer. */
  usable?: number;
  /** Default: it runs. */
  life?: Partial<CgroupLife>;
  lifeMissing?: Missing;
  limitMib: number | undefined;
  /** Lines of its configuration, with their `#`. */
  notes?: readonly string[];
  /** Of the kernel, where that is not what is configured; null: none. */
  liveCpuLimit?: number | null | undefined;
  /** Cores that it keeps busy. */
  load: number;
  cpuUs: number;
  memory: MemoryNumbers;
  /** How long its tasks have waited for memory, since it was started. */
  memoryWaitedUs?: number;
  /** In place of a reading. */
  configMissing?: Missing | undefined;
  sampleMissing?: Missing | undefined;
  cpuMissing?: Missing | undefined;
  cpuLimitMissing?: Missing | undefined;
  memoryMissing?: Missing | undefined;
}

interface UseSample {
  readonly file: Reading<GuestFile>;
  readonly sample: Reading<CgroupSample>;
  readonly cpuLimit: Reading<Cores | undefined>;
}

interface Backup {
  readonly file: GuestFile;
  readonly purpose: BackupPurpose;
}

/** The ports of the loop on a node that only exists in memory, with a record of what was asked. */
export class FakeNode {
  readonly containers = new Map<Vmid, FakeContainer>();
  readonly sets: SetRequest[] = [];
  readonly backups: Backup[] = [];
  ownValues: (guest: GuestConfig) => Allocation | undefined = allocationOf;
  readonly events: LabelledEvent[] = [];
  /** `INFO: text`. */
  readonly lines: string[] = [];
  /** What each of the lines is about. */
  readonly abouts: LineFacts[] = [];
  /** What was done, in its order: `backup 101`, `set 101`. */
  readonly done: string[] = [];
  nowMs = 1_000_000;
  seen: HostObservation = host();
  listMissing: Missing | undefined;
  backupFailure: string | undefined;
  journalWorks = true;
  quorum: Reading<boolean> = present(true);
  readonly holds = new Map<Vmid, ManualHold>();
  liveLimits: ReadonlySet<Controller> = new Set(CONTROLLERS);
  tellsNeed = true;
  /** Whether the kernel has `memory.reclaim`. */
  hasReclaim = true;
  /** Stands in for the kernel; see `giveUp`. */
  kernel: (id: Vmid, wish: ReclaimWish) => ReclaimAnswer = (id, wish) => this.giveUp(id, wish);
  /** Stands in for `pct set`; see `apply`. */
  pct: (request: SetRequest, cancel?: AbortSignal) => CommandOutcome | Promise<CommandOutcome> = (
    request,
  ) => this.apply(request);
  /** `memory.high` where it is held down, in MiB. */
  readonly heldMib = new Map<Vmid, number>();
  /** Whether a container can be glanced at. */
  glances = true;
  readonly #glances = new Glances();
  /** What the last look has shown of each; undefined: all is seen as it is. */
  #lastLook: Map<Vmid, UseSample> | undefined;
  /** Where memory guards stand, in MiB. */
  readonly guardedMib = new Map<Vmid, number>();
  /** What answers in place of a guard that is set. */
  guardAnswer: GuardAnswer | undefined;
  /** What answers in place of a guard that is taken back. */
  guardEnds: GuardEnd | undefined;
  /** Why `memory.high` cannot be written. */
  highRefused: string | undefined;

  add(id: number, own: Partial<GuestConfig> = {}, memory: MemoryNumbers = {}): FakeContainer {
    const config = guest(id, { digest: digestOf(0), ...own });
    const added: FakeContainer = {
      config,
      running: true,
      identity: id,
      cpuset: config.cores ?? undefined,
      limitMib: config.memoryMib,
      load: (config.cores ?? 1) / 2,
      cpuUs: 0,
      memory,
    };
    this.containers.set(vmid(id), added);
    return added;
  }

  get(id: number): FakeContainer {
    const found = this.containers.get(vmid(id));
    if (found === undefined) throw new Error(`the fake node has no container ${id}`);
    return found;
  }

  /** Writes to a configuration, by whomever: it has another digest afterwards. */
  write(id: number, values: Partial<GuestConfig>): void {
    const found = this.get(id);
    const digest = digestOf(Number(found.config.digest) + 1);
    found.config = { ...found.config, ...values, digest };
  }

  /** What a `pct set` that works does. The cpuset follows later; see `rebalance`. */
  apply(request: SetRequest): CommandOutcome {
    const { vmid: id, cores, cpuLimit, memoryMib, digest, revert, notes } = request;
    const wrong = notes === undefined ? undefined : whatIsWrongWith(request);
    if (wrong !== undefined) return { kind: 'not-started', message: wrong };
    const found = this.containers.get(id);
    if (found === undefined) return refusal('gone', 'the guest is no longer on this node');
    if (found.config.lock !== undefined) return refusal('locked', 'CT is locked');
    if (digest !== found.config.digest) {
      return refusal('modified', 'detected modified configuration');
    }
    if (this.quorum.ok && !this.quorum.value) return refusal('no-quorum', 'no quorum');
    if (revert !== undefined) {
      const pendingKeys = found.config.pendingKeys.filter((key) => !revert.includes(key));
      this.write(id, { pendingKeys });
      return { kind: 'done' };
    }
    if (notes !== undefined) {
      found.notes = notesLines(notes);
      this.write(id, {});
      return { kind: 'done' };
    }
    // A value that the configuration has already is not brought to the kernel once more.
    const isNew = memoryMib !== undefined && memoryMib !== found.config.memoryMib;
    if (isNew && found.running) found.limitMib = memoryMib;
    if (cpuLimit !== undefined && !isSameCpuLimit(cpuLimit, found.config.cpuLimit)) {
      found.liveCpuLimit = undefined;
    }
    this.write(id, {
      ...(cores !== undefined && { cores }),
      ...(cpuLimit !== undefined && { cpuLimit }),
      ...(memoryMib !== undefined && { memoryMib }),
    });
    return { kind: 'done' };
  }

  /** What a kernel does that gives up all the file cache it is asked for, the least used first. */
  giveUp(id: Vmid, wish: ReclaimWish, mostMib = Number.POSITIVE_INFINITY): ReclaimAnswer {
    const { memory } = this.get(id);
    const { current = 400, active = 0, inactive = 0 } = memory;
    const asked = Math.min(wish.bytes / MIB, mostMib);
    const fromInactive = Math.min(inactive, asked);
    const fromActive = Math.min(active, asked - fromInactive);
    this.get(id).memory = {
      ...memory,
      current: current - fromInactive - fromActive,
      inactive: inactive - fromInactive,
      active: active - fromActive,
    };
    return { kind: 'asked', bytes: bytes(wish.bytes) };
  }

  /** What pvestatd does every ten seconds. */
  rebalance(): void {
    for (const each of this.containers.values()) {
      each.cpuset = Math.min(each.config.cores ?? this.cpus, this.cpus);
    }
  }

  /** Lets time pass; every running container uses its CPU meanwhile. */
  pass(ms: number): void {
    this.nowMs += ms;
    for (const each of this.containers.values())
      if (each.running) each.cpuUs += each.load * ms * 1000;
  }

  linesOf(level: string): readonly string[] {
    return this.lines.filter((line) => line.startsWith(`${level}: `));
  }

  /** From now on it is seen as the last look has shown it, as a node that is far away. */
  goAfar(): void {
    this.#lastLook = new Map();
    this.#look(this.containers.keys());
  }

  #look(ids: Iterable<Vmid>): void {
    for (const id of ids) this.#lastLook?.set(id, this.#lookAt(id));
  }

  #seenOf(id: Vmid): UseSample {
    return this.#lastLook === undefined
      ? this.#lookAt(id)
      : (this.#lastLook.get(id) ?? this.#lookAt(id));
  }

  #lookAt(id: Vmid): UseSample {
    return { file: this.read(id), sample: this.sample(id), cpuLimit: this.cpuLimit(id) };
  }

  private get cpus(): number {
    return this.seen.cpus.ok ? this.seen.cpus.value : 0;
  }

  private read(id: Vmid): Reading<GuestFile> {
    const found = this.containers.get(id);
    if (found === undefined) return missing('absent', `${id}.conf is not there`);
    if (found.configMissing !== undefined) return found.configMissing;
    const text = [...(found.notes ?? []), found.config.digest].join('\n');
    return present({ config: found.config, content: Buffer.from(text) });
  }

  /** It is in force as soon as it is configured, but for what a test says. */
  private cpuLimit(id: Vmid): Reading<Cores | undefined> {
    const found = this.containers.get(id);
    if (!found?.running) return missing('absent', `${id} has no cgroup`);
    if (found.cpuLimitMissing !== undefined) return found.cpuLimitMissing;
    const { liveCpuLimit: live } = found;
    const limit = live === undefined ? found.config.cpuLimit : live;
    return present(limit === null ? undefined : toCores(limit));
  }

  private sample(id: Vmid): Reading<CgroupSample> {
    const found = this.containers.get(id);
    if (!found?.running) return missing('absent', `${id} has no cgroup`);
    if (found.sampleMissing !== undefined) return found.sampleMissing;
    const cpu = cpuCounters({
      usageUs: microseconds(found.cpuUs),
      cpusetCpus: found.cpuset,
      effectiveCpus: found.usable ?? found.cpuset,
    });
    const memory = memoryCounters({ ...found.memory, limit: found.limitMib });
    return present(
      sample({
        atMs: milliseconds(this.nowMs),
        identity: found.identity,
        life: found.lifeMissing ?? present({ populated: true, frozen: false, ...found.life }),
        cpu: found.cpuMissing ?? present(cpu),
        memory: found.memoryMissing ?? present(memory),
        memoryPressure: present(waiting(found.memoryWaitedUs ?? 0)),
      }),
    );
  }

  readonly world: ActingWorld = {
    clock: {
      wallMs: () => milliseconds(this.nowMs),
      monotonicMs: () => milliseconds(this.nowMs),
    },
    observe: async () => this.#look(this.containers.keys()),
    inspect: async (id) => this.#look([id]),
    guests: {
      list: () => {
        if (this.listMissing !== undefined) return this.listMissing;
        const all = [...this.containers].map(([id, each]): [Vmid, Reading<GuestConfig>] => [
          id,
          each.configMissing ?? present(each.config),
        ]);
        return present(new Map(all));
      },
      read: (id) => this.#seenOf(id).file,
      quorum: () => this.quorum,
    },
    cgroups: {
      sample: (id) => this.#glances.keep(id, this.#seenOf(id).sample),
      glance: (id) => (this.glances ? this.#glances.of(id, this.#seenOf(id).sample) : undefined),
      cpuLimit: (id) => this.#seenOf(id).cpuLimit,
      sampledCpuLimit: (id) => this.#seenOf(id).cpuLimit,
      capabilities: (id) =>
        this.containers.get(id)?.running
          ? {
              proof: this.hasReclaim,
              pressure: true,
              workingSet: this.tellsNeed,
              liveLimits: this.liveLimits,
            }
          : undefined,
    },
    hands: {
      apply: async (request, _stop, cancel) => {
        this.sets.push(request);
        this.done.push(`set ${request.vmid}`);
        return this.pct(request, cancel);
      },
      reclaim: {
        ask: async (id, wish) => {
          this.done.push(`reclaim ${id}`);
          return this.hasReclaim ? this.kernel(id, wish) : { kind: 'unsupported' };
        },
      },
      memoryHigh: {
        hold: async (id, at) => {
          this.done.push(`high ${id}`);
          if (this.highRefused !== undefined) return { kind: 'refused', message: this.highRefused };
          this.heldMib.set(id, at / MIB);
          const { current = 400 } = this.get(id).memory;
          const over = current - at / MIB;
          if (over > 0) this.giveUp(id, { bytes: bytes(over * MIB), until: at });
          return { kind: 'held' };
        },
        release: async (id) => {
          if (this.heldMib.delete(id)) this.done.push(`high back ${id}`);
          return { ok: true };
        },
        releaseLeft: async () => [],
        pause: () => new Promise((resolve) => setImmediate(resolve)),
      },
      memoryGuards: {
        set: async (id, at) => {
          if (this.guardAnswer !== undefined) return this.guardAnswer;
          const wasMib = this.guardedMib.get(id);
          if (wasMib === at / MIB) return { kind: 'kept' };
          this.done.push(`guard ${id} ${at / MIB}`);
          this.guardedMib.set(id, at / MIB);
          return { kind: 'set', wasMib };
        },
        end: async (id) => {
          if (this.guardEnds !== undefined) return this.guardEnds;
          const isPutBack = this.guardedMib.delete(id);
          if (isPutBack) this.done.push(`guard ${id} ends`);
          return { ok: true, isPutBack };
        },
        standing: () => [...this.guardedMib.keys()],
      },
    },
    holds: {
      read: () => ({ holds: this.holds, warnings: [] }),
      write: () => ({ ok: true }),
    },
    host: { observe: () => this.seen },
    backups: {
      own: (guest) => this.ownValues(guest),
      write: (file, purpose) => {
        if (this.backupFailure !== undefined) return { ok: false, message: this.backupFailure };
        this.backups.push({ file, purpose });
        this.done.push(`backup ${file.config.vmid}`);
        return { ok: true, path: `/backups/${file.config.vmid}-${this.backups.length}.conf` };
      },
    },
    journal: {
      record: (event) => {
        if (this.journalWorks) this.events.push(labelled(event));
        return this.journalWorks;
      },
    },
    log: {
      debug: (said, about) => this.#say('DEBUG', typeof said === 'string' ? said : said(), about),
      info: (message, about) => this.#say('INFO', message, about),
      warn: (message, about) => this.#say('WARN', message, about),
      error: (message, about) => this.#say('ERROR', message, about),
    },
  };

  #say(level: string, message: string, about: LineFacts = {}): void {
    this.lines.push(`${level}: ${message}`);
    this.abouts.push(about);
  }
}

const refusal = (why: FailureWhy, message: string): CommandOutcome => ({
  kind: 'failed',
  why,
  exitCode: 255,
  message,
});

const waiting = (someUs: number): Pressure => ({
  someAvg10: ratio(0),
  someTotalUs: microseconds(someUs),
  fullAvg10: ratio(0),
  fullTotalUs: microseconds(0),
});

const MIB = 1024 * 1024;
const digestOf = (version: number): string => String(version).padStart(40, '0');
