import { type Capabilities, CONTROLLERS } from '../../core/capabilities.ts';
import type { ClusterSeen, SeesCluster } from '../../core/found-nodes.ts';
import type { CgroupSample, GuestConfig, HostObservation } from '../../core/observation.ts';
import { missing, present, type Reading } from '../../core/reading.ts';
import {
  bytesToMib,
  type Cores,
  cores,
  type Mib,
  mib,
  milliseconds,
  type Vmid,
} from '../../core/units.ts';
import { changeOf, whatIsWrongWith } from '../guests/lxc-change.ts';
import { machineChange } from '../guests/qm.ts';
import type {
  Cgroups,
  CommandOutcome,
  GuestFile,
  Guests,
  HostView,
  MachineWishes,
  NodeEyes,
  NodeHands,
  SetRequest,
} from '../port.ts';
import type { Form } from './client.ts';
import { type ClusterLook, guestPath } from './cluster-look.ts';
import type { ApiFailure } from './failure.ts';
import { machineSample } from './machine-sample.ts';
import { NO_GUESTS, type SeenGuest, type SeenGuests, type SeenNode } from './resources.ts';
import { sampleOf, type Total, totalOf } from './totals.ts';

/**
 * A node seen and changed by the REST API. A look is one request for the whole cluster; a
 * configuration is read if it is new, if what is shown of it has changed, and around a change.
 */

export interface ApiNode {
  readonly eyes: NodeEyes;
  readonly hands: NodeHands;
  /** Which virtual machines are looked after from now on; none until this is said. */
  lookAfter(wishes: MachineWishes): void;
  /** The nodes of its cluster, as of the last look. */
  readonly cluster: SeesCluster;
}

/** So many configurations are read at a look; the others wait for the next ones. */
const MOST_READ = 50;
/** Of those that could not be read the last time: each may take all of its time limit. */
const MOST_READ_AGAIN = 6;

/** No proof, no pressure, and of memory no more than a sum; the limits are set all the same. */
const ABLE: Capabilities = {
  proof: false,
  pressure: false,
  workingSet: false,
  liveLimits: new Set(CONTROLLERS),
};

/** @param name of the node, as the cluster calls it; undefined: the only one that it has */
export function createApiNode(cluster: ClusterLook, name: string | undefined): ApiNode {
  const node = new RemoteNode(cluster, name);
  return {
    eyes: node.eyes(),
    hands: node.hands(),
    lookAfter: (wishes) => node.lookAfter(wishes),
    cluster: () => node.cluster(),
  };
}

type Looked = ReadonlyMap<Vmid, Reading<SeenGuest>>;

interface Known {
  /** The content of its file, one letter a byte: an array of bytes would take twice as much. */
  readonly content: string;
  readonly config: Reading<GuestConfig>;
  /** What was shown of the guest when its configuration was read. */
  readonly signature: string;
  /** In which life that was; undefined: it did not run. */
  readonly life: number | undefined;
}

/** What was made of one look at a guest. */
interface Sampled {
  readonly total: Total;
  readonly limitMib: Mib;
  readonly reading: Reading<CgroupSample>;
}

const NO_MACHINES: MachineWishes = {
  anyNamed: false,
  isWanted: () => false,
  mayBeWanted: () => false,
};

class RemoteNode {
  readonly #cluster: ClusterLook;
  #name: string | undefined;
  readonly #known = new Map<Vmid, Known>();
  /** Whose configuration could not be read, the longest ago first. */
  readonly #failed = new Map<Vmid, Reading<never>>();
  readonly #totals = new Map<Vmid, Total>();
  readonly #samples = new Map<Vmid, Sampled>();
  #wishes: MachineWishes = NO_MACHINES;
  /** It is asked for with each guest. */
  #ownIn: { readonly sight: ClusterLook['sight']; readonly own: Reading<SeenGuests> } | undefined;
  /** Of which guests of a node this is. */
  #looked: { readonly all: SeenGuests; readonly after: Reading<Looked> } | undefined;
  /** What was taken to the counters. */
  #counted: Looked | undefined;
  /** As long as no configuration becomes known or is lost. */
  #listed: { readonly of: Looked; readonly guests: ReturnType<Guests['list']> } | undefined;
  #host: { readonly atMs: number; readonly busy: number; readonly total: number } | undefined;

