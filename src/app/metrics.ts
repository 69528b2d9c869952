import { overdueCores } from '../core/loop-state.ts';
import {
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
      tried = { atMs: nowMs, rows: changeRows(world, context.env) };
    }
    return tried.rows;
  };
  const health = (): HealthReport => {
    const nowMs = clock.monotonicMs();
    const { pollIntervalMs } = config();
    const times = { nowMs, startedMs, lastGoodMs: tally.lastGood?.atMs, pollIntervalMs };
    const deliveries = watchDeliveries(failing, options.messages(), nowMs);
    const hanging = open.hanging();
    const cycle = hanging === undefined ? cycleRow(times) : row('cycle', hanging, '');
    const { state } = options.known();
    const node = [quorumRow(state.pause), coresRow(overdueCores(state))];
    const rows = [cycle, ...node, ...tryOut(nowMs)];
    return healthReport([...rows, deliveryRow(deliveries, nowMs)]);
  };
  const whyIdle = (): string | undefined => {
    const sinceMs = clock.monotonicMs() - (tally.lastMs ?? startedMs);
    const isLate = sinceMs > oldestCycleMs(config().pollIntervalMs);
    return open.hanging() ?? (isLate ? 'no cycle ended for a long time' : undefined);
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
