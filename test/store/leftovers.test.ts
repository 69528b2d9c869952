import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { removeLeftovers } from '../../src/store/leftovers.ts';
import { filesBelow } from '../files-below.ts';

let root = '';
const NOW_S = 1_795_300_000;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'leftovers-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function plant(name: string, ageS = 601): void {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, 'half');
  utimesSync(path, NOW_S - ageS, NOW_S - ageS);
}

const clear = (): void =>
  removeLeftovers({
    paths: createPaths(root),
    nowMs: milliseconds(NOW_S * 1000),
    backups: join(root, 'backups'),
    logs: [join(root, 'var/log')],
  });

const files = (): readonly string[] => filesBelow(root);

it('temporary files that nobody writes any more go', () => {
  for (const name of [
    '.state.json.tmp',
    'holds/.101.tmp',
    'usage/.2026-11-22.001.csv.gz.tmp',
    'leases/.web.tmp',
  ]) {
    plant(`var/lib/lxc_autoscale/${name}`);
  }
  plant('backups/101/.20261122T010203.004Z-0a1b2c3d.conf.tmp');
  for (const name of ['.state.json.tmp', '.lxc_autoscale.probe']) {
    plant(`var/lib/lxc_autoscale/nodes/lab/${name}`);
  }
  for (const kind of ['holds', 'usage']) {
    plant(`var/lib/lxc_autoscale/${kind}/nodes/lab/.101.tmp`);
  }
  plant('backups/nodes/lab/101/.20261122T010203.004Z-0a1b2c3d.conf.tmp');
  plant('backups/.lxc_autoscale.probe');
  plant('var/log/.lxc_autoscale.probe');
  plant('run/lxc_autoscale/.output-1-2');
  clear();
  expect(files()).toEqual([]);
});

it('what may be in the writing stays, and what is none of ours', () => {
  plant('var/lib/lxc_autoscale/.state.json.tmp', 599);
  plant('backups/102/.20261122T010203.004Z-0a1b2c3d.json.tmp', -60);
  for (const name of [
    'var/lib/lxc_autoscale/state.json',
    'var/lib/lxc_autoscale/x.tmp',
    'var/log/.other.tmp',
    'backups/notes/.mine.tmp',
    'run/lxc_autoscale/.output',
    'backups/101/.mine',
  ]) {
    plant(name);
  }
  const before = files();
  clear();
  expect(files()).toEqual(before);
});

it('follows no link, and does without directories', () => {
  clear();
  plant('elsewhere/.victim.tmp');
  mkdirSync(join(root, 'backups'));
  symlinkSync('../elsewhere', join(root, 'backups/101'));
  plant('var/lib/lxc_autoscale/usage/x');
  symlinkSync('../../../../elsewhere', join(root, 'var/lib/lxc_autoscale/holds'));
  clear();
  expect(existsSync(join(root, 'elsewhere/.victim.tmp'))).toBe(true);
});
