import { describe, expect } from 'vitest';
import { KEYS as ALL_KEYS } from '../../src/config/keys.ts';
import { parseConfig } from '../../src/config/load.ts';
import { migrate } from '../../src/config/migrate.ts';
import { onNode } from '../../src/config/on-node.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { manage } from '../../src/config/resolve.ts';
import { vmid } from '../core/builders.ts';
import { fc } from '../fast-check.ts';
import { damagedText, fuzz, NASTY, UNFIT, UNFIT_IN_LINES } from './fuzz.ts';

/** Configurations that somebody has broken, by accident or on purpose. */

const SAMPLE = `DEFAULT:
  poll_interval: 60
  cpu_upper_threshold: 80
  cooldown_seconds: {up: 0, down: 300}
  ignore_lxc: [104, 120-139, "web-*", tag:db]
  off_peak_cron: '0 22 * * 1-5'
  off_peak_minutes: 480
  energy_mode: yes
  timezone: Europe/Rome
  gotify_url: https://push.example.org
  gotify_token: tok3n-tok3n-tok3n
  webhook_body: '{"text": "{{title}}"}'
  notify_quiet_hours: {ntfy: 22-7}
  metrics_listen: 127.0.0.1:9732
  log_file: /var/log/lxc_autoscale.log
TIER_web: &tier
  lxc_containers: 100, 101
  min_cores: 1
  max_cores: 4
  max_memory: 4096
TIER_other:
  <<: *tier
  lxc_containers: [102]
HORIZONTAL_SCALING_GROUP_web:
  source: 110
  lxc_containers: [111-113]
  clone_network_type: static
  static_ip_range: [10.0.0.5, 10.0.0.20]
  on_ready: [/usr/local/bin/ready, "{vmid}"]
`;
const SMALL = 'DEFAULT: {poll_interval: 5}\n';
const MOST_PROBLEMS = 201;
const LONGEST_MESSAGE = 10_000;

/** What holds of every result: bounded, fit to be shown, and no number that cannot be. */
function checkConfig(text: string): void {
  const result = parseConfig(text, 'f', { HOME: '/nowhere' });
  const remarks = result.ok ? result.notes : result.problems;
  expect(result.ok || remarks.length > 0).toBe(true);
  expect(remarks.length).toBeLessThanOrEqual(MOST_PROBLEMS);
  for (const remark of remarks) {
    const line = renderProblem(remark);
    expect(line).not.toMatch(UNFIT);
    expect(line.length).toBeLessThan(LONGEST_MESSAGE);
  }
  if (!result.ok) return;
  const { config } = result;
  for (const policy of [config.defaults, ...config.tiers.map((tier) => tier.policy)]) {
    const { cpu, memory } = policy;
    expect(cpu.min > 0 && cpu.min <= cpu.max && cpu.max <= 8192).toBe(true);
    expect(memory.minMib >= 16 && memory.minMib <= (memory.maxMib ?? Infinity)).toBe(true);
    expect(cpu.band.lower < cpu.band.upper && memory.band.lower < memory.band.upper).toBe(true);
  }
  expect(config.pollIntervalMs).toBeGreaterThanOrEqual(1000);
  expect(config.logFile.startsWith('/') && !config.logFile.includes('/../')).toBe(true);
  for (const { onReady, onTerminating } of config.groups) {
    for (const [program] of [onReady, onTerminating]) {
      expect(program ?? '/').toMatch(/^\//);
    }
  }
  manage(onNode(config, 'pve1'), { vmid: vmid(101), name: 'web-1', tags: ['db'] });
}

const KEYS = Object.values(ALL_KEYS).flatMap((one) => Object.keys(one));
const SECTIONS = ['DEFAULT', 'TIER_1', 'TIER_web', 'HORIZONTAL_SCALING_GROUP_1', '__proto__', 'x'];

/** Values of any depth below keys that are right: JSON, which is YAML too. */
const anyValue = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...NASTY) },
  { weight: 3, arbitrary: fc.constantFrom<unknown>(0, 1, -1, 1e21, 2 ** 53, 0.1, true, null) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  {
    weight: 1,
    arbitrary: fc.array(fc.constantFrom(...NASTY, '100', '120-139', 'tag:a'), { maxLength: 5 }),
  },
);
const structure = fc
  .array(
    fc.tuple(
      fc.constantFrom(...SECTIONS),
      fc.array(fc.tuple(fc.constantFrom(...KEYS, ...NASTY), anyValue), { maxLength: 6 }),
    ),
    { maxLength: 4 },
  )
  .map((sections) => {
    const inside = sections.map(([name, pairs]) => {
      const keys = pairs.map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
      return `${JSON.stringify(name)}: {${keys.join(', ')}}`;
    });
    return `{${inside.join(', ')}}`;
  });

const GRAMMAR = [
  'DEFAULT:',
  'TIER_a:',
  '\n',
  '\n  ',
  '\n    ',
  '\t',
  ' ',
  '- ',
  '? ',
  ': ',
  ', ',
  '#',
  '---',
  '&a',
  '*a',
  '<<: *a',
  '[',
  ']',
  '{',
  '}',
  '|',
  '>',
  '"',
  "'",
  '!!binary',
  '!x',
  '%',
  '...',
  'max_cores',
  'poll_interval',
  'ignore_lxc',
  '1',
  '-',
  '100',
  'yes',
  '~',
  '1e999',
  '\u2028',
];

describe('a configuration, whatever it holds, gives a result', () => {
  fuzz('damaged', 400, damagedText(SAMPLE, SMALL), checkConfig);
  fuzz('of any structure', 400, structure, checkConfig);
  fuzz(
    'of the words of YAML in any order',
    1500,
    fc.array(fc.constantFrom(...GRAMMAR), { maxLength: 40 }).map((words) => words.join('')),
    checkConfig,
  );
});

const INI = `; made by hand
[DEFAULT]
poll_interval = 300
min_cores =
reserve_cpu_percent = 10         # for the host
behaviour = Normal
ignore_lxc = 104, 105
energy_mode = False
gotify_token = tok3n-tok3n
off_peak_start = 22

# the web tier
[TIER_1]
nodes = 100, 101,102
cpu_upper_threshold = 90
[TIER_2]
lxc_containers = 103
   104
min_memory = 1GB
[HORIZONTAL_SCALING_GROUP_1]
base_snapshot_name = 101
static_ip_range = ["192.168.1.10", "192.168.1.20"]
`;
const OLD_YAML = `DEFAULTS:
  poll_interval: 300   # seconds
  ignore_lxc:
    - "104"  # backup
    - 105
  energy_mode: true
TIER_A:
  nodes: [100, 101]
  min_memory: 512M
`;

describe('an old configuration, whatever it holds, gives a result', () => {
  fuzz('damaged', 300, damagedText(INI, OLD_YAML), (text) => {
    const result = migrate(text, 'old.conf', {});
    if (!result.ok) {
      expect(result.message.length).toBeLessThan(LONGEST_MESSAGE);
      return;
    }
    expect(result.text).not.toMatch(UNFIT_IN_LINES);
    expect(result.text.length).toBeLessThan(20_000 + 20 * text.length);
    for (const { key, why } of result.lines) expect(`${key}${why}`).not.toMatch(UNFIT);
    // What comes out is a configuration that the program takes.
    const loaded = parseConfig(result.text, 'new.yaml', {});
    if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join('\n'));
  });
});
