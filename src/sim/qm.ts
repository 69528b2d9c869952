import { pluggableMib } from '../core/reach.ts';
import {
  type Answer,
  type Arguments,
  answer,
  type CommandShape,
  failure,
  type ParameterRule,
  parseArguments,
  verificationFailure,
} from './command-line.ts';
import { descriptionLines, digestOf, notes } from './guest-conf.ts';
import type { VmContext } from './qm-context.ts';
import { DISK_WORKS } from './qm-disks.ts';
import { rows, type VmConf, vmValues } from './vm-conf.ts';
import type { VmGuest } from './vm-guest.ts';

/** `qm`, the tool of Proxmox VE for virtual machines, as far as it was recorded. */

const text: ParameterRule = { type: 'string' };
const count: ParameterRule = { type: 'integer', min: 1 };
const SETTINGS: Readonly<Record<string, ParameterRule>> = {
  affinity: text,
  balloon: { type: 'integer', min: 0 },
  cores: count,
  cpulimit: { type: 'number', min: 0, max: 128 },
  cpuunits: { type: 'integer', min: 1, max: 262_144 },
  delete: text,
  description: notes,
  digest: text,
  hotplug: text,
  memory: text,
  name: text,
  numa: { type: 'boolean' },
  onboot: { type: 'boolean' },
  revert: text,
  shares: { type: 'integer', min: 0, max: 50_000 },
  sockets: count,
  tags: text,
  vcpus: count,
};
const NOT_STORED = new Set(['delete', 'description', 'digest', 'revert']);
/** What a running machine takes over at once, whatever `hotplug` says. */
const LIVE = new Set(['cpulimit', 'cpuunits', 'description', 'name', 'shares', 'tags']);

const SET_USAGE = 'qm set <vmid> [OPTIONS]';
const shapeOf = (usage: string, options: CommandShape['options']): CommandShape => ({
  args: ['vmid'],
  usage,
  options,
});
const oneOf =
  (...names: readonly string[]) =>
  (name: string): ParameterRule | undefined => {
    if (!names.includes(name)) return undefined;
    return ['full', 'purge', 'start', 'forceStop', 'force'].includes(name) ? flag : text;
  };
const flag: ParameterRule = { type: 'boolean' };
const diskShape = (command: string, args: readonly string[], ...options: readonly string[]) => ({
  args: ['vmid', ...args],
  usage: ['qm', command, '<vmid>', ...args.map((name) => `<${name}>`), '[OPTIONS]'].join(' '),
  options: oneOf(...options),
});
const SHAPES: Readonly<Record<string, CommandShape>> = {
  clone: diskShape('clone', ['newid'], 'name', 'description', 'snapname', 'full'),
  delsnapshot: diskShape('delsnapshot', ['snapname'], 'force'),
  destroy: diskShape('destroy', [], 'purge'),
  resize: diskShape('resize', ['disk', 'size'], 'digest'),
  rollback: diskShape('rollback', ['snapname'], 'start'),
  shutdown: diskShape('shutdown', [], 'forceStop', 'timeout'),
  snapshot: diskShape('snapshot', ['snapname'], 'description'),
  config: shapeOf('qm config <vmid> [OPTIONS]', (name) =>
    name === 'current' ? { type: 'boolean' } : undefined,
  ),
  pending: shapeOf('qm pending <vmid>', () => undefined),
  set: shapeOf(SET_USAGE, (name) => (Object.hasOwn(SETTINGS, name) ? SETTINGS[name] : undefined)),
  start: shapeOf('qm start <vmid> [OPTIONS]', () => undefined),
  stop: shapeOf('qm stop <vmid> [OPTIONS]', () => undefined),
};

export async function qm(context: VmContext, words: readonly string[]): Promise<Answer> {
  const [command = '', ...rest] = words;
  const shape = Object.hasOwn(SHAPES, command) ? SHAPES[command] : undefined;
  if (shape === undefined) return failure(255, `ERROR: unknown command 'qm ${command}'\n`);
  const parsed = parseArguments(shape, rest);
  if (!parsed.ok) return parsed.answer;
  const args = parsed.arguments;
  const { vmid } = args;
  const { vms, files } = context.machine;
  const conf = vms.conf(vmid);
  if (conf === undefined) {
    return failure(2, `Configuration file '${files.relativeVmPath(vmid)}' does not exist\n`);
  }
  const work = Object.hasOwn(DISK_WORKS, command) ? DISK_WORKS[command] : undefined;
  if (work !== undefined) {
    const lock = conf.main.get('lock');
    const asksItself = command === 'resize' || command === 'rollback';
    if (lock !== undefined && !asksItself) return failure(255, `VM is locked (${lock})\n`);
    return work(context, args, conf);
  }
  switch (command) {
    case 'set':
      return setVm(context, args);
    case 'config':
      return answer(configText(conf, args.options.has('current')));
    case 'pending':
      return answer(pendingText(conf));
    case 'start':
      vms.start(vmid);
      return answer('');
    default:
      vms.stop(vmid);
      return answer('');
  }
}

