import { parseArgs } from 'node:util';
import { toAmount, unitsOf } from '../config/read-values.ts';
import { closest, unknownWord } from '../config/suggest.ts';
import { parseSince, type Since } from '../core/report/since.ts';
import { parseRestorePoint, type RestorePoint } from '../core/rollback.ts';
import { parseVmid } from '../core/units.ts';
import type { Arguments, ViewOptions } from './arguments.ts';
import type { Command } from './command.ts';
import { commandOf } from './commands.ts';
import {
  DEFAULT_DEMO_SECONDS,
  DEFAULT_MEASURE_SECONDS,
  FLAG_COMMANDS,
  GENERAL_OPTIONS,
  OPTIONS,
  STATUS_COLUMNS,
} from './options.ts';
import { meantByCommand, meantByOption } from './other-words.ts';
import { readSubject } from './subject.ts';

/** The command line, parsed: a command with its options, or a sentence on what is wrong with it. */

export type Parsed =
  | { readonly kind: 'run'; readonly command: Command; readonly arguments: Arguments }
  /** undefined: the help of the program. */
  | { readonly kind: 'help'; readonly command: Command | undefined }
  | { readonly kind: 'version' }
  /** Nothing was said at all. */
  | { readonly kind: 'bare' }
  | {
      readonly kind: 'wrong';
      readonly message: string;
      /** undefined: not even the command is known. */
      readonly command: Command | undefined;
    };

type Values = Exclude<ReturnType<typeof tokenize>, string>['values'];

/** An unset shell variable must not turn the directory of a test into the real node. */
const PATHS = ['config', 'env-file', 'sysroot', 'state', 'trace', 'out', 'html'] as const;

/** @param argv what follows the program's name */
export function parseArguments(argv: readonly string[]): Parsed {
  const given = tokenize(argv);
  if (typeof given === 'string') return wrong(unknownFirst(argv) ?? given, commandIn(argv));
  const { values, positionals } = given;
  if (values.help === true) return { kind: 'help', command: commandIn(positionals) };
  if (values.version === true) return { kind: 'version' };
  const [name, ...words] = commandLine(values, positionals);
  if (name === 'help') {
    const [about] = words;
    const command = commandIn(words);
    return about === undefined || about === 'help' || command !== undefined
      ? { kind: 'help', command }
      : wrong(unknownCommand(about), undefined);
  }
  if (name === 'version') return { kind: 'version' };
  if (name === undefined) {
    return argv.length === 0 ? { kind: 'bare' } : wrong('a command is missing', undefined);
  }
  const command = commandOf(name);
  if (command === undefined) return wrong(unknownCommand(name), undefined);
  const [flag, ...others] = flagsIn(values);
  const other = others.find((one) => FLAG_COMMANDS[one] !== name);
  if (flag !== undefined && other !== undefined) {
    return wrong(`--${flag} and --${other} do not go together: each is a command`, undefined);
  }
  if (flag !== undefined && positionals.length > 0) {
    const same = GENERAL_OPTIONS[flag].replace('The', 'the');
    return wrong(`--${flag} stands without a command: it is ${same}`, command);
  }
  const read = argumentsOf(command, values, words);
  if (typeof read === 'string') return wrong(read, command);
  return { kind: 'run', command, arguments: read };
}

