import { isLoopback, showAddress } from '../core/listen-address.ts';
import { NODE_NAME } from '../core/node-name.ts';
import type { EffectiveValues } from './defaults.ts';
import { checkGroupNode, nodesNamedBy } from './group-node.ts';
import type { DefaultValues, GroupValues, NodeValues, TierValues } from './keys.ts';
import { isFar } from './nodes.ts';
import { checkNotify } from './notify.ts';
import { presetOf } from './presets.ts';
import { quoted } from './printable.ts';
import type { ReadMembers, VmidRange } from './read-values.ts';
import { isShareOfGiven } from './schema.ts';
import type { Given, Reader, Section } from './sections.ts';
import { report } from './sections.ts';
import { closest } from './suggest.ts';
import { groupLabel, groupTag } from './tags.ts';

/** What must hold between keys, each of which is right by itself. */

/** The first may not be more than the second; with `strictly`, not equal to it either. */
interface Order {
  readonly low: string;
  readonly high: string;
  readonly strictly: boolean;
}

const order = (low: string, high: string, strictly = false): Order => ({ low, high, strictly });

export const CONTAINER_ORDERS: readonly Order[] = [
  order('cpu_lower_threshold', 'cpu_upper_threshold', true),
  order('memory_lower_threshold', 'memory_upper_threshold', true),
  order('core_min_increment', 'core_max_increment'),
  order('boost_fallback_factor', 'boost_factor'),
  order('min_cores', 'max_cores'),
  order('min_memory', 'max_memory'),
];

export const GROUP_ORDERS: readonly Order[] = [
  order('min_instances', 'max_instances'),
  order('horiz_cpu_lower_threshold', 'horiz_cpu_upper_threshold', true),
  order('horiz_memory_lower_threshold', 'horiz_memory_upper_threshold', true),
];

type AnySection = Section<Readonly<Record<string, unknown>>>;

/**
 * Checks the orders on a section as it is in force: its own values over those of its preset and of
 * the section below it, over the built-in ones. Reported where one of the two keys is the section's
 * own, or of its preset.
 */
export function checkOrders(
  orders: readonly Order[],
  own: AnySection,
  below: AnySection | undefined,
  builtIn: object,
  reader: Reader,
  preset?: AnySection,
): void {
  const sides = new Sides([own, preset, below].filter(isThere), builtIn);
  for (const { low, high, strictly } of orders) {
    const [less, more] = [sides.of(low), sides.of(high)];
    if (less === undefined || more === undefined || less.isShare !== more.isShare) continue;
    if (strictly ? less.value < more.value : less.value <= more.value) continue;
    const isOf = (section: AnySection | undefined) => (key: string) => section?.given.has(key);
    const key = [low, high].find(isOf(own)) ?? [low, high].find(isOf(preset));
    if (key === undefined) continue;
    const [side, other, otherKey] = key === low ? [less, more, high] : [more, less, low];
    const must = mustBe(key === low ? 'below' : 'above', strictly);
    const relation = `${side.written} must be ${must} ${otherKey}, which is ${other.shown}`;
    const remedy = own.given.has(key) ? 'change one of the two' : 'set one of the two in this tier';
    report(reader, side.line, key, `${relation}; ${remedy}${unitWords(key, side)}`);
  }
}

/** `0.8` of a threshold in percent, or 32 as memory, is most likely meant in another unit. */
function unitWords(key: string, { value, written }: Side): string {
  if (key.endsWith('_threshold') && value > 0 && value < 1) {
    return `, or write ${Number((value * 100).toFixed(6))} if that share is meant`;
  }
  return key.endsWith('_memory') && seemsGigabytes(value, written)
    ? `, or write ${value}G if gigabytes are meant`
    : '';
}

/** So few MiB, without a unit, that gigabytes were most likely meant. */
export const seemsGigabytes = (value: number, written: string): boolean =>
  value > 0 && value <= MOST_GIGABYTES && /^[0-9]+$/.test(written);

const MOST_GIGABYTES = 64;

function mustBe(where: 'above' | 'below', strictly: boolean): string {
  if (where === 'above') return strictly ? 'more than' : 'at least';
  return strictly ? 'less than' : 'at most';
}

