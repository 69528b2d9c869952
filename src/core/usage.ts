import { isSlowedByGuard } from './memory-guard.ts';
import type {
  CgroupSample,
  CpuCounters,
  CpuUsage,
  GuestConfig,
  MemoryCounters,
  MemoryUsage,
  OtherKills,
  OwnEvents,
  Pressure,
} from './observation.ts';
import { hasOwnCpuset } from './pins.ts';
import { missing, present, type Reading } from './reading.ts';
import {
  type Bytes,
  bytes,
  bytesToMib,
  type Cores,
  cores,
  milliseconds,
  type Ratio,
  ratio,
} from './units.ts';

/** From counters to rates, and from memory statistics to the working set. */

const FROZEN_MEANWHILE = 'it was frozen since the last sample, so it could do nothing';

/** Two samples closer than this say more about the clock than about the container. */
export const MIN_ELAPSED_MS = 200;
/** Accounting may run ahead of the clock by a tick; more than this is no rate of this host. */
const PLAUSIBLE_EXCESS = 1.1;

/** The CPUs of a cpuset: those that it names, and those of them that can really be used. */
export type Cpuset = Pick<CpuCounters, 'cpusetCpus' | 'effectiveCpus'>;

/** The most CPUs that a container's cpuset lets it use; those of the host where it says nothing. */
export const usableCpus = ({ cpusetCpus, effectiveCpus }: Cpuset, hostCpus: number): number =>
  Math.min(effectiveCpus ?? cpusetCpus ?? hostCpus, hostCpus);

/**
 * The most CPU that a container can use now: its cores, the CPUs that the kernel really gives it
 * (fewer while a change of cores is under way, or where CPUs are offline), its cpulimit, and the
 * host. Under a cpuset line of its own `cores` says nothing.
 */
export function allowedCores(config: GuestConfig, cpuset: Cpuset, hostCpus: number): Cores {
  const configured = hasOwnCpuset(config) ? hostCpus : (config.cores ?? hostCpus);
  const limit = config.cpuLimit ?? hostCpus;
  return cores(Math.min(configured, limit, usableCpus(cpuset, hostCpus)));
}

export const isFrozen = ({ life }: CgroupSample): boolean => life.ok && life.value.frozen;

/**
 * CPU used between two samples of the same life of a container, in cores.
 * Missing in its first sample, after a restart, and when the counters cannot be true.
 */
export function cpuUsage(
  before: CgroupSample | undefined,
  now: CgroupSample,
  config: GuestConfig,
  hostCpus: Reading<number>,
): Reading<CpuUsage> {
  if (!now.cpu.ok) return now.cpu;
  if (!hostCpus.ok) return hostCpus;
  if (before === undefined) return missing('first-sample', 'no earlier sample to compare with');
  if (before.identity !== now.identity) {
    return missing('first-sample', 'the container was restarted since the last sample');
  }
  if (!before.cpu.ok) return missing('first-sample', 'the sample before could not be read');
  const elapsedMs = milliseconds(now.atMs - before.atMs);
  if (elapsedMs < MIN_ELAPSED_MS) {
    return missing('implausible', `only ${Math.round(elapsedMs)} ms since the last sample`);
  }
  if (isFrozen(before) || isFrozen(now)) return missing('frozen', FROZEN_MEANWHILE);
  const pressure = pressureShare(before.cpuPressure, now.cpuPressure, elapsedMs);
  const counters = {
    before: { cpu: before.cpu.value },
    now: { cpu: now.cpu.value, pressure },
  };
  return rate(counters, elapsedMs, config, hostCpus.value);
}

interface Counters {
  readonly before: { readonly cpu: CpuCounters };
  readonly now: { readonly cpu: CpuCounters; readonly pressure: Ratio | undefined };
}

function rate(
  { before, now }: Counters,
  elapsedMs: number,
  config: GuestConfig,
  hostCpus: number,
): Reading<CpuUsage> {
  const usedUs = now.cpu.usageUs - before.cpu.usageUs;
  const throttledUs = now.cpu.throttledUs - before.cpu.throttledUs;
  if (usedUs < 0 || throttledUs < 0) {
    const backUs = -Math.min(usedUs, throttledUs);
    return missing('counter-reset', `cpu.stat went back by ${backUs} us`);
  }
  const measured = usedUs / 1000 / elapsedMs;
  if (measured > hostCpus * PLAUSIBLE_EXCESS) {
    return missing(
      'implausible',
      `${measured.toFixed(2)} cores used on a host of ${hostCpus} CPUs`,
    );
  }
  const allowed = allowedCores(config, now.cpu, hostCpus);
  const used = cores(withoutJitter(measured, allowed));
  const throttledCores = throttledUs / 1000 / elapsedMs;
  return present({
    used,
    demand: cpuDemand({ used, allowed, throttledCores, pressure: now.pressure ?? 0 }),
    pressure: now.pressure,
    allowed,
    overMs: milliseconds(elapsedMs),
    throttled: ratio(Math.min(1, throttledCores)),
  });
}

