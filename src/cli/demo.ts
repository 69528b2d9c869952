import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import type { Signals } from '../app/scheduler.ts';
import { milliseconds } from '../core/units.ts';
import { askControlSocket } from '../os/control-client.ts';
import { CONTROL_SOCKET } from '../os/control-path.ts';
import { SimulatedNode } from '../sim/node.ts';
import {
  IGNORED_VMID,
  SCENARIO_DAY_MS,
  SCENARIO_HOST,
  SCENARIO_SEED,
  SCENARIO_START_MS,
  scenarioGuests,
} from '../sim/scenario.ts';
import { traceNode } from '../sim/trace-guests.ts';
import { readTrace } from '../sim/traces.ts';
import type { Arguments } from './arguments.ts';
import type { CommandContext } from './command.ts';
import { summary } from './demo-summary.ts';
import { createView } from './demo-view.ts';
import { onEndKeys } from './end-keys.ts';
import { JournalTail } from './journal-tail.ts';
import { terminalWidth } from './view.ts';

/**
 * `demo`: builds a simulated node in a temporary directory, runs the real daemon on it as a process
 * of its own, and shows what happens. A day of demand passes in `--duration`; rates stay true.
 */
export async function demo(
  given: Arguments,
  context: CommandContext,
  signals: Signals,
): Promise<ExitCode> {
  const stage = await setStage(given);
  if (typeof stage === 'string') {
    context.stderr.write(stage);
    return EXIT.failure;
  }
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-demo-'));
  const root = join(directory, 'node');
  const node = await SimulatedNode.create({ root, ...stage.node, pvestatdPeriodMs: 1000 });
  const configFile = '/etc/lxc_autoscale/lxc_autoscale.yaml';
  mkdirSync(join(root, '/etc/lxc_autoscale'), { recursive: true });
  const port = given.http ? await freePort() : undefined;
  const served =
    port === undefined ? '' : `  http_listen: 127.0.0.1:${port}\n  usage_history: True\n`;
  writeFileSync(join(root, configFile), stage.configuration + served);
  const look = `explain ${stage.node.guests[0]?.vmid} --sysroot ${root}`;
  const hint = `Meanwhile, in another terminal: ${look}`;
  context.stdout.write(`${stage.title}\nEverything is in ${directory}\n${hint}\n\n`);

  const journal = new JournalTail(join(root, '/var/log/lxc_autoscale.json'));
  const first = new Map(stage.node.guests.map(({ vmid }) => [vmid, node.limits(vmid)]));
  const view = createView(node, context.stdout, { startMs: stage.startMs, first, hint });
  const started = context.clock.monotonicMs();
  const stop = stopRequest(signals);
  // A terminal that is closed takes nothing more, and the daemon is to be ended all the same.
  signals.on('SIGHUP', () => context.stdout.on('error', () => {}));
  const letGo = onEndKeys(context.stdin, stop.ask);
  node.start();
  const daemon = startDaemon(root, node.binDirectory, context);
  if (given.http) context.stdout.write(await pageLink(root, context, stop));
  const untilMs = started + given.durationSeconds * 1000;
  while (context.clock.monotonicMs() < untilMs && !stop.asked && daemon.running) {
    const leftMs = untilMs - context.clock.monotonicMs();
    await stop.sleep(Math.max(0, Math.min(REFRESH_MS, leftMs)));
    view.show(journal.news());
  }
  letGo();
  const failure = await daemon.end();
  view.show(journal.news());
  view.finish();
  await node.close();
  const ran = milliseconds(context.clock.monotonicMs() - started);
  const leftAlone = linesOnLeftAlone(join(root, '/var/log/lxc_autoscale.log'));
  const width = terminalWidth(context);
  context.stdout.write(
    summary({ node, first, events: journal.all, leftAlone, directory, ran, width }),
  );
  if (failure === undefined) return EXIT.fine;
  context.stderr.write(`The daemon failed: ${failure}\n`);
  return EXIT.failure;
}

/** Lines on where the page is, as soon as the daemon can say so. */
async function pageLink(
  root: string,
  { clock }: ProcessContext,
  stop: ReturnType<typeof stopRequest>,
): Promise<string> {
  const path = join(root, CONTROL_SOCKET);
  const untilMs = clock.monotonicMs() + LONGEST_START_MS;
  for (;;) {
    const answer = await askControlSocket(path, { command: 'dashboard' });
    const url = answer.kind === 'answered' ? answer.content['url'] : undefined;
    if (typeof url === 'string') return `The page, to be opened within 5 minutes:\n${url}\n\n`;
    if (stop.asked || clock.monotonicMs() > untilMs) return 'The page is not served.\n\n';
    await stop.sleep(START_LOOK_MS);
  }
}