  constructor(cluster: ClusterLook, name: string | undefined) {
    this.#cluster = cluster;
    this.#name = name;
  }

  lookAfter(wishes: MachineWishes): void {
    this.#wishes = wishes;
    this.#looked = undefined;
  }

  eyes(): NodeEyes {
    return {
      clock: this.#cluster.clock,
      observe: (stop) => this.#observe(stop),
      inspect: (vmid) => this.#inspect(vmid),
      guests: this.#guests(),
      cgroups: this.#cgroups(),
      host: this.#hostView(),
    };
  }

  hands(): NodeHands {
    const message = 'the API cannot do that';
    return {
      apply: (request, stop, cancel) => this.#apply(request, stop, cancel),
      reclaim: { ask: async () => ({ kind: 'unsupported' }) },
      memoryHigh: {
        hold: async () => ({ kind: 'refused', message }),
        release: async () => ({ ok: true }),
        releaseLeft: async () => [],
        pause: async () => {},
      },
    };
  }

  async #observe(stop?: AbortSignal): Promise<void> {
    await this.#cluster.look(stop);
    this.#count();
    await this.#readConfigs(stop);
  }

  async #inspect(vmid: Vmid): Promise<void> {
    await this.#cluster.look(undefined, 0);
    this.#count();
    const seen = this.#seen(vmid);
    if (seen.ok) await this.#readConfig(seen.value);
  }

  cluster(): Reading<ClusterSeen> {
    const { sight, quorum } = this.#cluster;
    const called = this.#called();
    if (!called.ok) return called;
    if (!sight.ok) return sight;
    const own = called.value;
    const members = [...sight.value.nodes.keys()].map((name) => ({ name }));
    if (!sight.value.nodes.has(own)) return missing('absent', `the cluster has no node ${own}`);
    return present({ own, members, isQuorate: quorum.ok && quorum.value });
  }

  /** One that was found as the only one stays the one that is meant. */
  #called(): Reading<string> {
    const { sight } = this.#cluster;
    if (this.#name !== undefined) return present(this.#name);
    if (!sight.ok) return sight;
    const [name, ...others] = [...sight.value.nodes.keys()].sort();
    if (name === undefined) return missing('unreadable', 'no node is shown to this login');
    if (others.length > 0) return missing('unreadable', whichOf([name, ...others]));
    this.#name = name;
    return present(name);
  }

  /** The guests of this node. */
  #own(): Reading<SeenGuests> {
    const { sight } = this.#cluster;
    if (this.#ownIn?.sight === sight) return this.#ownIn.own;
    const called = this.#called();
    if (!called.ok) return called;
    const own = sight.ok ? present(sight.value.guests.get(called.value) ?? NO_GUESTS) : sight;
    this.#ownIn = { sight, own };
    return own;
  }

  /** Those of them that are looked after: containers, and the machines that somebody wants. */
  #lookedAfter(): Reading<Looked> {
    const own = this.#own();
    if (!own.ok) return own;
    const { lxc, qemu } = own.value;
    if (this.#looked?.all !== own.value) {
      const wanted = [...qemu].filter(([vmid, seen]) => this.#isWanted(vmid, seen));
      const after = present(wanted.length === 0 ? lxc : new Map([...lxc, ...wanted]));
      this.#looked = { all: own.value, after };
    }
    return this.#looked.after;
  }

  /** One of which only its id is told now stays what it was. */
  #isWanted(vmid: Vmid, seen: Reading<SeenGuest>): boolean {
    if (!seen.ok) {
      return this.#known.has(vmid) || this.#failed.has(vmid) || this.#wishes.mayBeWanted(vmid);
    }
    const { name, tags } = seen.value;
    return this.#wishes.isWanted({ vmid, name, tags, kind: 'qemu' });
  }

  #seen(vmid: Vmid): Reading<SeenGuest> {
    const looked = this.#lookedAfter();
    if (!looked.ok) return looked;
    const name = this.#name ?? '';
    return looked.value.get(vmid) ?? missing('absent', `${name} has no guest ${vmid}`);
  }

  #running(vmid: Vmid): Reading<SeenGuest> {
    const seen = this.#seen(vmid);
    if (!seen.ok || seen.value.isRunning) return seen;
    return missing('absent', `guest ${vmid} does not run`);
  }

  /** Takes what the last look saw to the counters. */
  #count(): void {
    const looked = this.#lookedAfter();
    if (!looked.ok) return;
    this.#countHost();
    if (looked.value === this.#counted) return;
    this.#counted = looked.value;
    const atMs = milliseconds(this.#cluster.atMs);
    const at = { atMs, wallMs: this.#cluster.clock.wallMs() };
    const guests = looked.value;
    for (const [vmid, seen] of guests) {
      const before = this.#totals.get(vmid);
      if (!seen.ok || before?.atMs === atMs) continue;
      // Of one that has stopped only the number of its life counts, for the next one.
      const isNew = before !== undefined && !seen.value.isRunning;
      if (isNew) this.#totals.set(vmid, { ...before, uptimeS: Number.POSITIVE_INFINITY });
      else if (seen.value.isRunning) this.#totals.set(vmid, totalOf(before, seen.value, at));
    }
    for (const vmid of this.#totals.keys()) if (!guests.has(vmid)) this.#totals.delete(vmid);
    for (const vmid of this.#samples.keys()) if (!guests.has(vmid)) this.#samples.delete(vmid);
    for (const vmid of this.#known.keys()) if (!guests.has(vmid)) this.#known.delete(vmid);
    for (const vmid of this.#failed.keys()) if (!guests.has(vmid)) this.#failed.delete(vmid);
  }

  #countHost(): void {
    const seen = this.#seenNode();
    const { atMs } = this.#cluster;
    if (!seen.ok || this.#host?.atMs === atMs) return;
    const { busy = 0, total = 0, atMs: beforeMs = atMs } = this.#host ?? {};
    const ticks = atMs - beforeMs;
    this.#host = { atMs, busy: busy + ticks * seen.value.cpu, total: total + ticks };
  }

  async #readConfigs(stop?: AbortSignal): Promise<void> {
    const looked = this.#lookedAfter();
    if (!looked.ok) return;
    const due = [...looked.value.values()]
      .flatMap((seen) => (seen.ok ? [seen.value] : []))
      .filter((seen) => !this.#isKnown(seen));
    const first = due.filter(({ vmid }) => !this.#failed.has(vmid)).slice(0, MOST_READ);
    const again = [...this.#failed.keys()].flatMap((id) => due.filter(({ vmid }) => vmid === id));
    const read = [...first, ...again.slice(0, MOST_READ_AGAIN)];
    await Promise.all(read.map((seen) => this.#readConfig(seen, stop)));
  }

  #isKnown(seen: SeenGuest): boolean {
    const known = this.#known.get(seen.vmid);
    return known?.signature === seen.signature && known.life === this.#life(seen);
  }

  /** At a start what was pending comes into the configuration. */
  #life({ vmid, isRunning }: SeenGuest): number | undefined {
    return isRunning ? this.#totals.get(vmid)?.life : undefined;
  }

  async #readConfig(seen: SeenGuest, stop?: AbortSignal): Promise<void> {
    const { vmid } = seen;
    const { signature } = seen;
    const life = this.#life(seen);
    const file = await this.#cluster.config(seen, stop);
    if (stop?.aborted === true) return;
    this.#listed = undefined;
    this.#failed.delete(vmid);
    if (file.ok) {
      const config = present(file.value.config);
      const content = Buffer.from(file.value.content).toString('latin1');
      this.#known.set(vmid, { content, config, signature, life });
    } else {
      this.#known.delete(vmid);
      this.#failed.set(vmid, file);
    }
  }

  #file(vmid: Vmid): Reading<GuestFile> {
    const seen = this.#seen(vmid);
    if (!seen.ok) return seen;
    const known = this.#known.get(vmid);
    if (known === undefined) return this.#failed.get(vmid) ?? unread(vmid);
    if (!known.config.ok) return known.config;
    const content = new Uint8Array(Buffer.from(known.content, 'latin1'));
    return present({ config: known.config.value, content });
  }

  #config(vmid: Vmid): Reading<GuestConfig> {
    const seen = this.#seen(vmid);
    return seen.ok ? this.#configOf(vmid) : seen;
  }

  #configOf(vmid: Vmid): Reading<GuestConfig> {
    return this.#known.get(vmid)?.config ?? this.#failed.get(vmid) ?? unread(vmid);
  }

  #list(looked: Looked): ReturnType<Guests['list']> {
    if (this.#listed?.of !== looked) {
      // What was read of one before says nothing of it now.
      const configs = [...looked].map(
        ([vmid, seen]) => [vmid, seen.ok ? this.#configOf(vmid) : seen] as const,
      );
      this.#listed = { of: looked, guests: present(new Map(configs)) };
    }
    return this.#listed.guests;
  }

  #guests(): Guests {
    return {
      list: () => {
        const looked = this.#lookedAfter();
        return looked.ok ? this.#list(looked.value) : looked;
      },
      isMachine: (vmid) => {
        const seen = this.#seen(vmid);
        return seen.ok && seen.value.kind === 'qemu';
      },
      read: (vmid) => this.#file(vmid),
      quorum: () => this.#cluster.quorum,
    };
  }

  #cgroups(): Cgroups {
    const cpuLimit = (vmid: Vmid): Reading<Cores | undefined> => {
      const running = this.#running(vmid);
      const config = running.ok ? this.#config(vmid) : running;
      if (!config.ok) return config;
      const limit = config.value.cpuLimit;
      return present(limit === null ? undefined : cores(limit));
    };
    return {
      sample: (vmid) => {
        const seen = this.#running(vmid);
        if (!seen.ok) return seen;
        const config = this.#config(vmid);
        const total = this.#totals.get(vmid);
        if (!config.ok) return config.why === 'absent' ? unreadable(config.detail) : config;
        if (total === undefined) return unreadable(`guest ${vmid} has not been looked at yet`);
        return this.#sample(seen.value, total, config.value.memoryMib);
      },
      cpuLimit,
      sampledCpuLimit: cpuLimit,
      capabilities: (vmid) => (this.#running(vmid).ok ? ABLE : undefined),
    };
  }

  /** A cycle asks several times for the same. */
  #sample(seen: SeenGuest, total: Total, limitMib: Mib): Reading<CgroupSample> {
    const known = this.#samples.get(seen.vmid);
    if (known?.total === total && known.limitMib === limitMib) return known.reading;
    const make = seen.kind === 'qemu' ? machineSample : sampleOf;
    const reading = present(make(seen, total, limitMib));
    this.#samples.set(seen.vmid, { total, limitMib, reading });
    return reading;
  }

  #seenNode(): Reading<SeenNode> {
    const { sight } = this.#cluster;
    const called = this.#called();
    if (!called.ok) return called;
    if (!sight.ok) return sight;
    const none = missing('absent', `the cluster has no node ${called.value}`);
    return sight.value.nodes.get(called.value) ?? none;
  }

  #hostView(): HostView {
    return { observe: () => this.#hostObservation() };
  }

  #hostObservation(): HostObservation {
    const seen = this.#seenNode();
    const times = this.#host;
    return {
      cpus: seen.ok ? present(seen.value.maxCpus) : seen,
      memory: seen.ok ? present(hostMemory(seen.value)) : seen,
      cpuTimes:
        seen.ok && times !== undefined
          ? present({ busyTicks: times.busy, totalTicks: times.total })
          : unreadable('the node has not been looked at yet'),
      vmMemoryMib: this.#vmMemory(),
      load1: NOT_TOLD,
      cpuPressure: NOT_TOLD,
      memoryPressure: NOT_TOLD,
    };
  }

  /** Of all others that run here, and of those whose configuration is not known. */
  #vmMemory(): Reading<Mib> {
    const own = this.#own();
    const looked = this.#lookedAfter();
    if (!own.ok) return own;
    if (!looked.ok) return looked;
    let sum = 0;
    for (const [vmid, seen] of own.value.qemu) {
      if (looked.value.has(vmid) && this.#config(vmid).ok) continue;
      if (!seen.ok) return seen;
      if (seen.value.isRunning) sum += bytesToMib(seen.value.maxMemory);
    }
    return present(mib(sum));
  }

  async #apply(
    request: SetRequest,
    stop: AbortSignal,
    cancel: AbortSignal | undefined,
  ): Promise<CommandOutcome> {
    const called = this.#called();
    if (!called.ok) return { kind: 'not-started', message: called.detail };
    const { vmid } = request;
    const seen = this.#seen(vmid);
    const kind = seen.ok ? seen.value.kind : 'lxc';
    const form = kind === 'qemu' ? this.#machineForm(request) : containerForm(request);
    if (typeof form === 'string') return { kind: 'not-started', message: form };
    const path = `${guestPath({ node: called.value, kind, vmid })}/config`;
    const answer = await this.#cluster.client.put(path, form, stop, cancel);
    if (answer.ok) return { kind: 'done' };
    if (answer.why === 'no-quorum') this.#cluster.noticeNoQuorum();
    return outcomeOf(answer, this.#cluster.client.writeLimitMs);
  }

  #machineForm(request: SetRequest): Form | string {
    const config = this.#config(request.vmid);
    if (!config.ok) return config.detail;
    const change = machineChange(config.value, request);
    return change.ok ? Object.fromEntries(change.settings) : change.why;
  }
}

