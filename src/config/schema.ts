// The part of zod without its chained methods: 29 KB of the bundle where all of zod is 146 KB, and
// 0.4 MB of private memory where it is 3.4 MB.
import * as z from 'zod/mini';
import { parseListenAddress } from '../core/listen-address.ts';
import { LOG_ROOMS, type LogRoom } from '../core/log-line.ts';
import {
  type EventKind,
  MESSAGE_CHANNELS,
  type MessageChannel,
  type Severity,
} from '../core/notify/event.ts';
import { parseSyslogAddress } from '../core/syslog-address.ts';
import { cronFault } from './cron.ts';
import {
  CHANNEL_NAMES,
  type HoursOfDay,
  jsonFault,
  MAIL_ADDRESS,
  type PartRead,
  type PerChannel,
  readEvents,
  readHours,
  readMailAddresses,
  readSeverity,
} from './notify-values.ts';
import type { BadPart } from './read-values.ts';
import {
  ADDRESS_OR_NOTHING,
  canBeGateway,
  isBlank,
  readAddresses,
  readMembers,
  readVmid,
  toAmount,
  toBoolean,
  toWord,
  type Unit,
  unitsOf,
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
  /** The keys that a mapping may have which stands in place of a single value. */
  readonly parts?: readonly string[];
  /** The units that may stand behind the number in place of its own. */
  readonly units?: string | undefined;
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

const readNumber = (unit: Unit = '') => z.transform((raw: unknown) => toAmount(raw, unit));

const wholeBetween = (min: number, max: number) =>
  z
    .number('is not a whole number')
    .check(
      z.gte(min, 'is too low'),
      z.lte(max, 'is too high'),
      z.multipleOf(1, 'is not a whole number'),
    );

const numbersFrom = (min: number, max: number, unit: string): string =>
  `a whole number from ${min} to ${max}${unit === '' ? '' : `, in ${unit}`}`;

function wholeNumber(min: number, max: number, unit: Unit, does: string) {
  const allowed = numbersFrom(min, max, unit);
  const units = unitsOf(unit);
  return described(z.pipe(readNumber(unit), wholeBetween(min, max)), { does, allowed, units });
}

/** A number for growing and one for shrinking; undefined: left out, so what lies below holds. */
export interface UpAndDown<T = number | undefined> {
  readonly up: T;
  readonly down: T;
}

const UP_AND_DOWN = ['up', 'down'] as const;

/** One number for both, or a mapping with a number for each, which arrives as a Map. */
function upAndDown(min: number, max: number, unit: Unit, example: string, does: string) {
  const number = wholeBetween(min, max);
  const read = z.transform((raw: unknown, { issues }): UpAndDown => {
    const given = raw instanceof Map ? raw : new Map([['', raw]]);
    const found = new Map<unknown, number>();
    for (const [key, value] of given) {
      const result = number.safeParse(toAmount(value, unit));
      if (result.success) found.set(key, result.data);
      else {
        const message = result.error.issues[0]?.message ?? 'is not a whole number';
        issues.push({ code: 'custom', input: raw, path: key === '' ? [] : [key], message });
      }
    }
    if (given.size === 0) {
      issues.push({ code: 'custom', input: raw, message: 'says neither up nor down' });
    }
    const both = found.get('');
    return { up: found.get('up') ?? both, down: found.get('down') ?? both };
  });
  const allowed = `${numbersFrom(min, max, unit)}, or one for each as in ${example}`;
  return described(read, { does, allowed, parts: UP_AND_DOWN, units: unitsOf(unit) });
}

const numberBetween = (min: number, max: number) =>
  z.number('is not a number').check(z.gte(min, 'is too low'), z.lte(max, 'is too high'));

function percent(min: number, max: number, does: string) {
  const allowed = `a number from ${min} to ${max}, in percent`;
  const read = readNumber('percent');
  const units = unitsOf('percent');
  return described(z.pipe(read, numberBetween(min, max)), { does, allowed, units });
}

/** Whether no digit of the number stands beyond so many after the point. */
const hasDecimals = (value: number, most: number): boolean => Number(value.toFixed(most)) === value;

/** How many times as much: more than 1. */
function factor(max: number, does: string) {
  const value = z.number('is not a number').check(z.gt(1, 'is too low'), z.lte(max, 'is too high'));
  const allowed = `a number above 1, up to ${max}`;
  return described(z.pipe(readNumber(), value), { does, allowed });
}

/** A share, which may be written in percent: a number above 1 is. */
function share(does: string) {
  const read = z.transform((raw: unknown) => {
    const value = toAmount(raw, 'percent');
    const isPercent = typeof raw === 'string' && raw.includes('%');
    return typeof value === 'number' && (isPercent || value > 1) ? value / 100 : value;
  });
  const allowed = 'a share from 0.5 to 1, or a number from 50 to 100 for percent';
  const units = unitsOf('percent');
  return described(z.pipe(read, numberBetween(0.5, 1)), { does, allowed, units });
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

type Level = (typeof LOG_LEVELS)[number];

/** One level for all rooms, or one for each that is named, and for the others at `default`. */
export type Levels = Level | ReadonlyMap<LogRoom | 'default', Level>;

const LEVEL_NAMES = { warn: 'warning' };

function logLevels(does: string) {
  const level = z.enum(LOG_LEVELS, 'is not known');
  const rooms = ['default', ...LOG_ROOMS] as const;
  const read = z.transform((raw: unknown, { issues }): Levels => {
    const given = raw instanceof Map ? raw : new Map([['', raw]]);
    const found = new Map<LogRoom | 'default', Level>();
    for (const [key, value] of given) {
      const result = level.safeParse(toWord(value, LEVEL_NAMES));
      const room = rooms.find((name) => name === key) ?? 'default';
      const path = key === '' ? [] : [key];
      if (result.success) found.set(room, result.data);
      else issues.push({ code: 'custom', input: raw, path, message: 'is not known' });
    }
    return raw instanceof Map ? found : (found.get('default') ?? 'info');
  });
  const allowed = `${listed(LOG_LEVELS)}, or one for each as in {default: info, groups: debug}`;
  return described(read, { does, allowed, words: LOG_LEVELS, parts: rooms });
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

const MAX_TEXT_CHARS = 4096;

/** One line of text in the given form; an empty value is an empty text. */
function text(form: RegExp, wrong: string, info: Info, allowed: string) {
  const read = z.transform((raw: unknown) => (raw === null ? '' : raw));
  const value = z
    .string('is not a text')
    .check(z.maxLength(MAX_TEXT_CHARS, 'is too long'), oneLine(), z.regex(form, wrong));
  return described(z.pipe(read, value), { ...info, allowed });
}

/** Passes the parts on that a reader could not use. */
function refuse(bad: readonly BadPart[], raw: unknown, issues: z.core.$ZodRawIssue[]): void {
  for (const { item, part, why } of bad) {
    const path = item === undefined ? [] : [item];
    issues.push({ code: 'custom', input: raw, path, message: why, params: { part } });
  }
}

function containerIds(does: string) {
  const read = z.transform((raw: unknown, context) => {
    const { members, bad } = readMembers(raw, false);
    refuse(bad, raw, context.issues);
    return members;
  });
  return described(read, { does, allowed: IDS_AND_RANGES });
}

/** Containers by id, by name or by tag. */
function containers(does: string) {
  const read = z.transform((raw: unknown, context) => {
    const { members, bad } = readMembers(raw, true);
    refuse(bad, raw, context.issues);
    return members;
  });
  return described(read, { does, allowed: CONTAINERS });
}

function vmid(does: string) {
  const read = z.transform((raw: unknown, context) => {
    const id = readVmid(raw);
    if (id !== undefined) return id;
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
const MAX_HOLD_SECONDS = 30 * 86_400;
const MAX_OFF_PEAK_MINUTES = 7 * 24 * 60;
const MAX_LOG_SIZE_MB = 10_240;

export const POLL_INTERVAL_SECONDS = { min: 1, max: MAX_SECONDS } as const;
export const LOG_LEVELS = ['debug', 'info', 'warning', 'error'] as const;
export const LOG_FORMATS = ['text', 'json'] as const;
export const MANAGED = ['all', 'tagged'] as const;
export const SCALING_MODES = ['threshold', 'boost', 'adaptive', 'observe'] as const;
export const CPU_UNITS = ['cores', 'cpulimit'] as const;
export const ADMISSIONS = ['normal', 'strict'] as const;
export const BEHAVIOURS = ['conservative', 'normal', 'aggressive'] as const;

/** Whether fractions are right where they stand depends on `cpu_unit`: see relations.ts. */
function cores(does: string) {
  const value = z.number('is not a number').check(
    z.gt(0, 'is too low'),
    z.lte(MAX_CORES, 'is too high'),
    z.refine((number) => hasDecimals(number, 1), 'has more than one digit after the point'),
  );
  const whole = numbersFrom(1, MAX_CORES, '');
  const allowed = `${whole}, or in tenths from 0.1 where cpu_unit is cpulimit`;
  return described(z.pipe(readNumber(), value), { does, allowed });
}

/** The memory promised over the memory there is. */
function overcommitRatio(min: number, max: number, does: string) {
  const decimals = 'has more than two digits after the point';
  const value = numberBetween(min, max).check(z.refine((ratio) => hasDecimals(ratio, 2), decimals));
  const allowed = `a number from ${min} to ${max} with up to two digits after the point`;
  return described(z.pipe(readNumber(), value), { does, allowed });
}

function cronOrNothing(does: string) {
  const read = z.transform((raw: unknown, { issues }): string | undefined => {
    if (isBlank(raw)) return undefined;
    const message = typeof raw === 'string' ? cronFault(raw) : 'is not a cron expression';
    if (message !== undefined) issues.push({ code: 'custom', input: raw, message });
    return typeof raw === 'string' ? raw.trim() : undefined;
  });
  const allowed =
    'five fields (minute, hour, day of the month, month, day of the week) such as ' +
    "'0 22 * * 1-5', or nothing";
  return described(read, { does, allowed });
}

function listenOrNothing(does: string) {
  const read = z.transform((raw: unknown, { issues }) => {
    if (isBlank(raw)) return undefined;
    const address = typeof raw === 'string' ? parseListenAddress(raw) : undefined;
    if (address === undefined) {
      issues.push({ code: 'custom', input: raw, message: 'is not an address with a port' });
    }
    return address;
  });
  const allowed = 'an address and a port such as 127.0.0.1:9732 or [::1]:9732, or nothing';
  return described(read, { does, allowed });
}

function syslogOrNothing(does: string) {
  const read = z.transform((raw: unknown, { issues }) => {
    if (isBlank(raw)) return undefined;
    const address = typeof raw === 'string' ? parseSyslogAddress(raw) : undefined;
    if (address === undefined) {
      issues.push({ code: 'custom', input: raw, message: 'is not the address of a syslog server' });
    }
    return address;
  });
  const allowed = 'an address such as udp://log.lan:514 or tcp://[fd00::5]:514, or nothing';
  return described(read, { does, allowed });
}

function textfileOrNothing(does: string) {
  const read = z.transform((raw: unknown) => (isBlank(raw) ? undefined : raw));
  const value = z.string('is not a path').check(
    oneLine(),
    z.regex(/^\/+[^/]/, 'is not an absolute path'),
    z.maxLength(1024, 'is too long'),
    z.refine((path) => !/(?:^|\/)\.\.?(?:\/|$)/.test(path), 'leads through . or ..'),
    z.refine((path) => /[^/]\.prom$/.test(path), 'does not end in .prom'),
  );
  const allowed = 'the absolute path of a file that ends in .prom, or nothing';
  return described(z.pipe(read, z.optional(value)), { does, allowed });
}

/** A number that may be left empty, which gives undefined. */
function numberOrNothing(min: number, max: number, unit: Unit, does: string) {
  const read = z.transform((raw: unknown) => (isBlank(raw) ? undefined : toAmount(raw, unit)));
  const allowed = `${numbersFrom(min, max, unit)}, or nothing`;
  const value = z.pipe(read, z.optional(wholeBetween(min, max)));
  return described(value, { does, allowed, units: unitsOf(unit) });
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

function gateway(does: string) {
  const read = z.transform((raw: unknown) => (raw === null ? '' : raw));
  const value = z
    .string('is not a text')
    .check(z.regex(ADDRESS_OR_NOTHING, 'is not an IPv4 address'))
    .check(z.refine((text) => text === '' || canBeGateway(text), 'is no address of a router'));
  return described(z.pipe(read, value), { does, allowed: 'an IPv4 address, or nothing' });
}

const SEVERAL = 'as a list or separated by commas';
const CONTAINERS =
  'container ids (100 to 999999999), ranges such as 120-139, names such as web or web-*, ' +
  `tags such as tag:web, ${SEVERAL}`;
const IDS_AND_RANGES = `container ids (100 to 999999999) and ranges such as 120-139, ${SEVERAL}`;

/** The help that `scaling_mode: boost` gives a container whose CPU is saturated. */
const boostKeys = () => ({
  saturation_threshold: share(
    'From this share of the CPU that it may use on a container is saturated',
  ),
  consecutive_samples: wholeNumber(
    1,
    60,
    '',
    'After so many saturated samples in a row a container gets a boost',
  ),
  boost_factor: factor(10, 'What a boost multiplies the cores by'),
  boost_fallback_factor: factor(10, 'What it multiplies them by where boost_factor does not fit'),
  boost_duration: wholeNumber(
    10,
    MAX_SECONDS,
    'seconds',
    'How long a boost lasts; then the container has what it had before',
  ),
});

/** When a container may be changed. */
const timingKeys = () => ({
  cooldown_seconds: upAndDown(
    0,
    MAX_SECONDS,
    'seconds',
    '{up: 0, down: 300}',
    'The least time from one change to the next that goes up, and to the next that goes down',
  ),
  evaluation_periods: upAndDown(
    1,
    60,
    '',
    '{up: 1, down: 3}',
    'How many observations a change rests on: their average decides',
  ),
  first_shrink_seconds: wholeNumber(
    0,
    MAX_SECONDS,
    'seconds',
    'How long a container is observed before memory is taken back from it for the first time',
  ),
  start_grace_seconds: wholeNumber(
    0,
    MAX_SECONDS,
    'seconds',
    'How long after a start or an OOM kill no memory is taken back',
  ),
  manual_hold_seconds: wholeNumber(
    0,
    MAX_HOLD_SECONDS,
    'seconds',
    'How long a value that somebody changed by hand is left as it is',
  ),
});

/** What a `TIER_*` section may set for its containers, and `DEFAULT` for all others. */
const containerKeys = () => ({
  scaling_mode: oneOf(
    SCALING_MODES,
    'How a container is scaled: threshold by the thresholds, boost by them and with a boost ' +
      'where its CPU is saturated, adaptive by what is learnt of its demand, observe not at all, ' +
      'only reported',
  ),
  cpu_upper_threshold: percent(0, 100, 'Above this CPU usage a container gets more cores'),
  cpu_lower_threshold: percent(0, 100, 'Below this CPU usage a container gives cores back'),
  memory_upper_threshold: percent(0, 100, 'Above this memory usage a container gets more memory'),
  memory_lower_threshold: percent(0, 100, 'Below this memory usage a container gives memory back'),
  cpu_unit: oneOf(
    CPU_UNITS,
    'What the CPU is scaled by: whole cores, or cpulimit, which takes fractions and acts at once',
  ),
  core_min_increment: cores(
    'The smallest step by which cores change; 0.1 by default where cpu_unit is cpulimit',
  ),
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
  shrink_into_swap: yesOrNo(
    'Whether memory is taken back that a container can only give up by swapping out',
  ),
  behaviour: oneOf(
    BEHAVIOURS,
    'How large the steps are: conservative halves them, aggressive doubles them',
  ),
  ...timingKeys(),
  ...boostKeys(),
  priority: wholeNumber(1, 100, '', 'Where memory is scarce, the higher one is served first'),
});

/** When something is done, and how much at a time. */
const rhythmKeys = () => ({
  poll_interval: wholeNumber(
    POLL_INTERVAL_SECONDS.min,
    POLL_INTERVAL_SECONDS.max,
    'seconds',
    'The time from one cycle to the next',
  ),
  sample_interval: wholeNumber(
    1,
    3600,
    'seconds',
    'How often the counters are read between two cycles; never more seldom than a cycle runs',
  ),
  urgent_samples: wholeNumber(
    1,
    60,
    '',
    'After so many samples in need a container is decided upon without waiting for the cycle',
  ),
  max_concurrent_operations: wholeNumber(
    1,
    16,
    '',
    'How many containers are changed at the same time',
  ),
});

/** Figures for Prometheus. */
const metricsKeys = () => ({
  metrics_listen: listenOrNothing(
    'Where metrics and health are served: /metrics, /healthz and /readyz; nothing: nowhere',
  ),
  metrics_token: text(
    /^(?:[!-~]{16,256})?$/,
    'has blanks or less than 16 characters',
    { does: 'What a request must bear as `Authorization: Bearer TOKEN`', secret: true },
    'the token, 16 to 256 characters without blanks, or nothing',
  ),
  metrics_textfile: textfileOrNothing(
    'The file that the same figures are written to after each cycle, for node_exporter; ' +
      'nothing: none',
  ),
});

const webAddress = (does: string) =>
  text(
    /^(?:https?:\/\/[^\s/]\S*)?$/,
    'is not a web address',
    { does, secret: true },
    'an address that begins with http:// or https://, or nothing',
  );

const token = (does: string) =>
  text(
    /^[!-~]*$/,
    'holds a blank or another character that no token has',
    { does, secret: true },
    'the token on one line without blanks',
  );

/** One value for all channels, or a mapping with one for each that is named. */
function perChannel<T>(
  readOne: (raw: unknown) => PartRead<T>,
  allowed: string,
  example: string,
  does: string,
) {
  const read = z.transform((raw: unknown, { issues }): PerChannel<T> => {
    const given = raw instanceof Map ? raw : new Map([['', raw]]);
    const found = new Map<MessageChannel | '', T>();
    for (const [key, value] of given) {
      const name = MESSAGE_CHANNELS.find((channel) => channel === key) ?? '';
      const one = readOne(value);
      if (one.value !== undefined) found.set(name, one.value);
      else {
        const path = key === '' ? [] : [key];
        issues.push({ code: 'custom', input: raw, path, message: one.why });
      }
    }
    return found;
  });
  const each = `${allowed}; or one for each channel as in ${example}`;
  return described(read, { does, allowed: each, parts: CHANNEL_NAMES });
}

function mailAddresses(does: string) {
  const read = z.transform((raw: unknown, { issues }): readonly string[] => {
    const { value, why } = readMailAddresses(raw);
    if (value === undefined) issues.push({ code: 'custom', input: raw, message: why });
    return value ?? [];
  });
  const allowed = `mail addresses such as admin@example.org, ${SEVERAL}, or nothing`;
  return described(read, { does, allowed });
}

function jsonTemplate(does: string) {
  const value = z.string('is not a text').check(
    z.maxLength(8192, 'is too long'),
    z.refine((json) => jsonFault(json) !== 'is no JSON', 'is no JSON'),
    z.refine((json) => jsonFault(json) === undefined, 'has a word in {{ }} that is not known'),
  );
  const read = z.transform((raw: unknown) => (isBlank(raw) ? '' : raw));
  const allowed =
    'JSON with {{title}}, {{message}}, {{severity}}, {{host}} and {{time}} in its texts, such as ' +
    '\'{"text": "{{title}}"}\', or nothing';
  return described(z.pipe(read, value), { does, allowed });
}

/** Who takes messages. */
const channelKeys = () => ({
  gotify_url: webAddress('The Gotify server to send messages to; nothing: none'),
  gotify_token: token('The token of the application on the Gotify server'),
  gotify_priority: wholeNumber(
    0,
    10,
    '',
    'The priority of messages that can wait; warnings have 2 more, errors 3',
  ),
  smtp_server: text(
    /^[A-Za-z0-9.:_-]*$/,
    'is not the name of a server',
    { does: 'The mail server to send messages through; nothing: none' },
    'a name or an address such as mail.example.org, or nothing',
  ),
  smtp_port: wholeNumber(1, 65_535, '', 'Its port'),
  smtp_security: oneOf(
    ['starttls', 'tls', 'none'],
    'How the connection to it is encrypted: by STARTTLS, from its beginning (tls, mostly on port ' +
      '465), or not at all',
  ),
  smtp_username: text(
    /^[^\s]*$/,
    'holds a blank',
    { does: 'The name to log in there with; nothing: no login' },
    'a name without blanks, or nothing',
  ),
  smtp_password: text(
    /^/,
    'is not a password',
    { does: 'The password to it', secret: true },
    'the password on one line',
  ),
  smtp_from: text(
    new RegExp(`^(?:${MAIL_ADDRESS.source.slice(1, -1)})?$`),
    'is not a mail address',
    { does: 'The sender of the mails' },
    'a mail address such as pve@example.org, or nothing',
  ),
  smtp_to: mailAddresses('Who gets the mails'),
  ntfy_url: text(
    /^(?:https?:\/\/[^\s/?#]+(?:\/[^\s?#]*)?\/[^\s/?#]+\/?)?$/,
    'is not the address of a topic',
    { does: 'The ntfy topic to send messages to; nothing: none', secret: true },
    'an address such as https://ntfy.sh/topic, or nothing',
  ),
  ntfy_token: token('The access token there; nothing: none is needed'),
  webhook_url: webAddress('The address that messages are posted to as JSON; nothing: none'),
  webhook_token: token('Sent to it as a bearer token; nothing: none'),
  webhook_body: jsonTemplate(
    'What is posted; nothing: an object with host, title, message, severity and time',
  ),
  uptime_kuma_url: webAddress(
    'The push address of an Uptime Kuma monitor, which is called after each cycle; nothing: none',
  ),
  notify_proxmox: yesOrNo(
    "Whether messages go to the node's own notification system, as mail to root",
  ),
});

/** What they take, and when. */
const messageKeys = () => ({
  notify_events: perChannel<readonly EventKind[]>(
    readEvents,
    'all, none, or some of changed, failed, starving, emergency, group, daemon, configuration',
    '{email: failed, ntfy: [failed, emergency]}',
    'Which events messages are sent on',
  ),
  notify_min_severity: perChannel<Severity>(
    readSeverity,
    'info, warning or error',
    '{email: error}',
    'The least important events that messages are sent on',
  ),
  notify_quiet_hours: perChannel<HoursOfDay | null>(
    readHours,
    'two hours of the day such as 22-7, or nothing',
    '{ntfy: 22-7}',
    'When only errors are sent; the rest comes in one message when they are over',
  ),
  notify_per_hour: wholeNumber(
    1,
    1000,
    '',
    'How many messages an hour a channel takes; what is more comes in one message',
  ),
  notify_ca_file: text(
    /^(?:\/+[^/]\S*)?$/,
    'is not an absolute path',
    {
      does: 'Certificates (PEM) that servers are trusted by besides the usual ones; nothing: none',
    },
    'the absolute path of a file, or nothing',
  ),
});

/** What is written, and for how long it is kept. */
const fileKeys = () => ({
  log_file: absolutePath(
    'file',
    'The log for people; the JSON log has the same name with .json for .log',
  ),
  log_level: logLevels(
    'The least important lines that are logged, of all of the program or of its parts ' +
      `${LOG_ROOMS.slice(0, -1).join(', ')} and ${LOG_ROOMS.at(-1)}`,
  ),
  log_format: oneOf(LOG_FORMATS, 'What the lines on the console look like; the log file has text'),
  log_syslog: syslogOrNothing('The syslog server that lines are sent to as well; nothing: none'),
  log_journal_fields: yesOrNo(
    'Whether lines in the journal of systemd bear fields such as LXC_AUTOSCALE_VMID, which takes ' +
      'one more process',
  ),
  log_max_size_mb: wholeNumber(
    0,
    MAX_LOG_SIZE_MB,
    'MiB',
    'From this size on a log file is moved aside and a new one begun; 0: never',
  ),
  log_keep: wholeNumber(1, 9, '', 'How many log files that were moved aside are kept of each log'),
  lock_file: absolutePath(
    'file',
    'Holds the process id while the daemon runs, for scripts that look at it',
  ),
  backup_dir: absolutePath('directory', 'Where the configuration of a container is kept'),
  backups_keep: wholeNumber(
    1,
    1000,
    '',
    'How many backups of a container are kept, besides the one from before its first change, ' +
      'which never goes: the newest 3, one of each day of the last week, one of each week ' +
      'before, and then those of the last day',
  ),
  backups_keep_days: wholeNumber(
    1,
    3650,
    'days',
    'How long backups are kept; never removed are the newest 3 of a container and the one from ' +
      'before its first change',
  ),
  usage_history: yesOrNo('Whether the usage of all containers is written down, for export'),
  usage_history_days: wholeNumber(
    1,
    3650,
    'days',
    'How many days of usage are kept, in at most 50 MB; older ones go',
  ),
});

const defaultSection = () =>
  z.strictObject({
    ...rhythmKeys(),
    ...containerKeys(),
    reserve_cpu_percent: percent(0, 90, 'The share of the CPUs that the host keeps for itself'),
    reserve_memory_mb: wholeNumber(
      0,
      MAX_MEMORY_MIB,
      'MiB',
      'The memory the host keeps for itself',
    ),
    memory_overcommit_ratio: overcommitRatio(
      0.5,
      10,
      'The memory limits of all running guests together, over the memory of the host less its ' +
        'reserve: no memory is handed out beyond it',
    ),
    admission: oneOf(
      ADMISSIONS,
      'Whether more memory may be promised than there is; strict forbids it, whatever ' +
        'memory_overcommit_ratio says',
    ),
    host_emergency_percent: percent(
      50,
      100,
      "Above this use of the host's memory no container gets more, and idle memory is taken back",
    ),
    manage: oneOf(
      MANAGED,
      'Which containers are managed: all, or only those tagged autoscale, autoscale-tier-NAME ' +
        'or autoscale-observe',
    ),
    tags_first: yesOrNo(
      'Whether the tag autoscale-tier-NAME of a container counts before the ids and names that ' +
        'tiers list',
    ),
    ignore_lxc: containers('Containers that are left alone'),
    energy_mode: yesOrNo('Whether allocations go down to what is needed in the off-peak time'),
    off_peak_start: wholeNumber(0, 23, 'hours', 'The hour at which the off-peak time begins'),
    off_peak_end: wholeNumber(0, 23, 'hours', 'The hour at which the off-peak time ends'),
    off_peak_cron: cronOrNothing(
      'When the off-peak time begins, in place of the two hours; nothing: the hours count',
    ),
    off_peak_minutes: numberOrNothing(
      1,
      MAX_OFF_PEAK_MINUTES,
      'minutes',
      'How long the off-peak time lasts that off_peak_cron begins',
    ),
    timezone: timezone("The time zone of these times; nothing: the host's"),
    ...channelKeys(),
    ...messageKeys(),
    ...metricsKeys(),
    ...fileKeys(),
  });

const tierSection = () =>
  z.strictObject({
    lxc_containers: containers('The containers of this tier'),
    ...containerKeys(),
  });

/** How a member is looked after from its making to its end. */
const memberCareKeys = () => ({
  health_check: oneOf(
    ['none', 'tcp', 'http'],
    'How a member is asked whether it does its service: not at all, whether a TCP port answers, ' +
      'or whether a page is served',
  ),
  health_port: wholeNumber(1, 65_535, '', 'The port that is asked'),
  health_path: text(
    /^\/[!-~]*$/,
    'is not a path',
    { does: 'The page that is asked for' },
    'a path that begins with / and has no blanks',
  ),
  healthy_count: wholeNumber(1, 100, '', 'After so many good answers in a row a member is healthy'),
  unhealthy_count: wholeNumber(
    1,
    100,
    '',
    'After so many bad answers in a row a member is unhealthy and is replaced',
  ),
  ready_timeout: wholeNumber(
    1,
    MAX_SECONDS,
    'seconds',
    'How long a new member may take until it is healthy',
  ),
  clone_timeout: wholeNumber(1, MAX_SECONDS, 'seconds', 'How long a clone may take to be made'),
  hook_timeout: wholeNumber(
    1,
    MAX_SECONDS,
    'seconds',
    'How long on_ready and on_terminating may take',
  ),
});

const memberNetworkKeys = () => ({
  clone_network_type: oneOf(['dhcp', 'static'], 'How a clone gets its address'),
  static_ip_range: addresses('The addresses for clones'),
  bridge: text(
    /^(?:[A-Za-z][A-Za-z0-9_.-]{0,14})?$/,
    'is not the name of a bridge',
    { does: 'The bridge of the clones; nothing: as the source has it' },
    'a name such as vmbr0, or nothing',
  ),
  gateway: gateway('The gateway of the clones; nothing: as the source has it'),
});

const groupSection = () =>
  z.strictObject({
    lxc_containers: containerIds('The containers that the group begins with'),
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
    ...memberNetworkKeys(),
    start_order: wholeNumber(
      0,
      10_000,
      '',
      'The place of the clones in the start order of the host',
    ),
    horiz_cpu_upper_threshold: percent(0, 100, 'Above this mean CPU usage a member is added'),
    horiz_memory_upper_threshold: percent(0, 100, 'Above this mean memory usage a member is added'),
    horiz_cpu_lower_threshold: percent(0, 100, 'Below this mean CPU usage a member is taken away'),
    horiz_memory_lower_threshold: percent(
      0,
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
    ...memberCareKeys(),
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
  /** The place in a list or the key of a mapping; undefined: it concerns the value as a whole. */
  readonly item: number | string | undefined;
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
      item: typeof item === 'symbol' ? undefined : item,
      part: typeof part === 'string' ? part : undefined,
      why: issue.message,
    };
    // One value can break several rules; the first says enough.
    const said = faults.some((other) => other.item === fault.item && other.part === fault.part);
    if (fault.part !== undefined || !said) faults.push(fault);
  }
  return { ok: false, faults };
}
