import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GuestConfig } from '../../../src/core/observation.ts';
import { parseGuestConfig } from '../../../src/node/guests/lxc-conf.ts';
import { fc } from '../../fast-check.ts';
import { RECORDED_SYSROOT, vmid } from '../local/world.ts';

const read = (text: string | Uint8Array) =>
  parseGuestConfig(vmid(101), typeof text === 'string' ? Buffer.from(text) : text);

function config(text: string): GuestConfig {
  const reading = read(text);
  if (!reading.ok) throw new Error(reading.detail);
  return reading.value;
}

const WHOLE = `#Shop front
#cores: 7
arch: amd64
cores: 2
cpulimit: 1.5
hostname: web1
lock: backup
memory: 1024
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:60:1F:90,ip=dhcp,type=veth
net1: name=eth1,bridge=vmbr1,hwaddr=BC:24:11:60:1F:0A,type=veth
rootfs: local-lvm:vm-101-disk-0,size=4G
swap: 256
tags: prod;web, blue
foo: bar
lxc.signal.halt: SIGUSR1
lxc.cgroup2.cpuset.cpus: 12-15

[pve:pending]
memory: 4096
tty: 3
delete: net0,!mp0

[before-upgrade]
cores: 9
memory: 9999
net2: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01
rootfs: local-lvm:vm-101-disk-7,size=4G
template: 1
lxc.cgroup2.memory.max: 1G
`;

