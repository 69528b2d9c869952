import { withPlaceholders } from './foreign-draft.ts';
import { whyEmpty, whyForeign } from './foreign-file.ts';
import { fromOtherTool } from './from-other-tool.ts';
import { type AllKeys, KEYS } from './keys.ts';
import { parseConfig } from './load.ts';
import type { Carried } from './migrate-keys.ts';
import { CONTAINER_LISTS, carry, unknownEntry } from './migrate-keys.ts';
import type { Migrated, MigratedLine, Whereabouts } from './migrated.ts';
import type { Block } from './migrated-block.ts';
import { bindTo, reachedHere, reachOf, saysItIsHere, whyUnbound } from './migrated-remote.ts';
import { renderMigrated } from './migrated-text.ts';
import type { OldFile, OldSection } from './old-file.ts';
import { parseOldFile } from './old-file.ts';
import { isSharedKey, OLD_DEFAULTS } from './old-keys.ts';
import { printable, printableKey } from './printable.ts';
import { sectionKind } from './unknown-keys.ts';
import type { Environment } from './variables.ts';
import type { YamlEntry } from './yaml.ts';

/**
 * The configuration of an earlier program, brought to today's form. Every key of the old file is
 * accounted for, and what comes out loads without a problem: what the loader would refuse stands in
 * it as a comment with the reason.
 */

/** A larger file is no configuration, and what becomes of it has to be loaded. */
const MAX_CHARS = 128 * 1024;
const MAX_KEYS = 4000;

/**
 * Brings the text of an old configuration to today's form. Pure and total.
 *
 * @param shownFile what the new file calls the old one
 * @param env the variables that `${NAME}` in its values is checked with
 */
export function migrate(
  text: string,
  shownFile: string,
  env: Environment,
  where: Whereabouts = { self: undefined, nodes: [] },
): Migrated {
  if (text.length > MAX_CHARS) {
    const message = 'is larger than 128 KiB, so it is no configuration of that program';
    return { ok: false, line: undefined, message };
  }
  const old = parseOldFile(text);
  if (!old.ok) return old;
  const { file } = old;
  const keys = file.sections.reduce((sum, { entries }) => sum + entries.length, 0);
  if (keys > MAX_KEYS || file.loose.length + file.unread.length > MAX_KEYS) {
    return { ok: false, line: undefined, message: `holds more than ${MAX_KEYS} keys` };
  }
  const kindOf = (name: string) => sectionKind(newName(name));
  const other = fromOtherTool(file, kindOf, { shownFile, env, where });
  if (other !== undefined) return other;
  const reach = reachOf(defaultsOf(file), env, where);
  const foreign = reach.kind === 'refused' ? reach : whyForeign(file, kindOf, KEYS);
  if (foreign !== undefined) return { ok: false, line: foreign.line, message: foreign.message };
  const blocks = blocksOf(file, KEYS, env);
  if (blocks.length === 0) {
    const message = 'holds no section, so it is no configuration of that program';
    return { ok: false, line: undefined, message };
  }
  lastTierCounts(blocks);
  groupsWithoutMembers(blocks);
  if (isOfPythonTool(file, blocks, KEYS)) addOldDefaults(blocks);
  if (reach.kind === 'far') bindTo(reach, blocks);
  else reachedHere(blocks);
  const around = reach.kind === 'far' ? where.self : undefined;
  let rendered = loadable(shownFile, file, blocks, env, around);
  const empty = whyUnbound(blocks) ?? (saysItIsHere(blocks) ? undefined : whyEmpty(blocks));
  if (empty !== undefined) return { ok: false, ...empty };
  if (onlyObserve(blocks)) rendered = loadable(shownFile, file, blocks, env, around);
  const lines = blocks.flatMap(linesOf).sort((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity));
  return { ok: true, form: file.form, text: rendered, lines };
}

