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
import type { VmSpec } from '../../src/sim/vms.ts';
import { freePort } from '../free-port.ts';
import { startFastDaemon } from './fast-daemon.ts';
import { type Found, filesOf } from './files.ts';
import { measureProcess, median, type ProcessMeasure } from './measures.ts';
import { VISITOR_TOKEN, type VisitCounts, Visits } from './visits.ts';

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
  /** Virtual machines besides. Default 0. */
  readonly machines?: number;
  /** A group is there, and people use the page and the API with each measurement. */
  readonly everythingOn?: boolean;
  /** Steps of the simulated node are at most this long. Default 5000. */
  readonly stepMs?: number;
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

/** What there is after each tenth of the run. */
export interface Tenth {
  readonly day: number;
  /** Medians of the day before. */
  readonly privateMb: number;
  readonly residentMb: number;
  readonly descriptors: number;
  readonly stateBytes: number;
  readonly logBytes: number;
  /** Changes since the beginning. */
  readonly sets: number;
}

export interface LongRun {
  readonly tenths: readonly Tenth[];
  readonly measured: readonly Measured[];
  readonly cycles: number;
  readonly realMs: number;
  readonly sets: number;
  readonly exchanged: number;
  readonly messages: number;
  readonly scrapes: number;
  /** Requests over HTTP that were answered well, by path, and those that were not. */
  readonly visits: VisitCounts;
  /** Clones that the group has made, and has taken away again. */
  readonly clones: {
    readonly made: number;
    readonly gone: number;
    /** How many were made with an id. */
    readonly ofId: ReadonlyMap<string, number>;
  };
  /** Lines of the log that tell of a failure. */
  readonly errors: readonly string[];
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

const SOURCE = 90_000;
const FIRST_CLONE = 99_000;
const FIRST_MACHINE = 50_000;

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

interface Addresses {
  readonly webhook: string;
  readonly metrics: number;
  readonly http: number;
}

const yaml = (
  { pollS, sampleS, everythingOn = false }: LongRunOptions,
  { webhook, metrics, http }: Addresses,
): string => `
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
${everythingOn ? httpKeys(http) : ''}TIER_LEARNING:
  lxc_containers: 100-109
  scaling_mode: adaptive
TIER_BOOSTED:
  lxc_containers: 110-119
  scaling_mode: boost
${everythingOn ? GROUP : ''}`;

const httpKeys = (port: number): string => `  manage_vms: True
  http_listen: 127.0.0.1:${port}
  http_tokens: [{name: long, token: ${VISITOR_TOKEN}, role: admin}]
`;

/** Its load goes from less than one member needs to what five need, and back, once a day. */
const GROUP = `TIER_WEB:
  lxc_containers: [${SOURCE}, ${FIRST_CLONE}-${FIRST_CLONE + 9}]
  max_cores: 2
HORIZONTAL_SCALING_GROUP_web:
  source: ${SOURCE}
  lxc_containers: [${SOURCE}]
  min_instances: 1
  max_instances: 5
  starting_clone_id: ${FIRST_CLONE}
  horiz_cpu_upper_threshold: 80
  horiz_cpu_lower_threshold: 30
  scale_in: destroy
  clone_network_type: static
  static_ip_range: [198.18.9.10, 198.18.9.19]
  gateway: 198.18.9.1
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

const machineAt = (place: number): VmSpec => ({
  vmid: FIRST_MACHINE + place,
  memoryMib: 8192,
  settings: { cores: 4, shares: 0, balloon: 2048, hotplug: 'network,disk,usb,cpu' },
  guest: {
    demand: (atMs) => {
      const wave = 1 + Math.sin(2 * Math.PI * (atMs / DAY_MS + ((place * 0.618) % 1)));
      const isRestless = place % 10 === 0;
      return {
        cpuCores: isRestless ? 0.2 + wave : 1,
        anonMib: isRestless ? 700 + 400 * wave : 900,
      };
    },
  },
});

export async function longRun(options: LongRunOptions): Promise<LongRun> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-long-'));
  try {
    return await runIn(join(directory, 'node'), options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runIn(root: string, options: LongRunOptions): Promise<LongRun> {
  const { containers } = options;
  const guests = Array.from({ length: containers }, (_, at) => guestAt(FIRST_VMID + at, at));
  const { machines = 0, everythingOn = false, stepMs = 5000 } = options;
  const startMs = Math.floor(Date.now() / 1000) * 1000;
  let node: SimulatedNode | undefined;
  const share: DemandAt = (atMs) => {
    const members = node?.machine.files.vmids().filter((vmid) => vmid >= SOURCE).length ?? 1;
    const cpuCores = (3.2 - 2.9 * Math.cos((2 * Math.PI * atMs) / DAY_MS)) / Math.max(1, members);
    return { cpuCores, anonMib: 300 };
  };
  const sourceConf = guestText({ vmid: SOURCE, name: 'web', cores: 2, memoryMib: 1024 });
  if (everythingOn) guests.push({ vmid: SOURCE, conf: sourceConf, demand: share });
  node = await SimulatedNode.create({
    root,
    host: HOST,
    guests,
    vms: Array.from({ length: machines }, (_, place) => machineAt(place)),
    stepMs,
    wallStartS: startMs / 1000,
    sharedWallMs: () => startMs + (node?.machine.plant.hostMs ?? 0),
    cloneDemand: () => share,
  });
  node.advance(5000);
  return await liveOn(node, startMs, options);
}

async function liveOn(
  node: SimulatedNode,
  startMs: number,
  options: LongRunOptions,
): Promise<LongRun> {
  const { days, home, execPath, everythingOn = false } = options;
  const { root } = node;
  const receiver = await openReceiver();
  const metricsPort = await freePort();
  const httpPort = await freePort();
  const visits = everythingOn ? new Visits(httpPort) : undefined;
  const life = new Life(node, options, metricsPort, visits);
  const startedMs = performance.now();
  const daemon = startFastDaemon({
    node,
    home,
    startMs,
    yaml: yaml(options, { webhook: receiver.url, metrics: metricsPort, http: httpPort }),
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
      sets: setsOf(node),
      exchanged: life.gone.length,
      messages: receiver.count(),
      scrapes: life.scrapes,
      visits: visits?.counts ?? { answered: {}, refused: [] },
      clones: clonesOf(node),
      tenths: life.tenths,
      errors: errorsOf(root),
      files: filesOf(root),
      remembered: life.remembered(),
    };
  } finally {
    if (daemon.child.exitCode === null) daemon.child.kill('SIGKILL');
    await node.close();
    await receiver.close();
  }
}

const setsOf = ({ calls }: SimulatedNode): number =>
  calls.filter(({ argv }) => argv[1] === 'set').length;

const bytesBelow = (root: string, start: string): number =>
  filesOf(root)
    .filter(({ path }) => path.startsWith(start))
    .reduce((sum, { bytes }) => sum + bytes, 0);

function clonesOf({ calls }: SimulatedNode): LongRun['clones'] {
  const done = (verb: string): typeof calls =>
    calls.filter(({ argv, exit }) => argv[0] === 'pct' && argv[1] === verb && exit === 0);
  const made = done('clone');
  const ofId = new Map<string, number>();
  for (const { argv } of made) ofId.set(argv[3] ?? '', (ofId.get(argv[3] ?? '') ?? 0) + 1);
  return { made: made.length, gone: done('destroy').length, ofId };
}

/** The log is bounded: what it has of the end. */
const errorsOf = (root: string): readonly string[] =>
  filesOf(root)
    .filter(({ path }) => path.startsWith('var/log/lxc_autoscale.log'))
    .flatMap((file) => file.text().split('\n'))
    .filter((line) => / - (?:ERROR|CRITICAL) - /.test(line));

/** What happens on the node as time goes on. */
class Life {
  readonly measured: Measured[] = [];
  readonly gone: number[] = [];
  readonly tenths: Tenth[] = [];
  scrapes = 0;
  readonly #node: SimulatedNode;
  readonly #options: LongRunOptions;
  readonly #metricsUrl: string;
  readonly #visits: Visits | undefined;
  readonly #places: number[];
  #lastScrape = '';
  #next: number;
  #exchangeMs: number;
  #measureMs = 0;

  constructor(
    node: SimulatedNode,
    options: LongRunOptions,
    metricsPort: number,
    visits: Visits | undefined,
  ) {
    this.#visits = visits;
    this.#node = node;
    this.#options = options;
    this.#metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
    this.#places = Array.from({ length: options.containers }, (_, place) => FIRST_VMID + place);
    this.#next = FIRST_VMID + options.containers;
    this.#exchangeMs = options.exchangeEveryMs;
  }

  goOn(elapsedMs: number, measure: () => Measured): void {
    const { days } = this.#options;
    if (elapsedMs >= this.#measureMs) {
      this.#measureMs += this.#options.measureEveryMs;
      this.measured.push(measure());
      this.#scrape();
      // The first are told that the daemon begins, and the last that it has ended.
      if (this.measured.length > 1 && elapsedMs < (days - 0.02) * DAY_MS) void this.#visits?.come();
      if (this.measured.length % 12 === 0) this.#options.onProgress?.(elapsedMs / DAY_MS);
    }
    if (elapsedMs >= ((this.tenths.length + 1) / 10) * days * DAY_MS) {
      this.tenths.push(this.#tenth(elapsedMs / DAY_MS));
    }
    if (elapsedMs >= this.#exchangeMs) {
      this.#exchangeMs += this.#options.exchangeEveryMs;
      this.#exchange();
    }
  }

  #tenth(day: number): Tenth {
    const lately = this.measured.filter((each) => each.day > day - 1);
    const of = (figure: (each: Measured) => number): number => median(lately.map(figure));
    return {
      day,
      privateMb: of(({ privateMb }) => privateMb),
      residentMb: of(({ residentMb }) => residentMb),
      descriptors: of(({ descriptors }) => descriptors),
      stateBytes: bytesBelow(this.#node.root, 'var/lib/lxc_autoscale'),
      logBytes: bytesBelow(this.#node.root, 'var/log'),
      sets: setsOf(this.#node),
    };
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

  /**
   * The very last that went may still stand in a scrape from before. In the state, a list of plain
   * numbers is one of demand.
   */
  remembered(): readonly number[] {
    const state = filesOf(this.#node.root, 'var/lib/lxc_autoscale/state.json')[0]?.text() ?? '';
    return this.gone
      .slice(0, -1)
      .filter(
        (vmid) =>
          this.#lastScrape.includes(`"${vmid}"`) ||
          state.includes(`[${vmid},{`) ||
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
