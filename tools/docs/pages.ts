import { HELP } from '../../src/cli/arguments.ts';
import { KEYS, type SectionKeys } from '../../src/config/keys.ts';
import { commands, options } from './command-line.ts';
import { readHelp } from './help.ts';

/** Pages of docs/ with tables in them that are made of the program. */

export const PAGES = ['configuration.md', 'commands.md'] as const;

/** Defaults that say more than that there is no value. */
const WITHOUT_VALUE: Readonly<Record<string, string>> = {
  max_memory: "the host's",
  timezone: "the host's",
  notify_events: 'all',
  notify_min_severity: 'info',
  notify_quiet_hours: 'none',
};

/** A value as it is written in the configuration. */
function written(key: string, value: unknown): string {
  const named = WITHOUT_VALUE[key];
  if (named !== undefined) return named;
  if (value === undefined) return 'none';
  if (value === '') return "''";
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value !== 'object' || value === null) return String(value);
  if ('up' in value && 'down' in value) return `{up: ${value.up}, down: ${value.down}}`;
  return '[]';
}

/** Text that does not end the cell of a table. */
const cell = (text: string): string => text.replaceAll('|', '\\|');

const row = (...cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;

function keyTable(keys: SectionKeys, inTiers: object = {}): string {
  const rows = Object.entries(keys).map(([key, { info, usual }]) => {
    const name = `\`${key}\`${Object.hasOwn(inTiers, key) ? ' †' : ''}`;
    return row(name, written(key, usual), `${info.does}; ${info.allowed}`);
  });
  return ['| key | default | what it does; what is allowed |', '|---|---|---|', ...rows].join('\n');
}

function commandTable(): string {
  const items = readHelp(HELP).sections.find(({ title }) => title === 'Commands')?.items ?? [];
  const rows = items.map(({ head, text }) => {
    const command = commands.find(({ name }) => name === head.split(' ')[0]);
    const own = options.filter(
      ({ commands: goesWith }) =>
        goesWith.length < commands.length && goesWith.some((name) => name === command?.name),
    );
    return row(`\`${head}\``, text, own.map(({ name }) => `\`--${name}\``).join(' '));
  });
  return ['| command | what it does | its options |', '|---|---|---|', ...rows].join('\n');
}

function optionTables(): string {
  const sections = readHelp(HELP).sections.filter(({ title }) => title !== 'Commands');
  return sections
    .map(({ title, items }) =>
      [
        `### ${title === 'Options' ? 'General options' : title}\n`,
        '| option | what it does |',
        '|---|---|',
        ...items.map(({ head, text }) => row(`\`${head}\``, text)),
      ].join('\n'),
    )
    .join('\n\n');
}

function tables(): Readonly<Record<string, string>> {
  const { default: ofDefault, tier, group } = KEYS;
  return {
    DEFAULT: keyTable(ofDefault, tier),
    TIER: keyTable({ lxc_containers: tier.lxc_containers }),
    GROUP: keyTable(group),
    commands: commandTable(),
    options: optionTables(),
    'exit codes': ['| code | meaning |', '|---|---|']
      .concat(
        readHelp(HELP).exitCodes.map((code) => {
          const [number = '', ...words] = code.split(' ');
          return row(number, words.join(' '));
        }),
      )
      .join('\n'),
  };
}

/** The page with its tables made anew; what stands between them is kept. */
export function withTables(page: string): string {
  const made = tables();
  return page.replace(
    /(<!-- table: ([\w ]+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_whole, begin: string, name: string, end: string) => {
      const table = made[name];
      if (table === undefined) throw new Error(`there is no table '${name}'`);
      return `${begin}\n${table}\n\n${end}`;
    },
  );
}
