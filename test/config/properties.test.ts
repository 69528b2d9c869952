import { describe, expect, it } from 'vitest';
import { KEYS as ALL_KEYS } from '../../src/config/keys.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/model.ts';
import { onNode } from '../../src/config/on-node.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { manage } from '../../src/config/resolve.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import { parseVmid } from '../../src/core/units.ts';
import { fc } from '../fast-check.ts';

const KEYS = Object.values(ALL_KEYS).flatMap((one) => Object.keys(one));

const UNFIT = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e]|\p{Cs}/u;

/** What holds of every result, whatever the text was. */
function checkResult(text: string, result: ReturnType<typeof parseConfig>): void {
  const remarks = result.ok ? result.notes : result.problems;
  if (!result.ok) expect(result.problems.length).toBeGreaterThan(0);
  const lines = text.split(/\r\n|\r|\n/).length;
  for (const remark of remarks) {
    expect(renderProblem(remark)).not.toMatch(UNFIT);
    if (remark.line !== undefined) {
      expect(remark.line).toBeGreaterThanOrEqual(1);
      expect(remark.line).toBeLessThanOrEqual(lines + 1);
    }
  }
  if (result.ok) checkConfig(result.config);
}

function expectBetween(value: number, min: number, max: number): void {
  expect(value).toBeGreaterThanOrEqual(min);
  expect(value).toBeLessThanOrEqual(max);
}

function checkPolicy({ cpu, memory, timing, priority, boost }: ContainerPolicy): void {
  for (const { lower, upper } of [cpu.band, memory.band]) {
    expect(lower).toBeGreaterThanOrEqual(0);
    expect(lower).toBeLessThan(upper);
    expect(upper).toBeLessThanOrEqual(1);
  }
  expect(cpu.min).toBeGreaterThanOrEqual(cpu.unit === 'cores' ? 1 : 0.1);
  expect(cpu.min).toBeLessThanOrEqual(cpu.max);
  expect(cpu.minIncrement).toBeLessThanOrEqual(cpu.maxIncrement);
  expect(memory.minMib).toBeGreaterThanOrEqual(16);
  expect(memory.minMib).toBeLessThanOrEqual(memory.maxMib ?? Number.POSITIVE_INFINITY);
  const { cooldownUpMs, cooldownDownMs, periodsUp, periodsDown, startGraceMs } = timing;
  const spans = [cooldownUpMs, cooldownDownMs, startGraceMs, timing.firstShrinkMs];
  for (const ms of spans) expectBetween(ms, 0, 86_400_000);
  for (const periods of [periodsUp, periodsDown]) expectBetween(periods, 1, 60);
  expectBetween(priority, 1, 100);
  const whole = [memory.minMib, periodsUp, periodsDown, priority, boost.consecutiveSamples];
  expect(whole.every(Number.isInteger)).toBe(true);
  const inCores = [cpu.min, cpu.max, cpu.minIncrement, cpu.maxIncrement];
  if (cpu.unit === 'cores') expect(inCores.every(Number.isInteger)).toBe(true);
  for (const value of inCores) expect(Number(value.toFixed(1))).toBe(value);
  expectBetween(boost.saturation, 0.5, 1);
  expectBetween(boost.factor, 1, 10);
  expect(boost.fallbackFactor).toBeGreaterThan(1);
  expect(boost.fallbackFactor).toBeLessThanOrEqual(boost.factor);
  expectBetween(boost.durationMs, 10_000, 86_400_000);
  expectBetween(timing.manualHoldMs, 0, 2_592_000_000);
}

function checkConfig(config: Config): void {
  for (const policy of [config.defaults, ...config.tiers.map((tier) => tier.policy)]) {
    checkPolicy(policy);
  }
  expectBetween(config.host.overcommitRatio, 0.5, 10);
  expectBetween(config.host.emergency, 0.5, 1);
  expectBetween(config.offPeakCron?.lastsMs ?? 60_000, 60_000, 604_800_000);
  expectBetween(config.pollIntervalMs, 1000, 86_400_000);
  expectBetween(config.sampleIntervalMs, 1000, Math.min(3_600_000, config.pollIntervalMs));
  const paths = [config.logFile, config.jsonLogFile, config.lockFile, config.backupDir];
  expect(new Set(paths).size).toBe(4);
  expect(paths.every((path) => path.startsWith('/'))).toBe(true);
}

