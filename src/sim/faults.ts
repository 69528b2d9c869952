import type { Answer } from './command-line.ts';
import type { HalfDone } from './pct-context.ts';

/** What can go wrong with a command, for tests that need it to. */

export type Fault =
  /** It fails without having done anything. */
  | { readonly kind: 'fail'; readonly exit: number; readonly stderr?: string }
  /**
   * It never ends, before or after its work. It may ignore SIGTERM, and hold a child in its process
   * group that ignores it too and keeps stdout open.
   */
  | {
      readonly kind: 'hang';
      readonly ignoreSigterm?: boolean;
      readonly child?: boolean;
      readonly afterWork?: boolean;
    }
  /** It is killed in the middle: only its first option is done, or only what is live. */
  | { readonly kind: 'killed'; readonly done: HalfDone; readonly signal?: 'SIGKILL' | 'SIGTERM' }
  /** It says that all is well and has done nothing. */
  | { readonly kind: 'no-effect' }
  /** It does its work, or a part of it, and what it says of it is made over: garbage, nothing. */
  | {
      readonly kind: 'answer';
      readonly make: (real: Answer) => Answer;
      readonly done?: HalfDone;
    }
  /** It takes longer than the node's usual delay. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** It does its work once that has come, as one that waits for a lock; if it still runs then. */
  | { readonly kind: 'held'; readonly until: Promise<void> };

/** One command that arrived. */
export interface Call {
  /** As typed, the tool first: `['pct', 'set', '101', '--cores', '2']`. */
  readonly argv: readonly string[];
  /** On the node's clock. */
  readonly atMs: number;
  /** The process that has called. */
  readonly pid: number;
  /** Undefined while it runs, and for one that never answered. */
  exit: number | undefined;
  /** The process that a hanging command holds. */
  childPid: number | undefined;
}

export type FaultHook = (call: Call) => Fault | undefined;
