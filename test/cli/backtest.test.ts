import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProcessContext } from '../../src/app/context.ts';
import { backtest } from '../../src/cli/backtest.ts';
import { parseArguments } from '../../src/cli/command-line.ts';
import { createProgress } from '../../src/cli/progress.ts';
import { recommend } from '../../src/cli/recommend.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { plant } from '../node/local/world.ts';

let directory = '';
let trace = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'backtest-'));
  trace = join(directory, 'trace.csv');
  const rows = ['time_s,container,cpu_cores,memory_mb'];
  for (let step = 0; step < 100; step += 1) {
    rows.push(`${step * 300},101,${step % 20 < 15 ? 0.5 : 2.5},${900 + step}`);
    rows.push(`${step * 300},web,1.5,2000`);
  }
  writeFileSync(trace, `${rows.join('\n')}\n`);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Totals {
  readonly cpu: { readonly slack: number };
}

class Heard extends Writable {
  text = '';
  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    done();
  }
}

const run = (...argv: readonly string[]) => runOn(new Heard(), argv);

async function runOn(err: Heard, argv: readonly string[]) {
  const parsed = parseArguments(argv);
  if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
  const out = new Heard();
  const clock = { wallMs: () => milliseconds(0), monotonicMs: () => milliseconds(0) };
  const context: ProcessContext = {
    paths: createPaths(join(directory, 'root')),
    clock,
    env: {},
    stdout: out,
    stderr: err,
  };
  const command = argv[0] === 'recommend' ? recommend : backtest;
  const code = await command(parsed.arguments, context);
  return { code, out: out.text, err: err.text };
}

describe('backtest', () => {
  it('prints the figures of each policy as JSON, as shares of one', async () => {
    const { code, out, err } = await run(
      ...['backtest', '--trace', trace, '--policy', 'classic', 'adaptive', '--json'],
    );
    expect([code, err]).toEqual([0, '']);
    const { policies } = JSON.parse(out) as { policies: Record<string, unknown>[] };
    expect(policies.map(({ policy }) => policy)).toEqual(['classic', 'adaptive']);
    const share = expect.toSatisfy((value: number) => value >= 0 && value <= 1);
    const cpu = { slack: share, starved: share, unmet: share, resizes_per_day: expect.any(Number) };
    for (const one of policies) {
      expect(Object.keys(one)).toEqual(['policy', 'cpu', 'memory']);
      const both = [share, share];
      expect(one['cpu']).toEqual({ ...cpu, interval_90: { slack: both, starved: both } });
      expect(one['memory']).toEqual({
        ...cpu,
        oom_steps: share,
        unavoidable_oom_steps: share,
        killed_steps: share,
        oom_free_days: share,
        interval_90: { slack: both, oom_steps: both },
      });
    }
  });

  it('prints a table of all policies otherwise', async () => {
    const { out } = await run('backtest', '--trace', trace);
    for (const name of [
      'classic',
      'python-tool',
      'vpa',
      'static',
      'oracle',
      'threshold',
      'adaptive',
    ]) {
      expect(out).toMatch(new RegExp(`^${name} +[0-9.]+ %`, 'm'));
    }
  });

  it('takes the bounds and modes of a configuration', async () => {
    const file = join(directory, 'c.yaml');
    writeFileSync(file, 'DEFAULT: {min_cores: 2, ignore_lxc: [101]}\n');
    const argv = ['backtest', '--trace', trace, '--config', file, '--policy', 'static,configured'];
    const { code, out } = await run(...argv);
    expect(code).toBe(0);
    expect(out).toContain('2 to 8 cores');
    writeFileSync(file, 'DEFAULT: {min_cores: many}\n');
    const broken = await run(...argv);
    expect(broken.code).toBe(78);
    expect(broken.err).toContain('min_cores');
  });

  it('begins each day anew with --cold, and leaves out the first days with --after', async () => {
    const file = join(directory, 'two-days.csv');
    const rows = Array.from({ length: 576 }, (_, step) => {
      return `${step * 300},a,${step < 288 ? 1 : 1.4},`;
    });
    writeFileSync(file, `time_s,container,cpu_cores,memory_mb\n${rows.join('\n')}\n`);
    const slackWith = async (...options: readonly string[]): Promise<unknown> => {
      const argv = ['backtest', '--trace', file, '--policy', 'classic', '--json', ...options];
      const { policies } = JSON.parse((await run(...argv)).out) as { policies: Totals[] };
      return policies[0]?.cpu.slack;
    };
    // Each begins with twice its median: 3 cores for both days, or 2 and 3.
    expect(await slackWith()).toBeCloseTo(1 - 2.4 / 6, 5);
    expect(await slackWith('--after', '1')).toBeCloseTo(1 - 1.4 / 3, 5);
    expect(await slackWith('--cold')).toBeCloseTo(1 - 2.4 / 5, 5);
  });

  it('says what is wrong in a sentence', async () => {
    const unknown = await run('backtest', '--trace', trace, '--policy', 'clasic');
    expect([unknown.code, unknown.err]).toEqual([
      64,
      expect.stringMatching(/^backtest: unknown policy 'clasic'\. Did you mean 'classic'\?$/m),
    ]);
    const absent = await run('backtest', '--trace', join(directory, 'none.csv'));
    expect([absent.code, absent.err]).toEqual([
      1,
      expect.stringContaining('none.csv: does not exist; check the path'),
    ]);
    writeFileSync(join(directory, 'bad.csv'), 'time_s,container,cpu_cores,memory_mb\n0,a,x,\n');
    const bad = await run('backtest', '--trace', join(directory, 'bad.csv'));
    expect(bad.err).toBe('line 2: cpu_cores must be a number, 0 or more\n');
    const html = join(directory, 'no/such/place.html');
    const nowhere = await run('backtest', '--trace', trace, '--html', html);
    expect([nowhere.code, nowhere.err]).toEqual([
      1,
      expect.stringMatching(/^The report cannot be/),
    ]);
  });

  it('writes one page that needs nothing from elsewhere', async () => {
    const file = join(directory, 'report.html');
    const { code, out } = await run('backtest', '--trace', trace, '--html', file);
    expect([code, existsSync(file)]).toEqual([0, true]);
    expect(out).toContain(`\nWritten: ${file}, a page that needs nothing else;`);
    const verdict = /^CPU: .* is the safest: .* wastes least: .*\.$/m.exec(out)?.[0];
    expect(readFileSync(file, 'utf8')).toContain(`<p class="verdict">${verdict}</p>`);
    const both = ['--policy', 'static', '--html', file, '--json'];
    const json = await run('backtest', '--trace', trace, ...both);
    expect(json.err).toContain(`Written: ${file}`);
    expect(() => JSON.parse(json.out)).not.toThrow();
    const page = readFileSync(file, 'utf8');
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|src=|<link/);
    expect(page).toContain('prefers-color-scheme');
  });
});

