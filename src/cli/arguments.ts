import { parseArgs } from 'node:util';
import { toAmount, unitsOf } from '../config/read-values.ts';
import { MESSAGE_CHANNELS } from '../core/notify/event.ts';
import { parseSince, type Since } from '../core/report/since.ts';
import { parseRestorePoint, type RestorePoint } from '../core/rollback.ts';
import { parseVmid, type Vmid } from '../core/units.ts';

/** The command line, parsed: a command with its options, or a sentence on what is wrong with it. */

export const COMMANDS = [
  ...['daemon', 'once', 'check-config', 'status', 'explain', 'history'],
  ...['backups', 'rollback', 'export', 'demo'],
  ...['backtest', 'recommend', 'configure', 'migrate-config', 'notify-test'],
  ...['health-check', 'members', 'release'],
] as const;
export type CommandName = (typeof COMMANDS)[number];

export const TESTED_CHANNELS = [...MESSAGE_CHANNELS, 'uptime_kuma'] as const;
export type TestedChannel = (typeof TESTED_CHANNELS)[number];

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
  /** The horizontal group that `explain` is about. */
  readonly group: string | undefined;
  readonly to: RestorePoint | undefined;
  /** A guest may be given the values of another one that had its id before. */
  readonly otherGuest: boolean;
  readonly since: Since | undefined;
  readonly json: boolean;
  /** undefined: standard output. */
  readonly outFile: string | undefined;
  /** Where a test message is to go; undefined: everywhere. */
  readonly channel: TestedChannel | undefined;
  /** What is compared; none: all that are known. */
  readonly policies: readonly string[];
  readonly htmlFile: string | undefined;
  readonly yaml: boolean;
  /** The file that is migrated. */
  readonly oldFile: string | undefined;
  readonly measureSeconds: number;
  /** Every proposal is taken without asking. */
  readonly yes: boolean;
}

export type Parsed =
  | { readonly kind: 'run'; readonly arguments: Arguments }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'wrong'; readonly message: string };

const DEFAULT_DEMO_SECONDS = 60;
const DEFAULT_MEASURE_SECONDS = 60;

export const HELP = `\
lxc-autoscale gives each LXC container of a Proxmox VE node the CPU and memory it needs.

Usage: lxc-autoscale [OPTIONS] COMMAND

Commands:
  daemon          run until SIGTERM or SIGINT; SIGHUP reloads the configuration
  once            one cycle, then exit; its CPU usage is that since the last run, within an hour
  check-config    print the problems of the configuration, or what each container gets, and groups
  status          all containers: policy, usage, allocation, need, pressure, the last change, and
                  what holds each now
  explain VMID    how the last decision on a container came about, with every number and guard;
                  explain GROUP: where a horizontal group stands, and what it waits for
  history [VMID]  what was done, from the JSON log, oldest first
  members         the clones that groups have made and that are there, from their ledgers
  health-check    whether the daemon does its work, in named checks; exit code 1 if one failed
  backups [VMID]  the copies made before each change, newest first: when, of what, what for
  rollback VMID   bring back the CPU and memory of before the last change, or with --to of
                  a time; the daemon then leaves the container alone for an hour
  rollback --all  the same for every container that has backups, each from its own newest one
  release         put memory.high back where a process that was ended in the middle of a change has
                  left it low. The daemon does that by itself, and uninstall.sh by this
  export [VMID]   the history of usage as CSV: time_s,container,cpu_cores,memory_mb
  notify-test [CHANNEL]
                  send a test message through each channel, or one of them, and print what the
                  other side said: gotify, email, ntfy, webhook, proxmox, uptime_kuma
  demo            a simulated node with the real daemon on it, in a temporary directory
  backtest        what each policy would have done with a recorded demand
  recommend [VMID]
                  what each container should have, by its recorded demand; changes nothing
  configure       measure the running containers for a minute, propose a configuration, and write
                  it; asks little on a terminal. An existing one is backed up
  migrate-config FILE
                  bring the configuration of an earlier program (INI, or older YAML) to today's
                  form, with a report of every key

Options:
  --config FILE       the configuration (default /etc/lxc_autoscale/lxc_autoscale.yaml)
  --sysroot DIR       take every path under DIR instead of /
  --dry-run           with daemon, once and rollback: everything but the change
  --poll_interval N   seconds between two cycles (or 5m, 1h), instead of what the configuration says
  --energy_mode       as energy_mode: True in the configuration
  --debug             log at level debug
  --help, --version

Options of status, explain, history, backups, rollback and export:
  --json              for scripts; all but rollback and export. With history: the lines as they were
                      logged
  --since TIME        with history and export: from then on; a time as with --to, or so long ago:
                      90s, 30m, 1h30m, 7d, 4w
  --out FILE          with export: to this file, which is replaced, and not to standard output
  --to TIME           with rollback: what was in force at TIME, the beginning of a day, minute or
                      second in local time (2026-11-21, '2026-11-21 22:04', 2026-11-21T22:04:45),
                      or the id of a backup; the copies that rollbacks make are taken only by id.
                      --to first: what was there before the first change of this container.
                      --to own: what an administrator has set last; what an administrator has set
                      since the last change stays, and so do containers that are ignored
  --other-guest       with rollback VMID: also if the backups are of another guest that had this id
  --format F          with health-check: text, or json as with --json
  --rollback          the same as rollback --all

Options of demo:
  --duration N        seconds to run, or 5m (default ${DEFAULT_DEMO_SECONDS}): in them a day passes
  --trace FILE.csv    take the demand from a usage trace: time_s,container,cpu_cores,memory_mb
  --containers N      with --trace: its first N containers (default 50, at most 300)

Options of backtest and recommend:
  --trace FILE.csv    the demand: time_s,container,cpu_cores,memory_mb
  --history           what the daemon has recorded here; so it is where no trace is named
  --config FILE       within the limits of this configuration, and by its policies
  --policy NAME ...   with backtest: only these; docs/commands.md has their names
  --html FILE         with backtest: a report with plots, as one file
  --json, --yaml      for scripts; --yaml with recommend: to paste into a configuration

Options of configure and migrate-config:
  --out FILE          write it there, with a backup of what was there. Without it configure writes
                      the usual configuration, and migrate-config to standard output
  --for N             with configure: seconds to measure, or 5m (default ${DEFAULT_MEASURE_SECONDS})
  --yes               with configure: take every proposal without asking

Exit codes: 0 fine, 1 failure, 64 wrong usage, 75 already running, 78 wrong configuration.
`;

