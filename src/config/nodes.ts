import { by, type ConnectionName } from '../core/connection.ts';
import { NODE_NAME } from '../core/node-name.ts';
import type { NodeValues } from './keys.ts';
import type { ApiNodeConfig, NodeConfig, SshNodeConfig, WayConfig } from './model.ts';
import { printableKey } from './printable.ts';
import {
  entriesOf,
  type Reader,
  readSection,
  report,
  type Section,
  type Self,
} from './sections.ts';
import type { YamlEntry } from './yaml.ts';

/** The section `NODES`: further nodes that are looked after, each with how it is reached. */

const PORTS = { api: 8006, ssh: 22, local: 0 };

/** The sections of the nodes, their own relations checked. */
export function readNodes(
  entry: YamlEntry | undefined,
  reader: Reader,
): readonly Section<NodeValues>[] {
  if (entry === undefined) return [];
  const { value } = entry;
  if (value.kind === 'null') return [];
  if (value.kind !== 'map') {
    const how = 'write a name below it, and below that the keys of that node';
    report(reader, entry.line, entry.key, `holds no nodes; ${how}`);
    return [];
  }
  const sections: Section<NodeValues>[] = [];
  for (const one of entriesOf(value, reader)) {
    if (!NODE_NAME.test(one.key)) {
      const allowed = 'letters, digits and - within, 63 characters at most';
      report(reader, one.line, printableKey(one.key), `is no name of a node; allowed: ${allowed}`);
      continue;
    }
    if (one.key === 'discover' && one.value.kind === 'text') {
      report(reader, one.line, one.key, 'is a key of a node; write it below the name of one');
      continue;
    }
    const section = readSection<NodeValues>(reader.keys.node, one, reader);
    checkNode(section, reader);
    sections.push(section);
  }
  checkDistinct(
    sections.filter(({ values }) => isFar(values)),
    reader,
  );
  return sections;
}

type Connection = NodeValues['connection'][number];

/** As they are to be tried. */
const connectionsOf = ({ connection }: Partial<NodeValues>): readonly Connection[] =>
  connection ?? ['api'];

const isBoth = (values: Partial<NodeValues>): boolean => connectionsOf(values).length > 1;

/** Whether it is another node than that of this program. */
export const isFar = (values: Partial<NodeValues>): boolean =>
  !connectionsOf(values).includes('local');

/** A node that has two loops is changed by both, and neither knows what the other has done. */
function checkDistinct(sections: readonly Section<NodeValues>[], reader: Reader): void {
  const self = sections.length === 0 ? undefined : reader.self?.();
  const seen: { readonly section: Section<NodeValues>; readonly place: Place }[] = [];
  for (const section of sections) {
    const { name, line } = section;
    const why = self && whyItself(section, self);
    if (why !== undefined) report(reader, line, name, why);
    const places = placesOf(section).filter(({ host }) => host !== undefined);
    const other = seen.find((one) => places.some((place) => isSame(one.place, place)))?.section;
    if (other === undefined) seen.push(...places.map((place) => ({ section, place })));
    else {
      const same = `is the same node as ${other.name} (line ${other.line})`;
      report(reader, line, name, `${same}; remove one of the two`);
    }
  }
}

/** As `node` of one that is the only one there, whatever it is called. */
const ANY_NAME = '*';

interface Place {
  readonly host: string | undefined;
  readonly port: number;
  readonly node: string;
  readonly isSsh: boolean;
  readonly jump: string;
}

/**
 * By SSH a host is one node, whatever it is called here; through a host in between it may be
 * another one.
 */
const isSame = (one: Place, other: Place): boolean =>
  one.host === other.host &&
  one.port === other.port &&
  one.isSsh === other.isSsh &&
  (one.isSsh
    ? one.jump === other.jump
    : one.node === other.node || [one.node, other.node].includes(ANY_NAME));

/** Where it is reached, for comparison: names of hosts and nodes have no case. */
function placesOf({ name, values }: Section<NodeValues>): readonly Place[] {
  const { host, node = '', jump = '' } = values;
  const called = (node === '' ? name : node).toLowerCase();
  return connectionsOf(values).map((connection) => ({
    host: host?.toLowerCase(),
    port: portOf(values, connection),
    node: called,
    isSsh: connection === 'ssh',
    jump,
  }));
}

