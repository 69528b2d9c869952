import { expect, it } from 'vitest';
import type { UsageRecord } from '../../src/core/usage-history.ts';
import { TRACE_HEADER, TRACE_STEP_S, TraceSteps, traceRow } from '../../src/core/usage-steps.ts';
import { TraceParser } from '../../src/sim/traces.ts';
import { fc } from '../fast-check.ts';
import { vmid } from './builders.ts';

const START_S = 1_795_312_800;

const record = (seconds: number, id: number, own: Partial<UsageRecord> = {}): UsageRecord => ({
  timeS: START_S + seconds,
  vmid: vmid(id),
  cpuCores: 0.5,
  memoryMib: 400,
  cpuDemand: undefined,
  cpuPeak: undefined,
  cpuAllowed: 2,
  memoryPeakMib: undefined,
  memoryLimitMib: 1024,
  cpuWaitPercent: undefined,
  memoryWaitPercent: undefined,
  ...own,
});

function rowsOf(records: readonly UsageRecord[]): readonly string[] {
  const steps = new TraceSteps();
  return [...records.flatMap((one) => steps.take(one)), ...steps.finish()].map(traceRow);
}

it('gives a row per container and step, in seconds from the first one', () => {
  const records = [record(0, 102), record(0, 101), record(300, 101), record(300, 102)];
  expect(rowsOf(records)).toEqual([
    '0,101,0.5,400',
    '0,102,0.5,400',
    '300,101,0.5,400',
    '300,102,0.5,400',
  ]);
});

it('takes the mean of the CPU that was wanted and the peak of the memory', () => {
  const records = [
    record(0, 101, { cpuCores: 1, cpuDemand: 2, memoryPeakMib: 700 }),
    record(60, 101, { cpuCores: 1, memoryMib: 500 }),
    record(120, 101, { cpuCores: 0, memoryMib: 100 }),
  ];
  expect(rowsOf(records)).toEqual(['0,101,1,700']);
});

it('gives each cycle a step of its own, though they come a little early and late', () => {
  const records = [0, 301, 599, 902, 1198].map((seconds) => record(seconds, 101));
  expect(rowsOf(records).map((row) => row.split(',')[0])).toEqual([
    '0',
    '300',
    '600',
    '900',
    '1200',
  ]);
});

it('gives no row to what is not known: a gap is no zero', () => {
  const records = [
    record(0, 101),
    record(300, 101, { cpuCores: undefined }),
    record(600, 101, { memoryMib: undefined }),
    record(900, 101),
  ];
  expect(rowsOf(records)).toEqual(['0,101,0.5,400', '900,101,0.5,400']);
});

it('is always a trace that is read without complaint', () => {
  const one = fc.record({
    seconds: fc.integer({ min: -5000, max: 100_000 }),
    id: fc.integer({ min: 100, max: 105 }),
    used: fc.option(fc.double({ min: 0, max: 64, noNaN: true }), { nil: undefined }),
    mib: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(one), fc.boolean(), (given, inOrder) => {
      const ordered = inOrder ? given.sort((a, b) => a.seconds - b.seconds) : given;
      const rows = rowsOf(
        ordered.map(({ seconds, id, used, mib }) =>
          record(seconds, id, { cpuCores: used, memoryMib: mib }),
        ),
      );
      if (rows.length === 0) return;
      const parser = new TraceParser();
      parser.push(`${[TRACE_HEADER, ...rows].join('\n')}\n`);
      expect(parser.finish()).toMatchObject({ ok: true });
      for (const row of rows) expect(Number(row.split(',')[0]) % TRACE_STEP_S).toBe(0);
    }),
  );
});
