import type { LoadResult } from '../config/load.ts';
import { renderProblem } from '../config/problem.ts';
import { createSupervisor, type Supervisor } from '../os/systemd.ts';
import { readConfiguration } from './configuration.ts';
import { openControl } from './control.ts';
import type { DaemonState } from './control-answer.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { createCollector } from './garbage.ts';
import { type GroupsPart, groupsPart } from './groups.ts';
import { settingsOf } from './loop-settings.ts';
import { type Metrics, openMetrics } from './metrics.ts';
import { NodeLoop } from './node-loop.ts';
import { type Notifications, openNotifications } from './notifications.ts';
import { type EndedCycle, type Part, together } from './part.ts';
import type { Launched } from './run.ts';
import { runOnSchedule, type Sampling } from './scheduler.ts';
import { usageHistory } from './usage-history.ts';

/** `daemon`: runs cycles and samples of the node when they are due, until a signal ends it. */
export async function daemon(launched: Launched): Promise<ExitCode> {
  return new Daemon(launched).run();
}

/** Without a listener the signal would open Node's debugger. */
const NOTHING_TO_REOPEN = 'SIGUSR1: the logs are opened anew for each line, also after a rotation.';
const NOT_RELOADED =
  'The configuration was NOT reloaded: it has problems, so the old one stays active';

class Daemon {
  readonly #launched: Launched;
  readonly #supervisor: Supervisor;
  readonly #node: NodeLoop;
  readonly #groups: GroupsPart;
  readonly #notifications: Notifications;
  readonly #metrics: Metrics;
  readonly #parts: Required<Part>;
  /** Called when no work is in progress. */
  readonly #collect = createCollector();

  constructor(launched: Launched) {
    const { launch, config, open, keeper, context } = launched;
    const { clock, log } = open.world;
    this.#launched = launched;
    this.#supervisor = createSupervisor({ env: context.env, pid: process.pid, clock, log });
    this.#node = new NodeLoop({
      ...{ open, keeper, config },
      settingsOf: (each) => settingsOf(each, launch),
      comingMib: () => this.#groups.comingMib,
      onSaved: () => this.#supervisor.beat(),
    });
    const usage = usageHistory(this.#node, context, () => this.#node.config.pollIntervalMs);
    this.#groups = groupsPart(this.#node, context);
    this.#notifications = openNotifications(open, context, { announces: true });
    this.#metrics = openMetrics({
      ...{ open, context, config: () => this.#node.config, known: () => this.#known() },
      messages: () => this.#notifications.counts(),
    });
    this.#parts = together([this.#groups, usage, this.#notifications, this.#metrics]);
  }

  async run(): Promise<ExitCode> {
    const { config, context, signals } = this.#launched;
    const { clock, log } = this.#node.world;
    signals.on('SIGUSR1', () => log.info(NOTHING_TO_REOPEN));
    log.info(`Started, one cycle every ${config.pollIntervalMs / 1000} seconds.`);
    const control = await openControl({
      ...{ open: this.#node.open, context, known: () => this.#known() },
      health: () => this.#metrics.health(),
    });
    await this.#parts.apply(config);
    await runOnSchedule(
      {
        ...{ clock, supervisor: this.#supervisor, sampling: this.#sampling() },
        pollIntervalMs: () => this.#node.config.pollIntervalMs,
        cycle: (stop) => this.#cycle(stop),
        resting: (untilNextMs) => {
          const seconds = Math.round(untilNextMs / 1000);
          log.info(`Resource allocation process completed. Next run in ${seconds} seconds.`);
        },
        reload: () => this.#reload(),
      },
      signals,
    );
    await this.#parts.stop();
    await control.close();
    this.#node.save();
    log.info('Stopped.');
    return EXIT.fine;
  }

  async #cycle(stop: AbortSignal): Promise<void> {
    const { result } = await this.#watched(() => this.#node.cycle(stop));
    this.#supervisor.status(
      result.ok
        ? `Last cycle: ${result.done} changes done, ${result.failed} failed`
        : `Last cycle: blind, ${result.detail}`,
    );
    this.#collect();
  }

  #sampling(): Sampling {
    return {
      intervalMs: () => this.#node.config.sampleIntervalMs,
      look: () => this.#node.sampleMeanwhile(),
      sample: async (stop) => {
        const { urgent, suspicious } = await this.#node.sample();
        this.#collect();
        if (urgent.size === 0) return suspicious;
        await this.#watched(() => this.#node.earlyCycle(urgent, stop));
        return false;
      },
    };
  }

  /** Runs a cycle, and tells every part of its beginning and its end. */
  async #watched(cycle: () => Promise<EndedCycle>): Promise<EndedCycle> {
    this.#parts.cycleBegins();
    const ended = await cycle();
    this.#parts.cycleEnded(ended);
    this.#node.saveAfter(ended);
    return ended;
  }

  /** SIGHUP. A configuration with problems is refused, and the old one stays active. */
  async #reload(): Promise<void> {
    const { launch, context } = this.#launched;
    const loaded = readConfiguration(launch, context);
    if (loaded.ok) this.#takeOver(loaded);
    else this.#refuse(loaded);
    this.#metrics.reloaded(loaded.ok);
    await this.#parts.apply(this.#node.config);
  }

  #takeOver({ config, notes }: LoadResult & { ok: true }): void {
    const { log } = this.#node.world;
    const before = this.#node.config.lockFile;
    this.#node.apply(config);
    for (const note of notes) log.warn(renderProblem(note));
    if (config.lockFile !== before) {
      log.warn(`lock_file is now ${config.lockFile}; that takes effect with the next start`);
    }
    log.info('The configuration was reloaded.');
  }

  #refuse({ problems }: LoadResult & { ok: false }): void {
    const { log } = this.#node.world;
    const lines = problems.map(renderProblem);
    for (const line of lines) log.error(line);
    log.error(NOT_RELOADED);
    const text = `${NOT_RELOADED}. ${lines.join(' ')}`;
    this.#notifications.tell({ kind: 'configuration', severity: 'error', text });
  }

  #known(): DaemonState {
    const { view, settings, state, config } = this.#node;
    const nowMs = this.#node.world.clock.monotonicMs();
    const { timezone } = config;
    const groups = this.#groups.reports;
    return { from: 'daemon', view, settings, state, timezone, nowMs, groups };
  }
}
