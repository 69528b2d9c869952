import { join } from 'node:path/posix';
import { type Allocation, isSameValue, LEVERS, pick, resourceOf } from '../../core/allocation.ts';
import { guestLabel } from '../../core/guest-words.ts';
import type { GuestConfig } from '../../core/observation.ts';
import { backupsOfGuest, ownValues } from '../../core/own-values.ts';
import {
  chooseBackup,
  explainNoBackup,
  parseRestorePoint,
  whyOutside,
} from '../../core/rollback.ts';
import type { Vmid } from '../../core/units.ts';
import { keepAsked } from '../../loop/asked.ts';
import { describeRestore, isWhole } from '../../loop/log-restore.ts';
import type { RestoreGoal, RestoreResult } from '../../loop/restoration.ts';
import { restore } from '../../loop/restore.ts';
import { createTimestamp } from '../../os/timestamp.ts';
import { listBackups } from '../../store/backup-list.ts';
import type { NodeLoop } from '../node-loop.ts';
import { withoutHands } from '../without-hands.ts';
import {
  askedBy,
  type ChangeAnswer,
  type ChangeQuery,
  isAdmin,
  refuseInDryRun,
} from './change-answer.ts';
import { loopOf } from './guests.ts';
import { whenItsTurn } from './in-line.ts';
import { HttpProblem } from './problem.ts';
import type { Asked } from './route.ts';

/** A rollback of one guest, as the command `rollback` makes it. */

type AskedToRollBack = Asked<ChangeQuery>;

/** @param to `first`, `own`, a time or the id of a backup; undefined: before the last change */
export async function rollBack(
  asked: AskedToRollBack,
  vmid: Vmid,
  to: string | undefined,
): Promise<ChangeAnswer> {
  const { service, query } = asked;
  const loop = loopOf(service, vmid, query.node);
  refuseInDryRun(loop.settings.dryRun, query);
  return whenItsTurn(asked, loop, async (stop) => {
    const goal = { ...(await goalOf(asked, loop, vmid, to)), askedBy: askedBy(asked) };
    const { cpus } = loop.world.host.observe();
    const world = query.dry_run ? withoutHands(loop.open.world) : loop.open.world;
    const context = {
      hostCpus: cpus.ok ? cpus.value : undefined,
      stop,
      hostPolicy: loop.settings.hostPolicy,
      localTime: createTimestamp(loop.config.timezone),
    };
    const result = await restore(world, goal, context);
    if (!query.dry_run) keepRestored(loop, vmid, result, isAdmin(asked));
    return answerOf(result, vmid, describeRestore(result, goal, context));
  });
}

/** What came of it was asked for, and is not to be taken for something that was set by hand. */
function keepRestored(
  loop: NodeLoop,
  vmid: Vmid,
  { target }: RestoreResult,
  asAdmin: boolean,
): void {
  const { world, state, settings } = loop;
  const file = world.guests.read(vmid);
  const record = state.guests.get(vmid);
  if (!file.ok || record?.known === undefined) return;
  const now = file.value.config;
  const came = LEVERS.filter((lever) => isSameValue(lever, now[lever], target[lever]));
  if (came.length === 0) return;
  record.known = { ...record.known, ...pick(now, came) };
  const sinceMs = world.clock.monotonicMs();
  for (const resource of new Set(came.map(resourceOf))) {
    keepAsked(record, resource, { management: settings.manage(now), asAdmin, sinceMs });
  }
  loop.save();
}

/** Throws for a guest that the configuration leaves alone, and for what its policy forbids. */
function refuseByPolicy(
  asked: AskedToRollBack,
  { settings }: NodeLoop,
  now: GuestConfig,
  then: GuestConfig,
): void {
  const management = settings.manage(now);
  const why =
    management.kind === 'ignored'
      ? management.because
      : isAdmin(asked)
        ? undefined
        : whyOutside(now, then, management.policy);
  if (why === undefined) return;
  throw new HttpProblem('refused', `${guestLabel(now)} was not rolled back: ${why}`);
}

async function goalOf(
  asked: AskedToRollBack,
  loop: NodeLoop,
  vmid: Vmid,
  to: string | undefined,
): Promise<RestoreGoal> {
  const { service } = asked;
  const { config, open, world } = loop;
  const point = to === undefined ? ({ kind: 'newest' } as const) : parseRestorePoint(to);
  if (point === undefined) {
    const detail =
      'to is none of first, own, a time such as 2026-11-21 22:04, or the id of a backup';
    throw new HttpProblem('wrong-request', detail);
  }
  const listing = listBackups(join(service.context.paths.at(config.backupDir), open.below), vmid);
  if (!listing.ok) throw new HttpProblem('failed', listing.detail);
  await world.inspect(vmid);
  const file = world.guests.read(vmid);
  if (!file.ok) throw new HttpProblem('refused', file.detail);
  const now = file.value.config;
  const own = backupsOfGuest(now.identity, listing.value.backups);
  const localTime = createTimestamp(config.timezone);
  const backup = chooseBackup(own, point, localTime);
  if (backup === undefined) {
    const why = explainNoBackup(own, point, localTime);
    throw new HttpProblem('refused', `${guestLabel(now)} was not rolled back: ${why}`);
  }
  if (!backup.config.ok) throw new HttpProblem('refused', backup.config.detail);
  const isOwn = point.kind === 'own';
  const then = isOwn ? { ...now, ...ownValues(now, own).values } : backup.config.value;
  refuseByPolicy(asked, loop, now, then);
  const { id: backupId, takenAtMs } = backup;
  return { vmid, backupId, takenAtMs, isOwn, config: then, guest: now.identity };
}

function answerOf(result: RestoreResult, vmid: Vmid, says: string): ChangeAnswer {
  const { kind, before, target, backup, note } = result;
  if (kind === 'failed' || kind === 'refused' || kind === 'absent' || !isWhole(result)) {
    throw new HttpProblem(kind === 'failed' ? 'failed' : 'refused', says);
  }
  return {
    outcome: kind,
    vmid,
    changes: rowsOf(before, target),
    says,
    ...(backup !== undefined && { backup }),
    ...(note !== undefined && { note }),
  };
}

const rowsOf = (
  before: Partial<Allocation>,
  target: Partial<Allocation>,
): ChangeAnswer['changes'] =>
  LEVERS.filter((lever) => target[lever] !== undefined).map((lever) => ({
    resource: resourceOf(lever),
    ...(lever === 'cpuLimit' && { unit: 'cpulimit' }),
    before: before[lever] ?? null,
    after: target[lever] ?? null,
  }));
