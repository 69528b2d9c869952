import type { FailureWhy } from '../core/failure-why.ts';

/**
 * The words of `pct`, `pvesh` and `qm`, and what they mean. Nobody else reads them: all others go
 * by the kind of a failure, and hand its message on to people.
 */

export interface FailureWords {
  readonly why: FailureWhy;
  /** One line: what it means if that is known, and what was said. */
  readonly message: string;
}

/**
 * `/etc/pve` takes no changes. Without quorum a file of it cannot be opened, made or moved, also by
 * root, or the command sees that itself; with pve-cluster stopped there is nobody to ask. It is
 * said in any line.
 */
const UNWRITABLE: readonly (readonly [RegExp, FailureWhy])[] = [
  [/\/etc\/pve\/[^\n]* - Permission denied/, 'no-quorum'],
  [/cluster not ready - no quorum/, 'no-quorum'],
  [/\/etc\/pve\/[^\n]* - Transport endpoint is not connected/, 'unreachable'],
  [/^ipcc_send_rec\S* failed:/m, 'unreachable'],
  [/Unable to load access control list/, 'unreachable'],
];

/** The one line that says what went wrong, and its meaning to who has not read the source. */
const KNOWN: readonly (readonly [RegExp, FailureWhy, string?])[] = [
  [/^CT is locked/, 'locked', 'another operation has locked the container'],
  [/^VM is locked/, 'locked', 'another operation has locked the virtual machine'],
  [/^checksum mismatch/, 'modified', 'the configuration was changed by someone else meanwhile'],
  [/error unplug/, 'other', 'the guest did not give it back'],
  [
    /^can't lock file .* - got timeout$/,
    'busy',
    'another operation holds the lock of its configuration',
  ],
  [
    /^detected modified configuration/,
    'modified',
    'the configuration was changed by someone else meanwhile',
  ],
  [/^Configuration file .* does not exist/, 'gone', 'the guest is no longer on this node'],
  [/already exists/, 'exists'],
  [/^Permission check failed/, 'denied'],
  [
    /^unable to open file '\/etc\/pve\/.* - Permission denied/,
    'no-quorum',
    'no quorum, so it cannot be written',
  ],
  [/^ipcc_send_rec/, 'unreachable', 'the cluster file system (pve-cluster) does not answer'],
  [/unable to hotplug/, 'other', 'the running guest did not take the change'],
];

/** What a command that did not exit with 0 says on stderr. */
export function failureWords(exitCode: number, stderr: string): FailureWords {
  const line = meaningfulLine(stderr);
  const [, found, meaning] =
    line === undefined ? [] : (KNOWN.find(([pattern]) => pattern.test(line)) ?? []);
  const unwritable = UNWRITABLE.find(([pattern]) => pattern.test(stderr))?.[1];
  const why = unwritable ?? found ?? 'other';
  if (line === undefined) return { why, message: `no reason was given (exit code ${exitCode})` };
  return { why, message: meaning === undefined ? line : `${meaning}: ${line}` };
}

/** How warnings of Perl begin. They end in file and line, as its errors do, which are none. */
const PERL_WARNINGS = [
  'Use of uninitialized value',
  "Argument .* isn't numeric",
  'Odd number of elements in',
  'Wide character in',
  'Useless use of',
  'Deep recursion on',
  'substr outside of string',
  'Subroutine \\S+ redefined',
  '\\w+\\(\\) on (?:closed|unopened) filehandle',
];

/** Headings, usage lines and remarks that stand around the one line that says what went wrong. */
const NOISE = new RegExp(
  [
    '^400 ',
    '^USAGE',
    '^(?:pct|qm) [a-z]+ ',
    '^trying to acquire lock',
    '^\\s',
    // What went wrong with it follows.
    '^[a-z]+: hotplug problem - 400 ',
    '^vm [0-9]+ - unable to parse',
    '^perl: warning:',
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
