import { describe, expect, it } from 'vitest';
import { lackingLimits } from '../../../src/core/groups/member-settings.ts';
import { mib } from '../../../src/core/units.ts';

describe('the limits that a member was to get and lacks', () => {
  const has = { cores: 2, cpuLimit: 0.5, memoryMib: mib(512) };
  it.each<[object, readonly string[], readonly string[]]>([
    [{ cores: '2', cpulimit: '0.5', memory: '512' }, [], []],
    [{ cores: '2', cpulimit: '0.503', memory: '512' }, [], []],
    [{ cores: '4', cpulimit: '0.5', memory: '1024' }, [], ['cores', 'memory']],
    [{ cpulimit: '0' }, [], ['cpulimit']],
    [{ memory: '512' }, ['cores', 'cpulimit'], ['cores', 'cpulimit']],
    [{ hostname: 'web-120', swap: '256' }, ['startup'], []],
  ])('of %j without %j: %j', (set, remove, lacking) => {
    const step = { set: new Map(Object.entries(set)), remove };
    expect(lackingLimits(step, has)).toEqual(lacking);
  });

  it('are none where no line was wanted and there is none', () => {
    const none = { cores: null, cpuLimit: null, memoryMib: mib(512) };
    const step = { set: new Map([['cpulimit', '0']]), remove: ['cores'] };
    expect(lackingLimits(step, none)).toEqual([]);
  });
});
