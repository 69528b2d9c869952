import type { Repeats } from './decision.ts';
import {
  type DemandModel,
  PERIODS_TRIED,
  SLOT_MS,
  SLOTS_A_DAY,
  SLOTS_AN_HOUR,
} from './demand-model.ts';

/**
 * Demand that comes again every so many hours, as that of jobs by the clock does. The last day is
 * kept in 288 bytes: for each five minutes of the wall clock a level, each 9 % above the one
 * below. A period is believed once it has foretold all of the last four periods: no five minutes
 * wanted more than the same time of one of the two periods before, five minutes early or late. A
 * single surprise ends that, and is answered as one without a forecast is.
 */

/** In slots: 1, 2, 3, 4, 6 and 8 hours. A shorter one spares less than its changes cost. */
const PERIODS = [12, 24, 36, 48, 72, 96] as const;
const PERIODS_FORETOLD = 4;
const PERIODS_BACK = 2;
const EARLY_OR_LATE = 1;
/** To hold its peak all the time must take so many times of what is held if it is followed. */
const LEAST_SAVING = 1.5;

const PER_DOUBLING = 8;
const LOWEST_DOUBLING = -5;
/** 8192 cores. */
const HIGHEST = 145;
const UNKNOWN = 0;
/** A forecast may be too low by so many levels, a fifth; below half a core by any. */
const TOLERATED = 2;
const LEAST_THAT_MATTERS = 33;
/** What is foretold is given with so much over it. */
const MARGIN = 1.05;
/** After a longer gap than this nothing is known of the day. */
const LONGEST_GAP_SLOTS = 12;

/** What a level reaches up to, in cores. */
const CORES = Float64Array.from(
  { length: HIGHEST + 1 },
  (_, level) => 2 ** (LOWEST_DOUBLING + (level - 1) / PER_DOUBLING),
);

const coresOf = (level: number): number => CORES[level] ?? 0;

function levelOf(cores: number): number {
  if (cores <= 2 ** LOWEST_DOUBLING) return 1;
  const level = Math.ceil((Math.log2(cores) - LOWEST_DOUBLING) * PER_DOUBLING) + 1;
  return Math.min(HIGHEST, level);
}

const slotOf = (wallMs: number): number => Math.floor(wallMs / SLOT_MS);
const placeOf = (slot: number): number => ((slot % SLOTS_A_DAY) + SLOTS_A_DAY) % SLOTS_A_DAY;

/** An observation of five minutes stands in the slot that has its middle. */
const MIDDLE_MS = SLOT_MS / 2;

/** Takes in what was wanted from the last observation until now, in cores. Before `learn`. */
export function fillDay(model: DemandModel, cores: number, wallMs: number): void {
  const { day, foretold, atMs } = model;
  const last = slotOf(atMs - MIDDLE_MS);
  const slot = slotOf(wallMs - MIDDLE_MS);
  const isFirst = model.slots + model.openMs === 0;
  const level = levelOf(cores);
  if (isFirst || slot < last || slot - last > LONGEST_GAP_SLOTS) {
    day.fill(UNKNOWN);
    foretold.fill(0);
    day[placeOf(slot)] = level;
    return;
  }
  for (let ended = last; ended < slot; ended += 1) {
    judge(model, ended);
    day[placeOf(ended + 1)] = level;
  }
  const place = placeOf(slot);
  if (level > (day[place] ?? UNKNOWN)) day[place] = level;
}

/** Compares a slot that has ended with what each period foretold of it. */
function judge({ day, foretold }: DemandModel, ended: number): void {
  const place = placeOf(ended);
  for (let index = 0; index < PERIODS_TRIED; index += 1) {
    const isSo = foretells(day, place, PERIODS[index] ?? 0);
    foretold[index] = isSo ? Math.min(4 * SLOTS_A_DAY, (foretold[index] ?? 0) + 1) : 0;
  }
}

