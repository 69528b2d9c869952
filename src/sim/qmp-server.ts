import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { PlantVm } from './plant.ts';

/** The monitors (QMP) of the running machines, as recorded: one client at a time. */

/** What is wrong with a monitor. */
export type QmpFault =
  /** It takes the connection, and says nothing. */
  | 'hang'
  /** It greets, and answers nothing. */
  | 'silent'
  | 'garbage'
  /** It hangs up in the middle of an answer. */
  | 'cut'
  /** It never ends what it says. */
  | 'endless'
  /** It greets, and refuses every question. */
  | 'errors'
  /** Its guest has told nothing for ten minutes. */
  | 'stale'
  /** Nobody serves the socket. */
  | 'refuses'
  /** There is no socket. */
  | 'gone';

const GREETING = {
  QMP: {
    version: { qemu: { micro: 0, minor: 2, major: 9 }, package: 'pve-qemu-kvm_9.2.0' },
    capabilities: ['oob'],
  },
};
const LONGEST_SOCKET_PATH = 100;
const MIB = 1024 * 1024;
const STALE_MS = 600_000;
const ENDLESS = 'x'.repeat(2 * MIB);

/** With these there is nobody at the socket. */
const isAway = (fault: QmpFault | undefined): boolean => fault === 'gone' || fault === 'refuses';

export interface QmpParts {
  readonly root: string;
  readonly running: (vmid: number) => PlantVm | undefined;
  /** The clock by which guests tell when they have told. */
  readonly wallMs: () => number;
}

interface Monitor {
  readonly server: Server;
  readonly path: string;
  readonly waiting: Socket[];
  current: Socket | undefined;
}

export class QmpServers {
  /** How many conversations there were, by machine. */
  readonly conversations = new Map<number, number>();
  readonly #parts: QmpParts;
  readonly #monitors = new Map<number, Monitor>();
  readonly #faults = new Map<number, QmpFault>();

  constructor(parts: QmpParts) {
    this.#parts = parts;
    mkdirSync(join(parts.root, 'run/qemu-server'), { recursive: true });
  }

  setFault(vmid: number, fault: QmpFault | undefined): void {
    if (fault === undefined) this.#faults.delete(vmid);
    else this.#faults.set(vmid, fault);
    if (isAway(fault)) this.close(vmid);
    // To connect to what is no socket is refused.
    if (fault === 'refuses') writeFileSync(this.#pathOf(vmid), '');
  }

  /** Opens the sockets of machines that run, and closes those of others. */
  async sync(vmids: Iterable<number>): Promise<void> {
    const running = new Set(vmids);
    for (const vmid of [...this.#monitors.keys()]) if (!running.has(vmid)) this.close(vmid);
    for (const vmid of running) {
      if (!this.#monitors.has(vmid) && !isAway(this.#faults.get(vmid))) await this.#open(vmid);
    }
  }

  closeAll(): void {
    for (const vmid of [...this.#monitors.keys()]) this.close(vmid);
  }

  close(vmid: number): void {
    const monitor = this.#monitors.get(vmid);
    if (monitor === undefined) return;
    this.#monitors.delete(vmid);
    for (const socket of [monitor.current, ...monitor.waiting]) socket?.destroy();
    monitor.server.close();
    rmSync(monitor.path, { force: true });
  }

  #pathOf = (vmid: number): string => join(this.#parts.root, `run/qemu-server/${vmid}.qmp`);

  async #open(vmid: number): Promise<void> {
    const path = this.#pathOf(vmid);
    if (path.length > LONGEST_SOCKET_PATH) return;
    rmSync(path, { force: true });
    const server = createServer((socket) => this.#accept(vmid, socket));
    const monitor: Monitor = { server, path, waiting: [], current: undefined };
    this.#monitors.set(vmid, monitor);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    server.unref();
  }

  #accept(vmid: number, socket: Socket): void {
    const monitor = this.#monitors.get(vmid);
    if (monitor === undefined) {
      socket.destroy();
      return;
    }
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#next(vmid, monitor, socket));
    if (monitor.current === undefined) this.#serve(vmid, monitor, socket);
    else monitor.waiting.push(socket);
  }

  #next(vmid: number, monitor: Monitor, gone: Socket): void {
    if (monitor.current !== gone) {
      const at = monitor.waiting.indexOf(gone);
      if (at >= 0) monitor.waiting.splice(at, 1);
      return;
    }
    monitor.current = undefined;
    const next = monitor.waiting.shift();
    if (next !== undefined) this.#serve(vmid, monitor, next);
  }

  #serve(vmid: number, monitor: Monitor, socket: Socket): void {
    monitor.current = socket;
    this.conversations.set(vmid, (this.conversations.get(vmid) ?? 0) + 1);
    const fault = this.#faults.get(vmid);
    if (fault === 'hang') return;
    if (fault === 'garbage' || fault === 'endless') {
      socket.write(fault === 'garbage' ? '\u0000\u0001 this is no QMP {{{\n' : ENDLESS);
      return;
    }
    socket.write(`${JSON.stringify(GREETING)}\r\n`);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        if (fault === 'silent') continue;
        const answer = `${JSON.stringify(this.#answer(vmid, line))}\r\n`;
        if (fault === 'cut') socket.end(answer.slice(0, 9));
        else socket.write(answer);
      }
    });
  }

