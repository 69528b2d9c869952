import { present, type Reading } from '../reading.ts';
import { parseVmid, type Vmid } from '../units.ts';
import { freeAddress } from './addresses.ts';
import { cloneDescription, snapshotDescription } from './description.ts';
import type { Draft, GroupInput } from './draft.ts';
import type { GroupPolicy } from './group-policy.ts';
import { type GroupState, memoryOf } from './group-state.ts';
import type { GroupGuest, GroupView } from './group-view.ts';
import { SNAPSHOT_LIMIT_MS } from './ledger.ts';
import { hostnameOf } from './member-settings.ts';
import type { Member } from './members.ts';
import { OUT_KEY } from './step.ts';
import { snapshotHindrance, WITHOUT_SNAPSHOTS } from './storages.ts';

/** How another member is made: a snapshot where the source runs, a clone, no snapshot left. */

export function cloneSteps(
  input: GroupInput,
  members: readonly Member[],
  needed: number,
  draft: Draft,
): void {
  const { policy, view, state } = input;
  // While a snapshot is taken its source is locked, which must not make it a snapshot left over.
  if (draft.isBusy(policy.source)) return;
  const reading = view.cluster.guests.get(policy.source);
  if (reading === undefined || !reading.ok) {
    if (needed > 0) draft.note('source', 'warn', `its source ${policy.source} ${whyNot(reading)}`);
    return;
  }
  const source = reading.value;
  if (mendSnapshot(input, source, draft)) return;
  if (state.reservation === undefined) {
    const usable = needed > 0 && isDue(input) && isUsable(input, source, draft);
    const begun = usable && begin(input, source, draft);
    if (!begun) state.snapshot = undefined;
  }
  const cloning = members.some(({ role, guest }) => role === 'half-made' && guest.lock);
  if (cloning || state.reservation !== undefined || source.lock !== undefined) return;
  for (const name of input.ledger.snapshots.keys()) {
    if (name === state.snapshot || !source.snapshots.has(name)) continue;
    dropSnapshot(input, source, name, false, draft);
  }
}

function dropSnapshot(
  { state, now }: GroupInput,
  { vmid }: GroupGuest,
  name: string,
  force: boolean,
  draft: Draft,
): void {
  if (draft.step({ kind: 'delete-snapshot', vmid, name, force })) noteBegun(state, now);
}

function noteBegun(state: GroupState, now: GroupInput['now']): void {
  state.snapshotBoot = now.boot;
  state.snapshotMs = now.ms;
}

/**
 * A snapshot of ours that power loss has cut off leaves its source locked. As long as the host has
 * not been started anew, and for a while, the command may be at work still.
 */
function mendSnapshot(input: GroupInput, source: GroupGuest, draft: Draft): boolean {
  const { state, now, ledger } = input;
  const names = [...ledger.snapshots.keys()];
  const cut = names.find((name) => source.snapshots.get(name)?.unfinished === true);
  if (cut === undefined) return false;
  if (state.snapshot === cut) state.snapshot = undefined;
  const { lock, vmid } = source;
  const { snapshotBoot, snapshotMs } = state;
  const isOver = snapshotMs !== undefined && now.ms - snapshotMs > SNAPSHOT_LIMIT_MS;
  const isOld = snapshotBoot !== undefined && (isOver || snapshotBoot !== now.boot);
  if (lock === undefined) dropSnapshot(input, source, cut, true, draft);
  else if (/^snapshot(-delete)?$/.test(lock) && isOld) {
    draft.step({ kind: 'unlock-source', vmid, lock });
  }
  return true;
}

export function noHeadroom(
  { hostHeadroomMib }: Pick<GroupView, 'hostHeadroomMib'>,
  needMib: number,
): string {
  if (!hostHeadroomMib.ok) {
    const { why, detail } = hostHeadroomMib;
    return why === 'implausible' ? detail : `what the host can give is not known: ${detail}`;
  }
  const room = Math.max(0, Math.floor(hostHeadroomMib.value));
  return `it needs ${needMib} MB of memory, and the host can spare ${room} MB`;
}

const whyNot = (reading: Reading<GroupGuest> | undefined): string =>
  reading === undefined || reading.ok
    ? 'is not there; set `source` to a container of this node'
    : `cannot be read: ${reading.detail}`;

/** Nothing is made for a while after it failed. */
function isDue({ state, now }: GroupInput): boolean {
  return (state.failures.get(OUT_KEY)?.retryAtMs ?? 0) <= now.ms;
}

/** Whether the source can be cloned now. */
function isUsable(input: GroupInput, source: GroupGuest, draft: Draft): boolean {
  const { policy, view } = input;
  const refuse = (why: string): boolean => {
    draft.note('source', 'warn', `its source ${source.vmid} ${why}`);
    return false;
  };
  if (source.node !== view.cluster.node) return refuse(`is on the node ${source.node}`);
  if (source.lock !== undefined) {
    return refuse(`is locked (${source.lock}); that is waited for`);
  }
  if (policy.cloneMode === 'linked' && !source.template) {
    return refuse('is no template, as linked clones need one; set `clone_mode: full`');
  }
  const { sourceSnapshot } = policy;
  if (sourceSnapshot !== undefined && !source.snapshots.has(sourceSnapshot)) {
    return refuse(`has no snapshot ${sourceSnapshot}; take it, or remove source_snapshot`);
  }
  if (!source.template && view.lives.get(source.vmid)?.running === undefined) {
    return refuse('cannot be seen: whether it runs is not known');
  }
  if (source.nets.size === 0) {
    return refuse('has no network interface, by whose hardware address clones are told apart');
  }
  const hindrance = needsSnapshot(input, source)
    ? snapshotHindrance(source.storages, view.cluster.storageTypes)
    : undefined;
  if (hindrance !== undefined) return refuse(`runs, and ${hindrance}; ${WITHOUT_SNAPSHOTS}`);
  return true;
}

