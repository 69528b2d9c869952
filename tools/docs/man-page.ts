import { HELP } from '../../src/cli/arguments.ts';
import { DEFAULTS } from '../../src/config/defaults.ts';
import { configSchema, infoOf } from '../../src/config/schema.ts';
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

function keys(
  shape: Readonly<Record<string, Parameters<typeof infoOf>[0]>>,
  own: object,
): string[] {
  return Object.entries(shape).flatMap(([key, schema]) => {
    const info = infoOf(schema);
    if (info === undefined) return [];
    const value: unknown = Object.entries(own).find(([name]) => name === key)?.[1];
    const simple = ['number', 'boolean'].includes(typeof value);
    const isWord = typeof value === 'string' && value !== '';
    const usual = simple || isWord ? ` Default: ${value}.` : '';
    return ['.TP', `\\fB${escaped(key)}\\fR`, escaped(`${info.does}; ${info.allowed}.${usual}`)];
  });
}

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
  const { default: defaults, tier, group } = configSchema();
  const tierKeys = Object.keys(tier.shape).filter((key) => key in defaults.shape);
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
    ...keys(defaults.shape, DEFAULTS),
    '.PP',
    'A section TIER_\\fINAME\\fR names its containers and may set of these:',
    escaped(`${tierKeys.join(', ')}.`),
    ...keys({ lxc_containers: tier.shape.lxc_containers }, {}),
    '.PP',
    'A section HORIZONTAL_SCALING_GROUP_\\fINAME\\fR has these keys:',
    ...keys(group.shape, {}),
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
