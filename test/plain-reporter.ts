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
  /** One for each failure: where it stands and the first line of what was wrong. */
  readonly failures: readonly string[];
}

const MAX_LISTED = 100;

/**
 * Counts every test once. A file that cannot be loaded, a hook of a suite that fails and an error
 * outside of any test count as failed; a test that never came to its end does, too.
 */
export function countResults(
  modules: readonly TestModule[],
  unhandled: readonly unknown[],
): Counted {
  let passed = 0;
  const skips: string[] = [];
  const failures = unhandled.map((error) => describeFailure('outside of any test', [error]));
  for (const module of modules) {
    const file = fileOf(module);
    if (module.errors().length > 0) failures.push(describeFailure(file, module.errors()));
    for (const suite of module.children.allSuites()) {
      if (suite.errors().length === 0) continue;
      failures.push(describeFailure(`${file} > ${suite.fullName}`, suite.errors()));
    }
    for (const test of module.children.allTests()) {
      const { state, errors } = test.result();
      if (state === 'passed') passed += 1;
      else if (state === 'skipped') skips.push(describeSkip(file, test));
      else failures.push(describeFailure(`${file} > ${test.fullName}`, errors ?? []));
    }
  }
  return { passed, failed: failures.length, skipped: skips.length, skips, failures };
}

const fileOf = (module: TestModule): string =>
  relative(module.project.config.root, module.moduleId);

function describeFailure(where: string, errors: readonly unknown[]): string {
  const [error] = errors;
  const said = typeof error === 'object' && error !== null && 'message' in error && error.message;
  const why = typeof said === 'string' ? said : 'it did not come to its end';
  return `FAILED: ${where}: ${why.split('\n', 1)[0]}`;
}

function describeSkip(file: string, test: TestCase): string {
  const result = test.result();
  const reason = result.state === 'skipped' ? result.note : undefined;
  const why = reason ?? (test.options.mode === 'todo' ? 'not written yet' : 'no reason is given');
  return `SKIPPED: ${file} > ${test.fullName}: ${why}`;
}

/** A run that ends badly has a failure, even where none was counted. */
export function lastLine(totals: Totals, exitCode: number): string {
  const failed = exitCode !== 0 && totals.failed === 0 ? 1 : totals.failed;
  return `${totals.passed} passed, ${failed} failed, ${totals.skipped} skipped`;
}

/** The first ones, and how many more there are. */
function listed(all: readonly string[], kind: string): readonly string[] {
  const rest = all.length - MAX_LISTED;
  return rest <= 0 ? all : [...all.slice(0, MAX_LISTED), `${kind}: and ${rest} more`];
}

/**
 * Lists the skipped tests and the failures, and prints `N passed, N failed, N skipped` as the very
 * last line of the run: not before the process ends, since other reporters and the coverage come
 * late. Where `PLAIN_REPORT_FILE` names a file, the failures and the line are left there too, for
 * `test/run.sh`.
 */
export class PlainReporter implements Reporter {
  #counted: Counted = { passed: 0, failed: 0, skipped: 0, skips: [], failures: [] };

  onInit(): void {
    // First in the row: vitest has a listener of its own that ends the process on a signal.
    process.prependOnceListener('exit', (exitCode) => {
      this.#print(exitCode);
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    this.#counted = countResults(modules, unhandled);
  }

  #print(exitCode: number): void {
    const { skips, failures } = this.#counted;
    const end = [...listed(failures, 'FAILED'), lastLine(this.#counted, exitCode)];
    process.stdout.write(`${[...listed(skips, 'SKIPPED'), ...end].join('\n')}\n`);
    const file = process.env['PLAIN_REPORT_FILE'];
    if (file !== undefined && file !== '') writeFileSync(file, `${end.join('\n')}\n`);
  }
}
