import {
  type Allocation,
  isEmpty,
  isSameCpuLimit,
  LEAST_CPU_LIMIT,
  LEAST_MEMORY_MIB,
  MOST_CORES,
  roundCpuLimit,
} from '../core/allocation.ts';
import { explainUnproven } from '../core/explain.ts';
import { toolOf } from '../core/guest-words.ts';
import type { GuestConfig } from '../core/observation.ts';
import { takesMemory } from '../core/proof.ts';
import type { Reading } from '../core/reading.ts';
import { type Mib, mib, type Vmid } from '../core/units.ts';
import { type ReadBack, verify } from '../core/verify.ts';
import type { CommandOutcome } from '../node/port.ts';
import type { ActingWorld } from '../ports.ts';
import { type HeldDown, holdDown, letGo, setWatched } from './hold-down.ts';
import { dropPending } from './left-pending.ts';
import { isUnwritable, outcomeWords, readBack } from './read-back.ts';
import { type ApplyContext, type ChangeResult, stopAlsoAtTheEnd, type Wish } from './wish.ts';

/**
 * Brings configuration and kernel back to the same values. `pct set` changes the live limit first
 * and the configuration last, so one that fails in between leaves two values; and one that names
 * the value of the configuration does nothing to the live limit. So where the configuration has the
 * wanted value already, it is first given the live one, and then the wanted one by a real change:
 * in between both say the same, and nothing was taken or given.
 */

/** Restores the values before a change that was half done, or that has hurt. */
export async function bringBack(
  world: ActingWorld,
  { vmid, before, target }: Wish,
  why: string,
  context: ApplyContext,
): Promise<ChangeResult> {
  const outcome = await agree(
    world,
    { vmid, target: before, reason: `Putting back: ${why}` },
    context,
  );
  switch (outcome.kind) {
    case 'agreed':
      return { kind: 'rolled-back', note: `The previous values are active again: ${why}` };
    case 'kept': {
      const note = `its memory is now configured as it is live, ${outcome.memoryMib} MB`;
      const all = `${note}, since ${outcome.because}`;
      const isWhole = Object.keys(target).every((key) => key === 'memoryMib');
      if (isWhole && target.memoryMib === outcome.memoryMib) {
        return { kind: 'confirmed', note: `It is active, though ${why}: ${all}.` };
      }
      return {
        kind: 'failed',
        note: `Half done: ${why}; ${all}. Please check container ${vmid}.`,
      };
    }
    case 'failed': {
      const note = `Half done and NOT put back (${outcome.note}): ${why}`;
      return { kind: 'failed', note: `${note}. Please check container ${vmid}.` };
    }
  }
}

export interface Agreement {
  readonly vmid: Vmid;
  readonly target: Partial<Allocation>;
  /** What the backups are made for. */
  readonly reason: string;
}

export type Agreed =
  | { readonly kind: 'agreed' }
  /** So much cannot be taken from it: its configuration follows what is live. */
  | { readonly kind: 'kept'; readonly memoryMib: number; readonly because: string }
  | {
      readonly kind: 'failed';
      readonly note: string;
      /** As of a `ChangeResult`. */
      readonly unsettled?: true;
    };

export async function agree(
  world: ActingWorld,
  wish: Agreement,
  context: ApplyContext,
): Promise<Agreed> {
  const { vmid, target } = wish;
  const live = await readBack(world, vmid);
  const file = world.guests.read(vmid);
  if (!file.ok) return { kind: 'failed', note: file.detail };
  const stale = staleParts(file.value.config, live, target);
  const { memoryMib } = target;
  const sample = world.cgroups.sample(vmid);
  const isContainer = file.value.config.reaches === undefined;
  const takes = isContainer && memoryMib !== undefined && takesMemory(sample, memoryMib);
  if (!takes) return step(world, wish, [stale, target], context, undefined);
  const down = await holdDown(world, { vmid, toMib: memoryMib });
  if (down.kind !== 'held') {
    const unseen = down.kind === 'unseen' ? `its memory could not be read: ${down.detail}` : '';
    const because = down.kind === 'unproven' ? explainUnproven(down.because) : unseen;
    return keepMemory(world, wish, { live, stale, because }, context);
  }
  try {
    return await step(world, wish, [stale, target], context, down.held);
  } finally {
    await letGo(world, vmid);
  }
}

