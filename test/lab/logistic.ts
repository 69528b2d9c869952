/** Logistic regression by Newton's method, for a few coefficients and many rows. */

export interface Rows {
  /** Row after row, each with as many numbers as there are coefficients. */
  readonly factors: Float64Array;
  /** 1 if it came about, else 0. */
  readonly labels: Uint8Array;
  readonly weights: Float64Array;
}

const MOST_STEPS = 30;
/** Keeps coefficients finite that no row decides; of a thousand rows it moves nothing. */
const RIDGE = 0.01;
const SMALL = 1e-6;

/** The coefficients with the largest likelihood, less the ridge. */
export function fitLogistic({ factors, labels, weights }: Rows): number[] {
  const size = factors.length / labels.length;
  let found = Array<number>(size).fill(0);
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const slope = found.map((one) => -RIDGE * one);
    const curve = found.map((_, at) =>
      found.map((__, other): number => (at === other ? RIDGE : 0)),
    );
    for (let row = 0; row < labels.length; row += 1) {
      const from = row * size;
      let score = 0;
      for (let at = 0; at < size; at += 1) score += (found[at] ?? 0) * (factors[from + at] ?? 0);
      const risk = 1 / (1 + Math.exp(-score));
      const weight = weights[row] ?? 0;
      const off = weight * ((labels[row] ?? 0) - risk);
      const bend = weight * risk * (1 - risk);
      for (let at = 0; at < size; at += 1) {
        const factor = factors[from + at] ?? 0;
        slope[at] = (slope[at] ?? 0) + off * factor;
        const line = curve[at] ?? [];
        for (let other = 0; other <= at; other += 1) {
          line[other] = (line[other] ?? 0) + bend * factor * (factors[from + other] ?? 0);
        }
      }
    }
    const change = solve(curve, slope);
    found = found.map((one, at) => one + (change[at] ?? 0));
    if (change.every((one) => Math.abs(one) < SMALL)) break;
  }
  return found;
}

/** Solves a symmetric, positive system of which the lower half is given, by Cholesky. */
function solve(lower: readonly number[][], right: readonly number[]): number[] {
  const root: number[][] = [];
  const half: number[] = [];
  const dot = (one: readonly number[], other: readonly number[], count: number): number => {
    let sum = 0;
    for (let at = 0; at < count; at += 1) sum += (one[at] ?? 0) * (other[at] ?? 0);
    return sum;
  };
  lower.forEach((line, row) => {
    const made: number[] = [];
    root.push(made);
    for (let at = 0; at < row; at += 1) {
      const above = root[at] ?? [];
      made.push(((line[at] ?? 0) - dot(made, above, at)) / (above[at] ?? 1));
    }
    made.push(Math.sqrt((line[row] ?? 0) - dot(made, made, row)));
    half.push(((right[row] ?? 0) - dot(made, half, row)) / (made[row] ?? 1));
  });
  const found = [...half];
  for (let row = found.length - 1; row >= 0; row -= 1) {
    let left = half[row] ?? 0;
    for (let at = row + 1; at < found.length; at += 1) {
      left -= (root[at]?.[row] ?? 0) * (found[at] ?? 0);
    }
    found[row] = left / (root[row]?.[row] ?? 1);
  }
  return found;
}
