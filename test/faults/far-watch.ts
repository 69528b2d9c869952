import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../src/config/model.ts';
import { onNode } from '../../src/config/on-node.ts';
import { manage } from '../../src/config/resolve.ts';
import type { Allocation } from '../../src/core/allocation.ts';
import { leastUnseen } from '../../src/core/day-seen.ts';
import type { JournalEvent } from '../../src/core/journal-event.ts';
import { parseVmid } from '../../src/core/units.ts';
import { parseGuestConfig } from '../../src/node/guests/lxc-conf.ts';
import { statusFacts } from '../../src/sim/guest-status.ts';
import type { LimitsView, SimulatedNode } from '../../src/sim/node.ts';
import { unreclaimableBytes } from '../../src/sim/plant-memory.ts';
import type { RestCall } from '../../src/sim/rest-server.ts';
import { IGNORED, OBSERVED, TAGGED_IGNORE } from './stage.ts';

/** What must hold over the network whatever happens: seen from the side of the node. */

const MIB = 1024 * 1024;
const DAY_MS = 24 * 3_600_000;

type Values = Allocation | Pick<LimitsView, 'cores' | 'cpuLimit' | 'memoryMib'>;

interface Put {
  readonly vmid: number;
  readonly before: Values;
  readonly wanted: Partial<Values>;
  /** Whether it was decided on what is there: otherwise the node refuses it. */
  readonly isCurrent: boolean;
  isReadBack: boolean;
  isTold: boolean;
}

interface Shown {
  readonly atMs: number;
  readonly mib: number;
}

export class FarWatch {
  readonly broken: string[] = [];
  puts = 0;
  done = 0;
  shrinks = 0;
  readonly #node: SimulatedNode;
  readonly #config: Config;
  readonly #stateDir: string;
  readonly #untouched = new Map<number, string>();
  #puts: Put[] = [];
  /** What guests had at any time of this cycle. */
  #had = new Map<number, Values[]>();
  readonly #shown = new Map<number, Shown[]>();

  constructor(node: SimulatedNode, config: Config, stateDir: string) {
    this.#node = node;
    this.#config = config;
    this.#stateDir = stateDir;
    for (const vmid of [IGNORED, TAGGED_IGNORE, OBSERVED]) {
      this.#untouched.set(vmid, node.machine.files.read(vmid) ?? '');
    }
  }

