import { missing, present, type Reading } from '../../core/reading.ts';
import type { Vmid } from '../../core/units.ts';
import { type CommandOptions, type CommandResult, readableText } from '../../os/command.ts';
import type { KernelFiles } from '../../os/kernel-files.ts';
import { describeError } from '../../os/os-error.ts';
import type { FarRecord } from './frames.ts';
import type { KeptConnection } from './kept-connection.ts';

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

  constructor(connect: () => KeptConnection) {
    this.#connect = connect;
  }

  /** As `runCommand` of this host: its arguments go as they are, and through no shell. */
  readonly runOf =
    (vmid: Vmid) =>
    (file: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> =>
      this.#with(vmid, (connection) => run(connection, file, args, options));

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
        }),
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
    const alive = setInterval(() => connection.tell('K'), ALIVE_EVERY_MS).unref();
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
  const why = record.code === 'ENOENT' || record.code === 'ENODEV' ? 'absent' : 'unreadable';
  return missing(why, `${path}: ${describeError(failed(record.code))}`);
}

const failed = (code: string): Error => Object.assign(new Error(code), { code });

/** Its environment is that of the far reader, which hands on nothing of ours. */
async function run(
  connection: KeptConnection,
  file: string,
  args: readonly string[],
  { timeLimitMs, stop, stopGraceMs, cancel }: CommandOptions,
): Promise<CommandResult> {
  const unwanted = stop.aborted ? 'the daemon is stopping' : 'it is not wanted any more';
  if (stop.aborted || cancel?.aborted) {
    return { kind: 'not-started', message: `${file} was not started: ${unwanted}` };
  }
  let endedBy: 'stopped' | 'cancelled' = 'cancelled';
  let grace: NodeJS.Timeout | undefined;
  const end = (): void => connection.tell('C');
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
    const answer = await connection.request('X', texts, timeLimitMs + ANSWER_MS);
    if (answer.ok) return resultOf(answer.value[0], file, endedBy);
    const why = `was under way when the connection to the node ended: ${answer.detail}`;
    return { kind: 'killed', signal: 'SIGHUP', why, stdout: '', stderr: '' };
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
): CommandResult {
  if (record?.kind === 'not-started') {
    const why = describeError(failed(record.code));
    return { kind: 'not-started', message: `${file} could not be started there: ${why}` };
  }
  if (record?.kind !== 'ended') {
    const why = 'was under way, and what became of it is not known';
    return { kind: 'killed', signal: 'SIGHUP', why, stdout: '', stderr: '' };
  }
  const { how, number } = record;
  const stdout = readableText(record.stdout.toString('utf8'));
  const texts = { stdout, stderr: readableText(record.stderr.toString('utf8')) };
  if (how === 'exited') return { kind: 'exited', exitCode: number, ...texts };
  if (how === 'killed') return { kind: 'killed', signal: `signal ${number}`, ...texts };
  const kind = how === 'cancelled' ? endedBy : 'timed-out';
  return { kind, left: number !== 0, ...texts };
}
