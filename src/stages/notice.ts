import type { Resource } from '../core/decision.ts';
import { withUnit } from '../core/explain.ts';
import { noteCpuDiffering, noteDiffering } from '../core/in-force.ts';
import { GIVEN_BACK_MS } from '../core/judge.ts';
import { type KnownValues, type LoopState, valuesOf } from '../core/loop-state.ts';
import type { ContainerState, GuestConfig } from '../core/observation.ts';
import { changeKey } from '../core/pace.ts';
import { hasOwnQuota } from '../core/pins.ts';
import { plainText } from '../core/plain-text.ts';
import type { Management } from '../core/policy.ts';
import { type Milliseconds, milliseconds, type Vmid } from '../core/units.ts';
import type { World } from '../ports.ts';
import { catchUp, isSame, mayStillCome, tellNotInForce } from './catch-up.ts';
import type { Observed } from './observe.ts';

/**
 * Notices what others have done to a container since it was last seen. A value that somebody else
 * has set is the new norm: it stays for a while, and nothing that was to be undone is undone on it.
 */
export function noticeOthers(
  world: World,
  state: LoopState,
  { containers, atMs }: Observed,
  manage: (config: GuestConfig) => Management,
): void {
  forgetWhatIsOver(state, atMs);
  for (const { vmid, config, state: seen } of containers) {
    if (!config.ok) continue;
    if (config.value.lock !== undefined) {
      noteLock(state, vmid, config.value.lock);
      continue;
    }
    const rewriter = state.rewriters.get(vmid);
    state.rewriters.delete(vmid);
    noteLimits(world, state, config.value, seen, atMs);
    const before = state.known.get(vmid);
    if (before !== undefined && isAsKnown(state, vmid, before, config.value)) continue;
    const now = valuesOf(config.value);
    const intended = state.intended.get(vmid);
    state.known.set(vmid, now);
    forgetOtherBoosts(state, vmid, now);
    if (before === undefined) continue;
    if (intended !== undefined) {
      const cutOff = { vmid, name: config.value.name, before, now, intended };
      if (intended.told !== true) tellNotInForce(world, state, cutOff);
      state.intended.set(vmid, { ...intended, told: true });
      if (mayStillCome(cutOff, atMs)) continue;
      state.intended.delete(vmid);
      catchUp(world, state, cutOff, atMs);
    }
    const changes = differences(before, now, intended);
    if (changes.length === 0) continue;
    const management = manage(config.value);
    if (management.kind === 'ignored') continue;
    const { manualHoldMs } = management.policy.timing;
    for (const { resource, words } of changes) {
      const key = changeKey(vmid, resource);
      state.boosts.delete(key);
      state.offPeak.delete(key);
      state.taken.delete(key);
      state.waited.delete(key);
      if (resource === 'memory') {
        state.shrinkRetry.delete(vmid);
        state.shrunk.delete(vmid);
      }
      const holds = manualHoldMs > 0 && rewriter === undefined;
      if (holds) state.handHolds.set(key, milliseconds(atMs + manualHoldMs));
      const stays = holds ? `; it stays for ${manualHoldMs / 1000} s` : '';
      const by = rewriter === undefined ? 'not by this program' : `under the lock ${rewriter}`;
      const who = `Container ${vmid} (${config.value.name})`;
      const about = { room: 'observe', vmid, event: 'by-hand' } as const;
      world.log.info(`${who}: ${words}, ${by}${stays}`, about);
    }
  }
}

/** What cannot be seen says nothing of a difference, nor of how long there is one. */
function noteLimits(
  { cgroups }: World,
  state: LoopState,
  guest: GuestConfig,
  seen: ContainerState,
  atMs: Milliseconds,
): void {
  const { vmid } = guest;
  const memory = seen.kind === 'running' ? seen.usage.memory : undefined;
  if (memory?.ok) noteDiffering(state, guest, memory.value, atMs);
  else state.differing.delete(changeKey(vmid, 'memory'));
  const isOurs = seen.kind === 'running' && !state.lacking.has('cpu') && !hasOwnQuota(guest);
  const quota = isOurs ? cgroups.cpuLimit(vmid) : undefined;
  if (quota?.ok) noteCpuDiffering(state, guest, quota.value ?? null, atMs);
  else state.differing.delete(changeKey(vmid, 'cores'));
}

/** Under these Proxmox VE leaves the values as they are: what differs then, a person has edited. */
const KEEPING: ReadonlySet<string> = new Set([
  ...['backup', 'disk', 'fstrim', 'mounted', 'snapshot', 'snapshot-delete'],
]);

/**
 * A configuration that is being made, restored or rolled back may have no values yet, or defaults,
 * and `pct set` is refused under any lock. So what a locked one says is not what it has. If its
 * lock is of an operation that writes the values, they are its own afterwards, and nobody's hand.
 */
function noteLock({ rewriters }: LoopState, vmid: Vmid, lock: string): void {
  if (!KEEPING.has(lock)) rewriters.set(vmid, plainText(lock, 40));
}

/** As on most days: nothing has changed, and nothing is under way. */
const isAsKnown = (
  { intended, boosts }: LoopState,
  vmid: Vmid,
  before: KnownValues,
  { cores, cpuLimit, memoryMib }: GuestConfig,
): boolean =>
  before.cores === (cores ?? null) &&
  before.cpuLimit === (cpuLimit ?? null) &&
  before.memoryMib === memoryMib &&
  boosts.size === 0 &&
  !intended.has(vmid);

interface Difference {
  readonly resource: Resource;
  /** `its number of cores was set from 2 cores to 4 cores`. */
  readonly words: string;
}

/** A change that a crash has cut off may have come about; then it was ours. */
function differences(
  before: KnownValues,
  now: KnownValues,
  intended: KnownValues | undefined,
): readonly Difference[] {
  const found: Difference[] = [];
  const compare = (name: string, resource: Resource, of: keyof KnownValues): void => {
    const [from, to] = [before[of], now[of]];
    if (isSame(of, from, to) || isSame(of, to, intended?.[of])) return;
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
function forgetOtherBoosts({ boosts }: LoopState, vmid: Vmid, now: KnownValues): void {
  const cores = boosts.get(changeKey(vmid, 'cores'));
  if (cores !== undefined && ![now.cores, now.cpuLimit].includes(cores.boosted)) {
    boosts.delete(changeKey(vmid, 'cores'));
  }
  const memory = boosts.get(changeKey(vmid, 'memory'));
  if (memory !== undefined && memory.boosted !== now.memoryMib) {
    boosts.delete(changeKey(vmid, 'memory'));
  }
}

/** So long after its wait is over a refused shrink still counts with the next one. */
const RETRY_REMEMBERED_MS = 24 * 3_600_000;

function forgetWhatIsOver({ handHolds, offPeak, shrinkRetry }: LoopState, nowMs: number): void {
  for (const [vmid, { retryAtMs }] of shrinkRetry) {
    if (nowMs - retryAtMs > RETRY_REMEMBERED_MS) shrinkRetry.delete(vmid);
  }
  for (const [key, untilMs] of handHolds) if (untilMs <= nowMs) handHolds.delete(key);
  for (const [key, { givenBackMs }] of offPeak) {
    if (givenBackMs !== undefined && nowMs - givenBackMs > GIVEN_BACK_MS) offPeak.delete(key);
  }
}
