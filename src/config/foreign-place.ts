import { NODE_NAME } from '../core/node-name.ts';
import type { ForeignKeys, ForeignReport, NeededVariable, Written } from './foreign-keys.ts';
import type { Whereabouts } from './migrated.ts';
import type { Self } from './sections.ts';
import { yamlScalar } from './yaml-text.ts';

/** A host of another tool's file, as nodes: this one, or entries of `NODES`. */

/** A node of `NODES`. */
export interface Placed {
  readonly name: string;
  readonly keys: readonly Written[];
  readonly variables: readonly NeededVariable[];
}

export interface ForeignHost {
  readonly connection: 'api' | 'ssh';
  readonly host: string;
  /** Of the old file. */
  readonly line: number;
  /** What it is to be called here, if its node does not say. */
  readonly called: string;
  /** What its cluster calls it, if the old file says. */
  readonly node: string | undefined;
  /** Whether all nodes of its cluster are meant; `alone`: and the old file names no other host. */
  readonly discovers?: 'alone' | 'beside others' | undefined;
  /** How to log in, and whom to trust. */
  readonly login: readonly Written[];
  readonly variables: readonly NeededVariable[];
}

/**
 * Adds the nodes that the host stands for, and returns how each is named in a list of guests:
 * `pve1/`, or nothing where nobody knows the name of this node.
 */
export function place(
  given: ForeignHost,
  { self, nodes }: Whereabouts,
  report: ForeignReport,
  placed: Placed[],
): readonly string[] {
  if (report.known(given.host) === undefined) {
    report.refuse(given.line, 'its host', 'names a variable that is not set (--env-file sets it)');
  }
  const host = withPortApart(given, report);
  const address = (report.known(host.host) ?? '').toLowerCase();
  const port = host.login.find(({ key }) => key === 'port')?.value;
  // Behind another port of this host is another one.
  const isUsual = port === undefined || port === USUAL_PORT[host.connection];
  const isHere = isUsual && (isLoopback(address) || self?.hosts.has(address) === true);
  const isAll = host.discovers !== undefined;
  const named = host.node === undefined || (isAll && nodes.length > 0) ? nodes : [host.node];
  if (isHere && (self === undefined || host.connection === 'ssh')) return [ownScope(self)];
  const names = isHere && named.length === 0 ? [self?.name ?? '', ...(self?.cluster ?? [])] : named;
  if (names.length === 0 && !(isAll && host.connection === 'ssh')) {
    return [entry(host, host.called, undefined, self, placed)];
  }
  const first = placed.length;
  const scopes = (names.length === 0 ? [undefined] : names).map((name) => {
    const isOwn = isHere && name?.toLowerCase() === self?.name.toLowerCase();
    if (isOwn) return ownScope(self);
    const isNamed = name !== undefined && (host.node === undefined || names.length > 1);
    return entry(host, isNamed ? name : host.called, name, self, placed);
  });
  if (!isAll || !discover(placed, first, host.line)) return scopes;
  // Its guests may be on nodes without an entry. Ids of this node are others, if it is not of it.
  return host.discovers === 'alone' && (self === undefined || isHere) ? [''] : scopes;
}

/** Returns whether there is an entry below which it can be written. */
function discover(placed: Placed[], index: number, line: number): boolean {
  const one = placed[index];
  if (one === undefined) return false;
  placed[index] = { ...one, keys: [...one.keys, { key: 'discover', value: 'True', line }] };
  return true;
}

/** `pve.example:8007` and `[::1]:8007` are a host and a port. */
function withPortApart(given: ForeignHost, report: ForeignReport): ForeignHost {
  const parts = /^(?:\[([^\]]+)\]|([^:/\s@${}]+)):([0-9]{1,5})$/.exec(given.host.trim());
  const [, ofSix, name = ofSix, port] = parts ?? [];
  if (name === undefined || port === undefined) return given;
  const beside = given.login.find(({ key }) => key === 'port');
  if (beside !== undefined && beside.value !== port) {
    const what = `names port ${port}, and beside it stands ${beside.value}`;
    report.refuse(given.line, 'its host', what);
  }
  const ports = beside === undefined ? [{ key: 'port', value: port, line: given.line }] : [];
  return { ...given, host: name, login: [...ports, ...given.login] };
}

const USUAL_PORT = { api: '8006', ssh: '22' } as const;

const ownScope = (self: Self | undefined): string => (self === undefined ? '' : `${self.name}/`);

const isLoopback = (host: string): boolean => /^(?:localhost|127(?:\.\d+){3}|::1)$/.test(host);

/** What is no name of a node becomes one. */
const asName = (text: string): string => {
  const name = text
    .replace(/[^A-Za-z0-9-]/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60);
  return NODE_NAME.test(name) ? name : 'proxmox';
};

function entry(
  host: ForeignHost,
  wanted: string,
  node: string | undefined,
  self: Self | undefined,
  placed: Placed[],
): string {
  const taken = new Set([...placed.map(({ name }) => name), self?.name ?? ''].map(inSmall));
  const base = asName(wanted);
  let name = base;
  for (let count = 2; taken.has(inSmall(name)); count++) name = `${base}-${count}`;
  const { line, connection } = host;
  const isCalledSo = node === name || (node === undefined && connection === 'ssh');
  placed.push({
    name,
    variables: host.variables,
    keys: [
      ...(connection === 'ssh' ? [{ key: 'connection', value: 'ssh', line }] : []),
      { key: 'host', value: yamlScalar(host.host), line },
      ...(isCalledSo ? [] : [{ key: 'node', value: yamlScalar(node ?? '*'), line }]),
      ...host.login,
    ],
  });
  return `${name}/`;
}

const inSmall = (text: string): string => text.toLowerCase();

export const NO_PASSWORD =
  'a login by password is not possible by SSH; make a key for it, see docs/nodes.md';

/** Only a reference to a variable, and nothing else. */
export const REFERENCE = /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/;

/** A secret as a reference: to the variable that the old file names, or to one to be set. */
export function secret(
  keys: ForeignKeys,
  key: string,
  to: string,
  variable: string,
  variables: NeededVariable[],
): Written[] {
  const found = keys.text(key);
  if (found === undefined || found.text === '') return [];
  const { line, text } = found;
  const isReference = REFERENCE.test(text);
  if (!isReference) variables.push({ name: variable, line });
  const value = isReference ? text : `$\{${variable}}`;
  const how = isReference
    ? `now ${to}, from the same variable`
    : `now ${to}; the secret is not copied: set ${variable} in /etc/lxc_autoscale/environment`;
  keys.say(found, 'converted', how);
  return [{ key: to, value: yamlScalar(value), line }];
}

/** A text that is written as it is. */
export function plain(keys: ForeignKeys, key: string, to: string): Written[] {
  const found = keys.text(key);
  if (found === undefined || found.text === '') return [];
  keys.say(found, key === to ? 'taken' : 'converted', key === to ? '' : `now ${to}`);
  return [{ key: to, value: yamlScalar(found.text), line: found.line }];
}

/** Whether certificates are checked is on in those tools too, unless it is said otherwise. */
export function trust(keys: ForeignKeys, verifies: string, authority?: string): Written[] {
  const line = keys.line;
  const isChecked = keys.flag(verifies, true, ['which is usual here', 'now verify_tls: False']);
  if (!isChecked) {
    if (authority !== undefined) keys.drop(authority, 'certificates are not checked');
    return [{ key: 'verify_tls', value: 'False', line }];
  }
  return authority === undefined ? [] : plain(keys, authority, 'ca_file');
}
