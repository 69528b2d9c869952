import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { type ConfigOnNode, onNode } from '../../src/config/on-node.ts';
import { renderProblem } from '../../src/config/problem.ts';
import {
  applyOverrides,
  hostPolicy,
  type Identity,
  machineWishes,
  manage,
  remarksOn,
  seeingAll,
} from '../../src/config/resolve.ts';
import { parseVmid, type Vmid } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';

const TEXT = `
DEFAULT:
  ignore_lxc: [103, "200-209", "test-*", "Vault", "tag:lab"]
  reserve_cpu_percent: 25
  reserve_memory_mb: 4096
TIER_a:
  lxc_containers: [101, 103, "120-139"]
  max_cores: 2
TIER_b:
  lxc_containers: [102, "web-?", "HOME", "tag:Shop"]
TIER_Web:
  lxc_containers: ["web-*", "*-db", "tag:shop"]
TIER_tagged:
  priority: 90
`;

function config(text = TEXT, node = 'pve1'): ConfigOnNode {
  const result = parseConfig(text, 'f.yaml', {});
  if (!result.ok) throw new Error(result.problems.map(renderProblem).join('\n'));
  return onNode(result.config, node);
}

function id(number: number): Vmid {
  const vmid = parseVmid(`${number}`);
  if (vmid === undefined) throw new Error('no id');
  return vmid;
}

const container = (number: number, name = 'x', ...tags: string[]): Identity => ({
  vmid: id(number),
  name,
  tags,
});

/** The reason, with the mode before it where that is not to act. */
function result(identity: Identity, its = config()): string {
  const management = manage(its, identity);
  if (management.kind === 'ignored') return `ignored: ${management.because}`;
  expect(management.because.startsWith(`${management.policy.source}, `)).toBe(true);
  return management.mode === 'act' ? management.because : `observe: ${management.because}`;
}

