import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { renderProblem } from '../../src/config/problem.ts';

const DIRECTORY = new URL('../../examples', import.meta.url).pathname;
const NAMES = readdirSync(DIRECTORY);

describe('the examples', () => {
  it('are for a small node, for tiers, and for a group', () => {
    expect(NAMES.sort()).toEqual(['group.yaml', 'hoster-tiers.yaml', 'small-home.yaml']);
  });

  it.each(NAMES)('%s is a configuration without a problem', (name) => {
    const loaded = loadConfig(join(DIRECTORY, name), name, {});
    if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join('\n'));
    expect(loaded.notes.map(renderProblem)).toEqual([]);
  });

  it.each(NAMES)('%s says how it is tried, and has its schema', (name) => {
    const text = readFileSync(join(DIRECTORY, name), 'utf8');
    expect(text).toMatch(/^# yaml-language-server: \$schema=\/usr\/local\/lib\/lxc_autoscale\//);
    expect(text).toContain(`lxc-autoscale check-config --config ${name}`);
  });
});
