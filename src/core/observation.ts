import type { Allocation } from './allocation.ts';
import type { GuestIdentity } from './identity.ts';
import type { Reaches } from './reach.ts';
import type { Missing, Reading } from './reading.ts';
import type { Bytes, Cores, Mib, Microseconds, Milliseconds, Ratio, Vmid } from './units.ts';

/** What one cycle saw of the containers and of the host, before anything is made of it. */

/**
 * The live section of `/etc/pve/lxc/VMID.conf` or `/etc/pve/qemu-server/VMID.conf`, as far as this
 * program is concerned. `cores` of a virtual machine are its vCPUs.
 */
export interface GuestConfig extends Allocation {
  readonly vmid: Vmid;
  /** `hostname:`, or `CT<vmid>` if there is none. Untrusted text. */
  readonly name: string;
  /** `swap:`, 512 where there is no such line. */
  readonly swapMib: Mib;
  readonly tags: readonly string[];
  /** `lock:`, e.g. `backup`: another operation is at work on the container. */
  readonly lock: string | undefined;
  readonly template: boolean;
  /** Keys of `[pve:pending]`: changes that wait for the next start. */
  readonly pendingKeys: readonly string[];
  /** SHA-1 of the file as read, in hex: what `pct set --digest` compares with. */
  readonly digest: string;
  /** Raw lines that overrule what this program sets, in their order. */
  readonly pins: readonly Pin[];
  /** Which guest this is, apart from its id; undefined if that cannot be told. */
  readonly identity: GuestIdentity | undefined;
  /** Left out for a container. What people are told goes by it. */
  readonly kind?: 'qemu';
  /** How far its levers can be moved while it runs; left out: all of them, both ways. */
  readonly reaches?: Reaches;
  /** `memory:` of a virtual machine; its balloon may leave it less, which is `memoryMib`. */
  readonly assignedMib?: Mib;
}

/** A raw line such as `lxc.cgroup2.cpuset.cpus: 12-15`, and what it takes out of our hands. */
export interface Pin {
  readonly what: 'cpuset' | 'quota' | 'memory';
  /** As it stands in the file. Untrusted text. */
  readonly line: string;
}

/** A pressure line (PSI): how long tasks stood still, since the cgroup was made. */
export interface Pressure {
  readonly someAvg10: Ratio;
  readonly someTotalUs: Microseconds;
  readonly fullAvg10: Ratio;
  readonly fullTotalUs: Microseconds;
}

/** The raw counters of one running container at one instant. cgroup v2, the outer cgroup. */
export interface CgroupSample {
  /** When it was read, on the monotonic clock. */
  readonly atMs: Milliseconds;
  /** Inode of the cgroup directory. A restarted container has another one. */
  readonly identity: number;
  /** Since its start; only where a node tells no more of a guest than what it uses. */
  readonly upMs?: Milliseconds;
  readonly life: Reading<CgroupLife>;
  readonly cpu: Reading<CpuCounters>;
  readonly memory: Reading<MemoryCounters>;
  /** What QEMU has of the host's memory for a machine; left out where that is not told. */
  readonly heldBytes?: Bytes;
  readonly cpuPressure: Reading<Pressure>;
  readonly memoryPressure: Reading<Pressure>;
}

/** `cgroup.events`: a directory that is there says neither that something runs nor that it can. */
export interface CgroupLife {
  /** Whether a process is in it, or below it. */
  readonly populated: boolean;
  /** Whether all of it stands still, by `cgroup.freeze`. */
  readonly frozen: boolean;
}

/**
 * A short look at a container: since its last sample it has run, met no limit, and lost no process
 * to the OOM killer.
 */
export interface Glance {
  readonly atMs: Milliseconds;
  /** When that sample was taken, whoever asked for it. */
  readonly sinceMs: Milliseconds;
  readonly usageUs: Microseconds;
  readonly currentBytes: Bytes;
}

export interface CpuCounters {
  readonly usageUs: Microseconds;
  readonly throttledUs: Microseconds;
  /** CPUs in the cpuset: what `cores:` has come to; undefined right after a start (still empty). */
  readonly cpusetCpus: number | undefined;
  /**
   * Those of them that it can really use: without CPUs that are offline, or that a cgroup above
   * does not have. undefined if the kernel does not tell.
   */
  readonly effectiveCpus: number | undefined;
}

/** The files of a cgroup count what happens in all cgroups below it too; `own` does not. */
export interface MemoryCounters {
  readonly currentBytes: Bytes;
  /** The live `memory.max`; undefined stands for `max`, no limit. */
  readonly limitBytes: Bytes | undefined;
  readonly swapBytes: Bytes;
  readonly anonBytes: Bytes;
  readonly shmemBytes: Bytes;
  readonly activeFileBytes: Bytes;
  readonly inactiveFileBytes: Bytes;
  readonly unevictableBytes: Bytes;
  readonly slabUnreclaimableBytes: Bytes;
  /** Directory entries and inodes that the kernel keeps for the next time; 0 if it does not say. */
  readonly slabReclaimableBytes: Bytes;
  /** Pages that were evicted and needed again: the working set does not fit. */
  readonly refaults: number;
  /** Times that usage met a limit, and kills by the OOM killer; since the cgroup was made. */
  readonly limitHits: number;
  readonly oomKills: number;
  /** Times that a limit left nothing but the OOM killer; undefined if that is not said. */
  readonly ooms: number | undefined;
  /** The same of this cgroup's own limit; undefined on a kernel that does not tell (before 5.2). */
  readonly own: OwnEvents | undefined;
  /** What QEMU has plugged in, of a virtual machine that tells of it. */
  readonly hardwareBytes?: Bytes | undefined;
  /** All of it may be page cache: of a virtual machine whose guest does not tell of its memory. */
  readonly countsCache?: true;
}

