import { describeDiff } from '../core/allocation.ts';
import { guestInside, kindOf, LONGEST_NAME } from '../core/guest-words.ts';
import type { RollbackDetails, RollbackValue } from '../core/journal-event.ts';
import { asSentence, plainText } from '../core/plain-text.ts';
import type { Vmid } from '../core/units.ts';
import type { World } from '../ports.ts';
import { putOnRecord } from './record.ts';
import type { RestoreContext, RestoreGoal, RestoreResult } from './restoration.ts';

/** How a rollback by hand explains itself: one sentence for person and log, and the JSON log. */

const LONGEST_NOTE = 1024;

/** The name of a container is its owner's text. */
const whoIs = (vmid: Vmid, { name, guest }: Pick<RestoreResult, 'name' | 'guest'>): string =>
  `${guestInside({ vmid, kind: guest })} (${plainText(name, LONGEST_NAME)})`;

const isDone = ({ kind }: RestoreResult): boolean => kind === 'confirmed' || kind === 'pending';

type Recorded = RestoreResult & { readonly kind: RollbackDetails['status'] };
const isRecorded = (result: RestoreResult): result is Recorded =>
  isDone(result) || result.kind === 'failed';

/** Whether all that was asked for is now as it was asked for, or would be. */
export const isWhole = ({ kind, refused }: RestoreResult): boolean =>
  refused === undefined && !['failed', 'refused', 'absent'].includes(kind);

/** What was and what is now, or why not. */
export function describeRestore(
  result: RestoreResult,
  goal: RestoreGoal,
  context: RestoreContext,
): string {
  const { refused, note, hold } = result;
  const parts = [outcomeWords(result, goal, context)];
  if (refused !== undefined) parts.push(`its memory is left as it is: ${refused}`);
  if (result.kind === 'pending') {
    parts.push('the cores take effect when pvestatd next rebalances, in about 10 s');
  }
  if (note !== undefined && result.kind !== 'absent') parts.push(plainText(note, LONGEST_NOTE));
  if (hold !== undefined) {
    parts.push(`the daemon skips it until ${context.localTime(hold.untilMs)}`);
  }
  return parts.map(asSentence).join(' ');
}

function outcomeWords(
  result: RestoreResult,
  { vmid, backupId, takenAtMs, isOwn = false }: RestoreGoal,
  { localTime }: RestoreContext,
): string {
  const { kind, before, target } = result;
  const who = whoIs(vmid, result);
  const source = isOwn
    ? 'what an administrator has set last'
    : `the backup of ${localTime(takenAtMs)} (${backupId})`;
  const as = isOwn ? 'as an administrator has set it last' : `as in ${source}`;
  const change = `${describeDiff(before, target)}, ${as}`;
  switch (kind) {
    case 'confirmed':
    case 'pending':
      return `rolled back ${who}: ${change}`;
    case 'dry-run':
      return `would roll back ${who}: ${change}`;
    case 'already':
      return `nothing to restore for ${who}: it is ${as}`;
    case 'absent':
      return notRolledBack(
        guestInside({ vmid, kind: result.guest }),
        'it is not on this node (destroyed or migrated)',
      );
    case 'failed':
    case 'refused':
      return `${who} was NOT rolled back to ${source}`;
  }
}

/** Also for a container that has nothing to go back to. */
export const notRolledBack = (whom: string, why: string): string =>
  asSentence(`${whom} was NOT rolled back: ${why}`);

/** Puts it on record: a line in the text log, and one in the JSON log for each resource. */
export function logRestore(
  world: World,
  result: RestoreResult,
  goal: RestoreGoal,
  context: RestoreContext,
): void {
  const { log } = world;
  if (result.kind === 'absent') return;
  const by = goal.askedBy === undefined ? '' : ` Asked for by ${goal.askedBy}.`;
  const line = `${describeRestore(result, goal, context)}${by}`;
  const backup = result.backup === undefined ? '' : ` Backup: ${result.backup}`;
  const { kind } = result;
  const about = { component: 'act', vmid: goal.vmid, event: 'rollback', outcome: kind } as const;
  if (!isWhole(result)) log.error(`${line}${backup}`, about);
  else log.info(`${line}${backup}`, about);
  if (!isRecorded(result)) return;
  const { before, target } = result;
  if (target.cores !== undefined) {
    const all = context.hostCpus ?? 'all';
    record(world, result, goal, 'cores', before.cores ?? all, target.cores ?? all);
  }
  if (target.cpuLimit !== undefined) {
    const sides = [before.cpuLimit ?? 'max', target.cpuLimit ?? 'max'] as const;
    record(world, result, goal, 'cpulimit', ...sides);
  }
  if (target.memoryMib !== undefined && before.memoryMib !== undefined) {
    record(world, result, goal, 'memory', before.memoryMib, target.memoryMib);
  }
}

function record(
  world: World,
  { kind, name, guest, note, backup, hold }: Recorded,
  { vmid, backupId, askedBy }: RestoreGoal,
  what: 'cores' | 'cpulimit' | 'memory',
  before: RollbackValue,
  after: RollbackValue,
): void {
  putOnRecord(world, {
    kind: 'rollback',
    vmid,
    resource: what === 'memory' ? 'memory' : 'cores',
    details: {
      name,
      ...kindOf({ kind: guest }),
      status: kind,
      before,
      after,
      ...(what === 'cpulimit' && { unit: what }),
      reason: `rollback to backup ${backupId}`,
      rollbackTo: backupId,
      backup,
      note,
      asked_by: askedBy,
      heldUntil: hold && new Date(hold.untilMs).toISOString(),
    },
  });
}