/** From this share of what is allowed on, waiting for a CPU says that the limit is too low. */
const CAPPED_SHARE = 0.9;
/** An estimate beyond this multiple of what is allowed is a guess. */
const MOST_DEMAND = 2;

interface CpuSigns {
  readonly used: number;
  readonly allowed: number;
  /** Cores that stood still for a cpulimit, on average. */
  readonly throttledCores: number;
  /** Share of the time in which a task waited for a CPU. */
  readonly pressure: number;
}

/**
 * What would be used if the limit did not hold it back, in cores. What is throttled is wanted.
 * Where the usage is capped by the cpuset, a task that waits all the time is worth one more core;
 * below that it waits for the host, which no limit of ours changes.
 */
export function cpuDemand({ used, allowed, throttledCores, pressure }: CpuSigns): Cores {
  const capped = used >= allowed * CAPPED_SHARE;
  const waiting = Math.max(throttledCores, capped ? pressure : 0);
  return cores(Math.min(used + waiting, Math.max(used, allowed * MOST_DEMAND)));
}

/** Share of the elapsed time in which some task stood still; undefined if it is not known. */
function pressureShare(
  before: Reading<Pressure> | undefined,
  now: Reading<Pressure>,
  elapsedMs: number,
): Ratio | undefined {
  if (before?.ok !== true || !now.ok || elapsedMs <= 0) return undefined;
  const stalledUs = now.value.someTotalUs - before.value.someTotalUs;
  return stalledUs < 0 ? undefined : ratio(Math.min(1, stalledUs / 1000 / elapsedMs));
}

/**
 * Memory in use, in MiB. The working set is `memory.current` less the reclaimable file cache
 * (`active_file` + `inactive_file`) and slab (`slab_reclaimable`); tmpfs and shared memory are not
 * in those and stay in.
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst, memory.stat.
 *
 * @param before rates are since then
 * @param counted kills and limits met are since then
 * @param guardMib where `memory.high` is held by this program, if it is
 */
export function memoryUsage(
  before: CgroupSample | undefined,
  now: CgroupSample,
  counted: CgroupSample | undefined = before,
  guardMib?: number,
): Reading<MemoryUsage> {
  if (!now.memory.ok) return now.memory;
  const counters = now.memory.value;
  const same = before?.identity === now.identity ? before : undefined;
  const earlier = same?.memory.ok ? same.memory.value : undefined;
  // Over a time in which it was frozen there are no rates.
  const isRate = same !== undefined && !isFrozen(same) && !isFrozen(now);
  const elapsedMs = isRate ? now.atMs - same.atMs : 0;
  const cache = reclaimableBytes(counters);
  if (cache > counters.currentBytes && !isRace(counters, cache)) {
    return missing(
      'implausible',
      `cache of ${cache} bytes in a memory.current of ${counters.currentBytes}`,
    );
  }
  const workingSet = workingSetBytes(counters);
  const isCounted = counted?.identity === now.identity && counted.memory.ok;
  const limit = ownLimit(isCounted ? counted.memory.value : undefined, counters);
  const workingSetMib = bytesToMib(bytes(workingSet));
  const pressure = pressureShare(same?.memoryPressure, now.memoryPressure, elapsedMs);
  const slowed = isSlowedByGuard({ workingSetMib, pressure }, limit.highHits, guardMib);
  return present({
    workingSetMib,
    currentMib: bytesToMib(counters.currentBytes),
    activeFileMib: bytesToMib(counters.activeFileBytes),
    cacheMib: bytesToMib(bytes(cache)),
    slabMib: bytesToMib(counters.slabReclaimableBytes),
    lockedMib: bytesToMib(bytes(lockedBytes(counters))),
    swapMib: bytesToMib(counters.swapBytes),
    limitMib: counters.limitBytes === undefined ? undefined : bytesToMib(counters.limitBytes),
    newOomKills: limit.kills,
    newOtherKills: limit.others,
    newLimitHits: limit.hits,
    nearLimit: limit.near,
    refaultMibPerS: refaultRate(earlier?.refaults, counters.refaults, elapsedMs),
    swapGrowthMib: bytesToMib(bytes(risen(earlier?.swapBytes, counters.swapBytes))),
    pressure,
    ...(slowed && { slowedByGuard: true }),
    ...(counters.countsCache && { countsCache: true }),
  });
}

/** From this share of its limit on a container is held back by it, or about to be. */
export const NEAR_SHARE = 0.9;
const NO_OTHERS: OtherKills = { nested: 0, byHost: 0 };

