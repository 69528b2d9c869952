import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/cli/check-config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { renderProblem } from '../../src/config/problem.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { missing } from '../../src/core/reading.ts';

/** admin-files.txt: configurations as administrators write them, each with what comes of it. */

interface Case {
  readonly name: string;
  readonly text: string;
  readonly exit: number;
  readonly said: readonly string[];
}

const TABLE: readonly Case[] = readFileSync(new URL('admin-files.txt', import.meta.url), 'utf8')
  .split(/^=== /m)
  .slice(1)
  .map((part) => {
    const [, name = '', text = '', exit = '', said = ''] =
      /^(.*)\n([\s\S]*?)^>>> (\d+)\n([\s\S]*)$/m.exec(part) ?? [];
    return { name, text: text.replaceAll('→', '\t'), exit: Number(exit), said: linesOf(said) };
  });

function linesOf(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '');
}

/** What a policy comes to, as far as administrators set it most. */
function shown({ source, scaling, cpu, memory, stepFactor, priority }: ContainerPolicy): string {
  const unit = cpu.unit === 'cores' ? 'cores' : 'of cpulimit';
  const most = memory.maxMib ?? 'host';
  const [least, greatest] = [memory.ofGiven?.min, memory.ofGiven?.max];
  const given = [
    ...(least === undefined ? [] : [`at least ${least} of what was given`]),
    ...(greatest === undefined ? [] : [`at most ${greatest} of what was given`]),
  ];
  const words = [
    `${source}: ${scaling}`,
    `${cpu.min}-${cpu.max} ${unit}`,
    `${memory.minMib}-${most} MiB`,
    `x${stepFactor}`,
    `priority ${priority}`,
  ];
  return [...words, ...given].join(', ');
}

function judged(text: string): { exit: number; said: string[] } {
  const loadResult = parseConfig(text, 'f.yaml', { HOME_MAX: '8G' });
  const exit = checkConfig({
    loadResult,
    node: 'pve1',
    guests: missing('absent', 'there is no node'),
    write: () => {},
    programProblem: () => undefined,
    readCluster: () => missing('absent', 'there is none'),
  });
  if (!loadResult.ok) return { exit, said: loadResult.problems.map(renderProblem) };
  const { config, notes } = loadResult;
  const policies = [config.defaults, ...config.tiers.map(({ policy }) => policy)].map(shown);
  return { exit, said: [...policies, ...notes.map((note) => `Note: ${renderProblem(note)}`)] };
}

/** What is to be done: what is allowed, what was meant, or an advice that begins with a verb. */
const VERBS = 'write|use|set|put|move|remove|change|check|add|take|keep|convert';
const REMEDY = new RegExp(`allowed: |did you mean |; (?:${VERBS}) |: write |: keys of one`);

describe('configurations as administrators write them', () => {
  it('are many', () => {
    expect(TABLE.length).toBeGreaterThanOrEqual(160);
    expect(new Set(TABLE.map(({ name }) => name)).size).toBe(TABLE.length);
  });

  it.each(TABLE)('$name', ({ text, exit, said }) => {
    const found = judged(text);
    expect(found).toEqual({ exit, said });
    for (const message of found.exit === 0 ? [] : found.said) {
      // The file; the line and the key, unless the whole file is wrong; what to do.
      expect(message).toMatch(/^f\.yaml:(?:\d+: )?/);
      expect(message).toMatch(REMEDY);
    }
  });
});
