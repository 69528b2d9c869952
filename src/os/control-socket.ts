import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path/posix';
import { parseVmid, type Vmid } from '../core/units.ts';
import { askControlSocket } from './control-client.ts';
import { CONTROL_SOCKET, MOST_PATH_BYTES } from './control-path.ts';
import { makePrivateDirectory } from './directories.ts';
import { parseJsonObject } from './json-object.ts';
import { describeError, errorCode } from './os-error.ts';
import type { Sysroot } from './sysroot.ts';

/**
 * The daemon's end of the socket on which `status` and `explain` ask it. One request a connection:
 * a line of JSON, answered by a line of JSON. Only root may open it. Whatever comes in, the daemon
 * goes on: a socket that cannot be opened and a request that is none are ordinary events.
 */

export type ControlRequest =
  /** Of the named node; undefined: the one that the daemon runs on. */
  | { readonly command: 'status'; readonly node?: string }
  | { readonly command: 'health' }
  /** The same as SIGHUP: the configuration is read again. */
  | { readonly command: 'reload' }
  /** A link that logs in to the page, once. */
  | { readonly command: 'dashboard' }
  /** On the named node; undefined: on any. */
  | { readonly command: 'explain'; readonly vmid: Vmid; readonly node?: string }
  /** A horizontal group, by its label. */
  | { readonly command: 'explain-group'; readonly group: string };

export interface ControlSettings {
  readonly paths: Sysroot;
  /** What is answered: an object that JSON can hold. */
  readonly answer: (request: ControlRequest) => Promise<object>;
  /** Told of what went wrong, in a sentence. */
  readonly complain: (message: string) => void;
}

export interface ControlSocket {
  /** Ends all connections and takes the socket away. */
  close(): Promise<void>;
}

const MOST_CONNECTIONS = 8;
/** So many more are told to ask again; others are closed at once. Node 18 takes all that come. */
const MOST_OPEN = 64;
const MOST_REQUEST_BYTES = 4096;
const REQUEST_LIMIT_MS = 2000;
/** For the whole of a connection: who does not read its answer must not hold it for ever. */
const CONNECTION_LIMIT_MS = 5000;

/** Opens the socket, or complains and goes on without it. Never throws, never keeps us alive. */
export async function openControlSocket(settings: ControlSettings): Promise<ControlSocket> {
  const path = settings.paths.at(CONTROL_SOCKET);
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    serve(socket, connections, settings.answer);
  });
  server.maxConnections = MOST_OPEN;
  const failure = await open(server, path);
  if (failure !== undefined) {
    settings.complain(`status and explain cannot ask this daemon: ${failure}`);
    return { close: async () => {} };
  }
  server.on('error', (error) => {
    settings.complain(`The control socket ${path} has failed: ${describeError(error)}`);
  });
  server.unref();
  return {
    async close() {
      for (const socket of connections) socket.destroy();
      // The system's own close removes the file of a socket too.
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** Returns why it could not be opened; undefined if it could. */
async function open(server: Server, path: string): Promise<string | undefined> {
  const length = Buffer.byteLength(path);
  if (length > MOST_PATH_BYTES) {
    const most = `at most ${MOST_PATH_BYTES} are possible`;
    return `the path of its socket has ${length} bytes, and ${most}: ${path}`;
  }
  try {
    // Nobody else may enter it, so that the socket is safe also before its own mode is set.
    makePrivateDirectory(dirname(path));
    const inTheWay = await clearPlace(path);
    if (inTheWay !== undefined) return inTheWay;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    });
    chmodSync(path, 0o600);
    return undefined;
  } catch (error) {
    if (server.listening) server.close();
    return `${path}: ${describeError(error)}`;
  }
}

/** Removes the socket of a dead process. Returns what else stands there. */
async function clearPlace(path: string): Promise<string | undefined> {
  try {
    if (!lstatSync(path).isSocket()) return `${path} is no socket, and is left as it is`;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const answer = await askControlSocket(path, { command: 'status' });
  if (answer.kind !== 'nobody') return `${path} belongs to another process that lives`;
  rmSync(path, { force: true });
  return undefined;
}

function serve(socket: Socket, connections: Set<Socket>, answer: ControlSettings['answer']): void {
  connections.add(socket);
  socket.unref();
  const limit = setTimeout(() => socket.destroy(), CONNECTION_LIMIT_MS).unref();
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    clearTimeout(limit);
    connections.delete(socket);
  });
  const reply = (content: object): void => {
    if (socket.destroyed) return;
    // Nothing more is read: what still comes in has been answered.
    socket.removeAllListeners('data').resume();
    socket.end(`${JSON.stringify(content)}\n`, () => socket.destroySoon());
  };
  if (connections.size > MOST_CONNECTIONS) {
    reply({ error: 'too many are asking at this moment; ask again' });
    return;
  }
  readLine(socket, (line) => {
    const request = line === undefined ? undefined : parseRequest(line);
    if (request === undefined) {
      reply({
        error: 'this is no request: {"command":"status"} or {"command":"explain","vmid":N}',
      });
      return;
    }
    Promise.resolve(request)
      .then(answer)
      .then(reply)
      .catch((error: unknown) => {
        reply({ error: `the daemon could not answer: ${describeError(error)}` });
      });
  });
}

/** Calls back once: with the first line, or undefined if there is none in time and in size. */
function readLine(socket: Socket, done: (line: string | undefined) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  let over = false;
  const finish = (line: string | undefined): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    done(line);
  };
  const timer = setTimeout(() => finish(undefined), REQUEST_LIMIT_MS).unref();
  socket.on('close', () => clearTimeout(timer));
  socket.on('end', () => finish(Buffer.concat(chunks).toString('utf8')));
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    const end = chunk.indexOf(0x0a);
    if (length > MOST_REQUEST_BYTES) finish(undefined);
    else if (end >= 0) finish(Buffer.concat(chunks).toString('utf8').split('\n', 1)[0]);
  });
}

function parseRequest(line: string): ControlRequest | undefined {
  const { command, vmid, group, node: named } = parseJsonObject(line) ?? {};
  const node = typeof named === 'string' ? { node: named } : {};
  if (command === 'explain-group' && typeof group === 'string') return { command, group };
  if (command === 'health' || command === 'reload' || command === 'dashboard') return { command };
  if (command === 'status') return { command, ...node };
  if (command !== 'explain' || typeof vmid !== 'number') return undefined;
  const id = parseVmid(String(vmid));
  return id === undefined ? undefined : { command, vmid: id, ...node };
}
