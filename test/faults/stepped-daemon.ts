import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex } from 'node:stream';

/** The bundled program in a process whose time and whose outside are in our hands. */

const HERE = join(process.cwd(), 'test/faults');
const BUNDLE = join(process.cwd(), 'dist/lxc-autoscale.cjs');

export interface Struck {
  readonly id: number;
  /** Below the root, or a command. */
  readonly path: string;
  readonly call: string;
}

/** It has nothing to do but to wait. */
export interface Ask {
  /** Until its next timer; undefined: it has none. */
  readonly nextMs?: number;
  /** Programs that it runs. */
  readonly pids: readonly number[];
  /** Of their outputs so many are open. */
  readonly pipes: number;
  /** Faults that it met since the last time. */
  readonly told?: readonly Struck[];
  /** It ends, and waits for no answer. */
  readonly bye?: true;
}

export interface Rule {
  readonly id: number;
  readonly kind: 'read' | 'write' | 'command';
  readonly path: string;
  readonly call?: string;
  readonly left: number | null;
  readonly action: {
    readonly error?: string | undefined;
    readonly half?: boolean | undefined;
    readonly make?: string | undefined;
  };
}

export type Reply =
  | { readonly waitMs: number }
  | {
      readonly advanceMs: number;
      readonly wallMs?: number | undefined;
      readonly tell?: { readonly rules: readonly Rule[] } | undefined;
      readonly signal?: NodeJS.Signals | undefined;
    };

export interface SteppedOptions {
  readonly root: string;
  /** Outside of the root, for what belongs to the test. */
  readonly directory: string;
  readonly path: string;
  readonly monotonicMs: number;
  readonly wallMs: number;
  /** Those in force while it starts. */
  readonly rules: readonly Rule[];
  readonly answer: (ask: Ask) => Reply;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export class SteppedDaemon {
  readonly child: ChildProcess;
  readonly ended: Promise<Ending>;
  readonly stdoutFile: string;

  constructor(options: SteppedOptions, args: readonly string[] = ['daemon']) {
    const { root, directory, path, monotonicMs, wallMs, rules } = options;
    const outside = join(directory, 'outside.json');
    writeFileSync(outside, JSON.stringify({ root, hook: join(HERE, 'weather.cjs'), rules }));
    this.stdoutFile = join(directory, 'stdout');
    const stderrFile = join(directory, 'stderr');
    const stdout = openSync(this.stdoutFile, 'w');
    const stderr = openSync(stderrFile, 'w');
    const required = ['stepped-time.cjs', 'outside.cjs'].flatMap((name) => [
      '--require',
      join(HERE, name),
    ]);
    this.child = spawn(process.execPath, [...required, BUNDLE, '--sysroot', root, ...args], {
      stdio: ['ignore', stdout, stderr, 'pipe'],
      env: {
        PATH: path,
        OUTSIDE: outside,
        STEPPED_TIME: JSON.stringify({ monotonicMs, wallMs }),
      },
    });
    closeSync(stdout);
    closeSync(stderr);
    this.#converse(options);
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => {
        resolve({ code, signal, stderr: readFileSync(stderrFile, 'utf8') });
      });
    });
  }

  #converse({ answer }: SteppedOptions): void {
    const line = this.child.stdio[3];
    if (!(line instanceof Duplex)) throw new Error('there is no line to the program');
    let received = '';
    line.setEncoding('utf8');
    line.on('error', () => line.destroy());
    line.on('data', (text: string) => {
      received += text;
      if (!received.endsWith('\n')) return;
      const ask: Ask = JSON.parse(received);
      received = '';
      const reply = answer(ask);
      if (ask.bye !== true) line.write(`${JSON.stringify(reply)}\n`);
    });
  }
}
