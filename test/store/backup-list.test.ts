import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StoredBackup } from '../../src/core/backup.ts';
import { mib } from '../../src/core/units.ts';
import { parseGuestConfig } from '../../src/node/guests/lxc-conf.ts';
import type { GuestFile } from '../../src/node/port.ts';
import type { BackupPurpose } from '../../src/ports.ts';
import { listBackups } from '../../src/store/backup-list.ts';
import { createBackups } from '../../src/store/config-backups.ts';
import { manualClock, plant, temporaryDirectory, vmid } from '../node/local/world.ts';

function guestFile(id: number, text: string): GuestFile {
  const content = Buffer.from(text);
  const config = parseGuestConfig(vmid(id), content);
  if (!config.ok) throw new Error(config.detail);
  return { config: config.value, content };
}

const PURPOSE: BackupPurpose = {
  memoryMib: { from: mib(512), to: mib(1024) },
  reason: 'it needs more',
};

/** Two backups of 101 and, in between, one of 102. */
function threeBackups() {
  const directory = join(temporaryDirectory(), 'backups');
  const clock = manualClock(Date.UTC(2026, 10, 21, 22, 4, 45, 7));
  const backups = createBackups({ directory, node: 'pve1', clock });
  const write = (id: number, memoryMib: number, purpose: BackupPurpose = PURPOSE): string => {
    const text = `hostname: web\ncores: 2\nmemory: ${memoryMib}\n`;
    const outcome = backups.write(guestFile(id, text), purpose);
    if (!outcome.ok) throw new Error(outcome.message);
    clock.advance(60_000);
    return outcome.path;
  };
  const paths = [write(101, 512), write(102, 2048), write(101, 1024)] as const;
  return { directory, write, paths };
}

function listed(directory: string, only?: number): readonly StoredBackup[] {
  const listing = listBackups(directory, only === undefined ? undefined : vmid(only));
  if (!listing.ok) throw new Error(listing.detail);
  expect(listing.value.problems).toEqual([]);
  return listing.value.backups;
}

const detailOf = (reading: StoredBackup['config'] | StoredBackup['madeFor'] | undefined): string =>
  reading === undefined || reading.ok ? 'no fault' : reading.detail;

describe('the list of backups', () => {
  it('has the newest first, of all containers or of one', () => {
    const { directory, paths } = threeBackups();
    expect(listed(directory).map(({ path }) => path)).toEqual([paths[2], paths[1], paths[0]]);
    expect(listed(directory, 101).map(({ path }) => path)).toEqual([paths[2], paths[0]]);
    expect(listed(directory, 103)).toEqual([]);
  });

  it('says of each when, of what, and what for', () => {
    const { directory, paths } = threeBackups();
    const digest = createHash('sha1')
      .update('hostname: web\ncores: 2\nmemory: 512\n')
      .digest('hex');
    expect(listed(directory, 101).at(-1)).toMatchObject({
      vmid: 101,
      id: `20261121T220445.007Z-${digest.slice(0, 8)}`,
      path: paths[0],
      takenAtMs: Date.UTC(2026, 10, 21, 22, 4, 45, 7),
      config: { ok: true, value: { name: 'web', cores: 2, memoryMib: 512, digest } },
      madeFor: { ok: true, value: { kind: 'change', ...PURPOSE } },
    });
  });

  it('tells a change from a rollback, and both from what was half done', () => {
    const { directory, write } = threeBackups();
    write(101, 2048, { ...PURPOSE, rollbackTo: 'an id' });
    write(101, 2048, { reason: 'Putting back what was half done' });
    write(101, 2048, { cores: { from: null, to: 3 }, reason: 'busy' });
    const kinds = listed(directory, 101).map(({ madeFor }) => madeFor.ok && madeFor.value.kind);
    expect(kinds).toEqual(['change', 'half-done', 'rollback', 'change', 'change']);
    expect(listed(directory, 101)[0]?.madeFor).toMatchObject({
      value: { cores: { from: null, to: 3 } },
    });
    write(101, 2048, { cpuLimit: { from: null, to: 0.5 }, reason: 'busy' });
    expect(listed(directory, 101)[0]?.madeFor).toMatchObject({
      value: { kind: 'change', cpuLimit: { from: null, to: 0.5 } },
    });
  });

  it('is empty where there is no directory, or nothing of ours in it', () => {
    const directory = temporaryDirectory();
    expect(listed(join(directory, 'backups'))).toEqual([]);
    plant(directory, {
      'backups/readme.txt': '',
      'backups/0101/20261121T220445.007Z-00000000.conf': 'memory: 512\n',
      'backups/101/20261121T220445.007Z-00000000.json': '{}',
      'backups/101/.20261121T220445.007Z-00000000.conf.tmp': 'memory: 512\n',
      'backups/101/101.conf': 'memory: 512\n',
    });
    expect(listed(join(directory, 'backups'))).toEqual([]);
  });

  it('is missing where the directory is a file', () => {
    const directory = join(temporaryDirectory(), 'backups');
    writeFileSync(directory, '');
    expect(listBackups(directory)).toMatchObject({ ok: false, why: 'unreadable' });
  });
});

