import { present } from '../reading.ts';
import { cloneSteps, noRoom, reasonForMore } from './clone-steps.ts';
import { Draft, type GroupInput, type Note } from './draft.ts';
import type { GroupPolicy } from './group-policy.ts';
import type { GroupState } from './group-state.ts';
import { halfMadeSteps } from './half-made.ts';
import { describedBy, type MemberState } from './marker.ts';
import { type Member, membersOf } from './members.ts';
import type { Step } from './step.ts';
import { type Weighed, weigh } from './weigh.ts';

/** What is to be done for a group, from what is there: the same view gives the same steps. */

export interface GroupPlan {
  readonly steps: readonly Step[];
  readonly notes: readonly Note[];
  readonly members: readonly Member[];
  /** Where the group stands, in one sentence without its full stop. */
  readonly standing: string;
}

/**
 * Compares what is there with what is wanted, and returns the steps in between that can be done
 * now. Nothing but members that this program made is ever stopped or destroyed; of the source only
 * the snapshots that this program made are removed.
 */
export function reconcile(input: GroupInput): GroupPlan {
  const { policy, view, state, now } = input;
  const members = membersOf(policy, view, state, now.ms);
  const draft = new Draft(input);
  for (const [vmid, untilMs] of state.avoid) if (untilMs <= now.ms) state.avoid.delete(vmid);
  halfMadeSteps(input, members, draft);
  for (const member of members) stepsOf(input, member, draft);
  const counts = count(policy, members, state, now.ms);
  const weighed = wantMore(input, members, counts);
  if (counts.present >= policy.maxInstances) noteFull(policy, weighed, draft);
  const missing = (state.desired ?? 0) - counts.present;
  if (missing > 0) scaleOut(input, members, missing, draft, counts);
  if (missing <= 0) takeOutOne(input, members, counts, weighed, draft);
  const toMake = missing - reusable(policy, members).length;
  const places = policy.maxInstances - counts.existing;
  cloneSteps(input, members, Math.min(toMake, places), draft);
  const standing =
    `${counts.serving} in service, ${counts.coming} on the way, ` +
    `${state.desired} wanted: ${weighed.reason}${boundOf(input, weighed)}`;
  return { steps: draft.steps, notes: draft.notes, members, standing };
}

