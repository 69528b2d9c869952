import type { Resource } from '../allocation.ts';
import { averaged, type UseSample } from '../cooldown.ts';
import type { Measured } from '../decision.ts';
import { withUnit } from '../explain.ts';
import type { ContainerObservation } from '../observation.ts';
import type { ContainerPolicy } from '../policy.ts';
import { type Fact, fact, percent, percentOf, short } from './fact.ts';
import type { Course, ReportInput } from './report-input.ts';

/** What a decision was weighed by: averages and peaks, the need, and the thresholds. */
export function weighedFacts(
  { vmid, state }: ContainerObservation,
  resource: Resource,
  course: Course,
  { timing }: ContainerPolicy,
  input: ReportInput,
): readonly Fact[] {
  const seen = input.state.guests.get(vmid)?.life.seen[resource] ?? [];
  const measured = course.decided?.measured;
  const swapMib =
    state.kind === 'running' && state.usage.memory.ok ? state.usage.memory.value.swapMib : 0;
  return [
    averageFact('growth', resource, seen, timing.periodsUp),
    averageFact('shrinking', resource, seen, timing.periodsDown),
    ...(measured === undefined
      ? []
      : [needFact(resource, measured, swapMib), thresholdFact(measured)]),
  ];
}

/** Whole MB say enough of memory. */
const amountOf = (resource: Resource, value: number): string =>
  withUnit(resource, resource === 'memory' ? Math.round(value) : short(value));

function averageFact(
  toward: string,
  resource: Resource,
  seen: readonly UseSample[],
  periods: number,
): Fact {
  const what = `average for ${toward}`;
  const have = Math.min(seen.length, periods);
  if (have === 0) return fact(what, 'nothing was seen yet', { have, want: periods });
  const { used, peak, demand } = averaged(seen, periods);
  const looks = have === 1 ? 'the last sample' : `the last ${have} samples`;
  const wanted =
    demand !== undefined && demand > used ? `, ${amountOf(resource, demand)} wanted` : '';
  const most = `at most ${amountOf(resource, peak)}`;
  const says = `${amountOf(resource, used)} in ${looks}${wanted}, ${most}`;
  const numbers = { used: short(used), peak: short(peak), have, want: periods };
  return fact(what, says, demand === undefined ? numbers : { ...numbers, demand: short(demand) });
}

/** No limit goes below the need; this says what it is made of. */
function needFact(resource: Resource, measured: Measured, swapMib: number): Fact {
  const { need, band } = measured;
  const upper = percentOf(band.upper);
  if (resource === 'cores') {
    const with_ = `with fewer, its most would be above the upper threshold of ${upper} %`;
    return fact('need', `${withUnit(resource, need)}; ${with_}`, { need: short(need) });
  }
  const stays = measured.swapStays === true;
  const swap = stays ? 0 : swapMib;
  // The headroom is a tenth of what is in use, 64 MB at least: see `memoryNeed`.
  const headroom = need <= 704 ? 64 : need / 11;
  const inUse = need - headroom - swap;
  const swapWords = stays
    ? 'what it has swapped out may stay there'
    : `${Math.round(swap)} MB of swap`;
  const room = `${Math.round(headroom)} MB of headroom`;
  const parts = `${Math.round(inUse)} MB in use at most, ${swapWords}, ${room}`;
  return fact('need', `${Math.round(need)} MB: ${parts}`, {
    need: short(need),
    inUse: short(inUse),
    swap: short(swap),
    headroom: short(headroom),
  });
}

function thresholdFact({ share, band, demand, used }: Measured): Fact {
  const { lower, upper } = band;
  const wants = demand !== undefined && demand > used ? ' (more is wanted)' : '';
  const side = share > upper ? 'above' : share < lower ? 'below' : 'between';
  const words =
    side === 'between'
      ? `between ${percent(lower)} and ${percent(upper)}`
      : `${side} ${percent(side === 'above' ? upper : lower)}`;
  return fact('thresholds', `${percent(share)} in use is ${words}${wants}`, {
    percent: percentOf(share),
    lower: percentOf(lower),
    upper: percentOf(upper),
  });
}
