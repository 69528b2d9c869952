import { existsSync } from 'node:fs';
import type { Config } from '../config/model.ts';
import { renderProblem } from '../config/problem.ts';
import { type CycleSettings, type CycleView, runCycle } from '../cycle.ts';
import { runDaemon, type Sampling, type Signals } from '../daemon.ts';
import { type ControlSocket, openControlSocket } from '../host/control-socket.ts';
import { acquireHostLock, type HeldLock } from '../host/host-lock.ts';
import { createSupervisor } from '../host/systemd.ts';
import { sample } from '../stages/sample.ts';
import type { Arguments } from './arguments.ts';
import { configurationFile, readConfiguration, renderProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { onFirstSight, settingsOf } from './loop-settings.ts';
import { type StateKeeper, stateKeeper } from './state-keeper.ts';
import { whyUnfit } from './unfit.ts';
import { type OpenWorld, openWorld, type Surroundings } from './world.ts';

/** `daemon` and `once`: the loop on the real world, behind the one lock. */
export async function run(
  given: Arguments,
  around: Surroundings,
  signals: Signals,
): Promise<ExitCode> {
  const unfit = whyUnfit(around);
  // On a machine that is no node nobody has put a configuration either: that is not what is wrong.
  if (unfit !== undefined && !existsSync(configurationFile(given.configFile, around.paths))) {
    return refuse(around, `${unfit}\n`, EXIT.failure);
  }
  const loaded = readConfiguration(given, around);
  if (!loaded.ok) return refuse(around, renderProblems(loaded), EXIT.configuration);
  const { config } = loaded;
  if (unfit !== undefined) return refuse(around, `${unfit}\n`, EXIT.failure);

  // A reload that is asked for while the daemon still starts must not end it.
  signals.on('SIGHUP', () => {});
  const lock = await acquireHostLock(around.paths.at(config.lockFile));
  if (!lock.ok) {
    const running = lock.running;
    const message = running ? alreadyRunning(config, lock.pid) : lock.message;
    return refuse(around, `${message}\n`, running ? EXIT.alreadyRunning : EXIT.failure);
  }
  const open = openWorld(config, around);
  const keeper = stateKeeper(open.world, around, given.dryRun);
  try {
    for (const note of loaded.notes) open.world.log.warn(renderProblem(note));
    if (given.command === 'once') return await once(given, config, open, signals, keeper);
    return await daemon(given, config, open, around, signals, lock, keeper);
  } finally {
    await open.close();
    await lock.release();
  }
}

function refuse({ stderr }: Surroundings, message: string, code: ExitCode): ExitCode {
  stderr.write(message);
  return code;
}

const alreadyRunning = ({ lockFile }: Config, pid: number | undefined): string =>
  `lxc-autoscale is already running${pid === undefined ? '' : ` (process ${pid})`}: ` +
  `it holds the lock ${lockFile}. Stop it first, or wait until it has ended.`;

async function once(
  given: Arguments,
  config: Config,
  { world }: OpenWorld,
  signals: Signals,
  keeper: StateKeeper,
): Promise<ExitCode> {
  const stop = new AbortController();
  const onStop = (): void => stop.abort();
  signals.on('SIGTERM', onStop);
  signals.on('SIGINT', onStop);
  const settings = onFirstSight(settingsOf(config, given));
  const save = (): void => keeper.save();
  const result = await runCycle(world, { ...settings, save }, keeper.state, stop.signal);
  keeper.save();
  world.log.info('Resource allocation process completed.');
  return result.ok && result.failed === 0 ? EXIT.fine : EXIT.failure;
}

async function daemon(
  given: Arguments,
  first: Config,
  open: OpenWorld,
  around: Surroundings,
  signals: Signals,
  lock: HeldLock,
  keeper: StateKeeper,
): Promise<ExitCode> {
  const { world } = open;
  const { state } = keeper;
  const save = (): void => {
    keeper.save();
    supervisor.beat();
  };
  const force: InForce = { config: first, settings: settingsOf(first, given), view: undefined };
  let code: ExitCode = EXIT.fine;
  world.log.info(`Started, one cycle every ${first.pollIntervalMs / 1000} seconds.`);
  const { clock, log } = world;
  const supervisor = createSupervisor({ env: around.env, pid: process.pid, clock, log });
  const socket = await openSocket(force, keeper, open, around);
  await runDaemon(
    {
      clock: world.clock,
      supervisor,
      pollIntervalMs: () => force.config.pollIntervalMs,
      sampling: samplingOf(force, keeper, open),
      cycle: async (stop) => {
        const inspect = (view: CycleView): void => {
          force.view = view;
        };
        const result = await runCycle(world, { ...force.settings, save, inspect }, state, stop);
        if (result.ok && result.done + result.failed > 0) keeper.save();
        if (result.ok) {
          supervisor.status(`Last cycle: ${result.done} changes done, ${result.failed} failed`);
        } else supervisor.status(`Last cycle: blind, ${result.detail}`);
      },
      resting: (untilNextMs) => {
        const seconds = Math.round(untilNextMs / 1000);
        world.log.info(`Resource allocation process completed. Next run in ${seconds} seconds.`);
      },
      reload: async () => {
        force.config = reload(given, force.config, open, around);
        force.settings = settingsOf(force.config, given);
      },
    },
    withLostLock(signals, lock, () => {
      world.log.error('The lock was lost to another process, so this one ends.');
      code = EXIT.failure;
    }),
  );
  await socket.close();
  keeper.save();
  world.log.info('Stopped.');
  return code;
}

/** What the daemon goes by now, and what its last cycle knew. */
interface InForce {
  config: Config;
  settings: CycleSettings;
  view: CycleView | undefined;
}

function samplingOf(force: InForce, keeper: StateKeeper, { world }: OpenWorld): Sampling {
  const { state } = keeper;
  return {
    intervalMs: () => force.config.sampleIntervalMs,
    sample: async (stop) => {
      const { settings, config } = force;
      const { urgentSamples } = config;
      const { urgent, suspicious } = sample(world, state, { ...settings, urgentSamples });
      if (urgent.size === 0) return suspicious;
      const save = (): void => keeper.save();
      const result = await runCycle(world, { ...settings, save, urgent }, state, stop);
      if (result.ok && result.done + result.failed > 0) keeper.save();
      return false;
    },
  };
}

/** Where `status` and `explain` ask. What answers them is loaded when somebody first does. */
function openSocket(
  force: InForce,
  { state }: StateKeeper,
  { world }: OpenWorld,
  { paths }: Surroundings,
): Promise<ControlSocket> {
  return openControlSocket({
    paths,
    complain: (message) => world.log.warn(message),
    answer: async (request) => {
      const { answerTo } = await import('./control-answer.ts');
      const { view, settings, config } = force;
      const { timezone } = config;
      const nowMs = world.clock.monotonicMs();
      return answerTo(request, { from: 'daemon', view, settings, state, timezone, nowMs });
    },
  });
}

/** The configuration to go on with: the new one, or the old one where the new one is wrong. */
function reload(given: Arguments, old: Config, open: OpenWorld, around: Surroundings): Config {
  const { log } = open.world;
  const loaded = readConfiguration(given, around);
  if (!loaded.ok) {
    for (const problem of loaded.problems) log.error(renderProblem(problem));
    log.error('The configuration was NOT reloaded: it has problems, so the old one stays in force');
    return old;
  }
  const { config } = loaded;
  open.reconfigure(config);
  for (const note of loaded.notes) log.warn(renderProblem(note));
  if (config.lockFile !== old.lockFile) {
    log.warn(`lock_file is now ${config.lockFile}; that takes effect with the next start`);
  }
  log.info('The configuration was reloaded.');
  return config;
}

/** A lock that is lost ends the daemon as SIGTERM does, once the change in hand is finished. */
function withLostLock(signals: Signals, lock: HeldLock, onLost: () => void): Signals {
  return {
    on(signal, listener) {
      signals.on(signal, listener);
      if (signal !== 'SIGTERM') return;
      lock.onLost(() => {
        onLost();
        listener();
      });
    },
    off: (signal, listener) => {
      signals.off(signal, listener);
    },
  };
}
