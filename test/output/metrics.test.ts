import { describe, expect, it } from 'vitest';
import { recordOf } from '../../src/core/loop-state.ts';
import { missing, present } from '../../src/core/reading.ts';
import { milliseconds, ratio } from '../../src/core/units.ts';
import { type MetricsInput, metricsText } from '../../src/output/metrics.ts';
import { newTally, noteCycle, noteEvent } from '../../src/output/tally.ts';
import { broken, container, gone, guest, hold, host, vmid } from '../core/builders.ts';
import { eventFrom } from '../core/journal-events.ts';
import { reportInput, skippedFor } from '../core/report/report.ts';
import { everything } from './everything.ts';
import { parseExposition } from './parse-exposition.ts';

const PREFIX = 'lxc_autoscale_';

/** The values of a metric by its labels, in the form `a=b,c=d`. */
function valuesOf(input: MetricsInput, name: string): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const series of parseExposition(metricsText(input))) {
    if (series.name !== `${PREFIX}${name}`) continue;
    const labels = Object.entries(series.labels).map(([key, value]) => `${key}=${value}`);
    found[labels.join()] = series.value;
  }
  return found;
}

const fresh = (report?: MetricsInput['report']): MetricsInput => ({
  ...everything(),
  tally: newTally(),
  report,
  notifications: [],
});

describe('the figures of a container', () => {
  it('are in base units, under the id that other exporters use', () => {
    const one = everything([101]);
    expect(valuesOf(one, 'container_cpu_used_cores')).toEqual({ 'id=lxc/101': 1.25 });
    expect(valuesOf(one, 'container_cpu_limit_cores')).toEqual({ 'id=lxc/101': 2 });
    expect(valuesOf(one, 'container_memory_used_bytes')).toEqual({ 'id=lxc/101': 700 * 2 ** 20 });
    expect(valuesOf(one, 'container_memory_limit_bytes')).toEqual({ 'id=lxc/101': 2 ** 30 });
    expect(valuesOf(one, 'container_memory_needed_bytes')).toEqual({
      'id=lxc/101': 770 * 2 ** 20,
    });
    expect(valuesOf(one, 'container_last_change_timestamp_seconds')).toEqual({
      'id=lxc/101': 1.8e9,
    });
    expect(valuesOf(one, 'container_pressure_ratio')).toEqual({
      'id=lxc/101,resource=cpu': 0.125,
      'id=lxc/101,resource=memory': 0.5,
    });
    expect(valuesOf(one, 'container_oom_kills_total')).toEqual({
      'id=lxc/101,limit=own': 3,
      'id=lxc/101,limit=nested': 2,
      'id=lxc/101,limit=host': 0,
    });
    expect(valuesOf(one, 'container_memory_limit_hits_total')).toEqual({ 'id=lxc/101': 40 });
    const info = 'id=lxc/101,name=ct101,node=pve1,policy=DEFAULT,scaling=threshold,mode=act';
    expect(valuesOf(one, 'container_info')).toEqual({ [info]: 1 });
  });

  it('have no series for what nobody tells of a virtual machine', () => {
    const one = everything([101]);
    const { state } = one.report ?? {};
    if (state === undefined) throw new Error('no report');
    recordOf(state, vmid(101)).shortages = {
      kills: 1,
      nested: 0,
      byHost: undefined,
      limitHits: undefined,
      killedWallMs: undefined,
    };
    expect(Object.keys(valuesOf(one, 'container_oom_kills_total'))).toEqual([
      'id=lxc/101,limit=own',
      'id=lxc/101,limit=nested',
    ]);
    expect(valuesOf(one, 'container_memory_limit_hits_total')).toEqual({});
  });

  it('have no series where they are not known, and never a zero', () => {
    const cpu = missing('first-sample', 'no earlier sample');
    const unseen = reportInput([
      container(guest(101), { cpu, memory: broken() }),
      { vmid: vmid(102), config: broken(), state: { kind: 'unknown', reason: gone() } },
      { vmid: vmid(103), config: present(guest(103)), state: { kind: 'stopped' } },
    ]);
    const text = metricsText(fresh(unseen));
    expect(text).not.toMatch(/container_(cpu_used|memory_used|pressure|cpu_needed)/);
    expect(valuesOf(fresh(unseen), 'container_running')).toEqual({
      'id=lxc/101': 1,
      'id=lxc/103': 0,
    });
    expect(Object.keys(valuesOf(fresh(unseen), 'container_memory_limit_bytes'))).toEqual([
      'id=lxc/101',
      'id=lxc/103',
    ]);
  });

  it('have the cpulimit where that binds first, and all CPUs where nothing is said', () => {
    const of = (own: Parameters<typeof guest>[1]) =>
      valuesOf(fresh(reportInput([container(guest(101, own))])), 'container_cpu_limit_cores');
    const limited = { cores: 4, cpuLimit: 1.5 as ReturnType<typeof guest>['cpuLimit'] };
    expect(of(limited)).toEqual({ 'id=lxc/101': 1.5 });
    const { cpus } = host();
    expect(of({ cores: null })).toEqual({ 'id=lxc/101': cpus.ok ? cpus.value : -1 });
  });

  it('say what holds it, and nothing where nothing does', () => {
    const locked = skippedFor({ kind: 'locked', lock: 'backup' });
    const containers = [container(guest(101))];
    expect(valuesOf(fresh({ ...locked, containers }), 'container_held')).toEqual({
      'id=lxc/101,resource=all,reason=locked': 1,
    });
    expect(valuesOf(fresh(reportInput(containers)), 'container_held')).toEqual({});
  });

  it('do not let a name out of its label', () => {
    const name = 'a"} 1\nb{x="\\';
    const hostile = fresh(reportInput([container(guest(101, { name }))]));
    const all = parseExposition(metricsText(hostile));
    const info = all.find((series) => series.name === `${PREFIX}container_info`);
    expect(info?.labels['name']).toBe('a"} 1\\nb{x="\\');
  });

  it('are there once each, and no more of them than the containers ask for', () => {
    const count = (containers: number): number => {
      const ids = Array.from({ length: containers }, (_, index) => 101 + index);
      const all = parseExposition(metricsText(everything(ids)));
      const distinct = new Set(all.map(({ name, labels }) => name + JSON.stringify(labels)));
      expect(distinct.size).toBe(all.length);
      return all.length;
    };
    expect(count(300) - count(200)).toBeLessThanOrEqual(25 * 100);
  });
});