/** As if what is pending were in force, unless only what is in force is asked for. */
function configText({ main, pending }: VmConf, current: boolean): string {
  if (current) return rows(main);
  const all = new Map([...main, ...pending]);
  for (const key of listed(pending.get('delete'))) all.delete(key);
  all.delete('delete');
  return rows(all);
}

function pendingText({ main, pending }: VmConf): string {
  const deleted = listed(pending.get('delete'));
  const keys = new Set([...main.keys(), ...pending.keys()]);
  keys.delete('delete');
  const lines = [...keys]
    .sort()
    .flatMap((key) => [
      ...(main.has(key) ? [`cur ${key}: ${main.get(key)}\n`] : []),
      ...(pending.has(key) ? [`new ${key}: ${pending.get(key)}\n`] : []),
      ...(deleted.includes(key) ? [`del ${key}\n`] : []),
    ]);
  return lines.join('');
}

const listed = (value: string | undefined): readonly string[] =>
  (value ?? '').split(/[,;\s]+/).filter((word) => word !== '');

async function setVm(context: VmContext, args: Arguments): Promise<Answer> {
  const { vmid, options } = args;
  const { machine, locks } = context;
  const named = [...options.keys()].filter((key) => key !== 'digest');
  if (named.length === 0) return failure(255, 'no options specified\n');
  const wrong = memoryProblem(options.get('memory'));
  if (wrong !== undefined) return verificationFailure(wrong, SET_USAGE);
  const file = `/var/lock/qemu-server/lock-${vmid}.conf`;
  let waited = '';
  if (!locks.tryHold(vmid)) {
    waited = 'trying to acquire lock...\n';
    if (!(await locks.hold(vmid, context.lockTimeoutMs))) {
      return failure(4, `${waited}can't lock file '${file}' - got timeout\n`);
    }
    waited += ' OK\n';
  }
  machine.showVmLock(vmid, true);
  try {
    if (context.aborted()) return failure(255, 'interrupted by signal\n');
    const done = setLocked(context, args);
    return { ...done, stderr: waited + done.stderr };
  } finally {
    machine.showVmLock(vmid, false);
    locks.release(vmid);
  }
}

function memoryProblem(value: string | undefined): ReadonlyMap<string, string> | undefined {
  if (value === undefined || Number(value.replace(/^current=/, '')) >= 16) return undefined;
  return new Map([
    [
      'memory',
      'invalid format - format error\nmemory.current: value must have a minimum value of 16\n',
    ],
  ]);
}

function setLocked(context: VmContext, { vmid, options }: Arguments): Answer {
  const { vms, files } = context.machine;
  const content = files.readVm(vmid);
  const conf = vms.conf(vmid);
  if (content === undefined || conf === undefined) {
    return failure(2, `Configuration file '${files.relativeVmPath(vmid)}' does not exist\n`);
  }
  const digest = options.get('digest');
  if (digest !== undefined && digest !== digestOf(content)) {
    return failure(255, 'checksum mismatch (file change by other user?)\n');
  }
  const lock = conf.main.get('lock');
  if (lock !== undefined) return failure(255, `VM is locked (${lock})\n`);
  const memoryMib = vmValues(new Map([...conf.main, ...options])).memoryMib;
  if (Number(options.get('balloon') ?? 0) > memoryMib) {
    return failure(255, 'balloon value too large (must be smaller than assigned memory)\n');
  }
  if (!files.canWrite) {
    const path = `/etc/pve/${files.relativeVmPath(vmid)}.tmp.${process.pid}`;
    return failure(2, `unable to open file '${path}' - Permission denied\n`);
  }
  const words = [...options]
    .filter(([key]) => key !== 'digest')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const said = `update VM ${vmid}: ${words.map(([key, value]) => `-${key} ${value}`).join(' ')}\n`;
  return new Setting(context, vmid, conf).run(options, said);
}

/** One `qm set`: all is stored as pending first, and then brought into force piece by piece. */
class Setting {
  readonly #context: VmContext;
  readonly #vmid: number;
  readonly #conf: VmConf;
  readonly #problems = new Map<string, string>();
  #said = '';
  /** A process that is killed in the middle has done one piece. */
  #piecesLeft: number;

  constructor(context: VmContext, vmid: number, conf: VmConf) {
    this.#context = context;
    this.#vmid = vmid;
    this.#conf = conf;
    this.#piecesLeft = context.half === undefined ? Number.POSITIVE_INFINITY : 1;
  }

