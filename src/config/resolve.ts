import type { ContainerPolicy, HostPolicy, Management } from '../core/policy.ts';
import { secondsToMs, type Vmid } from '../core/units.ts';
import type { Config, Selector, Tier } from './model.ts';
import { matchesGlob } from './name-glob.ts';
import type { ConfigOnNode } from './on-node.ts';
import { printable } from './printable.ts';
import { sampleInterval } from './settings.ts';
import { closest } from './suggest.ts';
import {
  afterPrefix,
  afterTierPrefix,
  IGNORE_TAG,
  isTierTag,
  looksMeant,
  MANAGE_TAG,
  OBSERVE_TAG,
  optsIn,
} from './tags.ts';

/** Which policy a container gets, and why. */

/** What a policy is chosen by. Name and tags are the container owner's text. */
export interface Identity {
  readonly vmid: Vmid;
  readonly name: string;
  readonly tags: readonly string[];
  /** Left out for a container. */
  readonly kind?: 'qemu';
}

const inLowerCase = (identity: Identity): Identity =>
  identity.tags.length === 0
    ? identity
    : { ...identity, tags: identity.tags.map((tag) => tag.toLowerCase()) };

/** How the container is named, as the end of a sentence; undefined if it is not. */
type Way = (containers: Selector, identity: Identity) => string | undefined;

/** A plain loop: a callback for each of hundreds of ids costs several times as much. */
const byId: Way = ({ ids }, { vmid }) => {
  for (const { from, to } of ids) {
    if (vmid < from || vmid > to) continue;
    return from === to ? 'by its id' : `by the ids ${from}-${to}`;
  }
  return undefined;
};

const byName: Way = ({ names }, { name }) => {
  const pattern = names.find((one) => matchesGlob(one, name));
  return pattern === undefined ? undefined : `by the name ${pattern}`;
};

const byTag: Way = ({ tags }, identity) => {
  const tag = tags.find((one) => identity.tags.includes(one));
  return tag === undefined ? undefined : `by tag:${tag}`;
};

/** How any entry of a list names it; its tags are in lower case. */
export const namedIn: Way = (list, identity) =>
  byId(list, identity) ?? byName(list, identity) ?? byTag(list, identity);

type WayIn = (tier: Tier, identity: Identity) => string | undefined;

const asListed =
  (way: Way): WayIn =>
  ({ containers, machines }, identity) =>
    way(identity.kind === 'qemu' ? machines : containers, identity);

const byOwnTag: WayIn = ({ ownTag }, { tags }) =>
  tags.includes(ownTag) ? `by its tag ${ownTag}` : undefined;

/**
 * The ways into a tier, the strongest first. Within one, the section that stands first wins. What
 * the admin wrote down comes before what a container's owner can write, unless the admin says
 * otherwise.
 */
const WAYS: readonly WayIn[] = [asListed(byId), asListed(byName), byOwnTag, asListed(byTag)];
/** Without the tag that a container's owner alone decides on. */
const LISTED: readonly WayIn[] = [asListed(byId), asListed(byName), asListed(byTag)];
const WAYS_TAGS_FIRST: readonly WayIn[] = [
  byOwnTag,
  asListed(byId),
  asListed(byName),
  asListed(byTag),
];

interface Claim {
  readonly tier: Tier;
  readonly how: string;
}

/**
 * The tiers that a container is in by the strongest way that leads to any, in their order; no more
 * than `most` of them. It is asked for each container in each cycle.
 */
function claimsOf(
  { tiers, tagsFirst }: ConfigOnNode,
  identity: Identity,
  most: number,
  ways = tagsFirst ? WAYS_TAGS_FIRST : WAYS,
): Claim[] {
  const claims: Claim[] = [];
  for (const way of ways) {
    for (const tier of tiers) {
      const how = way(tier, identity);
      if (how !== undefined && claims.push({ tier, how }) === most) return claims;
    }
    if (claims.length > 0) break;
  }
  return claims;
}

