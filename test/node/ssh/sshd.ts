import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { SshNodeConfig } from '../../../src/config/model.ts';
import { findExecutable } from '../../../src/os/executable-files.ts';
import { freePort } from '../../free-port.ts';
import { until } from '../../patience.ts';

/** A real sshd on loopback, with keys of its own, and a wire to it that can be cut. */

const found = findExecutable('sshd', process.env);
export const NO_SSHD =
  found !== undefined && process.getuid?.() === 0
    ? undefined
    : 'needs root and sshd (apt-get install openssh-server)';

export interface SshServer {
  readonly directory: string;
  /** As the configuration has a node behind it. */
  readonly settings: SshNodeConfig;
  readonly wire: Wire;
  /** Another host key from the next connection on. */
  changeHostKey(): Promise<void>;
  close(): Promise<void>;
}

export interface SshServerOptions {
  /** A command that starts a command: with it the server is started. */
  readonly before?: readonly string[];
  /** PATH of what runs there. */
  readonly path: string;
  /**
   * Runs in the place of what is asked for, which `SSH_ORIGINAL_COMMAND` has.
   * @param directory of the server
   */
  readonly forced?: (directory: string) => string;
}

export async function startSshd(options: SshServerOptions): Promise<SshServer> {
  const { path, forced, before = [] } = options;
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-sshd-'));
  const at = (name: string): string => join(directory, name);
  for (const name of ['host', 'other-host', 'user', 'stranger']) newKey(at(name));
  const port = await freePort();
  const wire = await Wire.to(port);
  const restriction =
    forced === undefined ? '' : `command="${forced(directory)}; eval \\"$SSH_ORIGINAL_COMMAND\\"" `;
  writeFileSync(at('authorized_keys'), restriction + readFileSync(at('user.pub'), 'utf8'));
  writeFileSync(at('known_hosts'), `* ${readFileSync(at('host.pub'), 'utf8')}`);
  const serving = (hostKey: string) => serve(directory, port, hostKey, path, before);
  let server = await serving('host');
  return {
    directory,
    wire,
    settings: {
      connection: 'ssh',
      name: 'far',
      node: undefined,
      host: '127.0.0.1',
      port: wire.port,
      user: userInfo().username,
      jump: undefined,
      identityFile: at('user'),
      knownHosts: at('known_hosts'),
    },
    async changeHostKey() {
      await stop(server);
      server = await serving('other-host');
    },
    async close() {
      wire.close();
      await stop(server);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function newKey(path: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path]);
}

async function serve(
  directory: string,
  port: number,
  hostKey: string,
  path: string,
  before: readonly string[],
): Promise<ChildProcess> {
  const config = join(directory, 'sshd_config');
  const lines = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${directory}/${hostKey}`,
    'PidFile none',
    `AuthorizedKeysFile ${directory}/authorized_keys`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin yes',
    'MaxStartups 100',
    `SetEnv PATH=${path}`,
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  // Its own place for a process without rights, which a service would have made.
  if (!existsSync('/run/sshd')) mkdirSync('/run/sshd', { mode: 0o755 });
  const [file = '', ...args] = [...before, found ?? '', '-D', '-e', '-f', config];
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said += chunk;
  });
  await until(
    () => said.includes('Server listening'),
    () => said,
  );
  return child;
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await ended;
}

/** Everything goes through it, until it is cut, or stands still. */
export class Wire {
  readonly port: number;
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Socket>();
  #isStill = false;
  #isRefused = false;
  /** So many bytes from the server come through yet; undefined: all. */
  #left: number | undefined;
  connections = 0;
  /** What has come from the server. */
  returned = 0;

  private constructor(server: ReturnType<typeof createServer>, port: number, to: number) {
    this.port = port;
    this.#server = server;
    server.on('connection', (near) => this.#join(near, to));
  }

  static to(port: number): Promise<Wire> {
    return new Promise((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => {
        const address = server.address();
        const own = typeof address === 'object' ? (address?.port ?? 0) : 0;
        resolve(new Wire(server, own, port));
      });
    });
  }

  /** Cuts all connections, now or after so many bytes more from the server. */
  cut(afterBytes?: number): void {
    if (afterBytes !== undefined) this.#left = afterBytes;
    else for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts all connections, and all that come. */
  refuse(isRefused: boolean): void {
    this.#isRefused = isRefused;
    if (isRefused) this.cut();
  }

  /** Nothing comes through any more, and nobody is told. */
  still(isStill: boolean): void {
    this.#isStill = isStill;
    for (const socket of this.#sockets) isStill ? socket.pause() : socket.resume();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(near: Socket, to: number): void {
    if (this.#isRefused) return void near.destroy();
    this.connections += 1;
    const far = connect(to, '127.0.0.1');
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
      if (this.#isStill) socket.pause();
    }
    near.on('data', (chunk) => far.write(chunk));
    far.on('data', (chunk) => this.#back(near, chunk));
  }

  #back(near: Socket, chunk: Buffer): void {
    this.returned += chunk.length;
    if (this.#left === undefined) return void near.write(chunk);
    const part = chunk.subarray(0, this.#left);
    this.#left -= part.length;
    near.write(part);
    if (this.#left > 0) return;
    this.#left = undefined;
    near.end();
    this.cut();
  }
}
