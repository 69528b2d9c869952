import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MUTANTS, type Mutant } from './rules.ts';

/**
 * `npm run test:mutants [-- WORD]`: breaks each rule (or those whose sentence or file has the word)
 * in a copy of the checkout, and says which tests notice. Ends with 1 if one is not noticed.
 */

const NOT_COPIED: ReadonlySet<string> = new Set(['node_modules', 'dist', '.git']);
const LIMIT_MS = 600_000;

const [word = ''] = process.argv.slice(2);
const chosen = MUTANTS.filter(({ rule, file }) => `${rule} ${file}`.includes(word));
const root = mkdtempSync(join(tmpdir(), 'mutants-'));

/** Ends at the first failure. */
function fails({ tests }: Pick<Mutant, 'tests'>, stdio: 'ignore' | 'inherit' = 'ignore'): boolean {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const { status, error } = spawnSync(process.execPath, [vitest, 'run', '--bail=1', ...tests], {
    cwd: root,
    stdio: ['ignore', stdio, stdio],
    timeout: LIMIT_MS,
  });
  // What never ends is noticed too.
  return error !== undefined || status !== 0;
}

function isCaught(mutant: Mutant): boolean {
  const path = join(root, mutant.file);
  const text = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    text.replace(mutant.from, () => mutant.to),
  );
  try {
    return fails(mutant);
  } finally {
    writeFileSync(path, text);
  }
}

try {
  cpSync('.', root, { recursive: true, filter: (path) => !NOT_COPIED.has(path) });
  symlinkSync(join(process.cwd(), 'node_modules'), join(root, 'node_modules'));
  const tests = [...new Set(chosen.flatMap((one) => one.tests))];
  if (fails({ tests }, 'inherit')) throw new Error('these tests fail though no rule is broken');
  let survived = 0;
  for (const mutant of chosen) {
    const isNoticed = isCaught(mutant);
    if (!isNoticed) survived += 1;
    process.stdout.write(
      `${isNoticed ? 'caught  ' : 'SURVIVED'}  ${mutant.rule} (${mutant.file})\n`,
    );
  }
  process.stdout.write(`${chosen.length - survived} of ${chosen.length} rules have a test\n`);
  process.exitCode = survived === 0 ? 0 : 1;
} finally {
  rmSync(root, { recursive: true, force: true });
}
