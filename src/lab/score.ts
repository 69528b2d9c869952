/** How a policy fared: what it gave and was not needed, and what was needed and it did not give. */

/** Sums over steps, of one resource. Those of several containers add up. */
export interface Tally {
  steps: number;
  allocated: number;
  demanded: number;
  unused: number;
  lacking: number;
  shortSteps: number;
  /** Short steps that wanted more than the maximum: nobody can avoid those. */
  unavoidable: number;
  /** Of memory: short steps in which a process would have been killed; see `killed.ts`. */
  killed: number;
  resizes: number;
  /** Container-days; the last one of a container may be a part of one. */
  days: number;
  /** Days that were begun, and those of them that had a short step. */
  daysBegun: number;
  shortDays: number;
}

export const newTally = (): Tally => ({
  steps: 0,
  allocated: 0,
  demanded: 0,
  unused: 0,
  lacking: 0,
  shortSteps: 0,
  unavoidable: 0,
  killed: 0,
  resizes: 0,
  days: 0,
  daysBegun: 0,
  shortDays: 0,
});

/** One step: what was there, what was wanted, and the most that could be given. */
export function count(tally: Tally, allocated: number, demand: number, most: number): void {
  tally.steps += 1;
  tally.allocated += allocated;
  tally.demanded += demand;
  if (demand > allocated) {
    tally.lacking += demand - allocated;
    tally.shortSteps += 1;
    if (demand > most) tally.unavoidable += 1;
  } else tally.unused += allocated - demand;
}

export function add(total: Tally, one: Tally): void {
  for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += one[key];
}

/** Shares of one, and changes per container and day. */
export interface Figures {
  /** Of what was allocated, what was not used. */
  readonly slack: number;
  /** Of the steps, those in which less was there than was wanted; of memory: out of memory. */
  readonly short: number;
  /** Of what was wanted, what was not there. */
  readonly unmet: number;
  readonly resizesPerDay: number;
  /** Of the steps, those that were short since more than the maximum was wanted. */
  readonly unavoidable: number;
  /** Of the steps, those in which a process would have been killed. */
  readonly killed: number;
  /** Of the container-days that were begun, those without a short step. */
  readonly freeDays: number;
}

export function figuresOf(tally: Tally): Figures {
  const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
  return {
    slack: share(tally.unused, tally.allocated),
    short: share(tally.shortSteps, tally.steps),
    unmet: share(tally.lacking, tally.demanded),
    resizesPerDay: share(tally.resizes, tally.days),
    unavoidable: share(tally.unavoidable, tally.steps),
    killed: share(tally.killed, tally.steps),
    freeDays: 1 - share(tally.shortDays, tally.daysBegun),
  };
}