function linesOf({ oldName, name, line, dead, carried, further }: Block): MigratedLine[] {
  const section = printable(oldName);
  const others = further.map((other) => ({
    line: other.line,
    key: printable(other.name),
    verdict: 'converted' as const,
    why: `one section with line ${line}`,
  }));
  const lines: MigratedLine[] = carried.map((one) => {
    const key = `${section}${section === '' ? '' : '.'}${printableKey(one.oldKey)}`;
    const value = one.verdict === 'added' ? { value: one.shown } : {};
    if (dead === undefined)
      return { line: one.line, key, verdict: one.verdict, why: one.why, ...value };
    return { line: one.line, key, verdict: 'not supported', why: 'as its section is not' };
  });
  if (line === undefined) return lines;
  const own = { line, key: section };
  if (dead !== undefined)
    return [{ ...own, verdict: 'not supported', why: dead }, ...others, ...lines];
  const renamed = name !== oldName;
  const verdict = renamed ? 'renamed' : 'taken';
  const why = renamed ? `now ${printable(name)}` : '';
  return [{ ...own, verdict, why }, ...others, ...lines];
}

const DEFAULTS_IN_THE_PLURAL = 'DEFAULTS';

/** That program took any name that begins as a tier or a group does. */
function newName(name: string): string {
  if (name === DEFAULTS_IN_THE_PLURAL) return 'DEFAULT';
  if (!/^(?:TIER_|HORIZONTAL_SCALING_GROUP_)./u.test(name)) return name;
  return name.replace(/[^\p{L}\p{N}_.\- ]/gu, '_').slice(0, 80);
}

function blocksOf(file: OldFile, keys: AllKeys, env: Environment): Block[] {
  const blocks = file.sections.map((section) => blockOf(section, file, keys, env));
  // `DEFAULT` first, so that the new file reads from the general to the particular.
  const first = blocks.findIndex(({ name }) => name === 'DEFAULT');
  const [defaults] = first > 0 ? blocks.splice(first, 1) : [];
  if (defaults !== undefined) blocks.unshift(defaults);
  oneOfEach(blocks);
  const why = 'stands in no section, where that program did not read it either';
  const stray = [
    ...file.loose.flatMap((entry) => unknownEntry(entry, why)),
    ...file.unread.map(({ line, text }) => ({
      line,
      oldKey: 'line',
      key: 'line',
      written: undefined,
      shown: withoutValue(text),
      lost: false,
      verdict: 'not supported' as const,
      why: 'is neither a section nor a key with a value',
    })),
  ];
  if (stray.length > 0) {
    blocks.push({
      oldName: '',
      name: '',
      line: undefined,
      further: [],
      dead: undefined,
      carried: stray,
    });
  }
  return blocks;
}

/** Nobody knows what stands in such a line, so only its beginning is shown. */
const withoutValue = (text: string): string => printable(text.split(/[\s:=]/)[0] ?? '', 40);

function blockOf(section: OldSection, file: OldFile, keys: AllKeys, env: Environment): Block {
  const { name: oldName, line, entries } = section;
  const name = newName(oldName);
  const kind = sectionKind(name);
  const dead = kind === undefined ? 'is no section of this program' : whyOverruled(section, file);
  const all = { all: keys, env, entries };
  const carried = entries.flatMap((entry) =>
    kind === undefined ? unknownEntry(entry, '') : carry(entry, keys[kind], kind, all),
  );
  if (dead !== undefined) for (const one of carried) one.lost = false;
  return { oldName, name, line, further: [], dead, carried };
}

/** In YAML a section that stands a second time took the place of the first. */
function whyOverruled({ name, line }: OldSection, { form, sections }: OldFile): string | undefined {
  if (form !== 'YAML') return undefined;
  const later = sections.find((other) => other.name === name && other.line > line);
  return later && `stands a second time in line ${later.line}, which is what counted`;
}

/** What `DEFAULT` says after what `DEFAULTS` does, since it counts over that. */
function defaultsOf(file: OldFile): readonly YamlEntry[] {
  const live = file.sections.filter((section) => whyOverruled(section, file) === undefined);
  const named = (name: string) => live.filter((section) => section.name === name);
  const sections = [...named(DEFAULTS_IN_THE_PLURAL), ...named('DEFAULT')];
  return sections.flatMap(({ entries }) => entries);
}

