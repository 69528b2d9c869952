import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { version } from '../package.json';
import { COMMANDS } from '../src/cli/commands.ts';
import { POLICY_NAMES } from '../src/cli/lab-policies.ts';
import { DEFAULTS, GROUP_DEFAULTS } from '../src/config/defaults.ts';
import { KEYS } from '../src/config/keys.ts';
import { PAGES, withTables } from '../tools/docs/pages.ts';
import { openApiText } from '../tools/docs/routes.ts';
import { withNewKeys } from '../tools/docs/sample.ts';
import { ROOMS } from './tidy-rules.ts';

/** What README and docs/ say of the program is held against the program. */

const CHECKOUT = new URL('..', import.meta.url).pathname;
const read = (path: string): string => readFileSync(posix.join(CHECKOUT, path), 'utf8');
const namesIn = (directory: string, ending: string): readonly string[] =>
  readdirSync(posix.join(CHECKOUT, directory)).filter((name) => name.endsWith(ending));

const docs = namesIn('docs', '.md').map((name) => `docs/${name}`);
const top = namesIn('.', '.md').filter((name) => name !== 'CHANGELOG.md');
const workflows = namesIn('.github/workflows', '.yml').map((name) => `.github/workflows/${name}`);
const pages = [...top, ...docs].map((path) => ({ path, text: read(path) }));
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };

describe.each(PAGES)('docs/%s', (page) => {
  it('is current; otherwise: npm run docs:write', () => {
    const text = read(`docs/${page}`);
    expect(withTables(text)).toBe(text);
  });
});

/** What a tier names its guests by. */
const TIER_ONLY = ['preset', 'lxc_containers', 'virtual_machines', 'guests'];

