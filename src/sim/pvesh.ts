import {
  machineConfigJson,
  machinePendingJson,
  machineResource,
  nodeFacts,
  nodeStatus,
  pendingJson,
  resource,
  settingsJson,
  storageFacts,
  VERSION,
} from './api-facts.ts';
import {
  type Answer,
  answer,
  failure,
  isTrue,
  type ParameterRule,
  parseArguments,
  verificationFailure,
} from './command-line.ts';
import { digestOf, type GuestConf } from './guest-conf.ts';
import { statusFacts } from './guest-status.ts';
import type { Machine } from './machine.ts';
import { type CommandContext, lines, noConfiguration } from './pct-context.ts';
import { start, stop } from './pct-lifecycle.ts';
import { setConfig } from './pct-set.ts';
import { setOption } from './pct-shapes.ts';

/** `pvesh`, the command line of the Proxmox VE API, as far as a node's guests go. */

/** Keys sorted, no blanks: the form in which Proxmox prints JSON. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sortKeys(inner)]));
}

interface Reply {
  readonly value: unknown;
  readonly stderr: string;
}

/** The same figure of every container of the node, with the warnings of their configurations. */
function perGuest(context: CommandContext, of: (vmid: number, conf: GuestConf) => object): Reply {
  const value: object[] = [];
  let stderr = '';
  for (const vmid of context.machine.files.vmids()) {
    const conf = context.machine.conf(vmid);
    if (conf === undefined) continue;
    value.push(of(vmid, conf));
    stderr += lines(conf.warnings);
  }
  return { value, stderr };
}

function resources(context: CommandContext, type: string | undefined): Reply {
  const { machine } = context;
  const node = machine.options.nodeName;
  const all = perGuest(context, (vmid, conf) => resource(machine, vmid, conf));
  const machines = [...machine.vms.specs.keys()].flatMap((vmid) => {
    const conf = machine.vms.conf(vmid);
    return conf === undefined ? [] : [machineResource(machine, vmid, conf)];
  });
  const guests = [...(Array.isArray(all.value) ? all.value : []), ...machines];
  const { ssl_fingerprint: _, ...nodeResource } = nodeFacts(machine);
  const others = [
    { 'cgroup-mode': 2, ...nodeResource },
    storageFacts(machine, 'local-lvm', 'lvmthin'),
    storageFacts(machine, 'local', 'dir'),
    { id: `sdn/${node}/localnetwork`, node, sdn: 'localnetwork', status: 'ok', type: 'sdn' },
  ];
  const wanted = (entry: object): boolean =>
    type === undefined || ('type' in entry && entry.type === type);
  const shown = type === 'vm' ? guests : [...guests, ...others].filter(wanted);
  return { value: shown, stderr: '' };
}

function nextId(machine: Machine, wanted: string | undefined): string | Answer {
  const taken = machine.files.takenIds();
  if (wanted !== undefined) {
    if (!taken.has(Number(wanted))) return wanted;
    const problems = new Map([['vmid', `VM ${wanted} already exists`]]);
    return verificationFailure(problems, 'pvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]');
  }
  let id = 100;
  while (taken.has(id)) id += 1;
  return `${id}`;
}

function guestReply(
  context: CommandContext,
  vmid: number,
  what: string,
  isCurrent: boolean,
): Reply | Answer {
  const { machine } = context;
  const conf = machine.conf(vmid);
  const content = machine.files.read(vmid);
  if (conf === undefined || content === undefined) return noConfiguration(context, vmid);
  const stderr = lines(conf.warnings);
  if (what === 'config') {
    const settings = settingsJson(conf.main);
    const waiting = isCurrent ? {} : settingsJson(conf.pending);
    for (const [key, value] of Object.entries(waiting)) {
      if (key !== 'delete') settings[key] = value;
    }
    return { value: { ...settings, digest: digestOf(content) }, stderr };
  }
  if (what === 'pending') return { value: pendingJson(conf, digestOf(content)), stderr };
  if (what === 'interfaces') {
    if (machine.running(vmid) === undefined) return failure(255, `CT ${vmid} not running\n`);
    return { value: interfacesOf(conf), stderr };
  }
  const facts = statusFacts(machine, vmid, conf);
  return { value: { ...facts, cpu: 0, ha: { managed: 0 } }, stderr };
}

