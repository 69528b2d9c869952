import { expect, it } from 'vitest';
import { longRun } from './long-run.ts';
import { verdict } from './verdict.ts';

/** A quarter of a day with everything on. The month is `npm run test:long`. */
const LIMIT_MS = 600_000;
const HOME = new URL('../..', import.meta.url).pathname;

it('grows in nothing while containers come and go, and leaves its files within bounds', {
  timeout: LIMIT_MS,
}, async () => {
  const run = await longRun({
    days: 0.25,
    containers: 60,
    pollS: 300,
    sampleS: 150,
    home: HOME,
    exchangeEveryMs: 1_800_000,
    measureEveryMs: 900_000,
    machines: 6,
    everythingOn: true,
  });
  // So short a run shows what grows with each cycle; what grows with days the long one shows.
  // 9 files a container, of which two or three go in the hour for which theirs stay open.
  const bounds = { mbPerDay: 16, cycleDrift: Number.POSITIVE_INFINITY, descriptors: 36 };
  const { lines, faults } = verdict(run, bounds);
  expect(faults, lines.join('\n')).toEqual([]);
  expect(run.cycles).toBeGreaterThan(60);
  expect(run.exchanged).toBeGreaterThan(5);
  expect(run.clones.made).toBeGreaterThan(0);
  const asked = ['/', '/api/v1/status', '/api/v1/events', '/api/v1/guests/101/memory'];
  expect(Object.keys(run.visits.answered)).toEqual(expect.arrayContaining(asked));
});
