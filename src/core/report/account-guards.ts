import type { Resource } from '../allocation.ts';
import { withUnit } from '../explain.ts';
import type { LoopState } from '../loop-state.ts';
import type { ContainerObservation, GuestConfig } from '../observation.ts';
import { plainText } from '../plain-text.ts';
import type { ContainerPolicy } from '../policy.ts';
import { flapsAt, type Taken, waitForCalmMs } from '../taken.ts';
import type { Milliseconds } from '../units.ts';
import { coresGuards } from './account-guards-cores.ts';
import { memoryGuards } from './account-guards-memory.ts';
import { type Guard, guard, secondsOf, short } from './fact.ts';
import type { Course, ReportInput } from './report-input.ts';

/** Every guard, with its numbers and whether it is in force now, not only the one that decided. */

const SET_KEYS: ReadonlySet<string> = new Set(['cores', 'cpulimit', 'memory', 'swap']);

/** What keeps a container as a whole from being changed. */
export function standingGuards(
  { vmid, config }: ContainerObservation,
  input: ReportInput,
): readonly Guard[] {
  const held = input.holds.get(vmid);
  const leftMs = held === undefined ? 0 : held.leftMs - (input.nowMs - input.atMs);
  const byHand = guard(
    'on hold',
    leftMs > 0,
    held === undefined ? 'no' : `${plainText(held.reason)}; ${leftWords(leftMs)}`,
    { leftSeconds: Math.max(0, secondsOf(leftMs)) },
  );
  const own = config.ok ? configGuards(config.value) : [];
  return [...own, byHand, failureGuard(input, vmid)];
}

function configGuards({ lock, template, pendingKeys }: GuestConfig): readonly Guard[] {
  const waiting = pendingKeys.filter((key) => SET_KEYS.has(key));
  const locked = lock === undefined ? 'no' : plainText(lock, 40);
  return [
    guard('locked', lock !== undefined, locked, { lock: lock === undefined ? null : locked }),
    guard('template', template, template ? 'yes' : 'no'),
    guard(
      'changes that wait for its next start',
      waiting.length > 0,
      waiting.length === 0 ? 'none' : waiting.join(', '),
    ),
  ];
}

function failureGuard({ state, nowMs }: ReportInput, vmid: GuestConfig['vmid']): Guard {
  const failure = state.guests.get(vmid)?.failure;
  if (failure === undefined) return guard('failed lately', false, 'no', { failures: 0 });
  const leftMs = failure.retryAtMs - nowMs;
  const count = failure.count === 1 ? 'once' : `${failure.count} times in a row`;
  const next = leftMs > 0 ? `next try in ${secondsOf(leftMs)} s` : 'it may be tried again';
  return guard('failed lately', leftMs > 0, `${count}; ${next}`, {
    failures: failure.count,
    leftSeconds: Math.max(0, secondsOf(leftMs)),
  });
}

/** What keeps one resource of it from being changed, common ones first. */
export function guardsOf(
  container: ContainerObservation,
  resource: Resource,
  course: Course,
  policy: ContainerPolicy,
  input: ReportInput,
): readonly Guard[] {
  const { vmid } = container;
  const own = resource === 'cores' ? coresGuards : memoryGuards;
  return [
    ...periodGuards(vmid, resource, policy, input.state),
    ...cooldownGuards(vmid, resource, policy, input),
    ...boundGuards(resource, course),
    ...ownerGuards(vmid, resource, course, policy, input),
    ...own(container, course, policy, input),
  ];
}

type VmidOf = ContainerObservation['vmid'];

function periodGuards(
  vmid: VmidOf,
  resource: Resource,
  { timing }: ContainerPolicy,
  { guests }: LoopState,
): readonly Guard[] {
  const have = guests.get(vmid)?.life.seen[resource].length ?? 0;
  const one = (toward: string, want: number): Guard =>
    guard(`observations for ${toward}`, have < want, `${Math.min(have, want)} of ${want}`, {
      have,
      want,
    });
  return [one('growth', timing.periodsUp), one('shrinking', timing.periodsDown)];
}

