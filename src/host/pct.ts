import { isEmpty, LEAST_MEMORY_MIB, MOST_CORES, roundCpuLimit } from '../core/allocation.ts';
import { plainText } from '../core/plain-text.ts';
import type { Milliseconds } from '../core/units.ts';
import { milliseconds } from '../core/units.ts';
import type { CommandOutcome, Proxmox, SetRequest } from '../node/port.ts';
import type { CommandResult } from './command.ts';
import { runCommand } from './command.ts';
import { searchPath } from './executable-files.ts';

/** `pct`, the node's own tool for containers: what is asked of it, and what its answers mean. */

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
export function createProxmox(options: PctOptions): Proxmox {
  const timeLimitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
  const env = commandEnvironment(options.environment);
  return {
    async set(request, stop, cancel): Promise<CommandOutcome> {
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
  const { vmid, cores, cpuLimit, memoryMib, digest } = request;
  const args = ['set', String(vmid)];
  // Of a running container `--cpulimit 0` fails; to delete the line is what lifts the limit.
  const lines = [cores === null ? 'cores' : '', cpuLimit === null ? 'cpulimit' : ''];
  const deleted = lines.filter((line) => line !== '');
  if (deleted.length > 0) args.push('--delete', deleted.join(','));
  if (typeof cores === 'number') args.push('--cores', String(cores));
  if (typeof cpuLimit === 'number') args.push('--cpulimit', String(roundCpuLimit(cpuLimit)));
  if (memoryMib !== undefined) args.push('--memory', String(memoryMib));
  args.push('--digest', digest);
  return args;
}

/** What `pct` would refuse anyway, or would take for something else. */
function whatIsWrongWith(request: SetRequest): string | undefined {
  const { cores, cpuLimit, memoryMib, digest } = request;
  if (isEmpty(request)) return 'nothing is to be changed';
  if (
    typeof cores === 'number' &&
    !(Number.isInteger(cores) && cores >= 1 && cores <= MOST_CORES)
  ) {
    return `cores must be a whole number from 1 to ${MOST_CORES}, not ${cores}`;
  }
  if (typeof cpuLimit === 'number' && !(roundCpuLimit(cpuLimit) > 0 && cpuLimit <= MOST_CORES)) {
    return `cpulimit must be a number of cores from 0.01 to ${MOST_CORES}, not ${cpuLimit}`;
  }
  if (
    memoryMib !== undefined &&
    !(Number.isSafeInteger(memoryMib) && memoryMib >= LEAST_MEMORY_MIB)
  ) {
    return `memory must be a whole number of MiB from ${LEAST_MEMORY_MIB}, not ${memoryMib}`;
  }
  if (!/^[0-9a-f]{40}$/.test(digest)) return 'the digest of the configuration is not a SHA-1';
  return undefined;
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
      return {
        kind: 'failed',
        exitCode: result.exitCode,
        message: plainText(failureMessage(result.exitCode, result.stderr), LONGEST_MESSAGE),
        ...(UNWRITABLE.some((kind) => kind.test(result.stderr)) && { unwritable: true as const }),
      };
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

function ending(left: boolean): string {
  return left ? 'could not be ended' : 'was ended';
}

/**
 * `/etc/pve` takes no changes. Without quorum a file of it cannot be opened, made or moved, also by
 * root, or the command sees that itself; with pve-cluster stopped there is nobody to ask.
 */
const UNWRITABLE: readonly RegExp[] = [
  /\/etc\/pve\/[^\n]* - (?:Permission denied|Transport endpoint is not connected)/,
  /cluster not ready - no quorum/,
  /^ipcc_send_rec\S* failed:/m,
  /Unable to load access control list/,
];

/** Known messages, and what they mean to somebody who has not read the source of `pct`. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/^CT is locked/, 'another operation has locked the container'],
  [/got timeout$/, 'another operation holds the lock of its configuration'],
  [/^detected modified configuration/, 'the configuration was changed by someone else meanwhile'],
  [/^Configuration file .* does not exist/, 'the container is no longer on this node'],
  [
    /^unable to open file '\/etc\/pve\/.* - Permission denied/,
    'no quorum, so it cannot be written',
  ],
  [/^ipcc_send_rec/, 'the cluster file system (pve-cluster) does not answer'],
  [/unable to hotplug/, 'the running container did not take the change'],
];

function failureMessage(exitCode: number, stderr: string): string {
  const line = meaningfulLine(stderr);
  if (line === undefined) return `pct gave no reason (exit code ${exitCode})`;
  const meaning = KNOWN.find(([pattern]) => pattern.test(line))?.[1];
  return meaning === undefined ? line : `${meaning}: ${line}`;
}

/** How warnings of Perl begin. They end in file and line, as its errors do, which are none. */
const PERL_WARNINGS = [
  ...['Use of uninitialized value', "Argument .* isn't numeric", 'Odd number of elements in'],
  ...['Wide character in', 'Useless use of', 'Deep recursion on', 'substr outside of string'],
  ...['Subroutine \\S+ redefined', '\\w+\\(\\) on (?:closed|unopened) filehandle'],
];

/** Headings, usage lines and remarks that stand around the one line that says what went wrong. */
const NOISE = new RegExp(
  [
    ...['^400 ', '^USAGE', '^pct [a-z]+ ', '^trying to acquire lock', '^\\s'],
    ...['^vm [0-9]+ - unable to parse', '^perl: warning:'],
    // While a container is stopping.
    ...PERL_WARNINGS.map((warning) => `^${warning}.* at \\S+ line \\d+`),
    '^failed to read from command socket',
  ].join('|'),
);

function meaningfulLine(stderr: string): string | undefined {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => !NOISE.test(line)) ?? lines[0])?.trim();
}

/**
 * Of an output in which progress and complaints come as one, the part that says what went wrong:
 * the last line that is no noise. Progress of a clone (rsync, mkfs, LVM) comes before it.
 */
export function complaintIn(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return lines.filter((line) => !NOISE.test(line)).at(-1) ?? output;
}
