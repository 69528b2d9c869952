import * as z from 'zod/mini';
import { CONNECTIONS } from '../core/connection.ts';
import { parseGuestIdentity } from '../core/identity.ts';
import { missing, present, type Reading } from '../core/reading.ts';
import { SAVED_VERSION, type SavedState } from '../core/saved-state.ts';
import { isMoment, parseVmid } from '../core/units.ts';

/**
 * The form of the saved state. What a field lacks is not known, so a release that adds one reads
 * the state of the release before; what a field has must be as it should be, else nothing of the
 * file is taken over: a part of it could be believed for the whole.
 */

const maybe = z.optional;
const number = z.number();
const moment = z.number().check(z.refine(isMoment));
const orNull = z.nullable(number);

const vmid = z.number().check(z.refine((id) => parseVmid(String(id)) !== undefined));
const identity = z.string().check(z.refine((text) => parseGuestIdentity(text) !== undefined));

const rule = z.string();
const failure = z.object({ count: number, retryAtMs: number });
const boost = z.object({ before: number, boosted: number, endMs: number });
const values = { cores: orNull, cpuLimit: orNull, memoryMib: number };

/** A reading: the named numbers, or that it was missing. */
const reading = (...names: readonly string[]) =>
  z.union([
    z.looseObject({ ok: z.literal(false) }),
    z.looseObject({
      ok: z.literal(true),
      value: z.looseObject(Object.fromEntries(names.map((name) => [name, number]))),
    }),
  ]);

const sample = z.looseObject({
  atMs: number,
  identity: number,
  life: maybe(reading()),
  cpu: reading('usageUs', 'throttledUs'),
  memory: reading('currentBytes', 'swapBytes', 'oomKills', 'limitHits', 'refaults'),
  cpuPressure: reading('someTotalUs'),
  memoryPressure: reading('someTotalUs'),
});

const life = z.object({
  sample: maybe(sample),
  pendingCores: maybe(z.object({ cores: number, sinceMs: number, warned: z.boolean() })),
  startedMs: maybe(number),
  oomKillMs: maybe(number),
  heldBackMs: maybe(number),
  shrinkRetry: maybe(failure),
  shrunk: maybe(z.object({ fromMib: number, atMs: number })),
});

const resource = z.object({
  changedMs: maybe(number),
  grownMs: maybe(number),
  waited: maybe(
    z.object({
      before: number,
      after: number,
      share: number,
      atMs: number,
      count: number,
      retryAtMs: maybe(number),
    }),
  ),
  taken: maybe(
    z.object({ norm: number, shrunkMs: number, flaps: number, flappedMs: maybe(number) }),
  ),
  boost: maybe(boost),
  offPeak: maybe(z.object({ before: number, givenBackMs: maybe(number) })),
  handHoldMs: maybe(number),
  differing: maybe(z.object({ live: orNull, configured: orNull, sinceMs: number })),
});

const intended = z.object({
  ...values,
  sinceMs: maybe(number),
  reasons: maybe(z.object({ cores: maybe(z.string()), memory: maybe(z.string()) })),
  rules: maybe(z.object({ cores: maybe(rule), memory: maybe(rule) })),
  boosts: maybe(z.object({ cores: maybe(boost), memory: maybe(boost) })),
  told: maybe(z.boolean()),
});

const day = z.object({
  sinceMs: moment,
  atMs: moment,
  openMs: number,
  openMib: number,
  hours: z.array(number).check(z.maxLength(24)),
});

const aside = z.object({
  day: maybe(day),
  life: maybe(z.object({ identity: number, atMs: number })),
});

const guest = z.object({
  identity: maybe(identity),
  grantMib: maybe(number),
  failure: maybe(failure),
  oomFloor: maybe(z.object({ limitMib: number, atMs: number })),
  known: maybe(z.object(values)),
  given: maybe(z.object(values)),
  shortages: maybe(
    z.object({
      kills: number,
      nested: number,
      byHost: maybe(number),
      limitHits: maybe(number),
      killedWallMs: maybe(moment),
    }),
  ),
  day: maybe(day),
  aside: maybe(z.object({ api: maybe(aside), ssh: maybe(aside) })),
  intended: maybe(intended),
  unsettled: maybe(z.object({ keys: z._default(z.array(z.string()), []), sinceMs: number })),
  lastChange: maybe(z.object({ wallMs: moment, text: z.string(), status: z.string() })),
  noted: maybe(z.boolean()),
  life: maybe(life),
  cores: maybe(resource),
  memory: maybe(resource),
});

