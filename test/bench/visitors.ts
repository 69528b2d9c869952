import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { parseVmid, type Vmid } from '../../src/core/units.ts';
import { dayOf, encodeUsage } from '../../src/core/usage-history.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { USAGE_DIRECTORY } from '../../src/store/usage-files.ts';
import { freePort } from '../free-port.ts';
import { measureProcess, median } from '../long/measures.ts';
import { serviceStart } from '../service-flags.ts';
import { onQuietNode } from './quiet-node.ts';

/** What those who look at the page cost the daemon, and what they wait for. */

const GUESTS = 300;
const VISITORS = 5;
const POLL_S = 10;
const MEASURED_MS = 60_000;
const DAYS = 14;
const STEP_S = 300;
const VIEWS = 5;
const TOKEN = 'bench-token-0123456789';
const headers = { authorization: `Bearer ${TOKEN}` };

export const benchVisitors = (): Promise<readonly string[]> =>
  onQuietNode(GUESTS, async (root, node) => {
    const port = await freePort();
    layFiles(root, port);
    const daemon = startDaemon(root, node);
    // The node is busy at the pace of the world.
    const timer = setInterval(() => node.advance(POLL_S), POLL_S * 1000);
    const ask = async (path: string): Promise<boolean> => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`, { headers });
      await answer.text();
      return answer.ok;
    };
    try {
      // From here on the file of HTTP is loaded.
      await until(() => ask('status').catch(() => false));
      const alone = await cost(daemon);
      const recommended = await timed(() => ask('recommendations'));
      const looked = await looking(port, daemon);
      return [
        `nobody looks: ${words(alone)}`,
        `${VISITORS} browsers look: ${words(looked.cost)}`,
        `first view of ${GUESTS} guests: ${looked.kb.toFixed(0)} KB, ${looked.ms.toFixed(0)} ms`,
        `recommendations by ${DAYS} days: ${(recommended / 1000).toFixed(1)} s`,
      ];
    } finally {
      clearInterval(timer);
      daemon.kill('SIGTERM');
      await once(daemon, 'exit');
    }
  });

function layFiles(root: string, port: number): void {
  mkdirSync(join(root, 'etc/lxc_autoscale'), { recursive: true });
  writeFileSync(
    join(root, 'etc/lxc_autoscale/lxc_autoscale.yaml'),
    `DEFAULT:\n  poll_interval: ${POLL_S}\n  http_listen: 127.0.0.1:${port}\n` +
      `  http_tokens: [{name: bench, token: ${TOKEN}, role: admin}]\n`,
    { mode: 0o600 },
  );
  const directory = join(root, USAGE_DIRECTORY);
  mkdirSync(directory, { recursive: true });
  const vmids = Array.from({ length: GUESTS }, (_, index) => parseVmid(`${100 + index}`));
  for (let day = 1; day <= DAYS; day += 1) {
    const fromS = (Math.floor(Date.now() / 86_400_000) - day) * 86_400;
    const lines = Array.from({ length: 86_400 / STEP_S }, (_, step) =>
      vmids.map((vmid) => usageLine(fromS + step * STEP_S, vmid as Vmid)).join('\n'),
    );
    const file = `${dayOf(fromS)}.001.csv`;
    writeFileSync(join(directory, file), `${lines.join('\n')}\n`);
  }
}

const usageLine = (timeS: number, vmid: Vmid): string =>
  encodeUsage({
    timeS,
    vmid,
    cpuCores: 0.5 + (timeS % 7) / 10,
    memoryMib: 500 + (timeS % 11),
    cpuDemand: 0.5,
    cpuPeak: 1.2,
    cpuAllowed: 2,
    memoryPeakMib: 520,
    memoryLimitMib: 1024,
    cpuWaitPercent: 0,
    memoryWaitPercent: 0,
  });

function startDaemon(root: string, node: SimulatedNode): ChildProcess {
  const home = process.cwd();
  const { flags } = serviceStart(join(home, 'systemd/lxc_autoscale.service'));
  const args = [...flags, join(home, 'dist/lxc-autoscale.cjs'), '--sysroot', root, 'daemon'];
  const env = { ...process.env, PATH: `${node.binDirectory}:${process.env['PATH']}` };
  return spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await wait(200);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

interface Cost {
  readonly cpuMsPerCycle: number;
  readonly privateMb: number;
  readonly residentMb: number;
}

async function cost({ pid = 0 }: ChildProcess): Promise<Cost> {
  const before = measureProcess(pid);
  await wait(MEASURED_MS);
  const { cpuMs, privateMb, residentMb } = measureProcess(pid);
  const cycles = MEASURED_MS / 1000 / POLL_S;
  return { cpuMsPerCycle: (cpuMs - before.cpuMs) / cycles, privateMb, residentMb };
}

const words = ({ cpuMsPerCycle, privateMb, residentMb }: Cost): string =>
  `${cpuMsPerCycle.toFixed(0)} ms of CPU a cycle of ${POLL_S} s, ` +
  `${privateMb.toFixed(1)} MB private, ${residentMb.toFixed(1)} MB resident`;

interface Looked {
  readonly cost: Cost;
  readonly kb: number;
  readonly ms: number;
}

async function looking(port: number, daemon: ChildProcess): Promise<Looked> {
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const contexts: BrowserContext[] = [];
    for (let count = 0; count < VISITORS; count += 1) contexts.push(await browser.newContext());
    const pages = await Promise.all(contexts.map((context) => logIn(context, port)));
    const views: Array<readonly [ms: number, kb: number]> = [];
    for (let count = 0; count < VIEWS; count += 1) views.push(await firstView(pages[0] as Page));
    const found = await cost(daemon);
    const [ms, kb] = [0, 1].map((place) => median(views.map((one) => one[place] ?? 0)));
    return { cost: found, ms: ms ?? 0, kb: kb ?? 0 };
  } finally {
    await browser.close();
  }
}

async function logIn(context: BrowserContext, port: number): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.getByLabel('Token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await allRows(page);
  return page;
}

const allRows = (page: Page): Promise<void> =>
  page
    .locator('tbody tr')
    .nth(GUESTS - 1)
    .waitFor();

/** Until the rows are there, and what has come over the wire for it, in KB. */
async function firstView(page: Page): Promise<readonly [ms: number, kb: number]> {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  let bytes = 0;
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength;
  });
  const ms = await timed(async () => {
    await page.reload({ waitUntil: 'commit' });
    await allRows(page);
  });
  await session.detach();
  return [ms, bytes / 1000];
}
