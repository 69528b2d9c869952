import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classic, oracle } from '../../src/lab/baselines.ts';
import { type Demand, TRACE_BOUNDS } from '../../src/lab/demand.ts';
import { reportPage } from '../../src/lab/report-page.ts';
import { trial } from '../../src/lab/trial.ts';
import { PATIENCE_MS } from '../patience.ts';
import { daemon, made } from './traces.ts';

/** The report, as text and as a real browser shows it. */

const wave = Array.from({ length: 288 }, (_, step) => 1 + (step % 24) / 8);
const DEMANDS: readonly Demand[] = [
  made(
    '<b>web&',
    wave,
    wave.map((cores) => 900 * cores),
  ),
  made(
    'db',
    wave.map((cores) => cores / 4),
    Array<number>(288).fill(3000),
  ),
];
const policies = [classic, oracle, daemon('adaptive')];

let directory = '';
let file = '';
let page = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'report-page-'));
  file = join(directory, 'report.html');
  const trials = policies.map((policy) => trial(DEMANDS, policy, TRACE_BOUNDS));
  page = reportPage({ demands: DEMANDS, trials, policies, bounds: TRACE_BOUNDS });
  writeFileSync(file, page);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];
const browser = BROWSERS.find(
  (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
);
const QUIET = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars'];
const NO_BROWSER = 'there is no headless browser (Debian: apt-get install chromium)';

function browse(...options: readonly string[]): string {
  const args = [...QUIET, `--user-data-dir=${directory}`, '--window-size=1200,900', ...options];
  const run = spawnSync(browser ?? '', [...args, `file://${file}`], {
    encoding: 'utf8',
    timeout: PATIENCE_MS,
    maxBuffer: 1e8,
  });
  return run.stdout;
}

it('lets no name of a trace out of its place', () => {
  expect(page).toContain('&lt;b&gt;web&amp;');
  expect(page).not.toContain('<b>web');
});

it('names each policy in the tables and in the plots', () => {
  for (const { name } of policies) {
    expect(page.split(`>${name}</`).length).toBeGreaterThanOrEqual(5);
  }
});

describe('in a browser', () => {
  it('draws demand and allocation of a container', (context) => {
    if (browser === undefined) context.skip(NO_BROWSER);
    const dom = browse('--dump-dom');
    expect(dom.match(/<path d="M[^"]+" class="demand"/g)).toHaveLength(2);
    expect(dom.match(/<path d="M[^"]+" class="given"/g)).toHaveLength(4);
    expect(dom).toContain('<option value="1">');
    expect(dom).not.toMatch(/d="[^"]*(NaN|undefined)/);
  });

  it.for([
    ['light', 1, [255, 255, 255]],
    ['dark', 0, [0x15, 0x17, 0x1a]],
  ] as const)('is %s where the system is', ([name, scheme, paper], context) => {
    if (browser === undefined) context.skip(NO_BROWSER);
    const shot = join(directory, `${name}.png`);
    browse(`--blink-settings=preferredColorScheme=${scheme}`, `--screenshot=${shot}`);
    expect(firstPixel(readFileSync(shot))).toEqual(paper);
  });
});

/** Of a PNG with 8 bits a channel: a row begins with its filter, then the pixel as it is. */
function firstPixel(png: Buffer): number[] {
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') {
      parts.push(png.subarray(at + 8, at + 8 + length));
    }
    at += length + 12;
  }
  return [...inflateSync(Buffer.concat(parts)).subarray(1, 4)];
}
