import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { encodeUsage, USAGE_HEADER, type UsageRecord } from '../../src/core/usage-history.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { readUsage, USAGE_DIRECTORY } from '../../src/store/usage-files.ts';
import { createUsageStore } from '../../src/store/usage-store.ts';
import { temporaryDirectory, vmid } from '../node/local/world.ts';

const NOON_S = Date.UTC(2026, 10, 22, 12) / 1000;
const DAY_S = 86_400;

const record = (timeS: number, id = 101, memoryMib = 412): UsageRecord => ({
  timeS,
  vmid: vmid(id),
  cpuCores: 0.523,
  memoryMib,
  cpuDemand: 0.6,
  cpuPeak: 0.7,
  cpuAllowed: 2,
  memoryPeakMib: 430,
  memoryLimitMib: 1024,
  cpuWaitPercent: 0.3,
  memoryWaitPercent: 0,
});
const line = (timeS: number, id?: number): string => `${encodeUsage(record(timeS, id))}\n`;

function world(days = 14) {
  const root = temporaryDirectory();
  const paths = createPaths(root);
  const directory = paths.at(USAGE_DIRECTORY);
  const complaints: string[] = [];
  const open = () =>
    createUsageStore({ directory, days: () => days, complain: (text) => complaints.push(text) });
  const read = async (sinceS = 0) => {
    const found: UsageRecord[] = [];
    const problems: string[] = [];
    const complain = (text: string) => problems.push(text);
    for await (const one of readUsage(paths, milliseconds(sinceS * 1000), complain)) {
      found.push(one);
    }
    return { found, problems };
  };
  const files = (): readonly string[] =>
    existsSync(directory) ? readdirSync(directory).sort() : [];
  const text = (name: string): string => readFileSync(join(directory, name), 'utf8');
  return { root, directory, complaints, open, read, files, text };
}

describe('writing the history of usage', () => {
  it('waits for a quarter of an hour, then writes in one piece', () => {
    const { open, files, text } = world();
    const store = open();
    for (const passedS of [0, 300]) {
      store.append(line(NOON_S + passedS), NOON_S + passedS, 300);
      expect(files()).toEqual([]);
    }
    store.append(line(NOON_S + 600), NOON_S + 600, 301);
    expect(files()).toEqual(['2026-11-22.001.csv']);
    const lines = text('2026-11-22.001.csv').split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[0]).toBe(USAGE_HEADER);
  });

  it('does not wait where the next cycle is far, nor for ever after the clock was set back', () => {
    const { open, text } = world();
    const store = open();
    store.append(line(NOON_S), NOON_S, 3600);
    store.append(line(NOON_S + 3600), NOON_S + 3600, 300);
    store.append(line(NOON_S + 60), NOON_S + 60, 300);
    expect(text('2026-11-22.001.csv').split('\n')).toHaveLength(5);
  });

  it('keeps no more than 32 KB waiting', () => {
    const { open, files } = world();
    const store = open();
    for (let each = 0; each < 700; each += 1) store.append(line(NOON_S, 100 + each), NOON_S, 1);
    expect(files()).toHaveLength(1);
  });

  it('is for root only', async () => {
    const { open, directory } = world();
    const store = open();
    store.append(line(NOON_S), NOON_S, Infinity);
    store.append(line(NOON_S + DAY_S), NOON_S + DAY_S, Infinity);
    await store.close();
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(directory)) {
      expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
    }
  });

  it('goes on in the file of the day, and writes what waits at the end', async () => {
    const { open, files, text, read } = world();
    for (const passedS of [0, 300]) {
      const store = open();
      store.append(line(NOON_S + passedS), NOON_S + passedS, 300);
      await store.close();
    }
    expect(files()).toEqual(['2026-11-22.001.csv']);
    expect(text('2026-11-22.001.csv').match(/time_s/g)).toHaveLength(1);
    expect((await read()).found).toEqual([record(NOON_S), record(NOON_S + 300)]);
  });

  it('packs the file of the day before, which then says the same', async () => {
    const { open, files, directory, read, complaints } = world();
    const store = open();
    store.append(line(NOON_S), NOON_S, 300);
    store.append(line(NOON_S + DAY_S), NOON_S + DAY_S, 300);
    await store.close();
    expect(files()).toEqual(['2026-11-22.001.csv.gz', '2026-11-23.001.csv']);
    const packed = readFileSync(join(directory, '2026-11-22.001.csv.gz'));
    expect(gunzipSync(packed).toString()).toBe(`${USAGE_HEADER}\n${line(NOON_S)}`);
    expect((await read()).found).toEqual([record(NOON_S), record(NOON_S + DAY_S)]);
    expect(complaints).toEqual([]);
  });

  it('begins a new part where a file is full, and loses nothing on the way', async () => {
    const { open, files, read } = world();
    const store = open();
    let [count, timeS] = [0, NOON_S];
    while (files().length < 2) {
      let lines = '';
      for (let id = 100; id < 700; id += 1) lines += line(timeS, id);
      store.append(lines, timeS, 60);
      count += 600;
      timeS += 60;
    }
    await store.close();
    expect(
      files()
        .map((name) => name.slice(0, 14))
        .slice(0, 2),
    ).toEqual(['2026-11-22.001', '2026-11-22.002']);
    expect((await read()).found).toHaveLength(count);
  });

  it('keeps as many days as it is told to', async () => {
    const { open, files } = world(3);
    const store = open();
    for (let day = 0; day < 6; day += 1) {
      const timeS = NOON_S + day * DAY_S;
      store.append(line(timeS), timeS, Infinity);
    }
    await store.close();
    const names = ['2026-11-25.001.csv.gz', '2026-11-26.001.csv.gz', '2026-11-27.001.csv'];
    expect(files()).toEqual(names);
  });

  it('stays within 50 MB, and lets other files alone', async () => {
    const { open, directory, files } = world(3650);
    mkdirSync(directory, { recursive: true });
    for (let day = 1; day <= 20; day += 1) {
      const name = `2026-10-${String(day).padStart(2, '0')}.001.csv.gz`;
      writeFileSync(join(directory, name), '');
      truncateSync(join(directory, name), 3_000_000);
    }
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    const store = open();
    store.append(line(NOON_S), NOON_S, Infinity);
    await store.close();
    const total = files().reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
    expect(total).toBeLessThanOrEqual(50_000_000 - 2 * 4_000_000);
    expect(total).toBeGreaterThan(30_000_000);
    expect(files()).toContain('notes.txt');
    expect(files()).not.toContain('2026-10-01.001.csv.gz');
    expect(files()).toContain('2026-10-20.001.csv.gz');
  });
});