/** A running container can only be cloned from a snapshot. */
const needsSnapshot = ({ policy, view }: GroupInput, source: GroupGuest): boolean =>
  policy.sourceSnapshot === undefined &&
  !source.template &&
  view.lives.get(source.vmid)?.running === true;

/** Returns whether there is another member to be made now, and so a use for the snapshot. */
function begin(input: GroupInput, source: GroupGuest, draft: Draft): boolean {
  const { policy, state, now, view } = input;
  if (source.memoryMib > (view.hostHeadroomMib.ok ? view.hostHeadroomMib.value : 0)) {
    draft.note('room', 'warn', `no clone is made: ${noHeadroom(view, source.memoryMib)}`);
    return false;
  }
  const address = chosenAddress(input);
  if (!address.ok) {
    draft.note('address', 'warn', `no clone is made: ${address.detail}`);
    return false;
  }
  const vmid = freeId(input);
  if (vmid === undefined) {
    draft.note('id', 'warn', `no clone is made: no id from ${policy.firstId} on is free`);
    return false;
  }
  if (!needsSnapshot(input, source)) {
    state.snapshot = undefined;
  } else {
    state.snapshot ??= snapshotName(policy, input.nonce);
    const name = state.snapshot;
    if (!source.snapshots.has(name)) {
      const description = snapshotDescription(policy);
      const reason = reasonForMore(input);
      const step = { kind: 'snapshot' as const, vmid: source.vmid, name, description, reason };
      if (!draft.step(step)) return true;
      noteBegun(state, now);
      const entry = { name, source: source.vmid, madeS: now.wallS, snaptime: undefined };
      input.ledger.snapshots.set(name, entry);
      return true;
    }
  }
  reserve(input, source, vmid, address.value, draft);
  return true;
}

function reserve(
  input: GroupInput,
  source: GroupGuest,
  vmid: Vmid,
  address: string | undefined,
  draft: Draft,
): void {
  const { policy, state, now, nonce } = input;
  const reason = reasonForMore(input);
  const taken = draft.step({
    kind: 'clone',
    vmid,
    source: source.vmid,
    snapshot: policy.sourceSnapshot ?? state.snapshot,
    full: policy.cloneMode === 'full',
    hostname: hostnameOf(policy, vmid),
    description: cloneDescription(policy, nonce),
    address,
    disk: source.disk,
    reason,
  });
  if (!taken) return;
  memoryOf(state, vmid).reason = reason;
  state.reservation = {
    vmid,
    address,
    nonce,
    reason,
    startedMs: now.ms,
    boot: now.boot,
    begun: false,
    pid: undefined,
    ended: undefined,
    orphanedMs: undefined,
  };
  input.ledger.members.set(vmid, {
    vmid,
    node: source.node,
    nonce,
    address,
    madeS: now.wallS,
    state: 'cloning',
    served: false,
    identity: undefined,
  });
}

/** Why there is to be another member. */
export function reasonForMore({ policy, state }: Pick<GroupInput, 'policy' | 'state'>): string {
  const { desired, wantedReason } = state;
  if (desired === policy.minInstances) return `the group has at least ${desired} members`;
  const why = wantedReason === undefined ? '' : `: ${wantedReason}`;
  return `${desired} members are wanted${why}`;
}

/** No longer than Proxmox VE takes (40), and known to nobody before. */
const snapshotName = ({ label }: GroupPolicy, nonce: string): string =>
  `autoscale-${label.slice(0, 16)}-${nonce.slice(0, 12)}`;

function chosenAddress({
  policy,
  view,
  reserved,
  ledger,
}: GroupInput): Reading<string | undefined> {
  if (policy.network.type === 'dhcp') return present(undefined);
  const used = view.cluster.usedAddresses;
  if (!used.ok) return used;
  const own = [...ledger.members.values()].flatMap(({ address }) => address ?? []);
  const all = new Set([...used.value, ...reserved.addresses, ...own]);
  const address = freeAddress(policy.network, all);
  if (address !== undefined) return present(address);
  const detail = 'all addresses of static_ip_range are in use; give it more of them';
  return { ok: false, why: 'absent', detail };
}

/** The lowest that nobody has in the cluster, and that no other group is about to take. */
function freeId({ policy, view, state, reserved, ledger }: GroupInput): Vmid | undefined {
  for (let id: number = policy.firstId; ; id += 1) {
    const vmid = parseVmid(String(id));
    if (vmid === undefined) return undefined;
    if (view.cluster.takenIds.has(vmid) || reserved.ids.has(vmid)) continue;
    if (ledger.members.has(vmid)) continue;
    if (!state.avoid.has(vmid)) return vmid;
  }
}
