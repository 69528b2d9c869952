import { describe, expect, it } from 'vitest';
import { KEYS as ALL_KEYS } from '../../src/config/keys.ts';
import { parseConfig } from '../../src/config/load.ts';
import { migrate } from '../../src/config/migrate.ts';
import type { Migrated } from '../../src/config/migrated.ts';
import { NEW_NAMES } from '../../src/config/old-keys.ts';
import { renderProblem } from '../../src/config/problem.ts';
import type { Environment } from '../../src/config/variables.ts';
import { fc } from '../fast-check.ts';

type Done = Migrated & { readonly ok: true };

/** Migrates, and holds what must hold of every result. */
function done(text: string, env: Environment = {}): Done {
  const result = migrate(text, 'old.conf', env);
  if (!result.ok) throw new Error(`${result.line}: ${result.message}`);
  const loaded = parseConfig(result.text, 'new.yaml', env);
  if (!loaded.ok) {
    throw new Error(`${loaded.problems.map(renderProblem).join('\n')}\n${result.text}`);
  }
  return result;
}

/** What became of each key: `TIER_1.nodes: renamed`. */
const verdicts = ({ lines }: Done) => lines.map(({ key, verdict }) => `${key}: ${verdict}`);

const why = (result: Done, key: string) =>
  result.lines.find((line) => line.key === key)?.why ?? 'no such key';

