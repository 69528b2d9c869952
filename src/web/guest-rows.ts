import type { ContainerRow } from '../core/report/status.ts';
import { type Tone, toneOf } from '../core/report/tone.ts';

/** Which guests the table shows, and in which order. Pure. */

/** A filter of one click. */
export interface Chip {
  readonly key: string;
  readonly label: string;
  readonly takes: (row: ContainerRow) => boolean;
}

const ON_HOLD = /\bon hold\b/;

/** A hold that `resume` ends: a pause, or the hour after a rollback. */
export const isHeld = ({ now }: ContainerRow): boolean => ON_HOLD.test(now.brief);

export const isPaused = (row: ContainerRow): boolean =>
  isHeld(row) && /^(?:it is )?paused\b/i.test(row.now.says);

/** What `status` says of it, with a pause called so. */
export const nowWords = (row: ContainerRow): string =>
  isPaused(row) ? row.now.brief.replace(ON_HOLD, 'paused') : row.now.brief;

const saysNow =
  (words: RegExp) =>
  ({ now }: ContainerRow): boolean =>
    words.test(now.brief);

export const CHIPS: readonly Chip[] = [
  { key: 'all', label: 'All', takes: () => true },
  { key: 'would', label: 'Would change', takes: ({ would }) => would !== null },
  { key: 'maximum', label: 'At maximum', takes: saysNow(/\bat maximum\b/) },
  { key: 'hold', label: 'On hold', takes: (row) => isHeld(row) && !isPaused(row) },
  { key: 'paused', label: 'Paused', takes: isPaused },
  { key: 'failed', label: 'Failed', takes: (row) => toneOf(row) === 'bad' },
  { key: 'ignored', label: 'Ignored', takes: ({ mode }) => mode === 'ignored' },
];

export const chipOf = (key: string): Chip =>
  CHIPS.find((chip) => chip.key === key) ?? { key: 'all', label: 'All', takes: () => true };

/** All words of the search must be somewhere in what the row says. */
export function matches(row: ContainerRow, search: string): boolean {
  const words = search.toLowerCase().split(/\s+/);
  const { vmid, name, policy, state, mode, kind } = row;
  const said = [
    vmid,
    name,
    policy ?? '',
    nowWords(row),
    state,
    mode,
    kind === 'qemu' ? 'vm' : 'ct',
  ];
  const text = said.join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

export type SortKey = 'vmid' | 'name' | 'policy' | 'cpu' | 'memory' | 'waits' | 'change' | 'now';

export interface Order {
  readonly key: SortKey;
  readonly down: boolean;
}

/** Numbers begin with the largest, names with the first letter. */
export const BEGINS_DOWN: ReadonlySet<SortKey> = new Set(['cpu', 'memory', 'waits', 'change']);

const WEIGHT: Readonly<Record<Tone, number>> = { bad: 0, busy: 1, calm: 2, idle: 3 };

/** What is not known comes last in either direction: undefined. */
const VALUES: Readonly<Record<SortKey, (row: ContainerRow) => number | string | undefined>> = {
  vmid: ({ vmid }) => vmid,
  name: ({ name }) => name.toLowerCase(),
  policy: ({ policy }) => policy?.toLowerCase(),
  cpu: ({ cpu }) => ('missing' in cpu ? undefined : cpu.usedCores),
  memory: ({ memory }) => ('missing' in memory ? undefined : memory.usedMib),
  waits: ({ pressure: { cpuPercent: cpu, memoryPercent: memory } }) =>
    cpu === null && memory === null ? undefined : Math.max(cpu ?? 0, memory ?? 0),
  change: ({ lastChange }) => (lastChange === null ? undefined : Date.parse(lastChange.at)),
  now: (row) => `${WEIGHT[toneOf(row)]} ${nowWords(row)}`,
};

export function sorted(rows: readonly ContainerRow[], { key, down }: Order): ContainerRow[] {
  const value = VALUES[key];
  return [...rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === b) return one.vmid - other.vmid;
    if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
    return a < b === down ? 1 : -1;
  });
}

/** The rows of a new report, each the very same object as before if it says the same. */
export function keepingEqual(
  before: readonly ContainerRow[],
  now: readonly ContainerRow[],
): readonly ContainerRow[] {
  const known = new Map(before.map((row) => [row.vmid, row]));
  return now.map((row) => {
    const old = known.get(row.vmid);
    return old !== undefined && JSON.stringify(old) === JSON.stringify(row) ? old : row;
  });
}
