import type { Refusal } from './foreign-file.ts';
import type { ForeignReport, Written } from './foreign-keys.ts';
import { type ForeignHost, REFERENCE } from './foreign-place.ts';
import { isNo } from './old-keys.ts';
import { printable } from './printable.ts';
import { isBlank } from './read-values.ts';
import type { YamlEntry } from './yaml.ts';
import { yamlScalar } from './yaml-text.ts';

/** How a file of the Python daemon reaches its node, if that is not the one that it runs on. */

export type Remote =
  /** undefined: it acts on the node that it runs on. */
  | { readonly ok: true; readonly host: ForeignHost | undefined }
  | ({ readonly ok: false } & Refusal);

interface Found {
  readonly key: string;
  readonly line: number;
  readonly text: string;
}

const HERE: Remote = { ok: true, host: undefined };

/** @param entries of the defaults that count; of a key that stands twice the last does */
export function remoteOf(entries: readonly YamlEntry[], report: ForeignReport): Remote {
  const at = (key: string): Found | undefined => {
    const found = textAt(entries, key);
    return found === undefined || isBlank(found.text) ? undefined : found;
  };
  const isOff = (key: string): boolean => isUnused(textAt(entries, key)?.text);
  const usesApi = !isOff('use_proxmox_api');
  const node = usesApi ? at('proxmox_node') : undefined;
  const old = isOff('backend') ? undefined : at('proxmox_api.host');
  const isSaid = usesApi && at('use_proxmox_api') !== undefined;
  const host = (usesApi ? at('proxmox_api_host') : undefined) ?? old;
  const api = host ?? (isSaid || node !== undefined ? at('proxmox_host') : undefined);
  if (api !== undefined && (!isLoopback(api.text) || node !== undefined)) {
    return byApi(api, node, api === old ? 'proxmox_api.' : 'proxmox_api_', at);
  }
  if (node !== undefined) {
    const here = { key: 'proxmox_api_host', line: node.line, text: 'localhost' };
    return byApi(here, node, 'proxmox_api_', at);
  }
  const said = at('use_proxmox_api');
  if (said !== undefined && api === undefined && usesApi) {
    return refuse(said.line, 'use_proxmox_api', 'names no proxmox_api_host');
  }
  const how = at('use_remote_proxmox');
  if (how === undefined || isUnused(how.text)) return HERE;
  const remote = at('proxmox_host');
  if (remote === undefined) {
    return refuse(how.line, `use_remote_proxmox: ${printable(how.text)}`, 'names no proxmox_host');
  }
  // Behind another port of this host is another one.
  const isTunnel = (at('ssh_port')?.text.trim() ?? '22') !== '22';
  return isTunnel || !isLoopback(remote.text) ? bySsh(remote, at, report) : HERE;
}

const isUnused = (value: string | undefined): boolean =>
  value !== undefined && (isNo(value) || value.trim().toLowerCase() === 'cli');

const isLoopback = (host: string): boolean =>
  /^(?:https?:\/\/)?(?:localhost|127\.[0-9.]+|\[?::1\]?)(?::8006)?\/?$/i.test(host.trim());

/** The text at a key, also at one within a section (`proxmox_api.host`); the last one counts. */
function textAt(entries: readonly YamlEntry[], key: string): Found | undefined {
  const [first = '', ...rest] = key.split('.');
  const entry = entries.filter((one) => one.key === key || one.key === first).at(-1);
  if (entry === undefined) return undefined;
  const { value, line } = entry;
  if (value.kind === 'text') {
    return entry.key === key ? { key, line, text: value.text } : undefined;
  }
  if (value.kind !== 'map' || rest.length === 0) return undefined;
  const inner = value.entries.filter((one) => one.key === rest.join('.')).at(-1);
  return inner?.value.kind === 'text'
    ? { key, line: inner.line, text: inner.value.text }
    : undefined;
}

const MEND = 'mend it and migrate again';

const refuse = (line: number, what: string, why: string): Remote => ({
  ok: false,
  line,
  message: `${what} means that this file acts on another host, and it ${why}; ${MEND}`,
});

type At = (key: string) => Found | undefined;

const written = (key: string, { text, line }: Found): Written => ({
  key,
  value: yamlScalar(text.trim()),
  line,
});

/** As a reference, so that it is not copied. */
function secretOf(key: string, { text, line }: Found, variable: string) {
  const isReference = REFERENCE.test(text.trim());
  const value = yamlScalar(isReference ? text.trim() : `$\{${variable}}`);
  return { key: { key, value, line }, variables: isReference ? [] : [{ name: variable, line }] };
}

function byApi(host: Found, node: Found | undefined, own: string, at: At): Remote {
  const [name, value, word] = ['token_name', 'token_value', 'password'].map((key) =>
    at(`${own}${key}`),
  );
  const user = at(`${own}user`) ?? { ...host, text: 'root@pam' };
  const address = host.text
    .trim()
    .replace(/^https?:\/\//i, '')
    .replace(/\/$/, '');
  const port = at(`${own}port`);
  const isChecked = !isUnused(at(`${own}verify_ssl`)?.text);
  const secret =
    name !== undefined && value !== undefined
      ? secretOf('token_secret', value, 'PVE_TOKEN_SECRET')
      : word && secretOf('password', word, 'PVE_PASSWORD');
  if (secret === undefined) {
    const needed = `${own}token_name and ${own}token_value, or ${own}password`;
    const where = node !== undefined && isLoopback(host.text) ? node : host;
    const what = /@/.test(where.text) ? where.key : `${where.key}: ${printable(where.text)}`;
    return refuse(where.line, what, `has no login for it (${needed})`);
  }
  const id = `${user.text.trim()}!${name?.text.trim()}`;
  const isToken = secret.key.key === 'token_secret';
  const login: Written = isToken
    ? { key: 'token_id', value: yamlScalar(id), line: name?.line }
    : written('user', user);
  const open: Written[] = isChecked ? [] : [{ key: 'verify_tls', value: 'False', line: host.line }];
  return {
    ok: true,
    host: {
      connection: 'api',
      host: address.replace(/^\[([^\]]*)\]$/, '$1'),
      line: host.line,
      called: node?.text.trim() ?? 'proxmox',
      node: node?.text.trim(),
      login: [...(port ? [written('port', port)] : []), login, secret.key, ...open],
      variables: secret.variables,
    },
  };
}

function bySsh(host: Found, at: At, report: ForeignReport): Remote {
  const keys = [
    ['ssh_port', 'port'],
    ['ssh_user', 'user'],
    ['ssh_key_path', 'identity_file'],
  ] as const;
  const login = keys.flatMap(([old, key]) => {
    const found = at(old);
    return found === undefined ? [] : [written(key, found)];
  });
  const address = report.known(host.text.trim()) ?? '';
  const isName = /^[A-Za-z][A-Za-z0-9-]*/.exec(address);
  return {
    ok: true,
    host: {
      connection: 'ssh',
      host: host.text.trim(),
      line: host.line,
      login,
      variables: [],
      called: isName?.[0] ?? 'proxmox',
      node: undefined,
    },
  };
}
