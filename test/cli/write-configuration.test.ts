import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { noPlaceFor } from '../../src/cli/write-configuration.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { temporaryDirectory } from '../node/local/world.ts';

it('says before anything is measured why nothing could be written to a place', () => {
  const root = temporaryDirectory();
  mkdirSync(join(root, 'there'));
  writeFileSync(join(root, 'file'), '');
  const said = (named: string) =>
    noPlaceFor(named, { paths: createPaths(root) } as never)?.replaceAll(root, '');
  const end = 'Nothing was measured.';
  expect(said('/there/new.yaml')).toBeUndefined();
  expect(said('/file')).toBeUndefined();
  expect(said('/nope/new.yaml')).toBe(
    `/nope/new.yaml could not be written: its directory does not exist. ${end}`,
  );
  expect(said('/file/new.yaml')).toBe(
    `/file/new.yaml could not be written: /file is not a directory. ${end}`,
  );
  expect(said('/there')).toBe(
    `/there could not be written: it is a directory; write the name of a file behind it. ${end}`,
  );
});
