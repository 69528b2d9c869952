import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calm, NodeUnderTest } from './node-under-test.ts';

const BUNDLE = new URL('../../dist/lxc-autoscale.cjs', import.meta.url).pathname;

describe('the logs of a daemon', () => {
  it('go on in a new file after a rotation, and SIGUSR1 opens no debugger', async () => {
    const test = await NodeUnderTest.create([calm(101)]);
    const daemon = test.start(['daemon']);
    await daemon.saying('completed. Next run');
    const file = join(test.root, 'var/log/lxc_autoscale.log');
    renameSync(file, `${file}.1`);
    daemon.signal('SIGUSR1');
    await daemon.saying('SIGUSR1: the logs are opened anew for each line');
    await daemon.saying('completed. Next run');
    daemon.signal('SIGTERM');
    const { code, stderr } = await daemon.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('are moved aside when they have become too large', { timeout: 30_000 }, async () => {
    const test = await NodeUnderTest.create([calm(101)]);
    test.configure(
      'DEFAULT: {poll_interval: 1, log_level: debug, log_max_size_mb: 1, log_keep: 1}\n',
    );
    const file = join(test.root, 'var/log/lxc_autoscale.log');
    const filling = test.start(['daemon']);
    await filling.saying('completed. Next run');
    filling.signal('SIGTERM');
    await filling.ended;
    writeFileSync(file, `${'x'.repeat(1_048_500)}\n`);
    const daemon = test.start(['daemon']);
    await daemon.saying(/^(?!x)[\s\S]*completed\. Next run/);
    expect(existsSync(`${file}.1`)).toBe(true);
    expect(readFileSync(`${file}.1`, 'utf8')).toMatch(/^x/);
    expect(existsSync(`${file}.2`)).toBe(false);
  });

  it('bear priorities on the console where it is the journal of systemd', async () => {
    const test = await NodeUnderTest.create([calm(101)]);
    const path = join(test.root, 'console');
    const console = openSync(path, 'w');
    const { dev, ino } = fstatSync(console);
    const env = { ...process.env, PATH: test.path, JOURNAL_STREAM: `${dev}:${ino}` };
    const child = spawn(process.execPath, [BUNDLE, '--sysroot', test.root, 'once'], {
      ...{ env, stdio: ['ignore', console, 'inherit'] },
    });
    await new Promise((resolve) => child.once('exit', resolve));
    closeSync(console);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines[0]).toBe('<6>INFO - Starting resource allocation process...');
    for (const line of lines) expect(line).toMatch(/^<[3467]>(ERROR|WARNING|INFO|DEBUG) - /);
    expect(test.log()).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - INFO - Starting/);
  });

  it('are objects on the console where that is configured', async () => {
    const test = await NodeUnderTest.create([calm(101)]);
    test.configure('DEFAULT:\n  log_format: json\n');
    const { stdout, code } = await test.run(['once']);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({
        level: expect.any(String),
        message: expect.any(String),
      });
    }
  });
});
