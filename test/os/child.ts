import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterEach } from 'vitest';
import { temporaryDirectory } from '../node/local/world.ts';

/** Real processes of a fixture, for what one process can't show. */

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Bundles a file of `fixtures/` as the program itself is bundled; returns the script's path. */
export function bundleFixture(name: string): string {
  const outfile = join(temporaryDirectory(), `${name}.cjs`);
  buildSync({
    entryPoints: [fileURLToPath(new URL(`fixtures/${name}.ts`, import.meta.url))],
    bundle: true,
    platform: 'node',
    target: 'node18.19',
    format: 'cjs',
    logLevel: 'warning',
    outfile,
  });
  return outfile;
}

export interface RunningChild {
  readonly child: ChildProcess;
  /** The next line that it prints; undefined when it ends without one. */
  nextLine(): Promise<string | undefined>;
  /** Exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

export function start(file: string, args: readonly string[]): RunningChild {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const ended = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? ''));
  });
  let text = '';
  const closed = new Promise<void>((resolve) => {
    child.stdout.once('close', resolve);
  });
  let wake = (): void => {};
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    wake();
  });
  let open = true;
  closed.then(() => {
    open = false;
    wake();
  });
  return {
    child,
    ended,
    async nextLine() {
      while (!text.includes('\n') && open) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const end = text.indexOf('\n');
      if (end < 0) return undefined;
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      return line;
    },
  };
}
