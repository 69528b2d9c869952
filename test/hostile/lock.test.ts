import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calm, NodeUnderTest } from '../e2e/node-under-test.ts';

/** What keeps a daemon from starting, and what must not. */

const DIRECTORY = 'var/lock';
const NAME = 'lxc_autoscale.lock';

describe('a directory that every user may write to', () => {
  it.each<[string, (lockFile: string) => void]>([
    ['a directory NAME.lock', (path) => mkdirSync(`${path}.lock`)],
    ['a directory', (path) => mkdirSync(path)],
    ['the process id of somebody', (path) => writeFileSync(path, `${process.pid}\n`)],
    ['a text', (path) => writeFileSync(path, 'x'.repeat(10_000))],
  ])('keeps no daemon from starting by %s in it', async (_, lay) => {
    const under = await NodeUnderTest.create([calm(101)]);
    const directory = join(under.root, DIRECTORY);
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o1777);
    lay(join(directory, NAME));
    const { code, stderr } = await under.run(['once']);
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe('two daemons', () => {
  const configured = (lockFile: string): string =>
    `DEFAULT:\n  poll_interval: 1\n  lock_file: ${lockFile}\n`;

  it('with two lock_files do not both run', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const first = under.start(['daemon']);
    await first.saying('Next run in');
    const other = join(under.root, 'other.yaml');
    writeFileSync(other, configured('/tmp/other.lock'));
    const second = await under.run(['daemon', '--config', other]);
    expect(second.code).toBe(75);
    expect(second.stderr).toContain(`already running (process ${first.child.pid})`);
    expect(second.stderr).toContain('run/lxc_autoscale/lock');
  });

  it('of which one stands still do not both run', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const first = under.start(['daemon']);
    await first.saying('Next run in');
    const lockFile = join(under.root, DIRECTORY, NAME);
    expect(readFileSync(lockFile, 'utf8')).toBe(`${first.child.pid}\n`);
    first.signal('SIGSTOP');
    expect((await under.run(['once'])).code).toBe(75);
    first.signal('SIGCONT');
    first.signal('SIGTERM');
    expect((await first.ended).code).toBe(0);
    expect(existsSync(lockFile)).toBe(false);
    expect((await under.run(['once'])).code).toBe(0);
  });
});
