import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../src/config/model.ts';
import { onNode } from '../../src/config/on-node.ts';
import { manage } from '../../src/config/resolve.ts';
import { journalLabel } from '../../src/core/journal-words.ts';
import type { GuestConfig } from '../../src/core/observation.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { parseVmid } from '../../src/core/units.ts';
import { parseGuestConfig } from '../../src/node/guests/lxc-conf.ts';
import type { Call } from '../../src/sim/faults.ts';
import type { LimitsView, SimulatedNode } from '../../src/sim/node.ts';
import { unreclaimableBytes } from '../../src/sim/plant-memory.ts';
import { hostMemoryFigures } from '../../src/sim/proc-text.ts';
import { LIES } from './file-faults.ts';
import { MachineWatch } from './machine-watch.ts';
import { IGNORED, OBSERVED, TAGGED_IGNORE } from './stage.ts';

/** What must hold whatever happens: looked up in the plant and in the records. */

const MIB = 1024 * 1024;

/** One reading or writing that went wrong, as the daemon met it. */
export interface Strike {
  readonly atMs: number;
  readonly name: string;
  readonly kind: 'read' | 'write' | 'command';
  /** Below the root. */
  readonly path: string;
}

interface Arrived {
  readonly atMs: number;
  readonly vmid: number;
  readonly options: ReadonlyMap<string, string>;
  readonly text: string;
  readonly limits: LimitsView | undefined;
  /** What no reclaim takes away, and what lies in swap; undefined: it does not run. */
  readonly heldMib: number | undefined;
  readonly limitsMib: number;
  /** Whether a copy of the configuration with that digest was there. */
  readonly hasBackup: boolean;
}

/** A change that has to be told. */
interface Untold {
  readonly vmid: number;
  readonly atMs: number;
  readonly detail: string;
  inJournal: boolean;
  inLog: boolean;
}

interface Entry {
  readonly [name: string]: unknown;
}

export class Watch {
  readonly broken: string[] = [];
  /** What was let pass, since nobody could have known better, and why. */
  readonly excused = new Map<string, number>();
  readonly machines: MachineWatch;
  readonly #node: SimulatedNode;
  readonly #untouched = new Map<number, string>();
  #arrived: Arrived[] = [];
  #untold: Untold[] = [];
  /** Of cycles that are over: judged once it is known which writes have failed. */
  #due: Untold[] = [];
  /** What the latest command on each container found there. */
  readonly #found = new Map<number, ReadonlyMap<string, number>>();
  /** The memory that the commands of this cycle have found: putting it back may take several. */
  readonly #foundInCycle = new Map<number, readonly number[]>();
  /** What its last command on each container asked for. */
  readonly #asked = new Map<number, Arrived['options']>();
  #strikes: Strike[] = [];
  #configs: readonly Config[];
  #journalBytes = 0;
  #logBytes = 0;
  #events = 0;
  #halves = 0;
  #torn = 0;
  #cycle = { startMs: 0, freeMib: 0, givenMib: 0 };

  constructor(node: SimulatedNode, config: Config) {
    this.#node = node;
    this.#configs = [config];
    this.machines = new MachineWatch(node, this);
    for (const vmid of [IGNORED, TAGGED_IGNORE, OBSERVED]) this.keepAsIs(vmid);
  }

