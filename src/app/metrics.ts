import { overdueCores } from '../core/loop-state.ts';
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
import { changeRows, quorumRow, rowOfAll } from './health-rows.ts';
import type { MessageCounts, MetricsOptions, MetricsServer, OtherNode } from './metrics-server.ts';
import type { EndedCycle, Part } from './part.ts';

/** What monitors learn of the daemon: metrics for Prometheus, and its health. */
export interface Metrics extends Part {
  cycleEnded(cycle: EndedCycle): void;
  reloaded(isDone: boolean): void;
  health(): HealthReport;
  /** What `metrics_listen` serves at a path; undefined: nothing. */
  answer(path: string): Promise<HttpAnswer | undefined>;
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
    const { pollIntervalMs } = config();
    const nodes = nodeRows(options, { nowMs, startedMs, pollIntervalMs });
    const rows = [...nodes, ...tryOut(nowMs)];
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
    answer: async (path) => (await loaded()).answer(path),
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

/** On a node that node counts alone. Away from one all count alike. */
function nodeRows(
  { open, known, others }: Pick<MetricsOptions, 'open' | 'known' | 'others'>,
  times: Omit<CycleTimes, 'lastGoodMs'>,
): readonly HealthRow[] {
  const home = { open, known: known() };
  if (open.inventory !== undefined) return Object.values(rowsOf(home, times));
  // Others decide which nodes a cluster has: one that is off is no fault of this program.
  const named = (others?.() ?? []).filter(({ known: { found } }) => found === undefined);
  const all = [home, ...named].map((one) => {
    const rows = rowsOf(one, times);
    const isSeen = rows.cycle.ok && one.open.tally.lastGood !== undefined;
    return { node: one.open.name, rows, isSeen };
  });
  const ofAll = (name: keyof ReturnType<typeof rowsOf>): readonly HealthRow[] =>
    rowOfAll(
      all.map(({ node, rows, isSeen }) => ({
        node,
        row: rows[name],
        isKnown: isSeen || name === 'cycle',
      })),
    );
  return [...ofAll('cycle'), ...ofAll('quorum'), ...ofAll('cores')];
}

function rowsOf({ open, known: { state } }: OtherNode, times: Omit<CycleTimes, 'lastGoodMs'>) {
  const why = open.hanging();
  const cycle =
    why === undefined
      ? cycleRow({ ...times, lastGoodMs: open.tally.lastGood?.atMs })
      : row('cycle', why, '');
  return { cycle, quorum: quorumRow(state.pause), cores: coresRow(overdueCores(state)) };
}

const goodCycle = ({ spentMs, planned }: CycleView): GoodCycle => ({
  spentMs,
  held: planned.held,
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
