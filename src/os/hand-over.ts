import { spawn } from 'node:child_process';
import { searchPath } from './executable-files.ts';
import { errorCode } from './os-error.ts';

/** Text for a program of this node, by its standard input: what no other user is to see in `ps`. */

export interface Taker {
  readonly file: string;
  /** Nothing that is secret. */
  readonly args: readonly string[];
  /** What to do where there is no such program. */
  readonly whereFrom: string;
}

export type HandedOver =
  | {
      readonly ok: true;
      /** What it wrote on its standard error output. */
      readonly said: string;
    }
  | {
      readonly ok: false;
      readonly why: string;
      /** It was at work, and ran out of time. */
      readonly isCutOff?: true;
    };

const TIME_LIMIT_MS = 20_000;
const TOO_LONG = `it took more than ${TIME_LIMIT_MS / 1000} s`;
const MAX_SAID = 1000;

/**
 * Starts a program and hands a text over to it. It has a process group of its own, and takes none
 * of the places that commands on containers wait for. Never rejects.
 */
export function handOver(
  { file, args, whereFrom }: Taker,
  text: string,
  env: Readonly<Record<string, string | undefined>>,
  stop: AbortSignal,
): Promise<HandedOver> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      env: { PATH: searchPath(env), LC_ALL: 'C.UTF-8' },
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let said = '';
    let end: string | undefined;
    const endGroup = (why: string) => (): void => {
      end ??= why;
      if (child.pid !== undefined) tryToKill(child.pid);
    };
    const timer = setTimeout(endGroup(TOO_LONG), TIME_LIMIT_MS);
    const onStop = endGroup('given up, since the daemon stops');
    const answer = (handed: HandedOver): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', onStop);
      resolve(handed);
    };
    child.once('error', (error) => {
      answer({ ok: false, why: whyNotStarted(error, file, whereFrom) });
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (said.length < MAX_SAID) said += chunk.toString('utf8');
    });
    child.once('exit', (code, signal) => {
      child.stderr.destroy();
      if (end === undefined && code === 0) return answer({ ok: true, said: said.trim() });
      const how = end ?? (signal === null ? `exit code ${code}` : `ended by ${signal}`);
      const words = said.trim() === '' ? '' : `: ${said.trim()}`;
      const cutOff = how === TOO_LONG && { isCutOff: true as const };
      answer({ ok: false, why: `${file} failed (${how})${words}`, ...cutOff });
    });
    // It may end without reading all of it, which its exit code then tells.
    child.stdin.on('error', () => {});
    child.stdin.end(text);
    stop.addEventListener('abort', onStop, { once: true });
    if (stop.aborted) onStop();
  });
}

function tryToKill(leaderPid: number): void {
  try {
    process.kill(-leaderPid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function whyNotStarted(error: unknown, file: string, whereFrom: string): string {
  if (errorCode(error) === 'ENOENT') return `there is no ${file} on this node; ${whereFrom}`;
  return `${file} could not be started: ${error instanceof Error ? error.message : String(error)}`;
}
