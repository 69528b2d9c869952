import { countingFile, readConfiguration, SHARED_FILE } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { awayLines, isAway } from '../app/unfit.ts';
import { DEFAULTS } from '../config/defaults.ts';
import type { LoadResult } from '../config/load.ts';
import type { Config } from '../config/model.ts';
import { type ConfigOnNode, onNode } from '../config/on-node.ts';
import { printable } from '../config/printable.ts';
import type { Problem } from '../config/problem.ts';
import { renderProblem } from '../config/problem.ts';
import { hostPolicy, machineWishes, manage, remarksOn } from '../config/resolve.ts';
import { withGiven } from '../core/given.ts';
import { guestInside, LONGEST_NAME_IN_TABLE } from '../core/guest-words.ts';
import { boundsBeyondReach, type HostSize } from '../core/machine-guards.ts';
import type { GuestConfig } from '../core/observation.ts';
import { cpuPin, memoryPin, pinRemark } from '../core/pins.ts';
import { type ContainerPolicy, type CpuUnit, type OfGiven, presetWords } from '../core/policy.ts';
import type { Reading } from '../core/reading.ts';
import { showSyslogAddress } from '../core/syslog-address.ts';
import { percentToRatio } from '../core/units.ts';
import { createCluster } from '../node/local/pve/cluster-files.ts';
import { createGuests } from '../node/local/pve/guests.ts';
import { configuredGuests } from '../node/local/qemu/machine-doors.ts';
import { ALL_MACHINES, LocalMachines } from '../node/local/qemu/machine-guests.ts';
import { probe } from '../os/answering-files.ts';
import { programProblem } from '../os/executable-files.ts';
import { table } from '../output/table.ts';
import type { Arguments } from './arguments.ts';
import { checkGroups, type ProgramProblem, type ReadCluster } from './check-groups.ts';
import {
  type BothKinds,
  type Guests,
  idsElsewhere,
  kindRemarks,
  nameRemarks,
  namesAny,
  patternsUnmatched,
  readable,
} from './check-selectors.ts';
import { hostHere } from './machine-advice.ts';
import { hanging, terminalWidth } from './view.ts';

/** `check-config`: the problems of the file, or what it comes to for each container. */

export type GuestList = Reading<Guests>;

export interface CheckConfigInput {
  readonly loadResult: LoadResult;
  /** The node that these guests are on. */
  readonly node: string;
  /** The node's containers, and the machines that are asked for, from the port `Guests`. */
  readonly guests: GuestList;
  /** undefined: it is not known. */
  readonly host?: HostSize | undefined;
  /** All machines of the node, be they asked for or not. */
  readonly machines?: Guests;
  readonly programProblem: ProgramProblem;
  readonly readCluster: ReadCluster;
  /** In place of containers: this host is no node. */
  readonly away?: readonly string[];
  /** A sentence on which file counts, if there is a choice. */
  readonly which?: string | undefined;
  /** Of the terminal; undefined: nothing is cut or folded. */
  readonly width?: number | undefined;
  /** Writes text to the terminal; lines end in `\n` already. */
  readonly write: (text: string) => void;
}

/** The same on this node. */
export async function checkNode(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { paths, stdout } = context;
  const loadResult = readConfiguration(given, context);
  const code = checkConfig({
    loadResult,
    node: paths.nodeName(),
    guests: guestsOf(context, loadResult),
    host: hostHere(context),
    machines: machinesOf(context),
    programProblem,
    readCluster: () => createCluster(paths).read(),
    ...(loadResult.ok && awayFrom(loadResult.config, context)),
    which: whichFile(given, context),
    width: terminalWidth(context),
    write: (text) => stdout.write(text),
  });
  if (loadResult.ok && loadResult.config.nodes.length > 0) {
    const { nodeLines } = await import('./check-nodes.ts');
    const lines = await nodeLines(loadResult.config, context);
    stdout.write(`${hanging(lines, terminalWidth(context)).join('\n')}\n`);
  }
  return code;
}

const awayFrom = (config: Config, context: ProcessContext) =>
  isAway(config, context) ? { away: awayLines(config) } : {};

/** undefined: there is none that the cluster shares, or a file was named. */
function whichFile({ configFile }: Arguments, { paths }: ProcessContext): string | undefined {
  if (configFile !== undefined) return undefined;
  const { shown, isShared } = countingFile(configFile, paths);
  if (isShared) return `It is ${shown}, which all nodes of the cluster share.`;
  if (probe(paths.at(SHARED_FILE)) !== 'there') return undefined;
  return `It is ${shown}, of this node alone; ${SHARED_FILE} has no effect here.`;
}

