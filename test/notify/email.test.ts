import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type EmailSettings, email } from '../../src/notify/email.ts';
import { mailText } from '../../src/notify/mail-text.ts';
import { temporaryDirectory } from '../node/local/world.ts';
import { AUTHORITY_FILE } from './certificate.ts';
import { HASTY, LETTER, LIMITS, NEVER } from './letters.ts';
import { type SmtpOptions, smtpServer } from './smtp-server.ts';

const login = { username: 'pve', password: 'hush-hush' };
const TRUSTING = { ...LIMITS, caFile: AUTHORITY_FILE };

const settings = (port: number, rest: Partial<EmailSettings> = {}): EmailSettings => ({
  server: '127.0.0.1',
  port,
  security: 'starttls',
  login: undefined,
  from: 'pve@example.org',
  to: ['admin@example.org', 'other@example.org'],
  ...rest,
});

describe('a mail', () => {
  it.each<[string, SmtpOptions, Partial<EmailSettings>, boolean]>([
    ['by STARTTLS, with login', { login }, { login }, true],
    ['by STARTTLS, with the other kind of login', { login, methods: 'LOGIN' }, { login }, true],
    ['by TLS', { tls: 'from-the-start', login }, { security: 'tls', login }, true],
    ['without encryption and login', { tls: 'none' }, { security: 'none' }, false],
    ['without encryption where there could be some', {}, { security: 'none' }, false],
  ])('arrives %s', async (_how, options, rest, encrypted) => {
    const server = await smtpServer(options);
    const delivery = await email(settings(server.port, rest), TRUSTING).send(LETTER, NEVER);
    expect(delivery).toEqual({ ok: true, said: '250 2.0.0 OK queued as 4711' });
    expect(server.mails).toHaveLength(1);
    const [mail] = server.mails;
    expect(mail).toMatchObject({ from: 'pve@example.org', encrypted, user: rest.login?.username });
    expect(mail?.to).toEqual(['admin@example.org', 'other@example.org']);
    const [head = '', body = ''] = (mail?.text ?? '').split('\r\n\r\n');
    expect(head).toContain(`Subject: ${LETTER.title}`);
    expect(Buffer.from(body, 'base64').toString()).toBe(
      `${LETTER.text.replaceAll('\n', '\r\n')}\r\n`,
    );
  });

  it('goes to those whom the server takes, and says who they are not', async () => {
    let count = 0;
    const instead = {
      get RCPT() {
        return count++ === 0 ? '250 OK' : '550 5.1.1 unknown';
      },
    };
    const server = await smtpServer({ instead });
    const delivery = await email(settings(server.port), TRUSTING).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: true });
    expect(delivery.said).toMatch(/; refused: other@example\.org$/);
  });
});

