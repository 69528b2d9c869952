import type { NodeValues } from './keys.ts';
import type { NodeConfig } from './model.ts';
import { printableKey } from './printable.ts';
import { entriesOf, type Reader, readSection, report, type Section } from './sections.ts';
import type { YamlEntry } from './yaml.ts';

/** The section `NODES`: further nodes that are looked after, each with how it is reached. */

/** As Proxmox VE takes it for a node. */
const NODE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const PORT = 8006;

/** The sections of the nodes, their own relations checked. */
export function readNodes(entry: YamlEntry, reader: Reader): readonly Section<NodeValues>[] {
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
  return sections;
}

type Key = keyof NodeValues & string;

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

/** undefined for the node of this program itself, and for one that has been reported. */
export function nodeConfig({ name, values }: Section<NodeValues>): NodeConfig | undefined {
  const { host, port = PORT, node = '', token_id, token_secret, user, password } = values;
  if (values.connection === 'local' || host === undefined) return undefined;
  const credentials =
    token_id !== undefined && token_secret !== undefined
      ? ({ kind: 'token', id: token_id, secret: token_secret } as const)
      : ({ kind: 'password', user: user ?? '', password: password ?? '' } as const);
  return { name, node: node === '' ? name : node, host, port, credentials, trust: trustOf(values) };
}

function trustOf({ ca_file, fingerprint, verify_tls }: Partial<NodeValues>): NodeConfig['trust'] {
  if (ca_file !== undefined) return { kind: 'file', path: ca_file };
  if (fingerprint !== undefined) return { kind: 'fingerprint', sha256: fingerprint.toUpperCase() };
  return { kind: verify_tls === false ? 'none' : 'usual' };
}
