import { describe, expect, it } from 'vitest';
import type { Call, Fault } from '../../src/sim/faults.ts';
import { GroupUnderTest, SOURCE } from './group-under-test.ts';
import type { Running } from './node-under-test.ts';

/**
 * The daemon is killed (`kill -9`) before, during and after each command of a way out and of a way
 * in, and started again. However it was cut off, the group ends right and nothing is left over.
 */

type When = 'before' | 'during' | 'after';
const WHEN: readonly When[] = ['before', 'during', 'after'];

/** A command by its name, and which of that name: two may be under way at a time. */
type Point = readonly [verb: string, nth: number];
const OUT: readonly Point[] = [
  ['pvesh get', 1],
  ['pvesh get', 2],
  ['pct snapshot', 1],
  ['pct clone', 1],
  ['pct set', 1],
  ['pct delsnapshot', 1],
  ['pct start', 1],
];
const IN: readonly Point[] = [
  ['pct set', 1],
  ['pct shutdown', 1],
  ['pct destroy', 1],
];

const verb = ({ argv }: Call): string => `${argv[0]} ${argv[1]}`;

/** Kills the daemon at a command, counted from now on. */
class Killer {
  killed = false;
  #met = 0;
  readonly #daemon: Running;

  constructor(group: GroupUnderTest, daemon: Running, [name, nth]: Point, when: When) {
    this.#daemon = daemon;
    group.under.node.onCommand((call) => {
      if (verb(call) === name) this.#met += 1;
      if (this.killed || verb(call) !== name || this.#met !== nth) return undefined;
      return this.#kill(when);
    });
  }

  #kill(when: When): Fault {
    this.killed = true;
    if (when !== 'after') this.#daemon.signal('SIGKILL');
    // As if the process had been ended before it did anything.
    if (when === 'before') return { kind: 'fail', exit: 255, stderr: 'killed\n' };
    if (when === 'during') return { kind: 'slow', delayMs: 150 };
    return {
      kind: 'answer',
      make: (real) => {
        this.#daemon.signal('SIGKILL');
        return real;
      },
    };
  }
}

const points: string[] = [];

/** One life that is killed at the point, and one that ends what it began. */
async function throughDeath(
  group: GroupUnderTest,
  daemon: Running,
  point: Point,
  when: When,
  isDone: () => boolean,
): Promise<Running> {
  const killer = new Killer(group, daemon, point, when);
  await group.until(() => killer.killed);
  await daemon.ended;
  points.push(`${when} ${point.join(' ')}`);
  group.under.node.onCommand(undefined);
  const again = group.start();
  await group.until(isDone);
  return again;
}

const end = async (daemon: Running): Promise<void> => {
  daemon.signal('SIGTERM');
  await daemon.ended;
};

describe('a daemon that is killed on its way out', () => {
  it.each(WHEN)('%s each of its commands', async (when) => {
    for (const point of OUT) {
      const group = await GroupUnderTest.create({ scale_out_grace_period: 300 });
      const done = () => group.inService().length === 2 && group.isClean();
      group.under.node.onClone(() => ({ durationMs: 100 }));
      const again = await throughDeath(group, group.start(), point, when, done);
      expect(group.members()).toHaveLength(2);
      group.expectClean();
      await end(again);
      await group.under.node.close();
    }
  });
});

describe('a daemon that is killed on its way in', () => {
  it.each(WHEN)('%s each of its commands', async (when) => {
    const group = await GroupUnderTest.create({ scale_in: 'destroy', min_instances: 1 });
    let daemon = group.start();
    for (const point of IN) {
      group.ask(1.9);
      await group.until(() => group.inService().length === 2 && group.isClean());
      const done = () => group.members().length === 1 && group.isClean();
      group.ask(0.1);
      daemon = await throughDeath(group, daemon, point, when, done);
      expect(group.inService()).toEqual([SOURCE]);
      group.expectClean();
    }
    await end(daemon);
  });
});

it('so many points were tried', () => {
  expect(points).toHaveLength(3 * (7 + 3));
});