describe('manage', () => {
  it.each([
    [container(101), 'TIER_a, by its id'],
    [container(102), 'TIER_b, by its id'],
    [container(119), 'DEFAULT, since it is in no tier'],
    [container(120), 'TIER_a, by the ids 120-139'],
    [container(139), 'TIER_a, by the ids 120-139'],
    [container(140), 'DEFAULT, since it is in no tier'],
    [container(140, 'web-12'), 'TIER_Web, by the name web-*'],
    [container(140, 'WEB-12'), 'TIER_Web, by the name web-*'],
    [container(140, 'Home'), 'TIER_b, by the name home'],
    [container(140, 'home-1'), 'DEFAULT, since it is in no tier'],
    [container(140, 'my-db'), 'TIER_Web, by the name *-db'],
    [container(140, 'x', 'prod', 'SHOP'), 'TIER_b, by tag:shop'],
    [container(140, 'x', 'autoscale-tier-web'), 'TIER_Web, by its tag autoscale-tier-web'],
    [container(140, 'x', 'Autoscale-Tier-WEB'), 'TIER_Web, by its tag autoscale-tier-web'],
    [container(140, 'x', 'autoscale-tier-tagged'), 'TIER_tagged, by its tag autoscale-tier-tagged'],
    [container(140, 'x', 'autoscale'), 'DEFAULT, since it is in no tier'],
  ])('%o: %s', (identity, because) => {
    expect(result(identity)).toBe(because);
  });

  it.each([
    ['an id before its own tag', container(101, 'web-12', 'autoscale-tier-b', 'shop'), 'TIER_a'],
    ['a range before its own tag', container(125, 'x', 'autoscale-tier-b'), 'TIER_a'],
    ['a name before its own tag', container(140, 'home', 'autoscale-tier-a'), 'TIER_b'],
    ['its own tag before a tag', container(140, 'x', 'autoscale-tier-a', 'shop'), 'TIER_a'],
    ['an id before a name', container(101, 'web-12', 'shop'), 'TIER_a'],
    ['a range before a name', container(125, 'web-12', 'shop'), 'TIER_a'],
    ['a name before a tag', container(140, 'web-12', 'shop'), 'TIER_Web'],
    ['the first section of two with its name', container(140, 'web-1'), 'TIER_b'],
    ['the first section of two with a tag of it', container(140, 'x', 'shop'), 'TIER_b'],
    [
      'the first section of two that its own tags name',
      container(140, 'x', 'autoscale-tier-tagged', 'autoscale-tier-a'),
      'TIER_a',
    ],
  ])('%s', (_rule, identity, source) => {
    const management = manage(config(), identity);
    expect(management.kind === 'managed' && management.policy.source).toBe(source);
  });

  it.each([
    [container(103), 'listed in ignore_lxc'],
    [container(204), 'listed in ignore_lxc, by the ids 200-209'],
    [container(140, 'test-1'), 'listed in ignore_lxc, by the name test-*'],
    [container(140, 'vault'), 'listed in ignore_lxc, by the name vault'],
    [container(141, 'VAULT'), 'listed in ignore_lxc, by the name vault'],
    [container(140, 'x', 'LAB'), 'listed in ignore_lxc, by tag:lab'],
    [container(101, 'x', 'autoscale-ignore'), 'it has the tag autoscale-ignore'],
    [container(101, 'x', 'AutoScale-Ignore'), 'it has the tag autoscale-ignore'],
  ])('leaves alone before all else: %o, %s', (identity, because) => {
    const eager = [...identity.tags, 'autoscale-tier-web', 'autoscale-observe', 'autoscale'];
    expect(result({ ...identity, tags: eager })).toBe(`ignored: ${because}`);
  });

  it.each([
    ['an id', container(101, 'x', 'autoscale-tier-b'), 'TIER_b'],
    ['a range', container(125, 'x', 'autoscale-tier-b'), 'TIER_b'],
    ['a name', container(140, 'home', 'autoscale-tier-a'), 'TIER_a'],
    ['nothing of a container without it', container(101, 'home'), 'TIER_a'],
  ])('with tags_first its own tag counts before %s', (_rule, identity, source) => {
    const its = config(TEXT.replace('DEFAULT:', 'DEFAULT:\n  tags_first: True'));
    const management = manage(its, identity);
    expect(management.kind === 'managed' && management.policy.source).toBe(source);
  });

  it('no tag takes a container out of ignore_lxc or out of observation, tags first or not', () => {
    const tags = ['autoscale', 'autoscale-tier-b', 'autoscale-tier-tagged', 'autoscale-observe'];
    for (const first of ['False', 'True']) {
      const its = config(TEXT.replace('DEFAULT:', `DEFAULT:\n  tags_first: ${first}`));
      const guests: [number, string?][] = [[103], [204], [140, 'test-1'], [140, 'vault']];
      for (const [vmid, name] of guests) {
        expect(manage(its, container(vmid, name, ...tags)).kind).toBe('ignored');
      }
      expect(result(container(101, 'x', ...tags), its)).toMatch(/^observe: /);
    }
  });

  it('only observes what is tagged so, with the policy that it would have anyway', () => {
    const only = '; only observed, by its tag autoscale-observe';
    const tag = 'autoscale-observe';
    expect(result(container(101, 'x', tag))).toBe(`observe: TIER_a, by its id${only}`);
    expect(result(container(140, 'x', tag.toUpperCase()))).toBe(
      `observe: DEFAULT, since it is in no tier${only}`,
    );
    expect(result(container(140, 'x', tag, 'autoscale-tier-b'))).toBe(
      `observe: TIER_b, by its tag autoscale-tier-b${only}`,
    );
  });

  it('only observes where scaling_mode says so, of the tier or of DEFAULT', () => {
    const observing = config(
      `DEFAULT:\n  scaling_mode: observe\n${TEXT.replace('DEFAULT:', '')}`.replace(
        'TIER_a:',
        'TIER_a:\n  scaling_mode: boost',
      ),
    );
    const only = '; only observed, by `scaling_mode: observe`';
    const tag = 'autoscale-observe';
    expect(result(container(140), observing)).toBe(
      `observe: DEFAULT, since it is in no tier${only}`,
    );
    expect(result(container(102), observing)).toBe(`observe: TIER_b, by its id${only}`);
    expect(result(container(101), observing)).toBe('TIER_a, by its id');
    expect(result(container(102, 'x', tag), observing)).toBe(
      `observe: TIER_b, by its id; only observed, by its tag ${tag}`,
    );
  });

  it('says so where a tag names no tier, and goes on without it', () => {
    expect(result(container(101, 'x', 'autoscale-tier-wbe'))).toBe(
      'TIER_a, by its id; no tier answers to autoscale-tier-wbe',
    );
    expect(result(container(140, 'x', 'autoscale-tier-\u001b[2J', 'autoscale-tier-'))).toBe(
      'DEFAULT, since it is in no tier; no tier answers to autoscale-tier-\\x1b[2j' +
        '; no tier answers to autoscale-tier-',
    );
  });

  it('with manage: listed takes who the file names, and no tag of theirs for it', () => {
    const groups = `
HORIZONTAL_SCALING_GROUP_shop:
  lxc_containers: ["160-162"]
  source: 150
  starting_clone_id: 900
  group_tag: Shop-front
`;
    const listed = config(
      `${TEXT.replace('DEFAULT:', 'DEFAULT:\n  manage: listed\n  manage_vms: True')}${groups}`,
    );
    const without = 'ignored: no tier and no group lists it, and `manage: listed` is set';
    const of = (...it: Parameters<typeof container>): string => result(container(...it), listed);
    expect(of(101)).toBe('TIER_a, by its id');
    expect(of(140, 'web-12')).toBe('TIER_Web, by the name web-*');
    expect(of(140, 'x', 'shop')).toBe('TIER_b, by tag:shop');
    expect(of(101, 'x', 'autoscale-ignore')).toBe('ignored: it has the tag autoscale-ignore');
    expect(of(103)).toBe('ignored: listed in ignore_lxc');
    const inGroup = 'DEFAULT, since it is in no tier';
    for (const id of [150, 161]) expect(of(id)).toBe(inGroup);
    // Whoever owns a container can give it the tag of a group.
    for (const id of [899, 900]) expect(of(id, 'shop-900', 'shop-front')).toBe(without);
    const far = 'NODES:\n  lab: { host: lab.example, connection: ssh }\n';
    const farAway = config(`DEFAULT:\n  manage: listed\n${groups}${far}`, 'lab');
    for (const id of [150, 161]) expect(result(container(id), farAway)).toBe(without);
    for (const tag of ['autoscale', 'autoscale-observe', 'autoscale-tier-a']) {
      expect(of(140, 'x', tag)).toBe(without);
    }
    const machine = (vmid: number): Identity => ({ ...container(vmid), kind: 'qemu' });
    expect(result(machine(101), listed)).toBe(without);
    expect(result(machine(150), listed)).toBe(without);
    expect(machineWishes(listed).isWanted(machine(101))).toBe(false);
    // A rollback must find what this program has changed, though nobody lists it any more.
    const seen = onNode(seeingAll(listed), 'pve1');
    expect(machineWishes(seen).isWanted(machine(101))).toBe(true);
  });

  it('with manage: tagged needs a tag, and a tier alone is none', () => {
    const tagged = config(TEXT.replace('DEFAULT:', 'DEFAULT:\n  manage: tagged'));
    const without = 'ignored: it does not have the tag autoscale, and `manage: tagged` is set';
    expect(result(container(101, 'web-1', 'shop'), tagged)).toBe(without);
    expect(result(container(101, 'x', 'autoscaled', 'autoscale-x'), tagged)).toBe(without);
    for (const tag of ['autoscale', 'AUTOSCALE', 'autoscale-tier-a', 'autoscale-tier-none']) {
      expect(result(container(101, 'x', tag), tagged)).toMatch(/^TIER_a, /);
    }
    expect(result(container(101, 'x', 'autoscale-observe'), tagged)).toMatch(/^observe: TIER_a, /);
    expect(result(container(103, 'x', 'autoscale'), tagged)).toBe('ignored: listed in ignore_lxc');
  });

  it('gives every container one answer, which only ignoring puts outside the tiers', () => {
    const its = config();
    const tags = fc.array(
      fc.oneof(
        fc.constantFrom('shop', 'lab', 'autoscale-ignore', 'autoscale-observe', 'autoscale'),
        fc.constantFrom('autoscale-tier-a', 'autoscale-tier-web', 'autoscale-tier-'),
        fc.string({ maxLength: 5 }),
      ),
      { maxLength: 4 },
    );
    const name = fc.oneof(fc.constantFrom('web-1', 'web-12', 'my-db', 'test-1'), fc.string());
    const vmid = fc.integer({ min: 100, max: 210 });
    fc.assert(
      fc.property(vmid, name, tags, (number, called, own) => {
        const identity = container(number, called, ...own);
        const got = manage(its, identity);
        expect(got).toEqual(manage(its, { ...identity, tags: [...own].reverse() }));
        const mustIgnore = own.includes('autoscale-ignore') || own.includes('lab');
        if (mustIgnore) expect(got.kind).toBe('ignored');
        if (got.kind !== 'managed') return;
        expect(got.mode === 'observe').toBe(own.includes('autoscale-observe'));
        expect([its.defaults, ...its.tiers.map(({ policy }) => policy)]).toContain(got.policy);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('remarksOn', () => {
  it.each([
    [
      container(140, 'web-1'),
      [
        'is in TIER_b by the name web-? and in TIER_Web by the name web-*; ' +
          'TIER_b counts, since it stands first',
      ],
    ],
    [
      container(140, 'x', 'shop'),
      [
        'is in TIER_b by tag:shop and in TIER_Web by tag:shop; ' +
          'TIER_b counts, since it stands first',
      ],
    ],
    [
      container(140, 'x', 'autoscale-tier-a', 'autoscale-tier-b'),
      [
        'is in TIER_a by its tag autoscale-tier-a and in TIER_b by its tag autoscale-tier-b; ' +
          'TIER_a counts, since it stands first',
      ],
    ],
    [
      container(140, 'x', 'autoscale-tier-wbe'),
      [
        'has the tag autoscale-tier-wbe, which no TIER_ section answers to; ' +
          'did you mean autoscale-tier-web?',
      ],
    ],
    [
      container(140, 'x', 'autoscale-tier-mail'),
      ['has the tag autoscale-tier-mail, which no TIER_ section answers to'],
    ],
    [
      container(140, 'x', 'autoscale-ingore'),
      ['has the tag autoscale-ingore, which has no meaning; did you mean autoscale-ignore?'],
    ],
    [
      container(140, 'x', 'Autoscale_Observe'),
      ['has the tag autoscale_observe, which has no meaning; did you mean autoscale-observe?'],
    ],
    [
      container(140, 'x', 'autoscale-teir-web'),
      ['has the tag autoscale-teir-web, which has no meaning; did you mean autoscale-tier-web?'],
    ],
    [
      container(140, 'x', 'autoscale-\u001bq'),
      ['has the tag autoscale-\\x1bq, which has no meaning'],
    ],
  ])('%o: %j', (identity, remarks) => {
    expect(remarksOn(config(), identity)).toEqual(remarks);
  });

  it.each([
    [container(101, 'web-1', 'shop')],
    [container(140, 'web-12', 'autoscale', 'autoscale-observe', 'autoscaled', 'autoscale-tier-a')],
    [container(140, 'web-1', 'autoscale-ignore')],
  ])('nothing on %o', (identity) => {
    expect(remarksOn(config(), identity)).toEqual([]);
  });

  it('nothing on the tag of a group', () => {
    const group = 'HORIZONTAL_SCALING_GROUP_x:\n  source: 101\n  group_tag: Autoscale-pool\n';
    expect(remarksOn(config(TEXT + group), container(140, 'x', 'autoscale-pool'))).toEqual([]);
  });
});

describe('hostPolicy', () => {
  it('is what the host keeps for itself', () => {
    expect(hostPolicy(config())).toEqual({
      reserveCpu: 0.25,
      reserveMemoryMib: 4096,
      overcommitRatio: 2,
      emergency: 0.98,
      mostCpu: 0.95,
      mostMemory: 1,
    });
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
      sampleIntervalMs: 5000,
      energyMode: true,
      logLevel: 'debug',
    });
    expect(before.pollIntervalMs).toBe(300_000);
    expect(Object.isFrozen(after)).toBe(true);
  });

  it('puts --debug over the level of every room', () => {
    const loaded = parseConfig('DEFAULT: {log_level: {groups: error}}\n', 'f', {});
    if (!loaded.ok) throw new Error('it is right');
    expect(loaded.config.componentLogLevels).toEqual({ groups: 'error' });
    const after = applyOverrides(loaded.config, { debug: true });
    expect([after.logLevel, after.componentLogLevels]).toEqual(['debug', {}]);
  });

  it('changes nothing where nothing is given', () => {
    const before = config();
    expect(applyOverrides(before, {})).toEqual(before);
    expect(applyOverrides(before, { debug: false, energyMode: undefined })).toEqual(before);
  });
});
