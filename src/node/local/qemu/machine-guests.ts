import { createHash } from 'node:crypto';
import { join } from 'node:path/posix';
import { type MonitorAnswer, machineMemory } from '../../../core/machine-memory.ts';
import type {
  CgroupLife,
  CgroupSample,
  GuestConfig,
  MemoryCounters,
} from '../../../core/observation.ts';
import { knownMemory, needsFigure } from '../../../core/pvestatd-memory.ts';
import { missing, present, type Reading } from '../../../core/reading.ts';
import { bytes, type Mib, mib, parseVmid, type Vmid } from '../../../core/units.ts';
import { createFileReader, type ReadSmallFile } from '../../../os/file-reader.ts';
import { missingBecause } from '../../../os/os-error.ts';
import { GUEST_CONFIG_LIMIT_BYTES } from '../../guests/lxc-conf.ts';
import { parseMachineConfig, parseMachineIdentity, parseMachineMemory } from '../../guests/qemu.ts';
import type { MonitorAccess } from '../../guests/qmp.ts';
import type { Clock, GuestFile, GuestIdentity, MachineWishes } from '../../port.ts';
import { createCgroups } from '../kernel/cgroup-files.ts';
import type { Paths } from '../paths.ts';
import { ByVersion, type Inventory, PveInventory } from '../pve/pve-inventory.ts';
import { PvestatdFigures } from '../pve/rrd-file.ts';
import type { ListedGuest } from '../pve/vmlist-file.ts';
import { Monitors } from './machine-monitors.ts';
import { createMonitorAccess } from './machine-qmp.ts';

/** The virtual machines of this node. */

const NOBODY: MachineWishes = {
  anyNamed: false,
  isWanted: () => false,
  mayBeWanted: () => false,
};
export const ALL_MACHINES: MachineWishes = {
  anyNamed: true,
  isWanted: () => true,
  mayBeWanted: () => true,
};
/** A handful of descriptors per machine is kept open, as of containers. */
const MOST_DESCRIPTORS = 200 * 13;

interface Known {
  readonly config: Reading<GuestConfig>;
  /** undefined: its configuration does not say it in a form that is known. */
  readonly assignedMib: number | undefined;
  /** Also if the rest is malformed; undefined: nothing of it is a text. */
  readonly identity: GuestIdentity | undefined;
}

/**
 * A machine runs while its scope is below `qemu.slice`. Where none runs that is wanted, nothing is
 * read besides the configurations of those that run and have changed.
 */
export class LocalMachines {
  readonly #paths: Paths;
  readonly #inventory: PveInventory;
  readonly #clock: Clock;
  readonly #access: MonitorAccess;
  readonly #readFile: ReadSmallFile;
  readonly #known = new ByVersion<Known>();
  /** Made when one is wanted for the first time. */
  #watch:
    | {
        readonly monitors: Monitors;
        readonly figures: PvestatdFigures;
        readonly cgroups: ReturnType<typeof createCgroups>;
      }
    | undefined;
  #wishes = NOBODY;
  /** Whether the configurations have been looked at with these wishes. */
  #isKnown = false;
  /** Those that are wanted, by the last look. */
  #wanted: ReadonlyMap<Vmid, Reading<GuestConfig>> = new Map();
  /** Those of them that were handed out and read: they count there, and not among the rest. */
  #listed: ReadonlySet<Vmid> = new Set();
  /** What each that runs was last seen to have: it keeps that if it cannot be read now. */
  #assigned: ReadonlyMap<Vmid, Reading<number>> = new Map();

  constructor(
    paths: Paths,
    clock: Clock,
    inventory = new PveInventory(paths),
    access = createMonitorAccess(paths, clock),
  ) {
    this.#paths = paths;
    this.#access = access;
    this.#readFile = createFileReader(GUEST_CONFIG_LIMIT_BYTES, paths.files);
    this.#clock = clock;
    this.#inventory = inventory;
  }