describe('lxc_autoscale.yaml', () => {
  const sample = read('lxc_autoscale.yaml');

  it('has every key; otherwise: npm run docs:write', () => {
    expect(withNewKeys(sample)).toBe(sample);
  });

  it('gets a new key after the one before it, with what its entry says and its default', () => {
    const without = sample.replace(/^ {2}# The least number of seconds[\s\S]*?cooldown_.*\n/m, '');
    expect(without).not.toContain('\n  cooldown_seconds:');
    const made = withNewKeys(without);
    expect(made).toMatch(/\n {2}# Minimum time .*\n( {2}#.*\n)* {2}cooldown_seconds: .*\n/);
    expect(made).toContain('\n  cooldown_seconds: {up: 0, down: 300}\n');
  });
});

/** The part of a page below a heading. */
const below = (text: string, heading: string): string =>
  text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';

/** Key to default, as a table has it; a key that a tier may set has a mark. */
function keysIn(part: string) {
  const rows = [...part.matchAll(/^\| `(\w+)`( †)? \| (.*?) \| /gm)];
  return new Map(
    rows.map(([, key = '', mark, value]) => [key, { forTiers: mark !== undefined, value }]),
  );
}

describe('docs/configuration.md', () => {
  const page = read('docs/configuration.md');
  const ofDefault = keysIn(below(page, 'Keys of `DEFAULT`'));
  const ofGroup = keysIn(below(page, 'Keys of `HORIZONTAL_SCALING_GROUP_NAME`'));

  it('has every key and no other, in the order of the schema', () => {
    expect([...ofDefault.keys()]).toEqual(Object.keys(KEYS.default));
    expect([...ofGroup.keys()]).toEqual(Object.keys(KEYS.group));
    expect([...keysIn(below(page, 'Keys of `TIER_NAME`')).keys()]).toEqual(TIER_ONLY);
  });

  it('marks what a tier may set', () => {
    const marked = [...ofDefault].filter(([, { forTiers }]) => forTiers).map(([key]) => key);
    const tierKeys = Object.keys(KEYS.tier).filter((key) => !TIER_ONLY.includes(key));
    expect(marked.sort()).toEqual(tierKeys.sort());
  });

  it.each([
    ['DEFAULT', DEFAULTS, ofDefault] as const,
    ['a group', GROUP_DEFAULTS, ofGroup] as const,
  ])('has the defaults of %s', (_name, defaults, rows) => {
    for (const [key, value] of Object.entries(defaults)) {
      const said = rows.get(key)?.value?.toLowerCase();
      if (typeof value === 'number') expect([key, said]).toEqual([key, String(value)]);
      if (typeof value === 'boolean') expect([key, said]).toEqual([key, String(value)]);
      if (typeof value === 'string' && value !== '') {
        expect([key, said]).toEqual([key, value.toLowerCase()]);
      }
    }
  });
});

it('docs/openapi.json is as the routes are', () => {
  expect(read('docs/openapi.json')).toBe(openApiText(version));
});

describe('docs/commands.md', () => {
  const page = read('docs/commands.md');

  it('has every command', () => {
    for (const { name } of COMMANDS) expect(page).toMatch(new RegExp(`^\\| \`${name}\\b`, 'm'));
  });

  it('has every policy of backtest', () => {
    const paragraph = /Policies for\s+`--policy`:[\s\S]*?\n\n/.exec(page)?.[0] ?? '';
    const named = [...paragraph.matchAll(/`([a-z-]+)`/g)].map(([, name]) => name);
    expect(named.filter((name) => name !== '--policy').sort()).toEqual([...POLICY_NAMES].sort());
  });
});

describe('docs/architecture.md', () => {
  const page = read('docs/architecture.md');
  const rowsOf = (part: string): readonly (readonly string[])[] =>
    [...part.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | '));

  it('has every room of test/tidy-rules.ts with what it may import', () => {
    const rooms = rowsOf(below(page, 'Rooms and directions'))
      .slice(1)
      .map(([room, , may]) => [room, may]);
    const words = (may: readonly string[]): string => {
      if (may.includes('')) return 'everything';
      const ours = may.filter((place) => place !== 'package.json').map((place) => `\`${place}\``);
      return ours.length === 0 ? 'only itself' : ours.join(' ');
    };
    const expected = Object.entries(ROOMS)
      .filter(([room]) => existsSync(posix.join(CHECKOUT, 'src', room)))
      .map(([room, { may }]) => [`\`${room}\``, words(may)]);
    expect([...rooms].sort()).toEqual([...expected].sort());
  });

  it('walks by functions that are where it says', () => {
    const steps = rowsOf(page.split(/^## /m).find((part) => part.startsWith('A walk')) ?? '');
    expect(steps.length).toBeGreaterThan(10);
    for (const [, file = '', marked = ''] of steps.slice(1)) {
      const name = marked.replaceAll('`', '');
      const declared = new RegExp(`(?:function |^  (?:async )?)${name}\\(`, 'm');
      expect([file, name, declared.test(read(file.replaceAll('`', '')))]).toEqual([
        file,
        name,
        true,
      ]);
    }
  });
});

describe('README', () => {
  const readme = read('README.md');

  it('is short, and links every page of docs', () => {
    expect(readme.split('\n').length).toBeLessThan(130);
    for (const path of docs) expect(readme).toContain(`](${path})`);
  });

  it('begins with two commands that are scripts of the package', () => {
    const first = readme.split('\n').filter((line) => line.startsWith('    '));
    expect(first[0]).toMatch(/^ {4}npm ci && npm run demo\b/);
    expect(first[1]).toMatch(/^ {4}npm ci && npm test\b/);
    expect(scripts).toMatchObject({ demo: expect.any(String), test: expect.any(String) });
  });
});

/** The heading of a page as a link names it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

const anchorsOf = (text: string): readonly string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));

describe.each(pages)('$path', ({ path, text }) => {
  it('links to what there is', () => {
    for (const [, link = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : posix.join(posix.dirname(path), file);
      expect([link, existsSync(posix.join(CHECKOUT, target))]).toEqual([link, true]);
      if (anchor !== undefined) expect(anchorsOf(read(target))).toContain(anchor);
    }
  });

  it('names files and directories that there are', () => {
    const named = text.matchAll(/`((?:src|test|tools|docs|examples|grafana|systemd)\/[\w./-]*)`/g);
    for (const [, name = ''] of named) {
      expect([name, existsSync(posix.join(CHECKOUT, name))]).toEqual([name, true]);
    }
  });

  it('names commands of the program that there are', () => {
    for (const [, command = ''] of text.matchAll(/(?:^ {4}|`)lxc-autoscale ([a-z][a-z-]*)/gm)) {
      expect(COMMANDS.map(({ name }) => name)).toContain(command);
    }
  });
});

it.each([...pages.map(({ path }) => path), ...workflows])(
  '%s names scripts that there are',
  (path) => {
    for (const [, script = ''] of read(path).matchAll(
      /npm run (?:--silent )?([a-z][a-z0-9:-]*)/g,
    )) {
      expect(Object.keys(scripts)).toContain(script);
    }
  },
);

it('what is downloaded for root comes by no redirect to plain HTTP', () => {
  const files = [...pages.map(({ path }) => path), 'install.sh', 'tools/release-apt.sh'];
  const lines = files.flatMap((path) => read(path).match(/^.*curl -\S*L.*$/gm) ?? []);
  expect(lines).toHaveLength(4);
  for (const line of lines) expect(line).toContain('--proto-redir =https ');
});

it('vitest.config.ts names the rooms whose tests are unit tests', () => {
  const folders = [...read('vitest.config.ts').matchAll(/'test\/([a-z]+)\/\*\*/g)];
  const rooms = namesIn('src', '').filter((name) => existsSync(posix.join(CHECKOUT, 'test', name)));
  const tooLong = ['lab', 'node', 'os', 'sim', 'store', 'web'];
  expect(folders.map(([, folder]) => folder).sort()).toEqual(
    rooms.filter((room) => !room.includes('.') && !tooLong.includes(room)).sort(),
  );
});
