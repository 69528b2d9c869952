import { missing } from '../reading.ts';
import { type Milliseconds, ratio, type Vmid } from '../units.ts';
import type { GroupInput } from './draft.ts';
import type { GroupPolicy } from './group-policy.ts';
import { type GroupState, type MemberMemory, memoryOf } from './group-state.ts';
import type { GroupGuest, MemberLife } from './group-view.ts';
import type { LedgerMember, MemberState } from './ledger.ts';

/** Who belongs to a group, and what each is doing there. */

export type Role =
  /** `pct clone` has not finished, or nothing was done with its clone yet. */
  | 'half-made'
  /** Made, and not in service yet. */
  | 'new'
  | 'serving'
  /** In service, and its health check fails. */
  | 'unhealthy'
  /** Not running, and not by this program. */
  | 'stopped'
  /** On its way out. */
  | 'leaving'
  /** Taken out of service, stopped, and kept to be used again. */
  | 'parked'
  /** Never came into service, or was taken out of it since it did not do it. */
  | 'failed'
  /** On another node, where nothing is seen of it. */
  | 'elsewhere'
  /** Whether it runs could not be read. */
  | 'unknown';

export interface Member {
  readonly guest: GroupGuest;
  readonly life: MemberLife;
  readonly memory: MemberMemory;
  readonly role: Role;
  /** Made by this program, as the ledger says; undefined: by others, and listed. */
  readonly entry: LedgerMember | undefined;
  /** Made by this program, kept by nobody, and on this node: it may be stopped and destroyed. */
  readonly ours: boolean;
}

const NO_LIFE: MemberLife = {
  running: undefined,
  load: missing('absent', 'it is not on this node'),
  atLimit: { cpu: false, memory: false },
};

/** Where a container is told to be a member, and whom no group may touch. */
export type Claims = Pick<GroupInput, 'policy' | 'sources'>;

/**
 * Members in the order of their ids. Remembers since when each is as it is.
 *
 * @param proven as `recognise` has found them
 */
export function membersOf(
  { policy, sources, view, state, now }: GroupInput,
  proven: ReadonlyMap<Vmid, LedgerMember>,
): readonly Member[] {
  const { cluster, lives } = view;
  const members: Member[] = [];
  for (const [vmid, reading] of [...cluster.guests].sort(([a], [b]) => a - b)) {
    const entry = proven.get(vmid);
    if (!reading.ok || !belongs(policy, reading.value, entry)) continue;
    const guest = reading.value;
    const here = guest.node === cluster.node;
    const ours = here && entry !== undefined && isOurs({ policy, sources }, guest, entry);
    const life = here ? (lives.get(vmid) ?? NO_LIFE) : NO_LIFE;
    const memory = memoryOf(state, vmid);
    const role = here ? roleOf(life, memory, ours ? entry.state : undefined) : 'elsewhere';
    remember(memory, role, life, now.ms);
    members.push({ guest, life, memory, role, entry, ours });
  }
  forgetOthers(state, members);
  return members;
}

const isListed = ({ listed }: GroupPolicy, vmid: Vmid): boolean =>
  listed.some(({ from, to }) => vmid >= from && vmid <= to);

/** Those that the configuration lists, and those of the ledger. A template never serves. */
function belongs(
  policy: GroupPolicy,
  { vmid, template }: GroupGuest,
  entry: LedgerMember | undefined,
): boolean {
  if (template) return false;
  return isListed(policy, vmid) || (entry !== undefined && vmid !== policy.source);
}

/**
 * Whether a container of the ledger may be stopped and destroyed. Not where the configuration lists
 * it, if it is the source of some group, or if somebody has taken its tag away to keep it.
 */
export function isOurs(
  { policy, sources }: Claims,
  { vmid, tags, template }: GroupGuest,
  { state }: LedgerMember,
): boolean {
  if (vmid === policy.source || sources.has(vmid) || isListed(policy, vmid)) return false;
  return !template && (state === 'cloning' || tags.includes(policy.tag));
}

/** @param state of what is ours */
function roleOf(
  { running, frozen }: MemberLife,
  { unhealthy }: MemberMemory,
  state: MemberState | undefined,
): Role {
  if (state === 'cloning') return 'half-made';
  if (running === undefined) return 'unknown';
  if (state === 'new' || state === 'failed') return state;
  if (state === 'leaving') return running ? 'leaving' : 'parked';
  if (!running) return 'stopped';
  // One that stands still cannot pass a check, and goes on with its service afterwards.
  return unhealthy && frozen !== true ? 'unhealthy' : 'serving';
}

function remember(
  memory: MemberMemory,
  role: Role,
  { running, frozen }: MemberLife,
  nowMs: Milliseconds,
): void {
  if (role === 'elsewhere' || running === undefined) return;
  const serves = role === 'serving' || role === 'unhealthy';
  // The time to become ready does not run while it stands still.
  const startedMs = frozen === true ? nowMs : (memory.startedMs ?? nowMs);
  memory.startedMs = role === 'new' && running ? startedMs : undefined;
  memory.servingMs = serves ? (memory.servingMs ?? nowMs) : undefined;
  memory.stoppedMs = role === 'stopped' ? (memory.stoppedMs ?? nowMs) : undefined;
  if (running) return;
  memory.passed = 0;
  memory.failed = 0;
  memory.unhealthy = false;
}

/** What is gone is forgotten, but for what is reserved and not there yet. */
function forgetOthers(state: GroupState, seen: readonly Member[]): void {
  const { members, reservation } = state;
  const here = new Set<number>(seen.map(({ guest }) => guest.vmid));
  for (const vmid of members.keys()) {
    if (here.has(vmid) || vmid === reservation?.vmid) continue;
    members.delete(vmid);
    // Whoever has the id next has failed in nothing yet.
    for (const key of state.failures.keys()) {
      if (key.endsWith(`/${vmid}`)) state.failures.delete(key);
    }
  }
}

/** In service long enough that its load means something. */
export const isWarm = ({ role, memory }: Member, policy: GroupPolicy, nowMs: number): boolean =>
  role === 'serving' &&
  memory.servingMs !== undefined &&
  nowMs - memory.servingMs >= policy.warmupMs;

/** The mean over what could be read. */
export function meanLoad(members: readonly Member[]): {
  readonly readable: readonly Member[];
  readonly cpu: number;
  readonly memory: number;
} {
  const readable = members.filter(({ life }) => life.load.ok);
  const mean = (of: 'cpu' | 'memory'): number => {
    const sum = readable.reduce(
      (all, { life }) => all + (life.load.ok ? life.load.value[of] : 0),
      0,
    );
    return ratio(readable.length === 0 ? 0 : sum / readable.length);
  };
  return { readable, cpu: mean('cpu'), memory: mean('memory') };
}
