import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findExecutable } from '../../src/os/executable-files.ts';
import { isJournalStream } from '../../src/os/journal-stream.ts';
import { removeFile, replaceFile } from '../../src/os/textfile.ts';
import { whyNoFileIn, whyNothingToAppend } from '../../src/os/writable-files.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'writable-'));
});

afterEach(() => {
  spawnSync('umount', ['--lazy', join(directory, 'small')]);
  rmSync(directory, { recursive: true, force: true });
});

describe('whether something could be written', () => {
  it('is found out without leaving a trace', () => {
    const file = join(directory, 'a/b/log.json');
    expect(whyNothingToAppend(file)).toBeUndefined();
    expect(readdirSync(join(directory, 'a/b'))).toEqual([]);
    writeFileSync(file, 'one\n');
    expect(whyNothingToAppend(file)).toBeUndefined();
    expect(readFileSync(file, 'utf8')).toBe('one\n');
    expect(readdirSync(join(directory, 'a/b'))).toEqual(['log.json']);
  });

  it('is not so where a directory or a file stands in the way', () => {
    writeFileSync(join(directory, 'file'), '');
    mkdirSync(join(directory, 'log.json'));
    expect(whyNoFileIn(join(directory, 'file'))).toMatch(/file is not a directory$/);
    expect(whyNoFileIn(join(directory, 'file/x'))).toMatch(/\(ENOTDIR\)$/);
    expect(whyNothingToAppend(join(directory, 'log.json'))).toMatch(
      /it is a directory \(EISDIR\)$/,
    );
  });

  it('is not so on a full disk, nor on one that has become read-only', (context) => {
    const small = join(directory, 'small');
    mkdirSync(small);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', small]);
    if (mounted.status !== 0) return context.skip('no tmpfs can be mounted here');
    expect(whyNoFileIn(small)).toMatch(/disk is full|\(ENOSPC\)$/);
    expect(readdirSync(small)).toEqual([]);
    spawnSync('mount', ['-o', 'remount,ro,size=1m', small]);
    expect(whyNoFileIn(small)).toMatch(/the file system is read-only \(EROFS\)$/);
    spawnSync('mount', ['-o', 'remount,rw,size=1m', small]);
    expect(whyNoFileIn(small)).toBeUndefined();
  });
});

describe('a file that others read at any time', () => {
  it('is replaced as a whole, and nothing is left beside it', () => {
    const file = join(directory, 'a.prom');
    expect(replaceFile(file, 'one\n')).toBeUndefined();
    writeFileSync(join(directory, '.a.prom.tmp'), 'half of an earlier');
    expect(replaceFile(file, 'two\n')).toBeUndefined();
    expect(readFileSync(file, 'utf8')).toBe('two\n');
    expect(readdirSync(directory)).toEqual(['a.prom']);
    removeFile(file);
    removeFile(file);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('that cannot be written is told as a value', () => {
    expect(replaceFile(join(directory, 'none/a.prom'), '')).toMatch(/none\/a\.prom: .*\(ENOENT\)$/);
  });
});

it('a program is found by PATH only where it can be run', () => {
  mkdirSync(join(directory, 'one/pct'), { recursive: true });
  mkdirSync(join(directory, 'two'));
  mkdirSync(join(directory, 'three'));
  writeFileSync(join(directory, 'two/pct'), '', { mode: 0o644 });
  writeFileSync(join(directory, 'three/pct'), '', { mode: 0o755 });
  const PATH = ['one', 'two', 'three'].map((name) => join(directory, name)).join(':');
  expect(findExecutable('pct', { PATH })).toBe(join(directory, 'three/pct'));
  expect(findExecutable('pct', { PATH: `::${join(directory, 'two')}` })).toBeUndefined();
});

it('the journal of systemd is told by its device and inode, and only so', () => {
  const stream = Object.assign(new Writable(), { fd: 1 });
  const node = spawnSync('stat', ['--dereference', '--format=%d:%i', '/dev/stdin'], {
    encoding: 'utf8',
    stdio: [1, 'pipe', 'inherit'],
  }).stdout.trim();
  expect(isJournalStream(stream, { JOURNAL_STREAM: node })).toBe(true);
  expect(isJournalStream(stream, { JOURNAL_STREAM: `${node}1` })).toBe(false);
  expect(isJournalStream(stream, {})).toBe(false);
  expect(isJournalStream(new Writable(), { JOURNAL_STREAM: node })).toBe(false);
});