  #answer(vmid: number, line: string): unknown {
    const vm = this.#parts.running(vmid);
    const command: { execute?: string; arguments?: { property?: string } } = JSON.parse(line);
    const error = (kind: string, desc: string) => ({ error: { class: kind, desc } });
    if (vm === undefined) return error('GenericError', 'it does not run');
    const fault = this.#faults.get(vmid);
    if (fault === 'errors' && command.execute !== 'qmp_capabilities') {
      return error('GenericError', 'not now');
    }
    const { guest } = vm;
    switch (command.execute) {
      case 'qmp_capabilities':
        return { return: {} };
      case 'query-status':
        return { return: { status: vm.frozen ? 'paused' : 'running', running: !vm.frozen } };
      case 'query-cpus-fast':
        return {
          return: Array.from({ length: guest.vcpus }, (_, index) => ({
            'thread-id': 16_357 + index,
            'cpu-index': index,
            target: 'x86_64',
            'qom-path': `/machine/unattached/device[${index}]`,
          })),
        };
      case 'query-memory-size-summary': {
        const base = Math.min(1024, guest.memoryMib) * MIB;
        return { return: { 'base-memory': base, 'plugged-memory': guest.memoryMib * MIB - base } };
      }
      case 'query-balloon':
        if (!guest.hasBalloon) {
          return error('DeviceNotActive', 'No balloon device has been activated');
        }
        return { return: { actual: Math.floor(guest.actualMib) * 1024 * 1024 } };
      case 'qom-get': {
        if (!guest.hasBalloon) {
          return error('DeviceNotFound', "Device '/machine/peripheral/balloon0' not found");
        }
        const { stats } = guest;
        const none = Object.fromEntries(Object.keys(NO_STATS).map((key) => [key, -1]));
        const toldMs = this.#parts.wallMs() - (fault === 'stale' ? STALE_MS : 0);
        const lastUpdate = stats === undefined ? 0 : Math.floor(toldMs / 1000);
        return { return: { stats: stats ?? none, 'last-update': lastUpdate } };
      }
      default:
        return error('CommandNotFound', `The command ${command.execute} has not been found`);
    }
  }
}

const NO_STATS = {
  'stat-swap-in': -1,
  'stat-swap-out': -1,
  'stat-major-faults': -1,
  'stat-minor-faults': -1,
  'stat-free-memory': -1,
  'stat-total-memory': -1,
  'stat-available-memory': -1,
  'stat-disk-caches': -1,
};
