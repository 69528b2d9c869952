import { join } from 'node:path/posix';
import { isDeepStrictEqual } from 'node:util';
import { keepingNodes } from '../config/found-nodes.ts';
import { type LoadResult, parseConfig } from '../config/load.ts';
import { type Config, entriesIn, type NodeConfig } from '../config/model.ts';
import { renderProblem } from '../config/problem.ts';
import { createSupervisor, type Supervisor } from '../os/systemd.ts';
import { moveBackups } from '../store/move-backups.ts';
import {
  configurationText,
  readConfiguration,
  readVariables,
  SHARED_FILE,
} from './configuration.ts';
import { openControl } from './control.ts';
import type { DaemonState } from './control-answer.ts';
import { type Discovery, discoveryIn } from './discovery.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { createCollector } from './garbage.ts';
import { type GroupsPart, groupsPart } from './groups.ts';
import { hourlySummary } from './hourly-summary.ts';
import { type HttpPart, httpPart } from './http/part.ts';
import { settingsOf } from './loop-settings.ts';
import { type Metrics, openMetrics } from './metrics.ts';
import { type NodeOfProgram, takeOverMigrated } from './migrations.ts';
import { misspeltNames } from './misspelt-names.ts';
import { afterSwitch, modeSwitch, writeStamped } from './mode-switch.ts';
import { NodeLoop, type NodeLoopOptions } from './node-loop.ts';
import { type Notifications, openNotifications } from './notifications.ts';
import { type EndedCycle, type Part, together } from './part.ts';
import type { Launched, NodeInHand } from './run.ts';
import { type Look, nextStart, runOnSchedule, type Sampling, type Schedule } from './scheduler.ts';
import { SHARED_COUNTS, SHARED_GONE } from './shared-configuration.ts';
import { endable } from './shared-signals.ts';
import { stateKeeper } from './state-keeper.ts';
import { Turn } from './turn.ts';
import { usageHistory } from './usage-history.ts';
import type { OpenWorld } from './world.ts';

/** `daemon`: runs cycles and samples of its nodes when they are due, until a signal ends it. */
export async function daemon(launched: Launched): Promise<ExitCode> {
  return new Daemon(launched).run();
}

/** Without a listener the signal would open Node's debugger. */
const NOTHING_TO_REOPEN = 'SIGUSR1: the logs are opened anew for each line, also after a rotation.';
const NODES_LATER =
  'NODES has changed: nodes are read at the start only, so restart the daemon ' +
  '(systemctl restart lxc_autoscale). Until then nothing is changed on a node whose entry is gone.';
const NOT_RELOADED =
  'The configuration was NOT reloaded: it has problems, so the old one stays active';

class Daemon {
  readonly #launched: Launched;
  readonly #supervisor: Supervisor;
  /** Each on a schedule of its own, so that none waits for another. */
  readonly #nodes: NodeLoop[];
  /** The node that this program runs on. */
  readonly #home: NodeLoop;
  /** Of each node, by its name. */
  readonly #groups = new Map<string, GroupsPart>();
  readonly #notifications: Notifications;
  readonly #metrics: Metrics;
  readonly #http: HttpPart;
  /** Cycles, samples and what is asked for by HTTP: of a node one at a time. */
  readonly #turns = new Map<NodeLoop, Turn>();
  /** Fires when the program is to end. */
  readonly #stop = new AbortController();
  /** Of which some come and go with their node. */
  readonly #each: Part[] = [];
  readonly #parts: Required<Part>;
  readonly #discovery: Discovery | undefined;
  readonly #partsOfNode = new Map<NodeLoop, readonly Part[]>();
  /** What ends the loop of each. */
  readonly #ends = new Map<NodeLoop, () => void>();
  /** Nodes that were found since the start. */
  readonly #opened = new Set<OpenWorld>();
  readonly #lives = new Lives();
  #config: Config;
  /** When the last whole cycle of the home began: later nodes keep its time. */
  #begunMs = 0;
  /** Called when no work is in progress. */
  readonly #collect = createCollector();

