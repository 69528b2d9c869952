import { type GuestRecord, noteFrozen } from '../core/guest-record.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { Glance, GuestConfig } from '../core/observation.ts';
import type { ContainerPolicy, Management } from '../core/policy.ts';
import {
  begin,
  hasBegun,
  isSuspicious,
  isUrgent,
  maySpare,
  saturationOf,
  withGlance,
  withSample,
} from '../core/sampling-interval.ts';
import type { Vmid } from '../core/units.ts';
import { isFrozen } from '../core/usage.ts';
import type { Cgroups } from '../node/port.ts';
import type { World } from '../ports.ts';
import { noticeConnection } from './notice-connection.ts';
import type { Prompts } from './prompts.ts';

export interface Sampled {
  /** Containers whose next decision cannot wait. */
  readonly urgent: ReadonlySet<Vmid>;
  /** Something may have begun: the next sample should come soon. */
  readonly suspicious: boolean;
}

export interface SampleSettings {
  readonly urgentSamples: number;
  /** Changes are under way: a container in the middle of one is passed over. */
  readonly meanwhile?: boolean;
  readonly manage: (config: GuestConfig) => Management;
  /** Those whose decision an event may bring forward are listened to. */
  readonly prompts?: Prompts | undefined;
  /** Looks at these only. */
  readonly only?: ReadonlySet<Vmid> | undefined;
  /** Between two samples: only those are sampled in which a glance sees something begin. */
  readonly between?: boolean;
}

/** A decision on a container that is left alone anyway need not be brought forward. */
function policyToHelp(config: GuestConfig, management: Management): ContainerPolicy | undefined {
  if (management.kind !== 'managed' || management.mode !== 'act') return undefined;
  return config.lock === undefined && !config.template ? management.policy : undefined;
}

/**
 * Looks at every container that the last cycle saw running, between two cycles. Reads files only;
 * what it sees is kept for the next decision. A glance is enough for those to which nothing
 * happens; the others are sampled.
 */
export function sample(world: World, state: LoopState, settings: SampleSettings): Sampled {
  const { urgentSamples, manage, prompts, only, meanwhile = false, between = false } = settings;
  const { cgroups, clock } = world;
  noticeConnection(world, state);
  const urgent = new Set<Vmid>();
  let suspicious = false;
  for (const [vmid, record] of state.guests) {
    const { running: config, life } = record;
    if (config === undefined || only?.has(vmid) === false) continue;
    // Its limits are in between, and the proof that it can do without presses on it.
    if (meanwhile && record.intended !== undefined) continue;
    const policy = policyToHelp(config, manage(config));
    const saturation = policy && saturationOf(policy, urgentSamples);
    if (policy !== undefined) prompts?.listen(vmid);
    const before = life.interval;
    const isGlance = between || (only === undefined && maySpare(before, clock.monotonicMs()));
    const glance = isGlance ? glanceAt(cgroups, record, vmid) : undefined;
    const allowed = { config, hostCpus: state.hostCpus, saturatedAt: saturation?.at };
    if (between && !hasBegun(before, glance, allowed)) continue;
    const goesOn = withGlance(before, glance, allowed);
    if (goesOn !== undefined) {
      life.interval = goesOn;
      continue;
    }
    const now = cgroups.sample(vmid);
    prompts?.seen(vmid, now.ok ? now.value.identity : undefined);
    if (now.ok && isFrozen(now.value)) {
      noteFrozen(record, now.value);
      continue;
    }
    if (!now.ok || before === undefined || state.hostCpus === undefined) {
      // A gap: what was seen before it says nothing of what comes after.
      life.interval = now.ok ? begin(now.value) : undefined;
      continue;
    }
    const guardMib = life.guard?.atMib;
    const after = withSample(before, now.value, config, state.hostCpus, saturation?.at, guardMib);
    life.interval = after;
    if (saturation === undefined) continue;
    const ends = !after.settled && boostIsOver(record, clock.monotonicMs());
    const boosted = isBoosted(record);
    if (ends || isUrgent(after, boosted ? Infinity : saturation.samples)) urgent.add(vmid);
    else if (!boosted && isSuspicious(before, after)) suspicious = true;
  }
  return { urgent, suspicious };
}

/** What is in the middle of something is followed in every sample. */
function glanceAt(cgroups: Cgroups, record: GuestRecord, vmid: Vmid): Glance | undefined {
  return record.intended !== undefined || isBoosted(record) ? undefined : cgroups.glance?.(vmid);
}

/** Those that run and whose decision may be brought forward. */
export function helped({ guests }: LoopState, manage: SampleSettings['manage']): ReadonlySet<Vmid> {
  const all = new Set<Vmid>();
  for (const [vmid, { running }] of guests) {
    if (running !== undefined && policyToHelp(running, manage(running))) all.add(vmid);
  }
  return all;
}

/** It has what it could be given; how saturated it is shows again when that is over. */
const isBoosted = ({ cores, memory }: GuestRecord): boolean =>
  cores.boost !== undefined || memory.boost !== undefined;

/** A boost ends when it is due and not when the next cycle happens to come. */
const boostIsOver = ({ cores, memory }: GuestRecord, nowMs: number): boolean =>
  [cores.boost, memory.boost].some((boost) => boost !== undefined && boost.endMs <= nowMs);