function machineReply(
  { machine }: CommandContext,
  vmid: number,
  what: string,
  isCurrent: boolean,
): Reply | Answer {
  const { vms, files } = machine;
  const [conf, content] = [vms.conf(vmid), files.readVm(vmid)];
  if (conf === undefined || content === undefined) {
    return failure(2, `Configuration file '${files.relativeVmPath(vmid)}' does not exist\n`);
  }
  const digest = digestOf(content);
  const value =
    what === 'config'
      ? machineConfigJson(conf, digest, isCurrent)
      : machinePendingJson(conf, digest);
  return { value, stderr: '' };
}

/** A container that asks for its address gets one of a network that is there for that. */
function interfacesOf({ main }: GuestConf): readonly object[] {
  const [, configured] = /(?:^|,)ip=([0-9./]+)/.exec(main.values.get('net0') ?? '') ?? [];
  const hwaddr = /hwaddr=([0-9A-F:]+)/.exec(main.values.get('net0') ?? '')?.[1] ?? '';
  const last = Number.parseInt(hwaddr.slice(-2), 16) || 2;
  return [
    { hwaddr: '00:00:00:00:00:00', inet: '127.0.0.1/8', name: 'lo' },
    { hwaddr: hwaddr.toLowerCase(), inet: configured ?? `198.18.7.${last}/24`, name: 'eth0' },
  ];
}

/** Answers below `/nodes/NODE`. */
function nodeReply(
  context: CommandContext,
  rest: readonly string[],
  options: ReadonlyMap<string, string>,
): Reply | Answer | undefined {
  const { machine } = context;
  const [first, id, ...tail] = rest;
  const what = tail.join('/');
  if (first === 'status' && id === undefined) return { value: nodeStatus(machine), stderr: '' };
  if (first === 'qemu' && ['config', 'pending'].includes(what)) {
    return machineReply(context, Number(id), what, isTrue(options.get('current')));
  }
  if (first !== 'lxc') return undefined;
  if (id === undefined) {
    return perGuest(context, (vmid, conf) => ({ ...statusFacts(machine, vmid, conf), cpu: 0 }));
  }
  if (!['config', 'interfaces', 'pending', 'status/current'].includes(what)) return undefined;
  return guestReply(context, Number(id), what, isTrue(options.get('current')));
}

function get(
  context: CommandContext,
  path: readonly string[],
  options: ReadonlyMap<string, string>,
): Reply | Answer | undefined {
  const { machine } = context;
  const [root, second, ...rest] = path;
  if (root === 'version') return { value: VERSION, stderr: '' };
  if (root === 'cluster' && second === 'nextid') {
    const next = nextId(machine, options.get('vmid'));
    return typeof next === 'string' ? { value: next, stderr: '' } : next;
  }
  if (root === 'cluster' && second === 'resources') return resources(context, options.get('type'));
  if (root === 'cluster' && second === 'options') {
    const { notes } = context.machine.files;
    return { value: notes === '' ? {} : { description: notes }, stderr: '' };
  }
  if (root !== 'nodes') return undefined;
  if (second === undefined) return { value: [nodeFacts(machine)], stderr: '' };
  if (second !== machine.options.nodeName && second !== 'localhost') {
    const lookup = `failed to get address info for: ${second}`;
    const text = `hostname lookup '${second}' failed - ${lookup}`;
    return failure(11, `${text}: Temporary failure in name resolution\n`);
  }
  return nodeReply(context, rest, options);
}

function listing(context: CommandContext, path: readonly string[]): Answer | undefined {
  const row = (flags: string, name: string): string => `${flags.padEnd(12)} ${name}\n`;
  if (path.join('/') === 'nodes') {
    return answer(row('Dr---', context.machine.options.nodeName));
  }
  if (path[0] !== 'nodes' || path[2] !== 'lxc' || path.length !== 3) return undefined;
  let stdout = '';
  const all = perGuest(context, (vmid) => {
    stdout += row('Dr--d', `${vmid}`);
    return {};
  });
  return answer(stdout, all.stderr);
}

