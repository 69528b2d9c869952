import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { appendLine } from '../../src/output/append.ts';
import { bundleScript, runBash } from './run-child.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'append-'));
  file = join(directory, 'a', 'b', 'file.log');
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const content = () => readFileSync(file, 'utf8');

describe('appendLine', () => {
  it('makes the directory and a file that others cannot read', () => {
    expect(appendLine(file, 'one')).toEqual({ ok: true });
    expect(appendLine(file, 'zwölf')).toEqual({ ok: true });
    expect(content()).toBe('one\nzwölf\n');
    expect(statSync(file).mode & 0o777).toBe(0o640 & ~process.umask());
  });

  it('keeps what is there, and its mode', () => {
    mkdirSync(join(directory, 'a', 'b'), { recursive: true });
    writeFileSync(file, 'old\n');
    chmodSync(file, 0o604);
    appendLine(file, 'new');
    expect(content()).toBe('old\nnew\n');
    expect(statSync(file).mode & 0o777).toBe(0o604);
  });

  it('follows a file that was rotated away or removed with its directory', () => {
    appendLine(file, 'one');
    renameSync(file, `${file}.1`);
    appendLine(file, 'two');
    expect(readFileSync(`${file}.1`, 'utf8')).toBe('one\n');
    expect(content()).toBe('two\n');
    rmSync(join(directory, 'a'), { recursive: true });
    appendLine(file, 'three');
    expect(content()).toBe('three\n');
  });

  it('does not glue a line to half a line', () => {
    appendLine(file, 'one');
    writeFileSync(file, 'one\n{"half":');
    appendLine(file, '{}');
    appendLine(file, '{}');
    expect(content()).toBe('one\n{"half":\n{}\n{}\n');
  });

  it.each([
    ['a directory', () => mkdirSync(file, { recursive: true }), 'EISDIR'],
    [
      'a file where a directory should be',
      () => writeFileSync(join(directory, 'a'), ''),
      'ENOTDIR',
    ],
  ])('says why when the path is %s', (_what, arrange, code) => {
    arrange();
    expect(appendLine(file, 'x')).toMatchObject({
      ok: false,
      message: expect.stringContaining(code),
    });
  });

  it('says so when the disk is full', () => {
    const outcome = appendLine('/dev/full', 'x');
    expect(outcome).toMatchObject({ ok: false, message: expect.stringContaining('ENOSPC') });
  });

  it('does not hang on a named pipe that nobody reads', () => {
    const pipe = join(directory, 'pipe');
    expect(runBash(`mkfifo ${pipe}`).status).toBe(0);
    expect(appendLine(pipe, 'x').ok).toBe(true);
    expect(appendLine(pipe, 'x'.repeat(1_000_000)).ok).toBe(false);
  });

  it('takes half a line back that no longer found room', () => {
    const script = bundleScript(
      directory,
      `import { appendLine } from './output/append.ts';
       const line = 'x'.repeat(399);
       const seen = [];
       for (let i = 0; i < 4; i += 1) seen.push(appendLine(process.argv[2], line));
       console.log(JSON.stringify(seen));`,
    );
    // The largest size of a file is 1024 bytes here: two lines and a half.
    const run = runBash(`ulimit -f 1; exec ${process.execPath} ${script} ${file}`);
    const seen: unknown = JSON.parse(run.stdout);
    expect(seen).toMatchObject([{ ok: true }, { ok: true }, { ok: false }, { ok: false }]);
    expect(run.stdout).toContain('only 224 of 400 bytes could be written');
    expect(content()).toBe(`${'x'.repeat(399)}\n`.repeat(2));
  });
});

describe('a file that has become too large', () => {
  const rotation = { maxBytes: 20, keep: 3 };
  const names = () => readdirSync(join(directory, 'a', 'b')).sort();
  const older = (age: number) => readFileSync(`${file}.${age}`, 'utf8');

  it('is moved aside before the line that has no more room, and so many are kept', () => {
    for (const line of ['0 234567', '1 234567', '2 234567', '3 234567']) {
      expect(appendLine(file, line, rotation)).toEqual({ ok: true });
    }
    // Nine bytes a line: two have room, a third one has not.
    expect(content()).toBe('2 234567\n3 234567\n');
    expect(older(1)).toBe('0 234567\n1 234567\n');
    for (let n = 4; n < 20; n += 1) appendLine(file, `${n}`.padEnd(8), rotation);
    expect(names()).toEqual(['file.log', 'file.log.1', 'file.log.2', 'file.log.3']);
    expect(content().slice(0, 2)).toBe('18');
    expect([older(1), older(2), older(3)].map((text) => text.slice(0, 2))).toEqual([
      '16',
      '14',
      '12',
    ]);
  });

  it('takes the place that one which was cut off has left free, and what is older stays', () => {
    for (const line of ['0 234567', '1 234567']) appendLine(file, line, rotation);
    writeFileSync(`${file}.2`, 'older');
    writeFileSync(`${file}.3`, 'oldest');
    appendLine(file, '2 234567', rotation);
    expect([older(1).slice(0, 1), older(2), older(3)]).toEqual(['0', 'older', 'oldest']);
  });

  it('is left as it is for a line that no file has room for', () => {
    appendLine(file, 'x'.repeat(100), rotation);
    expect(names()).toEqual(['file.log']);
    appendLine(file, 'y'.repeat(100), rotation);
    expect(older(1)).toBe(`${'x'.repeat(100)}\n`);
    expect(content()).toBe(`${'y'.repeat(100)}\n`);
  });

  it('grows on where it cannot be moved, and no line is lost', () => {
    const one = { ...rotation, keep: 1 };
    appendLine(file, 'a'.repeat(15), one);
    mkdirSync(join(`${file}.1`, 'in the way'), { recursive: true });
    expect(appendLine(file, 'b'.repeat(15), one)).toEqual({ ok: true });
    expect(content()).toBe(`${'a'.repeat(15)}\n${'b'.repeat(15)}\n`);
  });

  it('grows without bound where nothing is said', () => {
    for (let n = 0; n < 50; n += 1) appendLine(file, 'abcdefgh');
    expect(names()).toEqual(['file.log']);
  });
});
