import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { plant } from '../node/local/world.ts';
import { AUTHORITY_FILE } from '../notify/certificate.ts';
import { httpServer, type TestServer } from '../notify/http-server.ts';
import { proxyServer } from '../notify/proxy-server.ts';
import { PVE_MODULES } from '../notify/pve-modules.ts';
import { smtpServer } from '../notify/smtp-server.ts';
import { PATIENCE_MS } from '../patience.ts';
import { calm, hungry, NodeUnderTest } from './node-under-test.ts';

/** The bundled program and servers on loopback that take its messages, or do not. */

afterEach(() => {
  vi.unstubAllEnvs();
});

const TOKEN = 'hush-hush-token';
const QUEUE = 'var/lib/lxc_autoscale/messages.json';

const yaml = (...lines: readonly string[]): string =>
  ['DEFAULT:', 'poll_interval: 1', ...lines].join('\n  ');

const gotifyLines = ({ url }: TestServer): readonly string[] => [
  `gotify_url: ${url}`,
  `gotify_token: ${TOKEN}`,
];

interface Posted {
  readonly title: string;
  readonly message: string;
}

const posted = ({ got }: TestServer): Posted[] => got.map(({ body }) => JSON.parse(body));

async function until(holds: () => boolean, what: string, limitMs = PATIENCE_MS): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`it never came to it: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

const titled = (server: TestServer, title: string) => (): boolean =>
  posted(server).some((one) => one.title === `lxc-autoscale on pve1: ${title}`);

describe('messages of the daemon', () => {
  it('tell of its start, of changes as one a cycle, and of its end', async () => {
    const under = await NodeUnderTest.create([hungry(101), hungry(102), calm(103)]);
    const server = await httpServer({ kind: 'answers' });
    under.configure(yaml(...gotifyLines(server)));
    const daemon = under.start(['daemon']);
    // All of the first cycle in one, the start before it too.
    await until(titled(server, '2 changed, started'), 'a message on two changes');
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    const all = posted(server);
    expect(all.map(({ title }) => title.replace('lxc-autoscale on pve1: ', ''))).toEqual([
      '2 changed, started',
      'stopped',
    ]);
    const text = all.map(({ message }) => message).join('\n');
    expect(text).toMatch(/^Started, version \d+\.\d+\.\d+, one cycle every 1 seconds\.$/m);
    expect(text).toMatch(/^Container 101 \(ct101\): memory 1024 -> \d+ MB, since it uses/m);
    expect(text).toMatch(/^Container 102 /m);
    expect(text).not.toMatch(/Container 103/);
    expect(all.at(-1)?.message).toMatch(/\nStopped\.$/);
    const output = under.log() + JSON.stringify(under.journal());
    expect(output).not.toContain(TOKEN);
    expect(JSON.parse(readFileSync(join(under.root, QUEUE), 'utf8'))).toMatchObject({
      channels: { gotify: { waiting: [] } },
    });
    expect(statSync(join(under.root, QUEUE)).mode & 0o777).toBe(0o600);
  });

  it('tell what a week has brought: once, also if the hour was missed', async () => {
    const under = await NodeUnderTest.create([hungry(101), calm(103)]);
    const server = await httpServer({ kind: 'answers' });
    under.configure(yaml(...gotifyLines(server), 'report: weekly', 'notify_events: report'));
    const first = under.start(['daemon']);
    await first.cycles(2);
    first.signal('SIGTERM');
    expect((await first.ended).code).toBe(0);
    expect(posted(server)).toEqual([]);
    const file = join(under.root, 'var/lib/lxc_autoscale/week.json');
    const week = JSON.parse(readFileSync(file, 'utf8'));
    expect(week.nodes.pve1.changes.memory.up).toBeGreaterThan(0);
    writeFileSync(file, JSON.stringify({ ...week, sinceMs: week.sinceMs - 8 * 86_400_000 }));
    const printed = await under.run(['report']);
    expect(printed.stdout).toMatch(/^Weekly report, .*\n.*\nAllocated: .*\nChanges: CPU 0 up/);
    const daemon = under.start(['daemon']);
    await until(titled(server, 'weekly report'), 'a weekly report');
    await daemon.cycles(2);
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    const again = under.start(['daemon']);
    await again.cycles(2);
    again.signal('SIGTERM');
    expect((await again.ended).code).toBe(0);
    expect(posted(server)).toHaveLength(1);
    const text = posted(server)[0]?.message ?? '';
    expect(text).toMatch(/\nAllocated: 4 of 8 CPUs/);
    expect(text).toMatch(/\nChanges: CPU 0 up, 0 down; memory [1-9][0-9]* up, 0 down\. Failed: 0/);
    expect(text).toMatch(/\nOOM kills: none\.\nMemory limits met: none\.\n/);
    expect(text).toMatch(/\nThe guests were seen for .* of 8 days; /);
    expect(under.log()).toContain('Weekly report, ');
  });

  it('tell of a failed change, and of a new configuration that is refused', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    under.node.onCommand(() => ({ kind: 'fail', exit: 255, stderr: 'CT is locked\n' }));
    const server = await httpServer({ kind: 'answers' });
    const lines = [...gotifyLines(server), 'notify_min_severity: error'];
    under.configure(yaml(...lines));
    const daemon = under.start(['daemon']);
    await until(titled(server, '1 failed'), 'a message on a failed change');
    expect(posted(server)[0]?.message).toMatch(/\nFAILED\. Container 101 .*pct exited with 255/);
    under.configure(yaml(...lines, 'min_cores: many'));
    daemon.signal('SIGHUP');
    await until(titled(server, 'configuration refused'), 'a message on the configuration');
    expect(posted(server).at(-1)?.message).toMatch(/min_cores: 'many' is not a number/);
    daemon.signal('SIGTERM');
    await daemon.ended;
    // The start and the end are no errors.
    expect(posted(server).some(({ message }) => /Started|Stopped/.test(message))).toBe(false);
  });

  it('go through all channels at once, encrypted where they are to be', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    const login = { username: 'pve', password: 'hush-hush-password' };
    const [web, mail] = [await httpServer({ kind: 'answers' }, true), await smtpServer({ login })];
    const sendmail = join(under.node.binDirectory, 'sendmail');
    const outbox = join(under.root, 'outbox');
    writeFileSync(sendmail, `#!/bin/sh\necho "$@" >>${outbox}\ncat >>${outbox}\n`, { mode: 0o755 });
    writeFileSync(join(under.root, 'authority.pem'), readFileSync(AUTHORITY_FILE));
    under.configure(
      yaml(
        ...[`ntfy_url: ${web.url}/topic`, `webhook_url: ${web.url}/hook`, 'notify_proxmox: True'],
        ...[`uptime_kuma_url: ${web.url}/api/push/kuma-token`, 'notify_ca_file: /authority.pem'],
        ...['smtp_server: 127.0.0.1', `smtp_port: ${mail.port}`, 'smtp_username: pve'],
        ...[`smtp_password: ${login.password}`, 'smtp_from: a@lan', 'smtp_to: b@lan, c@lan'],
      ),
    );
    const daemon = under.start(['daemon']);
    const at = (path: string): number => web.got.filter(({ url }) => url.startsWith(path)).length;
    await until(() => at('/api/push/kuma-token?') >= 2, 'two heartbeats');
    await until(() => existsSync(outbox) && mail.mails.length > 0, 'mails by both ways');
    await until(() => web.got.some(({ url }) => url === '/hook'), 'a post to the webhook');
    await until(() => web.got.some(({ url }) => url === '/'), 'a post to the topic');
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(mail.mails[0]).toMatchObject({ encrypted: true, user: 'pve', to: ['b@lan', 'c@lan'] });
    expect(readFileSync(outbox, 'utf8')).toMatch(/^-i root\nFrom: root\r?\nTo: root/);
    const [heartbeat] = web.got.filter(({ url }) => url.includes('status=up'));
    expect(heartbeat?.url).toMatch(/msg=\d\+changes\+done/);
    for (const secret of [login.password, 'kuma-token']) expect(under.log()).not.toContain(secret);
  });

  it('go to the notifications of Proxmox VE with their severity', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    under.node.onCommand(() => ({ kind: 'fail', exit: 255, stderr: 'CT is locked\n' }));
    plant(under.root, PVE_MODULES);
    const perl = join(under.node.binDirectory, 'perl');
    const script = `#!/bin/sh\nexec /usr/bin/perl -I'${under.root}/lib' "$@"\n`;
    writeFileSync(perl, script, { mode: 0o755 });
    const sent = (): readonly Record<string, unknown>[] =>
      readFileSync(join(under.root, 'sent.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    under.configure(yaml('notify_proxmox: True', 'notify_proxmox_type: lxc-autoscale'));
    expect(await under.run(['notify-test', 'proxmox'])).toEqual({
      code: 0,
      stdout: 'proxmox: sent: handed over to the notifications of this node\n',
      stderr: '',
    });
    expect(sent()).toMatchObject([{ severity: 'info', fields: { type: 'lxc-autoscale' } }]);
    const daemon = under.start(['daemon']);
    await until(() => sent().some(({ severity }) => severity === 'error'), 'an error');
    expect(sent().at(-1)).toMatchObject({ subject: expect.stringContaining('1 failed') });

    writeFileSync(join(under.root, 'broken-target'), '');
    const tested = await under.run(['notify-test', 'proxmox']);
    expect(tested.code).toBe(1);
    expect(tested.stdout).toMatch(/^proxmox: PROBLEM: could not notify via target `mail-to-root`/m);
    daemon.signal('SIGTERM');
    await daemon.ended;
    expect(under.log()).toMatch(/message by proxmox does not arrive everywhere: could not notify/);
  });

  it('survive kill -9, and wait until a server is there', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    const server = await httpServer({ kind: 'answers', status: 503, body: 'later' });
    under.configure(yaml(...gotifyLines(server), 'notify_events: changed'));
    const daemon = under.start(['daemon']);
    await server.after(1);
    await daemon.saying(/Messages by gotify do not arrive: 503 Service Unavailable later\. Next/);
    daemon.signal('SIGKILL');
    await daemon.ended;
    const [first] = posted(server);
    expect(first?.title).toMatch(/: 1 changed$/);
    server.behaviour = { kind: 'answers' };
    const tried = server.got.length;
    const again = under.start(['daemon']);
    await server.after(tried + 1);
    expect(posted(server)[tried]).toEqual(first);
    again.signal('SIGTERM');
    await again.ended;
  });

  it('of a server that hangs keep neither a cycle nor the end', { retry: 3 }, async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const server = await httpServer({ kind: 'hangs' });
    under.configure(yaml(...gotifyLines(server)));
    const daemon = under.start(['daemon']);
    await server.after(1);
    await daemon.saying(/(Resource allocation process completed[\s\S]*){3}/);
    const startMs = performance.now();
    daemon.signal('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(6000);
  });

  it('are none where no channel is set up', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    expect((await under.run(['once'])).code).toBe(0);
    expect(existsSync(join(under.root, QUEUE))).toBe(false);
  });

  it('are sent by once too, before it ends', async () => {
    const under = await NodeUnderTest.create([hungry(101)]);
    const server = await httpServer({ kind: 'answers' });
    under.configure(yaml(...gotifyLines(server)));
    expect((await under.run(['once'])).code).toBe(0);
    expect(posted(server).map(({ title }) => title)).toEqual(['lxc-autoscale on pve1: 1 changed']);
  });
});

