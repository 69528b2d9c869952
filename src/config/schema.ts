// The part of zod without its chained methods: 29 KB of the bundle where all of zod is 146 KB, and
// 0.4 MB of private memory where it is 3.4 MB.
import * as z from 'zod/mini';
import type { BadPart } from './read-values.ts';
import {
  ADDRESS_OR_NOTHING,
  isBlank,
  readAddresses,
  readIds,
  toBoolean,
  toNumber,
  toWord,
} from './read-values.ts';

/**
 * The one schema of the configuration: every key of every kind of section, what it does, what is
 * allowed. Values arrive as YAML gave them, all scalars as text (or null, or a list).
 */

export interface KeyInfo {
  /** What the key does, for an admin; one sentence without its full stop. */
  readonly does: string;
  /** What may stand there; completes "allowed: ...". */
  readonly allowed: string;
  /** The words that are allowed, where they are few. */
  readonly words?: readonly string[];
  /** The value must never be shown. */
  readonly secret?: true;
}

type Info = Omit<KeyInfo, 'allowed'>;

const infos = z.registry<KeyInfo>();

function described<S extends z.ZodMiniType>(schema: S, info: KeyInfo): S {
  infos.add(schema, info);
  return schema;
}

/** What the schema of a key says about it. */
export const infoOf = (schema: z.ZodMiniType): KeyInfo | undefined => infos.get(schema);

const readNumber = () => z.transform(toNumber);

function wholeNumber(min: number, max: number, unit: string, does: string) {
  const value = z
    .number('is not a whole number')
    .check(
      z.gte(min, 'is too low'),
      z.lte(max, 'is too high'),
      z.multipleOf(1, 'is not a whole number'),
    );
  const allowed = `a whole number from ${min} to ${max}${unit === '' ? '' : `, in ${unit}`}`;
  return described(z.pipe(readNumber(), value), { does, allowed });
}

function percent(max: number, does: string) {
  const value = z
    .number('is not a number')
    .check(z.gte(0, 'is too low'), z.lte(max, 'is too high'));
  const allowed = `a number from 0 to ${max}, in percent`;
  return described(z.pipe(readNumber(), value), { does, allowed });
}

function yesOrNo(does: string) {
  const value = z.boolean('is neither true nor false');
  return described(z.pipe(z.transform(toBoolean), value), { does, allowed: 'true or false' });
}

const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

function oneOf<const W extends readonly [string, ...string[]]>(
  words: W,
  does: string,
  secondNames: Readonly<Record<string, string>> = {},
) {
  const value = z.enum(words, 'is not known');
  const read = z.transform((raw: unknown) => toWord(raw, secondNames));
  return described(z.pipe(read, value), { does, allowed: listed(words), words });
}

const FITS_ONE_LINE = /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/;
const oneLine = () => z.regex(FITS_ONE_LINE, 'holds a line break or another control character');

function absolutePath(kind: 'file' | 'directory', does: string) {
  const value = z.string('is not a path').check(
    oneLine(),
    z.regex(/^\/+[^/]/, 'is not an absolute path'),
    z.maxLength(1024, 'is too long'),
    z.refine((path) => !/(?:^|\/)\.\.?(?:\/|$)/.test(path), 'leads through . or ..'),
    z.refine((path) => kind === 'directory' || !path.endsWith('/'), 'is a directory'),
  );
  const allowed = `the absolute path of a ${kind}`;
  return described(value, { does, allowed });
}

/** One line of text in the given form; an empty value is an empty text. */
function text(form: RegExp, wrong: string, info: Info, allowed: string) {
  const read = z.transform((raw: unknown) => (raw === null ? '' : raw));
  const value = z.string('is not a text').check(oneLine(), z.regex(form, wrong));
  return described(z.pipe(read, value), { ...info, allowed });
}

/** Passes the parts on that a reader could not use. */
function refuse(bad: readonly BadPart[], raw: unknown, issues: z.core.$ZodRawIssue[]): void {
  for (const { item, part, why } of bad) {
    const path = item === undefined ? [] : [item];
    issues.push({ code: 'custom', input: raw, path, message: why, params: { part } });
  }
}

