import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DEFAULTS } from '../../src/config/defaults.ts';
import { KEYS } from '../../src/config/keys.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import { renderProblem } from '../../src/config/problem.ts';
import type { Environment } from '../../src/config/variables.ts';

function read(text: string, env: Environment = {}): { config: Config; notes: string[] } {
  const result = parseConfig(text, 'f.yaml', env);
  if (!result.ok) throw new Error(result.problems.map(renderProblem).join('\n'));
  return { config: result.config, notes: result.notes.map(renderProblem) };
}

const withDefault = (...lines: string[]): string =>
  ['DEFAULT:', ...lines.map((line) => `  ${line}`), ''].join('\n');

const SAMPLE = readFileSync(new URL('../../lxc_autoscale.yaml', import.meta.url), 'utf8');

/** A selector of these ids. */
const only = (...ids: number[]) => ({
  ids: ids.map((id) => ({ from: id, to: id })),
  names: [],
  tags: [],
});

const NOTICE_RULES: Config['notify']['rules']['gotify'] = {
  events: [
    'changed',
    'failed',
    'starving',
    'emergency',
    'group',
    'daemon',
    'configuration',
    'report',
  ],
  minSeverity: 'info',
  quiet: undefined,
};

/** Written out once more, so that a slip in the defaults is seen. */
const EXPECTED_DEFAULTS: Config = {
  pollIntervalMs: 300_000 as Config['pollIntervalMs'],
  sampleIntervalMs: 10_000 as Config['sampleIntervalMs'],
  urgentSamples: 2,
  maxConcurrentOperations: 3,
  manageVms: false,
  logFile: '/var/log/lxc_autoscale.log',
  jsonLogFile: '/var/log/lxc_autoscale.json',
  logLevel: 'info',
  componentLogLevels: {},
  logFormat: 'text',
  logSyslog: undefined,
  logJournalFields: false,
  logQuietCycles: false,
  logRotation: { maxBytes: 52_428_800, keep: 5 } as Config['logRotation'],
  metrics: { listen: undefined, token: '', textfile: undefined },
  http: {
    listen: undefined,
    tokens: [],
    hosts: [],
    tls: undefined,
    behindProxy: false,
    proxmoxLogin: false,
  },
  lockFile: '/var/lock/lxc_autoscale.lock',
  backupDir: '/var/lib/lxc_autoscale/backups',
  backupsKeep: 20,
  backupsKeepMs: (30 * 24 * 3600 * 1000) as Config['backupsKeepMs'],
  usageHistory: true,
  usageHistoryDays: 14,
  timezone: undefined,
  energyMode: false,
  offPeakStartHour: 22,
  offPeakEndHour: 6,
  offPeakCron: undefined,
  notify: {
    gotify: undefined,
    email: undefined,
    ntfy: undefined,
    webhook: undefined,
    uptimeKuma: undefined,
    proxmox: undefined,
    perHour: 60,
    caFile: undefined,
    weekly: undefined,
    rules: {
      gotify: NOTICE_RULES,
      email: NOTICE_RULES,
      ntfy: NOTICE_RULES,
      webhook: NOTICE_RULES,
      proxmox: NOTICE_RULES,
    },
  },
  managed: 'all',
  tagsFirst: false,
  ignored: { ids: [], names: [], tags: [] },
  host: {
    reserveCpu: 0.1,
    reserveMemoryMib: 2048,
    overcommitRatio: 2,
    emergency: 0.98,
    mostCpu: 0.95,
    mostMemory: 1,
  } as Config['host'],
  defaults: {
    source: 'DEFAULT',
    cpu: {
      unit: 'cores',
      band: { lower: 0.2, upper: 0.8 },
      minIncrement: 1,
      maxIncrement: 4,
      min: 1,
      max: 8,
      raises: false,
    },
    memory: {
      band: { lower: 0.2, upper: 0.8 },
      minIncrementMib: 512,
      minDecreaseMib: 512,
      minMib: 512,
      raises: false,
      maxMib: undefined,
      mayUseSwap: false,
    },
    stepFactor: 1,
    timing: {
      cooldownUpMs: 0,
      cooldownDownMs: 300_000,
      periodsUp: 1,
      periodsDown: 3,
      firstShrinkMs: 3_600_000,
      startGraceMs: 600_000,
      manualHoldMs: 3_600_000,
    },
    scaling: 'threshold',
    boost: {
      saturation: 0.95,
      consecutiveSamples: 3,
      factor: 1.5,
      fallbackFactor: 1.25,
      durationMs: 120_000,
    },
    priority: 50,
  } as Config['defaults'],
  tiers: [],
  groups: [],
  nodes: [],
};