const LONGEST_START_MS = 20_000;
const START_LOOK_MS = 200;

/** One that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const REFRESH_MS = 1000;
const MOST_LEFT_ALONE = 10;

const LEFT_ALONE =
  /Container \d+ (?:\([^\n]*\) is skipped: .*|is not running\. Skipping adjustments\.)/g;

function linesOnLeftAlone(log: string): string[] {
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, 'utf8').match(LEFT_ALONE) ?? [];
  return [...new Set(lines)].slice(0, MOST_LEFT_ALONE);
}

interface Stage {
  readonly title: string;
  /** The demand's clock at the beginning, milliseconds since midnight. */
  readonly startMs: number;
  readonly configuration: string;
  readonly node: Pick<
    Parameters<typeof SimulatedNode.create>[0],
    'host' | 'guests' | 'demandSpeed' | 'demandStartMs' | 'seed'
  >;
}

const DEFAULT_TRACE_CONTAINERS = 50;
/** The bounds that the traces are scored with. */
const TRACE_MAX_MEMORY_MIB = 16_384;

/** The host and the containers, or sentences on what is wrong with the trace. */
async function setStage(given: Arguments): Promise<Stage | string> {
  const realMs = given.durationSeconds * 1000;
  if (given.traceFile === undefined) {
    const demandSpeed = SCENARIO_DAY_MS / realMs;
    return {
      title: `A simulated Proxmox VE node: a day of 8 containers in ${given.durationSeconds} s`,
      startMs: SCENARIO_START_MS,
      configuration: configuration({ ignore: [IGNORED_VMID] }),
      node: {
        host: SCENARIO_HOST,
        guests: scenarioGuests(),
        demandSpeed,
        demandStartMs: SCENARIO_START_MS,
        seed: SCENARIO_SEED,
      },
    };
  }
  const read = await readTrace(given.traceFile, given.containers ?? DEFAULT_TRACE_CONTAINERS);
  if (!read.ok) return read.problems.map((problem) => `${problem}\n`).join('');
  const { series, spanS } = read.trace;
  const hours = (spanS / 3600).toFixed(1);
  return {
    title:
      `A simulated Proxmox VE node: ${hours} h of ${series.length} recorded containers ` +
      `in ${given.durationSeconds} s`,
    startMs: 0,
    configuration: configuration({ ignore: [], maxMemoryMib: TRACE_MAX_MEMORY_MIB }),
    node: { ...traceNode(read.trace), demandSpeed: (spanS * 1000) / realMs, demandStartMs: 0 },
  };
}

/** A day in a minute has no time for cooldowns of minutes, nor for an hour of observation. */
const COMPRESSED = [
  '  cooldown_seconds: 0',
  '  evaluation_periods: {up: 1, down: 2}',
  '  first_shrink_seconds: 0',
];

function configuration(own: { ignore: readonly number[]; maxMemoryMib?: number }): string {
  const lines = [
    'DEFAULT:',
    '  poll_interval: 2',
    '  log_quiet_cycles: True',
    ...COMPRESSED,
    `  ignore_lxc: [${own.ignore.join(', ')}]`,
  ];
  if (own.maxMemoryMib !== undefined) lines.push(`  max_memory: ${own.maxMemoryMib}`);
  return `${lines.join('\n')}\n`;
}

/** Ctrl-C, or a terminal that is closed, ends the demo early, and in order. */
function stopRequest(signals: Signals) {
  const state = { asked: false, wake: (): void => {} };
  const ask = (): void => {
    state.asked = true;
    state.wake();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) signals.on(signal, ask);
  return {
    ask,
    get asked() {
      return state.asked;
    },
    sleep: (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        state.wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (state.asked) state.wake();
      }),
  };
}

interface RunningDaemon {
  readonly running: boolean;
  /** Ends it and returns what it had to complain about if it failed. */
  end(): Promise<string | undefined>;
}

function startDaemon(root: string, bin: string, { env }: ProcessContext): RunningDaemon {
  const program = process.argv[1] ?? '';
  const path = `${bin}:${env['PATH'] ?? ''}`;
  // A group of its own, so that Ctrl-C reaches the demo alone, which then ends it in order.
  const child: ChildProcess = spawn(process.execPath, [program, '--sysroot', root, 'daemon'], {
    env: { ...env, PATH: path },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    if (said.length < 4096) said += String(chunk);
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', resolve);
    child.once('error', (error) => {
      said = error.message;
      resolve(null);
    });
  });
  const state = { running: true };
  exited.then(() => {
    state.running = false;
  });
  return {
    get running() {
      return state.running;
    },
    async end() {
      if (state.running) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 12_000);
      const code = await exited;
      clearTimeout(timer);
      return code === 0 ? undefined : `exit code ${code}. ${said.trim()}`;
    },
  };
}
