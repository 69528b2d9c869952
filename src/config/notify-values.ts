import {
  EVENT_KINDS,
  type EventKind,
  MESSAGE_CHANNELS,
  type MessageChannel,
  SEVERITIES,
  type Severity,
} from '../core/notify/event.ts';
import { isBlank } from './read-values.ts';

/** What the values of the keys on messages mean. Total: what makes no sense is handed back. */

/** What a message is to the matchers of Proxmox VE. */
export const PROXMOX_TYPES = ['system-mail', 'lxc-autoscale'] as const;

/** One value for all channels (at ''), or one for each channel that is named. */
export type PerChannel<T> = ReadonlyMap<MessageChannel | '', T>;

export interface PartRead<T> {
  readonly value: T | undefined;
  /** What is wrong with it, if there is no value. */
  readonly why: string;
  /** The part of it that is at fault, if it is not all of it. */
  readonly part?: string | undefined;
}

export interface HoursOfDay {
  /** 0 to 23. */
  readonly from: number;
  readonly to: number;
}

const wordsOf = (raw: unknown): readonly unknown[] => {
  if (Array.isArray(raw)) return raw;
  return typeof raw === 'string' ? raw.split(',') : [raw];
};

const known = <T extends string>(words: readonly T[], raw: unknown): T | undefined =>
  words.find((word) => typeof raw === 'string' && word === raw.trim().toLowerCase());

/** `all`, `none`, or some of the kinds of events as a list or separated by commas. */
export function readEvents(raw: unknown): PartRead<readonly EventKind[]> {
  const word = typeof raw === 'string' ? raw.trim().toLowerCase() : undefined;
  if (word === 'all') return { value: EVENT_KINDS, why: '' };
  if (word === 'none' || (Array.isArray(raw) && raw.length === 0)) return { value: [], why: '' };
  const parts = wordsOf(raw);
  const value = parts.flatMap((one) => known(EVENT_KINDS, one) ?? []);
  if (value.length === parts.length) return { value, why: '' };
  const bad = parts.find((one) => known(EVENT_KINDS, one) === undefined);
  const part = typeof bad === 'string' ? bad.trim() : undefined;
  return { value: undefined, why: 'is no event', part };
}

export const readSeverity = (raw: unknown): PartRead<Severity> => ({
  value: known(SEVERITIES, raw),
  why: 'is not known',
});

const HOURS = /^[ \t]*([0-9]{1,2})(?::00)? *- *([0-9]{1,2})(?::00)?[ \t]*$/;

/** `22-7`; null: no quiet hours. */
export function readHours(raw: unknown): PartRead<HoursOfDay | null> {
  if (isBlank(raw)) return { value: null, why: '' };
  const parts = typeof raw === 'string' ? HOURS.exec(raw) : null;
  if (parts === null) return { value: undefined, why: 'is not two hours of the day' };
  const [from, to] = [Number(parts[1]), Number(parts[2]) % 24];
  if (from > 23 || Number(parts[2]) > 24) {
    return { value: undefined, why: 'has an hour beyond 23' };
  }
  if (from === to) return { value: undefined, why: 'begins and ends at the same hour' };
  return { value: { from, to }, why: '' };
}

/** Addresses as a list or separated by commas. */
export function readMailAddresses(raw: unknown): PartRead<readonly string[]> {
  if (isBlank(raw)) return { value: [], why: '' };
  const addresses = wordsOf(raw).map((one) => (typeof one === 'string' ? one.trim() : ''));
  const isGood = addresses.every((address) => MAIL_ADDRESS.test(address));
  return { value: isGood ? addresses : undefined, why: 'holds what is no mail address' };
}

/** ASCII, since not every server takes more. */
export const MAIL_ADDRESS = /^[!#-'*+\-/-9=?A-Z^-~.]{1,64}@[A-Za-z0-9.[\]:-]{1,255}$/;

/** What is wrong with the JSON of a webhook's body; undefined if nothing is. */
export function jsonFault(text: string): string | undefined {
  if (text === '') return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return 'is no JSON';
  }
  const unknown = [...JSON.stringify(parsed).matchAll(/\{\{([^}]*)\}\}/g)]
    .map(([, name = '']) => name.replace(/^ +/, '').trimEnd())
    .filter((name) => !PLACEHOLDERS.includes(name));
  return unknown.length > 0 ? 'has a word in {{ }} that is not known' : undefined;
}

export const PLACEHOLDERS = ['host', 'title', 'message', 'severity', 'time'];

export const forChannel = <T>(values: PerChannel<T>, channel: MessageChannel): T | undefined =>
  values.get(channel) ?? values.get('');

/** The names that a mapping in place of a value may have. */
export const CHANNEL_NAMES: readonly string[] = MESSAGE_CHANNELS;

export const WEEKDAYS = [
  'monday',
  'tuesday',
  'wednesday',
  'thursday',
  'friday',
  'saturday',
  'sunday',
] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** `mon` for `monday`. */
export const SHORT_DAYS = Object.fromEntries(WEEKDAYS.map((day) => [day.slice(0, 3), day]));
