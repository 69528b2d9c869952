import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { present } from '../../../../src/core/reading.ts';
import { mib } from '../../../../src/core/units.ts';
import { cgroupVersion } from '../../../../src/node/local/kernel/cgroup-version.ts';
import {
  countStatCpus,
  createHostView,
  parseArcstats,
  parseCpuTimes,
  parseLoadavg,
  parseMeminfo,
} from '../../../../src/node/local/kernel/proc-files.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { fc } from '../../../fast-check.ts';
import { copyRecordedSysroot, plant, RECORDED_SYSROOT, temporaryDirectory } from '../world.ts';

const MEMINFO =
  'MemTotal:        8192 kB\nMemFree:  1 kB\nMemAvailable:       4096 kB\nSwapFree:  2048 kB\n';
const STAT = 'cpu  100 20 30 400 50 6 7 8 90 10\ncpu0 1 2\ncpu1 1 2\nintr 5\n';
const ARCSTATS =
  '9 1 0x01 147 39984 3651244 7200103665\nname                            type data\n' +
  'hits                            4    104\nc_min                           4    1048576\n' +
  'c_max                           4    8388608\nsize                            4    3145728\n' +
  'compressed_size                 4    1000000\n';
const PRESSURE = 'some avg10=1.00 total=7\nfull avg10=0.00 total=0\n';
const FILES = {
  'sys/devices/system/cpu/online': '0-2,5\n',
  'proc/stat': STAT,
  'proc/meminfo': MEMINFO,
  'proc/loadavg': '1.25 0.74 0.50 3/172 1583\n',
  'proc/pressure/cpu': PRESSURE,
  'proc/pressure/memory': PRESSURE,
};

const noVms = () => present(mib(0));

function observe(files: Readonly<Record<string, string>>) {
  const root = temporaryDirectory();
  plant(root, files);
  return createHostView(createPaths(root), noVms).observe();
}

describe('the host', () => {
  it('is seen whole', () => {
    expect(observe(FILES)).toMatchObject({
      cpus: { ok: true, value: 4 },
      memory: {
        ok: true,
        value: { totalMib: 8, availableMib: 4, swapFreeMib: 2, arcReclaimableMib: 0 },
      },
      cpuTimes: { ok: true, value: { busyTicks: 171, totalTicks: 621 } },
      vmMemoryMib: { ok: true, value: 0 },
      load1: { ok: true, value: 1.25 },
      cpuPressure: { ok: true, value: { someAvg10: 0.01, someTotalUs: 7 } },
      memoryPressure: { ok: true, value: { someAvg10: 0.01, someTotalUs: 7 } },
    });
  });

  it.each(['', '3-0\n', 'x'])('has the CPUs of /proc/stat where the list is %j', (online) => {
    const { cpus } = observe({ ...FILES, 'sys/devices/system/cpu/online': online });
    expect(cpus).toStrictEqual({ ok: true, value: 2 });
  });

  it.each([
    ['0-1\n', 2],
    ['0-7\n', 4],
    ['\n', 4],
    ['x', 4],
  ])('has no more CPUs than the cgroup around its containers, %j', (around, value) => {
    const { cpus } = observe({ ...FILES, 'sys/fs/cgroup/lxc/cpuset.cpus.effective': around });
    expect(cpus).toStrictEqual({ ok: true, value });
  });

  it('has a typed reason for each value that is missing, and keeps the others', () => {
    expect(observe({})).toMatchObject({
      cpus: { ok: false, why: 'absent' },
      memory: { ok: false, why: 'absent' },
      cpuTimes: { ok: false, why: 'absent' },
      load1: { ok: false, why: 'absent' },
      cpuPressure: { ok: false, why: 'absent' },
      memoryPressure: { ok: false, why: 'absent' },
    });
    expect(observe({ ...FILES, 'proc/meminfo': 'MemTotal: 8 kB\n' })).toMatchObject({
      cpus: { ok: true },
      memory: { ok: false, why: 'malformed' },
      load1: { ok: true },
    });
  });

  it.skipIf(!existsSync(RECORDED_SYSROOT))('is the recorded one', () => {
    const host = createHostView(createPaths(copyRecordedSysroot()), noVms).observe();
    expect(host).toMatchObject({
      cpus: { value: 4 },
      memory: { value: { totalMib: 8_234_340 / 1024, availableMib: 7_431_320 / 1024 } },
      cpuTimes: { value: { busyTicks: 26_790, totalTicks: 300_234 } },
      vmMemoryMib: { value: 0 },
      load1: { value: 1 },
      cpuPressure: { value: { someAvg10: expect.closeTo(0.007, 9), someTotalUs: 7_168_823 } },
      memoryPressure: { value: { someTotalUs: 358 } },
    });
  });

  it.each([
    ['without MemAvailable', MEMINFO.replace('MemAvailable', 'MemElse')],
    ['without SwapFree', MEMINFO.replace('SwapFree', 'SwapElse')],
    ['with more available than there is', MEMINFO.replace('4096', '9000')],
    ['with no memory', MEMINFO.replace('8192', '0').replace('4096', '0')],
    ['with a negative size', MEMINFO.replace('8192', '-8192')],
    ['cut off', MEMINFO.slice(0, -3)],
    ['with a number beyond all bounds', MEMINFO.replace('8192', '8'.repeat(30))],
  ])('refuses a meminfo %s', (_, text) => {
    expect(parseMeminfo(Buffer.from(text))).toBeUndefined();
  });

  it.each(['', '1', 'nan 0 0', '-1.00 0.1 0.1', '1e5 0 0', ' 1.00 '])(
    'refuses the load average %j',
    (text) => {
      expect(parseLoadavg(Buffer.from(text))).toBeUndefined();
    },
  );

  it('never throws and never gives a number that is none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (content) => {
        const bytes = Buffer.from(content);
        const values: (number | undefined)[] = [
          countStatCpus(bytes),
          parseLoadavg(bytes),
          parseArcstats(bytes),
          ...Object.values(parseCpuTimes(bytes) ?? {}),
          ...Object.values(parseMeminfo(bytes) ?? {}),
        ];
        for (const value of values) expect(Number.isFinite(value ?? 0)).toBe(true);
      }),
    );
  });
});