/** Containers, and the virtual machines that the configuration or a tag asks for. */
function guestsOf({ paths, clock }: ProcessContext, loadResult: LoadResult): GuestList {
  const machines = new LocalMachines(paths, clock);
  if (loadResult.ok) machines.use(machineWishes(onNode(loadResult.config, paths.nodeName())));
  return configuredGuests(createGuests(paths), machines);
}

function machinesOf({ paths, clock }: ProcessContext): Guests {
  const machines = new LocalMachines(paths, clock);
  machines.use(ALL_MACHINES);
  return machines.configured();
}

/** Prints the answer and returns the exit code: 0, or 78 where the configuration has problems. */
export function checkConfig(input: CheckConfigInput): ExitCode {
  const { loadResult, write } = input;
  const lines = loadResult.ok
    ? resolvedLines(loadResult.config, loadResult.notes, input)
    : problemLines(loadResult.problems);
  write(`${hanging(lines, input.width).join('\n')}\n`);
  return loadResult.ok ? EXIT.fine : EXIT.configuration;
}

function problemLines(problems: readonly Problem[]): string[] {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  return [...problems.map(renderProblem), '', `The configuration has ${count}.`];
}

function resolvedLines(
  whole: Config,
  notes: readonly Problem[],
  {
    node,
    guests,
    host: size,
    machines = new Map(),
    programProblem,
    readCluster,
    away,
    which,
    width,
  }: CheckConfigInput,
): string[] {
  const config = onNode(whole, node);
  const host = hostPolicy(config);
  const reserve = `${percent(host.reserveCpu)} of its CPUs and ${host.reserveMemoryMib} MiB`;
  const every = `every ${config.pollIntervalMs / 1000} seconds`;
  const sampled = `the counters read every ${config.sampleIntervalMs / 1000}`;
  const groups = checkGroups(
    config,
    guests.ok ? guests.value : undefined,
    programProblem,
    readCluster,
  );
  const both = bothKinds(guests, machines);
  const remarks = [
    ...notes.map(renderProblem),
    ...hostRemarks(config, whole, size),
    ...(guests.ok ? containerRemarks(config, guests.value, size) : []),
    ...(guests.ok ? nameRemarks(config, guests.value) : []),
    ...(guests.ok ? kindRemarks(config, both) : []),
    ...groups.remarks,
  ];
  return [
    ...remarks.map((remark) => `Note: ${remark}`),
    ...(remarks.length > 0 ? [''] : []),
    'The configuration is valid.',
    ...(which === undefined ? [] : [which]),
    `A cycle ${every}, ${sampled}; the host keeps ${reserve}.`,
    'Together, guests may be promised at most ' +
      `${amount(host.overcommitRatio)} x the memory left after the reserve. ` +
      `Above ${percent(Math.min(host.emergency, host.mostMemory))} use of the host's memory ` +
      `no container gets more${coresWords(host.mostCpu)}.`,
    offPeakLine(config),
    ...logLines(config),
    '',
    ...(guests.ok
      ? containerLines(config, whole, guests.value, both)
      : (away ?? [unseen(guests.detail)])),
    '',
    'Settings of each policy (+ growing, - shrinking):',
    '',
    ...policyLines(policiesOf(config), width),
    ...presetLines(config),
    ...boostLines(config),
    ...groups.lines,
  ];
}

const bothKinds = (guests: GuestList, machines: Guests): BothKinds => ({
  containers: new Map(guests.ok ? [...guests.value].filter(([vmid]) => !machines.has(vmid)) : []),
  machines,
});

/** Amounts that this host cannot give. Tiers for guests of other nodes are not about it. */
function hostRemarks(config: Config, whole: Config, host: HostSize | undefined): string[] {
  const { reserveMemoryMib } = hostPolicy(config);
  if (host === undefined) return [];
  const hostMib = host.memoryMib;
  const all = `all the memory of the host (${hostMib} MiB)`;
  const reserve =
    reserveMemoryMib < hostMib
      ? []
      : [`reserve_memory_mb: ${reserveMemoryMib} MiB is ${all}, so no guest gets more`];
  const tiers = config.tiers.filter((tier, place) => {
    const everywhere = whole.tiers[place];
    return namesAny(tier) || everywhere === undefined || !namesAny(everywhere);
  });
  const bounds = policiesOf({ ...config, tiers }).flatMap(({ source, memory: { minMib } }) =>
    minMib < hostMib
      ? []
      : [`min_memory of ${printable(source)}: ${minMib} MiB is ${all}, or more; lower it`],
  );
  return [...reserve, ...bounds];
}

/** Only if it differs from the ordinary. */
const coresWords = (mostCpu: number): string =>
  mostCpu === percentToRatio(DEFAULTS.max_cpu_usage_threshold)
    ? ''
    : `; from ${percent(mostCpu)} of its CPUs on, none gets more cores`;

