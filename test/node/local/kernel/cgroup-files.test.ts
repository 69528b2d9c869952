import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CgroupFiles } from '../../../../src/node/local/kernel/cgroup-files.ts';
import { createCgroups } from '../../../../src/node/local/kernel/cgroup-files.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import {
  copyRecordedSysroot,
  manualClock,
  plant,
  RECORDED_SYSROOT,
  temporaryDirectory,
  vmid,
} from '../world.ts';

const PRESSURE = 'some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 total=2\n';
const FILES = {
  'cgroup.events': 'populated 1\nfrozen 0\n',
  'cpu.stat': 'usage_usec 1000\nthrottled_usec 5\n',
  'cpuset.cpus': '0-1,3\n',
  'cpuset.cpus.effective': '0-1\n',
  'cpu.pressure': PRESSURE,
  'memory.current': '4096\n',
  'memory.max': 'max\n',
  'memory.stat':
    'anon 1\nshmem 2\ninactive_file 3\nactive_file 4\nunevictable 5\nslab_unreclaimable 6\n' +
    'slab_reclaimable 9\nworkingset_refault_anon 7\nworkingset_refault_file 8\n',
  'memory.events': 'max 9\noom 12\noom_kill 10\n',
  'memory.events.local': 'low 0\nhigh 13\nmax 4\noom 3\noom_kill 0\n',
  'memory.swap.current': '11\n',
  'memory.pressure': PRESSURE,
  'cpu.max': 'max 100000\n',
};

const STAT_WITHOUT_SLAB = FILES['memory.stat'].replace('slab_reclaimable 9\n', '');

/** A plain tree with the cgroup of container 101, and what reads it. */
class FakeCgroups {
  readonly root = temporaryDirectory();
  readonly clock = manualClock();
  readonly cgroups: CgroupFiles;

  constructor(budget?: number) {
    this.make(101);
    this.cgroups = createCgroups(createPaths(this.root), this.clock, budget);
  }

  path(id: number, name = ''): string {
    return join(this.root, 'sys/fs/cgroup/lxc', String(id), name);
  }

  make(id: number, files: Readonly<Record<string, string>> = FILES): void {
    plant(this.path(id), files);
  }

  sample(id = 101) {
    const sample = this.cgroups.sample(vmid(id));
    if (!sample.ok) throw new Error(sample.detail);
    return sample.value;
  }

  /** Microseconds of CPU used, or why that is not known. */
  usage(id = 101): number | string {
    const { cpu } = this.sample(id);
    return cpu.ok ? cpu.value.usageUs : cpu.why;
  }
}

function openFilesBelow(root: string): number {
  let count = 0;
  for (const descriptor of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(root)) count++;
    } catch {
      // The descriptor of the listing itself is gone by now.
    }
  }
  return count;
}

