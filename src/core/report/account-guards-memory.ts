import { lacksProof, lacksWorkingSet } from '../capabilities.ts';
import { type DaySeen, lackWords, leastUnseen, peakOfSeen } from '../day-seen.ts';
import { NO_GUARD, whyNoGuard } from '../memory-guard.ts';
import type { ContainerObservation, GuestConfig, MemoryUsage } from '../observation.ts';
import { memoryPin } from '../pins.ts';
import { plainText } from '../plain-text.ts';
import type { ContainerPolicy } from '../policy.ts';
import { whyShort } from '../shortage.ts';
import { rawLineGuard } from './account-guards-cores.ts';
import { type Guard, guard, percent, percentOf, secondsOf, short } from './fact.ts';
import { type Course, isDryRun, type ReportInput } from './report-input.ts';

/** What may keep memory from being changed, besides what holds for CPU too. */
export function memoryGuards(
  container: ContainerObservation,
  course: Course,
  policy: ContainerPolicy,
  input: ReportInput,
): readonly Guard[] {
  const { state } = container;
  const seen =
    state.kind === 'running' && state.usage.memory.ok ? state.usage.memory.value : undefined;
  const pin = container.config.ok ? memoryPin(container.config.value) : undefined;
  return [
    ...rawLineGuard(container, pin),
    ...graceGuards(container, policy, input),
    ...(seen === undefined ? [] : distressGuards(seen)),
    proofGuard(container, policy, input),
    ...(policy.memory.guard === true ? [standingGuard(container, input)] : []),
    budgetGuard(course, input),
    hostGuard(input),
  ];
}

function graceGuards(
  { vmid }: ContainerObservation,
  { timing }: ContainerPolicy,
  { state, nowMs }: ReportInput,
): readonly Guard[] {
  const ofSeconds = timing.startGraceMs / 1000;
  const one = (what: string, atMs: number | undefined): Guard => {
    if (atMs === undefined) return guard(what, false, 'not seen', { ofSeconds });
    const agoSeconds = Math.floor((nowMs - atMs) / 1000);
    const leftMs = atMs + timing.startGraceMs - nowMs;
    const left = leftMs > 0 ? `; no shrinking for ${secondsOf(leftMs)} s` : '';
    return guard(what, leftMs > 0, `${agoSeconds} s ago${left}`, { agoSeconds, ofSeconds });
  };
  return [
    one('start', state.guests.get(vmid)?.life.startedMs),
    one('OOM kill', state.guests.get(vmid)?.life.oomKillMs),
    one('wait for memory', state.guests.get(vmid)?.life.heldBackMs),
  ];
}

/** Signs that memory is short, however little of it seems in use; these bar shrinking only. */
function distressGuards(seen: MemoryUsage): readonly Guard[] {
  const { newLimitHits, refaultMibPerS, swapGrowthMib, pressure } = seen;
  const because = whyShort(seen)?.kind;
  const waits = pressure === undefined ? 'not known' : `${percent(pressure)} of the time`;
  return [
    guard('limit hits', newLimitHits > 0, `${newLimitHits}`, { hits: newLimitHits }),
    guard('memory pressure', because === 'memory-pressure', waits, {
      percent: pressure === undefined ? null : percentOf(pressure),
    }),
    guard('refaults', because === 'refaults', `${short(refaultMibPerS)} MB a second`, {
      refaultMibPerS: short(refaultMibPerS),
    }),
    guard('swap growth', because === 'swap-growth', `${short(swapGrowthMib)} MB`, {
      swapGrowthMib: short(swapGrowthMib),
    }),
  ];
}

