import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../src/cli/arguments.ts';
import { DEFAULTS } from '../src/config/defaults.ts';
import { configSchema } from '../src/config/schema.ts';

/** What the README says of the program is held against the program. */

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** Key to default, as the table has it; a key that a tier may set bears a mark. */
const rows = new Map(
  [...readme.matchAll(/^\| `(\w+)`( †)? \| (.*?) \| /gm)].map(([, key = '', mark, value]) => [
    key,
    { forTiers: mark !== undefined, value },
  ]),
);

describe('the configuration table of the README', () => {
  const schema = configSchema();

  it('has every key of DEFAULT and no other, in its order', () => {
    expect([...rows.keys()]).toEqual(Object.keys(schema.default.shape));
  });

  it('marks what a tier may set', () => {
    const marked = [...rows].filter(([, { forTiers }]) => forTiers).map(([key]) => key);
    const tierKeys = Object.keys(schema.tier.shape).filter((key) => key !== 'lxc_containers');
    expect(marked.sort()).toEqual(tierKeys.sort());
  });

  it('has the defaults that hold', () => {
    for (const [key, value] of Object.entries(DEFAULTS)) {
      const said = rows.get(key)?.value?.toLowerCase();
      if (typeof value === 'number') expect([key, said]).toEqual([key, String(value)]);
      if (typeof value === 'boolean') expect([key, said]).toEqual([key, String(value)]);
      if (typeof value === 'string' && value !== '') {
        expect([key, said]).toEqual([key, value.toLowerCase()]);
      }
    }
  });
});

it('the README names every command', () => {
  for (const command of COMMANDS) expect(readme).toMatch(new RegExp(`^\\| \`${command}\\b`, 'm'));
});

it('its first two commands are scripts of the package', () => {
  const { scripts } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { scripts: Record<string, string> };
  expect(readme).toMatch(/npm ci && npm run demo[\s\S]*npm ci && npm test/);
  expect(scripts).toMatchObject({ demo: expect.any(String), test: expect.any(String) });
});
