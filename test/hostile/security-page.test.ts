import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** `SECURITY.md` names tests as proof, and they are there. */

const checkout = new URL('../..', import.meta.url).pathname;
const page = readFileSync(join(checkout, 'SECURITY.md'), 'utf8');
const named = [...page.matchAll(/`([a-z/-]+\.test\.ts)`/g)].map(([, name = '']) => name);

it('each test that the page on security names is there', () => {
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((name) => !existsSync(join(checkout, 'test', name)))).toEqual([]);
});

it('all tests of hostile input are named', () => {
  for (const name of [
    ...['hostile/links', 'hostile/modes', 'hostile/names', 'hostile/strangers', 'hostile/trust'],
    ...[
      'hostile/long-texts',
      'hostile/servers',
      'hostile/group-members',
      'fuzz/commands',
      'fuzz/configuration',
      'fuzz/conversations',
    ],
    ...['fuzz/node-files', 'fuzz/state-files', 'fuzz/tables'],
  ]) {
    expect(named).toContain(`${name}.test.ts`);
  }
});
