import { existsSync } from 'node:fs';
import type { Config } from '../config/model.ts';
import { renderProblem } from '../config/problem.ts';
import { hostPolicy, manage } from '../config/resolve.ts';
import { type CycleSettings, runCycle } from '../cycle.ts';
import { runDaemon, type Signals } from '../daemon.ts';
import { cgroupVersion } from '../host/cgroup-version.ts';
import { acquireHostLock, type HeldLock } from '../host/host-lock.ts';
import { sample } from '../stages/sample.ts';
import type { Arguments } from './arguments.ts';
import { configurationFile, readConfiguration, renderProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { type StateKeeper, stateKeeper } from './state-keeper.ts';
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
    if (given.energyMode) {
      open.world.log.warn('--energy_mode is accepted, but not yet in effect in this version');
    }
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

/** Why this is no host to run on; undefined on a Proxmox VE node. */
function whyUnfit({ paths }: Surroundings): string | undefined {
  if (!existsSync(paths.pveDir) || !existsSync(paths.guestDirectory())) {
    return (
      `This is not a Proxmox VE node, or its cluster file system is not running: there is no ` +
      `${paths.guestDirectory()}. On a node, look at: systemctl status pve-cluster`
    );
  }
  const version = cgroupVersion(paths);
  return version.ok ? undefined : version.message;
}

const settingsOf = (config: Config, { dryRun }: Arguments): CycleSettings => ({
  manage: (guest) => manage(config, guest),
  hostPolicy: hostPolicy(config),
  atOnce: config.maxConcurrentOperations,
  dryRun,
});

/** One cycle sees everything once, so it cannot wait for a series of observations. */
function onFirstSight(settings: CycleSettings): CycleSettings {
  return {
    ...settings,
    manage: (guest) => {
      const management = settings.manage(guest);
      if (management.kind === 'ignored') return management;
      const timing = { ...management.policy.timing, periodsUp: 1, periodsDown: 1 };
      return { ...management, policy: { ...management.policy, timing } };
    },
  };
}

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
  const result = await runCycle(world, settings, keeper.state, stop.signal);
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
  let config = first;
  const { world } = open;
  const { state } = keeper;
  let code: ExitCode = EXIT.fine;
  world.log.info(`Started, one cycle every ${config.pollIntervalMs / 1000} seconds.`);
  await runDaemon(
    {
      clock: world.clock,
      pollIntervalMs: () => config.pollIntervalMs,
      sampling: {
        intervalMs: () => config.sampleIntervalMs,
        sample: async (stop) => {
          const settings = settingsOf(config, given);
          const { urgentSamples } = config;
          const { urgent, suspicious } = sample(world, state, { ...settings, urgentSamples });
          if (urgent.size === 0) return suspicious;
          const result = await runCycle(world, { ...settings, urgent }, state, stop);
          if (result.ok && result.done + result.failed > 0) keeper.save();
          return false;
        },
      },
      cycle: async (stop) => {
        const result = await runCycle(world, settingsOf(config, given), state, stop);
        if (result.ok && result.done + result.failed > 0) keeper.save();
      },
      resting: (untilNextMs) => {
        const seconds = Math.round(untilNextMs / 1000);
        world.log.info(`Resource allocation process completed. Next run in ${seconds} seconds.`);
      },
      reload: async () => {
        config = reload(given, config, open, around);
      },
    },
    withLostLock(signals, lock, () => {
      world.log.error('The lock was lost to another process, so this one ends.');
      code = EXIT.failure;
    }),
  );
  keeper.save();
  world.log.info('Stopped.');
  return code;
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