/** What the counters say of a container's own limit since the sample before. */
export interface OwnLimit {
  readonly near: boolean;
  readonly hits: number;
  /** Times that it met `memory.high`. */
  readonly highHits: number;
  readonly kills: number;
  readonly others: OtherKills;
}

/**
 * The counters hold what happens in all cgroups inside of the container. Of its own limit speak
 * `memory.events.local` alone, and without that file only a usage that was close to the limit.
 * A kill counts where its victim was, so that of a kill for the container's own limit its `oom` is
 * all that is local. The host's OOM killer counts no `oom` anywhere.
 *
 * | kills | oom (all) | oom (own) | usage    | is a kill           |
 * | ----- | --------- | --------- | -------- | ------------------- |
 * | +1    | +1        | +1        | any      | for its own limit   |
 * | +1    | +1        | 0         | any      | for a limit inside  |
 * | +1    | 0         | 0         | any      | by the host         |
 * | +1    | +1        | not known | at limit | for its own limit   |
 * | +1    | +1        | not known | below    | for a limit inside  |
 */
export function ownLimit(before: MemoryCounters | undefined, now: MemoryCounters): OwnLimit {
  const isClose = isCloseToLimit(now) || (before !== undefined && isCloseToLimit(before));
  const own = ownEvents(before, now, isClose);
  const near = isClose || own.highHits + own.limitHits + own.ooms > 0;
  const kills = risen(before?.oomKills, now.oomKills);
  const { limitHits: hits, highHits } = own;
  if (kills === 0 || own.ooms > 0) return { near, hits, highHits, kills, others: NO_OTHERS };
  const ooms = now.ooms === undefined ? kills : risen(before?.ooms, now.ooms);
  const others = ooms > 0 ? { nested: kills, byHost: 0 } : { nested: 0, byHost: kills };
  return { near, hits, highHits, kills: 0, others };
}

/** By how much the events of its own limit have risen. */
function ownEvents(
  before: MemoryCounters | undefined,
  now: MemoryCounters,
  isClose: boolean,
): OwnEvents & { readonly limitHits: number } {
  const { own } = now;
  if (own !== undefined) {
    return {
      highHits: risen(before?.own?.highHits, own.highHits),
      limitHits: risen(before?.own?.limitHits, own.limitHits ?? 0),
      ooms: risen(before?.own?.ooms, own.ooms),
    };
  }
  if (!isClose) return { highHits: 0, limitHits: 0, ooms: 0 };
  const ooms = now.ooms ?? now.oomKills;
  return {
    highHits: 0,
    limitHits: risen(before?.limitHits, now.limitHits),
    ooms: risen(before?.ooms ?? before?.oomKills, ooms),
  };
}

/** What is in use and cannot be taken back; see `memoryUsage`. */
export const workingSetBytes = (counters: MemoryCounters): Bytes =>
  bytes(Math.max(counters.currentBytes - reclaimableBytes(counters), unreclaimable(counters)));

const isCloseToLimit = ({ currentBytes, limitBytes }: MemoryCounters): boolean =>
  limitBytes !== undefined && currentBytes >= limitBytes * NEAR_SHARE;

/** What the kernel can take back without writing anything out, as far as the counters tell. */
export const reclaimableBytes = (counters: MemoryCounters): Bytes =>
  bytes(counters.activeFileBytes + counters.inactiveFileBytes + counters.slabReclaimableBytes);

/**
 * A saturated container seems to use a little more than it may, since clock and counter are not
 * read at one instant; taken at its word that would round up to a core too many.
 */
function withoutJitter(used: number, allowed: number): number {
  return used > allowed && used <= allowed * PLAUSIBLE_EXCESS ? allowed : used;
}

/** memory.current and memory.stat are read one after the other, so they may differ a little. */
function isRace(counters: MemoryCounters, cacheBytes: number): boolean {
  return cacheBytes - counters.currentBytes <= cacheBytes / 10;
}

/** What no reclaim can take away: the working set is never less than this. */
function unreclaimable(counters: MemoryCounters): number {
  return (
    Math.max(counters.anonBytes + counters.shmemBytes, counters.unevictableBytes) +
    counters.slabUnreclaimableBytes
  );
}

const lockedBytes = (counters: MemoryCounters): number =>
  counters.unevictableBytes + counters.slabUnreclaimableBytes;

const PAGES_PER_MIB = 256;

/** Two samples closer than a second make no rate. */
function refaultRate(before: number | undefined, now: number, elapsedMs: number): number {
  if (elapsedMs < 1000) return 0;
  return risen(before, now) / PAGES_PER_MIB / (elapsedMs / 1000);
}

function risen(before: number | undefined, now: number): number {
  return before === undefined ? 0 : Math.max(0, now - before);
}
