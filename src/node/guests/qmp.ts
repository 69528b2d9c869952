import { type Missing, missing } from '../../core/reading.ts';
import type { Milliseconds, Vmid } from '../../core/units.ts';
import { parseJsonObject } from '../../os/json-object.ts';

/**
 * QEMU's monitor (QMP): what is said to it, and what comes back, in lines. Source: QEMU,
 * docs/interop/qmp-spec.
 */

/** A command, as QMP takes it. */
export interface Question {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, string>>;
}

/** What was answered, in the order of the questions: `return`, or the words of an error. */
export type QmpAnswer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string };

/** What came of an attempt to speak with a monitor. */
export type Spoken =
  | {
      readonly kind: 'said';
      readonly answers: readonly QmpAnswer[];
      /** By the wall clock of the host that QEMU runs on, as QEMU itself tells times. */
      readonly wallMs: Milliseconds;
    }
  /** It was asked, and has not answered. */
  | { readonly kind: 'silent'; readonly why: Missing }
  /** It was left alone, and that is not its fault. */
  | { readonly kind: 'not-asked'; readonly why: Missing };

/** How the monitors of a node are reached. */
export interface MonitorAccess {
  /** How long a look waits for those that answer. */
  readonly waitMs: Milliseconds;
  /** For monitors that are asked at once. Never rejects. */
  round(): (vmid: Vmid) => Promise<Spoken>;
}

export const LOCKED = missing(
  'unreadable',
  'another operation holds the lock of its configuration',
);

/** An answer is some hundred bytes; one of many CPUs some ten thousand. */
export const LONGEST_BYTES = 1024 * 1024;
const NEGOTIATE: Question = { execute: 'qmp_capabilities' };

/** All questions at once, to be said after the greeting. */
export const questionLines = (questions: readonly Question[]): string =>
  [NEGOTIATE, ...questions].map((one) => `${JSON.stringify(one)}\n`).join('');

/** How many answers `questionLines` get. */
export const answersTo = (questions: readonly Question[]): number => questions.length + 1;

/** Takes what a monitor says, in pieces. Events, which nobody asked for, are passed over. */
export class Conversation {
  readonly #path: string;
  readonly #list: QmpAnswer[] = [];
  readonly #expected: number;
  #text = '';
  #hasGreeted = false;
  #isNew = false;

  /** @param path of the socket, for people */
  constructor(path: string, questions: readonly Question[]) {
    this.#path = path;
    this.#expected = answersTo(questions);
  }

  /** The answers, once all are there. */
  get answers(): readonly QmpAnswer[] | undefined {
    return this.#list.length < this.#expected ? undefined : this.#list.slice(1);
  }

  /** True once: the greeting has come, and questions may be asked. */
  get greets(): boolean {
    const isNew = this.#isNew;
    this.#isNew = false;
    return isNew;
  }

  /** Returns what is wrong with it. */
  take(chunk: Buffer): Missing | undefined {
    this.#text += chunk.toString('latin1');
    if (this.#text.length > LONGEST_BYTES) return this.endless();
    for (let end = this.#text.indexOf('\n'); end >= 0; end = this.#text.indexOf('\n')) {
      const line = this.#text.slice(0, end).trim();
      this.#text = this.#text.slice(end + 1);
      const problem = line === '' ? undefined : this.#takeLine(line);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  endless = (): Missing => this.#wrong('it does not end');

  /** Nothing has come any more. */
  late(limitMs: Milliseconds): Missing {
    const what = this.#hasGreeted ? 'no answer' : 'no greeting';
    return missing('unreadable', `${this.#path}: ${what} within ${limitMs} ms`);
  }

  ended = (): Missing => missing('unreadable', `${this.#path}: QEMU hung up`);

  #wrong = (what: string): Missing => missing('malformed', `${this.#path}: ${what}`);

  #takeLine(line: string): Missing | undefined {
    const message = parseJsonObject(line);
    if (message === undefined) return this.#wrong('it does not speak QMP');
    if ('event' in message) return undefined;
    if (!this.#hasGreeted) {
      if (!('QMP' in message)) return this.#wrong('it does not greet as QMP does');
      this.#hasGreeted = true;
      this.#isNew = true;
      return undefined;
    }
    if ('return' in message) this.#list.push({ ok: true, value: message['return'] });
    else if ('error' in message) this.#list.push({ ok: false, message: wordsOf(message['error']) });
    else return this.#wrong('it answers in another form than QMP does');
    return undefined;
  }
}

function wordsOf(error: unknown): string {
  const text = typeof error === 'object' && error !== null && 'desc' in error ? error.desc : '';
  return typeof text === 'string' ? text.slice(0, 200) : '';
}
