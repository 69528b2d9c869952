import { existsSync } from 'node:fs';
import { dirname } from 'node:path/posix';
import { version } from '../../package.json';
import type { Config } from '../config/model.ts';
import { renderProblem } from '../config/problem.ts';
import type { LoopState } from '../core/loop-state.ts';
import { plainText } from '../core/plain-text.ts';
import type { Room } from '../core/room.ts';
import { type CycleResult, type CycleSettings, type CycleView, runCycle } from '../cycle.ts';
import { type ControlSocket, openControlSocket } from '../host/control-socket.ts';
import { acquireHostLock, type HeldElsewhere } from '../host/host-lock.ts';
import { removeLeftovers } from '../host/leftovers.ts';
import { createSupervisor, type Supervisor } from '../host/systemd.ts';
import { noticePause } from '../stages/pause.ts';
import { sample } from '../stages/sample.ts';
import {
  type ConfigurationChoice,
  configurationFile,
  readConfiguration,
  renderProblems,
} from './configuration.ts';
import type { Known } from './control-answer.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { createCollector } from './garbage.ts';
import type { RunningGroups } from './groups.ts';
import { onFirstSight, settingsOf } from './loop-settings.ts';
import { type Figures, openFigures } from './metrics.ts';
import { type Notices, openNotices } from './notifications.ts';
import { runDaemon, type Sampling, type Signals } from './scheduler.ts';
import { type StateKeeper, stateKeeper } from './state-keeper.ts';
import { whyNotNow, whyUnfit } from './unfit.ts';
import type { UsageKeeper } from './usage-keeper.ts';
import { type OpenWorld, openWorld, type Surroundings } from './world.ts';

/** What the command line says of the run. */
export interface Launch extends ConfigurationChoice {
  readonly command: string;
  readonly dryRun: boolean;
}

/** `daemon` and `once`: the loop on the real world, behind the one lock. */
export async function run(
  given: Launch,
  around: Surroundings,
  signals: Signals,
): Promise<ExitCode> {
  const loaded = readConfiguration(given, around);
  const { paths } = around;
  const notNow = await whyNotNow(loaded, around);
  if (notNow !== undefined) return refuse(around, `${notNow}\n`, EXIT.failure);
  const unfit = whyUnfit(around);
  // On a machine that is no node nobody has put a configuration either: that is not what is wrong.
  if (unfit !== undefined && !existsSync(configurationFile(given.configFile, paths))) {
    return refuse(around, `${unfit}\n`, EXIT.failure);
  }
  if (!loaded.ok) return refuse(around, renderProblems(loaded), EXIT.configuration);
  const { config } = loaded;
  if (unfit !== undefined) return refuse(around, `${unfit}\n`, EXIT.failure);

  // A reload that is asked for while the daemon still starts must not end it.
  signals.on('SIGHUP', () => {});
  const lock = acquireHostLock(paths, paths.at(config.lockFile));
  if (!lock.ok) {
    const message = lock.running ? alreadyRunning(lock) : lock.message;
    return refuse(around, `${message}\n`, lock.running ? EXIT.alreadyRunning : EXIT.failure);
  }
  if (!given.dryRun) clearUp(config, around);
  const open = openWorld(config, around);
  const keeper = stateKeeper(open.world, around, given.dryRun);
  try {
    for (const note of loaded.notes) open.world.log.warn(renderProblem(note));
    if (lock.remark !== undefined) open.world.log.warn(plainText(lock.remark, 300));
    if (given.command === 'once') return await once(given, config, open, around, signals, keeper);
    return await daemon(given, config, open, around, signals, keeper);
  } finally {
    await open.close();
    lock.release();
  }
}

function clearUp({ backupDir, logFile, jsonLogFile }: Config, around: Surroundings): void {
  const { paths, clock } = around;
  const logs = [logFile, jsonLogFile].map((file) => dirname(paths.at(file)));
  removeLeftovers({ paths, nowMs: clock.wallMs(), backups: paths.at(backupDir), logs });
}

function refuse({ stderr }: Surroundings, message: string, code: ExitCode): ExitCode {
  stderr.write(message);
  return code;
}

const alreadyRunning = ({ path, pid }: HeldElsewhere): string =>
  `lxc-autoscale is already running${pid === undefined ? '' : ` (process ${pid})`}: ` +
  `it holds the lock of this host, ${path}. Stop it first, or wait until it has ended.`;

