import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { CommandOrder, CommandRequest } from './command-client.ts';

/** The node's end of the socket on which its executables call. */

export interface Caller {
  readonly request: CommandRequest;
  /** Whether the calling process has ended. */
  readonly gone: () => boolean;
}

export interface ServerOptions {
  readonly path: string;
  readonly answer: (caller: Caller) => Promise<CommandOrder>;
  /** A hanging client tells the id of the child that it has started. */
  readonly onChild: (request: CommandRequest, pid: number) => void;
}

const isRequest = (value: unknown): value is CommandRequest =>
  typeof value === 'object' && value !== null && 'argv' in value && Array.isArray(value.argv);

const hasChildPid = (value: unknown): value is { childPid: number } =>
  typeof value === 'object' && value !== null && 'childPid' in value;

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

export class CommandServer {
  readonly #options: ServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async listen(): Promise<void> {
    rmSync(this.#options.path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.path, resolve);
    });
  }

  /** Ends all calls under way, hanging ones too, and takes the socket away. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.#options.path, { force: true });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let request: CommandRequest | undefined;
    let received = '';
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (text: string) => {
      received += text;
      for (let end = received.indexOf('\n'); end >= 0; end = received.indexOf('\n')) {
        const value = parsed(received.slice(0, end));
        received = received.slice(end + 1);
        if (request === undefined && isRequest(value)) {
          request = value;
          void this.#answer(socket, value);
        } else if (request !== undefined && hasChildPid(value)) {
          this.#options.onChild(request, value.childPid);
        }
      }
    });
  }

  async #answer(socket: Socket, request: CommandRequest): Promise<void> {
    const order = await this.#options.answer({ request, gone: () => socket.destroyed });
    if (!socket.destroyed) socket.write(`${JSON.stringify(order)}\n`);
  }
}
