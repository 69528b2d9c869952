import { describe, expect, it } from 'vitest';
import { backupId, type MadeFor, type StoredBackup } from '../../src/core/backup.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import { backupsOfGuest, ownValues } from '../../src/core/own-values.ts';
import { missing, present } from '../../src/core/reading.ts';
import { mib, milliseconds } from '../../src/core/units.ts';
import { guest, identity, vmid } from './builders.ts';

/** The n-th backup: from before a change from this configuration on, to these values. */
function backup(n: number, from: Partial<GuestConfig>, made: Partial<MadeFor> = {}): StoredBackup {
  const takenAtMs = milliseconds(n * 60_000);
  const id = backupId(takenAtMs, '0a1b2c3d');
  const config = present(guest(101, from));
  const madeFor = present({ kind: 'change' as const, reason: 'why', ...made });
  return { vmid: vmid(101), id, takenAtMs, path: id, config, madeFor };
}

const has = (memory: number, cores = 2): Partial<GuestConfig> => ({
  cores,
  memoryMib: mib(memory),
});
const to = (from: number, memory: number): Partial<MadeFor> => ({
  memoryMib: { from: mib(from), to: mib(memory) },
});

/** Values and what was set since, of a guest that has this now. */
function own(now: Partial<GuestConfig>, ...backups: readonly StoredBackup[]) {
  const { values, setSince } = ownValues(guest(101, now), backups);
  return [values.cores, values.memoryMib, ...setSince];
}

const CHANGED_TWICE = [backup(1, has(1000), to(1000, 1500)), backup(2, has(1500), to(1500, 2000))];

describe("an administrator's own values", () => {
  it('are those there are where nothing was ever changed', () => {
    expect(own(has(1000))).toEqual([2, 1000]);
  });

  it('are those from before the first of the changes that followed one on the other', () => {
    expect(own(has(2000), ...CHANGED_TWICE)).toEqual([2, 1000]);
    expect(own(has(2000), ...[...CHANGED_TWICE].reverse())).toEqual([2, 1000]);
  });

  it('are those too where the last change did not come about', () => {
    expect(own(has(1500), ...CHANGED_TWICE)).toEqual([2, 1000]);
  });

  it('are what was set since the last change, and that is named', () => {
    expect(own(has(4096), ...CHANGED_TWICE)).toEqual([2, 4096, 'memoryMib']);
  });

  it('are what was set between two changes', () => {
    const interval = backup(3, has(4096), to(4096, 5120));
    expect(own(has(5120), ...CHANGED_TWICE, interval)).toEqual([2, 4096]);
  });

  it('are told of each value by itself', () => {
    const cores = { cores: { from: 2, to: 3 } };
    const all = [...CHANGED_TWICE, backup(3, has(2000, 2), cores)];
    expect(own(has(2000, 3), ...all)).toEqual([2, 1000]);
    expect(own(has(2000, 7), ...all)).toEqual([7, 1000, 'cores']);
    expect(own(has(999, 3), ...all)).toEqual([2, 999, 'memoryMib']);
  });

  it('are not named where this program never changed that value', () => {
    expect(own(has(2000, 8), ...CHANGED_TWICE)).toEqual([8, 1000]);
  });

  it('are carried on by each backup, so that the older ones may go', () => {
    const carried = { cores: 2, cpuLimit: null, memoryMib: mib(700) };
    const last = backup(9, has(1500), { ...to(1500, 2000), own: carried });
    expect(own(has(2000), last)).toEqual([2, 700]);
    expect(own(has(4096), last)).toEqual([2, 4096, 'memoryMib']);
  });

  it('are not what a change of a virtual machine came to that stopped half-way', () => {
    const machine = (memory: number, cores: number) =>
      ({ kind: 'qemu', ...has(memory, cores) }) as const;
    const partly = backup(1, machine(1000, 2), { cores: { from: 2, to: 4 } });
    const next = backup(2, machine(1000, 3), to(1000, 1500));
    expect(own(machine(1000, 3), partly)).toEqual([2, 1000]);
    expect(own(machine(1500, 3), partly, next)).toEqual([2, 1000]);
    expect(own(machine(1000, 5), partly)).toEqual([5, 1000, 'cores']);
    const ofContainer = backup(1, has(1000, 2), { cores: { from: 2, to: 4 } });
    expect(own(has(1000, 3), ofContainer)).toEqual([3, 1000, 'cores']);
  });

  it('are not what a change that failed in the middle had left', () => {
    const half = backup(3, has(2000), { kind: 'half-done' });
    expect(own(has(1500), ...CHANGED_TWICE, half)).toEqual([2, 1000]);
  });

  it('outlive a rollback by hand, which is this program too', () => {
    const rolled = backup(3, has(2000), { kind: 'rollback', ...to(2000, 1500) });
    expect(own(has(1500), ...CHANGED_TWICE, rolled)).toEqual([2, 1000]);
  });

  it('do not depend on a copy that cannot be read', () => {
    const torn = { ...backup(3, has(1)), config: missing('malformed', 'torn') };
    expect(own(has(2000), ...CHANGED_TWICE, torn)).toEqual([2, 1000]);
  });
});

describe('the backups of a guest', () => {
  const old = backup(1, { identity: identity(101) });
  const others = backup(2, { identity: identity(101, 1) });
  const unknown = backup(3, { identity: undefined });
  const torn = { ...backup(4, {}), config: missing('malformed', 'torn') };
  const all = [old, others, unknown, torn];

  it('are its own, and those that cannot be read', () => {
    expect(backupsOfGuest(identity(101), all)).toEqual([torn, old]);
    expect(backupsOfGuest(identity(101, 1), all)).toEqual([torn, others]);
    expect(backupsOfGuest(undefined, all)).toEqual([torn]);
  });
});
