import type { Resource } from '../allocation.ts';
import type { Decision } from '../decision.ts';
import type { Plan } from '../plan.ts';
import type { Management } from '../policy.ts';
import type { Vmid } from '../units.ts';
import { short } from './fact.ts';

/** What would be changed without observe mode and dry run. */

/** What a container has and would get; null: that resource stays. */
export interface WouldRow {
  readonly cores: Step | null;
  readonly memoryMib: Step | null;
}

export interface Step {
  readonly from: number;
  readonly to: number;
}

/** All changes that are left out because their containers are only observed. */
export interface Observing {
  /** `all`: every managed container is observed only; `some`: the others are changed. */
  readonly scope: 'dry run' | 'all' | 'some';
  /** How many containers are observed only. */
  readonly observed: number;
  /** How many of them would be changed, and by how much together. */
  readonly containers: number;
  readonly cores: number;
  readonly memoryMib: number;
  /** How many of them have no CPU figure yet. */
  readonly measuring: number;
}

/** The step that a decision comes to, and that nobody takes. */
export function stepLeftOut(planned: Decision, dryRun: boolean): Step | undefined {
  if (planned.measured === undefined) return undefined;
  const from = short(planned.measured.before);
  if (planned.verdict !== 'hold') {
    return dryRun ? { from, to: short(planned.after) } : undefined;
  }
  const { because } = planned;
  return because.kind === 'observe-only' ? { from, to: short(because.would) } : undefined;
}

export interface Planned {
  readonly planned: Plan;
  readonly dryRun: boolean;
  /** Of every container that can be read. */
  readonly managements: Iterable<Management>;
}

/** undefined: nothing is only observed. */
export function observing({ planned, dryRun, managements }: Planned): Observing | undefined {
  const modes = [...managements].flatMap((each) => (each.kind === 'managed' ? [each.mode] : []));
  const observed = dryRun ? modes.length : modes.filter((mode) => mode === 'observe').length;
  if (observed === 0 && !dryRun) return undefined;
  const scope = dryRun ? 'dry run' : observed === modes.length ? 'all' : 'some';
  const sums: Record<Resource, number> = { cores: 0, memory: 0 };
  const changed = new Set<Vmid>();
  let measuring = 0;
  for (const decision of decisionsOf(planned)) {
    if (isMeasuring(decision)) measuring += 1;
    const step = stepLeftOut(decision, dryRun);
    if (step === undefined) continue;
    sums[decision.resource] += step.to - step.from;
    changed.add(decision.vmid);
  }
  return {
    scope,
    observed,
    containers: changed.size,
    measuring,
    cores: short(sums.cores),
    memoryMib: Math.round(sums.memory),
  };
}

const decisionsOf = ({ changes, held }: Plan): readonly Decision[] => [
  ...held,
  ...changes.flatMap(({ cores, memory }) => [cores, memory].filter((one) => one !== undefined)),
];

/** CPU time is a counter: two samples make the first figure. */
export const isMeasuring = (decision: Decision): boolean =>
  decision.verdict === 'hold' &&
  decision.resource === 'cores' &&
  decision.because.kind === 'missing' &&
  decision.because.reading.why === 'first-sample';

const SCOPES = {
  all: 'OBSERVE MODE: nothing is changed',
  'dry run': 'DRY RUN: nothing is changed',
} as const;

/** The whole as a line: `OBSERVE MODE: ... 7 containers, -14 cores, -11.1 GB`. */
export function observingWords(seen: Observing): string {
  const { scope, observed, containers, cores, memoryMib } = seen;
  const only = `OBSERVED ONLY: ${plural(observed, 'container')}`;
  const who = scope === 'some' && observed !== 1 ? 'they' : 'it';
  const were = `${scope === 'some' ? only : SCOPES[scope]}. If ${who} were active:`;
  if (containers === 0) return `${were} no change now.`;
  const sums = [
    ...(cores === 0 ? [] : [`${signed(cores)} ${Math.abs(cores) === 1 ? 'core' : 'cores'}`]),
    ...(memoryMib === 0 ? [] : [signedMemory(memoryMib)]),
  ];
  return `${were} ${[plural(containers, 'container'), ...sums].join(', ')}.`;
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
export const signed = (value: number): string => (value > 0 ? `+${value}` : `${value}`);

const MIB_PER_GB = 1024;

/** `-512 MB`, `-11.1 GB`: in the unit that people think in. */
export function signedMemory(mib: number): string {
  if (Math.abs(mib) < MIB_PER_GB) return `${signed(mib)} MB`;
  return `${signed(Math.round((mib / MIB_PER_GB) * 10) / 10)} GB`;
}
