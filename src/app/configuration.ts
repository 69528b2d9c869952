import { existsSync, realpathSync } from 'node:fs';
import { type LoadResult, loadConfig } from '../config/load.ts';
import { printable } from '../config/printable.ts';
import { type Problem, renderProblem } from '../config/problem.ts';
import { applyOverrides } from '../config/resolve.ts';
import type { Self } from '../config/sections.ts';
import { parseVariables } from '../config/variables-file.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import { clusterNodes } from '../node/local/pve/corosync-file.ts';
import { missingBecause } from '../os/os-error.ts';
import { ownHosts } from '../os/own-hosts.ts';
import { readRegularFile } from '../os/regular-file.ts';
import { isReadByAll, isReadByAnyoneElse, whyNotTrusted } from '../os/trusted-file.ts';
import type { ProcessContext } from './context.ts';

const USUAL_FILE = '/etc/lxc_autoscale/lxc_autoscale.yaml';
const VARIABLES_FILE = '/etc/lxc_autoscale/environment';
const MOST_VARIABLES_BYTES = 65_536;

/** What the command line says of the configuration. */
export interface ConfigurationChoice {
  readonly configFile: string | undefined;
  readonly pollIntervalSeconds: number | undefined;
  readonly energyMode: boolean;
  readonly debug: boolean;
}

/** Reads the configuration that the command line names, and applies the flags. */
export function readConfiguration(
  { configFile, pollIntervalSeconds, energyMode, debug }: ConfigurationChoice,
  context: ReadContext,
): LoadResult {
  const { paths } = context;
  const path = configurationFile(configFile, paths);
  const shown = configFile ?? USUAL_FILE;
  const untrusted = whyNotTrusted(path);
  if (untrusted !== undefined) return refused(shown, `is not used: it ${untrusted}`);
  const variables = readVariables(context);
  if (!variables.ok) return variablesRefused(variables.message);
  const result = loadConfig(path, shown, variables.env, () => selfOf(paths));
  if (!result.ok) return result;
  const config = applyOverrides(result.config, {
    pollIntervalSeconds,
    energyMode: energyMode ? true : undefined,
    debug,
  });
  const remarks = [...remarkOnSecret(result, path, shown), ...remarkOnVariables(paths)];
  return { ...result, config, notes: [...remarks, ...result.notes] };
}

/** Not from `/etc/pve`, which may hang: whether it answers is asked later. */
export const selfOf = (paths: ProcessContext['paths']): Self => {
  const name = paths.hostName();
  return { name, hosts: ownHosts(name), cluster: clusterNodes(paths) };
};

type ReadContext = Pick<ProcessContext, 'paths' | 'env' | 'variables'>;

export type Variables =
  | { readonly ok: true; readonly env: ProcessContext['env'] }
  /** A sentence that completes the name of the file. */
  | { readonly ok: false; readonly message: string };

/**
 * The values of `${NAME}`: from the environment, else from the file of `--env-file`, else from one
 * beside the configuration, so that the configuration need not contain secrets. No value of a file
 * enters the environment of this process or of its children.
 */
export function readVariables({ paths, env: own, variables }: ReadContext): Variables {
  const env = withFiles({ ...variables, ...own });
  const path = paths.at(VARIABLES_FILE);
  const untrusted = whyNotTrusted(path);
  if (untrusted !== undefined) return { ok: false, message: `is not used: it ${untrusted}` };
  const file = readRegularFile(path, MOST_VARIABLES_BYTES);
  if (file.ok) {
    const beside = parseVariables(file.value.toString('utf8'));
    return { ok: true, env: withFiles({ ...beside, ...variables, ...own }) };
  }
  // Another user than root may check a configuration without the secrets of root.
  const isRoot = process.geteuid?.() === 0;
  if (file.why === 'absent' || (file.why === 'unreadable' && !isRoot)) return { ok: true, env };
  return { ok: false, message: `is not used: ${file.detail}` };
}

/** These name files of their own. */
const NO_SECRETS: ReadonlySet<string> = new Set(['CONFIG_FILE', 'LOG_FILE']);

/**
 * `NAME_FILE` names a file that holds the value of NAME, as for secrets of Docker and Kubernetes.
 * It is read only if NAME is asked for, since others use such names too.
 */
function withFiles(env: ProcessContext['env']): ProcessContext['env'] {
  const all = { ...env };
  for (const [name, path] of Object.entries(env)) {
    const plain = name.endsWith('_FILE') && !NO_SECRETS.has(name) ? name.slice(0, -5) : '';
    if (plain === '' || path === undefined || Object.hasOwn(env, plain)) continue;
    Object.defineProperty(all, plain, { enumerable: false, get: () => secretIn(path) });
  }
  return all;
}

function secretIn(path: string): string | undefined {
  if (whyNotTrusted(path) !== undefined) return undefined;
  const file = readFollowed(path);
  return file.ok ? file.value.toString('utf8').replace(/\r?\n$/, '') : undefined;
}

/** Secrets of Kubernetes are links. */
function readFollowed(path: string): Reading<Buffer> {
  try {
    return readRegularFile(realpathSync(path), MOST_VARIABLES_BYTES);
  } catch (error) {
    return missingBecause(error, path);
  }
}

/** Of `--env-file`, in the form of the file beside the configuration. */
export function readEnvironmentFile(path: string): Reading<Readonly<Record<string, string>>> {
  const untrusted = whyNotTrusted(path);
  const refused = (why: string) => missing('unreadable', `--env-file ${path} ${why}`);
  if (untrusted !== undefined) return refused(`is not used: it ${untrusted}`);
  const file = readFollowed(path);
  if (!file.ok) return refused(`is not used: ${file.detail}`);
  if (isReadByAnyoneElse(path)) {
    return refused(`is not used: others may read its secrets; run: chmod 600 ${path}`);
  }
  return present(parseVariables(file.value.toString('utf8')));
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

/** Secrets are what the file is there for. */
function remarkOnVariables(paths: ProcessContext['paths']): readonly Problem[] {
  if (!isReadByAll(paths.at(VARIABLES_FILE))) return [];
  const message = 'is for secrets, and every user of this host may read it; run: chmod 600';
  const where = { file: VARIABLES_FILE, line: undefined, key: undefined };
  return [{ ...where, message: `${message} ${VARIABLES_FILE}` }];
}

export const variablesRefused = (message: string): LoadResult & { ok: false } =>
  refused(VARIABLES_FILE, message);

/** Root does what the file says, so whoever can write to it is root in all but name. */
const refused = (file: string, message: string): LoadResult & { ok: false } => ({
  ok: false,
  problems: [{ file, line: undefined, key: undefined, message: printable(message, 4096) }],
});

/** A named file is looked up as it is named, and below the sysroot only if it is not there. */
export function configurationFile(
  named: string | undefined,
  paths: ProcessContext['paths'],
): string {
  if (named === undefined) return paths.at(USUAL_FILE);
  return existsSync(named) || !existsSync(paths.at(named)) ? named : paths.at(named);
}

export const renderProblems = (result: LoadResult & { ok: false }): string =>
  result.problems.map((problem) => `${renderProblem(problem)}\n`).join('');