/** Whether no more was wanted in a slot than a period has foretold of it. */
function foretells(day: Uint8Array, place: number, period: number): boolean {
  const forecast = levelAt(day, place, period);
  const most = Math.max(LEAST_THAT_MATTERS, forecast) + TOLERATED;
  return forecast !== UNKNOWN && (day[place] ?? UNKNOWN) <= most;
}

/** The most of the same time of the periods before; UNKNOWN if any of it is. It runs often. */
function levelAt(day: Uint8Array, place: number, period: number): number {
  let most = 0;
  for (let back = 1; back <= PERIODS_BACK; back += 1) {
    let at = place - back * period - EARLY_OR_LATE;
    if (at < 0) at += SLOTS_A_DAY;
    for (let off = -EARLY_OR_LATE; off <= EARLY_OR_LATE; off += 1) {
      const level = day[at] ?? UNKNOWN;
      if (level === UNKNOWN) return UNKNOWN;
      if (level > most) most = level;
      at = at + 1 === SLOTS_A_DAY ? 0 : at + 1;
    }
  }
  return most;
}

/** By the period that holds least; undefined: none is believed, or none is worth its changes. */
export function repeatsOf({ day, foretold, atMs }: DemandModel): Repeats | undefined {
  const place = placeOf(slotOf(atMs + MIDDLE_MS));
  const open = placeOf(slotOf(atMs - MIDDLE_MS));
  let found: number | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let index = 0; index < PERIODS_TRIED; index += 1) {
    const period = PERIODS[index] ?? 0;
    if ((foretold[index] ?? 0) < PERIODS_FORETOLD * period) continue;
    // A surprise counts at once, before its five minutes have ended.
    if (!foretells(day, open, period)) continue;
    const mean = meanIfWorth(day, place, period);
    if (mean === undefined || mean >= least) continue;
    least = mean;
    found = period;
  }
  if (found === undefined) return undefined;
  const period = found;
  // As much as would be no surprise is given: what is below it is never seen to be too little.
  const held = (at: number): number =>
    coresOf(Math.max(LEAST_THAT_MATTERS, levelAt(day, at, period))) * MARGIN;
  const soon = held((place + 1) % SLOTS_A_DAY);
  return { periodMs: period * SLOT_MS, now: held(place), soon };
}

/** What is held in a period, the last first; it is used again each time. */
const HELD = new Float64Array(Math.max(...PERIODS));

/**
 * What is held on average if a period is followed, in cores. It is worth that if it rises at most
 * once an hour, and clearly above the average. Of the place itself nothing is known yet.
 */
function meanIfWorth(day: Uint8Array, place: number, period: number): number | undefined {
  let sum = 0;
  let most = 0;
  // As `levelAt` has it of each place, by one look a place and period.
  let first = (place - period + SLOTS_A_DAY) % SLOTS_A_DAY;
  let second = (place - 2 * period + SLOTS_A_DAY) % SLOTS_A_DAY;
  const next = (): number => {
    const level = Math.max(day[first] ?? 0, day[second] ?? 0, LEAST_THAT_MATTERS);
    first = first === 0 ? SLOTS_A_DAY - 1 : first - 1;
    second = second === 0 ? SLOTS_A_DAY - 1 : second - 1;
    return level;
  };
  let after = next();
  let at = next();
  for (let ago = 0; ago < period; ago += 1) {
    const before = next();
    const cores = coresOf(Math.max(after, at, before));
    after = at;
    at = before;
    HELD[ago] = cores;
    sum += cores;
    if (cores > most) most = cores;
  }
  const mean = sum / period;
  if (most < LEAST_SAVING * mean) return undefined;
  let rises = 0;
  let later = HELD[period - 1] ?? 0;
  for (let ago = 0; ago < period; ago += 1) {
    const cores = HELD[ago] ?? 0;
    if (later > mean && cores <= mean) rises += 1;
    later = cores;
  }
  return rises * SLOTS_AN_HOUR <= period ? mean : undefined;
}
