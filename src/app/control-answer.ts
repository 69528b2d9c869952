import type { Found } from '../config/model.ts';
import { unknownWord } from '../config/suggest.ts';
import { foundWords } from '../core/found-nodes.ts';
import type { GroupReport } from '../core/groups/group-report.ts';
import type { LoopState } from '../core/loop-state.ts';
import { accountOf } from '../core/report/account.ts';
import { REPORT_FORMAT, type ReportInput } from '../core/report/report-input.ts';
import {
  connectionOf,
  type FoundRow,
  type NodeSummary,
  statusReport,
} from '../core/report/status.ts';
import { type Milliseconds, milliseconds, type Vmid } from '../core/units.ts';
import type { CycleSettings, CycleView } from '../loop/cycle.ts';
import type { ControlRequest } from '../os/control-socket.ts';
import { createTimestamp } from '../os/timestamp.ts';

/** The answers to `status` and `explain`, from the daemon or from a one-time evaluation. */

export interface DaemonState {
  /** The node that it is about. */
  readonly node: string;
  /** undefined: no cycle is over yet. */
  readonly view: CycleView | undefined;
  readonly from: ReportInput['from'];
  readonly settings: CycleSettings;
  readonly state: LoopState;
  readonly timezone: string | undefined;
  readonly nowMs: Milliseconds;
  /** The time from one cycle to the next; undefined without a daemon. */
  readonly pollIntervalMs?: Milliseconds;
  /** Absent without a daemon: a one-time evaluation does not look at groups. */
  readonly groups?: readonly GroupReport[];
  /** The file that counts, if it is that of the cluster. */
  readonly configuration?: string | undefined;
  /** undefined: it is no node that was found. */
  readonly found?: Found | undefined;
}

/** Requests that are answered from the last cycle. */
export type AboutCycle = Exclude<ControlRequest, { command: 'health' | 'reload' | 'dashboard' }>;

const STARTING = 'the first cycle of the daemon is not over yet; ask again in a moment';

/**
 * `report`, `account` or `group`; or `error`, the reason why there is none. Where no node is named,
 * the first one is meant, and an id is looked for on all of them.
 */
export function answerTo(
  request: AboutCycle,
  all: readonly [DaemonState, ...DaemonState[]],
): object {
  if (request.command === 'explain-group') return groupAnswer(request.group, all);
  const named = request.node === undefined ? all : all.filter(({ node }) => node === request.node);
  const [first] = named;
  if (first === undefined) {
    const nodes = all.map(({ node }) => node);
    return { error: unknownWord('node', request.node ?? '', nodes, '') };
  }
  if (request.command === 'explain') return explainAnswer(request.vmid, named);
  if (first.view === undefined) return { error: STARTING };
  const others = all.filter(({ node }) => node !== first.node).map(summaryOf);
  const { configuration } = first;
  const groups = groupsOf(request.node === undefined ? all : named);
  const report = {
    ...statusReport(inputOf(first.view, first)),
    groups,
    ...(configuration !== undefined && { configuration }),
    ...foundOf(first),
  };
  return { report: all.length === 1 ? report : { ...report, node: first.node, others } };
}

/** Of a node that was not asked for. */
function summaryOf({ node, view, state, found }: DaemonState): NodeSummary {
  const paused = state.pause?.why ?? null;
  return {
    node,
    cycle: view?.cycle ?? null,
    guests: view?.observed.containers.length ?? null,
    paused,
    ...connectionOf(state),
    ...foundOf({ found }),
  };
}

export function foundOf({ found }: Pick<DaemonState, 'found'>): { readonly found?: FoundRow } {
  if (found === undefined) return {};
  const { by, leftMs } = found;
  return { found: { by, observedForS: Math.ceil(leftMs / 1000), says: foundWords(by, leftMs) } };
}

function explainAnswer(vmid: Vmid, nodes: readonly DaemonState[]): object {
  const seen = nodes.flatMap((known) =>
    known.view === undefined ? [] : [{ known, view: known.view }],
  );
  if (seen.length === 0) return { error: STARTING };
  for (const { known, view } of seen) {
    const account = accountOf(inputOf(view, known), vmid);
    if (account !== undefined) return { account };
  }
  const where = nodes.length === 1 ? 'this node' : 'any node';
  return { error: `guest ${vmid} was not on ${where} in the last cycle` };
}

/** Of all nodes. */
export const groupsOf = (all: readonly DaemonState[]): readonly GroupReport[] =>
  all.flatMap(({ groups = [] }) => groups);

function groupAnswer(wanted: string, all: readonly [DaemonState, ...DaemonState[]]): object {
  const [{ from }] = all;
  const groups = groupsOf(all);
  if (from !== 'daemon') return { error: 'only a running daemon knows the state of a group' };
  const group = groups.find(({ label }) => label === wanted.toLowerCase());
  if (group !== undefined) return { group: { ...group, format: REPORT_FORMAT } };
  const labels = groups.map(({ label }) => label);
  return { error: unknownWord('group', wanted, labels, '; no group is configured') };
}

export function inputOf(
  { cycle, wallMs, observed, verdicts, planned, available }: CycleView,
  { from, settings, state, timezone, nowMs, pollIntervalMs }: DaemonState,
): ReportInput {
  const nextMs = pollIntervalMs && milliseconds(wallMs + pollIntervalMs);
  const { host, containers, holds, atMs } = observed;
  const { manage, hostPolicy, dryRun } = settings;
  return {
    from,
    cycle,
    wallMs,
    nextMs,
    atMs,
    nowMs,
    host,
    containers,
    holds,
    verdicts,
    planned,
    available,
    manage,
    hostPolicy,
    state,
    dryRun,
    localTime: createTimestamp(timezone),
  };
}