function offPeakLine({
  energyMode,
  offPeakStartHour,
  offPeakEndHour,
  offPeakCron,
  timezone,
}: Config): string {
  if (!energyMode) return 'Off-peak time: none, since energy_mode is off.';
  const when =
    offPeakCron === undefined
      ? `${offPeakStartHour}:00 to ${offPeakEndHour}:00`
      : `${offPeakCron.lastsMs / 60_000} minutes from each '${offPeakCron.expression}' on`;
  return `Off-peak time: ${when}, in the time zone ${timezone ?? 'of the host'}.`;
}

/** Only what differs from the ordinary. */
function logLines({ logLevel, componentLogLevels, logSyslog }: Config): string[] {
  const syslog = logSyslog === undefined ? '' : `; also to ${showSyslogAddress(logSyslog)}`;
  const components = Object.entries(componentLogLevels).map(
    ([component, level]) => `in ${component} from ${level} on`,
  );
  if (components.length === 0 && logSyslog === undefined) return [];
  return [`Log: ${[`from ${logLevel} on`, ...components].join(', ')}${syslog}.`];
}

const unseen = (detail: string): string =>
  `No containers could be seen: ${printable(detail, 200)}.`;

const policiesOf = ({ defaults, tiers }: Config): readonly ContainerPolicy[] => [
  defaults,
  ...tiers.map(({ policy }) => policy),
];

function containerRemarks(
  config: ConfigOnNode,
  guests: Guests,
  host: HostSize | undefined,
): string[] {
  return readable(guests).flatMap((guest) =>
    [...remarksOn(config, guest), ...pinRemarks(config, guest, host)].map(
      (remark) =>
        `${guestInside(guest)} (${printable(guest.name, LONGEST_NAME_IN_TABLE)}) ${remark}`,
    ),
  );
}

/** Raw lines that take a resource out of our hands. */
function pinRemarks(
  config: ConfigOnNode,
  guest: GuestConfig,
  host: HostSize | undefined,
): readonly string[] {
  const management = withGiven(manage(config, guest), guest, undefined);
  if (management.kind === 'ignored' || guest.template) return [];
  const { policy } = management;
  const { cpu, only } = policy;
  const { unit } = cpu;
  if (guest.reaches !== undefined) {
    const beyond = host === undefined ? [] : boundsBeyondReach(guest, policy, host);
    return [...reachRemarks(guest, unit, only), ...beyond];
  }
  const pins = [
    only === 'memory' ? undefined : cpuPin(guest, unit),
    only === 'cores' ? undefined : memoryPin(guest),
  ];
  return pins.flatMap((pin) => (pin === undefined ? [] : [pinRemark(pin, unit)]));
}

/** What of a machine only changes at its next start, with what to do about it. */
const reachRemarks = (
  guest: GuestConfig,
  unit: CpuUnit,
  only: ContainerPolicy['only'],
): readonly string[] =>
  ([unit === 'cores' ? 'cores' : 'cpuLimit', 'memoryMib'] as const).flatMap((lever) => {
    const reach = guest.reaches?.[lever];
    const isAsked = only === undefined || (only === 'memory') === (lever === 'memoryMib');
    if (!isAsked || reach?.kind !== 'fixed') return [];
    const what = lever === 'memoryMib' ? 'memory' : 'CPU';
    return [`is not scaled in ${what}: ${reach.why}. Remedy: ${reach.remedy}`];
  });

function containerLines(
  config: ConfigOnNode,
  whole: Config,
  guests: Guests,
  both: BothKinds,
): string[] {
  if (guests.size === 0) return ['There are no containers on this node.'];
  const sorted = [...guests].sort(([a], [b]) => a - b);
  const rows = sorted.map(([vmid, guest]) =>
    containerCells(config, both.machines.has(vmid) ? `${vmid} VM` : `${vmid}`, guest),
  );
  const elsewhere = idsElsewhere(config, both);
  const unmatched = patternsUnmatched(config, whole, both);
  return [
    ...table([CONTAINER_HEAD, ...rows]),
    ...(elsewhere.length + unmatched.length > 0 ? [''] : []),
    ...(elsewhere.length > 0 ? [`Not on this node: ${elsewhere.join(', ')}.`] : []),
    ...(unmatched.length > 0 ? [`No guest matches: ${unmatched.join(', ')}.`] : []),
  ];
}

const CONTAINER_HEAD = ['VMID', 'NAME', 'POLICY', 'MODE', 'WHY'];

