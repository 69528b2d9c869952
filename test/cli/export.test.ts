import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parseArguments } from '../../src/cli/command-line.ts';
import { exportUsage } from '../../src/cli/export.ts';
import { USAGE_HEADER } from '../../src/core/usage-history.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { readTrace } from '../../src/sim/traces.ts';
import { manualClock, plant, temporaryDirectory } from '../node/local/world.ts';

const USAGE = 'var/lib/lxc_autoscale/usage';
const NOON_MS = Date.UTC(2026, 10, 22, 12);

const line = (agoS: number, id: number, cores = 0.5, mib = 400): string =>
  `${NOON_MS / 1000 - agoS},${id},${cores},${mib},${cores},${cores},2,${mib},1024,0,0`;

const file = (...lines: readonly string[]): string => `${[USAGE_HEADER, ...lines].join('\n')}\n`;

const TWO_DAYS = {
  [`${USAGE}/2026-11-21.001.csv.gz`]: gzipSync(file(line(86_400, 101, 1), line(86_400, 102))),
  [`${USAGE}/2026-11-22.001.csv`]: file(line(300, 101), line(300, 102), line(0, 101, 2, 800)),
};

function world(files: Readonly<Record<string, string | Uint8Array>>, more = '') {
  const root = temporaryDirectory();
  const yaml = `DEFAULT: {timezone: UTC${more}}\n`;
  plant(root, { 'etc/lxc_autoscale/lxc_autoscale.yaml': yaml, ...files });
  const run = async (
    argv: readonly string[],
    stdout: Writable & { read?: () => unknown } = new PassThrough(),
  ) => {
    const parsed = parseArguments(['export', '--sysroot', root, ...argv]);
    if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
    const stderr = new PassThrough();
    const code = await exportUsage(parsed.arguments, {
      paths: createPaths(root),
      clock: manualClock(NOON_MS),
      env: {},
      stdout,
      stderr,
    });
    return { code, stdout: String(stdout.read?.() ?? ''), stderr: String(stderr.read() ?? '') };
  };
  return { root, run };
}

const HEADER = 'time_s,container,cpu_cores,memory_mb';

/** The same storage and id, so the same volume; only the address tells them apart. */
const guestOf = (last: number): string => `bc:24:11:00:00:0${last} local-lvm:vm-101-disk-0`;
const confOf = (last: number): string =>
  `memory: 512\nnet0: name=eth0,hwaddr=BC:24:11:00:00:0${last}\n` +
  'rootfs: local-lvm:vm-101-disk-0,size=4G\n';

describe('the history of an id that was given to another guest', () => {
  const history = {
    [`${USAGE}/2026-11-22.001.csv`]: file(
      `${line(1200, 101, 1)},${guestOf(1)}`,
      line(900, 101, 1),
      line(900, 102, 1),
      `${line(600, 101, 2)},${guestOf(2)}`,
      line(300, 101, 2),
    ),
  };
  const LEFT_OUT = 'Left out: the usage of other containers that had the id 101 before.\n';

  it.each([
    ['the newcomer', { 'etc/pve/lxc/101.conf': confOf(2) }, ['0,101,2,400', '300,101,2,400']],
    [
      'the one before, where it is back',
      { 'etc/pve/lxc/101.conf': confOf(1) },
      ['0,101,1,400', '300,101,1,400'],
    ],
    ['the last one, where there is none', {}, ['0,101,2,400', '300,101,2,400']],
  ])('is that of %s', async (_, conf, rows) => {
    const { code, stdout, stderr } = await world({ ...history, ...conf }).run(['101']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: LEFT_OUT });
    expect(stdout.trimEnd().split('\n')).toEqual([HEADER, ...rows]);
  });

  it('is none of a third one, of which nothing is recorded yet', async () => {
    const { code, stderr } = await world({ ...history, 'etc/pve/lxc/101.conf': confOf(3) }).run([
      '101',
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Left out: .*\nThere is no usage history of guest 101 /);
  });

  it('is left out of no other container, and that is said only where it is missing', async () => {
    const { stdout, stderr } = await world(history).run(['102']);
    expect([stdout, stderr]).toEqual([`${HEADER}\n0,102,1,400\n`, '']);
  });
});

describe('export', () => {
  it('gives a trace of all that there is', async () => {
    const { code, stdout, stderr } = await world(TWO_DAYS).run([]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.trimEnd().split('\n')).toEqual([
      HEADER,
      '0,101,1,400',
      '0,102,0.5,400',
      '86100,101,0.5,400',
      '86100,102,0.5,400',
      '86400,101,2,800',
    ]);
  });

  it.each([
    [['101'], ['0,101,1,400', '86100,101,0.5,400', '86400,101,2,800']],
    [
      ['--since', '1h'],
      ['0,101,0.5,400', '0,102,0.5,400', '300,101,2,800'],
    ],
    [['--since', '2026-11-22', '102'], ['0,102,0.5,400']],
    [['--since', '2026-11-22 12:00'], ['0,101,2,800']],
  ])('gives with %j only what is asked for', async (argv, rows) => {
    const { code, stdout } = await world(TWO_DAYS).run(argv);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split('\n')).toEqual([HEADER, ...rows]);
  });

  it('writes a file that is read as a trace', async () => {
    const { root, run } = world(TWO_DAYS);
    const out = join(root, 'trace.csv');
    expect(await run(['--out', out])).toEqual({ code: 0, stdout: '', stderr: '' });
    const read = await readTrace(out);
    expect(read.ok && read.trace.series).toMatchObject([
      { name: '101', timesS: [0, 86_100, 86_400], cpuCores: [1, 0.5, 2] },
      { name: '102', memoryMib: [400, 400] },
    ]);
    expect(readFileSync(out, 'utf8').endsWith('\n')).toBe(true);
  });

  it('says where it cannot write, without a trace of the program', async () => {
    const { root, run } = world(TWO_DAYS);
    const out = join(root, 'no/such/place.csv');
    const { code, stderr } = await run(['--out', out]);
    expect(code).toBe(1);
    expect(stderr).toBe(
      `The export cannot be written to ${out}: no such file or directory (ENOENT)\n`,
    );
    expect(existsSync(out)).toBe(false);
  });

  it.each([
    [{}, [], '', /^There is no usage history in .*usage. The daemon writes it every quarter/],
    [{}, [], ', usage_history: False', /usage_history is False, so none is kept/],
    [TWO_DAYS, ['999'], '', /^There is no usage history of guest 999 in /],
    [TWO_DAYS, ['102', '--since', '1m'], '', /usage history of guest 102 in that time in /],
  ])('says why there is nothing: %j %j %j', async (files, argv, more, why) => {
    const { code, stdout, stderr } = await world(files, more).run(argv);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(why);
  });

  it('leaves out what is damaged, and says so', async () => {
    const name = `${USAGE}/2026-11-20.001.csv.gz`;
    const { code, stdout, stderr } = await world({ ...TWO_DAYS, [name]: 'x' }).run(['102']);
    expect(code).toBe(1);
    expect(stdout.split('\n')).toHaveLength(4);
    expect(stderr).toMatch(/^The usage history cannot be read as a whole: .* it is damaged;/);
  });

  it('refuses a configuration that is wrong', async () => {
    expect((await world(TWO_DAYS, ', usage_history: maybe').run([])).code).toBe(78);
  });

  it('ends quietly where nobody reads on', async () => {
    const gone = new Writable({
      write: (_chunk, _encoding, done) => {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    expect(await world(TWO_DAYS).run([], gone)).toMatchObject({ code: 0, stderr: '' });
  });
});
