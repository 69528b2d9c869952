import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The demo as a user starts it: its output, its logs, and what it leaves behind. */

const BUNDLE = new URL('../../dist/lxc-autoscale.cjs', import.meta.url).pathname;
const MINUTES = 60_000;

interface Demo {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
  /** A directory that is the demo's TMPDIR. */
  readonly scratch: string;
}

const scratches: string[] = [];
afterAll(() => {
  for (const scratch of scratches) rmSync(scratch, { recursive: true, force: true });
});

function runDemo(args: readonly string[], signal?: { name: NodeJS.Signals; after: RegExp }) {
  const scratch = mkdtempSync(join(tmpdir(), 'demo-test-'));
  scratches.push(scratch);
  return new Promise<Demo>((resolve) => {
    const env = { ...process.env, TMPDIR: scratch };
    const child = spawn(process.execPath, [BUNDLE, 'demo', ...args], { env, cwd: scratch });
    let out = '';
    let error = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
      if (signal?.after.test(out) !== true || child.killed) return;
      child.kill(signal.name);
    });
    child.stderr.on('data', (chunk) => {
      error += chunk;
    });
    child.once('close', (code) => resolve({ code, out, error, scratch }));
  });
}

function nodeOf({ scratch }: Demo): string {
  const [name = ''] = readdirSync(scratch);
  return join(scratch, name, 'node');
}

describe('the demo as it is', () => {
  let demo: Demo;
  let events: Array<Record<string, string | number>> = [];
  /** A busy machine leaves the day too few cycles for all that it has; then it is played again. */
  const isWhole = (): boolean => of(104).some(({ action }) => action === 'Decrease Memory');
  beforeAll(async () => {
    for (let tries = 0; tries < 3 && !isWhole(); tries += 1) {
      demo = await runDemo([]);
      const json = readFileSync(join(nodeOf(demo), 'var/log/lxc_autoscale.json'), 'utf8');
      events = json
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
    }
  }, 6 * MINUTES);
  const of = (vmid: number) => events.filter(({ container_id: id }) => id === String(vmid));

  it('ends well and says what it did and where its logs lie', () => {
    expect(demo.error).toBe('');
    expect(demo.code).toBe(0);
    expect(demo.out).toContain('Summary of 60 s');
    expect(demo.out).toMatch(/memory \d+ GB-hours (saved|more)/);
    expect(demo.out).toMatch(/CPU +\d+ core-hours (saved|more)/);
    const [, log = ''] = /^JSON log: (.*)$/m.exec(demo.out) ?? [];
    expect(existsSync(log)).toBe(true);
    expect(demo.out).not.toContain('\x1b');
  });

  it('kills nothing', () => {
    expect(demo.out).toContain('Out-of-memory kills: 0');
  });

  it('gives the batch job its cores within two cycles of its need', () => {
    const log = readFileSync(join(nodeOf(demo), 'var/log/lxc_autoscale.log'), 'utf8');
    const cycles = log.split('Starting resource allocation process...').slice(1);
    const first = cycles.findIndex((cycle) => cycle.includes('Increasing cores for container 103'));
    // The job begins at 06:48 of the demo's day, 2 s after its start: that is the second cycle.
    expect(first).toBeGreaterThanOrEqual(1);
    expect(first).toBeLessThanOrEqual(3);
  });

  it('reduces the idle one', () => {
    const actions = of(104).map(({ action }) => action);
    expect(actions).toContain('Decrease Cores');
    expect(actions).toContain('Decrease Memory');
    expect(actions).not.toContain('Increase Memory');
  });

  it('does not touch the ignored and the locked one', () => {
    expect(of(107)).toEqual([]);
    expect(of(108)).toEqual([]);
    expect(demo.out).toMatch(/Container 107 .*is skipped: .*ignore_lxc/);
    expect(demo.out).toMatch(/Container 108 .*is skipped: .*locked \(backup\)/);
  });

  it('writes a JSON log that jq reads', (context) => {
    if (spawnSync('jq', ['--version']).error !== undefined) context.skip('there is no jq');
    const file = join(nodeOf(demo), 'var/log/lxc_autoscale.json');
    const query = '[.timestamp,.container_id,.action,.change,.reason]|@tsv';
    const { status, stdout } = spawnSync('jq', ['-r', query, file], { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(events.length);
  });

  it('writes nothing outside of its directory', () => {
    expect(readdirSync(demo.scratch)).toHaveLength(1);
    const uncommon = ['/var/log/lxc_autoscale.log', '/var/lib/lxc_autoscale', '/etc/lxc_autoscale'];
    expect(uncommon.filter((path) => existsSync(path))).toEqual([]);
  });
});

describe('the demo', () => {
  it('takes its demand from a recorded trace', { timeout: MINUTES }, async () => {
    const rows = ['time_s,container,cpu_cores,memory_mb'];
    for (let step = 0; step <= 12; step += 1) {
      rows.push(`${step * 300},steady,0.5,600`, `${step * 300},rising,${step < 7 ? 0.4 : 3},`);
    }
    const directory = mkdtempSync(join(tmpdir(), 'demo-trace-'));
    scratches.push(directory);
    const file = join(directory, 'trace.csv');
    writeFileSync(file, `${rows.join('\n')}\n`);
    const demo = await runDemo(['--trace', file, '--duration', '10']);
    expect(demo.error).toBe('');
    expect(demo.code).toBe(0);
    expect(demo.out).toContain('1.0 h of 2 recorded containers in 10 s');
    expect(demo.out).toMatch(/Increase Cores of 102 rising/);
  });

  it('says what is wrong with a trace', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'demo-trace-'));
    scratches.push(directory);
    const file = join(directory, 'trace.csv');
    writeFileSync(file, 'time_s,container,cpu_cores,memory_mb\n0,a,1,1\n300,a,lots,1\n');
    const broken = await runDemo(['--trace', file]);
    expect(broken.code).toBe(1);
    expect(broken.error).toMatch(/3: .*cpu_cores/);
    expect(readdirSync(broken.scratch)).toEqual([]);
    const absent = await runDemo(['--trace', join(directory, 'none.csv')]);
    expect(absent.code).toBe(1);
    expect(absent.error.trimEnd().split('\n')).toHaveLength(1);
    expect(absent.error).toContain('none.csv');
  });

  it.each(['SIGINT', 'SIGHUP'] as const)(
    'ends in order on Ctrl-C, and if its terminal is closed: %s',
    { timeout: MINUTES },
    async (name) => {
      const demo = await runDemo([], { name, after: /in use[\s\S]*in use/ });
      expect(demo.code).toBe(0);
      expect(demo.out).toMatch(/Summary of \d+ s/);
    },
  );
});
