import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { demandOf, startAllocation, traceNode } from '../../src/sim/trace-guests.ts';
import { readTrace, TraceParser, type TraceResult } from '../../src/sim/traces.ts';
import { hasShared, Scratch, SHARED } from './recorded.ts';

const scratch = new Scratch();
afterAll(() => scratch.clear());

const HEADER = 'time_s,container,cpu_cores,memory_mb\n';

function parse(text: string, limit?: number): TraceResult {
  const parser = new TraceParser(limit);
  parser.push(text);
  return parser.finish();
}

function series(text: string) {
  const result = parse(HEADER + text);
  if (!result.ok) throw new Error(result.problems.join('\n'));
  return result.trace.series;
}

it('reads rows, with and without memory, in pieces of any size', () => {
  const text = `${HEADER}0,a,0.5,100\n0,b,1,\r\n300,a,1.5,200\r\n300,b,2,\n`;
  const whole = parse(text);
  expect(whole).toEqual({
    ok: true,
    trace: {
      series: [
        { name: 'a', timesS: [0, 300], cpuCores: [0.5, 1.5], memoryMib: [100, 200] },
        { name: 'b', timesS: [0, 300], cpuCores: [1, 2], memoryMib: [] },
      ],
      leftOut: 0,
      spanS: 300,
    },
  });
  const parser = new TraceParser();
  for (const letter of text) parser.push(letter);
  expect(parser.finish()).toEqual(whole);
});

const broken: ReadonlyArray<readonly [string, string, string]> = [
  ['nothing', '', 'the file is empty; a trace begins with time_s,container,cpu_cores,memory_mb'],
  ['no rows', HEADER, 'there is a header, and no row after it'],
  ['no header', '0,a,1,1\n', 'line 1: expected the header time_s,container,cpu_cores,memory_mb'],
  ['too few fields', `${HEADER}0,a,1\n`, 'line 2: 3 fields where there must be 4'],
  ['a time that is none', `${HEADER}now,a,1,1\n`, 'line 2: time_s must be a number of seconds'],
  ['a negative demand', `${HEADER}0,a,-1,1\n`, 'line 2: cpu_cores must be a number, 0 or more'],
  ['an endless demand', `${HEADER}0,a,Infinity,1\n`, 'line 2: cpu_cores must be a number'],
  ['memory in words', `${HEADER}0,a,1,lots\n`, 'line 2: memory_mb must be a number'],
  ['a name with a blank', `${HEADER}0,a b,1,1\n`, 'line 2: container must be 1 to 64 letters'],
  ['no name', `${HEADER}0,,1,1\n`, 'line 2: container must be 1 to 64 letters'],
  ['time that stands', `${HEADER}0,a,1,1\n0,a,1,1\n`, 'line 3: time_s of a must rise'],
  ['memory now and then', `${HEADER}0,a,1,1\n5,a,1,\n`, 'line 3: memory_mb of a is given in some'],
  ['a binary', 'x'.repeat(5000), 'line 1: longer than 1000 characters'],
];
for (const [what, text, problem] of broken) {
  it(`refuses ${what} with its line`, () => {
    const result = parse(text);
    expect(result.ok).toBe(false);
    expect(result.ok ? '' : result.problems[0]).toContain(problem);
  });
}

it('stops complaining after ten problems', () => {
  const result = parse(HEADER + 'nonsense\n'.repeat(5000));
  expect(result.ok ? [] : result.problems).toHaveLength(10);
});

it('reads the first containers and counts the others', () => {
  const rows = Array.from({ length: 310 }, (_, index) => `0,c${index},1,\n`).join('');
  const all = parse(HEADER + rows);
  const five = parse(HEADER + rows, 5);
  expect(all.ok && [all.trace.series.length, all.trace.leftOut]).toEqual([300, 10]);
  expect(five.ok && [five.trace.series.length, five.trace.leftOut]).toEqual([5, 305]);
});

it('says in a sentence that a file cannot be read', async () => {
  const directory = scratch.directory();
  for (const path of [directory, join(directory, 'missing.csv')]) {
    const result = await readTrace(path);
    expect(result.ok ? '' : result.problems.join()).toMatch(
      /csv: does not exist; check the path$|: could not be read \(EISDIR\)$/,
    );
  }
  writeFileSync(join(directory, 'good.csv'), `${HEADER}0,a,1,\n`);
  expect((await readTrace(join(directory, 'good.csv'))).ok).toBe(true);
});

describe('a node made of a trace', () => {
  it('starts with twice the median, within bounds', () => {
    const [quiet, busy, plain] = series(
      '0,a,0.1,100\n5,a,0.2,110\n9,a,0.3,900\n0,b,6,9000\n0,c,1.2,\n5,c,1.3,\n',
    ).map(startAllocation);
    expect(quiet).toEqual({ cores: 1, memoryMib: 512 });
    expect(busy).toEqual({ cores: 8, memoryMib: 16_384 });
    expect(plain).toEqual({ cores: 3, memoryMib: 512 });
    const [rounded] = series('0,a,1,333\n').map(startAllocation);
    expect(rounded).toEqual({ cores: 2, memoryMib: 672 });
  });

  it('follows the samples on straight lines, and holds the ends', () => {
    const [first] = series('10,a,1,100\n20,a,3,200\n30,a,3,200\n');
    const demand = first === undefined ? undefined : demandOf(first);
    const cores = [0, 10, 15, 20, 25, 99].map((s) => demand?.(s * 1000, 0).cpuCores);
    expect(cores).toEqual([1, 1, 2, 3, 3, 3]);
    const [plain] = series('0,b,1,\n').map((one) => demandOf(one)(0, 0).anonMib);
    expect(plain).toBe(256);
  });

  it('has room for the chosen containers', () => {
    const result = parse(`${HEADER}0,a,4,9000\n0,b,4,\n0,c,4,9000\n`);
    if (!result.ok) throw new Error('the trace is fine');
    const { host, guests } = traceNode(result.trace, 2);
    expect(guests.map((guest) => guest.vmid)).toEqual([101, 102]);
    expect(guests[0]?.conf).toContain('hostname: a\n');
    expect(host.cpus).toBe(16);
    expect(host.memoryMib).toBeGreaterThan(16_384 + 512 + host.baseMemoryMib);
    expect(traceNode(result.trace).guests).toHaveLength(3);
  });
});

it('the part of a recording in the repository is read', async () => {
  const result = await readTrace(fileURLToPath(new URL(PART, import.meta.url)));
  if (!result.ok) throw new Error(result.problems.join('\n'));
  expect(result.trace.series).toHaveLength(17);
  expect(result.trace.spanS).toBe(86_100);
  expect(traceNode(result.trace).guests).toHaveLength(17);
});

const PART = '../fixtures/google-2011-part.csv';

describe.skipIf(!hasShared)('the recorded traces (of ../shared)', () => {
  const files = [
    ['google-2011', 200, 86_100],
    ['planetlab-2011', 200, 86_100],
    ['ec2-2014', 8, 1_209_300],
  ] as const;
  for (const [name, containers, spanS] of files) {
    it(`reads ${name}`, async () => {
      const result = await readTrace(join(SHARED, `traces/${name}.csv`));
      if (!result.ok) throw new Error(result.problems.join('\n'));
      expect(result.trace.series).toHaveLength(containers);
      expect(result.trace.spanS).toBe(spanS);
      expect(traceNode(result.trace, 50).host.cpus).toBeLessThanOrEqual(128);
    });
  }
});
