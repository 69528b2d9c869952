import { type Lever, MEMORY_QUANTUM_MIB, resourceOf } from './allocation.ts';
import type { HoldReason } from './decision.ts';
import { withUnit } from './explain.ts';
import { roundDown } from './guards.ts';
import { hasFollowed } from './machine-memory.ts';
import type { GuestConfig, MemoryUsage } from './observation.ts';
import type { Verdict } from './policies/threshold.ts';
import type { ContainerPolicy } from './policy.ts';
import { unaskedNeed } from './proof.ts';
import { pluggableBelow, pluggableMib, pluggableWithin, type Reach } from './reach.ts';
import { mibToBytes } from './units.ts';

/** What bounds the levers of a guest that cannot be moved freely while it runs. */

type LiveReach = Extract<Reach, { readonly kind: 'live' }>;

/** The reach of a lever, if it has one of its own. */
const liveReach = ({ reaches }: GuestConfig, lever: Lever): LiveReach | undefined => {
  const reach = reaches?.[lever];
  return reach?.kind === 'live' ? reach : undefined;
};

/** Why a lever is not moved at all: nobody would see anything of it before the next start. */
export function whyFixed({ reaches }: GuestConfig, lever: Lever): HoldReason | undefined {
  const reach = reaches?.[lever];
  return reach?.kind === 'fixed' ? { ...reach, resource: resourceOf(lever) } : undefined;
}

/**
 * Why a value that is asked for is out of reach while the guest runs; undefined: it is not. What
 * can only grow has a reason of its own, which `asSettable` gives.
 */
export function whyBeyondReach(guest: GuestConfig, lever: Lever, to: number): string | undefined {
  const reach = liveReach(guest, lever);
  if (reach === undefined) return undefined;
  const { min, max, oneWay } = reach;
  if (to <= max && (to >= min || oneWay !== undefined)) return undefined;
  return `it can have ${min} to ${withUnit(resourceOf(lever), max)} while it runs`;
}

/** The most CPU that its lever reaches; undefined: there is no bound of its own. */
export const mostCores = (guest: GuestConfig): number | undefined => liveReach(guest, 'cores')?.max;

/** Why no more than all of its vCPUs can be had, where its policy would allow more. */
export function whyNoMoreCpus(
  guest: GuestConfig,
  verdict: Verdict,
  { cpu }: ContainerPolicy,
  hostCpus: number,
): Verdict {
  const isAtEnd = verdict.verdict === 'hold' && verdict.because.kind === 'at-maximum';
  const most = mostCores(guest);
  if (!isAtEnd || cpu.unit !== 'cores' || most === undefined) return verdict;
  const wanted = Math.min(cpu.max, hostCpus);
  if (most >= wanted) return verdict;
  const { capped } = liveReach(guest, 'cores') ?? {};
  const because: HoldReason = {
    kind: 'fixed',
    resource: 'cores',
    why: `it has all of its ${most} CPUs (sockets x cores), and max_cores is ${cpu.max}`,
    remedy: `${moreCpus(guest, wanted, guest.cores ?? most)} for more, then stop and start it`,
    ...capped,
  };
  return { ...verdict, because };
}

/** What lets a machine have up to so many CPUs from its next start on, and so many right then. */
const moreCpus = ({ vmid }: GuestConfig, most: number, atStart: number): string =>
  `\`qm set ${vmid} --sockets 1 --cores ${Math.ceil(most)} --vcpus ${Math.ceil(atStart)}\``;

/** What the host has. A machine with more CPUs than that does not start. */
export interface HostSize {
  readonly cpus: number;
  readonly memoryMib: number;
}

/**
 * What bounds of a policy a machine cannot come to while it runs, and what to set at its next stop.
 * Sentences that go on from its name.
 *
 * @param policy whose bounds are numbers
 */
export function boundsBeyondReach(
  guest: GuestConfig,
  { cpu, memory, only }: ContainerPolicy,
  host: HostSize,
): readonly string[] {
  const lines: string[] = [];
  const isCores = cpu.unit === 'cores';
  const reach = liveReach(guest, isCores ? 'cores' : 'cpuLimit');
  const cpus = reach?.max;
  const cores = Math.min(cpu.max, host.cpus);
  if (only !== 'memory' && cpus !== undefined && cpus < cores) {
    const key = cpu.min > cpus ? `min_cores is ${cpu.min}` : `max_cores is ${cpu.max}`;
    const of = reach?.capped?.why ?? (isCores ? 'sockets x cores' : 'vcpus');
    const had = `can have at most ${withUnit('cores', cpus)} while it runs (${of}), and ${key}`;
    const command = moreCpus(guest, cores, isCores ? (guest.cores ?? cpus) : cores);
    const remedy = reach?.capped?.remedy ?? `${command}, then stop and start it`;
    lines.push(`${had}. For more: ${remedy}`);
  }
  const mostMib = liveReach(guest, 'memoryMib')?.max;
  const memoryMib = roundDown(Math.min(memory.maxMib ?? 0, host.memoryMib), MEMORY_QUANTUM_MIB);
  if (only !== 'cores' && mostMib !== undefined && mostMib < memoryMib) {
    const isBelow = memory.minMib > mostMib;
    const key = isBelow ? `min_memory is ${memory.minMib}` : `max_memory is ${memory.maxMib}`;
    const had = `can have at most ${withUnit('memory', mostMib)} while it runs, and ${key}`;
    const wantedMib = pluggableWithin(memoryMib, host.memoryMib);
    const command = `\`qm set ${guest.vmid} --memory ${wantedMib}\``;
    lines.push(`${had}. For more: ${command}, then stop and start it`);
  }
  return lines;
}

