/**
 * What is learnt of a container's demand for one resource, online and in bounded memory: 2.8 KB for
 * CPU, 1 KB for memory, whatever the length of its life. Time is cut into slots of five minutes, so
 * that what is learnt does not depend on how often the loop looks.
 */
export interface DemandModel {
  /** Wall clock of the last observation. */
  atMs: number;
  /** The slot under way: how long it has lasted, value times time, and its largest value. */
  openMs: number;
  openSum: number;
  openPeak: number;
  /** How many slots it rests on; older ones fade out. */
  slots: number;
  /** Times that it rose clearly above all of the day before; they fade out too. */
  jumps: number;
  /** The largest rise clearly above the hour before it, in the value's unit; it fades out too. */
  rise: number;
  /** The value of the last whole slot. */
  last: number;
  /** The hour that is under way, counted from 1970. */
  hour: number;
  /** How far off two forecasts of an hour's peak were: the hour before it, and its rhythm. */
  plainError: number;
  rhythmError: number;
  /** For CPU: sums over the slots, which fade out, of values, of their changes and of those of
   * their logarithms; see `demand-tails.ts`. */
  values: number;
  strides: number;
  swings: number;
  /** The last hour, slot by slot, the newest first. */
  readonly recent: Float32Array;
  /** The peaks of the last two days' hours, under the hour's number modulo their count. */
  readonly hours: Float32Array;
  /** The usual peak of each hour of the week; 0: not seen yet. */
  readonly week: Float32Array;
  /** For CPU: in how much of the time demand was above each level; see `demand-tails.ts`. */
  readonly tails: Float32Array;
  /** For CPU: the last day, and how long each period has foretold it; see `repeats.ts`. */
  readonly day: Uint8Array;
  readonly foretold: Float32Array;
}

export const SLOT_MS = 300_000;
export const SLOTS_AN_HOUR = 12;
export const SLOTS_A_DAY = 288;
/** How many periods `repeats.ts` tries. */
export const PERIODS_TRIED = 6;
const HOUR_MS = 3_600_000;
/** A little less, since a cycle may end before a whole slot. */
export const DAY_MS = 24 * HOUR_MS * 0.99;
const RECENT_SLOTS = SLOTS_AN_HOUR;
const HOURS_A_DAY = 24;
const HOURS_KEPT = 2 * HOURS_A_DAY;
const HOURS_A_WEEK = 168;
/** What lies this many slots back counts half: a week. */
const FADE_SLOTS = 2016;
const SLOT_FADE = 0.5 ** (1 / FADE_SLOTS);
/** A slot above the day's maximum by this factor is a jump: it does not creep like that. */
const JUMP = 1.08;
/** A slot may end a little early, so that a cycle of five minutes always fills one. */
const FULL_SLOT = 0.95;
/** After a longer gap than this the last hour says nothing of now. */
const LONGEST_GAP_SLOTS = 12;

/** What one observation says of the time since the one before. */
export interface Observed {
  /** What was wanted; where a limit held it back, an estimate beyond that. */
  readonly value: number;
  /** It met its limit: more was wanted than could be seen. */
  readonly overrun: boolean;
}

