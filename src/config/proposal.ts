import { LONGEST_NAME_IN_TABLE } from '../core/guest-words.ts';
import { presetWords } from '../core/policy.ts';
import type { Cores, Mib, Vmid } from '../core/units.ts';
import { LATER, OBSERVE_WORDS } from './edit-mode.ts';
import { PRESET_NAMES, type PresetName, presetOf, suggestPreset } from './presets.ts';
import { printable } from './printable.ts';
import { commentLines, yamlLines } from './yaml-text.ts';

/** From what was measured for a while to a configuration to begin with. Pure. */

/** One running container over the time of measuring. */
export interface Measured {
  readonly vmid: Vmid;
  /** Untrusted text. */
  readonly name: string;
  /** Untrusted text. */
  readonly tags: readonly string[];
  /** `cores:`; undefined: all of the host. */
  readonly cores: number | undefined;
  readonly memoryMib: Mib;
  /** undefined if no two samples could be compared. */
  readonly cpu: { readonly mean: Cores; readonly peak: Cores; readonly allowed: Cores } | undefined;
  /** Its working set; undefined if it could not be read. */
  readonly memory: { readonly mean: Mib; readonly peak: Mib } | undefined;
}

export interface MeasuredHost {
  readonly cpus: number;
  readonly memoryMib: Mib;
}

type Setting = readonly [key: string, value: string];

export interface ProposedTier {
  readonly name: string;
  /** What its containers have in common. */
  readonly why: string;
  readonly members: readonly Measured[];
  readonly settings: readonly Setting[];
}

export interface Proposal {
  readonly host: MeasuredHost;
  readonly settings: readonly Setting[];
  readonly tiers: readonly ProposedTier[];
  /** Containers that are in no tier. */
  readonly others: readonly Measured[];
}

const BUSY_PEAK = 0.8;
const BUSY_MEAN = 0.6;
const FULL = 0.75;
const IDLE_PEAK = 0.2;
const IDLE_MEAN = 0.05;
const IDLE_MEMORY = 0.4;

type Kind = 'busy' | 'full' | 'idle' | 'other';

/** What a container did, as shares of what it has. Nothing measured makes it an ordinary one. */
function kindOf({ cpu, memory, memoryMib }: Measured): Kind {
  if (cpu === undefined || memory === undefined || memoryMib <= 0) return 'other';
  const [mean, peak] = [cpu.mean / cpu.allowed, cpu.peak / cpu.allowed];
  const filled = memory.peak / memoryMib;
  if (peak >= BUSY_PEAK || mean >= BUSY_MEAN) return 'busy';
  if (filled >= FULL) return 'full';
  const rests = mean < IDLE_MEAN && peak < IDLE_PEAK && filled < IDLE_MEMORY;
  return rests ? 'idle' : 'other';
}

const RESERVED_SHARE = 0.1;
const LEAST_RESERVE_MIB = 1024;
const MOST_RESERVE_MIB = 8192;
const USUAL_MIN_MIB = 512;
const USUAL_MAX_CORES = 8;
const LEAST_MEMORY_MIB = 128;
/** What `pct set --memory` takes at least, and the schema too. */
const SMALLEST_MIB = 16;
/** As the schema takes them at most. */
const MOST_CORES = 8192;
const MOST_MIB = 16_777_216;

/**
 * Proposes tiers and limits. No limit is such that a container would have to give something up
 * only because of it; what is idle is left to the thresholds.
 */
export function propose(host: MeasuredHost, measured: readonly Measured[]): Proposal {
  const grantable = Math.max(1, Math.floor(host.cpus * (1 - RESERVED_SHARE)));
  const reserveMib = reserveOf(host.memoryMib);
  const most = { cores: grantable, mib: Math.max(SMALLEST_MIB, host.memoryMib - reserveMib) };
  const { presets, rest } = byPreset(measured);
  const of = (kind: Kind) => rest.filter((one) => kindOf(one) === kind);
  const tiers = [
    ...[...presets].map(([preset, members]) => presetTier(preset, members, host.cpus)),
    busyTier(of('busy'), most.cores, host.cpus),
    fullTier(of('full'), most.mib),
    idleTier(of('idle'), host.cpus),
  ].filter((tier) => tier.members.length > 0);
  const least = Math.min(USUAL_MIN_MIB, ...measured.map(({ memoryMib }) => memoryMib));
  const largest = largestCores(measured, host.cpus);
  return {
    host,
    settings: [
      ['reserve_memory_mb', `${reserveMib}`],
      ['min_memory', `${boundedMib(least)}`],
      ['max_cores', `${boundedCores(Math.max(largest, Math.min(USUAL_MAX_CORES, grantable)))}`],
    ],
    tiers,
    others: of('other'),
  };
}

