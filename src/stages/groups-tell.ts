import type { Note } from '../core/groups/draft.ts';
import type { GroupPolicy } from '../core/groups/group-policy.ts';
import type { GroupState } from '../core/groups/group-state.ts';
import { hostnameOf } from '../core/groups/member-settings.ts';
import type { StepOutcome } from '../core/groups/outcome.ts';
import { type Step, stepWords } from '../core/groups/step.ts';
import type { GroupWorld } from '../ports.ts';

/** What groups say of themselves, in the log and in the JSON log. */

type Told = Pick<GroupWorld, 'log' | 'journal'>;

const who = ({ label }: GroupPolicy): string => `Group ${label}`;

const reasonOf = (step: Step): string =>
  'reason' in step && step.reason !== '' ? step.reason : '';

export function tellBegun({ log }: Told, policy: GroupPolicy, step: Step): void {
  const reason = reasonOf(step);
  log.info(`${who(policy)}: ${stepWords(step)}${reason === '' ? '' : `, since ${reason}`}...`);
}

export function tellProgress(
  { log }: Told,
  policy: GroupPolicy,
  step: Step,
  sinceMs: number,
  line: string,
): void {
  const says = line === '' ? '' : `; it says: ${line}`;
  const seconds = Math.round(sinceMs / 1000);
  log.info(`${who(policy)}: ${stepWords(step)} goes on, for ${seconds} s now${says}`);
}

/** Which event of the JSON log the end of a step is. */
function eventOf(step: Step, { scaleIn }: GroupPolicy): 'Scale Out' | 'Scale In' | undefined {
  switch (step.kind) {
    case 'admit':
      return 'Scale Out';
    case 'take-out':
      return step.drain && scaleIn === 'stop' ? 'Scale In' : undefined;
    case 'destroy':
      return step.served ? 'Scale In' : undefined;
    default:
      return undefined;
  }
}

export function tellEnded(
  told: Told,
  policy: GroupPolicy,
  state: GroupState,
  step: Step,
  outcome: StepOutcome,
): void {
  const words = `${who(policy)}: ${stepWords(step)}`;
  if (outcome.kind === 'done') {
    told.log.info(`${words}: done.`);
    const action = eventOf(step, policy);
    if (action !== undefined) record(told, policy, state, step, action, 'confirmed', {});
    const { kind } = step;
    if (kind === 'mark' && step.marker.state === 'failed') {
      told.log.error(`${who(policy)}: member ${step.vmid} is taken out, since ${step.reason}`);
      const facts = { message: step.reason };
      if (!step.marker.served) {
        record(told, policy, state, step, 'Scale Out Failed', 'failed', facts);
      }
    }
    return;
  }
  if (outcome.kind === 'taken') {
    told.log.warn(`${words}: ${outcome.message}; another id is taken`);
    return;
  }
  if (outcome.kind === 'overtaken') {
    told.log.info(`${words}: ${outcome.message}; it is looked at again`);
    return;
  }
  told.log.error(`FAILED. ${words}: ${outcome.message}`);
  const out = ['snapshot', 'clone', 'configure', 'start', 'admit'].includes(step.kind);
  const action = out ? 'Scale Out Failed' : 'Scale In Failed';
  const { message } = outcome;
  record(told, policy, state, step, action, 'failed', { message, note: message });
}

export function tellWould(told: Told, policy: GroupPolicy, state: GroupState, step: Step): void {
  const reason = reasonOf(step);
  const since = reason === '' ? '' : `, since ${reason}`;
  told.log.info(`${who(policy)}: dry run, left out: ${stepWords(step)}${since}`);
  const out = step.kind === 'clone' || step.kind === 'snapshot';
  const leaving = step.kind === 'mark' && step.marker.state === 'leaving';
  if (!out && !leaving) return;
  const action = out ? 'Would Scale Out' : 'Would Scale In';
  record(told, policy, state, step, action, 'dry-run', {});
}

function record(
  { journal, log }: Told,
  policy: GroupPolicy,
  state: GroupState,
  step: Step,
  action: string,
  status: string,
  facts: Readonly<Record<string, unknown>>,
): void {
  const { vmid } = step;
  const change = action.includes('Out') ? '+1' : '-1';
  const reason = reasonOf(step) || state.members.get(vmid)?.reason;
  const address = 'marker' in step ? step.marker.address : undefined;
  const details = {
    ...(vmid !== policy.source && { name: hostnameOf(policy, vmid) }),
    ...{ group: policy.label, status, step: step.kind, reason, wanted: state.desired },
    ...(address !== undefined && { address }),
    ...facts,
  };
  if (journal.record({ vmid, action, change, details })) return;
  log.error(`The JSON log could not be written for container ${vmid}`);
}

/** Each is said when it begins to hold, and again only after it did not. */
export function tellNotes(
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
    log[level](`${who(policy)}: ${text}`);
  }
}
