import { describe, expect, it } from 'vitest';
import { headroomAfter, uncountedMib } from '../../src/core/headroom.ts';
import { plan } from '../../src/core/plan.ts';
import { present } from '../../src/core/reading.ts';
import { mib } from '../../src/core/units.ts';
import { broken, budgetOf, guest, memoryChange, vmid } from './builders.ts';

const available = budgetOf(8, 4096);
const running = new Map([101, 102].map((id) => [vmid(id), guest(id, { memoryMib: mib(2048) })]));
const planned = plan([memoryChange(101, 2048, 3072), memoryChange(102, 2048, 1024)], available);
const headroom = headroomAfter(available, planned, running, present(mib(512)));

const passes = (limits: Readonly<Record<number, number>>, vmMib = 512) =>
  uncountedMib(headroom, {
    limitsMib: new Map(Object.entries(limits).map(([id, limit]) => [vmid(Number(id)), mib(limit)])),
    vmMemoryMib: present(mib(vmMib)),
  });

describe('the room that a plan leaves', () => {
  it('is less by what it gives', () => {
    expect(headroom.wholeMib).toEqual(present(4096 - 1024));
  });

  it('counts growth at once, and what is taken back when it is gone', () => {
    expect(passes({ 101: 3072, 102: 2048 })).toEqual(present(0));
    expect(passes({ 101: 2048, 102: 1024 })).toEqual(present(0));
  });

  it('is less by whatever was started or raised since', () => {
    expect(passes({ 101: 3072, 102: 2048, 103: 700 })).toEqual(present(700));
    expect(passes({ 101: 4096, 102: 2048 })).toEqual(present(1024));
    expect(passes({}, 1536)).toEqual(present(1024));
    expect(passes({ 101: 4096 }, 0)).toEqual(present(1024));
  });

  it('is not known where the virtual machines are not', () => {
    const now = { limitsMib: new Map(), vmMemoryMib: broken('qemu-server') };
    expect(uncountedMib(headroom, now)).toEqual(broken('qemu-server'));
    const blind = { ...headroom, vmMemoryMib: broken('then') };
    const seen = { limitsMib: new Map(), vmMemoryMib: present(mib(0)) };
    expect(uncountedMib(blind, seen)).toEqual(broken('then'));
  });
});