/** Or why it is not asked for. */
function containerForm(request: SetRequest): Form | string {
  const wrong = whatIsWrongWith(request);
  if (wrong !== undefined) return wrong;
  const { set, remove } = changeOf(request);
  const deleted = remove.length > 0 && { delete: remove.join(',') };
  return { ...Object.fromEntries(set), ...deleted, digest: request.digest };
}

const whichOf = (names: readonly string[]): string =>
  `there are several nodes, ${names.join(', ')}; make an entry of NODES for each that is meant, ` +
  'with its name as `node:`';

const unread = (vmid: Vmid) =>
  missing('unreadable', `${vmid}: its configuration has not been read yet`);
const unreadable = (detail: string) => missing('unreadable', detail);
const NOT_TOLD = missing('absent', 'the API does not tell it in one look at the cluster');

/** Swap and the ZFS cache are not told: counted as none, so that nothing is built on them. */
const hostMemory = ({ memory, maxMemory }: SeenNode) => ({
  totalMib: bytesToMib(maxMemory),
  availableMib: mib(Math.max(0, bytesToMib(maxMemory) - bytesToMib(memory))),
  arcReclaimableMib: mib(0),
  swapFreeMib: mib(0),
});

function outcomeOf(failure: ApiFailure, limitMs: number): CommandOutcome {
  const { why, message } = failure;
  switch (why) {
    case 'timeout':
      return { kind: 'timed-out', afterMs: milliseconds(limitMs), message };
    case 'stopped':
      return { kind: 'killed', signal: 'SIGTERM', message };
    // Whoever answers is not the node, so that no change reaches it.
    case 'certificate':
      return { kind: 'failed', why: 'unreachable', message };
    case 'second-factor':
      return { kind: 'failed', why: 'denied', message };
    case 'malformed':
      return { kind: 'failed', why: 'other', message };
    default:
      return { kind: 'failed', why, message };
  }
}