function containerIds(allowRanges: boolean, does: string, allowed: string) {
  const read = z.transform((raw: unknown, context) => {
    const { ranges, bad } = readIds(raw, allowRanges);
    refuse(bad, raw, context.issues);
    return ranges;
  });
  return described(read, { does, allowed });
}

function vmid(does: string) {
  const read = z.transform((raw: unknown, context) => {
    const [range, ...more] = readIds(raw, false).ranges;
    if (range !== undefined && more.length === 0 && typeof raw === 'string') return range.from;
    context.issues.push({ code: 'custom', input: raw, message: 'is not a container id' });
    return z.NEVER;
  });
  return described(read, { does, allowed: 'one container id from 100 to 999999999' });
}

/** Larger than any host has, so that a slip of the finger is caught and no machine is. */
const MAX_CORES = 8192;
const MAX_MEMORY_MIB = 16_777_216;
/** What `pct set --memory` takes at least. */
const MIN_MEMORY_MIB = 16;
const MAX_SECONDS = 86_400;

export const POLL_INTERVAL_SECONDS = { min: 1, max: MAX_SECONDS } as const;
export const LOG_LEVELS = ['debug', 'info', 'warning', 'error'] as const;
export const BEHAVIOURS = ['conservative', 'normal', 'aggressive'] as const;

const cores = (does: string) => wholeNumber(1, MAX_CORES, '', does);

/** A number that may be left empty, which gives undefined. */
function numberOrNothing(min: number, max: number, unit: string, does: string) {
  const value = z
    .number('is not a whole number')
    .check(
      z.gte(min, 'is too low'),
      z.lte(max, 'is too high'),
      z.multipleOf(1, 'is not a whole number'),
    );
  const read = z.transform((raw: unknown) => (isBlank(raw) ? undefined : toNumber(raw)));
  const allowed = `a whole number from ${min} to ${max}, in ${unit}, or nothing`;
  return described(z.pipe(read, z.optional(value)), { does, allowed });
}

/** Offsets as `+02:00` are refused: Node 18 does not know them, and they miss clock changes. */
function isTimezone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function timezone(does: string) {
  const read = z.transform((raw: unknown) => (isBlank(raw) ? undefined : raw));
  const wrong = 'is no time zone that this host knows';
  const value = z.string(wrong).check(z.refine(isTimezone, wrong));
  const allowed = 'a name such as Europe/Rome or UTC, or nothing';
  return described(z.pipe(read, z.optional(value)), { does, allowed });
}

/** A command as a list of its arguments. It is run without a shell, so nothing is split. */
function command(does: string) {
  const read = z.transform((raw: unknown) => (isBlank(raw) ? [] : raw));
  const words = z
    .array(z.string('is not an argument').check(oneLine()), 'is not a list of arguments')
    .check(z.maxLength(64, 'has too many arguments'));
  const value = words.check(
    z.refine((list) => list[0]?.startsWith('/') ?? true, 'does not begin with an absolute path'),
  );
  const allowed = 'a list: the absolute path of a program, then its arguments';
  return described(z.pipe(read, value), { does, allowed });
}

function addresses(does: string) {
  const read = z.transform((raw: unknown, context) => {
    const found = readAddresses(raw);
    refuse(found.bad, raw, context.issues);
    return found.addresses;
  });
  const allowed =
    'a pair of IPv4 addresses (from, to), a list of them, or one network such as 192.168.1.0/24';
  return described(read, { does, allowed });
}

const SEVERAL = 'as a list or separated by commas';
const IDS = `container ids (100 to 999999999), ${SEVERAL}`;
const IDS_AND_RANGES = `container ids (100 to 999999999) and ranges such as 120-139, ${SEVERAL}`;

