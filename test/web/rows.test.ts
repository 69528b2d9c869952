import { describe, expect, it } from 'vitest';
import { toneOf } from '../../src/core/report/tone.ts';
import {
  memoryOf,
  memoryWords,
  signed,
  spanWords,
  twoDigits,
  whenWords,
} from '../../src/web/amounts.ts';
import { problemOf } from '../../src/web/api.ts';
import { CHIPS, keepingEqual, matches, type Order, sorted } from '../../src/web/guest-rows.ts';
import { isBad, journalLine, KINDS, settled } from '../../src/web/journal-line.ts';
import { hrefOf, routeOf } from '../../src/web/route.ts';
import { sparkPath } from '../../src/web/sparkline.tsx';
import { seriesOf, seriesWords } from '../../src/web/usage-series.ts';
import { fixture, line } from './fixture.ts';

/** What the page makes of reports, without a browser. */

const { containers } = fixture().status;
const ids = (rows: readonly { readonly vmid: number }[]) => rows.map(({ vmid }) => vmid);

describe('the table', () => {
  it.each([
    ['all', 13],
    ['would', [104]],
    ['maximum', [103]],
    ['hold', [110]],
    ['paused', [111]],
    ['failed', [105]],
    ['ignored', [107]],
  ])('has a chip for %s', (key, expected) => {
    const chip = CHIPS.find((one) => one.key === key);
    const found = ids(containers.filter((row) => chip?.takes(row)));
    expect(typeof expected === 'number' ? found.length : found).toEqual(expected);
  });

  it.each([
    ['shop', [101, 112]],
    ['WEB', [101]],
    ['shop stopped', [112]],
    ['104', [104]],
    ['no such guest', []],
    ['  ', ids(containers)],
  ])('searches for %j', (words, expected) => {
    expect(ids(containers.filter((row) => matches(row, words)))).toEqual(expected);
  });

  const order = (key: Order['key'], down: boolean) => ids(sorted(containers, { key, down }));

  it('sorts by numbers and names; what is not known comes last either way', () => {
    expect(order('cpu', true).slice(0, 2)).toEqual([103, 102]);
    expect(order('cpu', false)[0]).toBe(104);
    expect(order('cpu', true).at(-1)).toBe(112);
    expect(order('cpu', false).at(-1)).toBe(112);
    expect(order('name', false)[0]).toBe(103);
    expect(order('vmid', true)[0]).toBe(112);
    expect(order('change', true).slice(0, 3)).toEqual([101, 105, 109]);
  });

  it('puts what went wrong before what is calm', () => {
    expect(order('now', false)[0]).toBe(105);
    expect(toneOf(containers.find(({ vmid }) => vmid === 107) ?? fail())).toBe('idle');
  });

  it('takes a guest that idles at its minimum for calm, and one on hold for busy', () => {
    const row = {
      ...(containers[0] ?? fail()),
      would: null,
      lastChange: null,
      mode: 'act',
    } as const;
    const tone = (brief: string) => toneOf({ ...row, now: { brief, says: '' } });
    expect(['in band', 'cpu at minimum', 'cpu at minimum, mem at minimum'].map(tone)).toEqual([
      'calm',
      'calm',
      'calm',
    ]);
    expect(['cpu at maximum', 'cpu at minimum, mem on hold 5 h'].map(tone)).toEqual([
      'busy',
      'busy',
    ]);
  });

  it('keeps the row that says the same, and takes the one that does not', () => {
    const again = fixture().status.containers.map((row) =>
      row.vmid === 101 ? { ...row, name: 'other' } : { ...row },
    );
    const calm = containers.filter(({ lastChange }) => lastChange === null);
    const kept = keepingEqual(calm, again);
    for (const row of calm) expect(kept).toContain(row);
    expect(kept.find(({ vmid }) => vmid === 101)?.name).toBe('other');
  });
});

function fail(): never {
  throw new Error('no such row');
}

describe('amounts', () => {
  it.each([
    [656, '656 MB'],
    [1024, '1 GB'],
    [1248, '1.22 GB'],
    [12_288, '12 GB'],
    [46_608, '45.5 GB'],
    [0, '0 MB'],
  ])('of %d MiB', (mib, words) => expect(memoryWords(mib)).toBe(words));

  it('are in the unit of the limit', () => {
    expect(memoryOf(327, 1248)).toBe('0.32 / 1.22 GB');
    expect(memoryOf(327, 512)).toBe('327 / 512 MB');
    expect(memoryOf(11_800, 16_384)).toBe('11.5 / 16 GB');
    expect(memoryOf(undefined, 512)).toBe('– / 512 MB');
  });

  it('have a sign as wide as a digit', () => {
    expect([signed(-2, twoDigits), signed(3, twoDigits), signed(0, twoDigits)]).toEqual([
      '−2',
      '+3',
      '0',
    ]);
  });

  it.each([
    [-500, '0 s'],
    [89_000, '89 s'],
    [90_000, '2 min'],
    [3 * 3_600_000, '3 h'],
    [72 * 3_600_000, '3 days'],
  ])('of time: %d ms', (ms, words) => expect(spanWords(ms)).toBe(words));

  it('of today are times, others have their day', () => {
    expect(whenWords('2026-11-29 06:33:54', '2026-11-29 23:00:00')).toBe('06:33');
    expect(whenWords('2026-11-28 06:33:54', '2026-11-29 23:00:00')).toBe('11-28 06:33');
  });
});

