import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import type { Call, Fault } from '../../src/sim/faults.ts';
import { SimulatedNode } from '../../src/sim/node.ts';
import {
  drawCommandFault,
  drawGroupFault,
  drawMachineFault,
  type Met,
  noQuorum,
} from './command-faults.ts';
import { drawFileFault } from './file-faults.ts';
import { GroupWatch, isOfGroup } from './group-watch.ts';
import { GROUP_HAPPENINGS, HAPPENINGS, MACHINE_HAPPENINGS, type Scene } from './happenings.ts';
import { hasMachines, MANAGED_MACHINES, machinesOf } from './machine-stage.ts';
import { Random } from './random.ts';
import {
  configurationOf,
  GROUP,
  groupDemand,
  guestsOf,
  HOST,
  hasGroup,
  LARGER_HOST,
  MANAGED,
  OLD_KERNEL,
  POLL_MS,
  sourceOf,
  writeConfiguration,
} from './stage.ts';
import {
  type Ask,
  type Ending,
  type Reply,
  type Rule,
  SteppedDaemon,
  type Struck,
} from './stepped-daemon.ts';
import { Watch } from './watch.ts';

/** One seed: a node, the daemon on it, and what goes wrong, for so many cycles. */

export interface TrialOptions {
  readonly seed: string;
  readonly cycles: number;
}

export interface TrialResult {
  readonly seed: string;
  readonly cycles: number;
  /** Cycles in which something went wrong. */
  readonly faulty: number;
  readonly changes: number;
  readonly starts: number;
  /** How often each fault was really met. */
  readonly met: ReadonlyMap<string, number>;
  readonly excused: ReadonlyMap<string, number>;
  readonly broken: readonly string[];
  /** Where all of it lies; undefined: nothing was broken, and it was removed. */
  readonly directory: string | undefined;
}

/** What became of a command that the daemon runs. */
interface Fate {
  readonly stands: boolean;
  readonly releaseAtMs?: number;
  readonly release?: () => void;
  released: boolean;
}

interface Due {
  readonly atMs: number;
  readonly what: () => void;
}

const RESTART_MS = 5000;
/** So many refused starts in a row with nothing in their way. */
const MOST_CALM_REFUSALS = 4;
/** No step that failed waits longer before it is tried again. */
const LONGEST_RETRY_MS = 3_600_000;
const LONGEST_STEP_MS = 5000;
/** Where there is a group, or machines, this part of the trial at its end. */
const CALM_SHARE = 0.25;
/** Real time with programs under way that nobody holds: half a minute. */
const MOST_WAITS = 7000;

export async function runTrial(options: TrialOptions): Promise<TrialResult> {
  const directory = mkdtempSync(join(tmpdir(), 'lxc-autoscale-faults-'));
  const { seed } = options;
  const random = new Random(seed, 'node');
  let runningMembers = (): number => 1;
  const demand = groupDemand(seed, () => runningMembers());
  const host = hasMachines(seed) ? LARGER_HOST : HOST;
  let wallMs = (): number => 0;
  const node = await SimulatedNode.create({
    root: join(directory, 'node'),
    host: random.chance(0.15) ? { ...host, kernelRelease: OLD_KERNEL } : host,
    guests: [...guestsOf(seed), ...(hasGroup(seed) ? [sourceOf(demand)] : [])],
    vms: hasMachines(seed) ? machinesOf(seed) : [],
    sharedWallMs: () => wallMs(),
    cloneDemand: () => demand,
    pvestatdPeriodMs: 10_000,
    lockTimeoutMs: 20,
  });
  runningMembers = () => {
    const { files } = node.machine;
    const ids = files.vmids().filter((vmid) => vmid === GROUP.source || vmid >= GROUP.firstId);
    return ids.filter((vmid) => node.machine.running(vmid) !== undefined).length;
  };
  const trial = new Trial(options, directory, node);
  wallMs = () => trial.wallMs;
  try {
    return await trial.run();
  } finally {
    await node.close();
    if (trial.watch.broken.length === 0) rmSync(directory, { recursive: true, force: true });
  }
}

