import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { LEFT_OUT } from '../only-with-all.ts';

/**
 * A real kernel (Linux 6.1 with cgroup v2: cpu, io, memory, pids; no PSI, no cpuset, one CPU) on
 * the files of this machine, by Debian's package `user-mode-linux`. It needs no rights.
 */

const KERNEL = '/usr/bin/linux.uml';
export const PROGRAM = new URL('../../dist/lxc-autoscale.cjs', import.meta.url).pathname;
const here = (name: string): string => new URL(name, import.meta.url).pathname;
/** It boots in three seconds; a machine with a load of 20 may take a minute. */
const BOOT_LIMIT_MS = 240_000;
/** Takes no room but what is written to it. */
const DISK_BYTES = 256 * 1024 * 1024;

/** Why there is no kernel to ask; undefined: there is one. */
export function whyNoKernel(): string | undefined {
  if (LEFT_OUT !== undefined) return LEFT_OUT;
  if (!existsSync(KERNEL)) return 'user-mode-linux is not installed';
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
  } catch {
    return 'there is no C compiler';
  }
  return undefined;
}

/** What came of questions to the kernel, by name: each a function in `inside.ts`. */
export type Answers = Readonly<
  Record<string, { readonly value?: unknown; readonly error?: string }>
>;

/** Boots the kernel once and asks it all of the questions, one after the other. */
export async function askKernel(names: readonly string[]): Promise<Answers> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-kernel-'));
  try {
    compile(directory);
    writeFileSync(join(directory, 'disk.image'), '');
    truncateSync(join(directory, 'disk.image'), DISK_BYTES);
    const answers = join(directory, 'answers.json');
    const init = join(directory, 'init');
    writeFileSync(init, initScript(directory, [PROGRAM, answers, ...names]), { mode: 0o755 });
    const said = await boot(directory, init);
    if (!existsSync(answers)) throw new Error(`the kernel gave no answer:\n${said}`);
    return JSON.parse(readFileSync(answers, 'utf8'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function compile(directory: string): void {
  const cc = (...args: readonly string[]): void => {
    execFileSync('cc', ['-O1', '-Wall', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  };
  cc('-o', join(directory, 'load'), here('load.c'));
  cc('-shared', '-fPIC', '-o', join(directory, 'xstate.so'), here('xstate.c'));
  buildSync({
    entryPoints: [here('inside.ts'), here('pct.ts')],
    bundle: true,
    platform: 'node',
    target: 'node18.19',
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    outdir: directory,
    logLevel: 'error',
  });
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

const initScript = (directory: string, args: readonly string[]): string => `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo '+cpu +memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/
cd ${quoted(directory)}
${[process.execPath, 'inside.cjs', ...args].map(quoted).join(' ')}
echo o >/proc/sysrq-trigger
sleep 60
`;

function boot(directory: string, init: string): Promise<string> {
  const words = [
    'root=/dev/root',
    'rootfstype=hostfs',
    'rw',
    'mem=1G',
    `init=${init}`,
    'quiet',
    'con=null',
    'con0=null,fd:1',
    `uml_dir=${directory}`,
    `ubda=${join(directory, 'disk.image')}`,
  ];
  const env = { ...process.env, LD_PRELOAD: join(directory, 'xstate.so'), TMPDIR: directory };
  return new Promise((resolve, reject) => {
    // A group of its own: the kernel starts a process of the host for each of its own.
    const child = spawn(KERNEL, words, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    const hear = (chunk: Buffer): void => {
      said = (said + String(chunk)).slice(-20_000);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const end = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    const limit = setTimeout(end, BOOT_LIMIT_MS);
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(limit);
      resolve(said);
    });
  });
}
