import { parseArgs } from 'node:util';
import { parseSince, type Since } from '../core/report/since.ts';
import { parseRestorePoint, type RestorePoint } from '../core/rollback.ts';
import { parseVmid, type Vmid } from '../core/units.ts';

/** The command line, parsed: a command with its options, or a sentence on what is wrong with it. */

export const COMMANDS = [
  ...['daemon', 'once', 'check-config', 'status', 'explain', 'history'],
  ...['backups', 'rollback', 'demo'],
] as const;
export type CommandName = (typeof COMMANDS)[number];

export interface Arguments {
  readonly command: CommandName;
  readonly configFile: string | undefined;
  /** Every path is taken under this directory; `/` on a real node. */
  readonly sysroot: string;
  readonly dryRun: boolean;
  readonly pollIntervalSeconds: number | undefined;
  readonly energyMode: boolean;
  readonly debug: boolean;
  readonly traceFile: string | undefined;
  readonly containers: number | undefined;
  readonly durationSeconds: number;
  /** The container that the command is about; undefined: all of them. */
  readonly vmid: Vmid | undefined;
  readonly to: RestorePoint | undefined;
  readonly since: Since | undefined;
  readonly json: boolean;
}

export type Parsed =
  | { readonly kind: 'run'; readonly arguments: Arguments }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'wrong'; readonly message: string };

const DEFAULT_DEMO_SECONDS = 60;

export const HELP = `\
lxc-autoscale gives each LXC container of a Proxmox VE node the CPU and memory it needs.

Usage: lxc-autoscale [OPTIONS] COMMAND

Commands:
  daemon          run until SIGTERM or SIGINT; SIGHUP reloads the configuration
  once            one cycle, then exit; its CPU usage is that since the last run, within an hour
  check-config    print the problems of the configuration, or what each container gets
  status          all containers: policy, usage, allocation, need, pressure, the last change, and
                  what holds each now
  explain VMID    how the last decision on a container came about, with every number and guard
  history [VMID]  what was done, from the JSON log, oldest first
  backups [VMID]  the copies made before each change, newest first: when, of what, what for
  rollback VMID   bring back the cores and memory of before the last change, or with --to of
                  a time; the daemon then leaves the container alone for an hour
  rollback --all  the same for every container that has backups, each from its own newest one
  demo            a simulated node with the real daemon on it, in a temporary directory

Options:
  --config FILE       the configuration (default /etc/lxc_autoscale/lxc_autoscale.yaml)
  --sysroot DIR       take every path under DIR instead of /
  --dry-run           with daemon, once and rollback: everything but the change
  --poll_interval N   seconds between two cycles, instead of what the configuration says
  --energy_mode       as energy_mode: True in the configuration
  --debug             log at level debug
  --help, --version

Options of status, explain, history, backups and rollback:
  --json              for scripts; all but rollback. With history: the lines as they were logged
  --since TIME        with history: from then on; a time as with --to, or so long ago: 90s, 30m, 2h,
                      7d, 4w
  --to TIME           with rollback: what was in force at TIME, the beginning of a day, minute or
                      second in local time (2026-11-21, '2026-11-21 22:04', 2026-11-21T22:04:45),
                      or the id of a backup; the copies that rollbacks make are taken only by id
  --rollback          the same as rollback --all

Options of demo:
  --duration N        seconds to run (default ${DEFAULT_DEMO_SECONDS}): in them a day passes
  --trace FILE.csv    take the demand from a usage trace: time_s,container,cpu_cores,memory_mb
  --containers N      with --trace: its first N containers (default 50, at most 300)

Exit codes: 0 fine, 1 failure, 64 wrong usage, 75 already running, 78 wrong configuration.
`;

