import { mkdirSync, readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { answerTo } from '../../src/app/control-answer.ts';
import { parseLedger } from '../../src/core/groups/ledger.ts';
import { fromSavedGroups, toSavedGroups } from '../../src/core/groups/saved-groups.ts';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { takeOver, toSaved } from '../../src/core/saved-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { type CycleView, runCycle } from '../../src/loop/cycle.ts';
import { parseGuestConfig } from '../../src/node/guests/lxc-conf.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { createLeases } from '../../src/node/local/pve/lease.ts';
import { listBackups } from '../../src/store/backup-list.ts';
import { createBackups } from '../../src/store/config-backups.ts';
import { createHolds } from '../../src/store/holds.ts';
import { parseSavedState } from '../../src/store/saved-state-schema.ts';
import { createStateFile } from '../../src/store/state-file.ts';
import { readUsage, USAGE_DIRECTORY } from '../../src/store/usage-files.ts';
import { everyone, hostPolicy } from '../core/builders.ts';
import { ModelCluster, SOURCE } from '../core/groups/model-cluster.ts';
import { fc } from '../fast-check.ts';
import { FakeNode } from '../loop/fake-node.ts';
import { manualClock, plant, vmid } from '../node/local/world.ts';
import { damaged, damagedJson, fuzz, UNFIT } from './fuzz.ts';
import { keptDirectory } from './kept-directory.ts';

/** What this program wrote itself, and somebody or a broken disk has changed since. */

const BOOT = 'boot-a';
const NEVER = new AbortController().signal;
const instant = (node: FakeNode) => ({
  nowMs: milliseconds(node.nowMs),
  wallMs: milliseconds(node.nowMs),
});

/** Two containers that need nothing, and one that is under pressure. */
function someNode(): FakeNode {
  const node = new FakeNode();
  node.add(101, { name: 'calm' });
  node.add(102, { name: 'busy' }).load = 1.9;
  node.add(103, { name: 'full' }).memory = { anon: 950, current: 960, inactive: 5 };
  node.rebalance();
  return node;
}

async function cycles(node: FakeNode, state: LoopState, count: number): Promise<CycleView> {
  let view: CycleView | undefined;
  const settings = { manage: everyone().manage, hostPolicy, dryRun: false, atOnce: 2 };
  const inspect = (seen: CycleView): void => {
    view = seen;
  };
  for (let round = 0; round < count; round += 1) {
    node.pass(60_000);
    const result = await runCycle(node.world, { ...settings, inspect }, state, NEVER);
    expect(result.ok).toBe(true);
    node.rebalance();
  }
  if (view === undefined) throw new Error('there was no cycle');
  return view;
}

/** The state of a loop with something in each of its parts. */
async function livedState(): Promise<unknown> {
  const node = someNode();
  const state = newLoopState();
  await cycles(node, state, 6);
  const now = milliseconds(node.nowMs);
  const known = { cores: 2, cpuLimit: null, memoryMib: 1024 };
  const more = {
    failures: [[101, { count: 2, retryAtMs: now - 1 }]],
    shrinkRetry: [[101, { count: 1, retryAtMs: now + 60_000 }]],
    pendingCores: [[102, { cores: 4, sinceMs: now - 1000, warned: false }]],
    boosts: [['102/cores', { before: 2, boosted: 3, endMs: now - 1 }]],
    offPeak: [['103/memory', { before: 2048 }]],
    handHolds: [['101/memory', now + 60_000]],
    shrunk: [[103, { fromMib: 2048, atMs: now - 1000 }]],
    oomFloors: [[103, { limitMib: 1024, atMs: now - 1000 }]],
    known: [[101, known]],
    intended: [[102, { ...known, cpuLimit: 0.5 }]],
    lastChanges: [[103, { wallMs: now, text: 'memory 1024 -> 1536 MB', status: 'confirmed' }]],
  };
  return { ...JSON.parse(JSON.stringify(toSaved(state, BOOT, instant(node)))), ...more };
}

const saved: unknown = await livedState();

function onePolicy(): ContainerPolicy {
  const found = everyone().manage();
  if (found.kind !== 'managed') throw new Error('nobody is managed');
  return found.policy;
}

describe('the saved state of the loop, whatever it holds', () => {
  fuzz('brings about no change that could not be', 300, damagedJson(saved), async (content) => {
    const node = someNode();
    node.pass(400_000);
    const state = newLoopState();
    const taken = parseSavedState(content);
    if (taken.ok) takeOver(state, taken.value, BOOT, instant(node));
    const view = await cycles(node, state, 3);
    const { cpu, memory } = onePolicy();
    for (const { vmid: id, cores, memoryMib } of node.sets) {
      expect(cores ?? cpu.min).toBeGreaterThanOrEqual(cpu.min);
      expect(cores ?? cpu.max).toBeLessThanOrEqual(cpu.max);
      if (memoryMib === undefined) continue;
      expect(Number.isSafeInteger(memoryMib)).toBe(true);
      // Nothing below what is in use, and nothing that the host does not have.
      expect(memoryMib).toBeGreaterThan(id === 103 ? 950 : 400);
      expect(memoryMib).toBeLessThanOrEqual(memory.maxMib ?? 65_536);
    }
    const settings = { manage: everyone().manage, hostPolicy, dryRun: false, atOnce: 2 };
    const known = {
      node: 'pve1',
      view,
      from: 'daemon',
      settings,
      state,
      timezone: 'Europe/Rome',
    } as const;
    for (const command of ['status', 'explain'] as const) {
      const request = { command, vmid: vmid(102) };
      const answer = answerTo(request, [{ ...known, nowMs: milliseconds(node.nowMs) }]);
      expect(answer).not.toHaveProperty('error');
    }
  });
});

/** The state of a group in the midst of a clone, with something in each of its parts. */
function livedGroups(): unknown {
  const lived = new ModelCluster();
  lived.quiet(12);
  const whole = JSON.parse(JSON.stringify(toSavedGroups(new Map([['web', lived.state]]), 'a')));
  Object.assign(whole.groups.web, {
    desired: 3,
    wantedReason: 'they use 90 %',
    snapshot: 'autoscale-web-abc',
    reservation: {
      vmid: 202,
      address: '10.0.0.12',
      nonce: '0c'.repeat(16),
      startedMs: 1_000_000,
      reason: 'they use 90 %',
      boot: 'a',
      begun: true,
      pid: 4711,
    },
    failures: [['clone', { count: 2, retryAtMs: 1_500_000, message: 'no space left' }]],
    avoid: [[203, 1_500_000]],
  });
  return whole;
}

let restored = 0;

describe('the saved state of groups, whatever it holds', () => {
  fuzz('takes nobody in or out that must not be', 300, damagedJson(livedGroups()), (content) => {
    const read = fromSavedGroups(content, 'a');
    const group = read.ok ? read.value.get('web') : undefined;
    if (group === undefined) return;
    restored += 1;
    const cluster = new ModelCluster();
    cluster.foreignIds.add(vmid(200));
    cluster.state = group;
    cluster.quiet(6);
    expect(cluster.members().length).toBeLessThanOrEqual(5);
    expect(cluster.box(SOURCE).running).toBe(true);
    for (const step of cluster.seen) {
      if (step.kind !== 'discard' && step.kind !== 'take-out') continue;
      expect([SOURCE, 200]).not.toContain(step.vmid);
    }
  });

  it('was taken over often enough for that to mean something', () => {
    expect(restored).toBeGreaterThan(50);
  });
});

/** The ledger of a group with members in it, one of them on its way. */
function livedLedger(): string {
  const lived = new ModelCluster();
  lived.quiet(12);
  return lived.ledgerFile;
}

describe('the ledger of a group, whatever it holds', () => {
  fuzz('makes nobody a member who is not one', 300, damaged(livedLedger()), (bytes) => {
    const ledger = parseLedger('web', bytes.toString('utf8'));
    if (!ledger.ok) return;
    const cluster = new ModelCluster();
    cluster.quiet(12);
    cluster.load = 0;
    cluster.ledgerFile = bytes.toString('utf8');
    const strangers = cluster.members().map(({ vmid: id }) => id);
    for (const id of strangers)
      cluster.box(id).net0 = `name=eth0,hwaddr=BC:24:11:FF:00:${id % 100}`;
    const before = cluster.seen.length;
    cluster.quiet(20);
    const steps = cluster.seen.slice(before).filter((step) => strangers.includes(step.vmid));
    expect(steps).toEqual([]);
    expect(cluster.box(SOURCE).running).toBe(true);
  });
});

const HOLD = '{"until":"2030-01-01T01:00:00.000Z","reason":"rolled back by hand"}\n';

describe('what lies in the directories of this program, whatever it is', () => {
  const root = keptDirectory();
  const clock = manualClock();

  fuzz('holds', 500, damaged(HOLD), (bytes) => {
    plant(root(), { 'holds/101': bytes });
    const { holds, warnings } = createHolds({ directory: join(root(), 'holds'), clock }).read();
    for (const [id, { untilMs, reason }] of holds) {
      expect(id).toBe(101);
      expect(untilMs > clock.wallMs() && Number.isFinite(untilMs)).toBe(true);
      expect(reason).not.toMatch(UNFIT);
      expect(reason.length).toBeLessThanOrEqual(300);
    }
    expect(warnings.length).toBeLessThanOrEqual(1);
  });

  fuzz('the state file', 500, damaged(JSON.stringify(saved)), (bytes) => {
    plant(root(), { 'var/lib/lxc_autoscale/state.json': bytes });
    const read = createStateFile(createPaths(root())).read();
    expect(read.ok || read.why === 'malformed').toBe(true);
  });

  const inUse = milliseconds(1_795_000_000_000);
  const USAGE =
    'time_s,container,cpu_cores,memory_mb,cpu_demand,cpu_peak,cpu_allowed,' +
    'memory_peak_mb,memory_limit_mb,cpu_wait_percent,memory_wait_percent\n' +
    '1795000060,101,0.25,512,0.3,1.5,2,600,1024,0.1,0\n' +
    '1795000120,101,,,,,2,,1024,,\n1795000180,102,1,700,1,1,4,700,2048,3.5,0\n';

  fuzz('the history of usage', 400, damaged(USAGE), async (bytes) => {
    const name = bytes.length % 2 === 0 ? '2026-11-18.001.csv' : '2026-11-18.002.csv.gz';
    plant(root(), { [join(USAGE_DIRECTORY, name)]: bytes });
    const complaints: string[] = [];
    const complain = (problem: string): void => void complaints.push(problem);
    for await (const record of readUsage(createPaths(root()), inUse, complain)) {
      for (const value of Object.values(record)) {
        expect(value === undefined || (Number.isFinite(value) && value >= 0)).toBe(true);
      }
    }
    expect(complaints.length).toBeLessThanOrEqual(2);
  });

  const CONF = 'cores: 2\nhostname: web\nmemory: 1024\n';
  const ABOUT = JSON.stringify({
    version: 1,
    vmid: 101,
    node: 'pve1',
    takenAt: '2030-01-01T00:00:00.000Z',
    digest: '0'.repeat(40),
    cores: { from: 2, to: 4 },
    reason: 'it needs more',
  });
  let copy = '';
  beforeAll(() => {
    const config = parseGuestConfig(vmid(101), Buffer.from(CONF));
    if (!config.ok) throw new Error(config.detail);
    const backups = createBackups({ directory: join(root(), 'backups'), node: 'pve1', clock });
    backups.write({ config: config.value, content: Buffer.from(CONF) }, { reason: 'a test' });
    const names = readdirSync(join(root(), 'backups/101'));
    copy = (names.find((name) => name.endsWith('.conf')) ?? '').slice(0, -5);
  });

  fuzz('backups', 500, fc.tuple(damaged(CONF), damaged(ABOUT)), ([conf, about]) => {
    plant(root(), { [`backups/101/${copy}.conf`]: conf, [`backups/101/${copy}.json`]: about });
    const listing = listBackups(join(root(), 'backups'));
    if (!listing.ok) throw new Error(listing.detail);
    const [only, second] = listing.value.backups;
    expect(second).toBeUndefined();
    // What is no longer what was written never counts as a copy.
    expect(only?.config.ok).toBe(conf.toString('latin1') === CONF);
    const memory = only?.madeFor.ok ? only.madeFor.value.memoryMib : undefined;
    expect(memory === undefined || Number.isFinite(memory.from)).toBe(true);
  });

  fuzz('the record of a lease', 300, damaged('1795000000 1795000020\n'), (bytes) => {
    const held = 1_700_000_000;
    plant(root(), { 'var/lib/lxc_autoscale/leases/web': bytes });
    const lock = join(root(), 'etc/pve/priv/lock/lxc-autoscale-web');
    mkdirSync(lock, { recursive: true });
    utimesSync(lock, held, held);
    // Another's, whatever our own record says, unless it names just this time.
    const answer = createLeases({ paths: createPaths(root()), clock }).hold('web');
    const words = bytes.toString('latin1').trim().split(' ').map(Number);
    expect(answer.kind).toBe(words.includes(held) ? 'held' : 'elsewhere');
  });
});