const TASKS: Readonly<Record<string, typeof start>> = { start, stop, shutdown: stop };

async function create(context: CommandContext, path: readonly string[]): Promise<Answer> {
  const [, node, , id, , action = ''] = path;
  const task = Object.hasOwn(TASKS, action) ? TASKS[action] : undefined;
  const handled = path.length === 6 && path[4] === 'status' && path[2] === 'lxc';
  if (task === undefined || !handled) {
    return failure(1, `No 'create' handler defined for '/${path.join('/')}'\n`);
  }
  const vmid = Number(id);
  const args = { vmid, values: [`${vmid}`], options: new Map<string, string>(), extra: [] };
  const done = await task(context, args);
  if (done.exit !== 0) return done;
  const hex = (number: number) => number.toString(16).toUpperCase().padStart(8, '0');
  const stamp = `${hex(2000 + vmid)}:${hex(context.machine.uptimeMs / 10)}`;
  const upid = `UPID:${node}:${stamp}:${hex(context.machine.wallS)}:vz${action}:${vmid}:root@pam:`;
  return answer(`${done.stdout}${upid}\n`, done.stderr);
}

const text: ParameterRule = { type: 'string' };
const FORMAT_OPTIONS = new Set(['output-format', 'timeframe', 'type', 'limit', 'vmid']);
const FLAGS = new Set(['current', 'noborder']);
const options = (name: string): ParameterRule | undefined =>
  FORMAT_OPTIONS.has(name) ? text : FLAGS.has(name) ? { type: 'boolean' } : setOption(name);

const VERBS = new Set(['create', 'get', 'ls', 'set']);

/** Not recorded: by the schema of Proxmox VE. */
function setNotes({ machine }: CommandContext, given: ReadonlyMap<string, string>): Answer {
  const { files } = machine;
  if (!files.canWrite) return failure(255, 'cluster not ready - no quorum?\n');
  const text = given.get('description') ?? '';
  files.notes = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return answer('');
}

/** Answers `pvesh WORDS...` as the recorded tool does, its output as JSON only. */
export async function pvesh(context: CommandContext, words: readonly string[]): Promise<Answer> {
  const [verb = '', ...rest] = words;
  if (!VERBS.has(verb)) return failure(255, `ERROR: unknown command 'pvesh ${verb}'\n`);
  const usage = `pvesh ${verb} <api_path> [OPTIONS] [FORMAT_OPTIONS]`;
  const parsed = parseArguments({ args: ['api_path'], options, usage }, rest);
  if (!parsed.ok) return parsed.answer;
  const args = parsed.arguments;
  const path = (args.values[0] ?? '').split('/').filter((part) => part !== '');
  const unhandled = failure(1, `No '${verb}' handler defined for '${args.values[0] ?? ''}'\n`);
  if (verb === 'ls') return listing(context, path) ?? unhandled;
  if (verb === 'create') return create(context, path);
  if (verb === 'set') {
    if (path.join('/') === 'cluster/options') return setNotes(context, args.options);
    if (path[2] !== 'lxc' || path[4] !== 'config') return unhandled;
    const changes = new Map([...args.options].filter(([name]) => !FORMAT_OPTIONS.has(name)));
    return setConfig(context, Number(path[3]), { ...args, options: changes }, usage);
  }
  const reply = get(context, path, args.options);
  if (reply === undefined) return unhandled;
  if ('exit' in reply) return reply;
  const format = args.options.get('output-format');
  if (format !== 'json' && format !== 'json-pretty') {
    return failure(255, 'the simulated node prints with --output-format json only\n');
  }
  const indent = format === 'json' ? undefined : 3;
  return answer(`${JSON.stringify(sortKeys(reply.value), undefined, indent)}\n`, reply.stderr);
}