describe('the figures of the loop', () => {
  it('begin at zero for what may happen, so that the first event shows', () => {
    const values = valuesOf(fresh(), 'changes_total');
    expect(values['resource=memory,direction=up,result=failed']).toBe(0);
    expect(Object.keys(values)).toHaveLength(24);
    expect(valuesOf(fresh(), 'refusals_total')['resource=cpu,reason=host-busy']).toBe(0);
    expect(valuesOf(fresh(), 'last_good_cycle_timestamp_seconds')).toEqual({});
  });

  it('count what went through the journal, by how it went', () => {
    const input = fresh();
    const record = (label: string, isWritten = true, own: object = {}) =>
      noteEvent(input.tally, eventFrom(label, own), isWritten);
    record('Increase Memory');
    record('Increase Memory', false);
    record('Decrease Cores Rolled Back');
    record('Would Increase Cores');
    record('Confirm Cores');
    record('Scale In Failed', true, { group: 'web' });
    const changes = Object.entries(valuesOf(input, 'changes_total')).filter(([, n]) => n > 0);
    expect(Object.fromEntries(changes)).toEqual({
      'resource=memory,direction=up,result=confirmed': 2,
      'resource=cpu,direction=down,result=rolled-back': 1,
      'resource=cpu,direction=up,result=dry-run': 1,
    });
    expect(valuesOf(input, 'group_changes_total')).toEqual({
      'group=web,direction=in,result=failed': 1,
    });
    expect(valuesOf(input, 'unwritten_log_lines_total')).toEqual({ '': 1 });
  });

  it('count cycles, their stages and what the host refused in them', () => {
    const input = fresh();
    const at = (ms: number) => ({ wallMs: milliseconds(1e12 + ms), atMs: milliseconds(ms) });
    const held = [
      hold(101, { kind: 'host-memory', wanted: 512, budget: 0 }),
      hold(102, { kind: 'at-maximum' }),
    ];
    noteCycle(input.tally, at(1000), { spentMs: new Map([['act', 500]]), held });
    noteCycle(input.tally, at(2000), { spentMs: new Map([['act', 250]]), held });
    noteCycle(input.tally, at(3000), undefined);
    expect(valuesOf(input, 'cycles_total')).toEqual({ 'result=good': 2, 'result=blind': 1 });
    expect(valuesOf(input, 'last_good_cycle_timestamp_seconds')).toEqual({ '': 1e9 + 2 });
    expect(valuesOf(input, 'cycle_stage_duration_seconds_sum')).toEqual({ 'stage=act': 0.75 });
    expect(valuesOf(input, 'cycle_stage_duration_seconds_count')).toEqual({ 'stage=act': 2 });
    const refused = Object.entries(valuesOf(input, 'refusals_total')).filter(([, n]) => n > 0);
    expect(refused).toEqual([['resource=memory,reason=host-memory', 2]]);
  });

  it('keeps its counters bounded, whatever is recorded', () => {
    const { tally } = fresh();
    for (let n = 0; n < 5000; n += 1) {
      const details = { status: `s${n}`, group: `g${n}` };
      noteEvent(tally, eventFrom('Scale Out', details), true);
    }
    expect(tally.groupChanges.size).toBeLessThanOrEqual(1000);
  });
});

describe('the figures of the host', () => {
  it('say how it is, and whether it has nothing left', () => {
    const input = everything();
    expect(valuesOf(input, 'host_cpu_busy_ratio')).toEqual({ '': 0.25 });
    expect(valuesOf(input, 'host_emergency')).toEqual({ 'resource=memory': 0 });
    const { report } = input;
    if (report === undefined) throw new Error('there is no report');
    const busy = { ...report, state: { ...report.state, unrecorded: 'the disk is full' } };
    busy.state.hostCpu = {
      atMs: milliseconds(1),
      times: { busyTicks: 1, totalTicks: 1 },
      busy: ratio(0.99),
    };
    const values = { ...input, report: busy };
    // Busy CPUs are no emergency.
    expect(valuesOf(values, 'host_emergency')).toEqual({ 'resource=memory': 0 });
    expect(valuesOf(values, 'host_cpu_busy_ratio')).toEqual({ '': 0.99 });
    expect(valuesOf(values, 'changes_blocked')).toEqual({ '': 1 });
  });
});

it('of several nodes each series says of which it is, and those of the program do not', () => {
  const [home, lab] = [everything([101]), everything([201])];
  const others = [{ node: 'lab', report: lab.report, tally: lab.tally }];
  const all = parseExposition(metricsText({ ...home, others }));
  const nodesOf = (name: string) =>
    all.filter((one) => one.name === name).map(({ labels }) => labels['node']);
  expect(nodesOf('lxc_autoscale_host_cpus')).toEqual([home.node, 'lab']);
  expect(nodesOf('lxc_autoscale_process_resident_memory_bytes')).toEqual([undefined]);
});