/** @param levels how many levels the tails have; 0 for memory */
export function newDemandModel(atMs: number, levels: number): DemandModel {
  // One buffer for all: each has a price of its own.
  const periods = levels > 0 ? PERIODS_TRIED : 0;
  const floatsInAll = RECENT_SLOTS + HOURS_KEPT + HOURS_A_WEEK + levels + periods;
  const slotsOfDay = levels > 0 ? SLOTS_A_DAY : 0;
  const all = new ArrayBuffer(4 * floatsInAll + slotsOfDay);
  const floats = (from: number, length: number) =>
    length === 0 ? NO_FLOATS : new Float32Array(all, 4 * from, length);
  return {
    atMs,
    openMs: 0,
    openSum: 0,
    openPeak: 0,
    slots: 0,
    jumps: 0,
    rise: 0,
    last: 0,
    hour: hourOf(atMs),
    plainError: 0,
    rhythmError: 0,
    values: 0,
    strides: 0,
    swings: 0,
    recent: floats(0, RECENT_SLOTS),
    hours: floats(RECENT_SLOTS, HOURS_KEPT),
    week: floats(RECENT_SLOTS + HOURS_KEPT, HOURS_A_WEEK),
    tails: floats(RECENT_SLOTS + HOURS_KEPT + HOURS_A_WEEK, levels),
    foretold: floats(floatsInAll - periods, periods),
    day: slotsOfDay === 0 ? NO_BYTES : new Uint8Array(all, 4 * floatsInAll, slotsOfDay),
  };
}

/** An array has a price of its own, also without elements. */
const NO_FLOATS = new Float32Array(0);
const NO_BYTES = new Uint8Array(0);

const hourOf = (atMs: number): number => Math.floor(atMs / HOUR_MS);

function peakOf(values: Float32Array, least: number): number {
  let peak = least;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? 0;
    if (value > peak) peak = value;
  }
  return peak;
}

/** The largest value of the last hour, the slot under way included. */
export const peakOfHour = ({ recent, openPeak }: DemandModel): number => peakOf(recent, openPeak);

/** The largest value of the last so many slots, of twelve at most. */
export function peakOfSlots({ recent, openPeak }: DemandModel, slots: number): number {
  let peak = openPeak;
  for (let ago = 0; ago < slots; ago += 1) peak = Math.max(peak, recent[ago] ?? 0);
  return peak;
}

/** How long it was observed for, in whole slots and the one under way; a gap is not observed. */
export function observedMs({ slots, openMs }: DemandModel): number {
  // The sum of n fading slots, solved for n.
  const left = Math.max(0, 1 - slots * (1 - SLOT_FADE));
  return (Math.log(left) / Math.log(SLOT_FADE)) * SLOT_MS + openMs;
}

/** The largest value of the last day, and of what is usual in a week. */
export function peakOfWeek(model: DemandModel): number {
  return peakOf(model.week, peakOfDay(model));
}

/** The largest value of the last 24 hours. */
export function peakOfDay({ hours, hour, openPeak }: DemandModel): number {
  let peak = openPeak;
  for (let ago = 0; ago < HOURS_A_DAY; ago += 1) {
    const value = peakAt(hours, hour - ago);
    if (value > peak) peak = value;
  }
  return peak;
}

const peakAt = (hours: Float32Array, hour: number): number =>
  hours[((hour % HOURS_KEPT) + HOURS_KEPT) % HOURS_KEPT] ?? 0;

/** A rhythm is believed where it has been clearly closer than the hour before. */
const BELIEVED = 0.8;
/** So far ahead it is asked: a change is to be there before the demand. */
const AHEAD_MS = 600_000;

/** What the rhythm of days and weeks says of the next minutes; 0 if it is not to be believed. */
export function rhythmPeak(model: DemandModel): number {
  const { plainError, rhythmError, atMs } = model;
  if (plainError <= 0 || rhythmError >= plainError * BELIEVED) return 0;
  return Math.max(usualPeak(model, hourOf(atMs)), usualPeak(model, hourOf(atMs + AHEAD_MS)));
}

/** Of this hour a week ago, else of this hour yesterday; 0 if it is not known. */
function usualPeak({ week, hours }: DemandModel, hour: number): number {
  const ofWeek = week[hour % HOURS_A_WEEK] ?? 0;
  return ofWeek > 0 ? ofWeek : peakAt(hours, hour - HOURS_A_DAY);
}

/** A slot that has become whole: its value, and how many slots' time it stands for. */
export interface WholeSlot {
  readonly value: number;
  readonly before: number | undefined;
  readonly count: number;
}

