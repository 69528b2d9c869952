import { afterEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { offPeakAt } from '../../src/config/off-peak.ts';
import { applyOverrides } from '../../src/config/resolve.ts';
import { milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const ZONES = [
  'UTC',
  'Europe/Rome',
  'Europe/London',
  'America/New_York',
  'America/Sao_Paulo',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Australia/Adelaide',
  'Australia/Lord_Howe',
  'America/St_Johns',
  'Pacific/Chatham',
  'Pacific/Apia',
  'Africa/Casablanca',
];

type Asked = (at: number | string) => boolean;

/** As the file says, with `energy_mode` on. */
function offPeak(zone: string | undefined, ...lines: string[]): Asked {
  const all = ['energy_mode: on', `timezone: ${zone ?? ''}`, ...lines];
  const text = ['DEFAULT:', ...all.map((line) => `  ${line}`), ''].join('\n');
  const result = parseConfig(text, 'f', {});
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  const asked = offPeakAt(result.config);
  return (at) => asked(milliseconds(typeof at === 'number' ? at : Date.parse(at)));
}

const byHours = (zone: string | undefined, start: number, end: number): Asked =>
  offPeak(zone, `off_peak_start: ${start}`, `off_peak_end: ${end}`);

const byCron = (zone: string | undefined, expression: string, minutes: number): Asked =>
  offPeak(zone, `off_peak_cron: '${expression}'`, `off_peak_minutes: ${minutes}`);

/** Every minute of off-peak time in [from, to), as `from-to` in UTC. */
function windows(asked: Asked, from: string, to: string): string[] {
  const found: string[] = [];
  const shown = (ms: number) => new Date(ms).toISOString().slice(5, 16);
  let since: number | undefined;
  for (let at = Date.parse(from); at <= Date.parse(to); at += MINUTE) {
    const isOffPeak = at < Date.parse(to) && asked(at);
    if (isOffPeak) since ??= at;
    else if (since !== undefined) {
      found.push(`${shown(since)} ${(at - since) / MINUTE}`);
      since = undefined;
    }
  }
  return found;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** The local time as if it were UTC, by the offset that the zone is said to have then. Slow. */
function localMs(zone: string, at: number): number {
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' });
  formats.set(zone, format);
  const name = format.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value;
  const [, sign, hours = '0', minutes = '0'] =
    /^GMT(?:([+-])(\d\d):(\d\d)(?::\d\d)?)?$/.exec(name ?? '') ?? [];
  return at + (sign === '-' ? -1 : 1) * (Number(hours) * HOUR + Number(minutes) * MINUTE);
}

const zone = fc.constantFrom(...ZONES);
/** Zones and the moment of a clock change there. */
const CHANGES = [
  ['Europe/Rome', '2026-03-29T01:00Z'],
  ['Europe/Rome', '2026-10-25T01:00Z'],
  ['America/New_York', '2026-03-08T07:00Z'],
  ['America/New_York', '2026-11-01T06:00Z'],
  ['Australia/Adelaide', '2026-10-03T16:30Z'],
  ['Australia/Adelaide', '2026-04-04T16:30Z'],
] as const;
const moment = fc.integer({ min: Date.UTC(2012, 0), max: Date.UTC(2037, 0) });
const hour = fc.integer({ min: 0, max: 23 });

describe('off-peak hours', () => {
  it('are those that the clock of the zone shows, whatever the zone and the day', () => {
    const asks = fc.array(fc.integer({ min: -4 * HOUR, max: 4 * HOUR }), { maxLength: 8 });
    fc.assert(
      fc.property(zone, moment, hour, hour, asks, (name, first, start, end, others) => {
        fc.pre(start !== end);
        const asked = byHours(name, start, end);
        for (const at of [first, ...others.map((more) => first + more)]) {
          const local = new Date(localMs(name, at)).getUTCHours();
          const meant = start < end ? start <= local && local < end : local >= start || local < end;
          expect([name, at, asked(at)]).toEqual([name, at, meant]);
        }
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['Europe/Rome', '2026-03-28', 22, 6, ['03-28T21:00 420']],
    ['Europe/Rome', '2026-10-24', 22, 6, ['10-24T20:00 540']],
    ['Europe/Rome', '2026-01-10', 22, 6, ['01-10T21:00 480']],
    // The hour that is lost, and the one that comes twice.
    ['Europe/Rome', '2026-03-28', 2, 3, ['03-30T00:00 60']],
    ['Europe/Rome', '2026-10-24', 2, 3, ['10-25T00:00 120', '10-26T01:00 60']],
    ['America/New_York', '2026-03-07', 22, 6, ['03-08T03:00 420', '03-09T02:00 480']],
    ['America/New_York', '2026-10-31', 22, 6, ['11-01T02:00 540', '11-02T03:00 480']],
    ['Asia/Kolkata', '2026-05-01', 22, 6, ['05-01T16:30 480', '05-02T16:30 480']],
    ['Asia/Kathmandu', '2026-05-01', 0, 1, ['05-01T18:15 60', '05-02T18:15 60']],
    ['Australia/Lord_Howe', '2026-10-03', 22, 6, ['10-03T11:30 450', '10-04T11:00 480']],
    ['Australia/Lord_Howe', '2026-04-04', 22, 6, ['04-04T11:00 510', '04-05T11:30 480']],
  ])('in %s from %s noon on, from %i to %i', (name, date, start, end, found) => {
    const from = Date.parse(`${date}T12:00Z`) - (name.startsWith('Austr') ? 6 * HOUR : 0);
    const to = from + (found.length === 1 && start === 22 ? DAY : 2 * DAY);
    const asked = byHours(name, start, end);
    const shown = windows(asked, new Date(from).toISOString(), new Date(to).toISOString());
    expect(shown).toEqual(found);
  });
});

describe("the host's own clock", () => {
  const before = process.env['TZ'];
  afterEach(() => {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  });

  it.each(['America/New_York', 'Asia/Kolkata'])('counts without a time zone: %s', (name) => {
    process.env['TZ'] = name;
    const from = '2026-10-31T12:00Z';
    const to = '2026-11-02T12:00Z';
    expect(windows(byHours(undefined, 22, 6), from, to)).toEqual(
      windows(byHours(name, 22, 6), from, to),
    );
    expect(windows(byCron(undefined, '30 1 * * *', 90), from, to)).toEqual(
      windows(byCron(name, '30 1 * * *', 90), from, to),
    );
  });
});

/**
 * The moment at which a day begins its off-peak time, worked out from offsets alone: a time that
 * is skipped counts as much later as the clock went forward, one that comes twice the first time.
 */
function startOn(name: string, dayMs: number, minuteOfDay: number): number {
  const local = dayMs + minuteOfDay * MINUTE;
  const offset = (at: number) => localMs(name, at) - at;
  const before = offset(local - DAY);
  const candidates = [local - before, local - offset(local + DAY)].sort((a, b) => a - b);
  return candidates.find((at) => localMs(name, at) === local) ?? local - before;
}

describe('off-peak time by a cron expression', () => {
  it('counts for its whole length from each start, whatever is asked and in which order', () => {
    const zones = fc.constantFrom(...ZONES.filter((name) => !/Lord_Howe|Apia/.test(name)));
    const days = fc.constantFrom('*', '*', '1-5', '0,6', '3');
    const hours = fc.integer({ min: -2 * HOUR, max: 4 * HOUR });
    const asks = fc.array(fc.oneof(hours, fc.integer({ min: -3 * DAY, max: 3 * DAY })), {
      maxLength: 6,
    });
    const nearChange = fc
      .tuple(fc.constantFrom(...CHANGES), hours)
      .map(([[name, change], more]) => [name, Date.parse(change) + more] as const);
    const place = fc.oneof(fc.tuple(zones, moment), nearChange, nearChange);
    const early = fc.oneof(fc.nat(23 * 60 + 59), fc.integer({ min: 60, max: 200 }));
    const length = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 4000 }));
    fc.assert(
      fc.property(place, early, days, length, asks, ([name, first], minute, on, lasts, more) => {
        const expression = `${minute % 60} ${Math.floor(minute / 60)} * * ${on}`;
        const asked = byCron(name, expression, lasts);
        const weekdays = { '*': '0123456', '1-5': '12345', '0,6': '06', '3': '3' }[on];
        for (const ms of [first, ...more.map((offset) => first + offset)]) {
          const today = Math.floor(localMs(name, ms) / DAY) * DAY;
          const starts = Array.from({ length: 6 }, (_, back) => today - (back - 1) * DAY)
            .filter((day) => weekdays.includes(`${new Date(day).getUTCDay()}`))
            .map((day) => startOn(name, day, minute));
          const meant = starts.some((start) => start <= ms && ms < start + lasts * MINUTE);
          expect([name, expression, lasts, ms, asked(ms)]).toEqual([
            name,
            expression,
            lasts,
            ms,
            meant,
          ]);
        }
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    // Across midnight.
    ['Europe/Rome', '0 22 * * *', 480, '2026-01-10', ['01-10T21:00 480', '01-11T21:00 480']],
    // Across a clock change: its length is that of a watch, not of the clock on the wall.
    ['Europe/Rome', '0 22 * * *', 480, '2026-03-28', ['03-28T21:00 480', '03-29T20:00 480']],
    ['Europe/Rome', '0 22 * * *', 480, '2026-10-24', ['10-24T20:00 480', '10-25T21:00 480']],
    ['America/New_York', '0 22 * * *', 480, '2026-10-31', ['11-01T02:00 480', '11-02T03:00 480']],
    // At a time that is skipped, and at one that comes twice.
    ['Europe/Rome', '30 2 * * *', 30, '2026-03-28', ['03-29T01:30 30', '03-30T00:30 30']],
    ['Europe/Rome', '30 2 * * *', 30, '2026-10-24', ['10-25T00:30 30', '10-26T01:30 30']],
    ['Europe/Rome', '30 2 * * *', 90, '2026-10-24', ['10-25T00:30 90', '10-26T01:30 90']],
    ['Asia/Kolkata', '15 0 * * *', 60, '2026-05-01', ['05-01T18:45 60', '05-02T18:45 60']],
    ['UTC', '0 22 * * 1-5', 60, '2026-11-20', ['11-20T22:00 60']],
    // Starts that come while the one before still counts make one stretch.
    ['UTC', '0 20-22 * * *', 90, '2026-05-01', ['05-01T20:00 210', '05-02T20:00 210']],
    [
      'UTC',
      '*/20 1 * * *',
      5,
      '2026-05-01',
      [
        '05-02T01:00 5',
        '05-02T01:20 5',
        '05-02T01:40 5',
        '05-03T01:00 5',
        '05-03T01:20 5',
        '05-03T01:40 5',
      ],
    ],
  ])('in %s, %s for %i minutes, from %s noon on', (name, expression, minutes, date, found) => {
    const from = `${date}T12:00Z`;
    const to = new Date(Date.parse(from) + 2 * DAY).toISOString();
    expect(windows(byCron(name, expression, minutes), from, to)).toEqual(found);
  });

  it('gives the same answer to who asks first within the hour that comes twice', () => {
    for (let at = Date.parse('2026-10-24T23:00Z'); at < Date.parse('2026-10-25T04:00Z'); ) {
      const isOffPeak = byCron('Europe/Rome', '30 2 * * *', 30)(at);
      const first = Date.parse('2026-10-25T00:30Z');
      expect([at, isOffPeak]).toEqual([at, first <= at && at < first + 30 * MINUTE]);
      at += 10 * MINUTE;
    }
  });

  it('begins and ends on the millisecond', () => {
    const asked = byCron('UTC', '0 22 * * *', 60);
    const shown = ['21:59:59.999', '22:00:00.000', '22:59:59.999', '23:00:00.000'].map((time) =>
      asked(`2026-05-01T${time}Z`),
    );
    expect(shown).toEqual([false, true, true, false]);
  });

  it('lasts as long as a week, and comes as seldom as every four years', () => {
    const asked = byCron('UTC', '0 0 29 2 *', 10_080);
    const dates = ['2028-02-28', '2028-02-29', '2028-03-06T23:59:59.999Z', '2028-03-07'];
    expect(dates.map(asked)).toEqual([false, true, true, false]);
  });
});

describe('without energy_mode', () => {
  it.each([
    'off_peak_start: 0\n  off_peak_end: 23',
    "off_peak_cron: '* * * * *'\n  off_peak_minutes: 9",
  ])('it is never off-peak time, and with --energy_mode it is: %j', (lines) => {
    const result = parseConfig(`DEFAULT:\n  timezone: UTC\n  ${lines}\n`, 'f', {});
    if (!result.ok) throw new Error('problems');
    const at = milliseconds(Date.parse('2026-05-01T12:00Z'));
    expect(offPeakAt(result.config)(at)).toBe(false);
    expect(offPeakAt(applyOverrides(result.config, { energyMode: true }))(at)).toBe(true);
  });

  it('two hours that are the same leave no off-peak time', () => {
    const result = parseConfig('DEFAULT: {off_peak_start: 6, off_peak_end: 6}\n', 'f', {});
    if (!result.ok) throw new Error('problems');
    const asked = offPeakAt(applyOverrides(result.config, { energyMode: true }));
    for (let at = 0; at < DAY; at += HOUR) expect(asked(milliseconds(at))).toBe(false);
  });
});
