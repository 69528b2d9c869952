import { expect, it } from 'vitest';
import { Cluster, type Habit, type Mode } from './balancer.ts';

/** What the balancer of Proxmox VE 9.2 does beside this program. docs/nodes.md has the figures. */

const HOURS = 24;

/** Each has its busy hours, those of a node at the same time, so that loads go apart. */
const DAYS: readonly Habit[] = Array.from({ length: 12 }, (_, index) => {
  const begin = (index % 3) * 8;
  const isBusy = (hour: number): boolean => hour >= begin && hour < begin + 6;
  return {
    vmid: 101 + index,
    cores: 2,
    memoryMib: 4096,
    wants: (hour) => (isBusy(hour) ? 3 : 0.2),
    usesMib: (hour) => (isBusy(hour) ? 3500 : 600),
  };
});

/** Bursts of ten minutes, each at another time. */
const BURSTS: readonly Habit[] = DAYS.map((habit, index) => {
  const isBusy = (hour: number): boolean => (hour * 60 + index * 17) % 45 < 10;
  return {
    ...habit,
    wants: (hour) => (isBusy(hour) ? 3 : 0.2),
    usesMib: (hour) => (isBusy(hour) ? 2500 : 900),
  };
});

/** Ten minutes: longer than a burst. */
const LONG_HOLD = 60;

interface Case {
  readonly name: string;
  readonly mode: Mode;
  readonly habits: readonly Habit[];
  readonly hold: number;
  /** Moves without this program, and with it. */
  readonly moves: readonly [number, number];
  readonly returns: readonly [number, number];
}

const CASES: readonly Case[] = [
  { name: 'busy hours', mode: 'dynamic', habits: DAYS, hold: 3, moves: [6, 6], returns: [0, 0] },
  {
    name: 'bursts',
    mode: 'dynamic',
    habits: BURSTS,
    hold: 3,
    moves: [270, 421],
    returns: [228, 146],
  },
  {
    name: 'bursts',
    mode: 'dynamic',
    habits: BURSTS,
    hold: LONG_HOLD,
    moves: [0, 0],
    returns: [0, 0],
  },
  { name: 'busy hours', mode: 'static', habits: DAYS, hold: 3, moves: [0, 3], returns: [0, 0] },
  { name: 'bursts', mode: 'static', habits: BURSTS, hold: 3, moves: [0, 0], returns: [0, 0] },
];

it.each(CASES)(
  '$name, balanced by $mode load with a hold of $hold rounds: $moves moves',
  async ({ mode, habits, hold, moves, returns }) => {
    const alone = await new Cluster(mode, habits, hold).play(HOURS, false);
    const both = await new Cluster(mode, habits, hold).play(HOURS, true);
    expect([alone.moves, alone.returns]).toEqual([moves[0], returns[0]]);
    // What another policy changes a little is no other behaviour.
    expect(both.moves).toBeLessThanOrEqual(moves[1] * 1.25);
    expect(both.returns).toBeLessThanOrEqual(returns[1] * 1.25);
    expect(both.changes).toBeGreaterThan(10);
    expect(both.missedHours).toBeLessThan(alone.missedHours / 10);
  },
);
