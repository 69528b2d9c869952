import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Answer } from '../../src/sim/command-line.ts';
import type { Call, Fault } from '../../src/sim/faults.ts';
import { hearing, type NodeUnderTest } from '../e2e/node-under-test.ts';
import { PATIENCE_MS } from '../patience.ts';
import type { Point, Touch } from './points.ts';

/** A simulated node on which lives of the program begin and are cut off. */

const fileOf = (name: string): string => new URL(name, import.meta.url).pathname;
const BUNDLE = fileOf('../../dist/lxc-autoscale.cjs');
const OUTSIDE = fileOf('../faults/outside.cjs');
const HOOK = fileOf('at-a-point.cjs');

export interface Death {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Life {
  readonly child: ChildProcess;
  readonly ended: Promise<Death>;
}

const LIMITS: ReadonlySet<string> = new Set(['--cores', '--cpulimit', '--memory']);

/** A `pct set` of a limit, and the configuration that it met. */
export interface Setting {
  readonly vmid: number;
  readonly confBefore: string;
  readonly call: Call;
}

/** So long a command goes on that is to outlast the beginning of the next life. */
const LONG_MS = 1500;
const SHORT_MS = 50;

const running = new Set<Life>();

afterEach(async () => {
  for (const { child, ended } of running) {
    child.kill('SIGKILL');
    await ended;
  }
  running.clear();
});

export class Site {
  readonly under: NodeUnderTest;
  readonly settings: Setting[] = [];
  /** What goes wrong with a command in this scenario anyway. */
  fault: ((call: Call) => Fault | undefined) | undefined;
  #lives = 0;
  #at: Point | undefined;
  #met = 0;
  #current: Life | undefined;
  /** The command that outlives its caller. */
  #orphan: Call | undefined;

  constructor(under: NodeUnderTest) {
    this.under = under;
    under.node.onCommand((call) => this.#onCommand(call));
  }

  /** The next life is cut off there. */
  cutOffAt(point: Point): void {
    this.#at = point;
    this.#met = 0;
  }

  begin(args: readonly string[], env: Readonly<Record<string, string>> = {}): Life {
    const { root, node, path } = this.under;
    this.#lives += 1;
    const at = this.#at;
    this.#at = undefined;
    const plan = join(root, `../plan-${this.#lives}.json`);
    const list = this.#listOf(this.#lives);
    writeFileSync(plan, JSON.stringify({ root, hook: HOOK, list, at }));
    node.start();
    const argv = ['--require', OUTSIDE, BUNDLE, '--sysroot', root, ...args];
    const child = spawn(process.execPath, argv, {
      env: { ...process.env, PATH: path, OUTSIDE: plan, ...env },
    });
    const life: Life = { child, ended: endOf(child) };
    this.#aim = at;
    this.#current = life;
    running.add(life);
    void life.ended.then(() => running.delete(life));
    return life;
  }

  run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Death> {
    return this.begin(args, env).ended;
  }

  /** The writes and commands of a life. */
  touches(life = this.#lives): readonly Touch[] {
    const text = readFileSync(this.#listOf(life), 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line): Touch => JSON.parse(line));
  }

  /** Whether a command still runs that a former life has begun. */
  get hasOrphan(): boolean {
    return this.#orphan !== undefined && this.#orphan.exit === undefined;
  }

  async orphanEnded(): Promise<void> {
    while (this.hasOrphan) await pause(20);
  }

  /** Resolves when it is so, or when the life is over. */
  async until(life: Life, isSo: () => boolean, limitMs = PATIENCE_MS): Promise<void> {
    const endMs = performance.now() + limitMs;
    while (!isSo() && life.child.exitCode === null && life.child.signalCode === null) {
      if (performance.now() > endMs) {
        throw new Error(`it never came to be: ${isSo}\n${this.under.log()}`);
      }
      await pause(20);
    }
  }

  #aim: Point | undefined;

  #listOf(life: number): string {
    return join(this.under.root, `../touches-${life}`);
  }

  #onCommand(call: Call): Fault | undefined {
    const [, verb, vmid, ...options] = call.argv;
    // A group configures what it has just made, which needs no backup: its source is one.
    const isGroups = options.includes('--description');
    if (verb === 'set' && !isGroups && options.some((word) => LIMITS.has(word))) {
      this.settings.push({ vmid: Number(vmid), confBefore: this.under.conf(Number(vmid)), call });
    }
    const own = this.fault?.(call);
    const at = this.#aim;
    if (at === undefined || call.argv.slice(0, 3).join(' ') !== at.name) return own;
    this.#met += 1;
    return this.#met === at.nth ? this.#cutOff(at, call, own) : own;
  }

  #cutOff(at: Point, call: Call, own: Fault | undefined): Fault | undefined {
    const end = (): void => void this.#current?.child.kill('SIGKILL');
    switch (at.when) {
      case 'begun, and it dies too':
        end();
        return { kind: 'fail', exit: 255, stderr: 'killed\n' };
      case 'half done, and it dies too':
        end();
        return { kind: 'killed', done: 'first-option' };
      case 'live, and it dies too':
        end();
        return { kind: 'killed', done: 'live-only' };
      case 'begun, and it goes on':
      case 'begun, and it goes on for long': {
        end();
        const delayMs = at.when === 'begun, and it goes on' ? SHORT_MS : LONG_MS;
        if (own === undefined) this.#orphan = call;
        return own ?? { kind: 'slow', delayMs };
      }
      case 'done, and not heard':
        if (own !== undefined) end();
        return own ?? { kind: 'answer', make: answerAfter(end) };
      default:
        return own;
    }
  }
}

const answerAfter =
  (end: () => void) =>
  (real: Answer): Answer => {
    end();
    return real;
  };

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

function endOf(child: ChildProcess): Promise<Death> {
  const heard = hearing(child);
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      setImmediate(() => resolve({ code, signal, ...heard() }));
    });
  });
}