/** What a `TIER_*` section may set for its containers, and `DEFAULT` for all others. */
const containerKeys = () => ({
  cpu_upper_threshold: percent(100, 'Above this CPU usage a container gets more cores'),
  cpu_lower_threshold: percent(100, 'Below this CPU usage a container gives cores back'),
  memory_upper_threshold: percent(100, 'Above this memory usage a container gets more memory'),
  memory_lower_threshold: percent(100, 'Below this memory usage a container gives memory back'),
  core_min_increment: cores('The smallest step by which cores change'),
  core_max_increment: cores('The largest step by which cores change'),
  memory_min_increment: wholeNumber(
    1,
    MAX_MEMORY_MIB,
    'MiB',
    'The smallest step by which memory grows',
  ),
  min_decrease_chunk: wholeNumber(
    1,
    MAX_MEMORY_MIB,
    'MiB',
    'The smallest step by which memory shrinks',
  ),
  min_cores: cores('No container gets fewer cores than this'),
  max_cores: cores('No container gets more cores than this'),
  min_memory: wholeNumber(
    MIN_MEMORY_MIB,
    MAX_MEMORY_MIB,
    'MiB',
    'No container gets less memory than this',
  ),
  max_memory: numberOrNothing(
    MIN_MEMORY_MIB,
    MAX_MEMORY_MIB,
    'MiB',
    'No container gets more memory than this; nothing: no more than the host can give',
  ),
  behaviour: oneOf(
    BEHAVIOURS,
    'How large the steps are: conservative halves them, aggressive doubles them',
  ),
});

const defaultSection = () =>
  z.strictObject({
    poll_interval: wholeNumber(
      POLL_INTERVAL_SECONDS.min,
      POLL_INTERVAL_SECONDS.max,
      'seconds',
      'The time from one cycle to the next',
    ),
    ...containerKeys(),
    reserve_cpu_percent: percent(90, 'The share of the CPUs that the host keeps for itself'),
    reserve_memory_mb: wholeNumber(
      0,
      MAX_MEMORY_MIB,
      'MiB',
      'The memory the host keeps for itself',
    ),
    ignore_lxc: containerIds(false, 'Containers that are left alone', IDS),
    energy_mode: yesOrNo('Whether allocations go down in the off-peak hours'),
    off_peak_start: wholeNumber(0, 23, '', 'The hour at which the off-peak time begins'),
    off_peak_end: wholeNumber(0, 23, '', 'The hour at which the off-peak time ends'),
    timezone: timezone("The time zone of these hours; nothing: the host's"),
    gotify_url: text(
      /^(?:https?:\/\/[^\s/]\S*)?$/,
      'is not a web address',
      { does: 'The Gotify server to send messages to; nothing: none', secret: true },
      'an address that begins with http:// or https://, or nothing',
    ),
    gotify_token: text(
      /^\S*$/,
      'holds a blank',
      { does: 'The token of the application on the Gotify server', secret: true },
      'the token on one line without blanks',
    ),
    log_file: absolutePath(
      'file',
      'The log for people; the JSON log has the same name with .json for .log',
    ),
    log_level: oneOf(LOG_LEVELS, 'The least important lines that are logged', { warn: 'warning' }),
    lock_file: absolutePath('file', 'The lock that keeps a second daemon from starting'),
    backup_dir: absolutePath('directory', 'Where the configuration of a container is kept'),
  });

const tierSection = () =>
  z.strictObject({
    lxc_containers: containerIds(true, 'The containers of this tier', IDS_AND_RANGES),
    ...containerKeys(),
  });

