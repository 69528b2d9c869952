import { type Bounds, coresFor, memoryFor } from './demand.ts';
import type { LabPolicy, StepSeen } from './replay.ts';

/**
 * The recommender of the Kubernetes Vertical Pod Autoscaler with its defaults, written anew from
 * its documentation (vertical-pod-autoscaler/docs, and the comments of pkg/recommender): decaying
 * histograms, percentiles, a safety margin, and bounds that tighten as confidence grows.
 */

const GROWTH = 1.05;
const BUCKETS = 240;
const DAY_S = 86_400;
const SAFETY = 1.15;
const TARGET = 0.9;
const LOWER = 0.5;
const UPPER = 0.95;
const LEAST_CPU_WEIGHT = 0.1;
const SAMPLES_A_DAY = 1440;
const OOM_FACTOR = 1.2;
const OOM_LEAST_MIB = 100;

/** Buckets that each are 5 % wider than the one before. */
class Histogram {
  readonly #weights = new Float64Array(BUCKETS);
  readonly #first: number;
  #total = 0;

  constructor(first: number) {
    this.#first = first;
  }

  add(value: number, weight: number): void {
    const bucket = this.#bucketOf(value);
    this.#weights[bucket] = (this.#weights[bucket] ?? 0) + weight;
    this.#total += weight;
  }

  /** The end of the bucket in which the share is reached. */
  percentile(share: number): number {
    let sum = 0;
    let bucket = 0;
    const wanted = share * this.#total;
    for (; bucket < BUCKETS - 1; bucket += 1) {
      sum += this.#weights[bucket] ?? 0;
      if (sum >= wanted) break;
    }
    return this.#startOf(bucket + 1);
  }

  #bucketOf(value: number): number {
    const bucket = Math.floor(
      Math.log((value / this.#first) * (GROWTH - 1) + 1) / Math.log(GROWTH),
    );
    return Math.min(BUCKETS - 1, Math.max(0, bucket));
  }

  #startOf(bucket: number): number {
    return (this.#first * (GROWTH ** bucket - 1)) / (GROWTH - 1);
  }
}

/** When a sample was taken, and how sure its container's figures are by now. */
interface Moment {
  readonly timeS: number;
  readonly confidence: number;
}

const decayedWeight = (timeS: number): number => 2 ** (timeS / DAY_S);

/** The new allocation; undefined: the present one lies within the bounds. */
function recommended(histogram: Histogram, has: number, { confidence }: Moment) {
  const target = histogram.percentile(TARGET) * SAFETY;
  const lower = histogram.percentile(LOWER) * SAFETY * (1 + 0.001 / confidence) ** -2;
  const upper = histogram.percentile(UPPER) * SAFETY * (1 + 1 / confidence);
  return { target, isOutside: has < lower || has > upper };
}

/** The peak of each day is one sample: a higher one takes the place of that before. */
class MemoryPeaks {
  readonly histogram = new Histogram(10);
  #day = -1;
  #peakMib = 0;

  /** Returns the sample that an out-of-memory event counts as, else 0. */
  take({ memoryUsedMib, outOfMemory }: StepSeen, limitMib: number, timeS: number): number {
    const day = Math.floor(timeS / DAY_S);
    const weight = decayedWeight((day + 1) * DAY_S);
    if (day !== this.#day) {
      this.#day = day;
      this.#peakMib = 0;
    }
    const oomMib = outOfMemory ? Math.max(OOM_FACTOR * limitMib, limitMib + OOM_LEAST_MIB) : 0;
    const sample = Math.max(memoryUsedMib, oomMib);
    if (sample > this.#peakMib) {
      if (this.#peakMib > 0) this.histogram.add(this.#peakMib, -weight);
      this.histogram.add(sample, weight);
      this.#peakMib = sample;
    }
    return oomMib;
  }
}

export const vpa: LabPolicy = {
  name: 'vpa',
  begin: ({ stepS, memory }, bounds: Bounds) => {
    const cpu = new Histogram(0.01);
    const peaks = new MemoryPeaks();
    return (seen, has) => {
      const timeS = seen.index * stepS;
      const confidence = Math.min(timeS / DAY_S, (seen.index + 1) / SAMPLES_A_DAY);
      const moment = { timeS, confidence };
      cpu.add(seen.cpuUsed, Math.max(seen.cpuUsed, LEAST_CPU_WEIGHT) * decayedWeight(timeS));
      const cores = recommended(cpu, has.cores, moment);
      if (cores.isOutside) has.cores = coresFor(cores.target, bounds);
      if (memory === undefined) return;
      const oomMib = peaks.take(seen, has.memoryMib, timeS);
      const mib = recommended(peaks.histogram, has.memoryMib, moment);
      if (!mib.isOutside && oomMib === 0) return;
      has.memoryMib = memoryFor(Math.max(mib.target, oomMib), bounds);
    };
  },
};
