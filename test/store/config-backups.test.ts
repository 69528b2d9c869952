import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mib } from '../../src/core/units.ts';
import { parseGuestConfig } from '../../src/node/guests/lxc-conf.ts';
import type { GuestFile } from '../../src/node/port.ts';
import { createBackups } from '../../src/store/config-backups.ts';
import { manualClock, plant, temporaryDirectory, vmid } from '../node/local/world.ts';

function guestFile(text: string): GuestFile {
  const content = Buffer.from(text);
  const config = parseGuestConfig(vmid(101), content);
  if (!config.ok) throw new Error(config.detail);
  return { config: config.value, content };
}

const FILE = guestFile('#caf\u00e9\ncores: 2\r\nmemory: 512\n\n[s1]\ncores: 1\n');
const PURPOSE = {
  cores: { from: null, to: 3 },
  memoryMib: { from: mib(512), to: mib(768) },
  reason: 'CPU 91 % above 80 %',
};

function backupsIn(directory: string, keep?: number) {
  const clock = manualClock(Date.UTC(2026, 10, 21, 22, 44, 2, 123));
  const options = { directory, node: 'pve1', clock, ...(keep === undefined ? {} : { keep }) };
  return { clock, backups: createBackups(options) };
}

const DAY_MS = 86_400_000;

/** Makes a backup on each of these days; returns the days of those that are there at the end. */
function daysKept(
  days: readonly number[],
  limits: { readonly keep?: number; readonly keepMs?: number },
): number[] {
  const directory = temporaryDirectory();
  const clock = manualClock();
  const backups = createBackups({ directory, node: 'pve1', clock, ...limits });
  const paths = days.map((day, index) => {
    clock.advance((day - (days[index - 1] ?? 0)) * DAY_MS);
    const outcome = backups.write(FILE, PURPOSE);
    return outcome.ok ? outcome.path : '';
  });
  const kept = days.filter((_, index) => existsSync(paths[index] ?? ''));
  expect(filesBelow(join(directory, '101')).length).toBe(kept.length * 2);
  return kept;
}