/** Sections of one name become one. What `DEFAULT` says counts over what `DEFAULTS` does. */
function oneOfEach(blocks: Block[]): void {
  const seen = new Map<string, Block>();
  for (const block of [...blocks]) {
    if (block.dead !== undefined) continue;
    const first = seen.get(block.name);
    if (first === undefined) {
      seen.set(block.name, block);
      continue;
    }
    for (const one of block.carried) {
      const same = first.carried.find(({ key, written }) => written && key === one.key);
      if (same === undefined || one.written === undefined) continue;
      const inIni = block.oldName === first.oldName;
      const [loser, winner] = inIni ? [same, one] : winnerOf(first, same, one);
      loser.written = undefined;
      loser.verdict = 'dropped';
      loser.why = `line ${winner.line} says otherwise, which counts`;
    }
    first.carried.push(...block.carried);
    if (block.line !== undefined) first.further.push({ line: block.line, name: block.oldName });
    blocks.splice(blocks.indexOf(block), 1);
  }
}

const winnerOf = (first: Block, same: Carried, one: Carried): [Carried, Carried] =>
  first.oldName === DEFAULTS_IN_THE_PLURAL ? [same, one] : [one, same];

/** An id in two tiers had the values of the one that stood last. */
function lastTierCounts(blocks: readonly Block[]): void {
  const later = new Map<string, string>();
  for (const block of [...blocks].reverse()) {
    if (block.dead !== undefined || sectionKind(block.name) !== 'tier') continue;
    for (const one of block.carried) {
      if (one.key !== 'lxc_containers' || typeof one.written !== 'object') continue;
      const lost = one.written.filter((id) => later.has(id));
      for (const id of one.written) if (!later.has(id)) later.set(id, block.name);
      if (lost.length === 0) continue;
      one.written = one.written.filter((id) => !lost.includes(id));
      const where = lost.map(
        (id) => `${printable(id)} is in ${printable(later.get(id) ?? '')} too`,
      );
      const why = `left out: ${where.join(', ')}, which is what counted`;
      one.why = one.why === '' ? why : `${one.why}; ${why}`;
      one.verdict = 'converted';
    }
  }
}

/** A group that lost a member would make one in its place. */
function groupsWithoutMembers(blocks: readonly Block[]): void {
  for (const block of blocks) {
    if (block.dead !== undefined || sectionKind(block.name) !== 'group') continue;
    const lost = block.carried.find((one) => one.key === 'lxc_containers' && one.lost);
    if (lost === undefined) continue;
    block.dead = `its members in line ${lost.line} cannot be taken`;
    lost.lost = false;
  }
}

/** In a file of this program a key that is left out means its own default. */
function isOfPythonTool(
  { form, comments }: OldFile,
  blocks: readonly Block[],
  { default: section, tier, group }: AllKeys,
): boolean {
  const isOurs = (key: string): boolean =>
    [section, tier, group].some((keys) => Object.hasOwn(keys, key)) && !isSharedKey(key);
  if (form !== 'YAML' || [...comments.values()].some((text) => OUR_COMMENT.test(text)))
    return false;
  return !blocks.some(({ carried }) => carried.some((one) => isOurs(one.oldKey)));
}

/** What stands at the head of the files that this program writes, and of its samples. */
const OUR_COMMENT = /Configuration of lxc-autoscale, |\$schema=\/usr\/local\/lib\/lxc_autoscale\//;

const BY_PYTHON_TOOL = 'the default of the Python tool, whose file leaves this out';

/**
 * Writes down what held in the Python tool without being written. Its smallest values can be above
 * its defaults for the largest: those then follow, so that nothing gets more than it had.
 */
function addOldDefaults(blocks: Block[]): void {
  const live = blocks.filter(({ name, dead }) => name !== '' && dead === undefined);
  let defaults = live.find(({ name }) => name === 'DEFAULT');
  if (defaults === undefined) {
    defaults = { oldName: 'DEFAULT', name: 'DEFAULT', ...NEW_BLOCK, further: [], carried: [] };
    blocks.unshift(defaults);
  }
  const tiers = live.filter(({ name }) => sectionKind(name) === 'tier');
  for (const [least, most] of ORDERED) {
    if (defaults.carried.some(({ key }) => key === most)) continue;
    const top = Number(new Map(OLD_DEFAULTS).get(most));
    for (const block of [defaults, ...tiers]) {
      const floor = Number(valueIn(block, least));
      const why = `as ${least}, which is above the Python tool's default of ${top} for this`;
      if (floor > top) add(block, most, `${floor}`, why);
    }
  }
  for (const [key, value] of OLD_DEFAULTS) add(defaults, key, value, BY_PYTHON_TOOL);
}