describe('a container configuration', () => {
  it('is read from its live section only', () => {
    expect(config(WHOLE)).toStrictEqual({
      vmid: 101,
      name: 'web1',
      cores: 2,
      cpuLimit: 1.5,
      memoryMib: 1024,
      swapMib: 256,
      tags: ['prod', 'web', 'blue'],
      lock: 'backup',
      template: false,
      pendingKeys: ['memory', 'tty', 'net0', 'mp0'],
      digest: createHash('sha1').update(WHOLE).digest('hex'),
      pins: [{ what: 'cpuset', line: 'lxc.cgroup2.cpuset.cpus: 12-15' }],
      identity: 'bc:24:11:60:1f:0a,bc:24:11:60:1f:90 local-lvm:vm-101-disk-0',
    });
  });

  it('is the same with CRLF line ends, but for its digest', () => {
    const crlf = config(WHOLE.replaceAll('\n', '\r\n'));
    expect({ ...crlf, digest: '' }).toStrictEqual({ ...config(WHOLE), digest: '' });
    expect(crlf.digest).not.toBe(config(WHOLE).digest);
  });

  it.each<[string, readonly string[]]>([
    ['lxc.cgroup2.cpuset.cpus: 12-15', ['cpuset']],
    ['lxc.cgroup2.cpuset.cpus = 12-15', ['cpuset']],
    ['lxc.cgroup2.cpuset.cpus=12-15', ['cpuset']],
    ['lxc.cgroup.cpuset.cpus: 3', ['cpuset']],
    ['lxc.cgroup2.cpu.max: 200000 100000', ['quota']],
    ['lxc.cgroup.cpu.cfs_quota_us: 50000', ['quota']],
    ['lxc.cgroup2.memory.max: 1G', ['memory']],
    ['lxc.cgroup2.memory.high: 900M', ['memory']],
    ['lxc.cgroup.memory.limit_in_bytes: 1073741824', ['memory']],
    // An empty value takes back what was said before, and pvestatd goes by the key alone.
    ['lxc.cgroup2.memory.max: 1G\nlxc.cgroup2.memory.max:', []],
    ['lxc.cgroup2.memory.max:\nlxc.cgroup2.memory.max: 1G', ['memory']],
    ['lxc.cgroup2.cpuset.cpus: 3\nlxc.cgroup2.cpuset.cpus:', ['cpuset', 'cpuset']],
    ['#lxc.cgroup2.memory.max: 1G', []],
    [' lxc.cgroup2.memory.max: 1G', []],
    ['lxc.cgroup2.memory.swap.max: 1G', []],
    ['lxc.cgroup2.memory.maximum: 1G', []],
    ['lxc.cgroup2.devices.allow: c 226:0 rwm', []],
    ['lxc.cgroup2.cpu.weight: 200', []],
    ['[pve:pending]\nlxc.cgroup2.memory.max: 1G', []],
    ['[before]\nlxc.cgroup2.cpuset.cpus: 3', []],
  ])('with %j is pinned in %j', (lines, pinned) => {
    const { pins } = config(`arch: amd64\ncores: 2\n${lines}\n`);
    expect(pins.map(({ what }) => what)).toEqual(pinned);
  });

  it('names the line that pins it, cut where it is very long', () => {
    const line = `lxc.cgroup2.cpuset.cpus: ${'1,'.repeat(500)}3`;
    expect(config(`cores: 2\n${line}\n`).pins[0]?.line).toBe(line.slice(0, 255));
  });

  it('has the defaults of Proxmox VE where a line is missing', () => {
    expect(config('arch: amd64\n')).toMatchObject({
      name: 'CT101',
      cores: null,
      cpuLimit: null,
      memoryMib: 512,
      swapMib: 512,
      tags: [],
      lock: undefined,
      template: false,
      pendingKeys: [],
    });
  });

  it.each<[string, Partial<GuestConfig>]>([
    ['template: 1', { template: true }],
    ['template: 0', { template: false }],
    ['cpulimit: 0', { cpuLimit: null }],
    ['swap: 0', { swapMib: 0 as never }],
    ['memory: 99999999', { memoryMib: 99_999_999 as never }],
    ['cores: 8192', { cores: 8192 }],
    ['cores: 1\ncores: 3', { cores: 3 }],
    ['cores:3', { cores: 3 }],
    ['tags: ;;a;', { tags: ['a'] }],
    ['x: y\n cores: 3', { cores: null }],
    ['lock:', { lock: undefined }],
    [`hostname: ${'h'.repeat(5000)}`, { name: 'h'.repeat(255) }],
    ['x: y\n[s]\ncores: 3', { cores: null }],
    ['cores: 2', { cores: 2 }],
  ])('%j is understood', (text, expected) => {
    expect(config(text)).toMatchObject(expected);
  });

  it.each([
    ['cores: two', 'cores: "two" is not a whole number from 1 to 8192'],
    ['cores: 0', 'cores: "0"'],
    ['cores: 8193', 'cores: "8193"'],
    ['cores: 1.5', 'cores: "1.5"'],
    ['cores: -1', 'cores: "-1"'],
    ['cores: 1e1', 'cores: "1e1"'],
    ['cores: 0x10', 'cores: "0x10"'],
    ['cores:', 'cores: ""'],
    ['memory: 15', 'memory: "15"'],
    ['memory: 512 MB', 'memory: "512 MB"'],
    ['memory: 99999999999999999999', 'memory: "9'],
    ['swap: -5', 'swap: "-5"'],
    ['cpulimit: NaN', 'cpulimit: "NaN"'],
    ['cpulimit: 9000', 'cpulimit: "9000"'],
    ['template: perhaps', 'template: "perhaps"'],
    ['memory: \u0661\u0662\u0663', 'memory: "'],
    ['', 'holds no settings'],
    ['# only a description\n', 'holds no settings'],
    ['[s1]\ncores: 2\n', 'holds no settings'],
    ['arch: amd64\0\n', 'NUL'],
  ])('%j is malformed, not replaced by a default', (text, detail) => {
    const reading = read(text);
    expect(reading).toMatchObject({ ok: false, why: 'malformed' });
    expect(reading.ok ? '' : reading.detail).toContain(detail);
  });

  it('tells all its problems at once', () => {
    const reading = read('cores: x\nmemory: y\n');
    expect(reading.ok ? '' : reading.detail).toMatch(/cores: "x".*memory: "y"/);
  });

  it('is refused when it is larger than any of the cluster file system', () => {
    const reading = read(Buffer.alloc(1024 * 1024 + 1, 'x: y\n'));
    expect(reading).toMatchObject({ ok: false, why: 'malformed' });
  });

  it('is bounded in what it keeps', () => {
    const many = Array.from({ length: 5000 }, (_, index) => `t${index}`).join(';');
    expect(config(`tags: ${many}`).tags.length).toBe(128);
    const pending = many.replaceAll(';', ',');
    expect(config(`x: y\n[pve:pending]\ndelete: ${pending}`).pendingKeys.length).toBe(128);
  });

  it('never throws and never gives a number that is none, whatever the bytes', () => {
    const key = fc.constantFrom('cores', 'memory', 'swap', 'cpulimit', 'template', 'tags', 'x');
    const line = fc.tuple(key, fc.string({ unit: 'binary', maxLength: 12 }));
    const lines = fc.array(line).map((all) => Buffer.from(all.map((l) => l.join(': ')).join('\n')));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), lines), (content) => {
        const reading = read(content);
        if (!reading.ok) return;
        const { cores, cpuLimit, memoryMib, swapMib } = reading.value;
        expect(Number.isSafeInteger(cores ?? 1) && (cores ?? 1) >= 1).toBe(true);
        expect(Number.isFinite(cpuLimit ?? 1) && (cpuLimit ?? 1) > 0).toBe(true);
        expect(Number.isSafeInteger(memoryMib) && memoryMib >= 16).toBe(true);
        expect(Number.isSafeInteger(swapMib) && swapMib >= 0).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it.skipIf(!existsSync(RECORDED_SYSROOT))('is read as recorded on a real node', () => {
    const path = join(RECORDED_SYSROOT, 'etc/pve/nodes/pve1/lxc/101.conf');
    const content = readFileSync(path);
    expect(parseGuestConfig(vmid(101), content)).toStrictEqual({
      ok: true,
      value: {
        vmid: 101,
        name: 'web1',
        cores: 2,
        cpuLimit: null,
        memoryMib: 512,
        swapMib: 512,
        tags: ['prod', 'web'],
        lock: undefined,
        template: false,
        pendingKeys: ['tty'],
        pins: [],
        identity: 'bc:24:11:60:1f:90 local-lvm:vm-101-disk-0',
        digest: createHash('sha1').update(content).digest('hex'),
      },
    });
  });
});
