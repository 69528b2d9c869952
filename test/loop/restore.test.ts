import { describe, expect, it } from 'vitest';
import type { GuestIdentity } from '../../src/core/identity.ts';
import type { ManualHold } from '../../src/core/manual-hold.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import { cores, mib, milliseconds, type Vmid } from '../../src/core/units.ts';
import { describeRestore, isWhole } from '../../src/loop/log-restore.ts';
import type { RestoreGoal, RestoreResult } from '../../src/loop/restoration.ts';
import { restore } from '../../src/loop/restore.ts';
import type { CommandOutcome, NodeHands, SetRequest } from '../../src/node/port.ts';
import type { Holds } from '../../src/ports.ts';
import { broken, guest, host, hostPolicy, identity, vmid } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

const ID = vmid(101);
const BACKUP = '20261121T220445.007Z-0a1b2c3d';

const GOAL: RestoreGoal = {
  vmid: ID,
  backupId: BACKUP,
  takenAtMs: milliseconds(0),
  config: guest(101),
  guest: identity(101),
};
const CONTEXT = {
  hostCpus: 16 as number | undefined,
  hostPolicy,
  stop: new AbortController().signal,
  localTime: (wallMs: number) => new Date(wallMs).toISOString().slice(0, 19).replace('T', ' '),
};

/** Now 4 cores and 2048 MB, 400 MB of them in use. */
function nodeWithOne(own: Partial<GuestConfig> = {}): FakeNode {
  const node = new FakeNode();
  node.add(101, { cores: 4, memoryMib: mib(2048), ...own });
  return node;
}

/** The holds, noted among what else was done. */
function holdsOf(node: FakeNode, failure?: string) {
  const written = new Map<Vmid, ManualHold>();
  const holds: Holds = {
    read: () => ({ holds: written, warnings: [] }),
    write: (id, hold) => {
      if (failure !== undefined) return { ok: false, message: failure };
      written.set(id, hold);
      node.done.push(`hold ${id}`);
      return { ok: true };
    },
  };
  return { holds, written };
}

interface Wish {
  readonly saved?: Partial<GuestConfig>;
  readonly dryRun?: boolean;
  readonly holds?: Holds;
  readonly stop?: AbortSignal;
  readonly hostCpus?: number | undefined;
  /** The guest for which the backup was chosen, where it is another one. */
  readonly guest?: GuestIdentity;
  /** Is told with each pct set whether it may be stopped at once. */
  readonly onSet?: (aborted: boolean) => void;
}

/** Back to 2 cores and 1024 MB, where nothing else is said. */
function roll(node: FakeNode, wish: Wish = {}): Promise<RestoreResult> {
  node.goAfar();
  const config = guest(101, { cores: 2, memoryMib: mib(1024), ...wish.saved });
  const goal = { ...GOAL, config, guest: wish.guest ?? identity(101) };
  const apply: NodeHands['apply'] = (request, stop) => {
    wish.onSet?.(stop.aborted);
    return node.world.hands.apply(request, stop);
  };
  const { hands, ...eyes } = { ...node.world, holds: wish.holds ?? holdsOf(node).holds };
  const acting = { ...eyes, hands: { ...hands, apply } };
  const { saved: _, dryRun = false, ...own } = wish;
  return restore(dryRun ? eyes : acting, goal, { ...CONTEXT, ...own });
}

const words = (result: RestoreResult): string => describeRestore(result, GOAL, CONTEXT);
const AS_IN = `, as in the backup of 1970-01-01 00:00:00 (${BACKUP})`;