/** Every shrink is proven first; one that could not be is not tried again soon. */
function proofGuard(
  { vmid, config }: ContainerObservation,
  policy: ContainerPolicy,
  { state, nowMs }: ReportInput,
): Guard {
  if (lacksWorkingSet(state)) {
    const guest = config.ok ? config.value : {};
    return dayGuard(state.guests.get(vmid)?.day, policy, guest);
  }
  if (lacksProof(state)) {
    const says = 'this kernel cannot be asked (memory.reclaim), so steps are small';
    return guard('test shrink', false, says, { supported: false });
  }
  const retry = state.guests.get(vmid)?.life.shrinkRetry;
  if (retry === undefined) return guard('test shrink', false, 'no try has failed', { attempts: 0 });
  const leftMs = retry.retryAtMs - nowMs;
  const next = leftMs > 0 ? `next try in ${secondsOf(leftMs)} s` : 'it may be tried again';
  const tries = retry.count === 1 ? 'one try has failed' : `${retry.count} tries have failed`;
  return guard('test shrink', leftMs > 0, `${tries}; ${next}`, {
    attempts: retry.count,
    leftSeconds: Math.max(0, secondsOf(leftMs)),
  });
}

/** Where `memory.high` is held by `memory_guard`: it keeps nothing from being changed. */
function standingGuard(container: ContainerObservation, input: ReportInput): Guard {
  const what = 'memory guard';
  const { atMib, limitMib, problem } = input.state.guests.get(container.vmid)?.life.guard ?? {};
  const failed = problem === undefined ? '' : `; ${plainText(problem, 200)}`;
  if (atMib === undefined) {
    return guard(what, false, `none: ${noGuardWords(container, input)}${failed}`, { mib: null });
  }
  const below = limitMib === undefined ? '' : ` of ${short(limitMib)} MB`;
  const says = `memory.high is ${short(atMib)} MB, below the limit${below}${failed}`;
  return guard(what, false, says, { mib: short(atMib) });
}

function noGuardWords({ vmid, config }: ContainerObservation, input: ReportInput): string {
  const { state, manage, from } = input;
  if (lacksWorkingSet(state)) return NO_GUARD;
  const why = config.ok ? whyNoGuard(config.value, manage(config.value)) : config.detail;
  if (why !== undefined) return plainText(why, 200);
  if (isDryRun(input)) return 'nothing is changed in a dry run';
  if (from === 'now') return 'the daemon sets it, and it is not running';
  const known = state.guests.get(vmid)?.life.guard;
  if (known === undefined) return 'not set yet';
  return known.problem === undefined ? 'too much is in use below the limit' : 'it was not set';
}

/** Where nothing can be proven, a day that was seen stands in for it, if that is allowed. */
function dayGuard(
  day: DaySeen | undefined,
  { memory }: ContainerPolicy,
  guest: Pick<GuestConfig, 'reaches'>,
): Guard {
  const lack = lackWords(memory.unproven === true, day, guest);
  if (lack !== undefined) return guard('test shrink', true, lack, { supported: false });
  const peakMib = day === undefined ? 0 : peakOfSeen(day);
  const leastMib = leastUnseen(peakMib);
  const used = `it used ${Math.round(peakMib)} MB at most in the day that was seen`;
  const says = `nothing can be proven here; ${used}, so it keeps ${leastMib} MB`;
  return guard('test shrink', false, says, { supported: false, leastMib });
}

function budgetGuard({ decided, planned }: Course, { available }: ReportInput): Guard {
  const { memoryMib } = available;
  if (!memoryMib.ok) return guard('host budget', true, `not known: ${plainText(memoryMib.detail)}`);
  const wanted = decided?.verdict === 'grow' ? decided.after - decided.measured.before : 0;
  const kind = planned?.verdict === 'hold' ? planned.because.kind : undefined;
  const refused = kind === 'host-memory' || kind === 'overcommit';
  const asks = wanted > 0 ? `, it asks for ${short(wanted)} MB` : '';
  const by = available.memoryBound === 'overcommit' ? ' under the ceiling of all limits' : '';
  const says = `${memoryMib.value} MB could be handed out in the cycle${by}${asks}`;
  return guard('host budget', refused, says, { budgetMib: memoryMib.value, wantedMib: wanted });
}

function hostGuard({ available }: ReportInput): Guard {
  const refused = available.memoryRefused;
  if (refused === undefined) return guard('host short of memory', false, 'no');
  const says = `${refused.kind.replaceAll('-', ' ')}: no memory is handed out`;
  const numbers = 'share' in refused ? { percent: percentOf(refused.share) } : undefined;
  return guard('host short of memory', true, says, numbers);
}
