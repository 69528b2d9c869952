import { statSync } from 'node:fs';
import { readTextFile } from '../config/read-file.ts';
import { type CountingFile, countingFile, SHARED_FILE, USUAL_FILE } from './configuration.ts';
import type { ProcessContext } from './context.ts';

/** What a look at the configuration of the cluster comes to. */
export type Shared = 'as before' | 'changed' | 'gone';

/** Times there are kept in seconds, so two versions of one second look alike. */
const SETTLED_MS = 3000;

/**
 * Whether the configuration that all nodes of a cluster share is still the one that was read. A
 * look costs one or two calls of the file system, and the file is read only if its time or size
 * has changed, or may hide a change.
 */
export class SharedConfiguration {
  readonly #named: string | undefined;
  readonly #context: Pick<ProcessContext, 'paths' | 'clock'>;
  #file: CountingFile;
  #mark: string | undefined;
  #text: string | undefined;
  #isSettled = true;
  #isGone = false;

  constructor(configFile: string | undefined, context: Pick<ProcessContext, 'paths' | 'clock'>) {
    this.#named = configFile;
    this.#context = context;
    this.#file = this.#noted();
  }

  /** Whether it is the one that counts here. */
  get counts(): boolean {
    return this.#file.isShared;
  }

  /** To be called right before the configuration is read: what changes later is seen as changed. */
  note(): void {
    const next = this.#noted();
    // A shared file that is away for a while goes on to count.
    if (!this.counts || next.isShared || exists(next.path)) this.#file = next;
  }

  /** To be called only while `/etc/pve` answers. Each change is told once. */
  look(): Shared {
    if (!this.counts) return 'as before';
    const { paths } = this.#context;
    if (exists(paths.at(USUAL_FILE))) return 'changed';
    const mark = markOf(this.#file.path);
    if (mark === undefined) return this.#lookWithout();
    this.#isGone = false;
    if (mark.text === this.#mark && this.#isSettled) return 'as before';
    const before = this.#text;
    this.#read();
    return this.#text === before ? 'as before' : 'changed';
  }

  /** The cluster file system that is not running has no file at all, and says nothing of ours. */
  #lookWithout(): Shared {
    if (this.#isGone || !exists(this.#context.paths.pveVersion)) return 'as before';
    this.#isGone = true;
    return 'gone';
  }

  #noted(): CountingFile {
    const file = countingFile(this.#named, this.#context.paths);
    if (file.isShared && file.hanging === undefined) this.#read(file);
    return file;
  }

  #read({ path } = this.#file): void {
    const mark = markOf(path);
    const text = readTextFile(path);
    this.#mark = mark?.text;
    this.#text = text.ok ? text.text : text.message;
    this.#isSettled =
      mark !== undefined && Math.abs(this.#context.clock.wallMs() - mark.timeMs) > SETTLED_MS;
  }
}

/** What is said of it; `gone` only once. */
export const SHARED_GONE = `${SHARED_FILE} is gone: what it said stays in force until a restart`;
export const SHARED_COUNTS = `The nodes of the cluster share ${SHARED_FILE}, and it counts here.`;

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

function markOf(path: string): { readonly text: string; readonly timeMs: number } | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat && { text: `${stat.mtimeMs} ${stat.size} ${stat.ino}`, timeMs: stat.mtimeMs };
}