interface Side {
  readonly value: number;
  /** Of what a guest was given; it compares with another share only. */
  readonly isShare: boolean;
  /** The value and where it comes from. */
  readonly shown: string;
  /** The same, without a place if it is the section's own. */
  readonly written: string;
  /** undefined: it stands nowhere. */
  readonly line: number | undefined;
}

class Sides {
  constructor(
    /** What stands in the first counts before the others. */
    private readonly layers: readonly AnySection[],
    private readonly builtIn: object,
  ) {}

  /** undefined if there is no number to compare: none set, or one that is not valid. */
  of(key: string): Side | undefined {
    for (const section of this.layers) {
      const given = section.given.get(key);
      if (given === undefined) continue;
      const stands = section.values[key];
      const isShare = isShareOfGiven(stands);
      const value = isShare ? stands.ofGiven : stands;
      if (typeof value !== 'number') return undefined;
      const { line, shown } = given;
      const isOwn = section === this.layers[0];
      const placed = `${shown} (${isOwn ? '' : `${section.name}, `}line ${line})`;
      return { value, isShare, shown: placed, written: isOwn ? shown : placed, line };
    }
    const value: unknown = Object.entries(this.builtIn).find(([name]) => name === key)?.[1];
    if (typeof value !== 'number') return undefined;
    const shown = `${value} by default`;
    return { value, isShare: false, shown, written: shown, line: undefined };
  }
}

const isThere = <T>(one: T | undefined): one is T => one !== undefined;

/** What the preset of a tier says, as if it stood on the line that names it. */
export function presetSection({ values, given }: Section<TierValues>): AnySection | undefined {
  const place = given.get('preset');
  if (values.preset === undefined || place === undefined) return undefined;
  const said = Object.entries(presetOf(values.preset).values);
  return {
    name: `preset ${values.preset}`,
    line: place.line,
    values: Object.fromEntries(said),
    given: new Map(said.map(([key, value]) => [key, { ...place, shown: `${value}` }])),
  };
}

const IN_CORES = ['min_cores', 'max_cores', 'core_min_increment', 'core_max_increment'] as const;

/** A share of what was given is rounded where it is a number. */
const isWhole = (value: unknown): boolean => typeof value !== 'number' || Number.isInteger(value);

/**
 * Fractions of a core are for `cpu_unit: cpulimit` only. Reported where the fraction is the
 * section's own, or where the unit is that makes one of `DEFAULT` wrong.
 */
export function checkCoreUnit(
  own: Section<TierValues> | Section<DefaultValues>,
  below: Section<DefaultValues> | undefined,
  reader: Reader,
): void {
  const unit = own.given.get('cpu_unit');
  const inForce = unit === undefined ? below?.values.cpu_unit : own.values.cpu_unit;
  const isUnknown = (unit ?? below?.given.get('cpu_unit')) !== undefined && inForce === undefined;
  if (inForce === 'cpulimit' || isUnknown) return;
  for (const key of IN_CORES) {
    const given = own.given.get(key);
    if (given !== undefined) {
      if (isWhole(own.values[key])) continue;
      const message = `${given.shown} is a fraction of a core, which only cpu_unit: cpulimit takes`;
      report(reader, given.line, key, `${message}; set that, or write a whole number`);
      continue;
    }
    const lower = below?.given.get(key);
    if (unit === undefined || lower === undefined) continue;
    if (isWhole(below?.values[key])) continue;
    const place = `${lower.shown} (${below?.name}, line ${lower.line})`;
    const message = `cores takes whole numbers, and ${key} is ${place}`;
    report(reader, unit.line, 'cpu_unit', `${message}; set ${key} here too`);
  }
}

/** The rules of `DEFAULT` that concern the whole program. `values` is what is in force. */
export function checkProgram(
  section: Section<DefaultValues>,
  values: EffectiveValues<DefaultValues>,
  jsonLogFile: string,
  reader: Reader,
): void {
  const at = (key: string) => section.given.get(key);
  checkOffPeak(section, values, reader);
  checkNotify(section, values, reader);
  const isTokenWrong =
    at('metrics_token') !== undefined && section.values.metrics_token === undefined;
  if (!isTokenWrong) checkListener(at('metrics_listen'), values, reader);
  checkHttp(section, values, reader);
  checkPaths(at, values, jsonLogFile, reader);
}

