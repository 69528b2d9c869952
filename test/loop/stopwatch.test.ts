import { expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { stopwatch } from '../../src/loop/stopwatch.ts';

it('notes how long each stage took, and hands its result on', async () => {
  let nowMs = 0;
  const now = () => milliseconds(nowMs);
  const timed = stopwatch({ wallMs: now, monotonicMs: now });
  const quick = timed('quick', () => {
    nowMs += 3;
    return 'seen';
  });
  const slow = timed('slow', async () => {
    await Promise.resolve();
    nowMs += 40;
    return 'done';
  });
  expect([...timed.spentMs]).toEqual([['quick', 3]]);
  expect([quick, await slow]).toEqual(['seen', 'done']);
  const failed = timed('failed', async () => {
    nowMs += 5;
    throw new Error('broken');
  });
  await expect(failed).rejects.toThrow('broken');
  expect([...timed.spentMs]).toEqual([
    ['quick', 3],
    ['slow', 40],
    ['failed', 5],
  ]);
});
