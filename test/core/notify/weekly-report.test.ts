import { describe, expect, it } from 'vitest';
import { fromSavedWeek, toSavedWeek } from '../../../src/core/notify/saved-week.ts';
import {
  newWeek,
  nodeOf,
  noteOutcome,
  noteSeen,
  type Week,
} from '../../../src/core/notify/week.ts';
import { reportOfNow, weeklyReport } from '../../../src/core/notify/weekly-report.ts';
import { type StatusReport, statusReport } from '../../../src/core/report/status.ts';
import { milliseconds, parseVmid, type Vmid } from '../../../src/core/units.ts';
import { container, guest, hold, vmid } from '../builders.ts';
import { eventFrom } from '../journal-events.ts';
import { reportInput } from '../report/report.ts';

const HOUR_MS = 3_600_000;
const SINCE = milliseconds(Date.UTC(2026, 10, 23, 8));
const NOW = milliseconds(SINCE + 168 * HOUR_MS);
const localTime = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
const shortages = (kills: number, limitHits: number | undefined) => ({
  kills,
  nested: 0,
  byHost: 0,
  limitHits,
  killedWallMs: undefined,
});
const of = (id: number) => container(guest(id));
const status = (): StatusReport => statusReport(reportInput([of(101), of(102), of(103)]));

/** The status with so many kills and hits of some containers; null: it is not known. */
function withShortages(of: Readonly<Record<number, readonly [number, number | null] | null>>) {
  const report = status();
  const containers = report.containers.map((row) => {
    const [oomKills, limitHits] = of[row.vmid] ?? [0, 0];
    if (of[row.vmid] === null) return { ...row, shortages: null };
    const times = { lastKillTime: null, lastKillAt: null };
    return { ...row, shortages: { oomKills, limitHits, ...times } };
  });
  return { ...report, containers };
}

const seen = (week: Week, of: ReadonlyMap<Vmid, ReturnType<typeof shortages> | undefined>) =>
  noteSeen(nodeOf(week, 'pve1'), { lastedMs: 168 * HOUR_MS, held: [], shortages: of });

const told = (week: Week, report: StatusReport | undefined = status()): readonly string[] =>
  weeklyReport(week, [{ node: 'pve1', label: '', report }], NOW, localTime);

const note = (week: Week, action: string, rest: object = {}) =>
  noteOutcome(
    nodeOf(week, 'pve1'),
    eventFrom(action, { name: 'web', before: 1, after: 2, ...rest }),
  );

