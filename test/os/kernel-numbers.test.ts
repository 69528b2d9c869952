import { describe, expect, it } from 'vitest';
import {
  parseCpuMax,
  parseCpuStat,
  parseMemoryEvents,
  parseMemoryStat,
  parseSingleNumber,
  saysMax,
} from '../../src/node/local/kernel/cgroup-values.ts';
import { countCpuList } from '../../src/node/local/kernel/cpu-list.ts';
import { parsePressure } from '../../src/node/local/kernel/pressure-file.ts';
import { decimalNumber, wholeNumber } from '../../src/os/byte-numbers.ts';
import { fc } from '../fast-check.ts';

/** Gives a parser of kernel bytes a text, in a larger buffer that still holds an older file. */
function of<T>(parse: (bytes: Uint8Array, length: number) => T, text: string): T {
  const buffer = Buffer.from(`${text}9\nusage_usec 5\nmax 6\nfull avg10=0.00 total=7\n`, 'latin1');
  return parse(buffer, Buffer.byteLength(text, 'latin1'));
}

const whole = (bytes: Uint8Array, length: number) => wholeNumber(bytes, 0, length);
const decimal = (bytes: Uint8Array, length: number) => decimalNumber(bytes, 0, length);

describe('numbers', () => {
  it.each([
    ['0', 0],
    ['42', 42],
    ['007', 7],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740992', -1],
    ['99999999999999999', -1],
    ['', -1],
    ['-1', -1],
    ['+1', -1],
    ['1.5', -1],
    ['1e3', -1],
    [' 1', -1],
    ['max', -1],
  ])('%j as a whole number is %d', (text, expected) => {
    expect(of(whole, text)).toBe(expected);
  });

  it.each([
    ['0.70', 0.7],
    ['100.00', 100],
    ['12', 12],
    ['1.', -1],
    ['.5', -1],
    ['1.2.3', -1],
    ['1.0000000001', -1],
    ['nan', -1],
    ['', -1],
  ])('%j as a decimal number is %d', (text, expected) => {
    expect(of(decimal, text)).toBeCloseTo(expected, 12);
  });

  it.each([
    ['231772160\n', 231_772_160],
    ['0\n', 0],
    ['231772160', -1],
    ['\n', -1],
    ['', -1],
    ['-5\n', -1],
    ['max\n', -1],
    ['1\n2\n', -1],
  ])('a file %j holds the number %d', (text, expected) => {
    expect(of(parseSingleNumber, text)).toBe(expected);
  });

  it.each([
    ['max\n', true],
    ['max', false],
    ['maxi\n', false],
    ['5\n', false],
  ])('a file %j says max: %s', (text, expected) => {
    expect(of(saysMax, text)).toBe(expected);
  });
});

describe('a list of CPUs', () => {
  it.each([
    ['0\n', 1],
    ['0-3\n', 4],
    ['0-1,3\n', 3],
    ['0,2\n', 2],
    ['1,3-5,9-10\n', 6],
    ['\n', 0],
    ['', 0],
    ['0-3', -1],
    ['3-0\n', -1],
    ['0,0\n', -1],
    ['0-2,1\n', -1],
    ['0,\n', -1],
    [',0\n', -1],
    ['0--1\n', -1],
    ['-1\n', -1],
    ['0-70000\n', -1],
    ['a\n', -1],
    ['0 1\n', -1],
  ])('%j counts %d', (text, expected) => {
    expect(of(countCpuList, text)).toBe(expected);
  });

  it('counts every set of CPUs as the kernel writes it', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 300 }), { minLength: 1 }), (cpus) => {
        const sorted = [...cpus].sort((one, other) => one - other);
        const starts = sorted.filter((cpu) => !sorted.includes(cpu - 1));
        const ends = sorted.filter((cpu) => !sorted.includes(cpu + 1));
        const ranges = starts.map((from, index) => {
          const to = ends[index] ?? from;
          return from === to ? `${from}` : `${from}-${to}`;
        });
        expect(of(countCpuList, `${ranges.join(',')}\n`)).toBe(cpus.length);
      }),
    );
  });
});

describe('cpu.stat', () => {
  it.each([
    ['usage_usec 5\nuser_usec 1\nthrottled_usec 3\n', { usageUs: 5, throttledUs: 3 }],
    ['usage_usec 5\nuser_usec 1\n', { usageUs: 5, throttledUs: 0 }],
    ['user_usec 1\nusage_usec 5\n', { usageUs: 5, throttledUs: 0 }],
    ['user_usec 1\nsystem_usec 5\n', undefined],
    ['usage_usec 5', undefined],
    ['usage_usec 5\nthrottled_us', undefined],
    ['usage_usec 5\nthrottled_usec 12', undefined],
    ['usage_usec -5\n', undefined],
    ['usage_usec 1e9\n', undefined],
    ['usage_usec\n', undefined],
    ['usage_usec 18446744073709551615\n', undefined],
    ['', undefined],
    ['\n', undefined],
  ])('%j', (text, expected) => {
    expect(of(parseCpuStat, text)).toStrictEqual(expected);
  });
});

