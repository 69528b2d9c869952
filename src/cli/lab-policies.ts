import { parseConfig } from '../config/load.ts';
import type { Config } from '../config/model.ts';
import { onNode } from '../config/on-node.ts';
import { manage } from '../config/resolve.ts';
import type { ContainerPolicy } from '../core/policy.ts';
import { mib, parseVmid, type Vmid } from '../core/units.ts';
import { classic, oracle, pythonTool, unscaled } from '../lab/baselines.ts';
import { daemonPolicy } from '../lab/daemon-policy.ts';
import { type Bounds, boundsOf, type Demand, TRACE_BOUNDS } from '../lab/demand.ts';
import type { LabPolicy } from '../lab/replay.ts';
import { vpa } from '../lab/vpa.ts';

/** The policies that can be compared, by name, and the bounds within which they move. */

const BASELINES: readonly LabPolicy[] = [classic, pythonTool, vpa, unscaled, oracle];

/** The daemon's own, with the value of `behaviour` that they stand for. */
const OWN = {
  threshold: { scaling: 'threshold', stepFactor: undefined },
  boost: { scaling: 'boost', stepFactor: undefined },
  adaptive: { scaling: 'adaptive', stepFactor: undefined },
  'adaptive-conservative': { scaling: 'adaptive', stepFactor: 0.5 },
  'adaptive-aggressive': { scaling: 'adaptive', stepFactor: 2 },
} as const;

/** As the configuration has each container. */
const CONFIGURED = 'configured';

export const POLICY_NAMES: readonly string[] = [
  ...BASELINES.map(({ name }) => name),
  ...Object.keys(OWN),
  CONFIGURED,
];

export interface Contest {
  readonly policies: readonly LabPolicy[];
  readonly bounds: Bounds;
}

/**
 * @param config undefined: the defaults, within the bounds that traces are scored with
 * @param names undefined: all of them
 */
export function contestOf(config: Config | undefined, names: readonly string[]): Contest {
  const wanted = names.length > 0 ? names : usualNames(config !== undefined);
  const policies = wanted.flatMap((name) => {
    const baseline = BASELINES.find((one) => one.name === name);
    return baseline ?? ownPolicy(name, config);
  });
  return { policies, bounds: boundsIn(config) };
}

const usualNames = (configured: boolean): readonly string[] =>
  POLICY_NAMES.filter((name) => configured || name !== CONFIGURED);

function ownPolicy(name: string, config: Config | undefined): LabPolicy {
  const own = Object.entries(OWN).find(([key]) => key === name)?.[1];
  const { maxMib } = boundsIn(config);
  const usual = config === undefined ? usualPolicy() : undefined;
  return daemonPolicy(name, (demand) => {
    const policy = config === undefined ? usual : policyOf(config, demand);
    if (policy === undefined) return undefined;
    const { memory } = policy;
    const bounded = { ...policy, memory: { ...memory, maxMib: memory.maxMib ?? mib(maxMib) } };
    if (own === undefined) return bounded;
    const stepFactor = own.stepFactor ?? policy.stepFactor;
    return { ...bounded, scaling: own.scaling, stepFactor };
  });
}

/** An id that no container has: one of a trace is found by its name. */
const NOBODY = 0 as Vmid;
/** A trace is of no node that a configuration could name. */
const NO_NODE = '';

/** What a container of a trace would be managed by: its name is its id, or else its host name. */
function policyOf(config: Config, { name }: Demand): ContainerPolicy | undefined {
  const vmid = parseVmid(name) ?? NOBODY;
  const management = manage(onNode(config, NO_NODE), { vmid, name, tags: [] });
  return management.kind === 'managed' ? management.policy : undefined;
}

/** The policy of a configuration that sets nothing. */
function usualPolicy(): ContainerPolicy | undefined {
  const defaults = parseConfig('DEFAULT:\n', 'defaults', {});
  return defaults.ok ? defaults.config.defaults : undefined;
}

const boundsIn = (config: Config | undefined): Bounds =>
  config === undefined ? TRACE_BOUNDS : boundsOf(config.defaults);
