import { describe, expect, it } from 'vitest';
import { groupLines, groupSummary } from '../../src/cli/group-lines.ts';
import type { GroupReport, MemberReport } from '../../src/core/groups/group-report.ts';

const member: MemberReport = {
  vmid: 101,
  name: 'web',
  role: 'serving',
  ours: false,
  address: '10.0.0.2',
  cpuPercent: 90,
  memoryPercent: null,
  says: '',
};

const report = (own: Partial<GroupReport> = {}): GroupReport => ({
  label: 'web',
  source: 101,
  wanted: 2,
  inService: 1,
  min: 2,
  max: 5,
  scaleIn: 'off',
  standing: '1 in service',
  members: [member],
  underWay: [],
  notes: [],
  failures: [],
  ...own,
});

const failure = {
  what: 'starting container 99000',
  count: 1,
  retryInS: 9,
  message: 'no such disk',
};

describe('groups in status', () => {
  const now = (own: Partial<GroupReport>) => groupSummary([report(own)]).at(-1);

  it('show the most pressing: what is under way, what failed, what is to be known', () => {
    const notes = ['the source is locked'];
    expect(now({})).toMatch(/off +-$/);
    expect(now({ notes })).toMatch(/the source is locked$/);
    expect(now({ notes, failures: [failure] })).toMatch(
      /off +starting container 99000 failed, see explain$/,
    );
    const underWay = ['cloning container 101'];
    expect(now({ notes, failures: [failure], underWay })).toMatch(/cloning container 101$/);
  });
});

describe('explain GROUP', () => {
  it('says what failed, how often, when it is tried again, and why', () => {
    const again = { ...failure, count: 3, retryInS: 0, message: '' };
    expect(groupLines(report({ failures: [failure, again] })).slice(-2)).toEqual([
      '  starting container 99000 failed once, next try in 9 s: no such disk',
      '  starting container 99000 failed 3 times in a row, it is tried again when due',
    ]);
  });

  it('says what more than 100 % means, where there is such a thing', () => {
    const words = /^More than 100 % CPU/;
    const lines = (cpuPercent: number) =>
      groupLines(report({ members: [{ ...member, cpuPercent }] }));
    expect(lines(100)).not.toContainEqual(expect.stringMatching(words));
    expect(lines(133)).toContainEqual(expect.stringMatching(words));
  });
});
