import { setTimeout as wait } from 'node:timers/promises';
import type { Config } from '../config/model.ts';
import { type ConfigOnNode, onNode } from '../config/on-node.ts';
import type { AskedChange } from '../core/asked.ts';
import type { Headroom } from '../core/headroom.ts';
import type { LoopState } from '../core/loop-state.ts';
import { milliseconds, type Vmid } from '../core/units.ts';
import { MIN_ELAPSED_MS } from '../core/usage.ts';
import { type AskedOutcome, Asking } from '../loop/asked.ts';
import { type CycleSettings, type CycleView, runCycle } from '../loop/cycle.ts';
import { endGuards } from '../loop/guard-memory.ts';
import { noticeConnection } from '../loop/notice-connection.ts';
import { noticePause } from '../loop/pause.ts';
import { Prompts } from '../loop/prompts.ts';
import { helped, type Sampled, type SampleSettings, sample } from '../loop/sample.ts';
import type { World } from '../ports.ts';
import { forGuestsOf } from './loop-settings.ts';
import type { EndedCycle } from './part.ts';
import type { Look } from './scheduler.ts';
import type { StateKeeper } from './state-keeper.ts';
import { watching } from './watching.ts';
import { withoutHands } from './without-hands.ts';
import type { OpenWorld } from './world.ts';

export interface NodeLoopOptions {
  readonly open: OpenWorld;
  readonly keeper: StateKeeper;
  readonly config: Config;
  readonly settingsOf: (config: ConfigOnNode) => CycleSettings;
  /** Memory of the host for members of groups that have not started yet. */
  readonly comingMib?: () => number;
  /** Further cycles follow, so that a limit is raised in time. */
  readonly goesOn?: boolean;
  /**
   * The other nodes of this program, which take over guests that are migrated there; undefined:
   * there is none.
   */
  readonly others?: () => ReadonlySet<string> | undefined;
  /** Called when the state is saved within a cycle: the loop makes progress. */
  readonly onSaved?: () => void;
  /** Called when the node was looked at, before its guests are. */
  readonly onSeen?: (node: NodeLoop) => void;
}

/** What a person wants, and how it is to be carried out. */
export interface AskedCycle {
  readonly wanted: AskedChange;
  readonly dryRun: boolean;
  readonly stop: AbortSignal;
  /** Is handed the cycle that carries it out; not called if there is nothing to carry out. */
  readonly watched: (cycle: () => Promise<EndedCycle>) => Promise<EndedCycle>;
}

const END_GUARDS_MS = 10_000;

/** As early as the next sample comes where something may have begun; sooner says little. */
const LEAST_GLANCE_MS = 2500;

const NOTHING_SEEN: Sampled = { urgent: new Set(), suspicious: false };

/**
 * The loop of one node: its world, its state, the active settings, its cycles, the samples between
 * them, and what the last cycle knew. The scheduler decides when it runs.
 */
export class NodeLoop {
  readonly open: OpenWorld;
  readonly #options: NodeLoopOptions;
  #config: ConfigOnNode;
  #settings: CycleSettings;
  #view: CycleView | undefined;
  #headroom: Headroom | undefined;
  /** undefined: this node tells of nothing between two samples. */
  readonly prompts: Prompts | undefined;

  constructor(options: NodeLoopOptions) {
    this.open = options.open;
    const { limitEvents } = this.world;
    this.prompts = limitEvents && new Prompts(limitEvents, this.world);
    this.#options = options;
    this.#config = onNode(options.config, options.open.name);
    this.#settings = this.#settingsOf(this.#config);
  }

  /** For those who only look. */
  get world(): World {
    return this.open.world;
  }
  get state(): LoopState {
    return this.#options.keeper.state;
  }
  /** What it comes to on this node. */
  get config(): ConfigOnNode {
    return this.#config;
  }
  get settings(): CycleSettings {
    return this.#settings;
  }
  /** What the last whole cycle knew; undefined: no cycle is over yet. */
  get view(): CycleView | undefined {
    return this.#view;
  }
  /** Headroom of the host after the last cycle, whole or early. */
  get headroom(): Headroom | undefined {
    return this.#headroom;
  }

  /** Makes a new configuration active. */
  apply(config: Config): void {
    this.open.reconfigure(config);
    this.#config = onNode(config, this.open.name);
    this.#settings = this.#settingsOf(this.#config);
  }

  #settingsOf(config: ConfigOnNode): CycleSettings {
    return forGuestsOf(this.#options.settingsOf(config), () => this.state);
  }

