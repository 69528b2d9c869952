import { NODE_NAME } from './node-name.ts';
import type { Reading } from './reading.ts';
import { type Milliseconds, milliseconds } from './units.ts';

/**
 * Nodes that are looked after because they are in the cluster of one that is named (`discover`). A
 * newly found one is only observed until it was seen for a whole day, whatever clocks say.
 */

export interface FoundNode {
  /** As its cluster calls it. */
  readonly name: string;
  /** The entry of `NODES` whose cluster it is of. */
  readonly by: string;
  /** Its address, where each node is reached by its own. */
  readonly host?: string;
  /** For how long it was seen, all times together. */
  readonly seenMs: Milliseconds;
}

/** What a node tells of the cluster that it is in. */
export interface ClusterSeen {
  /** What it is called there. */
  readonly own: string;
  /** All of its nodes, the one that tells included. */
  readonly members: readonly Member[];
  readonly isQuorate: boolean;
}

export type Member = Pick<FoundNode, 'name' | 'host'>;

export type SeesCluster = () => Reading<ClusterSeen>;

const DAY_MS = 86_400_000;
/** No cluster of Proxmox VE is larger; what tells of more nodes is no cluster. */
export const MOST_FOUND = 64;

/** For how long a node is still only observed. */
export const leftToObserve = ({ seenMs }: FoundNode): Milliseconds =>
  milliseconds(Math.max(0, DAY_MS - seenMs));

/**
 * @param sinceMs the time since it was seen before
 * @param intervalMs from cycle to cycle; a gap speaks for two of them at most
 * @param mayEnd whether its day may be over
 */
export function seenFor(
  node: FoundNode,
  { sinceMs, intervalMs }: { readonly sinceMs: number; readonly intervalMs: number },
  mayEnd: boolean,
): FoundNode {
  const seenMs = node.seenMs + Math.min(Math.max(0, sinceMs), 2 * intervalMs);
  const most = mayEnd || node.seenMs >= DAY_MS ? DAY_MS : DAY_MS - 60_000;
  return { ...node, seenMs: milliseconds(Math.min(seenMs, most)) };
}

/** `23 h 10 min`. */
export function leftWords(leftMs: number): string {
  const minutes = Math.ceil(leftMs / 60_000);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `found by lab; only observed for another 23 h 10 min`. */
export const foundWords = (by: string, leftMs: number): string =>
  leftMs === 0
    ? `found by ${by}`
    : `found by ${by}; only observed for another ${leftWords(leftMs)}`;

/** What becomes of the other nodes of a cluster. */
export interface Sorted {
  readonly fresh: readonly FoundNode[];
  /** Those whose name is of a node that is looked after already. */
  readonly known: readonly string[];
  /** Names that no node can have. */
  readonly odd: readonly string[];
  /** How many were left out, since there are too many. */
  readonly tooMany: number;
}

/** @param isTaken whether a node of this name or address is looked after otherwise */
export function sortOut(
  { own, members }: ClusterSeen,
  by: string,
  found: readonly FoundNode[],
  isTaken: (member: Member) => boolean,
): Sorted {
  const others = members.filter(({ name }) => name !== own);
  // A name becomes part of paths.
  const [named, odd] = [others.filter(isNamed), others.filter((one) => !isNamed(one))];
  const isMine = (member: Member): boolean =>
    found.some((one) => one.by === by && isSameName(one.name, member.name));
  const isFound = (member: Member): boolean =>
    found.some((one) => isSameName(one.name, member.name) || isSameHost(one, member));
  const strange = named.filter((member) => !isMine(member));
  const free = strange.filter((member) => !isTaken(member) && !isFound(member));
  const fresh = free.slice(0, Math.max(0, MOST_FOUND - found.length));
  return {
    fresh: fresh.map(({ name, host }) => {
      return { name, by, ...(host !== undefined && { host }), seenMs: milliseconds(0) };
    }),
    known: strange.filter((member) => !free.includes(member)).map(({ name }) => name),
    odd: odd.map(({ name }) => name),
    tooMany: free.length - fresh.length,
  };
}

const isNamed = ({ name }: Member): boolean => NODE_NAME.test(name);

export const isSameName = (one: string, other: string): boolean =>
  one.toLowerCase() === other.toLowerCase();

const isSameHost = (one: Member, other: Member): boolean =>
  one.host !== undefined && one.host === other.host;