function whyIgnored(config: ConfigOnNode, identity: Identity): string | undefined {
  const { managed } = config;
  const { tags } = identity;
  const named = whyNamedToIgnore(config, identity);
  if (named !== undefined) return named;
  if (managed === 'listed') {
    const why = 'no tier and no group lists it, and `manage: listed` is set';
    return isListed(config, identity) ? undefined : why;
  }
  if (tags.some(optsIn)) return undefined;
  if (managed === 'tagged')
    return `it does not have the tag ${MANAGE_TAG}, and \`manage: tagged\` is set`;
  if (isAskedFor(config, identity)) return undefined;
  return 'virtual machines are not managed: `manage_vms` is not set, and no tier lists it';
}

/** Why somebody wants it left alone, be it by the file or by a tag. */
function whyNamedToIgnore({ ignored }: ConfigOnNode, identity: Identity): string | undefined {
  const listed = namedIn(ignored, identity);
  if (listed === 'by its id') return 'listed in ignore_lxc';
  if (listed !== undefined) return `listed in ignore_lxc, ${listed}`;
  return identity.tags.includes(IGNORE_TAG) ? `it has the tag ${IGNORE_TAG}` : undefined;
}

/** The same of a guest as its configuration has it; that nobody asks for it is not among it. */
export const whyLeftAlone = (config: ConfigOnNode, container: Identity): string | undefined =>
  whyNamedToIgnore(config, inLowerCase(container));

/**
 * Whether the file names it, be it as one of a group. The tag of a group is not enough: its owner
 * can set that too.
 */
const isListed = (config: ConfigOnNode, identity: Identity): boolean =>
  claimsOf(config, identity, 1, LISTED).length > 0 ||
  (identity.kind !== 'qemu' && isOfGroup(config, identity));

const isOfGroup = ({ groups }: ConfigOnNode, { vmid }: Identity): boolean =>
  groups.some(
    ({ source, members }) =>
      vmid === source || members.some(({ from, to }) => vmid >= from && vmid <= to),
  );

/** A virtual machine is managed only if somebody wants it to be. */
const isAskedFor = (config: ConfigOnNode, identity: Identity): boolean =>
  identity.kind !== 'qemu' || config.manageVms || claimsOf(config, identity, 1).length > 0;

const isEmpty = ({ ids, names, tags }: Selector): boolean =>
  ids.length + names.length + tags.length === 0;

/** Which virtual machines are looked at. Those that are not are only counted. */
export const machineWishes = (config: ConfigOnNode) => ({
  anyNamed: config.manageVms || config.tiers.some(({ machines }) => !isEmpty(machines)),
  isWanted: (machine: Identity): boolean => {
    const identity = inLowerCase(machine);
    if (config.managed === 'listed') return isListed(config, identity);
    return identity.tags.some(optsIn) || isAskedFor(config, identity);
  },
  mayBeWanted: (vmid: Vmid): boolean =>
    (config.manageVms && config.managed !== 'listed') ||
    config.tiers.some(({ machines }) => mayMean(machines, vmid)),
});

/** A name or a tag may be of it too. */
const mayMean = (machines: Selector, vmid: Vmid): boolean =>
  machines.names.length + machines.tags.length > 0 ||
  byId(machines, { vmid, name: '', tags: [] }) !== undefined;

/** For looking only, as a rollback does: also at those that nobody wants managed any more. */
export const seeingAll = (config: Config): Config => ({
  ...config,
  managed: 'all',
  manageVms: true,
});

/** What keeps a container from being changed; undefined if nothing does. */
function whyOnlyObserved(
  { onlyObserved }: ConfigOnNode,
  { scaling }: ContainerPolicy,
  { tags }: Identity,
): string | undefined {
  if (onlyObserved !== undefined) return onlyObserved;
  if (tags.includes(OBSERVE_TAG)) return `its tag ${OBSERVE_TAG}`;
  return scaling === 'observe' ? '`scaling_mode: observe`' : undefined;
}

/** The container's tags `autoscale-tier-NAME` that no section answers to. */
const strayTierTags = ({ tiers }: Config, { tags }: Identity): readonly string[] =>
  tags.filter((tag) => isTierTag(tag) && !tiers.some(({ ownTag }) => ownTag === tag));

