import { describe, expect, it } from 'vitest';
import { backupId, parseBackupId } from '../../src/core/backup.ts';
import { milliseconds } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';

describe('the id of a backup', () => {
  it('says when and of what', () => {
    const takenAtMs = milliseconds(Date.UTC(2026, 10, 21, 22, 4, 45, 7));
    expect(backupId(takenAtMs, '0a1b2c3d4e5f')).toBe('20261121T220445.007Z-0a1b2c3d');
  });

  it('reads back as what it was made of, and sorts by time', () => {
    const time = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) }).map(milliseconds);
    fc.assert(
      fc.property(time, time, (one, other) => {
        const digest = '0123456789abcdef';
        const id = backupId(one, digest);
        expect(parseBackupId(id)).toEqual({ takenAtMs: one, digestStart: '01234567' });
        if (one !== other) expect(id < backupId(other, digest)).toBe(one < other);
      }),
    );
  });

  it.each([
    '',
    '20261121T220445.007Z',
    '20261121T220445.007Z-0a1b2c3d.conf',
    '20261121T220445.007Z-0A1B2C3D',
    '20261121T220445.007Z-0a1b2c3d\n',
    '20261321T220445.007Z-0a1b2c3d',
    '../20261121T220445.007Z-0a1b2c3d',
  ])('is not %j', (text) => {
    expect(parseBackupId(text)).toBeUndefined();
  });
});