describe('a backup that is damaged', () => {
  it('has no description, or one that says nothing', () => {
    const { directory, paths } = threeBackups();
    const description = paths[2].replace('.conf', '.json');
    for (const text of ['', '{', '[]', '{"reason": 5}', 'null', '\0']) {
      writeFileSync(description, text);
      expect(listed(directory, 101)[0]).toMatchObject({
        config: { ok: true },
        madeFor: { ok: false, why: 'malformed' },
      });
    }
    rmSync(description);
    expect(listed(directory, 101)[0]?.madeFor).toMatchObject({ ok: false, why: 'absent' });
  });

  it('says nothing of what an administrator had set where that is no set of values', () => {
    const { directory, paths } = threeBackups();
    const values = { cores: null, cpuLimit: 0.5, memoryMib: 512 };
    for (const own of [{}, 5, null, { ...values, memoryMib: null }, { ...values, cores: '2' }]) {
      writeFileSync(paths[2].replace('.conf', '.json'), JSON.stringify({ reason: 'x', own }));
      expect(listed(directory, 101)[0]?.madeFor).toMatchObject({ ok: true });
      expect(listed(directory, 101)[0]?.madeFor).not.toHaveProperty('value.own');
    }
    writeFileSync(paths[2].replace('.conf', '.json'), JSON.stringify({ reason: 'x', own: values }));
    expect(listed(directory, 101)[0]?.madeFor).toMatchObject({ value: { own: values } });
  });

  it('keeps its reason where only its numbers are nonsense', () => {
    const { directory, paths } = threeBackups();
    const text = JSON.stringify({ reason: 'x', cores: { from: 'a', to: 2 }, memoryMib: [1] });
    writeFileSync(paths[2].replace('.conf', '.json'), text);
    const { madeFor } = listed(directory, 101)[0] ?? {};
    expect(madeFor).toEqual({ ok: true, value: { kind: 'change', reason: 'x' } });
  });

  it('is known by its digest when somebody has written to it', () => {
    const { directory, paths } = threeBackups();
    writeFileSync(paths[2], 'hostname: web\ncores: 2\nmemory: 16\n');
    expect(detailOf(listed(directory, 101)[0]?.config)).toMatch(/no longer what was written/);
    truncateSync(paths[2], 3);
    expect(listed(directory, 101)[0]?.config.ok).toBe(false);
  });

  it('is no link, whether of the copy, of its description or of the directory', () => {
    const { directory, paths } = threeBackups();
    const [, other, newest] = paths;
    rmSync(newest);
    symlinkSync(other, newest);
    rmSync(newest.replace('.conf', '.json'));
    symlinkSync(other.replace('.conf', '.json'), newest.replace('.conf', '.json'));
    const [linked] = listed(directory, 101);
    expect(detailOf(linked?.config)).toMatch(/symbolic link/);
    expect(detailOf(linked?.madeFor)).toMatch(/symbolic link/);
    symlinkSync('102', join(directory, '103'));
    const listing = listBackups(directory);
    expect(listing).toMatchObject({
      ok: true,
      value: { problems: [{ detail: expect.stringMatching(/103: .*symbolic link/) }] },
    });
    expect(listing.ok && listing.value.backups.some(({ vmid: of }) => of === 103)).toBe(false);
  });

  it('may be a directory', () => {
    const { directory } = threeBackups();
    mkdirSync(join(directory, '101/20270101T000000.000Z-00000000.conf'));
    expect(detailOf(listed(directory, 101)[0]?.config)).toMatch(/no regular file/);
  });
});
