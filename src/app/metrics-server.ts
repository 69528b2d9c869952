import { version } from '../../package.json';
import type { Config } from '../config/model.ts';
import { showAddress } from '../core/listen-address.ts';
import type { HealthReport } from '../core/report/health.ts';
import type { ReportInput } from '../core/report/report-input.ts';
import type { HttpListener } from '../os/http-door.ts';
import { type HttpAnswer, openHttpListener } from '../os/http-listener.ts';
import { removeFile, replaceFile } from '../os/textfile.ts';
import { ofComponent } from '../output/component-log.ts';
import { CONTENT_TYPE } from '../output/exposition.ts';
import { metricsText, type ProcessMetrics } from '../output/metrics.ts';
import type { ProcessContext } from './context.ts';
import { type DaemonState, inputOf } from './control-answer.ts';
import { healthLines } from './health-lines.ts';
import type { OpenHome, OpenWorld } from './world.ts';

/** Serves the metrics over HTTP, and writes them to a file for node_exporter. */
export interface MetricsServer {
  /** Starts and stops serving, as the configuration says. */
  apply(metrics: Config['metrics']): Promise<void>;
  /** After a cycle. */
  write(): void;
  /** What is served at a path; undefined: nothing. */
  answer(path: string): Promise<HttpAnswer | undefined>;
}

export interface MetricsOptions {
  readonly open: OpenHome;
  /** Further nodes, with what is known of them. */
  readonly others?: () => readonly OtherNode[];
  readonly context: ProcessContext;
  readonly config: () => Config;
  /** What the last cycle knew, and the state now. */
  readonly known: () => DaemonState;
  /** Messages by channel since the start; empty if no channel is configured. */
  readonly messages: () => ReadonlyMap<string, MessageCounts>;
}

export interface OtherNode {
  readonly open: OpenWorld;
  readonly known: DaemonState;
}

export interface MessageCounts {
  readonly sent: number;
  readonly failed: number;
  readonly waiting: number;
}

export interface MetricsServerOptions extends MetricsOptions {
  readonly health: () => HealthReport;
  /** One line on why the daemon does no work; undefined: cycles run. */
  readonly whyIdle: () => string | undefined;
}

const NOTHING: Config['metrics'] = { listen: undefined, token: '', textfile: undefined };

export function createMetricsServer(options: MetricsServerOptions): MetricsServer {
  const { context, open } = options;
  const log = ofComponent(open.outputs.log, 'metrics');
  const startSeconds = (context.clock.wallMs() - process.uptime() * 1000) / 1000;
  const node = open.name;
  const text = (): string =>
    metricsText({
      version,
      node,
      tally: open.tally,
      own: processMetrics(startSeconds),
      pollIntervalMs: options.config().pollIntervalMs,
      report: reportOf(options.known()),
      others: (options.others?.() ?? []).map(({ open: { name, tally }, known }) => ({
        node: name,
        tally,
        report: reportOf(known),
      })),
      notifications: [...options.messages()].map(([channel, counts]) => ({ channel, ...counts })),
    });
  let inForce = NOTHING;
  let listener: (HttpListener & { ok: true }) | undefined;
  let complaint: string | undefined;

  const answer = (path: string) => answerTo(path, text, options);
  const listen = async ({ listen: address, token }: Config['metrics']): Promise<void> => {
    await listener?.close();
    listener = undefined;
    if (address === undefined) return;
    const complain = (message: string): void => log.warn(message);
    const opened = await openHttpListener({ address, token, answer, complain });
    if (opened.ok) {
      listener = opened;
      log.info(`Metrics are served at http://${showAddress(address)}/metrics`);
    } else log.error(`Metrics are not served: ${opened.message}`);
  };
  const write = (): void => {
    const { textfile } = inForce;
    if (textfile === undefined) return;
    const failed = replaceFile(context.paths.at(textfile), text());
    if (failed !== undefined && failed !== complaint) log.warn(`No metrics are written: ${failed}`);
    if (failed === undefined && complaint !== undefined) log.info('Metrics are written again.');
    complaint = failed;
  };

  return {
    async apply(metrics) {
      const { textfile } = inForce;
      const isSame = sameListener(inForce, metrics) && listener !== undefined;
      inForce = metrics;
      // A file that is no longer updated would still be read.
      if (textfile !== undefined && textfile !== metrics.textfile) {
        removeFile(context.paths.at(textfile));
      }
      if (!isSame) await listen(metrics);
    },
    write,
    answer,
  };
}

/** Machines read these times, so no time zone is needed. */
const reportOf = (known: DaemonState): ReportInput | undefined =>
  known.view && inputOf(known.view, { ...known, timezone: undefined });

const sameListener = (a: Config['metrics'], b: Config['metrics']): boolean =>
  a.token === b.token && a.listen?.host === b.listen?.host && a.listen?.port === b.listen?.port;

async function answerTo(
  path: string,
  text: () => string,
  { open, health, whyIdle, known, others }: MetricsServerOptions,
): Promise<HttpAnswer | undefined> {
  const plain = (isWell: boolean, body: string): HttpAnswer => ({
    status: isWell ? 200 : 503,
    type: 'text/plain; charset=utf-8',
    body,
  });
  switch (path) {
    case '/metrics':
      return { status: 200, type: CONTENT_TYPE, body: text() };
    case '/healthz': {
      await open.lookHere();
      const problem = whyIdle();
      // /healthz fails only if a restart may help.
      const paused = whyPaused(open, known(), others?.() ?? []);
      const fine = paused === undefined ? 'ok' : `ok, but paused: ${paused}`;
      return plain(problem === undefined, `${problem ?? fine}\n`);
    }
    case '/readyz': {
      await open.lookHere();
      const report = health();
      return plain(report.healthy, `${healthLines(report).join('\n')}\n`);
    }
    default:
      return undefined;
  }
}

/** Away from a node all nodes count alike, and the first that is paused is named. */
function whyPaused(
  { inventory }: OpenHome,
  home: DaemonState,
  others: readonly OtherNode[],
): string | undefined {
  if (inventory !== undefined) return home.state.pause?.why;
  const all = [home, ...others.map((one) => one.known)];
  const paused = all.find(({ state }) => state.pause !== undefined);
  return paused && `${paused.node}: ${paused.state.pause?.why}`;
}

function processMetrics(startSeconds: number): ProcessMetrics {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    nodeVersion: process.versions.node,
    cpuSeconds: (user + system) / 1e6,
    residentBytes: rss,
    heapBytes: heapUsed,
    startSeconds,
  };
}
