import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { guestText } from '../../src/sim/guest-text.ts';
import type { GuestSpec } from '../../src/sim/machine.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import type { DemandAt } from '../../src/sim/plant.ts';
import { freePort } from '../free-port.ts';
import { startFastDaemon } from './fast-daemon.ts';
import { type Found, filesOf } from './files.ts';
import { measureProcess, type ProcessMeasure } from './measures.ts';

/**
 * A long life of the daemon in a short time: the real program and real `pct` processes on a
 * simulated node, whose time and the daemon's jump from one timer to the next together. Demand has
 * the rhythm of days, containers come and go, messages go out, and somebody reads the metrics.
 */

export interface LongRunOptions {
  readonly days: number;
  readonly containers: number;
  readonly pollS: number;
  readonly sampleS: number;
  /** A container goes and another one comes. */
  readonly exchangeEveryMs: number;
  readonly measureEveryMs: number;
  readonly home: string;
  readonly execPath?: string;
  readonly onProgress?: (day: number) => void;
}

export interface Measured extends ProcessMeasure {
  readonly day: number;
  readonly cycles: number;
}

export interface LongRun {
  readonly measured: readonly Measured[];
  readonly cycles: number;
  readonly realMs: number;
  readonly sets: number;
  readonly exchanged: number;
  readonly messages: number;
  readonly scrapes: number;
  readonly files: readonly Found[];
  /** Containers that are gone, and of which the last scrape or the saved state still speaks. */
  readonly remembered: readonly number[];
  readonly exitCode: number | null;
  readonly stderr: string;
}

const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
const FIRST_VMID = 100;
/** So many of the first stay for the whole time. */
const LASTING = 20;

const HOST = {
  cpus: 256,
  memoryMib: 524_288,
  swapMib: 8192,
  baseCores: 0.3,
  baseMemoryMib: 2048,
  pressure: true,
  kernelRelease: '6.8.12-4-pve',
};

/** What bounds the files is small here, so that it is met. */
export const LOG_MAX_MIB = 1;
export const LOG_KEEP = 2;
export const BACKUPS_KEEP = 5;
export const HISTORY_DAYS = 14;

const yaml = ({ pollS, sampleS }: LongRunOptions, webhook: string, metrics: number): string => `
DEFAULT:
  poll_interval: ${pollS}
  sample_interval: ${sampleS}
  log_max_size_mb: ${LOG_MAX_MIB}
  log_keep: ${LOG_KEEP}
  log_quiet_cycles: True
  backups_keep: ${BACKUPS_KEEP}
  usage_history_days: ${HISTORY_DAYS}
  webhook_url: ${webhook}
  metrics_listen: 127.0.0.1:${metrics}
TIER_LEARNING:
  lxc_containers: 100-109
  scaling_mode: adaptive
TIER_BOOSTED:
  lxc_containers: 110-119
  scaling_mode: boost
`;

/** One in ten has days, with a rhythm of its own; the others always want the same. */
function demandOf(place: number): DemandAt {
  if (place % (place < LASTING ? 4 : 16) !== 0)
    return () => ({ cpuCores: 1, anonMib: 500, fileSetMib: 100 });
  const phase = (place * 0.618) % 1;
  return (atMs) => {
    const wave = 1 + Math.sin(2 * Math.PI * (atMs / DAY_MS + phase));
    return { cpuCores: 0.1 + 1.4 * wave, anonMib: 200 + 700 * wave, fileSetMib: 50 };
  };
}

function guestAt(vmid: number, place: number): GuestSpec {
  const conf = guestText({ vmid, name: `ct${vmid}`, cores: 2, memoryMib: 1024 });
  return { vmid, conf, demand: demandOf(place) };
}

