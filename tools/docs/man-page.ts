import { HELP } from '../../src/cli/arguments.ts';
import { KEYS, type SectionKeys } from '../../src/config/keys.ts';
import { type HelpItem, readHelp } from './help.ts';

/** The manual page, made of the help and of the schema of the configuration. */

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

const item = ({ head: title, text }: HelpItem): string[] => [
  '.TP',
  head(title),
  ...(text === '' ? ['\\&'] : [escaped(text)]),
];

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
  ['/var/log/lxc_autoscale.log', 'the log for people'],
  ['/var/log/lxc_autoscale.json', 'the JSON log, one object a line'],
  ['/var/lib/lxc_autoscale', 'what the daemon remembers, and the copies of configurations'],
  ['/run/lxc_autoscale/control.sock', 'where status and explain ask the daemon'],
];

/** @param date YYYY-MM-DD, or empty */
export function manPage(version: string, date: string): string {
  const { intro, usage, sections, exitCodes } = readHelp(HELP);
  const [, does = ''] = /^lxc-autoscale (.*?)\.$/s.exec(intro) ?? [];
  const { default: ofDefault, tier, group } = KEYS;
  const tierKeys = Object.keys(tier).filter((key) => key in ofDefault);
  return [
    '.\\" Made of the help and of the schema of the configuration.',
    `.TH LXC\\-AUTOSCALE 1 "${date}" "lxc\\-autoscale ${version}" "User Commands"`,
    section('Name'),
    `lxc\\-autoscale \\- ${escaped(does)}`,
    ...[
      section('Synopsis'),
      `\\fBlxc\\-autoscale\\fR ${escaped(usage.replace('lxc-autoscale ', ''))}`,
    ],
    ...[section('Description'), escaped(intro)],
    ...sections.flatMap(({ title, items }) => [section(title), ...items.flatMap(item)]),
    section('Configuration'),
    'The section DEFAULT has these keys:',
    ...keys(ofDefault),
    '.PP',
    'A section TIER_\\fINAME\\fR names its containers and may set of these:',
    escaped(`${tierKeys.join(', ')}.`),
    ...keys({ lxc_containers: tier.lxc_containers }),
    '.PP',
    'A section HORIZONTAL_SCALING_GROUP_\\fINAME\\fR has these keys:',
    ...keys(group),
    section('Files'),
    ...FILES.flatMap(([path, what]) => ['.TP', `\\fI${escaped(path)}\\fR`, escaped(what)]),
    section('Exit status'),
    ...exitCodes.flatMap((code) => {
      const [number = '', ...words] = code.split(' ');
      return ['.TP', `\\fB${number}\\fR`, escaped(words.join(' '))];
    }),
    '',
  ].join('\n');
}
