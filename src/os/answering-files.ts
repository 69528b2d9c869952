import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode } from './os-error.ts';

/**
 * Whether file systems answer that may stop doing so: that of the cluster in `/etc/pve`, and the
 * network under logs and backups. Who reads from one that hangs is in state D, where no signal but
 * SIGKILL reaches him. So it is asked first, where the asking can be given up.
 */

/** A busy cluster may take a while; who asks us how we are waits for three seconds. */
const LIMIT_MS = 2000;
/** Starting a process takes its time on a busy machine. */
const OUTSIDE_LIMIT_MS = 5000;

export interface Places {
  /** `/etc/pve` */
  readonly cluster: string;
  /** Directories that may lie on the network. One that does not is asked once. */
  readonly others: readonly string[];
}

const problemOf = (path: string): string => `the file system of ${path} does not answer`;

interface Question {
  /** Resolves when it is answered, or is not answered in time. */
  readonly settled: Promise<void>;
  isLate: boolean;
}

/** Of the whole process: each takes a thread for as long as it goes unanswered. */
let unanswered = 0;

/**
 * Whether a thread still waits for an answer. Node waits for its threads at its end, so that
 * `process.exit` would not return.
 */
export const isAnyUnanswered = (): boolean => unanswered > 0;

/** Asks in a thread; a place that hangs is asked once, until it answers. */
export class AnsweringFiles {
  readonly #questions = new Map<string, Question>();
  readonly #local = new Set<string>();

  /** Resolves when each place has answered, or is known to hang: after 2 s, then at once. */
  async ask({ cluster, others }: Places): Promise<void> {
    const waits = [cluster, ...new Set(others)].map((path) => {
      if (this.#local.has(path)) return undefined;
      const known = this.#questions.get(path);
      if (known?.isLate === true) return undefined;
      return (known ?? this.#begin(path, path === cluster)).settled;
    });
    await Promise.all(waits);
  }

  /** Why nothing may be read from or written to a place now; undefined: it has answered. */
  problem(path: string): string | undefined {
    return this.#questions.get(path)?.isLate === true ? problemOf(path) : undefined;
  }

  #note(path: string, type: number): void {
    if (LOCAL_TYPES.has(type)) this.#local.add(path);
  }

  #begin(path: string, isCluster: boolean): Question {
    unanswered += 1;
    // What the kernel keeps of a file may be told without the other side. These two are asked for.
    const asked = isCluster ? readdir(path) : typeOf(path).then((type) => this.#note(path, type));
    // An error is an answer too; what it means is found out by who reads there.
    const answered = asked.then(nothing, nothing).then(() => {
      unanswered -= 1;
      this.#questions.delete(path);
    });
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        question.isLate = true;
        resolve();
      }, LIMIT_MS);
    });
    const settled = Promise.race([answered, limit]).finally(() => clearTimeout(timer));
    const question: Question = { settled, isLate: false };
    this.#questions.set(path, question);
    return question;
  }
}

const nothing = (): void => {};

/** The type of a file system. What is not there yet is made in that of the directory above it. */
async function typeOf(path: string): Promise<number> {
  try {
    return (await statfs(path)).type;
  } catch (error) {
    const above = dirname(path);
    if (errorCode(error) !== 'ENOENT' || above === path) throw error;
    return typeOf(above);
  }
}

/** On a disk of this host: ext4, XFS, Btrfs, ZFS, tmpfs, overlayfs; see statfs(2). */
const LOCAL_TYPES: ReadonlySet<number> = new Set([
  0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1, 0x0102_1994, 0x794c_7630,
]);

const PATH = '/usr/local/bin:/usr/bin:/bin';

/**
 * The same from a process of its own, which can be left behind whatever becomes of it: for a
 * command that is to end with an exit code of its own choice. Returns the first problem.
 */
export async function whyHanging({ cluster, others }: Places): Promise<string | undefined> {
  const questions: readonly (readonly [string, readonly string[]])[] = [
    [cluster, ['ls', '-f', '--', cluster]],
    ...[...new Set(others)].map((path) => [path, ['stat', '--file-system', '--', path]] as const),
  ];
  const problems = await Promise.all(
    questions.map(async ([path, command]) => ((await ends(command)) ? undefined : problemOf(path))),
  );
  return problems.find((problem) => problem !== undefined);
}

/** Whether it ends in time. Where it cannot be started, nothing is known, and nothing held back. */
function ends([file = '', ...args]: readonly string[]): Promise<boolean> {
  const ended = new Promise<boolean>((resolve) => {
    // Throws where the host has no memory for another process, or no descriptor is left.
    const child = spawn(file, args, { cwd: '/', env: { PATH }, stdio: 'ignore', detached: true });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.unref();
      resolve(false);
    }, OUTSIDE_LIMIT_MS);
    const settle = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    child.once('exit', settle);
    child.once('error', settle);
  });
  return ended.catch(() => true);
}

/** A fixed script; the path is its argument. */
const WAITING = ['-c', 'stat -- "$1" & wait "$!"', 'sh'] as const;

/**
 * Whether there is something at a path that may hang, for who cannot wait: asked by a process of
 * its own, which is killed after two seconds. A `stat` in state D cannot be killed and would be
 * waited for, so that a shell waits for it, and is killed in its place.
 */
export function probe(path: string): 'there' | 'absent' | 'hanging' {
  const how = { cwd: '/', env: { PATH }, timeout: LIMIT_MS, killSignal: 'SIGKILL' } as const;
  const { error, status } = spawnSync('sh', [...WAITING, path], {
    ...how,
    stdio: 'ignore',
  });
  if (error === undefined) return status === 0 ? 'there' : 'absent';
  if (errorCode(error) === 'ETIMEDOUT') return 'hanging';
  return existsSync(path) ? 'there' : 'absent';
}
