import { present } from '../reading.ts';
import { cloneSteps, noHeadroom, reasonForMore } from './clone-steps.ts';
import { claimOf } from './description.ts';
import { Draft, type GroupInput, type Note } from './draft.ts';
import type { GroupPolicy } from './group-policy.ts';
import { halfMadeSteps } from './half-made.ts';
import type { MemberState } from './ledger.ts';
import { type Member, membersOf } from './members.ts';
import { isBare, recognise } from './recognise.ts';
import type { Step } from './step.ts';
import { type Weighed, weigh } from './weigh.ts';
import { type Wanted, type WishAnswer, weighWish, wishAnswer } from './wish.ts';

/** What is to be done for a group, from what is there: the same view gives the same steps. */

export interface GroupPlan {
  readonly steps: readonly Step[];
  readonly notes: readonly Note[];
  readonly members: readonly Member[];
  /** Where the group stands, in one sentence without its full stop. */
  readonly standing: string;
  /** What comes of the wish that was given. */
  readonly answer?: WishAnswer;
}

/**
 * Compares what is there with what is wanted, and returns the steps in between that can be done
 * now. Nothing but members that this program made is ever stopped or destroyed; of the source only
 * the snapshots that this program made are removed.
 */
export function reconcile(input: GroupInput): GroupPlan {
  const { policy, state, now } = input;
  const draft = new Draft(input);
  const members = membersOf(input, recognise(input, draft));
  noteClaims(input, members, draft);
  for (const [vmid, untilMs] of state.avoid) if (untilMs <= now.ms) state.avoid.delete(vmid);
  halfMadeSteps(input, members, draft);
  for (const member of members) stepsOf(input, member, draft);
  const counts = count(input, members);
  const wanted = wantMore(input, members, counts);
  const { weighed } = wanted;
  const isFull = counts.present >= policy.maxInstances && counts.coming === 0;
  if (isFull) noteFull(policy, weighed, draft);
  const missing = (state.desired ?? 0) - counts.present;
  if (missing > 0) scaleOut(input, members, missing, draft, counts);
  if (missing <= 0) takeOutOne(input, members, counts, weighed, draft);
  const toMake = missing - reusable(input, members).length;
  const places = policy.maxInstances - counts.existing;
  cloneSteps(input, members, Math.min(toMake, places), draft);
  draft.settle();
  const standing =
    `${counts.serving} in service, ${counts.coming} on the way, ` +
    `${state.desired} wanted: ${weighed.reason}${boundOf(input, counts, weighed)}`;
  const { steps, notes } = draft;
  const { wish } = input;
  const answer = wish && wishAnswer(wish, input, wanted, draft);
  return { steps, notes, members, standing, ...(answer && { answer }) };
}

/** Why the number stays as it is although the load asks for another. */
function boundOf({ policy }: GroupInput, counts: Counts, { verdict }: Weighed): string {
  const isFull = verdict === 'out' && counts.present >= policy.maxInstances;
  if (isFull) return '; it may have no more members';
  const isOff = verdict === 'in' && policy.scaleIn === 'off';
  return isOff ? '; none is taken away, since scale_in is off' : '';
}

/** All members that there may be are there or will be, and they are not enough. */
function noteFull({ maxInstances: max }: GroupPolicy, weighed: Weighed, draft: Draft): void {
  if (weighed.verdict !== 'out' || weighed.wanted <= max) return;
  const all = `the group needs more than the ${max} members that it may have`;
  const remedy = 'raise max_instances, or what each may have';
  draft.note('full', 'warn', `${all}; ${remedy}: ${weighed.reason}`);
}

export interface Counts {
  readonly serving: number;
  readonly coming: number;
  /** Those that do their service or soon will, and those of which it is not known. */
  readonly present: number;
  /** All that exist or are being made, in whatever state. */
  readonly existing: number;
}