const ORDERED = [
  ['min_cores', 'max_cores'],
  ['core_min_increment', 'core_max_increment'],
] as const;

const NEW_BLOCK = { line: undefined, dead: undefined } as const;

const valueIn = ({ carried }: Block, key: string): unknown =>
  carried.find((one) => one.key === key && one.written !== undefined)?.written;

function add(block: Block, key: string, value: string, why: string): void {
  if (block.carried.some((one) => one.key === key)) return;
  block.carried.push({
    line: undefined,
    oldKey: key,
    key,
    verdict: 'added',
    lost: false,
    shown: value,
    why,
    written: value,
  });
}

/**
 * Where it cannot be said which containers that program left alone or treated in a way of their
 * own, none is changed until somebody has said so. Whether that is the case.
 */
function onlyObserve(blocks: readonly Block[]): boolean {
  const live = blocks.filter(({ dead, name }) => dead === undefined && name !== '');
  const lost = blocks.flatMap(({ carried }) => carried).find((one) => one.lost);
  if (lost === undefined) return false;
  const where = `${lost.key} in line ${lost.line}`;
  const why = `observe, until ${where} is mended: nothing is changed`;
  for (const one of live.flatMap(({ carried }) => carried)) {
    if (one.key !== 'scaling_mode' || one.written === undefined) continue;
    Object.assign(one, { written: 'observe', verdict: 'converted', why });
  }
  const defaults = live.find(({ name }) => name === 'DEFAULT');
  if (defaults !== undefined && valueIn(defaults, 'scaling_mode') === undefined) {
    defaults.carried.push({
      line: undefined,
      oldKey: 'scaling_mode',
      key: 'scaling_mode',
      verdict: 'added',
      why,
      written: 'observe',
      shown: 'observe',
      lost: false,
    });
  }
  return true;
}

/** The text of the new file, what the loader refuses made a comment until it refuses nothing. */
function loadable(
  shownFile: string,
  file: OldFile,
  blocks: Block[],
  env: Environment,
  self: Whereabouts['self'],
): string {
  for (;;) {
    const { text, places } = renderMigrated(shownFile, file, blocks);
    const known = blocks.some(({ name }) => name === 'NODES') ? withPlaceholders(text, env) : env;
    const loaded = parseConfig(text, shownFile, known, self && (() => self), 'for its variables');
    if (loaded.ok) return text;
    let mended = false;
    for (const { line, message } of loaded.problems) {
      const place = line === undefined ? undefined : places.get(line);
      mended = giveWay(blocks, place, message) || mended;
    }
    // What cannot be traced to its place costs the file its values, but never its loading.
    if (!mended) {
      const block = blocks.find(({ dead }) => dead === undefined);
      if (block === undefined) return text;
      block.dead = 'could not be brought to a form that loads';
    }
  }
}

/**
 * Whether something gave way to the loader's complaint. What was added to the same section does
 * first; what was added to another one holds for others too, so it stays.
 */
function giveWay(
  blocks: readonly Block[],
  place: { readonly block: Block; readonly carried: Carried | undefined } | undefined,
  message: string,
): boolean {
  const added = (place === undefined ? blocks : [place.block])
    .flatMap(({ carried }) => carried)
    .find(({ verdict, key, written }) => {
      return verdict === 'added' && written !== undefined && message.includes(key);
    });
  const one = added ?? place?.carried;
  if (one !== undefined) {
    if (one.written === undefined) return false;
    one.written = undefined;
    one.verdict = one === added ? 'dropped' : 'not supported';
    one.why = message;
    one.lost ||= CONTAINER_LISTS.has(one.key);
    return true;
  }
  if (place === undefined || place.block.dead !== undefined) return false;
  place.block.dead = message;
  if (sectionKind(place.block.name) === 'group') return true;
  for (const inner of place.block.carried) inner.lost ||= CONTAINER_LISTS.has(inner.key);
  return true;
}