class Trial {
  readonly watch: Watch;
  /** undefined: this trial has no group. */
  readonly #group: GroupWatch | undefined;
  readonly #seed: string;
  readonly #most: number;
  readonly #directory: string;
  readonly #node: SimulatedNode;
  readonly #met = new Map<string, number>();
  readonly #fates = new Map<number, Fate>();
  readonly #calls = new Map<number, Call>();
  readonly #ruleNames = new Map<number, string>();
  readonly #scene: Scene;
  #rules: Rule[] = [];
  #lasting: { rule: Rule; untilMs: number }[] = [];
  #due: Due[] = [];
  #signals: NodeJS.Signals[] = [];
  #spell = { strength: 0, periods: 3 };
  #period = 0;
  #periodEndMs = 0;
  #changed = true;
  #cycles = 0;
  #faulty = 0;
  #isFaulty = false;
  #starts = 0;
  #refusals = 0;
  #quorum = true;
  #wallJumpMs = 0;
  #waits = 0;
  #pipeWaits = 0;
  #ruleCount = 0;
  #stdoutBytes = 0;
  #config: Config;
  #next: Config | undefined;
  #daemon: SteppedDaemon | undefined;
  #ending: NodeJS.Signals | undefined;
  /** When it had its cycles. */
  #overMs: number | undefined;
  #callCounts = new Map<string, number>();

  constructor({ seed, cycles }: TrialOptions, directory: string, node: SimulatedNode) {
    this.#seed = seed;
    this.#most = cycles;
    this.#directory = directory;
    this.#node = node;
    const text = configurationOf(seed, 0);
    writeConfiguration(node.root, text);
    this.#config = must(configOf(text));
    this.watch = new Watch(node, this.#config);
    this.#group = hasGroup(seed) ? new GroupWatch(node, this.watch) : undefined;
    this.#scene = this.#sceneOf();
    node.onCommand((call) => this.#onCommand(call));
    node.advance(60_000);
    this.watch.skipEvents();
  }

  get #nowMs(): number {
    return this.#node.machine.plant.hostMs;
  }

  get wallMs(): number {
    return this.#node.machine.options.wallStartS * 1000 + this.#nowMs + this.#wallJumpMs;
  }

  async run(): Promise<TrialResult> {
    while (!this.#isOver() && this.watch.broken.length === 0) {
      const daemon = this.#start();
      const ending = await daemon.ended;
      this.#judgeEnd(ending);
      // A command that was released just now does its work, or finds its caller gone.
      await pause(50);
      this.#pass(RESTART_MS);
    }
    if (this.watch.broken.length === 0) {
      for (const what of this.#leftovers()) this.watch.complain(what);
    }
    const { broken, excused } = this.watch;
    return {
      seed: this.#seed,
      cycles: this.#cycles,
      faulty: this.#faulty,
      starts: this.#starts,
      changes: this.#node.calls.length,
      met: this.#met,
      excused,
      broken,
      directory: broken.length > 0 ? this.#directory : undefined,
    };
  }

  #start(): SteppedDaemon {
    this.#starts += 1;
    // A command that outlived it for a moment may have done its work since.
    if (this.#ending === 'SIGKILL') this.watch.wasKilled();
    this.#stdoutBytes = 0;
    this.#ending = undefined;
    this.#signals = [];
    const text = this.#configurationNow();
    const config = text === undefined ? undefined : configOf(text);
    if (config !== undefined) this.#config = config;
    this.watch.configure([this.#config]);
    const { root, binDirectory, machine } = this.#node;
    this.#daemon = new SteppedDaemon({
      root,
      directory: this.#directory,
      rules: this.#allRules(),
      path: `${binDirectory}:${process.env['PATH']}`,
      monotonicMs: machine.uptimeMs,
      wallMs: this.wallMs,
      answer: (ask) => this.#answer(ask),
    });
    return this.#daemon;
  }

  /** After its cycles; a group that waits before it tries again has the time for that. */
  #isOver(): boolean {
    if (this.#cycles < this.#most) return false;
    this.#overMs ??= this.#nowMs;
    return this.#leftovers().length === 0 || this.#nowMs - this.#overMs > LONGEST_RETRY_MS;
  }

  /** What is not to be there any more after a while in which nothing went wrong. */
  #leftovers(): readonly string[] {
    return [...(this.#group?.leftovers() ?? []), ...this.watch.machines.leftovers()];
  }

  #configurationNow(): string | undefined {
    try {
      const path = join(this.#node.root, 'etc/lxc_autoscale/lxc_autoscale.yaml');
      return readFileSync(path, 'utf8');
    } catch {
      return undefined;
    }
  }

  // While the daemon runs ----------------------------------------------------------------------

  #answer(ask: Ask): Reply {
    this.#note(ask.told ?? []);
    this.#hear();
    this.watch.look();
    this.watch.settle();
    if (ask.bye === true) return { waitMs: 0 };
    if (this.#mustWait(ask)) {
      this.#waits += 1;
      if (this.#waits > MOST_WAITS) this.#giveUp(`it waits for ${ask.pids.join(', ')}`);
      return { waitMs: 4 };
    }
    this.#waits = 0;
    if (this.watch.broken.length > 0) return this.#kill();
    if (this.#ending === undefined && this.#isOver()) this.#signals.push('SIGTERM');
    const signal = this.#signals.shift();
    if (signal === 'SIGKILL') return this.#kill();
    if (signal === 'SIGTERM') this.#ending ??= signal;
    const wallBefore = this.#wallJumpMs;
    const advanceMs = signal === undefined ? this.#pass(ask.nextMs ?? LONGEST_STEP_MS) : 0;
    const tell = this.#changed ? { rules: this.#allRules() } : undefined;
    this.#changed = false;
    const wallMs = this.#wallJumpMs === wallBefore ? undefined : this.wallMs;
    return { advanceMs, tell, wallMs, signal };
  }

  #kill(): Reply {
    this.#ending = 'SIGKILL';
    this.#daemon?.child.kill('SIGKILL');
    return { waitMs: 60_000 };
  }

  #giveUp(why: string): void {
    this.watch.broken.push(`the trial cannot go on: ${why}`);
    this.#daemon?.child.kill('SIGKILL');
  }

  /** A program that nobody holds is still at work, or about to end. */
  #mustWait({ pids, pipes }: Ask): boolean {
    for (const pid of pids) {
      const fate = this.#fates.get(pid);
      if (fate === undefined || !fate.stands || fate.released) return true;
    }
    if (pids.length > 0 || pipes === 0) {
      this.#pipeWaits = 0;
      return false;
    }
    this.#pipeWaits += 1;
    return this.#pipeWaits < 25;
  }

  #note(struck: readonly Struck[]): void {
    const atMs = this.#nowMs;
    for (const { id, path } of struck) {
      const name = this.#ruleNames.get(id) ?? 'unknown';
      this.#meet(name);
      const kind = this.#kindOf(name);
      this.watch.struck([{ atMs, name, path, kind }]);
    }
  }

