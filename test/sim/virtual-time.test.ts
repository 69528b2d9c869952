import { describe, expect, it } from 'vitest';
import { VirtualTime } from '../../src/sim/virtual-time.ts';

describe('virtual time', () => {
  it('wakes who sleeps in the order of their times', async () => {
    const passed: number[] = [];
    const time = new VirtualTime((ms) => passed.push(ms));
    const woken: string[] = [];
    const sleeper = async (name: string, ms: number): Promise<void> => {
      await time.sleep(ms);
      woken.push(`${name} at ${time.nowMs}`);
    };
    await time.during(Promise.all([sleeper('c', 300), sleeper('a', 100), sleeper('b', 100)]));
    expect(woken).toEqual(['a at 100', 'b at 100', 'c at 300']);
    expect(passed).toEqual([100, 200]);
    expect(time.nowMs).toBe(300);
  });

  it('does at its time what is due, and goes on to where it was sent', async () => {
    const time = new VirtualTime(() => {});
    const seen: number[] = [];
    time.every(10, () => seen.push(time.nowMs));
    time.at(25, () => seen.push(time.nowMs));
    await time.passTo(35);
    expect(seen).toEqual([10, 20, 25, 30]);
    expect(time.nowMs).toBe(35);
  });

  it('hands a failure on, and says when work waits for something else', async () => {
    const time = new VirtualTime(() => {});
    await expect(time.during(Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    await expect(time.during(new Promise(() => {}))).rejects.toThrow('more than virtual time');
  });
});
