import type { Resource } from './allocation.ts';
import { ofDayWords } from './day-seen.ts';
import type {
  Change,
  CountsCache,
  Hold,
  HoldReason,
  Kept,
  Limit,
  Measured,
  NotInForce,
  Repeats,
  Skip,
  SkipReason,
} from './decision.ts';
import type { Controller } from './observation.ts';
import { CPULIMIT_WORKS, quoted } from './pins.ts';
import type { ProofNumbers, Unproven } from './proof.ts';
import type { Missing } from './reading.ts';

/** Turns the reason of a decision into the sentence that a person reads. */

export function explainChange(change: Change): string {
  const { measured, resource } = change;
  const bounds = change.limits.map((limit) => limitWords(limit, resource, measured));
  return [ruleWords(change), ...bounds].join('; ');
}

export function explainHold({ because, resource, measured }: Hold): string {
  const seen = measured === undefined ? '' : `${usedWords(resource, measured)}: `;
  return seen + holdWords(because, resource, measured);
}

export function explainSkip({ because, kind }: Skip): string {
  switch (because.kind) {
    case 'ignored':
      return because.because;
    case 'held-by-hand':
      return `${because.reason}; on hold for ${Math.ceil(because.leftMs / 60_000)} minutes more`;
    case 'template':
      return 'it is a template';
    case 'locked':
      return `it is locked (${because.lock}), since another operation is at work on it`;
    case 'stopped':
    case 'frozen':
      return stateWords(because, kind);
    case 'pending-changes':
      return `changes of its configuration (${because.keys.join(', ')}) wait for its next start`;
    case 'unreadable':
      return `it could not be read: ${because.reading.detail}`;
    case 'failed-lately': {
      const which = because.failures === 1 ? 'change' : `${because.failures} changes`;
      return `the last ${which} failed; next try in ${Math.ceil(because.retryInMs / 1000)} s`;
    }
  }
}

/** A sentence without its full stop, on one that does not run or cannot. */
export function stateWords(
  state: Extract<SkipReason, { readonly kind: 'stopped' | 'frozen' }>,
  guest: 'qemu' | undefined,
): string {
  if (state.kind === 'frozen') return guest === 'qemu' ? PAUSED : FROZEN;
  return state.leftBehind ? LEFT_BEHIND : 'it is not running';
}

const LEFT_BEHIND = 'it is not running; its cgroup was left behind, with no process in it';
const PAUSED =
  'it is paused (by qm suspend, a snapshot, a migration or an error of its disk, say), ' +
  'so what it does says nothing of what it needs';
const FROZEN =
  'it is frozen (by a snapshot, a replication or lxc-freeze, say), ' +
  'so what it does says nothing of what it needs';

/** An amount with its unit, in the form of the log: `2 cores`, `6656MB`. */
export function amount(resource: Resource, value: number): string {
  return resource === 'memory' ? `${short(value)}MB` : `${short(value)}`;
}

export function withUnit(resource: Resource, value: number): string {
  if (resource === 'memory') return `${short(value)} MB`;
  return value === 1 ? '1 core' : `${short(value)} cores`;
}

const short = (value: number): string => String(Math.round(value * 100) / 100);
const percent = (ratio: number): string => `${Math.round(ratio * 1000) / 10} %`;

/** The share is of what the container may use: where a cpulimit binds, less than its cores. */
function usedWords(resource: Resource, measured: Measured): string {
  const { used, share, before, demand, countsCache } = measured;
  const value = resource === 'memory' ? Math.round(used) : short(used);
  const has = withUnit(resource, before);
  const whose = countsCache ? `; ${COUNTS_CACHE}` : '';
  const waits = demand === undefined ? '' : ` and waits for ${short(demand - used)} more`;
  if (Math.abs(used / before - share) < 0.001) {
    return `it uses ${value} of its ${has} (${percent(share)})${waits}${whose}`;
  }
  const uses = `it uses ${withUnit(resource, used)}`;
  return `${uses}, ${percent(share)} of what it may use (it has ${has})${waits}${whose}`;
}

export const COUNTS_CACHE = 'that is the figure of pvestatd, which counts page cache as used';
export const TELLS_NEED =
  'Remedy: a balloon driver that tells what is available; it is not heard by the API';

