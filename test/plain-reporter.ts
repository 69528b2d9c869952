import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Counted extends Totals {
  /** One for each skipped test: where it stands and why it was skipped, if it said so. */
  readonly skips: readonly string[];
}

const MAX_SKIPS_LISTED = 100;

/**
 * Counts every test once. A file that cannot be loaded, a hook of a suite that fails and an error
 * outside of any test count as failed; a test that never came to its end does, too.
 */
export function countResults(modules: readonly TestModule[], unhandled: number): Counted {
  let passed = 0;
  let failed = unhandled;
  const skips: string[] = [];
  for (const module of modules) {
    if (module.errors().length > 0) failed += 1;
    for (const suite of module.children.allSuites()) {
      if (suite.errors().length > 0) failed += 1;
    }
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed += 1;
      else if (state === 'skipped') skips.push(describeSkip(module, test));
      else failed += 1;
    }
  }
  return { passed, failed, skipped: skips.length, skips };
}

function describeSkip(module: TestModule, test: TestCase): string {
  const result = test.result();
  const reason = result.state === 'skipped' ? result.note : undefined;
  const why = reason ?? (test.options.mode === 'todo' ? 'not written yet' : 'no reason is given');
  const file = relative(module.project.config.root, module.moduleId);
  return `SKIPPED: ${file} > ${test.fullName}: ${why}`;
}

/** A run that ends badly has a failure, even where none was counted. */
export function lastLine(totals: Totals, exitCode: number): string {
  const failed = exitCode !== 0 && totals.failed === 0 ? 1 : totals.failed;
  return `${totals.passed} passed, ${failed} failed, ${totals.skipped} skipped`;
}

/**
 * Lists the skipped tests, and prints `N passed, N failed, N skipped` as the very last line of the
 * run: not before the process ends, since other reporters and the coverage come late.
 * Where `PLAIN_REPORT_FILE` names a file, the line is left there too, for `test/run.sh`.
 */
export class PlainReporter implements Reporter {
  #counted: Counted = { passed: 0, failed: 0, skipped: 0, skips: [] };

  onInit(): void {
    // First in the row: vitest has a listener of its own that ends the process on a signal.
    process.prependOnceListener('exit', (exitCode) => {
      this.#print(exitCode);
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    this.#counted = countResults(modules, unhandled.length);
  }

  #print(exitCode: number): void {
    const { skips } = this.#counted;
    const listed = skips.slice(0, MAX_SKIPS_LISTED);
    if (skips.length > listed.length) {
      listed.push(`SKIPPED: and ${skips.length - listed.length} more`);
    }
    const line = lastLine(this.#counted, exitCode);
    process.stdout.write(`${[...listed, line].join('\n')}\n`);
    const file = process.env['PLAIN_REPORT_FILE'];
    if (file !== undefined && file !== '') writeFileSync(file, `${line}\n`);
  }
}
