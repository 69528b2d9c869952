import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { ProcessContext } from '../../src/app/context.ts';
import { EXIT } from '../../src/app/exit-codes.ts';
import { openFarNodes } from '../../src/app/far-nodes.ts';
import { settingsOf } from '../../src/app/loop-settings.ts';
import { NodeLoop } from '../../src/app/node-loop.ts';
import { type Launched, type NodeInHand, run } from '../../src/app/run.ts';
import { parseConfig } from '../../src/config/load.ts';
import { milliseconds } from '../../src/core/units.ts';
import { createPaths } from '../../src/node/local/paths.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import { type RestCall, type RestFault, RestServer } from '../../src/sim/rest-server.ts';
import { ACCOUNTS, FINGERPRINT, PASSWORD, SECRET } from '../node/api/rest-node.ts';
import { AUTHORITY_FILE, SERVER_TLS } from '../notify/certificate.ts';
import { drawFarFault, FAR_HAPPENINGS, type FarScene } from './far-faults.ts';
import { FarWatch } from './far-watch.ts';
import { Random } from './random.ts';
import { configurationOf, guestsOf, HOST } from './stage.ts';

/**
 * One seed: a node behind its API, the loop that looks after it from another host, and what goes
 * wrong between them. The loop is the real one, with its files; its time is that of the node. A
 * seed that begins with `u` plays days, and memory may shrink unproven there.
 */

export interface FarResult {
  readonly seed: string;
  readonly cycles: number;
  readonly faulty: number;
  readonly puts: number;
  readonly confirmed: number;
  readonly shrinks: number;
  readonly requests: number;
  readonly starts: number;
  readonly met: ReadonlyMap<string, number>;
  readonly broken: readonly string[];
  readonly directory: string | undefined;
}

const LIMITS = { readLimitMs: milliseconds(400), writeLimitMs: milliseconds(500) };
const QUIET_STEP_MS = 5000;
const ENV = { LAB_TOKEN: SECRET, LAB_PASSWORD: PASSWORD };

const variable = (name: string): string => `$\{${name}}`;

export async function runFarTrial(seed: string, cycles: number): Promise<FarResult> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-far-'));
  const node = await SimulatedNode.create({
    root: join(directory, 'node'),
    host: HOST,
    guests: guestsOf(seed),
    lockTimeoutMs: 20,
    pvestatdPeriodMs: 10_000,
    // Days take long to play in steps of a second.
    ...(seed.startsWith('u') && { stepMs: 20_000 }),
  });
  const trial = new FarTrial(seed, cycles, directory, node);
  try {
    return await trial.run();
  } finally {
    await trial.close();
    if (trial.watch.broken.length === 0) rmSync(directory, { recursive: true, force: true });
  }
}

class FarTrial {
  readonly watch: FarWatch;
  readonly #seed: string;
  readonly #most: number;
  readonly #directory: string;
  readonly #node: SimulatedNode;
  readonly #met = new Map<string, number>();
  #server: RestServer | undefined;
  #said = '';
  #cycles = 0;
  #faulty = 0;
  #isFaulty = false;
  #starts = 0;
  #requests = 0;
  #wallJumpMs = 0;
  /** How far the clock of the node is from where it was, for its tickets. */
  #skewMs = 0;
  #deadUntilMs = 0;
  #period = 0;
  #strength = 0;
  #stop = new AbortController();
  #stopsIn: number | undefined;
  #restarts = false;
  #due: { readonly atMs: number; readonly what: () => void }[] = [];

  constructor(seed: string, cycles: number, directory: string, node: SimulatedNode) {
    this.#seed = seed;
    this.#most = cycles;
    this.#directory = directory;
    this.#node = node;
    const loaded = parseConfig(this.#text(1), 'lxc_autoscale.yaml', ENV);
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    this.watch = new FarWatch(node, loaded.config, this.#stateDir);
    node.advance(60_000);
  }

  get #isOfDays(): boolean {
    return this.#seed.startsWith('u');
  }

  get #stateDir(): string {
    return join(this.#directory, 'state');
  }

  get #nowMs(): number {
    return this.#node.machine.plant.hostMs;
  }

