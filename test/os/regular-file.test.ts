import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRegularFile } from '../../src/os/regular-file.ts';
import { plant, temporaryDirectory } from '../node/local/world.ts';

describe('a file of our own directories', () => {
  it.each(['', 'a', 'x'.repeat(100)])('is read whole: %j', (text) => {
    const root = temporaryDirectory();
    plant(root, { file: text });
    const read = readRegularFile(join(root, 'file'), 100);
    expect(read.ok && read.value.toString()).toBe(text);
  });

  it('is too large from one byte more than allowed', () => {
    const root = temporaryDirectory();
    plant(root, { file: 'x'.repeat(101) });
    expect(readRegularFile(join(root, 'file'), 100)).toMatchObject({
      ok: false,
      why: 'malformed',
      detail: expect.stringContaining('larger than 100 bytes'),
    });
  });

  it('is absent where there is none', () => {
    const path = join(temporaryDirectory(), 'file');
    expect(readRegularFile(path, 100)).toMatchObject({ ok: false, why: 'absent' });
  });

  it('is not what a link leads to', () => {
    const root = temporaryDirectory();
    plant(root, { secret: 'root:x' });
    symlinkSync('secret', join(root, 'file'));
    expect(readRegularFile(join(root, 'file'), 100)).toMatchObject({
      ok: false,
      why: 'unreadable',
      detail: expect.stringContaining('symbolic link'),
    });
  });

  it('is not a directory, and a pipe is not waited for', () => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'directory'));
    execFileSync('mkfifo', [join(root, 'pipe')]);
    for (const name of ['directory', 'pipe']) {
      expect(readRegularFile(join(root, name), 100)).toMatchObject({
        ok: false,
        why: 'malformed',
        detail: expect.stringContaining('no regular file'),
      });
    }
  });
});
