import { defineConfig } from 'vitest/config';
import { PATIENCE_MS, TEST_LIMIT_MS } from './test/patience.ts';
import { PlainReporter } from './test/plain-reporter.ts';

/**
 * What `npm run test:unit` runs: tests that need no root, no network, no package of the system and
 * no bundle, and that are over in a minute. A folder that is not named here is left to `npm test`.
 */
const UNIT_TESTS = [
  'test/*.test.ts',
  'test/app/**/*.test.ts',
  'test/cli/**/*.test.ts',
  'test/config/**/*.test.ts',
  'test/core/**/*.test.ts',
  'test/groups/**/*.test.ts',
  'test/loop/**/*.test.ts',
  'test/node/*.test.ts',
  'test/notify/**/*.test.ts',
  'test/output/**/*.test.ts',
];

/** `vitest --mode unit` runs the tests above; without a mode all of them may run. */
export default defineConfig(({ mode }) => ({
  test: {
    include: mode === 'unit' ? UNIT_TESTS : ['test/**/*.test.ts'],
    reporters: ['default', new PlainReporter()],
    testTimeout: TEST_LIMIT_MS,
    hookTimeout: TEST_LIMIT_MS,
    expect: { poll: { timeout: PATIENCE_MS, interval: 20 } },
    pool: 'forks',
    poolOptions: { forks: { maxForks: 2 } },
  },
}));
