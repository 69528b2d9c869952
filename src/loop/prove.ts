import { memoryNeed } from '../core/guards.ts';
import type { CgroupSample, MemoryCounters, MemoryUsage } from '../core/observation.ts';
import {
  askFor,
  leastUnasked,
  numbersOf,
  provenBelow,
  type Unproven,
  unaskedNeed,
  whyUnproven,
} from '../core/proof.ts';
import type { Reading } from '../core/reading.ts';
import { missing, present } from '../core/reading.ts';
import { type Bytes, bytes, type Vmid } from '../core/units.ts';
import { isFrozen, memoryUsage } from '../core/usage.ts';
import type { ActingWorld, World } from '../ports.ts';

export type Proof =
  | { readonly kind: 'proven' }
  | { readonly kind: 'unproven'; readonly because: Unproven }
  /** Its memory could not be read, so nothing is known. */
  | { readonly kind: 'unseen'; readonly detail: string };

/** A memory limit that is to be lowered. */
export interface Lowering {
  readonly vmid: Vmid;
  readonly toMib: number;
  /** If the kernel cannot be asked: what the step is measured by; undefined for any step. */
  readonly fromMib?: number;
  /** What it has swapped out may stay there. */
  readonly swapStays?: boolean;
}

const PROVEN: Proof = { kind: 'proven' };
const unproven = (because: Unproven): Proof => ({ kind: 'unproven', because });

/**
 * Shows that a container can do with a lower memory limit, before `pct set` makes it so: reads its
 * use once more, since the cycle may be a minute old, and has the kernel give up what the new limit
 * would take. `pct` itself lowers a limit below what is in use without a word, and that kills.
 */
export async function proveShrink(world: ActingWorld, lowering: Lowering): Promise<Proof> {
  const { vmid, toMib } = lowering;
  const before = await look(world, vmid);
  if (!before.ok) return { kind: 'unseen', detail: before.detail };
  const { usage, counters } = before.value;
  const grown = whyTooLittle(usage, lowering);
  if (grown !== undefined) return unproven(grown);
  const ask = askFor(counters, toMib);
  if (ask.kind === 'nothing') return PROVEN;
  if (ask.kind === 'beyond-cache') return unproven(ask.because);
  return askKernel(world, lowering, before.value, ask.bytes);
}

export function whyTooLittle(
  usage: MemoryUsage,
  { toMib: limitMib, swapStays }: Lowering,
): Unproven | undefined {
  const needMib = memoryNeed(usage.workingSetMib + (swapStays ? 0 : usage.swapMib));
  return needMib > limitMib ? { kind: 'need-grew', needMib, limitMib } : undefined;
}

/** Maximum reclaim rounds for a container that keeps filling its cache meanwhile. */
const MOST_ROUNDS = 3;

async function askKernel(
  world: ActingWorld,
  lowering: Lowering,
  first: Look,
  firstWish: Bytes,
): Promise<Proof> {
  const { vmid, toMib } = lowering;
  const until = provenBelow(toMib);
  let askedBytes = 0;
  let wish = firstWish;
  let before = first.counters;
  for (let round = 1; ; round++) {
    const answer = await world.hands.reclaim.ask(vmid, { bytes: wish, until });
    if (answer.kind === 'unsupported') return unasked(lowering, first.usage);
    const seen = await look(world, vmid);
    if (!seen.ok) return { kind: 'unseen', detail: seen.detail };
    const { counters: after, identity, usage } = seen.value;
    if (identity !== first.identity) {
      return { kind: 'unseen', detail: 'it was restarted meanwhile' };
    }
    if (answer.kind === 'asked') askedBytes += answer.bytes;
    const asked = bytes(askedBytes);
    if (answer.kind === 'refused') {
      const numbers = numbersOf(first.counters, after, until, asked);
      return unproven({ kind: 'refused', message: answer.message, numbers });
    }
    const because =
      whyUnproven(first.counters, after, toMib, asked) ?? whyTooLittle(usage, lowering);
    if (because === undefined) return PROVEN;
    const rest = askFor(after, toMib);
    const obeyed = before.currentBytes - after.currentBytes >= wish / 2;
    const goOn = because.kind === 'still-in-use' && obeyed && round < MOST_ROUNDS;
    if (!goOn || rest.kind !== 'reclaim') return unproven(because);
    wish = rest.bytes;
    before = after;
  }
}

/** Without the kernel's word only a small step is made, and none below the more careful need. */
function unasked({ fromMib, toMib }: Lowering, usage: MemoryUsage): Proof {
  const needMib = unaskedNeed(usage);
  if (needMib > toMib) return unproven({ kind: 'need-grew', needMib, limitMib: toMib });
  if (fromMib === undefined || toMib >= leastUnasked(fromMib)) return PROVEN;
  return unproven({ kind: 'cannot-ask', limitMib: toMib });
}

/** Where growth cannot be held back, the same: a growth in the wrong moment meets a near limit. */
export function unheld(
  { fromMib, toMib: limitMib }: Lowering,
  usage: MemoryUsage,
  message: string,
): Unproven | undefined {
  const needMib = unaskedNeed(usage);
  if (needMib > limitMib) return { kind: 'need-grew', needMib, limitMib };
  const isSmall = fromMib !== undefined && limitMib >= leastUnasked(fromMib);
  return isSmall ? undefined : { kind: 'cannot-hold', limitMib, message };
}

export interface Look {
  readonly identity: number;
  readonly usage: MemoryUsage;
  readonly counters: MemoryCounters;
}

export async function look({ inspect, cgroups }: World, vmid: Vmid): Promise<Reading<Look>> {
  await inspect(vmid);
  const sample: Reading<CgroupSample> = cgroups.sample(vmid);
  if (!sample.ok) return sample;
  const { memory, identity } = sample.value;
  if (isFrozen(sample.value)) return missing('frozen', 'it was frozen meanwhile');
  const usage = memoryUsage(undefined, sample.value);
  if (!memory.ok) return memory;
  if (!usage.ok) return missing(usage.why, usage.detail);
  return present({ identity, usage: usage.value, counters: memory.value });
}
