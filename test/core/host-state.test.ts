import { describe, expect, it } from 'vitest';
import {
  availableMib,
  cpuSaturation,
  emergencyOf,
  type HostCpu,
  hostCpu,
  memoryFull,
  memoryStall,
} from '../../src/core/host-state.ts';
import type { HostObservation, Pressure } from '../../src/core/observation.ts';
import { present } from '../../src/core/reading.ts';
import { mib, microseconds, milliseconds, ratio } from '../../src/core/units.ts';
import { broken, gone, host, hostMemory, hostPolicy } from './builders.ts';

const ticks = (busyTicks: number, totalTicks: number) => present({ busyTicks, totalTicks });
const start: HostCpu = {
  atMs: milliseconds(0),
  times: { busyTicks: 1000, totalTicks: 4000 },
  busy: undefined,
};
const busyAfter = (busy: number, total: number): number | undefined =>
  hostCpu(start, ticks(busy, total), milliseconds(10_000))?.busy;

const cpuAt = (busy: number | undefined): HostCpu => ({
  ...start,
  busy: busy === undefined ? undefined : ratio(busy),
});

describe('how busy the CPUs of the host are', () => {
  it('is the share of the ticks since the previous sample', () => {
    expect(busyAfter(1300, 4400)).toBe(0.75);
  });

  it('is not known at the first look, nor where counters cannot be true', () => {
    expect(hostCpu(undefined, ticks(10, 20), milliseconds(0))?.busy).toBeUndefined();
    for (const [busy, total] of [
      [999, 4400],
      [1100, 4000],
      [1500, 4400],
    ] as const) {
      expect(busyAfter(busy, total)).toBeUndefined();
    }
  });

  it('goes on from the earlier look where two lie too close together', () => {
    expect(hostCpu(start, ticks(1001, 4001), milliseconds(999))).toBe(start);
    expect(hostCpu(start, ticks(1001, 4001), milliseconds(1000))?.busy).toBe(1);
  });

  it('is forgotten where it cannot be read: what is missing is no idle host', () => {
    expect(hostCpu(start, broken('/proc/stat'), milliseconds(10_000))).toBeUndefined();
  });

  it('is saturation from 95 % on', () => {
    expect(cpuSaturation(cpuAt(0.95), hostPolicy)).toBe(0.95);
    for (const busy of [cpuAt(0.949), cpuAt(undefined), undefined]) {
      expect(cpuSaturation(busy, hostPolicy)).toBeUndefined();
    }
  });
});

describe('the memory of the host', () => {
  it('that the ZFS cache holds beyond its minimum can be had', () => {
    const memory = { ...hostMemory(65_536, 1000), arcReclaimableMib: mib(20_000) };
    expect(availableMib(memory)).toBe(21_000);
  });

  it('that cannot be read is neither full nor an emergency', () => {
    const unread = { ...host(), memory: broken() };
    const always = { ...hostPolicy, mostMemory: ratio(0), emergency: ratio(0) };
    expect(memoryFull(host(), always)).toBeGreaterThan(0);
    expect(memoryFull(unread, always)).toBeUndefined();
    expect(emergencyOf(unread, always)).toBeUndefined();
  });

  const waiting = (full: number, availableOf64Gib: number): HostObservation => {
    const line: Pressure = {
      someAvg10: ratio(0.9),
      someTotalUs: microseconds(0),
      fullAvg10: ratio(full),
      fullTotalUs: microseconds(0),
    };
    return { ...host({ availableMib: availableOf64Gib }), memoryPressure: present(line) };
  };

  it('is short where all wait for it and little of it is left', () => {
    expect(memoryStall(waiting(0.05, 6000))).toBe(0.05);
    expect(memoryStall(waiting(0.049, 6000))).toBeUndefined();
  });

  it('is not short for a container alone that thrashes at its own limit', () => {
    expect(memoryStall(waiting(0.6, 30_000))).toBeUndefined();
  });

  it('is not called short where nothing is known', () => {
    expect(memoryStall({ ...waiting(0.6, 6000), memoryPressure: gone() })).toBeUndefined();
    expect(memoryStall({ ...waiting(0.6, 6000), memory: broken() })).toBeUndefined();
  });
});

describe('a host in need', () => {
  const needOf = (around: HostObservation) => emergencyOf(around, hostPolicy);

  it('is one whose memory is used to 98 %, the ZFS cache not counted as used', () => {
    const full = host({ totalMib: 10_000, availableMib: 200 });
    expect(needOf(full)).toBeCloseTo(0.98);
    expect(needOf(host({ totalMib: 10_000, availableMib: 201 }))).toBeUndefined();
    const memory = { ...hostMemory(10_000, 200), arcReclaimableMib: mib(3000) };
    expect(needOf({ ...host(), memory: present(memory) })).toBeUndefined();
  });

  it('is none that cannot be measured', () => {
    expect(needOf({ ...host(), memory: broken() })).toBeUndefined();
  });
});
