import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import type { Readable } from 'node:stream';
import { visibleText } from '../core/plain-text.ts';
import { describeError, errorCode } from './os-error.ts';

/**
 * Starts programs of the node. Arguments go in an array and never through a shell; time and output
 * are bounded; a program that overstays is ended together with all that it started.
 */

export interface CommandOptions {
  readonly timeLimitMs: number;
  /** The whole environment of the program; nothing of ours is added. */
  readonly env: Readonly<Record<string, string>>;
  /** When it fires, the program gets `stopGraceMs` more and is then ended. */
  readonly stop: AbortSignal;
  readonly stopGraceMs: number;
  /** When it fires, the program is ended at once. */
  readonly cancel?: AbortSignal | undefined;
  /** Of stdout and of stderr each; what comes beyond is read and dropped. */
  readonly outputLimitBytes: number;
}

/** Text as a person may see it: lines end in `\n`, other control characters are made visible. */
export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

export type CommandResult =
  | (CommandOutput & { readonly kind: 'exited'; readonly exitCode: number })
  /** Ended by a signal that was not ours; `why` if more is known. */
  | (CommandOutput & {
      readonly kind: 'killed';
      readonly signal: string;
      readonly why?: string;
      /** It is out of sight, and may be at work for a moment still. */
      readonly isUnseen?: true;
    })
  /** Ended by us, at the time limit, say. `left`: it resisted SIGKILL. */
  | (CommandOutput & { readonly kind: EndedBy; readonly left: boolean })
  | { readonly kind: 'not-started'; readonly message: string };

type EndedBy = 'timed-out' | 'stopped' | 'cancelled';

/** Between SIGTERM and SIGKILL, and how long the end after SIGKILL is waited for. */
const TERM_GRACE_MS = 1_000;
const KILL_GRACE_MS = 1_000;
const POLL_MS = 50;
/** A process that outlives the program may hold its output open; so long it is waited for. */
const OUTPUT_GRACE_MS = 500;
const MOST_AT_ONCE = 4;

let running = 0;
const waiting: (() => void)[] = [];

/** Runs a program and returns what became of it. Never rejects for what the program does. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  // Who ends hands its place on to the one that has waited longest, or gives it back.
  if (running < MOST_AT_ONCE) running++;
  else await new Promise<void>((resume) => waiting.push(resume));
  try {
    if (options.stop.aborted) {
      return { kind: 'not-started', message: `${file} was not started: the daemon is stopping` };
    }
    if (options.cancel?.aborted) {
      return { kind: 'not-started', message: `${file} was not started: it is not wanted any more` };
    }
    return await runNow(file, args, options);
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

async function runNow(
  file: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const started = await start(file, options.env, (common) =>
    spawn(file, args, { ...common, stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  if (typeof started === 'string') return { kind: 'not-started', message: started };
  const { child, pid } = started;
  const stdout = new BoundedOutput(child.stdout, options.outputLimitBytes);
  const stderr = new BoundedOutput(child.stderr, options.outputLimitBytes);
  const exit = exitOf(child);
  const limit = startLimit(options);
  const first = await Promise.race([exit, limit.reached]);
  limit.cancel();
  const left = typeof first === 'string' && !(await endGroup(pid));
  const [out, err] = await Promise.all([stdout.text(), stderr.text()]);
  const texts = { stdout: out, stderr: err };
  if (typeof first === 'string') return { kind: first, left, ...texts };
  if (first.signal !== null) return { kind: 'killed', signal: first.signal, ...texts };
  return { kind: 'exited', exitCode: first.exitCode ?? -1, ...texts };
}

export interface DetachedOptions {
  readonly timeLimitMs: number;
  readonly env: Readonly<Record<string, string>>;
  /** An existing directory, for the output while it runs. */
  readonly directory: string;
  /** Its process id, and its last line of output, then and later. */
  readonly onStart?: (pid: number, lastLine: () => string) => void;
}

/** Between SIGTERM and SIGKILL: a `pct` that is ended tidies up after itself, which takes time. */
const DETACHED_GRACE_MS = 30_000;