/** A tenth of the memory, in steps of 256 MiB, and never more than half. */
function reserveOf(memoryMib: number): number {
  const tenth = Math.round((memoryMib * RESERVED_SHARE) / 256) * 256;
  const reserve = Math.min(MOST_RESERVE_MIB, Math.max(LEAST_RESERVE_MIB, tenth));
  return Math.max(0, Math.floor(Math.min(reserve, memoryMib / 2)));
}

const boundedCores = (value: number): number =>
  Math.min(MOST_CORES, Math.max(1, Math.round(value)));
const boundedMib = (value: number): number =>
  Math.min(MOST_MIB, Math.max(SMALLEST_MIB, Math.round(value)));

const largestCores = (members: readonly Measured[], hostCpus: number): number =>
  Math.max(1, ...members.map(({ cores }) => cores ?? hostCpus));
const largestMib = (members: readonly Measured[]): number =>
  Math.max(SMALLEST_MIB, ...members.map(({ memoryMib }) => memoryMib));

/** What runs a known application, by application, and what is left. */
function byPreset(measured: readonly Measured[]) {
  const presets = new Map<PresetName, Measured[]>();
  const rest: Measured[] = [];
  for (const one of measured) {
    const preset = suggestPreset(one)?.preset;
    if (preset === undefined) rest.push(one);
    else presets.set(preset, [...(presets.get(preset) ?? []), one]);
  }
  return { presets, rest };
}

/** A container that has less than the preset's minimum keeps what it has. */
function presetTier(preset: PresetName, members: readonly Measured[], cpus: number): ProposedTier {
  const hows = new Set(members.map((one) => suggestPreset(one)?.how));
  const { min_memory = 0, min_cores = 0 } = presetOf(preset).values;
  const leastMib = Math.min(...members.map(({ memoryMib }) => memoryMib));
  const leastCores = Math.min(...members.map(({ cores }) => cores ?? cpus));
  return {
    name: `TIER_${preset}`,
    members,
    why: `seem to run ${preset}, ${[...hows].join(' and ')}`,
    settings: [
      ['preset', preset],
      ...setting('min_cores', leastCores < min_cores, boundedCores(leastCores)),
      ...setting('min_memory', leastMib < min_memory, boundedMib(leastMib)),
    ],
  };
}

const setting = (key: string, counts: boolean, value: number): Setting[] =>
  counts ? [[key, `${value}`]] : [];

function busyTier(members: readonly Measured[], grantable: number, cpus: number): ProposedTier {
  const largest = largestCores(members, cpus);
  return {
    name: 'TIER_busy',
    members,
    why: 'used nearly all of their CPU, at least for a moment',
    settings: [
      ['scaling_mode', 'boost'],
      ['max_cores', `${boundedCores(Math.max(largest, Math.min(grantable, 2 * largest)))}`],
      ['priority', '70'],
    ],
  };
}

function fullTier(members: readonly Measured[], mostMib: number): ProposedTier {
  const largest = largestMib(members);
  return {
    name: 'TIER_memory',
    members,
    why: 'used three quarters of their memory or more',
    settings: [
      ['memory_upper_threshold', '75'],
      ['max_memory', `${boundedMib(Math.max(largest, Math.min(mostMib, 2 * largest)))}`],
      ['min_memory', `${leastMib(members)}`],
      ['priority', '60'],
    ],
  };
}

function idleTier(members: readonly Measured[], cpus: number): ProposedTier {
  return {
    name: 'TIER_idle',
    members,
    why: 'did next to nothing',
    settings: [
      ['memory_lower_threshold', '30'],
      ['max_cores', `${boundedCores(largestCores(members, cpus))}`],
      ['min_memory', `${leastMib(members)}`],
      ['priority', '30'],
    ],
  };
}

/** A quarter more than the smallest of them used, in steps of 64, and no more than it has. */
function leastMib(members: readonly Measured[]): number {
  const used = Math.min(...members.map(({ memory }) => memory?.peak ?? Infinity));
  const stepped = Math.ceil((used * 1.25) / 64) * 64;
  const smallest = Math.min(...members.map(({ memoryMib }) => memoryMib));
  return boundedMib(Math.min(smallest, Math.max(LEAST_MEMORY_MIB, stepped)));
}

export interface Answers {
  /** Decide and report only. */
  readonly observe: boolean;
  readonly ignored: readonly Vmid[];
  readonly withTiers: boolean;
  /** Scale by what was learnt. */
  readonly adaptive?: boolean;
}

