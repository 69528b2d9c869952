import type { Config } from '../config/model.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { Room } from '../core/room.ts';
import type { Vmid } from '../core/units.ts';
import { type CycleSettings, type CycleView, runCycle } from '../cycle.ts';
import type { World } from '../ports.ts';
import { noticePause } from '../stages/pause.ts';
import { sample } from '../stages/sample.ts';
import type { EndedCycle } from './part.ts';
import type { StateKeeper } from './state-keeper.ts';
import type { OpenWorld } from './world.ts';

export interface NodeLoopOptions {
  readonly open: OpenWorld;
  readonly keeper: StateKeeper;
  readonly config: Config;
  readonly settingsOf: (config: Config) => CycleSettings;
  /** What members of groups that are on their way will have of the host's memory. */
  readonly comingMib?: () => number;
  /** The state was saved in the middle of a cycle: the loop gets on. */
  readonly onSaved?: () => void;
}

/**
 * The loop of one node: its world and its state, the settings in force, its cycles and the samples
 * between them, and what the last cycle knew. When it runs, the scheduler says.
 */
export class NodeLoop {
  readonly open: OpenWorld;
  readonly #options: NodeLoopOptions;
  #config: Config;
  #settings: CycleSettings;
  #view: CycleView | undefined;
  #room: Room | undefined;

  constructor(options: NodeLoopOptions) {
    this.open = options.open;
    this.#options = options;
    this.#config = options.config;
    this.#settings = options.settingsOf(options.config);
  }

  get world(): World {
    return this.open.world;
  }
  get state(): LoopState {
    return this.#options.keeper.state;
  }
  get config(): Config {
    return this.#config;
  }
  get settings(): CycleSettings {
    return this.#settings;
  }
  /** What the last whole cycle knew; undefined: none is over yet. */
  get view(): CycleView | undefined {
    return this.#view;
  }
  /** What the last cycle, whole or early, has left of the host. */
  get room(): Room | undefined {
    return this.#room;
  }

  /** Takes a new configuration into force. */
  apply(config: Config): void {
    this.open.reconfigure(config);
    this.#config = config;
    this.#settings = this.#options.settingsOf(config);
  }

  async cycle(stop: AbortSignal): Promise<EndedCycle> {
    let view: CycleView | undefined;
    const inspect = (seen: CycleView): void => {
      view = seen;
      this.#view = seen;
    };
    await this.open.ask();
    const result = await runCycle(this.world, { ...this.#forCycle(), inspect }, this.state, stop);
    return { kind: 'whole', result, view };
  }

  /** Only what these need more, whose decision cannot wait for the next whole cycle. */
  async earlyCycle(urgent: ReadonlySet<Vmid>, stop: AbortSignal): Promise<EndedCycle> {
    const result = await runCycle(this.world, { ...this.#forCycle(), urgent }, this.state, stop);
    return { kind: 'early', result, view: undefined };
  }

  /** Looks at the containers between two cycles. */
  async sample(): Promise<ReturnType<typeof sample>> {
    await this.open.ask();
    noticePause(this.world, this.state);
    return this.#look(false);
  }

  /** Looks only, while changes are under way. Returns whether a decision cannot wait. */
  sampleMeanwhile(): boolean {
    return this.#look(true).urgent.size > 0;
  }

  /** What a cycle has changed must survive a crash at once; what it has learnt may wait. */
  saveAfter({ kind, result }: EndedCycle): void {
    if (result.ok && result.done + result.failed > 0) this.save();
    else if (kind === 'whole') this.#options.keeper.saveWhenDue();
  }

  save(): void {
    this.#options.keeper.save();
  }

  #look(meanwhile: boolean): ReturnType<typeof sample> {
    const { urgentSamples } = this.#config;
    return sample(this.world, this.state, { ...this.#settings, urgentSamples, meanwhile });
  }

  /** With what cycles and groups tell each other of the host's memory, so that it is spent once. */
  #forCycle(): CycleSettings {
    const { keeper, comingMib, onSaved } = this.#options;
    return {
      ...this.#settings,
      comingMib: () => comingMib?.() ?? 0,
      left: (room) => {
        this.#room = room;
      },
      save: () => {
        keeper.save();
        onSaved?.();
      },
    };
  }
}
