import { missing, present, type Reading } from '../../core/reading.ts';
import type { Vmid } from '../../core/units.ts';
import { type CommandOptions, type CommandResult, readableText } from '../../os/command.ts';
import type { KernelFiles } from '../../os/kernel-files.ts';
import { describeError, failed, missingBecause } from '../../os/os-error.ts';
import type { FarRecord } from './frames.ts';
import type { KeptConnection, LineMark } from './kept-connection.ts';

/**
 * What changes a far node. Each guest that is changed has a connection of its own for as long as
 * that takes: no guest waits for another one, and none waits for a look. If the connection ends,
 * the far side ends the command in hand and puts back what is held down.
 */

const WRITE_LIMIT_MS = 30_000;
/** What an answer may take beyond the time that the far side gives the command. */
const ANSWER_MS = 10_000;
/** The far side takes three times as long a silence for the end. */
const ALIVE_EVERY_MS = 5_000;
/** A change has no longer pause in it; what is held down then is put back. */
const IDLE_MS = 60_000;

export class FarHands {
  readonly #connect: () => KeptConnection;
  readonly #open = new Map<Vmid, InUse>();
  /** The lines over which something is held down. The far side puts it back when its line ends. */
  readonly #held = new Map<Vmid, LineMark>();

  constructor(connect: () => KeptConnection) {
    this.#connect = connect;
  }

  /**
   * As `runCommand` of this host: its arguments go as they are, and through no shell. With `cancel`
   * it lowers what is held down, which must be in force still: it goes over the same line or not.
   */
  readonly runOf =
    (vmid: Vmid) =>
    (file: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> =>
      this.#with(vmid, (connection) => {
        const heldBy = options.cancel && this.#held.get(vmid);
        return run(connection, file, args, options, heldBy);
      });

  /** @param vmidOf whose a path is */
  kernelFiles(vmidOf: (path: string) => Vmid): KernelFiles {
    const see = (path: string, item: string): Promise<Reading<FarRecord>> =>
      this.#with(vmidOf(path), async (connection) => {
        const answer = await connection.request('L', [item + path], WRITE_LIMIT_MS);
        if (!answer.ok) return answer;
        const record = answer.value.find((one) => 'path' in one && one.path === path);
        return record ? present(record) : missing('malformed', `${path}: no answer to it`);
      });
    return {
      async read(path) {
        const seen = await see(path, 'f');
        if (!seen.ok) return seen;
        return seen.value.kind === 'file'
          ? present(seen.value.bytes)
          : whyMissing(seen.value, path);
      },
      async inode(path) {
        const seen = await see(path, 'g');
        if (!seen.ok) return seen;
        const { value } = seen;
        return value.kind === 'directory' ? present(value.ino) : whyMissing(value, path);
      },
      write: (path, text, put, restore = '') =>
        this.#with(vmidOf(path), async (connection) => {
          const how = put === 'behind' ? 'a' : 'w';
          const answer = await connection.request('W', [path, how, text, restore], WRITE_LIMIT_MS);
          if (!answer.ok) throw new Error(answer.detail);
          const written = answer.value[0];
          if (written?.kind !== 'written') throw new Error('no answer to it');
          if (written.code !== undefined) throw failed(written.code);
          const { line } = answer;
          if (restore !== '' && line !== undefined) this.#held.set(vmidOf(path), line);
        }),
      letGo: (path) => {
        this.#held.delete(vmidOf(path));
      },
    };
  }

  close(): void {
    for (const vmid of [...this.#open.keys()]) this.#end(vmid);
  }

  async #with<T>(vmid: Vmid, work: (connection: KeptConnection) => Promise<T>): Promise<T> {
    const inUse = this.#open.get(vmid) ?? this.#begin(vmid);
    clearTimeout(inUse.idle);
    inUse.count += 1;
    try {
      return await work(inUse.connection);
    } finally {
      inUse.count -= 1;
      if (inUse.count === 0) inUse.idle = setTimeout(() => this.#end(vmid), IDLE_MS).unref();
    }
  }

  #begin(vmid: Vmid): InUse {
    const connection = this.#connect();
    const alive = setInterval(() => connection.post('K'), ALIVE_EVERY_MS).unref();
    const inUse: InUse = { connection, alive, count: 0, idle: undefined };
    this.#open.set(vmid, inUse);
    return inUse;
  }

  #end(vmid: Vmid): void {
    const inUse = this.#open.get(vmid);
    if (inUse === undefined) return;
    this.#open.delete(vmid);
    clearTimeout(inUse.idle);
    clearInterval(inUse.alive);
    inUse.connection.close();
  }
}