/** A sentence if they are wrong. */
function argumentsOf(
  command: Command,
  values: Values,
  words: readonly string[],
): Arguments | string {
  const { named, rest } = policyWords(command, values.policy, words);
  const subject = readSubject(command, rest, values.all ?? values.rollback ?? false);
  if ('message' in subject) return subject.message;
  const isOne = subject.vmid !== undefined || subject.guestName !== undefined;
  const stray = Object.keys(values).find((option) => !takes(command, option));
  if (stray !== undefined) {
    return `--${stray} does not go with ${command.name}${insteadOf(stray, command)}`;
  }
  if (values.node !== undefined && subject.guestName !== undefined) {
    return `--node takes the id of a container, not a name such as '${subject.guestName}'`;
  }
  const empty = PATHS.find((option) => values[option] === '');
  if (empty !== undefined) return `--${empty} needs a path, and it is empty`;
  if (values['add-note'] && values['remove-note']) {
    return '--add-note and --remove-note do not go together; take one of them';
  }
  const to = restorePoint(values.to, isOne);
  if (typeof to === 'string') return to;
  const since = values.since === undefined ? undefined : parseSince(values.since);
  if (values.since !== undefined && since === undefined) return noTime('since', values.since);
  const at = values.at === undefined ? undefined : parseSince(values.at);
  if (values.at !== undefined && at === undefined) return noTime('at', values.at);
  const poll = wholeNumber('poll_interval', values.poll_interval, 1, 86_400, 'seconds');
  const duration = wholeNumber('duration', values.duration, 5, 86_400, 'seconds');
  const containers = wholeNumber('containers', values.containers, 1, 300, '');
  const measure = wholeNumber('for', values.for, 1, 3600, 'seconds');
  const half = wholeNumber('split', values.split, 1, 2, '');
  const after = wholeNumber('after', values.after, 0, 365, '');
  const one = wrongOther(values['other-guest'], isOne);
  const others = [wrongFormat(values.format), wrongSource(values), one, wrongColumn(values)];
  for (const number of [poll, duration, containers, measure, half, after, ...others]) {
    if (typeof number === 'string') return number;
  }
  return {
    configFile: values.config,
    envFile: values['env-file'],
    sysroot: values.sysroot ?? '/',
    stateDir: values.state,
    dryRun: values['dry-run'] ?? false,
    pollIntervalSeconds: numeric(poll),
    energyMode: values.energy_mode ?? false,
    debug: values.debug ?? values.verbose ?? false,
    traceFile: values.trace,
    containers: numeric(containers),
    durationSeconds: numeric(duration) ?? DEFAULT_DEMO_SECONDS,
    vmid: subject.vmid,
    guestName: subject.guestName,
    group: undefined,
    tier: undefined,
    to,
    otherGuest: values['other-guest'] ?? false,
    node: values.node,
    since,
    at,
    all: values.all ?? false,
    view: viewOptions(values),
    json: values.json ?? values.format === 'json',
    outFile: values.out,
    channel: subject.channel,
    policies: named,
    half: numeric(half),
    afterDays: numeric(after) ?? 0,
    cold: values.cold ?? false,
    htmlFile: values.html,
    yaml: values.yaml ?? false,
    http: values.http ?? false,
    note: values['remove-note'] ? 'remove' : values['add-note'] ? 'add' : undefined,
    notes: values.notes ?? false,
    oldFile: subject.file,
    measureSeconds: numeric(measure) ?? DEFAULT_MEASURE_SECONDS,
    yes: values.yes ?? false,
  };
}

const takes = ({ options }: Command, option: string): boolean =>
  Object.hasOwn(options, option) || Object.hasOwn(GENERAL_OPTIONS, option);

const commandIn = (words: readonly string[]): Command | undefined =>
  words.map(commandOf).find((command) => command !== undefined);

/** A word at the beginning that is no command is told before the options behind it. */
function unknownFirst(argv: readonly string[]): string | undefined {
  const args = withOptionNames(argv);
  const { positionals, tokens } = parseArgs({
    args,
    options: OPTIONS,
    strict: false,
    tokens: true,
  });
  const [first = '-'] = positionals;
  // Behind an unknown option it may be the value of that one, and a secret.
  const before = tokens.slice(
    0,
    tokens.findIndex(({ kind }) => kind === 'positional'),
  );
  const isUnknown = (one: (typeof before)[number]): boolean =>
    one.kind === 'option' && !Object.hasOwn(OPTIONS, one.name);
  if (before.some(isUnknown)) return undefined;
  const isKnown = commandOf(first) !== undefined || ['help', 'version'].includes(first);
  return isKnown || first.startsWith('-') ? undefined : unknownCommand(first);
}

/** What to write in place of an option that belongs to other commands. */
function insteadOf(option: string, { name, subject, options }: Command): string {
  if (option === 'format' && options.json !== undefined) return '. Write --json';
  return option === 'all' && subject.endsWith(' or none')
    ? `. Without a name, ${name} is about all`
    : '';
}

function unknownCommand(word: string): string {
  if (parseVmid(word) !== undefined) {
    return `a command is missing before '${word}'. For one container: lxc-autoscale status ${word}`;
  }
  const hint = meantByCommand(word);
  return `unknown command '${word}'${hint === undefined ? '' : `. ${hint}`}`;
}

/** The misspelt option, and what most likely was meant. */
function unknownOption(word: string, command?: Command): string {
  if (word === '-v') return "unknown option '-v'. Did you mean '-V' (the version) or '--verbose'?";
  const elsewhere = meantByOption(word, command);
  if (elsewhere !== undefined) return `unknown option '${word}'. ${elsewhere}`;
  const known = command?.options ?? OPTIONS;
  const options = [...Object.keys(known), ...Object.keys(GENERAL_OPTIONS)];
  const near = word.startsWith('--') ? closest(word.slice(2), options) : undefined;
  return `unknown option '${word}'${near === undefined ? '' : `. Did you mean '--${near}'?`}`;
}

/** `--policy one two` and `--policy one,two` name two, as `--policy one --policy two` does. */
function policyWords(
  { name }: Command,
  given: readonly string[] | undefined,
  words: readonly string[],
): { readonly named: readonly string[]; readonly rest: readonly string[] } {
  const more = name === 'backtest' && given !== undefined ? words : [];
  const named = [...(given ?? []), ...more].flatMap((text) => text.split(','));
  return { named, rest: words.slice(more.length) };
}

