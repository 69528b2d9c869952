import { type Learnt, newLearnt } from './learnt.ts';
import { motionFromRecent, TAIL_LEVELS } from './tails.ts';

/**
 * What was learnt, as plain data of a version of its own. It is on the wall clock, so it outlives a
 * restart of the host; what cannot be read is learnt anew, and stops nothing.
 */
export interface SavedLearnt {
  readonly version: typeof LEARNT_VERSION;
  readonly of: readonly (readonly [string, SavedOne])[];
}

/** To be raised when a number changes its meaning. */
export const LEARNT_VERSION = 1;

const SCALARS = [
  'atMs',
  'openMs',
  'openSum',
  'openPeak',
  'slots',
  'jumps',
  'rise',
  'last',
  'hour',
  'plainError',
  'rhythmError',
] as const;
/** What an earlier release of the same version does not have, and begins with nothing. */
const LATER: ReadonlySet<string> = new Set(['rise']);
const ARRAYS = ['recent', 'hours', 'week', 'tails'] as const;

/** Later additions: without them a state is whole, and they are taken from its last hour. */
const MOTION = ['values', 'strides', 'swings'] as const;

type SavedOne = Readonly<Record<string, number | readonly number[]>>;

/** Under the id of a guest and the resource: `101/cores`. */
export type LearntOfAll = Iterable<readonly [string, Learnt]>;

export function saveLearnt(all: LearntOfAll): SavedLearnt {
  const of = Array.from(all, ([key, learnt]) => [key, saveOne(learnt)] as const);
  return { version: LEARNT_VERSION, of };
}

function saveOne(learnt: Learnt): SavedOne {
  const saved: Record<string, number | readonly number[]> = {};
  for (const name of SCALARS) saved[name] = learnt[name];
  for (const name of MOTION) saved[name] = learnt[name];
  for (const name of ARRAYS) saved[name] = shortened(learnt[name]);
  return saved;
}

/** Five digits are more than a forecast has; zeros at the end say nothing. */
function shortened(values: Float32Array): readonly number[] {
  let length = values.length;
  while (length > 0 && values[length - 1] === 0) length -= 1;
  return Array.from(values.subarray(0, length), (value) => Number(value.toPrecision(5)));
}

/** What is whole of what was saved, under the same keys; it says nothing of the rest. */
export function takeLearnt(saved: unknown): ReadonlyMap<string, Learnt> {
  const all = new Map<string, Learnt>();
  if (!isObject(saved) || saved['version'] !== LEARNT_VERSION) return all;
  const entries = saved['of'];
  if (!Array.isArray(entries)) return all;
  for (const entry of entries as unknown[]) {
    if (!Array.isArray(entry)) continue;
    const [key, one] = entry as unknown[];
    const resource = /^[1-9][0-9]{2,8}\/(cores|memory)$/.exec(String(key))?.[1];
    if (resource === undefined || !isObject(one)) continue;
    const learnt = readOne(one, resource === 'cores' ? TAIL_LEVELS : 0);
    if (learnt !== undefined) all.set(String(key), learnt);
  }
  return all;
}

function readOne(saved: Readonly<Record<string, unknown>>, levels: number): Learnt | undefined {
  const learnt = newLearnt(0, levels);
  for (const name of SCALARS) {
    const value = saved[name] ?? (LATER.has(name) ? 0 : undefined);
    if (!isAmount(value)) return undefined;
    learnt[name] = value;
  }
  for (const name of ARRAYS) {
    const values = saved[name];
    if (!Array.isArray(values) || values.length > learnt[name].length) return undefined;
    if (!values.every(isAmount)) return undefined;
    learnt[name].set(values);
  }
  if (!readMotion(learnt, saved) && levels > 0) motionFromRecent(learnt);
  return learnt;
}

function readMotion(learnt: Learnt, saved: Readonly<Record<string, unknown>>): boolean {
  const { values, strides, swings } = saved;
  if (!isAmount(values) || !isAmount(strides) || !isAmount(swings)) return false;
  Object.assign(learnt, { values, strides, swings });
  return true;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;
