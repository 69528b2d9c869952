import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { createHolds } from '../../src/store/holds.ts';
import { identity } from '../core/builders.ts';
import { manualClock, plant, temporaryDirectory, vmid } from '../node/local/world.ts';

const HOUR_MS = 3_600_000;

function world() {
  const root = temporaryDirectory();
  const directory = join(root, 'lib/holds');
  const clock = manualClock(Date.UTC(2026, 10, 21, 22));
  const until = (ms: number) => milliseconds(clock.wallMs() + ms);
  return { root, directory, clock, until, holds: createHolds({ directory, clock }) };
}

describe('a hold', () => {
  it('is written and read, for that container, until its time', () => {
    const { holds, clock, until, directory } = world();
    const hold = { untilMs: until(HOUR_MS), reason: 'rolled back by hand' };
    expect(holds.write(vmid(101), hold)).toEqual({ ok: true });
    expect(readFileSync(join(directory, '101'), 'utf8')).toBe(
      '{"until":"2026-11-21T23:00:00.000Z","reason":"rolled back by hand"}\n',
    );
    clock.advance(HOUR_MS - 1);
    expect(holds.read()).toEqual({ holds: new Map([[101, hold]]), warnings: [] });
    clock.advance(1);
    expect(holds.read()).toEqual({ holds: new Map(), warnings: [] });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('is written and read with the guest that it is about', () => {
    const { holds, until } = world();
    const hold = { untilMs: until(HOUR_MS), reason: 'by hand', guest: identity(101) };
    holds.write(vmid(101), hold);
    expect(holds.read()).toEqual({ holds: new Map([[101, hold]]), warnings: [] });
  });

  it('replaces an earlier one, also after a process was killed while writing', () => {
    const { holds, until, directory } = world();
    plant(directory, { '.101.tmp': 'half' });
    holds.write(vmid(101), { untilMs: until(HOUR_MS), reason: 'first' });
    holds.write(vmid(101), { untilMs: until(2 * HOUR_MS), reason: 'second' });
    expect(holds.read().holds.get(vmid(101))?.reason).toBe('second');
    expect(readdirSync(directory)).toEqual(['101']);
  });

  it('is for nobody but root', () => {
    const { holds, until, directory } = world();
    holds.write(vmid(101), { untilMs: until(HOUR_MS), reason: '' });
    const modes = [directory, join(directory, '101')].map((path) => statSync(path).mode & 0o777);
    expect(modes).toEqual([0o700, 0o600]);
  });

  it('is none where there is no directory', () => {
    expect(world().holds.read()).toEqual({ holds: new Map(), warnings: [] });
  });

  it('is none for what is named otherwise', () => {
    const { holds, directory } = world();
    const content = '{"until":"2099-01-01T00:00:00Z","reason":"x"}';
    plant(directory, { '0101': content, '.101.tmp': content, readme: content, '99': content });
    expect(holds.read()).toEqual({ holds: new Map(), warnings: [] });
  });

  it('is taken as written by hand, its text made harmless', () => {
    const { holds, directory } = world();
    plant(directory, {
      '101': '{"until":"2099-01-01T00:00:00Z"}',
      '102': '{"until":"2099-01-01T00:00:00.5Z","reason":"a\\u001b[2J\\nb"}',
    });
    const { holds: found, warnings } = holds.read();
    expect(warnings).toEqual([]);
    expect(found.get(vmid(101))).toEqual({
      untilMs: Date.UTC(2099, 0, 1),
      reason: 'paused by hand',
    });
    expect(found.get(vmid(102))?.reason).toBe('a\\x1b[2J\\nb');
  });
});

describe('a hold that is damaged', () => {
  it.each([
    '',
    'x',
    '[]',
    '{}',
    '{"until":5}',
    '{"until":"tomorrow"}',
    '{"until":"2099-01-01"}',
    '{"until":"2099-13-01T00:00:00Z"}',
    'x'.repeat(5000),
    '\0\0\0',
  ])('is ignored with a warning: %j', (text) => {
    const { holds, directory } = world();
    plant(directory, { '101': text, '102': '{"until":"2099-01-01T00:00:00Z"}' });
    const { holds: found, warnings } = holds.read();
    expect([...found.keys()]).toEqual([102]);
    expect(warnings).toEqual([expect.stringMatching(/^Hold .*\/101: .*it is ignored/)]);
  });

  it('is ignored where it is a link or a directory', () => {
    const { holds, directory, root } = world();
    plant(root, { outside: '{"until":"2099-01-01T00:00:00Z"}' });
    mkdirSync(join(directory, '102'), { recursive: true });
    symlinkSync('../../outside', join(directory, '101'));
    const { holds: found, warnings } = holds.read();
    expect(found.size).toBe(0);
    expect(warnings).toHaveLength(2);
  });

  it('is told where the directory is none', () => {
    const { holds, root, until } = world();
    plant(root, { 'lib/holds': '' });
    expect(holds.read().warnings).toEqual([expect.stringContaining('Holds cannot be read')]);
    expect(holds.write(vmid(101), { untilMs: until(1), reason: '' })).toMatchObject({
      ok: false,
      message: expect.stringContaining('guest 101 could not be written'),
    });
  });

  it('is not written through a link', () => {
    const { holds, root, directory, until } = world();
    mkdirSync(join(root, 'elsewhere'));
    mkdirSync(join(root, 'lib'));
    symlinkSync('../elsewhere', directory);
    expect(holds.write(vmid(101), { untilMs: until(1), reason: '' }).ok).toBe(false);
    expect(readdirSync(join(root, 'elsewhere'))).toEqual([]);
  });

  it('is written over a link without following it', () => {
    const { holds, root, directory, until } = world();
    writeFileSync(join(root, 'victim'), 'precious');
    mkdirSync(directory, { recursive: true });
    symlinkSync('../../victim', join(directory, '101'));
    symlinkSync('../../victim', join(directory, '.101.tmp'));
    expect(holds.write(vmid(101), { untilMs: until(HOUR_MS), reason: 'x' })).toEqual({ ok: true });
    expect(readFileSync(join(root, 'victim'), 'utf8')).toBe('precious');
    expect(holds.read().holds.size).toBe(1);
  });
});
