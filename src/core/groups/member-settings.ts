import { type Allocation, isSameValue, LEVERS, type Lever } from '../allocation.ts';
import { memberDescription } from './description.ts';
import type { GroupPolicy } from './group-policy.ts';
import type { GroupGuest } from './group-view.ts';
import { memberNets } from './net-lines.ts';
import type { ConfigureStep } from './step.ts';

/** Tags by which a container steers this program; a member is scaled as its source is. */
const STEERING = /^autoscale(-|$)/;
/** Limits that a member begins with: what its source has now, and not what its snapshot had. */
const LIMITS = ['cores', 'cpulimit', 'cpuunits', 'memory', 'swap'] as const;

export const hostnameOf = ({ label }: GroupPolicy, vmid: number): string => `${label}-${vmid}`;

/**
 * What makes a clone a member. `pct clone` copies tags, onboot, limits, description and the static
 * address; each is set here on purpose, in one `pct set`. `protection` is lifted only where the
 * clone has it of its source: any other was set by somebody who wants to keep the container.
 */
export function configured(
  policy: GroupPolicy,
  clone: GroupGuest,
  source: GroupGuest | undefined,
  address: string | undefined,
): ConfigureStep {
  const set = new Map<string, string>([
    ['hostname', hostnameOf(policy, clone.vmid)],
    ['description', memberDescription(policy)],
    ['tags', memberTags(policy, source ?? clone).join(';')],
    ['onboot', '1'],
  ]);
  const remove: string[] = [];
  if (policy.startOrder !== undefined) set.set('startup', `order=${policy.startOrder}`);
  else if (clone.settings.has('startup')) remove.push('startup');
  if (clone.protection && source?.protection === true) remove.push('protection');
  for (const [key, line] of memberNets(clone.nets, policy.network, address)) {
    set.set(key, line);
  }
  for (const key of LIMITS) {
    const value = source?.settings.get(key);
    if (value !== undefined) set.set(key, value);
    else if (source !== undefined && key !== 'memory' && clone.settings.has(key)) remove.push(key);
  }
  return { kind: 'configure', vmid: clone.vmid, digest: clone.digest, set, remove };
}

const KEYS: Readonly<Record<Lever, (typeof LIMITS)[number]>> = {
  cores: 'cores',
  cpuLimit: 'cpulimit',
  memoryMib: 'memory',
};

/** The keys of those limits, of what this program scales, that a member was to get and lacks. */
export function lackingLimits(
  { set, remove }: Pick<ConfigureStep, 'set' | 'remove'>,
  has: Allocation,
): readonly string[] {
  const isLacking = (lever: Lever): boolean => {
    const text = set.get(KEYS[lever]);
    if (text === undefined) return remove.includes(KEYS[lever]) && has[lever] !== null;
    // `cpulimit: 0` is none.
    const value = lever === 'cpuLimit' && Number(text) === 0 ? null : Number(text);
    return !isSameValue(lever, has[lever], value);
  };
  return LEVERS.filter(isLacking).map((lever) => KEYS[lever]);
}

function memberTags(policy: GroupPolicy, { tags }: GroupGuest): readonly string[] {
  const steering = tags.filter((tag) => STEERING.test(tag) && !tag.startsWith('autoscale-group-'));
  return [...new Set([policy.tag, ...steering])];
}
