import type { Resource } from './allocation.ts';
import type { Controller, Pin } from './observation.ts';
import type { Band, CpuUnit } from './policy.ts';
import type { Obstacle } from './reach.ts';
import type { Missing } from './reading.ts';
import type { Ratio, Vmid } from './units.ts';

/** A decision carries its reason as data; `explain.ts` turns it into words. */

/** Why a resource is to change. */
export type Rule =
  | 'above-upper'
  | 'below-lower'
  | 'below-minimum'
  | 'above-maximum'
  /** The OOM killer struck: the usage that is seen now is not what was needed. */
  | 'oom-kill'
  /** It met its limit and had to wait for memory, however little of it seems in use. */
  | 'limit-hit'
  /** Its memory rises so fast that it would pass its limit soon. */
  | 'rising'
  /** Since its last shrink it is short of memory: it gets back what it had. */
  | 'shrink-undone'
  /** Its tasks wait for a CPU though the host has idle ones: see `waiting.ts`. */
  | 'waiting'
  /** More cores have not made the waiting less. */
  | 'waiting-undone'
  /** Mode `boost`: saturated, so that it gets more for a while. */
  | 'saturated'
  /** What a boost gave is taken back. */
  | 'boost-end'
  /** Energy mode: down to what it needs, in the off-peak time. */
  | 'off-peak'
  /** What the off-peak time took is given back. */
  | 'peak-again'
  /** Mode `adaptive`: by what was learnt of it. */
  | 'learnt'
  /** The host has next to no memory left: surplus is taken back at once. */
  | 'host-emergency'
  /** The live limit is not what the configuration says, and stays so. */
  | 'in-force'
  /** A person has asked for it. */
  | 'asked';

/** What made a step smaller than the rule asked for. */
export type Limit =
  | 'maximum'
  | 'minimum'
  | 'need'
  | 'opposite'
  | 'host'
  | 'unproven'
  /** Memory: what was needed lately, and room for a rise. */
  | 'kept'
  /** Memory: no step takes more of it. */
  | 'quarter'
  /** Memory: the figure counts page cache as used; see `pvestatd-memory.ts`. */
  | 'counts-cache'
  /** Memory: only a whole module is taken out, and one at a time. */
  | 'module';

/** The numbers behind a decision: cores for `cores`, MiB for `memory`. */
export interface Measured {
  readonly before: number;
  readonly used: number;
  /** Used, as a share of what the container may use. */
  readonly share: Ratio;
  readonly band: Band;
  readonly min: number;
  readonly max: number;
  /** In use plus headroom: no limit goes below it. */
  readonly need: number;
  /** What it would use if nothing held it back, if that is more than it uses. */
  readonly demand?: number;
  /** What it has swapped out may stay there, and is not in `need`. */
  readonly swapStays?: true;
  /** Cores: in which share of the time its tasks wait for a CPU, if that was weighed. */
  readonly waits?: Ratio;
  /** Memory: its memory guard slows it. */
  readonly slowedByGuard?: true;
  /** Memory: how fast it rises, if that was what counted. */
  readonly mibPerS?: number;
  /** Memory: what is not taken back, however idle it is. */
  readonly kept?: Kept;
  /** Memory: the most that was used in the day that stands in for a proof. */
  readonly dayPeakMib?: number;
  /** Memory: the figure is of pvestatd, which counts page cache as used. */
  readonly countsCache?: true;
  /** Mode `adaptive`: what was weighed. */
  readonly forecast?: Forecast;
}

/** In MiB. */
export interface Kept {
  /** The most that it needed in the last day, and in a usual week. */
  readonly peakMib: number;
  /** For one rise over it. */
  readonly roomMib: number;
  /** Both, with headroom. */
  readonly mib: number;
}

/** What is learnt of a container says of its next five minutes. */
export interface Forecast {
  readonly target: number;
  /** That what it has is too small, 0 to 1. */
  readonly riskNow: number;
  /** The same of the target. */
  readonly riskThen: number;
  readonly hoursLearnt: number;
  /** The most that it wanted in the last 24 hours. */
  readonly peakOfDay: number;
  /** CPU: its demand comes again by the clock, and is followed by that. */
  readonly repeats?: Repeats | undefined;
}