describe('a sample of a running container', () => {
  it('holds all counters in the units of the kernel', () => {
    expect(new FakeCgroups().sample()).toMatchObject({
      atMs: 1000,
      life: { ok: true, value: { populated: true, frozen: false } },
      cpu: {
        ok: true,
        value: { usageUs: 1000, throttledUs: 5, cpusetCpus: 3, effectiveCpus: 2 },
      },
      memory: {
        ok: true,
        value: {
          currentBytes: 4096,
          limitBytes: undefined,
          swapBytes: 11,
          anonBytes: 1,
          shmemBytes: 2,
          inactiveFileBytes: 3,
          activeFileBytes: 4,
          unevictableBytes: 5,
          slabUnreclaimableBytes: 6,
          slabReclaimableBytes: 9,
          refaults: 15,
          limitHits: 9,
          oomKills: 10,
          ooms: 12,
          own: { highHits: 13, limitHits: 4, ooms: 3 },
        },
      },
      cpuPressure: { ok: true, value: { someTotalUs: 1, fullTotalUs: 2 } },
      memoryPressure: { ok: true, value: { someTotalUs: 1, fullTotalUs: 2 } },
    });
  });

  it.skipIf(!existsSync(RECORDED_SYSROOT))('is that of the recorded node', () => {
    const paths = createPaths(copyRecordedSysroot());
    const cgroups = createCgroups(paths, manualClock());
    const sample = cgroups.sample(vmid(101));
    expect(sample).toMatchObject({
      ok: true,
      value: {
        cpu: { value: { usageUs: 23_008_700, throttledUs: 0, cpusetCpus: 2 } },
        memory: {
          value: {
            currentBytes: 231_772_160,
            limitBytes: 536_870_912,
            swapBytes: 0,
            anonBytes: 90_816_512,
            shmemBytes: 61_440,
            activeFileBytes: 2_203_648,
            inactiveFileBytes: 132_239_360,
            refaults: 47_510,
          },
        },
        cpuPressure: { value: { someTotalUs: 1_903_920 } },
      },
    });
    expect(cgroups.sample(vmid(103))).toMatchObject({ ok: false, why: 'absent' });
    cgroups.close();
  });

  it.each<[string, string | undefined, object]>([
    ['cpu.stat', undefined, { cpu: { why: 'absent' }, memory: { ok: true } }],
    ['cpu.stat', 'usage_usec 12', { cpu: { why: 'malformed' }, memory: { ok: true } }],
    ['cpuset.cpus', '\n', { cpu: { value: { usageUs: 1000, cpusetCpus: undefined } } }],
    ['cpuset.cpus', undefined, { cpu: { value: { usageUs: 1000, cpusetCpus: undefined } } }],
    ['cpu.pressure', undefined, { cpu: { ok: true }, cpuPressure: { why: 'absent' } }],
    ['memory.pressure', 'some\n', { memory: { ok: true }, memoryPressure: { why: 'malformed' } }],
    ['memory.current', '', { cpu: { ok: true }, memory: { why: 'malformed' } }],
    ['memory.current', '-1\n', { memory: { why: 'malformed' } }],
    ['memory.max', '536870912\n', { memory: { value: { limitBytes: 536_870_912 } } }],
    ['memory.max', 'maximum\n', { memory: { why: 'malformed' } }],
    ['memory.max', undefined, { memory: { why: 'absent' } }],
    ['memory.stat', 'anon 1\n', { memory: { why: 'malformed' } }],
    ['memory.events', undefined, { memory: { why: 'absent' } }],
    ['memory.events', 'max 9\noom_kill 10\n', { memory: { value: { ooms: undefined } } }],
    ['memory.events.local', undefined, { memory: { ok: true, value: { own: undefined } } }],
    ['memory.events.local', 'max 9\n', { memory: { why: 'malformed' } }],
    ['memory.stat', STAT_WITHOUT_SLAB, { memory: { value: { slabReclaimableBytes: 0 } } }],
    ['cpuset.cpus.effective', undefined, { cpu: { value: { effectiveCpus: undefined } } }],
    ['cpuset.cpus.effective', '\n', { cpu: { value: { effectiveCpus: undefined } } }],
    ['cgroup.events', 'populated 1\nfrozen 1\n', { life: { value: { frozen: true } } }],
    ['cgroup.events', 'populated 0\nfrozen 0\n', { life: { value: { populated: false } } }],
    ['cgroup.events', 'populated 1\n', { life: { value: { frozen: false } } }],
    ['cgroup.events', 'frozen 0\n', { life: { why: 'malformed' }, cpu: { ok: true } }],
    ['cgroup.events', 'populated 2\nfrozen 0\n', { life: { why: 'malformed' } }],
    ['cgroup.events', undefined, { life: { why: 'absent' }, memory: { ok: true } }],
    ['memory.swap.current', undefined, { memory: { value: { swapBytes: 0 } } }],
    ['memory.swap.current', 'x\n', { memory: { why: 'malformed' } }],
    ['memory.stat', 'x'.repeat(40_000), { memory: { why: 'unreadable' } }],
  ])('with %s as %j has a typed reason and keeps the rest', (name, content, expected) => {
    const node = new FakeCgroups();
    if (content === undefined) rmSync(node.path(101, name));
    else writeFileSync(node.path(101, name), content);
    expect(node.sample()).toMatchObject(expected);
    // The second one comes from kept descriptors.
    expect(node.sample()).toMatchObject(expected);
  });

  it('has a reason where a directory stands in place of a file', () => {
    const node = new FakeCgroups();
    rmSync(node.path(101, 'memory.current'));
    mkdirSync(node.path(101, 'memory.current'));
    expect(node.sample()).toMatchObject({ cpu: { ok: true }, memory: { why: 'unreadable' } });
  });
});

