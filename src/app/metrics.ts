import { overdueCores } from '../core/loop-state.ts';
import { plainText } from '../core/plain-text.ts';
import {
  type CycleTimes,
  coresRow,
  cycleRow,
  type Delivery,
  deliveryRow,
  type HealthReport,
  type HealthRow,
  healthReport,
  oldestCycleMs,
  row,
} from '../core/report/health.ts';
import type { Milliseconds } from '../core/units.ts';
import type { CycleView } from '../loop/cycle.ts';
import type { HttpAnswer } from '../os/http-listener.ts';
import { type GoodCycle, noteCycle } from '../output/tally.ts';
import { changeRows, quorumRow } from './health-rows.ts';
import type { MessageCounts, MetricsOptions, MetricsServer } from './metrics-server.ts';
import type { EndedCycle, Part } from './part.ts';
import type { OpenWorld } from './world.ts';

/** What monitors learn of the daemon: metrics for Prometheus, and its health. */
export interface Metrics extends Part {
  cycleEnded(cycle: EndedCycle): void;
  reloaded(isDone: boolean): void;
  health(): HealthReport;
  /** What `metrics_listen` serves at a path; undefined: nothing. */
  figures(path: string): Promise<HttpAnswer | undefined>;
}

/** The checks write files, and a monitor may ask every second: results are kept for a while. */
const TRIED_OUT_FOR_MS = 15_000;

/** Counts from here on. The server is loaded only if it is configured. */
export function openMetrics(options: MetricsOptions): Metrics {
  const { open, context, config } = options;
  const { world, tally } = open;
  const { clock } = context;
  const startedMs = clock.monotonicMs();
  const failing = new Map<string, Failing>();
  let server: MetricsServer | undefined;
  let tried: { readonly atMs: Milliseconds; readonly rows: readonly HealthRow[] } | undefined;

  const tryOut = (nowMs: Milliseconds): readonly HealthRow[] => {
    if (tried === undefined || nowMs - tried.atMs > TRIED_OUT_FOR_MS) {
      tried = { atMs: nowMs, rows: changeRows(world, context.env, isAway) };
    }
    return tried.rows;
  };
  const isAway = open.inventory === undefined;
  const health = (): HealthReport => {
    const nowMs = clock.monotonicMs();
    const deliveries = watchDeliveries(failing, options.messages(), nowMs);
    const { state } = options.known();
    const node = [quorumRow(state.pause), coresRow(overdueCores(state))];
    const { pollIntervalMs } = config();
    const cycle = cyclesRow(options, { nowMs, startedMs, pollIntervalMs });
    const rows = [cycle, ...node, ...tryOut(nowMs)];
    return healthReport([...rows, deliveryRow(deliveries, nowMs)]);
  };
  const whyIdle = (): string | undefined => {
    const sinceMs = clock.monotonicMs() - (tally.lastMs ?? startedMs);
    const isLate = sinceMs > oldestCycleMs(config().pollIntervalMs);
    // A restart of this program helps no other host.
    const hanging = isAway ? undefined : open.hanging();
    return hanging ?? (isLate ? 'no cycle ended for a long time' : undefined);
  };

  const loaded = async (): Promise<MetricsServer> => {
    const { createMetricsServer } = await import('./metrics-server.ts');
    server ??= createMetricsServer({ ...options, health, whyIdle });
    return server;
  };

  return {
    async apply({ metrics }) {
      const isWanted = metrics.listen !== undefined || metrics.textfile !== undefined;
      if (server !== undefined || isWanted) await (await loaded()).apply(metrics);
    },
    figures: async (path) => (await loaded()).answer(path),
    cycleEnded({ node, kind, view }) {
      if (kind === 'early') return;
      const far = options.others?.().find((one) => one.open.name === node);
      const now = { wallMs: clock.wallMs(), atMs: clock.monotonicMs() };
      const seen = view === undefined ? undefined : goodCycle(view);
      noteCycle(far?.open.tally ?? tally, now, seen);
      if (far !== undefined) return;
      watchDeliveries(failing, options.messages(), now.atMs);
      server?.write();
    },
    async stop() {
      await server?.apply({ listen: undefined, token: '', textfile: undefined });
    },
    reloaded(isDone) {
      tally.reloads[isDone ? 'done' : 'refused'] += 1;
    },
    health,
  };
}

/** Away from a node all nodes count alike, and one that is not well is told of. */
function cyclesRow(
  { open, others }: Pick<MetricsOptions, 'open' | 'others'>,
  times: Omit<CycleTimes, 'lastGoodMs'>,
): HealthRow {
  const cycleOf = ({ tally, ...one }: OpenWorld): HealthRow => {
    const hanging = one.hanging();
    if (hanging !== undefined) return row('cycle', hanging, '');
    return cycleRow({ ...times, lastGoodMs: tally.lastGood?.atMs });
  };
  if (open.inventory !== undefined) return cycleOf(open);
  const rows = [open, ...(others?.() ?? []).map((one) => one.open)].map((one) => {
    const found = cycleOf(one);
    return { ...found, says: plainText(`${one.name}: ${found.says}`) };
  });
  return rows.find(({ ok }) => !ok) ?? (rows[0] as HealthRow);
}

const goodCycle = ({ spentMs, planned }: CycleView): GoodCycle => ({
  ...{ spentMs, held: planned.held },
});

interface Failing {
  readonly sent: number;
  /** Failures up to the last message that got through. */
  readonly failedBefore: number;
  readonly sinceMs: Milliseconds | undefined;
}

/** Since when the messages of each channel have failed, as far as the checks have seen. */
function watchDeliveries(
  failing: Map<string, Failing>,
  counts: ReadonlyMap<string, MessageCounts>,
  nowMs: Milliseconds,
): readonly Delivery[] {
  return [...counts].map(([channel, { sent, failed, waiting }]) => {
    const known = failing.get(channel);
    const isSame = known !== undefined && known.sent === sent;
    const failedBefore = isSame ? known.failedBefore : known === undefined ? 0 : failed;
    const fails = waiting > 0 && failed > failedBefore;
    const sinceMs = fails ? ((isSame ? known.sinceMs : undefined) ?? nowMs) : undefined;
    failing.set(channel, { sent, failedBefore, sinceMs });
    return { channel, waiting, failingSinceMs: sinceMs };
  });
}
