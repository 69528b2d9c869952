import { type Allocation, diffOf } from '../core/allocation.ts';
import { isStopped } from '../core/guest-state.ts';
import type { Headroom } from '../core/headroom.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { PlannedChange } from '../core/plan.ts';
import { mib } from '../core/units.ts';
import type { ActingWorld, World } from '../ports.ts';
import { agree } from './bring-back.ts';
import { apply, whyOvertaken } from './executor.ts';
import { whyNoHeadroom } from './headroom.ts';
import { changesOf, describe } from './log-cycle.ts';
import type { ApplyContext, ChangeResult, Wish } from './wish.ts';

export interface ChangeContext extends ApplyContext {
  /** What the host can still give with this change made. */
  readonly headroom: Headroom;
}

/** Carries out what the loop has planned for one container. */
export async function carryOut(
  world: ActingWorld,
  planned: PlannedChange,
  decidedOn: GuestConfig,
  context: ChangeContext,
): Promise<ChangeResult> {
  const { vmid, cores, memory } = planned;
  const before = sideOf(planned, 'before', decidedOn);
  const target = sideOf(planned, 'after', decidedOn);
  if (cores?.rule === 'in-force' || memory?.rule === 'in-force') {
    return bringInForce(world, { vmid, decidedOn, before, target }, planned, context);
  }
  const reason = changesOf(planned).map(describe).join('. ');
  const purpose = { ...diffOf(before, target), reason };
  const wish = {
    vmid,
    decidedOn,
    before,
    target,
    purpose,
    ...(memory?.unplugs && { unplugs: true as const }),
    ...(memory && {
      lowering: {
        fromMib: memory.measured.before,
        swapStays: memory.measured.swapStays ?? false,
        ...(memory.measured.dayPeakMib !== undefined && {
          dayPeakMib: memory.measured.dayPeakMib,
        }),
      },
    }),
    refuse: () => whyNotNow(world, planned, context),
  };
  const result = await apply(world, wish, context);
  if (result.kind !== 'pending') return result;
  const notes = [result.note, CORES_FOLLOW].filter((text) => text !== undefined);
  return { ...result, note: notes.join(' ') };
}

/** A live limit that is not the configured one: they come to agree, by real changes. */
async function bringInForce(
  world: ActingWorld,
  wish: Pick<Wish, 'vmid' | 'decidedOn' | 'before' | 'target'>,
  planned: PlannedChange,
  context: ChangeContext,
): Promise<ChangeResult> {
  const why =
    (await whyOvertaken(world, wish.decidedOn)) ?? (await whyNotNow(world, planned, context));
  if (why !== undefined) return { kind: 'overtaken', note: why };
  const reason = changesOf(planned).map(describe).join('. ');
  const { vmid, target } = wish;
  const outcome = await agree(world, { vmid, target, reason }, context);
  if (outcome.kind === 'agreed') return { kind: 'confirmed' };
  if (outcome.kind === 'failed') {
    return { ...outcome, note: `NOT done: ${outcome.note}` };
  }
  const now = `its configuration says ${outcome.memoryMib} MB now, as the kernel does`;
  return { kind: 'failed', note: `So little is not enough, so ${now}: ${outcome.because}.` };
}

const CORES_FOLLOW = 'Its cores take effect when pvestatd next rebalances, in about 10 s.';

/** A change may come a minute after it was planned, with slow ones before it. */
async function whyNotNow(
  world: World,
  { vmid, memory }: PlannedChange,
  { headroom }: ChangeContext,
): Promise<string | undefined> {
  if (memory?.verdict === 'grow') {
    await world.observe(undefined, 'change');
    const why = whyNoHeadroom(world, headroom);
    return why === undefined ? undefined : `${why}; deciding anew`;
  }
  const sample = world.cgroups.sample(vmid);
  if (memory === undefined || !isStopped(sample)) return undefined;
  return 'its memory could not be read once more before shrinking: it is not running';
}

/** The values of one side of a change. A line that was not there does not come back either. */
export function sideOf(
  planned: PlannedChange,
  side: 'before' | 'after',
  config: GuestConfig,
): Partial<Allocation> {
  const { cores, memory } = planned;
  const before = side === 'before';
  // None at all may be what is to be put right.
  const isConfigured = before || cores?.rule === 'in-force';
  return {
    ...(cores?.unit === undefined && cores && { cores: before ? config.cores : cores.after }),
    ...(cores?.unit === 'cpulimit' && {
      cpuLimit: isConfigured ? config.cpuLimit : cores.after,
    }),
    ...(memory && { memoryMib: before ? config.memoryMib : mib(memory.after) }),
  };
}
