import { expect, it } from 'vitest';
import type { Allocation } from '../../src/core/allocation.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import { ownKeys, stillPending } from '../../src/core/pending.ts';
import { mib } from '../../src/core/units.ts';
import { machine } from './builders.ts';

const keys = (target: Partial<Allocation>, own: Partial<GuestConfig> = {}): readonly string[] =>
  ownKeys(machine(200, { memoryMib: mib(1024), assignedMib: mib(2048), ...own }), target);

it('a change writes the keys of its levers, and memory only what is moved of it', () => {
  expect(keys({ cores: 1 })).toEqual(['vcpus']);
  expect(keys({ cpuLimit: null, memoryMib: mib(2048) })).toEqual(['cpulimit', 'balloon']);
  expect(keys({ memoryMib: mib(3072) })).toEqual(['balloon', 'memory']);
  const { reaches } = machine(200, {}, { memoryMib: { oneWay: { why: 'x', remedy: 'y' } } });
  expect(keys({ memoryMib: mib(3072) }, reaches && { reaches })).toEqual(['memory']);
});

it('what was pending before a change is none of its own', () => {
  expect(keys({ cores: 1, memoryMib: mib(512) }, { pendingKeys: ['vcpus', 'x'] })).toEqual([
    'balloon',
  ]);
  const later = machine(200, { pendingKeys: ['memory', 'vcpus'] });
  expect(stillPending(later, ['balloon', 'vcpus'])).toEqual(['vcpus']);
});
