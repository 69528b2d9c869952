import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { farLeaseFiles } from '../../src/node/ssh/far-lease.ts';
import { Lease } from '../../src/os/lease.ts';
import { leaseFilesIn } from '../../src/os/lease-files.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { connect } from '../node/ssh/pipe.ts';

/** The files of a lease, here and at the far end of a connection: the same. */

let pve: string;
let directory: string;

beforeEach(() => {
  pve = join(temporaryDirectory(), 'etc/pve/priv');
  mkdirSync(pve, { recursive: true });
  writeFileSync(join(pve, '../.vmlist'), '{}');
  directory = join(pve, 'lxc_autoscale/leases/pve1');
});

it('far away are neither read nor made where the cluster file system is not mounted', async () => {
  rmSync(join(pve, '..'), { recursive: true });
  const files = farLeaseFiles(connect(), () => directory);
  expect(await files.read()).toMatchObject({ ok: false, why: 'absent' });
  const lease = new Lease({
    files,
    holder: { host: 'one', how: 'ssh', seat: 'one' },
    instance: 'one',
    monotonicMs: () => 0,
    ttlS: 90,
  });
  await lease.tend();
  expect(lease.standing).toMatchObject({
    kind: 'unknown',
    why: expect.stringContaining('mounted'),
  });
  expect(existsSync(join(pve, '..'))).toBe(false);
});

const TEXT = `${'x'.repeat(511)}\n`;

describe.each([
  ['here', () => leaseFilesIn(directory)],
  ['far away', () => farLeaseFiles(connect(), () => directory)],
])('files of a lease %s', (_, make) => {
  it('are none before there is a directory, which is made for root alone', async () => {
    const files = make();
    expect(await files.read()).toEqual({ ok: true, value: new Map() });
    await files.create('1.lease', TEXT);
    expect(await files.read()).toEqual({ ok: true, value: new Map([['1.lease', TEXT]]) });
    const modes = [directory, join(directory, '1.lease')].map(
      (path) => statSync(path).mode & 0o777,
    );
    expect(modes).toEqual([0o700, 0o600]);
  });

  it('are made once only', async () => {
    const files = make();
    await files.create('1.lease', TEXT);
    await expect(files.create('1.lease', 'other')).rejects.toMatchObject({ code: 'EEXIST' });
    expect(readFileSync(join(directory, '1.lease'), 'utf8')).toBe(TEXT);
  });

  it('are written over in place, and only if they are there', async () => {
    const files = make();
    await expect(files.overwrite('1.lease', TEXT)).rejects.toMatchObject({ code: 'ENOENT' });
    await files.create('1.lease', TEXT);
    await files.overwrite('1.lease', 'anew');
    // Nothing is cut off, so that nobody ever reads an empty file.
    expect(readFileSync(join(directory, '1.lease'), 'utf8')).toBe(`anew${TEXT.slice(4)}`);
    await files.remove('1.lease');
    expect(await files.read()).toEqual({ ok: true, value: new Map() });
  });

  it('are made in a directory of Proxmox VE only if that is there', async () => {
    rmSync(pve, { recursive: true });
    await expect(make().create('1.lease', TEXT)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(existsSync(pve)).toBe(false);
  });

  it('say why they cannot be had', async () => {
    mkdirSync(join(pve, 'lxc_autoscale/leases'), { recursive: true });
    writeFileSync(directory, '');
    // A file in the place of the directory has no files in it either.
    const seen = await make().read();
    expect(seen).toEqual({ ok: true, value: new Map() });
    await expect(make().create('1.lease', TEXT)).rejects.toBeInstanceOf(Error);
    rmSync(directory);
  });
});
