import type { Config } from '../../src/config/model.ts';
import { onNode } from '../../src/config/on-node.ts';
import { manage } from '../../src/config/resolve.ts';
import type { HostObservation } from '../../src/core/observation.ts';
import type { ContainerPolicy } from '../../src/core/policy.ts';
import type { VirtualNode, VirtualSet } from '../../src/sim/virtual-node.ts';

/** What must hold after every cycle, whatever the scenario. */

/** A sentence: what happened, when, to whom. */
export type Broken = string;

interface Before {
  /** How many changes had been asked for when the cycle began. */
  readonly sets: number;
  readonly host: HostObservation;
}

const TOTAL = 'the host as a whole';

export function brokenBy(node: VirtualNode, config: Config, before: Before): Broken[] {
  const fresh = node.sets.slice(before.sets);
  if (fresh.length === 0) return [];
  const broken: Broken[] = [];
  for (const set of fresh) {
    const who = `${set.request.vmid} at ${Math.round(set.atMs / 1000)} s`;
    for (const what of brokenByOne(node, config, set)) broken.push(`${who}: ${what}`);
  }
  for (const what of brokenByAll(node, config, fresh, before)) broken.push(`${TOTAL}: ${what}`);
  return broken;
}

function brokenByOne(node: VirtualNode, config: Config, set: VirtualSet): Broken[] {
  const { request, before, heldMib } = set;
  const management = manage(onNode(config, 'pve1'), before);
  if (management.kind === 'ignored') return ['changed though it is ignored'];
  if (management.mode === 'observe') return ['changed though it is only to be observed'];
  if (before.lock !== undefined) return [`changed though it is locked (${before.lock})`];
  const { cpu, memory } = management.policy;
  const broken: Broken[] = [];
  const check = (what: string | undefined): void => {
    if (what !== undefined) broken.push(what);
  };
  const { cores, cpuLimit, memoryMib } = request;
  const hostCpus = node.plant.host.cpus;
  check(outside('cores', before.cores ?? hostCpus, cores, cpu.min, cpu.max));
  check(outside('cpulimit', before.cpuLimit ?? hostCpus, cpuLimit, cpu.min, cpu.max));
  const maxMib = memory.maxMib ?? node.plant.host.memoryMib;
  check(outside('memory', before.memoryMib, memoryMib, memory.minMib, maxMib));
  if (memoryMib !== undefined && memoryMib < before.memoryMib && memoryMib < heldMib) {
    broken.push(`memory of ${memoryMib} MiB, while it holds ${Math.round(heldMib)}`);
  }
  check(upThenDown(node, set, management.policy));
  return broken;
}

/** Out of bounds, but for a step that leads back towards them. */
function outside(
  what: string,
  from: number,
  to: number | null | undefined,
  min: number,
  max: number,
): string | undefined {
  if (typeof to !== 'number') return undefined;
  const wrong = (to < min && to <= from) || (to > max && to >= from);
  return wrong ? `${what} ${from} -> ${to}, outside ${min}..${max}` : undefined;
}

type Kind = 'cores' | 'cpuLimit' | 'memoryMib';

const KINDS: readonly Kind[] = ['cores', 'cpuLimit', 'memoryMib'];
/** Steps down that are no change of mind. */
const OF_ITS_OWN: ReadonlySet<unknown> = new Set(['boost-end', 'host-emergency', 'off-peak']);

const stepOf = ({ request, before }: VirtualSet, kind: Kind, hostCpus: number): number => {
  const to = request[kind];
  if (to === undefined) return 0;
  const all = kind === 'memoryMib' ? 0 : hostCpus;
  return (to ?? all) - (before[kind] ?? all);
};

/** Taken back within the cooldown after it was given. */
function upThenDown(
  node: VirtualNode,
  set: VirtualSet,
  policy: ContainerPolicy,
): Broken | undefined {
  const { cpus } = node.plant.host;
  for (const kind of KINDS) {
    if (stepOf(set, kind, cpus) >= 0 || OF_ITS_OWN.has(ruleOf(node, set, kind))) continue;
    const ups = node.sets.filter(
      (other) =>
        other.request.vmid === set.request.vmid &&
        other.atMs < set.atMs &&
        other.outcome?.kind === 'done' &&
        stepOf(other, kind, cpus) > 0,
    );
    const up = ups.at(-1);
    const sinceMs = set.atMs - (up?.atMs ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < policy.timing.cooldownDownMs) {
      return `${kind} went up and came down again within ${Math.round(sinceMs / 1000)} s`;
    }
  }
  return undefined;
}

function ruleOf(node: VirtualNode, set: VirtualSet, kind: Kind): unknown {
  const resource = kind === 'memoryMib' ? 'memory' : 'cores';
  const event = node.events.find(
    (one) =>
      one.kind === 'change' &&
      one.vmid === set.request.vmid &&
      one.atMs >= set.atMs &&
      one.resource === resource &&
      one.details.status !== 'dry-run' &&
      one.details.status !== 'observed',
  );
  return event?.details['rule'];
}

function brokenByAll(
  node: VirtualNode,
  { host }: Config,
  fresh: readonly VirtualSet[],
  before: Before,
): Broken[] {
  const given = fresh
    .filter(({ outcome }) => outcome?.kind === 'done')
    .map((set) => Math.max(0, stepOf(set, 'memoryMib', 0)))
    .reduce((sum, step) => sum + step, 0);
  const { memory } = before.host;
  if (given === 0 || !memory.ok) return [];
  const { availableMib, totalMib } = memory.value;
  const broken: Broken[] = [];
  const free = availableMib - host.reserveMemoryMib;
  if (given > free) {
    broken.push(`${given} MiB handed out, and ${Math.round(free)} were free above the reserve`);
  }
  let limits = 0;
  for (const vmid of node.machine.vmids()) {
    if (node.machine.running(vmid) !== undefined) limits += node.config(vmid)?.memoryMib ?? 0;
  }
  const most = (totalMib - host.reserveMemoryMib) * host.overcommitRatio;
  if (limits > most) broken.push(`limits of ${limits} MiB in all, and ${most} are allowed`);
  return broken;
}
