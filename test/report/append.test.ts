import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { appendLine } from '../../src/report/append.ts';
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
      `import { appendLine } from './report/append.ts';
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