function count({ policy, ledger, view, now }: GroupInput, members: readonly Member[]): Counts {
  const of = (...roles: readonly Member['role'][]): number =>
    members.filter(({ role }) => roles.includes(role)).length;
  // Reserved, and not to be seen yet.
  const reserved = [...ledger.members.keys()].filter((vmid) => {
    const reading = view.cluster.guests.get(vmid);
    return reading === undefined || !reading.ok || isBare(reading.value);
  }).length;
  const coming = of('new', 'half-made') + reserved;
  const serving = of('serving', 'elsewhere', 'unknown');
  // One that has just been stopped may come back, as all of them do after a boot of the host.
  const justStopped = members.filter(
    ({ role, memory }) =>
      role === 'stopped' && now.ms - (memory.stoppedMs ?? now.ms) < policy.outGraceMs,
  );
  const present = serving + coming + justStopped.length;
  return { serving, coming, present, existing: members.length + reserved };
}

/** Sets how many are wanted. Only a settled group is weighed: what is on its way counts later. */
function wantMore(input: GroupInput, members: readonly Member[], counts: Counts): Wanted {
  const { policy, state, now } = input;
  const { minInstances: min, maxInstances: max } = policy;
  const clamp = (wanted: number): number => Math.min(Math.max(wanted, min), max);
  const before = state.desired;
  const serving = members.filter(({ role }) => role === 'serving');
  state.desired = clamp(before ?? counts.serving);
  const byLoad = weigh(policy, serving, state, now.ms);
  const weighed = input.wish === undefined ? byLoad : weighWish(input.wish, input, serving);
  if (!isSettled(input, members, counts)) {
    return { weighed, settled: false, before: state.desired };
  }
  // More than wanted are there, by a hand or since one has recovered: nobody is sent away for that.
  if (counts.serving > state.desired) {
    state.desired = clamp(counts.serving);
    state.wantedReason = undefined;
  }
  const settledOn = { weighed, settled: true, before: state.desired };
  if (weighed.verdict === 'out') {
    const wanted = clamp(
      Math.max(state.desired, weighed.wanted + (counts.serving - serving.length)),
    );
    if (wanted > state.desired) {
      state.desired = wanted;
      state.wantedReason = weighed.reason;
      state.changedMs = now.ms;
      state.aboveSinceMs = undefined;
    }
  }
  return settledOn;
}

/** Nobody is on the way in or out, and no step is at work on a member. */
const isSettled = (input: GroupInput, members: readonly Member[], { coming }: Counts): boolean =>
  coming === 0 && !members.some((member) => isInMotion(input, member));

function isInMotion({ busy, policy }: GroupInput, { role, life, guest }: Member): boolean {
  if (busy.has(guest.vmid) && guest.vmid !== policy.source) return true;
  if (role === 'failed') return life.running === true;
  return role === 'new' || role === 'half-made' || role === 'leaving';
}

/** Parked members come back before new ones are made. */
function reusable({ policy, busy }: GroupInput, members: readonly Member[]): readonly Member[] {
  if (policy.scaleIn === 'destroy') return [];
  const isFree = ({ lock, vmid }: Member['guest']) => lock === undefined && !busy.has(vmid);
  return members.filter(({ role, guest }) => role === 'parked' && isFree(guest));
}

function scaleOut(
  input: GroupInput,
  members: readonly Member[],
  missing: number,
  draft: Draft,
  counts: Counts,
): void {
  const { policy, state, view } = input;
  let roomMib: number = view.hostHeadroomMib.ok ? view.hostHeadroomMib.value : 0;
  for (const member of reusable(input, members).slice(0, missing)) {
    const needMib = member.guest.memoryMib;
    if (needMib > roomMib) {
      draft.note(
        'room',
        'warn',
        `${member.guest.vmid} is not started: ${noHeadroom(view, needMib)}`,
      );
      break;
    }
    roomMib -= needMib;
    mark(member, 'new', reasonForMore(input), draft);
  }
  if (counts.existing < policy.maxInstances) return;
  replaceAtMaximum(input, members, draft);
  if (state.desired !== undefined && missing > reusable(input, members).length) {
    const all = `the group has all ${policy.maxInstances} members that it may have`;
    const some = `of which ${counts.serving} do their service`;
    draft.note('maximum', 'warn', `${all}, ${some}; start or destroy the others`);
  }
}