/** What is wrong with where demand is to come from: a trace, or the daemon's own record. */
function wrongSource({
  trace,
  history,
  containers,
}: {
  readonly trace?: string | undefined;
  readonly history?: boolean | undefined;
  readonly containers?: string | undefined;
}): string | undefined {
  if (containers !== undefined && trace === undefined) return '--containers goes with --trace';
  if (trace === undefined || history !== true) return undefined;
  return '--history is what the daemon has recorded here, so it does not go with --trace';
}

const wrongOther = (given: boolean | undefined, isOne: boolean): string | undefined =>
  given === true && !isOne
    ? '--other-guest takes one container; --all skips other guests'
    : undefined;

type Flag = keyof typeof FLAG_COMMANDS;

const flagsIn = (values: Values): readonly Flag[] =>
  (Object.keys(FLAG_COMMANDS) as Flag[]).filter((flag) => values[flag] === true);

/** The command and what follows it. A flag of existing installations stands for a command. */
function commandLine(values: Values, positionals: readonly string[]): readonly string[] {
  if (positionals.length > 0) return positionals;
  const [flag] = flagsIn(values);
  if (flag !== undefined) return [FLAG_COMMANDS[flag]];
  return values['dry-run'] === true ? ['daemon'] : [];
}

const noTime = (option: 'since' | 'at' | 'to', text: string, others = ''): string => {
  const times = "a time such as 03:00, yesterday, 2026-11-21 or '2026-11-21 22:04'";
  const spans = 'or a span such as 30m, 2h30m or 7d';
  return `--${option} takes ${others}${times}, ${spans}, not '${text}'`;
};

function wrongColumn({ columns, sort }: Values): string | undefined {
  for (const [option, text] of Object.entries({ columns, sort })) {
    for (const word of text?.toLowerCase().split(',') ?? []) {
      const key = word.trim();
      if (STATUS_COLUMNS.some((known) => known === key)) continue;
      return `--${option}: ${unknownWord('column', key, STATUS_COLUMNS)}`;
    }
  }
  return undefined;
}

function viewOptions(values: Values): ViewOptions {
  const { columns, sort, wide = false, watch = false } = values;
  const keys = columns?.split(',').map((key) => key.trim().toLowerCase());
  return { wide, watch, sort: sort?.toLowerCase(), columns: keys, colour: !values['no-color'] };
}

/** Where a rollback goes to, or a sentence on what is wrong with it. */
function restorePoint(
  text: string | undefined,
  isOne: boolean,
): RestorePoint | Since | string | undefined {
  if (text === undefined) return undefined;
  const point = parseRestorePoint(text) ?? parseSince(text);
  if (point === undefined) return noTime('to', text, 'first, own, the id of a backup, ');
  if (point.kind === 'id' && !isOne) {
    return 'an id names one backup of one container, so it does not go with --all';
  }
  return point;
}

const wrong = (message: string, command: Command | undefined): Parsed => ({
  kind: 'wrong',
  message,
  command,
});
const numeric = (value: number | string | undefined): number | undefined =>
  typeof value === 'number' ? value : undefined;

/** `--poll-interval` as well as `--poll_interval`: no two options differ by that alone. */
function withOptionNames(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((word, place) => {
    const [, name, rest = ''] = /^--([a-z_-]+)(=.*)?$/s.exec(word) ?? [];
    if (name === undefined || (end >= 0 && place > end)) return word;
    const known = Object.keys(OPTIONS).find((one) => sameDashes(one) === sameDashes(name));
    return known === undefined ? word : `--${known}${rest}`;
  });
}

const sameDashes = (name: string): string => name.replaceAll('_', '-');

/** A sentence where an option is wrong. */
function tokenize(argv: readonly string[]) {
  try {
    const args = withOptionNames(argv);
    return parseArgs({ args, options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const unknown = /^Unknown option '(--?.*?)'(?:\. |$)/s.exec(message)?.[1];
    if (unknown !== undefined) return unknownOption(unknown, commandIn(argv));
    const option = /^Option '(--?[a-z_-]+).*' argument (missing|is ambiguous)/.exec(message)?.[1];
    if (option !== undefined) return `${option} needs a value`;
    // Node's own sentence names the option; what follows its first stop is advice on quoting.
    return message.split(/\.\s/)[0] ?? message;
  }
}

const wrongFormat = (text: string | undefined): string | undefined =>
  text === undefined || ['text', 'json'].includes(text)
    ? undefined
    : `--format takes text or json, not '${text}'`;

/**
 * The number, read as in the configuration; undefined if none is given; or a sentence on what is
 * wrong with it.
 */
function wholeNumber(
  option: string,
  text: string | undefined,
  least: number,
  most: number,
  unit: '' | 'seconds',
): number | string | undefined {
  if (text === undefined) return undefined;
  const value = toAmount(text, unit);
  if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) {
    return Number(value);
  }
  const units = unit === '' ? '' : `, in ${unit} or with a unit (${unitsOf(unit)})`;
  return `--${option} takes a whole number from ${least} to ${most}${units}, not '${text}'`;
}