const portOf = (values: Partial<NodeValues>, connection: Connection): number =>
  (isBoth(values) && connection === 'ssh' ? values.ssh_port : values.port) ?? PORTS[connection];

function whyItself(section: Section<NodeValues>, self: Self): string | undefined {
  const own = self.name.toLowerCase();
  const isSelf = placesOf(section).some(({ host, port, node, isSsh }) => {
    const isHere = host !== undefined && (self.hosts.has(host) || /^127(\.\d+){3}$/.test(host));
    const isOwn = node === own || node === ANY_NAME || (isSsh && !isBoth(section.values));
    return isHere && port === PORTS[isSsh ? 'ssh' : 'api'] && isOwn;
  });
  if (isSelf) {
    return 'is this node itself, which is looked after without an entry; remove it';
  }
  if (section.name.toLowerCase() !== own) return undefined;
  const remedy = `call that node otherwise, with \`node: ${self.name}\` below it, or remove it`;
  return `is the name of this node itself, which needs no entry; ${remedy}`;
}

type Key = keyof NodeValues & string;

const KEYS_OF = {
  api: [
    'token_id',
    'token_secret',
    'password',
    'ca_file',
    'fingerprint',
    'verify_tls',
    'memory_shrink',
    'lease_dir',
  ],
  ssh: ['identity_file', 'known_hosts', 'jump', 'ssh_port'],
} as const;

function checkNode(section: Section<NodeValues>, reader: Reader): void {
  const { name, line, values, given } = section;
  const say: Say = (key, message) => {
    const at = key === undefined ? undefined : given.get(key);
    report(reader, at?.line ?? line, at === undefined ? name : (key ?? name), message);
  };
  const connections = connectionsOf(values);
  if (connections.includes('local')) {
    if (isBoth(values)) {
      say('connection', 'local goes with no other connection; keep one of them');
      return;
    }
    if (given.has('discover')) {
      say('discover', 'belongs below another node of the cluster, which says how to reach them');
      return;
    }
    const stray = [...given.keys()].find((key) => key !== 'connection');
    if (stray !== undefined) say(stray as Key, 'has no effect for the node of this program itself');
    return;
  }
  if (given.get('host') === undefined || values.host === '') {
    say(undefined, 'has no host; set `host:` to its name or address');
  }
  for (const [connection, keys] of Object.entries(KEYS_OF)) {
    if (connections.some((one) => one === connection)) continue;
    const stray = keys.filter((key) => given.has(key));
    const how = by(connection as ConnectionName);
    for (const key of stray) say(key, `is for nodes that are reached ${how}; remove it`);
  }
  if (given.has('lease_dir') && isBoth(values)) {
    say('lease_dir', 'is for the API alone; by SSH the lease is on the node, so remove it');
  }
  if (values.discover === true && isBoth(values)) {
    say('discover', 'goes with one connection; keep api or ssh');
  }
  if (values.discover === true && values.node === ANY_NAME) {
    say('discover', 'needs the name of this node; write it as `node`');
  }
  if (isBoth(values)) {
    if (values.node === ANY_NAME)
      say('node', 'is *, and by SSH one node is reached; write its name');
  } else {
    const isSsh = connections[0] === 'ssh';
    if (isSsh && given.has('ssh_port'))
      say('ssh_port', 'is for two connections; write it as `port`');
    if ((values.user?.includes('@') ?? !isSsh) === isSsh) {
      say('user', isSsh ? 'has no realm with ssh: root' : 'needs its realm: root@pam');
    }
  }
  if (connections.includes('api')) checkApi(section, say);
}

type Say = (key: Key | undefined, message: string) => void;