/**
 * Whether the balloon is on its way to its target. One that does not come down to it cannot give
 * more up, and may grow; all else waits for it.
 */
export function whyBalloonMoves(
  guest: GuestConfig,
  { limitMib }: MemoryUsage,
): Extract<HoldReason, { readonly kind: 'balloon-moves' }> | undefined {
  if (guest.reaches === undefined || limitMib === undefined) return undefined;
  if (hasFollowed(mibToBytes(limitMib), guest.memoryMib)) return undefined;
  return { kind: 'balloon-moves', targetMib: guest.memoryMib, actualMib: limitMib };
}

/** The most that memory may become, also by what its lever reaches. */
export function mostMemoryMib(guest: GuestConfig, policyMaxMib: number): number {
  const reach = liveReach(guest, 'memoryMib');
  if (reach === undefined) return policyMaxMib;
  // Without a configured maximum nothing is lowered for being above it.
  return Math.max(Math.min(policyMaxMib, reach.max), reach.min);
}

/**
 * A step of memory as it can be set: what is beyond what it was assigned comes in modules, and is
 * rounded up to them if its maximum allows it. Nothing is taken where it could not be taken back.
 */
export function asSettable(
  guest: GuestConfig,
  verdict: Verdict,
  maxMib: number,
  unplugs = false,
): Verdict {
  const reach = liveReach(guest, 'memoryMib');
  if (reach === undefined || verdict.verdict === 'hold') return verdict;
  const { measured } = verdict;
  if (verdict.verdict === 'shrink') {
    const { oneWay, min } = reach;
    if (oneWay === undefined && verdict.after >= min) return verdict;
    if (unplugs && reach.unpluggedTo !== undefined) return verdict;
    const because = { kind: 'at-minimum', ...(oneWay && { oneWay }) } as const;
    return { verdict: 'hold', because, measured };
  }
  const { pluggedFrom } = reach;
  const after = inModules(verdict.after, pluggedFrom, maxMib);
  if (after <= measured.before) {
    return { verdict: 'hold', because: { kind: 'at-maximum' }, measured };
  }
  const fallback = verdict.fallback && inModules(verdict.fallback, pluggedFrom, maxMib);
  return {
    ...verdict,
    after,
    ...(pluggedFrom !== undefined && { pluggedFrom }),
    ...(fallback !== undefined && fallback > measured.before && { fallback }),
  };
}

function inModules(wantedMib: number, pluggedFrom: number | undefined, maxMib: number): number {
  const most = Math.min(wantedMib, maxMib);
  if (pluggedFrom === undefined || most <= pluggedFrom) return most;
  const up = pluggableMib(wantedMib);
  return up !== undefined && up <= maxMib ? up : partInModules(maxMib, pluggedFrom);
}

/**
 * Whether a shrink takes a module out, which a guest gives up as a whole or not at all. Its kernel
 * has to move all that lies on it, so it is asked only if enough is free elsewhere. undefined: it
 * has no module that could be taken out.
 */
export function asUnplugged(
  verdict: Verdict,
  usage: MemoryUsage,
  guest: GuestConfig,
): Verdict | undefined {
  const after = liveReach(guest, 'memoryMib')?.unpluggedTo;
  if (verdict.verdict !== 'shrink' || after === undefined) return undefined;
  const { before } = verdict.measured;
  const measured = { ...verdict.measured, need: unaskedNeed(usage) };
  const held = (because: HoldReason): Verdict => ({ verdict: 'hold', because, measured });
  if (measured.need > after) return held({ kind: 'cannot-prove', guest: guest.kind });
  if (verdict.after > after) {
    const left = before - verdict.after;
    return held({ kind: 'too-little-to-take', left, least: before - after });
  }
  return { ...verdict, after, limits: [...verdict.limits, 'module'], unplugs: true, measured };
}

/** Of what can be granted, so much as modules make up. */
export const partInModules = (grantedMib: number, pluggedFrom: number | undefined): number =>
  pluggedFrom === undefined || grantedMib <= pluggedFrom
    ? grantedMib
    : Math.max(pluggedFrom, pluggableBelow(grantedMib));
