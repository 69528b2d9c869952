import type { Allocation } from '../core/allocation.ts';
import type { Capabilities } from '../core/capabilities.ts';
import type { Connection } from '../core/connection.ts';
import type { FailureWhy } from '../core/failure-why.ts';
import type { ClusterView, SnapshotSeen } from '../core/groups/group-view.ts';
import type { GroupLedger } from '../core/groups/ledger.ts';
import type { CgroupSample, Glance, GuestConfig, HostObservation } from '../core/observation.ts';
import type { Reading } from '../core/reading.ts';
import type { TemporaryRecord } from '../core/temporary.ts';
import type { Bytes, Cores, Mib, Milliseconds, Vmid } from '../core/units.ts';

/**
 * The seam to a node: what can be seen of it, and what can be done to it. A backend implements
 * this; besides the ports of `ports.ts` it is the only place where a test may stand in for the
 * world.
 */

export interface Clock {
  /** For people: milliseconds since 1970, may jump. */
  wallMs(): Milliseconds;
  /** For rates and timers: never goes back. */
  monotonicMs(): Milliseconds;
}

/** The configurations of the node's own containers. Reads files, starts nothing. */
export interface Guests {
  /**
   * Every container of this node, its configuration read anew only where it has changed.
   * Missing as a whole when `/etc/pve` cannot be read.
   */
  list(): Reading<ReadonlyMap<Vmid, Reading<GuestConfig>>>;
  /** Whether it is a virtual machine, also while its configuration cannot be read. */
  isMachine?(vmid: Vmid): boolean;
  /** One configuration read from the file now, with its whole text. */
  read(vmid: Vmid): Reading<GuestFile>;
  /** Whether configurations can be written; true also for a node that stands alone. */
  quorum(): Reading<boolean>;
}

export interface GuestFile {
  readonly config: GuestConfig;
  /** The file byte for byte, as the digest was made of it. */
  readonly content: Uint8Array;
}

/** A guest of this node as its configuration has it now, be it looked after or not. */
export interface GuestNow extends GuestFile {
  /** The live section. */
  readonly values: ReadonlyMap<string, string>;
  /** Of its disks by their keys, in MiB; without those whose size does not stand there. */
  readonly sizes: ReadonlyMap<string, Mib>;
  /** Lines of the description, decoded. */
  readonly description: readonly string[];
  readonly snapshots: ReadonlyMap<string, SnapshotNow>;
  readonly protection: boolean;
  /** The storages of all its volumes, and the paths of the host that it mounts. */
  readonly storages: readonly string[];
}

export interface SnapshotNow extends SnapshotSeen {
  /** What the guest had at that time, and has again after a rollback. */
  readonly memoryMib: Reading<Mib>;
  /** What it had in its memory is kept too, so that it runs after a rollback. */
  readonly hasState: boolean;
}

/** The live cgroups of running containers. Reads files, starts nothing. */
export interface Cgroups {
  /** Missing with `absent` when the container is not running. */
  sample(vmid: Vmid): Reading<CgroupSample>;
  /**
   * A look that costs a fraction of a sample. undefined: something has happened since the last
   * sample, or it cannot be told; then it is to be sampled. Left out where nothing is saved by it.
   */
  glance?(vmid: Vmid): Glance | undefined;
  /** `cpu.max` of the outer cgroup, where `cpulimit` is in force; undefined: no limit. */
  cpuLimit(vmid: Vmid): Reading<Cores | undefined>;
  /** The same of the life of the container that was sampled last: it costs a third. */
  sampledCpuLimit(vmid: Vmid): Reading<Cores | undefined>;
  /** What this node can do for guests, as one that runs shows it; undefined: this one does not. */
  capabilities(vmid: Vmid): Capabilities | undefined;
}

/** One life of a guest that is watched. */
export interface LimitWatch {
  /** As in its samples. */
  readonly identity: number;
  close(): void;
}

/** Guests that meet their own limit of memory, or are killed for it: told of as it happens. */
export interface LimitEvents {
  /**
   * Calls `tell` each time, perhaps for less than that too, until it is closed. It does not tell
   * that the guest is gone. Missing with `absent` if there is nothing to watch: it does not run, or
   * nothing is told of its kind. All else stands for a watch that cannot be had now.
   */
  watch(vmid: Vmid, onEvent: () => void): Reading<LimitWatch>;
}

