import type { ProcessContext } from '../app/context.ts';
import type { ExitCode } from '../app/exit-codes.ts';
import type { Signals } from '../app/scheduler.ts';
import type { Arguments } from './arguments.ts';
import type { OptionTexts } from './options.ts';

/** What follows the name of a command, and how the help shows it, a form a line. */
export const SUBJECTS = {
  none: [''],
  'container or group': ['GUEST', 'GROUP'],
  'container or none': ['[GUEST]'],
  'container or all': ['GUEST', '--all'],
  'tier or container or none': ['[TIER]', '[GUEST]'],
  'channel or none': ['[CHANNEL]'],
  file: ['FILE'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type Subject = keyof typeof SUBJECTS;

export type Examples = Readonly<Record<string, string>>;

export interface CommandContext extends ProcessContext {
  readonly signals: Signals;
  readonly stdin: NodeJS.ReadStream;
}

export interface Command {
  readonly name: string;
  readonly subject: Subject;
  /** A line for the list of commands. */
  readonly summary: string;
  /** What else its own help says: sentences. */
  readonly help?: string;
  /** What is typed after the name of the program, and what comes of it; at least one. */
  readonly examples: Examples;
  readonly options: OptionTexts;
  /**
   * What is looked at before it runs: whether the file systems that it reads answer, whether there
   * is a configuration, and whether only trusted users write to the directory of `--state`. Other
   * commands ask the daemon first, or look for themselves.
   */
  readonly requires?: 'answers' | 'answers and a configuration';
  /** What it needs is loaded when it runs, so that the daemon does not hold it. */
  run(given: Arguments, context: CommandContext): ExitCode | Promise<ExitCode>;
}
