import { parseVmid } from '../core/units.ts';
import { type DefaultKey, type Draft, draftOf, logLevel, to } from './foreign-draft.ts';
import type { ForeignKeys, NeededVariable, Written } from './foreign-keys.ts';
import { type ForeignHost, place, secret, trust } from './foreign-place.ts';
import { KEYS } from './keys.ts';
import type { Whereabouts } from './migrated.ts';
import { yamlScalar } from './yaml-text.ts';

/**
 * `lxc-autoscaler`, which works by the API in a container of Docker: `proxmox:`, `containers:`,
 * `global:` and `safety:`. Source: its README.
 */

const THRESHOLDS = {
  cpu_scale_up: to('cpu_upper_threshold'),
  cpu_scale_down: to('cpu_lower_threshold'),
  memory_scale_up: to('memory_upper_threshold'),
  memory_scale_down: to('memory_lower_threshold'),
};

const LIMITS = {
  min_cpu_cores: to('min_cores'),
  max_cpu_cores: to('max_cores'),
  min_memory_mb: to('min_memory'),
  max_memory_mb: to('max_memory'),
  cpu_step: to('core_min_increment', 'core_max_increment'),
  memory_step_mb: to('memory_min_increment', 'min_decrease_chunk'),
};

const PACE = {
  cooldown_seconds: to('cooldown_seconds'),
  evaluation_periods: to('evaluation_periods'),
};

const SAFETY = {
  max_concurrent_operations: to('max_concurrent_operations'),
  max_cpu_usage_threshold: to('max_cpu_usage_threshold'),
  max_memory_usage_threshold: to('max_memory_usage_threshold'),
  emergency_scale_down_threshold: to('host_emergency_percent'),
};

/** What that tool takes where a file leaves the key out. */
const USUAL: readonly (readonly [DefaultKey, string])[] = [
  ['poll_interval', '60'],
  ['max_concurrent_operations', '3'],
  ['max_cpu_usage_threshold', '95'],
  ['max_memory_usage_threshold', '95'],
  ['host_emergency_percent', '98'],
  ['cpu_upper_threshold', '80'],
  ['cpu_lower_threshold', '30'],
  ['memory_upper_threshold', '85'],
  ['memory_lower_threshold', '40'],
  ['min_cores', '1'],
  ['max_cores', '8'],
  ['min_memory', '512'],
  ['max_memory', '8192'],
  ['core_min_increment', '1'],
  ['core_max_increment', '1'],
  ['memory_min_increment', '256'],
  ['min_decrease_chunk', '256'],
  ['cooldown_seconds', '300'],
  ['evaluation_periods', '3'],
];

export function fromLxcAutoscaler(file: ForeignKeys, where: Whereabouts): Draft {
  const own = [...ofGlobal(file.section('global')), ...ofSafety(file.section('safety'))];
  const draft = draftOf('lxc-autoscaler', own, USUAL);
  const proxmox = file.section('proxmox');
  if (proxmox === undefined) file.refuse(file.line, 'proxmox', 'is missing: no host is named');
  const host = proxmox && hostOf(proxmox);
  const scopes = host === undefined ? [] : place(host, where, file.report, draft.nodes);
  ofContainers(file, scopes, draft);
  file.end();
  return draft;
}

function hostOf(keys: ForeignKeys): ForeignHost | undefined {
  const variables: NeededVariable[] = [];
  const host = keys.text('host');
  if (host === undefined || host.text === '') {
    keys.refuse(keys.line, 'host', 'is missing: no host is named');
    return undefined;
  }
  keys.say(host, 'converted', 'now host of a node in NODES');
  const port = keys.value('port', [['port', KEYS.node.port]]);
  const user = keys.text('user');
  const token = keys.text('token_name');
  const name = [user?.text ?? 'root@pam', token?.text ?? ''].join('!');
  const id = token === undefined || token.text.includes('!') ? (token?.text ?? '') : name;
  const value = secret(keys, 'token_value', 'token_secret', 'PVE_TOKEN_SECRET', variables);
  const isToken = token !== undefined && token.text !== '' && value.length > 0;
  if (isToken) keys.drop('password', 'the token counts, as it does in that tool');
  const password = secret(keys, 'password', 'password', 'PVE_PASSWORD', variables);
  const tls = trust(keys, 'verify_ssl');
  keys.drop('timeout', 'requests have a time limit of their own');
  if (user !== undefined) keys.say(user, 'converted', token ? 'now in token_id' : 'now user');
  if (token !== undefined) keys.say(token, 'converted', 'now in token_id');
  if (!isToken && (user === undefined || password.length === 0)) {
    const whole = 'user with token_name and token_value, or user with password';
    keys.refuse(keys.line, 'user', `is no whole login; needed: ${whole}`);
  }
  keys.end();
  const { line, text } = host;
  const login: Written[] = isToken
    ? [{ key: 'token_id', value: yamlScalar(id), line: token.line }, ...value]
    : [{ key: 'user', value: yamlScalar(user?.text ?? ''), line }, ...password];
  return {
    connection: 'api',
    host: text,
    line,
    called: 'proxmox',
    node: undefined,
    login: [...port, ...login, ...tls],
    variables,
  };
}

function ofGlobal(keys: ForeignKeys | undefined): Written[] {
  if (keys === undefined) return [];
  const written = keys.value('monitoring_interval', to('poll_interval'));
  written.push(...logLevel(keys, 'log_level'));
  const isDry = keys.flag('enable_dry_run', false, DRY);
  keys.end();
  if (isDry) written.push({ key: 'scaling_mode', value: 'observe', line: keys.line });
  return written;
}

const DRY = ['now scaling_mode: observe', 'changes are made, as is usual here'] as const;

function ofSafety(keys: ForeignKeys | undefined): Written[] {
  if (keys === undefined) return [];
  const written = keys.values(SAFETY);
  keys.flag('enable_host_protection', true, ['which is always so here', ON]);
  keys.end();
  return written;
}

const ON = 'not taken: the host is always protected here';

function ofContainers(file: ForeignKeys, scopes: readonly string[], draft: Draft): void {
  const seen = new Set<string>();
  for (const keys of file.sections('containers')) {
    const id = keys.text('vmid');
    const isOn = keys.flag('enabled', true, ['it is listed', 'it is not listed']);
    const written = ownKeys(keys);
    keys.end();
    const vmid = id?.text ?? '';
    if (id === undefined || parseVmid(vmid) === undefined || seen.has(vmid)) {
      const why = seen.has(vmid) ? `names ${vmid} a second time` : 'is no id of a container';
      keys.refuse(keys.line, 'vmid', why);
      continue;
    }
    seen.add(vmid);
    const why = isOn ? `now TIER_${vmid}` : 'it is not enabled, so no tier lists it';
    keys.say(id, isOn ? 'converted' : 'dropped', why);
    if (!isOn) continue;
    const list = scopes.map((scope) => `${scope}${vmid}`);
    const members: Written = { key: 'lxc_containers', value: list, line: id.line };
    draft.tiers.push({ name: `TIER_${vmid}`, keys: [members, ...written] });
  }
  if (draft.tiers.length > 0) return;
  file.refuse(file.line, 'containers', 'lists no container that is enabled');
}

function ownKeys(keys: ForeignKeys): Written[] {
  const written = keys.values(PACE);
  for (const [name, known] of Object.entries({ thresholds: THRESHOLDS, limits: LIMITS })) {
    const inner = keys.section(name);
    if (inner === undefined) continue;
    written.push(...inner.values(known));
    inner.end();
  }
  return written;
}