async function once(
  given: Launch,
  config: Config,
  open: OpenWorld,
  around: Surroundings,
  signals: Signals,
  keeper: StateKeeper,
): Promise<ExitCode> {
  const { world } = open;
  const stop = new AbortController();
  const onStop = (): void => stop.abort();
  signals.on('SIGTERM', onStop);
  signals.on('SIGINT', onStop);
  const settings = onFirstSight(settingsOf(config, given));
  const save = (): void => keeper.save();
  const force: Pick<InForce, 'config' | 'usage'> = { config, usage: undefined };
  await beginUsage(force, open, around, given);
  let view: CycleView | undefined;
  const inspect = (seen: CycleView): void => {
    view = seen;
    force.usage?.take(seen, keeper.state, Infinity);
  };
  const notices = await openNotices(config, open, around);
  notices.cycleBegins();
  await open.ask();
  const result = await runCycle(world, { ...settings, save, inspect }, keeper.state, stop.signal);
  notices.cycleEnds(result, view);
  keeper.save();
  await force.usage?.close();
  await notices.close();
  world.log.info('Resource allocation process completed.');
  return result.ok && result.failed === 0 ? EXIT.fine : EXIT.failure;
}

/** Without a listener the signal would open Node's debugger. */
const NOTHING_TO_REOPEN = 'SIGUSR1: the logs are opened anew for each line, also after a rotation.';
const NOT_RELOADED =
  'The configuration was NOT reloaded: it has problems, so the old one stays in force';

async function daemon(
  given: Launch,
  first: Config,
  open: OpenWorld,
  around: Surroundings,
  signals: Signals,
  keeper: StateKeeper,
): Promise<ExitCode> {
  const { world } = open;
  const { state } = keeper;
  const save = (): void => {
    keeper.save();
    supervisor.beat();
  };
  signals.on('SIGUSR1', () => world.log.info(NOTHING_TO_REOPEN));
  const settings = settingsOf(first, given);
  const force: InForce = { ...NOTHING_YET, config: first, settings };
  force.figures = figuresOf(force, keeper, open, around);
  world.log.info(`Started, one cycle every ${first.pollIntervalMs / 1000} seconds.`);
  const { clock, log } = world;
  const supervisor = createSupervisor({ env: around.env, pid: process.pid, clock, log });
  const socket = await openSocket(force, keeper, open, around);
  await beginParts(force, open, around, given);
  const collect = createCollector();
  await runDaemon(
    {
      clock: world.clock,
      supervisor,
      pollIntervalMs: () => force.config.pollIntervalMs,
      sampling: samplingOf(force, keeper, open, collect),
      cycle: async (stop) => {
        const inspect = (view: CycleView): void => {
          force.view = view;
          force.usage?.take(view, state, force.config.pollIntervalMs);
        };
        force.notices?.cycleBegins();
        const whole = { ...force.settings, ...roomOf(force), save, inspect };
        await open.ask();
        const result = await runCycle(world, whole, state, stop);
        tellOfCycle(result, force, keeper, supervisor);
        collect();
      },
      resting: (untilNextMs) => {
        const seconds = Math.round(untilNextMs / 1000);
        world.log.info(`Resource allocation process completed. Next run in ${seconds} seconds.`);
      },
      reload: async () => {
        force.config = reload(given, force, open, around);
        force.settings = settingsOf(force.config, given);
        await beginParts(force, open, around, given);
      },
    },
    signals,
  );
  await endParts(force);
  await socket.close();
  keeper.save();
  world.log.info('Stopped.');
  return EXIT.fine;
}

function tellOfCycle(
  result: CycleResult,
  { notices, figures, view }: InForce,
  keeper: StateKeeper,
  supervisor: Supervisor,
): void {
  const seen = result.ok ? view : undefined;
  notices?.cycleEnds(result, seen);
  figures?.cycled(seen);
  if (result.ok && result.done + result.failed > 0) keeper.save();
  else keeper.saveWhenDue();
  if (result.ok) {
    supervisor.status(`Last cycle: ${result.done} changes done, ${result.failed} failed`);
  } else supervisor.status(`Last cycle: blind, ${result.detail}`);
}

/** What the daemon goes by now, and what its last cycle knew. */
interface InForce {
  config: Config;
  settings: CycleSettings;
  view: CycleView | undefined;
  /** What the last cycle, whole or early, has left of the host. */
  room: Room | undefined;
  /** undefined as long as no group was configured. */
  groups: RunningGroups | undefined;
  /** undefined where no history of usage is kept. */
  usage: UsageKeeper | undefined;
  notices: Notices | undefined;
  figures: Figures | undefined;
}

/** What cycles and groups tell each other of the host's memory, so that neither passes it twice. */
const roomOf = (force: InForce): Pick<CycleSettings, 'comingMib' | 'left'> => ({
  comingMib: () => force.groups?.comingMib ?? 0,
  left: (room) => {
    force.room = room;
  },
});

const NOTHING_YET = {
  ...{ view: undefined, groups: undefined, usage: undefined, notices: undefined },
  ...{ figures: undefined, room: undefined },
};

function figuresOf(
  force: InForce,
  { state }: StateKeeper,
  open: OpenWorld,
  around: Surroundings,
): Figures {
  return openFigures({
    ...{ open, around, config: () => force.config },
    known: () => knownOf(force, state, around),
    messages: () => force.notices?.counts() ?? new Map(),
  });
}

