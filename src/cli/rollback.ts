import { Writable } from 'node:stream';
import type { StoredBackup } from '../core/backup.ts';
import { plainText } from '../core/plain-text.ts';
import { chooseBackup, explainNoBackup, type RestorePoint } from '../core/rollback.ts';
import type { Vmid } from '../core/units.ts';
import type { Signals } from '../daemon.ts';
import { type BackupListing, listBackups } from '../host/backup-list.ts';
import { cgroupVersion } from '../host/cgroup-version.ts';
import type { World } from '../ports.ts';
import { createTimestamp } from '../report/timestamp.ts';
import { type RestoreContext, restore } from '../stages/restore.ts';
import {
  describeRestore,
  isWhole,
  notRolledBack,
  type RestoreFacts,
  tellRestore,
} from '../stages/tell-restore.ts';
import type { Arguments } from './arguments.ts';
import { readConfiguration, renderProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { openWorld, type Surroundings } from './world.ts';

/** `rollback VMID`, `rollback --all`: cores, cpulimit and memory as in a backup. Takes no lock. */

/** What the rollback of one container needs besides its backups. */
interface Desk {
  readonly world: World;
  readonly context: RestoreContext;
  readonly point: RestorePoint;
  readonly localTime: RestoreFacts['localTime'];
  /** With `--all`, what has been destroyed since is no failure. */
  readonly all: boolean;
  readonly say: (line: string) => void;
  readonly complain: (line: string) => void;
}

export async function rollback(
  given: Arguments,
  around: Surroundings,
  signals: Signals,
): Promise<ExitCode> {
  const { paths, stdout, stderr } = around;
  const complain = (line: string): void => void stderr.write(`${plainText(line)}\n`);
  const loaded = readConfiguration(given, around);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const { backupDir, timezone } = loaded.config;
  const directory = paths.at(backupDir);
  // The console is for what the command prints; the log's own lines go to its file.
  const open = openWorld(loaded.config, { ...around, stdout: nowhere() });
  try {
    const unfit = whyUnfit(open.world, around);
    if (unfit !== undefined) return refuse(complain, unfit);
    const listing = listBackups(directory, given.vmid);
    if (!listing.ok) return refuse(complain, `The backups cannot be read: ${listing.detail}`);
    const stop = new AbortController();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) signals.on(signal, () => stop.abort());
    const cpus = open.world.host.observe().cpus;
    const desk: Desk = {
      world: open.world,
      context: {
        hostCpus: cpus.ok ? cpus.value : undefined,
        dryRun: given.dryRun,
        stop: stop.signal,
      },
      point: given.to ?? { kind: 'newest' },
      localTime: createTimestamp(timezone),
      all: given.vmid === undefined,
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

const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, done): void => done() });

function refuse(complain: (line: string) => void, message: string): ExitCode {
  complain(message);
  return EXIT.failure;
}

/** Without sight of containers and their memory use nothing is restored. */
function whyUnfit({ guests }: World, { paths }: Surroundings): string | undefined {
  const seen = guests.list();
  if (!seen.ok) return `The containers cannot be seen: ${seen.detail}`;
  const version = cgroupVersion(paths);
  return version.ok ? undefined : version.message;
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
    if (desk.context.stop.aborted) {
      desk.complain(`Stopped before container ${vmid}.`);
      return EXIT.failure;
    }
    const own = backups.filter((backup) => backup.vmid === vmid);
    if (!(await rollBackOne(desk, vmid, own))) whole = false;
  }
  return whole ? EXIT.fine : EXIT.failure;
}

/** Returns whether all that was asked for has been done. */
async function rollBackOne(
  desk: Desk,
  vmid: Vmid,
  backups: readonly StoredBackup[],
): Promise<boolean> {
  const { world, context, point, localTime } = desk;
  const chosen = chooseBackup(backups, point, localTime);
  if (chosen === undefined) {
    const why = explainNoBackup(backups, point, localTime);
    desk.complain(notRolledBack(`container ${vmid}`, why));
    return false;
  }
  if (!chosen.config.ok) {
    const why = `its backup ${chosen.id} cannot be used (${chosen.config.detail})`;
    const remedy = `for an older one: rollback ${vmid} --to TIME`;
    desk.complain(notRolledBack(`container ${vmid}`, `${why}; ${remedy}`));
    return false;
  }
  const goal = { vmid, backupId: chosen.id, config: chosen.config.value };
  const result = await restore(world, goal, context);
  const facts: RestoreFacts = {
    ...{ vmid, backupId: chosen.id, takenAtMs: chosen.takenAtMs },
    ...{ hostCpus: context.hostCpus, localTime },
  };
  if (!context.dryRun) tellRestore(world, result, facts);
  const isFine = isWhole(result) || (desk.all && result.kind === 'absent');
  const tell = isFine ? desk.say : desk.complain;
  tell(describeRestore(result, facts));
  return isFine;
}
