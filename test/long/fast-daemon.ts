import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { serviceStart } from '../service-flags.ts';

/** The bundled daemon on a simulated node, where time jumps from one timer to the next. */

export interface FastDaemonOptions {
  readonly node: SimulatedNode;
  /** The repository. */
  readonly home: string;
  /** The wall clock at the node's beginning. */
  readonly startMs: number;
  /** The clock since the boot at the node's beginning; default: the real one, from now on. */
  readonly uptimeMs?: number;
  /** How old the node is: another daemon was there before. Default 0. */
  readonly elapsedMs?: number;
  /** Left out: the one that is there. */
  readonly yaml?: string;
  readonly execPath?: string;
  /** The program; else the one that is built in `home`. */
  readonly bundle?: string;
  /** The node has come to this time, and the daemon is about to. It stands still meanwhile. */
  readonly onTime: (elapsedMs: number) => void;
}

export interface FastDaemon {
  readonly child: ChildProcess;
  readonly pid: number;
  /** How many cycles it has told of, the end of each. */
  readonly cycles: number;
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

export function startFastDaemon(options: FastDaemonOptions): FastDaemon {
  const { node, home, startMs, uptimeMs, elapsedMs = 0, yaml } = options;
  const { flags, allocator } = serviceStart(join(home, 'systemd/lxc_autoscale.service'));
  if (yaml !== undefined) {
    mkdirSync(join(node.root, 'etc/lxc_autoscale'), { recursive: true });
    writeFileSync(join(node.root, 'etc/lxc_autoscale/lxc_autoscale.yaml'), yaml);
  }
  const fastTime = ['--require', join(home, 'test/long/fast-time.cjs')];
  const bundle = options.bundle ?? join(home, 'dist/lxc-autoscale.cjs');
  const args = [...flags, ...fastTime, bundle, '--sysroot', node.root, 'daemon'];
  const time = {
    FAST_TIME_SKIP: '1',
    FAST_TIME_FD: '3',
    FAST_TIME_START: String(startMs + elapsedMs),
    ...(uptimeMs !== undefined && { FAST_TIME_UPTIME: String(Math.floor(uptimeMs + elapsedMs)) }),
  };
  const PATH = `${node.binDirectory}:${process.env['PATH']}`;
  const child = spawn(options.execPath ?? process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...allocator, ...time, PATH },
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('the daemon could not be started');
  let cycles = 0;
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    cycles += text.split('Resource allocation process completed').length - 1;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = `${stderr}${text}`.slice(-10_000);
  });
  keepTime(child.stdio[3] as unknown as Duplex, options);
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    // It ends by this signal itself while a file system is asked, and is told to end at each tick.
    child.once('close', (code, signal) =>
      resolve({ code: signal === 'SIGTERM' ? 0 : code, stderr }),
    );
  });
  return {
    child,
    pid,
    ended,
    get cycles() {
      return cycles;
    },
  };
}

/** Brings the node to each time that the daemon is about to jump to. */
function keepTime(
  socket: Duplex,
  { node, startMs, elapsedMs = 0, onTime }: FastDaemonOptions,
): void {
  let nodeMs = elapsedMs;
  let received = '';
  socket.setEncoding('utf8');
  socket.on('error', () => {});
  socket.on('data', (text: string) => {
    received += text;
    for (let end = received.indexOf('\n'); end >= 0; end = received.indexOf('\n')) {
      const toMs = Number(received.slice(0, end)) - startMs;
      received = received.slice(end + 1);
      if (toMs > nodeMs) node.advance(toMs - nodeMs);
      nodeMs = Math.max(nodeMs, toMs);
      onTime(nodeMs);
      socket.write('\n');
    }
  });
}
