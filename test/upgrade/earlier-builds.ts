import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Builds of earlier commits. No release has been tagged yet, so the ones that stand for releases
 * are the last with each form of the saved state, and those that main was at for longer.
 */

export interface EarlierBuild {
  readonly commit: string;
  /** `version` of its `state.json`. */
  readonly state: number;
  /** The keys of `DEFAULT` that not all of them know. */
  readonly keys: Readonly<Record<string, unknown>>;
  readonly hasGroups: boolean;
  readonly hasVms: boolean;
}

const QUIET = { log_quiet_cycles: true };
const LATER = { usage_history_days: 14, timezone: 'UTC' };
const VMS = { ...QUIET, ...LATER, manage_vms: true };

/** Oldest first. */
export const EARLIER: readonly EarlierBuild[] = [
  { commit: '48c1cfb', state: 1, keys: {}, hasGroups: false, hasVms: false },
  { commit: 'f5a7758', state: 2, keys: LATER, hasGroups: true, hasVms: false },
  { commit: '9a5fa4b', state: 3, keys: VMS, hasGroups: true, hasVms: true },
  { commit: '5b0ff81', state: 3, keys: VMS, hasGroups: true, hasVms: true },
  { commit: '817e0b5', state: 3, keys: VMS, hasGroups: true, hasVms: true },
];

/**
 * The program of a commit, built with its own packages if that has not been done yet.
 *
 * @param home the repository; its history must reach back to the commit
 * @throws if the commit is not there, or npm has not its packages
 */
export function buildOf(home: string, commit: string): string {
  const whole = git(home, ['rev-parse', '--verify', `${commit}^{commit}`])
    .toString()
    .trim();
  const place = join(home, 'node_modules/.cache/builds', whole.slice(0, 12));
  const program = join(place, 'dist/lxc-autoscale.cjs');
  if (existsSync(program)) return program;
  const partial = `${place}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  execFileSync('tar', ['-x', '-C', partial], { input: git(home, ['archive', whole]) });
  const npm = (...args: readonly string[]): void => {
    execFileSync('npm', [...args], { cwd: partial, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  npm('ci', '--no-audit', '--no-fund', '--loglevel=error');
  npm('run', '--silent', 'build');
  rmSync(join(partial, 'node_modules'), { recursive: true });
  renameSync(partial, place);
  return program;
}

const git = (home: string, args: readonly string[]): Buffer =>
  execFileSync('git', ['-c', 'safe.directory=*', '-C', home, ...args], {
    maxBuffer: 256 * 1024 * 1024,
  });
