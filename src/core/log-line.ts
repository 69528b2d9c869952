import type { Milliseconds } from './units.ts';

/** The components of the program that write lines. */
export const LOG_COMPONENTS = [
  /** Start, stop, reload, the frame of each cycle, what is saved. */
  'daemon',
  /** What could be read, and what others have changed. */
  'observe',
  /** Which containers are on hold or skipped, and why. */
  'decide',
  /** Changes and rollbacks. */
  'act',
  'groups',
  /** Messages to people. */
  'notify',
  /** Metrics for Prometheus, and the usage history. */
  'metrics',
  /** The page and the API. */
  'http',
] as const;

export type LogComponent = (typeof LOG_COMPONENTS)[number];

export type LineLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

/** As syslog(3) numbers them. */
export const SYSLOG_PRIORITIES: Readonly<Record<LineLevel, number>> = {
  ERROR: 3,
  WARNING: 4,
  INFO: 6,
  DEBUG: 7,
};

/** What a line is about, for searches by facts instead of words. */
export interface LineFacts {
  /** The component; `daemon` if it is left out. */
  readonly component?: LogComponent;
  readonly vmid?: number;
  /** The label of a group. */
  readonly group?: string;
  /** What kind of thing the line tells: `change`, `hold`, `skip`, `rollback` ... */
  readonly event?: string;
  /** Which way a decision went: `grow`, `shrink`. */
  readonly verdict?: string;
  /** How it ended (`confirmed`, `failed`), or why nothing changed (`host-memory`). */
  readonly outcome?: string;
}

/** A line as it leaves the program: its secrets are masked, and it has no control characters. */
export interface LogLine {
  readonly atMs: Milliseconds;
  readonly level: LineLevel;
  readonly text: string;
  readonly facts: LineFacts & { readonly component: LogComponent };
}
