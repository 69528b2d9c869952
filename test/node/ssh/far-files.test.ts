import { expect, it } from 'vitest';
import { FarFiles } from '../../../src/node/ssh/far-files.ts';
import type { FarRecord } from '../../../src/node/ssh/frames.ts';

const file = (path: string, text: string): FarRecord => ({
  kind: 'file',
  path,
  bytes: Buffer.from(text),
});
const textOf = (files: FarFiles, path: string): string | undefined =>
  files.bytes(path)?.toString('utf8');

it('what was not asked for is not kept, and takes the place of nothing', () => {
  const files = new FarFiles();
  files.replace([file('/a', 'one')]);
  files.merge([file('/a', 'two'), file('/b', 'two')], (path) => path === '/b');
  expect([textOf(files, '/a'), textOf(files, '/b')]).toEqual(['one', 'two']);
});

it('what has not changed stays, and is not taken from a look that was not to have it', () => {
  const files = new FarFiles();
  files.replace([file('/lxc/1.conf', 'one'), file('/other', 'one')]);
  files.replace([file('/lxc/1.conf', 'two'), file('/lxc/2.conf', 'two')], ['/lxc']);
  expect(textOf(files, '/lxc/1.conf')).toBe('one');
  expect([textOf(files, '/lxc/2.conf'), textOf(files, '/other')]).toEqual([undefined, undefined]);
});

it('nothing keeps the whole of an answer', () => {
  const answer = Buffer.alloc(1_000_000);
  const files = new FarFiles();
  files.replace([{ kind: 'file', path: '/a', bytes: answer.subarray(0, 10) }]);
  expect(files.bytes('/a')?.buffer.byteLength).toBeLessThan(answer.length);
});
