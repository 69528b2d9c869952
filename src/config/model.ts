import type { EventKind, MessageChannel, Severity } from '../core/notify/event.ts';
import type { ContainerPolicy, HostPolicy } from '../core/policy.ts';
import type { Milliseconds, Vmid } from '../core/units.ts';
import type { PROXMOX_TYPES, Weekday } from './notify-values.ts';
import type { Settings } from './settings.ts';

/** The configuration as the program uses it: read once, checked as a whole, deeply frozen. */
export interface Config extends Settings {
  readonly notify: NotifyConfig;
  readonly ignored: Selector;
  readonly host: HostPolicy;
  /** For every container that is in no tier. */
  readonly defaults: ContainerPolicy;
  readonly tiers: readonly Tier[];
  readonly groups: readonly Group[];
  /** Further nodes, besides the one that this program runs on. */
  readonly nodes: readonly NodeConfig[];
}

/** A further node. */
export type NodeConfig = WayConfig & {
  /** The other connection, for as long as this one does not answer. */
  readonly instead?: WayConfig;
  /** Whether the other nodes of its cluster are looked after too. */
  readonly discovers?: boolean;
  /** It is no entry of the file, but was found in the cluster of one. */
  readonly found?: Found;
  /** The file does not name it any more, or names another node so: nothing is changed there. */
  readonly isGone?: true;
};

export interface Found {
  /** The entry whose cluster it is of. */
  readonly by: string;
  /** For how long it is only observed; 0: no more. */
  readonly leftMs: Milliseconds;
}

/** Those of the file. */
export const entriesIn = ({ nodes }: Pick<Config, 'nodes'>): readonly NodeConfig[] =>
  nodes.filter(({ found }) => found === undefined);

/** One connection to a node. */
export type WayConfig = ApiNodeConfig | SshNodeConfig;

/** Its connections, the one that comes first before the other. */
export const waysOf = (node: NodeConfig): readonly [WayConfig, ...WayConfig[]] =>
  node.instead === undefined ? [node] : [node, node.instead];

/** One that is reached by SSH, with the OpenSSH client of this host. */
export interface SshNodeConfig {
  readonly connection: 'ssh';
  /** What it is called here. */
  readonly name: string;
  /** What its cluster calls it; undefined: whatever it says. */
  readonly node: string | undefined;
  readonly alias?: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Paths of files; undefined: as the client is set up. */
  readonly identityFile: string | undefined;
  readonly knownHosts: string | undefined;
  /** `[user@]host[:port]` of a host in between. */
  readonly jump: string | undefined;
}

/** One that is reached by the REST API. */
export interface ApiNodeConfig {
  readonly connection: 'api';
  /** What it is called here. */
  readonly name: string;
  /** What its cluster calls it; undefined: the only one that is there. */
  readonly node: string | undefined;
  /** Another name that means it, and no other node, where guests are named. */
  readonly alias?: string | undefined;
  /** Shared by all programs that may scale it. */
  readonly leaseDir?: string;
  /** Whether memory may shrink there without a proof, if no tier says. */
  readonly unproven?: boolean | undefined;
  readonly host: string;
  readonly port: number;
  readonly credentials:
    | { readonly kind: 'token'; readonly id: string; readonly secret: string }
    | { readonly kind: 'password'; readonly user: string; readonly password: string };
  readonly trust:
    | { readonly kind: 'usual' | 'none' }
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'fingerprint'; readonly sha256: string };
}

/** Who gets messages, and on what. Each is undefined if it is not set up. */
export interface NotifyConfig {
  readonly gotify: GotifyConfig | undefined;
  readonly email: EmailConfig | undefined;
  readonly ntfy: { readonly url: string; readonly token: string } | undefined;
  readonly webhook: WebhookConfig | undefined;
  readonly uptimeKuma: { readonly url: string } | undefined;
  /** undefined: nothing goes to the notifications of the node. */
  readonly proxmox: (typeof PROXMOX_TYPES)[number] | undefined;
  readonly rules: Readonly<Record<MessageChannel, MessageRules>>;
  readonly perHour: number;
  readonly caFile: string | undefined;
  /** When the weekly report is due; undefined: there is none. */
  readonly weekly: WeeklyTime | undefined;
}

