import { parseVmid } from '../core/units.ts';
import { type DefaultKey, type Draft, draftOf, logLevel, to } from './foreign-draft.ts';
import type { ForeignKeys, NeededVariable, Written } from './foreign-keys.ts';
import { type ForeignHost, NO_PASSWORD, place, plain, secret, trust } from './foreign-place.ts';
import { KEYS } from './keys.ts';
import type { Whereabouts } from './migrated.ts';
import { yamlScalar } from './yaml-text.ts';

/**
 * Proxmox VM Autoscale, by SSH or by the API: `proxmox_hosts:`, `virtual_machines:` and others,
 * with secrets in a `.env`. Source: its configuration files and the models that check them.
 */

/** What that program does where its file leaves it out. It goes one core at a time. */
const USUAL: readonly (readonly [DefaultKey, string])[] = [
  ['poll_interval', '300'],
  ['cooldown_seconds', '300'],
  ['max_cpu_usage_threshold', '90'],
  ['max_memory_usage_threshold', '90'],
  ['core_min_increment', '1'],
  ['core_max_increment', '1'],
  ['evaluation_periods', '1'],
];

export function fromVmAutoscale(file: ForeignKeys, where: Whereabouts): Draft {
  const variables: NeededVariable[] = [];
  const own = [
    ...ofThresholds(file),
    ...allOf(needed(file, 'scaling_limits'), LIMITS),
    ...file.value('check_interval', to('poll_interval')),
    ...file.value('scale_cooldown', to('cooldown_seconds')),
    ...allOf(file.section('host_limits'), HOST),
    ...ofLogging(file.section('logging')),
    ...ofAlerts(file.section('alerts'), variables),
    ...ofGotify(file.section('gotify'), variables),
  ];
  const draft = draftOf('Proxmox VM Autoscale', own, USUAL, variables);
  ofMachines(file, where, draft);
  file.end();
  return draft;
}

/** That program does not run without them. */
function needed(file: ForeignKeys, key: string): ForeignKeys | undefined {
  const found = file.section(key);
  if (found === undefined) file.refuse(file.line, key, 'is missing');
  return found;
}

function ofThresholds(file: ForeignKeys): Written[] {
  const all = needed(file, 'scaling_thresholds');
  if (all === undefined) return [];
  const written: Written[] = [];
  for (const [name, resource] of [
    ['cpu', 'cpu'],
    ['ram', 'memory'],
  ] as const) {
    const keys = needed(all, name);
    written.push(...(keys?.value('high', to(`${resource}_upper_threshold`)) ?? []));
    written.push(...(keys?.value('low', to(`${resource}_lower_threshold`)) ?? []));
    keys?.end();
  }
  all.end();
  return written;
}

const LIMITS = {
  min_cores: to('min_cores'),
  max_cores: to('max_cores'),
  min_ram_mb: to('min_memory'),
  max_ram_mb: to('max_memory'),
};

const HOST = {
  max_host_cpu_percent: to('max_cpu_usage_threshold'),
  max_host_ram_percent: to('max_memory_usage_threshold'),
};

function allOf(
  keys: ForeignKeys | undefined,
  known: Parameters<ForeignKeys['values']>[0],
): Written[] {
  const written = keys?.values(known) ?? [];
  keys?.end();
  return written;
}

function ofLogging(keys: ForeignKeys | undefined): Written[] {
  if (keys === undefined) return [];
  const written = [...logLevel(keys, 'level'), ...keys.value('log_file', to('log_file'))];
  keys.end();
  return written;
}

const ON_OFF = ['', 'so nothing of this section is taken'] as const;

function allOff(keys: ForeignKeys): Written[] {
  for (const key of keys.left()) keys.drop(key, 'its section is switched off');
  return [];
}

function ofAlerts(keys: ForeignKeys | undefined, variables: NeededVariable[]): Written[] {
  if (keys === undefined) return [];
  if (!keys.flag('email_enabled', false, ON_OFF)) return allOff(keys);
  const recipient = keys.peek('email_recipient');
  const user = keys.peek('smtp_user');
  const from = [user, recipient].flatMap((node) => (node?.kind === 'text' ? [node] : []));
  const sender = from.find(({ text }) => /^[^\s@]+@[^\s@]+$/.test(text.trim()));
  const written = [
    ...keys.value('email_recipient', to('smtp_to')),
    ...keys.value('smtp_server', to('smtp_server')),
    ...keys.value('smtp_port', to('smtp_port')),
    ...keys.value('smtp_user', to('smtp_username')),
    ...secret(keys, 'smtp_password', 'smtp_password', 'SMTP_PASSWORD', variables),
  ];
  keys.end();
  const mail = yamlScalar(sender?.text.trim() ?? '');
  const added = 'the sender, as that tool has it';
  return [...written, { key: 'smtp_from', value: mail, line: undefined, added }];
}