describe('a mail does not arrive', () => {
  it.each<[string, SmtpOptions, Partial<EmailSettings>, string, RegExp]>([
    [
      'the login is wrong',
      { login: { ...login, password: 'other' } },
      { login },
      'settings',
      /^535 5\.7\.8 Username and password not accepted$/,
    ],
    ['a login is missing', { login }, {}, 'settings', /^530 5\.7\.0 Authentication required$/],
    ['there is no STARTTLS', { tls: 'none' }, {}, 'settings', /^it offers no STARTTLS: 502 not/],
    ['the server refuses all', { instead: { greeting: '554 no' } }, {}, 'message', /^554 no$/],
    [
      'it is too busy',
      { instead: { greeting: '421 4.3.2 busy' } },
      {},
      'passing',
      /^421 4\.3\.2 busy$/,
    ],
    [
      'the sender is refused',
      { instead: { MAIL: '553 5.7.1 not yours' } },
      {},
      'settings',
      /^553 5\.7\.1 not yours$/,
    ],
    [
      'nobody is known',
      { instead: { RCPT: '550 5.1.1 unknown' } },
      {},
      'settings',
      /^550 5\.1\.1 unknown$/,
    ],
    [
      'the mail is refused',
      { instead: { message: '554 5.6.0 spam' } },
      {},
      'message',
      /^554 5\.6\.0 spam$/,
    ],
    [
      'the disk is full',
      { instead: { message: '452 4.3.1 disk full' } },
      {},
      'passing',
      /^452 4\.3\.1 disk full$/,
    ],
    ['it closes at the mail', { closesAt: 'message' }, {}, 'passing', /^it closed the connection/],
    ['it closes at EHLO', { closesAt: 'EHLO' }, {}, 'passing', /^it closed the connection/],
    ['it closes at login', { login, closesAt: 'AUTH' }, { login }, 'passing', /^it closed/],
    ['it is no mail server', { instead: { greeting: 'SSH-2.0-x' } }, {}, 'passing', /SSH-2\.0-x/],
  ])('where %s', async (_what, options, rest, fault, said) => {
    const server = await smtpServer(options);
    const delivery = await email(settings(server.port, rest), TRUSTING).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault });
    expect(delivery.said).toMatch(said);
    expect(delivery.said).not.toContain(login.password);
  });

  it.each(['greeting', 'EHLO', 'AUTH', 'message'])('where it hangs at %s', async (verb) => {
    const server = await smtpServer({ login, instead: { [verb]: '' } });
    const channel = email(settings(server.port, { login }), {
      ...TRUSTING,
      timeLimitMs: HASTY.timeLimitMs,
    });
    const delivery = await channel.send(LETTER, NEVER);
    expect(delivery).toEqual({ ok: false, said: expect.any(String), fault: 'passing' });
    expect(delivery.said).toMatch(/no answer within 0\.2 s|it does not answer/);
  });

  it('where nobody vouches for the server, and no password is given away', async () => {
    const server = await smtpServer({ login });
    const delivery = await email(settings(server.port, { login }), LIMITS).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
    expect(delivery.said).toMatch(/unknown authority; set notify_ca_file/);
    expect(server.verbs).toEqual(['EHLO', 'STARTTLS']);
  });

  it.each(['starttls', 'tls'] as const)(
    'where the certificate is damaged: %s',
    async (security) => {
      const caFile = join(temporaryDirectory(), 'ca.pem');
      writeFileSync(
        caFile,
        '-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n',
      );
      const server = await smtpServer({ tls: security === 'tls' ? 'from-the-start' : 'starttls' });
      const channel = email(settings(server.port, { security }), { ...LIMITS, caFile });
      expect((await channel.send(LETTER, NEVER)).ok).toBe(false);
    },
  );

  it('where there is no server', async () => {
    const server = await smtpServer();
    await server.close();
    const delivery = await email(settings(server.port), LIMITS).send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'passing' });
    expect(delivery.said).toMatch(/^nothing listens there/);
  });

  it('where TLS is expected from the start and is not there', async () => {
    const server = await smtpServer();
    const channel = email(settings(server.port, { security: 'tls' }), TRUSTING);
    const delivery = await channel.send(LETTER, NEVER);
    expect(delivery).toMatchObject({ ok: false, fault: 'settings' });
    expect(delivery.said).toMatch(/it does not speak TLS there/);
  });

  it('where the daemon stops', async () => {
    const server = await smtpServer({ instead: { EHLO: '' } });
    const stop = new AbortController();
    const sending = email(settings(server.port), TRUSTING).send(LETTER, stop.signal);
    setTimeout(() => stop.abort(), 50);
    expect(await sending).toMatchObject({ ok: false, said: 'given up, since the daemon stops' });
  });
});

describe('the text of a mail', () => {
  const envelope = { from: 'a@b', to: ['c@d'], id: 'i@h' };

  it('has short lines of ASCII and nothing else', () => {
    const title = `pve1: ${'größe '.repeat(30)}`;
    const mail = mailText({ ...LETTER, title, text: 'ü'.repeat(3000) }, envelope);
    expect(mail).toMatch(/^[\r\n -~]+$/);
    for (const line of mail.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78);
    expect(mail.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    const words = /Subject: ([\s\S]*?)\r\n(?! )/.exec(mail)?.[1]?.split('\r\n ') ?? [];
    const decoded = words.map((word) =>
      Buffer.from(word.slice('=?utf-8?B?'.length, -2), 'base64').toString(),
    );
    expect(decoded.join('')).toBe(title);
  });

  it('lets no title begin a header', () => {
    const mail = mailText({ ...LETTER, title: 'a\r\nBcc: all@world' }, envelope);
    expect(mail).not.toMatch(/^Bcc/m);
  });

  it('says when, and that no person has written it', () => {
    const mail = mailText(LETTER, envelope);
    expect(mail).toContain('\r\nDate: Sun, 22 Nov 2026 03:00:00 +0000\r\n');
    expect(mail).toContain('\r\nAuto-Submitted: auto-generated\r\n');
    expect(mail).toContain('\r\nX-Priority: 2\r\n');
    expect(mailText({ ...LETTER, severity: 'info' }, envelope)).not.toContain('X-Priority');
  });
});
