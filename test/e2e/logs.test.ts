import { spawn } from 'node:child_process';
import { once } from 'node:events';
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
import { parseMessage, tcpServer, udpServer } from '../output/syslog-server.ts';
import { childrenOf, journalAt } from './journal-socket.ts';
import { calm, guest, hungry, isAlive, NodeUnderTest } from './node-under-test.ts';

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

  it('are moved aside when they have become too large', async () => {
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
      env,
      stdio: ['ignore', console, 'inherit'],
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

  it('go to a syslog server by room and container, without secrets', async () => {
    const server = await udpServer();
    const settings = { cores: 2, memoryMib: 1024, name: 'hush-hush-hush' };
    const named = guest(102, settings, { cpuCores: 1, anonMib: 900 });
    const test = await NodeUnderTest.create([calm(101), named]);
    test.configure(
      `DEFAULT:\n  log_syslog: udp://127.0.0.1:${server.port}\n` +
        '  gotify_url: http://127.0.0.1:9\n  gotify_token: hush-hush-hush\n' +
        '  log_level: {daemon: error, notify: debug}\n',
    );
    const { code } = await test.run(['once']);
    expect(code).toBe(0);
    const received = server.messages.map(parseMessage);
    await server.close();
    expect(received.find(({ facts }) => facts['event'] === 'change')).toMatchObject({
      priority: 30,
      host: 'pve1',
      app: 'lxc-autoscale',
      id: 'act',
      facts: { vmid: '102', verdict: 'grow', outcome: 'confirmed' },
      text: expect.stringContaining('Container 102 (***): memory 1024 -> '),
    });
    const rooms = new Set(received.map(({ id }) => id));
    expect([...rooms].filter((room) => room === 'daemon' || room === 'groups')).toEqual([]);
    expect(rooms).toContain('decide');
    expect(server.messages.join()).not.toContain('hush');
  });

  it('hold up no cycle where the syslog server hangs, and tell of it once', async () => {
    const hanging = await tcpServer(0, '127.0.0.1', true);
    const test = await NodeUnderTest.create([hungry(102)]);
    const configure = (port: number): void =>
      test.configure(
        `DEFAULT:\n  poll_interval: 1\n  log_level: debug\n` +
          `  log_syslog: tcp://127.0.0.1:${port}\n`,
      );
    configure(hanging.port);
    const daemon = test.start(['daemon']);
    await daemon.saying(/Confirmed[\s\S]*completed\. Next run[\s\S]*completed\. Next run/);
    await hanging.close();
    await daemon.saying(/tcp:\/\/127\.0\.0\.1:\d+ is not reached/);
    const cycles = (): number => test.log().split('completed. Next run').length;
    const before = cycles();
    await daemon.saying(new RegExp(`(?:completed\\. Next run[\\s\\S]*){${before + 2}}`));
    daemon.signal('SIGTERM');
    const { code, stderr } = await daemon.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(test.log().match(/is not reached/g)).toHaveLength(1);
  });

  it('bear fields in the journal, by a helper that goes with the daemon', async () => {
    const test = await NodeUnderTest.create([calm(101), hungry(102)]);
    test.configure('DEFAULT:\n  poll_interval: 1\n  log_journal_fields: True\n');
    const journal = await journalAt(join(test.root, 'run/systemd/journal/socket'));
    const path = join(test.root, 'console');
    const console = openSync(path, 'w');
    const { dev, ino } = fstatSync(console);
    const env = { ...process.env, PATH: test.path, JOURNAL_STREAM: `${dev}:${ino}` };
    test.node.start();
    const child = spawn(process.execPath, [BUNDLE, '--sysroot', test.root, 'daemon'], {
      env,
      stdio: ['ignore', console, 'inherit'],
    });
    closeSync(console);
    const next = /MESSAGE=INFO - Resource allocation process completed/;
    await journal.has(() => journal.entries().filter((entry) => next.test(entry)).length > 2);
    const helper = childrenOf(child.pid).find(({ name }) => name === 'perl');
    expect(helper).toBeDefined();
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await journal.has(() => !isAlive(helper?.pid));
    const entries = journal.entries();
    expect(entries.find((entry) => entry.includes('LXC_AUTOSCALE_EVENT=observed'))).toBeUndefined();
    for (const entry of entries) {
      expect(entry).toMatch(/^MESSAGE=(INFO|WARNING|ERROR) - .+\nPRIORITY=[346]\n/);
      expect(entry).toMatch(
        /\nSYSLOG_IDENTIFIER=lxc-autoscale\n.*\nLXC_AUTOSCALE_COMPONENT=\w+\n/s,
      );
    }
    const onConsole = readFileSync(path, 'utf8');
    for (const line of onConsole.trimEnd().split('\n')) expect(line).toMatch(/^<[346]>/);
    // Each line went one of the two ways.
    const texts = [
      ...onConsole.matchAll(/^<\d>(.*)$/gm),
      ...entries.join('').matchAll(/^MESSAGE=(.*)$/gm),
    ].map(([, text]) => text);
    const inFile = [...test.log().matchAll(/^.{19} - (.*)$/gm)].map(([, text]) => text);
    // The kill may have come between a line in the file and the same line elsewhere.
    const last = inFile.map((text) => next.test(`MESSAGE=${text}`)).lastIndexOf(true);
    for (const text of inFile.slice(0, last)) expect(texts).toContain(text);
    expect(texts.length).toBeLessThanOrEqual(inFile.length);
  });
});
