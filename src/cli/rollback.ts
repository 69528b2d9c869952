import { join } from 'node:path/posix';
import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { openNamed } from '../app/named-node.ts';
import type { Signals } from '../app/scheduler.ts';
import { withoutHands } from '../app/without-hands.ts';
import type { OpenWorld } from '../app/world.ts';
import { onNode } from '../config/on-node.ts';
import { hostPolicy, manage, seeingAll } from '../config/resolve.ts';
import type { StoredBackup } from '../core/backup.ts';
import { guestInside, LONGEST_NAME } from '../core/guest-words.ts';
import { describeIdentity } from '../core/identity.ts';
import type { GuestConfig } from '../core/observation.ts';
import { backupsOfGuest, ownValues } from '../core/own-values.ts';
import { pauseAfter } from '../core/pause.ts';
import { asSentence, plainText } from '../core/plain-text.ts';
import type { Management } from '../core/policy.ts';
import { sinceText } from '../core/report/since.ts';
import { chooseBackup, explainNoBackup, type RestorePoint } from '../core/rollback.ts';
import { type Milliseconds, milliseconds, type Vmid } from '../core/units.ts';
import { letGoLeft } from '../loop/hold-down.ts';
import { describeRestore, isWhole, notRolledBack } from '../loop/log-restore.ts';
import type { RestoreContext, RestoreGoal } from '../loop/restoration.ts';
import { restore } from '../loop/restore.ts';
import { cgroupVersion } from '../node/local/kernel/cgroup-version.ts';
import { createTimestamp } from '../os/timestamp.ts';
import type { CycleWorld, World } from '../ports.ts';
import { type BackupListing, listBackups } from '../store/backup-list.ts';
import type { Arguments } from './arguments.ts';
import { nowhere } from './ask.ts';

/** `rollback GUEST`, `rollback --all`: cores, cpulimit and memory as in a backup. Takes no lock. */

/** What the rollback of one container needs besides its backups. */
interface Desk {
  /** Without hands in a dry run. */
  readonly world: CycleWorld;
  readonly context: RestoreContext;
  readonly point: RestorePoint;
  /** With `--all`, what has been destroyed since is no failure. */
  readonly all: boolean;
  readonly otherGuest: boolean;
  readonly manage: (config: GuestConfig) => Management;
  readonly say: (line: string) => void;
  readonly complain: (line: string) => void;
}

export async function rollback(
  given: Arguments,
  context: ProcessContext,
  signals: Signals,
): Promise<ExitCode> {
  const { paths, stdout, stderr } = context;
  const complain = (line: string): void => void stderr.write(`${plainText(line)}\n`);
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const { backupDir, timezone } = loaded.config;
  // The console is for what the command prints; the log's own lines go to its file.
  const quiet = { ...context, stdout: nowhere() };
  // A virtual machine that was changed can go back also when none is managed any more.
  const open = await openNamed(given.node, seeingAll(loaded.config), quiet);
  if (typeof open === 'string') return refuse(complain, open);
  const directory = join(paths.at(backupDir), open.below);
  try {
    const unfit = whyUnfit(open, context);
    if (unfit !== undefined) return refuse(complain, unfit);
    const listing = listBackups(directory, given.vmid);
    if (!listing.ok) return refuse(complain, `The backups cannot be read: ${listing.detail}`);
    await letGoLeft(open.world);
    const stop = new AbortController();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) signals.on(signal, () => stop.abort());
    const cpus = open.world.host.observe().cpus;
    const here = onNode(loaded.config, open.name);
    const desk: Desk = {
      world: given.dryRun ? withoutHands(open.world) : open.world,
      context: {
        hostCpus: cpus.ok ? cpus.value : undefined,
        hostPolicy: hostPolicy(loaded.config),
        stop: stop.signal,
        localTime: createTimestamp(timezone),
      },
      point: pointOf(given.to, context.clock.wallMs(), createTimestamp(timezone)),
      all: given.vmid === undefined,
      otherGuest: given.otherGuest,
      manage: (config) => manage(here, config),
      say: (line) => void stdout.write(`${plainText(line)}\n`),
      complain,
    };
    if (desk.all && listing.value.backups.length === 0 && listing.value.problems.length === 0) {
      desk.say(`Nothing to roll back: there are no backups in ${directory}.`);
    }
    return await rollBackEach(desk, listing.value, given.vmid);
  } finally {
    await open.close();
  }
}

