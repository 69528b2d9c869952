import { type ChildProcess, spawn } from 'node:child_process';
import { missing, present, type Reading } from '../../core/reading.ts';
import { type Milliseconds, milliseconds } from '../../core/units.ts';
import { endGroup } from '../../os/command.ts';
import { describeError } from '../../os/os-error.ts';
import type { Clock } from '../port.ts';
import { whyNoConnection } from './failure-words.ts';
import {
  type FarRecord,
  FrameBuffer,
  frameOf,
  MOST_FRAME_BYTES,
  MOST_GREETING_BYTES,
  parseAnswer,
} from './frames.ts';

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

/** One process of `ssh`, for who asks whether it is still the same. */
export type LineMark = object;

/** `line`: what the question went over; undefined: it was never sent, and nothing came of it. */
export type Asked = Reading<readonly FarRecord[]> & { readonly line: LineMark | undefined };

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

  /**
   * Asks once. Nothing is repeated: a request that was not answered may have had its effect.
   *
   * @param only it is sent over this line or not at all
   */
  async request(
    letter: string,
    texts: readonly string[],
    limitMs: number,
    only?: LineMark,
  ): Promise<Asked> {
    const line = only === undefined || only === this.#line ? this.#connected() : GONE;
    if (typeof line === 'string') return { ...missing('unreadable', line), line: undefined };
    const answer = await line.ask(letter, texts, limitMs);
    if (answer.ok) this.#pauseMs = 0;
    return { ...answer, line: line.hasBegun ? line : undefined };
  }

  /** Says something that is not answered. */
  post(letter: string): void {
    this.#line?.post(letter);
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
    try {
      this.#line = new Line(this.#options, {
        ended: (why) => this.#lost(why),
        answered: (records, sentAtMs) => this.#withOwnTimes(records, sentAtMs),
      });
      return this.#line;
    } catch (error) {
      // There is not even memory for a process.
      this.#lost(`ssh: ${describeError(error)}`);
      return this.#why;
    }
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
   * The records with times of our clock. What was seen was seen between question and answer. The
   * two clocks are moved against each other only as far as that demands, so that a rate is one of
   * the far clock alone.
   */
  #withOwnTimes(records: readonly FarRecord[], sentAtMs: Milliseconds): readonly FarRecord[] {
    const nowMs = this.#options.clock.monotonicMs();
    for (const record of records) {
      if (record.kind !== 'directory') continue;
      const { seenAtMs } = record;
      const offsetMs = this.#offsetMs ?? nowMs - seenAtMs;
      this.#offsetMs = Math.min(Math.max(offsetMs, sentAtMs - seenAtMs), nowMs - seenAtMs);
    }
    const offsetMs = this.#offsetMs ?? 0;
    return records.map((record) =>
      record.kind === 'directory'
        ? { ...record, seenAtMs: milliseconds(record.seenAtMs + offsetMs) }
        : record,
    );
  }
}

/** `only` is a line that something is held down over. */
const GONE = 'what held its growth back is gone, since the connection to the node has ended';

interface LineEvents {
  ended(why: string): void;
  /** Returns what is to be handed on. */
  answered(records: readonly FarRecord[], sentAtMs: Milliseconds): readonly FarRecord[];
}

/** One process, from its start to its end. Nothing is sent before the far side has greeted. */
class Line {
  /** Without streams, if there was no descriptor left for them. */
  readonly #child: ChildProcess;
  readonly #events: LineEvents;
  readonly #clock: Clock;
  readonly #frames = new FrameBuffer();
  readonly #pending = new Map<number, Pending>();
  readonly #unsent: Buffer[] = [];
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
    this.#child.on('error', (error) => this.end(`ssh: ${describeError(error)}`));
    this.#child.on('close', () => this.end(whyNoConnection(this.#stderr)));
    if (this.#child.pid !== undefined) this.#listen();
    const limitS = CONNECT_LIMIT_MS / 1000;
    this.#hello = setTimeout(
      () => this.end(`the connection did not come about within ${limitS} s`),
      CONNECT_LIMIT_MS,
    );
  }

  /** Whether anything can have been sent. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  ask(
    letter: string,
    texts: readonly string[],
    limitMs: number,
  ): Promise<Reading<readonly FarRecord[]>> {
    const id = ++this.#lastId;
    const frame = frameOf(id, letter, texts);
    return new Promise((resolve) => {
      const tooLate = (): void => this.end(`it has not answered within ${limitMs / 1000} s`);
      const timer = setTimeout(tooLate, this.#hasBegun ? limitMs : limitMs + CONNECT_LIMIT_MS);
      this.#pending.set(id, {
        sentAtMs: this.#clock.monotonicMs(),
        settle: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
      });
      this.#send(frame);
    });
  }

  post(letter: string): void {
    this.#send(frameOf(0, letter, []));
  }

  /** Ends the process, and tells all who wait. */
  end(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#hello);
    const { pid, stdin, stdout, exitCode, signalCode } = this.#child;
    stdin?.end();
    stdout?.destroy();
    if (pid !== undefined && exitCode === null && signalCode === null) void endGroup(pid);
    this.#events.ended(why);
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { settle } of waiting) settle(missing('unreadable', why));
  }

  #listen(): void {
    const { stdin, stdout, stderr } = this.#child;
    stdin?.on('error', () => {});
    stdout?.on('error', () => {});
    stdout?.on('data', (chunk: Buffer) => this.#hear(chunk));
    stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('latin1')).slice(-MOST_STDERR);
    });
  }

  #send(frame: Buffer): void {
    if (this.#hasBegun) this.#child.stdin?.write(frame);
    else this.#unsent.push(frame);
  }

  #hear(chunk: Buffer): void {
    this.#frames.add(chunk);
    while (!this.#isOver) {
      const frame = this.#frames.next(this.#hasBegun ? MOST_FRAME_BYTES : MOST_GREETING_BYTES);
      if (frame === undefined) return;
      if (frame === false || !this.#take(frame)) this.end(NOT_OURS);
    }
  }

  /** Whether it is an answer to something that was asked. */
  #take(frame: Buffer): boolean {
    const answer = parseAnswer(frame);
    if (answer === undefined) return false;
    if (!this.#hasBegun) return answer.id === 0 && this.#begin();
    const pending = this.#pending.get(answer.id);
    if (pending === undefined) return false;
    this.#pending.delete(answer.id);
    pending.settle(present(this.#events.answered(answer.records, pending.sentAtMs)));
    return true;
  }

  #begin(): true {
    this.#hasBegun = true;
    clearTimeout(this.#hello);
    for (const frame of this.#unsent.splice(0)) this.#send(frame);
    return true;
  }
}

const NOT_OURS =
  'what comes over the connection is no answer. Its login shell must print nothing when no ' +
  'terminal is there (look at .bashrc and .profile)';
