import type { Answer } from './command-line.ts';
import type { SimulatedNode } from './node.ts';
import { type Caller, may, permissionsOf, privilegesOn } from './rest-access.ts';

/** What the simulated REST API answers whom: the answers of `pvesh`, with their statuses. */

export interface RestReply {
  readonly status: number;
  /** Behind the status, and the body's `message`. */
  readonly words: string;
  readonly data?: unknown;
  readonly errors?: Readonly<Record<string, string>>;
  /** Whether pvedaemon gives it, which closes the connection, and is gone while that is stopped. */
  readonly isForwarded?: boolean;
  /** Has no body. */
  readonly isBare?: boolean;
}

export interface RestQuestion {
  readonly method: string;
  /** Below `/api2/json`, without the query, its parts decoded. */
  readonly path: string;
  /** Of the query or of the body. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly caller: Caller;
}

const ok = (data: unknown): RestReply => ({ status: 200, words: 'OK', data });
const denied = (path: string, privilege: string): RestReply => ({
  status: 403,
  words: `Permission check failed (${path}, ${privilege})`,
});

const ANY_CONFIG = ['Disk', 'CPU', 'Memory', 'Network', 'Options'].map((one) => `VM.Config.${one}`);
const NO_SETTINGS = ['delete', 'digest', 'revert'];
const CPU_KEYS = new Set(['cores', 'cpulimit', 'cpuunits', 'sockets', 'vcpus']);
const MEMORY_KEYS = new Set(['balloon', 'memory', 'shares', 'swap']);

function privilegeFor(key: string): string {
  if (CPU_KEYS.has(key)) return 'VM.Config.CPU';
  if (MEMORY_KEYS.has(key)) return 'VM.Config.Memory';
  return /^(?:hostname|net\d+|nameserver)$/.test(key) ? 'VM.Config.Network' : 'VM.Config.Options';
}

export async function restReply(node: SimulatedNode, question: RestQuestion): Promise<RestReply> {
  const { method, path, caller } = question;
  if (!node.machine.files.runs) {
    const words = 'Unable to load access control list: Connection refused';
    return { status: 500, words: `RPCEnvironment init request failed: ${words}` };
  }
  const parts = path.split('/').filter((part) => part !== '');
  const [root, , type, id, ...rest] = parts;
  const isKind = type === 'lxc' || type === 'qemu';
  const isGuest = root === 'nodes' && isKind && id !== undefined;
  if (isGuest && rest.join('/') === 'config' && method === 'PUT') {
    return putConfig(node, id, question);
  }
  if (method !== 'GET') return unknownCall(method, path);
  if (path === '/access/permissions') return ok(permissionsOf(caller));
  if (path === '/cluster/status') {
    return may(caller, '/', 'Sys.Audit') ? ok(clusterStatus(node)) : denied('/', 'Sys.Audit');
  }
  if (path === '/cluster/resources') return resources(node, question);
  if (isGuest && !may(caller, `/vms/${id}`, 'VM.Audit')) return denied(`/vms/${id}`, 'VM.Audit');
  const home = `/nodes/${parts[1]}`;
  if (root === 'nodes' && type === 'status' && !may(caller, home, 'Sys.Audit')) {
    return denied(home, 'Sys.Audit');
  }
  const reply = await get(node, question);
  return rest.join('/') === 'status/current' ? { ...reply, isForwarded: true } : reply;
}

const unknownCall = (method: string, path: string): RestReply => ({
  status: 501,
  words: `Method '${method} ${path}' not implemented`,
});

async function get(node: SimulatedNode, { method, path, parameters }: RestQuestion) {
  const options = [...parameters].flatMap(([name, value]) => [`--${name}`, value]);
  const words = ['pvesh', 'get', path, '--output-format', 'json', ...options];
  const answer = await node.run(words);
  if (/^No 'get' handler/.test(answer.stderr)) return unknownCall(method, path);
  return answer.exit === 0 ? ok(JSON.parse(`${answer.stdout}`)) : failed(answer);
}

/** A node of which the caller may see nothing is there all the same, and little more. */
async function resources(node: SimulatedNode, question: RestQuestion): Promise<RestReply> {
  const { caller } = question;
  const reply = await get(node, question);
  const seen = (reply.data as Array<Record<string, unknown>>).flatMap((row) => {
    const isGuest = row['vmid'] !== undefined;
    if (isGuest) return may(caller, `/vms/${row['vmid']}`, 'VM.Audit') ? [row] : [];
    if (row['type'] !== 'node') return may(caller, '/storage', 'Datastore.Audit') ? [row] : [];
    if (may(caller, `/nodes/${row['node']}`, 'Sys.Audit')) return [row];
    const { node: name, type, id, status, level } = row;
    return [{ node: name, type, id, status, level, 'cgroup-mode': 2 }];
  });
  return { ...reply, data: seen };
}

function clusterStatus(node: SimulatedNode): readonly object[] {
  const { files, options } = node.machine;
  const name = options.nodeName;
  const own = { id: `node/${name}`, name, type: 'node', local: 1, online: 1, level: '' };
  if (files.quorate === undefined) return [{ ...own, nodeid: 0, ip: '10.0.2.15' }];
  const quorate = files.quorate ? 1 : 0;
  return [
    { id: 'cluster', name: 'lab', type: 'cluster', nodes: 2, version: 2, quorate },
    { ...own, nodeid: 1, ip: '10.0.2.15' },
    { ...own, id: `node/${name}x`, name: `${name}x`, nodeid: 2, local: 0, online: quorate },
  ];
}

async function putConfig(
  node: SimulatedNode,
  id: string,
  { path, parameters, caller }: RestQuestion,
): Promise<RestReply> {
  const home = `/vms/${id}`;
  if (!may(caller, home, ...ANY_CONFIG)) return denied(home, ANY_CONFIG.join('|'));
  const removed = (parameters.get('delete') ?? '').split(',').filter((key) => key !== '');
  const keys = [...parameters.keys()].filter((key) => !NO_SETTINGS.includes(key));
  for (const key of [...keys, ...removed]) {
    const needed = privilegeFor(key);
    if (!privilegesOn(caller, home).includes(needed)) return denied(home, needed);
  }
  const options = [...parameters].flatMap(([key, value]) => [`--${key}`, value]);
  const isMachine = path.split('/')[3] === 'qemu';
  const words = isMachine ? ['qm', 'set', id, ...options] : ['pvesh', 'set', path, ...options];
  const answer = await node.run(words);
  return { ...(answer.exit === 0 ? ok(null) : failed(answer)), isForwarded: true };
}

/** What comes of a key while it is brought into force has a heading of its own in front of it. */
function problemsIn(lines: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  let heading = '';
  for (const line of lines) {
    const [, name, words] = /^([a-z0-9-]+): (.*)$/.exec(line) ?? [];
    if (heading !== '') {
      found[heading] += `\n${line}`;
      heading = '';
    } else if (name !== undefined && words !== undefined) {
      found[name] = words;
      if (words.startsWith('hotplug problem')) heading = name;
    }
  }
  return found;
}

/** What a command says on stderr, as the API says it. */
function failed({ stderr }: Answer): RestReply {
  const [first = '', ...others] = stderr.split('\n').filter((line) => line !== '');
  const unknown = /^Unknown option: (\S+)/.exec(first)?.[1];
  const problem = 'property is not defined in schema and the schema does not allow additional';
  const errors =
    unknown !== undefined ? { [unknown]: `${problem} properties` } : problemsIn(others);
  if (unknown !== undefined || first.startsWith('400 ')) {
    return { status: 400, words: 'Parameter verification failed.', errors };
  }
  const said = [first, ...others].filter((line) => !line.startsWith('trying to acquire'));
  return { status: 500, words: said.at(-1) ?? first };
}