describe('what is not read each time', () => {
  const LOCAL = 'memory.events.local';
  const events = (own: boolean, text: string) => [own ? LOCAL : 'memory.events', text] as const;
  const write = (node: FakeCgroups, [name, text]: readonly [string, string]) =>
    writeFileSync(node.path(101, name), text);
  const own = (node: FakeCgroups) => {
    const { memory } = node.sample();
    return memory.ok ? memory.value.own?.ooms : memory.why;
  };

  it('its own events are, where any have changed, and once more', () => {
    const node = new FakeCgroups();
    node.sample();
    node.sample();
    expect(own(node)).toBe(3);
    const all = events(false, 'high 1\nmax 9\noom 13\noom_kill 11\n');
    write(node, all);
    expect(own(node)).toBe(3);
    write(node, events(true, 'high 13\nmax 4\noom 4\noom_kill 0\n'));
    expect(own(node)).toBe(4);
  });

  it('the CPUs that it can use are, where its cpuset or what is around it has changed', () => {
    const node = new FakeCgroups();
    const around = (text: string) =>
      plant(join(node.root, 'sys/fs/cgroup/lxc'), { 'cpuset.cpus.effective': text });
    around('0-3\n');
    const usable = (afterMs = 1000) => {
      node.clock.advance(afterMs);
      const { cpu } = node.sample();
      return cpu.ok ? cpu.value.effectiveCpus : cpu.why;
    };
    const effective = (text: string) => write(node, ['cpuset.cpus.effective', text]);
    expect(usable()).toBe(2);
    effective('0\n');
    around('0\n');
    expect(usable()).toBe(1);
    effective('0-2\n');
    write(node, ['cpuset.cpus', '0-2\n']);
    expect(usable()).toBe(3);
    effective('0-1\n');
    expect(usable(30_000)).toBe(2);
  });
});