function filesBelow(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

describe('a backup', () => {
  it('is the configuration byte for byte, with what it was made for beside it', () => {
    const directory = join(temporaryDirectory(), 'var/lib/backups');
    const { backups } = backupsIn(directory);
    const outcome = backups.write(FILE, PURPOSE);
    const base = `20261121T224402.123Z-${FILE.config.digest.slice(0, 8)}`;
    expect(outcome).toStrictEqual({ ok: true, path: join(directory, `101/${base}.conf`) });
    expect(readFileSync(join(directory, `101/${base}.conf`))).toStrictEqual(
      Buffer.from(FILE.content),
    );
    const about = JSON.parse(readFileSync(join(directory, `101/${base}.json`), 'utf8'));
    expect(about).toStrictEqual({
      version: 1,
      vmid: 101,
      node: 'pve1',
      takenAt: '2026-11-21T22:44:02.123Z',
      digest: FILE.config.digest,
      cores: { from: null, to: 3 },
      memoryMib: { from: mib(512), to: mib(768) },
      reason: 'CPU 91 % above 80 %',
      own: { cores: 2, cpuLimit: null, memoryMib: 512 },
    });
    expect(filesBelow(join(directory, '101'))).toStrictEqual([`${base}.conf`, `${base}.json`]);
  });

  it('is for nobody but root', () => {
    const directory = join(temporaryDirectory(), 'backups');
    const outcome = backupsIn(directory).backups.write(FILE, PURPOSE);
    const modes = [directory, join(directory, '101'), outcome.ok ? outcome.path : '']
      .map((path) => statSync(path).mode & 0o777)
      .map((mode) => mode.toString(8));
    expect(modes).toStrictEqual(['700', '700', '600']);
  });

  it('stays with the newest others, and the oldest go: 20 where nothing is said', () => {
    const directory = temporaryDirectory();
    const { backups, clock } = backupsIn(directory);
    for (let count = 0; count < 25; count++) {
      clock.advance(1000);
      backups.write(FILE, PURPOSE);
    }
    expect(filesBelow(join(directory, '101')).length).toBe(20 * 2);
  });

  it('goes when it is too old: 30 days where nothing is said', () => {
    const days = [0, 1, 2, 3, 4, 5, 29, 30.5, 34.5];
    expect(daysKept(days, {})).toStrictEqual([5, 29, 30.5, 34.5]);
    expect(daysKept(days, { keepMs: 6 * DAY_MS })).toStrictEqual([29, 30.5, 34.5]);
    expect(daysKept(days, { keepMs: 365 * DAY_MS })).toStrictEqual([0, 29, 30.5, 34.5]);
  });

  it('goes when there are too many, also of young ones', () => {
    const days = [0, 1, 2, 3, 4, 5];
    expect(daysKept(days, { keep: 4 })).toStrictEqual([2, 3, 4, 5]);
    expect(daysKept(days, { keep: 6 })).toStrictEqual(days);
  });

  it('stays among the newest three, however few or young they are to be', () => {
    const days = [0, 100, 200, 300];
    expect(daysKept(days, { keep: 1, keepMs: 1 })).toStrictEqual([100, 200, 300]);
    expect(daysKept(days, { keep: 0, keepMs: 0 })).toStrictEqual([100, 200, 300]);
  });

  it('stays with a given number of others', () => {
    const directory = temporaryDirectory();
    const { backups, clock } = backupsIn(directory, 3);
    plant(directory, { '101/README': 'not ours' });
    const paths = Array.from({ length: 5 }, () => {
      clock.advance(1000);
      const outcome = backups.write(FILE, PURPOSE);
      return outcome.ok ? outcome.path : outcome.message;
    });
    expect(paths.map(existsSync)).toStrictEqual([false, false, true, true, true]);
    expect(filesBelow(join(directory, '101')).length).toBe(3 * 2 + 1);
  });

  it('is kept also when the clock has gone back', () => {
    const directory = temporaryDirectory();
    const { backups, clock } = backupsIn(directory, 2);
    for (let count = 0; count < 3; count++) {
      clock.advance(1000);
      backups.write(FILE, PURPOSE);
    }
    clock.advance(-86_400_000);
    const outcome = backups.write(FILE, PURPOSE);
    expect(outcome.ok && existsSync(outcome.path)).toBe(true);
  });

  it('clears away what a killed process left, and nothing that another one has just begun', () => {
    const directory = temporaryDirectory();
    plant(directory, {
      '101/.20261121T223302.123Z-00000000.conf.tmp': 'half',
      '101/.20261121T225502.123Z-00000000.json.tmp': 'half, by a clock that was ahead',
      '101/.20261121T224402.000Z-00000000.conf.tmp': 'just begun',
      '101/.mine.tmp': 'not ours',
    });
    expect(backupsIn(directory).backups.write(FILE, PURPOSE).ok).toBe(true);
    expect(filesBelow(join(directory, '101')).filter((name) => name.startsWith('.'))).toStrictEqual(
      ['.20261121T224402.000Z-00000000.conf.tmp', '.mine.tmp'],
    );
  });
});

describe('a description without its copy, of a killed process', () => {
  it('takes no place of a copy, and goes', () => {
    const directory = temporaryDirectory();
    const old = ['20261121T214402.000Z-00000001', '20261121T204402.000Z-00000002'];
    const half = '20261121T223302.123Z-00000003';
    const young = '20261121T224402.000Z-00000004';
    plant(directory, {
      ...Object.fromEntries(
        old.flatMap((id) => [`101/${id}.conf`, `101/${id}.json`].map((name) => [name, ''])),
      ),
      [`101/${half}.json`]: '',
      [`101/${young}.json`]: '',
    });
    expect(backupsIn(directory, 3).backups.write(FILE, PURPOSE).ok).toBe(true);
    const names = filesBelow(join(directory, '101'));
    expect(names.filter((name) => old.some((id) => name.startsWith(id)))).toHaveLength(4);
    expect(names.filter((name) => name.startsWith(half))).toEqual([]);
    expect(names).toContain(`${young}.json`);
  });
});

describe('a backup that can not be made', () => {
  it('is told when a file stands in the way of the directory', () => {
    const directory = join(temporaryDirectory(), 'backups');
    writeFileSync(directory, '');
    expect(backupsIn(directory).backups.write(FILE, PURPOSE)).toMatchObject({
      ok: false,
      message: expect.stringMatching(
        /^The backup of container 101 could not be written to .*\/101: .* is not a directory\.$/,
      ),
    });
  });

  it('is told when a file stands in the way further up', () => {
    const root = temporaryDirectory();
    writeFileSync(join(root, 'var'), '');
    expect(backupsIn(join(root, 'var/backups')).backups.write(FILE, PURPOSE)).toMatchObject({
      ok: false,
      message: expect.stringContaining('a part of the path is not a directory (ENOTDIR)'),
    });
  });

  it('does not follow a link laid in place of the directory', () => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'elsewhere'));
    mkdirSync(join(root, 'backups'));
    symlinkSync('../elsewhere', join(root, 'backups/101'));
    expect(backupsIn(join(root, 'backups')).backups.write(FILE, PURPOSE)).toMatchObject({
      ok: false,
      message: expect.stringContaining('symbolic link'),
    });
    expect(filesBelow(join(root, 'elsewhere'))).toStrictEqual([]);
  });

  it('does not follow links laid in place of its files', () => {
    const root = temporaryDirectory();
    const { backups } = backupsIn(join(root, 'backups'));
    const base = `20261121T224402.123Z-${FILE.config.digest.slice(0, 8)}`;
    plant(root, { victim: 'precious' });
    mkdirSync(join(root, 'backups/101'), { recursive: true });
    for (const name of [`${base}.conf`, `${base}.json`, `.${base}.conf.tmp`, `.${base}.json.tmp`]) {
      symlinkSync('../../victim', join(root, 'backups/101', name));
    }
    const outcome = backups.write(FILE, PURPOSE);
    expect(readFileSync(join(root, 'victim'), 'utf8')).toBe('precious');
    expect(outcome.ok && readFileSync(outcome.path).equals(FILE.content)).toBe(true);
  });

  it('leaves nothing half done when a name is taken by a directory', () => {
    const directory = temporaryDirectory();
    const base = `20261121T224402.123Z-${FILE.config.digest.slice(0, 8)}`;
    plant(directory, { [`101/${base}.conf/inside`]: '' });
    expect(backupsIn(directory).backups.write(FILE, PURPOSE)).toMatchObject({ ok: false });
    expect(filesBelow(join(directory, '101'))).toStrictEqual([`${base}.conf`]);
  });

  it('is told when writing is not permitted', (context) => {
    if (process.getuid?.() === 0) context.skip('root is permitted everything');
    const directory = temporaryDirectory();
    chmodSync(directory, 0o500);
    expect(backupsIn(directory).backups.write(FILE, PURPOSE)).toMatchObject({
      ok: false,
      message: expect.stringContaining('permission denied (EACCES)'),
    });
  });
});