describe('the time of all CPUs', () => {
  it.each([
    ['nothing', ''],
    ['a first line that is not whole', STAT.slice(0, 20)],
    ['too few numbers', 'cpu  1 2 3 4 5 6 7\n'],
    ['a negative number', 'cpu  1 2 3 -4 5 6 7 8 0 0\n'],
    ['a number beyond all bounds', `cpu  ${'9'.repeat(16)} 2 3 4 5 6 7 8 0 0\n`],
    ['one CPU', 'cpu0 1 2 3 4 5 6 7 8 0 0\n'],
  ])('is not told by %s', (_, text) => {
    expect(parseCpuTimes(Buffer.from(text))).toBeUndefined();
  });

  it('is found at the beginning of a file that is longer than any bound', () => {
    const long = `${STAT}intr${' 0'.repeat(3_000_000)}\n`;
    expect(observe({ ...FILES, 'proc/stat': long })).toMatchObject({
      cpuTimes: { ok: true, value: { busyTicks: 171, totalTicks: 621 } },
    });
  });

  it('is whole on a host that has been up for ages', () => {
    const most = `cpu  ${Array(10).fill('9'.repeat(15)).join(' ')}\n`;
    expect(observe({ ...FILES, 'proc/stat': most }).cpuTimes).toMatchObject({
      value: { totalTicks: 8 * (10 ** 15 - 1) },
    });
  });
});

describe('the ZFS cache', () => {
  const reclaimable = (arcstats: string) => {
    const { memory } = observe({ ...FILES, 'proc/spl/kstat/zfs/arcstats': arcstats });
    return memory.ok ? memory.value.arcReclaimableMib : memory.detail;
  };

  it('could give back what it holds beyond its minimum', () => {
    expect(reclaimable(ARCSTATS)).toBe(2);
    expect(reclaimable(ARCSTATS.replace('3145728', '1048576'))).toBe(0);
  });

  it.each([
    ['says nothing', ''],
    ['has no size', ARCSTATS.replace(/^size/m, 'sizes')],
    ['has no minimum', ARCSTATS.replace('c_min', 'c_minimum')],
    ['holds less than its minimum', ARCSTATS.replace('3145728', '500')],
    ['has a size that is no number', ARCSTATS.replace('3145728', '3e6')],
    ['has a negative minimum', ARCSTATS.replace(' 1048576', ' -1048576')],
    ['is cut off', ARCSTATS.slice(0, ARCSTATS.indexOf('3145728') + 3)],
    ['would hold what is not in use', ARCSTATS.replace('3145728', '5242881')],
  ])('gives nothing where its file %s', (_, text) => {
    expect(reclaimable(text)).toBe(0);
  });
});

describe('the version of the control groups', () => {
  it.each([
    ['v2', 'cgroup.controllers', true, ''],
    ['v1', 'memory/tasks', false, 'systemd.unified_cgroup_hierarchy=0'],
    ['hybrid', 'unified/cgroup.controllers', false, 'cgroup v1'],
  ])('is told: %s', (_, file, ok, words) => {
    const root = temporaryDirectory();
    plant(root, { [`sys/fs/cgroup/${file}`]: '' });
    const version = cgroupVersion(createPaths(root));
    expect(version.ok).toBe(ok);
    expect(version.ok ? '' : version.message).toContain(words);
  });

  it('is none where there is no such tree', () => {
    const version = cgroupVersion(createPaths(temporaryDirectory()));
    expect(version.ok ? '' : version.message).toContain('not a running Proxmox VE node');
  });
});
