import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lock } from 'proper-lockfile';
import { LEFT_OUT } from './only-with-all.ts';

/** Node as it runs on the hosts: Debian's on Proxmox VE 8, and on Proxmox VE 9. */
export const NODE_VERSIONS = ['18.20.8', '20.19.6'] as const;
export type NodeVersion = (typeof NODE_VERSIONS)[number];

export type NodeBinary =
  | { readonly ok: true; readonly path: string }
  /** Why there is none: a test that needs it is skipped with these words. */
  | { readonly ok: false; readonly reason: string };

const CACHE = new URL('../node_modules/.cache', import.meta.url).pathname;
const INSTALL_TIMEOUT_MS = 240_000;

/**
 * The path of a real Node of that version. The first call installs it from its package of the npm
 * registry, which takes some 40 MB, into `node_modules/.cache`; several processes may ask at once.
 */
export async function nodeBinary(version: NodeVersion): Promise<NodeBinary> {
  const { platform, arch, versions } = process;
  if (versions.node === version) return { ok: true, path: process.execPath };
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    return { ok: false, reason: `there is no package of Node ${version} for ${platform} ${arch}` };
  }
  const name = `node-linux-${arch}`;
  const home = join(CACHE, `node-${version}`);
  const path = join(home, 'node_modules', name, 'bin', 'node');
  if (existsSync(path)) return { ok: true, path };
  if (LEFT_OUT !== undefined)
    return { ok: false, reason: `Node ${version} is fetched ${LEFT_OUT}` };
  mkdirSync(CACHE, { recursive: true });
  const release = await lock(CACHE, {
    lockfilePath: `${home}.lock`,
    stale: 30_000,
    retries: { retries: INSTALL_TIMEOUT_MS / 500, factor: 1, minTimeout: 500 },
  });
  try {
    const failure = existsSync(path) ? undefined : await install(`${name}@${version}`, home);
    return failure === undefined ? { ok: true, path } : { ok: false, reason: failure };
  } finally {
    await release();
  }
}

/** Into a directory beside it that is renamed when complete: what is at `home` is whole. */
async function install(what: string, home: string): Promise<string | undefined> {
  const partial = `${home}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const options = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
  const output = await run('npm', ['install', '--prefix', partial, ...options, what]);
  if (output !== undefined) return `${what} could not be installed: ${output}`;
  rmSync(home, { recursive: true, force: true });
  renameSync(partial, home);
  return undefined;
}

/** Resolves with what it complained about if it failed, and with undefined if it did not. */
function run(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: INSTALL_TIMEOUT_MS,
    });
    let complaint = '';
    child.stderr.on('data', (chunk) => {
      complaint += String(chunk);
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code) => {
      resolve(code === 0 ? undefined : complaint.trim().slice(-500) || `${command} failed`);
    });
  });
}
