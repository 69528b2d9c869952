import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const checkout = new URL('..', import.meta.url).pathname;
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'reporter-'));
  symlinkSync(join(checkout, 'node_modules'), join(directory, 'node_modules'));
  writeFileSync(
    join(directory, 'vitest.config.ts'),
    `import { PlainReporter } from '${join(checkout, 'test', 'plain-reporter.ts')}';
     export default { test: { reporters: ['default', new PlainReporter()] } };`,
  );
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Runs the test files given, by name and content, and returns what a terminal would show. */
function runFiles(files: Readonly<Record<string, string>>) {
  for (const [name, content] of Object.entries(files)) {
    const head = "import { afterAll, beforeAll, describe, expect, it } from 'vitest';\n";
    writeFileSync(join(directory, name), head + content);
  }
  const left = join(directory, 'last-line');
  const run = spawnSync(
    'bash',
    ['-c', `exec ${process.execPath} node_modules/vitest/vitest.mjs run 2>&1`],
    { cwd: directory, encoding: 'utf8', env: { ...process.env, PLAIN_REPORT_FILE: left } },
  );
  const lines = run.stdout.trimEnd().split('\n');
  return { status: run.status, lines, last: lines.at(-1), left: readFileSync(left, 'utf8') };
}

describe('the last line of a run', () => {
  it('counts every test once, and all that goes wrong outside of tests', () => {
    const run = runFiles({
      'many.test.ts': `
        it('passes', () => {});
        it.fails('fails as expected', () => { expect(1).toBe(2); });
        it('fails', () => { expect(1).toBe(2); });
        it.for([1, 2])('is skipped', (_, context) => { context.skip('no jq here'); });
        it.todo('comes later');
        describe('before', () => {
          beforeAll(() => { throw new Error('hook'); });
          it('never runs', () => {});
        });
        describe('after', () => {
          afterAll(() => { throw new Error('hook'); });
          it('runs', () => {});
        });`,
      'unloadable.test.ts': "throw new Error('cannot be loaded');",
      'late.test.ts': `
        it('passes too early', async () => {
          setTimeout(() => { throw new Error('late'); }, 5);
          await new Promise((resolve) => setTimeout(resolve, 50));
        });`,
    });
    expect(run.last).toBe('4 passed, 5 failed, 4 skipped');
    const failures = [
      'FAILED: outside of any test: late',
      'FAILED: many.test.ts > before: hook',
      'FAILED: many.test.ts > after: hook',
      'FAILED: many.test.ts > fails: expected 1 to be 2 // Object.is equality',
      'FAILED: unloadable.test.ts: cannot be loaded',
    ];
    const left = run.left.trimEnd().split('\n');
    expect([...left].sort()).toEqual([...failures, '4 passed, 5 failed, 4 skipped'].sort());
    expect(run.lines.slice(-6)).toEqual(left);
    expect(run.status).toBe(1);
    expect(run.lines.slice(-10, -6)).toEqual([
      'SKIPPED: many.test.ts > is skipped: no jq here',
      'SKIPPED: many.test.ts > is skipped: no jq here',
      'SKIPPED: many.test.ts > comes later: not written yet',
      'SKIPPED: many.test.ts > before > never runs: no reason is given',
    ]);
  });

  it('has no failure where all is well', () => {
    const run = runFiles({ 'good.test.ts': "it('a', () => {}); it('b', () => {});" });
    expect(run).toMatchObject({ status: 0, last: '2 passed, 0 failed, 0 skipped' });
  });

  it('has a failure where nothing could be run', () => {
    expect(runFiles({})).toMatchObject({ status: 1, last: '0 passed, 1 failed, 0 skipped' });
  });
});
