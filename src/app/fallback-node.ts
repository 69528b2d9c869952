import { BY, type Connection } from '../core/connection.ts';
import type { Clock, Guests, HighLeft, NodeEyes, NodeHands } from '../node/port.ts';
import type { FarNode } from './world.ts';

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
  const node = new FallbackNode(first, second, clock);
  const ways = [first, second] as const;
  return {
    name: first.name,
    ways,
    eyes: node.eyes(),
    hands: node.hands(),
    lease: leaseOf(first, second, () => node.isByFirst),
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

class FallbackNode {
  readonly #first: FarNode;
  readonly #second: FarNode;
  readonly #clock: Clock;
  #current: FarNode;
  /** Why the first did not answer when it was last tried. */
  #why = '';
  #restMs = FIRST_REST_MS;
  #restUntilMs = Number.NEGATIVE_INFINITY;
  /** When the first was last taken into use. */
  #takenMs: number;
  #isTrying = false;
  /** The first has answered, and is to be used from the next look on. */
  #isBack = false;

  constructor(first: FarNode, second: FarNode, clock: Clock) {
    this.#first = first;
    this.#second = second;
    this.#clock = clock;
    this.#current = first;
    this.#takenMs = clock.monotonicMs();
  }

  get isByFirst(): boolean {
    return this.#current === this.#first;
  }

  get connection(): Connection {
    const { by } = this.#current.connection();
    return this.isByFirst ? { by } : { by, why: this.#why };
  }

  problem(): string | undefined {
    const why = whyUnseen(this.#current);
    if (why === undefined) return undefined;
    const ways = [this.#first, this.#second].map((way) => {
      return `${BY[way.connection().by]}: ${whyUnseen(way) ?? 'it answers again'}`;
    });
    return ways.join('; ');
  }

  eyes(): NodeEyes {
    const now = (): NodeEyes => this.#current.eyes;
    return {
      clock: this.#clock,
      observe: (stop, within) =>
        within === undefined ? this.#look(stop) : now().observe(stop, within),
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
    const now = (): NodeHands => this.#current.hands;
    return {
      apply: (request, stop, cancel) => now().apply(request, stop, cancel),
      reclaim: { ask: (vmid, wish) => now().reclaim.ask(vmid, wish) },
      memoryHigh: {
        hold: (vmid, at) => now().memoryHigh.hold(vmid, at),
        release: (vmid) => now().memoryHigh.release(vmid),
        releaseLeft: () => this.#releaseLeft(),
        pause: () => now().memoryHigh.pause(),
      },
    };
  }

  async #look(stop?: AbortSignal): Promise<void> {
    if (this.isByFirst || this.#isBack) {
      this.#isBack = false;
      if (await answers(this.#first, stop)) return this.#takeFirst();
      if (stop?.aborted === true) return;
      this.#restFirst();
      if (await answers(this.#second, stop)) this.#current = this.#second;
      return;
    }
    if (this.#clock.monotonicMs() >= this.#restUntilMs) this.#tryFirst();
    if ((await answers(this.#second, stop)) || stop?.aborted === true) return;
    this.#tryFirst();
  }

  /** Beside the look, which does not wait for it. */
  #tryFirst(): void {
    if (this.#isTrying) return;
    this.#isTrying = true;
    void answers(this.#first).then((isBack) => {
      this.#isTrying = false;
      this.#isBack = isBack;
      if (!isBack) this.#restFirst();
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
    this.#why = whyUnseen(this.#first) ?? this.#why;
    this.#restUntilMs = nowMs + this.#restMs;
    this.#restMs = Math.min(this.#restMs * 2, LONGEST_REST_MS);
  }

  /** Also where something was held down before the other connection came into use. */
  async #releaseLeft(): Promise<readonly HighLeft[]> {
    const ways = [this.#first, this.#second];
    const left = ways.map(({ hands }) => hands.memoryHigh.releaseLeft());
    return (await Promise.all(left)).flat();
  }
}

async function answers(way: FarNode, stop?: AbortSignal): Promise<boolean> {
  await way.eyes.observe(stop);
  return whyUnseen(way) === undefined;
}

/** The API may answer for a node that it cannot reach itself. */
function whyUnseen({ eyes, problem }: FarNode): string | undefined {
  const why = problem();
  if (why !== undefined) return why;
  const { cpus } = eyes.host.observe();
  return cpus.ok ? undefined : cpus.detail;
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