/** What the kernel is asked to give up of a container's memory. */
export interface ReclaimWish {
  readonly bytes: Bytes;
  /** `memory.current` is waited for to come down to this, for a moment. */
  readonly until: Bytes;
}

export type ReclaimAnswer =
  /** It was asked for so much and gave what it could; `memory.current` shows what came of it. */
  | { readonly kind: 'asked'; readonly bytes: Bytes }
  /** This kernel cannot be asked: it is older than 5.19. */
  | { readonly kind: 'unsupported' }
  /** It can be asked, but not by us or not now. */
  | { readonly kind: 'refused'; readonly message: string };

/** Memory given up on request, by `memory.reclaim` of the outer cgroup. Sets nothing. */
export interface Reclaim {
  /** May take some seconds. Never fails for an answer that a live container gives. */
  ask(vmid: Vmid, wish: ReclaimWish): Promise<ReclaimAnswer>;
}

export type HighAnswer =
  | { readonly kind: 'held' }
  /** It cannot be written here, or not now: nothing holds growth back. */
  | { readonly kind: 'refused'; readonly message: string };

/**
 * `memory.high` of the outer cgroup, held down while a limit is lowered. Above it the kernel
 * throttles and reclaims, and kills nobody. What it was before is on record until it is back, so
 * that it never stays low, whatever ends this process.
 */
export interface MemoryHigh {
  /** Records what it is now, writes, reads back. Never raises it. */
  hold(vmid: Vmid, at: Bytes): Promise<HighAnswer>;
  /** Back to what it was, unless `pct` has written it anew since. A failure stays on record. */
  release(vmid: Vmid): Promise<WriteOutcome>;
  /** Puts back what processes that have ended held down, and says so of each. */
  releaseLeft(): Promise<readonly HighLeft[]>;
  /** How long to wait between two looks at a container that is held. */
  pause(): Promise<void>;
}

export type GuardAnswer =
  | { readonly kind: 'set'; readonly wasMib: number | undefined }
  /** It was so already. */
  | { readonly kind: 'kept' }
  /** Another process or an admin has set it; it is left alone. */
  | { readonly kind: 'others'; readonly message: string }
  /** `standsMib`: where the guard of before still stands, or may; undefined: there is none. */
  | { readonly kind: 'refused'; readonly message: string; readonly standsMib?: number | undefined };

export type GuardEnd =
  /** `isPutBack`: otherwise nothing of ours was there any more. */
  | { readonly ok: true; readonly isPutBack: boolean }
  | { readonly ok: false; readonly message: string };

/**
 * `memory.high` of the outer cgroup, held a little below the limit for as long as `memory_guard`
 * says so. What it was is on record before it is written, and until it is put back.
 */
export interface MemoryGuards {
  /** Records what it is now, writes, reads back. */
  set(vmid: Vmid, at: Bytes): Promise<GuardAnswer>;
  /** Back to what Proxmox VE sets, unless it was written anew since. A failure stays on record. */
  end(vmid: Vmid): Promise<GuardEnd>;
  /** Those that are on record. */
  standing(): readonly Vmid[];
}

export interface HighLeft {
  readonly vmid: Vmid;
  /** Why it could not be put back. */
  readonly problem?: string;
}

export interface HostView {
  observe(): HostObservation;
}

/** What a guest shall have. Only what is named is changed. */
export interface SetRequest extends Partial<Allocation> {
  readonly vmid: Vmid;
  /** SHA-1 of the configuration that this was decided on; an admin's change in between wins. */
  readonly digest: string;
  /** Memory may be lowered by a module of the machine. */
  readonly unplugs?: true;
  /** Keys that wait for the next start and are to be dropped; asked for alone. */
  readonly revert?: readonly string[];
  /** The whole of its notes, '' for none; asked for alone. */
  readonly notes?: string;
}

