import {
  type Answer,
  type Arguments,
  answer,
  failure,
  verificationFailure,
} from './command-line.ts';
import { descriptionLines, digestOf, type GuestConf, settingRule } from './guest-conf.ts';
import {
  lines,
  lockedAnswer,
  noConfiguration,
  type SetContext,
  unwritable,
  withLock,
} from './pct-context.ts';

/** `pct set`: a configuration is changed, and of a running container what can be changed live. */

/** Settings that a running container takes over at once, or that only matter to the host. */
const LIVE = new Set([
  'cores',
  'cpulimit',
  'cpuunits',
  'description',
  'hookscript',
  'hostname',
  'lock',
  'memory',
  'onboot',
  'protection',
  'startup',
  'swap',
  'tags',
  'template',
]);
const REQUIRED = new Set(['memory', 'rootfs']);
/** More than this many bytes no kernel file takes. */
const MOST_LIVE_MIB = 2 ** 64 / 2 ** 20;
const NOT_SETTINGS = new Set(['delete', 'digest', 'force', 'revert']);

const listed = (value: string | undefined): string[] =>
  (value ?? '').split(/[,;\s]+/).filter((word) => word !== '');

interface Change {
  readonly set: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
  readonly revert: readonly string[];
}

const isLive = (key: string): boolean => LIVE.has(key) || /^(?:mp|net)\d+$/.test(key);

function changeOf(options: ReadonlyMap<string, string>): Change {
  const set = new Map([...options].filter(([key]) => !NOT_SETTINGS.has(key)));
  return { set, remove: listed(options.get('delete')), revert: listed(options.get('revert')) };
}

function changeProblem(change: Change): ReadonlyMap<string, string> | undefined {
  for (const key of change.remove) {
    if (settingRule(key) === undefined) return new Map([['delete', `unknown option '${key}'`]]);
    if (change.set.has(key)) {
      const text = `you can't use '-${key}' and -delete ${key}' at the same time`;
      return new Map([['delete', text]]);
    }
  }
  const unknown = change.revert.find((key) => settingRule(key) === undefined);
  return unknown === undefined ? undefined : new Map([['revert', `unknown option '${unknown}'`]]);
}

/** Half of a change, for a process that is killed in the middle of it. */
function firstOptionOnly(change: Change): Change {
  const [first] = change.set;
  return { set: new Map(first === undefined ? [] : [first]), remove: [], revert: [] };
}

function storeValue(conf: GuestConf, key: string, value: string, context: SetContext): void {
  if (key === 'description') conf.main.description = descriptionLines(value, context.utf8);
  else if (key === 'cpuunits') {
    conf.main.values.set(key, `${Math.min(10_000, Math.max(1, Number(value)))}`);
  } else conf.main.values.set(key, value);
}

/** Writes the change into a configuration. What cannot be done live waits in its section. */
function applyChange(
  vmid: number,
  conf: GuestConf,
  change: Change,
  running: boolean,
  context: SetContext,
): Map<string, string> {
  const problems = new Map<string, string>();
  for (const key of change.revert) conf.pending.values.delete(key);
  for (const key of change.remove) {
    conf.pending.values.delete(key);
    if (key === 'description') conf.main.description = [];
    else if (!running || isLive(key)) conf.main.values.delete(key);
    else if (conf.main.values.has(key)) {
      const waiting = [...listed(conf.pending.values.get('delete')), key];
      conf.pending.values.set('delete', waiting.join(','));
    }
  }
  for (const [key, value] of change.set) {
    conf.pending.values.delete(key);
    if (running && key === 'memory' && Number(value) > MOST_LIVE_MIB) {
      const file = `/sys/fs/cgroup/lxc/${vmid}/memory.high`;
      const reason = `closing file '${file}' failed - Invalid argument\n`;
      problems.set(key, `unable to hotplug memory: ${reason}`);
    } else if (running && key === 'cpulimit' && Number(value) === 0) {
      const file = `/sys/fs/cgroup/lxc/${vmid}/cpu.max`;
      const reason = `closing file '${file}' failed - Invalid argument\n`;
      problems.set(key, `unable to hotplug cpulimit: ${reason}`);
    } else if (running && !isLive(key)) conf.pending.values.set(key, value);
    else storeValue(conf, key, value, context);
  }
  return problems;
}

function changedKeys(before: GuestConf, after: GuestConf): ReadonlySet<string> {
  const keys = new Set([...before.main.values.keys(), ...after.main.values.keys()]);
  const isOther = (key: string): boolean =>
    before.main.values.get(key) !== after.main.values.get(key);
  return new Set([...keys].filter(isOther));
}

function describe(before: GuestConf, after: GuestConf): string {
  const value = (conf: GuestConf, key: string) => conf.main.values.get(key) ?? 'none';
  return [...changedKeys(before, after)]
    .map((key) => `${key} ${value(before, key)} -> ${value(after, key)}`)
    .join(', ');
}

function setLocked(context: SetContext, vmid: number, args: Arguments, usage: string): Answer {
  const { machine } = context;
  const content = machine.files.read(vmid);
  const conf = machine.conf(vmid);
  const before = machine.conf(vmid);
  if (content === undefined || conf === undefined || before === undefined) {
    return noConfiguration(context, vmid);
  }
  const warned = lines(conf.warnings);
  const refused = lockedAnswer(conf);
  if (refused !== undefined) return { ...refused, stderr: warned + refused.stderr };
  const digest = args.options.get('digest');
  if (digest !== undefined && digest !== '' && digest !== digestOf(content)) {
    const text = 'detected modified configuration - file changed by other user? Try again.\n';
    return failure(255, warned + text);
  }
  const whole = changeOf(args.options);
  const required = whole.remove.find((key) => REQUIRED.has(key));
  if (required !== undefined) {
    return failure(255, `${warned}unable to delete required option '${required}'\n`);
  }
  const change = context.half === 'first-option' ? firstOptionOnly(whole) : whole;
  const running = machine.running(vmid) !== undefined;
  const problems = applyChange(vmid, conf, change, running, context);
  // What is live goes first, and a value that the configuration has already is left out of it.
  machine.applyLimits(vmid, conf.main, changedKeys(before, conf));
  if (!machine.files.canWrite) return unwritable(context, vmid, 2);
  if (context.half === 'live-only') return answer('', warned);
  machine.save(vmid, conf);
  const after = machine.conf(vmid) ?? conf;
  machine.note(vmid, 'set', describe(before, after));
  const stderr = warned + lines(after.warnings);
  if (problems.size === 0) return answer('', stderr);
  const failed = verificationFailure(problems, usage, 22);
  return { ...failed, stderr: stderr + failed.stderr };
}

/** The whole of `pct set` and `pvesh set .../config`; `usage` is the line under an error. */
export async function setConfig(
  context: SetContext,
  vmid: number,
  args: Arguments,
  usage: string,
): Promise<Answer> {
  const named = [...args.options.keys()].filter((key) => key !== 'digest');
  if (named.length === 0) return failure(255, 'no options specified\n');
  const problem = changeProblem(changeOf(args.options));
  if (problem !== undefined) return verificationFailure(problem, usage);
  return withLock(context, vmid, () => setLocked(context, vmid, args, usage));
}