interface Kept {
  readonly live: ReadBack;
  readonly stale: Partial<Allocation>;
  readonly because: string;
}

/** All but the memory, and of that the configuration alone: a restart must not take it either. */
async function keepMemory(
  world: ActingWorld,
  wish: Agreement,
  { live, stale, because }: Kept,
  context: ApplyContext,
): Promise<Agreed> {
  const now = live.liveMemoryMib.ok ? live.liveMemoryMib.value : undefined;
  const memoryMib = wholeMib(now);
  if (memoryMib === undefined) return { kind: 'failed', note: because };
  const target = { ...wish.target, memoryMib };
  const { memoryMib: _, ...staleCpu } = stale;
  const outcome = await step(world, { ...wish, target }, [staleCpu, target], context, undefined);
  return outcome.kind === 'agreed' ? { kind: 'kept', memoryMib, because } : outcome;
}

/** A live limit as a configuration can say it; undefined: it cannot. */
const wholeMib = (live: number | undefined): Mib | undefined =>
  live !== undefined && Number.isInteger(live) && live >= LEAST_MEMORY_MIB ? mib(live) : undefined;

/** What the configuration says as it is wanted while the kernel does not: the values to go by. */
function staleParts(
  config: GuestConfig,
  live: ReadBack,
  target: Partial<Allocation>,
): Partial<Allocation> {
  const { memoryMib, cpuLimit } = target;
  const { liveMemoryMib, liveCpuLimit } = live;
  const isOther = <T>(reading: Reading<T>, same: (value: T) => boolean): boolean =>
    reading.ok && !same(reading.value);
  const isMemory =
    memoryMib !== undefined &&
    config.memoryMib === memoryMib &&
    isOther(liveMemoryMib, (value) => value === memoryMib);
  const isCpu =
    cpuLimit !== undefined &&
    isSameCpuLimit(config.cpuLimit, cpuLimit) &&
    isOther(liveCpuLimit, (value) => isSameCpuLimit(value ?? null, cpuLimit));
  const found = liveMemoryMib.ok ? wholeMib(liveMemoryMib.value) : undefined;
  return {
    // A live limit that no configuration can say: any other value leads to a real change.
    ...(isMemory && { memoryMib: found ?? mib(memoryMib + LEAST_MEMORY_MIB) }),
    ...(isCpu && { cpuLimit: sayable(liveCpuLimit.ok ? liveCpuLimit.value : undefined, cpuLimit) }),
  };
}

/** A live cpulimit as `pct` can be told it; where it cannot, some other one than is wanted. */
function sayable(live: number | undefined, wanted: number | null): number | null {
  const rounded = live === undefined ? null : roundCpuLimit(live);
  const isTaken = rounded === null || (rounded >= LEAST_CPU_LIMIT && rounded <= MOST_CORES);
  if (isTaken && !isSameCpuLimit(rounded, wanted)) return rounded;
  return wanted === null ? LEAST_CPU_LIMIT : null;
}

