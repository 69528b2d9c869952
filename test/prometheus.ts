import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lock } from 'proper-lockfile';
import { LEFT_OUT } from './only-with-all.ts';

/** Prometheus as Debian packages it, with its tool that checks what is written for it. */
export type PrometheusTools =
  | { readonly ok: true; readonly promtool: string; readonly prometheus: string }
  /** Why there is none: a test that needs it is skipped with these words. */
  | { readonly ok: false; readonly reason: string };

const CACHE = new URL('../node_modules/.cache', import.meta.url).pathname;
const LIMIT_MS = 240_000;

/**
 * The installed ones, or those of the package `prometheus`, which is unpacked below `node_modules`
 * and not installed: no service is started, nothing of the machine is changed. Needs root.
 */
export async function prometheusTools(): Promise<PrometheusTools> {
  const installed = toolsIn('/usr/bin');
  if (installed !== undefined) return installed;
  const home = join(CACHE, 'prometheus');
  mkdirSync(CACHE, { recursive: true });
  const release = await lock(CACHE, {
    lockfilePath: `${home}.lock`,
    stale: 30_000,
    retries: { retries: LIMIT_MS / 500, factor: 1, minTimeout: 500 },
  });
  try {
    const failure = toolsIn(join(home, 'usr/bin')) === undefined ? unpack(home) : undefined;
    const reason = failure ?? 'the package prometheus holds no promtool';
    return toolsIn(join(home, 'usr/bin')) ?? { ok: false, reason };
  } finally {
    await release();
  }
}

function toolsIn(directory: string): PrometheusTools | undefined {
  const [promtool, prometheus] = [join(directory, 'promtool'), join(directory, 'prometheus')];
  if (!existsSync(promtool) || !existsSync(prometheus)) return undefined;
  return { ok: true, promtool, prometheus };
}

/** Returns why it could not be done. */
function unpack(home: string): string | undefined {
  if (LEFT_OUT !== undefined) return `there is no promtool; ${LEFT_OUT}`;
  if (process.getuid?.() !== 0) return 'there is no promtool, and only root can fetch it with apt';
  const partial = `${home}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const inPartial = { cwd: partial, encoding: 'utf8', timeout: LIMIT_MS } as const;
  const download = ['download', 'prometheus'];
  let fetched = spawnSync('apt-get', download, inPartial);
  if (fetched.status !== 0) {
    spawnSync('apt-get', ['update'], inPartial);
    fetched = spawnSync('apt-get', download, inPartial);
  }
  const deb = readdirSync(partial).find((name) => name.endsWith('.deb'));
  if (deb === undefined)
    return `prometheus could not be fetched: ${fetched.stderr ?? 'no apt-get'}`;
  const unpacked = spawnSync('dpkg-deb', ['--extract', deb, partial], inPartial);
  if (unpacked.status !== 0) return `prometheus could not be unpacked: ${unpacked.stderr}`;
  rmSync(join(partial, deb));
  rmSync(home, { recursive: true, force: true });
  renameSync(partial, home);
  return undefined;
}