function ruleWords({ resource, measured, rule, askedBy, boostMs }: Change): string {
  if (askedBy !== undefined) return askedWords(askedBy, boostMs);
  const has = withUnit(resource, measured.before);
  switch (rule) {
    case 'above-upper': {
      const upper = percent(measured.band.upper);
      return `${usedWords(resource, measured)}, above the upper threshold of ${upper}`;
    }
    case 'below-lower': {
      const lower = percent(measured.band.lower);
      return `${usedWords(resource, measured)}, below the lower threshold of ${lower}`;
    }
    case 'below-minimum':
      return `it has ${has}, less than its ${minimumOf(resource, measured)}`;
    case 'above-maximum':
      return `it has ${has}, more than its maximum of ${withUnit(resource, measured.max)}`;
    case 'oom-kill':
      return `its ${has} were not enough: the kernel ended a process in it (out of memory)`;
    case 'limit-hit':
      if (measured.slowedByGuard) return `its memory guard slows it below its limit of ${has}`;
      return `it met its limit of ${has} and had to wait for memory`;
    case 'rising':
      return `${usedWords(resource, measured)}, and that rises by ${riseWords(measured)}`;
    case 'shrink-undone':
      return 'the last shrink was too deep: it is re-reading evicted pages or waiting for memory';
    case 'waiting': {
      const waits = waitsWords(measured);
      return `${usedWords(resource, measured)}, and ${waits} while CPUs of the host are idle`;
    }
    case 'waiting-undone':
      return `more cores did not help: ${waitsWords(measured)} all the same`;
    case 'saturated':
      return `${usedWords(resource, measured)}, so it gets more for a while`;
    case 'boost-end':
      return 'its boost is over, and this is what it had before';
    case 'off-peak':
      return `${usedWords(resource, measured)}, and it is off-peak time`;
    case 'peak-again':
      return 'the off-peak time is over, and this is what it had before';
    case 'learnt':
      return forecastWords(resource, measured);
    case 'in-force': {
      const { before } = measured;
      return `its configuration says so, but the active value is ${withUnit(resource, before)}`;
    }
    case 'host-emergency':
      return `the host is almost out of memory, and ${usedWords(resource, measured)}`;
    case 'asked':
      return askedWords('hand', undefined);
  }
}

const askedWords = (by: string, boostMs: number | undefined): string =>
  `it was asked for by ${by}${boostMs === undefined ? '' : `, for ${boostMs / 1000} s`}`;

const minimumOf = (resource: Resource, { min }: Measured): string =>
  `${resource === 'memory' ? 'min_memory' : 'min_cores'} of ${withUnit(resource, min)}`;

const riseWords = ({ mibPerS = 0 }: Measured): string => `${short(mibPerS)} MB a second`;

const waitsWords = ({ waits }: Measured): string =>
  `its tasks wait for a CPU ${percent(waits ?? 0)} of the time`;

function limitWords(limit: Limit, resource: Resource, measured: Measured): string {
  switch (limit) {
    case 'maximum':
      return `it may have at most ${withUnit(resource, measured.max)}`;
    case 'minimum':
      return `it keeps at least ${withUnit(resource, measured.min)}`;
    case 'need':
      return `it needs at least ${withUnit(resource, Math.ceil(measured.need))}`;
    case 'opposite':
      return 'a larger step would soon be taken back';
    case 'host':
      return 'the host cannot give more now';
    case 'unproven':
      return 'this kernel cannot show what it could do without, so steps are small';
    case 'kept':
      return measured.kept === undefined ? 'room for a rise is kept' : keptWords(measured.kept);
    case 'quarter':
      return 'one step takes at most a quarter';
    case 'module':
      return 'it is taken out as a module, one at a time';
    case 'counts-cache':
      return `on this figure it grows to 1.25 x what it was given at most. ${TELLS_NEED}`;
  }
}

function keptWords({ peakMib, roomMib, mib }: Kept): string {
  const needed = `it has needed up to ${Math.round(peakMib)} MB`;
  return `${needed}, and with ${Math.round(roomMib)} MB of room for a rise it keeps ${mib} MB`;
}