  get #guest(): VmGuest | undefined {
    return this.#context.machine.vms.running(this.#vmid)?.guest;
  }

  run(options: ReadonlyMap<string, string>, said: string): Answer {
    const { pending } = this.#conf;
    this.#said = said;
    for (const key of listed(options.get('revert'))) this.#revert(key);
    for (const key of listed(options.get('delete'))) this.#delete(key);
    const about = options.get('description');
    // Pending for a moment, and then in force, whether it runs or not.
    if (about !== undefined) this.#conf.description = descriptionOf(about, this.#context);
    for (const [key, value] of options) if (!NOT_STORED.has(key)) pending.set(key, value);
    this.#save();
    for (const key of [...pending.keys()].sort()) {
      if (key === 'delete' || !options.has(key)) continue;
      this.#bringInForce(key, pending.get(key) ?? '');
      this.#save();
    }
    const { vms } = this.#context.machine;
    vms.note(this.#vmid, said.trim());
    if (this.#problems.size === 0) return answer(this.#said);
    const failed = verificationFailure(this.#problems, SET_USAGE);
    return { ...failed, stdout: this.#said };
  }

  #save(): void {
    this.#context.machine.vms.save(this.#vmid, this.#conf);
  }

  #revert(key: string): void {
    const { pending } = this.#conf;
    pending.delete(key);
    const deleted = listed(pending.get('delete')).filter((one) => one !== key);
    if (deleted.length > 0) pending.set('delete', deleted.join(','));
    else pending.delete('delete');
  }

  #delete(key: string): void {
    const { main, pending } = this.#conf;
    pending.delete(key);
    if (key === 'description') this.#conf.description = [];
    const { vms } = this.#context.machine;
    const isLive = !vms.isUp(this.#vmid) || LIVE.has(key) || key === 'balloon';
    if (!isLive && main.has(key)) {
      pending.set('delete', [...listed(pending.get('delete')), key].join(','));
      return;
    }
    main.delete(key);
    vms.applyLive(this.#vmid, this.#conf, key);
  }

  #bringInForce(key: string, value: string): void {
    const { main } = this.#conf;
    const { vms } = this.#context.machine;
    const guest = this.#guest;
    const { hotplug, plugsMemory, balloonMib } = vmValues(main);
    if (this.#piecesLeft <= 0) return;
    if (!vms.isUp(this.#vmid)) this.#store(key, value);
    else if (key === 'vcpus' && hotplug.has('cpu') && guest) this.#setVcpus(guest, value);
    else if (key === 'memory' && plugsMemory && guest) this.#setMemory(guest, value);
    else if (key === 'balloon' && (balloonMib === undefined) === (Number(value) === 0)) {
      this.#store(key, value);
    } else if (LIVE.has(key)) this.#store(key, value);
  }

  #store(key: string, value: string): void {
    this.#piecesLeft -= 1;
    this.#conf.main.set(key, value);
    this.#conf.pending.delete(key);
    this.#context.machine.vms.applyLive(this.#vmid, this.#conf, key);
  }

  /** One by one, and the configuration is written after each. */
  #setVcpus(guest: VmGuest, value: string): void {
    const wanted = Number(value);
    if (wanted > guest.mostCpus) {
      this.#fail('vcpus', `you can't add more vcpus than maxcpus ${guest.mostCpus}`);
      return;
    }
    while (guest.vcpus !== wanted && this.#piecesLeft > 0) {
      const isLess = wanted < guest.vcpus;
      if (isLess && guest.spec.refusesUnplug === true) {
        this.#fail('vcpus', `vcpus: error unplugging cpu${guest.vcpus}`);
        return;
      }
      guest.vcpus += isLess ? -1 : 1;
      this.#piecesLeft -= 1;
      this.#conf.main.set('vcpus', String(guest.vcpus));
      this.#save();
    }
    if (guest.vcpus === wanted) this.#conf.pending.delete('vcpus');
  }

  #setMemory(guest: VmGuest, value: string): void {
    const wanted = Number(value.replace(/^current=/, ''));
    if (wanted < 1024) {
      this.#fail('memory', "memory can't be lower than 1024 MB");
      return;
    }
    while (guest.memoryMib < wanted && this.#piecesLeft > 0) {
      this.#plug(guest, pluggableMib(guest.memoryMib + 1) ?? wanted);
    }
    while (guest.memoryMib > wanted && this.#piecesLeft > 0) {
      const below = moduleBelow(guest.memoryMib);
      this.#said += `try to unplug memory dimm dimm${below.index}\n`;
      const isInUse = guest.actualMib - guest.anonMib < guest.memoryMib - below.mib;
      if (guest.spec.refusesUnplug === true || isInUse) {
        this.#fail('memory', `dimm${below.index}: error unplug memory module`);
        return;
      }
      if (below.mib < wanted) break;
      this.#plug(guest, below.mib);
    }
    this.#conf.pending.delete('memory');
  }

  #plug(guest: VmGuest, memoryMib: number): void {
    guest.setMemory(memoryMib);
    this.#piecesLeft -= 1;
    this.#conf.main.set('memory', String(memoryMib));
    this.#save();
  }

  #fail(key: string, why: string): void {
    const inner = `400 Parameter verification failed.\n${why}\n`;
    this.#problems.set(key, `hotplug problem - ${inner}`);
  }
}

const descriptionOf = (text: string, { utf8 }: VmContext): readonly string[] =>
  descriptionLines(text, utf8).map((line) => `#${line}`);

/** What is left without the last module, and which module that is. */
function moduleBelow(memoryMib: number): { readonly mib: number; readonly index: number } {
  let [sum, module, index] = [1024, 512, 0];
  for (; sum + module < memoryMib; index += 1) {
    sum += module;
    if (index % 32 === 31) module *= 2;
  }
  return { mib: sum, index };
}
