import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../free-port.ts';
import { ALERTS_FILE, alertQueries, dashboardQueries } from '../grafana.ts';
import { type PrometheusTools, prometheusTools } from '../prometheus.ts';
import { guest, hungry, NodeUnderTest } from './node-under-test.ts';

/** A real Prometheus scrapes a real daemon, and is asked what the dashboard and the alerts ask. */

const MINUTES = 60_000;
const TOKEN = 'a-token-of-this-test';
let tools: PrometheusTools;
let directory: string;
let prometheus: ChildProcess | undefined;

beforeAll(async () => {
  tools = await prometheusTools();
}, 5 * MINUTES);

afterEach(async () => {
  if (prometheus !== undefined && prometheus.exitCode === null) {
    prometheus.kill('SIGKILL');
    await once(prometheus, 'exit');
  }
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
});

function startPrometheus(binary: string, port: number, daemonPort: number): void {
  directory = mkdtempSync(join(tmpdir(), 'prometheus-'));
  const config = [
    'global: {scrape_interval: 1s, evaluation_interval: 1s}',
    `rule_files: ['${ALERTS_FILE}']`,
    'scrape_configs:',
    '  - job_name: lxc_autoscale',
    `    authorization: {credentials: '${TOKEN}'}`,
    `    static_configs: [{targets: ['127.0.0.1:${daemonPort}']}]`,
  ];
  writeFileSync(join(directory, 'prometheus.yml'), `${config.join('\n')}\n`);
  const args = [`--config.file=${join(directory, 'prometheus.yml')}`];
  args.push(`--storage.tsdb.path=${join(directory, 'data')}`);
  args.push(`--web.listen-address=127.0.0.1:${port}`, '--log.level=warn');
  prometheus = spawn(binary, args, { stdio: 'ignore' });
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly { readonly metric: Record<string, string> }[] };
}

/** Panels and alerts for which nothing has happened on this node. */
const MAY_BE_EMPTY =
  /^(Members of groups|Messages|What the host could not give|Changes|OOM kills)$/;

describe('a real Prometheus', () => {
  it('finds nothing wrong with the alert rules', (context) => {
    if (!tools.ok) return context.skip(tools.reason);
    const { status, stdout } = spawnSync(tools.promtool, ['check', 'rules', ALERTS_FILE], {
      encoding: 'utf8',
    });
    expect({ status, stdout }).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('11 rules'),
    });
  });

  it('scrapes the daemon, and answers what dashboard and alerts ask', {
    timeout: 2 * MINUTES,
  }, async (context) => {
    if (!tools.ok) return context.skip(tools.reason);
    const starving = { cores: 1, memoryMib: 1024, name: 'starving' };
    const node = await NodeUnderTest.create([
      hungry(102),
      guest(103, starving, { cpuCores: 4, anonMib: 500 }),
    ]);
    const [port, daemonPort] = [await freePort(), await freePort()];
    const listen = `metrics_listen: 127.0.0.1:${daemonPort}`;
    node.configure(
      `DEFAULT:\n  poll_interval: 1\n  max_cores: 1\n  ${listen}\n  metrics_token: ${TOKEN}\n`,
    );
    const daemon = node.start(['daemon']);
    await daemon.saying(/(?:completed\. Next run[\s\S]*){3}/);
    startPrometheus(tools.prometheus, port, daemonPort);
    const ask = async (expression: string): Promise<Answer> => {
      const address = `http://127.0.0.1:${port}/api/v1/query`;
      const body = new URLSearchParams({ query: expression });
      const response = await fetch(address, { method: 'POST', body }).catch(() => undefined);
      return response === undefined ? { status: 'down' } : ((await response.json()) as Answer);
    };
    const results = async (expression: string) => (await ask(expression)).data?.result ?? [];
    const enough = 'count_over_time(lxc_autoscale_build_info[1m]) >= 4';
    for (let tries = 0; (await results(enough)).length === 0; tries += 1) {
      if (tries > 300) throw new Error('Prometheus has scraped nothing');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    for (const { title, expression } of dashboardQueries()) {
      const { status, error, data } = await ask(expression);
      expect([title, status, error]).toEqual([title, 'success', undefined]);
      const isFilled = (data?.result.length ?? 0) > 0 || MAY_BE_EMPTY.test(title);
      const mayBe = expression.includes('emergency');
      expect([title, expression, isFilled || mayBe]).toEqual([title, expression, true]);
    }
    const firing: string[] = [];
    for (const { title, expression } of alertQueries()) {
      const { status, error, data } = await ask(expression);
      expect([title, status, error]).toEqual([title, 'success', undefined]);
      if ((data?.result.length ?? 0) > 0) firing.push(title);
    }
    expect(firing).toEqual(['LxcAutoscaleStarving']);
    const [starved] = await results(
      alertQueries().find(({ title }) => title === 'LxcAutoscaleStarving')?.expression ?? '',
    );
    expect(starved?.metric).toMatchObject({ id: 'lxc/103', name: 'starving', resource: 'cpu' });
  });
});
