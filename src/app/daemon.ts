import { join } from 'node:path/posix';
import { isDeepStrictEqual } from 'node:util';
import { type LoadResult, parseConfig } from '../config/load.ts';
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
import { EXIT, type ExitCode } from './exit-codes.ts';
import { createCollector } from './garbage.ts';
import { type GroupsPart, groupsPart } from './groups.ts';
import { hourlySummary } from './hourly-summary.ts';
import { type HttpPart, httpPart } from './http/part.ts';
import { settingsOf } from './loop-settings.ts';
import { type Metrics, openMetrics } from './metrics.ts';
import { type NodeOfProgram, takeOverMigrated } from './migrations.ts';
import { afterSwitch, modeSwitch, writeStamped } from './mode-switch.ts';
import { NodeLoop, type NodeLoopOptions } from './node-loop.ts';
import { type Notifications, openNotifications } from './notifications.ts';
import { type EndedCycle, type Part, together } from './part.ts';
import type { Launched, NodeInHand } from './run.ts';
import { runOnSchedule, type Sampling, type Schedule } from './scheduler.ts';
import { SHARED_COUNTS, SHARED_GONE } from './shared-configuration.ts';
import { Turn } from './turn.ts';
import { usageHistory } from './usage-history.ts';

/** `daemon`: runs cycles and samples of its nodes when they are due, until a signal ends it. */
export async function daemon(launched: Launched): Promise<ExitCode> {
  return new Daemon(launched).run();
}

/** Without a listener the signal would open Node's debugger. */
const NOTHING_TO_REOPEN = 'SIGUSR1: the logs are opened anew for each line, also after a rotation.';
const NODES_LATER =
  'NODES has changed: which nodes there are is read at the start only, so restart the daemon ' +
  '(systemctl restart lxc_autoscale).';
const NOT_RELOADED =
  'The configuration was NOT reloaded: it has problems, so the old one stays active';

class Daemon {
  readonly #launched: Launched;
  readonly #supervisor: Supervisor;
  /** Each on a schedule of its own, so that none waits for another. */
  readonly #nodes: readonly NodeLoop[];
  /** The node that this program runs on. */
  readonly #home: NodeLoop;
  readonly #groups: GroupsPart;
  readonly #notifications: Notifications;
  readonly #metrics: Metrics;
  readonly #http: HttpPart;
  /** Cycles, samples and what is asked for by HTTP: of a node one at a time. */
  readonly #turns = new Map<NodeLoop, Turn>();
  /** Fires when the program is to end. */
  readonly #stop = new AbortController();
  readonly #parts: Required<Part>;
  /** Called when no work is in progress. */
  readonly #collect = createCollector();

  constructor(launched: Launched) {
    const { launch, config, home, nodes, context } = launched;
    const { clock } = context;
    const { log } = home.outputs;
    this.#launched = launched;
    this.#supervisor = createSupervisor({ env: context.env, pid: process.pid, clock, log });
    const loopOf = (one: NodeInHand, ofHome: Partial<NodeLoopOptions> = {}): NodeLoop =>
      new NodeLoop({
        ...one,
        config,
        ...ofHome,
        settingsOf: (each) => settingsOf(each, launch),
        onSaved: () => this.#supervisor.beat(),
        ...(nodes.length > 1 && this.#takingOver(one.open.name)),
      });
    const [first, ...others] = nodes;
    this.#home = loopOf(first, { comingMib: () => this.#groups.comingMib });
    this.#nodes = [this.#home, ...others.map((one) => loopOf(one))];
    const usages = this.#nodes.map((node) =>
      usageHistory(node, context, () => node.config.pollIntervalMs),
    );
    this.#groups = groupsPart(this.#home, home, context);
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
    const summaries = this.#nodes.map((node) => hourlySummary(node));
    this.#http = this.#httpPart(launched);
    const listeners = [this.#notifications, this.#metrics, this.#http];
    this.#parts = together([this.#groups, ...summaries, ...usages, ...listeners]);
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
    await Promise.all(
      this.#nodes.map(async (node) => {
        await runOnSchedule(this.#scheduleOf(node), signals);
        // The service manager may lose patience with another node that has not ended.
        node.save();
      }),
    );
    this.#stop.abort();
    await Promise.all([...this.#turns.values()].map((turn) => turn.over()));
    await this.#parts.stop();
    await control.close();
    this.#home.save();
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
    const ended = await this.#watched(node, () => node.cycle(stop));
    if (ended === undefined) return false;
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
      look: () => node.sampleMeanwhile(),
      sample: (stop, prompted) => this.#inTurn(node, () => this.#sample(node, stop, prompted)),
      prompts: node.prompts,
    };
  }

  async #sample(node: NodeLoop, stop: AbortSignal, prompted: boolean): Promise<boolean> {
    const { urgent, suspicious } = await (prompted ? node.samplePrompted(stop) : node.sample(stop));
    if (node === this.#home && !prompted) await this.#lookAtShared();
    this.#collect();
    if (urgent.size === 0) return suspicious;
    await this.#watched(node, () => node.earlyCycle(urgent, stop));
    return false;
  }

  /** Guests that are migrated between nodes of this program. */
  #takingOver(name: string): Pick<NodeLoopOptions, 'others' | 'onSeen'> {
    const names = this.#launched.nodes.map(({ open }) => open.name);
    const others = new Set(names.filter((each) => each !== name));
    return { others, onSeen: (node) => this.#takeOverMigrated(node) };
  }

  /** From the other nodes. It waits while backups cannot be moved. */
  #takeOverMigrated(node: NodeLoop): void {
    const { context, home } = this.#launched;
    const { answering, backups: place } = home.outputs;
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
        askGroup: (...asked) => this.#groups.ask(...asked),
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
    for (const node of this.#nodes) node.apply(config);
    for (const note of notes) log.warn(renderProblem(note));
    if (config.lockFile !== before.lockFile) {
      log.warn(`lock_file is now ${config.lockFile}; that takes effect with the next start`);
    }
    if (!isDeepStrictEqual(config.nodes, before.nodes)) log.warn(NODES_LATER);
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
    const groups = node === this.#home ? this.#groups.reports : [];
    const configuration = this.#launched.shared.counts ? SHARED_FILE : undefined;
    return { ...known, timezone, pollIntervalMs, groups, configuration };
  }
}

const nodeOf = ({ open, world, state }: NodeLoop): NodeOfProgram => ({
  name: open.name,
  world,
  state,
});