  get #nowMs(): number {
    return this.#node.machine.plant.hostMs;
  }

  /** From now on this is how it has to stay: an administrator has changed it. */
  keepAsIs(vmid: number): void {
    if (![IGNORED, TAGGED_IGNORE, OBSERVED].includes(vmid)) return;
    this.#untouched.set(vmid, this.#node.machine.files.read(vmid) ?? '');
  }

  /** While a reload is under way either may be in force. */
  configure(configs: readonly Config[]): void {
    this.#configs = configs;
  }

  struck(strikes: readonly Strike[]): void {
    this.#strikes.push(...strikes);
    this.#halves += strikes.filter(({ name }) => name.startsWith('write: half')).length;
    if (this.#strikes.length > 4000) this.#strikes = this.#strikes.slice(-2000);
    const ofState = /^var\/lib\/lxc_autoscale\/state/;
    if (strikes.some(({ kind, path }) => kind === 'read' && ofState.test(path))) {
      this.machines.forget();
    }
  }

  /** What others have done is not to be told by the daemon. */
  skipEvents(): void {
    this.#events = this.#node.events.length;
  }

  cycleStarts(): void {
    this.#foundInCycle.clear();
    const figures = hostMemoryFigures(this.#node.machine.plant.memoryUse());
    const freeMib = figures.availableBytes / MIB;
    this.#cycle = { startMs: this.#nowMs, freeMib, givenMib: 0 };
  }

  arrives(call: Call): void {
    const [tool, verb, id, ...rest] = call.argv;
    const { argv } = call;
    if (tool === 'qm') {
      this.machines.arrives(call);
      return;
    }
    const vmid = Number(id);
    if (tool !== 'pct' || verb !== 'set') {
      this.broken.push(`it ran ${argv.join(' ')}, and there is nothing to run but pct set`);
      return;
    }
    const options = new Map<string, string>();
    for (let at = 0; at < rest.length; at += 2) options.set(rest[at] ?? '', rest[at + 1] ?? '');
    const { machine } = this.#node;
    const container = machine.running(vmid);
    const { memory } = container ?? {};
    this.#arrived.push({
      atMs: this.#nowMs,
      vmid,
      options,
      text: machine.files.read(vmid) ?? '',
      limits: this.#node.limits(vmid),
      heldMib: memory && (unreclaimableBytes(memory) + memory.swapBytes) / MIB,
      limitsMib: this.limitsOfRunning(),
      hasBackup: this.hasBackup(vmid, options.get('--digest') ?? ''),
    });
  }

  /** A container that is stopped is to be started: its limit must fit as a growth must. */
  judgeStart(vmid: number): void {
    const { machine } = this.#node;
    const [config] = this.#configs;
    if (config === undefined || machine.running(vmid) !== undefined) return;
    const { reserveMemoryMib, overcommitRatio } = config.host;
    const most = (machine.plant.host.memoryMib - reserveMemoryMib) * overcommitRatio;
    const sum = this.limitsOfRunning() + (this.#node.limits(vmid)?.memoryMib ?? 0);
    if (sum <= most) return;
    const unseen = this.#failedReads(/^(proc|sys\/fs\/cgroup|etc\/pve)\//, 20_000);
    if (unseen || this.#lies(/^(proc\/|etc\/pve)/, 20_000).size > 0) {
      this.excuse('a file lied about the host');
    } else this.complain(`pct start ${vmid}: the limits come to ${sum} of ${most} MiB`);
  }

  /** Of guests of both kinds. */
  limitsOfRunning(): number {
    let sum = this.machines.limitsOfRunning();
    for (const vmid of this.#node.machine.files.vmids()) {
      if (this.#node.machine.running(vmid) === undefined) continue;
      sum += this.#node.limits(vmid)?.memoryMib ?? 0;
    }
    return sum;
  }

  hasBackup(vmid: number, digest: string): boolean {
    const directory = join(this.#node.root, 'var/lib/lxc_autoscale/backups', String(vmid));
    if (!existsSync(directory)) return false;
    return readdirSync(directory).some((name) => {
      if (!name.endsWith('.conf') || name.startsWith('.')) return false;
      return sha1(readFileSync(join(directory, name))) === digest;
    });
  }

  /** To be called whenever the daemon waits, before any time passes. */
  look(): void {
    for (const one of this.#arrived.splice(0)) this.#judge(one);
    this.machines.look();
    this.#takeEvents();
    this.#readJournal();
    this.#readLog();
    for (const [vmid, text] of this.#untouched) {
      if (this.#node.machine.files.read(vmid) === text) continue;
      this.complain(`container ${vmid} is to be left alone, and its configuration was changed`);
      this.keepAsIs(vmid);
    }
  }

  /** All that a cycle has done must have been told by its end. */
  cycleEnds(): void {
    this.look();
    this.#due.push(...this.#untold.splice(0));
  }

  /** To be called when all strikes until now are noted. */
  settle(): void {
    for (const untold of this.#due.splice(0)) this.#mustBeTold(untold);
  }

  /** What was under way is told by nobody. */
  wasKilled(): void {
    this.look();
    for (const untold of [...this.#due.splice(0), ...this.#untold.splice(0)]) {
      if (!untold.inJournal) this.excuse('a change that was cut off by kill -9 was not told');
    }
  }

  complain(what: string): void {
    this.broken.push(`at ${Math.round(this.#nowMs / 1000)} s: ${what}`);
  }

  excuse(why: string): void {
    this.excused.set(why, (this.excused.get(why) ?? 0) + 1);
  }

  /** Whether it was told of late what looked right of the configurations of containers. */
  get liedOfConfigurations(): boolean {
    return this.#lies(/^etc\/pve/, 60_000).size > 0;
  }

  /** Files about which the daemon was told what looked right and was not. */
  #lies(pattern: RegExp, withinMs: number): Set<string> {
    const sinceMs = this.#nowMs - withinMs;
    const lying = this.#strikes.filter(
      ({ atMs, name, path, kind }) =>
        kind === 'read' && atMs >= sinceMs && LIES.has(name.slice(6)) && pattern.test(path),
    );
    return new Set(lying.map(({ path }) => path));
  }

  /** What is told not to be there, such as the cgroup of a container, is taken to be stopped. */
  #failedReads(pattern: RegExp, withinMs: number): boolean {
    const sinceMs = this.#nowMs - withinMs;
    return this.#strikes.some(
      ({ atMs, name, path }) =>
        atMs >= sinceMs && /^read: (ENOENT|ENODEV)$/.test(name) && pattern.test(path),
    );
  }

  #failedWrites(pattern: RegExp, sinceMs: number): boolean {
    return this.#strikes.some(
      ({ kind, atMs, path }) => kind !== 'command' && atMs >= sinceMs && pattern.test(path),
    );
  }

  #judge(one: Arrived): void {
    const { vmid, options, text } = one;
    this.#asked.set(vmid, options);
    const said = `pct set ${vmid} ${[...options].flat().join(' ')}`;
    if (!one.hasBackup) this.complain(`${said}: there is no backup with that digest`);
    // Decided on another text than is there: pct refuses it.
    if (options.get('--digest') !== sha1(text)) return;
    const id = parseVmid(String(vmid));
    const parsed = id && parseGuestConfig(id, Buffer.from(text));
    if (parsed?.ok !== true) {
      this.complain(`${said}: its configuration cannot be read`);
      return;
    }
    const policies = this.policiesOf(parsed.value);
    if (policies.length === 0) this.complain(`${said}: it is to be left alone`);
    const wrong = policies.map((policy) => this.#outOfBounds(one, policy));
    const isPutBack = this.#isPutBack(vmid, Number(options.get('--memory')));
    this.#note(one);
    if (policies.length > 0 && wrong.every((what) => what !== undefined)) {
      this.complain(`${said}: ${wrong[0]}`);
    }
    this.#judgeMemory(one, said, isPutBack);
  }

  /** By which it may be changed: several while a reload is under way. */
  policiesOf(guest: GuestConfig): readonly ContainerPolicy[] {
    return this.#configs.flatMap((config) => {
      const management = manage(onNode(config, 'pve1'), guest);
      const acts = management.kind === 'managed' && management.mode !== 'observe';
      return acts ? [management.policy] : [];
    });
  }

  /** pct lifts a live limit only by way of another value, which is one below. */
  #isPutBack(vmid: number, memoryMib: number): boolean {
    const latest = this.#found.get(vmid)?.get('--memory');
    const found = [...(this.#foundInCycle.get(vmid) ?? []), ...(latest ? [latest] : [])];
    return found.some((mib) => memoryMib === mib || memoryMib === mib - 1);
  }

  #note(one: Arrived): void {
    const found = foundBy(one);
    this.#found.set(one.vmid, found);
    const before = this.#foundInCycle.get(one.vmid) ?? [];
    this.#foundInCycle.set(one.vmid, [...before, found.get('--memory') ?? Number.NaN]);
  }

  #outOfBounds(
    { vmid, options, limits }: Arrived,
    { cpu, memory }: ContainerPolicy,
  ): string | undefined {
    const hostCpus = this.#node.machine.plant.host.cpus;
    const bounds = [
      ['--cores', limits?.cores ?? hostCpus, cpu.min, cpu.max],
      ['--cpulimit', limits?.cpuLimit ?? hostCpus, cpu.min, cpu.max],
      ['--memory', limits?.memoryMib ?? 0, memory.minMib, memory.maxMib ?? Number.MAX_VALUE],
    ] as const;
    for (const [name, from, min, max] of bounds) {
      const given = options.get(name);
      if (given === undefined) continue;
      const to = Number(given);
      // A step that leads back towards the bounds is right.
      const wrong = (to < min && to <= from) || (to > max && to >= from);
      // And so is what puts back what a command that went wrong has found.
      const found = this.#found.get(vmid)?.get(name);
      if (wrong && to !== from && to !== found)
        return `${name} ${from} -> ${to} is outside ${min}..${max}`;
    }
    return undefined;
  }

  #judgeMemory(
    { vmid, options, limits, heldMib, ...one }: Arrived,
    said: string,
    isPutBack: boolean,
  ): void {
    const memory = options.get('--memory');
    if (memory === undefined || limits === undefined) return;
    const step = Number(memory) - limits.memoryMib;
    const files = new RegExp(`^sys/fs/cgroup/lxc/${vmid}/memory\\.`);
    if (heldMib !== undefined && step < 0 && Number(memory) < heldMib) {
      const live = limits.live?.memoryMib ?? 0;
      // What is in force already takes nothing away.
      if (live <= Number(memory)) return;
      const what = `${said}: it holds ${heldMib.toFixed(1)} MiB`;
      if (this.#lies(files, 20_000).size > 1) this.excuse('several files lied about its memory');
      else this.complain(what);
    }
    // What a command that went wrong has found is put back, however full the host is.
    if (step <= 0 || heldMib === undefined || isPutBack) return;
    // What is in force already is given by nobody.
    if (limits.live !== undefined && Number(memory) <= limits.live.memoryMib) return;
    this.judgeGrowth(said, step, one.limitsMib);
  }

  /** @param limitsMib of those that run, before it */
  judgeGrowth(said: string, step: number, limitsMib: number): void {
    this.#cycle.givenMib += step;
    const { host } = this.#configs[0] ?? {};
    if (host === undefined) return;
    const unseen = this.#failedReads(/^(proc|sys\/fs\/cgroup|etc\/pve)\//, 20_000);
    if (unseen || this.#lies(/^(proc\/|etc\/pve)/, 20_000).size > 0) {
      this.excuse('a file lied about the host');
      return;
    }
    const { memoryMib: totalMib } = this.#node.machine.plant.host;
    const most = (totalMib - host.reserveMemoryMib) * host.overcommitRatio;
    if (limitsMib + step > most) {
      this.complain(`${said}: the limits come to ${limitsMib + step} of ${most} MiB`);
    }
    const free = this.#cycle.freeMib - host.reserveMemoryMib;
    if (this.#cycle.givenMib > free + 16) {
      const { givenMib } = this.#cycle;
      this.complain(`${said}: ${givenMib} MiB given in a cycle, ${Math.round(free)} were free`);
    }
  }

  #takeEvents(): void {
    const { events } = this.#node;
    for (const { what, vmid, atMs, detail } of events.slice(this.#events)) {
      // A clone is given all that it has at once.
      if (what !== 'set' || !LIMITS.test(detail) || OF_A_CLONE.test(detail)) continue;
      this.#untold.push({ vmid, atMs, detail, inJournal: false, inLog: false });
    }
    this.#events = events.length;
  }

  #readJournal(): void {
    const [text, bytes] = added(this.#path('var/log/lxc_autoscale.json'), this.#journalBytes);
    this.#journalBytes = bytes;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const entry = parsed(line);
      if (entry === undefined) {
        this.#torn += 1;
        if (this.#torn > this.#halves) this.complain(`a line of the JSON log is torn: ${line}`);
        continue;
      }
      // What is said of a group is another kind of line.
      if (entry['group'] === undefined) this.#judgeEntry(entry);
    }
  }

  #judgeEntry(entry: Entry): void {
    const vmid = Number(entry['container_id']);
    const action = journalLabel(entry);
    this.#judgeClaim(entry, vmid);
    if (/^(Would|Confirm) /.test(action)) return;
    for (const untold of this.#untold) if (untold.vmid === vmid) untold.inJournal = true;
    const { reason, before, after, usage, thresholds } = entry;
    // Of a change that a crash cut off only its values and its reason are left.
    const isLate = String(entry['note']).includes('interrupted');
    const whole = [before, after].every(Number.isFinite) && (isLate || (usage && thresholds));
    if (typeof reason !== 'string' || reason === '' || !whole) {
      this.complain(`a line of the JSON log lacks reason or numbers: ${JSON.stringify(entry)}`);
    }
  }

  /** What is claimed must be so, now that no time has passed since. */
  #judgeClaim(entry: Entry, vmid: number): void {
    const { status, after, before, note, unit } = entry;
    const action = journalLabel(entry);
    const limits = this.#node.limits(vmid);
    if (this.machines.has(vmid) && !action.startsWith('Would ')) {
      this.#answerFor(entry, vmid, this.machines.untrueOf(entry, vmid));
    }
    const what = action.split(' ')[1];
    if (limits === undefined || action.startsWith('Would ')) return;
    const has = what === 'Memory' ? limits.memoryMib : unit ? limits.cpuLimit : limits.cores;
    const option = what === 'Memory' ? '--memory' : unit ? '--cpulimit' : '--cores';
    const askedSince = Number(this.#asked.get(vmid)?.get(option));
    // A later change of its own, of which the line is still to come.
    if (askedSince !== after && askedSince === has) return;
    const untrue = (): string | undefined => {
      if (action.startsWith('Confirm')) {
        const cpus = Math.min(Number(after), this.#node.machine.plant.host.cpus);
        // On a host of fewer CPUs a guest has no more than those.
        const isLied = this.#lies(/^sys\/devices\/system\/cpu\//, 20_000).size > 0;
        if (limits.live?.cpus === cpus || isLied) return undefined;
        return `${limits.live?.cpus} CPUs are in force`;
      }
      if (status === 'confirmed' || status === 'pending') {
        if (has !== after) return `its configuration says ${has}`;
        if (what !== 'Memory' || limits.live === undefined) return undefined;
        return limits.live.memoryMib === after ? undefined : `live ${limits.live.memoryMib}`;
      }
      if (status === 'rolled-back' && has !== before && unit === undefined) return `it has ${has}`;
      const nothing = status === 'failed' && String(note).startsWith('Nothing was changed');
      return nothing && has === after && has !== before ? `it has ${has}` : undefined;
    };
    this.#answerFor(entry, vmid, untrue());
  }

  #answerFor(entry: Entry, vmid: number, wrong: string | undefined): void {
    if (wrong === undefined) return;
    if (this.#lies(new RegExp(`(^|/)${vmid}(/|\\.(conf|scope)|$)|^etc/pve`), 60_000).size > 0) {
      this.excuse('a file lied about what came of a change');
    } else this.complain(`${JSON.stringify(entry)}: ${wrong}`);
  }

  #readLog(): void {
    const [text, bytes] = added(this.#path('var/log/lxc_autoscale.log'), this.#logBytes);
    this.#logBytes = bytes;
    for (const untold of this.#untold) {
      const label = this.machines.has(untold.vmid) ? 'VM' : 'Container';
      const outcome = new RegExp(`${label} ${untold.vmid} \\([^)]*\\): `);
      if (outcome.test(text)) untold.inLog = true;
    }
    for (const line of text.split('\n')) {
      if (MISNAMED.test(line)) this.complain(`a line of the log misnames a guest: ${line}`);
    }
  }

  #mustBeTold({ vmid, atMs, detail, inJournal, inLog }: Untold): void {
    const journal = this.#failedWrites(/^var\/log(\/lxc_autoscale\.json|\/\.|$)/, atMs - 1000);
    const log = this.#failedWrites(/^var\/log(\/lxc_autoscale\.log|\/\.|$)/, atMs - 1000);
    const what = `container ${vmid} was changed (${detail}), and`;
    if (!inJournal) {
      if (journal) this.excuse('the JSON log could not be written at that moment');
      else this.complain(`${what} the JSON log does not say so`);
    }
    if (!inLog) {
      if (log) this.excuse('the log could not be written at that moment');
      else this.complain(`${what} the log does not say so`);
    }
  }

  #path(name: string): string {
    return join(this.#node.root, name);
  }
}

const LIMITS = /\b(memory|cores|cpulimit|vcpus|balloon) |-delete cpulimit\b/;
/** Ids from 200 on are of machines. */
const MISNAMED = /\bcontainer 2\d\d\b|\bVM 1\d\d\b|\bVM 2\d\d\b.*\bcontainer\b/i;
const OF_A_CLONE = /\b(hostname|tags|net0) /;

const foundBy = ({ limits }: Arrived): ReadonlyMap<string, number> =>
  new Map([
    ['--cores', limits?.cores ?? Number.NaN],
    ['--cpulimit', limits?.cpuLimit ?? Number.NaN],
    ['--memory', limits?.memoryMib ?? Number.NaN],
  ]);

const sha1 = (text: string | Buffer): string => createHash('sha1').update(text).digest('hex');

/** What a file has more than so many bytes; all of it where it has become shorter. */
function added(path: string, bytes: number): [string, number] {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size === bytes || size === 0) return ['', size];
  return [
    readFileSync(path)
      .subarray(size < bytes ? 0 : bytes)
      .toString(),
    size,
  ];
}

function parsed(line: string): Entry | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