describe('a rollback', () => {
  it('is a backup, then the hold, then one pct set with the digest of now', async () => {
    const node = nodeWithOne();
    const { digest } = node.get(101).config;
    const result = await roll(node);
    const made = ['backup 101', 'hold 101', 'set 101'];
    expect(node.done).toEqual(['high 101', ...made, 'high back 101']);
    expect(node.sets).toEqual([{ vmid: 101, cores: 2, memoryMib: 1024, digest }]);
    expect(node.get(101).config).toMatchObject({ cores: 2, memoryMib: 1024, swapMib: 512 });
    expect(result).toMatchObject({ kind: 'pending', backup: '/backups/101-1.conf' });
    expect(isWhole(result)).toBe(true);
  });

  it('names in its own backup where it goes to, so that it is known for a rollback', async () => {
    const node = nodeWithOne();
    await roll(node);
    expect(node.backups[0]?.file.config).toMatchObject({ cores: 4, memoryMib: 2048 });
    expect(node.backups[0]?.purpose).toEqual({
      cores: { from: 4, to: 2 },
      memoryMib: { from: 2048, to: 1024 },
      rollbackTo: BACKUP,
      reason: `Rollback to ${BACKUP}: cores 4 -> 2, memory 2048 -> 1024 MB`,
    });
  });

  it('holds the container for an hour', async () => {
    const node = nodeWithOne();
    const { holds, written } = holdsOf(node);
    await roll(node, { holds });
    const reason = `it was rolled back by hand to ${BACKUP}`;
    const guestHeld = identity(101);
    expect([...written]).toEqual([
      [101, { untilMs: node.nowMs + 3_600_000, reason, guest: guestHeld }],
    ]);
  });

  it('goes on without a hold that cannot be written, and says so', async () => {
    const node = nodeWithOne();
    const { holds } = holdsOf(node, 'The hold could not be written: no space');
    const result = await roll(node, { holds, saved: { cores: 4 } });
    expect(result).toMatchObject({ kind: 'confirmed' });
    expect(result.hold).toBeUndefined();
    expect(words(result)).toMatch(/no space, so a running daemon may change it again at once\.$/);
  });

  it('of memory is confirmed at once; that of cores when the cpuset has followed', async () => {
    const memory = await roll(nodeWithOne(), { saved: { cores: 4 } });
    expect(words(memory)).toBe(
      `Rolled back container 101 (guest-101): memory 2048 -> 1024 MB${AS_IN}. ` +
        'The daemon skips it until 1970-01-01 01:16:40.',
    );
    const node = nodeWithOne();
    node.pct = (request) => {
      const outcome = node.apply(request);
      node.rebalance();
      return outcome;
    };
    expect(await roll(node)).toMatchObject({ kind: 'confirmed' });
    expect(words(await roll(nodeWithOne()))).toMatch(/cores take effect when pvestatd next/);
  });

  it('does nothing where the values are there already, and holds them', async () => {
    const node = nodeWithOne({ cores: 2, memoryMib: mib(1024) });
    const { holds, written } = holdsOf(node);
    const result = await roll(node, { holds });
    expect([node.sets, node.backups]).toEqual([[], []]);
    expect(written.has(ID)).toBe(true);
    expect(isWhole(result)).toBe(true);
    expect(words(result)).toMatch(
      /^Nothing to restore for container 101 \(guest-101\): it is as in/,
    );
  });

  it('brings into force what only the configuration says, by way of the live value', async () => {
    const node = nodeWithOne({ cores: 2, memoryMib: mib(1024) });
    node.get(101).limitMib = 2048;
    const result = await roll(node);
    expect(node.sets).toMatchObject([{ memoryMib: 2048 }, { memoryMib: 1024 }]);
    expect(node.get(101)).toMatchObject({ limitMib: 1024, config: { memoryMib: 1024 } });
    expect(words(result)).toContain('memory 2048 -> 1024 MB');
    expect(isWhole(result)).toBe(true);
  });

  it('has what is live configured where so much cannot be taken', async () => {
    const node = nodeWithOne({ cores: 2, memoryMib: mib(1024) });
    node.get(101).limitMib = 2048;
    node.get(101).memory = { current: 1500, anon: 1500 };
    const result = await roll(node);
    expect(node.get(101)).toMatchObject({ limitMib: 2048, config: { memoryMib: 2048 } });
    expect(words(result)).toMatch(/says 1024 MB already, .* by 2048 MB: it needs 1650 MB now/);
    expect(isWhole(result)).toBe(false);
  });

  it('brings it into force where nothing at all is, by way of a value between', async () => {
    const node = nodeWithOne({ cores: 2, memoryMib: mib(1024) });
    node.get(101).limitMib = undefined;
    expect(await roll(node)).toMatchObject({ kind: 'confirmed' });
    expect(node.sets).toMatchObject([{ memoryMib: 1040 }, { memoryMib: 1024 }]);
    expect(node.get(101)).toMatchObject({ limitMib: 1024, config: { memoryMib: 1024 } });
  });

  it('gives no memory that the host does not have', async () => {
    const node = nodeWithOne();
    const result = await roll(node, { saved: { memoryMib: mib(524_288) } });
    expect(result).toMatchObject({ kind: 'pending', target: { cores: 2 } });
    expect(node.sets).toHaveLength(1);
    expect(node.sets[0]).not.toHaveProperty('memoryMib');
    expect(words(result)).toMatch(/524288 MB are more than the [0-9]+ MB that the host has/);
    node.get(101).running = false;
    expect(await roll(node, { saved: { memoryMib: mib(524_288) } })).toMatchObject({
      kind: 'refused',
    });
  });

  it('gives no memory that the host has promised to others', async () => {
    const node = nodeWithOne({ cores: 2 });
    node.seen = host({ availableMib: 10_000 });
    const result = await roll(node, { saved: { memoryMib: mib(32_768) } });
    expect(result.kind).toBe('refused');
    expect(words(result)).toMatch(/30720 MB more are needed for it, and the host can still give/);
    expect(node.sets).toEqual([]);
  });

  it('takes the cores line out again', async () => {
    const node = nodeWithOne();
    await roll(node, { saved: { cores: null, memoryMib: mib(2048) } });
    expect(node.sets[0]).toMatchObject({ cores: null });
    expect(node.sets[0]).not.toHaveProperty('memoryMib');
    expect(node.get(101).config.cores).toBeNull();
  });

  it('brings a cpulimit back, or takes it out again', async () => {
    const node = nodeWithOne({ cpuLimit: cores(0.5) });
    const saved = { cores: 4, memoryMib: mib(2048) };
    const result = await roll(node, { saved });
    expect(node.sets).toMatchObject([{ cpuLimit: null }]);
    expect(node.sets[0]).not.toHaveProperty('cores');
    expect(result.kind).toBe('confirmed');
    expect(words(result)).toContain(`: cpulimit 0.5 -> none${AS_IN}.`);
    expect(node.backups[0]?.purpose).toMatchObject({ cpuLimit: { from: 0.5, to: null } });
    await roll(node, { saved: { ...saved, cpuLimit: cores(1.5) } });
    expect(node.sets[1]).toMatchObject({ cpuLimit: 1.5 });
    expect(node.get(101).config.cpuLimit).toBe(1.5);
  });

  it('of cores and of a cpulimit takes both out at once', async () => {
    const node = nodeWithOne({ cpuLimit: cores(0.5) });
    await roll(node, { saved: { cores: null, memoryMib: mib(2048) } });
    expect(node.sets).toMatchObject([{ cores: null, cpuLimit: null }]);
  });

  it('has a cpulimit that is not in force taken back', async () => {
    const node = nodeWithOne({ cpuLimit: cores(0.5) });
    node.pct = (request) => {
      const outcome = node.apply(request);
      node.get(101).liveCpuLimit = 0.5;
      return outcome;
    };
    const result = await roll(node, { saved: { cores: 4, memoryMib: mib(2048) } });
    expect(result.kind).toBe('failed');
    expect(words(result)).toMatch(/active again: half done .*live cpulimit 0.5/);
    expect(node.get(101).config.cpuLimit).toBe(0.5);
  });

  it('of a stopped container changes its configuration', async () => {
    const node = nodeWithOne();
    node.get(101).running = false;
    expect(await roll(node)).toMatchObject({ kind: 'confirmed' });
    expect(node.get(101).config).toMatchObject({ cores: 2, memoryMib: 1024 });
  });

  it('as a dry run touches nothing', async () => {
    const node = nodeWithOne();
    const result = await roll(node, { dryRun: true });
    expect(node.done).toEqual([]);
    expect(words(result)).toBe(
      'Would roll back container 101 (guest-101): cores 4 -> 2, ' +
        `memory 2048 -> 1024 MB${AS_IN}.`,
    );
  });
});

