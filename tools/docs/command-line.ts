import { COMMANDS, HELP, ONLY_FOR, OPTIONS } from '../../src/cli/arguments.ts';
import { readHelp, textOfCommand, textOfOption, valueNames } from './help.ts';

/** The commands and options of the program, as the completions need them. */

export type ValueKind = 'file' | 'directory' | 'other';

export interface Option {
  readonly name: string;
  readonly short: string | undefined;
  /** undefined: it takes no value. */
  readonly value: ValueKind | undefined;
  /** The commands that it goes with. */
  readonly commands: readonly string[];
  readonly says: string;
}

export interface Command {
  readonly name: string;
  readonly says: string;
  /** What may follow it. */
  readonly subject: 'container' | 'file' | undefined;
}

const help = readHelp(HELP);

const KINDS: Readonly<Record<string, ValueKind>> = { FILE: 'file', DIR: 'directory' };

export const options: readonly Option[] = Object.entries(OPTIONS).map(([name, option]) => ({
  name,
  short: 'short' in option ? option.short : undefined,
  value:
    option.type === 'boolean' ? undefined : (KINDS[valueNames(help).get(name) ?? ''] ?? 'other'),
  commands: ONLY_FOR[name] ?? COMMANDS,
  says: textOfOption(help, name),
}));

const subjectOf = (name: string): Command['subject'] => {
  const heads = help.sections.flatMap(({ items }) => items.map(({ head }) => head));
  const words = heads.filter((head) => head.split(' ')[0] === name).join(' ');
  if (/\bVMID\b/.test(words)) return 'container';
  return /\bFILE\b/.test(words) ? 'file' : undefined;
};

export const commands: readonly Command[] = COMMANDS.map((name) => ({
  name,
  says: textOfCommand(help, name),
  subject: subjectOf(name),
}));