  #text(port: number): string {
    const random = new Random(this.#seed, 'entry');
    const text = configurationOf(this.#seed, 0);
    const login = random.pick([
      `token_id: as@pve!ps\n    token_secret: ${variable('LAB_TOKEN')}`,
      `user: as@pve\n    password: ${variable('LAB_PASSWORD')}`,
    ]);
    const trust = random.pick([`fingerprint: ${FINGERPRINT}`, 'ca_file: /etc/ca.pem']);
    const own = this.#isOfDays ? '    memory_shrink: unproven\n' : '';
    const entry = `NODES:\n  lab:\n    host: 127.0.0.1\n    port: ${port}\n    node: pve1\n`;
    const slow = text.replace(/poll_interval: .*/, 'poll_interval: 300');
    const days = slow.replace(/sample_interval: .*/, 'sample_interval: 120');
    return `${this.#isOfDays ? days : text}${entry}    ${login}\n    ${trust}\n${own}`;
  }

  async run(): Promise<FarResult> {
    this.#server = await RestServer.listen({
      node: this.#node,
      tls: SERVER_TLS,
      accounts: ACCOUNTS,
      refusalMs: 1,
      nowMs: () => this.#nowMs + this.#skewMs,
    });
    this.#server.fault = (call) => this.#onRequest(call);
    mkdirSync(this.#stateDir, { mode: 0o700 });
    mkdirSync(join(this.#directory, 'host/etc/lxc_autoscale'), { recursive: true });
    copyFileSync(AUTHORITY_FILE, join(this.#directory, 'host/etc/ca.pem'));
    const file = join(this.#directory, 'host/etc/lxc_autoscale/lxc_autoscale.yaml');
    writeFileSync(file, this.#text(this.#server.port));
    while (this.#cycles < this.#most && this.watch.broken.length === 0) await this.#start();
    this.watch.ended([SECRET, PASSWORD], this.#said);
    const { broken, puts, done: confirmed, shrinks } = this.watch;
    return {
      seed: this.#seed,
      cycles: this.#cycles,
      faulty: this.#faulty,
      puts,
      confirmed,
      shrinks,
      requests: this.#requests,
      starts: this.#starts,
      met: this.#met,
      broken,
      directory: broken.length > 0 ? this.#directory : undefined,
    };
  }

  async close(): Promise<void> {
    await this.#server?.close();
    await this.#node.close();
  }

  async #start(): Promise<void> {
    this.#starts += 1;
    const { files } = createPaths('/');
    const paths = createPaths(join(this.#directory, 'host'), files, this.#stateDir);
    const stream = (): PassThrough =>
      new PassThrough().on('data', (text) => {
        this.#said += text;
      });
    const clock = {
      monotonicMs: () => milliseconds(this.#nowMs),
      wallMs: () => milliseconds(1_795_300_000_000 + this.#nowMs + this.#wallJumpMs),
    };
    const context: ProcessContext = {
      paths,
      clock,
      env: { ...ENV },
      stdout: stream() as never,
      stderr: stream() as never,
    };
    const launch = {
      configFile: undefined,
      pollIntervalSeconds: undefined,
      energyMode: false,
      debug: true,
      dryRun: false,
    };
    const tools = { pause: async () => {}, random: () => 0.5 };
    const code = await run(
      (launched) => this.#steps(launched),
      ...[launch, context, { on: () => {}, off: () => {} }],
      async (config, own) => openFarNodes(config, own, { tools, ...LIMITS }),
    );
    if (code !== EXIT.fine) this.watch.complain(`it ended with ${code}: ${this.#said.slice(-800)}`);
  }

  /** The daemon's schedule, with the time of the node. */
  async #steps({ nodes: [home], config, launch }: Launched): Promise<typeof EXIT.fine> {
    const loop = new NodeLoop({
      open: this.#heard(home.open),
      keeper: home.keeper,
      config,
      settingsOf: (each) => settingsOf(each, launch),
    });
    this.#restarts = false;
    while (!this.#isOver()) {
      this.#newPeriod(config.pollIntervalMs);
      const endMs = this.#nowMs + config.pollIntervalMs;
      await this.#cycle(loop, () => loop.cycle(this.#stop.signal));
      this.#cycles += 1;
      if (this.#isFaulty) this.#faulty += 1;
      this.#isFaulty = false;
      while (this.#nowMs < endMs && !this.#isOver()) {
        this.#pass(Math.min(config.sampleIntervalMs, endMs - this.#nowMs));
        if (this.#nowMs >= endMs) break;
        const { urgent } = await loop.sample(this.#stop.signal);
        if (urgent.size > 0 && !this.#isOver()) {
          await this.#cycle(loop, () => loop.earlyCycle(urgent, this.#stop.signal));
        }
      }
    }
    loop.save();
    this.#stop = new AbortController();
    this.#pass(QUIET_STEP_MS);
    return EXIT.fine;
  }

  async #cycle(loop: NodeLoop, work: () => ReturnType<NodeLoop['cycle']>): Promise<void> {
    this.watch.cycleStarts();
    const ended = await work();
    this.watch.cycleEnds();
    if (ended !== undefined) loop.saveAfter(ended);
  }

  #isOver(): boolean {
    const isBroken = this.watch.broken.length > 0;
    const isStopped = this.#stop.signal.aborted || this.#restarts;
    return isBroken || isStopped || this.#cycles >= this.#most;
  }

  /** Each change is held against what the node has, at the moment that it is told. */
  #heard(open: NodeInHand['open']): NodeInHand['open'] {
    const { journal } = open.world;
    const record: typeof journal.record = (event) => {
      this.watch.told(event);
      return journal.record(event);
    };
    return { ...open, world: { ...open.world, journal: { ...journal, record } } };
  }

  // The way to the node -------------------------------------------------------------------------

  #onRequest(call: RestCall): RestFault | undefined {
    this.#requests += 1;
    if (this.#stopsIn !== undefined) this.#stopsIn -= 1;
    if (this.#stopsIn === 0) {
      this.#stop.abort();
      this.#stopsIn = undefined;
    }
    this.watch.arrives(call);
    if (this.#nowMs < this.#deadUntilMs) {
      // Somebody waits for it, so that time passes.
      this.#node.advance(500);
      return { kind: 'reset', isDone: false };
    }
    const random = new Random(this.#seed, 'request', this.#requests);
    const share = call.method === 'PUT' ? 0.2 : 0.06;
    if (!random.chance(share * this.#strength)) return undefined;
    const { name, fault, takesMs = 0, deadMs = 0 } = drawFarFault(random, call);
    this.#meet(`${call.method} ${name}`);
    if (takesMs > 0) this.#node.advance(takesMs);
    if (deadMs > 0) this.#deadUntilMs = this.#nowMs + deadMs;
    return fault;
  }

  #meet(name: string): void {
    this.#met.set(name, (this.#met.get(name) ?? 0) + 1);
    this.#isFaulty = true;
  }

  // Time ----------------------------------------------------------------------------------------

  #pass(ms: number): void {
    this.#node.advance(ms);
    const due = this.#due.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#due = this.#due.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { what } of due) what();
  }

  #newPeriod(pollMs: number): void {
    this.#period += 1;
    const random = new Random(this.#seed, 'period', this.#period);
    // Days must be able to pass without a leap of the clock or a restart of a guest.
    const isCalm = this.#isOfDays && this.#period % 700 > 60;
    if (random.chance(0.1)) this.#strength = random.pick([0, 0.7, 1.5, 3]);
    if (isCalm) this.#strength = Math.min(this.#strength, 0.7);
    if (isCalm || !random.chance(0.08 * this.#strength)) return;
    const [name, happen] = random.pick(FAR_HAPPENINGS);
    this.#meet(name);
    const atMs = this.#nowMs + random.whole(0, pollMs - 1);
    this.#due.push({ atMs, what: () => happen(this.#scene(random)) });
  }

  #scene(random: Random): FarScene {
    if (this.#server === undefined) throw new Error('there is no server yet');
    return {
      node: this.#node,
      server: this.#server,
      random,
      later: (ms, what) => this.#due.push({ atMs: this.#nowMs + ms, what }),
      jumpClock: (ms) => {
        this.#wallJumpMs += ms;
      },
      skewTickets: (ms) => {
        this.#skewMs += ms;
      },
      stopSoon: () => {
        this.#stopsIn = random.whole(1, 6);
      },
      restart: () => {
        this.#restarts = true;
      },
    };
  }
}