function knownOf(force: InForce, state: LoopState, { clock }: Surroundings): Known {
  const { view, settings, config } = force;
  const { timezone } = config;
  const groups = force.groups?.reports ?? [];
  return { from: 'daemon', view, settings, state, timezone, nowMs: clock.monotonicMs(), groups };
}

/** Begins what the configuration wants now and nothing did before. */
async function beginParts(
  force: InForce,
  open: OpenWorld,
  around: Surroundings,
  given: Launch,
): Promise<void> {
  await beginGroups(force, open, around);
  await beginUsage(force, open, around, given);
  await beginNotices(force, open, around);
  await force.figures?.use(force.config);
}

async function beginNotices(force: InForce, open: OpenWorld, around: Surroundings): Promise<void> {
  const { config, notices } = force;
  if (notices !== undefined) return notices.apply(config);
  force.notices = await openNotices(config, open, around);
  const every = `one cycle every ${config.pollIntervalMs / 1000} seconds`;
  const text = `Started, version ${version}, ${every}.`;
  force.notices.tell({ kind: 'daemon', severity: 'info', text });
}

async function endParts(force: InForce): Promise<void> {
  await force.groups?.stop();
  await force.usage?.close();
  force.notices?.tell({ kind: 'daemon', severity: 'info', text: 'Stopped.' });
  await force.notices?.close();
  await force.figures?.close();
}

/** Keeps a history of usage where one is wanted, and no longer where none is any more. */
async function beginUsage(
  force: Pick<InForce, 'config' | 'usage'>,
  { world }: OpenWorld,
  around: Surroundings,
  { dryRun }: Launch,
): Promise<void> {
  if (force.config.usageHistory && !dryRun) {
    const { openUsageKeeper } = await import('./usage-keeper.ts');
    force.usage ??= openUsageKeeper(world, around, () => force.config.usageHistoryDays);
    return;
  }
  await force.usage?.close();
  force.usage = undefined;
}

/** Where there is a group now and there was none before. Without groups nothing is even loaded. */
async function beginGroups(force: InForce, open: OpenWorld, around: Surroundings): Promise<void> {
  if (force.groups !== undefined || force.config.groups.length === 0) return;
  const { startGroups } = await import('./groups.ts');
  force.groups = startGroups(open, around, () => force);
}

function samplingOf(
  force: InForce,
  keeper: StateKeeper,
  open: OpenWorld,
  collect: () => void,
): Sampling {
  const { world } = open;
  const { state } = keeper;
  return {
    intervalMs: () => force.config.sampleIntervalMs,
    look: () => {
      const { urgentSamples } = force.config;
      const seen = sample(world, state, { ...force.settings, urgentSamples, meanwhile: true });
      return seen.urgent.size > 0;
    },
    sample: async (stop) => {
      const { settings, config } = force;
      const { urgentSamples } = config;
      await open.ask();
      noticePause(world, state);
      const { urgent, suspicious } = sample(world, state, { ...settings, urgentSamples });
      collect();
      if (urgent.size === 0) return suspicious;
      const save = (): void => keeper.save();
      force.notices?.cycleBegins();
      const early = { ...settings, ...roomOf(force), save, urgent };
      const result = await runCycle(world, early, state, stop);
      force.notices?.cycleEnds(result, undefined);
      if (result.ok && result.done + result.failed > 0) keeper.save();
      return false;
    },
  };
}

/** Where `status` and `explain` ask. What answers them is loaded when somebody first does. */
function openSocket(
  force: InForce,
  { state }: StateKeeper,
  open: OpenWorld,
  around: Surroundings,
): Promise<ControlSocket> {
  return openControlSocket({
    paths: around.paths,
    complain: (message) => open.world.log.warn(message),
    answer: async (request) => {
      if (request.command === 'health') {
        await open.ask();
        return { health: force.figures?.health() };
      }
      const { answerTo } = await import('./control-answer.ts');
      return answerTo(request, knownOf(force, state, around));
    },
  });
}

/** The configuration to go on with: the new one, or the old one where the new one is wrong. */
function reload(
  given: Launch,
  { config: old, notices, figures }: Pick<InForce, 'config' | 'notices' | 'figures'>,
  open: OpenWorld,
  around: Surroundings,
): Config {
  const { log } = open.world;
  const loaded = readConfiguration(given, around);
  if (!loaded.ok) {
    figures?.reloaded(false);
    for (const problem of loaded.problems) log.error(renderProblem(problem));
    log.error(NOT_RELOADED);
    const text = `${NOT_RELOADED}. ${loaded.problems.map(renderProblem).join(' ')}`;
    notices?.tell({ kind: 'configuration', severity: 'error', text });
    return old;
  }
  const { config } = loaded;
  open.reconfigure(config);
  for (const note of loaded.notes) log.warn(renderProblem(note));
  if (config.lockFile !== old.lockFile) {
    log.warn(`lock_file is now ${config.lockFile}; that takes effect with the next start`);
  }
  figures?.reloaded(true);
  log.info('The configuration was reloaded.');
  return config;
}
