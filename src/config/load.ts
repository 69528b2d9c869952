import { buildConfig, type Sections } from './build.ts';
import { builtIn, GROUP_DEFAULTS, inForce } from './defaults.ts';
import { groupNode } from './group-node.ts';
import { idleKeys } from './idle-keys.ts';
import { type DefaultValues, type GroupValues, KEYS, type TierValues } from './keys.ts';
import { type Config, type NodeConfig, waysOf } from './model.ts';
import { nodesWithEnvironment } from './node-variables.ts';
import { readNodes, remarkOnNode } from './nodes.ts';
import { unheardReport } from './notify.ts';
import type { Problem } from './problem.ts';
import { MAX_FILE_BYTES, readTextFile } from './read-file.ts';
import {
  CONTAINER_ORDERS,
  checkCoreUnit,
  checkGroup,
  checkGroupNames,
  checkNodeNames,
  checkOrders,
  checkOverlaps,
  checkProgram,
  GROUP_ORDERS,
  mayBeFound,
  presetSection,
  seemsGigabytes,
} from './relations.ts';
import { isShareOfGiven } from './schema.ts';
import type { Given, Reader, Section } from './sections.ts';
import { entriesOf, readSection, report } from './sections.ts';
import { jsonLogFileOf } from './settings.ts';
import { isTag, tierTag } from './tags.ts';
import { sectionKind, unknownSection } from './unknown-keys.ts';
import type { Environment } from './variables.ts';
import type { WebhookFormat } from './webhook-formats.ts';
import type { YamlEntry } from './yaml.ts';
import { parseYaml } from './yaml.ts';

export type LoadResult =
  /** `notes`: what is accepted, and worth a remark. */
  | {
      readonly ok: true;
      readonly config: Config;
      readonly notes: readonly Problem[];
      /** A secret that stands in the file itself, and not in a variable. */
      readonly secretAt: SecretPlace | undefined;
    }
  /** All problems of the file, in the order of its lines; at least one. */
  | { readonly ok: false; readonly problems: readonly Problem[] };

export interface SecretPlace {
  readonly line: number;
  readonly key: string;
}

/** More than a person reads. A file of random text must not give a report of its own size. */
const MAX_PROBLEMS = 200;

/**
 * Reads the configuration file at `path`. Messages call it `shownFile`, the name that the admin
 * knows it by. Every way of failing is a problem in the result; nothing is thrown.
 */
export function loadConfig(
  path: string,
  shownFile: string,
  env: Environment,
  self?: Reader['self'],
): LoadResult {
  const file = readTextFile(path);
  if (!file.ok) return wholeFile(shownFile, file.message);
  return parseConfig(file.text, shownFile, env, self);
}

/** The same on a text that has been read already. Pure and total. */
export function parseConfig(
  text: string,
  shownFile: string,
  env: Environment,
  self?: Reader['self'],
  overriding: 'overriding' | 'for its variables' = 'overriding',
): LoadResult {
  if (text.length > MAX_FILE_BYTES) return wholeFile(shownFile, 'is larger than 1 MiB');
  if (text.includes('\0')) return wholeFile(shownFile, 'is not a text file: it holds null bytes');
  const yaml = parseYaml(text);
  if (!yaml.ok) {
    const { line: failedAt = Number.POSITIVE_INFINITY } = yaml;
    const strange = strangeBlank(text, shownFile, (line, blank) => {
      return line <= failedAt && BETWEEN_WORDS.test(blank);
    });
    if (strange !== undefined) return { ok: false, problems: [strange] };
    return wholeFile(shownFile, yaml.message, yaml.line);
  }
  const { root } = yaml;
  if (root === undefined) {
    const advice =
      'write `DEFAULT:` into it to run with the defaults, or start from the sample file';
    return wholeFile(shownFile, `is empty or holds only comments; ${advice}`);
  }
  if (root.kind !== 'map') {
    const what = root.kind === 'list' ? 'a list' : 'a text';
    const advice = 'begin with `DEFAULT:` and indent `key: value` lines below it';
    return wholeFile(shownFile, `holds ${what} where sections are expected; ${advice}`, root.line);
  }
  const reader: Reader = {
    file: shownFile,
    env,
    isOverridden: overriding === 'overriding',
    keys: KEYS,
    self,
    problems: [],
    furtherProblems: 0,
    mergedKeys: 0,
    weight: 0,
  };
  const sections = readSections(entriesOf(root, reader), reader);
  checkRelations(sections, reader);
  if (reader.problems.length > 0) {
    const wrong = new Set(reader.problems.map(({ line }) => line));
    const strange = strangeBlank(text, shownFile, (line) => wrong.has(line));
    return {
      ok: false,
      problems: [...(strange === undefined ? [] : [strange]), ...inOrder(reader)],
    };
  }
  const config = buildConfig(sections, sections.nodes.length > 0 ? self?.().name : undefined);
  const notes = notesOn(config, sections, shownFile, self);
  return { ok: true, config, notes, secretAt: secretIn(sections) };
}