describe('after a crash', () => {
  const FILE = '2026-11-22.001.csv';

  function crashed(content: string) {
    const made = world();
    mkdirSync(made.directory, { recursive: true });
    writeFileSync(join(made.directory, FILE), content);
    return made;
  }

  it('a line that was cut in two is dropped, by the reader and by the writer', async () => {
    const whole = `${USAGE_HEADER}\n${line(NOON_S)}`;
    const torn = line(NOON_S + 300);
    for (let kept = 0; kept < torn.length; kept += 1) {
      const { open, read, text } = crashed(whole + torn.slice(0, kept));
      expect((await read()).found).toEqual([record(NOON_S)]);
      const store = open();
      store.append(line(NOON_S + 600), NOON_S + 600, Infinity);
      expect(text(FILE)).toBe(whole + line(NOON_S + 600));
    }
  });

  it.each([
    ['nulls, as a file system may leave them', '\0'.repeat(10_000)],
    ['a header that was cut', 'time_s,cont'],
    ['nothing', ''],
  ])('a file of %s begins anew', async (_what, content) => {
    const { open, read, text } = crashed(content);
    expect(await read()).toEqual({ found: [], problems: [] });
    const store = open();
    store.append(line(NOON_S), NOON_S, Infinity);
    await store.close();
    expect(text(FILE)).toBe(`${USAGE_HEADER}\n${line(NOON_S)}`);
  });

  it('a file that was packed and not yet removed counts once, and goes', async () => {
    const { open, read, directory, files } = crashed(`${USAGE_HEADER}\n${line(NOON_S)}`);
    const content = readFileSync(join(directory, FILE));
    writeFileSync(join(directory, `${FILE}.gz`), gzipSync(content));
    writeFileSync(join(directory, `.${FILE}.gz.tmp`), 'half');
    expect((await read()).found).toEqual([record(NOON_S)]);
    const store = open();
    store.append(line(NOON_S + 300), NOON_S + 300, Infinity);
    await store.close();
    expect(files().filter((name) => !name.startsWith('.'))).toEqual([
      `${FILE}.gz`,
      '2026-11-22.002.csv',
    ]);
    expect((await read()).found).toEqual([record(NOON_S), record(NOON_S + 300)]);
  });

  it('what was left unpacked is packed by the next process', async () => {
    const { open, directory, files } = crashed(`${USAGE_HEADER}\n${line(NOON_S)}`);
    writeFileSync(join(directory, `.${FILE}.gz.tmp`), 'half');
    const store = open();
    store.append(line(NOON_S + DAY_S), NOON_S + DAY_S, Infinity);
    await store.close();
    expect(files()).toEqual([`${FILE}.gz`, '2026-11-23.001.csv']);
  });
});

