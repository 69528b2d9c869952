/** What an account is made of: short sentences, each with the numbers that it rests on. */

export type Numbers = Readonly<Record<string, number | string | boolean | null>>;

export interface Fact {
  readonly what: string;
  /** A sentence, or a part of one, fit to be printed. */
  readonly says: string;
  readonly numbers?: Numbers;
}

/** What may keep a resource from being changed. */
export interface Guard extends Fact {
  /** Whether it is in force now. */
  readonly holds: boolean;
}

/** Two digits after the point say all that a person wants to know. */
export const short = (value: number): number => Math.round(value * 100) / 100;

/** A share as a percentage with one digit: 0.9163 is 91.6. */
export const percentOf = (share: number): number => Math.round(share * 1000) / 10;

export const percent = (share: number): string => `${percentOf(share)} %`;

/** A time span in whole seconds, up. */
export const secondsOf = (ms: number): number => Math.ceil(ms / 1000);

export function fact(what: string, says: string, numbers?: Numbers): Fact {
  return numbers === undefined ? { what, says } : { what, says, numbers };
}

export function guard(what: string, holds: boolean, says: string, numbers?: Numbers): Guard {
  return { ...fact(what, says, numbers), holds };
}
