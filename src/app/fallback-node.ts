import { by, type Connection } from '../core/connection.ts';
import { missing } from '../core/reading.ts';
import type { Clock, Guests, HighLeft, NodeEyes, NodeHands } from '../node/port.ts';
import { type FarNode, whyHostUnseen } from './world.ts';

/**
 * A node with two connections. Each look is by the first one that answers, and all that is read and
 * done until the next look is by that one too: so a change ends by the connection by which it was
 * decided on. While the first does not answer it is tried beside the looks, later each time.
 */

const FIRST_REST_MS = 15_000;
const LONGEST_REST_MS = 300_000;

export interface Ways {
  readonly first: FarNode;
  readonly second: FarNode;
}

export function openFallback({ first, second }: Ways, clock: Clock): FarNode {
  const node = new FallbackNode(new Way(first), new Way(second), clock);
  const ways = [first, second] as const;
  return {
    name: first.name,
    ways,
    eyes: node.eyes(),
    hands: node.hands(),
    lease: leaseOf(first, second, () => node.isByFirst),
    ...groupsOf(ways, () => node.way),
    problem: () => node.problem(),
    connection: () => node.connection,
    lookAfter: (wishes) => {
      for (const way of ways) way.lookAfter(wishes);
    },
    close: () => {
      for (const way of ways) way.close();
    },
  };
}

/** One connection, and what the last look by it came to. */
class Way {
  readonly far: FarNode;
  readonly name: string;
  #hostWhy: string | undefined;

  constructor(far: FarNode) {
    this.far = far;
    this.name = by(far.connection().by);
  }

  /** Why the node is not seen by it; undefined: it is. */
  get why(): string | undefined {
    return this.far.problem() ?? this.#hostWhy;
  }

  /** @returns whether the node was seen */
  async answers(stop?: AbortSignal, within?: 'change'): Promise<boolean> {
    await this.far.eyes.observe(stop, within);
    this.#hostWhy = whyHostUnseen(this.far);
    return this.why === undefined;
  }
}

class FallbackNode {
  readonly #first: Way;
  readonly #second: Way;
  readonly #clock: Clock;
  #current: Way;
  /** Why the first did not answer when it was last tried. */
  #why = '';
  #restMs = FIRST_REST_MS;
  #restUntilMs = Number.NEGATIVE_INFINITY;
  /** When the first was last taken into use. */
  #takenMs: number;
  #isTrying = false;
  /** The first has answered, and is to be used from the next look on. */
  #isBack = false;

  constructor(first: Way, second: Way, clock: Clock) {
    this.#first = first;
    this.#second = second;
    this.#clock = clock;
    this.#current = first;
    this.#takenMs = clock.monotonicMs();
  }

  get way(): FarNode {
    return this.#current.far;
  }

  get isByFirst(): boolean {
    return this.#current === this.#first;
  }

