import { isStopped } from '../core/guest-state.ts';
import type { MemoryCounters } from '../core/observation.ts';
import { provenBelow, type Unproven, whyPushed } from '../core/proof.ts';
import type { Vmid } from '../core/units.ts';
import { ownLimit } from '../core/usage.ts';
import type { CommandOutcome, SetRequest } from '../node/port.ts';
import type { ActingWorld, CycleWorld, World } from '../ports.ts';
import { type Lowering, look, proveShrink, unheld, whyTooLittle } from './prove.ts';

/**
 * A memory limit that goes down, so that nobody is killed by it: it is proven that less is enough,
 * growth is held back from then on, and usage is watched until the change is in force.
 */

export type HoldDown =
  | { readonly kind: 'held'; readonly held: HeldDown }
  | { readonly kind: 'unproven'; readonly because: Unproven }
  /** Its memory could not be read, so nothing is known. */
  | { readonly kind: 'unseen'; readonly detail: string };

export interface HeldDown {
  readonly vmid: Vmid;
  readonly toMib: number;
  /** When growth began to be held back. */
  readonly counters: MemoryCounters;
  /** Inode of the cgroup then. */
  readonly identity: number;
}

/** Proves that the limit may be lowered, and holds growth back; `letGo` has to follow. */
export async function holdDown(world: ActingWorld, lowering: Lowering): Promise<HoldDown> {
  const { vmid, toMib } = lowering;
  const proof = await proveShrink(world, lowering);
  if (proof.kind !== 'proven') return proof;
  const answer = await world.hands.memoryHigh.hold(vmid, provenBelow(toMib));
  const refused = answer.kind === 'held' ? undefined : answer.message;
  let result = await judgeHeld(world, lowering, refused);
  for (let looks = 1; looks < MOST_LOOKS && isPushed(result); looks++) {
    await world.hands.memoryHigh.pause();
    result = await judgeHeld(world, lowering, refused);
  }
  if (result.kind !== 'held') await letGo(world, vmid);
  return result;
}

/** File cache that came back between the proof and the hold takes a moment to go again. */
const MOST_LOOKS = 4;
const isPushed = (result: HoldDown): boolean =>
  result.kind === 'unproven' && result.because.kind === 'pushed';

/** The proof is true for the moment of its last look only; here is one more, with growth held. */
async function judgeHeld(
  world: World,
  lowering: Lowering,
  refused: string | undefined,
): Promise<HoldDown> {
  const { vmid, toMib } = lowering;
  const seen = await look(world, vmid);
  if (!seen.ok) return { kind: 'unseen', detail: seen.detail };
  const { usage, counters, identity } = seen.value;
  const because =
    (refused === undefined ? undefined : unheld(lowering, usage, refused)) ??
    whyTooLittle(usage, lowering) ??
    whyPushed(counters, counters, toMib);
  if (because !== undefined) return { kind: 'unproven', because };
  return { kind: 'held', held: { vmid, toMib, counters, identity } };
}

/** Puts `memory.high` back, unless `pct` has set it anew with the limit. */
export async function letGo({ hands, log }: ActingWorld, vmid: Vmid): Promise<void> {
  const outcome = await hands.memoryHigh.release(vmid);
  if (outcome.ok) return;
  const what = `Container ${vmid}: memory.high could not be put back and is low`;
  const about = { component: 'act', vmid, event: 'memory-high', outcome: 'failed' } as const;
  log.error(`${what}: ${outcome.message}. It is tried again in the next cycle.`, about);
}

/** Puts back what processes that were killed in the middle of a change have left. */
export async function letGoLeft({ hands, log }: CycleWorld): Promise<void> {
  for (const { vmid, problem } of (await hands?.memoryHigh.releaseLeft()) ?? []) {
    const who = `Container ${vmid}: memory.high`;
    const left = 'was lowered by a process that has ended';
    const about = { component: 'act', vmid, event: 'memory-high' } as const;
    if (problem === undefined) log.warn(`${who} ${left}, and is put back`, about);
    else log.error(`${who} ${left}, and could not be put back: ${problem}`, about);
  }
}

export interface Watched {
  readonly outcome: CommandOutcome;
  /** Why the limit must not be lowered after all: usage came up while `pct` was under way. */
  readonly pushed?: Unproven;
}

/** `pct set`, which is ended at once where what is held down pushes. */
export async function setWatched(
  { hands, inspect, cgroups }: ActingWorld,
  request: SetRequest,
  stop: AbortSignal,
  held: HeldDown | undefined,
): Promise<Watched> {
  if (held === undefined) return { outcome: await hands.apply(request, stop) };
  const cancel = new AbortController();
  let isOver = false;
  const outcome = hands.apply(request, stop, cancel.signal).finally(() => {
    isOver = true;
  });
  let pushed: Unproven | undefined;
  while (pushed === undefined) {
    await Promise.race([outcome, hands.memoryHigh.pause()]);
    await inspect(held.vmid);
    const seen = cgroups.sample(held.vmid);
    // What cannot be seen now says nothing new; the look before has shown that it fits.
    if (seen.ok && seen.value.memory.ok) {
      pushed = whyPushed(held.counters, seen.value.memory.value, held.toMib);
    }
    // The last look is at what runs into the new limit next.
    if (isOver) break;
    if (pushed !== undefined) cancel.abort();
  }
  return { outcome: await outcome, ...(pushed !== undefined && { pushed }) };
}

/** What has happened to a container while its limit went down; undefined: it lives on. */
export function whatWasKilled({ cgroups }: World, held: HeldDown): 'stopped' | 'kill' | undefined {
  const seen = cgroups.sample(held.vmid);
  if (isStopped(seen)) return 'stopped';
  if (!seen.ok) return undefined;
  if (seen.value.identity !== held.identity) return 'stopped';
  const { memory } = seen.value;
  if (!memory.ok) return undefined;
  const { counters: before } = held;
  const now = memory.value;
  // Without the container's own events any kill counts: it came while its limit went down.
  const isKilled =
    now.own === undefined ? now.oomKills > before.oomKills : ownLimit(before, now).kills > 0;
  return isKilled ? 'kill' : undefined;
}
