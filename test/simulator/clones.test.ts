import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { guestText } from '../../src/simulator/guest-text.ts';
import { SimulatedNode } from '../../src/simulator/node.ts';
import { HOST } from '../e2e/node-under-test.ts';

let directory: string;
let node: SimulatedNode;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'clones-'));
  const conf = guestText({ vmid: 101, name: 'web', memoryMib: 512, tags: 'prod' });
  const guest = { vmid: 101, conf, demand: () => ({ cpuCores: 0, anonMib: 1 }) };
  node = await SimulatedNode.create({ root: join(directory, 'n'), host: HOST, guests: [guest] });
  await node.run(['pct', 'snapshot', '101', 's1']);
});
afterEach(async () => {
  await node.close();
  rmSync(directory, { recursive: true, force: true });
});

const CLONE = ['pct', 'clone', '101', '120', '--snapname', 's1', '--full'];
const lockOf = (vmid: number) => node.machine.conf(vmid)?.main.values.get('lock');

describe('a clone that takes its time', () => {
  it('locks itself and its source, and lets both go at its end', async () => {
    node.onClone(() => ({ durationMs: 60 }));
    const done = node.run([...CLONE, '--description', 'mine']);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([lockOf(101), lockOf(120)]).toEqual(['disk', 'create']);
    expect(node.machine.conf(120)?.main.description).toEqual(['mine']);
    expect((await node.run(['pct', 'set', '101', '--cores', '1'])).stderr).toBe(
      'CT is locked (disk)\n',
    );
    expect((await done).exit).toBe(0);
    expect([lockOf(101), lockOf(120)]).toEqual([undefined, undefined]);
  });

  it('that fails is gone, with both locks', async () => {
    const failure = { exit: 255, stderr: 'clone failed: no space left\n' };
    node.onClone(() => ({ durationMs: 20, failure }));
    expect(await node.run(CLONE)).toMatchObject(failure);
    expect(node.machine.conf(120)).toBeUndefined();
    expect(lockOf(101)).toBeUndefined();
  });

  it('that prints nothing prints nothing', async () => {
    node.onClone(() => ({ silent: true }));
    expect(await node.run(CLONE)).toMatchObject({ exit: 0, stdout: '' });
  });
});

it('says whether an id is free, and which addresses a container has', async () => {
  const get = (...words: string[]) =>
    node.run(['pvesh', 'get', ...words, '--output-format', 'json']);
  expect((await get('/cluster/nextid', '--vmid', '120')).stdout).toBe('"120"\n');
  const taken = await get('/cluster/nextid', '--vmid', '101');
  expect(taken).toMatchObject({ exit: 255 });
  expect(taken.stderr).toContain('vmid: VM 101 already exists');
  const interfaces = await get('/nodes/pve1/lxc/101/interfaces');
  expect(JSON.parse(`${interfaces.stdout}`)).toMatchObject([
    { name: 'lo' },
    { inet: '10.0.0.103/16' },
  ]);
});
