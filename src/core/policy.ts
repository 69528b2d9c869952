import type { Cores, Mib, Ratio } from './units.ts';

/** What the configuration asks for, in the words of the core. `config/resolve.ts` makes these. */

export interface Band {
  readonly lower: Ratio;
  readonly upper: Ratio;
}

export interface ContainerPolicy {
  /** Where it comes from: `DEFAULT` or the name of a `TIER_*` section. */
  readonly source: string;
  readonly cpu: {
    readonly band: Band;
    readonly minIncrement: Cores;
    readonly maxIncrement: Cores;
    readonly min: Cores;
    readonly max: Cores;
  };
  readonly memory: {
    readonly band: Band;
    readonly minIncrementMib: Mib;
    readonly minDecreaseMib: Mib;
    readonly minMib: Mib;
    /** undefined: no more than the host can give. */
    readonly maxMib: Mib | undefined;
  };
  /** All steps are multiplied by it: conservative 0.5, normal 1, aggressive 2. */
  readonly stepFactor: number;
}

/** What the host keeps for itself. */
export interface HostPolicy {
  readonly reserveCpu: Ratio;
  readonly reserveMemoryMib: Mib;
}

/** Whether a container is managed at all, and how. */
export type Management =
  | { readonly kind: 'managed'; readonly policy: ContainerPolicy }
  | { readonly kind: 'ignored'; readonly because: string };
