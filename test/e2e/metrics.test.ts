import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePort } from '../free-port.ts';
import { prometheusTools } from '../prometheus.ts';
import { calm, guest, hungry, NodeUnderTest } from './node-under-test.ts';

const MINUTES = 60_000;
const TOKEN = 'a-token-of-this-test';

const configuration = (...lines: readonly string[]): string =>
  ['DEFAULT:', '  poll_interval: 1', ...lines.map((line) => `  ${line}`), ''].join('\n');

/** A daemon with a listener that has finished a cycle or two. */
async function serving(...lines: readonly string[]) {
  const test = await NodeUnderTest.create([
    calm(101),
    hungry(102),
    guest(
      103,
      { cores: 2, memoryMib: 512, lock: 'backup', name: 'c"\\x' },
      { cpuCores: 0.1, anonMib: 100 },
    ),
  ]);
  const port = await freePort();
  test.configure(configuration(`metrics_listen: 127.0.0.1:${port}`, ...lines));
  const daemon = test.start(['daemon']);
  await daemon.saying(/(?:completed\. Next run[\s\S]*){4}/);
  const get = (path: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, init);
  return { test, daemon, port, get };
}

describe('/metrics', () => {
  it('has what happened, and promtool finds nothing wrong with it', {
    timeout: 5 * MINUTES,
  }, async (context) => {
    const { get, test, port } = await serving();
    const answer = await get('/metrics');
    expect(answer.headers.get('content-type')).toContain('version=0.0.4');
    const text = await answer.text();
    expect(text).toMatch(/^lxc_autoscale_container_info\{id="lxc\/102",name="ct102",node="pve1",/m);
    expect(text).toMatch(
      /^lxc_autoscale_container_memory_limit_bytes\{id="lxc\/101"\} 1073741824$/m,
    );
    expect(text).toMatch(
      /^lxc_autoscale_changes_total\{resource="memory",direction="up",result="confirmed"\} [1-9]/m,
    );
    expect(text).toMatch(
      /^lxc_autoscale_container_held\{id="lxc\/103",resource="all",reason="locked"\} 1$/m,
    );
    expect(text).toMatch(/^lxc_autoscale_cycles_total\{result="good"\} [3-9]/m);
    expect(text).toMatch(/^lxc_autoscale_cycle_stage_duration_seconds_count\{stage="act"\} [3-9]/m);
    expect((await get('/readyz')).status).toBe(200);
    const asked = await test.run(['health-check', '--format', 'json']);
    expect(asked).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(asked.stdout)).toMatchObject({ format: 1, healthy: true });
    expect(port).toBeGreaterThan(0);
    const tools = await prometheusTools();
    if (!tools.ok) return context.skip(tools.reason);
    const checked = spawnSync(tools.promtool, ['check', 'metrics'], {
      input: text,
      encoding: 'utf8',
    });
    expect(checked).toMatchObject({ status: 0, stderr: '', stdout: '' });
  });

  it('is for those who know the token, where there is one', async () => {
    const { get, test, daemon } = await serving(`metrics_token: ${TOKEN}`);
    for (const path of ['/metrics', '/healthz', '/readyz', '/x']) {
      expect((await get(path)).status).toBe(401);
      const wrong = await get(path, { headers: { authorization: `Bearer ${TOKEN}x` } });
      expect(wrong.status).toBe(401);
    }
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await get('/metrics', { headers })).status).toBe(200);
    expect(await (await get('/healthz', { headers })).text()).toBe('ok\n');
    daemon.signal('SIGTERM');
    const { stdout, stderr, code } = await daemon.ended;
    expect(code).toBe(0);
    expect(stdout + stderr + test.log()).not.toContain(TOKEN);
  });

  it('is refused on a public address without a token', async () => {
    const test = await NodeUnderTest.create([calm(101)]);
    test.configure(configuration('metrics_listen: 0.0.0.0:9732'));
    const { code, stderr } = await test.run(['daemon']);
    expect(code).toBe(78);
    expect(stderr).toContain('needs metrics_token too');
  });

  it('is not served where another program listens, and the daemon goes on', async () => {
    const test = await NodeUnderTest.create([calm(101)]);
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' ? address?.port : 0;
    test.configure(configuration(`metrics_listen: 127.0.0.1:${port}`));
    const daemon = test.start(['daemon']);
    await daemon.saying('another program listens there already (EADDRINUSE)');
    await daemon.saying('completed. Next run');
    // A reload tries again.
    await new Promise((resolve) => other.close(resolve));
    daemon.signal('SIGHUP');
    await daemon.saying('Metrics are served at');
  });
});

describe('metrics_textfile', () => {
  it('has the same figures after each cycle, and is gone with the daemon', async () => {
    const test = await NodeUnderTest.create([calm(101)]);
    test.configure(configuration('metrics_textfile: /run/lxc_autoscale.prom'));
    const file = join(test.root, 'run/lxc_autoscale.prom');
    const daemon = test.start(['daemon']);
    await daemon.saying(/(?:completed\. Next run[\s\S]*){2}/);
    expect(readFileSync(file, 'utf8')).toMatch(/^lxc_autoscale_cycles_total\{result="good"\} /m);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    test.configure(configuration());
    daemon.signal('SIGHUP');
    await daemon.saying('The configuration was reloaded.');
    await daemon.saying(/reloaded[\s\S]*completed\. Next run/);
    expect(existsSync(file)).toBe(false);
  });
});

describe('health', () => {
  it('names what is wrong, without a daemon too', async () => {
    const test = await NodeUnderTest.create([calm(101)]);
    const down = await test.run(['health-check']);
    expect(down.code).toBe(1);
    expect(down.stdout).toMatch(/^ok +configuration /m);
    expect(down.stdout).toMatch(/^FAILED +daemon +none answers: /m);
    expect(down.stdout).toMatch(/^ok +pct +it is .*pct$/m);
    test.configure('DEFAULT:\n  poll_intervall: 1\n');
    const wrong = await test.run(['health-check', '--json']);
    expect(wrong.code).toBe(1);
    expect(JSON.parse(wrong.stdout).checks[0]).toMatchObject({ name: 'configuration', ok: false });
    test.configure(configuration());
    const noPct = await test.run(['health-check'], '/nowhere');
    expect(noPct.stdout).toMatch(
      /^FAILED +pct +pct was not found in \/nowhere:\/usr\/local\/sbin/m,
    );
    expect((await test.run(['health-check', '--format', 'xml'])).code).toBe(64);
  });

  it('is bad for monitors where no backup could be written, while the daemon lives', async () => {
    const { get } = await serving('backup_dir: /etc/hostname/backups');
    expect((await get('/healthz')).status).toBe(200);
    const ready = await get('/readyz');
    expect(ready.status).toBe(503);
    const text = await ready.text();
    expect(text).toMatch(/^FAILED +backups +.*hostname.*\(ENOTDIR\)$/m);
    expect(text).toMatch(/^ok +cycle +the last good cycle ended \d+ s ago$/m);
    expect(text).toMatch(/^1 of 7 checks failed\.$/m);
  });
});
