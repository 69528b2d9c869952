import { describe, expect, it } from 'vitest';
import { guestState, isStopped } from '../../src/core/guest-state.ts';
import { missing, present } from '../../src/core/reading.ts';
import { broken, gone, sample } from './builders.ts';

describe('whether a guest runs', () => {
  const life = (populated: boolean, frozen: boolean) =>
    guestState(present(sample({ life: present({ populated, frozen }) })));

  it('is told by its cgroup and what is in it', () => {
    expect(life(true, false)).toEqual({ kind: 'running' });
    expect(life(true, true)).toEqual({ kind: 'frozen' });
    expect(life(false, false)).toEqual({ kind: 'stopped', leftBehind: true });
    expect(life(false, true)).toEqual({ kind: 'stopped', leftBehind: true });
    expect(guestState(gone())).toEqual({ kind: 'stopped' });
  });

  it.each([broken(), missing('unreadable', 'EIO'), missing('implausible', 'so late')])(
    'is unknown where it cannot be seen, and unknown is never stopped: %j',
    (reason) => {
      expect(guestState(reason)).toEqual({ kind: 'unknown', reason });
      expect(isStopped(reason)).toBe(false);
    },
  );

  it('counts as running where only its life cannot be read', () => {
    expect(guestState(present(sample({ life: gone() })))).toEqual({ kind: 'running' });
  });
});
