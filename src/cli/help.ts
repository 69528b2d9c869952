import { type Command, type Examples, SUBJECTS } from './command.ts';
import { COMMAND_GROUPS } from './commands.ts';
import { CONFIGURED, GENERAL_OPTIONS, OPTIONS, type Option, type OptionName } from './options.ts';
import { folded } from './view.ts';

/** The help, made of the table of commands. */

export const INTRODUCTION =
  'lxc-autoscale gives each LXC container of a Proxmox VE node the CPU and memory it needs.';

export const GUEST_WORDS =
  'GUEST is the id or the name of a container: 104, or nextcloud, in any case.';

export const EXIT_CODES: Readonly<Record<string, string>> = {
  0: 'fine',
  1: 'failure',
  64: 'wrong usage',
  75: 'already running',
  78: 'wrong configuration',
};

/** Of terminals that are not wide. */
const COLUMNS = 80;

export const formsOf = ({ name, subject }: Command): readonly string[] =>
  SUBJECTS[subject].map((form) => `${name} ${form}`.trimEnd());

/** `-h, --help`, `--config FILE`. */
export function headOf(option: OptionName): string {
  const { short, value }: Option = OPTIONS[option];
  const dash = short === undefined ? '' : `-${short}, `;
  return `${dash}--${option}${value === undefined ? '' : ` ${value}`}`;
}

/** `text` in lines below each other that begin at a column. */
const wrapped = (text: string, indent: number): string =>
  folded(text, COLUMNS - indent).join(`\n${' '.repeat(indent)}`);

function rows(entries: readonly (readonly [head: string, text: string])[]): string {
  const width = Math.max(...entries.map(([head]) => head.length));
  return entries
    .map(([head, text]) => `  ${head.padEnd(width)}  ${wrapped(text, width + 4)}\n`)
    .join('');
}

const optionRows = (texts: Command['options']): string =>
  rows(
    (Object.keys(texts) as OptionName[]).map((name) => [headOf(name), texts[name] ?? ''] as const),
  );

/** A line that can be typed, and what it does below it where both do not fit into one. */
function exampleLines(examples: Examples): string {
  const typed = Object.entries(examples).map(([line, says]) => [`lxc-autoscale ${line}`, says]);
  const width = Math.max(...typed.map(([line = '']) => line.length));
  const lines = typed.map(([line = '', says = '']) => {
    const beside = `  ${line.padEnd(width)}  # ${says}`;
    return beside.length <= COLUMNS ? beside : `  # ${says}\n  ${line}`;
  });
  return `${lines.join('\n')}\n`;
}

export function programHelp(): string {
  const groups = Object.entries(COMMAND_GROUPS).map(([title, commands]) => {
    const entries = commands.map(({ name, subject, summary }) => {
      const head = `${name} ${SUBJECTS[subject].join('|')}`.trimEnd();
      return [head, summary] as const;
    });
    return [title, entries] as const;
  });
  const width = Math.max(...groups.flatMap(([, entries]) => entries.map(([head]) => head.length)));
  const listed = groups.map(([title, entries]) => {
    const lines = rows(entries.map(([head, text]) => [head.padEnd(width), text] as const));
    return `${title}:\n${lines}`;
  });
  const codes = Object.entries(EXIT_CODES).map((code) => code.join(' '));
  return [
    `${INTRODUCTION}\n`,
    'Usage: lxc-autoscale COMMAND [OPTIONS]\n',
    ...listed,
    `Options of most commands:\n${optionRows({ ...CONFIGURED, ...GENERAL_OPTIONS })}`,
    `${wrapped(GUEST_WORDS, 0)}\n`,
    'Options and examples of a command: lxc-autoscale COMMAND --help\n',
    `${wrapped(`Exit codes: ${codes.join(', ')}.`, 0)}\n`,
  ].join('\n');
}

export function commandHelp(command: Command): string {
  const usage = formsOf(command).map((form) => `lxc-autoscale ${form} [OPTIONS]`);
  return [
    `Usage: ${usage.join('\n       ')}\n`,
    `${wrapped(`${command.summary}.`, 0)}\n`,
    ...(command.help === undefined ? [] : [`${wrapped(command.help, 0)}\n`]),
    `Options:\n${optionRows({ ...command.options, help: 'Print this help' })}`,
    `Examples:\n${exampleLines(command.examples)}`,
  ].join('\n');
}
