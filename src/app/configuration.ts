import { existsSync, realpathSync } from 'node:fs';
import { withFound } from '../config/found-nodes.ts';
import { type LoadResult, loadConfig } from '../config/load.ts';
import type { Config } from '../config/model.ts';
import { printable } from '../config/printable.ts';
import { type Problem, renderProblem } from '../config/problem.ts';
import { type FileText, readTextFile } from '../config/read-file.ts';
import { applyOverrides } from '../config/resolve.ts';
import type { Self } from '../config/sections.ts';
import { parseVariables } from '../config/variables-file.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import { isOnNode } from '../node/local/paths.ts';
import { clusterNodes } from '../node/local/pve/corosync-file.ts';
import { probe } from '../os/answering-files.ts';
import { missingBecause } from '../os/os-error.ts';
import { ownHosts } from '../os/own-hosts.ts';
import { readRegularFile } from '../os/regular-file.ts';
import { shellWord } from '../os/shell-quote.ts';
import { isReadByAll, isReadByAnyoneElse, whyNotTrusted } from '../os/trusted-file.ts';
import { readFoundNodes } from '../store/found-nodes-file.ts';
import type { ProcessContext } from './context.ts';

export const USUAL_FILE = '/etc/lxc_autoscale/lxc_autoscale.yaml';
/** For all nodes of a cluster. It counts where a node has no file of its own. */
export const SHARED_FILE = '/etc/pve/lxc_autoscale.yaml';
const VARIABLES_FILE = '/etc/lxc_autoscale/environment';
/** In a directory that only root may enter: the group www-data may read the rest of `/etc/pve`. */
const SHARED_VARIABLES_FILE = '/etc/pve/priv/lxc_autoscale/environment';
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
  const { path, shown, isShared, hanging } = countingFile(configFile, paths);
  if (hanging !== undefined) return refused(SHARED_FILE, hanging);
  const untrusted = whyNotTrusted(path);
  if (untrusted !== undefined) return refused(shown, `is not used: it ${untrusted}`);
  const variables = readVariables(context, isShared);
  if (!variables.ok) return variablesRefused(variables.message, variables.file);
  const result = loadConfig(path, shown, variables.env, () => selfOf(paths));
  if (!result.ok) return result;
  if (isShared && result.secretAt !== undefined) {
    return { ok: false, problems: [{ file: shown, ...result.secretAt, message: SECRET_IN_CLEAR }] };
  }
  const overridden = applyOverrides(result.config, {
    pollIntervalSeconds,
    energyMode: energyMode ? true : undefined,
    debug,
  });
  const config = withFoundNodes(overridden, paths);
  const remarks = [...remarkOnSecret(result, path, shown), ...remarkOnVariables(paths)];
  return { ...result, config, notes: [...remarks, ...result.notes] };
}

/** What was found is known to every command. What cannot be read is told by the daemon. */
function withFoundNodes(config: Config, paths: ProcessContext['paths']): Config {
  if (!config.nodes.some(({ discovers }) => discovers)) return config;
  const found = readFoundNodes(paths);
  const self = isOnNode(paths.at) ? paths.hostName() : '';
  return found.ok ? withFound(config, found.value, self) : config;
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
  | { readonly ok: false; readonly file: string; readonly message: string };

/**
 * The values of `${NAME}`: from the environment, else from the file of `--env-file`, else from one
 * beside the configuration, so that the configuration need not contain secrets. No value of a file
 * enters the environment of this process or of its children.
 *
 * @param isShared whether the configuration is that of the cluster: its secrets count last
 */
export function readVariables(
  { paths, env: own, variables }: ReadContext,
  isShared = false,
): Variables {
  const given = { ...variables, ...own };
  const files = isShared ? [SHARED_VARIABLES_FILE, VARIABLES_FILE] : [VARIABLES_FILE];
  let beside: ProcessContext['env'] = {};
  for (const file of files) {
    const read = variablesIn(file, paths);
    if (!read.ok) return { ...read, file };
    beside = { ...beside, ...read.values };
  }
  return { ok: true, env: withFiles({ ...beside, ...given }) };
}

type VariablesInFile =
  | { readonly ok: true; readonly values: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly message: string };

/** None where there is no such file. */
function variablesIn(name: string, paths: ProcessContext['paths']): VariablesInFile {
  const path = paths.at(name);
  const untrusted = whyNotTrusted(path);
  if (untrusted !== undefined) return { ok: false, message: `is not used: it ${untrusted}` };
  const file = readRegularFile(path, MOST_VARIABLES_BYTES);
  if (file.ok) return { ok: true, values: parseVariables(file.value.toString('utf8')) };
  // Another user than root may check a configuration without the secrets of root.
  const isRoot = process.geteuid?.() === 0;
  if (file.why === 'absent' || (file.why === 'unreadable' && !isRoot)) {
    return { ok: true, values: {} };
  }
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

export const variablesRefused = (
  message: string,
  file = VARIABLES_FILE,
): LoadResult & { ok: false } => refused(file, message);

const SECRET_IN_CLEAR =
  `is a secret in clear, and the group www-data may read this file; write \${NAME} here, and ` +
  `NAME=... into ${SHARED_VARIABLES_FILE} (for all nodes) or ${VARIABLES_FILE} (for one)`;

/** Root does what the file says, so whoever can write to it is root in all but name. */
const refused = (file: string, message: string): LoadResult & { ok: false } => ({
  ok: false,
  problems: [{ file, line: undefined, key: undefined, message: printable(message, 4096) }],
});

/** The file that a command line comes to. */
export interface CountingFile {
  readonly path: string;
  /** As the admin knows it. */
  readonly shown: string;
  readonly isShared: boolean;
  /** With a blank before it: by which another command finds it too; often empty. */
  readonly option: string;
  /** Why it cannot be told which one counts; it completes the name of the shared one. */
  readonly hanging?: string;
}

/**
 * A named file is looked up as it is named, and below the sysroot only if it is not there. If none
 * is named, that of the node counts, or else that of its cluster.
 */
export function countingFile(
  named: string | undefined,
  paths: ProcessContext['paths'],
): CountingFile {
  if (named !== undefined) {
    const path = existsSync(named) || !existsSync(paths.at(named)) ? named : paths.at(named);
    const option = named === USUAL_FILE ? '' : ` --config ${shellWord(named)}`;
    return { path, shown: named, isShared: false, option };
  }
  const usual = { path: paths.at(USUAL_FILE), shown: USUAL_FILE, isShared: false, option: '' };
  if (existsSync(usual.path)) return usual;
  const path = paths.at(SHARED_FILE);
  const shared = { path, shown: SHARED_FILE, isShared: true, option: '' };
  switch (probe(path)) {
    case 'there':
      return shared;
    case 'absent':
      return usual;
    case 'hanging':
      return { ...shared, hanging: HANGING };
  }
}

const HANGING =
  `is looked for, since there is no ${USUAL_FILE}, and /etc/pve does not answer; ` +
  'look at: systemctl status pve-cluster';

export const configurationFile = (
  named: string | undefined,
  paths: ProcessContext['paths'],
): string => countingFile(named, paths).path;

/** The file that a command line comes to, and what is in it. */
export function configurationText(
  { configFile }: Pick<ConfigurationChoice, 'configFile'>,
  { paths }: Pick<ProcessContext, 'paths'>,
): FileText & CountingFile {
  const file = countingFile(configFile, paths);
  return { ...readTextFile(file.path), ...file };
}

export const renderProblems = (result: LoadResult & { ok: false }): string =>
  result.problems.map((problem) => `${renderProblem(problem)}\n`).join('');