type Because<K extends HoldReason['kind']> = Extract<HoldReason, { readonly kind: K }>;

function atMinimum({ oneWay }: Because<'at-minimum'>, min: string): string {
  if (oneWay === undefined) return `it needs less, but keeps its minimum of ${min}`;
  const { why, remedy } = oneWay;
  return `it needs less, but its memory only grows while it runs: ${why}. Remedy: ${remedy}`;
}

function cannotProve({ guest }: Because<'cannot-prove'>): string {
  const isMachine = guest === 'qemu';
  const whose = isMachine ? 'nobody can ask a guest to show' : 'this kernel cannot show';
  const little = isMachine ? 'little of its memory is free' : 'little is free';
  return (
    `${whose} what it could do without, ` +
    `and ${little} beside the cache that it uses, so it keeps its memory`
  );
}

function holdWords(because: HoldReason, resource: Resource, measured?: Measured): string {
  if (isOfMachine(because)) return machineWords(because);
  switch (because.kind) {
    case 'in-band':
      return `${thresholds(measured)}, so nothing changes`;
    case 'not-scaled':
      return notScaled(resource);
    case 'learnt':
      return `${forecastWords(resource, measured)}, so nothing changes`;
    case 'missing':
      return missingWords(because.reading);
    case 'at-maximum':
      return `it needs more, but may have at most ${withUnit(resource, measured?.max ?? 0)}`;
    case 'at-minimum':
      return atMinimum(because, withUnit(resource, measured?.min ?? 0));
    case 'too-little-to-take':
      return `only ${because.left} MB could be taken back, less than a step of ${because.least} MB`;
    case 'opposite':
      return 'any step would soon be reversed, so nothing changes';
    case 'observed-briefly':
    case 'kept':
    case 'oom-lately':
    case 'held-back-lately':
    case 'unproven-lately':
    case 'cannot-prove':
    case 'need-unseen':
    case 'day-unseen':
    case 'kept-unseen':
    case 'started-lately':
    case 'memory-pressure':
    case 'refaults':
    case 'swap-growth':
      return keepWords(because);
    case 'too-few-observations':
      return `seen ${times(because.have)} so far; a step needs it ${times(because.want)} in a row`;
    case 'cooldown':
      return cooldownWords(because.toward, because.leftMs);
    case 'flapping':
      return flapping(because.flaps, because.leftMs);
    case 'observe-only':
      return wouldWords(resource, because.would, measured);
    case 'cpulimit':
    case 'narrowed':
    case 'pinned':
    case 'no-controller':
      return noUse(because);
    case 'not-in-force':
      return notInForce(resource, because);
    case 'host-memory':
    case 'host-cores':
    case 'host-busy':
    case 'host-emergency':
    case 'host-full':
    case 'host-pressure':
    case 'overcommit':
      return `it should get ${hostWords(because)}`;
    case 'changed-by-hand':
      return `it was changed by hand, which is respected for ${seconds(because.leftMs)} more`;
    case 'boosted':
      return boostedUntil(withUnit(resource, because.until), because.leftMs);
    case 'not-saturated':
      return notSaturated(because.samples, because.of);
    case 'given-back':
      return givenBack(because.leftMs);
    case 'next-cycle':
      return 'other changes come first in this cycle, so this one waits for the next';
    case 'paused':
      return `it should change, but nothing is changed now: ${because.why}`;
  }
}

const cooldownWords = (toward: 'grow' | 'shrink', leftMs: number): string =>
  `it ${toward === 'grow' ? 'needs more' : 'needs less'}, but was changed lately; ` +
  `it may ${toward} in ${Math.ceil(leftMs / 1000)} s`;

const givenBack = (leftMs: number): string =>
  `the off-peak time has just given it back; it stays for ${seconds(leftMs)} more`;

const notScaled = (resource: Resource): string =>
  resource === 'cores'
    ? 'its CPU is left as it is, since `scale` names only memory'
    : 'its memory is left as it is, since `scale` names only cpu';

type OfMachine = Because<'fixed' | 'balloon-moves' | 'counts-cache'>;