describe('memory that is in use', () => {
  const inUse = (node: FakeNode, current: number, inactive = 0) => {
    node.get(101).memory = { current, inactive };
    return node;
  };

  it.each([true, false])('is not taken, the rest is restored; dry run: %s', async (dryRun) => {
    const node = inUse(nodeWithOne(), 1000);
    const result = await roll(node, { dryRun });
    expect(isWhole(result)).toBe(false);
    expect(words(result)).toContain(
      'Its memory is left as it is: it needs 1100 MB now, so 1024 MB would be too little.',
    );
    if (dryRun) return;
    expect(node.sets).toHaveLength(1);
    expect(node.sets[0]).not.toHaveProperty('memoryMib');
    expect(node.get(101).config).toMatchObject({ cores: 2, memoryMib: 2048 });
  });

  it('leaves nothing to do where only memory differs', async () => {
    const node = inUse(nodeWithOne({ cores: 2 }), 1000);
    const result = await roll(node);
    expect(node.done).toEqual([]);
    expect(words(result)).toMatch(/^Container 101 \(guest-101\) was NOT rolled back to/);
  });

  it('is asked of the kernel first, and stays where it is not given up', async () => {
    const node = inUse(nodeWithOne(), 1500, 1000);
    node.kernel = (_, { bytes }) => ({ kind: 'asked', bytes });
    const result = await roll(node);
    expect(node.done).toEqual(['reclaim 101', 'backup 101', 'hold 101', 'set 101']);
    expect(node.get(101).config).toMatchObject({ cores: 2, memoryMib: 2048 });
    expect(result).toMatchObject({
      before: { cores: 4 },
      target: { cores: 2 },
      refused: expect.stringContaining('1500 MB are in use'),
    });
    const willing = inUse(nodeWithOne(), 1500, 1000);
    expect(isWhole(await roll(willing))).toBe(true);
    expect(willing.get(101).limitMib).toBe(1024);
  });

  it('is not taken where it cannot be read', async () => {
    const node = nodeWithOne();
    node.get(101).memoryMissing = broken('memory.stat: empty');
    const result = await roll(node);
    expect(result.refused).toMatch(/could not be read: memory.stat: empty/);
    expect(node.sets[0]).not.toHaveProperty('memoryMib');
  });
});

