import type { GroupPolicy } from './group-policy.ts';
import type { GroupState } from './group-state.ts';
import type { Member, Role } from './members.ts';
import type { GroupPlan } from './reconcile.ts';
import { keyWords, type Step, stepWords } from './step.ts';

/** Where a group stands, for `status` and `explain`. Plain data, as it goes over the socket. */

export interface GroupReport {
  readonly label: string;
  /** The further node that it is on; left out: the one that the program runs on. */
  readonly node?: string;
  readonly source: number;
  readonly wanted: number | null;
  readonly inService: number;
  readonly min: number;
  readonly max: number;
  readonly scaleIn: 'off' | 'stop' | 'destroy';
  /** One sentence without its full stop. */
  readonly standing: string;
  readonly members: readonly MemberReport[];
  /** Steps under way, in words. */
  readonly underWay: readonly string[];
  /** What a person should know. */
  readonly notes: readonly string[];
  /** What has failed, how often in a row, and when it is tried again. */
  readonly failures: readonly {
    readonly what: string;
    readonly count: number;
    readonly retryInS: number;
    /** What was said last; empty if that is not known. */
    readonly message: string;
  }[];
}

export interface MemberReport {
  readonly vmid: number;
  readonly name: string;
  readonly role: Role;
  readonly ours: boolean;
  readonly address: string | null;
  /** In percent of what it may use; null if it is not known. */
  readonly cpuPercent: number | null;
  readonly memoryPercent: number | null;
  /** Why it was made, or goes; what its health check complains of. */
  readonly says: string;
}

export function groupReport(
  policy: GroupPolicy,
  { members, notes, standing }: GroupPlan,
  state: GroupState,
  underWay: readonly Step[],
  nowMs: number,
): GroupReport {
  return {
    label: policy.label,
    source: policy.source,
    wanted: state.desired ?? null,
    inService: members.filter(({ role }) => role === 'serving').length,
    min: policy.minInstances,
    max: policy.maxInstances,
    scaleIn: policy.scaleIn,
    standing,
    members: members.map(memberReport),
    underWay: underWay.map(stepWords),
    notes: notes.map(({ text }) => text),
    failures: [...state.failures].map(([key, { count, retryAtMs, message }]) => ({
      what: keyWords(key),
      count,
      retryInS: Math.max(0, Math.ceil((retryAtMs - nowMs) / 1000)),
      message: message ?? '',
    })),
  };
}

function memberReport({ guest, role, ours, life, memory, entry }: Member): MemberReport {
  const { load } = life;
  const percent = (share: number): number => Math.round(share * 100);
  const configured = /(?:^|,)ip=([0-9.]+)\//.exec(guest.nets.get('net0') ?? '')?.[1];
  return {
    vmid: guest.vmid,
    name: guest.hostname,
    role,
    ours,
    address: configured ?? entry?.address ?? null,
    cpuPercent: load.ok ? percent(load.value.cpu) : null,
    memoryPercent: load.ok ? percent(load.value.memory) : null,
    says: [memory.reason, memory.complaint].filter((text) => text !== '').join('; '),
  };
}