const isOfMachine = (because: HoldReason): because is OfMachine =>
  because.kind === 'fixed' || because.kind === 'balloon-moves' || because.kind === 'counts-cache';

/** What a virtual machine does not do at once, or not at all while it runs. */
function machineWords(because: OfMachine): string {
  if (because.kind === 'counts-cache') return countsCacheWords(because);
  if (because.kind === 'fixed') {
    return `${because.why}, so it is not changed. Remedy: ${because.remedy}`;
  }
  const has = withUnit('memory', Math.round(because.actualMib));
  return `its balloon is on the way from ${has} to its target of ${because.targetMib} MB`;
}

function countsCacheWords({ why, leftMs = 0, mostMib = 0 }: CountsCache): string {
  const words: Readonly<Record<CountsCache['why'], string>> = {
    'no-shrink': 'nothing is taken back on it',
    full: 'page cache makes any guest so full, so it does not grow for that',
    'not-for-long': `it grows if that stays for ${Math.ceil(leftMs / 60_000)} minutes more`,
    enough: `on it no guest grows beyond 1.25 x what it was given, here ${mostMib} MB`,
  };
  return `${words[why]}. ${TELLS_NEED}`;
}

/** A rate needs two samples: the first one is no fault. */
const missingWords = ({ why, detail }: Missing): string =>
  why === 'first-sample'
    ? `measuring: ${detail}; the first figure comes with the next cycle`
    : `a reading is missing, so nothing changes: ${detail}`;

function wouldWords(resource: Resource, would: number, measured: Measured | undefined): string {
  const from = measured === undefined ? '' : ` from ${short(measured.before)}`;
  return `it would go${from} to ${withUnit(resource, would)} (observe mode: not done)`;
}

type KeepReason = Because<
  | ('observed-briefly' | 'kept' | 'oom-lately' | 'held-back-lately')
  | ('unproven-lately' | 'cannot-prove')
  | ('need-unseen' | 'day-unseen' | 'kept-unseen')
  | ('started-lately' | 'memory-pressure' | 'refaults' | 'swap-growth')
>;

/** Why nothing is taken back. */
function keepWords(because: KeepReason): string {
  switch (because.kind) {
    case 'observed-briefly': {
      const left = Math.ceil(because.leftMs / 60_000);
      return `it is observed for ${left} minutes more before memory is taken back from it`;
    }
    case 'kept':
      return keptWords(because);
    case 'oom-lately':
      return 'the kernel ended a process in it lately (out of memory), so it keeps its memory';
    case 'held-back-lately':
      return (
        'it had to wait for memory lately, at its limit or its guard, ' +
        'so nothing is taken from it'
      );
    case 'unproven-lately':
      return unprovenLately(because.attempts, because.retryInMs);
    case 'cannot-prove':
      return cannotProve(because);
    case 'need-unseen':
      return 'what it needs of its memory cannot be seen from here, so none is taken back';
    case 'day-unseen':
      return `${UNPROVABLE}, so none is taken before ${ofDayWords(because.leftMs)} was seen`;
    case 'kept-unseen':
      return keptUnseen(because);
    case 'started-lately':
      return (
        'it needs less, but was started lately and may still be warming up, ' +
        'so it keeps its memory'
      );
    case 'memory-pressure':
      return `its tasks wait for memory (${percent(because.share)} of the time)`;
    case 'refaults':
      return `it reads again what it had to give up (${short(because.mibPerS)} MB a second)`;
    case 'swap-growth':
      return `its swap has grown by ${Math.ceil(because.mib)} MB`;
  }
}

const UNPROVABLE = 'nothing can be proven of its memory here';

const keptUnseen = ({ peakMib, mib }: Because<'kept-unseen'>): string =>
  `it used up to ${Math.round(peakMib)} MB in the day that was seen, ` +
  `and with a quarter more it keeps ${mib} MB, since ${UNPROVABLE}`;

