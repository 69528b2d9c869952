import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cgroupVersion } from '../../src/host/cgroup-version.ts';
import { createPaths } from '../../src/host/paths.ts';
import {
  countStatCpus,
  createHostView,
  parseLoadavg,
  parseMeminfo,
} from '../../src/host/proc-files.ts';
import { copyRecordedSysroot, plant, RECORDED_SYSROOT, temporaryDirectory } from './world.ts';

const MEMINFO = 'MemTotal:        8192 kB\nMemFree:  1 kB\nMemAvailable:       4096 kB\n';
const PRESSURE = 'some avg10=1.00 total=7\nfull avg10=0.00 total=0\n';
const FILES = {
  'sys/devices/system/cpu/online': '0-2,5\n',
  'proc/stat': 'cpu  1 2\ncpu0 1 2\ncpu1 1 2\nintr 5\n',
  'proc/meminfo': MEMINFO,
  'proc/loadavg': '1.25 0.74 0.50 3/172 1583\n',
  'proc/pressure/cpu': PRESSURE,
  'proc/pressure/memory': PRESSURE,
};

function observe(files: Readonly<Record<string, string>>) {
  const root = temporaryDirectory();
  plant(root, files);
  return createHostView(createPaths(root)).observe();
}

describe('the host', () => {
  it('is seen whole', () => {
    expect(observe(FILES)).toMatchObject({
      cpus: { ok: true, value: 4 },
      memory: { ok: true, value: { totalMib: 8, availableMib: 4 } },
      load1: { ok: true, value: 1.25 },
      cpuPressure: { ok: true, value: { someAvg10: 0.01, someTotalUs: 7 } },
      memoryPressure: { ok: true, value: { someAvg10: 0.01, someTotalUs: 7 } },
    });
  });

  it.each(['', '3-0\n', 'x'])('has the CPUs of /proc/stat where the list is %j', (online) => {
    const { cpus } = observe({ ...FILES, 'sys/devices/system/cpu/online': online });
    expect(cpus).toStrictEqual({ ok: true, value: 2 });
  });

  it('has a typed reason for each value that is missing, and keeps the others', () => {
    expect(observe({})).toMatchObject({
      cpus: { ok: false, why: 'absent' },
      memory: { ok: false, why: 'absent' },
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
    const host = createHostView(createPaths(copyRecordedSysroot())).observe();
    expect(host).toMatchObject({
      cpus: { value: 4 },
      memory: { value: { totalMib: 8_234_340 / 1024, availableMib: 7_431_320 / 1024 } },
      load1: { value: 1 },
      cpuPressure: { value: { someAvg10: expect.closeTo(0.007, 9), someTotalUs: 7_168_823 } },
      memoryPressure: { value: { someTotalUs: 358 } },
    });
  });

  it.each([
    ['without MemAvailable', MEMINFO.replace('MemAvailable', 'MemElse')],
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
        const values = [countStatCpus(bytes), parseLoadavg(bytes)].concat(
          Object.values(parseMeminfo(bytes) ?? {}),
        );
        for (const value of values) expect(Number.isFinite(value ?? 0)).toBe(true);
      }),
    );
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