const state = z.object({
  version: z.literal(SAVED_VERSION),
  boot: z.string(),
  savedMs: number,
  savedWallMs: moment,
  guests: z.array(z.tuple([vmid, guest])),
  connection: maybe(z.enum(CONNECTIONS)),
  learnt: z.unknown(),
});

/** Missing if the content is not of a version that is known, or not whole. */
export function parseSavedState(content: unknown): Reading<SavedState> {
  if (!isObject(content)) return missing('malformed', 'it is no JSON object');
  const { version } = content;
  if (version === 2) {
    const field = wrongListOf2(content);
    if (field !== undefined) return missing('malformed', `its field ${field} is no list`);
    return parseState(fromVersion2(content));
  }
  if (version === SAVED_VERSION) return parseState(content);
  if (typeof version !== 'number') return missing('malformed', 'its version is no number');
  return missing('malformed', `its version is ${version}, not ${SAVED_VERSION}`);
}

function parseState(content: unknown): Reading<SavedState> {
  const parsed = z.safeParse(state, content);
  // What is branded there are plain numbers and texts here.
  if (parsed.success) return present(parsed.data as unknown as SavedState);
  const path = parsed.error.issues[0]?.path.join('.') ?? '';
  return missing('malformed', `its field ${path} is not as it should be`);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Where version 2 had one list a field, under the ids of guests. */
const OF_GUEST: Readonly<Record<string, readonly [string, string?]>> = {
  identities: ['identity'],
  grants: ['grantMib'],
  failures: ['failure'],
  oomFloors: ['oomFloor'],
  known: ['known'],
  intended: ['intended'],
  lastChanges: ['lastChange'],
  samples: ['life', 'sample'],
  pendingCores: ['life', 'pendingCores'],
  startedMs: ['life', 'startedMs'],
  oomKills: ['life', 'oomKillMs'],
  shrinkRetry: ['life', 'shrinkRetry'],
  shrunk: ['life', 'shrunk'],
};
/** The same under `101/cores`. */
const OF_RESOURCE: Readonly<Record<string, string>> = {
  changedMs: 'changedMs',
  grownMs: 'grownMs',
  waited: 'waited',
  taken: 'taken',
  boosts: 'boost',
  offPeak: 'offPeak',
  handHolds: 'handHoldMs',
  differing: 'differing',
};

const wrongListOf2 = (content: Readonly<Record<string, unknown>>): string | undefined =>
  [...Object.keys(OF_GUEST), ...Object.keys(OF_RESOURCE)].find(
    (field) => content[field] !== undefined && !Array.isArray(content[field]),
  );

/** Moves each value to its place in version 3. It checks nothing; the schema does. */
function fromVersion2(content: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const guests = new Map<unknown, Record<string, unknown>>();
  const put = (id: unknown, [first, second]: readonly [string, string?], value: unknown): void => {
    const one = guests.get(id) ?? {};
    guests.set(id, one);
    if (second === undefined) one[first] = value;
    else one[first] = { ...(one[first] as object | undefined), [second]: value };
  };
  for (const [field, place] of Object.entries(OF_GUEST)) {
    for (const [id, value] of entriesOf(content[field])) {
      put(id, place, field === 'intended' ? intendedOf2(value) : value);
    }
  }
  for (const [field, name] of Object.entries(OF_RESOURCE)) {
    for (const [key, value] of entriesOf(content[field])) {
      const [id, which = ''] = String(key).split('/');
      put(/^(?:cores|memory)$/.test(which) ? Number(id) : key, [which, name], value);
    }
  }
  return { ...content, version: SAVED_VERSION, guests: [...guests] };
}

const entriesOf = (list: unknown): ReadonlyArray<readonly [unknown, unknown]> =>
  Array.isArray(list)
    ? list.map((entry) => (Array.isArray(entry) ? [entry[0], entry[1]] : [entry, undefined]))
    : [];

function intendedOf2(value: unknown): unknown {
  if (!isObject(value) || !Array.isArray(value['boosts'])) return value;
  const boosts = entriesOf(value['boosts']).map(([key, one]) => [String(key).split('/')[1], one]);
  return { ...value, boosts: Object.fromEntries(boosts) };
}
