import type { GuestConfig } from '../observation.ts';
import type { Reading } from '../reading.ts';
import type { Mib, Ratio, Vmid } from '../units.ts';

/** What is really there: the containers of the cluster by their configurations, and how they do. */

/** One container, as far as a group is concerned. */
export interface GroupGuest {
  readonly vmid: Vmid;
  readonly config: GuestConfig;
  readonly node: string;
  readonly hostname: string;
  /** In lower case. */
  readonly tags: readonly string[];
  readonly lock: string | undefined;
  readonly template: boolean;
  readonly digest: string;
  /** Decoded. */
  readonly description: readonly string[];
  /** It must not be removed, as an administrator has decided, or its source had it. */
  readonly protection: boolean;
  /** `net0` and so on, with their values. */
  readonly nets: ReadonlyMap<string, string>;
  /** By name. */
  readonly snapshots: ReadonlyMap<string, SnapshotSeen>;
  /** Keys of which a member must not keep what its source has, and their values. */
  readonly settings: ReadonlyMap<string, string>;
  readonly memoryMib: Mib;
  /** Where its disks lie, and how large they are together. */
  readonly disk: { readonly storage: string; readonly mib: number } | undefined;
  /** The storages of all its volumes, and the paths of the host that it mounts. */
  readonly storages: readonly string[];
}

export interface SnapshotSeen {
  /** `snaptime:`, as it stands there. */
  readonly snaptime: string | undefined;
  /** It was cut off while it was taken or removed, and is of no use. */
  readonly unfinished: boolean;
}

export interface ClusterView {
  /** The name of this node. */
  readonly node: string;
  readonly guests: ReadonlyMap<Vmid, Reading<GroupGuest>>;
  /** On which node each guest is, also those whose configuration could not be read. */
  readonly nodeOf: ReadonlyMap<Vmid, string>;
  /** Of containers and virtual machines, cluster-wide. */
  readonly takenIds: ReadonlySet<Vmid>;
  /** IPv4 addresses that stand in any configuration; missing if one could not be read. */
  readonly usedAddresses: Reading<ReadonlySet<string>>;
  /** `dir`, `lvmthin` and so on, by the name of the storage; empty if that is not known. */
  readonly storageTypes: ReadonlyMap<string, string>;
}

/** How a member does. All of it is of this node; of others nothing is known. */
export interface MemberLife {
  /** undefined if that is not known. */
  readonly running: boolean | undefined;
  /** It stands still: neither idle nor out of order. */
  readonly frozen?: boolean;
  readonly load: Reading<MemberLoad>;
  /** Whether it has all that its policy allows, so that only another member helps. */
  readonly atLimit: { readonly cpu: boolean; readonly memory: boolean };
}

export interface MemberLoad {
  /** Of what it may use; more than 1 if it waits for more. */
  readonly cpu: Ratio;
  readonly memory: Ratio;
}

export interface GroupView {
  readonly cluster: ClusterView;
  readonly lives: ReadonlyMap<Vmid, MemberLife>;
  /**
   * In MiB, what the host can give to another container, those on their way counted: below zero not
   * even they fit. Missing if it is not known; `implausible`: the host is busy.
   */
  readonly hostHeadroomMib: Reading<number>;
  /** Whether the process that clones for a reservation still runs; undefined: not known. */
  readonly cloneRuns: (pid: number | undefined) => boolean | undefined;
}
