import { describe, expect, it } from 'vitest';
import { parseSince, sinceMs, sinceText } from '../../../src/core/report/since.ts';
import { milliseconds } from '../../../src/core/units.ts';
import { createTimestamp } from '../../../src/os/timestamp.ts';

it.each([
  ['90s', 90_000],
  ['30m', 1_800_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
  ['4w', 2_419_200_000],
  // As the configuration has them.
  ['1h30m', 5_400_000],
  ['2.5h', 9_000_000],
  ['2 days', 172_800_000],
  ['2h ago', 7_200_000],
  ['2 days ago', 172_800_000],
  ['30M', 1_800_000],
])('%s is a span', (text, ms) => {
  expect(parseSince(text)).toEqual({ kind: 'span', ms });
});

it.each(['2026-11-21', '2026-11-21 22:04', '2026-11-21T22:04:45'])('%s is a time', (text) => {
  expect(parseSince(text)).toEqual({ kind: 'time', text: text.replace('T', ' ') });
});

it.each([
  '',
  '0h',
  '2',
  'h',
  '2y',
  '-2h',
  '1h30',
  '2h\n',
  '999999999w',
  '2026-02-30',
  'now',
  'ago',
  ' ago',
  '2h ago ago',
  '03:00 ago',
  'yesterday ago',
  '20261121T220445.123Z-0a1b2c3d',
])('%j is neither', (text) => {
  expect(parseSince(text)).toBeUndefined();
});

it('becomes the text that logged times are compared with', () => {
  const localTime = (ms: number): string => `<${ms}>`;
  const at = (text: string): string => {
    const since = parseSince(text);
    if (since === undefined) throw new Error(text);
    return sinceText(since, milliseconds(10_000_000), localTime);
  };
  expect(at('2h')).toBe('<2800000>');
  expect(at('2026-11-21')).toBe('2026-11-21');
});

describe('as a time', () => {
  const nowMs = milliseconds(Date.UTC(2026, 10, 22, 12));
  const inZone = (zone: string) => (text: string) => {
    const since = parseSince(text);
    if (since === undefined) throw new Error(text);
    return new Date(sinceMs(since, nowMs, createTimestamp(zone))).toISOString();
  };

  it.each([
    ['2h', 'UTC', '2026-11-22T10:00:00.000Z'],
    ['2026-11-21', 'UTC', '2026-11-21T00:00:00.000Z'],
    ['2026-11-21', 'Europe/Rome', '2026-11-20T23:00:00.000Z'],
    ['2026-11-21 22:04', 'America/New_York', '2026-11-22T03:04:00.000Z'],
    ['2026-11-21T22:04:45', 'Pacific/Kiritimati', '2026-11-21T08:04:45.000Z'],
    ['2026-11-21 23:59:59', 'Pacific/Pago_Pago', '2026-11-22T10:59:59.000Z'],
    // An hour that the clocks skip begins where they go on; one that comes twice, the first time.
    ['2026-03-29 02:30', 'Europe/Rome', '2026-03-29T01:00:00.000Z'],
    ['2026-10-25 02:00', 'Europe/Rome', '2026-10-25T00:00:00.000Z'],
  ])('%s in %s is %s', (text, zone, time) => {
    expect(inZone(zone)(text)).toBe(time);
  });
});

describe('words and times of day', () => {
  const NOW = milliseconds(Date.UTC(2026, 2, 1, 10, 30));
  const utc = (wallMs: number): string =>
    new Date(wallMs).toISOString().replace('T', ' ').slice(0, 19);

  it.each([
    ['today', '2026-03-01'],
    ['Yesterday', '2026-02-28'],
    ['03:00', '2026-03-01 03:00'],
    ['3:05', '2026-03-01 03:05'],
    // It has not been that late today.
    ['22:15', '2026-02-28 22:15'],
  ])('%s is %s', (text, expected) => {
    const since = parseSince(text);
    if (since === undefined) throw new Error(text);
    expect(sinceText(since, NOW, utc)).toBe(expected);
    expect(utc(sinceMs(since, NOW, utc)).slice(0, expected.length)).toBe(expected);
  });

  it.each(['24:00', '3:5', '03:60', 'tomorrow'])('%s is neither', (text) => {
    expect(parseSince(text)).toBeUndefined();
  });
});
