import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { Prompts } from '../../src/loop/prompts.ts';
import { vmid } from '../core/builders.ts';
import { FakeLimitEvents } from './fake-limit-events.ts';

const ID = vmid(101);
const NOBODY: ReadonlySet<typeof ID> = new Set();

/** Prompts of a node with some containers, and looks as the loop takes them. */
class Run {
  readonly events = new FakeLimitEvents();
  readonly lines: string[] = [];
  readonly prompts: Prompts;
  nowMs = 50_000;
  woken = 0;
  readonly ids: readonly (typeof ID)[];

  constructor(...ids: readonly number[]) {
    this.ids = ids.map(vmid);
    for (const id of this.ids) this.events.lives.set(id, 1);
    const now = () => milliseconds(this.nowMs);
    const say = (text: string | (() => string)) => void this.lines.push(String(text));
    this.prompts = new Prompts(this.events, {
      clock: { wallMs: now, monotonicMs: now },
      log: { debug: say, info: say, warn: say, error: say },
    });
    this.prompts.wakeBy(() => {
      this.woken += 1;
    });
  }

  #look(ids: Iterable<typeof ID>, told: ReadonlySet<typeof ID>, urgent: readonly number[]): void {
    for (const id of ids) {
      this.prompts.listen(id);
      this.prompts.seen(id, this.events.lives.get(id));
    }
    this.prompts.looked(new Set(urgent.map(vmid)), told);
  }

  /** Ten seconds later. */
  regular(...urgent: readonly number[]): void {
    this.nowMs += 10_000;
    this.prompts.regularLook();
    this.#look(this.ids, this.prompts.take(), urgent);
  }

  /** As soon as it is due. Returns who was looked at. */
  prompted(...urgent: readonly number[]): readonly number[] {
    if (this.prompts.dueMs === Number.POSITIVE_INFINITY) return [];
    this.nowMs = Math.max(this.nowMs, this.prompts.dueMs);
    const told = this.prompts.take();
    this.#look(told, told, urgent);
    return [...told];
  }

  /** In how many of so many regular looks the guest, who never stops, was heard. */
  heardIn(looks: number): number {
    let heard = 0;
    for (let each = 0; each < looks; each += 1) {
      this.regular();
      this.events.happen(101);
      heard += this.prompted().length;
    }
    return heard;
  }
}

describe('what a node tells between two samples', () => {
  it('asks for one look at the guest that it is about, a moment later', () => {
    const run = new Run(101, 102);
    run.regular();
    run.nowMs += 5000;
    expect([run.prompts.dueMs, run.woken]).toEqual([Number.POSITIVE_INFINITY, 0]);
    run.events.happen(101);
    expect([run.prompts.dueMs, run.woken]).toEqual([run.nowMs + 250, 1]);
    expect(run.prompted()).toEqual([101]);
    expect(run.prompts.dueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('is heard once until that look: a flood costs one', () => {
    const run = new Run(101, 102);
    run.regular();
    for (let times = 0; times < 1000; times += 1) run.events.happen(101);
    run.events.happen(102);
    expect(run.woken).toBe(1);
    expect(run.events.watched).toEqual([]);
    expect(run.prompted()).toEqual([101, 102]);
    expect(run.prompted()).toEqual([]);
  });

  it('asks for no look within a second of another one', () => {
    const run = new Run(101);
    run.regular();
    run.nowMs += 100;
    run.events.happen(101);
    expect(run.prompts.dueMs).toBe(run.nowMs + 900);
  });

  it('is heard again at once where the decision could not wait', () => {
    const run = new Run(101);
    run.regular();
    for (let times = 0; times < 3; times += 1) {
      run.events.happen(101);
      expect(run.prompted(101)).toEqual([101]);
      run.prompts.dealtWith([ID]);
      // This look comes after the new watch: what has happened meanwhile is not lost.
      expect(run.prompted()).toEqual([101]);
      expect(run.events.watched).toEqual([101]);
    }
  });

  it('is heard less and less if it is always for nothing, and anew after a calm time', () => {
    const run = new Run(101);
    run.regular();
    // Of the first 16 looks the 1st, 2nd, 4th, 8th and 14th, and then each sixth.
    expect(run.heardIn(16)).toBe(5);
    expect(run.heardIn(60)).toBe(10);
    for (let looks = 0; looks < 8; looks += 1) run.regular();
    expect(run.heardIn(2)).toBe(2);
  });

  it('that came while a regular look was due is answered by that', () => {
    const run = new Run(101);
    run.regular();
    run.events.happen(101);
    run.regular();
    expect(run.prompted()).toEqual([]);
  });
});

describe('who is listened to', () => {
  it('a guest is watched before it is read, and once only', () => {
    const run = new Run(101);
    for (let looks = 0; looks < 5; looks += 1) run.regular();
    expect(run.events.done).toEqual(['watch 101']);
  });

  it('after a whole cycle: those that it found, from a look of their own on', () => {
    const run = new Run(101, 102);
    run.prompts.follow(new Set(run.ids));
    expect(run.prompted()).toEqual([101, 102]);
    run.prompts.follow(new Set(run.ids));
    expect(run.prompted()).toEqual([]);
    run.prompts.follow(new Set([ID]));
    expect(run.events.watched).toEqual([101]);
    run.prompts.follow(NOBODY);
    expect(run.events.watched).toEqual([]);
  });

  it('one that was started anew is watched anew, and looked at after that', () => {
    const run = new Run(101, 102);
    run.regular();
    run.events.lives.set(ID, 2);
    run.regular();
    expect(run.events.watched).toEqual([102]);
    expect(run.prompted()).toEqual([101]);
    expect(run.events.watched).toEqual([101, 102]);
    run.nowMs += 5000;
    run.events.happen(101);
    expect(run.prompted()).toEqual([101]);
  });

  it('one that has stopped is not, until it runs again', () => {
    const run = new Run(101);
    run.regular();
    run.events.lives.delete(ID);
    run.regular();
    expect(run.events.watched).toEqual([]);
    run.events.lives.set(ID, 2);
    run.regular();
    expect(run.events.watched).toEqual([101]);
  });

  it('one of which nothing is told is asked about once in a while only', () => {
    const run = new Run(101);
    run.events.watch = (id) => {
      run.events.done.push(`refused ${id}`);
      return { ok: false, why: 'absent', detail: 'a virtual machine' };
    };
    for (let looks = 0; looks < 13; looks += 1) run.regular();
    expect(run.events.done.length).toBe(3);
    expect(run.lines).toEqual([]);
  });

  it('says once that no watch is left, and is none the worse for it', () => {
    const run = new Run(101, 102, 103);
    run.events.most = 1;
    for (let looks = 0; looks < 20; looks += 1) run.regular();
    expect(run.lines).toEqual([
      'Not every container can be watched for events (no watch is left): ' +
        'what happens to the others shows with the next sample.',
    ]);
    run.nowMs += 5000;
    run.events.happen(101);
    expect(run.prompted()).toEqual([101]);
  });
});
