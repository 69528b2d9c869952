import type { GroupPolicy } from './group-policy.ts';
import type { GroupGuest } from './group-view.ts';

/**
 * What this program writes into descriptions, for people. Others can write descriptions too, so
 * nothing is ever done on account of one: the ledger alone says which containers are members.
 */

const madeFor = ({ label, tag }: GroupPolicy): string =>
  [
    `Made by lxc-autoscale for its group ${label}, which may stop or destroy this container.`,
    `To keep it, take its tag ${tag} away.`,
  ].join('\n');

export const memberDescription = (policy: GroupPolicy): string => madeFor(policy);

/** While it is cloned, it also bears what tells it from a container of others with its id. */
export const cloneDescription = (policy: GroupPolicy, nonce: string): string =>
  `${madeFor(policy)}\n${nonceLine(nonce)}`;

/** In the description of a clone, by which it is told while its identity is not known. */
export const nonceLine = (nonce: string): string => `lxc-autoscale: reservation ${nonce}`;

/** Whether it came of the `pct clone` with this nonce, which nobody could know before. */
export const bearsNonce = (
  { description }: Pick<GroupGuest, 'description'>,
  nonce: string,
): boolean => description.includes(nonceLine(nonce));

export const snapshotDescription = ({ label }: GroupPolicy): string =>
  `Made by lxc-autoscale to clone this container for its group ${label}; removed afterwards.`;

/** By what a container claims to be a member, be it true or not; undefined: it does not. */
export function claimOf({ label, tag }: GroupPolicy, guest: GroupGuest): string | undefined {
  if (guest.tags.includes(tag)) return 'its tag';
  const line = new RegExp(`^lxc-autoscale: group=${label} vmid=`);
  const own = `lxc-autoscale for its group ${label},`;
  const says = guest.description.some((text) => line.test(text) || text.includes(own));
  return says ? 'its description' : undefined;
}
