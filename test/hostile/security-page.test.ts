import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** `SECURITY.md` names tests as proof, and they are there. */

const checkout = new URL('../..', import.meta.url).pathname;
const page = readFileSync(join(checkout, 'SECURITY.md'), 'utf8');
const named = [...page.matchAll(/`([a-z/-]+\.test\.ts)`/g)].map(([, name = '']) => name);

/** This one, and one on how many guests a heap holds. */
const NO_PROOF = ['hostile/security-page.test.ts', 'hostile/many-guests.test.ts'];

it('each test that the page on security names is there', () => {
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((name) => !existsSync(join(checkout, 'test', name)))).toEqual([]);
});

it('all tests of hostile input are named', () => {
  const all = ['hostile', 'fuzz'].flatMap((folder) =>
    readdirSync(join(checkout, 'test', folder)).map((name) => `${folder}/${name}`),
  );
  const tests = all.filter((name) => name.endsWith('.test.ts') && !NO_PROOF.includes(name));
  expect(tests.filter((name) => !named.includes(name))).toEqual([]);
});