/**
 * Whether and how a container is managed. In this order: `ignore_lxc` or the tag
 * `autoscale-ignore`; where `manage` is `tagged`, whether a tag opts it in; where it is `listed`,
 * whether the file names it, for which no tag of its own is enough; a tier with its id or a range
 * around it; one with its name or a pattern on it; its tag `autoscale-tier-NAME`, which comes
 * first of these where `tags_first` is set; one with `tag:` and a tag of it; `DEFAULT`. Where two
 * tiers have it in the same way, the first in the file counts. The tag `autoscale-observe` goes
 * with any policy, and so does `scaling_mode: observe`.
 */
export function manage(config: ConfigOnNode, container: Identity): Management {
  const identity = inLowerCase(container);
  const ignored = whyIgnored(config, identity);
  if (ignored !== undefined) return { kind: 'ignored', because: ignored };
  const claim = claimsOf(config, identity, 1)[0];
  const policy = claim?.tier.policy ?? config.defaults;
  const observing = whyOnlyObserved(config, policy, identity);
  const why = claim === undefined ? 'since it is in no tier' : claim.how;
  const strays = strayTierTags(config, identity).map((tag) => `; no tier answers to ${shown(tag)}`);
  const only = observing === undefined ? '' : `; only observed, by ${observing}`;
  return {
    kind: 'managed',
    policy,
    mode: observing === undefined ? 'act' : 'observe',
    because: `${policy.source}, ${why}${strays.join('')}${only}`,
  };
}

/** Text of a container's owner, on one line. */
const shown = (tag: string): string => printable(tag, 60);

/**
 * What an admin should know of how a container's policy was found, each a sentence that goes on
 * from its name: other tiers that have it in the same way, tags that mean nothing.
 */
export function remarksOn(config: ConfigOnNode, container: Identity): readonly string[] {
  const identity = inLowerCase(container);
  const remarks: string[] = [];
  const [first, ...others] = claimsOf(config, identity, config.tiers.length);
  const ignored = whyIgnored(config, identity) !== undefined;
  for (const { tier, how } of first === undefined || ignored ? [] : others) {
    const counts = `${first?.tier.name} counts, since it stands first`;
    remarks.push(`is in ${first?.tier.name} ${first?.how} and in ${tier.name} ${how}; ${counts}`);
  }
  const tierTags = config.tiers.map(({ ownTag }) => ownTag);
  for (const tag of strayTierTags(config, identity)) {
    const hint = hintFor(tag, tierTags, afterTierPrefix);
    remarks.push(`has the tag ${shown(tag)}, which no TIER_ section answers to${hint}`);
  }
  const groupTags = config.groups.map((group) => group.tag.toLowerCase());
  for (const tag of identity.tags) {
    if (!looksMeant(tag) || groupTags.includes(tag)) continue;
    const hint = hintFor(tag, [IGNORE_TAG, OBSERVE_TAG, ...tierTags], afterPrefix);
    remarks.push(`has the tag ${shown(tag)}, which has no meaning${hint}`);
  }
  return remarks;
}

/** Compared without what all of them begin with, which would make any two of them look alike. */
function hintFor(tag: string, words: readonly string[], bare: (tag: string) => string): string {
  const bareWord = closest(bare(tag), words.map(bare));
  const word = words.find((one) => bare(one) === bareWord);
  return word === undefined ? '' : `; did you mean ${word}?`;
}

/** What the host keeps for itself. */
export const hostPolicy = (config: Config): HostPolicy => config.host;

/** What flags on the command line put over the file. Whoever reads the flags checks them. */
export interface Overrides {
  /** Within `POLL_INTERVAL_SECONDS` of the schema. */
  readonly pollIntervalSeconds?: number | undefined;
  readonly energyMode?: boolean | undefined;
  readonly debug?: boolean | undefined;
}

/** A new frozen configuration; what is not given stays as the file has it. */
export function applyOverrides(config: Config, overrides: Overrides): Config {
  const { pollIntervalSeconds, energyMode, debug } = overrides;
  const pollIntervalMs =
    pollIntervalSeconds === undefined ? config.pollIntervalMs : secondsToMs(pollIntervalSeconds);
  return Object.freeze({
    ...config,
    pollIntervalMs,
    sampleIntervalMs: sampleInterval(config.sampleIntervalMs, pollIntervalMs),
    energyMode: energyMode ?? config.energyMode,
    ...(debug === true && { logLevel: 'debug' as const, componentLogLevels: {} }),
  });
}
