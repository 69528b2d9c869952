import { KEYS, type SectionKeys } from '../../src/config/keys.ts';
import { check, type Entry } from '../../src/config/schema.ts';

/**
 * The JSON Schema for editors, made of the one schema. It never refuses what the program takes;
 * what it cannot express it lets pass, since `check-config` says the rest.
 */

export interface JsonSchema {
  readonly [key: string]: unknown;
}

/** `${NAME}`, which may stand anywhere. */
const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$\\{' };
const NOTHING: JsonSchema = { enum: [null, '', '~', 'null', 'None', 'none'] };

/** The word in any mixture of small and capital letters. */
const anyCase = (word: string): string =>
  [...word]
    .map((letter) => (/[a-z]/.test(letter) ? `[${letter}${letter.toUpperCase()}]` : letter))
    .join('');

function words(list: readonly string[]): JsonSchema[] {
  const pattern = `^\\s*(?:${list.map(anyCase).join('|')})\\s*$`;
  return [{ enum: list }, { type: 'string', pattern }];
}

/** Further names of words: the schema takes them, and the editor does not offer them. */
const SECOND_NAMES = ['warn', 'no', 'yes', 'off', 'on', 'false', 'true', 'none'];

function namedWords(entry: Entry, known: readonly string[]): JsonSchema[] {
  const further = SECOND_NAMES.filter((name) => !known.includes(name) && check(entry, name).ok);
  const truths = [true, false].filter((truth) => check(entry, String(truth)).ok);
  const second = further.length === 0 ? [] : words(further).slice(1);
  return [...words(known), ...second, ...(truths.length === 0 ? [] : [{ enum: truths }])];
}

const TRUTH = ['true', 'yes', 'on', 'y', '1', 'false', 'no', 'off', 'n', '0'];

/** A number as such, or as the text of one, also with a unit. */
function numbers(
  least: number | undefined,
  most: number | undefined,
  whole: boolean,
  hasUnits: boolean,
): JsonSchema[] {
  const text = '[+-]?[0-9][0-9_]*(?:\\.[0-9]+)?';
  return [
    {
      type: whole ? 'integer' : 'number',
      ...(least === undefined ? {} : { minimum: least }),
      ...(most === undefined ? {} : { maximum: most }),
    },
    { type: 'string', pattern: `^\\s*${text}${hasUnits ? '[0-9. A-Za-z%:]*' : ''}\\s*$` },
  ];
}

/** What may stand for a value, by the words in which its entry says it. */
function formsOf(entry: Entry): JsonSchema[] | undefined {
  const { allowed, words: known, units } = entry.info;
  const scalar = allowed.split(/, or one for each|, or one per/)[0] ?? allowed;
  if (known !== undefined) return namedWords(entry, known);
  if (scalar === 'true or false') {
    return [{ type: 'boolean' }, { enum: [0, 1] }, ...words(TRUTH)];
  }
  const range = /^a (whole )?number from ([0-9.]+) to ([0-9.]+)/.exec(scalar);
  if (range !== null) {
    const fractions = /or in tenths from ([0-9.]+)/.exec(scalar)?.[1];
    const whole = range[1] !== undefined && fractions === undefined;
    const forms = numbers(
      Number(fractions ?? range[2]),
      ...([Number(range[3]), whole, units !== undefined] as const),
    );
    return scalar.includes('configured') ? [...forms, SHARE] : forms;
  }
  const above = /^a number above ([0-9.]+), up to ([0-9.]+)/.exec(scalar);
  if (above !== null) return numbers(Number(above[1]), Number(above[2]), false, false);
  if (/^a share from/.test(scalar)) return numbers(0.5, 100, false, true);
  if (/as a list or separated by commas/.test(scalar)) return LIST;
  if (/^one container id/.test(scalar)) return numbers(100, 999_999_999, true, false);
  return undefined;
}

/** A share of what an administrator gave the container. */
const SHARE: JsonSchema = {
  type: 'string',
  pattern: '^ *([Cc][Oo][Nn][Ff][Ii][Gg][Uu][Rr][Ee][Dd]|[0-9]{1,4}([.][0-9])? *%) *$',
};

const LIST: JsonSchema[] = [
  { type: 'integer' },
  { type: 'string' },
  { type: 'null' },
  { type: 'array', items: { type: ['integer', 'string', 'null'] } },
];

/** A tier has what it leaves out from DEFAULT. */
function keySchema(entry: Entry, isOfTier: boolean): JsonSchema {
  const { usual, info } = entry;
  const { does, allowed, parts } = info;
  const forms = formsOf(entry);
  const described = { description: `${does}. Allowed: ${allowed}.` };
  const isPlain = ['number', 'boolean', 'string'].includes(typeof usual) && info.secret !== true;
  const standard = isPlain && !isOfTier ? { default: usual } : {};
  if (forms === undefined) return { ...described, ...standard };
  const empty = /or nothing$/.test(allowed) ? [NOTHING] : [];
  const each = parts === undefined ? [] : [{ type: 'object', propertyNames: { enum: parts } }];
  return { ...described, ...standard, anyOf: [...forms, ...empty, ...each, VARIABLE] };
}

function sectionSchema(keys: SectionKeys, description: string, isOfTier = false): JsonSchema {
  const properties = Object.fromEntries(
    Object.entries(keys).map(([key, entry]) => [key, keySchema(entry, isOfTier)]),
  );
  return {
    description,
    type: ['object', 'null'],
    properties: { ...properties, '<<': {} },
    additionalProperties: false,
  };
}

export function jsonSchema(): JsonSchema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of lxc-autoscale',
    type: 'object',
    properties: {
      DEFAULT: sectionSchema(KEYS.default, 'What holds for every container.'),
      NODES: {
        description: 'Further nodes, each by its name.',
        type: ['object', 'null'],
        additionalProperties: sectionSchema(KEYS.node, 'How a node is reached.'),
      },
    },
    patternProperties: {
      '^TIER_.': sectionSchema(KEYS.tier, 'Containers with values of their own.', true),
      '^HORIZONTAL_SCALING_GROUP_.': sectionSchema(
        KEYS.group,
        'Containers to which clones are added under load.',
      ),
    },
    additionalProperties: false,
  };
}