/**
 * Runs a program that is to live on if this process ends, by whatever means. Its output goes to a
 * file without a name, so that it never writes to a pipe that nobody reads; it has a session of its
 * own, and takes none of the places that `runCommand` gives out. stdout and stderr come as one.
 */
export async function runDetached(
  file: string,
  args: readonly string[],
  options: DetachedOptions,
): Promise<CommandResult> {
  const { timeLimitMs, env, directory, onStart } = options;
  let fd: number;
  try {
    fd = openNameless(directory);
  } catch (error) {
    return { kind: 'not-started', message: `no output file: ${describeError(error)}` };
  }
  try {
    const started = await start(file, env, (common) =>
      spawn(file, args, { ...common, stdio: ['ignore', fd, fd] }),
    );
    if (typeof started === 'string') return { kind: 'not-started', message: started };
    const { child, pid } = started;
    const exit = exitOf(child);
    onStart?.(pid, () => lastLineOf(tailOf(fd)));
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), timeLimitMs);
    });
    const first = await Promise.race([exit, limit]);
    clearTimeout(timer);
    const left = first === undefined && !(await endGroup(pid, DETACHED_GRACE_MS));
    const texts = { stdout: '', stderr: tailOf(fd) };
    if (first === undefined) return { kind: 'timed-out', left, ...texts };
    if (first.signal !== null) return { kind: 'killed', signal: first.signal, ...texts };
    return { kind: 'exited', exitCode: first.exitCode ?? -1, ...texts };
  } finally {
    closeSync(fd);
  }
}

const TAIL_BYTES = 4096;
let opened = 0;

/** Nothing of it is left when the last one who holds it ends. */
function openNameless(directory: string): number {
  const path = `${directory}/.output-${process.pid}-${opened++}`;
  const fd = openSync(path, 'wx+', 0o600);
  rmSync(path, { force: true });
  return fd;
}

function tailOf(fd: number): string {
  const { size } = fstatSync(fd);
  const buffer = Buffer.alloc(Math.min(size, TAIL_BYTES));
  const length = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
  return readableText(buffer.toString('utf8', 0, length));
}

const lastLineOf = (text: string): string => text.trimEnd().split('\n').at(-1)?.trim() ?? '';

/** Whether a process of the group that this one leads still runs. */
export const isGroupAlive = (leaderPid: number): boolean => groupRuns(leaderPid);

/** @returns a sentence if the program could not be started */
async function start<Child extends ChildProcess>(
  file: string,
  env: CommandOptions['env'],
  begin: (common: SpawnOptions) => Child,
): Promise<{ readonly child: Child; readonly pid: number } | string> {
  try {
    // The directory that we were started in may be gone by now. A session and process group of its
    // own, so that the whole of it can be ended.
    const child = begin({ env, cwd: '/', detached: true });
    const failure = new Promise((resolve) => child.once('error', resolve));
    const { pid } = child;
    return pid === undefined ? whyNotStarted(file, await failure, env) : { child, pid };
  } catch (error) {
    // What is refused before the system is asked, such as an argument with a zero byte in it.
    return whyNotStarted(file, error, env);
  }
}

function whyNotStarted(file: string, cause: unknown, env: CommandOptions['env']): string {
  if (errorCode(cause) === 'ENOENT') {
    // A name with a slash is not looked for in PATH: execvp(3). The same error comes of a script
    // whose interpreter is missing.
    if (file.includes('/')) {
      return existsSync(file) ? `the interpreter of ${file} is not there` : `${file} is not there`;
    }
    return `the program ${file} was not found in ${env['PATH'] ?? 'PATH, which is not set'}`;
  }
  return `the program ${file} could not be started: ${describeError(cause)}`;
}

interface Exit {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

function exitOf(child: Pick<ChildProcess, 'once'>): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
  });
}

interface Limit {
  readonly reached: Promise<EndedBy>;
  cancel(): void;
}

