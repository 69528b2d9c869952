import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProcessContext } from '../../src/app/context.ts';
import type { DaemonState } from '../../src/app/control-answer.ts';
import { settingsOf } from '../../src/app/loop-settings.ts';
import { type Metrics, openMetrics } from '../../src/app/metrics.ts';
import type { MessageCounts } from '../../src/app/metrics-server.ts';
import { type OpenHome, openWorld } from '../../src/app/world.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import { onNode } from '../../src/config/on-node.ts';
import { type LoopState, newLoopState, recordOf } from '../../src/core/loop-state.ts';
import { pauseAfter } from '../../src/core/pause.ts';
import { missing, present } from '../../src/core/reading.ts';
import type { CheckName } from '../../src/core/report/health.ts';
import { milliseconds } from '../../src/core/units.ts';
import type { CycleView } from '../../src/loop/cycle.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { newTally } from '../../src/output/tally.ts';
import { vmid } from '../core/builders.ts';
import { reportInput } from '../core/report/report.ts';

let directory: string;
let config: Config;
let context: ProcessContext;
let state: LoopState;
let nowMs: number;
let open: OpenHome;
let metrics: Metrics;
let messages: Map<string, MessageCounts>;

const view = (): CycleView => {
  const { cycle, wallMs, verdicts, planned, available, host, containers } = reportInput([]);
  const observed = { atMs: milliseconds(nowMs), host, containers, holds: new Map() };
  const spentMs = new Map([['observe', 3]]);
  return { cycle, wallMs, verdicts, planned, available, observed, spentMs };
};

const knownOf = (node: string, ofNode: LoopState): DaemonState => ({
  node,
  view: undefined,
  from: 'daemon',
  state: ofNode,
  timezone: undefined,
  settings: settingsOf(onNode(config, 'pve1'), { dryRun: true }),
  nowMs: milliseconds(nowMs),
});

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'figures-'));
  nowMs = 1_000_000;
  messages = new Map();
  const loaded = parseConfig('DEFAULT:\n  poll_interval: 300\n', 'f.yaml', {});
  if (!loaded.ok) throw new Error('the configuration is wrong');
  config = loaded.config;
  const clock = {
    wallMs: () => milliseconds(1e12 + nowMs),
    monotonicMs: () => milliseconds(nowMs),
  };
  context = {
    paths: createPaths(directory),
    clock,
    env: { PATH: directory },
    stdout: new PassThrough().resume(),
    stderr: new PassThrough().resume(),
  };
  open = openWorld(config, context);
  state = newLoopState();
  const parts = { open, context, config: () => config, known: () => knownOf(open.name, state) };
  metrics = openMetrics({ ...parts, messages: () => messages });
  writeFileSync(join(directory, 'pct'), '', { mode: 0o755 });
});

afterEach(async () => {
  await metrics.stop();
  await open.close();
  rmSync(directory, { recursive: true, force: true });
});

const check = (name: CheckName) => metrics.health().checks.find((one) => one.name === name);
const cycled = (seen: CycleView | undefined): void => {
  const result = missing('unreadable', 'not of interest here');
  metrics.cycleEnded({ node: open.name, kind: 'whole', result, view: seen });
};
const later = (seconds: number): void => {
  nowMs += seconds * 1000;
};

