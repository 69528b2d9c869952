import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { renderProblem } from '../../src/config/problem.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'config-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

function messages(path: string): string[] {
  const result = loadConfig(path, '/etc/x.yaml', {});
  return result.ok ? ['no problem'] : result.problems.map(renderProblem);
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

const TOO_BIG =
  '/etc/x.yaml: is larger than 1 MiB, so it is no configuration of this program; ' +
  'check the path after --config';
const NO_TEXT =
  '/etc/x.yaml: is not a text file in UTF-8; check the path after --config, or save it as UTF-8';
const NOT_REGULAR = '/etc/x.yaml: is not a regular file; give the path of a text file';

describe('loadConfig', () => {
  it('reads a file', () => {
    expect(messages(file('good.yaml', 'DEFAULT:\n'))).toEqual(['no problem']);
  });

  it('names the file as the admin knows it, with the line', () => {
    expect(messages(file('bad.yaml', 'DEFAULT:\n  max_cores: 0\n'))).toEqual([
      '/etc/x.yaml:2: max_cores: 0 is too low; ' +
        'allowed: a whole number from 1 to 8192, or in tenths from 0.1 where cpu_unit is ' +
        'cpulimit; or configured (what you gave it), or a share of that such as 150 %',
    ]);
  });

  it('follows a symbolic link', () => {
    const link = join(dir, 'link.yaml');
    symlinkSync(file('target.yaml', 'DEFAULT:\n'), link);
    expect(messages(link)).toEqual(['no problem']);
  });

  it('a missing file', () => {
    const sentence = 'does not exist; create it, or give the path of another one after --config';
    expect(messages(join(dir, 'none.yaml'))).toEqual([`/etc/x.yaml: ${sentence}`]);
  });

  it('a path through a file', () => {
    const [message] = messages(join(file('plain', ''), 'x.yaml'));
    expect(message).toMatch(/does not exist, since a part of its path is no directory/);
  });

  it('a directory', () => {
    mkdirSync(join(dir, 'sub'));
    expect(messages(join(dir, 'sub'))).toEqual([
      '/etc/x.yaml: is a directory; give the path of the configuration file in it',
    ]);
  });

  it('a symbolic link to itself', () => {
    const link = join(dir, 'loop.yaml');
    symlinkSync(link, link);
    expect(messages(link)).toEqual([
      '/etc/x.yaml: is a symbolic link that leads back to itself; mend the link',
    ]);
  });

  it('a file without permission to read', (context) => {
    const path = file('secret.yaml', 'DEFAULT:\n');
    execFileSync('chmod', ['0000', path]);
    const isRoot = process.geteuid?.() === 0;
    // Root may read everything, so it steps down for the moment of the call.
    if (isRoot) execFileSync('chmod', ['0711', dir]);
    try {
      if (isRoot) process.seteuid?.(65_534);
    } catch (error) {
      // Debian 13's own Node does not let it, since its io_uring would go on as root.
      context.skip(error instanceof Error ? error.message : '');
    }
    const said = messages(path);
    if (isRoot) process.seteuid?.(0);
    expect(said).toEqual([
      '/etc/x.yaml: may not be read; ' +
        'run this as root, or check the permissions of the file and its path',
    ]);
  });

  it('an empty file', () => {
    expect(messages(file('empty.yaml', ''))[0]).toMatch(/^\/etc\/x\.yaml: is empty or holds only/);
  });

  it.each([
    ['null bytes', new Uint8Array([68, 0, 69])],
    ['an executable', new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0xff])],
    ['Latin-1', new Uint8Array([0x23, 0x20, 0xe9, 0x0a])],
    ['UTF-16', new Uint8Array([0xff, 0xfe, 0x44, 0x00])],
  ])('%s', (name, content) => {
    expect(messages(file(`binary ${name}`, content))).toEqual([NO_TEXT]);
  });

  it('more than could be read, so that it is not read', () => {
    const path = file('big.yaml', '');
    truncateSync(path, 2 ** 40);
    expect(() => readFileSync(path)).toThrow('greater than 2 GiB');
    expect(messages(path)).toEqual([TOO_BIG]);
  });

  it('one byte more than 1 MiB, and exactly 1 MiB', () => {
    const text = `DEFAULT:\n${'#'.repeat(1024 * 1024 - 9)}`;
    expect(messages(file('just.yaml', text))).toEqual(['no problem']);
    expect(messages(file('over.yaml', `${text}#`))).toEqual([TOO_BIG]);
  });

  it('a pipe that nobody writes to, which must not hang', () => {
    const path = join(dir, 'pipe.yaml');
    execFileSync('mkfifo', [path]);
    expect(messages(path)).toEqual([NOT_REGULAR]);
  });

  it('devices without end', () => {
    expect(messages('/dev/zero')).toEqual([NOT_REGULAR]);
    expect(messages('/dev/null')).toEqual([NOT_REGULAR]);
  });

  it('a socket', async () => {
    const path = join(dir, 'socket.yaml');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect(messages(path)).toEqual([NOT_REGULAR]);
    await new Promise((resolve) => server.close(resolve));
  });

  it('a path that no file can have', () => {
    expect(messages('a\0b')[0]).toMatch(/a path that holds a null byte/);
    expect(messages(`/${'x'.repeat(5000)}`)[0]).toMatch(/a path that is too long/);
  });

  it('a name with control characters is made fit to print', () => {
    const result = loadConfig(join(dir, 'none'), '/etc/\u001b[31m\nx', {});
    expect(result.ok ? [] : result.problems.map(renderProblem)[0]).toMatch(
      /^\/etc\/\\x1b\[31m\\nx: does not exist/,
    );
  });
});