/** Variables of the environment that stand over a key of the file. */
export const KEYS_BY_VARIABLE = { LOG_LEVEL: 'log_level', LOG_FILE: 'log_file' } as const;

/** What the environment sets, checked as if it stood in the file. An empty one sets nothing. */
function overriding(defaults: Section<DefaultValues>, reader: Reader): Section<DefaultValues> {
  const given = Object.entries(KEYS_BY_VARIABLE).flatMap(([variable, key]) => {
    const text = reader.env[variable] ?? '';
    return text === '' ? [] : [{ variable, key, text }];
  });
  const own: Reader = { ...reader, env: {}, problems: [], furtherProblems: 0 };
  const entries = given.map(({ key, text }): YamlEntry => {
    return { key, line: 1, value: { kind: 'text', text, line: 1 } };
  });
  const value = { kind: 'map', line: 1, entries } as const;
  const { values } = readSection(reader.keys.default, { key: 'DEFAULT', line: 1, value }, own);
  for (const { key, message } of own.problems) {
    const variable = given.find((one) => one.key === key)?.variable;
    const place = { file: 'the environment', line: undefined, key: variable };
    reader.problems.push({ ...place, message });
  }
  return { ...defaults, values: { ...defaults.values, ...values } };
}

/** The Gotify URL is not secret. Any other URL grants access to whoever has it. */
const NO_SECRET: ReadonlySet<string> = new Set(['gotify_url']);

function secretIn({ defaults, nodes }: Sections): SecretPlace | undefined {
  for (const { given } of [defaults, ...nodes]) {
    for (const [key, { line, inClear }] of given) {
      if (inClear && !NO_SECRET.has(key)) return { line, key };
    }
  }
  return undefined;
}

/** Blanks that a web page or a text program puts in, and that YAML takes for letters. */
const STRANGE = '[\\u00a0\\u2000-\\u200b\\u202f\\u3000\\ufeff]';
const HAS_STRANGE = new RegExp(`^[^#]*${STRANGE}`);
/** Where YAML wants a blank. Within a text they may stand. */
const BETWEEN_WORDS = new RegExp(
  `^\\s*${STRANGE}|^[^'"#]*[-:,]\\s*${STRANGE}|${STRANGE}\\s*(?:#.*)?$`,
);

/** @param isSuspect whether it may be what is wrong with a line that has one */
function strangeBlank(
  text: string,
  file: string,
  isSuspect: (line: number, written: string) => boolean,
): Problem | undefined {
  const lines = text.replace(/^\ufeff/, '').split('\n');
  const at = lines.findIndex((line, index) => HAS_STRANGE.test(line) && isSuspect(index + 1, line));
  const message = 'holds a blank that is no plain one, such as a no-break space; write it anew';
  return at < 0 ? undefined : { file, line: at + 1, key: undefined, message };
}

function wholeFile(file: string, message: string, line?: number): LoadResult {
  return { ok: false, problems: [{ file, line, key: undefined, message }] };
}

function readSections(entries: readonly YamlEntry[], reader: Reader): Sections {
  const { keys } = reader;
  let defaults: Section<DefaultValues> | undefined;
  const tiers: Section<TierValues>[] = [];
  const groups: Section<GroupValues>[] = [];
  let named: YamlEntry | undefined;
  for (const entry of entries) {
    const kind = sectionKind(entry.key);
    if (kind === 'default') defaults = readSection(keys.default, entry, reader);
    else if (kind === 'tier') tiers.push(readSection(keys.tier, entry, reader));
    else if (kind === 'group') groups.push(readSection(keys.group, entry, reader));
    else if (kind === 'node') named = entry;
    else {
      const { name, message } = unknownSection(entry.key, keys);
      report(reader, entry.line, name, message);
    }
  }
  const none = { name: 'DEFAULT', line: 1, values: {}, given: new Map() };
  const own = defaults ?? none;
  const nodesOf = reader.isOverridden ? nodesWithEnvironment : readNodes;
  return {
    defaults: reader.isOverridden ? overriding(own, reader) : own,
    tiers,
    groups,
    nodes: nodesOf(named, reader),
  };
}

