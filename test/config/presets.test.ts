import { describe, expect, it } from 'vitest';
import { KEYS } from '../../src/config/keys.ts';
import { parseConfig } from '../../src/config/load.ts';
import { PRESET_NAMES, PRESETS, presetOf, suggestPreset } from '../../src/config/presets.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { check } from '../../src/config/schema.ts';

function tierOf(text: string) {
  const loaded = parseConfig(text, 'f', {});
  if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join('\n'));
  const [tier] = loaded.config.tiers;
  if (tier === undefined) throw new Error('no tier');
  return tier.policy;
}

function problemsOf(text: string): string[] {
  const loaded = parseConfig(text, 'f', {});
  return loaded.ok ? [] : loaded.problems.map(renderProblem);
}

const ALLOWED = 'allowed: a name of docs/presets.md, such as nextcloud or postgres';

const tierText = (lines: string, defaults = ''): string =>
  `DEFAULT: {${defaults}}\nTIER_a:\n  lxc_containers: [101]\n${lines}`;

describe('the presets', () => {
  it('are forty, in the order of their names, each with a reason in one sentence', () => {
    expect(PRESET_NAMES).toHaveLength(40);
    expect(PRESET_NAMES).toEqual([...PRESET_NAMES].sort());
    for (const name of PRESET_NAMES) {
      const { because } = presetOf(name);
      expect(because).toMatch(/^[A-Z][^.]+$/);
      expect(because.split(' ').length).toBeLessThanOrEqual(20);
    }
  });

  it('have names that mean one of them', () => {
    const all = PRESET_NAMES.flatMap((name) => [name, ...(presetOf(name).also ?? [])]);
    expect(new Set(all).size).toBe(all.length);
    for (const name of all) expect(suggestPreset({ name, tags: [] })?.preset).toBeDefined();
    for (const name of PRESET_NAMES) {
      expect(suggestPreset({ name: `ct-${name}-2`, tags: [] })).toEqual({
        preset: name,
        how: 'as its name says',
      });
    }
  });

  it.each(PRESET_NAMES)('has values that a tier may have: %s', (name) => {
    const { values } = presetOf(name);
    expect(Object.keys(values)).not.toEqual([]);
    for (const [key, value] of Object.entries(values)) {
      const entry = Object.entries(KEYS.tier).find(([known]) => known === key)?.[1];
      expect(entry && check(entry, `${value}`)).toEqual({ ok: true, value });
    }
    expect(problemsOf(tierText(`  preset: ${name}\n`))).toEqual([]);
  });
});

describe('a tier with a preset', () => {
  it('has its own values over those of the preset, and those over DEFAULT', () => {
    const policy = tierOf(
      tierText('  preset: nextcloud\n  min_cores: 3\n', 'min_memory: 256, priority: 20'),
    );
    expect(policy).toMatchObject({
      stepFactor: 0.5,
      priority: 20,
      cpu: { min: 3 },
      memory: { minMib: 1024 },
    });
    expect(policy.preset).toEqual({
      name: 'nextcloud',
      gives: ['min_memory: 1024', 'behaviour: conservative'],
      because: PRESETS.nextcloud.because,
    });
    expect(tierOf(tierText('  priority: 9\n')).preset).toBeUndefined();
  });

  it('raises nobody by a minimum of the preset', () => {
    const raises = (lines: string, defaults = '') => {
      const { cpu, memory } = tierOf(tierText(lines, defaults));
      return [cpu.raises, memory.raises];
    };
    expect(raises('  preset: nextcloud\n')).toEqual([false, false]);
    expect(raises('  preset: nextcloud\n', 'min_memory: 256, min_cores: 2')).toEqual([
      false,
      false,
    ]);
    expect(raises('  preset: nextcloud\n  min_memory: 512\n')).toEqual([false, true]);
    expect(raises('  preset: pihole\n', 'min_cores: 2')).toEqual([true, false]);
  });

  it.each([
    ['nextclod', 'nextcloud'],
    ['postgre', 'postgres'],
    ['mysql', 'mariadb'],
    ['Pi-Holes', 'pihole'],
    ['proxy-manager', 'nginx-proxy-manager'],
    ['arr', 'radarr or sonarr'],
  ])('says which presets are near: %s', (word, near) => {
    expect(problemsOf(tierText(`  preset: ${word}\n`))).toEqual([
      `f:4: preset: '${word}' is not known; ${ALLOWED}; did you mean ${near}?`,
    ]);
  });

  it('says no more of a word that is near to none', () => {
    expect(problemsOf(tierText('  preset: zzz\n'))).toEqual([
      `f:4: preset: 'zzz' is not known; ${ALLOWED}`,
    ]);
    expect(problemsOf('DEFAULT: {preset: nextcloud}\n')).toEqual([
      'f:1: preset: belongs in TIER_* sections, not in this section; move it or remove it',
    ]);
  });

  it('must agree with what stands above and below it', () => {
    expect(problemsOf(tierText('  preset: nextcloud\n  max_memory: 512\n'))).toEqual([
      'f:5: max_memory: 512 must be at least min_memory, which is 1024 (preset nextcloud, line 4)' +
        '; change one of the two',
    ]);
    expect(problemsOf(tierText('  preset: nextcloud\n', 'max_memory: 512'))).toEqual([
      'f:4: min_memory: 1024 (preset nextcloud, line 4) must be at most max_memory, which is 512 ' +
        '(DEFAULT, line 1); set one of the two in this tier',
    ]);
    const mended = '  preset: nextcloud\n  min_memory: 256\n';
    expect(problemsOf(tierText(mended, 'max_memory: 512'))).toEqual([]);
  });
});

describe('the preset that a container suggests', () => {
  it.each([
    ['by its name', 'Cloud-Nextcloud.lan', [], 'nextcloud', 'as its name says'],
    ['by the longest name', 'uptime-kuma', [], 'uptime-kuma', 'as its name says'],
    ['by a tag before its name', 'plex', ['Jellyfin'], 'jellyfin', 'as its tag says'],
    [
      'by the kind of a script',
      'ct104',
      ['community-script', 'media'],
      'jellyfin',
      'as its tags community-script and media say',
    ],
  ] as const)('%s', (_, name, tags, preset, how) => {
    expect(suggestPreset({ name, tags })).toEqual({ preset, how });
  });

  it.each([
    ['two names', 'plex-and-jellyfin', []],
    ['a kind alone', 'ct104', ['media']],
    ['two kinds', 'ct104', ['community-script', 'media', 'cloud']],
    ['a part of a word', 'simplex', []],
    ['nothing', 'web', ['production', 'constructor']],
  ] as const)('is none by %s', (_, name, tags) => {
    expect(suggestPreset({ name, tags })).toBeUndefined();
  });
});