const groupSection = () =>
  z.strictObject({
    lxc_containers: containerIds(true, 'The containers that the group begins with', IDS_AND_RANGES),
    source: vmid('The container that is cloned'),
    base_snapshot_name: vmid('The name of `source` in existing files: an id, in spite of its name'),
    source_snapshot: text(
      /^(?:[A-Za-z][A-Za-z0-9_-]{1,39})?$/,
      'is not the name of a snapshot',
      { does: 'The snapshot of the source to clone from; nothing: a new one is made' },
      'a letter, then letters, digits, - and _, up to 40 in all, or nothing',
    ),
    min_instances: wholeNumber(1, 1000, '', 'The group never has fewer members'),
    max_instances: wholeNumber(1, 1000, '', 'The group never has more members'),
    starting_clone_id: vmid('Clones get free ids from this one upwards'),
    clone_mode: oneOf(['full', 'linked'], 'Whether a clone has a disk of its own'),
    clone_network_type: oneOf(['dhcp', 'static'], 'How a clone gets its address'),
    static_ip_range: addresses('The addresses for clones'),
    bridge: text(
      /^(?:[A-Za-z][A-Za-z0-9_.-]{0,14})?$/,
      'is not the name of a bridge',
      { does: 'The bridge of the clones; nothing: as the source has it' },
      'a name such as vmbr0, or nothing',
    ),
    gateway: text(
      ADDRESS_OR_NOTHING,
      'is not an IPv4 address',
      { does: 'The gateway of the clones; nothing: as the source has it' },
      'an IPv4 address, or nothing',
    ),
    start_order: wholeNumber(
      0,
      10_000,
      '',
      'The place of the clones in the start order of the host',
    ),
    horiz_cpu_upper_threshold: percent(100, 'Above this mean CPU usage a member is added'),
    horiz_memory_upper_threshold: percent(100, 'Above this mean memory usage a member is added'),
    horiz_cpu_lower_threshold: percent(100, 'Below this mean CPU usage a member is taken away'),
    horiz_memory_lower_threshold: percent(
      100,
      'Below this mean memory usage a member is taken away',
    ),
    scale_in: oneOf(['off', 'stop', 'destroy'], 'What becomes of a member that is not needed', {
      no: 'off',
      false: 'off',
    }),
    scale_out_grace_period: wholeNumber(
      0,
      MAX_SECONDS,
      'seconds',
      'The least time between two members added',
    ),
    scale_in_grace_period: wholeNumber(
      0,
      MAX_SECONDS,
      'seconds',
      'The least time between two members taken away',
    ),
    warmup_seconds: wholeNumber(0, MAX_SECONDS, 'seconds', 'How long a new member is not counted'),
    group_tag: text(
      /^(?:[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127})?$/,
      'is not a tag',
      { does: 'The tag that marks the members of the group; nothing: made of its name' },
      'letters, digits, _ - + and ., or nothing',
    ),
    on_ready: command('What is run when a member is ready'),
    on_terminating: command('What is run before a member goes'),
  });

/**
 * The schema, made anew by each call. It is needed only while a file is read, and kept it would
 * cost the daemon some 0.3 MB for all its life.
 */
export const configSchema = () => ({
  default: defaultSection(),
  tier: tierSection(),
  group: groupSection(),
});

export type ConfigSchema = ReturnType<typeof configSchema>;
export type DefaultValues = z.output<ConfigSchema['default']>;
export type TierValues = z.output<ConfigSchema['tier']>;
export type GroupValues = z.output<ConfigSchema['group']>;
/** A kind of section: all that its reader needs to know of it. */
export type SectionSchema = { readonly shape: Readonly<Record<string, z.ZodMiniType>> };

/** The value of one key, or what is wrong with it. */
export type Checked =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly faults: readonly Fault[] };

export interface Fault {
  /** The place in a list; undefined where it concerns the value as a whole. */
  readonly item: number | undefined;
  /** The part of the value that is at fault, where it is not all of it. */
  readonly part: string | undefined;
  /** Completes "`value` ...". */
  readonly why: string;
}

/** Checks one value by the schema of its key. */
export function check(schema: z.ZodMiniType, raw: unknown): Checked {
  const result = schema.safeParse(raw);
  if (result.success) return { ok: true, value: result.data };
  const faults: Fault[] = [];
  for (const issue of result.error.issues) {
    const item = issue.path[0];
    const part: unknown = issue.code === 'custom' ? issue.params?.['part'] : undefined;
    const fault = {
      item: typeof item === 'number' ? item : undefined,
      part: typeof part === 'string' ? part : undefined,
      why: issue.message,
    };
    // One value can break several rules; the first says enough.
    const said = faults.some((other) => other.item === fault.item && other.part === fault.part);
    if (fault.part !== undefined || !said) faults.push(fault);
  }
  return { ok: false, faults };
}