export const OPTIONS = {
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
  'other-guest': { type: 'boolean' },
  since: { type: 'string' },
  out: { type: 'string' },
  policy: { type: 'string', multiple: true },
  html: { type: 'string' },
  history: { type: 'boolean' },
  yaml: { type: 'boolean' },
  for: { type: 'string' },
  yes: { type: 'boolean' },
  json: { type: 'boolean' },
  format: { type: 'string' },
  rollback: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const;

const LOOPING: readonly CommandName[] = ['daemon', 'once'];
const ASKING: readonly CommandName[] = ['status', 'explain', 'history', 'backups'];
const CONFIGURED: readonly CommandName[] = [
  ...[...LOOPING, ...ASKING, 'health-check' as const],
  ...(['check-config', 'rollback', 'export', 'backtest', 'recommend', 'notify-test'] as const),
];

const REPLAYING: readonly CommandName[] = ['backtest', 'recommend'];

export const ONLY_FOR: Readonly<Record<string, readonly CommandName[]>> = {
  'dry-run': [...LOOPING, 'rollback'],
  poll_interval: [...LOOPING, 'check-config'],
  energy_mode: [...LOOPING, 'check-config'],
  debug: CONFIGURED,
  config: CONFIGURED,
  sysroot: [...CONFIGURED, 'configure', 'migrate-config', 'members', 'release'],
  trace: ['demo', ...REPLAYING],
  containers: ['demo', ...REPLAYING],
  history: REPLAYING,
  policy: ['backtest'],
  html: ['backtest'],
  yaml: ['recommend'],
  duration: ['demo'],
  all: ['rollback'],
  to: ['rollback'],
  'other-guest': ['rollback'],
  since: ['history', 'export'],
  out: ['export', 'configure', 'migrate-config'],
  for: ['configure'],
  yes: ['configure'],
  format: ['health-check'],
  json: [...ASKING, 'health-check', 'members', ...REPLAYING],
};

/** An unset shell variable must not turn the directory of a test into the real node. */
const PATHS = ['config', 'sysroot', 'trace', 'out', 'html'] as const;

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
  const { named, rest } = policyWords(command, values.policy, words);
  const tested = command === 'notify-test' ? readChannel(rest) : { channel: undefined };
  if ('message' in tested) return wrong(tested.message);
  const unread = tested.channel === undefined ? rest : [];
  const subject = readSubject(command, unread, values.all ?? values.rollback ?? false);
  if ('message' in subject) return wrong(subject.message);
  for (const option of Object.keys(values)) {
    if (ONLY_FOR[option]?.includes(command) === false) {
      return wrong(`--${option} does not go with ${command}`);
    }
  }
  const empty = PATHS.find((option) => values[option] === '');
  if (empty !== undefined) return wrong(`--${empty} needs a path, and it is empty`);
  const to = restorePoint(values.to, subject.vmid);
  if (typeof to === 'string') return wrong(to);
  const since = values.since === undefined ? undefined : parseSince(values.since);
  if (values.since !== undefined && since === undefined) return wrong(noSince(values.since));
  const poll = wholeNumber('poll_interval', values.poll_interval, 1, 86_400, 'seconds');
  const duration = wholeNumber('duration', values.duration, 5, 86_400, 'seconds');
  const containers = wholeNumber('containers', values.containers, 1, 300, '');
  const measure = wholeNumber('for', values.for, 1, 3600, 'seconds');
  const one = wrongOther(values['other-guest'], subject.vmid);
  const others = [wrongFormat(values.format), wrongSource(values), one];
  for (const number of [poll, duration, containers, measure, ...others]) {
    if (typeof number === 'string') return wrong(number);
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
      group: subject.group,
      to,
      otherGuest: values['other-guest'] ?? false,
      since,
      json: values.json ?? values.format === 'json',
      outFile: values.out,
      channel: tested.channel,
      policies: named,
      ...{ htmlFile: values.html, yaml: values.yaml ?? false },
      oldFile: subject.file,
      measureSeconds: numeric(measure) ?? DEFAULT_MEASURE_SECONDS,
      yes: values.yes ?? false,
    },
  };
}

