import type { Milliseconds, Ratio, Vmid } from '../units.ts';

/** What the configuration asks of a group, in the words of the core. */
export interface GroupPolicy {
  /** The section: `HORIZONTAL_SCALING_GROUP_web`. */
  readonly name: string;
  /** `web`: lower case letters, digits and `-`; stands in host names, markers and snapshots. */
  readonly label: string;
  /** In lower case. Every member made carries it. */
  readonly tag: string;
  /** Containers that belong to the group without having been made by this program. */
  readonly listed: readonly { readonly from: Vmid; readonly to: Vmid }[];
  readonly source: Vmid;
  /** undefined: one is made where it is needed, and removed afterwards. */
  readonly sourceSnapshot: string | undefined;
  readonly minInstances: number;
  readonly maxInstances: number;
  readonly firstId: Vmid;
  readonly cloneMode: 'full' | 'linked';
  readonly network: GroupNetwork;
  readonly startOrder: number | undefined;
  readonly upper: { readonly cpu: Ratio; readonly memory: Ratio };
  readonly lower: { readonly cpu: Ratio | undefined; readonly memory: Ratio | undefined };
  readonly scaleIn: 'off' | 'stop' | 'destroy';
  readonly outGraceMs: Milliseconds;
  readonly inGraceMs: Milliseconds;
  readonly warmupMs: Milliseconds;
  readonly readyTimeoutMs: Milliseconds;
  readonly cloneTimeoutMs: Milliseconds;
  readonly health: HealthCheck;
  readonly onReady: readonly string[];
  readonly onTerminating: readonly string[];
  readonly hookTimeoutMs: Milliseconds;
}

export interface GroupNetwork {
  readonly type: 'static' | 'dhcp';
  /** As configured: a pair, a list, or one network with its prefix. */
  readonly addresses: readonly string[];
  /** undefined, as the gateway: as the source has it. */
  readonly bridge: string | undefined;
  readonly gateway: string | undefined;
}

export interface HealthCheck {
  readonly kind: 'none' | 'tcp' | 'http';
  readonly port: number;
  readonly path: string;
  /** This many in a row make a member healthy, and unhealthy. */
  readonly healthyCount: number;
  readonly unhealthyCount: number;
}
