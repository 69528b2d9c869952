import type { Lever, Resource } from './allocation.ts';
import type { Verdicts } from './decide.ts';
import type { Change, Decision, Hold, HoldReason } from './decision.ts';
import { explainHold, explainSkip, withUnit } from './explain.ts';
import { kindOf } from './guest-words.ts';
import type { LoopState } from './loop-state.ts';
import { asSettable, whyBeyondReach } from './machine-guards.ts';
import type { GuestConfig } from './observation.ts';
import type { CpuUnit } from './policy.ts';
import type { Vmid } from './units.ts';

/** What a person has asked for, in place of what the loop would decide. Pure. */
export interface AskedChange {
  readonly vmid: Vmid;
  /** Who it was: `api:NAME`. Fit to be printed. */
  readonly by: string;
  /** Cores, or a cpulimit: by what its CPU is scaled. */
  readonly cpu?: { readonly unit: CpuUnit; readonly to: number } | undefined;
  readonly memoryMib?: number | undefined;
  /** For so long; left out: until somebody changes it. */
  readonly boostMs?: number | undefined;
  /** The bounds of its policy do not count. What it needs, and what the host has, still does. */
  readonly force?: boolean | undefined;
  /** Who asks is an admin: what he gives counts as given, and bounds can be shares of it. */
  readonly asAdmin?: boolean | undefined;
}

export interface AskedVerdict {
  readonly changes: readonly Change[];
  /** Why nothing is done; undefined: it may be. */
  readonly refused: string | undefined;
}

/**
 * The changes that somebody has asked for, judged by the same numbers as the loop's own. A guest
 * whose need could not be read is not changed.
 *
 * @param verdicts what the loop has decided on this guest alone
 * @param guest its configuration; undefined if it could not be read
 */
export function decideAsked(
  asked: AskedChange,
  { decisions, skipped }: Verdicts,
  guest: GuestConfig | undefined,
  { guests }: Pick<LoopState, 'guests'>,
): AskedVerdict {
  const refuse = (refused: string): AskedVerdict => ({ changes: [], refused });
  const [skip] = skipped;
  if (skip !== undefined) return refuse(explainSkip(skip));
  if (guest === undefined) return refuse('it is not here any more');
  const changes: Change[] = [];
  for (const decision of decisions) {
    const to = wantedOf(asked, decision.resource);
    if (to === undefined) continue;
    const unit = decision.resource === 'cores' ? asked.cpu?.unit : undefined;
    if (unit !== undefined && unit !== unitOf(decision)) return refuse(OTHER_UNIT[unit]);
    const boost = guests.get(asked.vmid)?.[decision.resource].boost;
    if (asked.boostMs !== undefined && boost !== undefined) return refuse(BOOSTED);
    const judged = judge(asked, decision, to, guest);
    if (typeof judged === 'string') return refuse(judged);
    if (judged !== undefined) changes.push(judged);
  }
  return { changes, refused: undefined };
}

const BOOSTED = 'it has a boost already';
const OTHER_UNIT: Readonly<Record<CpuUnit, string>> = {
  cores: 'its policy scales its CPU by cpulimit, so ask for that',
  cpulimit: 'its policy scales its CPU by cores, so ask for these',
};

const wantedOf = ({ cpu, memoryMib }: AskedChange, resource: Resource): number | undefined =>
  resource === 'cores' ? cpu?.to : memoryMib;

const leverOf = (decision: Decision): Lever => {
  if (decision.resource === 'memory') return 'memoryMib';
  return unitOf(decision) === 'cores' ? 'cores' : 'cpuLimit';
};

const unitOf = (decision: Decision): CpuUnit => decision.unit ?? 'cores';

/** While these hold, what a guest could do without is not known. */
const BARS_LESS: ReadonlySet<HoldReason['kind']> = new Set<HoldReason['kind']>([
  'missing',
  'need-unseen',
  'day-unseen',
  'balloon-moves',
]);

/** The change, why it must not be made, or undefined if it has so much already. */
function judge(
  asked: AskedChange,
  decision: Decision,
  to: number,
  guest: GuestConfig,
): Change | string | undefined {
  const { resource, measured } = decision;
  if (measured === undefined) {
    return decision.verdict === 'hold' ? explainHold(decision) : 'its use could not be read';
  }
  const { before, min, max, need } = measured;
  if (to === before) return undefined;
  const verdict = to > before ? 'grow' : 'shrink';
  if (asked.boostMs !== undefined && verdict === 'shrink') {
    return `a boost gives more than the ${withUnit(resource, before)} that it has`;
  }
  if (verdict === 'shrink' && decision.verdict === 'hold' && BARS_LESS.has(decision.because.kind)) {
    return explainHold(decision);
  }
  if (verdict === 'shrink' && to < need) {
    const least = withUnit(resource, Math.ceil(need * 100) / 100);
    return `it needs at least ${least} now, so ${withUnit(resource, to)} would be too little`;
  }
  if (asked.force !== true && (to < min || to > max)) {
    return `its policy allows ${min} to ${withUnit(resource, max)}`;
  }
  const beyond = whyBeyondReach(guest, leverOf(decision), to);
  if (beyond !== undefined) return beyond;
  const rule = asked.boostMs === undefined ? 'asked' : 'saturated';
  const step = { verdict, after: to, limits: [], measured, rule } as const;
  const settable =
    resource === 'memory' ? asSettable(guest, step, asked.force === true ? to : max) : step;
  if (settable.verdict === 'hold') return explainHold({ ...asHold(decision), ...settable });
  const { vmid, name, kind } = decision;
  return {
    vmid,
    name,
    ...(kind && { kind }),
    resource,
    ...settable,
    ...(decision.unit && { unit: decision.unit }),
    priority: HIGHEST_PRIORITY,
    askedBy: asked.by,
    ...(asked.boostMs !== undefined && { boostMs: asked.boostMs }),
  };
}

const HIGHEST_PRIORITY = 100;

const asHold = (decision: Decision): Pick<Hold, 'vmid' | 'name' | 'kind' | 'resource'> => ({
  vmid: decision.vmid,
  name: decision.name,
  ...kindOf(decision),
  resource: decision.resource,
});