/** The configuration as text. */
export function proposalText(
  proposal: Proposal,
  { observe, ignored, withTiers, adaptive = false }: Answers,
  basis: string,
): string {
  const { host, settings, tiers, others } = proposal;
  const head =
    `Configuration of lxc-autoscale, proposed by \`lxc-autoscale configure\` from ` +
    `${basis} on a host of ${host.cpus} CPUs and ` +
    `${Math.round(host.memoryMib)} MB. ` +
    'What is left out has its default; the sample file and the manual page have every key.';
  const used = withTiers ? tiers : [];
  const left = (one: Measured): boolean => !ignored.includes(one.vmid);
  return `${[
    ...commentLines(head, ''),
    '',
    'DEFAULT:',
    ...modeLines(observe, adaptive ? 'adaptive' : 'threshold'),
    ...commentLines(COMMENTS.ignore_lxc, '  '),
    ...yamlLines('ignore_lxc', ignored.map(String), '  '),
    ...settings.flatMap(([key, value]) => settingLines(key, value, observe)),
    ...containerLines(withTiers ? others.filter(left) : [], '  '),
    ...used.flatMap((tier) => tierLines({ ...tier, members: tier.members.filter(left) }, observe)),
  ].join('\n')}\n`;
}

const COMMENTS: Readonly<Record<string, string>> & { readonly ignore_lxc: string } = {
  ignore_lxc: 'Containers that are ignored: ids, ranges, names with * and ?, tags.',
  reserve_memory_mb: 'The memory, in MiB, that the host keeps for itself.',
  min_memory: 'No container gets less memory than this, in MiB.',
  max_memory: 'No container gets more memory than this, in MiB.',
  max_cores: 'No container gets more cores than this.',
  priority: 'Where memory is scarce, the higher one is served first; 50 in DEFAULT.',
  memory_upper_threshold: 'They get more memory earlier than others (80).',
  memory_lower_threshold: 'They give memory back earlier than others (20).',
  scaling_mode: 'Saturated they get half as many cores again for two minutes.',
};

function modeLines(observe: boolean, active: 'threshold' | 'adaptive'): string[] {
  const said = observe
    ? OBSERVE_WORDS
    : `${active}: containers are changed. observe: evaluated and reported only.`;
  const mode = observe ? 'observe' : active;
  const later = observe && active === 'adaptive' ? [`  ${LATER}scaling_mode: ${active}`] : [];
  return [...commentLines(said, '  '), ...later, ...yamlLines('scaling_mode', mode, '  ')];
}

function settingLines(key: string, value: string, observe: boolean): string[] {
  const comment = key === 'preset' ? presetComment(value) : COMMENTS[key];
  const lines = comment === undefined ? [] : commentLines(comment, '  ');
  // A tier's own mode would stand over the one of DEFAULT, and begin to change its containers.
  if (key !== 'scaling_mode' || !observe) return [...lines, ...yamlLines(key, value, '  ')];
  return [...lines, `  ${LATER}${key}: ${value}`];
}

function presetComment(preset: string): string | undefined {
  const known = PRESET_NAMES.find((name) => name === preset);
  if (known === undefined) return undefined;
  const { values, because } = presetOf(known);
  const gives = Object.entries(values).map(([key, value]) => `${key}: ${value}`);
  return presetWords({ name: `The preset ${known}`, gives, because }).concat('.');
}

function tierLines({ name, why, members, settings }: ProposedTier, observe: boolean): string[] {
  if (members.length === 0) return [];
  const ids = members.map(({ vmid }) => `${vmid}`);
  return [
    '',
    ...commentLines(`Containers that ${why}:`, ''),
    `${name}:`,
    ...containerLines(members, '  '),
    ...yamlLines('lxc_containers', ids, '  '),
    ...settings.flatMap(([key, value]) => settingLines(key, value, observe)),
  ];
}

const containerLines = (members: readonly Measured[], indent: string): string[] =>
  members.flatMap((one) => commentLines(describe(one), indent));

/** What was measured of one container, on one line. */
function describe({ vmid, name, cpu, memory, memoryMib }: Measured): string {
  const amount = (value: number): string => `${Number(value.toFixed(2))}`;
  const cores =
    cpu === undefined
      ? 'no CPU usage'
      : `CPU ${amount(cpu.mean)}, at most ${amount(cpu.peak)} of ${amount(cpu.allowed)} cores`;
  const mib =
    memory === undefined
      ? 'no memory usage'
      : `memory ${Math.round(memory.mean)}, at most ${Math.round(memory.peak)} of ${memoryMib} MB`;
  return `${vmid} ${printable(name, LONGEST_NAME_IN_TABLE)}: ${cores}; ${mib}`;
}
