import { missing } from '../reading.ts';
import { type Milliseconds, ratio, type Vmid } from '../units.ts';
import type { GroupPolicy } from './group-policy.ts';
import { type GroupState, type MemberMemory, memoryOf } from './group-state.ts';
import type { GroupGuest, GroupView, MemberLife } from './group-view.ts';

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
  /** Made by this program for this group, with its mark untouched, and on this node. */
  readonly ours: boolean;
}

const NO_LIFE: MemberLife = {
  running: undefined,
  load: missing('absent', 'it is not on this node'),
  atLimit: { cpu: false, memory: false },
};

/** Members in the order of their ids. Remembers since when each is as it is. */
export function membersOf(
  policy: GroupPolicy,
  { cluster, lives }: GroupView,
  state: GroupState,
  nowMs: Milliseconds,
): readonly Member[] {
  const members: Member[] = [];
  for (const [vmid, reading] of [...cluster.guests].sort(([a], [b]) => a - b)) {
    if (!reading.ok || !belongs(policy, reading.value)) continue;
    const guest = reading.value;
    const here = guest.node === cluster.node;
    const ours = here && isOurs(policy, guest);
    const life = here ? (lives.get(vmid) ?? NO_LIFE) : NO_LIFE;
    const memory = memoryOf(state, vmid);
    const role = here ? roleOf(guest, life, memory, ours) : 'elsewhere';
    remember(memory, role, life.running, nowMs);
    members.push({ guest, life, memory, role, ours });
  }
  forgetOthers(state, members);
  return members;
}

const isListed = ({ listed }: GroupPolicy, vmid: Vmid): boolean =>
  listed.some(({ from, to }) => vmid >= from && vmid <= to);

/** A template never serves. What is half-made bears the tags of its source still. */
function belongs(policy: GroupPolicy, guest: GroupGuest): boolean {
  if (guest.template) return false;
  if (isListed(policy, guest.vmid) || guest.tags.includes(policy.tag)) return true;
  return guest.marker?.group === policy.label && guest.marker.state === 'cloning';
}

export function isOurs(policy: GroupPolicy, { marker, tags, vmid }: GroupGuest): boolean {
  if (marker?.group !== policy.label || vmid === policy.source) return false;
  if (isListed(policy, vmid)) return false;
  return marker.state === 'cloning' || tags.includes(policy.tag);
}

function roleOf(
  { marker }: GroupGuest,
  { running }: MemberLife,
  { unhealthy }: MemberMemory,
  ours: boolean,
): Role {
  if (ours && marker?.state === 'cloning') return 'half-made';
  if (running === undefined) return 'unknown';
  if (ours && marker?.state === 'new') return 'new';
  if (ours && marker?.state === 'failed') return 'failed';
  if (ours && marker?.state === 'leaving') return running ? 'leaving' : 'parked';
  if (!running) return 'stopped';
  return unhealthy ? 'unhealthy' : 'serving';
}

function remember(
  memory: MemberMemory,
  role: Role,
  running: boolean | undefined,
  nowMs: Milliseconds,
): void {
  if (role === 'elsewhere' || running === undefined) return;
  const serves = role === 'serving' || role === 'unhealthy';
  memory.startedMs = role === 'new' && running ? (memory.startedMs ?? nowMs) : undefined;
  memory.servingMs = serves ? (memory.servingMs ?? nowMs) : undefined;
  memory.stoppedMs = role === 'stopped' ? (memory.stoppedMs ?? nowMs) : undefined;
  if (running) return;
  memory.passed = 0;
  memory.failed = 0;
  memory.unhealthy = false;
}

/** What is gone is forgotten, but for what is reserved and not there yet. */
function forgetOthers({ members, reservation }: GroupState, seen: readonly Member[]): void {
  const here = new Set(seen.map(({ guest }) => guest.vmid));
  for (const vmid of members.keys()) {
    if (!here.has(vmid) && vmid !== reservation?.vmid) members.delete(vmid);
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