const scalar = fc.oneof(
  fc.integer({ min: -5, max: 200 }).map(String),
  fc.double({ noNaN: true }).map(String),
  fc.constantFrom('{up: 1}', '{up: 2, down: x}', '{down: 60, up: 1}', '{up: {}}', 'web-*', 'tag:a'),
  fc.constantFrom('0.5', '1.5', 'cpulimit', 'strict', 'observe', '0 22 * * 1-5', '1 2 31 4 *'),
  fc.constantFrom('', '~', 'yes', 'off', 'normal', 'True', '"100,101"', '[100, 101]', '{a: 1}'),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the notation of variables.
  fc.constantFrom('|\n    100', '"1\\n"', '${A}', '${B:-2}', '${', '*x', '&x 5', '/a/b', '0x10'),
  fc.string({ maxLength: 8 }),
);
const line = fc
  .tuple(fc.constantFrom(...KEYS, '<<', 'max_coers', 'x'), scalar)
  .map(([key, value]) => `  ${key}: ${value}`);
const section = fc
  .tuple(
    fc.constantFrom('DEFAULT', 'TIER_1', 'TIER_2', 'HORIZONTAL_SCALING_GROUP_1', 'DEFAULTS', 'y'),
    fc.array(line, { maxLength: 6 }),
  )
  .map(([name, lines]) => [`${name}:`, ...lines].join('\n'));
const almostConfig = fc.array(section, { maxLength: 4 }).map((parts) => `${parts.join('\n')}\n`);

