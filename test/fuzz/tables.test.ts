import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { parseArguments } from '../../src/cli/command-line.ts';
import { history } from '../../src/cli/history.ts';
import { recommend } from '../../src/cli/recommend.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { traceNode } from '../../src/sim/trace-guests.ts';
import { TraceParser } from '../../src/sim/traces.ts';
import { collecting } from '../cli/collecting.ts';
import { fc } from '../fast-check.ts';
import { manualClock, plant } from '../node/local/world.ts';
import { damaged, damagedText, fuzz, UNFIT_IN_LINES } from './fuzz.ts';
import { keptDirectory } from './kept-directory.ts';

/** Files of many lines that a command reads and shows: traces, and the JSON log. */

const TRACE =
  'time_s,container,cpu_cores,memory_mb\n0,web,0.5,512\n0,db,1,2048\n300,web,0.75,520\n' +
  '300,db,1.5,2000\n600,web,3,800\n600,db,0.1,2100\n';

const isFine = (value: number | undefined): boolean =>
  value === undefined || (Number.isFinite(value) && value >= 0);

describe('a recorded trace, whatever it holds', () => {
  const pieces = fc.tuple(damagedText(TRACE), fc.integer({ min: 1, max: 60 }));

  fuzz('gives series of amounts, or at most ten problems', 2000, pieces, ([text, size]) => {
    const parser = new TraceParser();
    for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size));
    const result = parser.finish();
    if (!result.ok) {
      expect(result.problems.length).toBeLessThanOrEqual(10);
      expect(result.problems.join('').length).toBeLessThan(3000);
      return;
    }
    for (const { timesS, cpuCores, memoryMib, name } of result.trace.series) {
      expect([...timesS, ...cpuCores, ...memoryMib].every(isFine)).toBe(true);
      expect(name).toMatch(/^[\w.:@-]{1,64}$/);
    }
    const { host, guests } = traceNode(result.trace);
    expect(host.cpus <= 128 && Number.isSafeInteger(host.memoryMib)).toBe(true);
    for (const { demand } of guests) {
      const { cpuCores, anonMib = 0 } = demand(450_000, 1000);
      expect(isFine(cpuCores) && isFine(anonMib)).toBe(true);
    }
  });
});

const NO_AMOUNT = /NaN|Infinity|undefined/;

describe('a command that shows what it reads', () => {
  const root = keptDirectory();
  const given = (argv: readonly string[]) => {
    const parsed = parseArguments([...argv, '--sysroot', root()]);
    if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
    return parsed.arguments;
  };
  const around = () => {
    const [out, err] = [collecting(), collecting()];
    const streams = { stdout: out.stream, stderr: err.stream };
    const clock = manualClock();
    return { out, err, all: { paths: createPaths(root()), clock, env: {}, ...streams } };
  };

  fuzz('recommend', 200, damaged(TRACE), async (bytes) => {
    const file = join(root(), 'trace.csv');
    writeFileSync(file, bytes);
    const { out, err, all } = around();
    await recommend(given(['recommend', '--trace', file]), all);
    const said = out.text() + err.text();
    expect(said).not.toMatch(UNFIT_IN_LINES);
    // A container may be named so.
    if (!NO_AMOUNT.test(`${bytes}`)) expect(said).not.toMatch(NO_AMOUNT);
    expect(said.length).toBeLessThan(10_000);
  });

  const event = (vmid: number, more: object = {}): string =>
    JSON.stringify({
      timestamp: '2026-11-20 08:00:00',
      proxmox_host: 'pve1',
      container_id: `${vmid}`,
      action: 'Increase Memory',
      change: '512MB',
      name: 'shop',
      before: 1024,
      after: 1536,
      status: 'confirmed',
      reason: 'it needs more',
      ...more,
    });
  const LOG = `${event(101)}\n${event(102, { note: 'and a note' })}\n`;

  fuzz('history', 400, fc.tuple(damaged(LOG), fc.boolean()), async ([bytes, json]) => {
    plant(root(), {
      'etc/lxc_autoscale/lxc_autoscale.yaml': 'DEFAULT: {timezone: UTC}\n',
      'var/log/lxc_autoscale.json': bytes,
    });
    const { out, err, all } = around();
    const code = await history(given(json ? ['history', '--json'] : ['history']), all);
    expect(code).toBe(0);
    const said = out.text() + err.text();
    expect(said).not.toMatch(UNFIT_IN_LINES);
    expect(said.length).toBeLessThan(5000 + 7 * bytes.length);
  });
});
