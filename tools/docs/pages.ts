import { COMMANDS } from '../../src/cli/commands.ts';
import { EXIT_CODES, formsOf, headOf } from '../../src/cli/help.ts';
import { CONFIGURED, GENERAL_OPTIONS } from '../../src/cli/options.ts';
import { KEYS, type SectionKeys } from '../../src/config/keys.ts';
import { PRESET_NAMES, presetOf } from '../../src/config/presets.ts';
import { options } from './command-line.ts';
import { everyRoute } from './routes.ts';

/** Pages of docs/ with tables in them that are made of the program. */

export const PAGES = ['configuration.md', 'commands.md', 'presets.md', 'http-api.md'] as const;

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
  if (Array.isArray(value)) return `[${value.join(', ')}]`;
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

function presetTable(): string {
  const rows = PRESET_NAMES.map((name) => {
    const { values, because, also = [] } = presetOf(name);
    const gives = Object.entries(values).map(([key, value]) => `\`${key}: ${value}\``);
    return row(`\`${name}\``, gives.join(', '), because, also.join(', '));
  });
  return ['| preset | values | why | also known by |', '|---|---|---|---|', ...rows].join('\n');
}

function commandTable(): string {
  const rows = COMMANDS.map((command) => {
    const own = Object.entries(command.options).filter(([, text]) => !isCommon(text));
    const heads = formsOf(command).map((form) => `\`${form}\``);
    return row(heads.join(', '), command.summary, own.map(([name]) => `\`--${name}\``).join(' '));
  });
  return ['| command | what it does | its options |', '|---|---|---|', ...rows].join('\n');
}

const isCommon = (text: string): boolean => Object.values<string>(CONFIGURED).includes(text);

/** A row for each text on an option, with the commands that have it. */
function optionTable(): string {
  const rows = options.flatMap(({ name }) => {
    const byText = new Map<string, string[]>();
    for (const command of COMMANDS) {
      const text = command.options[name];
      if (text !== undefined) byText.set(text, [...(byText.get(text) ?? []), command.name]);
    }
    const head = `\`${headOf(name)}\``;
    const general = Object.entries(GENERAL_OPTIONS).find(([option]) => option === name)?.[1];
    if (general !== undefined) return [row(head, general, '')];
    return [...byText].map(([text, names]) => {
      const most =
        names.length > MOST_NAMED ? 'most' : names.map((each) => `\`${each}\``).join(' ');
      return row(head, text, most);
    });
  });
  return ['| option | what it does | commands |', '|---|---|---|', ...rows].join('\n');
}

const MOST_NAMED = 8;

function routeTable(): string {
  const rows = everyRoute().map(({ method, path, role, summary }) =>
    row(`\`${method} ${path}\``, role, summary),
  );
  return ['| route | role | what it does |', '|---|---|---|', ...rows].join('\n');
}

function tables(): Readonly<Record<string, string>> {
  const { default: ofDefault, tier, group, node } = KEYS;
  return {
    DEFAULT: keyTable(ofDefault, tier),
    TIER: keyTable({
      preset: tier.preset,
      lxc_containers: tier.lxc_containers,
      virtual_machines: tier.virtual_machines,
      guests: tier.guests,
    }),
    GROUP: keyTable(group),
    NODES: keyTable(node),
    presets: presetTable(),
    commands: commandTable(),
    options: optionTable(),
    routes: routeTable(),
    'exit codes': ['| code | meaning |', '|---|---|']
      .concat(Object.entries(EXIT_CODES).map(([code, meaning]) => row(code, meaning)))
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
