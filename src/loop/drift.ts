import {
  type Allocation,
  allocationOf,
  isExactly,
  isSameValue,
  type Lever,
  type Resource,
} from '../core/allocation.ts';
import { GIVEN_BACK_MS } from '../core/arbitrate.ts';
import { lacksLimit } from '../core/capabilities.ts';
import { withUnit } from '../core/explain.ts';
import { noteGiven } from '../core/given.ts';
import type { GuestRecord, ResourceRecord } from '../core/guest-record.ts';
import { guestLabel } from '../core/guest-words.ts';
import { noteCpuDiffering, noteDiffering } from '../core/in-force.ts';
import { type LoopState, recordOf } from '../core/loop-state.ts';
import type { ContainerState, GuestConfig } from '../core/observation.ts';
import { hasOwnQuota } from '../core/pins.ts';
import { plainText } from '../core/plain-text.ts';
import type { Management } from '../core/policy.ts';
import { type Milliseconds, milliseconds } from '../core/units.ts';
import type { World } from '../ports.ts';
import type { Observed } from './observe.ts';
import { type CutOff, catchUp, isOurs, logNotInForce, mayStillCome } from './recovery.ts';

/**
 * Records what others have changed on a container since the last cycle. A value that somebody else
 * has set is the new norm: it stays for a while, and nothing is restored over it.
 */
export function recordDrift(
  world: World,
  state: LoopState,
  { containers, atMs }: Observed,
  manage: (config: GuestConfig) => Management,
): void {
  forgetWhatIsOver(state, atMs);
  const lacksCpu = lacksLimit(state, 'cpu');
  const isShared = isInOtherHands(world, state);
  for (const { vmid, config, state: seen } of containers) {
    if (!config.ok) continue;
    const record = recordOf(state, vmid);
    if (config.value.lock !== undefined) {
      noteLock(record, config.value.lock);
      continue;
    }
    const { rewriter, known: before, intended } = record;
    record.rewriter = undefined;
    if (record.given === undefined) {
      const own = world.backups.own?.(config.value);
      noteGiven(record, own ?? before ?? allocationOf(config.value));
    }
    noteLimits(world, record, config.value, seen, atMs, lacksCpu);
    if (before !== undefined && isAsKnown(record, before, config.value)) continue;
    const now = allocationOf(config.value);
    record.known = now;
    forgetOtherBoosts(record, now);
    if (before === undefined) continue;
    const cutOff = intended && { guest: config.value, before, now, intended };
    if (cutOff !== undefined) {
      if (cutOff.intended.told !== true) logNotInForce(world, state, cutOff);
      record.intended = { ...cutOff.intended, told: true };
      if (mayStillCome(cutOff, atMs)) {
        // The whole of it is put on record at once.
        record.known = before;
        continue;
      }
      record.intended = undefined;
      catchUp(world, state, cutOff, atMs);
    }
    const changes = differences(before, now, cutOff);
    if (changes.length === 0) continue;
    if (!isShared) {
      noteGiven(
        record,
        now,
        changes.map(({ resource }) => resource),
      );
    }
    const management = manage(config.value);
    if (management.kind === 'ignored') continue;
    const { manualHoldMs } = management.policy.timing;
    for (const { resource, words } of changes) {
      const holds = manualHoldMs > 0 && rewriter === undefined && !isShared;
      afterHand(record, resource, holds ? milliseconds(atMs + manualHoldMs) : undefined);
      const stays = holds ? `; it stays for ${manualHoldMs / 1000} s` : '';
      const by = isShared ? 'by the other lxc-autoscale' : byWhom(rewriter);
      const who = `${guestLabel(config.value)} (${config.value.name})`;
      const about = { component: 'observe', vmid, event: 'by-hand' } as const;
      world.log.info(`${who}: ${words}, ${by}${stays}`, about);
    }
  }
}

/**
 * While another program has the node, and until the look after that, what is changed is its work
 * and nobody's hand.
 */
const isInOtherHands = ({ notOurs }: World, { pause }: LoopState): boolean =>
  (notOurs?.() ?? pause)?.kind === 'elsewhere';

const byWhom = (rewriter: string | undefined): string =>
  rewriter === undefined ? 'not by this program' : `under the lock ${rewriter}`;