  /** undefined: it was stopped before the node had been seen. */
  async cycle(stop: AbortSignal): Promise<EndedCycle | undefined> {
    let view: CycleView | undefined;
    const inspect = (seen: CycleView): void => {
      view = seen;
      this.#view = seen;
    };
    await this.world.observe(stop);
    if (stop.aborted) return undefined;
    const { world } = this.open;
    // Records of other nodes are handed over by what this one is seen by now.
    noticeConnection(world, this.state);
    this.#options.onSeen?.(this);
    this.prompts?.regularLook();
    const result = await runCycle(world, { ...this.#forCycle(), inspect }, this.state, stop);
    this.prompts?.follow(helped(this.state, this.#settings.manage));
    return { node: this.open.name, kind: 'whole', result, view };
  }

  /** Serves only these containers, whose decision cannot wait for the next whole cycle. */
  async earlyCycle(urgent: ReadonlySet<Vmid>, stop: AbortSignal): Promise<EndedCycle> {
    const { world } = this.open;
    const result = await runCycle(world, { ...this.#forCycle(), urgent }, this.state, stop);
    // What could not be dealt with now is left to the regular looks.
    if (result.ok) this.prompts?.dealtWith(urgent);
    return { node: this.open.name, kind: 'early', result, view: undefined };
  }

  /**
   * Does what a person wants for one guest, as a cycle for it alone; undefined: the guests could
   * not be seen. It is tried on a copy of the state first: what is refused, a dry run and what is
   * so already leave no trace, and take nothing of what the next cycle goes by.
   */
  async askedCycle({
    wanted,
    dryRun,
    stop,
    watched,
  }: AskedCycle): Promise<AskedOutcome | undefined> {
    await this.#longEnough(wanted.vmid);
    await this.world.observe();
    const { world, name } = this.open;
    const { manage, dryRun: isDry } = this.#settings;
    const copy = structuredClone(this.state);
    const trying = new Asking(wanted);
    const tried = await runCycle(watching(withoutHands(world)), this.#toTry(trying), copy, stop);
    const outcome = tried.ok ? trying.end(copy, manage, true) : undefined;
    if (dryRun || isDry || outcome?.kind !== 'dry-run') return outcome;
    const asking = new Asking(wanted);
    let answer: AskedOutcome | undefined;
    await watched(async () => {
      const result = await runCycle(world, this.#toAsk(asking), this.state, stop);
      // Before the state is saved, for which it is waited.
      if (result.ok) answer = asking.end(this.state, manage, false);
      return { node: name, kind: 'early', result, view: undefined };
    });
    return answer;
  }

  #toAsk(asking: Asking): CycleSettings {
    return { ...this.#forCycle(), asking, urgent: new Set([asking.wanted.vmid]) };
  }

  #toTry(asking: Asking): CycleSettings {
    return { ...this.#toAsk(asking), dryRun: true, save: () => undefined, onHeadroom: () => {} };
  }

  /** What was sampled a moment ago gives no rate. */
  async #longEnough(vmid: Vmid): Promise<void> {
    const atMs = this.state.guests.get(vmid)?.life.sample?.atMs;
    if (atMs === undefined) return;
    const leftMs = atMs + MIN_ELAPSED_MS - this.world.clock.monotonicMs();
    if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs + 1));
  }

  /** When a glance comes between two samples, from the first of them on; Infinity: none comes. */
  get glanceAfterMs(): number {
    const { sampleIntervalMs, pollIntervalMs } = this.#config;
    const afterMs = sampleIntervalMs / 2;
    const areSamples = sampleIntervalMs < pollIntervalMs && afterMs >= LEAST_GLANCE_MS;
    const isWorthIt = areSamples && this.world.cgroups.glance !== undefined;
    return isWorthIt ? afterMs : Number.POSITIVE_INFINITY;
  }

  /** Looks at the containers between two cycles. */
  async sample(stop: AbortSignal, look: Look = 'all'): Promise<Sampled> {
    if (look === 'all') {
      await this.world.observe(stop);
      if (stop.aborted) return NOTHING_SEEN;
      noticePause(this.world, this.state);
      this.prompts?.regularLook();
    }
    const sampled = look === 'glance' ? this.#look({ between: true }) : this.#answer(look);
    // An early cycle follows.
    if (look !== 'all' && sampled.urgent.size > 0) await this.world.observe(stop);
    return stop.aborted ? NOTHING_SEEN : sampled;
  }

  #answer(look: Look): Sampled {
    const told = this.prompts?.take() ?? NOTHING_SEEN.urgent;
    const sampled = this.#look({ only: look === 'prompted' ? told : undefined });
    this.prompts?.looked(sampled.urgent, told);
    return sampled;
  }

  /** Samples only, while changes are in progress. Returns whether a decision cannot wait. */
  sampleMeanwhile(): boolean {
    return this.#look({ meanwhile: true }).urgent.size > 0;
  }

  /** A change must survive a crash, so it is saved at once. What was learnt may wait. */
  saveAfter({ kind, result }: EndedCycle): void {
    if (result.ok && result.done + result.failed > 0) this.save();
    else if (kind === 'whole') this.#options.keeper.saveWhenDue();
  }

  /** No limit is raised in time any more. */
  async endGuards(): Promise<void> {
    if (this.#settings.dryRun) return;
    // A node that does not answer keeps nobody from the end.
    const end = new AbortController();
    const late = wait(END_GUARDS_MS, undefined, { signal: end.signal }).catch(() => {});
    await Promise.race([endGuards(this.open.world, this.state), late]);
    end.abort();
  }

  save(): void {
    this.#options.keeper.save();
  }

  #look(how: Pick<SampleSettings, 'meanwhile' | 'only' | 'between'>): Sampled {
    const { urgentSamples } = this.#config;
    const settings = { ...this.#settings, urgentSamples, prompts: this.prompts, ...how };
    return sample(this.world, this.state, settings);
  }

  /** Cycles and groups tell each other what they take of the host, so that it is given once. */
  #forCycle(): CycleSettings {
    const { keeper, comingMib, onSaved, others } = this.#options;
    const named = others?.();
    const withinMs = milliseconds(2 * this.#config.pollIntervalMs);
    return {
      ...this.#settings,
      guards: this.#options.goesOn === true,
      comingMib: () => comingMib?.() ?? 0,
      handover: named && { nodes: named, withinMs },
      onHeadroom: (headroom) => {
        this.#headroom = headroom;
      },
      save: () => {
        const failure = keeper.save();
        onSaved?.();
        return failure;
      },
    };
  }
}
