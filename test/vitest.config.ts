import { defineConfig } from 'vitest/config';
import { TEST_LIMIT_MS } from './patience.ts';
import { PlainReporter } from './plain-reporter.ts';

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    reporters: ['default', new PlainReporter()],
    testTimeout: TEST_LIMIT_MS,
    hookTimeout: TEST_LIMIT_MS,
    pool: 'forks',
    poolOptions: { forks: { maxForks: 2 } },
  },
});