/** `memory.events.local`. A kill is not among them: it counts where its victim was. */
export interface OwnEvents {
  readonly highHits: number;
  /** undefined of a virtual machine: its kernel meets no limit that it would tell of. */
  readonly limitHits: number | undefined;
  readonly ooms: number;
}

/** CPU used between two samples. */
export interface CpuUsage {
  readonly used: Cores;
  /** What the container may use at most: its cores, and its cpulimit where that is less. */
  readonly allowed: Cores;
  readonly overMs: Milliseconds;
  /** Share of the elapsed time in which the cgroup was throttled. */
  readonly throttled: Ratio;
  /** Share of the time in which a task waited for a CPU; undefined if there is no PSI. */
  readonly pressure: Ratio | undefined;
  /** What it would use if nothing held it back, as far as throttling and pressure tell. */
  readonly demand: Cores;
}

export interface MemoryUsage {
  /** `memory.current` less what can be reclaimed. Source: cgroup v2 documentation. */
  readonly workingSetMib: Mib;
  readonly currentMib: Mib;
  /** File cache that was used more than once. */
  readonly activeFileMib: Mib;
  /** All that can be reclaimed: file cache, and slab (directory entries, inodes). */
  readonly cacheMib: Mib;
  /** The slab of it. */
  readonly slabMib: Mib;
  readonly swapMib: Mib;
  /** What can neither be reclaimed nor swapped out. */
  readonly lockedMib: Mib;
  /** The live limit; undefined if there is none. */
  readonly limitMib: Mib | undefined;
  /** Kills for its own limit since the sample before; 0 in a container's first one. */
  readonly newOomKills: number;
  /** Kills since the sample before that say nothing of its limit. */
  readonly newOtherKills: OtherKills;
  /** Times that it met its own limit since the sample before. */
  readonly newLimitHits: number;
  /** Its memory guard slows it; see `memory-guard.ts`. */
  readonly slowedByGuard?: true;
  /**
   * Whether its own limit can be what holds it back: its usage is close to it, or has met it since
   * the sample before. Pressure, refaults and swap of a container that is far below its limit come
   * from a limit further down or from the host.
   */
  readonly nearLimit: boolean;
  /** Pages that were evicted and needed again, as a rate since the sample before; else 0. */
  readonly refaultMibPerS: number;
  /** By how much its swap has grown since the sample before; never negative. */
  readonly swapGrowthMib: Mib;
  /** Share of the time in which a task waited for memory; undefined if that is not known. */
  readonly pressure: Ratio | undefined;
  /** The working set is no such thing: page cache is in it; see `pvestatd-memory.ts`. */
  readonly countsCache?: true;
}

export interface OtherKills {
  /** For the limit of a cgroup inside of it, such as a Docker container's. */
  readonly nested: number;
  /** By the host's OOM killer: the host was out of memory. */
  readonly byHost: number;
}

/** One container as one cycle saw it. */
export interface ContainerObservation {
  readonly vmid: Vmid;
  /** As of its configuration, also while that cannot be read. */
  readonly kind?: 'qemu';
  readonly config: Reading<GuestConfig>;
  readonly state: ContainerState;
}

/** Whether a guest runs. What cannot be seen is unknown, and unknown is never stopped. */
export type GuestState =
  | { readonly kind: 'running' }
  /** It stands still by `cgroup.freeze`, so what it does says nothing of what it needs. */
  | { readonly kind: 'frozen' }
  /** `leftBehind`: its cgroup is still there, with no process in it. */
  | { readonly kind: 'stopped'; readonly leftBehind?: true }
  | { readonly kind: 'unknown'; readonly reason: Missing };

export type ContainerState =
  | { readonly kind: 'running'; readonly usage: ContainerUsage }
  | Exclude<GuestState, { readonly kind: 'running' }>;

export interface ContainerUsage {
  readonly cpu: Reading<CpuUsage>;
  readonly memory: Reading<MemoryUsage>;
  /** CPUs in the live cpuset; undefined if it is empty or could not be read. */
  readonly cpusetCpus: number | undefined;
  /** Those of them that it can really use; undefined if that is not known. */
  readonly effectiveCpus: number | undefined;
  /** Missing if it is not known whether it runs or is frozen. */
  readonly life: Reading<CgroupLife>;
  readonly cpuPressure: Reading<Pressure>;
  readonly memoryPressure: Reading<Pressure>;
}

/** Without one of these a kernel neither counts nor limits what containers use of it. */
export type Controller = 'cpu' | 'cpuset' | 'memory';

export interface HostObservation {
  /** CPUs online that containers may use. */
  readonly cpus: Reading<number>;
  readonly memory: Reading<HostMemory>;
  /** Load average over one minute. */
  readonly load1: Reading<number>;
  /** All CPUs together, since boot. */
  readonly cpuTimes: Reading<CpuTimes>;
  /** `memory:` of all running VMs of this node. */
  readonly vmMemoryMib: Reading<Mib>;
  readonly cpuPressure: Reading<Pressure>;
  readonly memoryPressure: Reading<Pressure>;
}

export interface HostMemory {
  readonly totalMib: Mib;
  /** `MemAvailable`: what can be had without swapping. */
  readonly availableMib: Mib;
  /** What the ZFS cache (ARC) could give back, which `MemAvailable` leaves out; 0 without ZFS. */
  readonly arcReclaimableMib: Mib;
  readonly swapFreeMib: Mib;
}

/** In ticks of the kernel, whose length does not matter for a share. */
export interface CpuTimes {
  readonly busyTicks: number;
  readonly totalTicks: number;
}
