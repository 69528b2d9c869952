import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import { renderProblem } from '../../src/config/problem.ts';
import type { Answers, Measured, MeasuredHost } from '../../src/config/proposal.ts';
import { proposalText, propose } from '../../src/config/proposal.ts';
import { cores, mib, type Vmid } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';

const HOST: MeasuredHost = { cpus: 16, memoryMib: mib(65_536) };
const TAKEN: Answers = { observe: true, ignored: [], withTiers: true };

function one(
  vmid: number,
  { has = 4, mean = 1, peak = 1.5, memoryMib = 2048, used = 1000 } = {},
): Measured {
  return {
    vmid: vmid as Vmid,
    name: `ct${vmid}`,
    tags: [],
    cores: has,
    memoryMib: mib(memoryMib),
    cpu: { mean: cores(mean), peak: cores(peak), allowed: cores(has) },
    memory: { mean: mib(used * 0.9), peak: mib(used) },
  };
}

function load(text: string): Config {
  const loaded = parseConfig(text, 'f', {});
  if (!loaded.ok) throw new Error(`${loaded.problems.map(renderProblem).join('\n')}\n${text}`);
  return loaded.config;
}

const written = (measured: readonly Measured[], answers: Partial<Answers> = {}, host = HOST) =>
  proposalText(propose(host, measured), { ...TAKEN, ...answers }, '60 seconds of use');

const BUSY = one(101, { peak: 3.9 });
const FULL = one(102, { used: 1700 });
const IDLE = one(103, { mean: 0.05, peak: 0.3, used: 300 });
const ORDINARY = one(104);

describe('what is proposed', () => {
  it('puts containers into tiers by what they did', () => {
    const { tiers, others } = propose(HOST, [BUSY, FULL, IDLE, ORDINARY]);
    const ids = (members: readonly Measured[]) => members.map(({ vmid }) => vmid);
    expect(tiers.map(({ name, members }) => [name, ids(members)])).toEqual([
      ['TIER_busy', [101]],
      ['TIER_memory', [102]],
      ['TIER_idle', [103]],
    ]);
    expect(ids(others)).toEqual([104]);
  });

  it('proposes the preset of an application that a name or a tag tells', () => {
    const cloud = { ...one(105, { memoryMib: 512, used: 300 }), name: 'nextcloud' };
    const film = { ...one(106), tags: ['community-script', 'media'] };
    const text = written([BUSY, cloud, film, { ...film, vmid: 107 as Vmid, name: 'jellyfin' }]);
    const { tiers } = load(text);
    expect(tiers.map(({ name }) => name)).toEqual(['TIER_nextcloud', 'TIER_jellyfin', 'TIER_busy']);
    expect(text.replaceAll('\n# ', ' ')).toContain(
      'Containers that seem to run jellyfin, as its tags community-script and media say and as ' +
        'its name says:',
    );
    expect(text.replaceAll('\n  # ', ' ')).toContain(
      'The preset nextcloud gives min_cores: 2, min_memory: 1024, behaviour: conservative. ' +
        'An upload with its previews starts many PHP processes',
    );
    // It has less than the preset would leave it, and gets along.
    expect(tiers[0]?.policy).toMatchObject({
      stepFactor: 0.5,
      cpu: { min: 2 },
      memory: { minMib: 512 },
    });
    expect(tiers[1]?.policy.memory.minMib).toBe(1024);
  });

  it('makes nothing of a container that could not be measured', () => {
    const { tiers, others } = propose(HOST, [
      { ...BUSY, cpu: undefined },
      { ...IDLE, memory: undefined },
    ]);
    expect(tiers).toEqual([]);
    expect(others).toHaveLength(2);
  });

  it('begins by observing, and no tier stands over that', () => {
    const { defaults, tiers } = load(written([BUSY, FULL, IDLE]));
    expect([defaults, ...tiers.map(({ policy }) => policy)].map(({ scaling }) => scaling)).toEqual([
      'observe',
      'observe',
      'observe',
      'observe',
    ]);
    const act = load(written([BUSY, IDLE], { observe: false }));
    expect(act.defaults.scaling).toBe('threshold');
    expect(act.tiers.map(({ policy }) => policy.scaling)).toEqual(['boost', 'threshold']);
  });

  it('leaves alone what it is told to, and writes no tiers where they are not wanted', () => {
    const { ignored, tiers } = load(written([BUSY, FULL], { ignored: [BUSY.vmid] }));
    expect(ignored.ids).toEqual([{ from: 101, to: 101 }]);
    expect(tiers.map(({ name }) => name)).toEqual(['TIER_memory']);
    expect(load(written([BUSY, FULL], { withTiers: false })).tiers).toEqual([]);
  });

  it('says on what it rests, a line for each container', () => {
    const text = written([BUSY, { ...ORDINARY, name: 'a\n  b: \x1b[31m' }]);
    expect(text).toContain('# 101 ct101: CPU 1, at most 3.9 of 4 cores; memory 900, at most 1000');
    expect(text).toContain('# 104 a\\n b: \\x1b[31m: CPU');
  });

  it('is a file of DEFAULT alone where nothing runs', () => {
    expect(load(written([])).tiers).toEqual([]);
  });
});

const container = fc.record({
  vmid: fc.integer({ min: 100, max: 999_999_999 }).map((id) => id as Vmid),
  name: fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('nextcloud', 'gitlab-2', 'pihole', 'minecraft'),
  ),
  tags: fc.array(fc.constantFrom('community-script', 'media', 'docker', 'x'), { maxLength: 3 }),
  cores: fc.option(fc.integer({ min: 1, max: 256 }), { nil: undefined }),
  memoryMib: fc.integer({ min: 16, max: 1_000_000 }).map(mib),
  cpu: fc.option(
    fc.record({
      mean: fc.double({ min: 0, max: 300, noNaN: true }).map(cores),
      peak: fc.double({ min: 0, max: 300, noNaN: true }).map(cores),
      allowed: fc.double({ min: 0.1, max: 256, noNaN: true }).map(cores),
    }),
    { nil: undefined },
  ),
  memory: fc.option(
    fc.record({
      mean: fc.double({ min: 0, max: 1_000_000, noNaN: true }).map(mib),
      peak: fc.double({ min: 0, max: 1_000_000, noNaN: true }).map(mib),
    }),
    { nil: undefined },
  ),
});

it('loads without a problem whatever was measured, and takes nothing away by its limits', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(container, { selector: ({ vmid }) => vmid, maxLength: 12 }),
      fc.record({
        cpus: fc.integer({ min: 1, max: 512 }),
        memoryMib: fc.integer({ min: 256, max: 4_000_000 }).map(mib),
      }),
      fc.boolean(),
      (measured, host, observe) => {
        const config = load(written(measured, { observe }, host));
        const policyOf = (vmid: Vmid) =>
          config.tiers.find(({ containers }) => containers.ids.some(({ from }) => from === vmid))
            ?.policy ?? config.defaults;
        for (const { vmid, cores: has, memoryMib } of measured) {
          const { cpu, memory } = policyOf(vmid);
          expect(cpu.max).toBeGreaterThanOrEqual(has ?? host.cpus);
          expect(memory.minMib).toBeLessThanOrEqual(memoryMib);
          expect(memory.maxMib ?? memoryMib).toBeGreaterThanOrEqual(memoryMib);
        }
      },
    ),
  );
});