/** What cannot be seen says nothing of a difference, nor of how long there is one. */
function noteLimits(
  { cgroups }: World,
  record: GuestRecord,
  guest: GuestConfig,
  seen: ContainerState,
  atMs: Milliseconds,
  lacksCpu: boolean,
): void {
  const memory = seen.kind === 'running' ? seen.usage.memory : undefined;
  if (memory?.ok) noteDiffering(record, guest, memory.value, atMs);
  else record.memory.differing = undefined;
  const isOurs = seen.kind === 'running' && !lacksCpu && !hasOwnQuota(guest);
  const quota = isOurs ? cgroups.sampledCpuLimit(guest.vmid) : undefined;
  if (quota?.ok) noteCpuDiffering(record, guest, quota.value ?? null, atMs);
  else record.cores.differing = undefined;
}

/**
 * What was to be undone, or was learnt of our own steps, says nothing of a value by hand.
 *
 * @param untilMs until then it stays as it is; undefined: an earlier hold goes on
 */
export function afterHand(
  record: GuestRecord,
  resource: Resource,
  untilMs: Milliseconds | undefined,
): void {
  const { life } = record;
  Object.assign(record[resource], NOTHING_OF_OURS);
  if (untilMs !== undefined) record[resource].handHoldMs = untilMs;
  if (resource !== 'memory') return;
  life.shrinkRetry = undefined;
  life.shrunk = undefined;
}

const NOTHING_OF_OURS: Partial<ResourceRecord> = {
  boost: undefined,
  offPeak: undefined,
  taken: undefined,
  waited: undefined,
};

/** Under these Proxmox VE leaves the values as they are: what differs then, a person has edited. */
const KEEPING: ReadonlySet<string> = new Set([
  'backup',
  'disk',
  'fstrim',
  'mounted',
  'snapshot',
  'snapshot-delete',
]);

/**
 * A configuration that is being made, restored or rolled back may have no values yet, or defaults,
 * and `pct set` is refused under any lock. So what a locked one says is not what it has. If its
 * lock is of an operation that writes the values, they are its own afterwards, and nobody's hand.
 */
function noteLock(record: GuestRecord, lock: string): void {
  if (!KEEPING.has(lock)) record.rewriter = plainText(lock, 40);
}

/** As on most days: nothing has changed, and nothing is under way. */
const isAsKnown = (record: GuestRecord, before: Allocation, config: GuestConfig): boolean =>
  isExactly(before, config) &&
  record.cores.boost === undefined &&
  record.memory.boost === undefined &&
  record.intended === undefined;

interface Difference {
  readonly resource: Resource;
  /** `its number of cores was set from 2 cores to 4 cores`. */
  readonly words: string;
}

/** A change that a crash has cut off may have come about; then it was ours. */
function differences(
  before: Allocation,
  now: Allocation,
  cutOff: CutOff | undefined,
): readonly Difference[] {
  const found: Difference[] = [];
  const compare = (name: string, resource: Resource, of: Lever): void => {
    const [from, to] = [before[of], now[of]];
    if (isSameValue(of, from, to) || (cutOff !== undefined && isOurs(cutOff, of))) return;
    const shown = (value: number | null): string =>
      value === null ? 'none' : withUnit(resource, value);
    found.push({ resource, words: `its ${name} was set from ${shown(from)} to ${shown(to)}` });
  };
  compare('number of cores', 'cores', 'cores');
  compare('cpulimit', 'cores', 'cpuLimit');
  compare('memory', 'memory', 'memoryMib');
  return found;
}

/** One that never came to be, or that somebody has overruled. */
function forgetOtherBoosts({ cores, memory }: GuestRecord, now: Allocation): void {
  const { boost } = cores;
  if (boost !== undefined && ![now.cores, now.cpuLimit].includes(boost.boosted)) {
    cores.boost = undefined;
  }
  if (memory.boost !== undefined && memory.boost.boosted !== now.memoryMib) {
    memory.boost = undefined;
  }
}

/** How long an expired shrink back-off still lengthens the next one. */
const RETRY_REMEMBERED_MS = 24 * 3_600_000;

function forgetWhatIsOver({ guests }: LoopState, nowMs: number): void {
  for (const { life, cores, memory } of guests.values()) {
    const { shrinkRetry } = life;
    if (shrinkRetry !== undefined && nowMs - shrinkRetry.retryAtMs > RETRY_REMEMBERED_MS) {
      life.shrinkRetry = undefined;
    }
    forgetOfResource(cores, nowMs);
    forgetOfResource(memory, nowMs);
  }
}

function forgetOfResource(record: ResourceRecord, nowMs: number): void {
  if (record.handHoldMs !== undefined && record.handHoldMs <= nowMs) record.handHoldMs = undefined;
  const givenBackMs = record.offPeak?.givenBackMs;
  if (givenBackMs !== undefined && nowMs - givenBackMs > GIVEN_BACK_MS) record.offPeak = undefined;
}
