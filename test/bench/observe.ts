import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Vmid } from '../../src/core/units.ts';
import { milliseconds, parseVmid } from '../../src/core/units.ts';
import { createCgroups } from '../../src/node/local/kernel/cgroup-files.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import type { Clock } from '../../src/node/port.ts';

/**
 * What it costs to observe a container, in microseconds, against loops that only read the same
 * files: with kept descriptors, and with open, read and close; the same by a program in C, which
 * is compiled here if there is a compiler. The rounds take turns, so that
 * whatever else the machine does hits all of them alike; the median of the rounds counts. Code is
 * optimized as late as in the daemon.
 */

const CONTAINERS = 200;
const WARM_UP_ROUNDS = 20;
const ROUNDS = 120;

const FILES: Readonly<Record<string, string>> = {
  'cgroup.events': 'populated 1\nfrozen 0\n',
  'cpu.stat':
    'usage_usec 23008700\nuser_usec 11504350\nsystem_usec 11504350\nnice_usec 0\nnr_periods 0\n' +
    'nr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n',
  'cpuset.cpus': '0,2\n',
  'cpuset.cpus.effective': '0,2\n',
  'cpu.pressure': pressure(1_903_920, 472_413),
  'memory.current': '231772160\n',
  'memory.max': '536870912\n',
  'memory.stat': memoryStat(),
  'memory.events': 'low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n',
  'memory.events.local': 'low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n',
  'memory.swap.current': '0\n',
  'memory.pressure': pressure(1911, 1911),
};

const clock: Clock = {
  wallMs: () => milliseconds(performance.timeOrigin + performance.now()),
  monotonicMs: () => milliseconds(performance.now()),
};

export function benchObserve(): readonly string[] {
  const root = mkdtempSync(join(tmpdir(), 'lxc-autoscale-bench-'));
  try {
    const vmids = plantContainers(root);
    return measure(root, vmids);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function measure(root: string, vmids: readonly Vmid[]): readonly string[] {
  const paths = createPaths(root);
  const cgroups = createCgroups(paths, clock);
  const names = vmids.flatMap((vmid) =>
    Object.keys(FILES).map((file) => join(paths.cgroup(vmid), file)),
  );
  const descriptors = names.map((name) => openSync(name, 'r'));
  const buffer = Buffer.allocUnsafeSlow(32 * 1024);
  const loops = {
    sample: () => {
      for (const vmid of vmids) {
        const sample = cgroups.sample(vmid);
        if (!sample.ok || !sample.value.memory.ok) throw new Error('the sample is incomplete');
      }
    },
    keptReads: () => {
      for (const descriptor of descriptors) readSync(descriptor, buffer, 0, buffer.length, 0);
    },
    openReads: () => {
      for (const name of names) {
        const descriptor = openSync(name, 'r');
        readSync(descriptor, buffer, 0, buffer.length, 0);
        closeSync(descriptor);
      }
    },
  };
  const sample: number[] = [];
  const keptReads: number[] = [];
  const openReads: number[] = [];
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    const times = [timed(loops.sample), timed(loops.keptReads), timed(loops.openReads)] as const;
    if (round < 0) continue;
    sample.push(times[0]);
    keptReads.push(times[1]);
    openReads.push(times[2]);
  }
  cgroups.close();
  for (const descriptor of descriptors) closeSync(descriptor);
  const observed = median(sample);
  return [
    ...summary(observed, median(keptReads), median(openReads)),
    ...besideC(root, names, observed),
  ];
}

const READER = new URL('../test/bench/reader.c', import.meta.url).pathname;

/** What the same reads take in C, whose rounds come after the others. */
function besideC(root: string, names: readonly string[], sample: number): readonly string[] {
  const [program, list] = [join(root, 'reader'), join(root, 'names')];
  const compiled = spawnSync('cc', ['-O2', '-o', program, READER], { encoding: 'utf8' });
  if (compiled.error) return ['no C compiler is here, so nothing is compared with C'];
  if (compiled.status !== 0) throw new Error(compiled.stderr);
  writeFileSync(list, `${names.join('\n')}\n`);
  const run = spawnSync(program, [list, String(ROUNDS)], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`the reader in C: ${run.stderr}`);
  const [kept = 0, summed = 0, opened = 0] = run.stdout.split('\n').map(Number);
  const line = (what: string, roundUs: number): string => {
    const us = roundUs / CONTAINERS;
    return `${us.toFixed(1).padStart(6)} us  ${what}: sample takes ${(sample / us).toFixed(2)} x`;
  };
  return [
    line('the same reads in C, descriptors kept', kept),
    line('the same in C, every number summed up', summed),
    line('the same reads in C, open and close', opened),
  ];
}

function summary(sample: number, keptReads: number, openReads: number): readonly string[] {
  const line = (what: string, us: number): string => `${us.toFixed(1).padStart(6)} us  ${what}`;
  const against = (us: number): string => (sample / us).toFixed(2);
  return [
    `${CONTAINERS} containers of ${Object.keys(FILES).length} files, per container:`,
    line('Cgroups.sample: stat, reads, numbers out of them (goal: at most 90)', sample),
    line(`the same reads alone, descriptors kept: sample takes ${against(keptReads)} x`, keptReads),
    line(`the same reads alone, open and close: sample takes ${against(openReads)} x`, openReads),
  ];
}

/** Microseconds per container. */
function timed(loop: () => void): number {
  const startMs = performance.now();
  loop();
  return ((performance.now() - startMs) * 1000) / CONTAINERS;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function plantContainers(root: string): readonly Vmid[] {
  const vmids: Vmid[] = [];
  for (let index = 0; index < CONTAINERS; index++) {
    const vmid = parseVmid(String(100 + index));
    if (vmid === undefined) continue;
    const directory = join(root, 'sys/fs/cgroup/lxc', String(vmid));
    mkdirSync(directory, { recursive: true });
    for (const [name, content] of Object.entries(FILES)) {
      writeFileSync(join(directory, name), content);
    }
    vmids.push(vmid);
  }
  return vmids;
}

function pressure(someTotal: number, fullTotal: number): string {
  const averages = 'avg10=0.70 avg60=0.40 avg300=0.26';
  return `some ${averages} total=${someTotal}\nfull ${averages} total=${fullTotal}\n`;
}

/** As long as a kernel's: what is wanted stands among what is not. */
function memoryStat(): string {
  const keys =
    'anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem ' +
    'file_mapped file_dirty file_writeback swapcached inactive_anon active_anon inactive_file ' +
    'active_file unevictable slab_reclaimable slab_unreclaimable slab workingset_refault_anon ' +
    'workingset_refault_file workingset_activate_anon workingset_activate_file ' +
    'workingset_restore_anon workingset_restore_file workingset_nodereclaim pgdemote_kswapd ' +
    'pgdemote_direct pgsteal_kswapd pgsteal_direct pgscan_kswapd pgscan_direct pgrefill pgscan ' +
    'pgsteal pswpin pswpout pgfault pgmajfault pgactivate pgdeactivate pglazyfree pglazyfreed';
  return `${keys.split(' ').join(' 90816512\n')} 90816512\n`;
}
