import type { HostPolicy, Management } from '../core/policy.ts';
import { secondsToMs, type Vmid } from '../core/units.ts';
import type { Config, Members } from './model.ts';

/** Which policy a container gets. */

/** What a policy is chosen by. Only the id counts in this version; names and tags come later. */
export interface Identity {
  readonly vmid: Vmid;
  readonly name: string;
  readonly tags: readonly string[];
}

const includes = (members: readonly Members[], vmid: Vmid): boolean =>
  members.some(({ from, to }) => from <= vmid && vmid <= to);

/** `ignore_lxc` comes first, then the tier that names the container, then `DEFAULT`. */
export function manage(config: Config, { vmid }: Identity): Management {
  if (config.ignoredVmids.has(vmid)) return { kind: 'ignored', because: 'it is in ignore_lxc' };
  const tier = config.tiers.find(({ members }) => includes(members, vmid));
  return { kind: 'managed', policy: tier?.policy ?? config.defaults };
}

/** What the host keeps for itself. */
export const hostPolicy = (config: Config): HostPolicy => config.host;

/** What flags on the command line put over the file. Whoever reads the flags checks them. */
export interface Overrides {
  /** Within `POLL_INTERVAL_SECONDS` of the schema. */
  readonly pollIntervalSeconds?: number | undefined;
  readonly energyMode?: boolean | undefined;
  readonly debug?: boolean | undefined;
}

/** A new frozen configuration; what is not given stays as the file has it. */
export function applyOverrides(config: Config, overrides: Overrides): Config {
  const { pollIntervalSeconds, energyMode, debug } = overrides;
  return Object.freeze({
    ...config,
    pollIntervalMs:
      pollIntervalSeconds === undefined ? config.pollIntervalMs : secondsToMs(pollIntervalSeconds),
    energyMode: energyMode ?? config.energyMode,
    logLevel: debug === true ? ('debug' as const) : config.logLevel,
  });
}
