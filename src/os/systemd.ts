import { runCommand } from './command.ts';
import { searchPath } from './executable-files.ts';

/**
 * What the service manager hears of the daemon, see sd_notify(3). Node has no datagram sockets, so
 * that each message takes a `systemd-notify`; the daemon therefore speaks seldom, and what can wait
 * goes along with what cannot. Where no service manager listens nothing is started at all.
 */
export interface Supervisor {
  /** Within so long `beat` has to be called again; undefined: nobody counts. */
  readonly beatIntervalMs: number | undefined;
  /** The first cycle, or a reload, is over. */
  ready(): Promise<void>;
  /** A new configuration is being read; `ready` ends it. */
  reloading(): Promise<void>;
  /**
   * The loop goes on. To be called by the loop itself, so that one that hangs falls silent; costs
   * nothing unless a sign of life is due. Until `ready` it asks for more time to start.
   */
  beat(): void;
  /** One line on what is going on. It goes along with the next message. */
  status(text: string): void;
  stopping(): Promise<void>;
}

export interface SupervisorOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of this process: only the one that the manager watches gives signs of life. */
  readonly pid: number;
  /** Milliseconds that never go back. */
  readonly clock: { monotonicMs(): number };
  readonly log: { warn(message: string): void };
}

/** Two signs of life may be lost or late before the manager takes the daemon for dead. */
const SIGNS_PER_LIMIT = 3;
const TIME_LIMIT_MS = 10_000;
const OUTPUT_LIMIT_BYTES = 4096;
const LONGEST_STATUS = 200;

/** The service manager that started this process, or one that nobody hears if there is none. */
export function createSupervisor({ env, pid, clock, log }: SupervisorOptions): Supervisor {
  const socket = env['NOTIFY_SOCKET'];
  if (socket === undefined || socket === '') return UNSUPERVISED;
  const send = sender({ NOTIFY_SOCKET: socket, PATH: searchPath(env) }, log);
  const limitMs = watchdogLimitMs(env, pid);
  const beatIntervalMs = limitMs === undefined ? undefined : limitMs / SIGNS_PER_LIMIT;
  let started = false;
  let status: string | undefined;
  let unheard: string | undefined;
  let nextBeatMs = clock.monotonicMs() + (beatIntervalMs ?? Number.POSITIVE_INFINITY);

  const notify = async (message: string): Promise<void> => {
    const lines = status === undefined ? [message] : [message, `STATUS=${status}`];
    status = undefined;
    nextBeatMs = clock.monotonicMs() + (beatIntervalMs ?? Number.POSITIVE_INFINITY);
    if (await send(lines)) return;
    // What was not heard is said again the next time that the loop comes by.
    unheard = message;
    nextBeatMs = clock.monotonicMs();
  };
  const alive = (): string => (limitMs === undefined ? 'READY=1' : 'READY=1\nWATCHDOG=1');

  return {
    beatIntervalMs,
    ready() {
      started = true;
      return notify(alive());
    },
    reloading: () => notify('RELOADING=1'),
    beat() {
      if (clock.monotonicMs() < nextBeatMs || limitMs === undefined) return;
      const sign = started ? 'WATCHDOG=1' : `EXTEND_TIMEOUT_USEC=${Math.round(limitMs * 1000)}`;
      const message = unheard ?? sign;
      unheard = undefined;
      void notify(message);
    },
    status(text) {
      status = text.replace(/[\0-\x1f\x7f]+/g, ' ').slice(0, LONGEST_STATUS);
    },
    stopping: () => notify('STOPPING=1'),
  };
}

const UNSUPERVISED: Supervisor = Object.freeze({
  beatIntervalMs: undefined,
  ready: () => Promise.resolve(),
  reloading: () => Promise.resolve(),
  beat: () => {},
  status: () => {},
  stopping: () => Promise.resolve(),
});

/** After so long a silence the manager ends the process; undefined if it does not watch it. */
function watchdogLimitMs(env: SupervisorOptions['env'], pid: number): number | undefined {
  const watched = env['WATCHDOG_PID'];
  if (watched !== undefined && watched !== String(pid)) return undefined;
  const microseconds = Number(env['WATCHDOG_USEC']);
  return microseconds > 0 ? microseconds / 1000 : undefined;
}

type Send = (messages: readonly string[]) => Promise<boolean>;

/** One message after the other, in order; the first that fails is told, since the rest will too. */
function sender(env: Readonly<Record<string, string>>, log: SupervisorOptions['log']): Send {
  // A message is still to be heard while the daemon stops: this never fires.
  const { signal: stop } = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  let isReported = false;

  const sendNow = async (messages: readonly string[]): Promise<boolean> => {
    const result = await runCommand('systemd-notify', messages.flatMap(eachLine), {
      env,
      stop,
      timeLimitMs: TIME_LIMIT_MS,
      stopGraceMs: 0,
      outputLimitBytes: OUTPUT_LIMIT_BYTES,
    });
    if (result.kind === 'exited' && result.exitCode === 0) return true;
    const text = `The service manager could not be told of this daemon: ${why(result)}`;
    if (!isReported) log.warn(text);
    isReported = true;
    return false;
  };
  return (messages) => {
    const sent = last.then(() => sendNow(messages));
    last = sent;
    return sent;
  };
}

const eachLine = (message: string): readonly string[] => message.split('\n');

function why(result: Awaited<ReturnType<typeof runCommand>>): string {
  if (result.kind === 'not-started') return result.message;
  const { kind, stderr } = result;
  const how = kind === 'exited' ? `exit code ${result.exitCode}` : kind;
  return `systemd-notify: ${how} ${stderr.trim()}`.trim();
}
