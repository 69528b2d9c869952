import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { guestText } from '../../src/sim/guest-text.ts';
import { PveFiles } from '../../src/sim/pve-files.ts';

/** A node whose `/etc/pve` is made, and whose cgroups and `/proc` are those of the real kernel. */

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

export class KernelNode {
  readonly root: string;
  readonly #program: string;
  readonly #files: PveFiles;

  constructor(name: string, program: string) {
    this.root = resolve(name);
    this.#program = program;
    mkdirSync(this.root);
    for (const each of ['proc', 'sys', 'etc/lxc_autoscale', 'bin']) {
      mkdirSync(join(this.root, each), { recursive: true });
    }
    for (const each of ['/proc', '/sys']) {
      execFileSync('mount', ['--rbind', each, join(this.root, each)]);
    }
    const pct = join(this.root, 'bin/pct');
    writeFileSync(pct, `#!${process.execPath}\n${readFileSync('pct.cjs', 'utf8')}`);
    chmodSync(pct, 0o755);
    this.#files = new PveFiles({
      sysroot: this.root,
      node: 'pve1',
      foreign: [],
      startTimeS: 1_700_000_000,
    });
  }

  /** The configuration of a container, and that of the program. */
  configure(vmid: number, memoryMib: number, yaml: string): void {
    const text = guestText({ vmid, name: `ct${vmid}`, cores: 1, memoryMib, swapMib: 0 });
    this.#files.load(new Map([[vmid, text]]));
    writeFileSync(join(this.root, 'etc/lxc_autoscale/lxc_autoscale.yaml'), yaml);
  }

  memoryOf(vmid: number): number {
    const conf = readFileSync(this.#files.path(vmid), 'utf8');
    return Number(/^memory: (\d+)$/m.exec(conf)?.[1]);
  }

  run(...args: readonly string[]): Promise<Ended> {
    return this.start(...args).ended;
  }

  start(...args: readonly string[]): Started {
    const path = `${join(this.root, 'bin')}:${process.env['PATH']}`;
    const child = spawn(process.execPath, [this.#program, '--sysroot', this.root, ...args], {
      env: { ...process.env, PATH: path },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += String(chunk);
      });
    }
    const ended = new Promise<Ended>((done) => {
      child.on('close', (code) => done({ code, output }));
    });
    return { child, ended };
  }
}