describe('kept descriptors', () => {
  it('see what the kernel writes into the same files', () => {
    const node = new FakeCgroups();
    expect(node.usage()).toBe(1000);
    writeFileSync(node.path(101, 'cpu.stat'), 'usage_usec 2000\n');
    expect(node.usage()).toBe(2000);
    expect(node.cgroups.keptDescriptors).toBe(13);
    expect(openFilesBelow(node.root)).toBe(13);
  });

  it('see a file that was replaced by another', async () => {
    const node = new FakeCgroups();
    node.usage();
    await new Promise((resolve) => setTimeout(resolve, 20));
    writeFileSync(node.path(101, 'new'), 'usage_usec 3000\n');
    renameSync(node.path(101, 'new'), node.path(101, 'cpu.stat'));
    expect(node.usage()).toBe(3000);
    expect(openFilesBelow(node.root)).toBe(13);
  });

  it('are opened anew as long as the directory may change without showing it in its time', () => {
    const node = new FakeCgroups();
    const timeS = 1_900_000_000;
    node.clock.advance(timeS * 1000 - node.clock.wallMs());
    const replace = (usage: number) => {
      writeFileSync(node.path(101, 'new'), `usage_usec ${usage}\n`);
      renameSync(node.path(101, 'new'), node.path(101, 'cpu.stat'));
      // As on a file system whose clock has not ticked in between.
      utimesSync(node.path(101), timeS, timeS);
    };
    replace(1);
    expect(node.usage()).toBe(1);
    replace(2);
    expect(node.usage()).toBe(2);
    node.clock.advance(1000);
    expect(node.usage()).toBe(2);
    replace(3);
    expect(node.usage()).toBe(2);
  });

  it('are closed when the container has stopped', () => {
    const node = new FakeCgroups();
    node.usage();
    rmSync(node.path(101), { recursive: true });
    expect(node.cgroups.sample(vmid(101))).toMatchObject({ ok: false, why: 'absent' });
    expect(openFilesBelow(node.root)).toBe(0);
  });

  it('are those of the new cgroup after a restart, which has another identity', async () => {
    const node = new FakeCgroups();
    const before = node.sample();
    await new Promise((resolve) => setTimeout(resolve, 20));
    rmSync(node.path(101), { recursive: true });
    node.make(101, { ...FILES, 'cpu.stat': 'usage_usec 7\n' });
    expect(node.usage()).toBe(7);
    expect(node.sample().identity).not.toBe(before.identity);
    expect(openFilesBelow(node.root)).toBe(13);
  });

  it('have another identity also where the file system gives the same inode again', async () => {
    const node = new FakeCgroups();
    const identities = new Set<number>();
    for (let round = 0; round < 5; round++) {
      rmSync(node.path(101), { recursive: true });
      mkdirSync(node.path(101));
      identities.add(node.sample().identity);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(identities.size).toBe(5);
  });

  it('keep the identity while the container runs', async () => {
    const node = new FakeCgroups();
    const before = node.sample();
    await new Promise((resolve) => setTimeout(resolve, 20));
    writeFileSync(node.path(101, 'cgroup.later'), '');
    expect(node.sample().identity).toBe(before.identity);
  });

  it('are tried again for a file that comes later without a sign on the directory', () => {
    const node = new FakeCgroups();
    const hideTheChange = () => utimesSync(node.path(101), 1_000_000, 1_000_000);
    rmSync(node.path(101, 'memory.pressure'));
    hideTheChange();
    expect(node.sample().memoryPressure).toMatchObject({ why: 'absent' });
    writeFileSync(node.path(101, 'memory.pressure'), PRESSURE);
    hideTheChange();
    node.clock.advance(30_000);
    expect(node.sample().memoryPressure).toMatchObject({ why: 'absent' });
    node.clock.advance(30_000);
    expect(node.sample().memoryPressure).toMatchObject({ ok: true });
  });

  it('are no more than the budget, and the rest is read all the same', () => {
    const node = new FakeCgroups(26);
    for (let id = 102; id < 110; id++) node.make(id);
    for (let id = 101; id < 110; id++) expect(node.usage(id)).toBe(1000);
    for (let id = 101; id < 110; id++) expect(node.usage(id)).toBe(1000);
    expect(openFilesBelow(node.root)).toBe(26);
  });

  it('of a container that nobody asks about any longer are given back', () => {
    const node = new FakeCgroups();
    node.make(102);
    node.usage(101);
    for (let minutes = 0; minutes < 80; minutes += 5) {
      node.usage(102);
      node.clock.advance(300_000);
    }
    expect(openFilesBelow(node.root)).toBe(13);
    node.cgroups.close();
    expect(openFilesBelow(node.root)).toBe(0);
  });
});

describe('the live cpulimit', () => {
  const CPU_MAX = 'sys/fs/cgroup/lxc/101/cpu.max';
  const limitOf = (fake: FakeCgroups) => fake.cgroups.cpuLimit(vmid(101));

  it.each([
    ['max 100000\n', undefined],
    ['50000 100000\n', 0.5],
  ])('of %j is %s', (text, value) => {
    const fake = new FakeCgroups();
    plant(fake.root, { [CPU_MAX]: text });
    expect(limitOf(fake)).toStrictEqual({ ok: true, value });
  });

  it('is read anew each time, and kept open by nobody', () => {
    const fake = new FakeCgroups();
    plant(fake.root, { [CPU_MAX]: 'max 100000\n' });
    limitOf(fake);
    expect(openFilesBelow(fake.root)).toBe(0);
    writeFileSync(join(fake.root, CPU_MAX), '150000 100000\n');
    expect(limitOf(fake)).toStrictEqual({ ok: true, value: 1.5 });
  });

  it.each(['', 'max', '100000\n', `${'1'.repeat(300)} 100000\n`])('is malformed: %j', (text) => {
    const fake = new FakeCgroups();
    plant(fake.root, { [CPU_MAX]: text });
    expect(limitOf(fake)).toMatchObject({ ok: false, why: 'malformed' });
  });

  it('is absent only where the container does not run', () => {
    const fake = new FakeCgroups();
    rmSync(fake.path(101, 'cpu.max'));
    expect(limitOf(fake)).toMatchObject({ ok: false, why: 'unreadable' });
    expect(fake.cgroups.cpuLimit(vmid(102))).toMatchObject({ ok: false, why: 'absent' });
  });

  it('of the life that was sampled last is read from the file that stayed open', () => {
    const fake = new FakeCgroups();
    const sampled = () => fake.cgroups.sampledCpuLimit(vmid(101));
    fake.sample();
    writeFileSync(fake.path(101, 'cpu.max'), '150000 100000\n');
    const open = openFilesBelow(fake.root);
    expect(sampled()).toStrictEqual({ ok: true, value: 1.5 });
    writeFileSync(fake.path(101, 'cpu.max'), 'max 100000\n');
    expect(sampled()).toStrictEqual({ ok: true, value: undefined });
    writeFileSync(fake.path(101, 'cpu.max'), '');
    expect(sampled()).toMatchObject({ ok: false, why: 'malformed' });
    expect(openFilesBelow(fake.root)).toBe(open);
    // Nothing is kept of it: it is opened once.
    fake.cgroups.close();
    writeFileSync(fake.path(101, 'cpu.max'), '50000 100000\n');
    expect(sampled()).toStrictEqual({ ok: true, value: 0.5 });
  });

  it.skipIf(!existsSync(RECORDED_SYSROOT))('is the recorded one', () => {
    const cgroups = createCgroups(createPaths(copyRecordedSysroot()), manualClock());
    expect(cgroups.cpuLimit(vmid(101))).toStrictEqual({ ok: true, value: undefined });
  });
});

describe('what a node can do for guests', () => {
  const controllers = { 'cgroup.controllers': 'cpuset cpu io memory pids\n' };

  it('is seen of a container that runs', () => {
    const node = new FakeCgroups();
    expect(node.cgroups.capabilities(vmid(102))).toBeUndefined();
    node.make(102, { ...FILES, ...controllers, 'memory.reclaim': '' });
    expect(node.cgroups.capabilities(vmid(102))).toEqual({
      proof: true,
      pressure: true,
      workingSet: true,
      liveLimits: new Set(['cpu', 'cpuset', 'memory']),
    });
  });

  it('lacks what the kernel lacks', () => {
    const node = new FakeCgroups();
    const { 'cpu.pressure': _, ...files } = FILES;
    node.make(102, { ...files, 'cgroup.controllers': 'cpu io pids\n' });
    expect(node.cgroups.capabilities(vmid(102))).toEqual({
      proof: false,
      pressure: false,
      workingSet: true,
      liveLimits: new Set(['cpu']),
    });
  });

  it.each(['', 'memory\0\n', 'memory'])('has all limits where %j is no list of them', (text) => {
    const node = new FakeCgroups();
    node.make(102, { ...FILES, 'cgroup.controllers': text });
    expect(node.cgroups.capabilities(vmid(102))?.liveLimits).toEqual(
      new Set(['cpu', 'cpuset', 'memory']),
    );
  });
});

describe('a glance at a container that was sampled', () => {
  const glanced = (change: (fake: FakeCgroups) => void, budget?: number) => {
    const fake = new FakeCgroups(budget);
    // Its directory is older than what a coarse clock could mistake.
    utimesSync(fake.path(101), 0, 0);
    fake.sample();
    // What happens is counted in `memory.events`, which is read twice where it has changed.
    fake.sample();
    fake.clock.advance(500);
    change(fake);
    return fake.cgroups.glance(vmid(101));
  };
  const write = (name: string, text: string) => (fake: FakeCgroups) =>
    writeFileSync(fake.path(101, name), text);

  it('holds what changes all the time', () => {
    const seen = glanced((fake) => {
      write('cpu.stat', 'usage_usec 2000\nthrottled_usec 5\n')(fake);
      write('memory.current', '8192\n')(fake);
    });
    const sinceMs = 1000;
    expect(seen).toEqual({ atMs: 1500, sinceMs, usageUs: 2000, currentBytes: 8192 });
  });

  it('tells of a container that sleeps', () => {
    const sinceMs = 1000;
    const seen = glanced(() => {});
    expect(seen).toEqual({ atMs: 1500, sinceMs, usageUs: 1000, currentBytes: 4096 });
  });

  it.each<readonly [string, (fake: FakeCgroups) => void]>([
    ['a limit met', write('memory.events', 'max 10\noom 12\noom_kill 10\n')],
    ['a kill', write('memory.events', 'max 9\noom 13\noom_kill 11\n')],
    ['a freeze', write('cgroup.events', 'populated 1\nfrozen 1\n')],
    ['no process', write('cgroup.events', 'populated 0\nfrozen 0\n')],
    ['a use that is no number', write('cpu.stat', 'usage_usec many\n')],
    ['another first line', write('cpu.stat', 'user_usec 5\n')],
    ['a use that is cut off', write('cpu.stat', 'usage_usec 2000')],
    ['memory that is no number', write('memory.current', 'max\n')],
    ['a cgroup that is gone', (fake) => rmSync(fake.path(101), { recursive: true })],
  ])('leaves it to the sample if there is %s', (_what, change) => {
    expect(glanced(change)).toBeUndefined();
  });

  it('takes nothing from the sample that comes after it', () => {
    const fake = new FakeCgroups();
    utimesSync(fake.path(101), 0, 0);
    fake.sample();
    fake.sample();
    write('memory.events', 'max 9\noom 13\noom_kill 11\n')(fake);
    fake.cgroups.glance(vmid(101));
    expect(fake.sample().memory).toMatchObject({ value: { oomKills: 11, ooms: 13 } });
  });

  it('is none where files are not kept open, or were never sampled', () => {
    expect(glanced(() => {}, 0)).toBeUndefined();
    expect(new FakeCgroups().cgroups.glance(vmid(101))).toBeUndefined();
  });
});
