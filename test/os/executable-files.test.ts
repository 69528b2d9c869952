import { expect, it } from 'vitest';
import { commandEnvironment } from '../../src/node/local/outcome-values.ts';
import { runCommand } from '../../src/os/command.ts';
import { findExecutable, searchPath } from '../../src/os/executable-files.ts';

const CRON = { PATH: '/usr/bin:/bin' };

it('begins with the PATH of the caller, and has the sbin directories in any case', () => {
  expect(searchPath({ PATH: '/opt/bin:/usr/bin:/bin' })).toBe(
    '/opt/bin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/usr/lib',
  );
  for (const PATH of [undefined, '', ':', '.:bin', CRON.PATH]) {
    const parts = searchPath({ PATH }).split(':');
    expect(parts).toContain('/usr/sbin');
    expect(parts).toContain('/sbin');
    expect(parts.every((part) => part.startsWith('/'))).toBe(true);
  }
});

it('finds and starts what lies in /usr/sbin, with the PATH that cron gives', async () => {
  // Every Debian has it there, and nowhere else.
  expect(findExecutable('chroot', CRON)).toMatch(/sbin\/chroot$/);
  const result = await runCommand('chroot', ['--version'], {
    timeLimitMs: 30_000,
    stopGraceMs: 0,
    outputLimitBytes: 4096,
    env: commandEnvironment(CRON),
    stop: new AbortController().signal,
  });
  expect(result).toMatchObject({ kind: 'exited', exitCode: 0 });
});
