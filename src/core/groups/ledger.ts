import { type GuestIdentity, isSameGuest, parseGuestIdentity } from '../identity.ts';
import { missing, present, type Reading } from '../reading.ts';
import { parseVmid, type Vmid } from '../units.ts';
import { bearsNonce } from './description.ts';
import type { GroupGuest } from './group-view.ts';

/**
 * The members of a group and the snapshots of its source that this program made. The ledger is kept
 * where only root can write, and it alone makes a container a member: descriptions, tags and names
 * can be written by others. An entry is written before `pct clone` is started.
 */
export interface GroupLedger {
  readonly members: Map<Vmid, LedgerMember>;
  /** By name. */
  readonly snapshots: Map<string, LedgerSnapshot>;
}

export const MEMBER_STATES = ['cloning', 'new', 'serving', 'leaving', 'failed'] as const;

/**
 * `cloning`: reserved, and perhaps cloned, but not configured yet. `new`: configured, on its way
 * into service. `leaving`: on its way out, or kept for reuse once it is stopped. `failed`: it never
 * came into service, or fails its health check.
 */
export type MemberState = (typeof MEMBER_STATES)[number];

export interface LedgerMember {
  readonly vmid: Vmid;
  /** Where it was seen last. */
  readonly node: string;
  /** Random; the clone bears it in its description until it is configured. */
  readonly nonce: string;
  readonly state: MemberState;
  /** Whether it was ever in service. */
  readonly served: boolean;
  /** Seconds since 1970. */
  readonly madeS: number;
  /** The address that it was given; undefined: by DHCP. */
  readonly address: string | undefined;
  /** undefined until the clone was seen whole. */
  readonly identity: GuestIdentity | undefined;
}

export interface LedgerSnapshot {
  readonly name: string;
  readonly source: Vmid;
  readonly madeS: number;
  /** `snaptime:` as it was first seen. */
  readonly snaptime: string | undefined;
}

/** Longer than any command on a snapshot may take. */
export const SNAPSHOT_LIMIT_MS = 2_000_000;

export const newLedger = (): GroupLedger => ({ members: new Map(), snapshots: new Map() });

export const LEDGER_VERSION = 1;

export const ledgerText = (group: string, ledger: GroupLedger): string => {
  const members = [...ledger.members.values()];
  const snapshots = [...ledger.snapshots.values()];
  return `${JSON.stringify({ version: LEDGER_VERSION, group, members, snapshots }, null, 1)}\n`;
};

/**
 * Whether the container is the one that the entry was made for. Until its identity is known only
 * what the very `pct clone` has written tells it from a container of others with its id.
 */
export const isEntryOf = (
  { identity, nonce }: LedgerMember,
  guest: Pick<GroupGuest, 'config' | 'description'>,
): boolean =>
  identity === undefined ? bearsNonce(guest, nonce) : isSameGuest(identity, guest.config.identity);

/** Of the names of files in their directory, the groups whose ledgers they are. */
export const ledgersIn = (names: readonly string[]): readonly string[] =>
  names
    .filter((name) => /^[a-z0-9][a-z0-9-]*\.json$/.test(name))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();

/** A file that is not whole counts for nothing: half of a ledger would lose members. */
export function parseLedger(group: string, text: string): Reading<GroupLedger> {
  const wrong = (what: string) => missing('malformed', what);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return wrong('it is no JSON');
  }
  if (!isObject(content) || content['version'] !== LEDGER_VERSION) {
    return wrong(`it is no ledger of version ${LEDGER_VERSION}`);
  }
  const { group: named, members, snapshots } = content;
  if (named !== group) return wrong('it is the ledger of another group');
  if (!Array.isArray(members) || !Array.isArray(snapshots)) return wrong('it is not whole');
  const ledger = newLedger();
  for (const value of members) {
    const member = memberFrom(value);
    if (member === undefined || ledger.members.has(member.vmid)) {
      return wrong('an entry of a member is not whole');
    }
    ledger.members.set(member.vmid, member);
  }
  for (const value of snapshots) {
    const snapshot = snapshotFrom(value);
    if (snapshot === undefined) return wrong('an entry of a snapshot is not whole');
    ledger.snapshots.set(snapshot.name, snapshot);
  }
  return present(ledger);
}

function memberFrom(value: unknown): LedgerMember | undefined {
  if (!isObject(value)) return undefined;
  const { node, nonce, served, madeS, address, identity } = value;
  const vmid = idOf(value['vmid']);
  const state = MEMBER_STATES.find((one) => one === value['state']);
  if (vmid === undefined || state === undefined) return undefined;
  if (!isName(node) || !isNonce(nonce) || typeof served !== 'boolean') return undefined;
  if (!isTime(madeS) || !(address === undefined || isAddress(address))) return undefined;
  const known = identity === undefined ? undefined : parseGuestIdentity(identity);
  if (identity !== undefined && known === undefined) return undefined;
  // Only what is still being cloned may be unknown: nothing else could be told from a stranger.
  if (state !== 'cloning' && known === undefined) return undefined;
  return { vmid, node, nonce, state, served, madeS, address, identity: known };
}

function snapshotFrom(value: unknown): LedgerSnapshot | undefined {
  if (!isObject(value)) return undefined;
  const { name, madeS, snaptime } = value;
  const source = idOf(value['source']);
  if (!isName(name) || source === undefined || !isTime(madeS)) return undefined;
  if (!(snaptime === undefined || isName(snaptime))) return undefined;
  return { name, source, madeS, snaptime };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** What a ledger takes for the name of a node or a snapshot. */
export const isName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= 255;
export const isNonce = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
const isTime = (value: unknown): value is number => Number.isSafeInteger(value);
export const isAddress = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9]{1,3}(\.[0-9]{1,3}){3}$/.test(value);
const idOf = (value: unknown): Vmid | undefined =>
  typeof value === 'number' ? parseVmid(String(value)) : undefined;
