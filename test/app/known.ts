import type { DaemonState } from '../../src/app/control-answer.ts';
import { newLoopState } from '../../src/core/loop-state.ts';
import { milliseconds } from '../../src/core/units.ts';
import { container, everyone, guest, hostPolicy } from '../core/builders.ts';
import { reportInput } from '../core/report/report.ts';

/**
 * What a daemon knows of a node.
 *
 * @param ids of its guests; undefined: no cycle is over yet
 */
export function known(node: string, ids: readonly number[] | undefined): DaemonState {
  const { cycle, wallMs, verdicts, planned, available, host } = reportInput([]);
  const containers = (ids ?? []).map((id) => container(guest(id)));
  const observed = { atMs: milliseconds(0), host, containers, holds: new Map() };
  const seen = { cycle, wallMs, verdicts, planned, available, observed, spentMs: new Map() };
  const settings = { manage: everyone().manage, hostPolicy, dryRun: false, atOnce: 1 };
  return {
    node,
    from: 'daemon',
    state: newLoopState(),
    settings,
    timezone: 'UTC',
    nowMs: milliseconds(0),
    view: ids === undefined ? undefined : seen,
  };
}