export type CommandOutcome =
  | { readonly kind: 'done' }
  | {
      readonly kind: 'failed';
      readonly why: FailureWhy;
      /** undefined: it was no command. */
      readonly exitCode?: number;
      /** For people. */
      readonly message: string;
    }
  | { readonly kind: 'timed-out'; readonly afterMs: Milliseconds; readonly message: string }
  | {
      readonly kind: 'killed';
      readonly signal: string;
      readonly message: string;
      /** It is out of sight, and may be at work for a moment still. */
      readonly isUnseen?: true;
    }
  /** It could not even be started, e.g. no `pct` in PATH. */
  | { readonly kind: 'not-started'; readonly message: string };

export type WriteOutcome = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** What can be seen of a node. Nothing of it changes anything, so everybody may have it. */
export interface NodeEyes {
  readonly clock: Clock;
  /**
   * One look at the node: all that is read afterwards is read at once, as of this look or later.
   * Never fails: what does not answer is missing if it is read. `stop` may end it early; then all
   * is as of the look before. Of several connections to a node the look chooses one, and all that
   * is read and done until the next is by that one. `within` a change it does not choose.
   */
  observe(stop?: AbortSignal, within?: 'change'): Promise<void>;
  /**
   * One look at one guest, for a change: before it, after it, and while it is watched. What is read
   * of this guest afterwards is as of this look or later. Never fails, as `observe`.
   */
  inspect(vmid: Vmid): Promise<void>;
  readonly guests: Guests;
  readonly cgroups: Cgroups;
  readonly host: HostView;
  /** Left out where a node tells nothing by itself. */
  readonly limitEvents?: LimitEvents;
  /** By which connection the last look was; left out where there is none, as on this host. */
  readonly connection?: () => Connection;
}

/** Who a guest is, by text of its owner. */
export type GuestIdentity = Pick<GuestConfig, 'vmid' | 'name' | 'tags' | 'kind'>;

/** Which virtual machines of a node are looked after. */
export interface MachineWishes {
  /** Whether the configuration may name any of them; otherwise only a tag of theirs can. */
  readonly anyNamed: boolean;
  /** Whether this one is asked for, by the configuration or by its tags. */
  readonly isWanted: (machine: GuestIdentity) => boolean;
  /** Whether the configuration may ask for one of which nothing but its id is known. */
  readonly mayBeWanted: (vmid: Vmid) => boolean;
}

/** What changes a node. Only what carries changes out is handed it; a dry run has none. */
export interface NodeHands {
  /**
   * Sets what a guest shall have: `pct set`, or what a backend has in its place. `stop` lets a
   * command in hand finish, for some seconds; `cancel` ends it at once, or keeps it from beginning.
   * With `cancel` it lowers what is held down: it does not begin if that is not in force any more.
   */
  apply(request: SetRequest, stop: AbortSignal, cancel?: AbortSignal): Promise<CommandOutcome>;
  readonly reclaim: Reclaim;
  readonly memoryHigh: MemoryHigh;
  /** Left out where a node has no way to it. */
  readonly memoryGuards?: MemoryGuards | undefined;
}

/** The configurations of the whole cluster. Reads files, starts nothing. */
export interface Cluster {
  /** What is read afterwards is as of now. Left out if it always is. Never fails, as `observe`. */
  look?(): Promise<void>;
  read(): Reading<ClusterView>;
  /** As `Guests.quorum`. */
  quorum(): Reading<boolean>;
}

/** What groups, and those who ask for disks and clones, ask of `pct`, each one command. */
export type GroupCommand = GroupCommandOfPct & {
  /** Of a virtual machine: `qm` is asked. */
  readonly machine?: true;
};

type GroupCommandOfPct =
  | {
      readonly kind: 'snapshot';
      readonly vmid: Vmid;
      readonly name: string;
      readonly description: string;
    }
  | {
      readonly kind: 'delete-snapshot';
      readonly vmid: Vmid;
      readonly name: string;
      readonly force: boolean;
    }
  | {
      readonly kind: 'clone';
      readonly vmid: Vmid;
      readonly source: Vmid;
      readonly snapshot: string | undefined;
      readonly full: boolean;
      readonly hostname: string;
      readonly description: string;
    }
  | {
      readonly kind: 'set';
      readonly vmid: Vmid;
      readonly digest: string;
      readonly set: ReadonlyMap<string, string>;
      readonly remove: readonly string[];
    }
  | {
      /** A disk by its key, larger by so many GiB. */
      readonly kind: 'resize';
      readonly vmid: Vmid;
      readonly disk: string;
      readonly moreGib: number;
      readonly digest: string;
    }
  | {
      readonly kind: 'rollback';
      readonly vmid: Vmid;
      readonly name: string;
      /** Whether it is started afterwards; a rollback stops what runs. */
      readonly start: boolean;
    }
  | { readonly kind: 'start' | 'shutdown' | 'destroy' | 'unlock'; readonly vmid: Vmid };

