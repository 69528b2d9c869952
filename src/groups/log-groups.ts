import type { GroupWish, Note } from '../core/groups/draft.ts';
import type { GroupPolicy } from '../core/groups/group-policy.ts';
import type { GroupState } from '../core/groups/group-state.ts';
import { hostnameOf } from '../core/groups/member-settings.ts';
import type { StepOutcome } from '../core/groups/outcome.ts';
import { type Step, stepWords } from '../core/groups/step.ts';
import { type WishAnswer, wishWords } from '../core/groups/wish.ts';
import type { GroupDetails, GroupEvent } from '../core/journal-event.ts';
import type { LineFacts } from '../core/log-line.ts';
import type { Vmid } from '../core/units.ts';
import type { GroupWorld } from '../ports.ts';

/** What groups say of themselves, in the log and in the JSON log. */

type Told = Pick<GroupWorld, 'log' | 'journal'>;

const who = ({ label }: GroupPolicy): string => `Group ${label}`;

const about = ({ label: group }: GroupPolicy, event: string, vmid?: Vmid): LineFacts => ({
  component: 'groups',
  group,
  event,
  ...(vmid !== undefined && { vmid }),
});

const reasonOf = (step: Step): string =>
  'reason' in step && step.reason !== '' ? step.reason : '';

export function logBegun({ log }: Told, policy: GroupPolicy, step: Step): void {
  const reason = reasonOf(step);
  const since = reason === '' ? '' : `, since ${reason}`;
  const facts = { ...about(policy, step.kind, step.vmid), outcome: 'begun' };
  log.info(`${who(policy)}: ${stepWords(step)}${since}...`, facts);
}

export function logProgress(
  { log }: Told,
  policy: GroupPolicy,
  step: Step,
  sinceMs: number,
  line: string,
): void {
  const says = line === '' ? '' : `; it says: ${line}`;
  const seconds = Math.round(sinceMs / 1000);
  const facts = { ...about(policy, step.kind, step.vmid), outcome: 'goes-on' };
  log.info(`${who(policy)}: ${stepWords(step)} goes on, for ${seconds} s now${says}`, facts);
}

type Direction = GroupEvent['direction'];

/** Which way the end of a step leads the group; undefined: it is no event of the JSON log. */
function directionOf(step: Step, { scaleIn }: GroupPolicy): Direction | undefined {
  switch (step.kind) {
    case 'admit':
      return 'out';
    case 'take-out':
      return step.drain && scaleIn === 'stop' ? 'in' : undefined;
    case 'destroy':
      return step.served ? 'in' : undefined;
    default:
      return undefined;
  }
}

export function logEnded(
  told: Told,
  policy: GroupPolicy,
  state: GroupState,
  step: Step,
  outcome: StepOutcome,
): void {
  const words = `${who(policy)}: ${stepWords(step)}`;
  const ended = { ...about(policy, step.kind, step.vmid), outcome: outcome.kind };
  if (outcome.kind === 'done') {
    told.log.info(`${words}: done.`, ended);
    const direction = directionOf(step, policy);
    if (direction !== undefined) record(told, policy, state, step, direction, 'confirmed', {});
    const { kind } = step;
    if (kind === 'mark' && step.state === 'failed') {
      const why = `member ${step.vmid} is taken out, since ${step.reason}`;
      told.log.error(`${who(policy)}: ${why}`, { ...ended, outcome: 'failed' });
      const facts = { message: step.reason };
      if (!step.served) {
        record(told, policy, state, step, 'out', 'failed', facts);
      }
    }
    return;
  }
  if (outcome.kind === 'taken') {
    told.log.warn(`${words}: ${outcome.message}; another id is taken`, ended);
    return;
  }
  if (outcome.kind === 'overtaken') {
    told.log.info(`${words}: ${outcome.message}; it is checked again`, ended);
    return;
  }
  told.log.error(`FAILED. ${words}: ${outcome.message}`, ended);
  const out = ['snapshot', 'clone', 'configure', 'start', 'admit'].includes(step.kind);
  const { message } = outcome;
  record(told, policy, state, step, out ? 'out' : 'in', 'failed', { message, note: message });
}

/** Somebody has asked for it, and it is about to begin. */
export function logAsked(
  { log, journal }: Told,
  policy: GroupPolicy,
  wish: GroupWish,
  { step, says }: WishAnswer & { readonly ok: true },
): void {
  const { direction, by: asked_by } = wish;
  const reason = wishWords(wish);
  log.info(`${says.slice(0, -1)}, since ${reason}.`, about(policy, 'asked', step.vmid));
  const details = {
    group: policy.label,
    status: 'asked',
    step: step.kind,
    reason,
    asked_by,
  } as const;
  journal.record({ kind: 'group', vmid: step.vmid, direction, details });
}

export function logWould(told: Told, policy: GroupPolicy, state: GroupState, step: Step): void {
  const reason = reasonOf(step);
  const since = reason === '' ? '' : `, since ${reason}`;
  const facts = { ...about(policy, step.kind, step.vmid), outcome: 'dry-run' };
  told.log.info(`${who(policy)}: dry run, left out: ${stepWords(step)}${since}`, facts);
  const out = step.kind === 'clone' || step.kind === 'snapshot';
  const leaving = step.kind === 'mark' && step.state === 'leaving';
  if (!out && !leaving) return;
  record(told, policy, state, step, out ? 'out' : 'in', 'dry-run', {});
}

function record(
  { journal, log }: Told,
  policy: GroupPolicy,
  state: GroupState,
  step: Step,
  direction: Direction,
  status: GroupDetails['status'],
  facts: Readonly<Record<string, unknown>>,
): void {
  const { vmid } = step;
  const reason = reasonOf(step) || state.members.get(vmid)?.reason;
  const address = 'address' in step ? step.address : undefined;
  const details = {
    ...(vmid !== policy.source && { name: hostnameOf(policy, vmid) }),
    group: policy.label,
    status,
    step: step.kind,
    reason,
    wanted: state.desired,
    ...(address !== undefined && { address }),
    ...facts,
  };
  if (journal.record({ kind: 'group', vmid, direction, details })) return;
  const unrecorded = about(policy, 'unrecorded', vmid);
  log.error(`The JSON log could not be written for container ${vmid}`, unrecorded);
}

/** Each is said when it begins to hold, and again only after it did not. */
export function logNotes(
  { log }: Pick<GroupWorld, 'log'>,
  policy: GroupPolicy,
  notes: readonly Note[],
  said: Set<string>,
): void {
  const now = new Set(notes.map(({ key }) => key));
  for (const key of said) if (!now.has(key)) said.delete(key);
  for (const { key, level, text } of notes) {
    if (said.has(key)) continue;
    said.add(key);
    log[level](`${who(policy)}: ${text}`, about(policy, 'note'));
  }
}
