import { existsSync } from 'node:fs';
import { beforeAll, expect, it, type TestContext } from 'vitest';
import { type Answers, askKernel, PROGRAM, whyNoKernel } from './user-mode-linux.ts';

/** The bundled program changes limits under a real kernel, by a `pct set` that acts as recorded. */

interface Looked {
  readonly code: number;
  readonly output: string;
  readonly configured: number;
  /** `memory.max`, `memory.high`, `memory.current`, in MiB. */
  readonly live: number;
  readonly high: number;
  readonly inUse: number;
  readonly all: Readonly<Record<string, number>>;
  /** What became of the process that grew. */
  readonly how: string;
  /** From the kill to `pct set`; only where it was killed. */
  readonly afterMs?: number;
}

const missing = whyNoKernel();
let answers: Answers = {};

beforeAll(async () => {
  expect(existsSync(PROGRAM)).toBe(true);
  if (missing === undefined)
    answers = await askKernel(['lowered', 'growsWhileLowered', 'killedBetweenLooks']);
}, 300_000);

function lookedAt(name: string, context: TestContext): Looked {
  if (missing !== undefined) context.skip(missing);
  expect(answers[name]?.error).toBeUndefined();
  return answers[name]?.value as Looked;
}

it('a limit goes down, and memory.high is what pct set has made of it', (context) => {
  const { code, configured, live, high, all } = lookedAt('lowered', context);
  expect({ code, configured, live, high }).toEqual({
    code: 0,
    configured: 128,
    live: 128,
    high: 127,
  });
  expect(all['oom_kill']).toBe(0);
});

// Without memory.high and the look while pct waits, it is killed at 253 of then 128 MB.
it('a process that grows before pct set has acted is held, and pct is ended', (context) => {
  const seen = lookedAt('growsWhileLowered', context);
  expect(seen.how).toBe('ready');
  expect(seen.all).toMatchObject({ oom: 0, oom_kill: 0, max: 0 });
  expect(seen.code).toBe(1);
  expect(seen.output).toMatch(/NOT rolled back[\s\S]*it began to need more/);
  // Nothing is left low, and the configuration says what the kernel does.
  expect(seen.configured).toBe(seen.live);
  expect(seen.live).toBeGreaterThan(400);
  expect(seen.high).toBeGreaterThan(seen.live * 0.99);
});

it('a kill between two looks is answered by its event', (context) => {
  const seen = lookedAt('killedBetweenLooks', context);
  expect(seen.how).toBe('SIGKILL');
  expect(seen.configured).toBeGreaterThanOrEqual(256);
  expect(seen.live).toBe(seen.configured);
  expect(seen.output).toMatch(/Early evaluation of \d+: .*out of memory/);
  expect(seen.code).toBe(0);
  process.stderr.write(`from a kill to pct set: ${((seen.afterMs ?? 0) / 1000).toFixed(2)} s\n`);
});