describe('a rollback that cannot be', () => {
  it.each([
    ['Container', {}],
    ['VM', { kind: 'qemu' } as const],
  ])('finds the %s destroyed', async (what, saved) => {
    const result = await roll(new FakeNode(), { saved });
    expect(words(result)).toBe(
      `${what} 101 was NOT rolled back: it is not on this node (destroyed or migrated).`,
    );
    expect(isWhole(result)).toBe(false);
  });

  it('finds its configuration unreadable', async () => {
    const node = nodeWithOne();
    node.get(101).configMissing = broken('101.conf: cores: "x"');
    expect(words(await roll(node))).toMatch(/was NOT rolled back to .*\. 101\.conf: cores: "x"\.$/);
  });

  it('finds it locked', async () => {
    const node = nodeWithOne({ lock: 'backup' });
    expect(words(await roll(node))).toMatch(/It is locked \(backup\), since another operation/);
    expect(node.done).toEqual([]);
  });

  it('finds that another guest was given the id since its backup was chosen', async () => {
    const node = nodeWithOne();
    const result = await roll(node, { guest: identity(101, 1) });
    expect(result).toMatchObject({ kind: 'failed', note: expect.stringMatching(/another guest/) });
    expect(node.done).toEqual([]);
  });

  it('has no backup of what is there now', async () => {
    const node = nodeWithOne();
    node.backupFailure = 'no space left';
    expect(words(await roll(node))).toMatch(/Nothing was changed, since no backup: no space left/);
    expect(node.sets).toEqual([]);
    expect(node.heldMib.size).toBe(0);
  });
});