function cooldownGuards(
  vmid: VmidOf,
  resource: Resource,
  { timing }: ContainerPolicy,
  { state, nowMs }: ReportInput,
): readonly Guard[] {
  const changedMs = state.guests.get(vmid)?.[resource].changedMs;
  const one = (toward: string, cooldownMs: number): Guard => {
    const leftMs = changedMs === undefined ? 0 : changedMs + cooldownMs - nowMs;
    const ofSeconds = cooldownMs / 1000;
    const over = changedMs === undefined ? 'no change is known' : 'over';
    const words = cooldownMs === 0 ? 'none' : `${ofSeconds} s, ${over}`;
    const says = leftMs > 0 ? `${secondsOf(leftMs)} s left of ${ofSeconds} s` : words;
    return guard(`cooldown for ${toward}`, leftMs > 0, says, {
      leftSeconds: Math.max(0, secondsOf(leftMs)),
      ofSeconds,
    });
  };
  const up = one('growth', timing.cooldownUpMs);
  const calm = calmGuard(state.guests.get(vmid)?.[resource].taken, nowMs);
  return [up, one('shrinking', timing.cooldownDownMs), calm];
}

/** How long nothing is taken since what was taken was needed again. */
function calmGuard(known: Taken | undefined, nowMs: Milliseconds): Guard {
  const flaps = known === undefined ? 0 : flapsAt(known, nowMs);
  const leftMs = waitForCalmMs(known, nowMs);
  const often = flaps === 1 ? 'once' : `${flaps} times in a row`;
  const again = `what was taken back was needed again within an hour ${often}`;
  const says = flaps === 0 ? 'no' : `${again}; ${leftWords(leftMs)}`;
  const leftSeconds = secondsOf(leftMs);
  return guard('demand that comes and goes', leftMs > 0, says, { flaps, leftSeconds });
}

const leftWords = (ms: number): string => (ms > 0 ? `${secondsOf(ms)} s left` : 'over');

function boundGuards(resource: Resource, { decided }: Course): readonly Guard[] {
  const measured = decided?.measured;
  if (measured === undefined) return [];
  const { before, min, max } = measured;
  const has = short(before);
  return [
    guard('minimum', before <= min, `${withUnit(resource, min)}, it has ${has}`, { min, has }),
    guard('maximum', before >= max, `${withUnit(resource, max)}, it has ${has}`, { max, has }),
  ];
}

/** Whose value it is at the moment: a person's, a boost's, the off-peak time's. */
function ownerGuards(
  vmid: VmidOf,
  resource: Resource,
  { planned }: Course,
  { scaling, boost, timing }: ContainerPolicy,
  { state, nowMs }: ReportInput,
): readonly Guard[] {
  const record = state.guests.get(vmid);
  const known = record?.[resource];
  const handMs = (known?.handHoldMs ?? nowMs) - nowMs;
  const handNumbers = {
    leftSeconds: Math.max(0, secondsOf(handMs)),
    ofSeconds: timing.manualHoldMs / 1000,
  };
  const hand = handMs > 0 ? leftWords(handMs) : 'no';
  const guards = [guard('changed by hand', handMs > 0, hand, handNumbers)];
  const on = known?.boost;
  if (on !== undefined) {
    const leftMs = on.endMs - nowMs;
    const back = `back to ${withUnit(resource, on.before)}`;
    const says = leftMs > 0 ? `${back} in ${secondsOf(leftMs)} s` : `${back} now`;
    const { before, boosted } = on;
    const leftSeconds = Math.max(0, secondsOf(leftMs));
    guards.push(guard('boost', leftMs > 0, says, { before, boosted, leftSeconds }));
  } else if (scaling === 'boost') {
    const samples = record?.life.interval?.saturated[resource] ?? 0;
    const of = boost.consecutiveSamples;
    const says = `off; saturated in ${samples} samples in a row, ${of} begin one`;
    guards.push(guard('boost', false, says, { samples, of }));
  }
  const taken = known?.offPeak;
  if (taken !== undefined) {
    const given = taken.givenBackMs !== undefined;
    const holds = planned?.verdict === 'hold' && planned.because.kind === 'given-back';
    const before = withUnit(resource, taken.before);
    const says = given ? `${before} were given back` : `had ${before} before the off-peak time`;
    guards.push(guard('off-peak', holds, says, { before: taken.before, givenBack: given }));
  }
  return guards;
}
