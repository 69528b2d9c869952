import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { type Ended, NodeUnderTest } from '../e2e/node-under-test.ts';
import { UNFIT, UNFIT_IN_LINES } from '../fuzz/fuzz.ts';
import { httpServer } from '../notify/http-server.ts';
import { smtpServer } from '../notify/smtp-server.ts';
import { parseExposition } from '../output/parse-exposition.ts';

/** The real program among containers whose owners have called them names. */

const TRAP = 'trap-was-sprung';
/** What a name or a tag could do to a terminal, a log, a mail, a page, a table, a shell, a path. */
const NAMES = [
  '\x1b]0;owned\x07\x1b[2J\x1b[31mroot@pve1:~# ',
  '2026-11-22 04:00:00 - ERROR - \u2028forged\u0085line',
  'web\\nBcc: all@example.org\rSubject: forged',
  `$(touch ${TRAP})\`touch ${TRAP}\`;touch ${TRAP}|\${IFS}`,
  '"><script>alert(1)</script>\',{"a":"b"}',
  '../../../../etc/cron.d/x',
  '\u202egnp.exe\u200b\ufeff\u{e0041}',
  'x'.repeat(65_536),
];

const hostile = NAMES.map((name, index): GuestSpec => {
  const vmid = 101 + index;
  const settings = { vmid, name: 'plain', cores: 2, memoryMib: 1024 };
  const own = guestText(settings).replace('hostname: plain', () => `hostname: ${name}`);
  const conf = `#${encodeURIComponent(name.slice(0, 2000))}\n${own}tags: ${name}\n`;
  return { vmid, conf, demand: () => ({ cpuCores: 1, anonMib: 900 }) };
});

const LINE = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} - (?:DEBUG|INFO|WARNING|ERROR) - /;

function checkShown({ stdout, stderr }: Ended): void {
  for (const text of [stdout, stderr]) {
    expect(text).not.toMatch(UNFIT_IN_LINES);
    for (const line of text.split('\n')) expect(line.length).toBeLessThan(9000);
  }
}

it('no name leaves its place, whatever it is shown in', async () => {
  const under = await NodeUnderTest.create(hostile);
  const messages = await httpServer({ kind: 'answers' });
  const mails = await smtpServer({ tls: 'none' });
  under.configure(
    [
      'DEFAULT:',
      'poll_interval: 1',
      'log_level: debug',
      'usage_history: false',
      'metrics_textfile: /var/lib/figures.prom',
      `gotify_url: ${messages.url}`,
      'gotify_token: tok3n',
      'smtp_server: 127.0.0.1',
      `smtp_port: ${mails.port}`,
      'smtp_security: none',
      'smtp_from: pve@example.org',
      'smtp_to: admin@example.org',
    ].join('\n  '),
  );
  const daemon = under.start(['daemon']);
  await daemon.saying('Confirmed.');
  await daemon.saying(/Confirmed\.(.*\n)*.*Next run in(.*\n)*.*Next run in/);
  for (const argv of [
    ['status'],
    ['explain', '101'],
    ['explain', '103'],
    ['explain', '\x1b[31m'],
    ['history'],
    ['history', '--json'],
    ['backups'],
    ['backups', '--json'],
    ['check-config'],
    ['health-check'],
    ['status', '--json'],
    ['explain', '107', '--json'],
  ]) {
    checkShown(await under.run(argv));
  }
  const figures = readFileSync(join(under.root, 'var/lib/figures.prom'), 'utf8');
  daemon.signal('SIGTERM');
  checkShown(await daemon.ended);
  for (const line of under.log().trimEnd().split('\n')) {
    expect(line).toMatch(LINE);
    expect(line).not.toMatch(UNFIT);
  }
  const raw = readFileSync(join(under.root, 'var/log/lxc_autoscale.json'), 'utf8');
  expect(raw).not.toMatch(UNFIT_IN_LINES);
  const ids = new Set(under.journal().map(({ container_id: id }) => id));
  expect([...ids].sort()).toEqual(NAMES.map((_, index) => `${101 + index}`));
  const infos = parseExposition(figures).filter(({ name }) => name.endsWith('container_info'));
  expect(infos).toHaveLength(NAMES.length);
  for (const { message } of messages.got.map(({ body }) => JSON.parse(body))) {
    expect(message).not.toMatch(UNFIT_IN_LINES);
    expect(message.length).toBeLessThan(10_000);
  }
  expect(mails.mails.length).toBeGreaterThan(0);
  for (const { text, to } of mails.mails) {
    expect(to).toEqual(['admin@example.org']);
    const [head = ''] = text.split('\r\n\r\n');
    expect(head).not.toMatch(/^(?:Bcc|Cc):/m);
    expect(head.match(/^Subject:/gm)).toHaveLength(1);
  }
  // Nothing was run, and nothing written but where it belongs.
  for (const place of [process.cwd(), under.root, '/', '/tmp']) {
    expect(existsSync(join(place, TRAP))).toBe(false);
  }
  expect(existsSync(join(under.root, 'etc/cron.d'))).toBe(false);
});

it('nor what stands in a configuration, or in the name of its file', async () => {
  const under = await NodeUnderTest.create([]);
  const file = join(under.root, 'etc/lxc_autoscale/\x1b[31m\u202e.yaml');
  writeFileSync(
    file,
    'DEFAULT:\n  "\\e]0;x\\a": 1\n  max_cores: "\\e[2J"\nTIER_"\u202e":\n  a: 1\n',
  );
  for (const command of ['check-config', 'once', 'status', 'migrate-config']) {
    const argv = command === 'migrate-config' ? [command, file] : [command, '--config', file];
    const ended = await under.run(argv);
    if (command !== 'migrate-config') expect(ended.code).toBe(78);
    checkShown(ended);
    expect(ended.stderr).not.toMatch(/internal error|\n {4}at /);
  }
});
