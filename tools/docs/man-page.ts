import type { Command } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { EXIT_CODES, formsOf, GUEST_WORDS, headOf, INTRODUCTION } from '../../src/cli/help.ts';
import { CONFIGURED, GENERAL_OPTIONS, type OptionTexts } from '../../src/cli/options.ts';
import { KEYS, type SectionKeys } from '../../src/config/keys.ts';

/** The manual page, made of the table of commands and of the schema of the configuration. */

/** Text that troff shows as it stands. */
const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(/^\./gm, '\\&.');

const section = (title: string): string => `.SH ${title.toUpperCase()}`;

/** `--config FILE`: what is typed in bold, what it stands for in italics. */
const head = (text: string): string =>
  text
    .split(/(?<=[ ,])|(?=[ ,])/)
    .map((word) => {
      if (/^[A-Z]{2,}(?:\.csv)?$|^N$|^\[[A-Z]+\]$/.test(word)) return `\\fI${escaped(word)}\\fR`;
      return /^[-a-z]/.test(word) ? `\\fB${escaped(word)}\\fR` : escaped(word);
    })
    .join('');

const item = (title: string, text: string): string[] => ['.TP', head(title), escaped(text)];

const optionItems = (texts: OptionTexts): string[] =>
  Object.entries(texts).flatMap(([name, text]) =>
    item(headOf(name as keyof OptionTexts), `${text}.`),
  );

const COMMON: OptionTexts = { ...CONFIGURED, ...GENERAL_OPTIONS };

/** What a command does, and below it the options that not most of them have. */
function commandItem(command: Command): string[] {
  const [first = '', ...others] = formsOf(command);
  const more = others.flatMap((form) => ['.TQ', head(form)]);
  const own = Object.entries(command.options).filter(
    ([name, text]) => COMMON[name as keyof OptionTexts] !== text,
  );
  const options = own.length === 0 ? [] : ['.RS', ...optionItems(Object.fromEntries(own)), '.RE'];
  const help = command.help === undefined ? '' : ` ${command.help}`;
  return ['.TP', head(first), ...more, escaped(`${command.summary}.${help}`), ...options];
}

const keys = (section: SectionKeys): string[] =>
  Object.entries(section).flatMap(([key, { info, usual }]) => {
    const simple = ['number', 'boolean'].includes(typeof usual);
    const isWord = typeof usual === 'string' && usual !== '';
    const standard = simple || isWord ? ` Default: ${usual}.` : '';
    const text = `${info.does}; ${info.allowed}.${standard}`;
    return ['.TP', `\\fB${escaped(key)}\\fR`, escaped(text)];
  });

const FILES: readonly (readonly [path: string, what: string])[] = [
  ['/etc/lxc_autoscale/lxc_autoscale.yaml', 'the configuration'],
  ['/etc/pve/lxc_autoscale.yaml', 'that of the cluster, for nodes without one of their own'],
  ['/var/log/lxc_autoscale.log', 'the log for people'],
  ['/var/log/lxc_autoscale.json', 'the JSON log, one object a line'],
  ['/var/lib/lxc_autoscale', 'what the daemon remembers, and the copies of configurations'],
  ['/run/lxc_autoscale/control.sock', 'where status and explain ask the daemon'],
];

/** @param date YYYY-MM-DD, or empty */
export function manPage(version: string, date: string): string {
  const [, does = ''] = /^lxc-autoscale (.*?)\.$/s.exec(INTRODUCTION) ?? [];
  const { default: ofDefault, tier, group, node } = KEYS;
  const tierKeys = Object.keys(tier).filter((key) => key in ofDefault);
  return [
    '.\\" Made of the table of commands and of the schema of the configuration.',
    `.TH LXC\\-AUTOSCALE 1 "${date}" "lxc\\-autoscale ${version}" "User Commands"`,
    section('Name'),
    `lxc\\-autoscale \\- ${escaped(does)}`,
    section('Synopsis'),
    '\\fBlxc\\-autoscale\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]',
    section('Description'),
    escaped(INTRODUCTION),
    section('Commands'),
    escaped(GUEST_WORDS),
    ...COMMANDS.flatMap(commandItem),
    section('Options'),
    'Most commands have these:',
    ...optionItems(COMMON),
    section('Configuration'),
    'The section DEFAULT has these keys:',
    ...keys(ofDefault),
    '.PP',
    'A section TIER_\\fINAME\\fR names its containers and may set of these:',
    escaped(`${tierKeys.join(', ')}.`),
    ...keys({
      preset: tier.preset,
      lxc_containers: tier.lxc_containers,
      virtual_machines: tier.virtual_machines,
      guests: tier.guests,
    }),
    '.PP',
    'A section HORIZONTAL_SCALING_GROUP_\\fINAME\\fR has these keys:',
    ...keys(group),
    '.PP',
    'The section NODES has further nodes by name, each with these keys:',
    ...keys(node),
    section('Files'),
    ...FILES.flatMap(([path, what]) => ['.TP', `\\fI${escaped(path)}\\fR`, escaped(what)]),
    section('Examples'),
    ...COMMANDS.flatMap(({ examples }) =>
      Object.entries(examples).flatMap(([line, says]) => [
        '.TP',
        `\\fBlxc\\-autoscale ${escaped(line)}\\fR`,
        escaped(`${says}.`),
      ]),
    ),
    section('Exit status'),
    ...Object.entries(EXIT_CODES).flatMap(([code, meaning]) => [
      '.TP',
      `\\fB${code}\\fR`,
      escaped(meaning),
    ]),
    '',
  ].join('\n');
}