/** What others can reach is only for those who know the token. */
function checkListener(
  given: Given | undefined,
  { metrics_listen, metrics_token }: EffectiveValues<DefaultValues>,
  reader: Reader,
): void {
  if (given === undefined || metrics_listen === undefined) return;
  if (isLoopback(metrics_listen.host) || metrics_token !== '') return;
  const message =
    `${given.shown} can be reached from other machines, so it needs metrics_token too; ` +
    `set it, or listen on 127.0.0.1:${metrics_listen.port}`;
  report(reader, given.line, 'metrics_listen', message);
}

/** What others can reach is only for those who log in, and nobody in between may read along. */
function checkHttp(
  { given, values: own }: Section<DefaultValues>,
  values: EffectiveValues<DefaultValues>,
  reader: Reader,
): void {
  const { http_tls_cert: cert, http_tls_key: key, http_listen: listen } = values;
  const isWrong = (name: keyof DefaultValues): boolean =>
    given.has(name) && !Object.hasOwn(own, name);
  for (const [one, other] of [
    ['http_tls_cert', 'http_tls_key'],
    ['http_tls_key', 'http_tls_cert'],
  ] as const) {
    const place = given.get(one);
    if (place === undefined || values[one] === '' || values[other] !== '' || isWrong(other))
      continue;
    report(reader, place.line, one, `needs ${other} too; set it, or leave ${one} empty`);
  }
  const place = given.get('http_listen');
  if (place === undefined || listen === undefined) return;
  const say = (message: string): void => report(reader, place.line, 'http_listen', message);
  const { metrics_listen: metrics } = values;
  if (metrics !== undefined && showAddress(metrics) === showAddress(listen)) {
    say('is the address of metrics_listen; it serves metrics too, so remove metrics_listen');
  }
  if (isLoopback(listen.host)) return;
  const who = `${place.shown} can be reached from other machines, so it needs`;
  const instead = `or listen on 127.0.0.1:${listen.port}`;
  const mayLogIn = values.http_tokens.length > 0 || values.http_proxmox_login;
  if (!mayLogIn && !isWrong('http_tokens') && !isWrong('http_proxmox_login')) {
    say(`${who} http_tokens or http_proxmox_login too; set one, ${instead}`);
  }
  const isTlsGiven =
    cert !== '' || key !== '' || isWrong('http_tls_cert') || isWrong('http_tls_key');
  if (!isTlsGiven && !values.http_behind_proxy && !isWrong('http_behind_proxy')) {
    say(`${who} http_tls_cert and http_tls_key, or http_behind_proxy: True; set one, ${instead}`);
  }
}

const HOURS = ['off_peak_start', 'off_peak_end'] as const;

/** The off-peak time is given by two hours, or by a cron expression and a length. */
function checkOffPeak(
  { given, values: own }: Section<DefaultValues>,
  values: EffectiveValues<DefaultValues>,
  reader: Reader,
): void {
  const lineOf = (key: string) => given.get(key)?.line;
  const cron = given.get('off_peak_cron');
  const isWrong = (key: keyof DefaultValues) => given.has(key) && !Object.hasOwn(own, key);
  const hours = HOURS.filter((key) => given.has(key));
  if (cron !== undefined && values.off_peak_cron !== undefined) {
    for (const key of hours) {
      const message = `stands beside off_peak_cron (line ${cron.line}), which counts in its place`;
      report(reader, lineOf(key), key, `${message}; remove one of the two`);
    }
    if (values.off_peak_minutes === undefined && !isWrong('off_peak_minutes')) {
      const message = 'needs off_peak_minutes too, the length of the off-peak time, such as 480';
      report(reader, cron.line, 'off_peak_cron', message);
    }
    return;
  }
  if (values.off_peak_minutes !== undefined && !isWrong('off_peak_cron')) {
    const message = 'is the length of what off_peak_cron begins, which is not set';
    const line = lineOf('off_peak_minutes');
    report(reader, line, 'off_peak_minutes', `${message}; set it, or remove this line`);
  }
  const [hour] = hours;
  if (values.energy_mode && values.off_peak_start === values.off_peak_end && hour !== undefined) {
    const other = hour === 'off_peak_start' ? 'off_peak_end' : 'off_peak_start';
    const message = `is the same hour as ${other}, so there is no off-peak time`;
    report(reader, lineOf(hour), hour, `${message}; change one of the two`);
  }
}

