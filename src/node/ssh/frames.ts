import { getSystemErrorName } from 'node:util';
import { type Milliseconds, milliseconds } from '../../core/units.ts';

/** The form in which the far reader is asked and answers: see `far-reader.ts`. */

export type FarRecord =
  | { readonly kind: 'file'; readonly path: string; readonly bytes: Buffer }
  /** `code` as the system has it, e.g. `ENOENT`. */
  | { readonly kind: 'error'; readonly path: string; readonly code: string }
  | {
      readonly kind: 'directory';
      readonly path: string;
      readonly ino: number;
      readonly mtimeS: number;
      /** When it was looked at: by the far node's monotonic clock until it is handed on by ours. */
      readonly seenAtMs: Milliseconds;
      /** undefined: it was not listed. */
      readonly names: ReadonlySet<string> | undefined;
    }
  /** undefined: it was written. */
  | { readonly kind: 'written'; readonly code: string | undefined }
  | { readonly kind: 'not-started'; readonly code: string }
  /** What a monitor has said, all of it, and how the conversation has ended. */
  | {
      readonly kind: 'told';
      readonly path: string;
      readonly how: string;
      /** undefined: nothing has failed. */
      readonly code: string | undefined;
      /** By the far node's wall clock. */
      readonly wallMs: Milliseconds;
      readonly bytes: Buffer;
    }
  | {
      readonly kind: 'ended';
      readonly how: string;
      /** The exit code, the signal, or whether something of it is left. */
      readonly number: number;
      readonly stdout: Buffer;
      readonly stderr: Buffer;
    };

export interface FarAnswer {
  /** The number of the request; 0: it has begun. */
  readonly id: number;
  readonly records: readonly FarRecord[];
}

/** No node has so much to say: a cgroup has 5 KB, and there are 10,000 at most. */
export const MOST_FRAME_BYTES = 64 * 1024 * 1024;
/** Before anything was asked. */
export const MOST_GREETING_BYTES = 4096;
/** 10,000 guests have 17 each, with their configurations. */
export const MOST_RECORDS = 250_000;
/** Of all directories of one answer. */
export const MOST_NAMES_BYTES = 1024 * 1024;
/** If more pieces than this have come, they are joined into one. */
const MOST_CHUNKS = 1024;
const HEAD_BYTES = 4;

