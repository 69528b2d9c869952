import type { GuestIdentity } from './identity.ts';
import { type Milliseconds, milliseconds } from './units.ts';

/** A container that a person has taken in hand: until then the loop leaves it alone. */
export interface ManualHold {
  /** On the wall clock, in milliseconds since 1970. */
  readonly untilMs: Milliseconds;
  /** For a person: who or what holds it. */
  readonly reason: string;
  /** Which guest it is about; undefined in one of a release before 0.2. */
  readonly guest?: GuestIdentity;
}

/** How long a value that was restored by hand is respected. */
export const MANUAL_HOLD_MS = milliseconds(3_600_000);
