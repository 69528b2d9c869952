import { parseArgs } from 'node:util';

/** The command line, parsed: a command with its options, or a sentence on what is wrong with it. */

export const COMMANDS = ['daemon', 'once', 'check-config', 'demo'] as const;
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
  once            one cycle, then exit; CPU needs two readings, so it scales only memory
  check-config    print the problems of the configuration, or what each container gets
  demo            a simulated node with the real daemon on it, in a temporary directory

Options:
  --config FILE       the configuration (default /etc/lxc_autoscale/lxc_autoscale.yaml)
  --sysroot DIR       take every path under DIR instead of /
  --dry-run           with daemon and once: everything but the change
  --poll_interval N   seconds between two cycles, instead of what the configuration says
  --energy_mode       as energy_mode: True in the configuration
  --debug             log at level debug
  --help, --version

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
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const;

const ONLY_FOR: Readonly<Record<string, readonly CommandName[]>> = {
  'dry-run': ['daemon', 'once'],
  poll_interval: ['daemon', 'once', 'check-config'],
  energy_mode: ['daemon', 'once', 'check-config'],
  debug: ['daemon', 'once', 'check-config'],
  config: ['daemon', 'once', 'check-config'],
  sysroot: ['daemon', 'once', 'check-config'],
  trace: ['demo'],
  containers: ['demo'],
  duration: ['demo'],
};

/** @param argv what follows the program's name */
export function parseArguments(argv: readonly string[]): Parsed {
  const given = tokenize(argv);
  if ('message' in given) return wrong(given.message);
  const { values, positionals } = given;
  if (values.help === true) return { kind: 'help' };
  if (values.version === true) return { kind: 'version' };
  const [name, ...more] = positionals;
  if (name === undefined) return wrong(`a command is missing: ${COMMANDS.join(', ')}`);
  const command = COMMANDS.find((known) => known === name);
  if (command === undefined) {
    return wrong(`unknown command '${name}', known are ${COMMANDS.join(', ')}`);
  }
  if (more.length > 0) return wrong(`one command at a time, '${more[0]}' is too much`);
  for (const option of Object.keys(values)) {
    if (ONLY_FOR[option]?.includes(command) === false) {
      return wrong(`--${option} does not go with ${command}`);
    }
  }
  for (const option of ['config', 'sysroot', 'trace'] as const) {
    // An unset shell variable must not turn the directory of a test into the real node.
    if (values[option] === '') return wrong(`--${option} needs a path, and it is empty`);
  }
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
    },
  };
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
