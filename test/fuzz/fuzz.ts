import { it } from 'vitest';
import { fc } from '../fast-check.ts';
import { breathe, TEST_LIMIT_MS } from '../patience.ts';

/** What the fuzzing tests share: how often, from which seed, and what hostile input looks like. */

/** `npm run test:fuzz` sets it; `npm test` makes a bounded number of runs. */
export const WANTED_RUNS = Number(process.env['FUZZ_RUNS'] ?? 0);
const LONG_LIMIT_MS = 7_200_000;
const BREATH_RUNS = 50;
export const TIME_LIMIT_MS = WANTED_RUNS > 0 ? LONG_LIMIT_MS : TEST_LIMIT_MS;

/**
 * A test that makes input of `arbitrary` and holds `check` against each. What throws is a failure,
 * which names the seed and the path that bring it back.
 *
 * @param bounded how many runs `npm test` makes
 */
export function fuzz<T>(
  what: string,
  bounded: number,
  arbitrary: fc.Arbitrary<T>,
  check: (input: T) => void | Promise<void>,
): void {
  const numRuns = WANTED_RUNS > 0 ? WANTED_RUNS : bounded;
  it(what, { timeout: TIME_LIMIT_MS }, async () => {
    let done = 0;
    const property = fc.asyncProperty(arbitrary, async (input) => {
      // Nothing is awaited that is no promise: most of the checks end at once.
      const pending = check(input);
      if (pending !== undefined) await pending;
      done += 1;
      // Who runs the tests wants to hear from them.
      if (done % BREATH_RUNS === 0) await breathe();
    });
    await fc.assert(property, { numRuns });
  });
}

/** What is put in where something else stood. */
export const NASTY: readonly string[] = [
  '',
  '0',
  '-1',
  '-0',
  '1e999',
  'NaN',
  'Infinity',
  '-Infinity',
  'null',
  'true',
  '1e-400',
  '18446744073709551615',
  '18446744073709551616',
  '9007199254740993',
  '0x10',
  '1_0',
  '٣',
  '99999999999999999999999999',
  '0.1',
  '1.',
  '.5',
  '1e3',
  '+5',
  '00',
  '-9223372036854775808',
  '__proto__',
  'constructor',
  'toString',
  '{"__proto__":{"ok":true}}',
  '[]',
  '{}',
  '"',
  "'",
  '\0',
  '\r',
  '\n',
  '\r\n',
  '\t',
  '\ufeff',
  '\u2028',
  '\u202e',
  '\u200b',
  '\u0085',
  '\ud800',
  '\x1b[2J',
  '\x1b]0;title\x07',
  '\x9b31m',
  '../',
  '../../etc/passwd',
  '/',
  '%00',
  '%2e%2e/',
  'max',
  '0-4095',
  '0-',
  ',',
  '=',
  ':',
  ': ',
  '#',
  '[',
  ']',
  '{',
  '}',
  '&a',
  '*a',
  '<<',
  '|',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the notation of variables.
  '${HOME}',
  '$(id)',
  '`id`',
  ';',
  '--',
  '-',
  '!',
  '%',
  '@',
  '\\',
  '{{',
  '}}',
  '<script>',
  'é',
  '😀',
  'A'.repeat(300),
  ' '.repeat(300),
  '9'.repeat(300),
  '['.repeat(300),
];

type Mutation = (bytes: Buffer) => Buffer;

const at = (share: number, length: number): number => Math.floor(share * length);

const cutAndPut = (bytes: Buffer, from: number, to: number, put: Uint8Array): Buffer =>
  Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(Math.max(from, to))]);

const FINENESS = 2 ** 24;
/** From 0 to below 1, evenly: as a double it would nearly always be next to 0. */
const share = fc.noBias(fc.nat(FINENESS - 1)).map((part) => part / FINENESS);
const nasty = fc.constantFrom(...NASTY.map((text) => Buffer.from(text)));
const someBytes = fc.uint8Array({ maxLength: 8 });

