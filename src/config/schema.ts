// The part of zod without its chained methods: 29 KB of the bundle where all of zod is 146 KB, and
// 0.4 MB of private memory where it is 3.4 MB.
import * as z from 'zod/mini';
import { parseListenAddress } from '../core/listen-address.ts';
import { LOG_COMPONENTS, type LogComponent } from '../core/log-line.ts';
import { NODE_NAME } from '../core/node-name.ts';
import { MESSAGE_CHANNELS, type MessageChannel } from '../core/notify/event.ts';
import { parseSyslogAddress } from '../core/syslog-address.ts';
import type { Vmid } from '../core/units.ts';
import { cronFault } from './cron.ts';
import { HTTP_TOKEN_KEYS, type HttpToken, readHosts, readHttpToken } from './http-values.ts';
import { scopeOf } from './node-scope.ts';
import {
  CHANNEL_NAMES,
  jsonFault,
  type PartRead,
  type PerChannel,
  readMailAddresses,
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
 * What an entry of the configuration is made of: kinds of values, and how one is checked. Values
 * arrive as YAML gave them, all scalars as text (or null, or a list).
 */

export interface KeyInfo {
  /** What the key does, for an admin; one sentence without its full stop. */
  readonly does: string;
  /** What may stand there; completes "allowed: ...". */
  readonly allowed: string;
  /** The words that are allowed, where they are few. */
  readonly words?: readonly string[];
  /** Other words for them that are not taken, since they leave open what is meant. */
  readonly meant?: Readonly<Record<string, string>>;
  /** Which of them a misspelt one most likely stood for, where they are many. */
  readonly near?: (word: string) => readonly string[];
  /** The keys that a mapping may have which stands in place of a single value. */
  readonly parts?: readonly string[];
  /** The keys of each mapping in a list, and which of them must never be shown. */
  readonly rows?: Readonly<Record<string, 'plain' | 'secret'>>;
  /** The units that may stand behind the number in place of its own. */
  readonly units?: string | undefined;
  /** The value must never be shown; with 'perhaps' it may stand in a file that all may read. */
  readonly secret?: true | 'perhaps';
}

type Info = Omit<KeyInfo, 'allowed'>;

/** A key: what its values are, what it is for, and what holds where it is left out. */
export interface Entry<T = unknown, D = unknown> {
  readonly info: KeyInfo;
  /** undefined: nothing holds, or what lies below. */
  readonly usual: D;
  /** Made when a value is checked: those of all keys would take 10 ms and 0.3 MB. */
  readonly schema: () => z.ZodMiniType<T>;
}

interface WithoutDefault<T> extends Entry<T, undefined> {
  /** The same entry with a default. */
  usually<const D extends T>(usual: D): Entry<T, D>;
}

function described<T>(schema: () => z.ZodMiniType<T>, info: KeyInfo): WithoutDefault<T> {
  return { info, schema, usual: undefined, usually: (usual) => ({ info, schema, usual }) };
}

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

export function wholeNumber(min: number, max: number, unit: Unit, does: string) {
  const allowed = numbersFrom(min, max, unit);
  const units = unitsOf(unit);
  return described(() => z.pipe(readNumber(unit), wholeBetween(min, max)), {
    does,
    allowed,
    units,
  });
}

/** A number for growing and one for shrinking; undefined: left out, so what lies below holds. */
export interface UpAndDown<T = number | undefined> {
  readonly up: T;
  readonly down: T;
}

const UP_AND_DOWN = ['up', 'down'] as const;

/** One number for both, or a mapping with a number for each, which arrives as a Map. */
export function upAndDown(min: number, max: number, unit: Unit, example: string, does: string) {
  const number = () => wholeBetween(min, max);
  const read = () =>
    z.transform((raw: unknown, { issues }): UpAndDown => {
      const given = raw instanceof Map ? raw : new Map([['', raw]]);
      const found = new Map<unknown, number>();
      for (const [key, value] of given) {
        const result = number().safeParse(toAmount(value, unit));
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

export function percent(min: number, max: number, does: string) {
  const allowed = `a number from ${min} to ${max}, in percent`;
  const read = () => readNumber('percent');
  const units = unitsOf('percent');
  return described(() => z.pipe(read(), numberBetween(min, max)), { does, allowed, units });
}

/** Whether no digit of the number stands beyond so many after the point. */
const hasDecimals = (value: number, most: number): boolean => Number(value.toFixed(most)) === value;

/** How many times as much: more than 1. */
export function factor(max: number, does: string) {
  const value = () =>
    z.number('is not a number').check(z.gt(1, 'is too low'), z.lte(max, 'is too high'));
  const allowed = `a number above 1, up to ${max}`;
  return described(() => z.pipe(readNumber(), value()), { does, allowed });
}

/** A share, which may be written in percent: a number above 1 is. */
export function share(does: string) {
  const read = () =>
    z.transform((raw: unknown) => {
      const value = toAmount(raw, 'percent');
      const isPercent = typeof raw === 'string' && raw.includes('%');
      return typeof value === 'number' && (isPercent || value > 1) ? value / 100 : value;
    });
  const allowed = 'a share from 0.5 to 1, or a number from 50 to 100 for percent';
  const units = unitsOf('percent');
  return described(() => z.pipe(read(), numberBetween(0.5, 1)), { does, allowed, units });
}

export function yesOrNo(does: string) {
  const value = () => z.boolean('is neither true nor false');
  return described(() => z.pipe(z.transform(toBoolean), value()), {
    does,
    allowed: 'true or false',
  });
}

const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

export function oneOf<const W extends readonly [string, ...string[]]>(
  words: W,
  does: string,
  secondNames: Readonly<Record<string, string>> = {},
  meant: Readonly<Record<string, string>> = {},
) {
  const value = () => z.enum(words, 'is not known');
  const read = () => z.transform((raw: unknown) => toWord(raw, secondNames));
  const allowed = listed(words);
  return described(() => z.pipe(read(), value()), { does, allowed, words, meant });
}

/** One of so many words that a message shows only those that are near. */
export function oneOfMany<const W extends readonly [string, ...string[]]>(
  words: W,
  does: string,
  allowed: string,
  near: (word: string) => readonly string[],
) {
  const value = () => z.enum(words, 'is not known');
  const read = () => z.transform((raw: unknown) => toWord(raw));
  return described(() => z.pipe(read(), value()), { does, allowed, words, near });
}

type Level = (typeof LOG_LEVELS)[number];

/** One level for all components, or one for each that is named, and for the others at `default`. */
export type Levels = Level | ReadonlyMap<LogComponent | 'default', Level>;

const LEVEL_NAMES = { warn: 'warning' };

export function logLevels(does: string) {
  const level = () => z.enum(LOG_LEVELS, 'is not known');
  const components = ['default', ...LOG_COMPONENTS] as const;
  const read = () =>
    z.transform((raw: unknown, { issues }): Levels => {
      const given = raw instanceof Map ? raw : new Map([['', raw]]);
      const found = new Map<LogComponent | 'default', Level>();
      for (const [key, value] of given) {
        const result = level().safeParse(toWord(value, LEVEL_NAMES));
        const component = components.find((name) => name === key) ?? 'default';
        const path = key === '' ? [] : [key];
        if (result.success) found.set(component, result.data);
        else issues.push({ code: 'custom', input: raw, path, message: 'is not known' });
      }
      return raw instanceof Map ? found : (found.get('default') ?? 'info');
    });
  const allowed = `${listed(LOG_LEVELS)}, or one for each as in {default: info, groups: debug}`;
  return described(read, { does, allowed, words: LOG_LEVELS, parts: components });
}

const FITS_ONE_LINE = /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/;
const oneLine = () => z.regex(FITS_ONE_LINE, 'holds a line break or another control character');

const plainPath = () =>
  z.string('is not a path').check(
    oneLine(),
    z.regex(/^\/+[^/]/, 'is not an absolute path'),
    z.maxLength(1024, 'is too long'),
    z.refine((path: string) => !/(?:^|\/)\.\.?(?:\/|$)/.test(path), 'leads through . or ..'),
  );

export function absolutePath(kind: 'file' | 'directory', does: string) {
  const value = () =>
    plainPath().check(
      z.refine((path) => kind === 'directory' || !path.endsWith('/'), 'is a directory'),
    );
  const allowed = `the absolute path of a ${kind}`;
  return described(value, { does, allowed });
}

const MAX_TEXT_CHARS = 4096;

/** One line of text in the given form; an empty value is an empty text. */
export function text(form: RegExp, wrong: string, info: Info, allowed: string) {
  const read = () => z.transform((raw: unknown) => (raw === null ? '' : raw));
  const value = () =>
    z
      .string('is not a text')
      .check(z.maxLength(MAX_TEXT_CHARS, 'is too long'), oneLine(), z.regex(form, wrong));
  return described(() => z.pipe(read(), value()), { ...info, allowed });
}

/** Passes the parts on that a reader could not use. */
function refuse(bad: readonly BadPart[], raw: unknown, issues: z.core.$ZodRawIssue[]): void {
  for (const { item, part, why } of bad) {
    const path = item === undefined ? [] : [item];
    issues.push({ code: 'custom', input: raw, path, message: why, params: { part } });
  }
}

export function containerIds(does: string) {
  const read = () =>
    z.transform((raw: unknown, context) => {
      const { members, bad } = readMembers(raw, false);
      refuse(bad, raw, context.issues);
      return members;
    });
  return described(read, { does, allowed: IDS_AND_RANGES });
}

/** Containers by id, by name or by tag. */
export function containers(does: string) {
  const read = () =>
    z.transform((raw: unknown, context) => {
      const { members, bad } = readMembers(raw, true);
      refuse(bad, raw, context.issues);
      return members;
    });
  return described(read, { does, allowed: CONTAINERS });
}

export function vmid(does: string) {
  const read = () =>
    z.transform((raw: unknown, context) => {
      const id = readVmid(raw);
      if (id !== undefined) return id;
      context.issues.push({ code: 'custom', input: raw, message: 'is not a container id' });
      return z.NEVER;
    });
  return described(read, { does, allowed: 'one container id from 100 to 999999999' });
}

/** One guest, and the node that it is on if that is said. */
export interface GuestOnNode {
  readonly vmid: Vmid;
  /** In lower case. */
  readonly node: string | undefined;
}

export function vmidOnNode(does: string) {
  const read = () =>
    z.transform((raw: unknown, context): GuestOnNode => {
      const { node, rest } = scopeOf(typeof raw === 'string' ? raw.trim() : '');
      const id = readVmid(rest);
      if (id !== undefined && (node === undefined || NODE_NAME.test(node))) {
        return { vmid: id, node };
      }
      context.issues.push({ code: 'custom', input: raw, message: 'is not a container id' });
      return z.NEVER;
    });
  const allowed = 'one container id from 100 to 999999999, or node/id';
  return described(read, { does, allowed });
}

/** Larger than any host has, so that a slip of the finger is caught and no machine is. */
const MAX_CORES = 8192;

export const LOG_LEVELS = ['debug', 'info', 'warning', 'error'] as const;

/** Whether fractions are right where they stand depends on `cpu_unit`: see relations.ts. */
export function cores(does: string) {
  const value = () =>
    z.number('is not a number').check(
      z.gt(0, 'is too low'),
      z.lte(MAX_CORES, 'is too high'),
      z.refine((number) => hasDecimals(number, 1), 'has more than one digit after the point'),
    );
  const whole = numbersFrom(1, MAX_CORES, '');
  const allowed = `${whole}, or in tenths from 0.1 where cpu_unit is cpulimit`;
  return described(() => z.pipe(readNumber(), value()), { does, allowed });
}

/** The memory promised over the memory there is. */
export function overcommitRatio(min: number, max: number, does: string) {
  const decimals = 'has more than two digits after the point';
  const value = () =>
    numberBetween(min, max).check(z.refine((ratio) => hasDecimals(ratio, 2), decimals));
  const allowed = `a number from ${min} to ${max} with up to two digits after the point`;
  return described(() => z.pipe(readNumber(), value()), { does, allowed });
}

export function cronOrNothing(does: string) {
  const read = () =>
    z.transform((raw: unknown, { issues }): string | undefined => {
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

export function listenOrNothing(does: string) {
  const read = () =>
    z.transform((raw: unknown, { issues }) => {
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

export function syslogOrNothing(does: string) {
  const read = () =>
    z.transform((raw: unknown, { issues }) => {
      if (isBlank(raw)) return undefined;
      const address = typeof raw === 'string' ? parseSyslogAddress(raw) : undefined;
      if (address === undefined) {
        issues.push({
          code: 'custom',
          input: raw,
          message: 'is not the address of a syslog server',
        });
      }
      return address;
    });
  const allowed = 'an address such as udp://log.lan:514 or tcp://[fd00::5]:514, or nothing';
  return described(read, { does, allowed });
}

export function textfileOrNothing(does: string) {
  const read = () => z.transform((raw: unknown) => (isBlank(raw) ? undefined : raw));
  const value = () =>
    plainPath().check(z.refine((path) => /[^/]\.prom$/.test(path), 'does not end in .prom'));
  const allowed = 'the absolute path of a file that ends in .prom, or nothing';
  return described(() => z.pipe(read(), z.optional(value())), { does, allowed });
}

/** Some of a few words, at least one: as a list, or separated by commas. */
export function someOf<const W extends readonly string[]>(words: W, does: string) {
  const read = () =>
    z.transform((raw: unknown, { issues }): readonly W[number][] => {
      const items = Array.isArray(raw) ? raw : typeof raw === 'string' ? raw.split(',') : [raw];
      const found = new Set<W[number]>();
      for (const [index, item] of items.entries()) {
        const word = words.find((one) => one === toWord(item));
        if (word !== undefined) found.add(word);
        else {
          const path = Array.isArray(raw) ? [index] : [];
          issues.push({ code: 'custom', input: raw, path, message: 'is not known' });
        }
      }
      if (items.length === 0) issues.push({ code: 'custom', input: raw, message: 'is empty' });
      return [...found];
    });
  const allowed = `one or more of ${words.join(', ')}, ${SEVERAL}`;
  return described(read, { does, allowed, words });
}

/** A number that may be left empty, which gives undefined. */
export function numberOrNothing(min: number, max: number, unit: Unit, does: string) {
  const read = () =>
    z.transform((raw: unknown) => (isBlank(raw) ? undefined : toAmount(raw, unit)));
  const allowed = `${numbersFrom(min, max, unit)}, or nothing`;
  const value = () => z.pipe(read(), z.optional(wholeBetween(min, max)));
  return described(value, { does, allowed, units: unitsOf(unit) });
}

/** A bound as a share of what an administrator gave a guest: 1 is `configured`. */
export interface ShareOfGiven {
  readonly ofGiven: number;
}

export const isShareOfGiven = (value: unknown): value is ShareOfGiven =>
  typeof value === 'object' && value !== null && 'ofGiven' in value;

const LEAST_SHARE = 10;
const LARGEST_SHARE = 1000;

/** The values of an entry, or `configured`, or a percentage of that. */
export function orShareOfGiven<T>({ info, schema }: Entry<T>) {
  const read = () =>
    z.transform((raw: unknown, { issues }): T | ShareOfGiven => {
      const word = toWord(raw);
      if (word === 'configured') return { ofGiven: 1 };
      const [, percent] =
        /^([0-9]{1,4}(?:\.[0-9])?) *%$/.exec(typeof raw === 'string' ? raw.trim() : '') ?? [];
      const isFit = Number(percent) >= LEAST_SHARE && Number(percent) <= LARGEST_SHARE;
      if (isFit) return { ofGiven: Number(percent) / 100 };
      const result = z.safeParse(schema(), raw);
      if (result.success) return result.data;
      for (const { message } of result.error.issues) {
        issues.push({ code: 'custom', input: raw, message });
      }
      return z.NEVER;
    });
  const share = '; or configured (what you gave it), or a share of that such as 150 %';
  const allowed = info.allowed.replace(/(, or nothing)?$/, (end) => `${share}${end}`);
  return described(read, { ...info, allowed });
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

export function timezone(does: string) {
  const read = () => z.transform((raw: unknown) => (isBlank(raw) ? undefined : raw));
  const wrong = 'is no time zone that this host knows';
  const value = () => z.string(wrong).check(z.refine(isTimezone, wrong));
  const allowed = 'a name such as Europe/Rome or UTC, or nothing';
  return described(() => z.pipe(read(), z.optional(value())), { does, allowed });
}

/** A command as a list of its arguments. It is run without a shell, so nothing is split. */
export function command(does: string) {
  const read = () => z.transform((raw: unknown) => (isBlank(raw) ? [] : raw));
  const words = () =>
    z
      .array(z.string('is not an argument').check(oneLine()), 'is not a list of arguments')
      .check(z.maxLength(64, 'has too many arguments'));
  const value = () =>
    words().check(
      z.refine((list) => list[0]?.startsWith('/') ?? true, 'does not begin with an absolute path'),
    );
  const allowed = 'a list: the absolute path of a program, then its arguments';
  return described(() => z.pipe(read(), value()), { does, allowed });
}

export function addresses(does: string) {
  const read = () =>
    z.transform((raw: unknown, context) => {
      const found = readAddresses(raw);
      refuse(found.bad, raw, context.issues);
      return found.addresses;
    });
  const allowed =
    'a pair of IPv4 addresses (from, to), a list of them, or one network such as 192.168.1.0/24';
  return described(read, { does, allowed });
}

export function gateway(does: string) {
  const read = () => z.transform((raw: unknown) => (raw === null ? '' : raw));
  const value = () =>
    z
      .string('is not a text')
      .check(z.regex(ADDRESS_OR_NOTHING, 'is not an IPv4 address'))
      .check(z.refine((text) => text === '' || canBeGateway(text), 'is no address of a router'));
  return described(() => z.pipe(read(), value()), { does, allowed: 'an IPv4 address, or nothing' });
}

const SEVERAL = 'as a list or separated by commas';
const CONTAINERS =
  'ids (100 to 999999999), ranges such as 120-139, names such as web or web-*, ' +
  `tags such as tag:web, on one node as in pve1/101, ${SEVERAL}`;
const IDS_AND_RANGES = `container ids (100 to 999999999) and ranges such as 120-139, ${SEVERAL}`;

export const webAddress = (does: string) =>
  text(
    /^(?:https?:\/\/[^\s/]\S*)?$/,
    'is not a web address',
    { does, secret: true },
    'an address that begins with http:// or https://, or nothing',
  );

export const fileOrNothing = (does: string) =>
  text(
    /^(?:\/+[^/]\S*)?$/,
    'is not an absolute path',
    { does },
    'the absolute path of a file, or nothing',
  ).usually('');

export const token = (does: string) =>
  text(
    /^[!-~]*$/,
    'holds a blank or another character that no token has',
    { does, secret: true },
    'the token on one line without blanks',
  );

/** One value for all channels, or a mapping with one for each that is named. */
export function perChannel<T>(
  readOne: (raw: unknown) => PartRead<T>,
  allowed: string,
  example: string,
  does: string,
  near: (word: string) => readonly string[] = () => [],
) {
  const read = () =>
    z.transform((raw: unknown, { issues }): PerChannel<T> => {
      const given = raw instanceof Map ? raw : new Map([['', raw]]);
      const found = new Map<MessageChannel | '', T>();
      for (const [key, value] of given) {
        const name = MESSAGE_CHANNELS.find((channel) => channel === key) ?? '';
        const one = readOne(value);
        if (one.value !== undefined) found.set(name, one.value);
        else {
          const path = key === '' ? [] : [key];
          const params = { part: one.part };
          issues.push({ code: 'custom', input: raw, path, message: one.why, params });
        }
      }
      return found;
    });
  const each = `${allowed}; or one for each channel as in ${example}`;
  return described(read, { does, allowed: each, parts: CHANNEL_NAMES, near });
}

export function mailAddresses(does: string) {
  const read = () =>
    z.transform((raw: unknown, { issues }): readonly string[] => {
      const { value, why } = readMailAddresses(raw);
      if (value === undefined) issues.push({ code: 'custom', input: raw, message: why });
      return value ?? [];
    });
  const allowed = `mail addresses such as admin@example.org, ${SEVERAL}, or nothing`;
  return described(read, { does, allowed });
}

export function httpTokens(does: string) {
  const read = () =>
    z.transform((raw: unknown, { issues }): readonly HttpToken[] => {
      const tokens: HttpToken[] = [];
      const refuse = (message: string, path: readonly number[] = []): void => {
        issues.push({ code: 'custom', input: raw, path: [...path], message });
      };
      if (!Array.isArray(raw)) {
        if (!isBlank(raw)) refuse('is no list of tokens');
        return tokens;
      }
      for (const [index, one] of raw.entries()) {
        const token = readHttpToken(one);
        if (typeof token === 'string') refuse(token, [index]);
        else if (tokens.some(({ name }) => name === token.name)) {
          refuse('has the name of another entry', [index]);
        } else tokens.push(token);
      }
      return tokens;
    });
  const allowed =
    'a list such as [{name: me, token_file: /etc/lxc_autoscale/me.token, role: read}]; ' +
    'role is read, scale or admin; token, in place of token_file, has 16 to 256 characters ' +
    'without blanks; or nothing';
  return described(read, { does, allowed, rows: HTTP_TOKEN_KEYS });
}

export function hostNames(does: string) {
  const read = () =>
    z.transform((raw: unknown, { issues }): readonly string[] => {
      const names = readHosts(raw);
      if (names === undefined) {
        issues.push({ code: 'custom', input: raw, message: 'holds what is no name of a host' });
      }
      return names ?? [];
    });
  const allowed = 'names such as [pve.example.org, pve.lan], or nothing';
  return described(read, { does, allowed });
}

export function jsonTemplate(does: string) {
  const value = () =>
    z.string('is not a text').check(
      z.maxLength(8192, 'is too long'),
      z.refine((json) => jsonFault(json) !== 'is no JSON', 'is no JSON'),
      z.refine((json) => jsonFault(json) === undefined, 'has a word in {{ }} that is not known'),
    );
  const read = () => z.transform((raw: unknown) => (isBlank(raw) ? '' : raw));
  const allowed =
    'JSON with {{title}}, {{message}}, {{severity}}, {{host}} and {{time}} in its texts, such as ' +
    '\'{"text": "{{title}}"}\', or nothing';
  return described(() => z.pipe(read(), value()), { does, allowed, secret: 'perhaps' });
}

/** The value of one key, or what is wrong with it. */
export type Checked =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly faults: readonly Fault[] };

export interface Fault {
  /** The place in a list or the key of a mapping; undefined: it concerns the value as a whole. */
  readonly item: number | string | undefined;
  /** The part of the value that is at fault, if it is not all of it. */
  readonly part: string | undefined;
  /** Completes "`value` ...". */
  readonly why: string;
}

/** Checks one value of a key. */
export function check({ schema }: Entry, raw: unknown): Checked {
  const result = schema().safeParse(raw);
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
