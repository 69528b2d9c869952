import { unfitFile } from '../core/installation.ts';

/** Cron expressions of five fields, such as `0 22 * * 1-5`. The only importer of cron-parser. */

/**
 * Loaded by who uses it: it takes 0.7 MB of private memory and few files name a cron expression.
 * Not by `import()`, since a configuration is read and checked in one go.
 */
const parser = () => (require('cron-parser') as typeof import('cron-parser')).CronExpressionParser;

const FIELDS = ['minute', 'hour', 'day of the month', 'month', 'day of the week'] as const;

/** Numbers, names, `*`, ranges, steps and lists. What else the parser knows is not cron's. */
const FIELD = /^(?:(?:\*|[0-9a-z]+(?:-[0-9a-z]+)?)(?:\/[0-9]+)?(?:,(?!$)|$))+$/i;
const NAMED = /^(?:[*0-9/,-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)+$/i;
const NAMED_DAYS = /^(?:[*0-9/,-]|sun|mon|tue|wed|thu|fri|sat)+$/i;
const NUMBERS = /^[*0-9/,-]+$/;
const ALPHABETS = [NUMBERS, NUMBERS, NUMBERS, NAMED, NAMED_DAYS];

const MAX_CHARS = 256;

/** What is wrong with an expression, completing "`it` ..."; undefined: nothing is. */
export function cronFault(text: string): string | undefined {
  const fields = text.split(/[ \t]+/).filter((field) => field !== '');
  if (fields.length !== FIELDS.length || text.length > MAX_CHARS) {
    return 'is not a cron expression of five fields';
  }
  const unfit = whyNoParser();
  if (unfit !== undefined) return `cannot be checked: ${unfit}`;
  for (const [place, name] of FIELDS.entries()) {
    const field = fields[place] ?? '';
    const alone = FIELDS.map((_, other) => (other === place ? field : '*')).join(' ');
    const isWritten = FIELD.test(field) && ALPHABETS[place]?.test(field) === true;
    if (!isWritten || !isParsed(alone)) return `has a wrong field for the ${name}`;
  }
  return isParsed(fields.join(' ')) ? undefined : 'names days that its months do not have';
}

function whyNoParser(): string | undefined {
  try {
    parser();
    return undefined;
  } catch (error) {
    const unfit = unfitFile(error);
    if (unfit === undefined) throw error;
    return unfit;
  }
}

function isParsed(expression: string): boolean {
  try {
    parser()
      .parse(expression, { tz: 'UTC', currentDate: new Date(0) })
      .next();
    return true;
  } catch {
    return false;
  }
}

/**
 * When the expression comes true next, strictly after a moment; both in milliseconds since 1970.
 * undefined: never, as far as can be told. A time that the clock skips in spring counts an hour
 * later; one that it shows twice in autumn counts the first time.
 * `timezone`: an IANA name; undefined: the host's. Throws on an expression that has a fault.
 */
export function cronTimes(
  expression: string,
  timezone: string | undefined,
): (afterMs: number) => number | undefined {
  const times = parser().parse(expression, timezone === undefined ? {} : { tz: timezone });
  return (afterMs) => {
    times.reset(new Date(afterMs));
    try {
      return times.next().getTime();
    } catch {
      return undefined;
    }
  };
}
