import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeConfiguration } from '../../src/store/own-config.ts';

let directory = '';
const STAMP = '20261122-040857';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-own-config-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const at = (name: string) => join(directory, name);
const modeOf = (name: string) => (statSync(at(name)).mode & 0o777).toString(8);
const textOf = (name: string) => readFileSync(at(name), 'utf8');

describe('writing a configuration', () => {
  it('makes a new one that only root and its group read', () => {
    expect(writeConfiguration(at('a.yaml'), 'new', STAMP)).toEqual({ ok: true, backup: undefined });
    expect([textOf('a.yaml'), modeOf('a.yaml')]).toEqual(['new', '640']);
    expect(readdirSync(directory)).toEqual(['a.yaml']);
  });

  it('keeps what was there beside it, and never overwrites that', () => {
    writeFileSync(at('a.yaml'), 'one');
    const first = writeConfiguration(at('a.yaml'), 'two', STAMP);
    const second = writeConfiguration(at('a.yaml'), 'three', STAMP);
    expect(first).toEqual({ ok: true, backup: at(`a.yaml.${STAMP}.backup`) });
    expect(second).toEqual({ ok: true, backup: at(`a.yaml.${STAMP}-2.backup`) });
    expect(textOf('a.yaml')).toBe('three');
    expect(textOf(`a.yaml.${STAMP}.backup`)).toBe('one');
    expect(textOf(`a.yaml.${STAMP}-2.backup`)).toBe('two');
  });

  it.each([
    [0o600, '600'],
    [0o640, '640'],
    [0o644, '640'],
    [0o777, '640'],
  ])('never makes permissions wider: %o', (before, after) => {
    writeFileSync(at('a.yaml'), 'one');
    chmodSync(at('a.yaml'), before);
    writeConfiguration(at('a.yaml'), 'two', STAMP);
    expect(modeOf('a.yaml')).toBe(after);
    expect(modeOf(`a.yaml.${STAMP}.backup`)).toBe(after);
  });

  it('follows a link and leaves it', () => {
    mkdirSync(at('real'));
    writeFileSync(at('real/a.yaml'), 'one');
    symlinkSync('real/a.yaml', at('a.yaml'));
    expect(writeConfiguration(at('a.yaml'), 'two', STAMP).ok).toBe(true);
    expect(textOf('real/a.yaml')).toBe('two');
    expect(readdirSync(at('real')).sort()).toEqual(['a.yaml', `a.yaml.${STAMP}.backup`]);
  });

  it('says why it could not, and leaves what is there', () => {
    mkdirSync(at('d'));
    const messages = [at('d'), at('no/a.yaml')].map((path) => {
      const written = writeConfiguration(path, 'x', STAMP);
      return written.ok ? '' : written.message.replaceAll(directory, '');
    });
    expect(messages).toEqual([
      '/d is no regular file',
      '/no/a.yaml could not be written: its directory does not exist',
    ]);
  });

  it('removes what a process left that was ended in the middle, and nothing else', () => {
    // No process has this id: it is above the largest that Linux gives.
    const dead = 4_194_305;
    const others = [`.a.yaml.${process.ppid}.tmp`, '.a.yaml.x.tmp', `.b.yaml.${dead}.tmp`];
    for (const name of [`.a.yaml.${dead}.tmp`, ...others]) writeFileSync(at(name), 'hal');
    expect(writeConfiguration(at('a.yaml'), 'two', STAMP).ok).toBe(true);
    expect(readdirSync(directory).sort()).toEqual([...others, 'a.yaml'].sort());
  });
});
