import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPaths } from '../../../../src/node/local/paths.ts';
import {
  parseMembers,
  parseQuorum,
  readQuorum,
} from '../../../../src/node/local/pve/members-file.ts';
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

it('has the nodes of the cluster with their addresses', () => {
  const nodelist = {
    pve1: { id: 1, online: 1, ip: '10.0.0.1' },
    pve2: { id: 2, online: 0, ip: 'fd00::2' },
    pve3: { id: 3, online: 0, ip: '-oProxyCommand=x' },
    pve4: 7,
  };
  const text = JSON.stringify({ ...JSON.parse(clustered(0)), nodelist });
  expect(parseMembers(text)).toEqual({
    own: 'pve1',
    members: [
      { name: 'pve1', host: '10.0.0.1' },
      { name: 'pve2', host: 'fd00::2' },
      { name: 'pve3' },
      { name: 'pve4' },
    ],
    isQuorate: false,
  });
  expect(parseMembers('{"nodename": "pve1", "version": 0}')).toEqual({
    own: 'pve1',
    members: [{ name: 'pve1' }],
    isQuorate: true,
  });
  for (const none of ['', '{}', clustered('yes')]) expect(parseMembers(none)).toBeUndefined();
});