  #kindOf(name: string): 'read' | 'write' | 'command' {
    if (name.startsWith('read')) return 'read';
    return name.startsWith('spawn') ? 'command' : 'write';
  }

  #meet(name: string): void {
    this.#met.set(name, (this.#met.get(name) ?? 0) + 1);
    this.#isFaulty = true;
  }

  /** What it has printed since the last time. */
  #hear(): void {
    const { stdoutFile } = this.#daemon ?? {};
    if (stdoutFile === undefined) return;
    const content = readFileSync(stdoutFile);
    const text = content.subarray(this.#stdoutBytes).toString();
    const end = text.lastIndexOf('\n') + 1;
    this.#stdoutBytes += Buffer.byteLength(text.slice(0, end));
    for (const line of text.slice(0, end).split('\n')) this.#hearLine(line);
  }

  #hearLine(line: string): void {
    if (line.includes(' - Starting resource allocation') || line.includes(' - Early evaluation')) {
      this.watch.cycleStarts();
    }
    if (line.includes('The configuration was reloaded.') && this.#next !== undefined) {
      this.#config = this.#next;
      this.#next = undefined;
      this.watch.configure([this.#config]);
    }
    if (!line.includes('Resource allocation process completed.')) return;
    this.#cycles += 1;
    if (this.#isFaulty) this.#faulty += 1;
    this.#isFaulty = false;
    this.#refusals = 0;
    this.watch.cycleEnds();
    this.#group?.cycleEnds();
  }

  #onCommand(call: Call): Fault | undefined {
    this.#hear();
    const forGroup = this.#group !== undefined && isOfGroup(call);
    if (forGroup) this.#group?.arrives(call);
    else this.watch.arrives(call);
    this.#calls.set(call.pid, call);
    const met = this.#drawFor(call, forGroup);
    if (met !== undefined) this.#meet(`${call.argv[0]} ${met.name}`);
    if (met?.heldMs === undefined) {
      this.#fates.set(call.pid, { stands: met?.fault.kind === 'hang', released: false });
      return met && this.#withDeath(met, Number(call.argv[2]));
    }
    let release = (): void => {};
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    const releaseAtMs = this.#nowMs + met.heldMs;
    this.#fates.set(call.pid, { stands: true, releaseAtMs, release, released: false });
    return { kind: 'held', until };
  }

  /** A machine may die under the hands of its `qm`; later it is started again. */
  #withDeath({ fault, dies }: Met, vmid: number): Fault {
    if (dies === undefined) return fault;
    const die = (): void => {
      void this.#node.killVm(vmid);
      const random = new Random(this.#seed, 'death', this.#nowMs);
      this.#later(random.whole(0, 40_000), () => void this.#node.setVmRunning(vmid, true));
    };
    if (dies === 'at-once') die();
    if (dies === 'at-once' || fault.kind !== 'answer') return fault;
    const make: typeof fault.make = (real) => {
      die();
      return fault.make(real);
    };
    return { ...fault, make };
  }

  #drawFor({ argv: [tool = '', verb = '', vmid = ''] }: Call, forGroup: boolean): Met | undefined {
    if (!this.#quorum && tool !== 'pvesh') return noQuorum(vmid);
    const key = `${this.#period}/${vmid}`;
    const count = this.#callCounts.get(key) ?? 0;
    this.#callCounts.set(key, count + 1);
    const random = new Random(this.#seed, 'command', key, count);
    if (!random.chance(0.25 * Math.min(2, this.#spell.strength))) return undefined;
    if (tool === 'qm') return drawMachineFault(random);
    return forGroup ? drawGroupFault(random, verb) : drawCommandFault(random);
  }

  // Time ---------------------------------------------------------------------------------------

  /** Lets time pass up to the next thing that happens; returns how much. */
  #pass(wantedMs: number): number {
    const soonest = Math.min(
      this.#nowMs + Math.max(0, wantedMs),
      ...this.#due.map(({ atMs }) => atMs),
      ...[...this.#fates.values()].flatMap(({ releaseAtMs, released }) =>
        released || releaseAtMs === undefined ? [] : [releaseAtMs],
      ),
    );
    const ms = Math.max(0, soonest - this.#nowMs);
    if (ms > 0) this.#node.advance(ms);
    for (const fate of this.#fates.values()) {
      if (fate.released || fate.releaseAtMs === undefined || fate.releaseAtMs > this.#nowMs)
        continue;
      fate.released = true;
      fate.release?.();
    }
    if (this.#nowMs >= this.#periodEndMs) this.#newPeriod();
    const due = this.#due.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#due = this.#due.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { what } of due) what();
    return ms;
  }

  #newPeriod(): void {
    this.#period += 1;
    this.#periodEndMs = this.#nowMs + POLL_MS;
    const random = new Random(this.#seed, 'period', this.#period);
    this.#spell.periods -= 1;
    if (this.#spell.periods <= 0) {
      this.#spell = { strength: random.pick([0, 0.7, 1.5, 3]), periods: random.whole(4, 25) };
    }
    if (this.#isCalmAtLast()) this.#spell = { strength: 0, periods: 1 };
    const { strength } = this.#spell;
    this.#lasting = this.#lasting.filter(({ untilMs }) => untilMs > this.#nowMs);
    this.#rules = [];
    for (let count = strength; count > 0; count -= 1) {
      if (!random.chance(Math.min(1, count))) continue;
      const containers = this.#group?.members() ?? MANAGED;
      const machines = hasMachines(this.#seed) ? MANAGED_MACHINES : [];
      const { name, ...draft } = drawFileFault(random, { containers, machines });
      const rule = this.#ruleOf(name, draft);
      const lasts = draft.left === null && random.chance(0.2);
      if (lasts) this.#lasting.push({ rule, untilMs: this.#nowMs + random.whole(2, 8) * POLL_MS });
      else this.#rules.push(rule);
    }
    this.#changed = true;
    if (!random.chance(0.15 * Math.min(2, strength))) return;
    const ofGroup = this.#group === undefined ? [] : GROUP_HAPPENINGS;
    const ofMachines = hasMachines(this.#seed) ? MACHINE_HAPPENINGS : [];
    const [name, happen] = random.pick([...HAPPENINGS, ...ofGroup, ...ofMachines]);
    this.#later(random.whole(0, POLL_MS - 1), () => {
      this.#meet(name);
      happen(this.#scene);
    });
  }

  /** Groups and machines get the time to come to rest; what was begun must be ended by then. */
  #isCalmAtLast(): boolean {
    const comesToRest = this.#group !== undefined || hasMachines(this.#seed);
    return comesToRest && this.#cycles >= this.#most * (1 - CALM_SHARE);
  }

  #ruleOf(name: string, draft: Omit<Rule, 'id'>): Rule {
    this.#ruleCount += 1;
    this.#ruleNames.set(this.#ruleCount, name);
    return { id: this.#ruleCount, ...draft };
  }

  #allRules(): Rule[] {
    return [...this.#rules, ...this.#lasting.map(({ rule }) => rule)];
  }

  #later(ms: number, what: () => void): void {
    this.#due.push({ atMs: this.#nowMs + ms, what });
  }

  #sceneOf(): Scene {
    return {
      node: this.#node,
      seed: this.#seed,
      version: 0,
      random: new Random(this.#seed, 'happenings'),
      later: (ms, what) => this.#later(ms, what),
      signal: (name) => {
        this.#signals.push(name);
      },
      jumpClock: (ms) => {
        this.#wallJumpMs += ms;
      },
      setQuorum: (has) => {
        this.#quorum = has;
        this.#lasting = this.#lasting.filter(({ rule }) => rule.path !== '^etc/pve/');
        if (has) return;
        const draft = { kind: 'write', path: '^etc/pve/', left: null } as const;
        const rule = this.#ruleOf('write: no quorum', { ...draft, action: { error: 'EACCES' } });
        this.#lasting.push({ rule, untilMs: this.#nowMs + 3_600_000 });
        this.#changed = true;
      },
      configured: (text) => {
        const config = configOf(text);
        if (config === undefined) return;
        this.#next = config;
        this.watch.configure([this.#config, config]);
      },
      forget: () => this.watch.machines.forget(),
      admin: (argv) => {
        const done = this.watch.machines.adminSets(Number(argv[2]));
        void this.#node.run(argv).then(() => {
          done();
          this.watch.skipEvents();
        });
      },
    };
  }

  // Its end ------------------------------------------------------------------------------------

  #judgeEnd({ code, signal, stderr }: Ending): void {
    this.#hear();
    if (this.#ending === 'SIGKILL') this.watch.wasKilled();
    else this.watch.cycleEnds();
    this.watch.settle();
    // What a group has begun is left to finish, and found again.
    const own = [...this.#calls.values()].filter((call) => !isOfGroup(call));
    const left = own.map(({ pid }) => pid).filter(isAlive);
    // Of one that is killed the service manager ends the rest.
    for (const pid of this.#ending === 'SIGKILL' ? left : []) endGroup(pid);
    for (const fate of this.#fates.values()) {
      fate.released = true;
      fate.release?.();
    }
    this.#calls.clear();
    this.#fates.clear();
    const complain = (what: string): void => {
      this.watch.broken.push(`at ${Math.round(this.#nowMs / 1000)} s: ${what}`);
    };
    if (this.#ending !== 'SIGKILL' && left.length > 0) complain(`it left ${left.join(', ')}`);
    if (/internal error|\n\s+at /.test(stderr)) complain(`it broke down: ${stderr}`);
    if (this.#ending === 'SIGKILL') return;
    // One that has not taken the lock yet listens to nothing, and holds nothing.
    const isStarted = readFileSync(this.#daemon?.stdoutFile ?? '', 'utf8') !== '';
    if (signal === 'SIGTERM' && !isStarted) return;
    if (signal !== null) complain(`it was ended by ${signal}`);
    if (this.#ending === 'SIGTERM') {
      if (code !== 0) complain(`asked to end it exited with ${code}: ${stderr}`);
      return;
    }
    if (code !== 1 && code !== 75 && code !== 78) complain(`it ended with ${code}: ${stderr}`);
    this.#meet(`the daemon was not to start (${code})`);
    const calm =
      this.#allRules().length === 0 && configOf(this.#configurationNow() ?? '') !== undefined;
    this.#refusals = calm ? this.#refusals + 1 : 0;
    if (this.#refusals >= MOST_CALM_REFUSALS) complain(`it does not start any more: ${stderr}`);
  }
}

function configOf(text: string): Config | undefined {
  const loaded = parseConfig(text, 'lxc_autoscale.yaml', {});
  return loaded.ok ? loaded.config : undefined;
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the configuration of the stage is wrong');
  return value;
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** A command leads a group of its own. */
function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
