import { meantGuest } from '../config/meant-guest.ts';
import type { Config, Selector, Tier } from '../config/model.ts';
import { matchesGlob } from '../config/name-glob.ts';
import { printable } from '../config/printable.ts';
import { type Identity, namedIn } from '../config/resolve.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';

/** What `check-config` says of the lists that name guests: what they miss or confuse. */

export type Guests = ReadonlyMap<Vmid, Reading<GuestConfig>>;

/** The guests of a node, by kind. */
export interface BothKinds {
  readonly containers: Guests;
  /** All of them, be they asked for or not. */
  readonly machines: Guests;
}

/** Those whose configuration can be read, in the order of their ids. */
export const readable = (guests: Guests): readonly GuestConfig[] =>
  [...guests.values()]
    .flatMap((guest) => (guest.ok ? [guest.value] : []))
    .sort((a, b) => a.vmid - b.vmid);

/** The parts of the file that name guests, each with what it is called. */
const selectors = ({ ignored, tiers }: Config): readonly (readonly [string, Selector])[] => [
  ['ignore_lxc', ignored],
  ...tiers.flatMap(({ name, containers, machines }) => [
    [printable(name), containers] as const,
    [printable(name), machines] as const,
  ]),
];

/** Names without `*` or `?` that several containers of this node have. */
export function nameRemarks(config: Config, guests: Guests): string[] {
  const seen = readable(guests);
  return selectors(config).flatMap(([called, { names }]) =>
    names.flatMap((wanted) => {
      if (/[*?]/.test(wanted)) return [];
      const ids = seen.filter(({ name }) => matchesGlob(wanted, name)).map(({ vmid }) => vmid);
      if (ids.length < 2) return [];
      return [`the name ${wanted} in ${called} means ${ids.length} containers: ${ids.join(', ')}`];
    }),
  );
}

/** Single ids that the file names and the node does not have; on a cluster that is ordinary. */
export function idsElsewhere(config: Config, { containers, machines }: BothKinds): string[] {
  const absent = selectors(config).flatMap(([called, { ids }]) =>
    ids
      .filter(({ from, to }) => from === to && !containers.has(from) && !machines.has(from))
      .map(({ from }) => `${from} (${called})`),
  );
  return [...new Set(absent)];
}

/** A guest as far as a list can mean it; one whose configuration cannot be read has an id only. */
type Meant = Pick<Identity, 'vmid' | 'name' | 'tags'>;

const meantOf = (guests: Guests): readonly Meant[] =>
  [...guests].map(([vmid, guest]) => {
    if (!guest.ok) return { vmid, name: '', tags: [] };
    const { name, tags } = guest.value;
    return { vmid, name, tags: tags.map((tag) => tag.toLowerCase()) };
  });

/** One entry of a list: how it is shown, and which guests it means. */
interface Part {
  readonly shown: string;
  readonly isOf: (guest: Meant) => boolean;
}

const NONE: Selector = { ids: [], names: [], tags: [] };

const partOf = (shown: string, entry: Partial<Selector>): Part => {
  const list = { ...NONE, ...entry };
  const isKnown = ({ name }: Meant): boolean => entry.names === undefined || name !== '';
  return { shown, isOf: (guest) => isKnown(guest) && namedIn(list, guest) !== undefined };
};

const partsOf = ({ ids, names, tags }: Selector): readonly Part[] => [
  ...ids.map((id) =>
    partOf(id.from === id.to ? `${id.from}` : `${id.from}-${id.to}`, { ids: [id] }),
  ),
  ...names.map((name) => partOf(name, { names: [name] })),
  ...tags.map((tag) => partOf(`tag:${tag}`, { tags: [tag] })),
];

/** Entries of tiers that mean only guests of the other kind; `guests` stands for both. */
export function kindRemarks({ tiers }: Config, both: BothKinds): readonly string[] {
  const [containers, machines] = [meantOf(both.containers), meantOf(both.machines)];
  return tiers.flatMap((tier) => [
    ...ofOtherKind(tier, 'lxc_containers', containers, machines),
    ...ofOtherKind(tier, 'virtual_machines', machines, containers),
  ]);
}

const NOUNS = { lxc_containers: 'container', virtual_machines: 'virtual machine' } as const;

function ofOtherKind(
  { name, containers, machines }: Tier,
  key: keyof typeof NOUNS,
  own: readonly Meant[],
  others: readonly Meant[],
): readonly string[] {
  const right = key === 'lxc_containers' ? 'virtual_machines' : 'lxc_containers';
  const lists = key === 'lxc_containers' ? [containers, machines] : [machines, containers];
  const [listed = [], elsewhere = []] = lists.map(partsOf);
  const noun = NOUNS[right];
  return listed.flatMap(({ shown, isOf }) => {
    if (elsewhere.some((part) => part.shown === shown) || own.some(isOf)) return [];
    const ids = others.filter(isOf).map(({ vmid }) => `${vmid}`);
    if (ids.length === 0) return [];
    const is = ids[0] === shown ? `it is a ${noun}` : `it means only ${nounsWith(noun, ids)}`;
    return [
      `${printable(name)} lists ${shown} under ${key}, and ${is} (${right}), so that has no ` +
        'effect: move it there, or to guests, which is for both',
    ];
  });
}

const MOST_IDS = 5;

function nounsWith(noun: string, ids: readonly string[]): string {
  const rest = ids.length - MOST_IDS;
  const more = rest > 0 ? ` and ${rest} more` : '';
  return `${noun}${ids.length === 1 ? '' : 's'} ${ids.slice(0, MOST_IDS).join(', ')}${more}`;
}

/** Names and tags of the file that no guest has, be it for a slip of the finger. */
export function patternsUnmatched(config: Config, whole: Config, both: BothKinds): string[] {
  const seen = [...meantOf(both.containers), ...meantOf(both.machines)];
  const tagsSeen = new Set(seen.flatMap(({ tags }) => tags));
  const unmatched = selectors(config).flatMap(([called, { names, tags }]) =>
    partsOf({ ids: [], names, tags })
      .filter(({ isOf }) => !seen.some(isOf))
      .map(({ shown }) => `${shown} (${called}${hintFor(shown, seen)})`),
  );
  const own = tagsOfOwn(whole).filter(([, tag]) => !tagsSeen.has(tag));
  return [...new Set([...unmatched, ...own.map(([name, tag]) => `tag:${tag} (${name})`)])];
}

function hintFor(shown: string, seen: readonly Meant[]): string {
  const meant = meantGuest(shown, seen);
  return meant === undefined ? '' : `; did you mean ${printable(meant, 64)}?`;
}

/** Tiers that name nobody, on no node, so that only their own tag leads to them. */
const tagsOfOwn = ({ tiers }: Config): readonly (readonly [name: string, tag: string])[] =>
  tiers.flatMap((tier) => (namesAny(tier) ? [] : [[tier.name, tier.ownTag] as const]));

/** Whether its lists have any entry. */
export const namesAny = ({ containers, machines }: Tier): boolean =>
  [containers, machines].some(
    ({ ids, names, tags }) => ids.length + names.length + tags.length > 0,
  );
