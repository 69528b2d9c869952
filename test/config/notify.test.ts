import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import { quietHours } from '../../src/config/off-peak.ts';
import { secretsOf } from '../../src/config/secrets-of.ts';
import { milliseconds } from '../../src/core/units.ts';

function configOf(...lines: readonly string[]): Config {
  const result = parseConfig(`DEFAULT:\n${lines.map((line) => `  ${line}\n`).join('')}`, 'f', {});
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('; '));
  return result.config;
}

describe('the keys on messages', () => {
  it('set up every channel', () => {
    const { notify } = configOf(
      ...['gotify_url: http://10.0.0.5:8080/gotify', 'gotify_token: t', 'gotify_priority: 3'],
      ...['smtp_server: mail.lan', 'smtp_port: 25', 'smtp_security: NONE', 'smtp_from: a@lan'],
      ...['smtp_to: [b@lan, c@x.example]', 'smtp_username: me', "smtp_password: 'a b'"],
      ...['ntfy_url: https://ntfy.sh/x', 'webhook_url: http://h', 'webhook_token: w'],
      ...['uptime_kuma_url: http://k/api/push/x', 'notify_proxmox: yes', 'notify_ca_file: /ca'],
    );
    expect(notify).toMatchObject({
      gotify: { url: 'http://10.0.0.5:8080/gotify', token: 't', priority: 3 },
      email: {
        server: 'mail.lan',
        port: 25,
        security: 'none',
        from: 'a@lan',
        to: ['b@lan', 'c@x.example'],
        login: { username: 'me', password: 'a b' },
      },
      ntfy: { url: 'https://ntfy.sh/x', token: '' },
      webhook: { url: 'http://h', token: 'w', body: '' },
      uptimeKuma: { url: 'http://k/api/push/x' },
      proxmox: 'system-mail',
      caFile: '/ca',
    });
  });

  it('have one value for all, or one for each channel that is named', () => {
    const { rules } = configOf(
      'notify_events: {email: failed, ntfy: [failed, Emergency], webhook: none}',
      'notify_min_severity: warning',
      'notify_quiet_hours: {gotify: 22-7}',
    ).notify;
    expect(rules.email.events).toEqual(['failed']);
    expect(rules.ntfy.events).toEqual(['failed', 'emergency']);
    expect(rules.webhook.events).toEqual([]);
    // Who is not named has what it has without the key.
    expect(rules.gotify.events).toHaveLength(8);
    expect(Object.values(rules).map(({ minSeverity }) => minSeverity)).toEqual(
      Array.from({ length: 5 }, () => 'warning'),
    );
    expect(rules.gotify.quiet).toEqual({ from: 22, to: 7 });
    expect(rules.email.quiet).toBeUndefined();
  });
});

it.each([
  ['"[fd00::5]"', 'fd00::5'],
  ['fd00::5', 'fd00::5'],
  ['mail.lan', 'mail.lan'],
])('smtp_server: %s is connected to without brackets', (written, server) => {
  const keys = [`smtp_server: ${written}`, 'smtp_from: a@b', 'smtp_to: a@b'];
  expect(configOf(...keys).notify.email?.server).toBe(server);
});

describe('what must not be seen', () => {
  it('is every token, password and address, and what in an address is as good as one', () => {
    const config = configOf(
      ...['gotify_url: http://g.lan', 'gotify_token: gotify-secret'],
      ...['smtp_server: m', 'smtp_from: a@b', 'smtp_to: a@b', 'smtp_username: someone'],
      'smtp_password: smtp-secret',
      'webhook_url: https://u:user-secret@h/a/hook-secret?x=1&key=query-secret',
      ...['uptime_kuma_url: http://k/api/push/kuma-secret', 'ntfy_url: https://ntfy.sh/my-topic'],
      'ntfy_token: ntfy-secret',
    );
    const secrets = secretsOf(config);
    expect(secrets).toEqual(expect.arrayContaining(['http://g.lan', 'my-topic', 'kuma-secret']));
    for (const name of ['gotify', 'smtp', 'user', 'hook', 'query', 'kuma', 'ntfy']) {
      expect(secrets).toContain(`${name}-secret`);
    }
    expect(secrets).not.toContain('push');
    // A part is masked after the whole.
    expect(secrets.map((one) => one.length)).toEqual(
      [...secrets.map((one) => one.length)].sort((a, b) => b - a),
    );
  });

  it('is nothing where nothing is set up', () => {
    expect(secretsOf(configOf())).toEqual([]);
  });
});

describe('the weekly report', () => {
  it.each([
    ['report: weekly', { day: 'monday', hour: 8 }],
    ['report: Weekly\n  report_day: Fri\n  report_hour: 18', { day: 'friday', hour: 18 }],
    ['report: off', undefined],
  ])('is due as %j says', (line, weekly) => {
    expect(configOf(line).notify.weekly).toEqual(weekly);
  });

  it.each([
    ['report: weekly', 'reaches nobody, since no channel for messages is set up'],
    [
      'notify_proxmox: True\n  notify_events: failed\n  report: weekly',
      'reaches nobody, since notify_events leaves report out',
    ],
    ['report_day: friday', 'has no effect without `report: weekly`'],
    ['notify_proxmox: True\n  report: weekly', undefined],
  ])('is remarked on if nobody gets it: %j', (line, message) => {
    const result = parseConfig(`DEFAULT:\n  ${line}\n`, 'f', {});
    expect(result.ok && result.notes.map((note) => note.message)).toEqual(message ? [message] : []);
  });
});

describe('quiet hours', () => {
  const at = (hour: number) => milliseconds(Date.UTC(2026, 10, 22, hour, 30));

  it.each([
    [{ from: 22, to: 7 }, [22, 23, 0, 6], [7, 12, 21]],
    [{ from: 9, to: 17 }, [9, 16], [8, 17, 0]],
  ])('are %j', (hours, quiet, loud) => {
    const isQuiet = quietHours(hours, 'UTC');
    for (const hour of quiet) expect([hour, isQuiet(at(hour))]).toEqual([hour, true]);
    for (const hour of loud) expect([hour, isQuiet(at(hour))]).toEqual([hour, false]);
  });

  it('are those of the time zone', () => {
    expect(quietHours({ from: 22, to: 7 }, 'Asia/Tokyo')(at(14))).toBe(true);
  });
});
