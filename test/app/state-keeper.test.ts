import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { stateKeeper } from '../../src/app/state-keeper.ts';
import { recordOf } from '../../src/core/loop-state.ts';

import { mib, milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { vmid } from '../core/builders.ts';
import { FakeNode } from '../loop/fake-node.ts';

let root = '';
let nowMs = 1_000_000;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'state-keeper-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const STATE = 'var/lib/lxc_autoscale/state.json';
const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
const clock = { wallMs: () => milliseconds(nowMs), monotonicMs: () => milliseconds(nowMs) };

function keeper(dryRun = false) {
  const around = { paths: createPaths(root), clock, env: {}, stdout: stream, stderr: stream };
  return stateKeeper({ ...new FakeNode().world, clock }, around, dryRun);
}

const grants = (): unknown =>
  JSON.parse(readFileSync(join(root, STATE), 'utf8')).guests.flatMap(
    ([id, { grantMib }]: [number, { grantMib?: number }]) =>
      grantMib === undefined ? [] : [[id, grantMib]],
  );

it('an hour of quiet cycles is the most that a crash takes', () => {
  const one = keeper();
  recordOf(one.state, vmid(101)).grantMib = mib(512);
  nowMs += 3_599_999;
  one.saveWhenDue();
  expect(existsSync(join(root, STATE))).toBe(false);
  nowMs += 1;
  one.saveWhenDue();
  expect(grants()).toEqual([[101, 512]]);
  for (const each of one.state.guests.values()) each.grantMib = undefined;
  nowMs += 1_800_000;
  one.save();
  recordOf(one.state, vmid(102)).grantMib = mib(512);
  nowMs += 1_800_000;
  one.saveWhenDue();
  expect(grants()).toEqual([]);
});

it('a dry run saves nothing, however long it runs', () => {
  const one = keeper(true);
  nowMs += 10_000_000;
  one.saveWhenDue();
  expect(existsSync(join(root, STATE))).toBe(false);
});
