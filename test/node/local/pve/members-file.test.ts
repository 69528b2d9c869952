import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { parseQuorum, readQuorum } from '../../../../src/node/local/pve/members-file.ts';
import { createFileReader } from '../../../../src/os/file-reader.ts';
import { plant, temporaryDirectory } from '../world.ts';

const clustered = (quorate: unknown): string =>
  JSON.stringify({ nodename: 'pve1', version: 3, cluster: { name: 'lab', nodes: 2, quorate } });

it.each([
  ['a node that stands alone', '{\n"nodename": "pve1",\n"version": 0\n}\n', true],
  ['a cluster with quorum', clustered(1), true],
  ['a cluster without', clustered(0), false],
  ['no word of it', clustered(undefined), undefined],
  ['a word that is none', clustered('yes'), undefined],
  ['a cluster that is none', '{"nodename": "pve1", "cluster": 1}', undefined],
  ['another file', '{}', undefined],
  ['a file cut off', '{"nodename": "pve1", "clus', undefined],
  ['nothing', '', undefined],
])('%s', (_, text, quorate) => {
  expect(parseQuorum(text)).toBe(quorate);
});

it('is missing where the file is, and never a yes', () => {
  const root = temporaryDirectory();
  const read = createFileReader(1024);
  expect(readQuorum(createPaths(root), read)).toMatchObject({ ok: false, why: 'absent' });
  plant(root, { 'etc/pve/.members': clustered('?') });
  const found = readQuorum(createPaths(root), read);
  expect(found).toMatchObject({ ok: false, why: 'malformed' });
  expect(found.ok ? '' : found.detail).toContain(join(root, 'etc/pve/.members'));
});