function containerCells(config: ConfigOnNode, id: string, guest: Reading<GuestConfig>): string[] {
  const ignored = (name: string, why: string) => [id, name, '-', 'ignored', why];
  if (!guest.ok) {
    return ignored('-', `its configuration cannot be read (${printable(guest.detail, 200)})`);
  }
  const { template, lock } = guest.value;
  const name = printable(guest.value.name, LONGEST_NAME_IN_TABLE);
  const management = manage(config, guest.value);
  if (management.kind === 'ignored') return ignored(name, management.because);
  if (template) return ignored(name, 'it is a template');
  const { policy, mode, because } = management;
  // The sentence begins with the policy, which has a column of its own here.
  const why = because.replace(`${policy.source}, `, '');
  const waits = lock === undefined ? '' : ` (waits: lock ${printable(lock, 20)})`;
  return [id, name, printable(policy.source, LONGEST_NAME_IN_TABLE), mode, `${why}${waits}`];
}

const POLICY_HEAD = [
  'POLICY',
  'SCALING',
  'CORES',
  'CPU',
  'STEP',
  'MEMORY MiB',
  'MEMORY',
  'STEPS',
  'TIMES',
  'COOLDOWN s',
  'PERIODS',
  'GRACE s',
  'HOLD s',
  'PRIORITY',
];

/** A table if it fits, else a paragraph for each policy. */
function policyLines(
  policies: readonly ContainerPolicy[],
  width: number | undefined,
): readonly string[] {
  const rows = policies.map(policyCells);
  const lines = table([POLICY_HEAD, ...rows]);
  if (width === undefined || lines.every((line) => line.length <= width)) return lines;
  return rows.map(([name, ...cells]) => {
    const words = cells.map((cell, place) => `${POLICY_HEAD[place + 1]} ${cell}`);
    return `${name}: ${words.join(', ')}`;
  });
}

function policyCells(policy: ContainerPolicy): string[] {
  const { source, scaling, cpu, memory, stepFactor, timing, priority, only } = policy;
  return [
    printable(source, LONGEST_NAME_IN_TABLE),
    only === undefined ? scaling : `${scaling}, ${only === 'cores' ? 'CPU' : 'memory'} only`,
    `${boundsOf(cpu.ofGiven, cpu.min, cpu.max)}${cpu.unit === 'cpulimit' ? ' cpulimit' : ''}`,
    `${amount(cpu.band.lower * 100)}-${percent(cpu.band.upper)}`,
    `${cpu.minIncrement}-${cpu.maxIncrement}`,
    boundsOf(memory.ofGiven, memory.minMib, memory.maxMib ?? 'host') +
      (memory.mayUseSwap ? ' +swap' : ''),
    `${amount(memory.band.lower * 100)}-${percent(memory.band.upper)}`,
    `+${memory.minIncrementMib} -${memory.minDecreaseMib}`,
    `x${stepFactor}`,
    `+${timing.cooldownUpMs / 1000} -${timing.cooldownDownMs / 1000}`,
    `+${timing.periodsUp} -${timing.periodsDown}`,
    `${timing.startGraceMs / 1000}`,
    `${timing.manualHoldMs / 1000}`,
    `${priority}`,
  ];
}

/** What sections have of a preset, and why. */
function presetLines(config: Config): string[] {
  const lines = policiesOf(config).flatMap(({ source, preset }) => {
    const name = printable(source, LONGEST_NAME_IN_TABLE);
    return preset === undefined ? [] : [`Preset of ${name}: ${presetWords(preset)}.`];
  });
  return lines.length > 0 ? ['', ...lines] : [];
}

/** How the sections boost that do. */
function boostLines(config: Config): string[] {
  const lines = policiesOf(config).flatMap(({ source, scaling, boost }) => {
    if (scaling !== 'boost') return [];
    const { saturation, consecutiveSamples, factor, fallbackFactor, durationMs } = boost;
    const when = `from ${percent(saturation)} on in ${consecutiveSamples} samples in a row`;
    const otherwise = `or x ${amount(fallbackFactor)} where that does not fit`;
    const what = `cores x ${amount(factor)}, ${otherwise}`;
    const name = printable(source, LONGEST_NAME_IN_TABLE);
    return [`Boost of ${name}: ${when}, ${what}, for ${durationMs / 1000} s.`];
  });
  return lines.length > 0 ? ['', ...lines] : [];
}

/** Without the tail of digits that a share has in binary. */
const amount = (value: number): string => `${Number(value.toFixed(6))}`;
const percent = (share: number): string => `${amount(share * 100)} %`;

/** A bound that each container has another number of is shown as it was written. */
function boundsOf(shares: OfGiven | undefined, least: number, most: number | string): string {
  const shown = (share: number | undefined, bound: number | string): string => {
    if (share === undefined) return `${bound}`;
    return share === 1 ? 'configured' : percent(share);
  };
  return `${shown(shares?.min, least)}-${shown(shares?.max, most)}`;
}
