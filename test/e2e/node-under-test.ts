import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { type NodeOptions, SimulatedNode } from '../../src/sim/node.ts';
import type { Demand, HostSpec } from '../../src/sim/plant.ts';
import { PATIENCE_MS, until } from '../patience.ts';

/** A simulated node with the real, bundled program on it. */

export const BUNDLE = new URL('../../dist/lxc-autoscale.cjs', import.meta.url).pathname;

export const HOST: HostSpec = {
  cpus: 8,
  memoryMib: 32_768,
  swapMib: 4096,
  baseCores: 0.1,
  baseMemoryMib: 1024,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};

export interface Settings {
  readonly cores?: number;
  readonly memoryMib: number;
  readonly swapMib?: number;
  readonly lock?: string;
  readonly name?: string;
}

/** A container with a steady demand. */
export function guest(vmid: number, settings: Settings, demand: Demand): GuestSpec {
  const { name = `ct${vmid}`, ...rest } = settings;
  return { vmid, conf: guestText({ vmid, name, ...rest }), demand: () => demand };
}

/** In the middle of the band in both resources: nothing to do. */
export const calm = (vmid: number): GuestSpec =>
  guest(vmid, { cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib: 500 });

/** Four fifths and more of its memory in use. */
export const hungry = (vmid: number): GuestSpec =>
  guest(vmid, { cores: 2, memoryMib: 1024 }, { cpuCores: 1, anonMib: 900 });

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when the text log says so; rejects after the time limit. */
  saying(text: string | RegExp, limitMs?: number): Promise<void>;
  /** Resolves when the daemon has ended so many more cycles, however long one takes. */
  cycles(count: number): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

const open: Array<() => Promise<void>> = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/**
 * A node whose container 101 wants three cores instead of one, and after `grow` more memory than it
 * has as well, so that the next cycle sees both. No cores are dealt out: pvestatd does not run.
 */
export async function wantingBoth() {
  let anonMib = 500;
  const demand = () => ({ cpuCores: 3, anonMib });
  const spec = guest(101, { cores: 1, memoryMib: 1024 }, demand());
  const under = await NodeUnderTest.create([{ ...spec, demand }]);
  under.node.setPvestatd(false);
  under.configure('DEFAULT: {poll_interval: 2}\n');
  const grow = async (): Promise<void> => {
    await under.run(['once']);
    anonMib = 900;
    await under.passed(2000);
  };
  return { under, grow };
}

export class NodeUnderTest {
  readonly node: SimulatedNode;
  readonly root: string;
  readonly path: string;

  private constructor(node: SimulatedNode) {
    this.node = node;
    this.root = node.root;
    this.path = `${node.binDirectory}:${process.env['PATH']}`;
  }

  static async create(
    guests: readonly GuestSpec[],
    options: Partial<NodeOptions> = {},
  ): Promise<NodeUnderTest> {
    const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-e2e-'));
    const root = join(directory, 'node');
    const node = await SimulatedNode.create({
      root,
      host: HOST,
      guests,
      tickMs: 100,
      pvestatdPeriodMs: 1000,
      ...options,
    });
    node.advance(2000);
    open.push(async () => {
      await node.close();
      rmSync(directory, { recursive: true, force: true });
    });
    const made = new NodeUnderTest(node);
    made.configure('DEFAULT:\n  poll_interval: 1\n');
    return made;
  }

  configure(yaml: string): void {
    const directory = join(this.root, 'etc/lxc_autoscale');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'lxc_autoscale.yaml'), withQuietCycles(yaml));
  }

  /**
   * Starts the program on the node; the node's time runs from here on.
   *
   * @param before a command that starts a command, with its arguments
   * @param bundle the main file of the program
   */
  start(
    args: readonly string[],
    path = this.path,
    before: readonly string[] = [],
    bundle = BUNDLE,
  ): Running {
    this.node.start();
    const command = [...before, process.execPath, bundle, '--sysroot', this.root, ...args];
    const [file = '', ...argv] = command;
    const child = spawn(file, argv, { env: { ...process.env, PATH: path } });
    const ended = endOf(child);
    open.push(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    });
    return {
      child,
      ended,
      saying: (text, limitMs = PATIENCE_MS) => this.#saying(text, limitMs),
      cycles: (count) => {
        const goal = this.#cycles() + count;
        return until(
          () => this.#cycles() >= goal,
          () => this.log(),
        );
      },
      signal: (name) => {
        child.kill(name);
      },
    };
  }

  run(args: readonly string[], path = this.path): Promise<Ended> {
    return this.start(args, path).ended;
  }

  /** Waits until so many milliseconds have passed on the node, whose time this machine may slow. */
  passed(ms: number): Promise<void> {
    const { plant } = this.node.machine;
    const goal = plant.hostMs + ms;
    return until(() => plant.hostMs >= goal);
  }

  async #saying(text: string | RegExp, limitMs: number): Promise<void> {
    const untilMs = performance.now() + limitMs;
    while (performance.now() < untilMs) {
      const log = this.log();
      if (typeof text === 'string' ? log.includes(text) : text.test(log)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the log never said ${text}; it says:\n${this.log()}`);
  }

  #cycles(): number {
    return this.log().split('Next run in').length - 1;
  }

  log(): string {
    return this.#text('var/log/lxc_autoscale.log');
  }

  /** The JSON log, every line of it parsed. */
  journal(): Array<Record<string, unknown>> {
    const lines = this.#text('var/log/lxc_autoscale.json').split('\n');
    return lines.slice(0, -1).map((line) => JSON.parse(line));
  }

  conf(vmid: number): string {
    return this.#text(`etc/pve/nodes/pve1/lxc/${vmid}.conf`);
  }

  /** The copies of a container's configuration, oldest first. */
  backups(vmid: number): string[] {
    const directory = join(this.root, `var/lib/lxc_autoscale/backups/${vmid}`);
    if (!existsSync(directory)) return [];
    const names = readdirSync(directory).filter((name) => name.endsWith('.conf'));
    return names.sort().map((name) => readFileSync(join(directory, name), 'utf8'));
  }

  /** What `pct set` was called with so far. */
  sets(): string[][] {
    return this.node.calls.map(({ argv }) => [...argv]).filter(([, verb]) => verb === 'set');
  }

  #text(name: string): string {
    const path = join(this.root, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
}

/** Tests count cycles by their lines. The key is put behind what DEFAULT has: lines stay. */
export const withQuietCycles = (yaml: string): string =>
  yaml.includes('log_quiet_cycles')
    ? yaml
    : yaml
        .replace(/^DEFAULT: *\{ */m, 'DEFAULT: {log_quiet_cycles: True, ')
        .replace(/^DEFAULT:\n(?:[ #].*\n|\n(?= ))*/m, '$&  log_quiet_cycles: True\n');

/** Whether a process runs. One that has ended and that nobody has asked about yet does not. */
export function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) throw new Error('there is no such process to ask about');
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function endOf(child: ChildProcess): Promise<Ended> {
  const heard = hearing(child);
  return new Promise((resolve) => {
    child.once('close', (code) => resolve({ code, ...heard() }));
  });
}

/** What a process has written so far, whenever it is asked. */
export function hearing(child: ChildProcess): () => { stdout: string; stderr: string } {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  return () => ({ stdout, stderr });
}