describe('the weekly report', () => {
  it('counts changes by resource and way, failures, and clones', () => {
    const week = newWeek(SINCE);
    for (const action of ['Increase Memory', 'Increase Memory', 'Decrease Cores'])
      note(week, action);
    for (const action of ['Increase Cores Failed', 'Decrease Memory Rolled Back'])
      note(week, action);
    for (const action of ['Would Increase Cores', 'Confirm Cores', 'Decrease Memory Not Proven']) {
      expect(note(week, action)).toBe(false);
    }
    note(week, 'Scale Out', { group: 'web' });
    expect(told(week)).toContain(
      'Changes: CPU 0 up, 1 down; memory 2 up, 0 down. Failed: 2. Clones: 1 more, 0 fewer.',
    );
  });

  it('counts kills and limits of this week only, and those of a new guest from nothing', () => {
    const week = newWeek(SINCE);
    const of = new Map([101, 102, 103].map((id) => [vmid(id), shortages(5, 40)]));
    seen(week, of);
    const lines = told(week, withShortages({ 101: [7, 40], 102: [5, 52], 103: [1, 2] }));
    expect(lines).toContain('OOM kills: 101 (guest-101) 2, 103 (guest-103) 1.');
    expect(lines).toContain('Memory limits met: 102 (guest-102) 12, 103 (guest-103) 2.');
  });

  it('says what is not known, and never counts it as none', () => {
    const week = newWeek(SINCE);
    seen(
      week,
      new Map([
        [vmid(101), shortages(0, undefined)],
        [vmid(102), undefined],
      ]),
    );
    const lines = told(week, withShortages({ 101: [0, null], 102: null, 103: [3, 3] }));
    expect(lines).toContain('OOM kills: none (not known of 2).');
    expect(lines).toContain('Memory limits met: none (not known of 3).');
  });

  it('says for how long the guests were seen if that was not the whole time', () => {
    const week = newWeek(SINCE);
    expect(told(week)[1]).toMatch(/^The guests were seen for 0 min of 7 days; /);
    seen(week, new Map());
    expect(told(week).join()).not.toContain('were seen');
  });

  it('says of a node that is not seen only what was counted', () => {
    const week = newWeek(SINCE);
    note(week, 'Increase Memory');
    const report = undefined;
    const lines = weeklyReport(week, [{ node: 'pve1', label: 'pve1', report }], NOW, localTime);
    expect(lines[0]).toBe('Weekly report, 2026-11-23 08:00 to 2026-11-30 08:00.');
    expect(lines.slice(2, 4)).toEqual([
      'pve1: It is not seen now, so there are no figures of it.',
      'pve1: Changes: CPU 0 up, 0 down; memory 1 up, 0 down. Failed: 0.',
    ]);
    expect(lines.join()).not.toContain('OOM');
  });

  it('says who wanted more than the maximum, and for how long', () => {
    const week = newWeek(SINCE);
    const node = nodeOf(week, 'pve1');
    const held = [hold(101, { kind: 'at-maximum' }, { resource: 'memory' })];
    const cycle = { lastedMs: 45 * 60_000, shortages: new Map() };
    noteSeen(node, { ...cycle, held });
    noteSeen(node, { ...cycle, held });
    noteSeen(node, { ...cycle, held: [] });
    expect(told(week)).toContain('At their maximum: 101 (guest-101) memory for 1.5 h.');
  });

  it('has what is saved, and where nothing is counted only that', () => {
    const report = status();
    const host = { ...report.host, allocated: { ...report.host.allocated, savedMemoryMib: 2048 } };
    const lines = reportOfNow([{ node: 'pve1', label: '', report: { ...report, host } }]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^Allocated: .*; against what was given: 0 cores, -2 GB\.$/);
  });

  it('outlives a restart', () => {
    const week = newWeek(SINCE);
    note(week, 'Increase Memory');
    seen(week, new Map([[vmid(101), shortages(5, undefined)]]));
    nodeOf(week, 'pve1').atMaximumMs.set('101/cores', 5);
    const read = fromSavedWeek(JSON.parse(JSON.stringify(toSavedWeek(week))));
    expect(read).toEqual(week);
    expect(read?.nodes.get('pve1')?.before.get(parseVmid('101') as Vmid)?.kills).toBe(5);
  });

  const good = { seenMs: 1, failed: 0, members: { out: 0, in: 0 }, atMaximumMs: {}, before: {} };
  const ways = { up: 0, down: 0 };
  it.each([
    null,
    5,
    [],
    {},
    { format: 2, sinceMs: 5, nodes: {} },
    { format: 1, sinceMs: 5 },
    { format: 1, sinceMs: 'x', nodes: {} },
    { format: 1, sinceMs: 5, nodes: { pve1: good } },
    { format: 1, sinceMs: 5, nodes: { pve1: { ...good, changes: { cores: ways, memory: {} } } } },
    ...[{ before: { x: { kills: 1 } } }, { before: { 101: {} } }, { atMaximumMs: { x: 1 } }].map(
      (wrong) => {
        const node = { ...good, changes: { cores: ways, memory: ways }, ...wrong };
        return { format: 1, sinceMs: 5, nodes: { pve1: node } };
      },
    ),
  ])('begins anew if what was saved makes no sense: %j', (saved) => {
    expect(fromSavedWeek(saved)).toBeUndefined();
  });
});
