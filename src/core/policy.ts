import type { Resource } from './allocation.ts';
import type { Cores, Mib, Milliseconds, Ratio } from './units.ts';

/** What the configuration asks for, in the words of the core. `config/resolve.ts` makes these. */

export interface Band {
  readonly lower: Ratio;
  readonly upper: Ratio;
}

/** What the CPU of a container is scaled by: whole cores, or `cpulimit` in fractions of one. */
export type CpuUnit = 'cores' | 'cpulimit';

/** `observe` decides as `threshold` does, and changes nothing. */
export type ScalingMode = 'threshold' | 'boost' | 'adaptive' | 'observe';

/** A short help for who is saturated: more for a while, then what it had before. */
export interface BoostPolicy {
  /** Of what it may use; from here on it is saturated. */
  readonly saturation: Ratio;
  /** Consecutive samples. */
  readonly consecutiveSamples: number;
  readonly factor: number;
  /** Where the first does not fit. */
  readonly fallbackFactor: number;
  readonly durationMs: Milliseconds;
}

/** Bounds as shares of what an administrator gave a guest; see `given.ts`. */
export interface OfGiven {
  readonly min?: number;
  readonly max?: number;
}

/** An application whose needs are known, as `preset` of a tier names it. */
export interface PresetInUse {
  readonly name: string;
  /** What it decides here, as it would stand in the file: `min_memory: 1024`. */
  readonly gives: readonly string[];
  /** A sentence without its full stop. */
  readonly because: string;
}

export function presetWords({ name, gives, because }: PresetInUse): string {
  const what = gives.length === 0 ? 'nothing that the tier does not say' : gives.join(', ');
  return `${name} gives ${what}. ${because}`;
}

export interface ContainerPolicy {
  /** Where it comes from: `DEFAULT` or the name of a `TIER_*` section. */
  readonly source: string;
  readonly preset?: PresetInUse;
  readonly cpu: {
    readonly unit: CpuUnit;
    readonly band: Band;
    readonly minIncrement: Cores;
    readonly maxIncrement: Cores;
    readonly min: Cores;
    /** Whether one that has less is raised to it: the admin has set it, and not the program. */
    readonly raises: boolean;
    readonly max: Cores;
    readonly ofGiven?: OfGiven;
  };
  readonly memory: {
    readonly band: Band;
    readonly minIncrementMib: Mib;
    readonly minDecreaseMib: Mib;
    readonly minMib: Mib;
    /** As for CPU. */
    readonly raises: boolean;
    /** undefined: no more than the host can give. */
    readonly maxMib: Mib | undefined;
    readonly ofGiven?: OfGiven;
    /** Whether what its free swap could hold counts as memory that it can do without. */
    readonly mayUseSwap: boolean;
    /** Whether it may shrink where a node cannot prove that less is enough; undefined: not said. */
    readonly unproven?: boolean;
    /** Whether `memory.high` is held a little below the limit. */
    readonly guard?: true;
    /** Whether modules of a virtual machine are taken out again. */
    readonly unplugs?: true;
  };
  /** All steps are multiplied by it: conservative 0.5, normal 1, aggressive 2. */
  readonly stepFactor: number;
  readonly timing: Timing;
  readonly scaling: ScalingMode;
  /** The one resource that is scaled; left out: both are. */
  readonly only?: Resource;
  /** Whether its last change stands in its notes. */
  readonly writesNotes?: true;
  readonly boost: BoostPolicy;
  /** 1 to 100: where memory is scarce, the higher one is served first. */
  readonly priority: number;
}

/** When a container may be changed. */
export interface Timing {
  /** The least time from the last change of a resource, either way, to its next growth. */
  readonly cooldownUpMs: Milliseconds;
  /** The same to its next shrinking. */
  readonly cooldownDownMs: Milliseconds;
  /** How many observations a growth rests on, their average taken; at least 1. */
  readonly periodsUp: number;
  readonly periodsDown: number;
  /** No memory is taken back before a container was observed for so long. */
  readonly firstShrinkMs: Milliseconds;
  /** No memory is taken back so soon after a start or an OOM kill. */
  readonly startGraceMs: Milliseconds;
  /** How long a value that was changed by hand is left as it is. */
  readonly manualHoldMs: Milliseconds;
}

/** What the host keeps for itself. */
export interface HostPolicy {
  readonly reserveCpu: Ratio;
  readonly reserveMemoryMib: Mib;
  /** The limits of all running guests together, over the memory of the host less the reserve. */
  readonly overcommitRatio: number;
  /** From this use of the host's CPU or memory on nothing grows, and surplus is taken back. */
  readonly emergency: Ratio;
  /** From this use of the host's CPUs, or of its memory, on nobody gets more of that. */
  readonly mostCpu: Ratio;
  readonly mostMemory: Ratio;
}

/** `observe`: decided and reported as the others, never changed. */
export type Mode = 'act' | 'observe';

/** Whether a container is managed at all, and how. `because`: a short sentence on why so. */
export type Management =
  | {
      readonly kind: 'managed';
      readonly policy: ContainerPolicy;
      readonly mode: Mode;
      /** `TIER_web, by the name web-*`. Fit to be printed. */
      readonly because: string;
    }
  | { readonly kind: 'ignored'; readonly because: string };