function checkRelations(sections: Sections, reader: Reader): void {
  const { defaults, tiers, groups } = sections;
  const values = inForce(defaults.values);
  checkOrders(CONTAINER_ORDERS, defaults, undefined, builtIn(values.cpu_unit), reader);
  checkCoreUnit(defaults, undefined, reader);
  checkProgram(defaults, values, jsonLogFileOf(values.log_file), reader);
  for (const tier of tiers) {
    const unit = tier.values.cpu_unit ?? values.cpu_unit;
    const preset = presetSection(tier);
    checkOrders(CONTAINER_ORDERS, tier, defaults, builtIn(unit), reader, preset);
    checkCoreUnit(tier, defaults, reader);
  }
  checkOverlaps(tiers, 'tier', reader);
  for (const group of groups) {
    checkOrders(GROUP_ORDERS, group, undefined, GROUP_DEFAULTS, reader);
    checkGroup(group, reader);
  }
  checkGroupNames(groups, reader);
  checkOverlaps(groups, 'group', reader);
  if (mayBeFound(sections.nodes)) return;
  checkNodeNames([defaults, ...tiers, ...groups], sections.nodes, reader.self, (...said) =>
    report(reader, ...said),
  );
}

/** By line, each once: a section that others merge is checked with each of them. */
function inOrder(reader: Reader): Problem[] {
  const distinct = new Map(reader.problems.map((problem) => [JSON.stringify(problem), problem]));
  const sorted = [...distinct.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const further = sorted.length + reader.furtherProblems - MAX_PROBLEMS;
  if (further <= 0) return sorted;
  const message = `and ${further} further problems; mend the first ones first`;
  const rest: Problem = { file: reader.file, line: undefined, key: undefined, message };
  return [...sorted.slice(0, MAX_PROBLEMS), rest];
}

function notesOn(
  config: Config,
  sections: Sections,
  file: string,
  self: Reader['self'],
): Problem[] {
  const notes: Problem[] = [];
  const note = (line: number | undefined, key: string, message: string) => {
    notes.push({ file, line, key, message });
  };
  const line = (key: string) => sections.defaults.given.get(key)?.line;
  for (const idle of idleKeys(sections.defaults, inForce(sections.defaults.values))) {
    note(idle.line, idle.key, `has no effect without ${idle.owner}`);
  }
  const unheard = unheardReport(config.notify);
  if (unheard !== undefined) note(line('report'), 'report', unheard);
  const containerSections = [sections.defaults, ...sections.tiers];
  for (const { line, key, message } of containerSections.flatMap(doubtfulNumbers)) {
    note(line, key, message);
  }
  const all = [sections.defaults, ...sections.tiers, ...sections.groups, ...sections.nodes];
  for (const { given } of all) {
    for (const [key, place] of [...given].flatMap(withParts)) {
      if (place.seemsVariable) note(place.line, key, SEEMS_VARIABLE);
    }
  }
  const foreign = foreignWebhook(sections.defaults.values);
  if (foreign !== undefined) note(line('webhook_url'), 'webhook_url', foreign);
  for (const [index, section] of sections.tiers.entries()) {
    const message = remarkOnTier(section, sections.tiers.slice(0, index));
    if (message !== undefined) note(section.line, section.name, message);
    const elsewhere = machinesByApi(section, config);
    if (elsewhere !== undefined) {
      const line = section.given.get('virtual_machines')?.line ?? section.line;
      note(line, 'virtual_machines', elsewhere);
    }
  }
  for (const section of sections.groups) {
    const elsewhere = groupElsewhere(section, config);
    const key = ['lxc_containers', 'node', 'source'].find((one) => section.given.has(one));
    const at = section.given.get(key ?? '')?.line ?? section.line;
    if (elsewhere !== undefined) note(at, key ?? section.name, elsewhere);
  }
  if (mayBeFound(sections.nodes)) {
    const { defaults, tiers, groups } = sections;
    checkNodeNames([defaults, ...tiers, ...groups], sections.nodes, self, note);
  }
  for (const section of sections.nodes) {
    const message = remarkOnNode(section);
    const at = section.given.get('verify_tls')?.line ?? section.line;
    if (message !== undefined) note(at, 'verify_tls', message);
  }
  return notes.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

const SEEMS_VARIABLE = `is taken as it stands; if a variable is meant, write $\{NAME}`;

/** A value and all that is within it, each with what it is called. */
const withParts = ([key, place]: readonly [string, Given]): (readonly [string, Given])[] => [
  [key, place],
  ...[...place.parts].flatMap(([name, part]) => withParts([`${key}.${name}`, part])),
  ...place.items.flatMap((item, index) => withParts([`${key}[${index + 1}]`, item])),
];

/** Numbers that were most likely meant in another unit. */
function doubtfulNumbers({ values, given }: Section<DefaultValues> | Section<TierValues>) {
  return Object.entries(values).flatMap(([key, value]) => {
    const place = given.get(key);
    const message = place === undefined ? undefined : doubt(key, value, place.shown);
    return place === undefined || message === undefined ? [] : [{ line: place.line, key, message }];
  });
}

const MEMORY_BOUNDS = new Set(['min_memory', 'max_memory', 'reserve_memory_mb']);

function doubt(key: string, value: unknown, shown: string): string | undefined {
  if (key.startsWith('max_') && isShareOfGiven(value) && value.ofGiven < 1) {
    const what = 'is a share of what you gave each guest, so all of them shrink below that';
    return `${shown} ${what}; if a share of the host is meant, write the number itself`;
  }
  if (typeof value !== 'number') return undefined;
  if (MEMORY_BOUNDS.has(key) && seemsGigabytes(value, shown)) {
    return `is ${shown} MiB; if gigabytes are meant, write ${shown}G`;
  }
  const entry = Object.entries(KEYS.default).find(([name]) => name === key)?.[1];
  if (!entry?.info.allowed.endsWith('in percent') || value <= 0 || value >= 1) return undefined;
  const share = Number((value * 100).toFixed(6));
  return `is ${shown} percent; if that share is meant, write ${share}`;
}

/** A chat service that takes only a form of its own, and is sent the general one. */
function foreignWebhook({
  webhook_url: url = '',
  webhook_format: format = 'json',
  webhook_body: body = '',
}: Partial<DefaultValues>): string | undefined {
  if (format !== 'json' || body !== '') return undefined;
  const service = SERVICES.find(([, address]) => address.test(url))?.[0];
  return (
    service && `leads to a service that takes only its own form; set webhook_format: ${service}`
  );
}

const SERVICES: readonly (readonly [WebhookFormat, RegExp])[] = [
  ['discord', /^https:\/\/(?:[a-z]+\.)?discord(?:app)?\.com\//],
  ['slack', /^https:\/\/hooks\.slack\.com\//],
  ['telegram', /^https:\/\/api\.telegram\.org\//],
  ['matrix', /^https?:\/\/[^/]+\/_matrix\/client\//],
];

/** A group that is not worked on, or not with all that it lists, since it is on another node. */
function groupElsewhere({ values }: Section<GroupValues>, { nodes }: Config): string | undefined {
  const on = groupNode(values);
  const called = (node: NodeConfig, name: string): boolean =>
    node.name.toLowerCase() === name || node.alias === name;
  const far = nodes.find((node) => on !== undefined && called(node, on));
  if (far !== undefined && !waysOf(far).some(({ connection }) => connection === 'ssh')) {
    const why = 'groups are not worked on by the API';
    return `is on ${far.name}, and ${why}; reach that node by SSH, or run the program there`;
  }
  const others = [...(values.lxc_containers?.nodes?.keys() ?? [])].filter(
    (name) => name !== on && !(far !== undefined && called(far, name)),
  );
  const named = others.filter((name) => nodes.some((node) => called(node, name)));
  if (named.length === 0) return undefined;
  const where = on === undefined ? 'the node that the program runs on' : on;
  const what = `names guests of ${named.join(', ')}, and the group is on ${where}`;
  return `${what}; write \`node\` if it is on another one`;
}

/** Virtual machines that are listed, and of whose need of memory little is known. */
function machinesByApi({ values }: Section<TierValues>, { nodes }: Config): string | undefined {
  const byApi = nodes.filter(({ connection }) => connection === 'api');
  const far = byApi.flatMap(({ name, alias }) => [name, ...(alias === undefined ? [] : [alias])]);
  const named = [...(values.virtual_machines?.nodes?.keys() ?? [])].filter((name) =>
    far.some((one) => one.toLowerCase() === name),
  );
  if (named.length === 0) return undefined;
  const why = 'the API does not tell what they need';
  return `memory of those of ${named.join(', ')} hardly grows and never shrinks: ${why}`;
}

/** A tier that containers come to in another way than its author may think, or in none. */
function remarkOnTier(
  { name, values, given }: Section<TierValues>,
  before: readonly Section<TierValues>[],
): string | undefined {
  const tag = tierTag(name);
  const same = before.find((other) => tierTag(other.name) === tag);
  if (same !== undefined) {
    const how = `differs from ${same.name} (line ${same.line}) only in upper and lower case`;
    return `${how}; the tag ${tag} means that one`;
  }
  const { ids, names, tags } = values.lxc_containers ?? { ids: [], names: [], tags: [] };
  if (ids.length + names.length + tags.length > 0) return undefined;
  if (!isTag(tag)) return 'has no effect, since its lxc_containers names no container';
  // A tier with values and without the key is meant for the tag.
  if (!given.has('lxc_containers') && given.size > 0) return undefined;
  return `names no container, so only those with the tag ${tag} are in it`;
}