/** A time is one of the logs: `yesterday` is its midnight. */
export function pointOf(
  to: Arguments['to'],
  nowMs: Milliseconds,
  localTime: (wallMs: Milliseconds) => string,
): RestorePoint {
  if (to === undefined) return { kind: 'newest' };
  if (to.kind === 'span') return { kind: 'moment', ms: milliseconds(nowMs - to.ms) };
  if (to.kind !== 'day' && to.kind !== 'clock') return to;
  return { kind: 'time', text: sinceText(to, nowMs, localTime) };
}

function refuse(complain: (line: string) => void, message: string): ExitCode {
  complain(message);
  return EXIT.failure;
}

/** Without sight of containers and their memory use nothing is restored. */
function whyUnfit(
  { below, world: { guests } }: OpenWorld,
  { paths }: ProcessContext,
): string | undefined {
  const seen = guests.list();
  if (!seen.ok) return `The containers cannot be seen: ${seen.detail}`;
  const paused = whyPaused(guests);
  if (paused !== undefined) return paused;
  if (below !== '') return undefined;
  const version = cgroupVersion(paths);
  return version.ok ? undefined : version.message;
}

/** Without quorum `pct set` changes the live limit and then cannot write the configuration. */
function whyPaused(guests: World['guests']): string | undefined {
  const pause = pauseAfter(undefined, guests.quorum(), milliseconds(0));
  return pause && `Nothing was changed: ${pause.why}`;
}

async function rollBackEach(
  desk: Desk,
  { backups, problems }: BackupListing,
  only: Vmid | undefined,
): Promise<ExitCode> {
  for (const { detail } of problems) desk.complain(`Left out: ${detail}`);
  const vmids = only === undefined ? [...new Set(backups.map(({ vmid }) => vmid))] : [only];
  let whole = problems.length === 0;
  for (const vmid of vmids.sort((a, b) => a - b)) {
    const own = backups.filter((backup) => backup.vmid === vmid);
    const stopped = `Stopped before ${guestInside(savedGuest(vmid, own))}.`;
    if (desk.context.stop.aborted) {
      desk.complain(stopped);
      return EXIT.failure;
    }
    const paused = whyPaused(desk.world.guests);
    if (paused !== undefined) {
      desk.complain(`${stopped} ${paused}`);
      return EXIT.failure;
    }
    if (!(await rollBackOne(desk, vmid, own))) whole = false;
  }
  return whole ? EXIT.fine : EXIT.failure;
}

/** What its backups say that it is. Where none can be read it is called a container. */
const savedGuest = (vmid: Vmid, backups: readonly StoredBackup[]) =>
  backups.flatMap(({ config }) => (config.ok ? [config.value] : []))[0] ?? { vmid };

