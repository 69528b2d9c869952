import { LEVERS } from '../allocation.ts';
import { connectionWords } from '../connection.ts';
import { COUNTS_CACHE, stateWords, TELLS_NEED, withUnit } from '../explain.ts';
import type {
  ContainerObservation,
  ContainerUsage,
  CpuUsage,
  GuestConfig,
  HostMemory,
  MemoryUsage,
} from '../observation.ts';
import { plainText } from '../plain-text.ts';
import type { Missing } from '../reading.ts';
import { type Fact, fact, type Numbers, percent, percentOf, secondsOf, short } from './fact.ts';
import type { ReportInput } from './report-input.ts';

/** What the cycle saw: each number, or why there is none. */
export function seenFacts(container: ContainerObservation, input: ReportInput): readonly Fact[] {
  const { config, state } = container;
  const own = config.ok ? configFacts(config.value) : [unknown('configuration', config)];
  const facts = [...nodeFacts(input), ...own];
  if (state.kind === 'stopped' || state.kind === 'frozen') {
    return [...facts, fact('state', stateWords(state, container.kind))];
  }
  if (state.kind === 'unknown') return [...facts, unknown('state', state.reason)];
  return [...facts, ...cpuFacts(state.usage), ...memoryFacts(state.usage), ...hostFacts(input)];
}

function nodeFacts({ state }: ReportInput): readonly Fact[] {
  const { connection } = state;
  if (connection === undefined) return [];
  const { by, why } = connection;
  const numbers = { by, ...(why !== undefined && { why: plainText(why) }) };
  return [fact('node', `reached ${plainText(connectionWords(connection))}`, numbers)];
}

const unknown = (what: string, { why, detail }: Missing): Fact =>
  fact(what, `not known: ${plainText(detail)}`, { missing: why });

function configFacts(config: GuestConfig): readonly Fact[] {
  const { cores, cpuLimit, memoryMib, swapMib, pins } = config;
  const has = cores === null ? 'all cores of the host' : withUnit('cores', cores);
  const limit = cpuLimit === null ? '' : `, a cpulimit of ${short(cpuLimit)}`;
  const says = `${has}${limit}, ${memoryMib} MB of memory, ${swapMib} MB of swap`;
  return [
    fact('configuration', says, { cores, cpuLimit, memoryMib, swapMib }),
    ...reachFacts(config),
    ...pins.map(({ line }) => fact('raw line', plainText(line), { line: plainText(line) })),
  ];
}

/** Which levers of a machine can be moved while it runs, and how far. */
function reachFacts({ reaches }: GuestConfig): readonly Fact[] {
  if (reaches === undefined) return [];
  const names = { cores: 'vcpus', cpuLimit: 'cpulimit', memoryMib: 'memory' } as const;
  return LEVERS.map((lever) => {
    const reach = reaches[lever];
    if (reach.kind === 'fixed') return fact(names[lever], `fixed: ${reach.why}`, { live: false });
    const { min, max, oneWay } = reach;
    const way = oneWay === undefined ? '' : ', upwards only';
    return fact(names[lever], `live, from ${min} to ${max}${way}`, { live: true, min, max });
  });
}

function cpuFacts({ cpu, cpusetCpus, effectiveCpus }: ContainerUsage): readonly Fact[] {
  const inForce = cpusetCpus === undefined ? 'not known' : `${cpusetCpus}`;
  const fewer = effectiveCpus !== undefined && effectiveCpus !== cpusetCpus;
  const says = fewer ? `${inForce}, of which it can use ${effectiveCpus}` : inForce;
  const cpuset = fact('active CPUs', says, {
    cpus: cpusetCpus ?? null,
    usableCpus: effectiveCpus ?? null,
  });
  if (!cpu.ok) return [unknown('CPU', cpu), cpuset];
  const { used, allowed, overMs, demand, throttled, pressure } = cpu.value;
  const numbers: Numbers = {
    usedCores: short(used),
    allowedCores: short(allowed),
    percent: percentOf(used / allowed),
    overSeconds: secondsOf(overMs),
  };
  const over = `over ${secondsOf(overMs)} s`;
  const of = `${short(used)} of ${withUnit('cores', short(allowed))}`;
  return [
    fact('CPU', `${of} (${percent(used / allowed)}) ${over}`, numbers),
    fact('CPU wanted', wantedWords(cpu.value), { demandCores: short(demand) }),
    fact('throttled', `${percent(throttled)} of the time`, { percent: percentOf(throttled) }),
    pressureFact('CPU pressure', 'a CPU', pressure),
    cpuset,
  ];
}

