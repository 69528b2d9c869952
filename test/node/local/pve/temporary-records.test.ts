import { readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { createTemporaryRecords } from '../../../../src/node/local/pve/temporary-records.ts';
import { identity } from '../../../core/builders.ts';
import { plant, temporaryDirectory, vmid } from '../world.ts';

const DIRECTORY = 'etc/pve/priv/lxc_autoscale/guests';
const ID = vmid(101);
const RECORD = {
  guest: identity(101),
  node: 'pve1',
  changes: [{ resource: 'memory' as const, before: 2048 }],
};

function world() {
  const root = temporaryDirectory();
  plant(root, { 'etc/pve/priv/lxc_autoscale/.keep': '' });
  return { root, records: createTemporaryRecords(createPaths(root), 'pve1') };
}

describe('the record of what was changed for a while', () => {
  it('is written whole, for root only, read by each node, and removed', () => {
    const { root, records } = world();
    expect(records.read(ID)).toMatchObject({ ok: false, why: 'absent' });
    expect(records.all()).toEqual([]);
    expect(records.write(ID, undefined)).toEqual({ ok: true });
    expect(records.write(ID, RECORD)).toEqual({ ok: true });
    expect(readdirSync(join(root, DIRECTORY))).toEqual(['101.json']);
    const modes = [DIRECTORY, `${DIRECTORY}/101.json`].map((path) => statSync(join(root, path)));
    expect(modes.map(({ mode }) => mode & 0o777)).toEqual([0o700, 0o600]);
    const other = createTemporaryRecords(createPaths(root), 'pve2');
    expect(other.read(ID)).toEqual({ ok: true, value: RECORD });
    expect(other.all()).toEqual([101]);
    expect(other.write(ID, undefined)).toEqual({ ok: true });
    expect(records.read(ID)).toMatchObject({ ok: false, why: 'absent' });
  });

  it('is written past what a killed process has left', () => {
    const { root, records } = world();
    plant(root, { [`${DIRECTORY}/.101.json.tmp`]: '{"gu' });
    expect(records.write(ID, RECORD)).toEqual({ ok: true });
    expect(JSON.parse(readFileSync(join(root, DIRECTORY, '101.json'), 'utf8'))).toEqual(RECORD);
  });

  it('says why it cannot be written, and follows no link', () => {
    const { root, records } = world();
    symlinkSync(temporaryDirectory(), join(root, DIRECTORY));
    expect(records.write(ID, RECORD)).toMatchObject({
      message: expect.stringMatching(/101\.json: .*symbolic link/),
    });
  });

  it.each(['', '{', '[]', '{"guest":"x"}', '\0'])('is malformed as %j', (text) => {
    const { root, records } = world();
    plant(root, { [`${DIRECTORY}/101.json`]: text });
    expect(records.read(ID)).toMatchObject({ ok: false, why: 'malformed' });
  });

  it('knows on which node of the cluster a guest is', () => {
    const { root, records } = world();
    expect(records.nodeOf(ID).ok).toBe(false);
    const ids = { 101: { node: 'pve2', type: 'lxc', version: 1 } };
    plant(root, { 'etc/pve/.vmlist': JSON.stringify({ version: 1, ids }) });
    expect(records.nodeOf(ID)).toEqual({ ok: true, value: 'pve2' });
    expect(records.nodeOf(vmid(103))).toEqual({ ok: true, value: undefined });
    const damaged = { ...ids, 102: 5 };
    for (const text of [JSON.stringify({ version: 1, ids: damaged }), '{']) {
      plant(root, { 'etc/pve/.vmlist': text });
      expect(records.nodeOf(ID).ok).toBe(false);
      expect(records.nodeOf(vmid(103)).ok).toBe(false);
    }
  });
});