/**
 * Takes one more observation in; changes what is learnt in place. Returns the slot that it made
 * whole, if it did.
 *
 * @param ofPeaks whether a slot's value is its largest one (memory) or its mean (CPU)
 */
export function learn(
  model: DemandModel,
  { value, overrun }: Observed,
  wallMs: number,
  ofPeaks: boolean,
): WholeSlot | undefined {
  const sinceMs = wallMs - model.atMs;
  const isFirst = model.slots === 0 && model.openMs === 0;
  model.atMs = wallMs;
  // The first observation, and one after the clock was set back, stand for one slot.
  const elapsedMs = isFirst || sinceMs <= 0 ? SLOT_MS : sinceMs;
  if (overrun) model.jumps += 1;
  model.openMs += elapsedMs;
  model.openSum += value * elapsedMs;
  if (value > model.openPeak) model.openPeak = value;
  if (model.openMs < SLOT_MS * FULL_SLOT) return undefined;
  const count = Math.max(1, Math.round(model.openMs / SLOT_MS));
  const whole = ofPeaks ? model.openPeak : model.openSum / model.openMs;
  const before = model.slots === 0 ? undefined : model.last;
  close(model, whole, count, overrun);
  return { value: whole, before, count };
}

function close(model: DemandModel, value: number, count: number, overrun: boolean): void {
  const { recent, hours } = model;
  model.openMs = 0;
  model.openSum = 0;
  model.openPeak = 0;
  if (model.slots > 0 && !overrun && value > JUMP * peakOfDay(model)) model.jumps += 1;
  const fade = 0.5 ** (count / FADE_SLOTS);
  model.slots = model.slots * fade + 1;
  model.jumps *= fade;
  const rise = model.slots > 1 ? riseOf(value, peakOf(recent, 0)) : 0;
  model.rise = Math.max(model.rise * fade, rise);
  if (count > LONGEST_GAP_SLOTS) recent.fill(0);
  recent.copyWithin(1, 0);
  recent[0] = value;
  toHour(model, hourOf(model.atMs - 1));
  const place = model.hour % HOURS_KEPT;
  hours[place] = Math.max(hours[place] ?? 0, value);
  model.last = value;
}

/** A start from nearly nothing is no sign of what comes: at most as much again as before counts. */
const riseOf = (value: number, before: number): number =>
  value > JUMP * before ? Math.min(before, value - before) : 0;

/** How much of a lower peak goes into what is usual for an hour of the week. */
const WEEK_SHARE = 0.3;

/** Goes on to another hour: the one that ends is compared with its forecasts, and kept. */
function toHour(model: DemandModel, hour: number): void {
  if (hour === model.hour) return;
  const { hours, week, hour: ended } = model;
  const peak = peakAt(hours, ended);
  judgeForecasts(model, ended, peak);
  const place = ended % HOURS_A_WEEK;
  const usual = week[place] ?? 0;
  week[place] = peak > usual ? peak : usual + (peak - usual) * WEEK_SHARE;
  const passed = Math.min(Math.max(1, hour - ended), HOURS_KEPT);
  for (let back = 0; back < passed; back += 1) {
    const index = hour - back;
    hours[((index % HOURS_KEPT) + HOURS_KEPT) % HOURS_KEPT] = 0;
  }
  model.hour = hour;
}

const ERROR_SHARE = 0.05;
/** Below this a difference is noise, be it cores or MiB. */
const LEAST = 0.05;

function judgeForecasts(model: DemandModel, ended: number, peak: number): void {
  const plain = peakAt(model.hours, ended - 1);
  const usual = usualPeak(model, ended);
  if (plain === 0 || usual === 0) return;
  const off = (forecast: number): number => Math.abs(Math.log((peak + LEAST) / (forecast + LEAST)));
  model.plainError += (off(plain) - model.plainError) * ERROR_SHARE;
  model.rhythmError += (off(usual) - model.rhythmError) * ERROR_SHARE;
}
