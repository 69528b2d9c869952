/** Pressure stall information (PSI): how long tasks stood still, as the kernel averages it. */

/** Averages are percentages from 0 to 100, as the kernel prints them. */
export interface StallAverages {
  avg10: number;
  avg60: number;
  avg300: number;
  totalUs: number;
}

export interface PressureState {
  readonly some: StallAverages;
  readonly full: StallAverages;
}

/** Shares of the elapsed time, 0 to 1, in which some or all tasks waited. */
export interface StallShares {
  readonly some: number;
  readonly full: number;
}

export const noStall: StallShares = { some: 0, full: 0 };

export const worse = (one: StallShares, other: StallShares): StallShares => ({
  some: Math.max(one.some, other.some),
  full: Math.max(one.full, other.full),
});

export function newPressure(): PressureState {
  return {
    some: { avg10: 0, avg60: 0, avg300: 0, totalUs: 0 },
    full: { avg10: 0, avg60: 0, avg300: 0, totalUs: 0 },
  };
}

/** Below this an average prints as 0.00; setting it to zero keeps a quiet file unchanged. */
const PRINTS_AS_ZERO = 0.004;

function decay(average: number, percent: number, elapsedMs: number, windowMs: number): number {
  const keep = Math.exp(-elapsedMs / windowMs);
  const next = average * keep + percent * (1 - keep);
  return percent === 0 && next < PRINTS_AS_ZERO ? 0 : next;
}

function advanceLine(line: StallAverages, share: number, elapsedMs: number): void {
  const percent = Math.min(1, Math.max(0, share)) * 100;
  line.avg10 = decay(line.avg10, percent, elapsedMs, 10_000);
  line.avg60 = decay(line.avg60, percent, elapsedMs, 60_000);
  line.avg300 = decay(line.avg300, percent, elapsedMs, 300_000);
  line.totalUs += percent * 10 * elapsedMs;
}

/** Source: exponential averages over 10, 60 and 300 s, kernel documentation `accounting/psi`. */
export function advancePressure(state: PressureState, shares: StallShares, elapsedMs: number) {
  advanceLine(state.some, shares.some, elapsedMs);
  advanceLine(state.full, Math.min(shares.full, shares.some), elapsedMs);
}

function lineText(name: string, line: StallAverages): string {
  const averages = `avg10=${line.avg10.toFixed(2)} avg60=${line.avg60.toFixed(2)}`;
  return `${name} ${averages} avg300=${line.avg300.toFixed(2)} total=${Math.floor(line.totalUs)}\n`;
}

export function pressureText(state: PressureState): string {
  return lineText('some', state.some) + lineText('full', state.full);
}
