import { mkdirSync, readFileSync, rmdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CgroupDescriptors, GONE } from '../../../../src/node/local/kernel/cgroup-descriptors.ts';
import { createCgroups } from '../../../../src/node/local/kernel/cgroup-files.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { FILES_OF_THIS_HOST } from '../../../../src/os/readable-files.ts';
import { bundleFixture, start } from '../../../os/child.ts';
import { manualClock, plant, temporaryDirectory, vmid } from '../world.ts';

/** Where this machine has a cgroup v2 tree in which a cgroup can be made, or undefined. */
function writableCgroupTree(): string | undefined {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const mountPoint = line.split(' ')[4];
    if (!line.includes(' - cgroup2 ') || mountPoint === undefined) continue;
    const directory = join(mountPoint, `lxc-autoscale-test-${process.pid}`);
    try {
      mkdirSync(directory);
      rmdirSync(directory);
      return directory;
    } catch {
      // Read-only, as in most containers.
    }
  }
  return undefined;
}

const tree = writableCgroupTree();

describe.skipIf(tree === undefined)('cgroups of the running kernel', () => {
  const parent = tree ?? '';
  const directory = join(parent, '100');
  beforeAll(() => mkdirSync(directory, { recursive: true }));
  afterAll(() => {
    for (const path of [directory, parent]) rmdirSync(path);
  });

  it('are sampled, gone when they are removed, and others when they are made again', () => {
    const root = temporaryDirectory();
    plant(root, { 'sys/fs/cgroup/cgroup.controllers': 'cpu memory\n' });
    symlinkSync(parent, join(root, 'sys/fs/cgroup/lxc'));
    const cgroups = createCgroups(createPaths(root), manualClock());
    const before = cgroups.sample(vmid(100));
    expect(before).toMatchObject({ ok: true, value: { cpu: { ok: true } } });
    expect(before.ok && before.value.identity).toBe(statSync(directory).ino);
    rmdirSync(directory);
    expect(cgroups.sample(vmid(100))).toMatchObject({ ok: false, why: 'absent' });
    mkdirSync(directory);
    const after = cgroups.sample(vmid(100));
    expect(after).toMatchObject({ ok: true, value: { cpu: { ok: true } } });
    expect(after.ok && after.value.identity).not.toBe(before.ok && before.value.identity);
    cgroups.close();
  });

  it('are GONE when they are removed while their files are open', () => {
    const files = ['cpu.stat'];
    const descriptors = new CgroupDescriptors(FILES_OF_THIS_HOST, files, manualClock(), 10);
    const opened = descriptors.open(100, directory, statSync(directory));
    const buffer = Buffer.alloc(4096);
    const descriptor = opened.descriptors[0] ?? -1;
    expect(descriptors.readFromStart(descriptor, buffer)).toBeGreaterThan(0);
    rmdirSync(directory);
    expect(descriptors.readFromStart(descriptor, buffer)).toBe(GONE);
    mkdirSync(directory);
    descriptors.forgetAll();
  });
});

it('a process that may open few files still samples all containers', async () => {
  const root = temporaryDirectory();
  const pressure = 'some avg10=0.00 total=1\nfull avg10=0.00 total=2\n';
  for (let id = 100; id < 120; id++) {
    plant(join(root, `sys/fs/cgroup/lxc/${id}`), {
      'cpu.stat': 'usage_usec 1000\n',
      'cpuset.cpus': '0\n',
      'cpu.pressure': pressure,
      'memory.current': '4096\n',
      'memory.max': 'max\n',
      'memory.stat':
        'anon 1\nshmem 2\ninactive_file 3\nactive_file 4\nunevictable 5\nslab_unreclaimable 6\n' +
        'workingset_refault_anon 7\nworkingset_refault_file 8\n',
      'memory.events': 'max 9\noom_kill 10\n',
      'memory.swap.current': '0\n',
      'memory.pressure': pressure,
    });
  }
  const script = bundleFixture('few-descriptors');
  const command = `ulimit -n 100; exec "${process.execPath}" "${script}" "${root}"`;
  const { nextLine } = start('bash', ['-c', command]);
  expect(await nextLine()).toBe('60 whole, some kept');
});
