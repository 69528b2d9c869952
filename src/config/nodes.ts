import type { NodeValues } from './keys.ts';
import type { ApiNodeConfig, NodeConfig } from './model.ts';
import { NODE_NAME } from './node-scope.ts';
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
    const section = readSection<NodeValues>(reader.keys.node, one, reader);
    checkNode(section, reader);
    sections.push(section);
  }
  checkDistinct(
    sections.filter(({ values }) => values.connection !== 'local'),
    reader,
  );
  return sections;
}

/** A node that has two loops is changed by both, and neither knows what the other has done. */
function checkDistinct(sections: readonly Section<NodeValues>[], reader: Reader): void {
  const self = sections.length === 0 ? undefined : reader.self?.();
  const seen: { readonly section: Section<NodeValues>; readonly place: Place }[] = [];
  for (const section of sections) {
    const { name, line } = section;
    const why = self && whyItself(section, self);
    if (why !== undefined) report(reader, line, name, why);
    const place = placeOf(section);
    if (place.host === undefined) continue;
    const other = seen.find((one) => isSame(one.place, place))?.section;
    if (other === undefined) seen.push({ section, place });
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
function placeOf({ name, values }: Section<NodeValues>): Place {
  const { host, node = '', jump = '' } = values;
  const called = (node === '' ? name : node).toLowerCase();
  const isSsh = values.connection === 'ssh';
  return { host: host?.toLowerCase(), port: portOf(values), node: called, isSsh, jump };
}

const portOf = ({ connection = 'api', port }: Partial<NodeValues>): number =>
  port ?? PORTS[connection];

function whyItself(section: Section<NodeValues>, self: Self): string | undefined {
  const own = self.name.toLowerCase();
  const { host, port, node } = placeOf(section);
  const isHere = host !== undefined && (self.hosts.has(host) || /^127(\.\d+){3}$/.test(host));
  const { connection = 'api' } = section.values;
  const isOwn = node === own || node === ANY_NAME || connection === 'ssh';
  if (isHere && port === PORTS[connection] && isOwn) {
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
  ],
  ssh: ['identity_file', 'known_hosts', 'jump'],
} as const;

function checkNode({ name, line, values, given }: Section<NodeValues>, reader: Reader): void {
  const say = (key: Key | undefined, message: string): void => {
    const at = key === undefined ? undefined : given.get(key);
    report(reader, at?.line ?? line, at === undefined ? name : (key ?? name), message);
  };
  const has = (key: Key): boolean => given.has(key) && values[key] !== '';
  if (values.connection === 'local') {
    const stray = [...given.keys()].find((key) => key !== 'connection');
    if (stray !== undefined) say(stray as Key, 'has no effect for the node of this program itself');
    return;
  }
  if (!has('host')) say(undefined, 'has no host; set `host:` to its name or address');
  const { connection = 'api' } = values;
  for (const key of KEYS_OF[connection === 'ssh' ? 'api' : 'ssh']) {
    const other = connection === 'ssh' ? 'the API' : 'SSH';
    if (given.has(key)) say(key, `is for nodes that are reached by ${other}; remove it`);
  }
  const isOfApi = values.user?.includes('@') ?? connection === 'api';
  if (isOfApi !== (connection === 'api')) {
    say('user', connection === 'ssh' ? 'has no realm with ssh: root' : 'needs its realm: root@pam');
  }
  if (connection === 'ssh') return;
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
  const { connection = 'api', host, token_id, token_secret, user, password } = values;
  if (connection === 'local' || host === undefined) return undefined;
  const isAny = values.node === ANY_NAME;
  const node = values.node === '' || isAny ? undefined : values.node;
  const at = { name, host, port: portOf(values) };
  if (connection === 'ssh') {
    const { identity_file: identityFile, known_hosts: knownHosts, jump } = values;
    return { ...at, connection, node, user: user ?? 'root', identityFile, knownHosts, jump };
  }
  const credentials =
    token_id !== undefined && token_secret !== undefined
      ? ({ kind: 'token', id: token_id, secret: token_secret } as const)
      : ({ kind: 'password', user: user ?? '', password: password ?? '' } as const);
  return {
    ...at,
    connection,
    node: isAny ? undefined : (node ?? name),
    credentials,
    trust: trustOf(values),
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
