/**
 * The tags on a container that this program answers to. They are compared in lower case, as
 * Proxmox VE keeps tags unless it is told otherwise.
 */

const PREFIX = 'autoscale-';
const TIER_TAG_PREFIX = `${PREFIX}tier-`;

export const IGNORE_TAG = 'autoscale-ignore';
export const OBSERVE_TAG = 'autoscale-observe';
/** Opts a container in where `manage` is `tagged`. */
export const MANAGE_TAG = 'autoscale';

/** What Proxmox VE takes for a tag. Source: pve-tag of its JSONSchema, with a bound on length. */
export const isTag = (text: string): boolean => /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$/.test(text);

/** The tag that puts a container into the tier: `autoscale-tier-web` for `TIER_Web`. */
export const tierTag = (section: string): string =>
  TIER_TAG_PREFIX + section.replace(/^TIER_/, '').toLowerCase();

/** True for any `autoscale-tier-NAME`, whether there is such a tier or not. */
export const isTierTag = (tag: string): boolean => tag.startsWith(TIER_TAG_PREFIX);

/** True where a tag asks for this container to be managed. */
export const optsIn = (tag: string): boolean =>
  tag === MANAGE_TAG || tag === OBSERVE_TAG || isTierTag(tag);

/** True for what reads as if it were meant for this program, and is no tag of a tier. */
export const looksMeant = (tag: string): boolean =>
  /^autoscale[-_.]/.test(tag) && !isTierTag(tag) && tag !== IGNORE_TAG && tag !== OBSERVE_TAG;

/** What stands behind `autoscale-`, and behind `autoscale-tier-`. */
export const afterPrefix = (tag: string): string => tag.slice(PREFIX.length);
export const afterTierPrefix = (tag: string): string => tag.slice(TIER_TAG_PREFIX.length);

/** What a group is called in host names, tags and snapshots: `web` for the section `..._Web`. */
export function groupLabel(section: string): string {
  const name = section.replace(/^HORIZONTAL_SCALING_GROUP_/, '').toLowerCase();
  const label = name
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 30);
  return label.replace(/-+$/, '') || 'group';
}

/** The tag of a group that has no `group_tag`: `autoscale-group-web`. */
export const groupTag = (section: string): string => `${PREFIX}group-${groupLabel(section)}`;
