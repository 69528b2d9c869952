import { plainText } from '../../../core/plain-text.ts';
import type { Milliseconds } from '../../../core/units.ts';
import { milliseconds } from '../../../core/units.ts';
import type { CommandResult } from '../../../os/command.ts';
import { runCommand } from '../../../os/command.ts';
import { searchPath } from '../../../os/executable-files.ts';
import { changeOf, whatIsWrongWith } from '../../guests/lxc-change.ts';
import { failureWords } from '../../pct-words.ts';
import type { CommandOutcome, NodeHands, SetRequest } from '../../port.ts';

/** `pct`, the node's own tool for containers: what is asked of it, and what became of it. */

/** `pct set` waits 10 s for a container's lock, and an overloaded node adds to that. */
const TIME_LIMIT_MS = milliseconds(40_000);
/** A change in hand may finish when the daemon stops; with what follows it stays under 10 s. */
const STOP_GRACE_MS = milliseconds(3_000);
const OUTPUT_LIMIT_BYTES = 64 * 1024;
const LONGEST_MESSAGE = 300;

export interface PctOptions {
  /** The environment of this process; only `PATH` and `HOME` of it are handed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly timeLimitMs?: Milliseconds;
  readonly stopGraceMs?: Milliseconds;
}

/** Changes containers through `pct`. It is found by PATH. */
export function createPct(options: PctOptions): Pick<NodeHands, 'apply'> {
  const timeLimitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
  const env = commandEnvironment(options.environment);
  return {
    async apply(request, stop, cancel): Promise<CommandOutcome> {
      const wrong = whatIsWrongWith(request);
      if (wrong !== undefined) return { kind: 'not-started', message: wrong };
      const result = await runCommand('pct', setArguments(request), {
        timeLimitMs,
        env,
        ...{ stop, cancel },
        stopGraceMs: options.stopGraceMs ?? STOP_GRACE_MS,
        outputLimitBytes: OUTPUT_LIMIT_BYTES,
      });
      return outcomeOf(result, `pct set ${request.vmid}`, timeLimitMs);
    },
  };
}

/**
 * The arguments of one `pct set` that brings about all of a request. With the digest, `pct` refuses
 * to change a configuration that is no longer the one that the request was decided on.
 */
export function setArguments(request: SetRequest): string[] {
  const { set, remove } = changeOf(request);
  const args = ['set', String(request.vmid)];
  if (remove.length > 0) args.push('--delete', remove.join(','));
  for (const [key, value] of set) args.push(`--${key}`, value);
  args.push('--digest', request.digest);
  return args;
}

/**
 * A UTF-8 locale, since in another `pct` damages descriptions that are not ASCII. Nothing else is
 * handed on: our own environment may hold secrets of the configuration.
 */
export function commandEnvironment(own: PctOptions['environment']): Record<string, string> {
  const env: Record<string, string> = {
    PATH: searchPath(own),
    LC_ALL: 'C.UTF-8',
    LANG: 'C.UTF-8',
    PERL_BADLANG: '0',
  };
  if (own['HOME'] !== undefined) env['HOME'] = own['HOME'];
  return env;
}

/** What became of a `pct` command. What it says on stderr while it exits 0 is no failure. */
export function outcomeOf(
  result: CommandResult,
  command: string,
  timeLimitMs: Milliseconds,
): CommandOutcome {
  switch (result.kind) {
    case 'not-started':
      return { kind: 'not-started', message: plainText(result.message, LONGEST_MESSAGE) };
    case 'exited':
      if (result.exitCode === 0) return { kind: 'done' };
      return failure(result.exitCode, result.stderr);
    case 'timed-out':
      return {
        kind: 'timed-out',
        afterMs: timeLimitMs,
        message: `${command} took longer than ${timeLimitMs / 1000} s and ${ending(result.left)}`,
      };
    case 'stopped':
      return {
        kind: 'killed',
        signal: 'SIGTERM',
        message: `${command} had not finished when the daemon stopped and ${ending(result.left)}`,
      };
    case 'cancelled':
      return {
        kind: 'killed',
        signal: 'SIGTERM',
        message: `${command} was not wanted any more and ${ending(result.left)}`,
      };
    case 'killed':
      return {
        kind: 'killed',
        signal: result.signal,
        message: `${command} was ended by ${result.signal} from outside`,
      };
  }
}

function failure(exitCode: number, stderr: string): CommandOutcome {
  const { why, message } = failureWords(exitCode, stderr);
  return { kind: 'failed', why, exitCode, message: plainText(message, LONGEST_MESSAGE) };
}

function ending(left: boolean): string {
  return left ? 'could not be ended' : 'was ended';
}
