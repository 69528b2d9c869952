import { LookTimes, nextStart, SOON } from '../../src/app/scheduler.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import { offPeakAt } from '../../src/config/off-peak.ts';
import { onNode } from '../../src/config/on-node.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { hostPolicy, manage } from '../../src/config/resolve.ts';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import { takeOver, toSaved } from '../../src/core/saved-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { type CycleSettings, runCycle } from '../../src/loop/cycle.ts';
import { sample } from '../../src/loop/sample.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import type { HostSpec } from '../../src/sim/plant.ts';
import { VirtualNode } from '../../src/sim/virtual-node.ts';
import type { VmSpec } from '../../src/sim/vms.ts';
import { breathe } from '../patience.ts';
import { LARGE_HOST } from './habits.ts';
import { type Broken, brokenBy } from './invariants.ts';

/** Lets the real loop, with a real configuration, live on a virtual node. */

export interface Scenario {
  /** The configuration file. Default: the default configuration. */
  readonly yaml?: string;
  readonly host?: Partial<HostSpec>;
  readonly guests: readonly GuestSpec[];
  readonly vms?: readonly VmSpec[];
  readonly forMs: number;
  readonly stepMs?: number;
  readonly wallStartMs?: number;
  readonly demandStartMs?: number;
  /** What happens to the node meanwhile. */
  readonly events?: (node: VirtualNode) => void;
  /** The daemon is ended and started again; with its state as it last saved it. */
  readonly restarts?: readonly Restart[];
}

export interface Restart {
  readonly atMs: number;
  /** How long it is down. Default 0. */
  readonly downMs?: number;
  /** A crash leaves the state that was saved after the last change. */
  readonly crash?: boolean;
}

export interface Played {
  readonly node: VirtualNode;
  readonly state: LoopState;
  readonly config: Config;
  /** What must never happen and did, in words. */
  readonly broken: readonly Broken[];
  readonly cycles: number;
  readonly earlyDecisions: number;
}

export function configOf(yaml: string): Config {
  const loaded = parseConfig(yaml, 'scenario.yaml', {});
  if (loaded.ok) return loaded.config;
  throw new Error(loaded.problems.map(renderProblem).join('\n'));
}

export function settingsOf(config: Config): CycleSettings {
  return {
    manage: (guest) => manage(onNode(config, 'pve1'), guest),
    hostPolicy: hostPolicy(config),
    atOnce: config.maxConcurrentOperations,
    isOffPeak: offPeakAt(config),
    dryRun: false,
    guards: true,
  };
}

const BOOT = 'virtual-boot';
const CYCLES_A_BREATH = 50;

class Run {
  readonly node: VirtualNode;
  readonly config: Config;
  readonly broken: Broken[] = [];
  readonly #settings: CycleSettings;
  readonly #stop = new AbortController().signal;
  state = newLoopState();
  cycles = 0;
  earlyDecisions = 0;
  #saved: string | undefined;
  #nextMs = 0;
  #looks: LookTimes;

  constructor(scenario: Scenario) {
    const { yaml = 'DEFAULT:\n', host, guests, events } = scenario;
    this.config = configOf(yaml);
    this.#settings = { ...settingsOf(this.config), save: () => this.#save() };
    this.node = new VirtualNode({ ...scenario, host: { ...LARGE_HOST, ...host }, guests });
    this.#looks = this.#newLooks();
    events?.(this.node);
  }

  /** As `app/scheduler.ts` does: a cycle at each start of a fixed rhythm, samples in between. */
  async until(endMs: number): Promise<void> {
    const { time } = this.node;
    while (time.nowMs < endMs) {
      const lookMs = this.#looks.nextMs;
      await time.passTo(Math.min(this.#nextMs, lookMs, endMs));
      if (time.nowMs >= endMs) return;
      if (lookMs < this.#nextMs) {
        const { next } = this.#looks;
        const soon = await this.#sample(next === 'glance');
        this.#looks.after(next, soon ? SOON : 1);
        continue;
      }
      await this.#cycle(this.#settings);
      this.cycles += 1;
      if (this.cycles % CYCLES_A_BREATH === 0) await breathe();
      this.#looks.after('all', 1);
      this.#nextMs = nextStart(this.#nextMs, this.config.pollIntervalMs, time.nowMs);
    }
  }

  async restart({ downMs = 0, crash = false }: Restart): Promise<void> {
    if (!crash) this.#save();
    await this.node.time.passTo(this.node.time.nowMs + downMs);
    this.state = newLoopState();
    if (this.#saved !== undefined) {
      takeOver(this.state, JSON.parse(this.#saved), BOOT, this.#instant());
    }
    this.#nextMs = this.node.time.nowMs;
    this.#looks = this.#newLooks();
  }

  #newLooks(): LookTimes {
    const { sampleIntervalMs } = this.config;
    const intervalMs = () => sampleIntervalMs;
    const glanceAfterMs = () => sampleIntervalMs / 2;
    const { time, world } = this.node;
    const clock = { ...world.clock, monotonicMs: () => milliseconds(time.nowMs) };
    return new LookTimes({ clock, sampling: { intervalMs, glanceAfterMs } });
  }

  #save(): undefined {
    this.#saved = JSON.stringify(toSaved(this.state, BOOT, this.#instant()));
  }

  #instant() {
    const { clock } = this.node.world;
    return { nowMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  async #sample(between: boolean): Promise<boolean> {
    const { urgentSamples } = this.config;
    const { manage: managed } = this.#settings;
    const { world } = this.node;
    await world.observe();
    const settings = { manage: managed, urgentSamples, between };
    const { urgent, suspicious } = sample(world, this.state, settings);
    if (urgent.size === 0) return suspicious;
    this.earlyDecisions += 1;
    await this.#cycle({ ...this.#settings, urgent });
    return false;
  }

  async #cycle(settings: CycleSettings): Promise<void> {
    const { node } = this;
    if (settings.urgent === undefined) await node.world.observe();
    const before = { sets: node.sets.length, host: node.world.host.observe() };
    const work = runCycle(node.world, settings, this.state, this.#stop);
    const result = await node.time.during(work);
    if (result.ok && result.done + result.failed > 0) this.#save();
    this.broken.push(...brokenBy(node, this.config, before));
  }
}

/** Plays a scenario from its beginning to its end. */
export async function play(scenario: Scenario): Promise<Played> {
  const run = new Run(scenario);
  for (const restart of scenario.restarts ?? []) {
    await run.until(restart.atMs);
    await run.restart(restart);
  }
  await run.until(scenario.forMs);
  const { node, state, config, broken, cycles, earlyDecisions } = run;
  return { node, state, config, broken, cycles, earlyDecisions };
}