function ofGotify(keys: ForeignKeys | undefined, variables: NeededVariable[]): Written[] {
  if (keys === undefined) return [];
  if (!keys.flag('enabled', false, ON_OFF)) return allOff(keys);
  const url = keys.peek('server_url');
  if (url?.kind === 'text' && /@|[?#]./.test(url.text)) {
    keys.refuse(url.line, 'server_url', 'has a login or a token in it, which is not copied');
  }
  const written = [
    ...keys.value('server_url', to('gotify_url')),
    ...secret(keys, 'app_token', 'gotify_token', 'GOTIFY_TOKEN', variables),
    ...keys.value('priority', to('gotify_priority')),
  ];
  keys.end();
  return written;
}

/** Said of each, so that nobody waits for its memory to shrink. */
const MEMORY_STAYS =
  'by the API its memory never shrinks and hardly grows; by SSH, or on its node, it does both';

interface Machine {
  readonly vmid: string;
  readonly line: number;
  readonly host: string;
  readonly scaled: 'all' | 'cpu' | 'memory';
}

const SCALED = {
  all: 'TIER_vms',
  cpu: 'TIER_vms_cpu',
  memory: 'TIER_vms_memory',
} as const;

function ofMachines(file: ForeignKeys, where: Whereabouts, draft: Draft): void {
  const hosts = file.sections('proxmox_hosts');
  const machines = machinesIn(file, !hosts.some(isBySsh));
  const scopes = new Map<string, readonly string[]>();
  const owners = new Set<string>();
  for (const keys of hosts) {
    const host = hostOf(keys, owners, where, hosts.length);
    if (host === undefined) continue;
    const name = host.called;
    if (scopes.has(name)) keys.refuse(keys.line, 'name', 'stands twice');
    const isUsed = machines.some((one) => one.host === name);
    scopes.set(name, isUsed ? place(host, where, file.report, draft.nodes) : []);
  }
  for (const { vmid, line, host } of machines) {
    if (scopes.has(host)) continue;
    file.report.refuse(line, `virtual_machines: ${vmid}`, `names no host of proxmox_hosts`);
  }
  for (const [scaled, name] of Object.entries(SCALED)) {
    const own = machines.filter((one) => one.scaled === scaled);
    const [one] = own;
    if (one === undefined) continue;
    const list = own.flatMap(({ vmid, host }) =>
      (scopes.get(host) ?? []).map((scope) => `${scope}${vmid}`),
    );
    const members: Written = { key: 'virtual_machines', value: list, line: one.line };
    const only: Written = { key: 'scale', value: scaled, line: one.line };
    draft.tiers.push({ name, keys: scaled === 'all' ? [members] : [members, only] });
    for (const { vmid, line, host } of own) {
      const isByApi = draft.nodes
        .filter(({ keys: all }) => !all.some((entry) => entry.key === 'connection'))
        .some(({ name }) => scopes.get(host)?.some((own) => ['', `${name}/`].includes(own)));
      const key = `virtual_machines: ${vmid}`;
      if (isByApi) file.report.say(line, key, 'not supported', MEMORY_STAYS);
    }
  }
  if (machines.length > 0) return;
  file.refuse(file.line, 'virtual_machines', 'lists no virtual machine that is scaled');
}

const isBySsh = (keys: ForeignKeys): boolean =>
  ['ssh_user', 'ssh_key', 'ssh_password', 'ssh_port'].some((key) => keys.has(key));

/**
 * Those that are scaled.
 *
 * @param usual what a flag that is left out means: the program that works by SSH takes it as off
 */
function machinesIn(file: ForeignKeys, usual: boolean): readonly Machine[] {
  const machines: Machine[] = [];
  for (const keys of file.sections('virtual_machines')) {
    const id = keys.text('vm_id');
    const host = keys.text('proxmox_host');
    const isOn = keys.flag('scaling_enabled', usual, ['it is listed', 'it is not listed']);
    const cpu = keys.flag('cpu_scaling', usual, ['', 'so scale: memory']);
    const memory = keys.flag('ram_scaling', usual, ['', 'so scale: cpu']);
    keys.end();
    const vmid = id?.text ?? '';
    const isTwice = machines.some((one) => one.vmid === vmid && one.host === host?.text);
    if (id === undefined || parseVmid(vmid) === undefined || isTwice) {
      const why = isTwice ? `names ${vmid} a second time` : 'is no id of a virtual machine';
      keys.refuse(keys.line, 'vm_id', why);
      continue;
    }
    if (host === undefined) {
      keys.refuse(keys.line, 'proxmox_host', 'is missing');
      continue;
    }
    const scaled = cpu && memory ? 'all' : cpu ? 'cpu' : 'memory';
    const isScaled = isOn && (cpu || memory);
    const why = isScaled ? `now in ${SCALED[scaled]}` : 'it is not scaled, so no tier lists it';
    keys.say(id, isScaled ? 'converted' : 'dropped', why);
    keys.say(host, isScaled ? 'converted' : 'dropped', isScaled ? 'now before its id' : why);
    if (isScaled) machines.push({ vmid, line: id.line, host: host.text, scaled });
  }
  return machines;
}

const ONLY_NAMED = '; for guests of a node that it finds, add NODE/ID to their list';

/** @param owners what the names of other hosts' variables begin with */
function hostOf(
  keys: ForeignKeys,
  owners: Set<string>,
  { nodes, self }: Whereabouts,
  hosts: number,
): ForeignHost | undefined {
  const name = keys.text('name');
  const address = keys.text('host');
  const node = keys.text('node_name');
  const isSsh = isBySsh(keys);
  const isDiscovered = keys.flag('auto_discover_nodes', false, [
    isSsh || node !== undefined || nodes.length > 0
      ? `now discover: True${hosts === 1 && self === undefined ? '' : ONLY_NAMED}`
      : 'name a node of it by --node, so that discover: True finds the others',
    'which is usual here',
  ]);
  const variables: NeededVariable[] = [];
  const login = isSsh
    ? sshLogin(keys)
    : apiLogin(keys, ownerOf(name?.text ?? '', owners), variables);
  for (const key of ['timeout', 'max_retries'])
    keys.drop(key, 'this program has limits of its own');
  keys.end();
  if (name === undefined || address === undefined) {
    keys.refuse(keys.line, name === undefined ? 'name' : 'host', 'is missing');
    return undefined;
  }
  keys.say(name, 'converted', 'now a node in NODES, if it is not this node');
  keys.say(address, 'converted', 'now host of that node');
  if (node !== undefined) keys.say(node, 'converted', 'now node of that node');
  return {
    connection: isSsh ? 'ssh' : 'api',
    host: address.text,
    line: address.line,
    called: name.text,
    node: node?.text,
    discovers: isDiscovered ? (hosts === 1 ? 'alone' : 'beside others') : undefined,
    login,
    variables,
  };
}

function sshLogin(keys: ForeignKeys): Written[] {
  keys.drop('ssh_password', NO_PASSWORD, 'not supported');
  return [
    ...keys.value('ssh_port', [['port', KEYS.node.port]]),
    ...plain(keys, 'ssh_user', 'user'),
    ...plain(keys, 'ssh_key', 'identity_file'),
  ];
}

/** What the names of its variables begin with: `pve-1` and `pve_1` have one each. */
function ownerOf(host: string, owners: Set<string>): string {
  const usual = `PVE_${host.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
  let own = usual;
  for (let count = 2; owners.has(own); count++) own = `${usual}_${count}`;
  owners.add(own);
  return own;
}

/** A token counts before a password there too. */
function apiLogin(keys: ForeignKeys, own: string, variables: NeededVariable[]): Written[] {
  const port = keys.value('api_port', [['port', KEYS.node.port]]);
  const ofToken: NeededVariable[] = [];
  const ofUser: NeededVariable[] = [];
  const token = [
    ...plain(keys, 'api_token_id', 'token_id'),
    ...secret(keys, 'api_token_secret', 'token_secret', `${own}_TOKEN_SECRET`, ofToken),
  ];
  const user = [
    ...plain(keys, 'api_username', 'user'),
    ...secret(keys, 'api_password', 'password', `${own}_PASSWORD`, ofUser),
  ];
  const isToken = token.length === 2;
  if (!isToken && user.length !== 2) {
    const whole = 'api_token_id and api_token_secret, or api_username and api_password';
    keys.refuse(keys.line, 'api_token_id', `is no whole login; needed: ${whole}`);
  }
  variables.push(...(isToken ? ofToken : ofUser));
  return [...port, ...(isToken ? token : user), ...trust(keys, 'verify_ssl', 'ca_cert_path')];
}
