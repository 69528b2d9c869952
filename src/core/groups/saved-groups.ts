import { missing, present, type Reading } from '../reading.ts';
import { parseVmid, type Vmid } from '../units.ts';
import { type GroupState, newGroupState, type Reservation } from './group-state.ts';
import { isAddress, isName, isNonce } from './ledger.ts';

/** What groups remember over restarts and crashes, as a versioned plain object. */
export interface SavedGroups {
  readonly version: typeof SAVED_GROUPS_VERSION;
  /** Which boot the times belong to. */
  readonly boot: string;
  readonly groups: Readonly<Record<string, SavedGroup>>;
}

type SavedGroup = Omit<GroupState, 'members' | 'failures' | 'avoid' | 'done' | 'away'> & {
  readonly members: readonly (readonly [Vmid, unknown])[];
  readonly failures: readonly (readonly [string, unknown])[];
  readonly avoid: readonly (readonly [Vmid, number])[];
};

export const SAVED_GROUPS_VERSION = 1;

export const toSavedGroups = (
  groups: ReadonlyMap<string, GroupState>,
  boot: string,
): SavedGroups => ({
  version: SAVED_GROUPS_VERSION,
  boot,
  groups: Object.fromEntries(
    [...groups].map(([label, { done: _, away: __, ...state }]): [string, SavedGroup] => [
      label,
      {
        ...state,
        members: [...state.members],
        failures: [...state.failures],
        avoid: [...state.avoid],
      },
    ]),
  ),
});

/** What a former process left. Of another boot only what bears no times counts. */
export function fromSavedGroups(
  saved: unknown,
  boot: string,
): Reading<ReadonlyMap<string, GroupState>> {
  if (!isObject(saved) || saved['version'] !== SAVED_GROUPS_VERSION || !isObject(saved['groups'])) {
    return missing('malformed', `it is not the state of groups in version ${SAVED_GROUPS_VERSION}`);
  }
  const result = new Map<string, GroupState>();
  for (const [label, group] of Object.entries(saved['groups'])) {
    const state = isObject(group) ? stateFrom(group, saved['boot'] === boot) : undefined;
    if (state === undefined) return missing('malformed', `its group ${label} is not whole`);
    result.set(label, state);
  }
  return present(result);
}

function stateFrom(group: Readonly<Record<string, unknown>>, sameBoot: boolean) {
  const state = newGroupState();
  const { desired, wantedReason, snapshot, snapshotBoot, reservation } = group;
  const { members, failures, avoid, ledgered } = group;
  if (!isMaybe(snapshotBoot, 'string') || !isMaybe(wantedReason, 'string')) return undefined;
  if (!isMaybe(desired, 'number')) return undefined;
  if (snapshot !== undefined && !isName(snapshot)) return undefined;
  if (reservation !== undefined && !isReservation(reservation)) return undefined;
  state.desired = typeof desired === 'number' ? desired : undefined;
  state.wantedReason = typeof wantedReason === 'string' ? wantedReason : undefined;
  state.snapshot = snapshot;
  state.snapshotBoot = typeof snapshotBoot === 'string' ? snapshotBoot : undefined;
  state.reservation = reservation;
  state.ledgered = ledgered === true;
  if (!sameBoot) return state;
  for (const key of ['aboveSinceMs', 'belowSinceMs', 'changedMs', 'snapshotMs'] as const) {
    if (!isMaybe(group[key], 'number')) return undefined;
  }
  const lists = [members, failures, avoid].map(pairs);
  if (lists.some((list) => list === undefined)) return undefined;
  const times = group as unknown as GroupState;
  state.aboveSinceMs = times.aboveSinceMs;
  state.belowSinceMs = times.belowSinceMs;
  state.changedMs = times.changedMs;
  state.snapshotMs = times.snapshotMs;
  const whole = group as unknown as SavedGroup;
  for (const [vmid, memory] of whole.members) {
    if (isVmid(vmid) && isObject(memory)) fill(state.members, vmid, memory);
  }
  for (const [key, failure] of whole.failures) {
    if (typeof key === 'string' && isObject(failure)) fill(state.failures, key, failure);
  }
  for (const [vmid, untilMs] of whole.avoid) fill(state.avoid, vmid, untilMs);
  return state;
}

function fill<K, V>(map: Map<K, V>, key: K, value: unknown): void {
  map.set(key, value as V);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isMaybe = (value: unknown, type: 'number' | 'string'): boolean =>
  value === undefined || typeof value === type;

const isVmid = (value: unknown): boolean =>
  typeof value === 'number' && parseVmid(String(value)) !== undefined;

function pairs(value: unknown): readonly unknown[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.every((pair) => Array.isArray(pair) && pair.length === 2) ? value : undefined;
}

/** What it names comes into the ledger, which must be read again. */
const isReservation = (value: unknown): value is Reservation =>
  isObject(value) &&
  isVmid(value['vmid']) &&
  (value['address'] === undefined || isAddress(value['address'])) &&
  isNonce(value['nonce']) &&
  typeof value['startedMs'] === 'number' &&
  typeof value['reason'] === 'string' &&
  typeof value['boot'] === 'string';