describe('the health of the daemon', () => {
  it('rests on cycles that saw the containers; blind ones count for nothing', () => {
    expect(metrics.health().healthy).toBe(true);
    cycled(view());
    later(600);
    cycled(undefined);
    expect(check('cycle')).toMatchObject({ ok: true, says: expect.stringContaining('600 s ago') });
    later(61);
    expect(check('cycle')?.ok).toBe(false);
    expect(metrics.health().healthy).toBe(false);
    cycled(view());
    expect(metrics.health().healthy).toBe(true);
    expect(open.tally.cycles).toEqual({ good: 2, blind: 1 });
  });

  it('is not well while nothing can be changed', () => {
    expect(check('quorum')).toMatchObject({ ok: true });
    state.pause = pauseAfter(undefined, present(false), milliseconds(nowMs));
    expect(check('quorum')).toMatchObject({ ok: false });
    expect(check('quorum')?.says).toContain('the cluster has no quorum');
    state.pause = undefined;
    expect(check('quorum')).toMatchObject({ ok: true });
  });

  it('is not well where pvestatd does not apply cores that were set long ago', () => {
    const pending = { cores: 4, sinceMs: milliseconds(nowMs), warned: false };
    recordOf(state, vmid(101)).life.pendingCores = pending;
    expect(check('pvestatd')).toMatchObject({ ok: true });
    recordOf(state, vmid(101)).life.pendingCores = { ...pending, warned: true };
    expect(check('pvestatd')).toMatchObject({
      ok: false,
      says:
        'the cores of 101 are set but not active: pvestatd is not applying them; ' +
        'see `systemctl status pvestatd`',
    });
  });

  it('tries out what can be written, but not each time that a monitor asks', () => {
    expect(check('backups')?.ok).toBe(true);
    expect(check('pct')?.says).toBe(`it is ${join(directory, 'pct')}`);
    rmSync(join(directory, 'var'), { recursive: true });
    writeFileSync(join(directory, 'var'), '');
    rmSync(join(directory, 'pct'));
    later(15);
    expect(metrics.health().healthy).toBe(true);
    later(1);
    const ill = metrics.health().checks.filter(({ ok }) => !ok);
    expect(ill.map(({ name }) => name)).toEqual(['backups', 'logs', 'pct']);
  });

  it('is ill where messages have failed for half an hour, and not where they only wait', () => {
    const isWellAfter = (seconds: number, sent: number, failed: number, waiting: number) => {
      later(seconds);
      cycled(view());
      messages.set('gotify', { sent, failed, waiting });
      cycled(view());
      return check('notifications')?.ok;
    };
    expect(isWellAfter(0, 1, 4, 9)).toBe(true);
    expect(isWellAfter(1801, 2, 4, 9)).toBe(true);
    // They wait through the night, and nothing has been tried.
    expect(isWellAfter(30_000, 2, 4, 9)).toBe(true);
    expect(isWellAfter(10, 2, 5, 9)).toBe(true);
    expect(isWellAfter(1800, 2, 9, 9)).toBe(true);
    expect(isWellAfter(1, 2, 9, 9)).toBe(false);
    expect(isWellAfter(1, 3, 9, 8)).toBe(true);
    expect(isWellAfter(3600, 3, 9, 8)).toBe(true);
  });

  it('counts reloads', () => {
    metrics.reloaded(true);
    metrics.reloaded(false);
    metrics.reloaded(false);
    expect(open.tally.reloads).toEqual({ done: 1, refused: 2 });
  });
});

describe('the health of the daemon away from a node', () => {
  let states: LoopState[];
  let worlds: OpenHome[];
  let away: Metrics;

  beforeEach(() => {
    states = [newLoopState(), newLoopState()];
    worlds = ['one', 'two'].map((name) => ({
      ...open,
      name,
      inventory: undefined,
      tally: newTally(),
      hanging: () => undefined,
    }));
    const nodes = worlds.map((world, at) => () => ({
      open: world,
      known: knownOf(world.name, states[at] ?? state),
    }));
    away = openMetrics({
      open: worlds[0] ?? open,
      context,
      config: () => config,
      messages: () => messages,
      known: () => knownOf('one', states[0] ?? state),
      others: () => nodes.slice(1).map((one) => one()),
    });
  });

  afterEach(() => away.stop());

  const seen = (node: string): void => {
    const result = missing('unreadable', 'not of interest here');
    away.cycleEnded({ node, kind: 'whole', result, view: view() });
  };
  const checks = () =>
    new Map(away.health().checks.map(({ name, ok, says }) => [name, { ok, says }]));

  it('claims nothing of a node that was not seen', () => {
    expect([...checks().keys()]).toEqual(['cycle', 'backups', 'logs', 'notifications']);
    expect(away.health().healthy).toBe(true);
    seen('one');
    const quorum = 'one: /etc/pve takes changes; two: nothing is known now';
    expect(checks().get('quorum')).toEqual({ ok: true, says: quorum });
    seen('two');
    expect(checks().get('quorum')?.says).toBe('one, two: /etc/pve takes changes');
    expect(checks().get('pvestatd')?.says).toBe('one, two: cores that were set are active');
    later(661);
    expect(checks().get('cycle')?.ok).toBe(false);
    expect(checks().has('quorum')).toBe(false);
  });

  it('is not well while one of them is paused, or does not apply cores', async () => {
    for (const node of ['one', 'two']) seen(node);
    const [, two = state] = states;
    two.pause = pauseAfter(undefined, present(false), milliseconds(nowMs));
    expect(checks().get('quorum')).toEqual({
      ok: false,
      says: expect.stringMatching(/^two: the cluster has no quorum/),
    });
    expect(away.health().healthy).toBe(false);
    expect(await away.answer('/healthz')).toMatchObject({
      status: 200,
      body: expect.stringMatching(/^ok, but paused: two: the cluster has no/),
    });
    two.pause = undefined;
    const pending = { cores: 4, sinceMs: milliseconds(nowMs), warned: true };
    recordOf(two, vmid(101)).life.pendingCores = pending;
    expect(checks().get('pvestatd')).toEqual({
      ok: false,
      says: expect.stringMatching(/^two: the cores of 101 are set but not/),
    });
  });
});
