import { join } from 'node:path/posix';
import { type GuestIdentity, isSameGuest } from '../core/identity.ts';
import type { LoopState } from '../core/loop-state.ts';
import type { CgroupSample } from '../core/observation.ts';
import type { Vmid } from '../core/units.ts';
import {
  dayOf,
  encodeUsage,
  greater,
  type UsagePeaks,
  usageRecord,
} from '../core/usage-history.ts';
import type { CycleView } from '../loop/cycle.ts';
import { USAGE_DIRECTORY } from '../store/usage-files.ts';
import { createUsageStore } from '../store/usage-store.ts';
import type { ProcessContext } from './context.ts';
import type { OpenWorld } from './world.ts';

/** Writes what each cycle saw to the usage history. */
export interface UsageKeeper {
  /** @param idleMs the time until the next cycle */
  take(view: CycleView, state: LoopState, idleMs: number): void;
  /** Writes what waits. */
  close(): Promise<void>;
}

/**
 * Cycles within a minute share one line, so that two weeks of a hundred containers fit at any poll
 * interval. A cycle may come a little early.
 */
const LEAST_MS = 54_000;

const NOTHING: UsagePeaks = { cores: undefined, mib: undefined };

export function openUsageKeeper(
  { world: { log }, below }: Pick<OpenWorld, 'world' | 'below'>,
  { paths }: ProcessContext,
  days: () => number,
): UsageKeeper {
  const store = createUsageStore({
    directory: join(paths.at(USAGE_DIRECTORY), below),
    days,
    complain: (message) => log.warn(message, { component: 'metrics' }),
  });
  const recorded = new Map<Vmid, CgroupSample>();
  const peaks = new Map<Vmid, UsagePeaks>();
  /** Each file names a guest once, at its first line, so that older files can be deleted. */
  const named = new Map<Vmid, { readonly guest: GuestIdentity; readonly day: string }>();
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    take({ observed, wallMs }, state, idleMs) {
      const isDue = observed.atMs - lastMs >= LEAST_MS;
      if (isDue) lastMs = observed.atMs;
      const timeS = Math.round(wallMs / 1000);
      const hostCpus = observed.host.cpus;
      const lines: string[] = [];
      for (const { vmid, config, state: seen } of observed.containers) {
        const now = state.guests.get(vmid)?.life.sample;
        if (seen.kind === 'frozen') recorded.delete(vmid);
        if (seen.kind !== 'running' || !config.ok || now === undefined) continue;
        const { identity } = config.value;
        // A guest without an identity could be confused with its successor: not recorded.
        if (identity === undefined) continue;
        const last = named.get(vmid);
        if (!isSameGuest(last?.guest, identity)) peaks.delete(vmid);
        const peak = peaksOf(state, vmid, peaks.get(vmid));
        if (!isDue) {
          peaks.set(vmid, peak);
          continue;
        }
        const before = recorded.get(vmid);
        recorded.set(vmid, now);
        const { usage } = seen;
        const what = { timeS, config: config.value, usage, before, now, peaks: peak, hostCpus };
        const record = usageRecord(what);
        const day = dayOf(timeS);
        const isNamed = last?.guest === identity && last.day === day;
        named.set(vmid, isNamed ? last : { guest: identity, day });
        lines.push(encodeUsage(isNamed ? record : { ...record, guest: identity }));
      }
      if (!isDue) return;
      peaks.clear();
      forgetOthers(recorded, state);
      forgetOthers(named, state);
      // Joined once: V8 keeps a text that grows line by line in pieces, in ten times the memory.
      if (lines.length > 0) store.append(`${lines.join('\n')}\n`, timeS, idleMs / 1000);
    },
    close: () => store.close(),
  };
}

/** Includes the peaks of the last cycle, which contain the samples between the cycles. */
function peaksOf({ guests }: LoopState, vmid: Vmid, before: UsagePeaks = NOTHING): UsagePeaks {
  const seen = guests.get(vmid)?.life.seen;
  return {
    cores: greater(before.cores, seen?.cores.at(-1)?.peak),
    mib: greater(before.mib, seen?.memory.at(-1)?.peak),
  };
}

function forgetOthers(recorded: Map<Vmid, unknown>, { guests }: LoopState): void {
  for (const vmid of recorded.keys()) {
    if (guests.get(vmid)?.life.sample === undefined) recorded.delete(vmid);
  }
}