/** Who we are to the API, and whom we trust. */
function checkApi({ values, given }: Section<NodeValues>, say: Say): void {
  // Beside SSH a user without a realm is that of SSH.
  const isOfSsh = isBoth(values) && values.user?.includes('@') === false;
  const has = (key: Key): boolean =>
    given.has(key) && values[key] !== '' && !(key === 'user' && isOfSsh);
  const pairs = [
    ['token_id', 'token_secret'],
    ['user', 'password'],
  ] as const;
  for (const [one, other] of pairs) {
    if (has(one) && !has(other)) say(one, `needs ${other} beside it`);
    if (has(other) && !has(one)) say(other, `needs ${one} beside it`);
  }
  const isToken = has('token_id') || has('token_secret');
  const isUser = has('user') || has('password');
  if (isToken && isUser) say('user', 'is not used beside a token; remove one of the two');
  if (!isToken && !isUser) {
    say(undefined, 'has no login; set token_id and token_secret (see lxc-autoscale setup-token)');
  }
  const trusts = [
    ...(['ca_file', 'fingerprint'] as const).filter(has),
    ...(values.verify_tls === false ? ['verify_tls' as const] : []),
  ];
  const [first, second] = trusts;
  if (second !== undefined) say(second, `does not go with ${first}; keep one of the two`);
}

/** What is worth a remark. */
export const remarkOnNode = ({ values }: Section<NodeValues>): string | undefined =>
  values.verify_tls === false
    ? 'whoever is between this host and that node can read the login and change everything; ' +
      'give ca_file or fingerprint instead'
    : undefined;

/**
 * The nodes, each with what its cluster calls it as a further name if that means no other node: not
 * this one, and not another entry.
 *
 * @param self what this node is called; undefined: it is not known
 */
export function withAliases(
  nodes: readonly NodeConfig[],
  self: string | undefined,
): readonly NodeConfig[] {
  const own = (text: string | undefined): string => text?.toLowerCase() ?? '';
  return nodes.map((node) => {
    const alias = own(node.node);
    const others = nodes.filter((other) => other !== node);
    const isOthers = others.some((other) => [own(other.name), own(other.node)].includes(alias));
    const isPlain = alias === '' || alias === own(node.name) || alias === own(self);
    return isPlain || isOthers ? node : { ...node, alias };
  });
}

/** undefined for the node of this program itself, and for one that has been reported. */
export function nodeConfig({ name, values }: Section<NodeValues>): NodeConfig | undefined {
  const { host } = values;
  if (!isFar(values) || host === undefined) return undefined;
  const [first, instead] = connectionsOf(values).map((connection): WayConfig => {
    const at = { name, host, port: portOf(values, connection) };
    return connection === 'ssh'
      ? { ...at, ...sshWay(name, values) }
      : { ...at, ...apiWay(name, values) };
  });
  return (
    first && {
      ...first,
      ...(instead && { instead }),
      ...(values.discover === true && { discovers: true }),
    }
  );
}

type Way<W> = Omit<W, 'name' | 'host' | 'port'>;

function sshWay(name: string, values: Partial<NodeValues>): Way<SshNodeConfig> {
  const { user, identity_file: identityFile, known_hosts: knownHosts, jump } = values;
  const node = values.node === '' ? undefined : values.node;
  return {
    connection: 'ssh',
    // With two connections it must be the node that the API calls so.
    node: isBoth(values) ? (node ?? name) : node === ANY_NAME ? undefined : node,
    user: user === undefined || user.includes('@') ? 'root' : user,
    identityFile,
    knownHosts,
    jump,
  };
}

function apiWay(name: string, values: Partial<NodeValues>): Way<ApiNodeConfig> {
  const { node = '', token_id, token_secret, user, password } = values;
  const credentials =
    token_id !== undefined && token_secret !== undefined
      ? ({ kind: 'token', id: token_id, secret: token_secret } as const)
      : ({ kind: 'password', user: user ?? '', password: password ?? '' } as const);
  return {
    connection: 'api',
    node: node === ANY_NAME ? undefined : node === '' ? name : node,
    credentials,
    trust: trustOf(values),
    ...(values.lease_dir !== undefined && { leaseDir: values.lease_dir }),
    ...(values.memory_shrink !== undefined && { unproven: values.memory_shrink === 'unproven' }),
  };
}

function trustOf({
  ca_file,
  fingerprint,
  verify_tls,
}: Partial<NodeValues>): ApiNodeConfig['trust'] {
  if (ca_file !== undefined) return { kind: 'file', path: ca_file };
  if (fingerprint !== undefined) return { kind: 'fingerprint', sha256: fingerprint.toUpperCase() };
  return { kind: verify_tls === false ? 'none' : 'usual' };
}
