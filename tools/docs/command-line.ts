import type { Command as OwnCommand } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { POLICY_NAMES } from '../../src/cli/lab-policies.ts';
import {
  GENERAL_OPTIONS,
  OPTIONS,
  type Option as OptionForm,
  type OptionName,
  STATUS_COLUMNS,
} from '../../src/cli/options.ts';

/** The commands and options of the program, as the completions need them. */

export type ValueKind = 'file' | 'directory' | 'words' | 'other';
export type Subject = 'container' | 'channel' | 'file';

/** What an option takes that takes one of a few words. */
export const WORDS: Readonly<Partial<Record<OptionName, readonly string[]>>> = {
  policy: POLICY_NAMES,
  format: ['text', 'json'],
  columns: STATUS_COLUMNS,
  sort: STATUS_COLUMNS,
  split: ['1', '2'],
};

export interface Option {
  readonly name: OptionName;
  readonly short: string | undefined;
  /** undefined: it takes no value. */
  readonly value: ValueKind | undefined;
}

export interface Command {
  readonly name: string;
  readonly says: string;
  /** What may follow it. */
  readonly subject: Subject | undefined;
  /** What each of its options does. */
  readonly options: ReadonlyMap<OptionName, string>;
}

const KINDS: Readonly<Record<string, ValueKind>> = { FILE: 'file', DIR: 'directory' };

const nameOf = (text: string): OptionName => text as OptionName;

export const options: readonly Option[] = Object.keys(OPTIONS).map((key) => {
  const name = nameOf(key);
  const { short, value }: OptionForm = OPTIONS[name];
  if (WORDS[name] !== undefined) return { name, short, value: 'words' };
  return { name, short, value: value === undefined ? undefined : (KINDS[value] ?? 'other') };
});

const subjectOf = ({ subject }: OwnCommand): Command['subject'] => {
  if (subject.includes('container')) return 'container';
  if (subject.startsWith('channel')) return 'channel';
  return subject === 'file' ? 'file' : undefined;
};

const { help, version } = GENERAL_OPTIONS;

export const commands: readonly Command[] = COMMANDS.map((command) => ({
  name: command.name,
  says: command.summary,
  subject: subjectOf(command),
  options: new Map(
    Object.entries({ ...command.options, help, version }).map(([name, text]) => [
      nameOf(name),
      text,
    ]),
  ),
}));

/** What an option does where no command is named yet: what the first that has it says. */
export const saysOf = (name: OptionName): string =>
  Object.entries(GENERAL_OPTIONS).find(([general]) => general === name)?.[1] ??
  commands.find((command) => command.options.has(name))?.options.get(name) ??
  '';