  constructor(launched: Launched) {
    const { config, home, nodes, context } = launched;
    const { clock } = context;
    const { log } = home.outputs;
    this.#launched = launched;
    this.#supervisor = createSupervisor({ env: context.env, pid: process.pid, clock, log });
    this.#config = config;
    const [first, ...others] = nodes;
    this.#home = this.#loopOf(first);
    this.#nodes = [this.#home, ...others.map((one) => this.#loopOf(one))];
    const isAway = home.inventory === undefined;
    const known = () => this.#known();
    const announced = { announces: true, home: home.name, isAway, known };
    this.#notifications = openNotifications(home.outputs, context, announced);
    this.#metrics = openMetrics({
      open: home,
      context,
      config: () => this.#home.config,
      known: () => this.#knownOf(this.#home),
      others: () => this.#far().map((node) => ({ open: node.open, known: this.#knownOf(node) })),
      messages: () => this.#notifications.counts(),
    });
    this.#http = this.#httpPart(launched);
    for (const node of this.#nodes) this.#partsOfNode.set(node, this.#partsOf(node));
    const ofNodes = [...this.#partsOfNode.values()].flat();
    const listeners = [this.#notifications, this.#metrics, this.#http];
    this.#each.push(...ofNodes, ...listeners);
    this.#parts = this.#together(this.#each);
    this.#discovery = discoveryIn(launched, {
      config: () => this.#config,
      nodes: () => this.#nodes.map(({ open }) => open),
      use: (next) => this.#use(next),
      add: (node, by) => this.#add(node, by),
      remove: (name) => this.#remove(name),
    });
  }

  #loopOf(one: NodeInHand): NodeLoop {
    const { launch } = this.#launched;
    return new NodeLoop({
      ...one,
      config: this.#config,
      goesOn: true,
      comingMib: () => this.#comingOf(one.open.name),
      settingsOf: (each) => settingsOf(each, launch),
      onSaved: () => this.#supervisor.beat(),
      ...this.#takingOver(one.open.name),
    });
  }

  #together(parts: readonly Part[]): Required<Part> {
    const { log } = this.#launched.home.outputs;
    return together(parts, (message) => log.error(message));
  }

  /** Memory for guests that are about to run: members of groups, and what was asked for. */
  #comingOf(name: string): number {
    const asked = name === this.#home.open.name ? this.#http.comingMib : 0;
    return asked + (this.#groups.get(name)?.comingMib ?? 0);
  }

  #partsOf(node: NodeLoop): readonly Part[] {
    const { context, home } = this.#launched;
    const { inventory } = home;
    const ofHome = { inventory, askedMib: () => this.#http.comingMib };
    const groups = groupsPart(node, node === this.#home ? ofHome : undefined, context);
    this.#groups.set(node.open.name, groups);
    return [
      groups,
      hourlySummary(node),
      misspeltNames(node),
      usageHistory(node, context, () => node.config.pollIntervalMs),
    ];
  }

  /** A node that was found. Its cycles keep the time of the others, so that they share looks. */
  #add(config: NodeConfig, by: OpenWorld): void {
    const open = by.cluster?.open(config, this.#config);
    if (open === undefined) return;
    const { context, launch } = this.#launched;
    const keeper = stateKeeper(open.world, context, launch.dryRun, open.below);
    const node = this.#loopOf({ open, keeper });
    const parts = this.#partsOf(node);
    this.#opened.add(open);
    this.#nodes.push(node);
    this.#each.push(...parts);
    this.#partsOfNode.set(node, parts);
    const nowMs = context.clock.monotonicMs();
    const firstMs = nextStart(this.#begunMs, node.config.pollIntervalMs, nowMs);
    const applied = this.#together(parts).apply(this.#config);
    this.#lives.begin(Promise.all([this.#live(node, firstMs), applied]));
  }

  /** A node that was found, and is not to be looked after any more. */
  #remove(name: string): void {
    const node = this.#far().find(({ open }) => open.name === name);
    if (node === undefined) return;
    const parts = this.#partsOfNode.get(node) ?? [];
    this.#groups.delete(name);
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
    for (const part of parts) this.#each.splice(this.#each.indexOf(part), 1);
    const end = async (): Promise<void> => {
      await this.#inTurn(node, () => node.endGuards());
      await this.#together(parts).stop();
      node.save();
      await node.open.close();
    };
    this.#ends.get(node)?.();
    this.#lives.begin(end().finally(() => this.#forget(node)));
  }

  #forget(node: NodeLoop): void {
    for (const known of [this.#partsOfNode, this.#ends, this.#turns]) known.delete(node);
    this.#opened.delete(node.open);
  }

  #use(config: Config): void {
    this.#config = config;
    for (const node of this.#nodes) node.apply(config);
  }

  /** @param firstMs when its first cycle is due; undefined: at once */
  async #live(node: NodeLoop, firstMs?: number): Promise<void> {
    const own = endable(this.#launched.signals);
    this.#ends.set(node, own.end);
    await runOnSchedule({ ...this.#scheduleOf(node), firstMs }, own.signals);
    // The service manager may lose patience with another node that has not ended.
    node.save();
    if (this.#nodes.includes(node)) await this.#inTurn(node, () => node.endGuards());
  }

  async run(): Promise<ExitCode> {
    const { config, home, context, signals } = this.#launched;
    const { log } = home.outputs;
    signals.on('SIGUSR1', () => log.info(NOTHING_TO_REOPEN));
    log.info(`Started, one cycle every ${config.pollIntervalMs / 1000} seconds.`);
    if (this.#launched.shared.counts) log.info(SHARED_COUNTS);
    const control = await openControl({
      open: home,
      context,
      known: () => this.#known(),
      health: () => this.#metrics.health(),
      loginLink: () => this.#http.loginLink(),
    });
    await this.#parts.apply(config);
    for (const node of this.#nodes) this.#lives.begin(this.#live(node));
    try {
      await this.#lives.over;
      this.#stop.abort();
      await Promise.all([...this.#turns.values()].map((turn) => turn.over()));
      await this.#parts.stop();
      await control.close();
      this.#home.save();
      this.#discovery?.save();
    } finally {
      await Promise.all([...this.#opened].map((open) => open.close()));
    }
    log.info('Stopped.');
    return EXIT.fine;
  }

  /** The service manager hears of the home, and a reload happens once, between its cycles. */
  #scheduleOf(node: NodeLoop): Schedule {
    const { clock, log } = node.world;
    const isHome = node === this.#home;
    let isEventful = true;
    return {
      clock,
      sampling: this.#samplingOf(node),
      ...(isHome && { supervisor: this.#supervisor }),
      pollIntervalMs: () => node.config.pollIntervalMs,
      cycle: async (stop) => {
        isEventful = await this.#inTurn(node, () => this.#cycle(node, stop));
      },
      resting: (untilNextMs) => {
        const seconds = Math.round(untilNextMs / 1000);
        const line = `Resource allocation process completed. Next run in ${seconds} seconds.`;
        if (isEventful) log.info(line);
        else log.debug(line);
      },
      reload: async () => (isHome ? this.#inTurn(node, () => this.#reload()) : undefined),
    };
  }

  /** Returns whether the log has a line on it. */
  async #cycle(node: NodeLoop, stop: AbortSignal): Promise<boolean> {
    if (node === this.#home) this.#begunMs = node.world.clock.monotonicMs();
    const ended = await this.#watched(node, () => node.cycle(stop));
    if (ended === undefined) return false;
    if (!stop.aborted && ended.result.ok) this.#discovery?.looked(node.open);
    const { result } = ended;
    if (node === this.#home) {
      this.#supervisor.status(
        result.ok
          ? `Last cycle: ${result.done} changes done, ${result.failed} failed`
          : `Last cycle: blind, ${result.detail}`,
      );
    }
    if (node === this.#home) await this.#lookAtShared();
    this.#collect();
    return !result.ok || result.eventful;
  }

  /** The configuration of the cluster is written on any of its nodes. */
  async #lookAtShared(): Promise<void> {
    const { home, shared } = this.#launched;
    // The look just now has asked whether it answers.
    const seen = home.hanging() === undefined ? shared.look() : 'as before';
    if (seen === 'changed') await this.#reload();
    if (seen === 'gone') home.outputs.log.warn(SHARED_GONE);
  }

  #samplingOf(node: NodeLoop): Sampling {
    return {
      intervalMs: () => node.config.sampleIntervalMs,
      glanceAfterMs: () => node.glanceAfterMs,
      look: () => node.sampleMeanwhile(),
      sample: (stop, look) => this.#inTurn(node, () => this.#sample(node, stop, look)),
      prompts: node.prompts,
    };
  }

  async #sample(node: NodeLoop, stop: AbortSignal, look: Look): Promise<boolean> {
    const { urgent, suspicious } = await node.sample(stop, look);
    if (node === this.#home && look === 'all') await this.#lookAtShared();
    this.#collect();
    if (urgent.size === 0) return suspicious;
    await this.#watched(node, () => node.earlyCycle(urgent, stop));
    return false;
  }

  /** Guests that are migrated between nodes of this program. */
  #takingOver(name: string): Pick<NodeLoopOptions, 'others' | 'onSeen'> {
    const others = (): ReadonlySet<string> | undefined => {
      const names = this.#nodes.map(({ open }) => open.name).filter((each) => each !== name);
      return names.length === 0 ? undefined : new Set(names);
    };
    return { others, onSeen: (node) => this.#takeOverMigrated(node) };
  }

  /** From the other nodes. It waits while backups cannot be moved. */
  #takeOverMigrated(node: NodeLoop): void {
    const { context, home } = this.#launched;
    const { answering, backups: place } = home.outputs;
    if (this.#nodes.length === 1) return;
    if (answering.problem(place()) !== undefined) return;
    const backups = ({ config, open }: NodeLoop): string =>
      join(context.paths.at(config.backupDir), open.below);
    const all = this.#nodes.map((each) => ({ ...nodeOf(each), backups: backups(each) }));
    const here = all[this.#nodes.indexOf(node)];
    if (here === undefined) return;
    takeOverMigrated(here, all, (vmid, from) => moveBackups(from.backups, here.backups, vmid));
  }

  #inTurn<T>(node: NodeLoop, work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.get(node) ?? new Turn();
    this.#turns.set(node, turn);
    return turn.take(work);
  }

  #httpPart({ launch, context, home }: Launched): HttpPart {
    const { outputs } = home;
    return httpPart({
      outputs,
      service: {
        context,
        nodes: () => [this.#home, ...this.#far()],
        known: () => this.#known(),
        health: async () => {
          await home.lookHere();
          return this.#metrics.health();
        },
        figures: (path) => this.#metrics.answer(path),
        inTurn: (node, work) => this.#inTurn(node, () => work(this.#stop.signal)),
        change: (node, wanted, dryRun) =>
          node.askedCycle({
            wanted,
            dryRun,
            stop: this.#stop.signal,
            watched: (cycle) => this.#watched(node, cycle),
          }),
        askGroup: (...asked) => this.#askGroup(...asked),
        groupMemoryMib: () => this.#groups.get(home.name)?.comingMib ?? 0,
        validate: (text) => {
          const variables = readVariables(context, this.#launched.shared.counts);
          return parseConfig(text, 'the text', variables.ok ? variables.env : {});
        },
        modeSwitch: (mode, target) => modeSwitch(mode, target, launch, context),
        afterSwitch: (...switched) => afterSwitch(...switched, this.#nodes),
        writeConfiguration: (path, text) => writeStamped(path, text, context),
        proxmoxUser: async (user, secret) => {
          const { proxmoxUsers } = await import('./proxmox-users.ts');
          // Strangers cause this, so nothing more is asked than whether the directory answers.
          const ask = proxmoxUsers(context, async () => {
            await outputs.answering.ask(outputs.places());
            return outputs.answering.problem(context.paths.pveDir);
          });
          return ask(user, secret);
        },
        configuration: () => configurationText(launch, context),
        reload: () => process.kill(process.pid, 'SIGHUP'),
      },
    });
  }

  /** Runs a cycle, and tells every part of its beginning and its end. */
  async #watched<Ended extends EndedCycle | undefined>(
    node: NodeLoop,
    cycle: () => Promise<Ended>,
  ): Promise<Ended> {
    this.#parts.cycleBegins(node.open.name);
    const ended = await cycle();
    if (ended === undefined) return ended;
    this.#parts.cycleEnded(ended);
    node.saveAfter(ended);
    return ended;
  }

  /** SIGHUP. A configuration with problems is refused, and the old one stays active. */
  async #reload(): Promise<void> {
    const { launch, context, shared } = this.#launched;
    shared.note();
    const loaded = readConfiguration(launch, context);
    if (loaded.ok) this.#takeOver(loaded);
    else this.#refuse(loaded);
    this.#metrics.reloaded(loaded.ok);
    await this.#parts.apply(this.#home.config);
  }

  #takeOver({ config, notes }: LoadResult & { ok: true }): void {
    const { log } = this.#launched.home.outputs;
    const before = this.#home.config;
    const { config: start } = this.#launched;
    const kept = keepingNodes(config, start);
    this.#use(this.#discovery?.with(kept) ?? kept);
    for (const note of notes) log.warn(renderProblem(note));
    if (config.lockFile !== before.lockFile) {
      log.warn(`lock_file is now ${config.lockFile}; that takes effect with the next start`);
    }
    if (!isDeepStrictEqual(entriesIn(config), entriesIn(start))) log.warn(NODES_LATER);
    log.info('The configuration was reloaded.');
  }

  #refuse({ problems }: LoadResult & { ok: false }): void {
    const { log } = this.#launched.home.outputs;
    const lines = problems.map(renderProblem);
    for (const line of lines) log.error(line);
    log.error(NOT_RELOADED);
    const text = `${NOT_RELOADED}. ${lines.join(' ')}`;
    this.#notifications.notify({ kind: 'configuration', severity: 'error', text });
  }

  /** Each group is worked on on one node. */
  async #askGroup(...asked: Parameters<GroupsPart['ask']>): ReturnType<GroupsPart['ask']> {
    for (const groups of this.#groups.values()) {
      const answer = await groups.ask(...asked);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  #known(): readonly [DaemonState, ...DaemonState[]] {
    return [this.#knownOf(this.#home), ...this.#far().map((node) => this.#knownOf(node))];
  }

  #far(): readonly NodeLoop[] {
    return this.#nodes.filter((node) => node !== this.#home);
  }

  #knownOf(node: NodeLoop): DaemonState {
    const { view, settings, state, config, open } = node;
    const nowMs = node.world.clock.monotonicMs();
    const { timezone, pollIntervalMs } = config;
    const known = { node: open.name, from: 'daemon', view, settings, state, nowMs } as const;
    const reports = this.#groups.get(open.name)?.reports ?? [];
    const isHere = node === this.#home && this.#launched.home.inventory !== undefined;
    const groups = isHere ? reports : reports.map((one) => ({ ...one, node: open.name }));
    const configuration = this.#launched.shared.counts ? SHARED_FILE : undefined;
    const entry = this.#config.nodes.find(({ name }) => name === open.name);
    const leftMs = this.#discovery?.leftMs(open.name);
    const found = entry?.found && leftMs !== undefined ? { ...entry.found, leftMs } : undefined;
    return { ...known, timezone, pollIntervalMs, groups, configuration, found };
  }
}

/** Loops of nodes: over when all of them are, or when one of them fails. */
class Lives {
  readonly over: Promise<void>;
  #resolve: () => void = () => {};
  #reject: (why: unknown) => void = () => {};
  #running = 0;

  constructor() {
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  begin(life: Promise<unknown>): void {
    this.#running += 1;
    life.then(() => {
      this.#running -= 1;
      if (this.#running === 0) this.#resolve();
    }, this.#reject);
  }
}

const nodeOf = ({ open, world, state }: NodeLoop): NodeOfProgram => ({
  name: open.name,
  world,
  state,
});
