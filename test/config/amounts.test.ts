import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { toAmount, type Unit } from '../../src/config/read-values.ts';
import { fc } from '../fast-check.ts';

describe('a number with a unit', () => {
  it.each<[string, Unit, unknown]>([
    ['512', 'MiB', 512],
    ['4G', 'MiB', 4096],
    ['4 GiB', 'MiB', 4096],
    ['1.5g', 'MiB', 1536],
    ['512M', 'MiB', 512],
    ['524288K', 'MiB', 512],
    ['1t', 'MiB', 1_048_576],
    ['90', 'seconds', 90],
    ['5m', 'seconds', 300],
    ['1h', 'seconds', 3600],
    ['1h30m', 'seconds', 5400],
    ['2 days', 'seconds', 172_800],
    ['90 min', 'minutes', 90],
    ['2h', 'minutes', 120],
    ['1w', 'days', 7],
    ['48h', 'days', 2],
    ['80%', 'percent', 80],
    ['80.5 %', 'percent', 80.5],
    ['22:00', 'hours', 22],
    ['06:00', 'hours', 6],
    ['7h', 'hours', 7],
    // What is none is handed back.
    ['', 'seconds', ''],
    [' ', 'MiB', ' '],
    ['m', 'seconds', 'm'],
    ['5', '', 5],
    ['5m', '', '5m'],
    ['5m', 'percent', '5m'],
    ['5%', 'seconds', '5%'],
    ['4G', 'seconds', '4G'],
    ['5m', 'hours', '5m'],
    ['22:30', 'hours', '22:30'],
    ['1h30', 'seconds', '1h30'],
    ['-5m', 'seconds', '-5m'],
    ['0x5m', 'seconds', '0x5m'],
    ['5 constructor', 'seconds', '5 constructor'],
  ])('%j in %s is %j', (text, unit, value) => {
    expect(toAmount(text, unit)).toBe(value);
  });

  it('is never made of a text without digits, nor of one that goes on', () => {
    const units = fc.constantFrom<Unit>(
      '',
      'MiB',
      'seconds',
      'minutes',
      'days',
      'hours',
      'percent',
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 12 }), units, (text, unit) => {
        const value = toAmount(text, unit);
        if (!/[0-9]/.test(text)) expect(value).toBe(text);
        if (typeof value === 'number') expect(Number.isFinite(value)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  it('stands wherever a number does that is counted in something', () => {
    const text = [
      'DEFAULT: {poll_interval: 5m, sample_interval: 15s, reserve_memory_mb: 2G, min_memory: 1G,',
      '  max_memory: 4G, manual_hold_seconds: 1h, cooldown_seconds: {up: 0, down: 10m},',
      '  cpu_upper_threshold: 85%, host_emergency_percent: 97 %, saturation_threshold: 95%,',
      '  energy_mode: True, off_peak_start: "22:00", off_peak_end: "06:00", backups_keep_days: 2w,',
      '  log_max_size_mb: 1G, boost_duration: 2m}',
    ].join('\n');
    const loaded = parseConfig(`${text}\n`, 'f', {});
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.config).toMatchObject({
      pollIntervalMs: 300_000,
      sampleIntervalMs: 15_000,
      offPeakStartHour: 22,
      offPeakEndHour: 6,
      backupsKeepMs: 14 * 86_400_000,
      logRotation: { maxBytes: 1024 ** 3 },
      host: { reserveMemoryMib: 2048, emergency: 0.97 },
      defaults: {
        cpu: { band: { upper: 0.85 } },
        memory: { minMib: 1024, maxMib: 4096 },
        timing: { manualHoldMs: 3_600_000, cooldownUpMs: 0, cooldownDownMs: 600_000 },
        boost: { saturation: 0.95, durationMs: 120_000 },
      },
    });
  });

  it.each([
    ['min_memory: 1.1G', /is not a whole number/],
    ['off_peak_start: "22:30"', /is not a whole number.*write full hours/],
    ['saturation_threshold: 0.95%', /is too low/],
    ['min_memory: 4Q', /units are K, M, G or T/],
    ['poll_interval: 2G', /units are s, m, h or d/],
    ['max_cores: 4G', /write the number alone, without a unit/],
  ])('%s is refused, with the units that there are', (line, message) => {
    const loaded = parseConfig(`DEFAULT:\n  ${line}\n`, 'f', {});
    expect(loaded.ok ? '' : loaded.problems[0]?.message).toMatch(message);
  });
});