/** Demand that comes again by the clock. */
export interface Repeats {
  readonly periodMs: number;
  /** What suits it until five minutes from now, in cores, and in the five minutes after that. */
  readonly now: number;
  readonly soon: number;
}

interface About {
  readonly vmid: Vmid;
  readonly name: string;
  /** Left out for a container. */
  readonly kind?: 'qemu';
  readonly resource: Resource;
}

export interface Change extends About {
  readonly verdict: 'grow' | 'shrink';
  readonly after: number;
  /** What its CPU is scaled by; left out: whole cores. */
  readonly unit?: 'cpulimit';
  /** Cores: what it had before any were taken; the host's reserve does not bar growth to it. */
  readonly norm?: number;
  /** Mode `boost`: saturated, so that does not fit. No other part of it is granted. */
  readonly fallback?: number;
  /** A boost: for how long. */
  readonly boostMs?: number;
  /** Memory: what is beyond this comes in modules. */
  readonly pluggedFrom?: number;
  /** Memory: its last module is taken out. */
  readonly unplugs?: true;
  /** 1 to 100, of its policy: where something is scarce, the higher one is served first. */
  readonly priority: number;
  readonly rule: Rule;
  readonly limits: readonly Limit[];
  readonly measured: Measured;
  /** Who has asked for it: `api:NAME`. Left out: the loop has decided it. */
  readonly askedBy?: string;
}

export interface Hold extends About {
  readonly verdict: 'hold';
  readonly because: HoldReason;
  /** As of a change. */
  readonly unit?: 'cpulimit';
  /** Of its policy, where the plan has refused it. */
  readonly priority?: number;
  readonly measured?: Measured;
}

export type Decision = Change | Hold;

