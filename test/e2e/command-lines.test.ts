import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { guest, hungry, NodeUnderTest } from './node-under-test.ts';

/**
 * command-lines.txt: what administrators type, right and wrong, each with its exit code and the
 * first line of what is said. The node has no daemon; one cycle has run on it.
 */

const TABLE = readFileSync(new URL('command-lines.txt', import.meta.url), 'utf8');

const LINES = [...TABLE.matchAll(/^\$ lxc-autoscale(.*)$/gm)].map(([, words = '']) => words.trim());

/** Words as a shell has them, with single quotes. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

const firstLine = (text: string): string[] =>
  text.trim() === '' ? [] : [text.trim().split('\n')[0] ?? ''];

/** What differs from run to run, left out. */
const plain = (text: string, root: string): string =>
  text
    .replaceAll(root, '')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?/g, 'TIME')
    .replace(/\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}/g, 'ID')
    .replace(/[\d.]+ % busy; \d+/g, 'N % busy; N')
    .replace(/lxc-autoscale \d+\.\d+\.\d+/g, 'lxc-autoscale VERSION');

it('says what is right and what is wrong with more than a hundred command lines', async () => {
  expect(LINES.length).toBeGreaterThanOrEqual(120);
  const intranet = guest(104, { cores: 6, memoryMib: 4096, name: 'intranet' }, CALM);
  const under = await NodeUnderTest.create([hungry(101), intranet]);
  expect((await under.run(['once'])).code).toBe(0);
  const tried: string[] = [];
  for (const line of LINES) {
    const { code, stdout, stderr } = await under.run(wordsOf(line));
    const said = [...firstLine(stderr), ...firstLine(stdout)].map((one) => plain(one, under.root));
    tried.push([`$ lxc-autoscale ${line}`.trim(), `${code}`, ...said].join('\n'));
  }
  const head = TABLE.slice(0, TABLE.indexOf('$ lxc-autoscale'));
  expect(`${head}${tried.join('\n\n')}\n`).toBe(TABLE);
}, 600_000);

const CALM = { cpuCores: 3, anonMib: 2000 };
