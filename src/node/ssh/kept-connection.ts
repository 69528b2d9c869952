import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { missing, present, type Reading } from '../../core/reading.ts';
import { type Milliseconds, milliseconds } from '../../core/units.ts';
import { endGroup } from '../../os/command.ts';
import { describeError } from '../../os/os-error.ts';
import type { Clock } from '../port.ts';
import { whyNoConnection } from './failure-words.ts';
import { type FarRecord, FrameBuffer, frameOf, parseAnswer } from './frames.ts';

/**
 * One `ssh` that is started when it is first needed and kept, with the far reader at its other end.
 * An answer counts only as a whole. What comes too late, or in another form, ends the connection;
 * a new one is tried after a pause that grows.
 */

/** How `ssh` is started. */
export interface SshStart {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface ConnectionOptions {
  readonly start: SshStart;
  readonly clock: Clock;
  /** From 0 to below 1: nodes that were away together do not come back together. */
  readonly random: () => number;
}

const CONNECT_LIMIT_MS = 20_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
const MOST_STDERR = 4096;

interface Pending {
  readonly settle: (answer: Reading<readonly FarRecord[]>) => void;
  readonly sentAtMs: Milliseconds;
}

export class KeptConnection {
  readonly #options: ConnectionOptions;
  #line: Line | undefined;
  #pauseMs = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #why = '';
  #isClosed = false;
  /** From the far node's monotonic clock to ours; undefined: not known yet. */
  #offsetMs: number | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Asks once. Nothing is repeated: a request that was not answered may have had its effect. */
  async request(
    letter: string,
    texts: readonly string[],
    limitMs: number,
  ): Promise<Reading<readonly FarRecord[]>> {
    const line = this.#connected();
    if (typeof line === 'string') return missing('unreadable', line);
    const answer = await line.ask(letter, texts, limitMs);
    if (answer.ok) this.#pauseMs = 0;
    return answer;
  }

  /** Says something that is not answered. */
  tell(letter: string): void {
    this.#line?.tell(letter);
  }

  /** A time of the far node's monotonic clock, as one of ours. */
  toOwnMs(uptimeS: number): Milliseconds {
    return milliseconds(uptimeS * 1000 + (this.#offsetMs ?? 0));
  }

  close(): void {
    this.#isClosed = true;
    this.#line?.end('it was closed');
  }

  #connected(): Line | string {
    if (this.#isClosed) return 'the connection was closed';
    if (this.#line !== undefined) return this.#line;
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#notBeforeMs) return this.#why;
    this.#line = new Line(this.#options, {
      ended: (why) => this.#lost(why),
      answered: (records, sentAtMs) => this.#setClock(records, sentAtMs),
    });
    return this.#line;
  }

  #lost(why: string): void {
    this.#line = undefined;
    this.#offsetMs = undefined;
    this.#why = why;
    const { clock, random } = this.#options;
    this.#pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2), LONGEST_PAUSE_MS);
    this.#notBeforeMs = clock.monotonicMs() + this.#pauseMs * (0.5 + random() / 2);
  }

  /**
   * What was seen was seen between the question and its answer. The two clocks are moved against
   * each other only as far as that demands, so that a rate is one of the far clock alone.
   */
  #setClock(records: readonly FarRecord[], sentAtMs: Milliseconds): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const record of records) {
      if (record.kind !== 'directory') continue;
      const seenMs = record.uptimeS * 1000;
      const offsetMs = this.#offsetMs ?? nowMs - seenMs;
      this.#offsetMs = Math.min(Math.max(offsetMs, sentAtMs - seenMs), nowMs - seenMs);
    }
  }
}

interface LineEvents {
  ended(why: string): void;
  answered(records: readonly FarRecord[], sentAtMs: Milliseconds): void;
}

/** One process, from its start to its end. */
class Line {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #events: LineEvents;
  readonly #clock: Clock;
  readonly #frames = new FrameBuffer();
  readonly #pending = new Map<number, Pending>();
  readonly #hello: NodeJS.Timeout;
  #lastId = 0;
  #hasBegun = false;
  #isOver = false;
  #stderr = '';

  constructor({ start, clock }: ConnectionOptions, events: LineEvents) {
    this.#events = events;
    this.#clock = clock;
    const { file, args, env } = start;
    this.#child = spawn(file, args, { env, cwd: '/', detached: true });
    const { stdin, stdout, stderr } = this.#child;
    stdin.on('error', () => {});
    stdout.on('error', () => {});
    stdout.on('data', (chunk: Buffer) => this.#hear(chunk));
    stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('latin1')).slice(-MOST_STDERR);
    });
    this.#child.on('error', (error) => this.end(`ssh: ${describeError(error)}`));
    this.#child.on('close', () => this.end(whyNoConnection(this.#stderr)));
    const limitS = CONNECT_LIMIT_MS / 1000;
    this.#hello = setTimeout(
      () => this.end(`the connection did not come about within ${limitS} s`),
      CONNECT_LIMIT_MS,
    );
  }

  ask(
    letter: string,
    texts: readonly string[],
    limitMs: number,
  ): Promise<Reading<readonly FarRecord[]>> {
    return new Promise((resolve) => {
      const id = ++this.#lastId;
      const tooLate = (): void => this.end(`it has not answered within ${limitMs / 1000} s`);
      const timer = setTimeout(tooLate, this.#hasBegun ? limitMs : limitMs + CONNECT_LIMIT_MS);
      this.#pending.set(id, {
        sentAtMs: this.#clock.monotonicMs(),
        settle: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
      });
      this.#child.stdin.write(frameOf(id, letter, texts));
    });
  }

  tell(letter: string): void {
    this.#child.stdin.write(frameOf(0, letter, []));
  }

  /** Ends the process, and tells all who wait. */
  end(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#hello);
    const { pid } = this.#child;
    this.#child.stdin.end();
    this.#child.stdout.destroy();
    if (pid !== undefined && this.#child.exitCode === null) void endGroup(pid);
    this.#events.ended(why);
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { settle } of waiting) settle(missing('unreadable', why));
  }

  #hear(chunk: Buffer): void {
    this.#frames.add(chunk);
    while (!this.#isOver) {
      const frame = this.#frames.next();
      if (frame === undefined) return;
      if (frame === false || !this.#take(frame)) this.end(NOT_OURS);
    }
  }

  /** Whether it is an answer to something that was asked. */
  #take(frame: Buffer): boolean {
    const answer = parseAnswer(frame);
    if (answer === undefined) return false;
    if (!this.#hasBegun) {
      this.#hasBegun = answer.id === 0;
      clearTimeout(this.#hello);
      return this.#hasBegun;
    }
    const pending = this.#pending.get(answer.id);
    if (pending === undefined) return false;
    this.#pending.delete(answer.id);
    this.#events.answered(answer.records, pending.sentAtMs);
    pending.settle(present(answer.records));
    return true;
  }
}

const NOT_OURS =
  'what comes over the connection is no answer. Its login shell must print nothing when no ' +
  'terminal is there (look at .bashrc and .profile)';