/** Why the number stays as it is although the load asks for another. */
function boundOf({ policy, state }: GroupInput, { verdict }: Weighed): string {
  const isFull = verdict === 'out' && state.desired === policy.maxInstances;
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

function count(
  policy: GroupPolicy,
  members: readonly Member[],
  { reservation }: GroupState,
  nowMs: number,
): Counts {
  const of = (...roles: readonly Member['role'][]): number =>
    members.filter(({ role }) => roles.includes(role)).length;
  const reserved =
    reservation !== undefined && !members.some(({ guest }) => guest.vmid === reservation.vmid);
  const coming = of('new', 'half-made') + (reserved ? 1 : 0);
  const serving = of('serving', 'elsewhere', 'unknown');
  // One that has just been stopped may come back, as all of them do after a boot of the host.
  const justStopped = members.filter(
    ({ role, memory }) =>
      role === 'stopped' && nowMs - (memory.stoppedMs ?? nowMs) < policy.outGraceMs,
  );
  const present = serving + coming + justStopped.length;
  return { serving, coming, present, existing: members.length + (reserved ? 1 : 0) };
}

/** Sets how many are wanted. Only a settled group is weighed: what is on its way counts later. */
function wantMore({ policy, state, now }: GroupInput, members: readonly Member[], counts: Counts) {
  const { minInstances: min, maxInstances: max } = policy;
  const clamp = (wanted: number): number => Math.min(Math.max(wanted, min), max);
  const before = state.desired;
  const serving = members.filter(({ role }) => role === 'serving');
  state.desired = clamp(before ?? counts.serving);
  const weighed = weigh(policy, serving, state, now.ms);
  const settled = counts.coming === 0 && !members.some(({ role }) => isInMotion(role));
  if (!settled) return weighed;
  // More than wanted are there, by a hand or since one has recovered: nobody is sent away for that.
  if (counts.serving > state.desired) {
    state.desired = clamp(counts.serving);
    state.wantedReason = undefined;
  }
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
  return weighed;
}

const isInMotion = (role: Member['role']): boolean =>
  role === 'new' || role === 'half-made' || role === 'leaving';

/** Parked members come back before new ones are made. */
function reusable({ scaleIn }: GroupPolicy, members: readonly Member[]): readonly Member[] {
  if (scaleIn === 'destroy') return [];
  return members.filter(({ role, guest }) => role === 'parked' && guest.lock === undefined);
}

function scaleOut(
  input: GroupInput,
  members: readonly Member[],
  missing: number,
  draft: Draft,
  counts: Counts,
): void {
  const { policy, state, view } = input;
  let roomMib: number = view.hostRoomMib.ok ? view.hostRoomMib.value : 0;
  for (const member of reusable(policy, members).slice(0, missing)) {
    const needMib = member.guest.memoryMib;
    if (needMib > roomMib) {
      draft.note('room', 'warn', `${member.guest.vmid} is not started: ${noRoom(view, needMib)}`);
      break;
    }
    roomMib -= needMib;
    mark(member, 'new', true, reasonForMore(input), draft);
  }
  if (counts.existing < policy.maxInstances) return;
  replaceAtMaximum(policy, members, draft);
  if (state.desired !== undefined && missing > reusable(policy, members).length) {
    const all = `the group has all ${policy.maxInstances} members that it may have`;
    const some = `of which ${counts.serving} do their service`;
    draft.note('maximum', 'warn', `${all}, ${some}; start or destroy the others`);
  }
}

/** There is no place for a new one first. The check must be passed by others to be believed. */
function replaceAtMaximum(policy: GroupPolicy, members: readonly Member[], draft: Draft): void {
  const healthy = members.some(({ role }) => role === 'serving');
  const sick = members.find(({ role, ours }) => role === 'unhealthy' && ours);
  if (sick === undefined || policy.scaleIn === 'off') return;
  if (!healthy || members.some(({ role }) => isInMotion(role))) return;
  mark(sick, 'failed', false, `its health check fails: ${sick.memory.complaint}`, draft);
}

/** One at a time: an unhealthy one that has been replaced, else the newest for want of load. */
function takeOutOne(
  { policy, state, now }: GroupInput,
  members: readonly Member[],
  counts: Counts,
  weighed: Weighed,
  draft: Draft,
): void {
  const settled = counts.coming === 0 && !members.some(({ role }) => isInMotion(role));
  if (!settled || policy.scaleIn === 'off') return;
  const sick = members.find(({ role, ours }) => role === 'unhealthy' && ours);
  if (sick !== undefined) {
    const why = `its health check fails and others do its service: ${sick.memory.complaint}`;
    mark(sick, 'failed', false, why, draft);
    return;
  }
  const serving = members.filter(({ role }) => role === 'serving');
  const desired = state.desired ?? policy.minInstances;
  if (weighed.verdict !== 'in' || desired <= policy.minInstances) return;
  const newest = [...serving].filter(({ ours }) => ours).sort(byAge)[0];
  if (newest === undefined) {
    draft.note('in', 'info', 'no member is taken out: none of those in service was made by it');
    return;
  }
  if (!mark(newest, 'leaving', false, weighed.reason, draft)) return;
  state.desired = desired - 1;
  state.wantedReason = undefined;
  state.changedMs = now.ms;
  state.belowSinceMs = undefined;
}

/** The newest first. */
const byAge = ({ guest: a }: Member, { guest: b }: Member): number =>
  (b.marker?.madeS ?? 0) - (a.marker?.madeS ?? 0) || b.vmid - a.vmid;

/** The next step of one member by itself. */
function stepsOf(input: GroupInput, member: Member, draft: Draft): void {
  const { policy, now } = input;
  const { guest, role, memory, life } = member;
  if (role === 'stopped') {
    const who = member.ours ? 'was stopped, and not by this program' : 'does not run';
    const remedy = `it is left alone until a person starts${member.ours ? ' or destroys' : ''} it`;
    draft.note(`stopped/${guest.vmid}`, 'warn', `${guest.vmid} ${who}; ${remedy}`);
  }
  if (!member.ours || guest.lock !== undefined) return;
  if (role === 'new' && life.running === false) {
    if (fits(input, member, draft)) draft.step({ kind: 'start', vmid: guest.vmid });
  } else if (role === 'new') {
    const ready = policy.health.kind === 'none' || memory.passed >= policy.health.healthyCount;
    const marker = guest.marker && { ...guest.marker, state: 'serving' as const, served: true };
    if (ready && marker !== undefined) {
      draft.step({ kind: 'admit', vmid: guest.vmid, marker, reason: memory.reason });
    } else if (now.ms - (memory.startedMs ?? now.ms) >= policy.readyTimeoutMs) {
      const seconds = policy.readyTimeoutMs / 1000;
      const why = `it was not ready within ${seconds} s: ${memory.complaint || 'no answer'}`;
      mark(member, 'failed', false, why, draft);
    }
  } else if (role === 'leaving') {
    // Scaling in was switched off meanwhile: it goes on with its service.
    if (policy.scaleIn === 'off') mark(member, 'serving', true, 'scale_in is off', draft);
    else leave(member, draft);
  } else if (role === 'parked' && policy.scaleIn === 'destroy') {
    draft.step({ kind: 'destroy', vmid: guest.vmid, served: true, reason: memory.reason });
  } else if (role === 'failed') failedSteps(policy, member, draft);
}

/** What was free when it was made may be taken by now. Its own need is counted already. */
function fits({ view }: GroupInput, { guest }: Member, draft: Draft): boolean {
  const { hostRoomMib } = view;
  if (hostRoomMib.ok && hostRoomMib.value >= 0) return true;
  const room = hostRoomMib.ok ? present(hostRoomMib.value + guest.memoryMib) : hostRoomMib;
  const why = noRoom({ hostRoomMib: room }, guest.memoryMib);
  draft.note(`start/${guest.vmid}`, 'warn', `${guest.vmid} is not started yet: ${why}`);
  return false;
}

function leave({ guest, memory }: Member, draft: Draft): void {
  const drain = guest.marker?.served === true;
  const reason = memory.reason;
  draft.step({ kind: 'take-out', vmid: guest.vmid, drain, reason });
}

/** One that never served is of no use to anybody; what has served is kept unless told otherwise. */
function failedSteps({ scaleIn }: GroupPolicy, member: Member, draft: Draft): void {
  const { guest, life, memory } = member;
  if (life.running === true) leave(member, draft);
  if (life.running !== false) return;
  const served = guest.marker?.served === true;
  if (!served || scaleIn === 'destroy') {
    draft.step({ kind: 'destroy', vmid: guest.vmid, served, reason: memory.reason });
    return;
  }
  const kept = `${guest.vmid} was taken out of service since its health check failed`;
  draft.note(`kept/${guest.vmid}`, 'warn', `${kept}; it is kept, stopped, for a person to look at`);
}

/** Returns whether the step was taken up. */
function mark(
  { guest, memory }: Member,
  state: MemberState,
  onboot: boolean,
  reason: string,
  draft: Draft,
): boolean {
  if (guest.marker === undefined || guest.lock !== undefined) return false;
  const marker = { ...guest.marker, state };
  const description = describedBy(marker, guest.description);
  memory.reason = reason;
  const { vmid, digest } = guest;
  return draft.step({ kind: 'mark', vmid, marker, description, onboot, digest, reason });
}