function startLimit({ timeLimitMs, stop, stopGraceMs, cancel: unwanted }: CommandOptions): Limit {
  const timers: NodeJS.Timeout[] = [];
  let cancelStop = (): void => {};
  const reached = new Promise<EndedBy>((resolve) => {
    timers.push(setTimeout(() => resolve('timed-out'), timeLimitMs));
    const onStop = (): void => {
      timers.push(setTimeout(() => resolve('stopped'), stopGraceMs));
    };
    const onCancel = (): void => resolve('cancelled');
    stop.addEventListener('abort', onStop, { once: true });
    unwanted?.addEventListener('abort', onCancel, { once: true });
    cancelStop = () => {
      stop.removeEventListener('abort', onStop);
      unwanted?.removeEventListener('abort', onCancel);
    };
    if (stop.aborted) onStop();
    if (unwanted?.aborted) onCancel();
  });
  const cancel = (): void => {
    cancelStop();
    for (const timer of timers) clearTimeout(timer);
  };
  return { reached, cancel };
}

/** Ends a process group, first gently. Returns whether all of it is gone. */
export async function endGroup(leaderPid: number, termGraceMs = TERM_GRACE_MS): Promise<boolean> {
  signalGroup(leaderPid, 'SIGTERM');
  if (await groupGone(leaderPid, termGraceMs)) return true;
  signalGroup(leaderPid, 'SIGKILL');
  return groupGone(leaderPid, KILL_GRACE_MS);
}

async function groupGone(leaderPid: number, waitMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < waitMs; waitedMs += POLL_MS) {
    if (!groupRuns(leaderPid)) return true;
    await delay(POLL_MS);
  }
  return !groupRuns(leaderPid);
}

/**
 * Whether a process of the group still runs. One that has ended and whose parent has not yet asked
 * for its exit code (a zombie) keeps the group in being for as long as the parent likes.
 */
function groupRuns(leaderPid: number): boolean {
  if (!signalGroup(leaderPid, 0)) return false;
  return readdirSync('/proc').some((name) => {
    const match = /^[0-9]+$/.test(name) ? STATE_AND_GROUP.exec(statOf(name)) : null;
    return match !== null && Number(match[2]) === leaderPid && !'ZX'.includes(match[1] ?? '');
  });
}

/** After the program's name, which may hold anything: state, parent, group. See proc(5). */
const STATE_AND_GROUP = /^.*\) ([A-Za-z]) [0-9]+ ([0-9]+) [^)]*$/s;

function statOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return '';
  }
}

/** Returns whether the group has a member. A negative id names a group: kill(2). */
function signalGroup(leaderPid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-leaderPid, signal);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Keeps the beginning of a stream and drops the rest, so that the program never waits for us. */
class BoundedOutput {
  readonly #stream: Readable;
  readonly #chunks: Buffer[] = [];
  readonly #closed: Promise<void>;

  constructor(stream: Readable, limitBytes: number) {
    this.#stream = stream;
    let room = limitBytes;
    stream.on('data', (chunk: Buffer) => {
      if (room === 0) return;
      // A copy of what is kept: the chunk itself may be a small part of a large buffer.
      this.#chunks.push(Buffer.from(chunk.subarray(0, room)));
      room -= Math.min(room, chunk.length);
    });
    this.#closed = new Promise((resolve) => {
      stream.once('close', resolve);
      stream.on('error', () => resolve());
    });
  }

  /** What came, as text. To be called once the program has ended. */
  async text(): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, OUTPUT_GRACE_MS);
    });
    await Promise.race([this.#closed, grace]);
    clearTimeout(timer);
    this.#stream.destroy();
    return readableText(Buffer.concat(this.#chunks).toString('utf8'));
  }
}

/** Escape sequences of terminals: colours, cursor movements, window titles. */
const TERMINAL_SEQUENCES = /\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\))/g;

/** No line is cut: the answer of an API is a single one, however many guests a node has. */
export function readableText(text: string): string {
  const lines = text.replace(TERMINAL_SEQUENCES, '').replace(/\r\n?/g, '\n').split('\n');
  return lines.map(visibleText).join('\n');
}
