import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { renderProblem } from '../../src/config/problem.ts';

const ENV = {
  BIG: '99999',
  TOKEN: 'hush hush',
  ID: '101',
  BAD_ID: 'hush hush',
  WORD: 'agressive',
};

interface Broken {
  readonly name: string;
  readonly text: string;
  readonly messages: readonly string[];
}

function fromTable(table: string): Broken[] {
  return table
    .split(/^=== /m)
    .slice(1)
    .map((part) => {
      const [file = '', said = ''] = part.split('>>>\n');
      const end = file.indexOf('\n');
      const messages = said.trimEnd().split('\n');
      return { name: file.slice(0, end), text: file.slice(end + 1), messages };
    });
}

const TABLE = fromTable(readFileSync(new URL('broken-files.txt', import.meta.url), 'utf8'));

const EMPTY =
  'f.yaml: is empty or holds only comments; ' +
  'write `DEFAULT:` into it to run with the defaults, or start from the sample file';

/** Those whose characters would not survive an editor. */
const SPECIAL: readonly Broken[] = [
  { name: 'an empty file', text: '', messages: [EMPTY] },
  { name: 'blank lines', text: '\n\r\n \n', messages: [EMPTY] },
  {
    name: 'a null byte',
    text: 'DEFAULT:\0',
    messages: ['f.yaml: is not a text file: it holds null bytes'],
  },
  {
    name: 'a tab',
    text: 'DEFAULT:\n\tpoll_interval: 5\n',
    messages: ['f.yaml:2: a tab is used for indentation; use spaces'],
  },
  {
    name: 'a control character',
    text: 'DEFAULT:\n  log_file: /a\u0007b\n',
    messages: ['f.yaml:2: a control character stands in the text; remove it'],
  },
  {
    name: 'no-break spaces as indentation',
    text: 'DEFAULT:\n\u00a0\u00a0poll_interval: 60\n',
    messages: [
      'f.yaml:2: holds a blank that is no plain one, such as a no-break space; write it anew',
      'f.yaml:2: \u00a0\u00a0poll_interval: unknown section; ' +
        'allowed: DEFAULT, NODES, TIER_name and HORIZONTAL_SCALING_GROUP_name',
    ],
  },
  {
    name: 'a no-break space behind a value, and one in a comment',
    text: 'DEFAULT:\n  # five\u00a0minutes\n  poll_interval: 60\u00a0\n',
    messages: [
      'f.yaml:3: holds a blank that is no plain one, such as a no-break space; write it anew',
      "f.yaml:3: poll_interval: '60\u00a0' is not a whole number; " +
        'allowed: a whole number from 1 to 86400, in seconds',
    ],
  },
  {
    name: 'a no-break space within a text is not what is wrong elsewhere',
    text: 'DEFAULT:\n  webhook_body: \'{"a": "10\u00a0%"}\'\n  poll_interval: 0\n',
    messages: [
      'f.yaml:3: poll_interval: 0 is too low; ' +
        'allowed: a whole number from 1 to 86400, in seconds',
    ],
  },
  {
    name: 'nor what is wrong with the YAML',
    text: 'DEFAULT:\n  webhook_body: \'{"a": "10\u00a0%"}\'\n  ignore_lxc: [101\n',
    messages: ['f.yaml:3: a bracket or brace is opened here and never closed'],
  },
  {
    name: 'a no-break space behind a colon, which makes it no YAML',
    text: 'DEFAULT:\n  poll_interval:\u00a060\n  max_cores: 4\n',
    messages: [
      'f.yaml:2: holds a blank that is no plain one, such as a no-break space; write it anew',
    ],
  },
  {
    name: 'deep nesting',
    text: '['.repeat(200),
    messages: ['f.yaml:1: lists and sections are nested too deeply'],
  },
  {
    name: 'CR LF at the ends of lines, a byte order mark at the beginning',
    text: '\ufeffDEFAULT:\r\n  # a\r\n  max_cores: 0\r\n',
    messages: [
      'f.yaml:3: max_cores: 0 is too low; ' +
        'allowed: a whole number from 1 to 8192, or in tenths from 0.1 where cpu_unit is ' +
        'cpulimit; or configured (what you gave it), or a share of that such as 150 %',
    ],
  },
  {
    name: 'more keys than any configuration has',
    text: 'a:\n'.repeat(30_000),
    messages: ['f.yaml: holds more than 20000 keys and values, so it is no configuration'],
  },
];

const BROKEN = [...TABLE, ...SPECIAL];

const messagesFor = (text: string): string[] => {
  const result = parseConfig(text, 'f.yaml', ENV);
  return result.ok ? ['no problem'] : result.problems.map(renderProblem);
};

describe('a broken configuration file', () => {
  it('is one of a hundred', () => {
    expect(BROKEN.length).toBeGreaterThan(100);
  });

  it.each(BROKEN)('$name', ({ text, messages }) => {
    expect(messagesFor(text)).toEqual(messages);
  });

  it('shows no secret and no control character in any message', () => {
    const unfit = /hush|[\u0000-\u001f\u007f-\u009f\u202e]/;
    const all = BROKEN.flatMap(({ text }) => messagesFor(text));
    expect(all.filter((message) => unfit.test(message))).toEqual([]);
  });

  it('says no more than a person reads, and how much more there is', () => {
    const text = `DEFAULT:\n${Array.from({ length: 3000 }, (_, n) => `  k${n}: 1\n`).join('')}`;
    const messages = messagesFor(text);
    expect(messages).toHaveLength(201);
    expect(messages.at(-1)).toBe('f.yaml: and 2800 further problems; mend the first ones first');
  });

  it('keeps labels from repeating a large value', () => {
    const addresses = Array.from({ length: 9000 }, () => '10.0.0.1').join(',');
    const groups = Array.from(
      { length: 2 },
      (_, n) => `HORIZONTAL_SCALING_GROUP_${n}:\n  source: 100\n  static_ip_range: *large\n`,
    );
    expect(messagesFor(`x: &large [${addresses}]\n${groups.join('')}`).slice(1)).toEqual([
      'f.yaml:7: static_ip_range: adds too much: all values may have 150000 characters',
    ]);
  });

  it('does not take a text apart that is too long for ids', () => {
    const [first, ...more] = messagesFor(`DEFAULT:\n  ignore_lxc: ${'100,'.repeat(20_000)}`);
    expect(first).toMatch(/^f\.yaml:2: ignore_lxc: '100,.*\.\.\.' is too long; allowed: /);
    expect(more).toEqual([]);
  });

  it('keeps labels from adding up to more than a file may hold', () => {
    const five = ['min_cores', 'max_cores', 'min_memory', 'core_min_increment', 'max_memory'];
    const large = five
      .map((key) => `  ${key}: 512\n`)
      .join('')
      .replace('cores: 512', 'cores: 1');
    const merges = Array.from({ length: 1700 }, (_, n) => `TIER_${n}:\n  <<: *t\n`).join('');
    const messages = messagesFor(
      `TIER_a: &t\n${large}DEFAULT:\n  core_max_increment: 600\n${merges}`,
    );
    expect(messages[0]).toBe('f.yaml:3342: <<: adds too much: 10000 keys at most in a file');
  });
});