/** Returns whether all that was asked for has been done. */
async function rollBackOne(
  desk: Desk,
  vmid: Vmid,
  backups: readonly StoredBackup[],
): Promise<boolean> {
  const { world, context, point } = desk;
  const { localTime } = context;
  await world.inspect(vmid);
  const file = world.guests.read(vmid);
  // What cannot be read is told by the rollback itself.
  const now = file.ok ? file.value.config : undefined;
  const who = guestInside(now ?? savedGuest(vmid, backups));
  const own = now === undefined ? backups : ownBackups(desk, now, backups);
  if (now !== undefined && isStranger(own, backups, point))
    return leaveStranger(desk, now, backups);
  const chosen = chooseBackup(own, point, localTime);
  if (chosen === undefined) {
    const why = explainNoBackup(own, point, localTime);
    desk.complain(notRolledBack(who, why));
    return false;
  }
  if (!chosen.config.ok) {
    const why = `its backup ${chosen.id} cannot be used (${chosen.config.detail})`;
    const remedy = `for an older one: rollback ${vmid} --to TIME`;
    desk.complain(notRolledBack(who, `${why}; ${remedy}`));
    return false;
  }
  const guest = now?.identity;
  const { id: backupId, takenAtMs } = chosen;
  const goal = { vmid, backupId, takenAtMs, config: chosen.config.value, guest };
  if (point.kind !== 'own') return bringBack(desk, goal);
  if (now === undefined) return bringBack(desk, { ...goal, isOwn: true });
  const wanted = administratorsValues(desk, now, own);
  return wanted === undefined || bringBack(desk, { ...goal, isOwn: true, config: wanted });
}

const ownBackups = (
  { otherGuest }: Desk,
  { identity }: GuestConfig,
  backups: readonly StoredBackup[],
): readonly StoredBackup[] => (otherGuest ? backups : backupsOfGuest(identity, backups));

/** Whether there are backups, and those that are asked for are all of other guests. */
function isStranger(
  own: readonly StoredBackup[],
  all: readonly StoredBackup[],
  point: RestorePoint,
): boolean {
  const isAsked = ({ id }: StoredBackup): boolean => point.kind !== 'id' || id === point.id;
  return all.some(isAsked) && !own.some(isAsked);
}

/**
 * With `--all` a guest that was destroyed is no failure, and neither is one whose id was given
 * away again. One that cannot be recognised may be the one that was changed.
 */
function leaveStranger(desk: Desk, now: GuestConfig, all: readonly StoredBackup[]): boolean {
  const { vmid, name, identity } = now;
  const who = `${guestInside(now)} (${plainText(name, LONGEST_NAME)})`;
  const [newest] = all.filter(({ config }) => config.ok);
  const then = newest?.config.ok === true ? describeIdentity(newest.config.value.identity) : '-';
  const is = identity === undefined ? 'it cannot be told whether it is' : 'it is not';
  const why =
    `${is} the guest of which there are backups. ` +
    `It has ${describeIdentity(identity)}; the newest backup: ${then}`;
  const remedy = `To give it those values all the same: rollback ${vmid} --other-guest`;
  if (!desk.all) desk.complain(notRolledBack(who, `${why}. ${remedy}`));
  else if (identity === undefined) desk.complain(notRolledBack(who, why));
  else desk.say(asSentence(`${who} is skipped: ${why}`));
  return desk.all && identity !== undefined;
}

/** The configuration as an administrator wants it; undefined if nothing is to be done. */
function administratorsValues(
  desk: Desk,
  now: GuestConfig,
  own: readonly StoredBackup[],
): GuestConfig | undefined {
  const who = `${guestInside(now)} (${plainText(now.name, LONGEST_NAME)})`;
  const management = desk.manage(now);
  if (management.kind === 'ignored') {
    desk.say(asSentence(`${who} is left as it is: ${management.because}`));
    return undefined;
  }
  const { values, setSince } = ownValues(now, own);
  for (const of of setSince) {
    desk.say(asSentence(`${who}: ${NAMES[of]} was set by somebody else since, and stays`));
  }
  return { ...now, ...values };
}

const NAMES = { cores: 'its number of cores', cpuLimit: 'its cpulimit', memoryMib: 'its memory' };

async function bringBack(desk: Desk, goal: RestoreGoal): Promise<boolean> {
  const { world, context } = desk;
  const result = await restore(world, goal, context);
  const isFine = isWhole(result) || (desk.all && result.kind === 'absent');
  const write = isFine ? desk.say : desk.complain;
  write(describeRestore(result, goal, context));
  return isFine;
}
