import { statSync } from 'node:fs';
import type { MonitorAnswer } from '../../../core/machine-memory.ts';
import { type Missing, missing, type Reading } from '../../../core/reading.ts';
import { milliseconds, type Vmid } from '../../../core/units.ts';
import { createFileReader } from '../../../os/file-reader.ts';
import type { Clock } from '../../port.ts';
import type { Paths } from '../paths.ts';
import { monitorAnswer, QUESTIONS } from './machine-answer.ts';
import { askQmp } from './machine-qmp.ts';

/** The monitors of the running machines: who is asked, how often, and for how long at most. */

/** A machine is asked at most so often, whatever the length of a cycle. */
const EVERY_MS = 30_000;
/** An answer that is older says nothing any more; a cycle may be as long. */
const OLDEST_MS = 90_000;
const TIME_LIMIT_MS = milliseconds(3000);
/** All of them answer within some milliseconds. A cycle waits no longer for those that do not. */
const WAIT_MS = 200;
/** One that does not answer is asked again after a minute, then after twice as long each time. */
const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 600_000;
const LOCKS_LIMIT_BYTES = 4 * 1024 * 1024;

interface Asked {
  answer: Reading<MonitorAnswer>;
  nextMs: number;
  failures: number;
  /** The conversation that is under way: only one client is served at a time. */
  talk: Promise<void> | undefined;
}

const NOT_ASKED = missing('first-sample', 'its monitor (QMP) has not been asked yet');

export class Monitors {
  readonly #paths: Paths;
  readonly #clock: Clock;
  readonly #readLocks = createFileReader(LOCKS_LIMIT_BYTES);
  readonly #asked = new Map<Vmid, Asked>();

  constructor(paths: Paths, clock: Clock) {
    this.#paths = paths;
    this.#clock = clock;
  }

  /**
   * Asks those that are due, all at once, and waits a moment for their answers. One that failed
   * last is not waited for: its answer, if there is one, is there at the next look.
   */
  async look(vmids: readonly Vmid[]): Promise<void> {
    const known = new Set(vmids);
    for (const vmid of [...this.#asked.keys()]) if (!known.has(vmid)) this.#asked.delete(vmid);
    const nowMs = this.#clock.monotonicMs();
    const due = vmids.filter((vmid) => {
      const asked = this.#asked.get(vmid);
      return asked === undefined || (asked.talk === undefined && asked.nextMs <= nowMs);
    });
    if (due.length === 0) return;
    const locks = this.#locks();
    const awaited: Promise<void>[] = [];
    for (const vmid of due) {
      const isDoubtful = (this.#asked.get(vmid)?.failures ?? 0) > 0;
      const asking = this.#ask(vmid, locks);
      if (!isDoubtful) awaited.push(asking);
    }
    await within(Promise.all(awaited), WAIT_MS);
  }

  /** What it said last, unless that is too long ago. */
  answer(vmid: Vmid): Reading<MonitorAnswer> {
    const answer = this.#asked.get(vmid)?.answer ?? NOT_ASKED;
    if (!answer.ok) return answer;
    const ageMs = this.#clock.monotonicMs() - answer.value.atMs;
    if (ageMs <= OLDEST_MS) return answer;
    return missing(
      'unreadable',
      `its monitor (QMP) last answered ${Math.round(ageMs / 1000)} s ago`,
    );
  }

  /**
   * Asks it now, right before and after a change: what it said earlier does not count any more,
   * whatever comes of it. One that does not answer is left alone until it is due.
   */
  async again(vmid: Vmid): Promise<void> {
    const asked = this.#asked.get(vmid);
    // Whatever is under way may have been begun before.
    await asked?.talk;
    const nowMs = this.#clock.monotonicMs();
    if (asked !== undefined && asked.failures > 0 && nowMs < asked.nextMs) return;
    if (asked !== undefined) asked.answer = NOT_ASKED;
    await this.#ask(vmid, this.#locks());
  }

  #ask(vmid: Vmid, locks: string): Promise<void> {
    const asked = this.#asked.get(vmid) ?? {
      ...{ answer: NOT_ASKED, nextMs: 0, failures: 0, talk: undefined },
    };
    this.#asked.set(vmid, asked);
    asked.talk ??= this.#talk(vmid, asked, locks).finally(() => {
      asked.talk = undefined;
    });
    return asked.talk;
  }

  async #talk(vmid: Vmid, asked: Asked, locks: string): Promise<void> {
    const atMs = this.#clock.monotonicMs();
    const busy = this.#whyBusy(vmid, locks);
    if (busy !== undefined) {
      // It has not failed, and what it said last still holds for a while.
      if (!asked.answer.ok) asked.answer = busy;
      asked.nextMs = atMs;
      return;
    }
    const said = await askQmp(this.#socket(vmid), QUESTIONS, TIME_LIMIT_MS);
    const wallMs = this.#clock.wallMs();
    asked.answer = said.ok ? monitorAnswer(said.value, { atMs, wallMs }) : said;
    asked.failures = said.ok ? 0 : asked.failures + 1;
    const retryMs = Math.min(FIRST_RETRY_MS * 2 ** (asked.failures - 1), LONGEST_RETRY_MS);
    asked.nextMs = atMs + (said.ok ? EVERY_MS : retryMs);
  }

  #socket(vmid: Vmid): string {
    return this.#paths.at(`/run/qemu-server/${vmid}.qmp`);
  }

  #locks(): string {
    const file = this.#readLocks(this.#paths.at('/proc/locks'));
    return file.ok ? file.value.toString('latin1') : '';
  }

  /** Proxmox VE speaks with QEMU while it holds the lock of a configuration. */
  #whyBusy(vmid: Vmid, locks: string): Missing | undefined {
    if (locks === '') return undefined;
    const file = this.#paths.at(`/run/lock/qemu-server/lock-${vmid}.conf`);
    const inode = statSync(file, { throwIfNoEntry: false })?.ino;
    if (inode === undefined || !new RegExp(`:${inode} 0 EOF$`, 'm').test(locks)) return undefined;
    return missing('unreadable', 'another operation holds the lock of its configuration');
  }
}

async function within(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([work, limit]).finally(() => clearTimeout(timer));
}
