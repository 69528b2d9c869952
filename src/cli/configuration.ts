import { existsSync } from 'node:fs';
import { type LoadResult, loadConfig } from '../config/load.ts';
import { printable } from '../config/printable.ts';
import { type Problem, renderProblem } from '../config/problem.ts';
import { applyOverrides } from '../config/resolve.ts';
import { isReadByAll, whyNotTrusted } from '../host/trusted-file.ts';
import type { Arguments } from './arguments.ts';
import type { Surroundings } from './world.ts';

const USUAL_FILE = '/etc/lxc_autoscale/lxc_autoscale.yaml';

/** Reads the configuration that the command line names, with its flags put over it. */
export function readConfiguration(
  { configFile, pollIntervalSeconds, energyMode, debug }: Arguments,
  { paths, env }: Pick<Surroundings, 'paths' | 'env'>,
): LoadResult {
  const path = configurationFile(configFile, paths);
  const shown = configFile ?? USUAL_FILE;
  const untrusted = whyNotTrusted(path);
  if (untrusted !== undefined) return refused(shown, `is not used: it ${untrusted}`);
  const result = loadConfig(path, shown, env);
  if (!result.ok) return result;
  const config = applyOverrides(result.config, {
    pollIntervalSeconds,
    energyMode: energyMode ? true : undefined,
    debug,
  });
  return { ...result, config, notes: [...remarkOnSecret(result, path, shown), ...result.notes] };
}

function remarkOnSecret(
  { secretAt }: LoadResult & { ok: true },
  path: string,
  file: string,
): readonly Problem[] {
  if (secretAt === undefined || !isReadByAll(path)) return [];
  const message = 'is a secret, and every user of this host may read it here';
  return [{ file, ...secretAt, message: `${message}; run: chmod o-r ${printable(path, 4096)}` }];
}

/** What it says would be done by root: who may write to it is root, all but in name. */
const refused = (file: string, message: string): LoadResult => ({
  ok: false,
  problems: [{ file, line: undefined, key: undefined, message: printable(message, 4096) }],
});

/** A file that is named lies where it is named; only if there is none, under the sysroot. */
export function configurationFile(named: string | undefined, paths: Surroundings['paths']): string {
  if (named === undefined) return paths.at(USUAL_FILE);
  return existsSync(named) || !existsSync(paths.at(named)) ? named : paths.at(named);
}

export const renderProblems = (result: LoadResult & { ok: false }): string =>
  result.problems.map((problem) => `${renderProblem(problem)}\n`).join('');