/** Works on a small file system of its own. Returns whether one may be mounted at all. */
function onMounted(options: string, work: (directory: string) => void): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    rmdirSync(directory);
    return false;
  }
  try {
    work(directory);
  } finally {
    execFileSync('umount', [directory]);
    rmdirSync(directory);
  }
  return true;
}

describe.skipIf(!onMounted('size=16k', () => {}))('a file system', () => {
  it('that is full is named, and no part of the backup is left', () => {
    onMounted('size=16k', (directory) => {
      mkdirSync(join(directory, '101'));
      const large = guestFile(`cores: 2\n#${'x'.repeat(100_000)}\n`);
      expect(backupsIn(directory).backups.write(large, PURPOSE)).toStrictEqual({
        ok: false,
        message:
          `The backup of container 101 could not be written to ${directory}/101: ` +
          'no space left on the device (ENOSPC).',
      });
      expect(filesBelow(join(directory, '101'))).toStrictEqual([]);
    });
  });

  it('that is read-only is named', () => {
    onMounted('ro', (directory) => {
      expect(backupsIn(join(directory, 'deep/er')).backups.write(FILE, PURPOSE)).toMatchObject({
        ok: false,
        message: expect.stringContaining('the file system is read-only (EROFS)'),
      });
    });
  });
});

describe('what an administrator gave a guest', () => {
  it('is what stood there before the first change, also after a second one', () => {
    const directory = temporaryDirectory();
    const { backups, clock } = backupsIn(directory);
    backups.write(guestFile('rootfs: local-lvm:vm-101-disk-0,size=8G\ncores: 4\nmemory: 2048\n'), {
      cores: { from: 4, to: 2 },
      reason: 'idle',
    });
    clock.advance(60_000);
    backups.write(guestFile('rootfs: local-lvm:vm-101-disk-0,size=8G\ncores: 2\nmemory: 2048\n'), {
      memoryMib: { from: mib(2048), to: mib(1536) },
      reason: 'unused',
    });
    const now = guestFile(
      'rootfs: local-lvm:vm-101-disk-0,size=8G\ncores: 2\nmemory: 1536\n',
    ).config;
    expect(backups.own?.(now)).toMatchObject({ cores: 4, memoryMib: 2048 });
    const bySomebody = guestFile(
      'rootfs: local-lvm:vm-101-disk-0,size=8G\ncores: 3\nmemory: 1536\n',
    ).config;
    expect(backups.own?.(bySomebody)).toMatchObject({ cores: 3, memoryMib: 2048 });
  });

  it('is what it has if nothing was ever changed, and not known if backups cannot be read', () => {
    const directory = temporaryDirectory();
    const { backups } = backupsIn(directory);
    expect(backups.own?.(FILE.config)).toMatchObject({ cores: 2, memoryMib: 512 });
    writeFileSync(join(directory, '101'), 'no directory');
    expect(backups.own?.(FILE.config)).toBeUndefined();
  });
});
