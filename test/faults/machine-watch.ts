import { createHash } from 'node:crypto';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { parseVmid } from '../../src/core/units.ts';
import { type MachineConfig, parseMachineConfig } from '../../src/node/guests/qemu.ts';
import type { Call } from '../../src/sim/faults.ts';
import type { SimulatedNode } from '../../src/sim/node.ts';
import { parseVmConf, vmValues } from '../../src/sim/vm-conf.ts';
import { LEFT_ALONE } from './machine-stage.ts';
import type { Watch } from './watch.ts';

/** What must hold of the machines whatever happens: what `qm` is asked, and what is said of it. */

/** The keys that the program sets. */
const OWN_KEYS: ReadonlySet<string> = new Set(['vcpus', 'cpulimit', 'balloon', 'memory']);
/** For so long what it has begun may still be told from nobody else's. */
const SETTLED_AFTER_MS = 900_000;

interface Asked {
  readonly vmid: number;
  readonly options: ReadonlyMap<string, string>;
  readonly text: string;
  readonly hasBackup: boolean;
  readonly limitsMib: number;
  /** What its guest cannot give up; undefined: it does not run. */
  readonly needMib: number | undefined;
}

/** What an administrator has left for the next start. */
interface Theirs {
  readonly atMs: number;
  /** When the program had last asked for the same key before. */
  readonly askedBeforeMs: number;
}

export class MachineWatch {
  readonly #node: SimulatedNode;
  readonly #watch: Watch;
  readonly #untouched = new Map<number, string>();
  readonly #theirs = new Map<string, Theirs>();
  /** When each key was asked for last. */
  readonly #askedMs = new Map<string, number>();
  readonly #latest = new Map<number, Asked>();
  #arrived: Asked[] = [];

  constructor(node: SimulatedNode, watch: Watch) {
    this.#node = node;
    this.#watch = watch;
    for (const vmid of LEFT_ALONE) this.#untouched.set(vmid, this.#text(vmid));
  }

