import { expect, it } from 'vitest';
import { pointOf } from '../../src/cli/rollback.ts';
import { parseSince } from '../../src/core/report/since.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createTimestamp } from '../../src/os/timestamp.ts';

/** What `rollback --to` goes back to: a time of the logs, or a moment for a span. */

const localTime = createTimestamp('Europe/Berlin');
const at = (iso: string) => milliseconds(Date.parse(iso));
const NIGHT = at('2026-11-29T02:10:00+01:00');

it.each([
  ['03:00', { kind: 'time', text: '2026-11-28 03:00' }],
  ['02:00', { kind: 'time', text: '2026-11-29 02:00' }],
  ['yesterday', { kind: 'time', text: '2026-11-28' }],
  ['today', { kind: 'time', text: '2026-11-29' }],
  ['2026-11-01 10:00', { kind: 'time', text: '2026-11-01 10:00' }],
])('%s', (text, point) => {
  expect(pointOf(parseSince(text), NIGHT, localTime)).toEqual(point);
});

it('a span is a moment, so that an hour which comes twice is told apart', () => {
  const now = at('2026-10-25T03:10:00+01:00');
  expect(pointOf(parseSince('1h'), now, localTime)).toEqual({
    kind: 'moment',
    ms: at('2026-10-25T02:10:00+01:00'),
  });
});