/** `--policy one two` and `--policy one,two` name two, as `--policy one --policy two` does. */
function policyWords(
  command: CommandName,
  given: readonly string[] | undefined,
  words: readonly string[],
): { readonly named: readonly string[]; readonly rest: readonly string[] } {
  const more = command === 'backtest' && given !== undefined ? words : [];
  const named = [...(given ?? []), ...more].flatMap((text) => text.split(','));
  return { named, rest: words.slice(more.length) };
}

/** What is wrong with where demand is to come from: a trace, or the daemon's own record. */
function wrongSource({
  trace,
  history,
  containers,
}: {
  readonly trace?: string | undefined;
  readonly history?: boolean | undefined;
  readonly containers?: string | undefined;
}): string | undefined {
  if (containers !== undefined && trace === undefined) return '--containers goes with --trace';
  if (trace === undefined || history !== true) return undefined;
  return '--history is what the daemon has recorded here, so it does not go with --trace';
}

const wrongOther = (given: boolean | undefined, vmid: Vmid | undefined): string | undefined =>
  given === true && vmid === undefined
    ? '--other-guest takes the id of one container; --all leaves other guests alone'
    : undefined;

/** The command and what follows it. The flag of existing installations stands for a command. */
const commandLine = (
  { rollback }: { readonly rollback?: boolean | undefined },
  positionals: readonly string[],
): readonly string[] =>
  rollback === true && positionals.length === 0 ? ['rollback'] : positionals;

/** Whether a command is about one container (it must be, it may be, or never), or a file. */
type Subject = 'one' | 'one or none' | 'one or all' | 'file';
const SUBJECT: Readonly<Partial<Record<CommandName, Subject>>> = {
  explain: 'one',
  history: 'one or none',
  backups: 'one or none',
  export: 'one or none',
  recommend: 'one or none',
  rollback: 'one or all',
  'migrate-config': 'file',
};

interface Read {
  readonly vmid: Vmid | undefined;
  readonly file?: string;
  readonly group?: string;
}

/** What a group may be called, which no id is: it has a letter. */
const GROUP = /^(?=.*[A-Za-z])[A-Za-z0-9_-]{1,64}$/;

function readSubject(
  command: CommandName,
  words: readonly string[],
  all: boolean,
): Read | { readonly message: string } {
  const [word, more] = words;
  const subject = SUBJECT[command];
  if (subject === 'file') return readFile(command, words);
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
    const timed = ONLY_FOR['since']?.includes(command) === true || command === 'rollback';
    const hint = timed ? '; a time that holds a blank needs quotes' : '';
    return { message: `${command} takes one container, '${more}' is too much${hint}` };
  }
  const vmid = parseVmid(word);
  if (vmid === undefined && command === 'explain' && GROUP.test(word)) {
    return { vmid: undefined, group: word };
  }
  if (vmid === undefined) {
    return { message: `'${word}' is no container id, a whole number from 100 to 999999999` };
  }
  if (all && command === 'rollback') {
    return { message: `--all is every container, so '${word}' does not go with it` };
  }
  return { vmid };
}

function readFile(
  command: CommandName,
  [file, more]: readonly string[],
): { readonly vmid: undefined; readonly file: string } | { readonly message: string } {
  if (file === undefined || file === '') return { message: `${command} needs the path of a file` };
  if (more !== undefined) return { message: `${command} takes one file, '${more}' is too much` };
  return { vmid: undefined, file };
}

function readChannel(
  words: readonly string[],
): { readonly channel: TestedChannel | undefined } | { readonly message: string } {
  const [word, more] = words;
  if (word === undefined) return { channel: undefined };
  if (more !== undefined) return { message: `one channel at a time, '${more}' is too much` };
  const name = word.toLowerCase().replaceAll('-', '_');
  const channel = TESTED_CHANNELS.find((known) => known === name);
  if (channel !== undefined) return { channel };
  return { message: `unknown channel '${word}', known are ${TESTED_CHANNELS.join(', ')}` };
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

const wrongFormat = (text: string | undefined): string | undefined =>
  text === undefined || ['text', 'json'].includes(text)
    ? undefined
    : `--format takes text or json, not '${text}'`;

/**
 * The number, read as in the configuration; undefined where none is given; or a sentence on what is
 * wrong with it.
 */
function wholeNumber(
  option: string,
  text: string | undefined,
  least: number,
  most: number,
  unit: '' | 'seconds',
): number | string | undefined {
  if (text === undefined) return undefined;
  const value = toAmount(text, unit);
  if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) {
    return Number(value);
  }
  const units = unit === '' ? '' : `, in ${unit} or with a unit (${unitsOf(unit)})`;
  return `--${option} takes a whole number from ${least} to ${most}${units}, not '${text}'`;
}
