import { spawnSync } from 'node:child_process';
import { mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';
import { hungry, NodeUnderTest } from './node-under-test.ts';

/** A real file system that is small, and one that becomes read-only, under a running daemon. */

const mounted: string[] = [];

afterEach(() => {
  for (const place of mounted.splice(0)) spawnSync('umount', ['--lazy', place]);
});

/** Returns why it cannot be done. */
function mount(place: string, options: string): string | undefined {
  mkdirSync(place, { recursive: true });
  const made = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', place], {
    encoding: 'utf8',
  });
  if (made.status === 0) mounted.push(place);
  return made.status === 0 ? undefined : `no tmpfs can be mounted here: ${made.stderr ?? ''}`;
}

/** Leaves not a byte. */
function fill(place: string): void {
  for (const size of [64 * 1024, 4096, 1]) {
    try {
      for (let part = 0; ; part += 1) {
        writeFileSync(join(place, `filling-${size}-${part}`), Buffer.alloc(size));
      }
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' });
    }
  }
}

function makeRoom(place: string): void {
  spawnSync('sh', ['-c', 'rm -f "$1"/filling-*', 'sh', place]);
}

const times = (text: string, what: RegExp): number => [...text.matchAll(what)].length;
const NOTHING = /ERROR - Nothing is changed, since it could not be backed up or recorded: /g;

async function until(what: () => boolean, limitMs = PATIENCE_MS): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!what()) {
    if (performance.now() > endMs) throw new Error('it did not come about');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A daemon with a container to help, and what it says on the console. */
function startOn(test: NodeUnderTest) {
  const daemon = test.start(['daemon']);
  const heard = { text: '' };
  daemon.child.stdout?.on('data', (chunk) => {
    heard.text += chunk;
  });
  const cycles = () => times(heard.text, /Resource allocation process completed/g);
  return { daemon, heard, cycles };
}

describe('a daemon whose disk', () => {
  it('is full under its logs changes nothing, says so once, and goes on', {
    timeout: 240_000,
  }, async (context) => {
    const test = await NodeUnderTest.create([hungry(102)]);
    const place = join(test.root, 'var/log');
    const why = mount(place, 'size=256k,nr_inodes=1000');
    if (why !== undefined) return context.skip(why);
    fill(place);
    const { daemon, heard, cycles } = startOn(test);
    await until(() => cycles() >= 4);
    expect(test.sets()).toEqual([]);
    expect(times(heard.text, NOTHING)).toBe(1);
    expect(heard.text).toMatch(/Nothing is changed,.*no space left on the device|the disk is full/);
    const ill = await test.run(['health-check']);
    expect(ill.code).toBe(1);
    expect(ill.stdout).toMatch(/^FAILED +logs /m);
    makeRoom(place);
    await until(() => test.sets().length > 0);
    await until(() => heard.text.includes('Changes can be backed up and recorded again.'));
    await until(() => test.journal().length > 0);
    expect(test.journal()[0]).toMatchObject({ action: 'Increase Memory' });
    expect(test.log()).toContain('lines before this one could not be written to this file');
    daemon.signal('SIGTERM');
    const { code, stderr } = await daemon.ended;
    expect(code).toBe(0);
    expect(times(stderr, /The log file .* cannot be written/g)).toBe(1);
  });

  it('has become read-only under its backups does the same', {
    timeout: 240_000,
  }, async (context) => {
    const test = await NodeUnderTest.create([hungry(102)]);
    const place = join(test.root, 'var/lib/lxc_autoscale');
    const why = mount(place, 'size=1m');
    if (why !== undefined) return context.skip(why);
    const remount = (how: string) => spawnSync('mount', ['-o', `remount,${how}`, place]).status;
    expect(remount('ro')).toBe(0);
    const { daemon, heard, cycles } = startOn(test);
    await until(() => cycles() >= 3);
    expect(test.sets()).toEqual([]);
    expect(times(heard.text, NOTHING)).toBe(1);
    expect(heard.text).toMatch(/Nothing is changed,.*the file system is read-only \(EROFS\)/);
    expect(test.journal()).toEqual([]);
    expect(remount('rw')).toBe(0);
    await until(() => test.sets().length > 0);
    await until(() => test.journal().length > 0);
    expect(test.backups(102).length).toBeGreaterThan(0);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    rmSync(join(place, 'nothing'), { force: true });
  });

  it('takes backups and logs, but not the state, does the same', async () => {
    const test = await NodeUnderTest.create([hungry(102)]);
    // In the place of the file that becomes the state; only that cannot be written.
    const barrier = join(test.root, 'var/lib/lxc_autoscale/.state.json.tmp');
    mkdirSync(barrier, { recursive: true });
    const { daemon, heard, cycles } = startOn(test);
    await until(() => cycles() >= 3);
    expect(test.sets()).toEqual([]);
    expect(times(heard.text, NOTHING)).toBe(1);
    expect(times(heard.text, /WARNING - The state could not be saved to /g)).toBe(1);
    rmdirSync(barrier);
    await until(() => heard.text.includes('Changes can be backed up and recorded again.'));
    await until(() => test.sets().length > 0);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });
});