/** The lines that are no comments. */
const allEffective = ({ text }: Done) =>
  text.split('\n').filter((line) => line !== '' && !/^\s*#/.test(line));

/** The same without the defaults of the Python tool that were added. */
function effective(result: Done): string[] {
  const added = result.lines.filter((one) => /default of the Python tool/.test(one.why));
  const keys = new Set(added.map(({ key }) => key));
  let section = '';
  return allEffective(result).filter((line) => {
    if (!line.startsWith(' ')) section = line.replace(/:.*/, '');
    return !keys.has(`${section}.${line.trim().replace(/:.*/, '')}`);
  });
}

/** As the first release of that program came with it, and as its users extended it. */
const INI = `; made by hand
[DEFAULT]

poll_interval = 300             
storage_upper_threshold = 80     
storage_increment = 10240        
min_cores =
reserve_cpu_percent = 10         # for the host
reserve_storage_mb = 10240
behaviour = Normal
ignore_lxc = 104, 105
energy_mode = False              
gotify_url =                     

# the web tier
[TIER_1]
nodes = 100, 101,102 
cpu_upper_threshold = 90
[TIER_2]
lxc_containers = 103
   104
min_memory = 1GB
`;

describe('an INI file of the first version', () => {
  it('becomes a file of today', () => {
    const result = done(INI);
    expect(result.form).toBe('INI');
    expect(effective(result)).toEqual([
      'DEFAULT:',
      '  poll_interval: 300',
      '  reserve_cpu_percent: 10  # for the host',
      '  behaviour: normal',
      '  ignore_lxc: [104, 105]',
      '  energy_mode: False',
      '  gotify_url:',
      'TIER_1:',
      '  lxc_containers: [100, 101, 102]',
      '  cpu_upper_threshold: 90',
      'TIER_2:',
      '  lxc_containers: [103, 104]',
      '  min_memory: 1GB',
    ]);
  });

  it('is accounted for line by line', () => {
    expect(verdicts(done(INI))).toEqual([
      'DEFAULT: taken',
      'DEFAULT.poll_interval: taken',
      'DEFAULT.storage_upper_threshold: dropped',
      'DEFAULT.storage_increment: dropped',
      'DEFAULT.min_cores: dropped',
      'DEFAULT.reserve_cpu_percent: taken',
      'DEFAULT.reserve_storage_mb: dropped',
      'DEFAULT.behaviour: converted',
      'DEFAULT.ignore_lxc: converted',
      'DEFAULT.energy_mode: taken',
      'DEFAULT.gotify_url: taken',
      'TIER_1: taken',
      'TIER_1.nodes: converted',
      'TIER_1.cpu_upper_threshold: taken',
      'TIER_2: taken',
      'TIER_2.lxc_containers: converted',
      'TIER_2.min_memory: taken',
    ]);
  });

  it('keeps its comments where they stood', () => {
    const { text } = done(INI);
    expect(text).toMatch(/^# made by hand\nDEFAULT:/m);
    expect(text).toMatch(/^# the web tier\nTIER_1:/m);
  });
});

describe('an older YAML file', () => {
  it('with DEFAULTS in the plural is one with DEFAULT', () => {
    const result = done('DEFAULTS:\n  poll_interval: 60\n  memory_exclude_cache: true\n');
    expect(effective(result).slice(0, 2)).toEqual(['DEFAULT:', '  poll_interval: 60']);
    expect(why(result, 'DEFAULTS')).toBe('now DEFAULT');
  });

  it('with both has what DEFAULT says', () => {
    const both = done('DEFAULTS:\n  max_cores: 3\n  min_cores: 2\nDEFAULT:\n  max_cores: 6\n');
    expect(allEffective(both)).toEqual(
      expect.arrayContaining(['  min_cores: 2', '  max_cores: 6']),
    );
    expect(both.text).not.toMatch(/^ {2}max_cores: 3/m);
  });

  it('has the defaults of that program written down where it leaves keys out', () => {
    const result = done('DEFAULT:\n  poll_interval: 60\nTIER_a:\n  lxc_containers: [101]\n');
    expect(allEffective(result)).toEqual([
      'DEFAULT:',
      '  poll_interval: 60',
      '  cpu_upper_threshold: 80',
      '  cpu_lower_threshold: 20',
      '  memory_upper_threshold: 80',
      '  memory_lower_threshold: 20',
      '  core_min_increment: 1',
      '  core_max_increment: 2',
      '  memory_min_increment: 256',
      '  min_decrease_chunk: 128',
      '  min_cores: 1',
      '  max_cores: 4',
      '  min_memory: 512',
      '  reserve_cpu_percent: 10',
      '  reserve_memory_mb: 2048',
      '  behaviour: normal',
      '  energy_mode: False',
      '  off_peak_start: 22',
      '  off_peak_end: 6',
      'TIER_a:',
      '  lxc_containers: [101]',
    ]);
    // Said once, above the first of them.
    expect(result.text.match(/# Added: the default of the Python tool/g)).toHaveLength(1);
    expect(allEffective(done('TIER_a:\n  lxc_containers: 101\n'))).toContain('  max_cores: 4');
  });

  it.each([
    ['by a key', 'DEFAULT:\n  poll_interval: 60\n  sample_interval: 5\n'],
    ['by its head', '# Configuration of lxc-autoscale, carried over\nDEFAULT:\n  min_cores: 1\n'],
  ])('of this program, shown %s, means the defaults of this program', (_, text) => {
    expect(allEffective(done(text)).join('\n')).not.toContain('max_cores');
  });

  it('has nothing added that contradicts what was given, and no more than it had', () => {
    const top = (text: string) =>
      allEffective(done(text)).filter((line) => /max_cores|max_increment/.test(line));
    expect(top('DEFAULT:\n  min_cores: 6\n').sort()).toEqual([
      '  core_max_increment: 2',
      '  max_cores: 6',
    ]);
    expect(top('DEFAULT:\n  core_min_increment: 3\n')).toEqual([
      '  core_max_increment: 3',
      '  max_cores: 4',
    ]);
    expect(top('TIER_a:\n  lxc_containers: 101\n  min_cores: 6\n')).toEqual([
      '  core_max_increment: 2',
      '  max_cores: 4',
      '  max_cores: 6',
    ]);
    const high = 'DEFAULT:\n  max_cores: 12\nTIER_a:\n  lxc_containers: 101\n  min_cores: 6\n';
    expect(top(high)).toEqual(['  max_cores: 12', '  core_max_increment: 2']);
  });

  it('gives a container in two tiers to the last one, as it was', () => {
    const result = done('TIER_a:\n  lxc_containers: [1, 101, "102"]\nTIER_b:\n  nodes: 102,103\n');
    expect(effective(result)).toEqual([
      'DEFAULT:',
      'TIER_a:',
      '  lxc_containers: [101]',
      'TIER_b:',
      '  lxc_containers: [102, 103]',
    ]);
    expect(why(result, 'TIER_a.lxc_containers')).toMatch(/: 1 is no id .*102 is in TIER_b too/);
  });

  it('has groups with the names of today', () => {
    const group = `HORIZONTAL_SCALING_GROUP_1:
  base_snapshot_name: "101"
  min_containers: 2
  static_ip_range: ["10.0.0.5/16", "10.0.0.9"]
`;
    expect(effective(done(group)).slice(1)).toEqual([
      'HORIZONTAL_SCALING_GROUP_1:',
      '  source: 101',
      '  min_instances: 2',
      '  static_ip_range: [10.0.0.5, 10.0.0.9]',
    ]);
  });

  it('takes mail and Uptime Kuma over, as far as they are set', () => {
    const mail = `DEFAULT:
  smtp_server: mail.example.com
  smtp_port: 587
  smtp_username: api
  smtp_password: topsecret
  smtp_from: a@example.com
  smtp_to: [b@example.com, c@example.com]
  uptime_kuma_webhook_url: 'http://kuma:3001/api/push/Xx?status=up&msg=OK&ping='
`;
    const result = done(mail);
    expect(effective(result).slice(1)).toHaveLength(7);
    expect(verdicts(result)).toContain('DEFAULT.uptime_kuma_webhook_url: renamed');
    expect(JSON.stringify(result.lines)).not.toMatch(/topsecret|api\/push/);
  });
});

describe('a value', () => {
  const one = (line: string, env: Environment = {}) => {
    const result = done(`DEFAULT:\n  ${line}\n  log_level: info\n`, env);
    const lines = effective(result).filter((one) => one !== '  log_level: info');
    return lines.slice(1).join('\n').trim();
  };

  it.each([
    ['poll_interval: 5m', 'poll_interval: 5m'],
    ['poll_interval: 300.0', 'poll_interval: 300.0'],
    ['poll_interval: 030', 'poll_interval: 30'],
    ['min_memory: 2GB', 'min_memory: 2GB'],
    ['min_memory: 524288k', 'min_memory: 524288k'],
    ['cpu_upper_threshold: 75%', "cpu_upper_threshold: '75%'"],
    ['behaviour: AGGRESSIVE', 'behaviour: aggressive'],
    ['energy_mode: "yes"', 'energy_mode: yes'],
    ['ignore_lxc: "100, 101,"', 'ignore_lxc: [100, 101]'],
    ['ignore_lxc: [100, Web]', 'ignore_lxc: [100, Web]'],
    ['ignore_lxc: [100, 7]', 'ignore_lxc: [100]'],
    ['cooldown_seconds: {up: 5, down: 60}', 'cooldown_seconds: {up: 5, down: 60}'],
    ['max_memory:', 'max_memory:'],
    // These cannot be taken.
    ['poll_interval: soon', ''],
    ['cpu_upper_threshold: 2GB', ''],
    ['min_cores: [1]', ''],
    ['min_cores: {a: 1}', ''],
  ])('%s becomes %s', (line, expected) => {
    expect(one(line)).toBe(expected);
  });

  it('from a variable stays one, and waits as a comment where there is none', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the notation, not a template.
    const line = 'timezone: ${ZONE}';
    expect(one(line, { ZONE: 'UTC' })).toMatch(/^timezone: '\$\{ZONE\}'$/);
    expect(one(line)).toBe('');
    const unset = done(`DEFAULT:\n  min_cores: 1\n  ${line}\n`);
    expect(why(unset, 'DEFAULT.timezone')).toMatch(/ZONE is not set/);
  });

  it.each(['ssh_key_passphrase', 'private_key', 'PrivateKey', 'ssh_passphrase'])(
    'whose name %s is that of a secret is not shown with its value',
    (key) => {
      const result = done(`DEFAULT:\n  min_cores: 1\n  ${key}: hunter2\n`);
      expect(result.text).toMatch(new RegExp(`# ${key}: \\(its value is not copied\\)`));
      expect(JSON.stringify(result)).not.toContain('hunter2');
    },
  );

  it('that is at fault in one tier leaves what was added for all others', () => {
    const tiers = 'TIER_a:\n  lxc_containers: 101\nTIER_b:\n  lxc_containers: 102\n';
    const result = done(`DEFAULT:\n  poll_interval: 60\n${tiers}  min_cores: 9\n  max_cores: 3\n`);
    const loaded = parseConfig(result.text, 'new.yaml', {});
    if (!loaded.ok) throw new Error('it does not load');
    expect(loaded.config.defaults.cpu.max).toBe(4);
    expect(loaded.config.tiers.map(({ policy }) => policy.cpu.max)).toEqual([4, 3]);
    expect(why(result, 'TIER_b.min_cores')).toMatch(/must be at most max_cores/);
  });

  it('that breaks a rule between keys gives way with the reason', () => {
    const result = done('DEFAULT:\n  min_cores: 9\n  max_cores: 8\n  min_memory: 600\n');
    expect(allEffective(result)).toContain('  max_cores: 8');
    expect(allEffective(result).join('\n')).not.toContain('min_cores');
    expect(result.text).toMatch(
      /# Not supported: 9 must be at most max_cores[^\n]*\n {2}# min_cores: 9/,
    );
  });
});

describe('what is not taken', () => {
  it.each([
    ['cpu_pinning: p-cores', 'not supported', /left to Proxmox VE/],
    ['cpu_scale_divisor: 2', 'dropped', /no such factor/],
    ['memory_exclude_cache: true', 'dropped', /never counts as used/],
    ['memory_exclude_cache: false', 'not supported', /never counts as used/],
    ['use_remote_proxmox: false', 'dropped', /on the node itself/],
    ['backend: api', 'dropped', /on the node itself/],
    ['ssh_user: admin', 'dropped', /on the node itself/],
    ['colour: red', 'not supported', /^unknown key$/],
    ['pol_interval: 5', 'not supported', /did you mean poll_interval/],
  ])('%s: %s', (line, verdict, reason) => {
    const result = done(`DEFAULT:\n  ${line}\n  min_cores: 1\n`);
    const own = result.lines[1];
    expect(own).toMatchObject({ line: 2, verdict, why: expect.stringMatching(reason) });
    expect(result.text).toContain(`  # ${line}\n`);
  });

  it('is no secret that would be copied or told', () => {
    const secrets = `DEFAULT:
  min_cores: 1
  ssh_password: hunter2
  backend: cli
  proxmox_api:
    host: 10.0.0.1
    token_value: hunter2
  my_token: hunter2
  gotify_token: 'hunter2 hunter2'
  webhook: http://user:hunter2@example.com
junk_password: hunter2
`;
    const result = done(secrets);
    expect(JSON.stringify(result)).not.toContain('hunter2');
    expect(verdicts(result)).toContain('DEFAULT.proxmox_api.token_value: dropped');
    const stray = done('[A]\npassword hunter2\n[B]\npassword = hunter2\n[DEFAULT]\nmin_cores=1\n');
    expect(JSON.stringify(stray)).not.toContain('hunter2');
  });

  it.each([
    ['other:\n  a: 1\n', 'other', 'is no section of this program'],
    ['poll_interval: 5\nDEFAULT:\n', 'poll_interval', /stands in no section/],
    ['TIER_a:\n  poll_interval: 5\n', 'TIER_a.poll_interval', /in DEFAULT only/],
    [
      'HORIZONTAL_SCALING_GROUP_1:\n  min_instances: 2\n',
      'HORIZONTAL_SCALING_GROUP_1',
      /no source/,
    ],
    ['DEFAULT:\n  min_cores: 1\n  min_cores: 2\n', 'DEFAULT.min_cores', /second time in line 3/],
    ['TIER_a:\n  min_cores: 1\nTIER_a:\n  min_cores: 2\n', 'TIER_a', /second time in line 3/],
    ['[DEFAULT]\nwords\n', 'line', /neither a section nor a key/],
  ])('%j: the place is told', (text, key, reason) => {
    const ini = text.startsWith('[');
    const result = done(`${text}${ini ? '[TIER_z]\nmin_cores=1' : 'TIER_z:\n  min_cores: 1'}\n`);
    const told = result.lines.find((line) => line.key === key);
    expect(told?.why).toMatch(reason);
    expect(['not supported', 'dropped']).toContain(told?.verdict);
  });

  it('never makes containers change that were left alone', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the notation, not a template.
    const lost = done('DEFAULT:\n  ignore_lxc: ${IDS}\nTIER_a:\n  scaling_mode: boost\n');
    expect(effective(lost)).toEqual([
      'DEFAULT:',
      '  scaling_mode: observe',
      'TIER_a:',
      '  scaling_mode: observe',
    ]);
    expect(done('DEFAULT:\n  ignore_lxc: 101\n').text).not.toContain('observe');
  });

  it('does not take a tier away for letters in its name', () => {
    const result = done('TIER_web (new):\n  lxc_containers: [101]\n');
    expect(effective(result).slice(1)).toEqual(["'TIER_web _new_':", '  lxc_containers: [101]']);
  });
});

describe('a file that is none of that program', () => {
  it.each([
    ['', undefined, /holds no section/],
    ['# only a comment\n', undefined, /holds no section/],
    ['- 1\n', 1, /holds a list/],
    ['A: [\n', 1, /never closed/],
    ['x'.repeat(300_000), undefined, /larger than 128 KiB/],
    [`[A]\n${'a = 1\n'.repeat(4001)}`, undefined, /more than 4000 keys/],
  ])('%#: is refused', (text, line, message) => {
    const result = migrate(text, 'f', {});
    expect(result).toMatchObject({ ok: false, line, message: expect.stringMatching(message) });
  });
});

const KEYS = [
  ...Object.values(ALL_KEYS).flatMap((one) => Object.keys(one)),
  ...Object.keys(NEW_NAMES),
  'storage_increment',
  'cpu_pinning',
  'ssh_password',
  'proxmox_api',
  'colour',
  'backend',
];
const SECTIONS = [
  'DEFAULT',
  'DEFAULTS',
  'TIER_1',
  'TIER_a b',
  'TIER_ä!',
  'OTHER',
  'default',
  'HORIZONTAL_SCALING_GROUP_1',
  'HORIZONTAL_SCALING_GROUP_2',
];
const value = fc.oneof(
  fc.constantFrom('1', '4', '80', '90', '300', '512', '2048', 'True', 'Normal', 'x', ''),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the notation, not a template.
  fc.constant('${X}'),
  fc.constantFrom('100,101', '102', '"103"', '[101, 102]', '120-139', '10.0.0.0/24', '5m', '2GB'),
  fc.constantFrom('/var/log/a.log', 'http://h/x', 'tag:web', '0', '-1', '1.5', '{up: 1}', '[[1]]'),
  fc.string({ maxLength: 12 }).map((text) => text.replace(/[\r\n]/g, ' ')),
);
const sections = fc.array(
  fc.tuple(
    fc.constantFrom(...SECTIONS),
    fc.array(fc.tuple(fc.constantFrom(...KEYS), value), { maxLength: 12 }),
  ),
  { minLength: 1, maxLength: 5 },
);

/** Whether nothing is written; then the reason is told. */
function isRefused(text: string): boolean {
  const result = migrate(text, 'f', {});
  if (!result.ok) expect(result.message).not.toBe('');
  return !result.ok;
}

describe('whatever an old file holds', () => {
  it('as INI: what comes of it loads, and each key is told', () => {
    fc.assert(
      fc.property(sections, fc.string({ maxLength: 20 }), (made, junk) => {
        const lines = made.flatMap(([name, keys]) => [
          `[${name}]`,
          ...keys.map(([key, text]) => `${key} = ${text}`),
        ]);
        const text = [...lines, junk].join('\n');
        if (isRefused(text)) return;
        const { form, lines: told } = done(text);
        expect(form).toBe('INI');
        const numbers = new Set(told.map(({ line }) => line));
        for (const [index] of lines.entries()) expect(numbers).toContain(index + 1);
      }),
      { numRuns: 80 },
    );
  });

  it('as YAML: what comes of it loads, or the file cannot be read', () => {
    fc.assert(
      fc.property(sections, (made) => {
        const lines = made.flatMap(([name, keys]) => [
          `${name}:`,
          // A quotation mark that stands alone makes the lines that follow a part of the value.
          ...keys.map(([key, text]) => `  ${key}: ${text.replace(/^["'].*/, '"1"')}`),
        ]);
        const text = lines.join('\n');
        if (isRefused(text)) return;
        const numbers = new Set(done(text).lines.map(({ line }) => line));
        for (const [index] of lines.entries()) expect(numbers).toContain(index + 1);
      }),
      { numRuns: 80 },
    );
  });

  it('it stays as it is when it is migrated again', () => {
    fc.assert(
      fc.property(sections, (made) => {
        const lines = made.flatMap(([name, keys]) => [
          `[${name}]`,
          ...keys.map(([key, text]) => `${key} = ${text}`),
        ]);
        if (isRefused(lines.join('\n'))) return;
        const once = done(lines.join('\n'));
        const twice = done(once.text);
        const load = (text: string) => {
          const loaded = parseConfig(text, 'f', {});
          return loaded.ok ? loaded.config : loaded.problems;
        };
        expect(load(twice.text)).toEqual(load(once.text));
      }),
      { numRuns: 40 },
    );
  });

  it('any text at all ends in an answer', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const result = migrate(text, 'f', {});
        if (result.ok) expect(parseConfig(result.text, 'f', {}).ok).toBe(true);
      }),
    );
  });
});
