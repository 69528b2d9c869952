import { expect, it } from 'vitest';
import type { DaemonState } from '../../src/app/control-answer.ts';
import type { EndedCycle } from '../../src/app/part.ts';
import { weeklyMessages } from '../../src/app/weekly.ts';
import type { Pause } from '../../src/core/pause.ts';
import { milliseconds } from '../../src/core/units.ts';
import type { CycleResult } from '../../src/loop/cycle.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { manualClock, temporaryDirectory } from '../node/local/world.ts';
import { known } from './known.ts';

/** The weekly report of a program whose nodes another one may scale. */

const WEEK_MS = 7 * 86_400_000;
const STANDBY: Pause = { kind: 'elsewhere', why: 'waiting', sinceMs: milliseconds(0) };

function program(...names: readonly string[]) {
  const clock = manualClock(Date.UTC(2026, 10, 23, 9));
  const nodes = names.map((node, at) => ({
    ...(known(node, [101 + at]) as DaemonState & { view: object }),
    pollIntervalMs: milliseconds(300_000),
  }));
  const sent: (readonly string[])[] = [];
  const weekly = weeklyMessages({
    context: { paths: createPaths(temporaryDirectory()), clock },
    log: new FakeNode().world.log,
    known: () => nodes,
    home: 'pve1',
    isAway: false,
    notify: ({ text, further = [] }) => sent.push([text, ...further]),
  });
  weekly.use({ notify: { weekly: { day: 'monday', hour: 8 } }, timezone: 'UTC' } as never);
  const messenger = { cycleBegins: () => {}, cycleEnds: () => {} };
  const cycle = (node: string, pause?: Pause): void => {
    const view = nodes.find((one) => one.node === node)?.view;
    const counts = { done: 0, failed: 0, eventful: false };
    const result = { ok: true, ...counts, pause } as unknown as CycleResult;
    weekly.cycleEnded({ node, kind: 'whole', result, view } as EndedCycle, messenger);
  };
  return { clock, cycle, sent };
}

it('is of the nodes that this program scales, and a program that waits sends none', () => {
  const { clock, cycle, sent } = program('pve1', 'lab');
  for (const node of ['lab', 'pve1']) cycle(node, STANDBY);
  clock.advance(WEEK_MS);
  for (const node of ['lab', 'pve1']) cycle(node, STANDBY);
  expect(sent).toEqual([]);
  cycle('lab');
  clock.advance(WEEK_MS);
  cycle('lab');
  cycle('pve1', STANDBY);
  expect(sent).toHaveLength(1);
  expect(sent[0]?.join()).toMatch(/lab/);
  expect(sent[0]?.join()).not.toMatch(/pve1/);
});

it('of a program that has waited is of the time since then', () => {
  const { clock, cycle, sent } = program('pve1');
  cycle('pve1', STANDBY);
  clock.advance(3 * WEEK_MS);
  cycle('pve1', STANDBY);
  cycle('pve1');
  expect(sent).toEqual([]);
  clock.advance(WEEK_MS);
  cycle('pve1');
  expect(sent).toHaveLength(1);
});
