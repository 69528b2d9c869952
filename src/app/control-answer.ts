import { unknownWord } from '../config/suggest.ts';
import type { GroupReport } from '../core/groups/group-report.ts';
import type { LoopState } from '../core/loop-state.ts';
import { accountOf } from '../core/report/account.ts';
import { REPORT_FORMAT, type ReportInput } from '../core/report/report-input.ts';
import { statusReport } from '../core/report/status.ts';
import { type Milliseconds, milliseconds } from '../core/units.ts';
import type { CycleSettings, CycleView } from '../loop/cycle.ts';
import type { ControlRequest } from '../os/control-socket.ts';
import { createTimestamp } from '../os/timestamp.ts';

/** The answers to `status` and `explain`, from the daemon or from a one-time evaluation. */

export interface DaemonState {
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
}

/** Requests that are answered from the last cycle. */
export type AboutCycle = Exclude<ControlRequest, { command: 'health' | 'reload' }>;

const STARTING = 'the first cycle of the daemon is not over yet; ask again in a moment';

/** `report`, `account` or `group`; or `error`, the reason why there is none. */
export function answerTo(request: AboutCycle, known: DaemonState): object {
  const { view, groups = [] } = known;
  if (request.command === 'explain-group') return groupAnswer(request.group, known);
  if (view === undefined) return { error: STARTING };
  const input = inputOf(view, known);
  if (request.command === 'status') return { report: { ...statusReport(input), groups } };
  const account = accountOf(input, request.vmid);
  if (account !== undefined) return { account };
  return { error: `container ${request.vmid} was not on this node in the last cycle` };
}

function groupAnswer(wanted: string, { from, groups = [] }: DaemonState): object {
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
    ...{ from, cycle, wallMs, nextMs, atMs, nowMs, host, containers, holds },
    ...{ verdicts, planned, available, manage, hostPolicy, state, dryRun },
    localTime: createTimestamp(timezone),
  };
}
