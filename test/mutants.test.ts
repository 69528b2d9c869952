import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MUTANTS } from './mutants/rules.ts';

/** That `npm run test:mutants` still breaks what it says. */

it.each(MUTANTS)('$file: $rule', ({ file, from, to, tests }) => {
  expect(readFileSync(file, 'utf8').split(from)).toHaveLength(2);
  expect(to).not.toBe(from);
  for (const path of tests) expect(existsSync(path), path).toBe(true);
});

it('breaks forty rules and more', () => {
  expect(MUTANTS.length).toBeGreaterThanOrEqual(40);
  expect(new Set(MUTANTS.map(({ rule }) => rule)).size).toBe(MUTANTS.length);
});