  get #nowMs(): number {
    return this.#node.machine.plant.hostMs;
  }

  complain(what: string): void {
    this.broken.push(`at ${Math.round(this.#nowMs / 1000)} s: ${what}`);
  }

  cycleStarts(): void {
    this.#puts = [];
    this.#had = new Map();
    this.#look();
  }

  /** What guests have now, for what is told of them later. */
  #look(): void {
    for (const vmid of this.#node.machine.files.vmids()) {
      const values = this.#valuesOf(vmid);
      const had = this.#had.get(vmid) ?? [];
      if (values !== undefined) this.#had.set(vmid, [...had, values]);
    }
  }

  #valuesOf(vmid: number): Values | undefined {
    const limits = this.#node.limits(vmid);
    if (limits === undefined) return undefined;
    const { cores, cpuLimit, memoryMib } = limits;
    return { cores, cpuLimit, memoryMib };
  }

  /** To be called before a request is carried out. */
  arrives(call: RestCall): void {
    this.#look();
    const vmid = Number(/\/lxc\/(\d+)\/config/.exec(call.path)?.[1]);
    if (call.method === 'PUT') this.#judge(vmid, new URLSearchParams(call.body));
    else if (vmid > 0) {
      for (const put of this.#puts) if (put.vmid === vmid) put.isReadBack = true;
    }
    if (call.path === '/cluster/resources') this.#noteShown();
  }

  /** What the node tells of the memory of its guests. */
  #noteShown(): void {
    for (const vmid of this.#node.machine.files.vmids()) {
      const conf = this.#node.machine.conf(vmid);
      if (conf === undefined || this.#node.machine.running(vmid) === undefined) continue;
      const mib = Number(statusFacts(this.#node.machine, vmid, conf)['mem']) / MIB;
      const sinceMs = this.#nowMs - DAY_MS;
      const before = (this.#shown.get(vmid) ?? []).filter(({ atMs }) => atMs > sinceMs);
      this.#shown.set(vmid, [...before, { atMs: this.#nowMs, mib }]);
    }
  }

  #judge(vmid: number, form: URLSearchParams): void {
    this.puts += 1;
    const said = `PUT ${vmid} ${[...form].flat().join(' ')}`;
    const text = this.#node.machine.files.read(vmid) ?? '';
    const isCurrent = form.get('digest') === sha1(text);
    const before = this.#valuesOf(vmid);
    const id = parseVmid(String(vmid));
    const parsed = id && parseGuestConfig(id, Buffer.from(text));
    if (before === undefined || parsed?.ok !== true) {
      this.complain(`${said}: there is no such guest`);
      return;
    }
    const number = (key: string) => (form.has(key) ? { [key]: Number(form.get(key)) } : {});
    const wanted: Partial<Values> = {
      ...number('cores'),
      ...(form.has('cpulimit') && { cpuLimit: Number(form.get('cpulimit')) }),
      ...(form.has('memory') && { memoryMib: Number(form.get('memory')) }),
    };
    if (!isCurrent) {
      if (form.get('digest') === null) this.complain(`${said}: it has no digest`);
      // One that came late has done the same meanwhile, maybe: what is read afterwards counts.
      this.#puts.push({ vmid, before, wanted, isCurrent, isReadBack: false, isTold: false });
      return;
    }
    if (!this.#hasBackup(vmid, before)) this.complain(`${said}: there is no backup of that`);
    const earlier = this.#puts.filter((put) => put.vmid === vmid && put.isCurrent);
    const isPutBack = earlier.some((put) => isLike(wanted, put.before));
    if (earlier.some((put) => isDone(put, before)) && !isPutBack) {
      this.complain(`${said}: it was changed in this cycle already`);
    }
    const management = manage(onNode(this.#config, 'lab'), parsed.value);
    if (management.kind !== 'managed' || management.mode === 'observe') {
      this.complain(`${said}: it is to be left alone`);
    } else if (!isPutBack) {
      const { cpu, memory } = management.policy;
      const most = memory.maxMib ?? Number.MAX_VALUE;
      this.#bounds(said, before.memoryMib, wanted.memoryMib, [memory.minMib, most]);
      const has = before.cores ?? this.#node.machine.plant.host.cpus;
      this.#bounds(said, has, wanted.cores, [cpu.min, cpu.max]);
      this.#bounds(said, before.cpuLimit ?? has, wanted.cpuLimit ?? undefined, [cpu.min, cpu.max]);
    }
    this.#judgeMemory(vmid, said, before, wanted, isPutBack);
    this.#puts.push({ vmid, before, wanted, isCurrent, isReadBack: false, isTold: false });
  }

  #bounds(
    said: string,
    from: number,
    to: number | null | undefined,
    [min, max]: readonly [number, number],
  ): void {
    if (to === undefined || to === null) return;
    if ((to < min && to <= from) || (to > max && to >= from)) {
      this.complain(`${said}: ${from} -> ${to} is outside ${min}..${max}`);
    }
  }

  #judgeMemory(
    vmid: number,
    said: string,
    before: Values,
    { memoryMib }: Partial<Values>,
    isPutBack: boolean,
  ): void {
    const container = this.#node.machine.running(vmid);
    if (memoryMib === undefined || container === undefined) return;
    const step = memoryMib - before.memoryMib;
    if (step > 0) this.#judgeSum(said, step);
    if (step >= 0) return;
    const { memory } = container;
    const held = (unreclaimableBytes(memory) - memory.shmemBytes) / MIB;
    if (memoryMib < held) this.complain(`${said}: it holds ${held.toFixed(1)} MiB`);
    if (isPutBack) return;
    this.shrinks += 1;
    const isAllowed = onNode(this.#config, 'lab').defaults.memory.unproven === true;
    const shown = (this.#shown.get(vmid) ?? []).map(({ mib }) => mib);
    const peak = Math.max(...shown);
    if (!isAllowed) this.complain(`${said}: memory shrinks, and nobody has allowed it`);
    if (-step > before.memoryMib / 4) this.complain(`${said}: more than a quarter at once`);
    if (memoryMib < leastUnseen(peak)) {
      this.complain(`${said}: it used ${peak.toFixed(1)} MiB in the last day`);
    }
    const conf = this.#node.machine.conf(vmid);
    const upS =
      conf === undefined ? 0 : Number(statusFacts(this.#node.machine, vmid, conf)['uptime']);
    if (upS * 1000 < DAY_MS - 60_000) this.complain(`${said}: it runs for ${upS} s only`);
  }

  #judgeSum(said: string, step: number): void {
    const { machine } = this.#node;
    const { reserveMemoryMib, overcommitRatio } = this.#config.host;
    const most = (machine.plant.host.memoryMib - reserveMemoryMib) * overcommitRatio;
    let sum = step;
    for (const vmid of machine.files.vmids()) {
      if (machine.running(vmid) !== undefined) sum += this.#node.limits(vmid)?.memoryMib ?? 0;
    }
    if (sum > most) this.complain(`${said}: the limits come to ${sum} of ${most} MiB`);
  }

  #hasBackup(vmid: number, now: Values): boolean {
    const directory = join(this.#stateDir, 'backups/nodes/lab', String(vmid));
    if (!existsSync(directory)) return false;
    const id = parseVmid(String(vmid));
    return readdirSync(directory).some((name) => {
      if (!name.endsWith('.conf') || name.startsWith('.') || id === undefined) return false;
      const parsed = parseGuestConfig(id, readFileSync(join(directory, name)));
      return parsed.ok && isLike(now, parsed.value);
    });
  }

  /** What the program says of a change, at the moment that it says it. */
  told(event: JournalEvent): void {
    if (event.kind !== 'change') return;
    this.#look();
    const { vmid, resource, details } = event;
    const own = this.#puts.filter((put) => put.vmid === vmid);
    for (const put of own) put.isTold = true;
    const { status, after, unit } = details;
    if (status !== 'confirmed' && status !== 'pending') return;
    if (own.at(-1)?.isReadBack !== true) this.complain(`${vmid}: ${status}, and not read back`);
    const lever = resource === 'memory' ? 'memoryMib' : unit === 'cpulimit' ? 'cpuLimit' : 'cores';
    const had = this.#had.get(vmid) ?? [];
    this.done += 1;
    if (had.some((values) => values[lever] === after)) return;
    this.complain(`${vmid}: ${resource} ${after} is said to be ${status}, and never was`);
  }

  cycleEnds(): void {
    this.#look();
    for (const put of this.#puts) {
      if (!put.isCurrent) continue;
      const now = this.#valuesOf(put.vmid);
      const what = `PUT ${put.vmid} ${JSON.stringify(put.wanted)}`;
      if (now === undefined || put.isTold || !isDone(put, now)) continue;
      this.complain(`${what}: it came about, and nobody was told`);
    }
    for (const [vmid, text] of this.#untouched) {
      if (this.#node.machine.files.read(vmid) === text) continue;
      this.complain(`${vmid} is to be left alone, and its configuration was changed`);
      this.#untouched.set(vmid, this.#node.machine.files.read(vmid) ?? '');
    }
  }

  /** Nothing that is written may have a secret in it. */
  ended(secrets: readonly string[], said: string): void {
    const texts = [['what is printed', said] as const, ...filesBelow(this.#stateDir)];
    for (const [name, text] of texts) {
      for (const secret of secrets) {
        if (text.includes(secret)) this.complain(`${name} has a secret in it`);
      }
      if (/PVE:as@pve:|CSRF:/.test(text)) this.complain(`${name} has a ticket in it`);
      if (/internal error|TypeError/.test(text)) this.complain(`${name} has an internal error`);
    }
  }
}

function* filesBelow(directory: string): Generator<readonly [string, string]> {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) yield* filesBelow(path);
    else if (statSync(path).isFile()) yield [path, readFileSync(path, 'utf8')];
  }
}

const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex');

const LEVERS = ['cores', 'cpuLimit', 'memoryMib'] as const;

const isLike = (some: Partial<Values>, all: Values): boolean =>
  LEVERS.every(
    (lever) => some[lever] === undefined || (some[lever] ?? null) === (all[lever] ?? null),
  );

/** Whether what it asked for is there, and was not before. */
const isDone = ({ before, wanted }: Put, now: Values): boolean =>
  isLike(wanted, now) && !isLike(wanted, before);
