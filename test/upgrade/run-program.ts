import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { START_MS, UPTIME_MS } from './stage.ts';

export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command of the program on the stage, to which it is so late after the node's beginning. */
export async function runProgram(
  node: SimulatedNode,
  { home, bundle, elapsedMs }: { home: string; bundle: string; elapsedMs: number },
  args: readonly string[],
): Promise<Answer> {
  const fastTime = ['--require', join(home, 'test/long/fast-time.cjs')];
  const child = spawn(process.execPath, [...fastTime, bundle, '--sysroot', node.root, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      PATH: `${node.binDirectory}:${process.env['PATH']}`,
      FAST_TIME_START: String(START_MS + elapsedMs),
      FAST_TIME_UPTIME: String(UPTIME_MS + elapsedMs),
    },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}
