import { connect } from 'node:net';
import { type Missing, missing, present, type Reading } from '../../../core/reading.ts';
import type { Milliseconds } from '../../../core/units.ts';
import { parseJsonObject } from '../../../os/json-object.ts';
import { missingBecause } from '../../../os/os-error.ts';

/**
 * One short conversation with QEMU by its monitor (QMP). Only one client is served at a time, and
 * Proxmox VE's own tools wait for the same place: so it connects, asks all at once, and hangs up.
 * Source: QEMU, docs/interop/qmp-spec.
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

/** An answer is some hundred bytes; one of many CPUs some ten thousand. */
const LONGEST_BYTES = 1024 * 1024;
const NEGOTIATE: Question = { execute: 'qmp_capabilities' };

/**
 * Missing if nobody serves the socket, or not within the time: another client may have it, or QEMU
 * hangs. What comes that is no answer to a question (events) is passed over.
 *
 * @param path of the socket
 */
export function askQmp(
  path: string,
  questions: readonly Question[],
  timeLimitMs: Milliseconds,
): Promise<Reading<readonly QmpAnswer[]>> {
  return new Promise((resolve) => {
    const answers = new Answers(questions.length + 1);
    const socket = connect(path);
    const end = (result: Reading<readonly QmpAnswer[]>): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => {
      end(missing('unreadable', `${path}: ${answers.silence} within ${timeLimitMs} ms`));
    }, timeLimitMs);
    socket.on('error', (error) => end(missingBecause(error, path)));
    socket.on('close', () => end(missing('unreadable', `${path}: QEMU hung up`)));
    socket.on('data', (chunk: Buffer) => {
      const wrong = answers.take(chunk);
      if (wrong !== undefined) end({ ...wrong, detail: `${path}: ${wrong.detail}` });
      else if (answers.greets) {
        const lines = [NEGOTIATE, ...questions].map((one) => `${JSON.stringify(one)}\n`);
        socket.write(lines.join(''));
      } else if (answers.isWhole) end(present(answers.list.slice(1)));
    });
  });
}

class Answers {
  readonly list: QmpAnswer[] = [];
  readonly #expected: number;
  #text = '';
  #hasGreeted = false;
  #isNew = false;

  constructor(expected: number) {
    this.#expected = expected;
  }

  get isWhole(): boolean {
    return this.list.length >= this.#expected;
  }

  /** True once: the greeting has come, and questions may be asked. */
  get greets(): boolean {
    const isNew = this.#isNew;
    this.#isNew = false;
    return isNew;
  }

  get silence(): string {
    return this.#hasGreeted ? 'no answer' : 'no greeting';
  }

  /** Returns what is wrong with it. */
  take(chunk: Buffer): Missing | undefined {
    this.#text += chunk.toString('latin1');
    if (this.#text.length > LONGEST_BYTES) return missing('malformed', 'it does not end');
    for (let end = this.#text.indexOf('\n'); end >= 0; end = this.#text.indexOf('\n')) {
      const line = this.#text.slice(0, end).trim();
      this.#text = this.#text.slice(end + 1);
      const problem = line === '' ? undefined : this.#takeLine(line);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #takeLine(line: string): Missing | undefined {
    const message = parseJsonObject(line);
    if (message === undefined) return missing('malformed', 'it does not speak QMP');
    if ('event' in message) return undefined;
    if (!this.#hasGreeted) {
      if (!('QMP' in message)) return missing('malformed', 'it does not greet as QMP does');
      this.#hasGreeted = true;
      this.#isNew = true;
      return undefined;
    }
    if ('return' in message) this.list.push({ ok: true, value: message['return'] });
    else if ('error' in message) this.list.push({ ok: false, message: wordsOf(message['error']) });
    else return missing('malformed', 'it answers in another form than QMP does');
    return undefined;
  }
}

function wordsOf(error: unknown): string {
  const text = typeof error === 'object' && error !== null && 'desc' in error ? error.desc : '';
  return typeof text === 'string' ? text.slice(0, 200) : '';
}