describe('a line of the log', () => {
  it('is a change with its copy', () => {
    expect(journalLine(line())).toMatchObject({
      vmid: 101,
      name: 'web-shop',
      what: 'cores',
      from: '2',
      to: '4',
      isUp: true,
      event: 'change',
      status: 'confirmed',
      backup: '20261121T220445.123Z-0a1b2c3d',
    });
  });

  it('of an old release, of a group, and without values', () => {
    const old = { timestamp: '2025-01-01 00:00:00', container_id: '7' };
    expect(journalLine({ ...old, action: 'Decrease Memory', change: '512MB' })).toMatchObject({
      what: 'memory',
      from: '',
      to: '512MB',
      event: 'change',
      atS: undefined,
    });
    const group = { ...old, container_id: 'shop', action: 'Scale Out', change: '+1' };
    expect(journalLine(group)).toMatchObject({ vmid: undefined, subject: 'shop', what: 'members' });
    expect(journalLine({ ...old, resource: 'cores', before: null, after: 2 })).toMatchObject({
      from: 'none',
      to: '2',
      isUp: undefined,
    });
  });

  it.each([[null], ['text'], [7], [[]], [{}], [{ timestamp: 'x' }]])('is not %j', (object) => {
    expect(journalLine(object)).toBeUndefined();
  });

  it('of cores that wait says confirmed once they are in effect, each for itself', () => {
    const of = (event: string, after: number, status: string) =>
      journalLine({ ...line({ event }), after, status, note: 'Soon.' }) ?? fail();
    const [late, waiting] = [of('change', 8, 'pending'), of('change', 4, 'pending')];
    const earlier = of('change', 4, 'pending');
    const lines = [late, of('confirmed', 4, 'confirmed'), waiting, earlier];
    expect(settled(lines)).toEqual([late, { ...waiting, status: 'confirmed', note: '' }, earlier]);
  });

  it('is narrowed by its kind', () => {
    const kinds = ['change', 'would', 'failed', 'confirmed'].map((event) => {
      const one = journalLine(line({ event })) ?? fail();
      return Object.entries(KINDS).flatMap(([kind, { takes }]) => (takes(one) ? [kind] : []));
    });
    expect(kinds).toEqual([['all', 'change'], ['all', 'would'], ['all', 'failed'], ['all']]);
    expect(isBad(journalLine(line({ event: 'rolled-back' })) ?? fail())).toBe(true);
  });
});

describe('an address', () => {
  it.each([
    ['', { view: 'guests' }],
    ['#/guests/104', { view: 'guest', vmid: 104 }],
    ['#/guests/<b>', { view: 'guests' }],
    ['#/history', { view: 'history' }],
    ['#/nowhere', { view: 'guests' }],
  ] as const)('%j is a view', (hash, route) => {
    expect(routeOf(hash)).toEqual(route);
    expect(routeOf(hrefOf(route))).toEqual(route);
  });
});

describe('a problem', () => {
  it.each([
    [401, { code: 'login-needed', detail: 'Who is there?' }, 'signed-out', 'Who is there?'],
    [401, { code: 'wrong-login', detail: 'No.' }, 'refused', 'No.'],
    [503, { code: 'starting', detail: 'Wait.' }, 'starting', 'Wait.'],
    [409, { code: 'refused', detail: 'Too much.' }, 'refused', 'Too much.'],
    [502, { code: 'failed', detail: 'pct failed.' }, 'refused', 'pct failed.'],
    [502, '<html>Bad gateway', 'away', 'The daemon does not answer.'],
    [200, undefined, 'away', 'The daemon does not answer.'],
    [500, {}, 'refused', 'The daemon answers with status 500.'],
  ] as const)('of status %d with %j', (status, body, kind, says) => {
    expect(problemOf(status, body)).toMatchObject({ kind, says });
  });
});

describe('curves', () => {
  it('leave a gap where nothing is known', () => {
    expect(sparkPath([0, null, 1])).toBe('M0.0 17.5M72.0 0.5');
    expect(sparkPath([0, 2])).toBe('M0.0 17.5L72.0 0.5');
  });

  it('are told in words to those who do not see them', () => {
    const columns = ['timeS', 'cpuCores', 'cpuAllowed'];
    const rows = [
      [1, 0.5, 2],
      [2, null, 2],
      [3, 1.25, 2],
    ];
    const series = seriesOf({ columns, rows }, 'cores');
    expect(series).toEqual({ times: [1, 2, 3], used: [0.5, null, 1.25], limit: [2, 2, 2] });
    expect(seriesWords(series, twoDigits)).toBe('used 0.5 to 1.25; limit 2');
    const unknown = seriesOf({ columns, rows }, 'memory');
    expect(seriesWords(unknown, twoDigits)).toBe('used not known; limit not known');
  });
});
