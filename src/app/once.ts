import { setMaxListeners } from 'node:events';
import type { Config, NodeConfig } from '../config/model.ts';
import type { CycleResult } from '../loop/cycle.ts';
import { type Discovery, discoveryIn } from './discovery.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { onFirstSight, settingsOf } from './loop-settings.ts';
import { NodeLoop } from './node-loop.ts';
import { openNotifications } from './notifications.ts';
import { type Part, together } from './part.ts';
import type { Launched, NodeInHand } from './run.ts';
import { stateKeeper } from './state-keeper.ts';
import { usageHistory } from './usage-history.ts';
import type { OpenWorld } from './world.ts';

/** `once`: one cycle. No other follows soon, so its records are written at its end. */
export async function once(launched: Launched): Promise<ExitCode> {
  const { home, signals } = launched;
  const stop = new AbortController();
  // Each node listens, and Node takes more than ten listeners for a leak.
  setMaxListeners(0, stop.signal);
  const onStop = (): void => stop.abort();
  signals.on('SIGTERM', onStop);
  signals.on('SIGINT', onStop);
  const isFine = await new Once(launched, stop.signal).run();
  home.outputs.log.info('Resource allocation process completed.');
  return isFine ? EXIT.fine : EXIT.failure;
}

class Once {
  readonly #launched: Launched;
  readonly #stop: AbortSignal;
  readonly #loops: NodeLoop[];
  readonly #each: Part[] = [];
  readonly #parts: Required<Part>;
  readonly #discovery: Discovery | undefined;
  /** Nodes that were found just now, and those that were found before in this run. */
  readonly #fresh: NodeLoop[] = [];
  readonly #opened: OpenWorld[] = [];
  #config: Config;

  constructor(launched: Launched, stop: AbortSignal) {
    this.#launched = launched;
    this.#stop = stop;
    this.#config = launched.config;
    this.#loops = launched.nodes.map((one) => this.#loopOf(one));
    this.#parts = this.#together(this.#each);
    this.#discovery = discoveryIn(launched, {
      config: () => this.#config,
      nodes: () => this.#loops.map(({ open }) => open),
      use: (next) => this.#use(next),
      add: (node, by) => this.#add(node, by),
      remove: (name) => this.#remove(name),
    });
  }

  /** Returns whether nothing went wrong. */
  async run(): Promise<boolean> {
    const { home, context } = this.#launched;
    const isAway = home.inventory === undefined;
    const notifications = openNotifications(home.outputs, context, { home: home.name, isAway });
    await this.#begin(...this.#loops.map((loop) => this.#usageOf(loop)), notifications);
    try {
      const isFine = await Promise.all([...this.#loops].map((loop) => this.#cycle(loop)));
      await this.#parts.stop();
      return isFine.every((fine) => fine);
    } finally {
      await Promise.all(this.#opened.map((open) => open.close()));
    }
  }

  /** Of a node, and of those that it finds. */
  async #cycle(loop: NodeLoop): Promise<boolean> {
    const { open } = loop;
    this.#parts.cycleBegins(open.name);
    const ended = await loop.cycle(this.#stop);
    if (ended !== undefined) this.#parts.cycleEnded(ended);
    loop.save();
    if (!this.#stop.aborted && ended?.result.ok === true) this.#discovery?.looked(open);
    const fresh = this.#fresh.splice(0);
    await this.#begin(...fresh.map((one) => this.#usageOf(one)));
    const found = await Promise.all(fresh.map((one) => this.#cycle(one)));
    return this.#isFine(open.name, ended?.result) && found.every((fine) => fine);
  }

  async #begin(...parts: readonly Part[]): Promise<void> {
    this.#each.push(...parts);
    await this.#together(parts).apply(this.#config);
  }

  #together(parts: readonly Part[]): Required<Part> {
    const { log } = this.#launched.home.outputs;
    return together(parts, (message) => log.error(message));
  }

  #usageOf(loop: NodeLoop): Part {
    return usageHistory(loop, this.#launched.context, () => Number.POSITIVE_INFINITY);
  }

  /** Others decide which nodes a cluster has, and one of them may be off. */
  #isFine(name: string, result: CycleResult | undefined): boolean {
    if (result?.ok === true) return result.failed === 0;
    return this.#config.nodes.some((node) => node.name === name && node.found !== undefined);
  }

  #loopOf(one: NodeInHand): NodeLoop {
    const { launch } = this.#launched;
    return new NodeLoop({
      ...one,
      config: this.#config,
      // Whoever runs one cycle wants to read of it, whatever it came to.
      settingsOf: (each) => ({ ...onFirstSight(settingsOf(each, launch)), logQuietCycles: true }),
    });
  }

  #use(config: Config): void {
    this.#config = config;
    for (const loop of this.#loops) loop.apply(config);
  }

  #add(node: NodeConfig, by: OpenWorld): void {
    const open = by.cluster?.open(node, this.#config);
    if (open === undefined) return;
    const { context, launch } = this.#launched;
    const keeper = stateKeeper(open.world, context, launch.dryRun, open.below);
    const loop = this.#loopOf({ open, keeper });
    this.#opened.push(open);
    this.#loops.push(loop);
    this.#fresh.push(loop);
  }

  #remove(name: string): void {
    const at = this.#loops.findIndex(({ open }) => open.name === name);
    if (at >= 0) this.#loops.splice(at, 1);
  }
}