function checkPaths(
  at: (key: string) => Given | undefined,
  values: EffectiveValues<DefaultValues>,
  jsonLogFile: string,
  reader: Reader,
): void {
  const paths = [
    { key: 'log_file', called: 'log_file', path: plain(values.log_file) },
    { key: 'log_file', called: 'the JSON log of log_file', path: plain(jsonLogFile) },
    { key: 'lock_file', called: 'lock_file', path: plain(values.lock_file) },
    { key: 'backup_dir', called: 'backup_dir', path: plain(values.backup_dir) },
    ...(values.metrics_textfile === undefined
      ? []
      : [
          {
            key: 'metrics_textfile',
            called: 'metrics_textfile',
            path: plain(values.metrics_textfile),
          },
        ]),
  ];
  for (const [index, later] of paths.entries()) {
    const earlier = paths.slice(0, index).find(({ path }) => path === later.path);
    if (earlier === undefined) continue;
    const [own, other] = at(later.key) === undefined ? [earlier, later] : [later, earlier];
    const message = `leads to the same place as ${other.called}; use another path`;
    report(reader, at(own.key)?.line, own.key, message);
  }
}

const plain = (path: string): string => path.replace(/\/+/g, '/').replace(/\/$/, '');

/** The rules of a `HORIZONTAL_SCALING_GROUP_*` section. */
export function checkGroup(section: Section<GroupValues>, reader: Reader): void {
  const { values, given } = section;
  checkGroupNode(section, reader);
  const source = given.get('source');
  const oldSource = given.get('base_snapshot_name');
  if (source === undefined && oldSource === undefined) {
    report(reader, section.line, section.name, 'has no source; set `source:` to a container id');
  }
  const both = values.source !== undefined && values.base_snapshot_name !== undefined;
  if (both && values.source?.vmid !== values.base_snapshot_name && oldSource !== undefined) {
    const message = 'is the old name of `source` and differs from it; remove this line';
    report(reader, oldSource.line, 'base_snapshot_name', message);
  }
  const range = given.get('static_ip_range');
  const type = given.get('clone_network_type');
  const noAddresses = range === undefined || values.static_ip_range?.length === 0;
  if (values.clone_network_type === 'static' && noAddresses && type !== undefined) {
    const message = "static needs static_ip_range, such as ['192.168.1.10', '192.168.1.20']";
    report(reader, type.line, 'clone_network_type', message);
  }
  const check = given.get('health_check');
  const asks = values.health_check !== undefined && values.health_check !== 'none';
  if (asks && values.health_port === undefined && check !== undefined) {
    const message = `${values.health_check} needs health_port, the port that is asked`;
    report(reader, check.line, 'health_check', message);
  }
}

/** No two groups may have the same tag, nor be called the same where a name has room for less. */
export function checkGroupNames(groups: readonly Section<GroupValues>[], reader: Reader): void {
  const seen = new Map<string, Section<GroupValues>>();
  for (const section of groups) {
    const tag = (section.values.group_tag || groupTag(section.name)).toLowerCase();
    for (const key of [`tag ${tag}`, `name ${groupLabel(section.name)}`]) {
      const other = seen.get(key);
      if (other !== undefined) {
        const message = `has the same ${key} as ${other.name} (line ${other.line}); change one`;
        report(reader, section.line, section.name, message);
        break;
      }
      seen.set(key, section);
    }
  }
}

const LISTS = ['ignore_lxc', 'lxc_containers', 'virtual_machines', 'guests'] as const;

/**
 * What stands for a node that nobody knows would silently mean no guest.
 * @param say told the line, the key and what is wrong
 */