const MEMORY_STAT =
  'anon 1\nfile 99\nshmem 2\ninactive_anon 99\nactive_anon 99\ninactive_file 3\nactive_file 4\n' +
  'unevictable 5\nslab_reclaimable 99\nslab_unreclaimable 6\nworkingset_refault_anon 7\n' +
  'workingset_refault_file 8\nanon_thp 99\n';

describe('memory.stat', () => {
  it('gives what the working set is made of', () => {
    expect(of(parseMemoryStat, MEMORY_STAT)).toStrictEqual({
      anon: 1,
      shmem: 2,
      inactiveFile: 3,
      activeFile: 4,
      unevictable: 5,
      slabUnreclaimable: 6,
      slabReclaimable: 99,
      refaults: 15,
    });
  });

  it.each(['anon', 'shmem', 'inactive_file', 'unevictable', 'workingset_refault_file'])(
    'is malformed without %s',
    (key) => {
      const text = MEMORY_STAT.replace(new RegExp(`^${key} .*\n`, 'm'), '');
      expect(of(parseMemoryStat, text)).toBeUndefined();
    },
  );

  it('is malformed wherever it is cut off before its last wanted line', () => {
    const end = MEMORY_STAT.indexOf('anon_thp');
    for (let length = 0; length < end; length++) {
      expect(of(parseMemoryStat, MEMORY_STAT.slice(0, length))).toBeUndefined();
    }
  });
});

describe('memory.events', () => {
  it.each([
    ['low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\n', { limitHits: 2, oomKills: 4, ooms: 3 }],
    ['low 0\nhigh 1\nmax 2\noom 3\n', undefined],
    ['max 2\noom_kill x\n', undefined],
    ['', undefined],
  ])('%j', (text, expected) => {
    expect(of(parseMemoryEvents, text)).toStrictEqual(expected);
  });
});

const PRESSURE =
  'some avg10=0.70 avg60=0.40 avg300=0.26 total=7168823\n' +
  'full avg10=0.10 avg60=0.00 avg300=0.00 total=358\n';

describe('a pressure file', () => {
  it('is read in shares and microseconds', () => {
    const pressure = of(parsePressure, PRESSURE);
    expect(pressure?.someAvg10).toBeCloseTo(0.007, 12);
    expect(pressure?.fullAvg10).toBeCloseTo(0.001, 12);
    expect(pressure).toMatchObject({ someTotalUs: 7_168_823, fullTotalUs: 358 });
  });

  it.each([
    ['without its second line', PRESSURE.slice(0, PRESSURE.indexOf('full'))],
    ['cut off', PRESSURE.slice(0, -1)],
    ['with more than all of the time', PRESSURE.replace('0.70', '100.01')],
    ['with a negative total', PRESSURE.replace('=7168823', '=-1')],
    ['with a total beyond 2^53', PRESSURE.replace('7168823', '18446744073709551615')],
    ['with another word in front', PRESSURE.replace('some', 'same')],
    ['without a total', PRESSURE.replace(' total=7168823', '')],
    ['empty', ''],
  ])('is malformed %s', (_, text) => {
    expect(of(parsePressure, text)).toBeUndefined();
  });
});

it('no bytes at all make a parser throw or give a number that is none', () => {
  const word = fc.constantFrom(
    'usage_usec ',
    'max ',
    'oom_kill ',
    'some avg10=',
    ' total=',
    '0-1,',
  );
  const lines = fc
    .array(fc.tuple(word, fc.stringMatching(/^[-0-9.e,\n max]{0,20}$/)))
    .map((parts) => Buffer.from(parts.flat().join('\n')));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 120 }), lines), (bytes) => {
      const values = [
        countCpuList(bytes, bytes.length),
        parseSingleNumber(bytes, bytes.length),
        ...[parseCpuStat, parseMemoryStat, parseMemoryEvents, parsePressure].flatMap((parse) =>
          Object.values(parse(bytes, bytes.length) ?? {}),
        ),
      ];
      for (const value of values) expect(Number.isFinite(value) && value >= -1).toBe(true);
    }),
    { numRuns: 500 },
  );
});

describe('cpu.max', () => {
  it.each([
    ['max 100000\n', Number.POSITIVE_INFINITY],
    ['50000 100000\n', 0.5],
    ['250000 100000\n', 2.5],
    ['12500 50000\n', 0.25],
    ['max 100000', -1],
    ['max\n', -1],
    ['0 100000\n', -1],
    ['50000 0\n', -1],
    ['-1 100000\n', -1],
    ['50000\n', -1],
    ['50000 100000 1\n', -1],
    ['50000 100000\n\n', -1],
    ['', -1],
  ])('%j is a quota of %d cores', (text, expected) => {
    expect(parseCpuMax(text)).toBe(expected);
  });
});