const wantedWords = ({ demand, used }: CpuUsage): string =>
  demand > used
    ? `${withUnit('cores', short(demand))}, if nothing held it back`
    : 'nothing holds it back';

function memoryFacts({ memory }: ContainerUsage): readonly Fact[] {
  if (!memory.ok) return [unknown('memory', memory)];
  const seen = memory.value;
  const { workingSetMib, limitMib, currentMib, cacheMib, slabMib, activeFileMib, swapMib } = seen;
  const limit = limitMib === undefined ? 'without a limit' : `of ${short(limitMib)} MB`;
  const share = limitMib === undefined ? '' : ` (${percent(workingSetMib / limitMib)})`;
  const files = `${Math.round(cacheMib - slabMib)} MB of it file cache`;
  const active = `${Math.round(activeFileMib)} MB used more than once`;
  const slab = `${Math.round(slabMib)} MB slab that can be reclaimed`;
  return [
    fact('memory', `${Math.round(workingSetMib)} MB in use ${limit}${share}`, {
      usedMib: short(workingSetMib),
      limitMib: limitMib ?? null,
    }),
    ...(seen.countsCache ? [COUNTED_BY_PVESTATD] : []),
    fact('memory.current', `${Math.round(currentMib)} MB in all, ${files} (${active}), ${slab}`, {
      currentMib: short(currentMib),
      cacheMib: short(cacheMib),
      activeFileMib: short(activeFileMib),
      slabMib: short(slabMib),
    }),
    fact('swap', `${short(swapMib)} MB`, { swapMib: short(swapMib) }),
    ...distressFacts(seen),
  ];
}

const COUNTED_BY_PVESTATD = fact('memory figure', `${COUNTS_CACHE}. ${TELLS_NEED}`, {
  countsCache: true,
});

/** What shows that memory is short, however little of it seems in use. */
function distressFacts(seen: MemoryUsage): readonly Fact[] {
  const { lockedMib, newOomKills, newLimitHits, refaultMibPerS, swapGrowthMib, pressure } = seen;
  const { nested, byHost } = seen.newOtherKills;
  const others = [
    ...(nested > 0 ? [`${nested} kills for a limit inside of it`] : []),
    ...(byHost > 0 ? [`${byHost} kills by the host, which was out of memory`] : []),
  ];
  const own = `${newOomKills} OOM kills and ${newLimitHits} limit hits`;
  const events = [`${own} since the previous sample`, ...others].join('; ');
  return [
    fact('locked', `${short(lockedMib)} MB can be neither reclaimed nor swapped out`, {
      lockedMib: short(lockedMib),
    }),
    fact('memory events', events, {
      oomKills: newOomKills,
      limitHits: newLimitHits,
      nestedKills: nested,
      killsByHost: byHost,
    }),
    fact('refaults', `${short(refaultMibPerS)} MB a second`, {
      refaultMibPerS: short(refaultMibPerS),
    }),
    fact('swap growth', `${short(swapGrowthMib)} MB`, { swapGrowthMib: short(swapGrowthMib) }),
    pressureFact('memory pressure', 'memory', pressure),
  ];
}

function pressureFact(what: string, waits: string, share: number | undefined): Fact {
  if (share === undefined) {
    const why =
      'not known: this is its first sample, or the kernel keeps no pressure account (psi=1)';
    return fact(what, why, { percent: null });
  }
  const says = `tasks waited for ${waits} in ${percent(share)} of the time`;
  return fact(what, says, { percent: percentOf(share) });
}

function hostFacts({ host, state }: ReportInput): readonly Fact[] {
  const busy = state.hostCpu?.busy;
  const cpus = host.cpus.ok ? `${host.cpus.value} CPUs` : plainText(host.cpus.detail);
  const load = busy === undefined ? 'how busy is not known yet' : `${percent(busy)} busy`;
  const free = host.memory.ok ? freeWords(host.memory.value) : plainText(host.memory.detail);
  return [
    fact('host', `${cpus}, ${load}; ${free}`, {
      cpus: host.cpus.ok ? host.cpus.value : null,
      busyPercent: busy === undefined ? null : percentOf(busy),
      availableMib: host.memory.ok ? Math.round(host.memory.value.availableMib) : null,
    }),
  ];
}

const freeWords = ({ availableMib, totalMib }: HostMemory): string =>
  `${Math.round(availableMib)} of ${Math.round(totalMib)} MB available`;
