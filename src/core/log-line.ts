import type { Milliseconds } from './units.ts';

/** The rooms of the program that a line of the log comes from, as an admin tells them apart. */
export const LOG_ROOMS = [
  /** Start, stop, reload, the frame of each cycle, what is saved. */
  'daemon',
  /** What could be seen, and what others have changed. */
  'observe',
  /** Who is held or left alone, and why. */
  'decide',
  /** Changes and rollbacks. */
  'act',
  'groups',
  /** Messages to people. */
  'notify',
  /** Figures for Prometheus, and the history of usage. */
  'metrics',
] as const;

export type LogRoom = (typeof LOG_ROOMS)[number];

export type LineLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

/** As syslog(3) numbers them. */
export const SYSLOG_PRIORITIES: Readonly<Record<LineLevel, number>> = {
  ...{ ERROR: 3, WARNING: 4, INFO: 6, DEBUG: 7 },
};

/** What a line is about, for those who search by it and not by its words. */
export interface LineFacts {
  /** `daemon` where nothing is said. */
  readonly room?: LogRoom;
  readonly vmid?: number;
  /** The label of a group. */
  readonly group?: string;
  /** What kind of thing the line tells: `change`, `hold`, `skip`, `rollback` ... */
  readonly event?: string;
  /** Which way a decision went: `grow`, `shrink`. */
  readonly verdict?: string;
  /** How it ended (`confirmed`, `failed`), or what held it (`host-memory`). */
  readonly outcome?: string;
}

/** A line as it leaves the program: its secrets are masked, and it has no control characters. */
export interface LogLine {
  readonly atMs: Milliseconds;
  readonly level: LineLevel;
  readonly text: string;
  readonly facts: LineFacts & { readonly room: LogRoom };
}
