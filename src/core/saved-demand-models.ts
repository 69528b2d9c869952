import { CONNECTIONS } from './connection.ts';
import { type DemandModel, newDemandModel } from './demand-model.ts';
import { motionFromRecent, TAIL_LEVELS } from './demand-tails.ts';

/**
 * What was learnt, as plain data of a version of its own. It is on the wall clock, so it outlives a
 * restart of the host; what cannot be read is learnt anew, and stops nothing.
 */
export interface SavedDemandModels {
  readonly version: typeof MODEL_VERSION;
  readonly of: readonly (readonly [string, SavedOne])[];
}

/** To be raised when a number changes its meaning. */
export const MODEL_VERSION = 1;

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

/** A later addition: without it the day begins anew. */
const DAY = ['day', 'foretold'] as const;
/** Later additions: without them a state is whole, and they are taken from its last hour. */
const MOTION = ['values', 'strides', 'swings'] as const;

type SavedOne = Readonly<Record<string, number | readonly number[]>>;

const KEY = new RegExp(`^[1-9][0-9]{2,8}/(cores|memory)(?:/(?:${CONNECTIONS.join('|')}))?$`);

/** Under the id of a guest and the resource, `101/cores`; what is put aside, as `101/cores/ssh`. */
export type DemandModels = Iterable<readonly [string, DemandModel]>;

export function saveDemandModels(all: DemandModels): SavedDemandModels {
  const of = Array.from(all, ([key, model]) => [key, saveOne(model)] as const);
  return { version: MODEL_VERSION, of };
}

function saveOne(model: DemandModel): SavedOne {
  const saved: Record<string, number | readonly number[]> = {};
  for (const name of SCALARS) saved[name] = model[name];
  for (const name of MOTION) saved[name] = model[name];
  for (const name of ARRAYS) saved[name] = shortened(model[name]);
  for (const name of model.day.length > 0 ? DAY : []) saved[name] = shortened(model[name]);
  return saved;
}

/** Five digits are more than a forecast has; zeros at the end say nothing. */
function shortened(values: Float32Array | Uint8Array): readonly number[] {
  let length = values.length;
  while (length > 0 && values[length - 1] === 0) length -= 1;
  return Array.from(values.subarray(0, length), (value) => Number(value.toPrecision(5)));
}

/** What is whole of what was saved, under the same keys; it says nothing of the rest. */
export function takeDemandModels(saved: unknown): ReadonlyMap<string, DemandModel> {
  const all = new Map<string, DemandModel>();
  if (!isObject(saved) || saved['version'] !== MODEL_VERSION) return all;
  const entries = saved['of'];
  if (!Array.isArray(entries)) return all;
  for (const entry of entries as unknown[]) {
    if (!Array.isArray(entry)) continue;
    const [key, one] = entry as unknown[];
    const resource = KEY.exec(String(key))?.[1];
    if (resource === undefined || !isObject(one)) continue;
    const model = readOne(one, resource === 'cores' ? TAIL_LEVELS : 0);
    if (model !== undefined) all.set(String(key), model);
  }
  return all;
}

function readOne(
  saved: Readonly<Record<string, unknown>>,
  levels: number,
): DemandModel | undefined {
  const model = newDemandModel(0, levels);
  for (const name of SCALARS) {
    const value = saved[name] ?? (LATER.has(name) ? 0 : undefined);
    if (!isAmount(value)) return undefined;
    model[name] = value;
  }
  for (const name of ARRAYS) {
    const values = saved[name];
    if (!isArrayFor(model[name], values)) return undefined;
    model[name].set(values);
  }
  if (!readMotion(model, saved) && levels > 0) motionFromRecent(model);
  readDay(model, saved);
  return model;
}

function readDay({ day, foretold }: DemandModel, saved: Readonly<Record<string, unknown>>): void {
  const slots = saved['day'];
  const periods = saved['foretold'];
  if (!isArrayFor(day, slots) || !isArrayFor(foretold, periods)) return;
  day.set(slots);
  foretold.set(periods);
}

const isArrayFor = (to: Float32Array | Uint8Array, saved: unknown): saved is number[] =>
  Array.isArray(saved) && saved.length <= to.length && saved.every(isAmount);

function readMotion(model: DemandModel, saved: Readonly<Record<string, unknown>>): boolean {
  const { values, strides, swings } = saved;
  if (!isAmount(values) || !isAmount(strides) || !isAmount(swings)) return false;
  Object.assign(model, { values, strides, swings });
  return true;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;
