import { describe, expect, it } from 'vitest';
import { newLoopState, recordOf } from '../../../src/core/loop-state.ts';
import { missing, present } from '../../../src/core/reading.ts';
import { accountOf } from '../../../src/core/report/account.ts';
import { statusReport } from '../../../src/core/report/status.ts';
import { cores, mib, milliseconds, ratio } from '../../../src/core/units.ts';
import { broken, container, cpuUse, guest, host, memoryUse, policy, vmid } from '../builders.ts';
import { HOLD_REASONS, heldFor, reportInput, SKIP_REASONS, skippedFor } from './report.ts';

const only = (input: ReturnType<typeof reportInput>) => {
  const report = statusReport(input);
  // What goes over the socket comes out as it went in.
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  const [row] = report.containers;
  if (row === undefined) throw new Error('no row');
  return row;
};

describe('the row of a container', () => {
  it('has what was seen, what it has and what it needs', () => {
    const row = only(
      reportInput([
        container(guest(101, { name: 'web' }), {
          cpu: present({ ...cpuUse(1.234, 2), pressure: ratio(0.125) }),
          memory: present(memoryUse(700, { pressure: undefined, cacheMib: mib(90) })),
        }),
      ]),
    );
    expect(row).toMatchObject({
      vmid: 101,
      name: 'web',
      policy: 'DEFAULT',
      mode: 'act',
      state: 'running',
      cpu: { usedCores: 1.23, allowedCores: 2, percent: 61.7 },
      memory: { usedMib: 700, percent: 68.4, cacheMib: 90 },
      allocation: { cores: 2, cpuLimit: null, memoryMib: 1024, swapMib: 512 },
      need: { cores: 2, memoryMib: 770 },
      pressure: { cpuPercent: 12.5, memoryPercent: null },
      lastChange: null,
      now: { brief: 'in band' },
    });
  });

  it('says why a number is missing, and never shows a zero for it', () => {
    const cpu = missing('first-sample', 'no earlier sample');
    const row = only(reportInput([container(guest(101), { cpu, memory: broken('a bad line') })]));
    expect(row.cpu).toEqual({ missing: 'no earlier sample' });
    expect(row.memory).toEqual({ missing: 'a bad line' });
    expect(row.pressure).toEqual({ cpuPercent: null, memoryPercent: null });
    expect(row.need).toEqual({ cores: null, memoryMib: null });
    expect(row.now.brief).toBe('cpu measuring, mem missing');
  });

  it.each([
    [{ kind: 'frozen' }, 'frozen', 'frozen'],
    [{ kind: 'stopped', leftBehind: true }, 'stopped (cgroup left behind)', 'left behind'],
  ] as const)('names the state: %j', (state, named, missed) => {
    const { vmid: id, config } = container(guest(101));
    const containers = [{ vmid: id, config, state }];
    const row = only(reportInput(containers));
    expect(row).toMatchObject({ state: named, now: { brief: named } });
    expect(row.cpu).toEqual({ missing: expect.stringContaining(missed) });
    const account = accountOf(reportInput(containers), vmid(101));
    expect(account?.leftAlone).toContain(missed);
    expect(account?.seen.at(-1)).toMatchObject({ what: 'state' });
  });

  it('of a stopped one, and of one that cannot be read', () => {
    const config = guest(101);
    const stopped = {
      vmid: vmid(101),
      config: present(config),
      state: { kind: 'stopped' },
    } as const;
    expect(only(reportInput([stopped]))).toMatchObject({
      state: 'stopped',
      cpu: { missing: 'it is not running' },
      now: { brief: 'stopped' },
      allocation: { cores: 2, memoryMib: 1024 },
    });
    expect(only(reportInput([{ ...stopped, config: broken('no such thing') }]))).toMatchObject({
      name: 'CT101',
      policy: null,
      mode: 'unknown',
      why: 'no such thing',
      allocation: null,
      now: { brief: 'unreadable' },
    });
  });

  it('shows what has changed since the cycle', () => {
    const state = newLoopState();
    const input = reportInput([container(guest(101))], {}, { state });
    recordOf(state, vmid(101)).running = guest(101, { cores: 4, memoryMib: mib(2048) });
    const wallMs = milliseconds(input.wallMs + 30_000);
    recordOf(state, vmid(101)).lastChange = {
      wallMs,
      text: 'cores 2 -> 4 cores',
      status: 'confirmed',
    };
    expect(only(input)).toMatchObject({
      allocation: { cores: 4, memoryMib: 2048 },
      memory: { usedMib: 512, percent: 25 },
      lastChange: { time: '2026-11-21 22:05:15', what: 'cores 2 -> 4 cores', status: 'confirmed' },
    });
  });

  it('says that the last change failed, also where that was after the decision', () => {
    const state = newLoopState();
    const input = reportInput([container(guest(101))], {}, { state });
    recordOf(state, vmid(101)).failure = {
      count: 1,
      retryAtMs: milliseconds(input.nowMs + 45_000),
    };
    expect(only(input).now).toEqual({
      brief: 'failed lately 45 s',
      says: 'the last change failed; next try in 45 s.',
    });
  });

  it('says what is left of a time now, not what was left in the cycle', () => {
    const { nowMs, ...input } = heldFor(HOLD_REASONS.cooldown, {
      containers: [container(guest(101))],
    });
    expect(only({ ...input, nowMs: milliseconds(nowMs + 50_000) }).now.brief).toBe(
      'cpu cooldown 70 s',
    );
    expect(only({ ...input, nowMs: milliseconds(nowMs + 500_000) }).now.brief).toBe(
      'cpu cooldown 0 s',
    );
  });

  it('makes texts of others harmless', () => {
    const evil = 'a\u001b[2J\u202eb\nc';
    const input = reportInput([container(guest(101, { name: evil, lock: evil }))]);
    expect(JSON.stringify(statusReport(input))).not.toMatch(/(?<!\\)\\(u001b|n)|\u202e/);
  });

  it.each(Object.entries(HOLD_REASONS))('has words for a value that stays: %s', (kind, because) => {
    const { now } = only(heldFor(because, { containers: [container(guest(101))] }));
    expect(now.says).toMatch(/^CPU: .{20,}\. Memory: .{20,}\.$/);
    expect(now.says).not.toMatch(/undefined|NaN|Infinity|\[object/);
    const usual = kind === 'in-band' ? /^in band$/ : /^cpu [a-z0-9 ]{4,30}$/;
    const observed = /^would: cpu \d+>\d+$/;
    expect(now.brief).toMatch(kind === 'observe-only' ? observed : usual);
  });

  it.each(Object.entries(SKIP_REASONS))(
    'has words for a container that is skipped: %s',
    (_, because) => {
      const { now } = only(skippedFor(because, { containers: [container(guest(101))] }));
      expect(now.says).toMatch(/^.{10,}\.$/);
      expect(now.says).not.toMatch(/undefined|NaN|Infinity|\[object/);
      expect(now.brief).toMatch(/^[a-z0-9 ()]{4,30}$/);
    },
  );
});

describe('the host', () => {
  it('has its budget, its reserve and how busy it is', () => {
    const state = newLoopState();
    const times = { busyTicks: 1, totalTicks: 2 };
    state.hostCpu = { atMs: milliseconds(0), times, busy: ratio(0.4567) };
    const report = statusReport(reportInput([], {}, { state }));
    expect(report).toMatchObject({
      format: 1,
      from: 'daemon',
      cycle: 7,
      time: '2026-11-21 22:04:45',
      containers: [],
      host: {
        cpus: 16,
        busyPercent: 45.7,
        load1: 1,
        memoryMib: 65_536,
        availableMib: 32_768,
        reserve: { cpuPercent: 10, memoryMib: 2048 },
        budget: { cores: 14, memoryMib: 8192 },
        refused: { cores: null, memory: null },
        missing: [],
      },
    });
  });

  it('that cannot be read is null with the reason', () => {
    const seen = { ...host(), cpus: broken('no CPUs'), memory: broken('no memory') };
    const available = {
      coresCeiling: broken('no CPUs'),
      memoryMib: broken('no memory'),
      wholeMib: broken('no memory'),
      memoryBound: 'free' as const,
      kept: [],
      coresRefused: HOLD_REASONS['host-busy'],
      memoryRefused: undefined,
    } as const;
    expect(statusReport(reportInput([], { host: seen, available })).host).toMatchObject({
      cpus: null,
      busyPercent: null,
      memoryMib: null,
      availableMib: null,
      budget: { cores: null, memoryMib: null },
      missing: ['no CPUs', 'no memory'],
      refused: { cores: 'host-busy', memory: null },
    });
  });
});

it('names the guests that the OOM killer struck in the last day, for a day', () => {
  const state = newLoopState();
  const [day, nowMs] = [24 * 3_600_000, milliseconds(2e8)];
  const struck = (id: number, agoMs: number) => {
    recordOf(state, vmid(id)).oomFloor = { limitMib: 512, atMs: milliseconds(nowMs - agoMs) };
  };
  struck(101, day);
  struck(102, day + 1);
  const containers = [101, 102, 103].map((id) => container(guest(id)));
  const { host: row } = statusReport(reportInput(containers, {}, { state, nowMs }));
  expect(row.oomKilled).toEqual([101]);
});

it('shows a container that is scaled by its cpulimit as such', () => {
  const own = policy();
  const cpu = { ...own.cpu, unit: 'cpulimit' } as const;
  const manage = () =>
    ({ kind: 'managed', policy: { ...own, cpu }, mode: 'observe', because: 'TIER_x' }) as const;
  const row = only(
    reportInput([container(guest(101, { cpuLimit: cores(0.5) }))], { manage }, { manage }),
  );
  expect(row).toMatchObject({ unit: 'cpulimit', mode: 'observe', allocation: { cpuLimit: 0.5 } });
});
