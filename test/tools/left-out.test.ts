import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import * as whole from '../../src/config/cron.ts';
import { buildAlone } from '../../tools/build/bundles.ts';
import { fc } from '../fast-check.ts';
import { temporaryDirectory } from '../node/local/world.ts';

/** What is bundled of luxon reckons as all of it does. */

const CHECKOUT = new URL('../..', import.meta.url).pathname;

let bundled: typeof whole;

beforeAll(async () => {
  const file = join(temporaryDirectory(), 'cron.cjs');
  await buildAlone(CHECKOUT, 'src/config/cron.ts', file);
  bundled = createRequire(import.meta.url)(file);
});

const ZONES = [
  'UTC',
  'Europe/Rome',
  'Europe/London',
  'America/New_York',
  'America/Sao_Paulo',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'America/St_Johns',
  'Pacific/Chatham',
  'Pacific/Apia',
  'Africa/Casablanca',
  'Antarctica/Troll',
  undefined,
];

const field = (least: number, most: number) => {
  const number = fc.integer({ min: least, max: most }).map(String);
  const step = fc.integer({ min: 1, max: most }).map((every) => `*/${every}`);
  const list = fc.array(number, { minLength: 2, maxLength: 3 }).map((all) => all.join());
  return fc.oneof(fc.constant('*'), number, step, list);
};

const expressions = fc
  .tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
  .map((fields) => fields.join(' '));

const moments = fc.date({
  min: new Date('1999-01-01'),
  max: new Date('2037-12-31'),
  noInvalidDate: true,
});

describe('cron in the bundle', () => {
  it('finds the same faults, and the same times in every zone', () => {
    fc.assert(
      fc.property(expressions, fc.constantFrom(...ZONES), moments, (expression, zone, from) => {
        const fault = whole.cronFault(expression);
        expect(bundled.cronFault(expression)).toBe(fault);
        if (fault !== undefined) return;
        const [own, other] = [
          bundled.cronTimes(expression, zone),
          whole.cronTimes(expression, zone),
        ];
        let at: number | undefined = from.getTime();
        for (let turn = 0; turn < 5 && at !== undefined; turn += 1) {
          const next = other(at);
          expect(own(at)).toBe(next);
          at = next;
        }
      }),
      { numRuns: 300 },
    );
  });

  it.each(ZONES)('begins at each hour around each change of the clock: %s', (zone) => {
    const [own, other] = [
      bundled.cronTimes('30 2 * * *', zone),
      whole.cronTimes('30 2 * * *', zone),
    ];
    for (let at = Date.parse('2026-01-01'); at < Date.parse('2027-01-02'); at += 21_600_000) {
      expect(own(at)).toBe(other(at));
    }
  });

  it('knows what is no time zone', () => {
    expect(() => bundled.cronTimes('0 0 * * *', 'Nowhere/Land')(0)).toThrow();
  });
});
