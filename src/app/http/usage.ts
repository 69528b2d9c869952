import { join } from 'node:path/posix';
import { isSameGuest } from '../../core/identity.ts';
import { type Milliseconds, milliseconds, type Vmid } from '../../core/units.ts';
import type { UsageRecord } from '../../core/usage-history.ts';
import { readUsage } from '../../store/usage-files.ts';
import type { ProcessContext } from '../context.ts';
import type { NodeLoop } from '../node-loop.ts';
import { refuseGone } from './problem.ts';

/** The history of usage for charts: of one guest, or of all of them in few points. */

export const USAGE_COLUMNS = [
  'timeS',
  'cpuCores',
  'memoryMib',
  'cpuDemand',
  'cpuPeak',
  'memoryPeakMib',
  'cpuAllowed',
  'memoryLimitMib',
  'cpuWaitPercent',
  'memoryWaitPercent',
] as const satisfies readonly (keyof UsageRecord)[];

const MOST_ROWS = 1000;

export interface UsageWanted {
  readonly context: ProcessContext;
  readonly loop: NodeLoop;
  /** Of the last hours. */
  readonly hours: number;
  /** Fires when whoever asked has gone. */
  readonly gone: AbortSignal;
}

const beginOf = ({ context, hours }: UsageWanted): Milliseconds =>
  milliseconds(context.clock.wallMs() - hours * 3_600_000);

/**
 * Only what the guest of today has used: its id may have belonged to another one before. Throws if
 * whoever asked has gone.
 */
export async function* ownUsage(wanted: UsageWanted): AsyncGenerator<UsageRecord> {
  const {
    context: { paths },
    loop: { state, open },
    gone,
  } = wanted;
  const at = (path: string): string => join(paths.at(path), open.below);
  for await (const record of readUsage({ ...paths, at }, beginOf(wanted), () => {})) {
    refuseGone(gone);
    const identity = state.guests.get(record.vmid)?.identity;
    if (record.guest === undefined || isSameGuest(identity, record.guest)) yield record;
  }
}

/** The rows of one guest, the oldest first; of several in one step the one with most CPU stays. */
export async function guestUsage(wanted: UsageWanted, vmid: Vmid): Promise<object> {
  const fromMs = beginOf(wanted);
  const found: UsageRecord[] = [];
  for await (const record of ownUsage(wanted)) {
    if (record.vmid === vmid) found.push(record);
  }
  const rows = thinned(found).map((record) => USAGE_COLUMNS.map((name) => record[name] ?? null));
  return { vmid, from: new Date(fromMs).toISOString(), columns: USAGE_COLUMNS, rows };
}

function thinned(records: readonly UsageRecord[]): readonly UsageRecord[] {
  const step = Math.ceil(records.length / MOST_ROWS);
  if (step <= 1) return records;
  const kept: UsageRecord[] = [];
  for (let begin = 0; begin < records.length; begin += step) {
    const some = records.slice(begin, begin + step);
    const highest = some.reduce((one, other) => (peakOf(other) > peakOf(one) ? other : one));
    kept.push(highest);
  }
  return kept;
}

const peakOf = ({ cpuPeak, cpuCores }: UsageRecord): number => cpuPeak ?? cpuCores ?? 0;

export interface UsageOfAll {
  readonly from: string;
  readonly stepS: number;
  readonly points: number;
  /** Shares of what each may use, 0 to 1; null: not known. */
  readonly guests: Readonly<Record<string, { cpu: (number | null)[]; memory: (number | null)[] }>>;
}

/** The highest share of each step, of all guests. */
export async function usageOfAll(wanted: UsageWanted, points: number): Promise<UsageOfAll> {
  const fromMs = beginOf(wanted);
  const stepS = (wanted.hours * 3600) / points;
  const guests: Record<string, { cpu: (number | null)[]; memory: (number | null)[] }> = {};
  const none = (): (number | null)[] => new Array<number | null>(points).fill(null);
  for await (const one of ownUsage(wanted)) {
    const place = Math.min(points - 1, Math.floor((one.timeS - fromMs / 1000) / stepS));
    guests[one.vmid] ??= { cpu: none(), memory: none() };
    const shares = guests[one.vmid];
    if (shares === undefined || place < 0) continue;
    raise(shares.cpu, place, one.cpuPeak ?? one.cpuCores, one.cpuAllowed);
    raise(shares.memory, place, one.memoryPeakMib ?? one.memoryMib, one.memoryLimitMib);
  }
  return { from: new Date(fromMs).toISOString(), stepS, points, guests };
}

function raise(
  shares: (number | null)[],
  place: number,
  used: number | undefined,
  of: number | undefined,
): void {
  if (used === undefined || of === undefined || of <= 0) return;
  const share = Math.round(Math.min(1, used / of) * 1000) / 1000;
  shares[place] = Math.max(shares[place] ?? 0, share);
}
