import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessContext } from '../app/context.ts';
import type { Measured } from '../config/proposal.ts';
import { isStopped } from '../core/guest-state.ts';
import type { CgroupSample, GuestConfig } from '../core/observation.ts';
import type { Reading } from '../core/reading.ts';
import { cores, mib } from '../core/units.ts';
import { cpuUsage, memoryUsage } from '../core/usage.ts';
import { createCgroups } from '../node/local/kernel/cgroup-files.ts';

/** What running containers use, by the readers of the daemon. Reads files only. */

/** What was seen of one container so far. */
interface Seen {
  readonly config: GuestConfig;
  first: CgroupSample;
  last: CgroupSample;
  peakCores: number;
  memorySum: number;
  memoryPeak: number;
  memoryCount: number;
}

const MOST_STEP_SECONDS = 5;

/**
 * Measures the containers for so many seconds: the mean between the first sample and the last, and
 * the highest of the intervals between, of some seconds each. Those that do not run are left out.
 *
 * @param looked is told of each look: how many run, how many looks were taken before it, and of how
 *   many that come after the first
 */
export async function measure(
  guests: readonly GuestConfig[],
  hostCpus: Reading<number>,
  seconds: number,
  { paths, clock }: Pick<ProcessContext, 'paths' | 'clock'>,
  looked: (running: number, taken: number, of: number) => void = () => {},
): Promise<Measured[]> {
  const cgroups = createCgroups(paths, clock);
  const steps = Math.max(1, Math.ceil(seconds / MOST_STEP_SECONDS), Math.min(12, seconds));
  const seen = new Map<number, Seen>();
  try {
    for (let step = 0; step <= steps; step++) {
      if (step > 0) await sleep((seconds * 1000) / steps);
      for (const config of guests) {
        const sample = cgroups.sample(config.vmid);
        if (!sample.ok || isStopped(sample)) {
          seen.delete(config.vmid);
          continue;
        }
        const before = seen.get(config.vmid);
        // A container that was restarted begins anew.
        const same = before?.last.identity === sample.value.identity ? before : undefined;
        const from = same ?? begin(config, sample.value);
        seen.set(config.vmid, next(from, sample.value, hostCpus));
      }
      looked(seen.size, step, steps);
    }
  } finally {
    cgroups.close();
  }
  return [...seen.values()].map((one) => measuredOf(one, hostCpus));
}

const begin = (config: GuestConfig, sample: CgroupSample): Seen => ({
  config,
  first: sample,
  last: sample,
  peakCores: 0,
  memorySum: 0,
  memoryPeak: 0,
  memoryCount: 0,
});

function next(before: Seen, now: CgroupSample, hostCpus: Reading<number>): Seen {
  const cpu = cpuUsage(before.last, now, before.config, hostCpus);
  const memory = memoryUsage(before.last, now);
  const mibUsed = memory.ok ? memory.value.workingSetMib : 0;
  return {
    ...before,
    last: now,
    peakCores: Math.max(before.peakCores, cpu.ok ? cpu.value.used : 0),
    memorySum: before.memorySum + mibUsed,
    memoryPeak: Math.max(before.memoryPeak, mibUsed),
    memoryCount: before.memoryCount + (memory.ok ? 1 : 0),
  };
}

function measuredOf(seen: Seen, hostCpus: Reading<number>): Measured {
  const { config, first, last, peakCores, memorySum, memoryPeak, memoryCount } = seen;
  const { vmid, name, tags, memoryMib } = config;
  const whole = cpuUsage(first, last, config, hostCpus);
  const cpu = whole.ok
    ? { mean: whole.value.used, peak: cores(peakCores), allowed: whole.value.allowed }
    : undefined;
  const memory =
    memoryCount === 0 ? undefined : { mean: mib(memorySum / memoryCount), peak: mib(memoryPeak) };
  return { vmid, name, tags, cores: config.cores ?? undefined, memoryMib, cpu, memory };
}
