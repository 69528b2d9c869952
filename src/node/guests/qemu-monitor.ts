import type { GuestStats, MonitorAnswer } from '../../core/machine-memory.ts';
import { missing, present, type Reading } from '../../core/reading.ts';
import { type Bytes, bytes, type Milliseconds, milliseconds } from '../../core/units.ts';
import { asObject } from '../../os/json-object.ts';
import type { QmpAnswer, Question } from './qmp.ts';

/** What QEMU is asked of a machine, and what its answers mean. Source: QEMU, qapi. */

const BALLOON = '/machine/peripheral/balloon0';

export const QUESTIONS: readonly Question[] = [
  { execute: 'query-status' },
  { execute: 'query-balloon' },
  { execute: 'qom-get', arguments: { path: BALLOON, property: 'guest-stats' } },
  { execute: 'query-cpus-fast' },
  { execute: 'query-memory-size-summary' },
];

/** What it may take to answer them. */
export const MONITOR_LIMIT_MS = milliseconds(3000);

/** A driver tells every 2 s. One that is silent for so long is gone, or its guest hangs. */
const SILENT_S = 60;
const NO_DRIVER = missing(
  'absent',
  'no balloon driver answers in it: install one (virtio-balloon; on Windows with its service)',
);
const NO_DEVICE = missing('absent', 'it has no balloon device, which alone tells of its memory');

export interface AskedAt {
  readonly atMs: Milliseconds;
  readonly wallMs: Milliseconds;
}

/** @param answers to `QUESTIONS`, in their order */
export function monitorAnswer(
  answers: readonly QmpAnswer[],
  { atMs, wallMs }: AskedAt,
): Reading<MonitorAnswer> {
  const [status, balloon, stats, cpus, sizes] = answers;
  const running = returned(status)?.['running'];
  if (typeof running !== 'boolean') return missing('malformed', 'QEMU does not tell how it is');
  const actual = numberOf(returned(balloon)?.['actual']);
  const cpuList = cpus?.ok === true && Array.isArray(cpus.value) ? cpus.value : undefined;
  return present({
    atMs,
    isRunning: running,
    actualBytes: actual === undefined ? NO_DEVICE : present(actual),
    hardwareBytes: sumOf(returned(sizes)),
    vcpus: cpuList !== undefined && cpuList.length > 0 ? cpuList.length : undefined,
    stats: statsOf(returned(stats), wallMs),
  });
}

/** `plugged-memory` is left out where nothing can be plugged in. */
function sumOf(sizes: Readonly<Record<string, unknown>> | undefined): Bytes | undefined {
  const [base, plugged] = ['base-memory', 'plugged-memory'].map((key) => numberOf(sizes?.[key]));
  return base === undefined ? undefined : bytes(base + (plugged ?? 0));
}

function statsOf(
  answer: Readonly<Record<string, unknown>> | undefined,
  wallMs: Milliseconds,
): Reading<GuestStats> {
  const stats = asObject(answer?.['stats']);
  if (answer === undefined || stats === undefined) return NO_DEVICE;
  const lastUpdateS = numberOf(answer['last-update']) ?? 0;
  const totalBytes = numberOf(stats['stat-total-memory']);
  const freeBytes = numberOf(stats['stat-free-memory']);
  if (lastUpdateS === 0 || totalBytes === undefined || freeBytes === undefined) return NO_DRIVER;
  const silentS = wallMs / 1000 - lastUpdateS;
  if (silentS > SILENT_S) {
    const since = `its balloon driver has told nothing for ${Math.round(silentS)} s`;
    return missing('unreadable', since);
  }
  // It is of before the clock of the host was set back.
  if (silentS < -SILENT_S) {
    const ahead = `what its balloon driver told is ${Math.round(-silentS)} s ahead of the clock`;
    return missing('unreadable', ahead);
  }
  return present({
    totalBytes,
    freeBytes,
    availableBytes: numberOf(stats['stat-available-memory']),
    swappedInBytes: numberOf(stats['stat-swap-in']),
    oomKills: numberOf(stats['stat-oom-kills']),
    allocationStalls: numberOf(stats['stat-alloc-stalls']),
  });
}

const returned = (answer: QmpAnswer | undefined): Readonly<Record<string, unknown>> | undefined =>
  answer?.ok === true ? asObject(answer.value) : undefined;

/** What a driver does not know is -1, or the same without a sign. */
function numberOf(value: unknown): Bytes | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  return value >= 0 && value < 2 ** 62 ? bytes(value) : undefined;
}