/** The numbers of a text, as `[from, to]`. */
function numbersIn(bytes: Buffer): readonly (readonly [number, number])[] {
  const found = [...bytes.toString('latin1').matchAll(/-?[0-9]+(?:\.[0-9]+)?/g)];
  return found.map((one) => [one.index, one.index + one[0].length]);
}

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  // A bit is flipped.
  fc.tuple(share, fc.nat(7)).map(
    ([where, bit]): Mutation =>
      (bytes) => {
        const next = Buffer.from(bytes);
        const place = at(where, bytes.length);
        if (place < next.length) next[place] = (next[place] ?? 0) ^ (1 << bit);
        return next;
      },
  ),
  // The end is missing.
  share.map(
    (where): Mutation =>
      (bytes) =>
        bytes.subarray(0, at(where, bytes.length)),
  ),
  // A part is there twice, or not at all, or somewhere else.
  fc.tuple(share, share, share).map(
    ([one, two, to]): Mutation =>
      (bytes) => {
        const [from, end] = [at(one, bytes.length), at(one, bytes.length) + at(two, 64)];
        return cutAndPut(bytes, at(to, bytes.length), 0, bytes.subarray(from, end));
      },
  ),
  fc.tuple(share, share).map(
    ([one, two]): Mutation =>
      (bytes) => {
        const from = at(one, bytes.length);
        return cutAndPut(bytes, from, from + at(two, 32), Buffer.alloc(0));
      },
  ),
  // Something nasty, or anything at all, is put in.
  fc.tuple(share, nasty).map(
    ([where, put]): Mutation =>
      (bytes) => {
        const from = at(where, bytes.length);
        return cutAndPut(bytes, from, from, put);
      },
  ),
  fc.tuple(share, someBytes).map(
    ([where, put]): Mutation =>
      (bytes) => {
        const from = at(where, bytes.length);
        return cutAndPut(bytes, from, from + put.length, put);
      },
  ),
  // A number is another one, or none.
  fc
    .tuple(
      share,
      fc.oneof(
        nasty,
        fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map((value) => Buffer.from(`${value}`)),
      ),
    )
    .map(
      ([where, put]): Mutation =>
        (bytes) => {
          const numbers = numbersIn(bytes);
          const [from, to] = numbers[at(where, numbers.length)] ?? [0, 0];
          return cutAndPut(bytes, from, to, put);
        },
    ),
);

const LONGEST = 256 * 1024;

/** Valid bytes with some damage, or bytes that have nothing to do with them. */
export const damaged = (...samples: readonly (string | Uint8Array)[]): fc.Arbitrary<Buffer> =>
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc
        .tuple(
          fc.constantFrom(...samples.map((sample) => Buffer.from(sample))),
          fc.array(mutation, { maxLength: 5 }),
        )
        .map(([sample, mutations]) =>
          mutations.reduce<Buffer>((bytes, mutate) => mutate(bytes).subarray(0, LONGEST), sample),
        ),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
    {
      weight: 1,
      arbitrary: fc.array(nasty, { maxLength: 8 }).map((parts) => Buffer.concat(parts)),
    },
  );

/** The same as text, as it is read from a file. */
export const damagedText = (...samples: readonly string[]): fc.Arbitrary<string> =>
  damaged(...samples).map((bytes) => bytes.toString('utf8'));

/** JSON of the right shape but for some places, in which something else stands. */
export const damagedJson = (...samples: readonly unknown[]): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      fc.constantFrom(...samples.map((sample) => JSON.stringify(sample))),
      fc.array(fc.tuple(share, other), { minLength: 1, maxLength: 4 }),
    )
    .map(([text, changes]) => {
      let value: unknown = JSON.parse(text);
      for (const [where, put] of changes) value = withOther(value, where, put);
      return value;
    });

/** A number of no sense at all stands where a number stood, so that what reads it goes on. */
const amount = fc.oneof(
  fc.constantFrom(
    0,
    -0,
    -1,
    0.5,
    1e308,
    -1e308,
    8.64e15,
    8.7e15,
    2 ** 31,
    2 ** 53,
    1e-300,
    2 ** 64,
  ),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const anything: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, '', [], {}),
  fc.constantFrom<unknown>(...NASTY),
  fc.jsonValue({ maxDepth: 2 }),
);
interface Other {
  readonly amount: number;
  readonly text: string;
  readonly anything: unknown;
  readonly sameKind: boolean;
}
const other: fc.Arbitrary<Other> = fc.record({
  amount,
  text: fc.constantFrom(...NASTY),
  anything,
  sameKind: fc.integer({ min: 0, max: 3 }).map((one) => one > 0),
});

function inPlaceOf(before: unknown, put: Other): unknown {
  if (put.sameKind && typeof before === 'number') return put.amount;
  if (put.sameKind && typeof before === 'string') return put.text;
  return put.anything;
}

/** The value with one place within it, which `where` names, taken by another. */
function withOther(value: unknown, where: number, put: Other): unknown {
  const places: (readonly [Record<string, unknown>, string])[] = [];
  const walk = (one: unknown): void => {
    if (typeof one !== 'object' || one === null) return;
    const holder = one as Record<string, unknown>;
    for (const key of Object.keys(holder)) {
      places.push([holder, key]);
      walk(holder[key]);
    }
  };
  walk(value);
  const place = places[at(where, places.length)];
  if (place === undefined) return put.anything;
  const [holder, key] = place;
  holder[key] = inPlaceOf(holder[key], put);
  return value;
}

/** What would steer a terminal, break a line, or reorder what a person reads. */
export const UNFIT = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\p{Cs}/u;
/** The same in a text of several lines. */
export const UNFIT_IN_LINES = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]|\p{Cs}/u;
