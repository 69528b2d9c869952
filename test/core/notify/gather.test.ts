import { describe, expect, it } from 'vitest';
import type { Hold } from '../../../src/core/decision.ts';
import {
  begun,
  type Conditions,
  conditionsIn,
  eventOf,
  type Said,
} from '../../../src/core/notify/gather.ts';
import { ratio } from '../../../src/core/units.ts';
import { vmid } from '../builders.ts';
import { eventFrom } from '../journal-events.ts';
import { at, event, minutes } from './events.ts';

const details = {
  name: 'web',
  before: 1024,
  after: 2048,
  reason: 'it uses 900 of its 1024 MB',
};
const record = (action: string, rest: Readonly<Record<string, unknown>> = {}) =>
  eventOf(eventFrom(action, { ...details, ...rest }));

describe('the lines of the JSON log', () => {
  it.each(['Increase Memory', 'Decrease Memory'])('make a change known: %s', (action) => {
    expect(record(action)).toEqual({
      kind: 'changed',
      severity: 'info',
      text: 'Container 104 (web): memory 1024 -> 2048 MB, since it uses 900 of its 1024 MB.',
    });
  });

  it('name the unit where it is another one', () => {
    const text = record('Increase Cores', { before: 0.5, after: 1.5, unit: 'cpulimit' })?.text;
    expect(text).toContain('cpulimit 0.5 -> 1.5 cores');
  });

  it.each([
    ['Increase Cores Failed', 'FAILED. Container 104 (web): cores 1024 -> 2048 cores'],
    ['Decrease Memory Rolled Back', 'ROLLED BACK. Container 104 (web): memory 1024'],
  ])('make a failure known: %s', (action, words) => {
    const found = record(action, { note: 'Nothing was changed: exit code 255' });
    expect(found).toMatchObject({ kind: 'failed', severity: 'error' });
    expect(found?.text).toContain(words);
    expect(found?.text).toMatch(/Nothing was changed: exit code 255$/);
  });

  it('make the steps of groups known', () => {
    const group = { group: 'web', reason: 'its CPU is at 97 %' };
    expect(record('Scale Out', group)).toEqual({
      kind: 'group',
      severity: 'info',
      text: 'Group web: container 104 has come to it, since its CPU is at 97 %.',
    });
    expect(record('Scale In', group)?.text).toContain('container 104 is taken out of it');
    const failed = record('Scale Out Failed', { ...group, message: 'no space' });
    expect(failed).toMatchObject({ kind: 'failed', severity: 'error' });
    expect(failed?.text).toBe('Group web: FAILED to scale out (container 104): no space');
  });

  it.each([
    'Would Increase Cores',
    'Decrease Memory Not Proven',
    'Confirm Cores',
    'Rollback Memory',
    'Would Scale Out',
  ])('are for the log only: %s', (action) => {
    expect(record(action)).toBeUndefined();
  });

  it('do without what they do not have', () => {
    expect(eventOf(eventFrom('Increase Cores'))?.text).toBe('Container 104: cores.');
  });
});

const NO_REFUSAL = { coresRefused: undefined, memoryRefused: undefined };
const hold = (kind: 'at-maximum' | 'in-band'): Hold => ({
  vmid: vmid(101),
  name: 'db',
  resource: 'memory',
  verdict: 'hold',
  because: { kind },
});

describe('what a cycle saw', () => {
  it('knows who starves at its maximum', () => {
    const found = conditionsIn([hold('at-maximum'), hold('in-band')], NO_REFUSAL);
    expect([...found.keys()]).toEqual(['101/memory']);
    const [starving] = found.values();
    expect(starving).toMatchObject({ kind: 'starving', severity: 'warning' });
    expect(starving?.text).toMatch(/^Container 101 \(db\), memory: it needs more/);
  });

  it('knows when the host has nothing left', () => {
    const because = { kind: 'host-emergency', share: ratio(0.985) } as const;
    const busy = { kind: 'host-busy', share: ratio(0.96) } as const;
    const found = conditionsIn([], { coresRefused: busy, memoryRefused: because });
    expect([...found]).toEqual([
      [
        'host/memory',
        {
          kind: 'emergency',
          severity: 'error',
          text:
            "Host emergency: 98.5 % of the host's memory is in use, " +
            'so no container gets more memory.',
        },
      ],
    ]);
  });
});

describe('busy CPUs of the host', () => {
  const busy = { kind: 'host-busy', share: ratio(0.973) } as const;
  const refusal = { coresRefused: busy, memoryRefused: undefined };
  const waits = { ...hold('at-maximum'), resource: 'cores', because: busy } as const;

  it('are a warning that names those that wait, and no emergency', () => {
    expect([...conditionsIn([waits], refusal)]).toEqual([
      [
        'host/cpu',
        {
          kind: 'starving',
          severity: 'warning',
          text: "The host's CPUs are 97.3 % busy. These containers wait for more cores: 101 (db).",
        },
      ],
    ]);
    const [event] = conditionsIn(Array(7).fill(waits), refusal).values();
    expect(event?.text).toMatch(/, and 2 more\.$/);
  });

  it('are nothing where nobody waits: a backup makes them busy each night', () => {
    expect(conditionsIn([], refusal).size).toBe(0);
  });
});

describe('what lasts', () => {
  const now: Conditions = new Map([['a', event('a')]]);
  const none: Conditions = new Map();

  it('is said when it begins, not as long as it lasts', () => {
    const said: Said = new Map();
    expect(begun(said, now, at(0))).toHaveLength(1);
    for (let hours = 1; hours < 10; hours++) {
      expect(begun(said, now, at(minutes(59 * hours)))).toHaveLength(0);
    }
  });

  it('is not said again when it comes and goes, but after an hour without it', () => {
    const said: Said = new Map();
    begun(said, now, at(0));
    begun(said, none, at(minutes(5)));
    expect(begun(said, now, at(minutes(10)))).toHaveLength(0);
    begun(said, none, at(minutes(69)));
    expect(begun(said, now, at(minutes(70)))).toHaveLength(1);
  });
});