describe('the defaults', () => {
  it.each(['DEFAULT:\n', 'DEFAULT: ~\n', 'DEFAULT: {}\n', 'DEFAULT: null\n'])(
    'are what %j comes to',
    (text) => {
      expect(read(text)).toEqual({ config: EXPECTED_DEFAULTS, notes: [] });
    },
  );

  it('are what the sample file says, without a problem or a remark', () => {
    expect(read(SAMPLE)).toEqual({ config: EXPECTED_DEFAULTS, notes: [] });
  });

  it('stand in the sample file, key by key, each with a line of comment above it', () => {
    for (const key of Object.keys(KEYS.default)) {
      expect(SAMPLE).toMatch(new RegExp(`^  # .*\\n  ${key}:`, 'm'));
    }
    for (const key of Object.keys({ ...KEYS.tier, ...KEYS.group })) {
      if (key === 'base_snapshot_name') continue;
      expect(SAMPLE).toMatch(new RegExp(`^#   ${key}:`, 'm'));
    }
    expect(SAMPLE).toContain('base_snapshot_name');
  });

  it('stay valid when the examples of the sample file are put in force', () => {
    const examples = SAMPLE.replace(/^# (?=TIER_web:|HORIZONTAL_\S+:| {2})/gm, '');
    const { config } = read(examples);
    expect(config.tiers.map((tier) => tier.name)).toEqual(['TIER_web']);
    expect(config.groups.map((group) => group.name)).toEqual(['HORIZONTAL_SCALING_GROUP_web']);
  });

  it('cover every key of the schema, and every key is described', () => {
    expect(Object.keys(DEFAULTS).sort()).toEqual(Object.keys(KEYS.default).sort());
    for (const section of Object.values(KEYS)) {
      for (const { info } of Object.values(section)) {
        expect(info.does).toMatch(/^[A-Z].*[^.]$/);
        expect(info.allowed).toMatch(/^\S.*[^.]$/);
      }
    }
  });
});

const EXISTING = `
DEFAULT:
  poll_interval: 60
  energy_mode: False
  behaviour: Normal
  log_file: "/var/log/lxc_autoscale.log"
  ignore_lxc:
  - '104'
  - "105"

TIER_1:
  lxc_containers:
  - '100'
  - 101
  cpu_upper_threshold: 90
  cpu_lower_threshold: 10
  min_cores: 2
  max_cores: 12
  min_memory: 1024
TIER_webservers:
  lxc_containers: "102"
  behaviour: AGGRESSIVE
  max_memory: 4096
TIER_idle:

HORIZONTAL_SCALING_GROUP_1:
  base_snapshot_name: "101"
  min_instances: 2
  max_instances: 4
  starting_clone_id: 99000
  clone_network_type: "static"
  static_ip_range: ["192.168.100.195", "192.168.100.200"]
  horiz_cpu_upper_threshold: 95
  horiz_memory_upper_threshold: 95
  scale_out_grace_period: 120
  group_tag: "horiz_scaling_group_1"
  lxc_containers:
    - "101"
`;

describe('a file as existing installations have it', () => {
  const { config, notes } = read(EXISTING);

  it('gives DEFAULT, the ids to leave alone, and the tiers over DEFAULT', () => {
    expect(config.pollIntervalMs).toBe(60_000);
    expect(config.ignored).toEqual(only(104, 105));
    expect(config.tiers.map(({ name, containers }) => ({ name, containers }))).toEqual([
      { name: 'TIER_1', containers: only(100, 101) },
      { name: 'TIER_webservers', containers: only(102) },
      { name: 'TIER_idle', containers: only() },
    ]);
    expect(config.tiers[0]?.policy).toEqual({
      source: 'TIER_1',
      cpu: {
        unit: 'cores',
        band: { lower: 0.1, upper: 0.9 },
        minIncrement: 1,
        maxIncrement: 4,
        min: 2,
        max: 12,
        raises: true,
      },
      memory: { ...config.defaults.memory, minMib: 1024, raises: true },
      stepFactor: 1,
      timing: config.defaults.timing,
      scaling: 'threshold',
      boost: config.defaults.boost,
      priority: 50,
    });
    expect(config.tiers[1]?.policy.stepFactor).toBe(2);
    expect(config.tiers[1]?.policy.memory.maxMib).toBe(4096);
  });

  it('gives the group, with what it leaves out by default', () => {
    expect(config.groups).toEqual([
      {
        name: 'HORIZONTAL_SCALING_GROUP_1',
        label: '1',
        members: [{ from: 101, to: 101 }],
        source: 101,
        sourceSnapshot: '',
        minInstances: 2,
        maxInstances: 4,
        startingCloneId: 99_000,
        cloneMode: 'full',
        network: {
          type: 'static',
          addresses: ['192.168.100.195', '192.168.100.200'],
          bridge: '',
          gateway: '',
        },
        startOrder: undefined,
        upperPercent: { cpu: 95, memory: 95 },
        lowerPercent: { cpu: undefined, memory: undefined },
        scaleIn: 'off',
        scaleOutGraceMs: 120_000,
        scaleInGraceMs: 600_000,
        warmupMs: 60_000,
        health: {
          check: 'none',
          port: undefined,
          path: '/',
          healthyCount: 2,
          unhealthyCount: 3,
        },
        readyTimeoutMs: 300_000,
        cloneTimeoutMs: 3_600_000,
        hookTimeoutMs: 60_000,
        tag: 'horiz_scaling_group_1',
        onReady: [],
        onTerminating: [],
      },
    ]);
  });

  it('says what has no effect', () => {
    expect(notes).toEqual([
      'f.yaml:24: TIER_idle: ' +
        'names no container, so only those with the tag autoscale-tier-idle are in it',
    ]);
  });

  it('says which keys on messages have no effect without another one', () => {
    const text = withDefault('gotify_token: t', 'webhook_body: "{}"', 'ntfy_url: http://x/t');
    expect(read(text).notes).toEqual([
      'f.yaml:2: gotify_token: has no effect without gotify_url',
      'f.yaml:3: webhook_body: has no effect without webhook_url',
    ]);
    expect(read(withDefault('notify_proxmox_type: lxc-autoscale')).notes).toEqual([
      'f.yaml:2: notify_proxmox_type: has no effect without `notify_proxmox: True`',
    ]);
  });

  it('says that a cron expression alone is no energy mode', () => {
    const lines = ['off_peak_cron: 0 22 * * *', 'off_peak_minutes: 480'];
    expect(read(withDefault(...lines)).notes).toEqual([
      'f.yaml:2: off_peak_cron: has no effect without `energy_mode: True`',
    ]);
  });
});

describe('values as people write them', () => {
  it.each([
    ['True', true],
    ['yes', true],
    ['ON', true],
    ['"true"', true],
    ['1', true],
    ['False', false],
    ['no', false],
    ['off', false],
    ["'No'", false],
  ])('energy_mode: %s', (written, meant) => {
    const text = withDefault(`energy_mode: ${written}`);
    expect(read(text).config.energyMode).toBe(meant);
  });

  it.each([
    ['300', 300],
    ["'300'", 300],
    ['300.0', 300],
    ['1_000', 1000],
    ['" 30 "', 30],
    ['+5', 5],
    ['&n 7', 7],
  ])('poll_interval: %s', (written, seconds) => {
    expect(read(withDefault(`poll_interval: ${written}`)).config.pollIntervalMs).toBe(
      seconds * 1000,
    );
  });

  it.each([
    ['100', [100]],
    ["'104'", [104]],
    ['"100,101"', [100, 101]],
    ['100, 101,', [100, 101]],
    ['["100, 101", 102]', [100, 101, 102]],
    ['[101, 101]', [101, 101]],
    ['', []],
    ['~', []],
    ['[]', []],
    ['""', []],
    ['\n  - 100\n  # why\n  -\n  - 101', [100, 101]],
    ['[999999999]', [999_999_999]],
  ])('ignore_lxc: %j', (written, ids) => {
    expect(read(withDefault(`ignore_lxc: ${written}`)).config.ignored).toEqual(only(...ids));
  });

  it.each([
    ['warn', 'warning'],
    ['WARNING', 'warning'],
    ['Debug', 'debug'],
    ['error', 'error'],
  ])('log_level: %s', (written, level) => {
    expect(read(withDefault(`log_level: ${written}`)).config.logLevel).toBe(level);
  });

  it.each([
    ['{default: error, groups: debug}', 'error', { groups: 'debug' }],
    ['{groups: WARN, act: info}', 'info', { act: 'info', groups: 'warning' }],
    ['{default: debug}', 'debug', {}],
    ['{}', 'info', {}],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the notation, not a template.
    ['\n    notify: ${HOW:-error}', 'info', { notify: 'error' }],
  ])('log_level: %s', (written, level, rooms) => {
    const { logLevel, componentLogLevels } = read(withDefault(`log_level: ${written}`)).config;
    expect({ logLevel, componentLogLevels }).toEqual({
      logLevel: level,
      componentLogLevels: rooms,
    });
  });

  it.each([
    ['/var/log/a.log', '/var/log/a.json'],
    ['/var/log/a', '/var/log/a.json'],
    ['/var/log/a.log.log', '/var/log/a.log.json'],
    ['/var/log/.log', '/var/log/.json'],
  ])('log_file: %s', (written, json) => {
    const { logFile, jsonLogFile } = read(withDefault(`log_file: ${written}`)).config;
    expect([logFile, jsonLogFile]).toEqual([written, json]);
  });

  it.each([
    ['Europe/Rome', 'Europe/Rome'],
    ['UTC', 'UTC'],
    ['', undefined],
    ["''", undefined],
  ])('timezone: %s', (written, zone) => {
    expect(read(withDefault(`timezone: ${written}`)).config.timezone).toBe(zone);
  });

  it('max_memory: a tier can take a limit of DEFAULT away', () => {
    const tier = 'TIER_a:\n  lxc_containers: 100\n  max_memory:\n';
    const text = withDefault('max_memory: 2048') + tier;
    const { config } = read(text);
    expect(config.defaults.memory.maxMib).toBe(2048);
    expect(config.tiers[0]?.policy.memory.maxMib).toBeUndefined();
  });

  it.each([
    ['cooldown_seconds: 60', [60_000, 60_000]],
    ['cooldown_seconds: 0', [0, 0]],
    ['cooldown_seconds: {up: 30, down: 900}', [30_000, 900_000]],
    ['cooldown_seconds: {up: 30}', [30_000, 300_000]],
    ['cooldown_seconds: {"down": "1_000"}', [0, 1_000_000]],
    ['cooldown_seconds:\n    # why\n    down: 60\n    up: 5', [5000, 60_000]],
  ])('%s', (written, expected) => {
    const { cooldownUpMs, cooldownDownMs } = read(withDefault(written)).config.defaults.timing;
    expect([cooldownUpMs, cooldownDownMs]).toEqual(expected);
  });

  it('up and down: what a tier leaves out of a pair comes from DEFAULT', () => {
    const tiers = [
      'TIER_a: {cooldown_seconds: {down: 900}, evaluation_periods: 2, start_grace_seconds: 0}',
      'TIER_b: {priority: 100}',
      'TIER_c: {<<: &pair {evaluation_periods: {up: 9}}, cooldown_seconds: {<<: {up: 7}}}',
      '',
    ];
    const base = ['cooldown_seconds: {up: 30, down: 60}', 'evaluation_periods: {down: 4}'];
    const { config } = read(withDefault(...base, 'priority: 1') + tiers.join('\n'));
    const inMs = (up: number, down: number, periodsUp: number, periodsDown: number) => ({
      cooldownUpMs: up,
      cooldownDownMs: down,
      periodsUp,
      periodsDown,
      firstShrinkMs: 3_600_000,
      startGraceMs: 600_000,
      manualHoldMs: 3_600_000,
    });
    expect(config.defaults.timing).toEqual(inMs(30_000, 60_000, 1, 4));
    const [a, b, c] = config.tiers.map(({ policy }) => policy);
    expect(a?.timing).toEqual({ ...inMs(30_000, 900_000, 2, 2), startGraceMs: 0 });
    expect(b?.timing).toEqual(config.defaults.timing);
    expect(c?.timing).toEqual(inMs(7000, 60_000, 9, 4));
    expect([a, b, config.defaults].map((policy) => policy?.priority)).toEqual([1, 100, 1]);
  });

  it.each([
    ['sample_interval: 30', 30_000],
    ['poll_interval: 5', 5000],
    ['{sample_interval: 60, poll_interval: 30}', 30_000],
    ['{sample_interval: 3600, poll_interval: 7200}', 3_600_000],
  ])('%s: the counters are read at least once a cycle', (written, ms) => {
    const text = written.startsWith('{') ? `DEFAULT: ${written}\n` : withDefault(written);
    expect(read(text).config.sampleIntervalMs).toBe(ms);
  });

  it('backups, urgency, how many at once, who is managed', () => {
    const text = withDefault(
      ...['backups_keep: 1', 'backups_keep_days: 3650', 'urgent_samples: 60'],
      ...['max_concurrent_operations: 16', 'manage: TAGGED', 'tags_first: yes'],
    );
    expect(read(text).config).toMatchObject({
      backupsKeep: 1,
      backupsKeepMs: 3650 * 24 * 3600 * 1000,
      urgentSamples: 60,
      maxConcurrentOperations: 16,
      managed: 'tagged',
      tagsFirst: true,
    });
  });

  it.each([
    ['0.5', 0.5],
    ['1', 1],
    ['1.0', 1],
    ['50', 0.5],
    ['95', 0.95],
    ["'97.5'", 0.975],
    ['100', 1],
  ])('saturation_threshold: %s', (written, meant) => {
    const { defaults } = read(withDefault(`saturation_threshold: ${written}`)).config;
    expect(defaults.boost.saturation).toBe(meant);
  });

  it.each([
    ['[cpu]', 'cores'],
    ['CPU', 'cores'],
    ['memory', 'memory'],
    ['[cpu, memory]', undefined],
    ['memory, cpu', undefined],
  ])('scale: %s', (written, only) => {
    const { defaults, tiers } = read(
      `DEFAULT:\n  scale: memory\nTIER_a:\n  lxc_containers: 100\n  scale: ${written}\n`,
    ).config;
    expect([defaults.only, tiers[0]?.policy.only]).toEqual(['memory', only]);
  });

  it('boost, swap and the hold after a change by hand: a tier over DEFAULT', () => {
    const tier = [
      'TIER_a:\n  lxc_containers: 100\n  scaling_mode: BOOST\n  boost_factor: 10',
      '  boost_fallback_factor: 1.001\n  boost_duration: 86400\n  consecutive_samples: 60\n',
    ].join('\n');
    const base = withDefault('shrink_into_swap: yes', 'manual_hold_seconds: 0');
    const unplug = withDefault('vm_memory_unplug: yes');
    expect(read(unplug).config.defaults.memory.unplugs).toBe(true);
    expect(read(withDefault('memory_guard: yes')).config.defaults.memory.guard).toBe(true);
    const { defaults, tiers } = read(base + tier).config;
    expect([defaults.scaling, defaults.memory.mayUseSwap]).toEqual(['threshold', true]);
    expect(defaults.timing.manualHoldMs).toBe(0);
    expect(tiers[0]?.policy).toMatchObject({
      scaling: 'boost',
      boost: {
        saturation: 0.95,
        consecutiveSamples: 60,
        factor: 10,
        fallbackFactor: 1.001,
        durationMs: 86_400_000,
      },
      memory: { mayUseSwap: true },
      timing: { manualHoldMs: 0 },
    });
  });

  it.each([
    [{ base: '', tier: '' }, 'cores', 1],
    [{ base: 'cpu_unit: cpulimit', tier: '' }, 'cpulimit', 0.1],
    [{ base: '', tier: 'cpu_unit: CPULIMIT' }, 'cpulimit', 0.1],
    [{ base: 'cpu_unit: cpulimit', tier: 'cpu_unit: cores' }, 'cores', 1],
    [{ base: 'core_min_increment: 2', tier: 'cpu_unit: cpulimit' }, 'cpulimit', 2],
    [{ base: 'cpu_unit: cpulimit', tier: 'core_min_increment: 0.3' }, 'cpulimit', 0.3],
    [{ base: '', tier: 'cpu_unit: cpulimit, core_max_increment: 0.1' }, 'cpulimit', 0.1],
  ])('the smallest step of the CPU: %j', ({ base, tier }, unit, step) => {
    const text = `DEFAULT: {${base}}\nTIER_a: {lxc_containers: 100, ${tier}}\n`;
    expect(read(text).config.tiers[0]?.policy.cpu).toMatchObject({ unit, minIncrement: step });
  });

  it('fractions of a core, in tenths, where cpu_unit is cpulimit', () => {
    const tenths = Array.from({ length: 40 }, (_, index) => ((index + 1) / 10).toFixed(1));
    for (const written of tenths) {
      const text = withDefault('cpu_unit: cpulimit', `min_cores: ${written}`);
      expect(read(text).config.defaults.cpu.min).toBe(Number(written));
    }
  });

  it.each([
    ['memory_overcommit_ratio: 1.25', 1.25],
    ['memory_overcommit_ratio: 10', 10],
    ['memory_overcommit_ratio: 0.5', 0.5],
    ['admission: Normal', 2],
    ['admission: strict', 1],
    ['{admission: strict, memory_overcommit_ratio: 0.75}', 0.75],
    ['{admission: strict, memory_overcommit_ratio: 3}', 1],
  ])('%s', (written, ratio) => {
    const text = written.startsWith('{') ? `DEFAULT: ${written}\n` : withDefault(written);
    expect(read(text).config.host.overcommitRatio).toBe(ratio);
  });

  it('the use of the host from which on nothing is given', () => {
    const wanted = withDefault('max_cpu_usage_threshold: 80', 'max_memory_usage_threshold: 90%');
    expect(read(wanted).config.host).toMatchObject({ mostCpu: 0.8, mostMemory: 0.9 });
  });

  it('host_emergency_percent', () => {
    const { host } = read(withDefault('host_emergency_percent: 87.5')).config;
    expect(host.emergency).toBe(0.875);
  });

  it.each([
    ["'0 22 * * 1-5'", '0 22 * * 1-5'],
    ['0 22 * * *', '0 22 * * *'],
    ['" */15 0-6,22 1-7 jan-MAR sun,SAT "', '*/15 0-6,22 1-7 jan-MAR sun,SAT'],
    ['0 0 29 2 7', '0 0 29 2 7'],
  ])('off_peak_cron: %s', (written, expression) => {
    const lines = ['energy_mode: on', `off_peak_cron: ${written}`, 'off_peak_minutes: 10080'];
    const { config, notes } = read(withDefault(...lines));
    const lastsMs = 7 * 24 * 3600 * 1000;
    expect([config.offPeakCron, notes]).toEqual([{ expression, lastsMs }, []]);
  });

  it('off_peak_cron: empty, so that the hours count', () => {
    const lines = ['off_peak_cron:', "off_peak_minutes: ''", 'off_peak_start: 20'];
    expect(read(withDefault(...lines)).config).toMatchObject({
      offPeakCron: undefined,
      offPeakStartHour: 20,
      offPeakEndHour: 6,
    });
  });

  it('names and tags, in any of the forms that ids have', () => {
    const everything = '["web-*", 101, "*, ?b, tag:Prod_1.x", "120-139", "tag: prod_1.x", web-*]';
    const expected = {
      ids: [
        { from: 101, to: 101 },
        { from: 120, to: 139 },
      ],
      names: ['web-*', '*', '?b'],
      tags: ['prod_1.x'],
    };
    const { config } = read(
      `${withDefault(`ignore_lxc: ${everything}`)}TIER_a:\n  lxc_containers: ${everything}\n`,
    );
    expect(config.ignored).toEqual(expected);
    expect(config.tiers[0]?.containers).toEqual(expected);
    expect(read(withDefault('ignore_lxc: web-*')).config.ignored.names).toEqual(['web-*']);
  });

  it('the same name or tag in two tiers, which only containers can decide on', () => {
    const tier = (name: string) => `${name}:\n  lxc_containers: ["web-*", "tag:a"]\n`;
    expect(read(tier('TIER_a') + tier('TIER_b')).notes).toEqual([]);
  });

  it.each([
    ['TIER_a:\n  max_cores: 2\n', []],
    ['TIER_a:\n  lxc_containers: "tag:a"\n', []],
    [
      'TIER_A:\n  lxc_containers: []\n  max_cores: 2\n',
      ['1: TIER_A: names no container, so only those with the tag autoscale-tier-a are in it'],
    ],
    [
      'TIER_a b:\n  max_cores: 2\n',
      ['1: TIER_a b: has no effect, since its lxc_containers names no container'],
    ],
    [
      'TIER_web:\n  max_cores: 2\nTIER_WEB:\n  lxc_containers: 101\n',
      [
        '3: TIER_WEB: differs from TIER_web (line 1) only in upper and lower case; ' +
          'the tag autoscale-tier-web means that one',
      ],
    ],
  ])('remarks on %j', (text, notes) => {
    expect(read(text).notes).toEqual(notes.map((note) => `f.yaml:${note}`));
  });

  it('lxc_containers: ranges, which stay ranges', () => {
    const { config } = read('TIER_a:\n  lxc_containers: [100, "120-999999999", 110 - 112]\n');
    expect(config.tiers[0]?.containers.ids).toEqual([
      { from: 100, to: 100 },
      { from: 120, to: 999_999_999 },
      { from: 110, to: 112 },
    ]);
  });

  it('a byte order mark, CR LF, tabs behind values, a document mark, comments', () => {
    const text = '\ufeff---\r\n# a\r\nDEFAULT: # b\r\n  max_cores: 4\t# c\r\n...\r\n';
    expect(read(text).config.defaults.cpu.max).toBe(4);
  });

  it('merge keys of merged sections: the nearer section wins', () => {
    const text = [
      'TIER_a: &a {max_cores: 4, min_cores: 2, min_memory: 32}',
      'TIER_b: &b {<<: *a, max_cores: 5, lxc_containers: 100}',
      'TIER_c: {<<: [*b, *a], min_cores: 3, lxc_containers: 101}',
      '',
    ].join('\n');
    const policy = read(text).config.tiers[2]?.policy;
    expect(policy?.cpu).toMatchObject({ min: 3, max: 5 });
    expect(policy?.memory.minMib).toBe(32);
  });

  it('labels and merge keys: what is written in the section itself wins', () => {
    const text = [
      'TIER_a: &a',
      '  lxc_containers: 100',
      '  max_cores: 4',
      '  min_cores: 2',
      'TIER_b:',
      '  <<: *a',
      '  lxc_containers: 101',
      '  max_cores: 6',
      '',
    ].join('\n');
    const { config } = read(text);
    expect(config.tiers[1]?.containers).toEqual(only(101));
    expect(config.tiers[1]?.policy.cpu).toMatchObject({ min: 2, max: 6 });
  });
});

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the notation of variables.
describe('variables', () => {
  const env = { CORES: '3', EMPTY: '', TOKEN: 'a: b # c', IDS: '100,101' };

  it.each([
    ['max_cores: ${CORES}', 3],
    ['max_cores: "${CORES}"', 3],
    ['max_cores: 1${CORES}', 13],
    ['max_cores: ${NONE:-5}', 5],
    ['max_cores: ${EMPTY:-6}', 6],
    ['max_cores: ${CORES:-7}', 3],
  ])('%s', (line, cores) => {
    expect(read(withDefault(line), env).config.defaults.cpu.max).toBe(cores);
  });

  it('are put in after the file has been parsed, so they add nothing to its structure', () => {
    const inject = { X: 'a\nDEFAULT:\n  min_cores: 2', Y: '[100]' };
    const result = parseConfig(withDefault('gotify_token: ${X}'), 'f.yaml', inject);
    expect(result.ok).toBe(false);
    expect(parseConfig(withDefault('ignore_lxc: ${Y}'), 'f.yaml', inject).ok).toBe(false);
  });

  it('can hold several ids, an empty text, a default that is empty', () => {
    const { config } = read(
      withDefault('ignore_lxc: ["${IDS}", 102]', 'gotify_url: ${EMPTY}'),
      env,
    );
    expect(config.ignored).toEqual(only(100, 101, 102));
    expect(config.notify.gotify).toBeUndefined();
    expect(read(withDefault('gotify_url: ${NONE:-}')).config.notify.gotify).toBeUndefined();
  });

  it('leave $ and $${ alone', () => {
    const { config } = read(
      withDefault('gotify_url: http://x', "gotify_token: 'a$b$${CORES}$c'"),
      env,
    );
    expect(config.notify.gotify?.token).toBe('a$b${CORES}$c');
  });

  it('are looked up among the own properties of the environment only', () => {
    const result = parseConfig(withDefault('gotify_token: ${constructor}'), 'f', {});
    expect(result.ok ? '' : result.problems[0]?.message).toMatch(/constructor is not set/);
  });
});
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: the notation of variables.

describe('the configuration', () => {
  it('is frozen through and through', () => {
    const { config } = read(EXISTING);
    const walk = (value: unknown, path: string): void => {
      if (typeof value !== 'object' || value === null) return;
      expect(Object.isFrozen(value), path).toBe(true);
      for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`);
    };
    walk(config, 'config');
  });
});