export interface WeeklyTime {
  readonly day: Weekday;
  /** 0 to 23, on the clock of the configured time zone. */
  readonly hour: number;
}

export interface GotifyConfig {
  readonly url: string;
  readonly token: string;
  readonly priority: number;
}

export interface EmailConfig {
  readonly server: string;
  readonly port: number;
  readonly security: 'starttls' | 'tls' | 'none';
  readonly login: { readonly username: string; readonly password: string } | undefined;
  readonly from: string;
  readonly to: readonly string[];
}

export interface WebhookConfig {
  readonly url: string;
  readonly token: string;
  readonly body: string;
  /** Each message is put under a name of its own below the address. */
  readonly put?: boolean;
}

export interface MessageRules {
  readonly events: readonly EventKind[];
  readonly minSeverity: Severity;
  /** 0 to 23, on the clock of the configured time zone. */
  readonly quiet: { readonly from: number; readonly to: number } | undefined;
}

/** The ids from the one to the other, both included. */
export interface Members {
  readonly from: Vmid;
  readonly to: Vmid;
  /** Only on this node, in lower case; left out: on every node. */
  readonly node?: string;
}

/** Which containers are meant: those that any of these is true of. */
export interface Selector {
  readonly ids: readonly Members[];
  /** Names and patterns on names for `matchesGlob`, in lower case; `pve1/web-*` on one node. */
  readonly names: readonly string[];
  /** In lower case, without `tag:`; `pve1/shop` on one node. */
  readonly tags: readonly string[];
}

export interface Tier {
  /** With its prefix: `TIER_web`. */
  readonly name: string;
  /** The tag that puts a container into it: `autoscale-tier-web`, in lower case. */
  readonly ownTag: string;
  readonly containers: Selector;
  readonly machines: Selector;
  /** The tier's values over those of DEFAULT. */
  readonly policy: ContainerPolicy;
}

/** A `HORIZONTAL_SCALING_GROUP_*` section. */
export interface Group {
  /** With its prefix. */
  readonly name: string;
  /** Without it, in lower case, fit to be a part of a host name. */
  readonly label: string;
  /** In lower case; left out: the one that the program runs on. */
  readonly node?: string;
  readonly members: readonly Members[];
  readonly source: Vmid;
  /** Empty: a new snapshot is made. */
  readonly sourceSnapshot: string;
  readonly minInstances: number;
  readonly maxInstances: number;
  readonly startingCloneId: Vmid;
  readonly cloneMode: 'full' | 'linked';
  readonly network: {
    readonly type: 'dhcp' | 'static';
    readonly addresses: readonly string[];
    /** Empty, as the gateway: as the source has it. */
    readonly bridge: string;
    readonly gateway: string;
  };
  readonly startOrder: number | undefined;
  /** In percent, as they stand in the file; undefined if none is set. */
  readonly upperPercent: { readonly cpu: number; readonly memory: number };
  readonly lowerPercent: {
    readonly cpu: number | undefined;
    readonly memory: number | undefined;
  };
  readonly scaleIn: 'off' | 'stop' | 'destroy';
  readonly scaleOutGraceMs: Milliseconds;
  readonly scaleInGraceMs: Milliseconds;
  readonly warmupMs: Milliseconds;
  readonly health: {
    readonly check: 'none' | 'tcp' | 'http';
    /** undefined if nothing is asked. */
    readonly port: number | undefined;
    readonly path: string;
    readonly healthyCount: number;
    readonly unhealthyCount: number;
  };
  readonly readyTimeoutMs: Milliseconds;
  readonly cloneTimeoutMs: Milliseconds;
  readonly hookTimeoutMs: Milliseconds;
  /** Of `group_tag`, else made of the group's name. */
  readonly tag: string;
  readonly onReady: readonly string[];
  readonly onTerminating: readonly string[];
}

/** Freezes a tree of plain objects and arrays in place. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