describe('where it cannot be written', () => {
  it('is said once, and what waited follows when it can be', async () => {
    const { open, root, complaints, read } = world();
    const parent = join(root, 'var/lib/lxc_autoscale');
    mkdirSync(join(root, 'var/lib'), { recursive: true });
    writeFileSync(parent, 'in the way');
    const store = open();
    for (const passedS of [0, 900, 1800]) {
      store.append(line(NOON_S + passedS), NOON_S + passedS, 900);
    }
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toMatch(/^The usage history cannot be written to .*usage: .*directory/);
    rmSync(parent);
    store.append(line(NOON_S + 2700), NOON_S + 2700, 900);
    await store.close();
    expect(complaints.slice(1)).toEqual([
      expect.stringMatching(/^The usage history is written again to /),
    ]);
    expect((await read()).found).toHaveLength(4);
  });

  it('a full disk keeps no half line, and loses nothing that fits in memory', async (context) => {
    const { open, directory, complaints, read, text } = world();
    mkdirSync(directory, { recursive: true });
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
    if (mounted.status !== 0) return context.skip('needs root and mount(8), for a small tmpfs');
    try {
      writeFileSync(join(directory, 'filler'), Buffer.alloc(40_960));
      const store = open();
      const hour = (passedS: number): string =>
        Array.from({ length: 250 }, (_, each) => line(NOON_S + passedS, 100 + each)).join('');
      store.append(hour(0), NOON_S, Infinity);
      store.append(hour(300), NOON_S + 300, Infinity);
      expect(complaints.join()).toMatch(/only \d+ of \d+ bytes|no space left on the device/);
      expect(text('2026-11-22.001.csv')).toBe(`${USAGE_HEADER}\n${hour(0)}`);
      rmSync(join(directory, 'filler'));
      await store.close();
      expect((await read()).found).toHaveLength(500);
    } finally {
      spawnSync('umount', [directory]);
    }
  });

  it('no more than 256 KB waits for that', () => {
    const { open, root, text } = world();
    const parent = join(root, 'var/lib/lxc_autoscale');
    mkdirSync(join(root, 'var/lib'), { recursive: true });
    writeFileSync(parent, 'in the way');
    const store = open();
    for (let each = 0; each < 9000; each += 1)
      store.append(line(NOON_S + each), NOON_S + each, 900);
    rmSync(parent);
    store.append(line(NOON_S + 10_000), NOON_S + 10_000, 900);
    expect(text('2026-11-22.001.csv').length).toBeLessThan(300 * 1024);
  });

  it('a link or a directory in its place is not followed', async () => {
    const { open, directory, complaints, root } = world();
    mkdirSync(directory, { recursive: true });
    const elsewhere = join(root, 'elsewhere');
    writeFileSync(elsewhere, '');
    symlinkSync(elsewhere, join(directory, '2026-11-22.001.csv'));
    const store = open();
    store.append(line(NOON_S), NOON_S, Infinity);
    await store.close();
    expect(complaints.join()).toMatch(/symbolic link \(ELOOP\)/);
    expect(readFileSync(elsewhere, 'utf8')).toBe('');
  });
});

describe('reading it back', () => {
  it('begins where it is asked to, and reads no day before that', async () => {
    const { open, read, directory } = world();
    const store = open();
    for (const passedS of [0, 300, DAY_S, DAY_S + 300]) {
      store.append(line(NOON_S + passedS), NOON_S + passedS, 300);
    }
    await store.close();
    writeFileSync(join(directory, '2026-11-22.001.csv.gz'), 'damaged');
    const from = NOON_S + DAY_S + 1;
    expect(await read(from)).toEqual({ found: [record(NOON_S + DAY_S + 300)], problems: [] });
  });

  it('says which file is damaged, and reads the others', async () => {
    const { open, read, directory } = world();
    const store = open();
    for (const passedS of [0, DAY_S]) store.append(line(NOON_S + passedS), NOON_S + passedS, 300);
    await store.close();
    const name = join(directory, '2026-11-22.001.csv.gz');
    const packed = readFileSync(name);
    for (const damaged of [packed.subarray(0, 30), Buffer.from('no gzip at all')]) {
      writeFileSync(name, damaged);
      const { found, problems } = await read();
      expect(found.at(-1)).toEqual(record(NOON_S + DAY_S));
      expect(problems).toEqual([`${name}: it is damaged; what could be read of it counts`]);
    }
  });

  it('gives rising times also where the clock was set back', async () => {
    const { open, read } = world();
    const store = open();
    for (const passedS of [0, 3600, 300, 3600, 3900]) {
      store.append(line(NOON_S + passedS), NOON_S + passedS, 300);
    }
    await store.close();
    const times = (await read()).found.map(({ timeS }) => timeS - NOON_S);
    expect(times).toEqual([0, 3600, 3900]);
  });

  it('of nothing is nothing', async () => {
    expect(await world().read()).toEqual({ found: [], problems: [] });
  });
});