/** There is no place for a new one first. The check must be passed by others to be believed. */
function replaceAtMaximum(input: GroupInput, members: readonly Member[], draft: Draft): void {
  const { policy } = input;
  const healthy = members.some(({ role }) => role === 'serving');
  const sick = members.find(({ role, ours }) => role === 'unhealthy' && ours);
  if (sick === undefined || policy.scaleIn === 'off') return;
  if (!healthy || members.some((member) => isInMotion(input, member))) return;
  mark(sick, 'failed', `its health check fails: ${sick.memory.complaint}`, draft);
}

/** One at a time: an unhealthy one that has been replaced, else the newest for want of load. */
function takeOutOne(
  input: GroupInput,
  members: readonly Member[],
  counts: Counts,
  weighed: Weighed,
  draft: Draft,
): void {
  const { policy, state, now } = input;
  if (!isSettled(input, members, counts) || policy.scaleIn === 'off') return;
  const sick = members.find(({ role, ours }) => role === 'unhealthy' && ours);
  if (sick !== undefined) {
    const why = `its health check fails and others do its service: ${sick.memory.complaint}`;
    mark(sick, 'failed', why, draft);
    return;
  }
  const serving = members.filter(({ role }) => role === 'serving');
  const desired = state.desired ?? policy.minInstances;
  if (weighed.verdict !== 'in' || desired <= policy.minInstances) return;
  const newest = serving.filter((member) => mayGo(policy, member)).sort(byAge)[0];
  if (newest === undefined) {
    const why = 'none of those in service was made by it, and is kept by nobody';
    draft.note('in', 'info', `no member is taken out: ${why}`);
    return;
  }
  if (!mark(newest, 'leaving', weighed.reason, draft)) return;
  state.desired = desired - 1;
  state.wantedReason = undefined;
  state.changedMs = now.ms;
  state.belowSinceMs = undefined;
}

/** What is protected could only be stopped, and would stay as it is then. */
const mayGo = ({ scaleIn }: GroupPolicy, { ours, guest }: Member): boolean =>
  ours && !(guest.protection && scaleIn === 'destroy');

/** The newest first. */
const byAge = (a: Member, b: Member): number =>
  (b.entry?.madeS ?? 0) - (a.entry?.madeS ?? 0) || b.guest.vmid - a.guest.vmid;

/** The next step of one member by itself. */
function stepsOf(input: GroupInput, member: Member, draft: Draft): void {
  const { policy, now } = input;
  const { guest, role, memory, life } = member;
  if (role === 'stopped') {
    const who = member.ours ? 'was stopped, and not by this program' : 'does not run';
    const remedy = `it is skipped until somebody starts${member.ours ? ' or destroys' : ''} it`;
    draft.note(`stopped/${guest.vmid}`, 'warn', `${guest.vmid} ${who}; ${remedy}`);
  }
  if (!member.ours || guest.lock !== undefined || life.frozen === true) return;
  if (role === 'new' && life.running === false) {
    if (fits(input, member, draft)) draft.step({ kind: 'start', vmid: guest.vmid });
  } else if (role === 'new') {
    const ready = policy.health.kind === 'none' || memory.passed >= policy.health.healthyCount;
    if (ready) {
      const address = member.entry?.address;
      draft.step({ kind: 'admit', vmid: guest.vmid, address, reason: memory.reason });
    } else if (now.ms - (memory.startedMs ?? now.ms) >= policy.readyTimeoutMs) {
      const seconds = policy.readyTimeoutMs / 1000;
      const why = `it was not ready within ${seconds} s: ${memory.complaint || 'no answer'}`;
      mark(member, 'failed', why, draft);
    }
  } else if (role === 'leaving') {
    // Scaling in was switched off meanwhile: it goes on with its service.
    if (policy.scaleIn === 'off') mark(member, 'serving', 'scale_in is off', draft);
    else leave(member, draft);
  } else if (role === 'parked' && policy.scaleIn === 'destroy') {
    destroy(member, draft);
  } else if (role === 'failed') failedSteps(policy, member, draft);
}