/** Whatever is set would come to nothing. */
function noUse(because: Because<'cpulimit' | 'narrowed' | 'pinned' | 'no-controller'>): string {
  if (because.kind === 'cpulimit') {
    const limit = withUnit('cores', because.cpuLimit);
    return `its cpulimit of ${limit} holds it back, so more cores would not help`;
  }
  if (because.kind === 'no-controller') return NO_CONTROLLER[because.controller];
  if (because.kind === 'narrowed') {
    const rest = 'the others are offline, or a cgroup above does not have them';
    const can = `it can use only ${because.usable} of its ${because.has} CPUs (${rest})`;
    return `it needs more, but ${can}; more cores would not help`;
  }
  const { pin, unit } = because;
  const what = pin.what === 'memory' ? 'memory' : 'CPU';
  const offer = pin.what === 'cpuset' && unit === 'cores' ? `; ${CPULIMIT_WORKS}` : '';
  return `its configuration has the line ${quoted(pin.line)}, so its ${what} is not scaled${offer}`;
}

const NO_CONTROLLER: Readonly<Record<Controller, string>> = {
  memory: 'this kernel does not account memory for containers, so it cannot be scaled',
  cpuset: 'this kernel has no cpusets for containers, so cores cannot take effect',
  cpu: 'this kernel limits no CPU time of containers, so a cpulimit cannot take effect',
};

function boostedUntil(back: string, leftMs: number): string {
  if (leftMs <= 0) return `its boost is over, but it needs more than ${back} now`;
  return `it is boosted, and goes back to ${back} in ${seconds(leftMs)}`;
}

function flapping(flaps: number, leftMs: number): string {
  const again = 'what was taken back was needed again within an hour';
  const often = flaps === 1 ? '' : `, ${flaps} times in a row`;
  return `${again}${often}; nothing is taken back for ${Math.ceil(leftMs / 60_000)} minutes`;
}

function notSaturated(samples: number, of: number): string {
  if (samples === 0) return 'it is not saturated, so nothing changes';
  const inRow = samples === 1 ? '1 sample' : `${samples} samples`;
  return `it was saturated in the last ${inRow}, and a boost takes ${of} in a row`;
}

type HostReason = Extract<HoldReason, { readonly kind: `host-${string}` | 'overcommit' }>;

/** What the host has no room for; completes "it should get ...". */
function hostWords(because: HostReason): string {
  switch (because.kind) {
    case 'host-memory':
      return `${because.wanted} MB more, but the host can spare ${because.budget} MB`;
    case 'host-cores': {
      const most = withUnit('cores', because.ceiling);
      return `more, but the host's reserve allows a container at most ${most}`;
    }
    case 'host-busy':
      return `more, but the host's CPUs are ${percent(because.share)} busy`;
    case 'host-emergency':
      return `more, but ${percent(because.share)} of the host's memory is in use`;
    case 'host-full':
      return `more, but ${percent(because.share)} of the host's memory is in use, which is enough`;
    case 'host-pressure':
      return `more, but the host's own tasks wait for memory ${percent(because.share)} of the time`;
    case 'overcommit': {
      const room = Math.max(0, Math.floor(because.room));
      const may = `the limits of all guests together may grow by no more than ${room} MB`;
      return `${because.wanted} MB more, but ${may}`;
    }
  }
}

/** Mode `adaptive`: what is weighed against what an allocation costs. */
function forecastWords(resource: Resource, measured: Measured | undefined): string {
  const { forecast, before } = measured ?? {};
  if (forecast === undefined || before === undefined) return 'by what was learnt of it';
  const { target, riskNow, riskThen, hoursLearnt, peakOfDay, repeats } = forecast;
  if (repeats !== undefined) return repeatsWords(repeats, peakOfDay);
  const span = hoursLearnt < 48 ? `${Math.max(1, Math.round(hoursLearnt))} h` : 'days';
  const peak = resource === 'memory' ? Math.round(peakOfDay) : peakOfDay;
  const above = (value: number): string => `more than ${withUnit(resource, value)}`;
  const risk = `${above(before)} is wanted within 5 minutes with ${odds(riskNow)}`;
  const other = target === before ? '' : `, ${above(target)} with ${odds(riskThen)}`;
  return `up to ${withUnit(resource, peak)} in the last day; by ${span} of it ${risk}${other}`;
}