export interface CommandWatch {
  readonly timeLimitMs?: Milliseconds;
  /** Called once it runs; `lastLine` is what it printed last, then and later. */
  readonly onStart?: (pid: number, lastLine: () => string) => void;
}

export interface StorageRoom {
  readonly freeMib: Mib;
  /** Whether space is taken only as it is written. */
  readonly thin: boolean;
  /** What the source has written so far; undefined if that is not known. */
  readonly sourceUsedMib: Mib | undefined;
}

/**
 * Commands for groups. Those of this host outlive this process: what has begun is left to finish.
 * Those of another node end with the connection to it.
 */
export interface GroupHands {
  run(command: GroupCommand, watch?: CommandWatch): Promise<CommandOutcome>;
  /** An administrator's own command: an absolute path and its arguments. */
  hook(argv: readonly string[], timeLimitMs: Milliseconds): Promise<CommandOutcome>;
}

/** What groups ask of Proxmox VE and of this host, and changes nothing. */
export interface GroupEyes {
  /** Whether nobody in the cluster has the id. */
  isIdFree(vmid: Vmid): Promise<Reading<boolean>>;
  /** Asked for once; then the room of each storage can be told. */
  storageRooms(source: Vmid): Promise<(storage: string) => Reading<StorageRoom>>;
  /** The IPv4 address that a running container has got by DHCP. */
  addressOf(vmid: Vmid): Promise<Reading<string>>;
  /** IPv4 addresses of this node, with the broadcast addresses of its networks. */
  ownAddresses(): ReadonlySet<string>;
  /**
   * Whether what `onStart` told of still runs, if this process does not wait for it; `pid`
   * undefined: nothing was told. undefined: it is not known.
   */
  isAlive(pid: number | undefined): boolean | undefined;
}

/** What was changed of guests only for a while; it lies where all nodes of the cluster see it. */
export interface TemporaryRecords {
  /** The name of this node. */
  readonly node: string;
  /** Missing with `absent` where there is nothing to undo. */
  read(vmid: Vmid): Reading<TemporaryRecord>;
  /** In place of what was there; undefined removes it. */
  write(vmid: Vmid, record: TemporaryRecord | undefined): WriteOutcome;
  /** The ids of which there is a record. */
  all(): readonly Vmid[];
  /** The node that a guest is on now; undefined if there is none with this id. */
  nodeOf(vmid: Vmid): Reading<string | undefined>;
}

export type LeaseAnswer =
  | { readonly kind: 'held' }
  /** Another node's daemon is at work on the group. */
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'failed'; readonly message: string };

/** Which daemon of the cluster works on a group. */
export interface Leases {
  /** Takes or renews the lease, or says why not. To be asked at least twice a minute. */
  hold(group: string): LeaseAnswer;
  release(group: string): void;
}

/** Who is a member of a group, kept where only root can write and all nodes can read. */
export interface MemberLedgers {
  /** The groups that there are ledgers of, also of those that are configured no longer. */
  list(): Reading<readonly string[]>;
  /** Missing with `absent` if there is none yet, or none any more. */
  read(group: string): Reading<GroupLedger>;
  /** Writes it whole, and reads it back. Returns what went wrong, undefined if nothing did. */
  write(group: string, ledger: GroupLedger): Promise<string | undefined> | string | undefined;
}

/** Those in files of this host. */
export interface LedgersHere extends MemberLedgers {
  write(group: string, ledger: GroupLedger): string | undefined;
}

/** All that groups need of a node besides what its loop has. */
export interface GroupDoor {
  readonly cluster: Cluster;
  readonly eyes: GroupEyes;
  readonly hands: GroupHands;
  readonly leases: Leases;
  readonly ledgers: MemberLedgers;
}
