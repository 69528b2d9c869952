import type { Resource } from '../allocation.ts';
import type { Decision, Limit, Rule } from '../decision.ts';
import { explainChange, explainHold, explainSkip, withUnit } from '../explain.ts';
import type { ContainerObservation } from '../observation.ts';
import { plainText } from '../plain-text.ts';
import { type ContainerPolicy, presetWords } from '../policy.ts';
import type { Vmid } from '../units.ts';
import { guardsOf, standingGuards } from './account-guards.ts';
import { seenFacts } from './account-seen.ts';
import { weighedFacts } from './account-weighed.ts';
import { type Fact, fact, type Guard, secondsOf, short } from './fact.ts';
import { kindIn, nameOf } from './now.ts';
import {
  aged,
  type Course,
  coursesOf,
  REPORT_FORMAT,
  type ReportInput,
  skipOf,
} from './report-input.ts';
import { changeRow } from './status.ts';

/** `explain`: step by step how the last decision on one container came about. Safe as JSON. */

export interface Account {
  readonly format: typeof REPORT_FORMAT;
  readonly from: ReportInput['from'];
  readonly vmid: Vmid;
  readonly name: string;
  /** Left out for a container. */
  readonly kind?: 'qemu';
  readonly cycle: number;
  readonly time: string;
  readonly at: string;
  readonly dryRun: boolean;
  readonly policy: readonly Fact[];
  readonly seen: readonly Fact[];
  /** What concerns the container as a whole. */
  readonly guards: readonly Guard[];
  /** Why it was not evaluated; null if something was. */
  readonly leftAlone: string | null;
  /** Cores first, then memory; none if it is left alone. */
  readonly resources: readonly ResourceAccount[];
  readonly outcome: readonly Fact[];
}

export interface ResourceAccount {
  readonly resource: Resource;
  /** Averages and peaks, the need and the thresholds. */
  readonly weighed: readonly Fact[];
  readonly guards: readonly Guard[];
  readonly decision: DecisionAccount;
  /** What the plan made of it, with what the host can give. */
  readonly plan: DecisionAccount;
}

export interface DecisionAccount {
  readonly verdict: 'grow' | 'shrink' | 'hold' | 'none';
  readonly says: string;
  readonly before?: number;
  readonly after?: number;
  readonly rule?: Rule;
  readonly limits?: readonly Limit[];
  /** Why nothing changes: the kind of the reason. */
  readonly because?: string;
}

/** undefined: the last cycle saw no such container. */
export function accountOf(input: ReportInput, vmid: Vmid): Account | undefined {
  const container = input.containers.find((one) => one.vmid === vmid);
  if (container === undefined) return undefined;
  const { config } = container;
  const name = nameOf(container);
  const management = config.ok ? input.manage(config.value) : undefined;
  const policy = management?.kind === 'managed' ? management.policy : undefined;
  const skip = skipOf(input, vmid, name);
  const courseOf = coursesOf(input);
  const decided = input.verdicts.decisions.some((decision) => decision.vmid === vmid);
  const resources: readonly Resource[] = policy !== undefined && decided ? RESOURCES : [];
  return {
    format: REPORT_FORMAT,
    from: input.from,
    vmid,
    name,
    ...kindIn(container),
    cycle: input.cycle,
    time: input.localTime(input.wallMs),
    at: new Date(input.wallMs).toISOString(),
    dryRun: input.dryRun,
    policy: policyFacts(container, input),
    seen: seenFacts(container, input),
    guards: standingGuards(container, input),
    leftAlone: skip === undefined ? null : plainText(explainSkip(skip)),
    resources: resources.flatMap((resource) =>
      policy === undefined
        ? []
        : [resourceAccount(container, resource, courseOf(vmid, resource), policy, input)],
    ),
    outcome: outcomeFacts(vmid, resources, courseOf, input),
  };
}

const RESOURCES: readonly Resource[] = ['cores', 'memory'];