function repeatsWords({ periodMs, now }: Repeats, peakOfDay: number): string {
  const hours = Math.round(periodMs / 3_600_000);
  const every = hours === 1 ? 'hour' : `${hours} hours`;
  const upTo = (cores: number): string => `up to ${withUnit('cores', cores)}`;
  const times = `${upTo(now)} at this time, ${upTo(peakOfDay)} in the last day`;
  return `its demand repeats every ${every}: ${times}`;
}

const odds = (risk: number): string =>
  risk < 0.0001 ? 'less than 0.01 %' : `${Number((risk * 100).toPrecision(2))} %`;

const seconds = (ms: number): string => `${Math.ceil(ms / 1000)} s`;

function unprovenLately(attempts: number, retryInMs: number): string {
  const tried = attempts === 1 ? 'the last try' : `the last ${attempts} tries`;
  const next = `next try in ${Math.ceil(retryInMs / 1000)} s`;
  return `${tried} to take memory back did not show that it can do without; ${next}`;
}

/** Why memory is not taken away, with the numbers of the attempt. */
export function explainUnproven(because: Unproven): string {
  switch (because.kind) {
    case 'need-grew': {
      const { needMib, limitMib } = because;
      return `it needs ${Math.ceil(needMib)} MB now, so ${limitMib} MB would be too little`;
    }
    case 'beyond-cache': {
      const cache = Math.floor(because.cacheMib);
      const says = `only ${cache} MB of it can be reclaimed (file cache and slab)`;
      return `${says}; ${inUse(because.numbers)}`;
    }
    case 'still-in-use':
      return `${given(because.numbers)}; ${inUse(because.numbers)}`;
    case 'swapped': {
      const swapped = Math.ceil(because.swappedMib);
      const asked = because.numbers.askedMib > 0 ? `${given(because.numbers)}, and ` : '';
      return `${asked}${swapped} MB were swapped out meanwhile`;
    }
    case 'oom-kill':
      return `${given(because.numbers)}, and it ended a process in it (out of memory)`;
    case 'refused':
      return `the kernel could not be asked to give memory up: ${because.message}`;
    case 'cannot-ask':
      return `this kernel cannot show that ${because.limitMib} MB are enough`;
    case 'cannot-hold': {
      const why = `its growth cannot be limited meanwhile: ${because.message}`;
      return `so large a step to ${because.limitMib} MB is not safe, since ${why}`;
    }
    case 'module-kept':
      return `its guest keeps the module beyond ${because.limitMib} MB: ${because.message}`;
    case 'pushed': {
      const { currentMib, wantedMib } = because.numbers;
      const use = `${Math.round(currentMib)} MB where it was held at ${Math.round(wantedMib)} MB`;
      return `it began to need more while its limit was to be lowered: ${use}`;
    }
  }
}

const given = ({ askedMib, gotMib }: ProofNumbers): string =>
  `the kernel was asked to give up ${Math.round(askedMib)} MB and gave up ${Math.round(gotMib)} MB`;

const inUse = ({ currentMib, wantedMib }: ProofNumbers): string =>
  `${Math.round(currentMib)} MB are in use where at most ${Math.round(wantedMib)} MB may be`;

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

function thresholds(measured: Measured | undefined): string {
  if (measured === undefined) return 'between the thresholds';
  const { lower, upper } = measured.band;
  return `between the thresholds of ${percent(lower)} and ${percent(upper)}`;
}

function notInForce(resource: Resource, { configured, live, quota }: NotInForce): string {
  const shown = (value: number | null): string =>
    value === null ? 'no limit' : withUnit(resource, value);
  const verb = live === null || shown(live) === '1 core' ? 'is' : 'are';
  const of = quota === undefined ? '' : ' as its cpulimit';
  const says = `its configuration says ${shown(configured)}${of}`;
  const differ = `${says}, but ${shown(live)} ${verb} active`;
  if (quota === 'cores') {
    const remedy = 'set another cpulimit and then the wanted one, or restart it, to put it right';
    return `${differ}; ${remedy}`;
  }
  const isPutRight = resource === 'memory' || quota !== undefined;
  return `${differ}; ${isPutRight ? 'it is put right if it stays so' : 'waiting until they agree'}`;
}