/** A request as it goes over the wire. Throws if a text has a NUL, which ends a text there. */
export function frameOf(id: number, letter: string, texts: readonly string[]): Buffer {
  if (texts.some((text) => text.includes('\0'))) throw new Error('a text with a NUL in it');
  const body = Buffer.from(`${id}${letter}${texts.join('\0')}`, 'utf8');
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

/** Puts frames together from what comes in pieces. */
export class FrameBuffer {
  #chunks: Buffer[] = [];
  #length = 0;

  add(chunk: Buffer): void {
    this.#length += chunk.length;
    if (this.#chunks.push(chunk) > MOST_CHUNKS) this.#join();
  }

  /** The next frame that is whole; undefined: there is none yet. False: these are no frames. */
  next(mostBytes = MOST_FRAME_BYTES): Buffer | undefined | false {
    if (this.#length < HEAD_BYTES) return undefined;
    const first = this.#chunks[0];
    if (first === undefined || first.length < HEAD_BYTES) this.#join();
    const length = this.#chunks[0]?.readUInt32BE(0) ?? 0;
    if (length > mostBytes) return false;
    const end = HEAD_BYTES + length;
    if (this.#length < end) return undefined;
    const all = this.#join();
    this.#chunks = [all.subarray(end)];
    this.#length -= end;
    return all.subarray(HEAD_BYTES, end);
  }

  #join(): Buffer {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}

/** undefined: it is not in the form, so that nothing of it counts. */
export function parseAnswer(frame: Buffer): FarAnswer | undefined {
  const id = /^(0|[1-9][0-9]{0,14})(?=[A-Z])/.exec(frame.toString('latin1', 0, 16))?.[1];
  if (id === undefined) return undefined;
  const records: FarRecord[] = [];
  let namesBytes = 0;
  let at = id.length;
  if (frame.length === at + 1 && frame[at] === HELLO) return { id: Number(id), records };
  while (at < frame.length) {
    const letter = String.fromCharCode(frame[at] ?? 0);
    const texts = textsAt(frame, at + 1, TEXTS[letter] ?? 0);
    if (letter === 'D') namesBytes += texts?.texts.at(-1)?.length ?? 0;
    if (namesBytes > MOST_NAMES_BYTES || records.length === MOST_RECORDS) return undefined;
    const record = texts && recordOf(letter, texts.texts);
    if (texts === undefined || record === undefined) return undefined;
    records.push(record);
    at = texts.end;
  }
  return { id: Number(id), records };
}

const HELLO = 'H'.charCodeAt(0);
/** How many texts a record has. */
const TEXTS: Readonly<Record<string, number>> = { F: 2, E: 2, D: 5, G: 4, W: 1, N: 1, Z: 4, S: 5 };

function textsAt(frame: Buffer, start: number, count: number) {
  const texts: Buffer[] = [];
  let end = start;
  for (let index = 0; index < count; index++) {
    if (end + HEAD_BYTES > frame.length) return undefined;
    const from = end + HEAD_BYTES;
    end = from + frame.readUInt32BE(end);
    if (end > frame.length) return undefined;
    texts.push(frame.subarray(from, end));
  }
  return { texts, end };
}

function recordOf(letter: string, texts: readonly Buffer[]): FarRecord | undefined {
  const [first = EMPTY, second = EMPTY, ...others] = texts;
  switch (letter) {
    case 'F':
      return { kind: 'file', path: first.toString('utf8'), bytes: second };
    case 'E':
      return withCode(second, (code) => ({ kind: 'error', path: first.toString('utf8'), code }));
    case 'D':
    case 'G':
      return directoryOf(first, second, others);
    case 'W':
      return first.equals(ZERO)
        ? { kind: 'written', code: undefined }
        : withCode(first, (code) => ({ kind: 'written', code }));
    case 'S':
      return toldOf(first, second, others);
    case 'N':
      return withCode(first, (code) => ({ kind: 'not-started', code }));
    case 'Z': {
      const number = numberOf(second);
      const [stdout = EMPTY, stderr = EMPTY] = others;
      if (number === undefined) return undefined;
      return { kind: 'ended', how: first.toString('latin1'), number, stdout, stderr };
    }
    default:
      return undefined;
  }
}

const EMPTY = Buffer.alloc(0);
const ZERO = Buffer.from('0');

function directoryOf(
  path: Buffer,
  inode: Buffer,
  [mtime = EMPTY, uptime = EMPTY, names]: readonly Buffer[],
): FarRecord | undefined {
  const [ino, mtimeS, uptimeS] = [numberOf(inode), numberOf(mtime), numberOf(uptime)];
  if (ino === undefined || mtimeS === undefined || uptimeS === undefined) return undefined;
  return {
    kind: 'directory',
    path: path.toString('utf8'),
    ino,
    mtimeS,
    seenAtMs: milliseconds(uptimeS * 1000),
    names: names && new Set(names.length === 0 ? [] : names.toString('utf8').split('\0')),
  };
}

function toldOf(
  path: Buffer,
  how: Buffer,
  [error = EMPTY, wall = EMPTY, bytes = EMPTY]: readonly Buffer[],
): FarRecord | undefined {
  const wallS = numberOf(wall);
  const code = codeOf(error);
  if (wallS === undefined || (code === undefined && !error.equals(ZERO))) return undefined;
  return {
    kind: 'told',
    path: path.toString('utf8'),
    how: how.toString('latin1'),
    code,
    bytes,
    wallMs: milliseconds(wallS * 1000),
  };
}

function withCode(text: Buffer, make: (code: string) => FarRecord): FarRecord | undefined {
  const code = codeOf(text);
  return code === undefined ? undefined : make(code);
}

/** The numbers of errors are the same on all machines with Linux that Proxmox VE runs on. */
function codeOf(text: Buffer): string | undefined {
  const errno = numberOf(text);
  return errno === undefined || errno < 1 || errno > 4095 ? undefined : getSystemErrorName(-errno);
}

function numberOf(text: Buffer): number | undefined {
  const digits = text.toString('latin1');
  return /^[0-9]{1,20}(\.[0-9]{1,9})?$/.test(digits) ? Number(digits) : undefined;
}