  get #nowMs(): number {
    return this.#node.machine.plant.hostMs;
  }

  has(vmid: number): boolean {
    return this.#node.machine.vms.specs.has(vmid);
  }

  #text(vmid: number): string {
    return this.#node.machine.files.readVm(vmid) ?? '';
  }

  #pending(vmid: number): ReadonlySet<string> {
    const pending = this.#node.machine.vms.conf(vmid)?.pending ?? new Map<string, string>();
    const deleted = pending.get('delete')?.split(',') ?? [];
    return new Set([...pending.keys(), ...deleted].filter((key) => key !== 'delete'));
  }

  /** What those that run may take of the host; of a balloon that follows, its target. */
  limitsOfRunning(): number {
    let sum = 0;
    for (const vmid of this.#node.machine.vms.specs.keys()) {
      if (this.#node.machine.vms.running(vmid) === undefined) continue;
      sum += this.#config(vmid)?.memoryMib ?? 0;
    }
    return sum;
  }

  #config(vmid: number, text = this.#text(vmid)): MachineConfig | undefined {
    const id = parseVmid(String(vmid));
    const config = id && parseMachineConfig(id, text, sha1(text));
    return config?.ok === true ? config.value : undefined;
  }

  // Administrators -----------------------------------------------------------------------------

  /** To be called before an administrator changes one; what it returns, afterwards. */
  adminSets(vmid: number): () => void {
    const before = this.#pending(vmid);
    return () => {
      for (const key of this.#pending(vmid)) if (!before.has(key)) this.#isTheirs(vmid, key);
    };
  }

  /** The program has lost its memory: what waits for the next start may be anybody's. */
  forget(): void {
    for (const vmid of this.#node.machine.vms.specs.keys()) {
      for (const key of this.#pending(vmid)) this.#isTheirs(vmid, key);
    }
  }

  #isTheirs(vmid: number, key: string): void {
    const askedBeforeMs = this.#askedMs.get(`${vmid} ${key}`) ?? Number.NEGATIVE_INFINITY;
    this.#theirs.set(`${vmid} ${key}`, { atMs: this.#nowMs, askedBeforeMs });
  }

  // What is asked of qm ------------------------------------------------------------------------

  arrives({ argv }: Call): void {
    const [tool, verb, id, ...rest] = argv;
    if (tool !== 'qm' || verb !== 'set') {
      this.#watch.complain(`it ran ${argv.join(' ')}, and there is nothing to run but qm set`);
      return;
    }
    const vmid = Number(id);
    const options = new Map<string, string>();
    for (let at = 0; at < rest.length; at += 2) options.set(rest[at] ?? '', rest[at + 1] ?? '');
    const guest = this.#node.machine.vms.running(vmid)?.guest;
    this.#arrived.push({
      vmid,
      options,
      text: this.#text(vmid),
      hasBackup: this.#watch.hasBackup(vmid, options.get('--digest') ?? ''),
      limitsMib: this.#watch.limitsOfRunning(),
      needMib: guest && guest.anonMib + guest.actualMib - guest.totalMib,
    });
  }

  /** To be called whenever the daemon waits. */
  look(): void {
    for (const one of this.#arrived.splice(0)) this.#judge(one);
    for (const [vmid, text] of this.#untouched) {
      if (this.#text(vmid) === text) continue;
      this.#watch.complain(`VM ${vmid} is to be left alone, and its configuration was changed`);
      this.#untouched.set(vmid, this.#text(vmid));
    }
    // What has come into force at a start waits no more.
    for (const id of this.#theirs.keys()) {
      const [vmid, key = ''] = id.split(' ');
      if (!this.#pending(Number(vmid)).has(key)) this.#theirs.delete(id);
    }
  }

  #judge(one: Asked): void {
    const { vmid, options, text } = one;
    this.#latest.set(vmid, one);
    const said = `qm set ${vmid} ${[...options].flat().join(' ')}`;
    const complain = (what: string): void => this.#watch.complain(`${said}: ${what}`);
    if (!one.hasBackup) complain('there is no backup with that digest');
    // Decided on another text than is there: qm refuses it.
    if (options.get('--digest') !== sha1(text)) return;
    const config = this.#config(vmid, text);
    if (config === undefined) {
      complain('its configuration cannot be read');
      return;
    }
    const revert = options.get('--revert');
    if (revert !== undefined) {
      if (options.size !== 2) complain('something else goes with it');
      for (const key of revert.split(',')) this.#judgeRevert(vmid, key, complain);
      return;
    }
    for (const key of keysOf(options)) this.#askedMs.set(`${vmid} ${key}`, this.#nowMs);
    const policies = this.#watch.policiesOf(config);
    if (policies.length === 0) complain('it is to be left alone');
    const wrong = policies.map((policy) => whyOutOfBounds(config, options, policy));
    if (policies.length > 0 && wrong.every((what) => what !== undefined)) complain(wrong[0] ?? '');
    const notLive = this.#whyNotLive(one, config);
    if (notLive !== undefined) complain(notLive);
    this.#judgeMemory(one, config, said);
  }

  #judgeRevert(vmid: number, key: string, complain: (what: string) => void): void {
    if (!OWN_KEYS.has(key)) complain(`${key} is none of its own`);
    const theirs = this.#theirs.get(`${vmid} ${key}`);
    if (theirs === undefined) return;
    // One that was cut off may have come to it as late as that.
    const mayBeOurs = this.#nowMs - theirs.askedBeforeMs <= SETTLED_AFTER_MS + 60_000;
    if (mayBeOurs) this.#watch.excuse('what was pending could have been of a change cut off');
    else complain(`${key} waits for the next start since an administrator wanted so`);
  }

  /** What is asked must take effect now: nothing is ever to wait for the next start. */
  #whyNotLive({ vmid, options, text }: Asked, config: MachineConfig): string | undefined {
    if (this.#node.machine.vms.running(vmid) === undefined) return undefined;
    const { main } = parseVmConf(text);
    const values = vmValues(main);
    const memory = options.get('--memory');
    if (options.has('--vcpus')) {
      if (!values.hotplug.has('cpu')) return 'its CPUs cannot be plugged';
      if (Number(options.get('--vcpus')) > values.mostCpus) return 'it has not so many CPUs';
    }
    if (options.has('--balloon')) {
      if (values.shares !== 0) return 'pvestatd moves its balloon';
      if (values.balloonMib === undefined) return 'it has no balloon';
    }
    if (memory === undefined) return undefined;
    if (!values.plugsMemory) return 'its memory cannot be plugged';
    if (Number(memory) >= values.memoryMib) return undefined;
    const mayUnplug = this.#watch.policiesOf(config).some((one) => one.memory.unplugs);
    return mayUnplug ? undefined : 'its modules are to stay';
  }

  #judgeMemory({ options, needMib, limitsMib }: Asked, config: MachineConfig, said: string): void {
    const to = memoryAsked(options);
    if (to === undefined || needMib === undefined) return;
    const step = to - config.memoryMib;
    if (step < 0 && to < needMib) {
      this.#watch.complain(`${said}: its guest needs ${needMib.toFixed(1)} MiB`);
    }
    if (step > 0) this.#watch.judgeGrowth(said, step, limitsMib);
  }

  // What is said -------------------------------------------------------------------------------

  /** What is claimed must be so, now that no time has passed since. Returns what is untrue. */
  untrueOf(entry: Readonly<Record<string, unknown>>, vmid: number): string | undefined {
    const { status, after, before, note, resource, unit } = entry;
    const config = this.#config(vmid);
    if (config === undefined) return undefined;
    const asked = this.#latest.get(vmid)?.options ?? new Map<string, string>();
    const isMemory = resource === 'memory';
    const has = isMemory ? config.memoryMib : unit ? config.cpuLimit : config.cores;
    const since = isMemory
      ? memoryAsked(asked)
      : Number(asked.get(unit ? '--cpulimit' : '--vcpus') ?? Number.NaN);
    // A later change of its own, of which the line is still to come.
    if (since !== after && since === has) return undefined;
    if (status === 'confirmed' || status === 'pending') {
      return has === after ? this.#untrueLive(vmid, config, entry) : `it has ${has}`;
    }
    if (status === 'partly') {
      const told = /\bIt has (\w+) ([\d.]+)/.exec(String(note));
      if (told === null || String(note).includes(', ')) return undefined;
      return Number(told[2]) === has ? undefined : `it has ${told[1]} ${has}`;
    }
    const nothing = status === 'failed' && String(note).startsWith('Nothing was changed');
    return nothing && has === after && has !== before ? `it has ${has}` : undefined;
  }

  #untrueLive(
    vmid: number,
    config: MachineConfig,
    { resource, unit, after }: Readonly<Record<string, unknown>>,
  ): string | undefined {
    const vm = this.#node.machine.vms.running(vmid);
    if (vm === undefined) return undefined;
    const { guest, limits } = vm;
    if (resource !== 'memory' && unit) {
      const live = limits.cpuLimit;
      return live === after ? undefined : `live ${live}`;
    }
    if (resource !== 'memory') return guest.vcpus === after ? undefined : `live ${guest.vcpus}`;
    if (guest.memoryMib !== config.assignedMib) return `QEMU has ${guest.memoryMib}`;
    const values = vmValues(parseVmConf(this.#text(vmid)).main);
    const isOurs = values.shares === 0 && values.balloonMib !== undefined;
    return isOurs && guest.targetMib !== after
      ? `its balloon goes to ${guest.targetMib}`
      : undefined;
  }

  // Its end ------------------------------------------------------------------------------------

  /** What of the program's own waits for the next start. */
  leftovers(): readonly string[] {
    const all = [...this.#node.machine.vms.specs.keys()];
    return all.flatMap((vmid) =>
      [...this.#pending(vmid)]
        .filter((key) => OWN_KEYS.has(key) && !this.#theirs.has(`${vmid} ${key}`))
        .map((key) => `VM ${vmid} was left with ${key} pending:\n${this.#text(vmid)}`),
    );
  }
}

const keysOf = (options: ReadonlyMap<string, string>): readonly string[] => [
  ...[...options.keys()].map((name) => name.slice(2)).filter((key) => OWN_KEYS.has(key)),
  ...(options.get('--delete')?.split(',') ?? []),
];

/** With a balloon it is the target that counts, and modules come along. */
function memoryAsked(options: ReadonlyMap<string, string>): number | undefined {
  const value = options.get('--balloon') ?? options.get('--memory');
  return value === undefined ? undefined : Number(value);
}

/** A step that leads back towards the bounds is right. */
function whyOutOfBounds(
  config: MachineConfig,
  options: ReadonlyMap<string, string>,
  { cpu, memory }: ContainerPolicy,
): string | undefined {
  const bounds = [
    ['vcpus', config.cores, Number(options.get('--vcpus')), cpu.min, cpu.max],
    ['cpulimit', config.cpuLimit, Number(options.get('--cpulimit')), cpu.min, cpu.max],
    ['memory', config.memoryMib, memoryAsked(options), memory.minMib, memory.maxMib],
  ] as const;
  for (const [name, from, to, min, max = Number.MAX_VALUE] of bounds) {
    if (to === undefined || Number.isNaN(to) || from === null) continue;
    if ((to < min && to <= from) || (to > max && to >= from)) {
      return `${name} ${from} -> ${to} is outside ${min}..${max}`;
    }
  }
  return undefined;
}

const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex');