interface InUse {
  readonly connection: KeptConnection;
  readonly alive: NodeJS.Timeout;
  count: number;
  idle: NodeJS.Timeout | undefined;
}

function whyMissing(record: FarRecord, path: string) {
  if (record.kind !== 'error') return missing('malformed', `${path}: of another kind`);
  return missingBecause(failed(record.code), path);
}

/** Its environment is that of the far reader, which hands on nothing of ours. */
async function run(
  connection: KeptConnection,
  file: string,
  args: readonly string[],
  options: CommandOptions,
  heldBy: LineMark | undefined,
): Promise<CommandResult> {
  const { timeLimitMs, stop, stopGraceMs, cancel, outputLimitBytes } = options;
  const notStarted = (why: string): CommandResult => {
    return { kind: 'not-started', message: `${file} was not started: ${why}` };
  };
  if (stop.aborted) return notStarted('the daemon is stopping');
  if (cancel?.aborted) return notStarted('it is not wanted any more');
  let endedBy: 'stopped' | 'cancelled' = 'cancelled';
  let grace: NodeJS.Timeout | undefined;
  const end = (): void => connection.post('C');
  const onStop = (): void => {
    grace = setTimeout(() => {
      endedBy = 'stopped';
      end();
    }, stopGraceMs);
  };
  stop.addEventListener('abort', onStop, { once: true });
  cancel?.addEventListener('abort', end, { once: true });
  try {
    const texts = [String(Math.ceil(timeLimitMs / 1000)), file, ...args];
    const answer = await connection.request('X', texts, timeLimitMs + ANSWER_MS, heldBy);
    if (answer.ok) return resultOf(answer.value[0], file, endedBy, outputLimitBytes);
    if (answer.line === undefined) return notStarted(answer.detail);
    const why = `was under way when the connection to the node ended: ${answer.detail}`;
    return { kind: 'killed', signal: 'SIGHUP', why, isUnseen: true, stdout: '', stderr: '' };
  } finally {
    clearTimeout(grace);
    stop.removeEventListener('abort', onStop);
    cancel?.removeEventListener('abort', end);
  }
}

function resultOf(
  record: FarRecord | undefined,
  file: string,
  endedBy: 'stopped' | 'cancelled',
  outputLimitBytes: number,
): CommandResult {
  if (record?.kind === 'not-started') {
    const why = describeError(failed(record.code));
    return { kind: 'not-started', message: `${file} could not be started there: ${why}` };
  }
  if (record?.kind !== 'ended') {
    const why = 'was under way, and what became of it is not known';
    return { kind: 'killed', signal: 'SIGHUP', why, isUnseen: true, stdout: '', stderr: '' };
  }
  const { how, number } = record;
  const text = (bytes: Buffer): string => readableText(bytes.toString('utf8', 0, outputLimitBytes));
  const texts = { stdout: text(record.stdout), stderr: text(record.stderr) };
  if (how === 'exited') return { kind: 'exited', exitCode: number, ...texts };
  if (how === 'killed') return { kind: 'killed', signal: `signal ${number}`, ...texts };
  const kind = how === 'cancelled' ? endedBy : 'timed-out';
  return { kind, left: number !== 0, ...texts };
}