const failure: CommandOutcome = {
  kind: 'failed',
  why: 'locked',
  exitCode: 255,
  message: 'CT is locked (backup)',
};

describe('a pct', () => {
  it.each<[string, (node: FakeNode, request: SetRequest) => CommandOutcome, RegExp]>([
    ['fails', () => failure, /Nothing was changed: pct exited with 255: CT is locked/],
    ['does nothing', () => ({ kind: 'done' }), /success was reported, and nothing has changed/],
    [
      'finds that somebody else was faster',
      (node, request) => {
        node.write(101, { memoryMib: mib(4096) });
        return node.apply(request);
      },
      /somebody else changed it meanwhile .*detected modified configuration/,
    ],
    [
      'leaves no trace to read',
      (node) => {
        node.get(101).configMissing = broken('gone bad');
        return { kind: 'done' };
      },
      /What came of it is not known: gone bad/,
    ],
    [
      'ends with the container',
      (node, request) => {
        const outcome = node.apply(request);
        node.get(101).running = false;
        return outcome;
      },
      /The container stopped while it was changed; please check it\./,
    ],
  ])('that %s is told', async (_, pct, expected) => {
    const node = nodeWithOne();
    node.pct = (request) => pct(node, request);
    const result = await roll(node);
    expect(result.kind).toBe('failed');
    expect(words(result)).toMatch(expected);
  });

  it('that does its work and says that it failed is believed by its work', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      node.apply(request);
      return failure;
    };
    const result = await roll(node, { saved: { cores: 4 } });
    expect(result.kind).toBe('confirmed');
    expect(words(result)).toMatch(/It is active, though pct exited with 255/);
  });

  it('that does half of its work has it taken back, also when the program is to end', async () => {
    const node = nodeWithOne();
    const stop = new AbortController();
    node.pct = (request) => {
      if (node.sets.length > 1) return node.apply(request);
      stop.abort();
      node.apply({ vmid: request.vmid, cores: request.cores ?? 1, digest: request.digest });
      return { kind: 'killed', signal: 'SIGKILL', message: 'pct set was ended by SIGKILL' };
    };
    const aborted: boolean[] = [];
    const onSet = (is: boolean) => aborted.push(is);
    const result = await roll(node, { stop: stop.signal, onSet });
    expect(aborted).toEqual([false, false]);
    expect(words(result)).toMatch(/are active again: pct set was ended by SIGKILL \(/);
    expect(result.kind).toBe('failed');
    expect(node.get(101).config).toMatchObject({ cores: 4, memoryMib: 2048 });
    expect(node.backups.at(-1)?.purpose.reason).toMatch(/^Putting back: pct set was ended by SIG/);
  });

  it('that does half of its work twice leaves it to a person', async () => {
    const node = nodeWithOne();
    node.pct = (request) => {
      if (node.sets.length === 1) node.apply({ ...request, memoryMib: mib(2048) });
      return failure;
    };
    expect(words(await roll(node))).toMatch(/NOT put back \(pct exited with 255.*Please check/);
  });
});

