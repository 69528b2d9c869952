import { describe, expect, it } from 'vitest';
import type { DecideInput } from '../../src/core/decide.ts';
import { type LoopState, newLoopState } from '../../src/core/loop-state.ts';
import { present } from '../../src/core/reading.ts';
import { mib, milliseconds, type Vmid } from '../../src/core/units.ts';
import { type CycleResult, type CycleSettings, runCycle } from '../../src/loop/cycle.ts';
import { sample } from '../../src/loop/sample.ts';
import { broken, gone, host, hostPolicy, policy, remembered, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const POLL_MS = 300_000;

const managed = (its = policy()) =>
  ({ kind: 'managed', policy: its, mode: 'act', because: 'DEFAULT' }) as const;

interface Around {
  readonly dryRun?: boolean;
  readonly logQuietCycles?: boolean;
  readonly manage?: DecideInput['manage'];
  readonly stop?: AbortSignal;
  readonly urgent?: NonNullable<CycleSettings['urgent']>;
  readonly onHeadroom?: NonNullable<CycleSettings['onHeadroom']>;
}

function cycle(node: FakeNode, state: LoopState, around: Around = {}): Promise<CycleResult> {
  const manage = around.manage ?? (() => managed());
  const { dryRun = false } = around;
  const settings = { ...around, manage, hostPolicy: lavish, dryRun, atOnce: 1 };
  return runCycle(node.world, settings, state, around.stop ?? new AbortController().signal);
}

/** So many cycles with the poll interval between them, pvestatd running. */
async function cycles(
  node: FakeNode,
  count: number,
  around: Around = {},
  state: LoopState = newLoopState(),
): Promise<LoopState> {
  for (let index = 0; index < count; index++) {
    await cycle(node, state, around);
    node.rebalance();
    node.pass(POLL_MS);
  }
  return state;
}

/** A busy one, an idle one, a full one and one in the middle of its bands. */
function ordinaryNode(): FakeNode {
  const node = new FakeNode();
  node.add(101, { name: 'busy' }).load = 1.9;
  node.add(102, { cores: 8, memoryMib: mib(8192), name: 'idle' }).load = 0.1;
  node.add(103, { name: 'full' }, { current: 950, anon: 900 });
  node.add(104, { name: 'quiet' });
  return node;
}

describe('the loop', () => {
  it('changes nothing without quorum, says why of each, and goes on by itself', async () => {
    const node = ordinaryNode();
    node.quorum = present(false);
    const state = newLoopState();
    const views: string[] = [];
    for (let index = 0; index < 3; index++) {
      const result = await cycle(node, state);
      expect(result).toMatchObject({ ok: true, done: 0, failed: 0, pause: { kind: 'no-quorum' } });
      views.push(
        ...[...remembered(state, 'loggedHold')]
          .filter(([, kind]) => kind === 'paused')
          .map(([key]) => key),
      );
      node.pass(POLL_MS);
    }
    expect(node.done).toEqual([]);
    expect(new Set(views)).toEqual(new Set(['102/memory', '103/memory', '101/cores', '102/cores']));
    expect(node.linesOf('ERROR')).toHaveLength(1);
    node.quorum = present(true);
    expect(await cycle(node, state)).toMatchObject({ ok: true, done: 3, pause: undefined });
  });

  it('changes nothing where the quorum is not known', async () => {
    const node = ordinaryNode();
    node.quorum = broken();
    await cycles(node, 3);
    expect(node.done).toEqual([]);
    expect(node.linesOf('ERROR')).toHaveLength(1);
  });

  it('scales no CPU in its first cycle, and memory where it must', async () => {
    const node = ordinaryNode();
    await cycles(node, 1);
    expect(node.sets.map(({ vmid, cores, memoryMib }) => [vmid, cores, memoryMib])).toEqual([
      [102, undefined, 6144],
      [103, undefined, 1536],
    ]);
  });

  it('gives each what it needs in the second, with one pct set a container', async () => {
    const node = ordinaryNode();
    const state = await cycles(node, 1);
    node.sets.length = 0;
    expect(await cycle(node, state)).toMatchObject({
      ok: true,
      eventful: true,
      done: 2,
      failed: 0,
    });
    expect(node.sets).toMatchObject([
      { vmid: 102, cores: 4 },
      { vmid: 101, cores: 4 },
    ]);
  });

  it('comes to rest: then a cycle calls no proxmox and writes no file', async () => {
    const node = ordinaryNode();
    const state = await cycles(node, 6);
    const before = { sets: node.sets.length, events: node.events.length };
    node.lines.length = 0;
    await cycles(node, 3, {}, state);
    expect(node.sets.length).toBe(before.sets);
    expect(node.backups.length).toBe(before.sets);
    expect(node.events.length).toBe(before.events);
    expect(node.linesOf('WARN')).toEqual([]);
    expect(node.linesOf('ERROR')).toEqual([]);
    expect(node.get(104).config.digest).toBe('0'.repeat(40));
  });

  it('begins its log with the lines that are known of old', async () => {
    const node = ordinaryNode();
    node.seen = host({ cpus: present(40), availableMib: 124_750 + 2048 });
    await cycle(node, newLoopState());
    expect(node.lines.slice(0, 2)).toEqual([
      'INFO: Starting resource allocation process...',
      'INFO: Initial resources before adjustments: 36 cores, 124736 MB memory',
    ]);
  });

  it('is quiet if nothing happens, where that is wanted', async () => {
    const node = ordinaryNode();
    const state = newLoopState();
    await cycles(node, 6, {}, state);
    node.lines.length = 0;
    expect(await cycle(node, state, { logQuietCycles: false })).toMatchObject({ eventful: false });
    expect(node.linesOf('INFO')).toEqual([]);
    const frame = 'DEBUG: Starting resource allocation process...';
    expect(node.linesOf('DEBUG')).toContain(frame);
    node.lines.length = 0;
    node.seen = { ...host(), memory: gone('no meminfo') };
    expect(await cycle(node, state, { logQuietCycles: false })).toMatchObject({ eventful: true });
    expect(node.lines[0]).toBe('INFO: Starting resource allocation process...');
  });

  it('ends its changes with what is left, as what was given back or out has it', async () => {
    const node = ordinaryNode();
    const state = await cycles(node, 1);
    node.lines.length = 0;
    const given = () => {
      const configs = [101, 102, 103, 104].map((id) => node.get(id).config);
      const sum = (of: 'cores' | 'memoryMib') =>
        configs.reduce((all, one) => all + (one[of] ?? 0), 0);
      return [sum('cores'), sum('memoryMib')] as const;
    };
    const [coresGiven, memoryGiven] = given();
    await cycle(node, state);
    const [coresNow, memoryNow] = given();
    expect(coresNow).not.toBe(coresGiven);
    const pool = (when: string): number[] => {
      const line = node.linesOf('INFO').find((one) => one.includes(`${when} resources`)) ?? '';
      return [...line.matchAll(/([0-9]+) (?:cores|MB)/g)].map(([, digits]) => Number(digits));
    };
    const [cores = 0, memory = 0] = pool('Initial');
    expect(pool('Final')).toEqual([
      cores + coresGiven - coresNow,
      memory + memoryGiven - memoryNow,
    ]);
  });

  it('ends its log with the times of its stages, for who looks closely', async () => {
    const node = ordinaryNode();
    await cycle(node, newLoopState());
    expect(node.lines.at(-1)).toMatch(
      /^DEBUG: Cycle 1: observe [\d.]+ ms, notice .* confirm .* decide .* plan .* act [\d.]+ ms$/,
    );
  });

  it('counts its cycles, in the journal too', async () => {
    const node = ordinaryNode();
    await cycles(node, 2);
    expect(node.events.map(({ details }) => details['cycle'])).toContain(2);
  });
});

describe('what cannot be seen', () => {
  it('a blind cycle does nothing and says why', async () => {
    const node = ordinaryNode();
    const state = await cycles(node, 1);
    node.sets.length = 0;
    node.lines.length = 0;
    node.listMissing = gone('/etc/pve/lxc is not there');
    expect(await cycle(node, state)).toEqual(gone('/etc/pve/lxc is not there'));
    expect(node.sets).toEqual([]);
    expect(node.lines).toEqual([
      'INFO: Starting resource allocation process...',
      'ERROR: The containers cannot be seen, so nothing is scaled: /etc/pve/lxc is not there',
    ]);
  });

  it('and the cycle after it goes on, with the rate over the whole time', async () => {
    const node = ordinaryNode();
    const state = await cycles(node, 1);
    node.sets.length = 0;
    node.listMissing = gone();
    await cycles(node, 1, {}, state);
    node.listMissing = undefined;
    await cycle(node, state);
    expect(node.sets.map(({ vmid }) => vmid)).toContain(101);
  });

  it.each([
    ['configuration', { configMissing: broken('a bad line') }],
    ['cgroup', { sampleMissing: broken('EIO') }],
    ['memory', { memoryMissing: broken('memory.stat') }],
    ['CPU', { cpuMissing: broken('cpu.stat') }],
  ])('the missing %s of one container does not stop the others', async (what, missing) => {
    const node = ordinaryNode();
    Object.assign(node.get(102), missing);
    await cycles(node, 2);
    const changed = new Set(node.sets.map(({ vmid }) => vmid));
    expect([changed.has(vmid(101)), changed.has(vmid(103))]).toEqual([true, true]);
    if (what === 'configuration' || what === 'cgroup') expect(changed.has(vmid(102))).toBe(false);
    const warned = node.linesOf('WARN').filter((line) => line.includes('102'));
    expect(warned.length).toBe(1);
  });

  it('nothing is given out when the host cannot be measured', async () => {
    const node = ordinaryNode();
    node.seen = { ...host({ cpus: broken('/proc/stat') }), memory: broken('/proc/meminfo') };
    await cycles(node, 2);
    expect(node.sets).toEqual([]);
    expect(node.linesOf('WARN')).toContain('WARN: Nothing can be given out: /proc/meminfo');
    const unknown = 'INFO: Initial resources before adjustments: unknown cores, unknown MB memory';
    expect(node.linesOf('INFO')).toContain(unknown);
  });
});

describe('containers that are left alone', () => {
  it('are named once with the reason, and again only when it comes back', async () => {
    const node = ordinaryNode();
    const locked = (): readonly string[] =>
      node.linesOf('INFO').filter((line) => line.includes('locked (backup)'));
    node.write(104, { lock: 'backup' });
    const state = await cycles(node, 3);
    expect(locked()).toEqual([
      'INFO: Container 104 (quiet) is skipped: it is locked (backup), ' +
        'since another operation is at work on it',
    ]);
    node.write(104, { lock: undefined });
    await cycles(node, 1, {}, state);
    node.write(104, { lock: 'backup' });
    await cycles(node, 1, {}, state);
    expect(locked().length).toBe(2);
  });

  it('are never touched', async () => {
    const node = ordinaryNode();
    const manage: DecideInput['manage'] = ({ vmid: id }) =>
      id === 101 ? { kind: 'ignored', because: 'listed in ignore_lxc' } : managed();
    node.write(102, { template: true });
    node.get(103).running = false;
    node.write(104, { lock: 'migrate', cores: 8 });
    await cycles(node, 4, { manage });
    expect([node.sets, node.backups]).toEqual([[], []]);
    const skipped = node.linesOf('INFO').filter((line) => /is skipped|Skipping/.test(line));
    expect(skipped).toEqual([
      'INFO: Container 101 (busy) is skipped: listed in ignore_lxc',
      'INFO: Container 102 (idle) is skipped: it is a template',
      'INFO: Container 103 is not running. Skipping adjustments.',
      'INFO: Container 104 (quiet) is skipped: it is locked (migrate), ' +
        'since another operation is at work on it',
    ]);
  });

  it('for starving at a limit are named loudly once, and again after a change', async () => {
    const node = new FakeNode();
    node.add(101, { cores: 8, name: 'busy' }).load = 8;
    const starving = (): number =>
      node.linesOf('WARN').filter((line) => line.includes('may have at most 8 cores')).length;
    const state = await cycles(node, 4);
    const withLoad = async (load: number): Promise<number | null> => {
      node.get(101).load = load;
      node.pass(POLL_MS);
      await cycle(node, state);
      node.rebalance();
      return node.get(101).config.cores;
    };
    expect(await withLoad(8)).toBe(8);
    expect(starving()).toBe(1);
    expect(await withLoad(1)).toBe(4);
    expect(await withLoad(8)).toBe(8);
    expect(await withLoad(8)).toBe(8);
    expect(starving()).toBe(2);
  });
});

describe('a dry run', () => {
  it('decides exactly as a real one, and changes nothing', async () => {
    const real = ordinaryNode();
    const dry = ordinaryNode();
    const realState = newLoopState();
    const dryState = newLoopState();
    // The first cycle only looks, so that the second has rates on both sides.
    const nobody: DecideInput['manage'] = () => ({ kind: 'ignored', because: 'not yet' });
    await cycles(real, 1, { manage: nobody }, realState);
    await cycles(dry, 1, { manage: nobody }, dryState);
    await cycle(real, realState);
    await cycle(dry, dryState, { dryRun: true });
    const plans = (node: FakeNode) =>
      node.events.map(({ vmid: id, action, change, details }) => {
        const { before, after, reason, rule, limits, usage, thresholds } = details;
        const numbers = { before, after, reason, rule, limits, usage, thresholds };
        return { id, action: action.replace(/^Would /, ''), change, numbers };
      });
    expect(plans(dry).length).toBe(4);
    expect(plans(dry)).toEqual(plans(real));
    expect(dry.events.every(({ action }) => action.startsWith('Would '))).toBe(true);
    expect([dry.sets, dry.backups]).toEqual([[], []]);
    expect(dry.get(101).config).toEqual(ordinaryNode().get(101).config);
  });
});

describe('what a cycle leaves of the host', () => {
  it.each([undefined, new Set([vmid(105)])])('is handed on before it is given', async (urgent) => {
    const node = ordinaryNode();
    const state = await cycles(node, 1);
    node.add(105, {}, { current: 950, anon: 900 });
    const seen: unknown[] = [];
    const onHeadroom: Around['onHeadroom'] = ({ limitsMib }) => {
      seen.push([node.sets.length, limitsMib.get(vmid(105)), limitsMib.get(vmid(104))]);
    };
    node.sets.length = 0;
    await cycle(node, state, { onHeadroom, ...(urgent && { urgent }) });
    expect(seen).toEqual([[0, 1536, 1024]]);
    expect(node.sets).toContainEqual(expect.objectContaining({ vmid: 105, memoryMib: 1536 }));
  });
});

describe('memory that was granted and is not used yet', () => {
  it('is not granted to others, over several cycles', async () => {
    const node = new FakeNode();
    const USED_MIB = 1200;
    for (let id = 101; id <= 120; id++) {
      node.add(id, { memoryMib: mib(4096) }, { current: USED_MIB, anon: USED_MIB });
    }
    // What is granted stays unused, so the host counts it as available in every cycle.
    node.seen = host({ totalMib: 32_768, availableMib: 32_768 - 20 * USED_MIB });
    const hungry = policy({ lower: 0.05, upper: 0.25 });
    await cycles(node, 5, { manage: () => managed(hungry) });
    const limits = [...node.containers.values()].map(({ limitMib }) => limitMib ?? 0);
    const granted = limits.reduce((sum, limit) => sum + limit - 4096, 0);
    expect(granted).toBeGreaterThan(4096);
    expect(granted).toBeLessThanOrEqual(32_768 - 20 * USED_MIB - 2048);
    expect(node.linesOf('WARN').some((line) => line.includes('the host can spare'))).toBe(true);
  });

  it('also not when the daemon sees the container restart meanwhile', async () => {
    const node = new FakeNode();
    node.add(101, { memoryMib: mib(4096) }, { current: 4000, anon: 4000 });
    node.seen = host({ availableMib: 2048 + 1024 });
    const state = await cycles(node, 1);
    expect(node.get(101).limitMib).toBe(5120);
    node.get(101).identity = 7;
    node.get(101).memory = { current: 1500, anon: 1500 };
    node.add(102, { memoryMib: mib(4096) }, { current: 4000, anon: 4000 });
    await cycles(node, 2, {}, state);
    expect(node.get(102).limitMib).toBe(4096);
  });
});
/** What is free decides here, and not the sum of the limits. */
const lavish = { ...hostPolicy, overcommitRatio: 10 };

it('a rise is answered by the decision that comes some milliseconds after its sample', async () => {
  const node = new FakeNode();
  const one = node.add(101, { memoryMib: mib(2048) }, { current: 300, anon: 290 });
  const state = newLoopState();
  await cycle(node, state);
  let urgent: ReadonlySet<Vmid> = new Set();
  for (let used = 700; used < 1900 && urgent.size === 0; used += 400) {
    one.memory = { current: used, anon: used - 10 };
    node.pass(10_000);
    urgent = sample(node.world, state, { urgentSamples: 99, manage: () => managed() }).urgent;
  }
  expect([...urgent]).toEqual([101]);
  node.pass(5);
  node.sets.splice(0);
  await cycle(node, state, { urgent });
  expect(node.sets).toMatchObject([{ vmid: 101 }]);
  expect(node.sets[0]?.memoryMib).toBeGreaterThanOrEqual(2048 * 1.25);
});

it('an early decision that new cores keep up is made again when they are in force', async () => {
  const node = new FakeNode();
  const one = node.add(101, { cores: 2 });
  const state = newLoopState();
  const timing = { ...policy().timing, cooldownUpMs: milliseconds(0) };
  const manage = () => managed({ ...policy({ maxCores: 16 }), timing });
  await cycle(node, state, { manage });
  one.load = 2;
  node.pass(10_000);
  await cycle(node, state, { manage });
  expect(node.sets).toMatchObject([{ cores: 4 }]);
  const settledAfter = async (ms: number) => {
    node.pass(ms);
    sample(node.world, state, { urgentSamples: 2, manage });
    await cycle(node, state, { manage, urgent: new Set([vmid(101)]) });
    return state.guests.get(vmid(101))?.life.interval?.settled;
  };
  expect(await settledAfter(5000)).toBe(false);
  // It is not asked for ever: pvestatd may be at rest.
  expect(await settledAfter(60_000)).toBe(true);
  expect(node.sets).toHaveLength(1);
});
