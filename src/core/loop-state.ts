import type { Capabilities } from './capabilities.ts';
import type { Connection } from './connection.ts';
import { type Failure, type GuestRecord, newGuestRecord } from './guest-record.ts';
import type { HostCpu } from './host-state.ts';
import type { GuestConfig } from './observation.ts';
import type { Pause } from './pause.ts';
import type { Vmid } from './units.ts';

/** What the loop carries from one cycle to the next. Plain data. */
export interface LoopState {
  /** Counts from 1. */
  cycle: number;
  readonly guests: Map<Vmid, GuestRecord>;
  hostCpus: number | undefined;
  hostCpu: HostCpu | undefined;
  /** What the node can do for guests; undefined until one has run. */
  capabilities: Capabilities | undefined;
  /** How it was seen last, where there is more than one way. */
  connection: Connection | undefined;
  /** Why changes could be neither backed up nor recorded when one was last to be made. */
  unrecorded: string | undefined;
  /** Why nothing of this node can be changed now: without quorum, say. */
  pause: Pause | undefined;
  /** How often Proxmox VE could not write although it has quorum, until it can again. */
  refusedWrites: Failure | undefined;
}

export function newLoopState(): LoopState {
  return {
    cycle: 0,
    guests: new Map(),
    hostCpus: undefined,
    hostCpu: undefined,
    capabilities: undefined,
    connection: undefined,
    unrecorded: undefined,
    pause: undefined,
    refusedWrites: undefined,
  };
}

/** The record of a guest; a new one, if there was none. */
export function recordOf({ guests }: Pick<LoopState, 'guests'>, vmid: Vmid): GuestRecord {
  const known = guests.get(vmid);
  if (known !== undefined) return known;
  const made = newGuestRecord();
  guests.set(vmid, made);
  return made;
}

/** The containers that the last cycle saw running, with their configurations. */
export function runningGuests({
  guests,
}: Pick<LoopState, 'guests'>): ReadonlyMap<Vmid, GuestConfig> {
  const all = new Map<Vmid, GuestConfig>();
  for (const [vmid, { running }] of guests) if (running !== undefined) all.set(vmid, running);
  return all;
}

/** Containers whose cores pvestatd should have applied long ago. */
export const overdueCores = ({ guests }: LoopState): readonly Vmid[] =>
  [...guests].filter(([, { life }]) => life.pendingCores?.warned === true).map(([vmid]) => vmid);
