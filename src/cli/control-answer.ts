import type { LoopState } from '../core/loop-state.ts';
import { accountOf } from '../core/report/account.ts';
import type { ReportInput } from '../core/report/report-input.ts';
import { statusReport } from '../core/report/status.ts';
import type { Milliseconds } from '../core/units.ts';
import type { CycleSettings, CycleView } from '../cycle.ts';
import type { ControlRequest } from '../host/control-socket.ts';
import { createTimestamp } from '../report/timestamp.ts';

/** What `status` and `explain` are answered with, by the daemon and where there is none. */

export interface Known {
  /** undefined: no cycle is over yet. */
  readonly view: CycleView | undefined;
  readonly from: ReportInput['from'];
  readonly settings: CycleSettings;
  readonly state: LoopState;
  readonly timezone: string | undefined;
  readonly nowMs: Milliseconds;
}

const STARTING = 'the daemon has only just started, and its first cycle is not over; ask again';

/** `report`, `account`, or a sentence on why there is neither in `error`. */
export function answerTo(request: ControlRequest, known: Known): object {
  const { view } = known;
  if (view === undefined) return { error: STARTING };
  const input = inputOf(view, known);
  if (request.command === 'status') return { report: statusReport(input) };
  const account = accountOf(input, request.vmid);
  if (account !== undefined) return { account };
  return { error: `there was no container ${request.vmid} on this node in the last cycle` };
}

function inputOf(
  { cycle, wallMs, observed, verdicts, planned, available }: CycleView,
  { from, settings, state, timezone, nowMs }: Known,
): ReportInput {
  const { host, containers, holds, atMs } = observed;
  const { manage, hostPolicy, dryRun } = settings;
  return {
    ...{ from, cycle, wallMs, atMs, nowMs, host, containers, holds },
    ...{ verdicts, planned, available, manage, hostPolicy, state, dryRun },
    localTime: createTimestamp(timezone),
  };
}
