import type { MonitorAnswer } from '../../../core/machine-memory.ts';
import { missing, type Reading } from '../../../core/reading.ts';
import type { Vmid } from '../../../core/units.ts';
import { monitorAnswer } from '../../guests/qemu-monitor.ts';
import type { MonitorAccess, Spoken } from '../../guests/qmp.ts';
import type { Clock } from '../../port.ts';

/** The monitors of the running machines: who is asked, how often, and for how long at most. */

/** A machine is asked at most so often, whatever the length of a cycle. */
const EVERY_MS = 30_000;
/** An answer that is older says nothing any more; a cycle may be as long. */
const OLDEST_MS = 90_000;
/** One that does not answer is asked again after a minute, then after twice as long each time. */
const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 600_000;

interface Asked {
  answer: Reading<MonitorAnswer>;
  nextMs: number;
  failures: number;
  /** The conversation that is under way: only one client is served at a time. */
  talk: Promise<void> | undefined;
}

type Speak = (vmid: Vmid) => Promise<Spoken>;

const NOT_ASKED = missing('first-sample', 'its monitor (QMP) has not been asked yet');

export class Monitors {
  readonly #access: MonitorAccess;
  readonly #clock: Clock;
  readonly #asked = new Map<Vmid, Asked>();

  constructor(access: MonitorAccess, clock: Clock) {
    this.#access = access;
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
    const speak = this.#access.round();
    const awaited: Promise<void>[] = [];
    for (const vmid of due) {
      const isDoubtful = (this.#asked.get(vmid)?.failures ?? 0) > 0;
      const asking = this.#ask(vmid, speak);
      if (!isDoubtful) awaited.push(asking);
    }
    await within(Promise.all(awaited), this.#access.waitMs);
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
    await this.#ask(vmid, this.#access.round());
  }

  #ask(vmid: Vmid, speak: Speak): Promise<void> {
    const asked = this.#asked.get(vmid) ?? {
      answer: NOT_ASKED,
      nextMs: 0,
      failures: 0,
      talk: undefined,
    };
    this.#asked.set(vmid, asked);
    asked.talk ??= this.#talk(vmid, asked, speak).finally(() => {
      asked.talk = undefined;
    });
    return asked.talk;
  }

  async #talk(vmid: Vmid, asked: Asked, speak: Speak): Promise<void> {
    const atMs = this.#clock.monotonicMs();
    const spoken = await speak(vmid);
    if (spoken.kind === 'not-asked') {
      // It has not failed, and what it said last still holds for a while.
      if (!asked.answer.ok) asked.answer = spoken.why;
      asked.nextMs = atMs;
      return;
    }
    if (spoken.kind === 'said') {
      asked.answer = monitorAnswer(spoken.answers, { atMs, wallMs: spoken.wallMs });
      asked.failures = 0;
      asked.nextMs = atMs + EVERY_MS;
      return;
    }
    asked.answer = spoken.why;
    asked.failures += 1;
    const retryMs = Math.min(FIRST_RETRY_MS * 2 ** (asked.failures - 1), LONGEST_RETRY_MS);
    asked.nextMs = atMs + retryMs;
  }
}

async function within(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([work, limit]).finally(() => clearTimeout(timer));
}
