import { describe, expect, it } from 'vitest';
import { missing, present } from '../../src/core/reading.ts';
import { cores, mib } from '../../src/core/units.ts';
import { verifyMachine } from '../../src/core/verify-machine.ts';
import { guest } from './builders.ts';

const RUNS = { kind: 'running' } as const;
const ALL = { cores: 1, cpuLimit: null, memoryMib: mib(2048) };

function verdict(
  before: Partial<typeof ALL>,
  target: Partial<typeof ALL>,
  found: Partial<typeof ALL>,
): string {
  const config = present(guest(200, { ...ALL, ...found }));
  const liveCpuLimit = present(undefined);
  return verifyMachine(before, target, { state: RUNS, config, liveCpuLimit }).kind;
}

describe('what has become of a change of a machine', () => {
  it.each([
    [4, 1, 1, 'confirmed'],
    [4, 1, 4, 'unchanged'],
    [4, 1, 3, 'partly'],
    [4, 1, 5, 'changed-by-others'],
    [1, 4, 2, 'partly'],
    [2, 4, 1, 'changed-by-others'],
  ])('%d -> %d vCPUs, and there are %d: %s', (before, target, found, kind) => {
    expect(verdict({ cores: before }, { cores: target }, { cores: found })).toBe(kind);
  });

  it('is partly done if one lever is moved and another is not', () => {
    const before = { cores: 4, memoryMib: mib(2048) };
    const target = { cores: 2, memoryMib: mib(1024) };
    expect(verdict(before, target, { cores: 4, memoryMib: mib(1024) })).toBe('partly');
  });

  it('of memory is done only if QEMU has as much as its configuration says', () => {
    const config = present(guest(200, { ...ALL, memoryMib: mib(1536), assignedMib: mib(1536) }));
    const of = (hardware: number | undefined) => {
      const hardwareMib = hardware === undefined ? undefined : mib(hardware);
      const seen = { state: RUNS, config, liveCpuLimit: present(undefined), hardwareMib };
      return verifyMachine({ memoryMib: mib(2048) }, { memoryMib: mib(1536) }, seen);
    };
    expect([of(1536).kind, of(undefined).kind]).toEqual(['confirmed', 'confirmed']);
    expect(of(2048)).toMatchObject({
      kind: 'unknown',
      detail: 'QEMU has 2048 MB, its configuration says memory 1536',
    });
  });

  it('counts a cpulimit only if the kernel has it too', () => {
    const config = present(guest(200, { ...ALL, cpuLimit: 2 }));
    const live = (limit: number) => ({
      state: RUNS,
      config,
      liveCpuLimit: present(cores(limit)),
    });
    expect(verifyMachine({ cpuLimit: 1 }, { cpuLimit: 2 }, live(2)).kind).toBe('confirmed');
    expect(verifyMachine({ cpuLimit: 1 }, { cpuLimit: 2 }, live(1)).kind).toBe('partly');
  });

  it('is not known where its live cpulimit cannot be read, if it runs', () => {
    const config = present(guest(200, { ...ALL, cpuLimit: 2 }));
    const found = { config, liveCpuLimit: missing('unreadable', 'it hangs') };
    const verdictOf = (kind: 'running' | 'stopped') =>
      verifyMachine({ cpuLimit: 1 }, { cpuLimit: 2 }, { ...found, state: { kind } });
    expect(verdictOf('running')).toEqual({ kind: 'unknown', detail: 'it hangs' });
    expect(verdictOf('stopped')).toEqual({ kind: 'confirmed' });
  });

  it('says how far each lever of it has come', () => {
    const [before, target] = [
      { cores: 4, memoryMib: mib(2048) },
      { cores: 1, memoryMib: mib(1024) },
    ];
    const config = present(guest(200, { ...ALL, cores: 2, memoryMib: mib(2048) }));
    const liveCpuLimit = present(undefined);
    expect(verifyMachine(before, target, { state: RUNS, config, liveCpuLimit })).toEqual({
      kind: 'partly',
      found: 'vcpus 2, memory 2048',
      now: { cores: 2, memoryMib: 2048 },
    });
  });
});