describe('notify-test', () => {
  it('sends through each channel and prints what the server said', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const [good, bad] = [
      await httpServer({ kind: 'answers', body: `{"id":7,"token":"${TOKEN}"}` }),
      await httpServer({ kind: 'answers', status: 404, body: 'no such hook' }),
    ];
    under.configure(
      yaml(...gotifyLines(good), `webhook_url: ${bad.url}`, `uptime_kuma_url: ${bad.url}/push`),
    );
    const { code, stdout, stderr } = await under.run(['notify-test']);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout.split('\n')).toEqual([
      'gotify: sent: 200 OK {"id":7,"token":"***"}',
      'webhook: FAILED: 404 Not Found no such hook',
      'uptime_kuma: FAILED: 404 Not Found no such hook',
      '',
    ]);
    expect(posted(good)[0]?.title).toBe('lxc-autoscale on pve1: test');
    const one = await under.run(['notify-test', 'gotify']);
    expect([one.code, one.stdout.split('\n').length]).toEqual([0, 2]);
  });

  it.each(['datacenter.cfg', 'http_proxy'])('goes through the proxy of %s', async (where) => {
    for (const name of [
      'http_proxy',
      'HTTP_PROXY',
      'all_proxy',
      'ALL_PROXY',
      'no_proxy',
      'NO_PROXY',
    ]) {
      vi.stubEnv(name, undefined);
    }
    const proxy = await proxyServer('refuses');
    const address = `http://me:hush-hush@127.0.0.1:${proxy.port}`;
    const under = await NodeUnderTest.create([calm(101)]);
    under.configure(yaml('gotify_url: http://gotify.example', `gotify_token: ${TOKEN}`));
    if (where === 'http_proxy') vi.stubEnv(where, address);
    else writeFileSync(join(under.root, 'etc/pve/datacenter.cfg'), `http_proxy: ${address}\n`);
    const { code, stdout, stderr } = await under.run(['notify-test']);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toBe('gotify: FAILED: 407 Proxy Authentication Required\n');
    expect(proxy.asked).toEqual(['POST http://gotify.example/message']);
  });

  it('says what to set up where there is nothing', async () => {
    const under = await NodeUnderTest.create([calm(101)]);
    const all = await under.run(['notify-test']);
    expect([all.code, all.stdout]).toEqual([1, '']);
    expect(all.stderr).toMatch(/^No channel is set up\. .*gotify_url and gotify_token.*\n$/);
    const one = await under.run(['notify-test', 'email']);
    expect(one.stderr).toBe('email is not set up: set smtp_server, smtp_from and smtp_to.\n');
    expect((await under.run(['notify-test', 'pigeon'])).code).toBe(64);
  });
});
