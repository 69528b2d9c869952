import { parseConfig } from '../../src/config/load.ts';
import type { DemandModel } from '../../src/core/demand-model.ts';
import {
  coresForecast,
  type Learning,
  learnCores,
  learnMemory,
  memoryForecast,
} from '../../src/core/learning.ts';
import type { CpuUsage, MemoryUsage } from '../../src/core/observation.ts';
import { type Cores, type Mib, milliseconds, ratio } from '../../src/core/units.ts';
import { classic } from '../../src/lab/baselines.ts';
import { daemonPolicy } from '../../src/lab/daemon-policy.ts';
import { type Demand, TRACE_BOUNDS } from '../../src/lab/demand.ts';
import type { LabPolicy } from '../../src/lab/replay.ts';
import { trial } from '../../src/lab/trial.ts';
import { vpa } from '../../src/lab/vpa.ts';

/** CPU time, since other processes may share the machine. */
function microsecondsOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** How fast the lab replays (goal: a million container-steps a minute); what a decision costs. */

const CONTAINERS = 50;
const STEPS = 2000;

export function benchLab(): readonly string[] {
  const demands = Array.from({ length: CONTAINERS }, (_, index) => demandOf(index));
  const policies = [classic, vpa, daemon('threshold'), daemon('adaptive')];
  for (const policy of policies) trial(demands.slice(0, 2), policy, TRACE_BOUNDS);
  const replays = policies.map((policy) => {
    const whole = microsecondsOf(() => trial(demands, policy, TRACE_BOUNDS));
    const microseconds = whole / (CONTAINERS * STEPS);
    const perMinute = (60 / microseconds).toFixed(1);
    const each = microseconds.toFixed(1).padStart(6);
    return `replay ${policy.name.padEnd(10)} ${each} us a step: ${perMinute} million a minute`;
  });
  return [...replays, ...forecasts()];
}

function demandOf(index: number): Demand {
  const values = Float64Array.from({ length: STEPS }, (_, step) => {
    const noise = Math.abs(Math.sin(step * 12.9898 + index * 78.233) * 43_758.5453) % 1;
    return 1 + Math.sin(step / 46) + noise * (1 + (index % 5));
  });
  return { name: `c${index}`, stepS: 300, cpu: values, memory: values.map((one) => one * 900) };
}

function daemon(mode: string): LabPolicy {
  const loaded = parseConfig(`DEFAULT: {scaling_mode: ${mode}, max_memory: 16384}\n`, 'x.yaml', {});
  if (!loaded.ok) throw new Error('the configuration of the benchmark is wrong');
  const { defaults } = loaded.config;
  return daemonPolicy(mode, () => defaults);
}

const ROUNDS = 20_000;
const learning = (): Learning => ({ model: undefined });

/** Learning and forecasting alone (goal: under 20 us and 4 KB a container). */
function forecasts(): readonly string[] {
  const all = { cores: learning(), memory: learning() };
  const { cpu, memory } = demandOf(3);
  const whole = microsecondsOf(() => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const wallMs = (round + 1) * 300_000;
      const used = cpuAt(cpu[round % STEPS] ?? 0);
      const mib = memoryAt(memory?.[round % STEPS] ?? 0);
      learnCores(all.cores, used, wallMs);
      learnMemory(all.memory, mib, mib.workingSetMib, wallMs);
      const ask = { has: 8, min: 1, max: 8, quantum: 1, stepFactor: 1 };
      coresForecast(all.cores, used, ask);
      const range = { has: 8192, min: 512, max: 16_384, quantum: 16, stepFactor: 1 };
      memoryForecast(all.memory, { used: mib.workingSetMib, peak: mib.workingSetMib }, range, 0);
    }
  });
  const each = whole / ROUNDS;
  const held = [all.cores, all.memory].flatMap(({ model }) => model ?? []);
  const bytes = held.reduce((sum, model) => sum + bytesOf(model), 0);
  return [`learning and forecast, both resources: ${each.toFixed(1)} us, ${bytes} bytes held`];
}

const bytesOf = ({ recent, hours, week, tails, day, foretold }: DemandModel): number =>
  [recent, hours, week, tails, day, foretold].reduce((sum, each) => sum + each.byteLength, 14 * 8);

const cpuAt = (used: number): CpuUsage => ({
  used: used as Cores,
  demand: used as Cores,
  allowed: 8 as Cores,
  pressure: undefined,
  overMs: milliseconds(300_000),
  throttled: ratio(0),
});

const memoryAt = (used: number): MemoryUsage => {
  const none = 0 as Mib;
  return {
    workingSetMib: used as Mib,
    currentMib: used as Mib,
    activeFileMib: none,
    cacheMib: none,
    swapMib: none,
    lockedMib: none,
    limitMib: 8192 as Mib,
    newOomKills: 0,
    newLimitHits: 0,
    newOtherKills: { nested: 0, byHost: 0 },
    nearLimit: false,
    slabMib: none,
    refaultMibPerS: 0,
    swapGrowthMib: none,
    pressure: undefined,
  };
};
