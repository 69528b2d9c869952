import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, expect, it, vi } from 'vitest';
import { newLedger } from '../../../../src/core/groups/ledger.ts';
import { createPaths } from '../../../../src/node/local/paths.ts';
import { createLedgers } from '../../../../src/node/local/pve/member-ledger.ts';
import * as durable from '../../../../src/os/durable-file.ts';
import { plant, temporaryDirectory } from '../world.ts';

vi.mock('../../../../src/os/durable-file.ts', { spy: true });

let root: string;
beforeEach(() => {
  vi.restoreAllMocks();
  root = temporaryDirectory();
  plant(root, { 'etc/pve/.vmlist': '{}' });
});
const path = (): string => join(root, 'etc/pve/priv/lxc_autoscale/web.json');

it('a ledger is for root alone, and reads back as it was', () => {
  const ledgers = createLedgers(createPaths(root));
  expect(ledgers.write('web', newLedger())).toBeUndefined();
  expect(statSync(path()).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(path())).mode & 0o777).toBe(0o700);
  expect(ledgers.read('web')).toEqual({ ok: true, value: newLedger() });
});

it('a ledger that does not read back as it was written counts as not written', () => {
  vi.spyOn(durable, 'writeDurably').mockImplementation((directory, name) =>
    writeFileSync(join(directory, name), '{}'),
  );
  const problem = createLedgers(createPaths(root)).write('web', newLedger());
  expect(problem).toMatch(/^The record of what was made here could not be written .*differently/);
  expect(readFileSync(path(), 'utf8')).toBe('{}');
});
