import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { afterEach } from 'vitest';

/**
 * A network of its own in which 198.18.9.0/24 answers and belongs to no interface, as the addresses
 * of members do. Needs root and ip(8).
 */

export const whyNoMemberNetwork = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'only root can make a network';
  return existsSync('/usr/sbin/ip') ? undefined : 'there is no ip(8)';
};

const SETUP =
  'PATH=$PATH:/usr/sbin; ip link set lo up && ip route add local 198.18.9.0/24 dev lo && ' +
  'echo ready && exec sleep infinity';
const SERVER = `
  const [address, port] = process.argv.slice(1);
  require('node:http').createServer((_request, response) => response.end('ok'))
    .listen(Number(port), address, () => process.stdout.write('ready\\n'));`;

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0).reverse()) await end(child);
});

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function begin(file: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

export class MemberNetwork {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async create(): Promise<MemberNetwork> {
    return new MemberNetwork(await begin('unshare', ['--net', 'sh', '-c', SETUP]));
  }

  /** What a command begins with that is to run in it. */
  get inside(): readonly string[] {
    return ['nsenter', '--target', `${this.#holder.pid}`, '--net', '--'];
  }

  /** A page on an address that a member is going to have. Returns what ends it. */
  async serve(address: string, port: number): Promise<() => Promise<void>> {
    const [file = '', ...args] = [...this.inside, process.execPath, '-e', SERVER, address];
    const child = await begin(file, [...args, `${port}`]);
    return () => end(child);
  }
}