/** Sets one after the other, each after a backup, and reads back what has come of them. */
async function step(
  world: ActingWorld,
  { vmid, target, reason }: Agreement,
  targets: readonly Partial<Allocation>[],
  context: ApplyContext,
  held: HeldDown | undefined,
): Promise<Agreed> {
  let outcome: CommandOutcome = { kind: 'done' };
  let tool = toolOf({});
  let unsettled: Pick<ChangeResult, 'unsettled'> = {};
  for (const each of targets.filter((one) => !isEmpty(one))) {
    await world.inspect(vmid);
    const file = world.guests.read(vmid);
    if (!file.ok) return { kind: 'failed', note: file.detail };
    const backup = world.backups.write(file.value, { reason });
    if (!backup.ok) return { kind: 'failed', note: `no backup: ${backup.message}` };
    const request = { vmid, ...each, digest: file.value.config.digest };
    const set = await setWatched(world, request, stopAlsoAtTheEnd(context), held);
    if (set.pushed !== undefined) return { kind: 'failed', note: explainUnproven(set.pushed) };
    outcome = set.outcome;
    tool = toolOf(file.value.config);
    if (file.value.config.reaches === undefined) continue;
    const left = await dropPending(world, file.value.config, each, outcome, context);
    if (left.isUnsettled) unsettled = { unsettled: true };
    if (left.problem !== undefined) return { kind: 'failed', note: left.problem, ...unsettled };
  }
  const verdict = verify({}, target, await readBack(world, vmid), context.hostCpus);
  if (verdict.kind === 'confirmed' || verdict.kind === 'pending') return { kind: 'agreed' };
  const note = outcome.kind === 'done' ? `${tool} set did not help` : outcomeWords(outcome, tool);
  const lifted = isUnwritable(outcome)
    ? await liftLive(world, { vmid, target, reason }, context)
    : '';
  return { kind: 'failed', note: lifted ? `${note}; ${lifted}` : note, ...unsettled };
}

/**
 * Where `/etc/pve` takes no changes, half of a lowering is in force: the configuration has kept the
 * value before, and to name that does nothing to the kernel. One just below it does: `pct` changes
 * what is live before it fails. So a container does not stay short until there is quorum again; the
 * little that is left of the difference is put right then. It had so much a moment ago, so the host
 * has it. It is by `pct` too: this program writes no limit of a cgroup itself.
 *
 * @returns what is live again, in words; undefined: nothing
 */
export async function liftLive(
  world: ActingWorld,
  { vmid, target: before, reason }: Agreement,
  context: ApplyContext,
): Promise<string | undefined> {
  const nearly = nearlyAsBefore(await readBack(world, vmid), before, context.hostCpus);
  const file = world.guests.read(vmid);
  if (!file.ok || isEmpty(nearly)) return undefined;
  const backup = world.backups.write(file.value, { reason });
  if (!backup.ok) return undefined;
  const request = { vmid, ...nearly, digest: file.value.config.digest };
  await setWatched(world, request, stopAlsoAtTheEnd(context), undefined);
  const after = await readBack(world, vmid);
  if (!isEmpty(nearlyAsBefore(after, nearly, context.hostCpus))) return undefined;
  const { memoryMib, cpuLimit } = nearly;
  const words = [
    ...(memoryMib === undefined ? [] : [`memory limit ${memoryMib} MB`]),
    ...(cpuLimit === undefined ? [] : [`cpulimit ${cpuLimit}`]),
  ];
  return `what is live is nearly as before again (${words.join(', ')})`;
}

/** Values just below those before, of limits that are live with less. */
function nearlyAsBefore(
  { liveMemoryMib, liveCpuLimit }: ReadBack,
  { memoryMib, cpuLimit }: Partial<Allocation>,
  hostCpus: number,
): Partial<Allocation> {
  const liveMib = liveMemoryMib.ok ? liveMemoryMib.value : undefined;
  const isLow = memoryMib !== undefined && liveMib !== undefined && liveMib < memoryMib - 1;
  // Without a cpulimit it had all CPUs.
  const cores = cpuLimit === null ? hostCpus : cpuLimit;
  const live = liveCpuLimit.ok ? liveCpuLimit.value : undefined;
  const isSlow = cores !== undefined && live !== undefined && live < cores - 2 * LEAST_CPU_LIMIT;
  const less = Math.round(((cores ?? 0) - LEAST_CPU_LIMIT) * 100) / 100;
  const nearCores = cpuLimit === null ? hostCpus : less;
  return {
    ...(isLow && { memoryMib: mib(memoryMib - 1) }),
    ...(isSlow && { cpuLimit: nearCores }),
  };
}
