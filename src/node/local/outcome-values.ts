import { plainText } from '../../core/plain-text.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { CommandResult } from '../../os/command.ts';
import { searchPath } from '../../os/executable-files.ts';
import { failureWords } from '../pct-words.ts';
import type { CommandOutcome } from '../port.ts';

/** What `pct` and `qm` are started with, and what became of them. */

const LONGEST_MESSAGE = 300;

/**
 * A UTF-8 locale, since in another `pct` damages descriptions that are not ASCII. Nothing else is
 * handed on: our own environment may hold secrets of the configuration.
 */
export function commandEnvironment(
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const env: Record<string, string> = {
    PATH: searchPath(own),
    LC_ALL: 'C.UTF-8',
    LANG: 'C.UTF-8',
    PERL_BADLANG: '0',
  };
  if (own['HOME'] !== undefined) env['HOME'] = own['HOME'];
  return env;
}

/** What became of a command of the node. What it says on stderr while it exits 0 is no failure. */
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
        message: `${command} ${result.why ?? `was ended by ${result.signal} from outside`}`,
        ...(result.isUnseen && { isUnseen: true }),
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
