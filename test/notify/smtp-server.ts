import { type AddressInfo, createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { afterEach } from 'vitest';
import { SERVER_TLS } from './certificate.ts';

/** An SMTP server on loopback, with STARTTLS and login, that can be told to fail at any step. */

export interface SmtpOptions {
  readonly tls?: 'starttls' | 'from-the-start' | 'none';
  /** Wants this login; undefined: none. */
  readonly login?: { readonly username: string; readonly password: string };
  readonly methods?: string;
  /** What to answer to a command, in place of the usual; `''` says nothing, for ever. */
  readonly instead?: Readonly<Record<string, string>>;
  /** Closes the connection instead of answering this command. */
  readonly closesAt?: string;
}

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly text: string;
  readonly encrypted: boolean;
  readonly user: string | undefined;
}

export interface SmtpServer {
  readonly port: number;
  readonly mails: readonly Mail[];
  /** The verbs that came, of all connections. */
  readonly verbs: readonly string[];
  /** Whether it came to the answer to this command, or to its `greeting` or a `message`. */
  reached(step: string): boolean;
  close(): Promise<void>;
}

const open: SmtpServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

export async function smtpServer(options: SmtpOptions = {}): Promise<SmtpServer> {
  const mails: Mail[] = [];
  const verbs: string[] = [];
  const reached = new Set<string>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    const atOnce = options.tls === 'from-the-start';
    const session = new Session(options, mails, verbs, reached);
    session.talk(atOnce ? secured(socket) : socket, atOnce, '220 test ESMTP');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const made: SmtpServer = {
    port: (server.address() as AddressInfo).port,
    mails,
    verbs,
    reached: (step) => reached.has(step),
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  open.push(made);
  return made;
}

function secured(socket: Socket): TLSSocket {
  const safe = new TLSSocket(socket, { isServer: true, ...SERVER_TLS });
  safe.on('error', () => {});
  return safe;
}

class Session {
  #socket: Socket | undefined;
  #encrypted = false;
  #from = '';
  #to: string[] = [];
  #user: string | undefined;
  #rest = '';
  /** Takes the next line, where it is no command. */
  #next: ((line: string) => void) | undefined;

  constructor(
    private readonly options: SmtpOptions,
    private readonly mails: Mail[],
    private readonly verbs: string[],
    private readonly reached: Set<string>,
  ) {}

  talk(socket: Socket, encrypted: boolean, greeting?: string): void {
    this.#socket = socket;
    this.#encrypted = encrypted;
    this.#rest = '';
    socket.on('data', (chunk) => this.#take(String(chunk)));
    if (greeting !== undefined) this.#answer('greeting', greeting);
  }

  #take(chunk: string): void {
    this.#rest += chunk;
    for (;;) {
      const end = this.#rest.indexOf('\r\n');
      if (end < 0) return;
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 2);
      const next = this.#next;
      if (next !== undefined) next(line);
      else this.#command(line);
    }
  }

  #answer(verb: string, usual: string): void {
    this.reached.add(verb);
    if (this.options.closesAt === verb) {
      this.#socket?.destroy();
      return;
    }
    const text = this.options.instead?.[verb] ?? usual;
    if (text !== '') this.#socket?.write(`${text}\r\n`);
  }

  #command(line: string): void {
    const verb = (/^[A-Za-z]+/.exec(line)?.[0] ?? '').toUpperCase();
    this.verbs.push(verb);
    switch (verb) {
      case 'EHLO':
        this.#answer(verb, this.#extensions());
        return;
      case 'STARTTLS':
        this.#answer(verb, this.options.tls === 'none' ? '502 not here' : '220 go ahead');
        if (this.options.tls !== 'none' && this.#socket !== undefined) {
          this.#socket.removeAllListeners('data');
          this.talk(secured(this.#socket), true);
        }
        return;
      case 'AUTH':
        this.#login(line);
        return;
      case 'MAIL':
        if (this.options.login !== undefined && this.#user === undefined) {
          this.#answer(verb, '530 5.7.0 Authentication required');
          return;
        }
        this.#from = /<(.*?)>/.exec(line)?.[1] ?? '';
        this.#answer(verb, '250 OK');
        return;
      case 'RCPT':
        this.#to.push(/<(.*?)>/.exec(line)?.[1] ?? '');
        this.#answer(verb, '250 OK');
        return;
      case 'DATA':
        this.#answer(verb, '354 go on');
        this.#takeMail();
        return;
      case 'QUIT':
        this.#answer(verb, '221 bye');
        return;
      default:
        this.#answer(verb, '500 what?');
        return;
    }
  }

  #extensions(): string {
    const { tls = 'starttls', login, methods = 'PLAIN LOGIN' } = this.options;
    return [
      '250-test',
      ...(tls === 'starttls' && !this.#encrypted ? ['250-STARTTLS'] : []),
      ...(login === undefined ? [] : [`250-AUTH ${methods}`]),
      '250 SIZE 1000000',
    ].join('\r\n');
  }

  #login(line: string): void {
    const decoded = (text: string): string => Buffer.from(text, 'base64').toString();
    const done = (user: string, password: string): void => {
      this.#next = undefined;
      const { login } = this.options;
      const good = user === login?.username && password === login?.password;
      this.#user = good ? user : undefined;
      this.#answer('AUTH', good ? '235 2.7.0 OK' : '535 5.7.8 Username and password not accepted');
    };
    const [, method, first] = line.split(' ');
    if (method === 'PLAIN') {
      const [, user = '', password = ''] = decoded(first ?? '').split('\0');
      done(user, password);
      return;
    }
    this.#socket?.write('334 VXNlcm5hbWU6\r\n');
    this.#next = (user) => {
      this.#socket?.write('334 UGFzc3dvcmQ6\r\n');
      this.#next = (password) => done(decoded(user), decoded(password));
    };
  }

  #takeMail(): void {
    const lines: string[] = [];
    this.#next = (line) => {
      if (line !== '.') {
        lines.push(line.replace(/^\./, ''));
        return;
      }
      this.#next = undefined;
      const [from, to, encrypted, user] = [this.#from, this.#to, this.#encrypted, this.#user];
      this.mails.push({ from, to, encrypted, user, text: lines.join('\r\n') });
      this.#to = [];
      this.#answer('message', '250 2.0.0 OK queued as 4711');
    };
  }
}