export async function longRun(options: LongRunOptions): Promise<LongRun> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-long-'));
  try {
    return await runIn(join(directory, 'node'), options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runIn(root: string, options: LongRunOptions): Promise<LongRun> {
  const { containers, days, home, execPath } = options;
  const guests = Array.from({ length: containers }, (_, at) => guestAt(FIRST_VMID + at, at));
  const startMs = Math.floor(Date.now() / 1000) * 1000;
  const node = await SimulatedNode.create({
    root,
    host: HOST,
    guests,
    stepMs: 5000,
    wallStartS: startMs / 1000,
  });
  node.advance(5000);
  const receiver = await openReceiver();
  const metricsPort = await freePort();
  const life = new Life(node, options, metricsPort);
  const startedMs = performance.now();
  const daemon = startFastDaemon({
    node,
    home,
    startMs,
    yaml: yaml(options, receiver.url, metricsPort),
    ...(execPath !== undefined && { execPath }),
    onTime: (elapsedMs) => {
      life.goOn(elapsedMs, () => ({
        ...measureProcess(daemon.pid),
        day: elapsedMs / DAY_MS,
        cycles: daemon.cycles,
      }));
      if (elapsedMs >= days * DAY_MS) daemon.child.kill('SIGTERM');
    },
  });
  try {
    const { code, stderr } = await daemon.ended;
    return {
      measured: life.measured,
      cycles: daemon.cycles,
      exitCode: code,
      stderr,
      realMs: performance.now() - startedMs,
      sets: node.calls.filter(({ argv }) => argv[1] === 'set').length,
      exchanged: life.gone.length,
      messages: receiver.count(),
      scrapes: life.scrapes,
      files: filesOf(root),
      remembered: life.remembered(),
    };
  } finally {
    if (daemon.child.exitCode === null) daemon.child.kill('SIGKILL');
    await node.close();
    await receiver.close();
  }
}

/** What happens on the node as time goes on. */
class Life {
  readonly measured: Measured[] = [];
  readonly gone: number[] = [];
  scrapes = 0;
  readonly #node: SimulatedNode;
  readonly #options: LongRunOptions;
  readonly #metricsUrl: string;
  readonly #places: number[];
  #lastScrape = '';
  #next: number;
  #exchangeMs: number;
  #measureMs = 0;

  constructor(node: SimulatedNode, options: LongRunOptions, metricsPort: number) {
    this.#node = node;
    this.#options = options;
    this.#metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
    this.#places = Array.from({ length: options.containers }, (_, place) => FIRST_VMID + place);
    this.#next = FIRST_VMID + options.containers;
    this.#exchangeMs = options.exchangeEveryMs;
  }

  goOn(elapsedMs: number, measure: () => Measured): void {
    if (elapsedMs >= this.#measureMs) {
      this.#measureMs += this.#options.measureEveryMs;
      this.measured.push(measure());
      this.#scrape();
      if (this.measured.length % 12 === 0) this.#options.onProgress?.(elapsedMs / DAY_MS);
    }
    if (elapsedMs >= this.#exchangeMs) {
      this.#exchangeMs += this.#options.exchangeEveryMs;
      this.#exchange();
    }
  }

  /** Those of the tiers stay; of the others each place in turn gets another container. */
  #exchange(): void {
    const { containers } = this.#options;
    const first = Math.min(LASTING, containers - 1);
    const place = first + ((this.gone.length * 7) % (containers - first));
    const old = this.#places[place];
    if (old === undefined) return;
    this.#node.destroyContainer(old);
    this.gone.push(old);
    this.#places[place] = this.#next;
    this.#node.addContainer(guestAt(this.#next, place));
    this.#next += 1;
  }

  #scrape(): void {
    void fetch(this.#metricsUrl, { headers: { connection: 'close' } })
      .then((answer) => answer.text())
      .then((text) => {
        this.scrapes += 1;
        this.#lastScrape = text;
      })
      .catch(() => {});
  }

  /** The very last that went may still stand in a scrape from before. */
  remembered(): readonly number[] {
    const state = filesOf(this.#node.root, 'var/lib/lxc_autoscale/state.json')[0]?.text() ?? '';
    return this.gone
      .slice(0, -1)
      .filter(
        (vmid) =>
          this.#lastScrape.includes(`"${vmid}"`) ||
          state.includes(`[${vmid},`) ||
          state.includes(`"${vmid}/`),
      );
  }
}

async function openReceiver() {
  let received = 0;
  const server = createServer((request, response) => {
    received += 1;
    request.resume();
    request.on('end', () => response.setHeader('connection', 'close').end('ok'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    count: () => received,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