const OPTIONS = {
  config: { type: 'string' },
  sysroot: { type: 'string' },
  'dry-run': { type: 'boolean' },
  poll_interval: { type: 'string' },
  energy_mode: { type: 'boolean' },
  debug: { type: 'boolean' },
  trace: { type: 'string' },
  containers: { type: 'string' },
  duration: { type: 'string' },
  all: { type: 'boolean' },
  to: { type: 'string' },
  since: { type: 'string' },
  json: { type: 'boolean' },
  rollback: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const;

const LOOPING: readonly CommandName[] = ['daemon', 'once'];
const ASKING: readonly CommandName[] = ['status', 'explain', 'history', 'backups'];
const CONFIGURED: readonly CommandName[] = [...LOOPING, 'check-config', ...ASKING, 'rollback'];

const ONLY_FOR: Readonly<Record<string, readonly CommandName[]>> = {
  'dry-run': [...LOOPING, 'rollback'],
  poll_interval: [...LOOPING, 'check-config'],
  energy_mode: [...LOOPING, 'check-config'],
  debug: CONFIGURED,
  config: CONFIGURED,
  sysroot: CONFIGURED,
  trace: ['demo'],
  containers: ['demo'],
  duration: ['demo'],
  all: ['rollback'],
  to: ['rollback'],
  since: ['history'],
  json: ASKING,
};

/** @param argv what follows the program's name */
export function parseArguments(argv: readonly string[]): Parsed {
  const given = tokenize(argv);
  if ('message' in given) return wrong(given.message);
  const { values, positionals } = given;
  if (values.help === true) return { kind: 'help' };
  if (values.version === true) return { kind: 'version' };
  const [name, ...words] = commandLine(values, positionals);
  if (name === undefined) return wrong(`a command is missing: ${COMMANDS.join(', ')}`);
  const command = COMMANDS.find((known) => known === name);
  if (command === undefined) {
    return wrong(`unknown command '${name}', known are ${COMMANDS.join(', ')}`);
  }
  if (values.rollback === true && positionals.length > 0) {
    return wrong('--rollback stands without a command: it is the same as rollback --all');
  }
  const subject = readSubject(command, words, values.all ?? values.rollback ?? false);
  if ('message' in subject) return wrong(subject.message);
  for (const option of Object.keys(values)) {
    if (ONLY_FOR[option]?.includes(command) === false) {
      return wrong(`--${option} does not go with ${command}`);
    }
  }
  for (const option of ['config', 'sysroot', 'trace'] as const) {
    // An unset shell variable must not turn the directory of a test into the real node.
    if (values[option] === '') return wrong(`--${option} needs a path, and it is empty`);
  }
  const to = restorePoint(values.to, subject.vmid);
  if (typeof to === 'string') return wrong(to);
  const since = values.since === undefined ? undefined : parseSince(values.since);
  if (values.since !== undefined && since === undefined) return wrong(noSince(values.since));
  const poll = wholeNumber('poll_interval', values.poll_interval, 1, 86_400);
  const duration = wholeNumber('duration', values.duration, 5, 86_400);
  const containers = wholeNumber('containers', values.containers, 1, 300);
  for (const number of [poll, duration, containers]) {
    if (typeof number === 'string') return wrong(number);
  }
  if (values.containers !== undefined && values.trace === undefined) {
    return wrong('--containers goes with --trace');
  }
  return {
    kind: 'run',
    arguments: {
      command,
      configFile: values.config,
      sysroot: values.sysroot ?? '/',
      dryRun: values['dry-run'] ?? false,
      pollIntervalSeconds: numeric(poll),
      energyMode: values.energy_mode ?? false,
      debug: values.debug ?? false,
      traceFile: values.trace,
      containers: numeric(containers),
      durationSeconds: numeric(duration) ?? DEFAULT_DEMO_SECONDS,
      vmid: subject.vmid,
      to,
      since,
      json: values.json ?? false,
    },
  };
}

/** The command and what follows it. The flag of existing installations stands for a command. */
const commandLine = (
  { rollback }: { readonly rollback?: boolean | undefined },
  positionals: readonly string[],
): readonly string[] =>
  rollback === true && positionals.length === 0 ? ['rollback'] : positionals;

/** Whether a command is about one container: it must be, it may be, or it is never. */
const SUBJECT: Readonly<Partial<Record<CommandName, 'one' | 'one or none' | 'one or all'>>> = {
  explain: 'one',
  history: 'one or none',
  backups: 'one or none',
  rollback: 'one or all',
};

function readSubject(
  command: CommandName,
  words: readonly string[],
  all: boolean,
): { readonly vmid: Vmid | undefined } | { readonly message: string } {
  const [word, more] = words;
  const subject = SUBJECT[command];
  if (subject === undefined) {
    if (word === undefined) return { vmid: undefined };
    return { message: `one command at a time, '${word}' is too much` };
  }
  if (word === undefined) {
    if (subject === 'one or none' || all) return { vmid: undefined };
    const or = subject === 'one or all' ? ', or --all' : '';
    return { message: `${command} needs the id of a container${or}` };
  }
  if (more !== undefined) {
    const timed = command === 'rollback' || command === 'history';
    const hint = timed ? '; a time that holds a blank needs quotes' : '';
    return { message: `${command} takes one container, '${more}' is too much${hint}` };
  }
  const vmid = parseVmid(word);
  if (vmid === undefined) {
    return { message: `'${word}' is no container id, a whole number from 100 to 999999999` };
  }
  if (all && command === 'rollback') {
    return { message: `--all is every container, so '${word}' does not go with it` };
  }
  return { vmid };
}

const noSince = (text: string): string =>
  "--since takes a time such as 2026-11-21 or '2026-11-21 22:04', or a span such as 30m, 2h or " +
  `7d, not '${text}'`;

/** Where a rollback goes to, or a sentence on what is wrong with it. */
function restorePoint(
  text: string | undefined,
  vmid: Vmid | undefined,
): RestorePoint | string | undefined {
  if (text === undefined) return undefined;
  const point = parseRestorePoint(text);
  if (point === undefined) {
    const forms = "2026-11-21, '2026-11-21 22:04', 2026-11-21T22:04:45 or the id of a backup";
    return `--to takes a time such as ${forms}, not '${text}'`;
  }
  if (point.kind === 'id' && vmid === undefined) {
    return 'an id names one backup of one container, so it does not go with --all';
  }
  return point;
}

const wrong = (message: string): Parsed => ({ kind: 'wrong', message });
const numeric = (value: number | string | undefined): number | undefined =>
  typeof value === 'number' ? value : undefined;

function tokenize(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const option = /^Option '(--?[a-z_-]+).*' argument (missing|is ambiguous)/.exec(message)?.[1];
    if (option !== undefined) return { message: `${option} needs a value` };
    // Node's own sentence names the option; what follows its first stop is advice on quoting.
    return { message: message.split(/\.\s/)[0] ?? message };
  }
}

/** The number, undefined where none is given, or a sentence on what is wrong with it. */
function wholeNumber(
  option: string,
  text: string | undefined,
  least: number,
  most: number,
): number | string | undefined {
  if (text === undefined) return undefined;
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  return `--${option} takes a whole number from ${least} to ${most}, not '${text}'`;
}
