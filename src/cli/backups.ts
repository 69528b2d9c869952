import { join } from 'node:path/posix';
import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { openNamed } from '../app/named-node.ts';
import { isAway } from '../app/unfit.ts';
import type { Config } from '../config/model.ts';
import type { StoredBackup } from '../core/backup.ts';
import { LONGEST_NAME_IN_TABLE } from '../core/guest-words.ts';
import type { GuestConfig } from '../core/observation.ts';
import { backupsOfGuest } from '../core/own-values.ts';
import { plainText } from '../core/plain-text.ts';
import { firstOfEachGuest } from '../core/retention.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import type { Guests } from '../node/port.ts';
import { createTimestamp } from '../os/timestamp.ts';
import { listBackups } from '../store/backup-list.ts';
import type { Arguments } from './arguments.ts';

/** `backups [GUEST]`: the copies made before each change, the newest first. Only reads. */

const LONGEST_REASON = 160;
const LONGEST_REASON_IN_JSON = 4096;

type LocalTime = (wallMs: StoredBackup['takenAtMs']) => string;

export function backups(given: Arguments, context: ProcessContext): ExitCode | Promise<ExitCode> {
  const { paths, stderr } = context;
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const { config } = loaded;
  const isFar = given.node !== undefined || isAway(config, context);
  if (isFar) return listFar(given, context, config);
  return list(given, context, config, createGuests(paths));
}

async function listFar(
  given: Arguments,
  context: ProcessContext,
  config: Config,
): Promise<ExitCode> {
  const open = await openNamed(given.node, config, context);
  if (typeof open === 'string') {
    context.stderr.write(`${plainText(open)}\n`);
    return EXIT.failure;
  }
  try {
    return list(given, context, config, open.world.guests, open.below);
  } finally {
    await open.close();
  }
}

/** @param below where the copies lie, below the directory of all */
function list(
  given: Arguments,
  { paths, stdout, stderr }: ProcessContext,
  { backupDir, timezone }: Config,
  guests: Pick<Guests, 'read'>,
  below = '',
): ExitCode {
  const directory = join(paths.at(backupDir), below);
  const listing = listBackups(directory, given.vmid);
  if (!listing.ok) {
    stderr.write(`The backups cannot be read: ${listing.detail}.\n`);
    return EXIT.failure;
  }
  const { backups: found, problems } = listing.value;
  for (const { detail } of problems) stderr.write(`Left out: ${plainText(detail)}.\n`);
  const localTime = createTimestamp(timezone);
  const marks = marksOf(found, guests);
  if (given.json) {
    const rows = found.map((backup) => ({ ...asJson(backup, localTime), ...marks(backup) }));
    stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  } else if (found.length === 0) {
    const whose = given.vmid === undefined ? '' : ` of guest ${given.vmid}`;
    stdout.write(`There are no backups${whose} in ${directory}.\n`);
  } else {
    stdout.write(table([HEAD, ...found.map((backup) => cells(backup, localTime, marks(backup)))]));
  }
  return problems.length > 0 ? EXIT.failure : EXIT.fine;
}

const HEAD = ['VMID', 'NAME', 'TIME', 'CORES', 'CPULIMIT', 'MEMORY MB', 'ID', 'MADE FOR'];

function cells(backup: StoredBackup, localTime: LocalTime, marks: Marks): string[] {
  const { vmid, id, takenAtMs, config, madeFor } = backup;
  const values = config.ok ? valuesOf(config.value) : ['-', '-', '-'];
  const name = config.ok ? plainText(config.value.name, LONGEST_NAME_IN_TABLE) : '-';
  const time = localTime(takenAtMs);
  return [`${vmid}`, name, time, ...values, id, purposeWords(backup, madeFor, marks)];
}

const valuesOf = ({ cores, cpuLimit, memoryMib }: GuestConfig): string[] => [
  `${cores ?? 'all'}`,
  `${cpuLimit ?? 'none'}`,
  `${memoryMib}`,
];

interface Marks {
  /** Of the guest that has the id now, or not; null: there is none, or it cannot be told. */
  readonly sameGuest: boolean | null;
  /** From before the first change of its guest: it is never removed. */
  readonly first: boolean;
}

function marksOf(
  found: readonly StoredBackup[],
  guests: Pick<Guests, 'read'>,
): (backup: StoredBackup) => Marks {
  const marks = new Map<StoredBackup, Marks>();
  for (const vmid of new Set(found.map((backup) => backup.vmid))) {
    const all = found.filter((backup) => backup.vmid === vmid);
    const now = guests.read(vmid);
    const identity = now.ok ? now.value.config.identity : undefined;
    const own = new Set(backupsOfGuest(identity, all));
    const firsts = firstOfEachGuest(all);
    for (const each of all) {
      const isKnown = identity !== undefined && each.config.ok;
      marks.set(each, { sameGuest: isKnown ? own.has(each) : null, first: firsts.has(each) });
    }
  }
  return (backup) => marks.get(backup) ?? { sameGuest: null, first: false };
}

function purposeWords(
  { config, id }: StoredBackup,
  madeFor: StoredBackup['madeFor'],
  { sameGuest, first }: Marks,
): string {
  const mark = `${sameGuest === false ? 'OTHER GUEST; ' : ''}${first ? 'FIRST; ' : ''}`;
  const purpose = madeFor.ok
    ? plainText(madeFor.value.reason, LONGEST_REASON)
    : `not known: ${madeFor.why === 'absent' ? `there is no ${id}.json` : `${id}.json is damaged`}`;
  return config.ok
    ? `${mark}${purpose}`
    : `NOT USABLE (${plainText(config.detail, LONGEST_REASON)}); ${purpose}`;
}

const UNREADABLE = { name: null, cores: null, cpuLimit: null, memoryMib: null };

function asJson(backup: StoredBackup, localTime: LocalTime): Readonly<Record<string, unknown>> {
  const { vmid, id, takenAtMs, path, config, madeFor } = backup;
  return {
    vmid,
    id,
    time: localTime(takenAtMs),
    takenAt: new Date(takenAtMs).toISOString(),
    path,
    ...(config.ok
      ? {
          name: plainText(config.value.name),
          cores: config.value.cores,
          cpuLimit: config.value.cpuLimit,
          memoryMib: config.value.memoryMib,
        }
      : { ...UNREADABLE, problem: plainText(config.detail) }),
    madeFor: madeFor.ok
      ? { ...madeFor.value, reason: plainText(madeFor.value.reason, LONGEST_REASON_IN_JSON) }
      : null,
  };
}

/** Columns two blanks apart; the last one is a sentence and widens none. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}
