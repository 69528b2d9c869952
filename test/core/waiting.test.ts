import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Waited } from '../../src/core/guest-record.ts';
import type { CpuUsage } from '../../src/core/observation.ts';
import { thresholdCores } from '../../src/core/policies/threshold.ts';
import { milliseconds, ratio } from '../../src/core/units.ts';
import { type Waiting, withWaiting } from '../../src/core/waiting.ts';
import { cpuUse, policy } from './builders.ts';

const NOW_MS = milliseconds(10_000_000);
const MINUTE = 60_000;

const use = (used: number, has: number, pressure: number | undefined): CpuUsage => ({
  ...cpuUse(used, has),
  pressure: pressure === undefined ? undefined : ratio(pressure),
});

function verdictOn(cpu: CpuUsage, own: Partial<Waiting> = {}, max = 8) {
  const has = cpu.allowed;
  const plain = thresholdCores({ has }, cpu, policy({ maxCores: max }));
  const given = { cpu, step: 1, hostBusy: ratio(0.3), waited: undefined, nowMs: NOW_MS };
  return withWaiting(plain, { ...given, ...own });
}

const becomes = (cpu: CpuUsage, own: Partial<Waiting> = {}): number => {
  const verdict = verdictOn(cpu, own);
  return verdict.verdict === 'hold' ? verdict.measured.before : verdict.after;
};

/** A core more for 50 % of waiting, so many minutes ago. */
const given = (minutes: number, own: Partial<Waited> = {}): Waited => ({
  before: 1,
  after: 2,
  share: 0.5,
  count: 0,
  atMs: milliseconds(NOW_MS - minutes * MINUTE),
  ...own,
});

describe('the sample results in the comment', () => {
  const source = readFileSync(new URL('../../src/core/waiting.ts', import.meta.url), 'utf8');
  const rows = [...source.matchAll(/\| ([\d.]+) of (\d+) +\| (\d+) % +\| (\d+) % +\| (\d+)/g)].map(
    (row) => row.slice(1).map(Number),
  );

  it('are four', () => expect(rows.length).toBe(4));
  it.each(rows)('%f of %i, waits %i %%, host %i %% busy: %i', (used, has, waits, busy, after) => {
    const cpu = use(used ?? 0, has ?? 0, (waits ?? 0) / 100);
    expect(becomes(cpu, { hostBusy: ratio((busy ?? 0) / 100) })).toBe(after);
  });
});

describe('a container whose tasks wait inside the band', () => {
  it('is left where the kernel or the host does not say how busy it is', () => {
    expect(becomes(use(0.5, 1, undefined))).toBe(1);
    expect(becomes(use(0.5, 1, 0.9), { hostBusy: undefined })).toBe(1);
  });

  it('is left after a moment only', () => {
    expect(becomes({ ...use(0.5, 1, 0.9), overMs: milliseconds(5000) })).toBe(1);
  });

  it('gets no more than its maximum', () => {
    expect(verdictOn(use(0.5, 1, 0.9), {}, 1)).toMatchObject({ because: { kind: 'at-maximum' } });
  });

  it('keeps what has helped, and gets more where it waits still', () => {
    expect(becomes(use(0.9, 2, 0.05), { waited: given(5) })).toBe(2);
    expect(becomes(use(1, 2, 0.45), { waited: given(5, { share: 0.9 }) })).toBe(3);
  });

  it('gives back what has not helped, once that can be seen', () => {
    const still = use(0.5, 2, 0.45);
    expect(becomes(still, { waited: given(0.5) })).toBe(2);
    const undone = verdictOn(still, { waited: given(5) });
    expect(undone).toMatchObject({ verdict: 'shrink', after: 1, rule: 'waiting-undone' });
  });

  it('does not give back what it needs by now', () => {
    expect(becomes(use(1.2, 2, 0.9), { waited: given(5) })).toBe(2);
  });

  it('does not try again before its wait is over', () => {
    const undone = { ...given(50), count: 1, retryAtMs: milliseconds(NOW_MS + 10 * MINUTE) };
    expect(becomes(use(0.5, 1, 0.9), { waited: undone })).toBe(1);
    const over = { ...undone, retryAtMs: NOW_MS };
    expect(becomes(use(0.5, 1, 0.9), { waited: over })).toBe(2);
  });
});
