import { describe, expect, it } from 'vitest';
import { cycleRow, deliveryRow, healthReport, row } from '../../../src/core/report/health.ts';
import { milliseconds } from '../../../src/core/units.ts';

const at = (nowS: number, lastGoodS: number | undefined, pollS = 300) =>
  cycleRow({
    nowMs: milliseconds(nowS * 1000),
    startedMs: milliseconds(0),
    lastGoodMs: lastGoodS === undefined ? undefined : milliseconds(lastGoodS * 1000),
    pollIntervalMs: milliseconds(pollS * 1000),
  });

describe('the check of the last good cycle', () => {
  it('is well for two intervals and a minute, and no longer', () => {
    expect(at(1660, 1000)).toEqual({
      name: 'cycle',
      ok: true,
      says: 'the last good cycle ended 660 s ago',
    });
    expect(at(1661, 1000)).toEqual({
      name: 'cycle',
      ok: false,
      says: 'the last good cycle ended 661 s ago; at most 660 are right',
    });
    expect(at(1071, 1000, 5).ok).toBe(false);
  });

  it('leaves a daemon the time for its first one', () => {
    expect(at(660, undefined).ok).toBe(true);
    expect(at(661, undefined)).toMatchObject({
      ok: false,
      says: expect.stringContaining('no good cycle yet, 661 s after the start'),
    });
  });
});

describe('the check of messages', () => {
  const nowMs = milliseconds(10_000_000);
  const failing = (forMs: number, waiting = 2) => [
    { channel: 'gotify', waiting, failingSinceMs: milliseconds(nowMs - forMs) },
  ];

  it('is ill where one has failed for half an hour', () => {
    expect(deliveryRow(failing(1_800_000), nowMs).ok).toBe(true);
    expect(deliveryRow(failing(1_800_001), nowMs)).toEqual({
      name: 'notifications',
      ok: false,
      says: 'gotify: 2 wait, and none was sent for 1801 s',
    });
    expect(deliveryRow(failing(9_000_000, 0), nowMs).ok).toBe(true);
  });

  it('is well where they only wait, and where there are none', () => {
    const waiting = [{ channel: 'email', waiting: 5, failingSinceMs: undefined }];
    expect(deliveryRow(waiting, nowMs).ok).toBe(true);
    expect(deliveryRow([], nowMs).ok).toBe(true);
  });
});

it('a report is healthy where every check is', () => {
  const well = row('pct', undefined, 'it is there');
  const ill = row('logs', 'the disk is full', 'it could be written');
  expect(healthReport([well])).toMatchObject({ format: 1, healthy: true });
  expect(healthReport([well, ill])).toMatchObject({ healthy: false, checks: [well, ill] });
  expect(ill).toEqual({ name: 'logs', ok: false, says: 'the disk is full' });
});