describe('recommend', () => {
  it('says what a virtual machine of the record lacks, and sets nothing', async () => {
    const pve = join(directory, 'root/etc/pve');
    const conf = 'cores: 1\nmemory: 512\nname: db\nscsi0: local:x\nshares: 0\n';
    plant(join(directory, 'root'), {
      'etc/pve/.members': '{"nodename": "pve1"}',
      'etc/pve/.version': '{"starttime": 1}',
      'etc/pve/.vmlist': '{"ids": {"101": {"node": "pve1", "type": "qemu", "version": 1}}}',
      'etc/pve/qemu-server/101.conf': conf,
    });
    const { code, out } = await run('recommend', '--trace', trace);
    expect(code).toBe(0);
    expect(out).toMatch(/VM 101 \(db\), for what the record says/);
    expect(out).toContain('  qm set 101 --sockets 1 --cores 3 --memory 3072\n');
    expect(readFileSync(join(pve, 'qemu-server/101.conf'), 'utf8')).toBe(conf);
    rmSync(join(directory, 'root'), { recursive: true });
  });

  it('says what each container should have, as a table, as JSON and as YAML', async () => {
    const plain = await run('recommend', '--trace', trace);
    expect(plain.out).toMatch(/^CONTAINER +CORES.*\n101 +3 .*\nweb +2 /);
    const { out } = await run('recommend', '101', '--trace', trace, '--json');
    const { containers } = JSON.parse(out) as { containers: Record<string, unknown>[] };
    expect(containers).toHaveLength(1);
    expect(containers[0]).toMatchObject({
      container: '101',
      sure: 'low',
      tier: 'TIER_4_cores_4096_mb',
      cores: { recommended: 3, peak: 2.5, short: 0, saves: null },
    });
    const yaml = await run('recommend', '--trace', trace, '--yaml');
    expect(yaml.out).toContain('  guests: [101]\n  scaling_mode: adaptive\n');
    const file = join(directory, 'pasted.yaml');
    writeFileSync(file, `DEFAULT:\n${yaml.out}`);
    const again = await run('recommend', '--trace', trace, '--config', file);
    expect(again.err).toBe('');
  });

  it('shows how far it is on a terminal', async () => {
    const terminal = Object.assign(new Heard(), { isTTY: true });
    const { out } = await runOn(terminal, ['recommend', '--trace', trace]);
    expect(terminal.text).toContain('] 50 % 101');
    expect(terminal.text).toContain('] 100 % web');
    expect(out).not.toContain('%\r');
  });

  it('says why a container is advised less than its peak, and how sure that is', async () => {
    const rare = join(directory, 'rare.csv');
    const rows = Array.from({ length: 200 }, (_, step) => {
      return `${step * 300},rare,${step === 50 ? 1.26 : 0.3},900`;
    });
    writeFileSync(rare, `time_s,container,cpu_cores,memory_mb\n${rows.join('\n')}\n`);
    const { out } = await run('recommend', '--trace', rare);
    expect(out).toMatch(/^rare +1 +1\.26 /m);
    expect(out).toContain(
      'rare: its peak of 1.26 is short: 1 core is enough in 99.5 % of the time.\n',
    );
    expect(out).toMatch(/^Sure: low, less than a day is recorded; fair, /m);
  });

  it('says where it has looked when there is nothing', async () => {
    const file = join(directory, 'usual.yaml');
    writeFileSync(file, 'DEFAULT:\n');
    const { code, err } = await run('recommend', '--config', file);
    expect(code).toBe(1);
    expect(err).toMatch(
      /^Not enough usage is recorded yet in .*; for a recorded trace: --trace FILE.csv/,
    );
    const other = await run('recommend', '999', '--trace', trace);
    expect(other.err).toBe('there is nothing on guest 999\n');
  });
});

it('the progress bar is for terminals only', () => {
  let nowMs = 0;
  const clock = { wallMs: () => milliseconds(0), monotonicMs: () => milliseconds(nowMs) };
  const file = new Heard();
  createProgress(file, 10, clock).advance(5, 'vpa');
  expect(file.text).toBe('');
  const terminal = Object.assign(new Heard(), { isTTY: true });
  const progress = createProgress(terminal, 10, clock);
  progress.advance(5, 'vpa');
  expect(terminal.text).toContain(`[${'#'.repeat(15)}${'.'.repeat(15)}] 50 % vpa`);
  const before = terminal.text;
  progress.advance(1, 'vpa');
  expect(terminal.text).toBe(before);
  nowMs = 200;
  progress.advance(1, 'vpa');
  expect(terminal.text).toContain('70 %');
});
