import type { Lever } from './allocation.ts';

/**
 * How far each lever of a guest can be moved while it runs. A container has no such limits: `pct`
 * sets all of its levers live, both ways.
 */
export type Reaches = Readonly<Record<Lever, Reach>>;

export type Reach =
  | {
      readonly kind: 'live';
      readonly min: number;
      readonly max: number;
      /** Why it cannot be taken back while the guest runs; undefined: it can. */
      readonly oneWay?: Obstacle | undefined;
      /** Why more than `max` is of no use, if that is not how many CPUs it has. */
      readonly capped?: Obstacle | undefined;
      /** From this on it is plugged in as modules; undefined: never. */
      readonly pluggedFrom?: number | undefined;
      /** What is left without its last module; only where no balloon takes memory back. */
      readonly unpluggedTo?: number | undefined;
    }
  /** It would only take effect at the next start, or not at all. */
  | ({ readonly kind: 'fixed' } & Obstacle);

export interface Obstacle {
  readonly why: string;
  /** What to do about it, as a sentence without its end. */
  readonly remedy: string;
}

/** The memory that a virtual machine with memory hotplug has before any module is plugged in. */
export const STATIC_MIB = 1024;
const FIRST_MODULE_MIB = 512;
const MODULES_OF_A_SIZE = 32;
const SIZES = 8;
export const MOST_PLUGGED_MIB =
  STATIC_MIB + MODULES_OF_A_SIZE * FIRST_MODULE_MIB * (2 ** SIZES - 1);

/**
 * The least memory that modules can make up and that is not less than what is wanted; undefined if
 * there is none. Source: `foreach_dimm` of qemu-server.
 *
 * | wanted | becomes | made of                            |
 * | ------ | ------- | ---------------------------------- |
 * | 1000   | 1024    | what is there from the start       |
 * | 1025   | 1536    | one module of 512                  |
 * | 17408  | 17408   | 32 modules of 512                  |
 * | 17409  | 18432   | 32 of 512, one of 1024             |
 */
export function pluggableMib(wantedMib: number): number | undefined {
  let sum = STATIC_MIB;
  let module = FIRST_MODULE_MIB;
  for (let size = 0; size < SIZES; size += 1) {
    if (wantedMib <= sum) return sum;
    const modules = Math.ceil((wantedMib - sum) / module);
    if (modules <= MODULES_OF_A_SIZE) return sum + modules * module;
    sum += MODULES_OF_A_SIZE * module;
    module *= 2;
  }
  return wantedMib <= sum ? sum : undefined;
}

/** So much memory rounded up to what modules make up, as long as that is not more than the most. */
export const pluggableWithin = (wantedMib: number, mostMib: number): number =>
  Math.min(pluggableMib(wantedMib) ?? wantedMib, pluggableBelow(mostMib));

/** The most memory that modules can make up and that is not more than this. */
export function pluggableBelow(mostMib: number): number {
  const above = pluggableMib(mostMib + 1);
  if (above === undefined) return MOST_PLUGGED_MIB;
  let below = STATIC_MIB;
  for (let module = FIRST_MODULE_MIB; ; module *= 2) {
    const full = below + MODULES_OF_A_SIZE * module;
    if (above <= full) return Math.max(STATIC_MIB, above - module);
    below = full;
  }
}