describe('what a rollback leaves on record', () => {
  it('is a line in the log, and one in the JSON log for each resource', async () => {
    const node = nodeWithOne();
    const result = await roll(node);
    expect(node.lines).toEqual([`INFO: ${words(result)} Backup: /backups/101-1.conf`]);
    const more = {
      name: 'guest-101',
      status: 'pending',
      backup: '/backups/101-1.conf',
      reason: `rollback to backup ${BACKUP}`,
      rollbackTo: BACKUP,
    };
    expect(node.events).toMatchObject([
      {
        vmid: 101,
        action: 'Rollback Cores',
        change: '2',
        details: { before: 4, after: 2, ...more },
      },
      {
        vmid: 101,
        action: 'Rollback Memory',
        change: '1024MB',
        details: { before: 2048, after: 1024, ...more },
      },
    ]);
  });

  it('counts all cores of the host as so many', async () => {
    const node = nodeWithOne();
    const saved = { cores: null, memoryMib: mib(2048) };
    await roll(node, { saved });
    expect(node.events[0]?.details).toMatchObject({ before: 4, after: 16 });
    const uncounted = nodeWithOne();
    await roll(uncounted, { saved, hostCpus: undefined });
    expect([...node.events, ...uncounted.events].map(({ change }) => change)).toEqual([
      '12',
      'unknown',
    ]);
  });

  it('tells a cpulimit from cores by its unit, and none as max', async () => {
    const node = nodeWithOne({ cpuLimit: cores(0.5) });
    const saved = { memoryMib: mib(2048), cpuLimit: cores(2) };
    await roll(node, { saved });
    await roll(node, { saved: { ...saved, cpuLimit: null } });
    expect(node.events.map(({ action, change }) => [action, change])).toEqual([
      ['Rollback Cores', '2'],
      ['Rollback Cores', '1.5'],
      ['Rollback Cores', 'unknown'],
    ]);
    expect(node.events[0]?.details).not.toHaveProperty('unit');
    expect(node.events[1]?.details).toMatchObject({ before: 0.5, after: 2, unit: 'cpulimit' });
    expect(node.events[2]?.details).toMatchObject({ before: 2, after: 'max', unit: 'cpulimit' });
  });

  it('says of a virtual machine that it is one', async () => {
    const node = nodeWithOne({ kind: 'qemu', cpuLimit: cores(2), memoryMib: mib(1024) });
    await roll(node, { saved: { kind: 'qemu', cores: 4, cpuLimit: cores(1) } });
    expect(node.events[0]?.details).toMatchObject({ name: 'guest-101', kind: 'qemu' });
    const other = nodeWithOne();
    await roll(other);
    expect(other.events[0]?.details).not.toHaveProperty('kind');
  });

  it('of a failure names it as one', async () => {
    const node = nodeWithOne();
    node.pct = () => failure;
    await roll(node);
    expect(node.lines[0]).toMatch(/^ERROR: Container 101 .* was NOT rolled back/);
    expect(node.events.map(({ action }) => action)).toEqual([
      'Rollback Cores Failed',
      'Rollback Memory Failed',
    ]);
  });

  it('is nothing if it only says what it would do', async () => {
    const node = nodeWithOne();
    await roll(node, { dryRun: true });
    expect([node.lines, node.events]).toEqual([[], []]);
  });

  it('is nothing in the JSON log where nothing was tried', async () => {
    const node = nodeWithOne({ lock: 'backup' });
    await roll(node);
    expect(node.lines).toHaveLength(1);
    expect(node.events).toEqual([]);
  });

  it('says when the JSON log cannot be written', async () => {
    const node = nodeWithOne();
    node.journalWorks = false;
    await roll(node, { saved: { cores: 4 } });
    expect(node.linesOf('ERROR')).toEqual([
      'ERROR: The JSON log could not be written for container 101',
    ]);
  });

  it('shows a name that would steer the terminal as harmless text', async () => {
    const node = nodeWithOne({ name: 'a\u001b[2J\nb' });
    expect(words(await roll(node))).toContain('(a\\x1b[2J\\nb)');
  });
});
