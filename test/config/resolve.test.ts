import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import { applyOverrides, hostPolicy, manage } from '../../src/config/resolve.ts';
import { parseVmid } from '../../src/core/units.ts';

const TEXT = `
DEFAULT:
  ignore_lxc: 103
  reserve_cpu_percent: 25
  reserve_memory_mb: 4096
TIER_a:
  lxc_containers: [101, 103, "120-139"]
  max_cores: 2
TIER_b:
  lxc_containers: 102
`;

function config(): Config {
  const result = parseConfig(TEXT, 'f.yaml', {});
  if (!result.ok) throw new Error('not valid');
  return result.config;
}

function sourceOf(id: string): string {
  const vmid = parseVmid(id);
  if (vmid === undefined) throw new Error('no id');
  const management = manage(config(), { vmid, name: 'web', tags: [] });
  return management.kind === 'managed' ? management.policy.source : management.because;
}

describe('manage', () => {
  it.each([
    ['101', 'TIER_a'],
    ['102', 'TIER_b'],
    ['119', 'DEFAULT'],
    ['120', 'TIER_a'],
    ['139', 'TIER_a'],
    ['140', 'DEFAULT'],
  ])('container %s is managed by %s', (id, source) => {
    expect(sourceOf(id)).toBe(source);
  });

  it('ignore_lxc comes before a tier', () => {
    expect(sourceOf('103')).toBe('it is in ignore_lxc');
  });
});

describe('hostPolicy', () => {
  it('is what the host keeps for itself', () => {
    expect(hostPolicy(config())).toEqual({ reserveCpu: 0.25, reserveMemoryMib: 4096 });
  });
});

describe('applyOverrides', () => {
  it('puts flags over the file, and leaves the file as it was', () => {
    const before = config();
    const after = applyOverrides(before, {
      pollIntervalSeconds: 5,
      energyMode: true,
      debug: true,
    });
    expect(after).toEqual({
      ...before,
      pollIntervalMs: 5000,
      energyMode: true,
      logLevel: 'debug',
    });
    expect(before.pollIntervalMs).toBe(300_000);
    expect(Object.isFrozen(after)).toBe(true);
  });

  it('changes nothing where nothing is given', () => {
    const before = config();
    expect(applyOverrides(before, {})).toEqual(before);
    expect(applyOverrides(before, { debug: false, energyMode: undefined })).toEqual(before);
  });
});