export function checkNodeNames(
  sections: readonly AnySection[],
  nodes: readonly Section<NodeValues>[],
  selfOf: Reader['self'],
  say: (line: number, key: string, message: string) => void,
): void {
  const bound = sections.flatMap((section) => [
    ...LISTS.flatMap((key) => {
      const list = section.values[key] as ReadMembers | undefined;
      return [...(list?.nodes ?? [])].map(([node, part]) => ({ section, key, node, part }));
    }),
    ...nodesNamedBy(section.values).map(({ key, node, shown }) => {
      return { section, key, node, part: { item: undefined, part: shown } };
    }),
  ]);
  const self = bound.length === 0 ? undefined : selfOf?.();
  if (self === undefined) return;
  const far = nodes.filter(({ values }) => isFar(values));
  const called = far.flatMap(({ values }) => calledThere(values));
  // A name that two entries share does not say which one is meant.
  const once = called.filter((name) => called.indexOf(name) === called.lastIndexOf(name));
  const entries = [...far.map(({ name }) => name), ...once];
  const known = [...new Set([self.name, ...self.cluster, ...entries])];
  const names = new Set(known.map((name) => name.toLowerCase()));
  for (const { section, key, node, part } of bound) {
    if (names.has(node)) continue;
    const given = section.given.get(key);
    const place = (part.item === undefined ? given : given?.items[part.item]) ?? given;
    const shown = place?.masked === false ? quoted(`${part.part}`) : (place?.shown ?? '');
    const meant = closest(node, names);
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
    const whose = `this node, those of its cluster and of NODES (${known.join(', ')})`;
    const message = mayBeFound(nodes)
      ? `${shown} names a node that is not known so far, and means no guest until it is found; ` +
        `known are ${whose}${hint}`
      : `${shown} names a node that is not known; allowed: ${whose}${hint}`;
    say(place?.line ?? section.line, key, message);
  }
}

/** Whether there may be nodes that the file does not name. */
export const mayBeFound = (nodes: readonly Section<NodeValues>[]): boolean =>
  nodes.some(({ values }) => values.discover === true);

const calledThere = ({ node }: Partial<NodeValues>): readonly string[] =>
  node !== undefined && NODE_NAME.test(node) ? [node.toLowerCase()] : [];

type WithContainers = Section<TierValues> | Section<GroupValues>;

interface Claim extends VmidRange {
  readonly section: WithContainers;
  readonly line: number;
  readonly shown: string;
}

function claimsOf(section: WithContainers): Claim[] {
  const given = section.given.get('lxc_containers');
  return (section.values.lxc_containers?.ids ?? []).map((range) => {
    const place = (range.item === undefined ? given : given?.items[range.item]) ?? given;
    const text = range.from === range.to ? `${range.from}` : `${range.from}-${range.to}`;
    const shown = place === undefined || place.masked ? (place?.shown ?? '') : text;
    return { ...range, section, line: place?.line ?? section.line, shown };
  });
}

/**
 * No container may be in two sections of one kind (`a tier`, `a group`). Ids only: what names and
 * tags overlap in is seen with the containers, by `remarksOn` of resolve.ts.
 */
export function checkOverlaps(
  sections: readonly WithContainers[],
  kind: string,
  reader: Reader,
): void {
  const all = sections.flatMap(claimsOf).sort((a, b) => a.from - b.from || a.line - b.line);
  // Only on one node two claims of the same id meet; a problem that several nodes have is one.
  for (const on of new Set(all.map(({ node }) => node))) {
    const claims = all.filter(({ node }) => node === undefined || node === on);
    checkOverlapsIn(claims, kind, reader);
  }
}

function checkOverlapsIn(claims: readonly Claim[], kind: string, reader: Reader): void {
  // The claims that reach furthest so far, of two different sections: enough to see any overlap.
  let far: Claim | undefined;
  let second: Claim | undefined;
  for (const claim of claims) {
    const other = far?.section === claim.section ? second : far;
    if (other !== undefined && other.to >= claim.from) reportOverlap(other, claim, kind, reader);
    if (far === undefined || far.section === claim.section) {
      if (far === undefined || claim.to > far.to) far = claim;
    } else if (claim.to > far.to) [second, far] = [far, claim];
    else if (second === undefined || claim.to > second.to) second = claim;
  }
}

function reportOverlap(a: Claim, b: Claim, kind: string, reader: Reader): void {
  const [first, later] = a.line <= b.line ? [a, b] : [b, a];
  const single = first.from === first.to && later.from === later.to;
  const [here, there] = [later.section.name, `${first.section.name} (line ${first.line})`];
  const how = single ? `is in ${here} and in ${there}` : `of ${here} overlaps with ${there}`;
  const message = `${later.shown} ${how}; take it out of one ${kind}`;
  report(reader, later.line, 'lxc_containers', message);
}
