import { closeSync, openSync, readSync } from 'node:fs';

/** One line of the JSON log, as far as the demo shows it. */
export interface JournalLine {
  readonly timestamp: string;
  readonly container_id: string;
  readonly action: string;
  readonly change: string;
  readonly event?: string;
  readonly resource?: string;
  readonly direction?: string;
  readonly by?: string;
  readonly name?: string;
  readonly status?: string;
  readonly before?: number;
  readonly after?: number;
  readonly reason?: string;
  readonly rule?: string;
}

const CHUNK_BYTES = 64 * 1024;

/** Follows the JSON log of the daemon, as `tail -f` would. */
export class JournalTail {
  readonly all: JournalLine[] = [];
  readonly #path: string;
  #offset = 0;
  #rest = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** The lines that have come since the last call. */
  news(): readonly JournalLine[] {
    const lines = (this.#rest + this.#read()).split('\n');
    this.#rest = lines.pop() ?? '';
    const events = lines.map((line) => JSON.parse(line) as JournalLine);
    this.all.push(...events);
    return events;
  }

  #read(): string {
    let file: number;
    try {
      file = openSync(this.#path, 'r');
    } catch {
      return '';
    }
    const buffer = Buffer.alloc(CHUNK_BYTES);
    const parts: Buffer[] = [];
    for (;;) {
      const length = readSync(file, buffer, 0, CHUNK_BYTES, this.#offset);
      if (length === 0) break;
      this.#offset += length;
      parts.push(Buffer.from(buffer.subarray(0, length)));
    }
    closeSync(file);
    return Buffer.concat(parts).toString('utf8');
  }
}
