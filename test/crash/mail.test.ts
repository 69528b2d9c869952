import { describe, expect, it } from 'vitest';
import { hungry, NodeUnderTest } from '../e2e/node-under-test.ts';
import { type SmtpServer, smtpServer } from '../notify/smtp-server.ts';
import { Site } from './site.ts';

/** A mail under way, cut off at each word of the conversation with the server. */

const CHANGE = 'memory 1024 -> 1536';

const bodyOf = (mail: string): string =>
  Buffer.from(mail.split('\r\n\r\n')[1] ?? '', 'base64').toString();

const use = ({ under }: Site, { port }: SmtpServer): void =>
  under.configure(
    `DEFAULT: {poll_interval: 1, smtp_server: 127.0.0.1, smtp_port: ${port}, ` +
      'smtp_security: none, smtp_from: pve@example.org, smtp_to: admin@example.org}\n',
  );

const tellingOf = ({ mails }: SmtpServer): number =>
  mails.filter(({ text }) => bodyOf(text).includes(CHANGE)).length;

describe('a mail is sent by the next life, and at most one comes twice', () => {
  it.each([
    ['greeting', 0],
    ['EHLO', 0],
    ['MAIL', 0],
    ['RCPT', 0],
    ['DATA', 0],
    // It has come, and nobody heard so.
    ['message', 1],
  ])('cut off where the server is to answer: %s', async (step, came) => {
    const site = new Site(await NodeUnderTest.create([hungry(101)]));
    const silent = await smtpServer({ tls: 'none', instead: { [step]: '' } });
    use(site, silent);
    const life = site.begin(['once']);
    await site.until(life, () => silent.reached(step));
    life.child.kill('SIGKILL');
    expect(await life.ended).toMatchObject({ signal: 'SIGKILL' });
    expect(tellingOf(silent)).toBe(came);
    const next = await smtpServer({ tls: 'none' });
    use(site, next);
    expect(await site.run(['once'])).toMatchObject({ code: 0 });
    expect(tellingOf(next)).toBe(1);
    expect(await site.run(['once'])).toMatchObject({ code: 0 });
    expect(tellingOf(next)).toBe(1);
    expect(site.settings).toHaveLength(1);
  });
});
