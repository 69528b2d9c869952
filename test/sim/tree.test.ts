import { closeSync, existsSync, openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { Tree } from '../../src/sim/tree.ts';
import { Scratch } from './recorded.ts';

const scratch = new Scratch();
afterAll(() => scratch.clear());

function readKept(descriptor: number): string {
  const buffer = Buffer.alloc(4096);
  return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, 0));
}

it('rewrites in place: a reader that keeps the file open sees each new text, whole', () => {
  const tree = new Tree(scratch.directory());
  tree.write('sys/a', 'memory.current', '123456789\n');
  const kept = openSync(tree.path('sys/a/memory.current'), 'r');
  for (const text of ['987654321\n', '5\n', '77777\n', '77777\n', '']) {
    tree.write('sys/a', 'memory.current', text);
    expect(readKept(kept)).toBe(text);
  }
  expect(readFileSync(tree.path('sys/a/memory.current'), 'utf8')).toBe('');
  closeSync(kept);
  tree.close();
});

it('touches only what has changed', () => {
  const tree = new Tree(scratch.directory());
  tree.write('proc', 'stat', 'one\n');
  const { mtimeMs } = statSync(tree.path('proc/stat'));
  expect(tree.writes).toBe(1);
  for (let times = 0; times < 5; times += 1) tree.write('proc', 'stat', 'one\n');
  expect(tree.writes).toBe(1);
  expect(statSync(tree.path('proc/stat')).mtimeMs).toBe(mtimeMs);
  tree.write('proc', 'stat', 'two\n');
  expect(tree.writes).toBe(2);
  tree.close();
});

it('removes a directory so that open files read empty and a new one has a new inode', () => {
  const tree = new Tree(scratch.directory());
  const seen = new Set<number>();
  let last = 0;
  for (let life = 0; life < 6; life += 1) {
    tree.write('lxc/101/ns', 'cpu.stat', 'usage_usec 1\n');
    tree.write('lxc/101', 'cpu.stat', 'usage_usec 1\n');
    const inode = statSync(tree.path('lxc/101')).ino;
    expect(inode).not.toBe(last);
    last = inode;
    seen.add(inode);
    const kept = openSync(tree.path('lxc/101/ns/cpu.stat'), 'r');
    tree.remove('lxc/101');
    expect(existsSync(tree.path('lxc/101'))).toBe(false);
    expect(readKept(kept)).toBe('');
    closeSync(kept);
  }
  expect(seen.size).toBeGreaterThan(1);
  tree.close();
});

it('lives with files and directories that someone takes away', () => {
  const root = scratch.directory();
  const tree = new Tree(root);
  tree.write('lxc/101', 'cpu.stat', 'usage_usec 1\n');
  rmSync(join(root, 'lxc'), { recursive: true });
  tree.write('lxc/101', 'cpu.stat', 'usage_usec 2\n');
  tree.remove('lxc/101');
  expect(existsSync(join(root, 'lxc/101'))).toBe(false);
  tree.close();
});
