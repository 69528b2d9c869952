import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { createTimestamp } from '../../src/os/timestamp.ts';
import { fc } from '../fast-check.ts';

const at = (iso: string) => milliseconds(Date.parse(iso));

describe('createTimestamp', () => {
  it.each([
    ['UTC', '2024-08-14T22:04:45.999Z', '2024-08-14 22:04:45'],
    ['Europe/Berlin', '2024-08-14T22:04:45Z', '2024-08-15 00:04:45'],
    ['America/New_York', '2024-01-01T04:59:59Z', '2023-12-31 23:59:59'],
    ['Asia/Kolkata', '2024-02-28T18:30:00Z', '2024-02-29 00:00:00'],
    // The hour that is there twice, and the one that is not there.
    ['Europe/Berlin', '2024-10-27T00:30:00Z', '2024-10-27 02:30:00'],
    ['Europe/Berlin', '2024-10-27T01:30:00Z', '2024-10-27 02:30:00'],
    ['Europe/Berlin', '2024-03-31T01:00:00Z', '2024-03-31 03:00:00'],
  ])('in %s writes %s as %s', (timezone, iso, expected) => {
    expect(createTimestamp(timezone)(at(iso))).toBe(expected);
  });

  it('writes the time of the host where no zone is given', () => {
    const host = Intl.DateTimeFormat().resolvedOptions().timeZone;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.UTC(2099, 0) }), (time) => {
        const wallMs = milliseconds(time);
        return createTimestamp(undefined)(wallMs) === createTimestamp(host)(wallMs);
      }),
    );
  });

  it('refuses a zone that does not exist', () => {
    expect(() => createTimestamp('Mars/Olympus')).toThrow(RangeError);
  });
});
