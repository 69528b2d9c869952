import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path/posix';
import { setFlagsFromString } from 'node:v8';
import type { Config } from '../config/model.ts';
import { renderProblem } from '../config/problem.ts';
import { unfitFile, withoutFile } from '../core/installation.ts';
import { plainText } from '../core/plain-text.ts';
import { acquireHostLock, type HeldElsewhere, type HeldLock } from '../os/host-lock.ts';
import { removeLeftovers } from '../store/leftovers.ts';
import { createStateFile } from '../store/state-file.ts';
import {
  type ConfigurationChoice,
  configurationFile,
  readConfiguration,
  renderProblems,
} from './configuration.ts';
import type { ProcessContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import type { Leasing } from './node-lease.ts';
import type { Signals } from './scheduler.ts';
import { SharedConfiguration } from './shared-configuration.ts';
import { sharing } from './shared-signals.ts';
import { NAME_STATE, whyNoState, whyStateNotTrusted } from './state-dir.ts';
import { type StateKeeper, stateKeeper } from './state-keeper.ts';
import { awayLines, isAway, whyNotNow, whyUnfit } from './unfit.ts';
import { type FarNode, type OpenHome, type OpenWorld, openWorlds } from './world.ts';

/** What the command line says of a run. */
export interface Launch extends ConfigurationChoice {
  readonly dryRun: boolean;
}

/** A node whose loop is to run. */
export interface NodeInHand {
  readonly open: OpenWorld;
  readonly keeper: StateKeeper;
}

/** All that the loops of the nodes need, opened while the lock of the host is held. */
export interface Launched {
  readonly launch: Launch;
  readonly config: Config;
  readonly shared: SharedConfiguration;
  readonly home: OpenHome;
  /** The home is the first. */
  readonly nodes: readonly [NodeInHand, ...NodeInHand[]];
  readonly context: ProcessContext;
  readonly signals: Signals;
}

/** The further nodes of a configuration, each by the backend that reaches it. */
export type Reach = (config: Config, context: ProcessContext) => Promise<readonly FarNode[]>;

/** What reaches them is loaded only if there are any. */
const farNodes: Reach = async (config, context) =>
  config.nodes.length === 0 ? [] : (await import('./far-nodes.ts')).openFarNodes(config, context);

/** Opens the real world for `daemon` or `once`, and closes it behind it. */
export async function run(
  mode: (launched: Launched) => Promise<ExitCode>,
  launch: Launch,
  context: ProcessContext,
  signals: Signals,
  reach: Reach = farNodes,
): Promise<ExitCode> {
  optimizeLate();
  const heard = keepingHangups(sharing(signals));
  const shared = new SharedConfiguration(launch.configFile, context);
  const loaded = readConfiguration(launch, context);
  const { paths } = context;
  const notNow = await whyNotNow(loaded, context);
  if (notNow !== undefined) return refuse(context, `${notNow}\n`, EXIT.failure);
  const unfit = whyUnfit(loaded, context);
  // If this is not a Proxmox node, the configuration is missing too: report the real problem.
  if (unfit !== undefined && !existsSync(configurationFile(launch.configFile, paths))) {
    return refuse(context, `${unfit}\n`, EXIT.failure);
  }
  if (!loaded.ok) return refuse(context, renderProblems(loaded), EXIT.configuration);
  const { config } = loaded;
  if (unfit !== undefined) return refuse(context, `${unfit}\n`, EXIT.failure);

  const noState = whyNoState(paths) ?? whyStateNotTrusted(paths);
  if (noState !== undefined) return refuse(context, `${plainText(noState)}\n`, EXIT.failure);
  const lock = acquireHostLock(paths, paths.at(config.lockFile));
  if (!lock.ok) {
    const remedy = isAway(config, context) && paths.stateDir === undefined ? ` ${NAME_STATE}` : '';
    const message = lock.running ? alreadyRunning(lock) : `${lock.message}${remedy}`;
    return refuse(context, `${message}\n`, lock.running ? EXIT.alreadyRunning : EXIT.failure);
  }
  if (!launch.dryRun) clearUp(config, context);
  const leasing = launch.dryRun ? undefined : leasingOf(lock, context);
  const reached = await reachable(reach, config, context);
  const [home, ...far] = openWorlds(reached.nodes, config, context, leasing);
  const inHand = (open: OpenWorld): NodeInHand => ({
    open,
    keeper: stateKeeper(open.world, context, launch.dryRun, open.below),
  });
  try {
    const { log } = home.outputs;
    for (const note of loaded.notes) log.warn(renderProblem(note));
    if (reached.unfit !== undefined) log.error(withoutFile(reached.unfit));
    if (lock.remark !== undefined) log.warn(plainText(lock.remark, 300));
    if (isAway(config, context)) for (const line of awayLines(config)) log.warn(line);
    const nodes = [inHand(home), ...far.map(inHand)] as const;
    return await mode({ launch, config, shared, home, nodes, context, signals: heard });
  } finally {
    await Promise.all(far.map((one) => one.close()));
    await home.close();
    lock.release();
  }
}

/** Without the file that reaches other nodes there are none; only this one is scaled, if it can. */
async function reachable(reach: Reach, config: Config, context: ProcessContext) {
  try {
    return { nodes: await reach(config, context), unfit: undefined };
  } catch (error) {
    const unfit = unfitFile(error);
    if (unfit === undefined || isAway(config, context)) throw error;
    return { nodes: [], unfit };
  }
}

/** Two lives of this program can't have the same lock, so the one before is over. */
const leasingOf = ({ place }: HeldLock, { paths, clock }: ProcessContext): Leasing => ({
  host: paths.hostName(),
  clock,
  seat: `${createStateFile(paths).boot() ?? randomUUID()} ${place}`,
});

/**
 * The optimizing compiler takes memory for each function, so it starts fifteen times later than by
 * default: only functions that run for hours are worth it. Without it the program would save 1 MB,
 * and observing would take three times as long (`npm run bench observe`).
 */
function optimizeLate(): void {
  setFlagsFromString('--interrupt-budget=2000000');
}

/** SIGHUP, also by the control socket: while the daemon starts it neither ends it nor is lost. */
function keepingHangups(signals: Signals): Signals {
  let isMissed = false;
  const miss = (): void => {
    isMissed = true;
  };
  signals.on('SIGHUP', miss);
  return {
    on(signal, listener) {
      signals.on(signal, listener);
      if (signal !== 'SIGHUP' || !isMissed) return;
      isMissed = false;
      listener();
    },
    off: (signal, listener) => signals.off(signal, listener),
  };
}

function clearUp({ backupDir, logFile, jsonLogFile }: Config, context: ProcessContext): void {
  const { paths, clock } = context;
  const logs = [logFile, jsonLogFile].map((file) => dirname(paths.at(file)));
  removeLeftovers({ paths, nowMs: clock.wallMs(), backups: paths.at(backupDir), logs });
}

function refuse({ stderr }: ProcessContext, message: string, code: ExitCode): ExitCode {
  stderr.write(message);
  return code;
}

const alreadyRunning = ({ path, pid }: HeldElsewhere): string =>
  `lxc-autoscale is already running${pid === undefined ? '' : ` (process ${pid})`}: ` +
  `it holds the lock of this host, ${path}. Stop it first, or wait until it has ended.`;