export type HoldReason =
  | { readonly kind: 'in-band' }
  /** By the admin's wish this resource is left as it is. */
  | { readonly kind: 'not-scaled' }
  /** Mode `adaptive`: what it has suits what was learnt of it. */
  | { readonly kind: 'learnt' }
  | { readonly kind: 'missing'; readonly reading: Missing }
  /** Above the upper threshold with nothing left to give: it is starving. */
  | { readonly kind: 'at-maximum' }
  /** `oneWay`: what it has cannot be taken back while it runs. */
  | { readonly kind: 'at-minimum'; readonly oneWay?: Obstacle }
  | { readonly kind: 'too-little-to-take'; readonly left: number; readonly least: number }
  /** Every step would land where the next reading asks for the opposite one. */
  | { readonly kind: 'opposite' }
  | { readonly kind: 'oom-lately' }
  /** Its limit, or its memory guard, made it wait for memory not long ago. */
  | { readonly kind: 'held-back-lately' }
  /** Of its memory too little was seen yet to take any. */
  | { readonly kind: 'observed-briefly'; readonly leftMs: number }
  /** What it needed lately, and room for a rise, leave nothing to take. */
  | ({ readonly kind: 'kept' } & Kept)
  /** The kernel did not give up a while ago what a smaller limit would take. */
  | { readonly kind: 'unproven-lately'; readonly attempts: number; readonly retryInMs: number }
  /** No kernel can be asked, and what the guest may need leaves nothing to take. */
  | { readonly kind: 'cannot-prove'; readonly guest?: 'qemu' | undefined }
  | CountsCache
  /** The node does not tell what it needs of its memory, so nothing of that can be taken. */
  | { readonly kind: 'need-unseen' }
  /** There neither was a whole day seen of it yet, which stands in for that. */
  | { readonly kind: 'day-unseen'; readonly leftMs: number }
  /** There it keeps the most that it used in a day, and a quarter more. */
  | { readonly kind: 'kept-unseen'; readonly peakMib: number; readonly mib: number }
  /** A step rests on the average of several observations. */
  | { readonly kind: 'too-few-observations'; readonly have: number; readonly want: number }
  /** Demand comes and goes: what was taken was needed again within an hour. */
  | { readonly kind: 'flapping'; readonly flaps: number; readonly leftMs: number }
  | { readonly kind: 'cooldown'; readonly toward: 'grow' | 'shrink'; readonly leftMs: number }
  /** Decided and reported, and by the admin's wish not done. */
  | { readonly kind: 'observe-only'; readonly would: number }
  /** It was started a short while ago and is not warm yet. */
  | { readonly kind: 'started-lately' }
  /** More cores cannot help: the cpulimit binds before them. */
  | { readonly kind: 'cpulimit'; readonly cpuLimit: number }
  /** It would only take effect at the next start, if at all. */
  | ({ readonly kind: 'fixed'; readonly resource: Resource } & Obstacle)
  /** The guest has not followed the target of its balloon yet. */
  | { readonly kind: 'balloon-moves'; readonly targetMib: number; readonly actualMib: number }
  /** Fewer CPUs than it has can be used, so that more of them are no help. */
  | { readonly kind: 'narrowed'; readonly has: number; readonly usable: number }
  /** A raw line of its configuration overrules what would be set. */
  | { readonly kind: 'pinned'; readonly pin: Pin; readonly unit?: CpuUnit }
  /** The kernel neither counts nor limits it for containers. */
  | { readonly kind: 'no-controller'; readonly controller: Controller }
  | NotInForce
  | { readonly kind: 'host-memory'; readonly wanted: number; readonly budget: number }
  | { readonly kind: 'host-cores'; readonly ceiling: number }
  /** The host's CPUs are busy: no more cores. Its memory is short or used up: no more of it. */
  | { readonly kind: 'host-busy'; readonly share: number }
  | { readonly kind: 'host-pressure'; readonly share: number }
  | { readonly kind: 'host-emergency'; readonly share: number }
  /** More of the host's memory is in use than the admin wants used. */
  | { readonly kind: 'host-full'; readonly share: number }
  /** The limits of all guests together may not be more. */
  | { readonly kind: 'overcommit'; readonly wanted: number; readonly room: number }
  /** Somebody else has changed the value; that is respected. */
  | { readonly kind: 'changed-by-hand'; readonly leftMs: number }
  /** More than usual for a short while. */
  | { readonly kind: 'boosted'; readonly until: number; readonly leftMs: number }
  | { readonly kind: 'not-saturated'; readonly samples: number; readonly of: number }
  /** The off-peak time is over and has just given back. */
  | { readonly kind: 'given-back'; readonly leftMs: number }
  /** It shows that it is short of memory, however little of it seems in use. */
  | { readonly kind: 'memory-pressure'; readonly share: number }
  | { readonly kind: 'refaults'; readonly mibPerS: number }
  | { readonly kind: 'swap-growth'; readonly mib: number }
  | { readonly kind: 'next-cycle' }
  /** Configurations of this node cannot be written now. */
  | { readonly kind: 'paused'; readonly why: string };

/** The figure of pvestatd, which counts page cache as used, is no ground for the step. */
export interface CountsCache {
  readonly kind: 'counts-cache';
  /** `full`: as page cache makes any guest; `enough`: it has what such a figure is good for. */
  readonly why: 'no-shrink' | 'full' | 'not-for-long' | 'enough';
  readonly leftMs?: number;
  readonly mostMib?: number;
}

/** The configuration says one thing and the kernel another; a change is under way or stuck. */
export interface NotInForce {
  readonly kind: 'not-in-force';
  /** null: no limit. */
  readonly configured: number | null;
  readonly live: number | null;
  /** It is the cpulimit, of a container whose CPU is scaled by this. */
  readonly quota?: CpuUnit;
}

/** A container that is left alone as a whole. */
export interface Skip {
  readonly vmid: Vmid;
  readonly name: string;
  /** Left out for a container. */
  readonly kind?: 'qemu';
  readonly because: SkipReason;
}

export type SkipReason =
  | { readonly kind: 'ignored'; readonly because: string }
  | { readonly kind: 'template' }
  /** A person has taken it in hand, e.g. by a rollback. */
  | { readonly kind: 'held-by-hand'; readonly reason: string; readonly leftMs: number }
  | { readonly kind: 'locked'; readonly lock: string }
  | { readonly kind: 'stopped'; readonly leftBehind?: true }
  | { readonly kind: 'frozen' }
  | { readonly kind: 'pending-changes'; readonly keys: readonly string[] }
  | { readonly kind: 'unreadable'; readonly reading: Missing }
  | { readonly kind: 'failed-lately'; readonly failures: number; readonly retryInMs: number };
