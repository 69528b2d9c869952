/** What the program ends with. Health checks and scripts rely on these. */
export const EXIT = {
  fine: 0,
  failure: 1,
  /** As in sysexits.h: EX_USAGE, EX_TEMPFAIL, EX_CONFIG. */
  usage: 64,
  alreadyRunning: 75,
  configuration: 78,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