  use(wishes: MachineWishes): void {
    this.#wishes = wishes;
    this.#isKnown = false;
    this.#known.keepOnly(() => false);
    if (!wishes.anyNamed) this.#wanted = new Map();
  }

  /**
   * Asks the monitors of those that run and are wanted. That is done every ten seconds, so it reads
   * next to nothing of `/etc/pve`, which costs many times as much: who is wanted is known by the
   * last list, and what pvestatd says is read for those alone whose guests do not tell.
   *
   * @param hasFigures whether its file is there to be read, where it is fetched on demand
   */
  async look(hasFigures = true): Promise<void> {
    if (!this.#isWanted) return;
    const running = this.#running();
    if (!running.ok) return;
    if (!this.#isKnown) this.#refresh(running.value);
    const asked = running.value.filter((vmid) => this.#wanted.has(vmid));
    if (this.#wanted.size === 0) return;
    const { monitors, figures } = this.#watching();
    await monitors.look(asked);
    const needing = this.#needing(asked);
    if (hasFigures && figures.isDue(needing)) figures.read(needing);
  }

  /** Whether what pvestatd says is to be read with the next look. */
  get needsFigures(): boolean {
    return (
      this.#wanted.size > 0 && this.#watching().figures.isDue(this.#needing(this.#wanted.keys()))
    );
  }

  #needing(vmids: Iterable<Vmid>): ReadonlySet<Vmid> {
    return new Set([...vmids].filter((vmid) => this.#needsFigure(vmid)));
  }

  #needsFigure(vmid: Vmid): boolean {
    const config = this.#wanted.get(vmid);
    const answer = this.#watching().monitors.answer(vmid);
    return answer.ok && config?.ok === true && needsFigure(answer.value, config.value);
  }

  get #isWanted(): boolean {
    return this.#wishes.anyNamed || this.#wanted.size > 0;
  }

  /** The configurations of those that are wanted, whether they run or not; nobody is asked. */
  configured(): ReadonlyMap<Vmid, Reading<GuestConfig>> {
    const running = this.#running();
    this.#refresh(running.ok ? running.value : []);
    return this.#handOut();
  }

  /** Those that are wanted and run, by their configurations of now. */
  running(): readonly Vmid[] {
    const running = this.#running();
    if (!running.ok) return [];
    this.#refresh(running.value);
    return running.value.filter((vmid) => this.#wanted.has(vmid));
  }

  has(vmid: Vmid): boolean {
    return this.#wanted.has(vmid);
  }

  /** Those that are wanted, with their configurations of now. */
  list(): ReadonlyMap<Vmid, Reading<GuestConfig>> {
    const running = this.#isWanted ? this.#running() : undefined;
    if (running?.ok) this.#refresh(running.value);
    return this.#handOut();
  }

  #handOut(): ReadonlyMap<Vmid, Reading<GuestConfig>> {
    this.#listed = new Set([...this.#wanted].flatMap(([vmid, { ok }]) => (ok ? [vmid] : [])));
    return this.#wanted;
  }

  read(vmid: Vmid): Reading<GuestFile> {
    const file = this.#readFile(join(this.#paths.vmDirectory(), `${vmid}.conf`));
    if (!file.ok) return file;
    const config = configOf(vmid, file.value);
    if (!config.ok) return config;
    this.#known.replace(vmid, (before) =>
      before.config.ok && before.config.value.digest === config.value.digest
        ? before
        : { config, assignedMib: config.value.assignedMib, identity: config.value },
    );
    return present({ config: config.value, content: new Uint8Array(file.value) });
  }

  /** `memory:` of all that run and are not handed out; missing if that of one is not known. */
  memoryMib(): Reading<Mib> {
    const running = this.#running();
    if (!running.ok) return running;
    if (running.value.length === 0 && this.#wanted.size === 0) {
      this.#known.keepOnly(() => false);
      return present(mib(0));
    }
    const seen = this.#refresh(running.value);
    let sum = 0;
    for (const vmid of running.value) {
      if (this.#listed.has(vmid)) continue;
      const memory = seen(vmid);
      if (!memory.ok) return memory;
      sum += memory.value;
    }
    return present(mib(sum));
  }

  /** As of a container; its memory is what its guest tells. */
  sample(vmid: Vmid): Reading<CgroupSample> {
    const { monitors, cgroups } = this.#watching();
    const sample = cgroups.sample(vmid);
    if (!sample.ok) return sample;
    const answer = monitors.answer(vmid);
    const { cpu, life } = sample.value;
    const vcpus = answer.ok ? answer.value.vcpus : undefined;
    return present({
      ...sample.value,
      life: life.ok ? lifeOf(life.value, answer) : life,
      cpu: cpu.ok ? present({ ...cpu.value, cpusetCpus: vcpus, effectiveCpus: undefined }) : cpu,
      memory: answer.ok ? this.#memory(vmid, answer.value) : answer,
      ...heldBy(sample.value.memory),
      memoryPressure: NO_PRESSURE,
    });
  }

  #memory(vmid: Vmid, answer: MonitorAnswer): Reading<MemoryCounters> {
    const config = this.#wanted.get(vmid);
    if (!config?.ok) return machineMemory(answer);
    const figure = this.#watching().figures.of(vmid);
    return knownMemory(answer, config.value, figure, this.#clock.wallMs());
  }

  get cgroups() {
    return this.#watching().cgroups;
  }

  /** Asks the monitor of one now; nothing for one that is none of ours. */
  async inspect(vmid: Vmid): Promise<void> {
    if (this.has(vmid)) await this.#watching().monitors.again(vmid);
  }

  close(): void {
    this.#watch?.cgroups.close();
  }

  #watching() {
    this.#watch ??= {
      monitors: new Monitors(this.#access, this.#clock),
      figures: new PvestatdFigures(this.#paths, this.#clock),
      cgroups: createCgroups(
        { ...this.#paths, cgroup: this.#paths.machineScope },
        this.#clock,
        MOST_DESCRIPTORS,
      ),
    };
    return this.#watch;
  }

  /** Returns what each machine that runs may use of the host's memory. */
  #refresh(running: readonly Vmid[]): (vmid: Vmid) => Reading<number> {
    const inventory = this.#inventory.look();
    const { epoch, guests } = inventory;
    this.#known.begin(epoch);
    const own = this.#wishes.anyNamed ? ownOf(inventory) : undefined;
    const runs = new Set(running);
    const vmids = new Set([...running, ...(own ?? this.#wanted.keys())]);
    const wanted = new Map<Vmid, Reading<GuestConfig>>();
    const assigned = new Map<Vmid, Reading<number>>();
    for (const vmid of vmids) {
      const listed = guests.ok ? guests.value.get(vmid) : undefined;
      const isOurs = listed?.type === 'qemu' && listed.node === inventory.node;
      const known = this.#configOf(vmid, isOurs ? listed : undefined);
      if (runs.has(vmid)) assigned.set(vmid, this.#assignedTo(vmid, known, listed));
      // One whose file has gone is gone; what cannot be read now stays one that is looked after.
      const config = known.ok ? known.value.config : known;
      const isKept = this.#isAskedFor(vmid, known) || (!config.ok && this.#wanted.has(vmid));
      if (isKept && (config.ok || config.why !== 'absent')) wanted.set(vmid, config);
    }
    this.#known.keepOnly((vmid) => vmids.has(vmid));
    this.#assigned = assigned;
    this.#wanted = wanted;
    this.#isKnown = true;
    return (vmid) => assigned.get(vmid) ?? missing('absent', `${vmid}.conf: not there`);
  }

  #isAskedFor(vmid: Vmid, known: Reading<Known>): boolean {
    const identity = known.ok ? known.value.identity : undefined;
    const { isWanted, mayBeWanted } = this.#wishes;
    return identity === undefined ? mayBeWanted(vmid) : isWanted(identity);
  }

  #assignedTo(vmid: Vmid, known: Reading<Known>, listed: ListedGuest | undefined): Reading<number> {
    const assignedMib = known.ok ? known.value.assignedMib : this.#assignedThere(listed);
    if (assignedMib !== undefined) return present(assignedMib);
    const path = join(this.#paths.vmDirectory(), `${vmid}.conf`);
    const lacking = known.ok
      ? missing('malformed', `${path}: the memory of a virtual machine is not to be found`)
      : missing(known.why, `a virtual machine runs, and ${known.detail}`);
    const before = this.#assigned.get(vmid);
    return before?.ok === true && lacking.why !== 'absent' ? before : lacking;
  }

  /** One that migrates in runs here while its configuration is still another node's. */
  #assignedThere(listed: ListedGuest | undefined): number | undefined {
    if (listed?.type !== 'qemu') return undefined;
    const { pveDir } = this.#paths;
    const home = join(pveDir, 'nodes', listed.node, 'qemu-server');
    const file = this.#readFile(join(home, `${listed.vmid}.conf`));
    return file.ok ? parseMachineMemory(file.value.toString('latin1')) : undefined;
  }

  /** @param listed undefined if it is not listed: then its configuration is read anew */
  #configOf(vmid: Vmid, listed: ListedGuest | undefined): Reading<Known> {
    const known = listed && this.#known.get(listed);
    if (known !== undefined) return present(known);
    const file = this.#readFile(join(this.#paths.vmDirectory(), `${vmid}.conf`));
    if (!file.ok) return file;
    const config = configOf(vmid, file.value);
    const assignedMib = parseMachineMemory(file.value.toString('latin1'));
    const identity = config.ok
      ? config.value
      : parseMachineIdentity(vmid, file.value.toString('utf8'));
    const read: Known = { config, assignedMib, identity };
    const isWhole = config.ok && assignedMib !== undefined;
    if (listed !== undefined && isWhole) this.#known.set(listed, read);
    return present(read);
  }

  /** By the scopes below `qemu.slice`, which is not there before the first VM was started. */
  #running(): Reading<readonly Vmid[]> {
    const { qemuSlice: slice, files } = this.#paths;
    try {
      if (files.stat(slice) === undefined) return present([]);
      const vmids: Vmid[] = [];
      for (const name of files.names(slice)) {
        const vmid = name.endsWith('.scope') ? parseVmid(name.slice(0, -6)) : undefined;
        if (vmid !== undefined) vmids.push(vmid);
      }
      return present(vmids);
    } catch (error) {
      const failed = missingBecause(error, slice);
      // The last VM was stopped, and the slice went with it, between the two calls.
      return failed.why === 'absent' ? present([]) : failed;
    }
  }
}

/**
 * Known whether or not the machine answers. The cache of the host's files counts for its cgroup
 * too, and is no memory of the machine.
 */
const heldBy = (ofScope: Reading<MemoryCounters>): Pick<CgroupSample, 'heldBytes'> =>
  ofScope.ok ? { heldBytes: bytes(ofScope.value.anonBytes + ofScope.value.shmemBytes) } : {};

/** A paused machine uses no CPU either. So whether it runs is known from its monitor alone. */
function lifeOf(life: CgroupLife, answer: Reading<MonitorAnswer>): Reading<CgroupLife> {
  if (!life.populated || life.frozen) return present(life);
  return answer.ok ? present({ ...life, frozen: !answer.value.isRunning }) : answer;
}

const NO_PRESSURE = missing('absent', 'a virtual machine does not tell how it waits for memory');

/** undefined: it is not known. */
const ownOf = ({ guests, node }: Inventory): readonly Vmid[] | undefined =>
  guests.ok
    ? [...guests.value.values()]
        .filter((guest) => guest.type === 'qemu' && guest.node === node)
        .map(({ vmid }) => vmid)
    : undefined;

function configOf(vmid: Vmid, content: Uint8Array): Reading<GuestConfig> {
  const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8');
  return parseMachineConfig(vmid, text, createHash('sha1').update(content).digest('hex'));
}
