/** The options of all commands: how each is typed. What it does, each command says itself. */

export interface Option {
  readonly type: 'string' | 'boolean';
  /** What stands for its value in the help. */
  readonly value?: string;
  readonly multiple?: boolean;
  readonly short?: string;
}

export const OPTIONS = {
  config: { type: 'string', value: 'FILE' },
  'env-file': { type: 'string', value: 'FILE' },
  sysroot: { type: 'string', value: 'DIR' },
  state: { type: 'string', value: 'DIR' },
  'dry-run': { type: 'boolean' },
  poll_interval: { type: 'string', value: 'N' },
  energy_mode: { type: 'boolean' },
  debug: { type: 'boolean' },
  verbose: { type: 'boolean' },
  json: { type: 'boolean' },
  format: { type: 'string', value: 'FORMAT' },
  node: { type: 'string', value: 'NAME' },
  since: { type: 'string', value: 'TIME' },
  all: { type: 'boolean' },
  to: { type: 'string', value: 'TIME' },
  'other-guest': { type: 'boolean' },
  out: { type: 'string', value: 'FILE' },
  trace: { type: 'string', value: 'FILE' },
  history: { type: 'boolean' },
  containers: { type: 'string', value: 'N' },
  duration: { type: 'string', value: 'N' },
  policy: { type: 'string', value: 'NAME', multiple: true },
  split: { type: 'string', value: 'N' },
  after: { type: 'string', value: 'DAYS' },
  cold: { type: 'boolean' },
  html: { type: 'string', value: 'FILE' },
  yaml: { type: 'boolean' },
  http: { type: 'boolean' },
  'add-note': { type: 'boolean' },
  'remove-note': { type: 'boolean' },
  notes: { type: 'boolean' },
  for: { type: 'string', value: 'N' },
  yes: { type: 'boolean' },
  at: { type: 'string', value: 'TIME' },
  wide: { type: 'boolean' },
  columns: { type: 'string', value: 'LIST' },
  sort: { type: 'string', value: 'COLUMN' },
  watch: { type: 'boolean' },
  'no-color': { type: 'boolean' },
  rollback: { type: 'boolean' },
  'validate-config': { type: 'boolean' },
  'validate-only': { type: 'boolean' },
  'health-check': { type: 'boolean' },
  status: { type: 'boolean' },
  once: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const satisfies Readonly<Record<string, Option>>;

export type OptionName = keyof typeof OPTIONS;

/** The options of a command, each with what it does there. */
export type OptionTexts = Readonly<Partial<Record<OptionName, string>>>;

/** Options that stand without a command, or with any. */
export const GENERAL_OPTIONS = {
  help: 'Print this help; after a command, the help of that command',
  version: 'Print the version',
  rollback: 'The same as rollback --all',
  'validate-config': 'The same as check-config',
  'validate-only': 'The same as check-config',
  'health-check': 'The same as health-check',
  status: 'The same as status',
  once: 'The same as once',
} as const satisfies OptionTexts;

/** The flags that existing installations have in place of a command. */
export const FLAG_COMMANDS = {
  rollback: 'rollback',
  'validate-config': 'check-config',
  'validate-only': 'check-config',
  'health-check': 'health-check',
  status: 'status',
  once: 'once',
} as const satisfies Partial<Record<OptionName, string>>;

export const SYSROOT = { sysroot: 'Take every path below DIR instead of /' } as const;

export const STATE = {
  state: 'All that is kept lies in DIR; the log goes to the console',
} as const;

/** Of commands that read the configuration. */
export const CONFIGURED = {
  config:
    'The configuration (default /etc/lxc_autoscale/lxc_autoscale.yaml, else that of the cluster)',
  'env-file': 'Variables for the configuration, NAME=VALUE lines; nobody else may read it',
  ...SYSROOT,
  ...STATE,
  debug: 'Log at level debug',
  verbose: 'The same as --debug',
} as const satisfies OptionTexts;

/** Of commands that take some keys of the configuration from the command line. */
export const OVERRIDES = {
  poll_interval: 'Seconds between two cycles (or 5m, 1h), instead of the configured value',
  energy_mode: 'The same as energy_mode: True in the configuration',
} as const satisfies OptionTexts;

export const DRY_RUN = { 'dry-run': 'Do everything except the change' } as const;

export const ONE_NODE = { node: 'The node that is meant, if there are several' } as const;

/** The columns of `status`, as `--columns` and `--sort` name them. */
export const STATUS_COLUMNS = [
  'vmid',
  'name',
  'policy',
  'cpu',
  'memory',
  'need',
  'waits',
  'oom',
  'change',
  'now',
];

/** Of commands that print a table. */
export const TABLE = {
  wide: 'Cut no line, and leave out no column',
  'no-color': 'No colours, as with NO_COLOR in the environment or without a terminal',
} as const satisfies OptionTexts;

export const JSON_OUTPUT = { json: 'Print JSON, for scripts' } as const;

/** Of commands that replay recorded demand. */
export const REPLAYED = {
  ...CONFIGURED,
  config: 'Keep to the limits of this configuration, and use its policies',
  trace: 'Replay this demand, a CSV file: time_s,container,cpu_cores,memory_mb',
  history: 'Replay what the daemon has recorded here; the default if no trace is named',
  containers: 'With --trace: only its first N containers (at most 300)',
  ...JSON_OUTPUT,
} as const satisfies OptionTexts;

export const DEFAULT_DEMO_SECONDS = 60;
export const DEFAULT_MEASURE_SECONDS = 60;