/** What was free when it was made may be taken by now. Its own need is counted already. */
function fits({ view }: GroupInput, { guest }: Member, draft: Draft): boolean {
  const { hostHeadroomMib } = view;
  if (hostHeadroomMib.ok && hostHeadroomMib.value >= 0) return true;
  const room = hostHeadroomMib.ok
    ? present(hostHeadroomMib.value + guest.memoryMib)
    : hostHeadroomMib;
  const why = noHeadroom({ hostHeadroomMib: room }, guest.memoryMib);
  draft.note(`start/${guest.vmid}`, 'warn', `${guest.vmid} is not started yet: ${why}`);
  return false;
}

/** What is protected is never destroyed, whoever has set that. */
function destroy({ guest, entry, memory }: Member, draft: Draft): void {
  const { vmid } = guest;
  if (guest.protection) {
    const remedy = `to have it destroyed: pct set ${vmid} --protection 0`;
    draft.note(
      `protected/${vmid}`,
      'warn',
      `${vmid} is protected, and is kept, stopped; ${remedy}`,
    );
    return;
  }
  const served = entry?.served === true;
  draft.step({ kind: 'destroy', vmid, served, reason: memory.reason });
}

function leave({ guest, entry, memory }: Member, draft: Draft): void {
  const drain = entry?.served === true;
  const reason = memory.reason;
  draft.step({ kind: 'take-out', vmid: guest.vmid, drain, reason });
}

/** One that never served is of no use to anybody; what has served is kept unless told otherwise. */
function failedSteps({ scaleIn }: GroupPolicy, member: Member, draft: Draft): void {
  const { guest, life, entry } = member;
  if (life.running === true) leave(member, draft);
  if (life.running !== false) return;
  if (entry?.served !== true || scaleIn === 'destroy') {
    destroy(member, draft);
    return;
  }
  const kept = `${guest.vmid} was taken out of service since its health check failed`;
  draft.note(`kept/${guest.vmid}`, 'warn', `${kept}; it is kept, stopped, for you to check`);
}

/** Returns whether the step was taken up. */
function mark(
  { guest, entry, memory }: Member,
  state: MemberState,
  reason: string,
  draft: Draft,
): boolean {
  if (entry === undefined || guest.lock !== undefined) return false;
  memory.reason = reason;
  const { vmid } = guest;
  const served = state === 'serving' || entry.served;
  return draft.step({ kind: 'mark', vmid, state, served, reason });
}

/** Others may write tags and descriptions: what only says that it is a member is none. */
function noteClaims(
  { policy, view, ledger, sources }: GroupInput,
  members: readonly Member[],
  draft: Draft,
): void {
  const known = new Set([...members.map(({ guest }) => guest.vmid), ...ledger.members.keys()]);
  for (const [vmid, reading] of view.cluster.guests) {
    if (!reading.ok || known.has(vmid) || sources.has(vmid)) continue;
    const by = claimOf(policy, reading.value);
    if (by === undefined) continue;
    const what = `${vmid} says by ${by} that it is a member, and this program has not made it`;
    const remedy = 'to have it counted as one, add it to lxc_containers of the group';
    draft.note(`claim/${vmid}`, 'warn', `${what}: it is not touched; ${remedy}`);
  }
}