function policyFacts({ config }: ContainerObservation, { manage }: ReportInput): readonly Fact[] {
  if (!config.ok) {
    return [
      fact('policy', `not known, since its configuration is not: ${plainText(config.detail)}`),
    ];
  }
  const management = manage(config.value);
  const why = plainText(management.because);
  if (management.kind === 'ignored')
    return [fact('policy', `ignored: ${why}`, { mode: 'ignored' })];
  const { policy, mode } = management;
  const { scaling, priority, cpu, only, preset } = policy;
  const source = plainText(policy.source, 64);
  const acts = mode === 'act' ? 'changes are made' : 'evaluated and reported, never changed';
  return [
    fact('policy', why, { source }),
    ...(preset === undefined ? [] : [fact('preset', presetWords(preset), { preset: preset.name })]),
    fact('mode', acts, { mode }),
    fact('scaling', scalingWords(policy), { scaling, unit: cpu.unit, ...(only && { only }) }),
    fact('priority', `${priority} of 100`, { priority }),
  ];
}

function scalingWords({ scaling, cpu, only }: ContainerPolicy): string {
  if (only === 'memory') return `${scaling}, memory only`;
  return `${scaling}, CPU${only === 'cores' ? ' only,' : ''} in ${cpu.unit}`;
}

function resourceAccount(
  container: ContainerObservation,
  resource: Resource,
  course: Course,
  policy: ContainerPolicy,
  input: ReportInput,
): ResourceAccount {
  return {
    resource,
    weighed: weighedFacts(container, resource, course, policy, input),
    guards: guardsOf(container, resource, course, policy, input),
    decision: decisionAccount(course.decided, input),
    plan: planAccount(course, input),
  };
}

function decisionAccount(decision: Decision | undefined, input: ReportInput): DecisionAccount {
  if (decision === undefined) return { verdict: 'none', says: 'it was not evaluated' };
  if (decision.verdict === 'hold') {
    const because = aged(decision.because, input.nowMs - input.atMs);
    const says = plainText(explainHold({ ...decision, because }));
    return { verdict: 'hold', says, because: because.kind };
  }
  const { verdict, resource, after, rule, limits, measured } = decision;
  const { before } = measured;
  const says = `${short(before)} -> ${withUnit(resource, after)}, since ${explainChange(decision)}`;
  return { verdict, says, before, after, rule, limits };
}

/** What the plan made of a decision: all of it, a part, or nothing. */
function planAccount({ decided, planned }: Course, input: ReportInput): DecisionAccount {
  if (decided === undefined || decided.verdict === 'hold') {
    return { verdict: 'none', says: 'nothing to plan' };
  }
  if (planned === undefined) return { verdict: 'none', says: 'it was not planned' };
  const account = decisionAccount(planned, input);
  if (planned.verdict === 'hold') return { ...account, says: `not granted: ${account.says}` };
  if (planned.after === decided.after) return { ...account, says: 'granted in full' };
  const granted = withUnit(planned.resource, planned.after);
  return { ...account, says: `granted in part, ${granted}: the host cannot give more now` };
}

/** What came of it: the last change, what waits to come into force, what failed. */
function outcomeFacts(
  vmid: Vmid,
  resources: readonly Resource[],
  courseOf: (vmid: Vmid, resource: Resource) => Course,
  input: ReportInput,
): readonly Fact[] {
  const { state, nowMs } = input;
  const facts: Fact[] = [];
  const last = state.guests.get(vmid)?.lastChange;
  if (last === undefined) facts.push(fact('last change', 'none is known'));
  else {
    const row = changeRow(last, input);
    facts.push(fact('last change', `${row.time}, ${row.status}: ${row.what}`, { ...row }));
  }
  const pending = state.guests.get(vmid)?.life.pendingCores;
  if (pending !== undefined) {
    const { cores } = pending;
    const sinceSeconds = secondsOf(nowMs - pending.sinceMs);
    const configured = `${withUnit('cores', cores)} configured ${sinceSeconds} s ago`;
    const says = `${configured}, not in its cpuset yet`;
    facts.push(fact('pending', says, { cores, sinceSeconds }));
  }
  for (const resource of resources) {
    const changedMs = state.guests.get(vmid)?.[resource].changedMs;
    const { planned } = courseOf(vmid, resource);
    if (planned === undefined || planned.verdict === 'hold') continue;
    const done = changedMs !== undefined && changedMs >= input.atMs;
    const would = input.dryRun ? 'not done: this is a dry run' : 'it was not changed';
    facts.push(fact(resource, done ? 'it was changed' : would, { changed: done }));
  }
  return facts;
}