describe('parseConfig, on any text', () => {
  it.each([
    ['random characters', fc.string({ unit: 'binary', maxLength: 200 }), 500],
    [
      'characters of YAML',
      fc.string({ unit: fc.constantFrom(...'aD:- \n#[]{},&*!|>"\'%@~<$T_') }),
      800,
    ],
    ['almost a configuration', almostConfig, 1500],
  ])('%s: it gives a result, with lines that exist, fit to print', (_name, text, numRuns) => {
    const env = { A: '3' };
    fc.assert(
      fc.property(text, (made) => checkResult(made, parseConfig(made, 'f', env))),
      { numRuns },
    );
  });

  it('never shows a token, wherever the file is broken around it', () => {
    const token = fc.stringMatching(/^[a-z0-9*!&@%"'{[|>-][a-z0-9]{11,20}$/);
    const form = fc.constantFrom<(token: string) => string>(
      (t) => `  gotify_token: ${t}`,
      (t) => `  gotify_token:${t}`,
      (t) => `  gotify_token: ${t} ${t}`,
      (t) => `  gotify_token: ${t}: 5`,
      (t) => `  gotify_token: [${t}]`,
      (t) => `  gotify_token: {a: ${t}}`,
      (t) => `  gotify_token: "${t}\\n"`,
      (t) => `  gotify_token: ${t}\n  gotify_token: ${t}`,
      (t) => `  gotify_url: http://u:${t}@h/ /`,
      (t) => `  gotify_url: ${t}`,
      // biome-ignore-start lint/suspicious/noTemplateCurlyInString: the notation of variables.
      () => '  max_cores: ${SECRET}',
      () => '  ignore_lxc: [100, "${SECRET}"]',
      () => '  log_file: ${SECRET}/x',
      () => '  behaviour: ${SECRET}',
      () => '  timezone: ${SECRET}',
      () => '  energy_mode: a${SECRET}',
      // biome-ignore-end lint/suspicious/noTemplateCurlyInString: the notation of variables.
    );
    const around = fc.constantFrom('  max_cores: x', '  bad', ' x: 1', '\tx: 1', '  a: "', '');
    fc.assert(
      fc.property(token, form, around, around, (secret, write, before, after) => {
        const text = ['DEFAULT:', before, write(secret), after, ''].join('\n');
        const result = parseConfig(text, 'f', { SECRET: secret });
        const remarks = result.ok ? result.notes : result.problems;
        expect(remarks.map(renderProblem).join('\n')).not.toContain(secret.slice(1));
      }),
      { numRuns: 2000 },
    );
  });
});

const ordered = (min: number, max: number) =>
  fc
    .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
    .map(([a, b]) => (a < b ? { low: a, high: b } : { low: b, high: a + 1 }));

const container = fc.record({
  cpu: ordered(0, 99),
  memory: ordered(0, 99),
  increment: ordered(1, 50),
  cores: ordered(1, 8000),
  memoryMib: ordered(16, 100_000),
  cooldown: fc.record({ up: fc.nat(86_390), down: fc.nat(86_400) }),
  periods: fc.integer({ min: 1, max: 60 }),
  boost: fc.record({
    factor: fc.integer({ min: 2, max: 10 }),
    samples: fc.integer({ min: 1, max: 60 }),
  }),
  scaling: fc.constantFrom('threshold', 'boost', 'adaptive', 'observe'),
  swap: fc.boolean(),
  unit: fc.constantFrom('cores', 'cpulimit'),
  behaviour: fc.constantFrom('conservative', 'Normal', 'AGGRESSIVE'),
});
type Container = typeof container extends fc.Arbitrary<infer T> ? T : never;

/** A number of cores as it is written: in tenths where the unit allows them. */
const inUnit = (c: Container, value: number): number =>
  c.unit === 'cpulimit' ? value / 10 : value;

const lines = (c: Container): string[] => [
  `  cpu_lower_threshold: ${c.cpu.low}`,
  `  cpu_upper_threshold: '${c.cpu.high}'`,
  `  memory_upper_threshold: ${c.memory.high}.0`,
  `  memory_lower_threshold: ${c.memory.low}`,
  `  core_min_increment: ${inUnit(c, c.increment.low)}`,
  `  core_max_increment: ${inUnit(c, c.increment.high)}`,
  `  max_cores: ${inUnit(c, c.cores.high)}`,
  `  min_cores: ${inUnit(c, c.cores.low)}`,
  `  min_memory: ${c.memoryMib.low}`,
  `  max_memory: ${c.memoryMib.high}`,
  `  behaviour: ${c.behaviour}`,
  `  cooldown_seconds: {down: ${c.cooldown.down}, up: ${c.cooldown.up}}`,
  `  evaluation_periods: ${c.periods}`,
  `  first_shrink_seconds: ${c.cooldown.up}`,
  `  start_grace_seconds: ${c.cooldown.up}`,
  `  priority: ${c.periods}`,
  `  cpu_unit: ${c.unit}`,
  `  scaling_mode: ${c.scaling}`,
  `  shrink_into_swap: ${c.swap}`,
  `  manual_hold_seconds: ${c.cooldown.down}`,
  `  saturation_threshold: ${50 + c.boost.factor}`,
  `  consecutive_samples: ${c.boost.samples}`,
  `  boost_factor: ${c.boost.factor}`,
  `  boost_fallback_factor: ${c.boost.factor - 0.5}`,
  `  boost_duration: ${c.cooldown.up + 10}`,
];

const FACTORS: Readonly<Record<string, number>> = { conservative: 0.5, normal: 1, aggressive: 2 };

const meant = (c: Container, source: string) => ({
  source,
  cpu: {
    band: { lower: c.cpu.low / 100, upper: c.cpu.high / 100 },
    unit: c.unit,
    minIncrement: inUnit(c, c.increment.low),
    maxIncrement: inUnit(c, c.increment.high),
    min: inUnit(c, c.cores.low),
    max: inUnit(c, c.cores.high),
    raises: source !== 'DEFAULT' || inUnit(c, c.cores.low) !== 1,
  },
  memory: {
    band: { lower: c.memory.low / 100, upper: c.memory.high / 100 },
    minIncrementMib: 512,
    minDecreaseMib: 512,
    minMib: c.memoryMib.low,
    maxMib: c.memoryMib.high,
    mayUseSwap: c.swap,
    raises: source !== 'DEFAULT' || c.memoryMib.low !== 512,
  },
  stepFactor: FACTORS[c.behaviour.toLowerCase()],
  timing: {
    cooldownUpMs: c.cooldown.up * 1000,
    cooldownDownMs: c.cooldown.down * 1000,
    periodsUp: c.periods,
    periodsDown: c.periods,
    startGraceMs: c.cooldown.up * 1000,
    firstShrinkMs: c.cooldown.up * 1000,
    manualHoldMs: c.cooldown.down * 1000,
  },
  scaling: c.scaling,
  boost: {
    saturation: (50 + c.boost.factor) / 100,
    consecutiveSamples: c.boost.samples,
    factor: c.boost.factor,
    fallbackFactor: c.boost.factor - 0.5,
    durationMs: (c.cooldown.up + 10) * 1000,
  },
  priority: c.periods,
});

describe('parseConfig, on a valid file', () => {
  it('gives what was meant, and each container its own policy', () => {
    const ids = fc.uniqueArray(fc.integer({ min: 100, max: 400 }), { minLength: 3, maxLength: 30 });
    fc.assert(
      fc.property(container, container, ids, fc.boolean(), (base, tier, all, quoted) => {
        const [ignored = 0, ...rest] = all;
        const list = rest.map((id) => (quoted ? `'${id}'` : `${id}`)).join(', ');
        const text = [
          'TIER_a:',
          ...lines(tier),
          `  lxc_containers: [${list}]`,
          'DEFAULT:',
          ...lines(base),
          `  ignore_lxc: ${ignored}`,
        ].join('\n');
        const result = parseConfig(text, 'f', {});
        if (!result.ok) throw new Error(result.problems.map(renderProblem).join('\n'));
        checkConfig(result.config);
        for (let id = 100; id <= 400; id++) {
          const vmid = parseVmid(`${id}`);
          if (vmid === undefined) throw new Error('no id');
          const got = manage(onNode(result.config, 'pve1'), { vmid, name: '', tags: [] });
          if (id === ignored) expect(got.kind).toBe('ignored');
          else if (got.kind !== 'managed') throw new Error('ignored');
          else if (rest.includes(id)) expect(got.policy).toBe(result.config.tiers[0]?.policy);
          else expect(got.policy).toBe(result.config.defaults);
        }
        expect(result.config.defaults).toEqual(meant(base, 'DEFAULT'));
        expect(result.config.tiers[0]?.policy).toEqual(meant(tier, 'TIER_a'));
      }),
      { numRuns: 60 },
    );
  });
});

describe('tiers that overlap', () => {
  const range = fc
    .tuple(fc.integer({ min: 100, max: 160 }), fc.nat(6))
    .map(([from, more]) => ({ from, to: from + more }));
  const tiers = fc.array(fc.array(range, { maxLength: 4 }), { minLength: 2, maxLength: 4 });

  it('are found exactly where a container is in two of them', () => {
    fc.assert(
      fc.property(tiers, (made) => {
        const text = made
          .map((ranges, n) => {
            const list = ranges.map(({ from, to }) => (from === to ? from : `${from}-${to}`));
            return `TIER_${n}:\n  lxc_containers: [${list.join(', ')}]\n`;
          })
          .join('');
        const owners = (id: number) =>
          made.filter((ranges) => ranges.some(({ from, to }) => from <= id && id <= to)).length;
        const shared = Array.from({ length: 100 }, (_, n) => 100 + n).some((id) => owners(id) > 1);
        expect(parseConfig(text, 'f', {}).ok).toBe(!shared);
      }),
      { numRuns: 500 },
    );
  });
});
