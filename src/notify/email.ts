import { randomUUID } from 'node:crypto';
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js';
import type { Fault } from '../core/notify/queue.ts';
import { plainText } from '../core/plain-text.ts';
import { describeNetworkError, isForSettings } from '../os/network-error.ts';
import type { Channel, Delivery, Letter } from './channel.ts';
import { type HttpLimits, readCertificates, TRUST } from './http.ts';
import { mailText } from './mail-text.ts';

export interface EmailSettings {
  readonly server: string;
  readonly port: number;
  /** Encrypted from the first byte, by STARTTLS or not at all. Never less than is said here. */
  readonly security: 'starttls' | 'tls' | 'none';
  /** undefined: no login. */
  readonly login: { readonly username: string; readonly password: string } | undefined;
  readonly from: string;
  readonly to: readonly string[];
}

export function email(settings: EmailSettings, limits: HttpLimits): Channel {
  return { name: 'email', send: (letter, stop) => deliver(settings, limits, letter, stop) };
}

const MAX_SAID = 300;

async function deliver(
  settings: EmailSettings,
  { timeLimitMs, caFile }: HttpLimits,
  letter: Letter,
  stop: AbortSignal,
): Promise<Delivery> {
  const ca = caFile === undefined ? undefined : readCertificates(caFile);
  if (ca?.ok === false) return { ok: false, said: ca.message, fault: 'settings' };
  const { server, port, security } = settings;
  const options: SMTPConnection.Options & { readonly allowInternalNetworkInterfaces: boolean } = {
    host: server,
    port,
    name: letter.host,
    logger: false,
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    allowInternalNetworkInterfaces: true,
    connectionTimeout: timeLimitMs,
    greetingTimeout: timeLimitMs,
    socketTimeout: timeLimitMs,
    dnsTimeout: timeLimitMs,
    tls: { ...(ca?.ok && { ca: [...ca.value] }) },
  };
  const connection = new SMTPConnection(options);
  let giveUp = (): void => {};
  let timer: NodeJS.Timeout | undefined;
  const failure = new Promise<Delivery>((resolve) => {
    giveUp = () => resolve(late('given up, since the daemon stops'));
    timer = setTimeout(
      () => resolve(late(`no answer within ${timeLimitMs / 1000} s`)),
      timeLimitMs,
    );
    connection.on('error', (error: unknown) => resolve(failed(error)));
    connection.once('end', () => resolve(failed({ code: 'ECONNRESET' })));
    boundAnswers(connection, () => resolve(TOO_MUCH));
  });
  stop.addEventListener('abort', giveUp, { once: true });
  if (stop.aborted) giveUp();
  try {
    return await Promise.race([failure, converse(connection, settings, letter)]);
  } finally {
    clearTimeout(timer);
    stop.removeEventListener('abort', giveUp);
    connection.close();
  }
}

/** All that a server says in one conversation has some kilobytes. */
const MAX_ANSWER_BYTES = 64 * 1024;
const TOO_MUCH: Delivery = {
  ok: false,
  said: `it answers with more than ${MAX_ANSWER_BYTES} bytes, so it is something else`,
  fault: 'settings',
};

/** The library itself gathers what comes, without end, until there is a line of it. */
function boundAnswers(connection: SMTPConnection, onTooMuch: () => void): void {
  const library = connection as unknown as { _onData(chunk: Buffer): void };
  const take = library._onData.bind(connection);
  let received = 0;
  library._onData = (chunk) => {
    received += chunk.length;
    if (received <= MAX_ANSWER_BYTES) return take(chunk);
    onTooMuch();
    connection.close();
  };
}

const late = (said: string): Delivery => ({ ok: false, said, fault: 'passing' });

async function converse(
  connection: SMTPConnection,
  { login, from, to }: EmailSettings,
  letter: Letter,
): Promise<Delivery> {
  try {
    await new Promise<void>((resolve, reject) => {
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
    if (login !== undefined) {
      const credentials = { user: login.username, pass: login.password };
      await new Promise<void>((resolve, reject) => {
        connection.login({ credentials }, (error) => (error ? reject(error) : resolve()));
      });
    }
    const id = `${randomUUID()}@${letter.host}`;
    const mail = mailText(letter, { from, to, id });
    const info = await new Promise<SMTPConnection.SentMessageInfo>((resolve, reject) => {
      connection.send({ from, to: [...to] }, mail, (error, sent) =>
        error ? reject(error) : resolve(sent),
      );
    });
    connection.quit();
    const refused = info.rejected.length === 0 ? '' : `; refused: ${info.rejected.join(', ')}`;
    return { ok: true, said: plainText(`${info.response}${refused}`, MAX_SAID) };
  } catch (error) {
    return failed(error);
  }
}

/** The server's own words where it said any, else what was wrong with the connection. */
function failed(error: unknown): Delivery {
  const { code, responseCode, response } = error as Partial<SMTPConnection.SMTPError>;
  if (code === 'ETLS' && response !== undefined) {
    const said = `it offers no STARTTLS: ${plainText(response, MAX_SAID)}; see smtp_security`;
    return { ok: false, said, fault: 'settings' };
  }
  if (typeof response === 'string' && response !== '') {
    const said = plainText(response, MAX_SAID);
    return { ok: false, said, fault: faultOf(code, responseCode ?? 0) };
  }
  const fault = isForSettings(error) || code === 'EAUTH' ? 'settings' : 'passing';
  return { ok: false, said: describeNetworkError(error, TRUST), fault };
}

/** Source: RFC 5321, 4.2.1 and 4.2.3: 4yz passes, 5yz does not. */
function faultOf(code: string | undefined, responseCode: number): Fault {
  if (responseCode < 500) return 'passing';
  return code === 'EMESSAGE' || [552, 554].includes(responseCode) ? 'message' : 'settings';
}
