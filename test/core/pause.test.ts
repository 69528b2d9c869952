import { describe, expect, it } from 'vitest';
import { holdAll, pauseAfter, pauseRefused } from '../../src/core/pause.ts';
import { missing, present } from '../../src/core/reading.ts';
import { milliseconds } from '../../src/core/units.ts';
import { coresChange, hold, memoryChange, vmid } from './builders.ts';

const at = milliseconds;

describe('the node pauses', () => {
  it('without quorum, from the moment on in which that was first seen', () => {
    const first = pauseAfter(undefined, present(false), at(1000));
    expect(first).toMatchObject({ kind: 'no-quorum', sinceMs: 1000 });
    expect(pauseAfter(first, present(false), at(5000))).toMatchObject({ sinceMs: 1000 });
    expect(pauseAfter(first, present(true), at(6000))).toBeUndefined();
  });

  it('while another program has it in hand', () => {
    const notOurs = { kind: 'elsewhere', why: 'waiting' } as const;
    const first = pauseAfter(undefined, present(true), at(1000), notOurs);
    expect(first).toEqual({ ...notOurs, sinceMs: 1000 });
    expect(pauseAfter(first, present(true), at(2000))).toBeUndefined();
  });

  it('where the quorum is not known: missing is not yes', () => {
    const unread = missing('malformed', '/etc/pve/.members: not understood');
    expect(pauseAfter(undefined, unread, at(0))).toMatchObject({
      kind: 'not-known',
      why: expect.stringContaining('/etc/pve/.members: not understood'),
    });
  });

  it('for a while where a write was refused although there is quorum, longer each time', () => {
    const first = pauseRefused(undefined, 'Permission denied', at(0));
    expect(pauseAfter(first, present(true), at(59_000))).toBe(first);
    expect(pauseAfter(first, present(true), at(60_000))).toBeUndefined();
    const second = pauseRefused(first.retry, 'Permission denied', at(60_000));
    expect(pauseAfter(second, present(true), at(179_000))).toBe(second);
    expect(pauseAfter(second, present(true), at(180_000))).toBeUndefined();
  });

  it('and holds every change of a plan with its reason', () => {
    const pause = pauseAfter(undefined, present(false), at(0));
    if (pause === undefined) throw new Error('no pause');
    const cores = coresChange(101, 2, 4);
    const memory = memoryChange(101, 1024, 2048);
    const before = hold(102, { kind: 'in-band' });
    const changes = [{ vmid: vmid(101), name: 'ct101', cores, memory }];
    const { changes: left, held } = holdAll({ changes, held: [before] }, pause);
    expect(left).toEqual([]);
    const because = { kind: 'paused', why: pause.why };
    expect(held.map((one) => [one.resource, one.because])).toEqual([
      [before.resource, { kind: 'in-band' }],
      ['cores', because],
      ['memory', because],
    ]);
  });

  it('and calls a machine by what it is', () => {
    const pause = pauseRefused(undefined, 'Permission denied', at(0));
    const cores = coresChange(200, 2, 4, { kind: 'qemu' });
    const changes = [{ vmid: vmid(200), name: 'vm200', kind: 'qemu', cores } as const];
    expect(holdAll({ changes, held: [] }, pause).held[0]?.kind).toBe('qemu');
  });
});
