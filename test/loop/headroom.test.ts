import { expect, it } from 'vitest';
import { missing, present } from '../../src/core/reading.ts';
import { mib } from '../../src/core/units.ts';
import { whyNoHeadroom } from '../../src/loop/headroom.ts';
import { AMPLE_ROOM } from '../core/builders.ts';
import { FakeNode } from './fake-node.ts';

/** A guest that the last cycle did not count, on a host that could still give 100 MB. */
function withAnother() {
  const node = new FakeNode();
  const one = node.add(102, { memoryMib: mib(4096) });
  const room = { ...AMPLE_ROOM, wholeMib: present(mib(100)), limitsMib: new Map() };
  return { one, why: () => whyNoHeadroom(node.world, room) };
}

it('what was started since counts against what the host could give', () => {
  const { one, why } = withAnother();
  expect(why()).toMatch(/4096 MB were taken/);
  one.life = { frozen: true };
  expect(why()).toMatch(/4096 MB were taken/);
});

it('what cannot be seen counts as well, since it may run', () => {
  const { one, why } = withAnother();
  one.sampleMissing = missing('unreadable', 'EIO');
  expect(why()).toMatch(/4096 MB were taken/);
});

it('a cgroup without a process counts as well, since it may be just starting', () => {
  const { one, why } = withAnother();
  one.life = { populated: false };
  expect(why()).toMatch(/4096 MB were taken/);
});

it('what has stopped does not', () => {
  const { one, why } = withAnother();
  one.running = false;
  expect(why()).toBeUndefined();
});