  get connection(): Connection {
    const now = this.#current.far.connection();
    return this.isByFirst ? now : { ...now, why: this.#why };
  }

  problem(): string | undefined {
    if (this.#current.why === undefined) return undefined;
    const ways = [this.#first, this.#second];
    return ways.map(({ name, why }) => `${name}: ${why ?? 'it answers again'}`).join('; ');
  }

  eyes(): NodeEyes {
    const now = (): NodeEyes => this.#current.far.eyes;
    return {
      clock: this.#clock,
      observe: async (stop, within) => {
        if (within === undefined) await this.#look(stop);
        else await this.#current.answers(stop, within);
      },
      inspect: (vmid) => now().inspect(vmid),
      guests: {
        list: () => now().guests.list(),
        isMachine: (vmid) => now().guests.isMachine?.(vmid) === true,
        read: (vmid) => now().guests.read(vmid),
        quorum: () => now().guests.quorum(),
        // What a port gains later, also what may be left out, is to be handed on too.
      } satisfies Required<Guests>,
      cgroups: {
        sample: (vmid) => now().cgroups.sample(vmid),
        cpuLimit: (vmid) => now().cgroups.cpuLimit(vmid),
        sampledCpuLimit: (vmid) => now().cgroups.sampledCpuLimit(vmid),
        capabilities: (vmid) => now().cgroups.capabilities(vmid),
      },
      host: { observe: () => now().host.observe() },
    };
  }

  hands(): NodeHands {
    const now = (): NodeHands => this.#current.far.hands;
    return {
      apply: (request, stop, cancel) => now().apply(request, stop, cancel),
      reclaim: { ask: (vmid, wish) => now().reclaim.ask(vmid, wish) },
      memoryHigh: {
        hold: (vmid, at) => now().memoryHigh.hold(vmid, at),
        release: (vmid) => now().memoryHigh.release(vmid),
        releaseLeft: () => this.#releaseLeft(),
        pause: () => now().memoryHigh.pause(),
      },
      get memoryGuards() {
        return now().memoryGuards;
      },
    };
  }

  async #look(stop?: AbortSignal): Promise<void> {
    if (this.isByFirst || this.#isBack) {
      this.#isBack = false;
      if (await this.#first.answers(stop)) return this.#takeFirst();
      if (stop?.aborted === true) return;
      // While neither answers, both are tried at each look, and no rest grows.
      if (await this.#second.answers(stop)) {
        this.#restFirst();
        this.#current = this.#second;
      } else this.#noteWhy();
      return;
    }
    if (this.#clock.monotonicMs() >= this.#restUntilMs) this.#tryFirst();
    if ((await this.#second.answers(stop)) || stop?.aborted === true) return;
    this.#tryFirst();
  }

  /** Beside the look, which does not wait for it. */
  #tryFirst(): void {
    if (this.#isTrying) return;
    this.#isTrying = true;
    void this.#first.answers().then((isBack) => {
      this.#isTrying = false;
      this.#isBack = isBack;
      if (isBack) return;
      if (this.#second.why === undefined) this.#restFirst();
      else this.#noteWhy();
    });
  }

  #takeFirst(): void {
    if (!this.isByFirst) this.#takenMs = this.#clock.monotonicMs();
    this.#current = this.#first;
  }

  /** One that comes and goes is not taken back as soon as one that has served for long. */
  #restFirst(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.isByFirst && nowMs - this.#takenMs > LONGEST_REST_MS) this.#restMs = FIRST_REST_MS;
    this.#noteWhy();
    this.#restUntilMs = nowMs + this.#restMs;
    this.#restMs = Math.min(this.#restMs * 2, LONGEST_REST_MS);
  }

  #noteWhy(): void {
    this.#why = this.#first.why ?? this.#why;
  }

  /** Also where something was held down before the other connection came into use. */
  async #releaseLeft(): Promise<readonly HighLeft[]> {
    const ways = [this.#first, this.#second];
    const left = ways.map(({ far: { hands } }) => hands.memoryHigh.releaseLeft());
    return (await Promise.all(left)).flat();
  }
}

/** They rest while the node is seen by a connection that has none. */
function groupsOf(ways: readonly FarNode[], now: () => FarNode): Pick<FarNode, 'groups'> {
  const way = ways.find(({ groups }) => groups !== undefined);
  const { groups } = way ?? {};
  if (way === undefined || groups === undefined) return {};
  const { cluster } = groups;
  const resting = () =>
    now() === way ? undefined : missing('unreadable', 'they need SSH, and the API is in use');
  return {
    groups: {
      ...groups,
      cluster: {
        look: async () => (resting() === undefined ? cluster.look?.() : undefined),
        read: () => resting() ?? cluster.read(),
        quorum: () => resting() ?? cluster.quorum(),
      },
    },
  };
}

/**
 * That in the cluster file system of this host, if the node is in its cluster. Otherwise the far
 * one, by SSH, also while the node is seen by the API: without it nothing is changed.
 */
function leaseOf(first: FarNode, second: FarNode, isByFirst: () => boolean): FarNode['lease'] {
  const all = [first, second].flatMap(({ lease }) => (lease === undefined ? [] : [lease]));
  const near = all.find(({ how }) => how === 'api');
  if (near !== undefined) return near;
  const isApiFirst = first.connection().by === 'api';
  const [far] = all;
  return far && { ...far, isWaitedFor: () => isByFirst() !== isApiFirst };
}
