import { isEmpty, LEVERS, roundCpuLimit } from '../../core/allocation.ts';
import type { GuestConfig } from '../../core/observation.ts';
import { KEYS_THAT_ARE_SET, MACHINE_KEYS, memoryKeys, stillPending } from '../../core/pending.ts';
import type { Vmid } from '../../core/units.ts';
import type { SetRequest } from '../port.ts';
import { areNotes, NO_NOTES } from './lxc-change.ts';

/** What is asked of a virtual machine, in the words that `qm set` and the API have in common. */

/** Source: qm(1). */
const MOST_CPU_LIMIT = 128;

export type MachineChange =
  | { readonly ok: true; readonly settings: ReadonlyMap<string, string> }
  /** Why it is not asked for: it would not be live, or be refused. */
  | { readonly ok: false; readonly why: string };

/** The arguments of `qm set`. */
export const qmArguments = (vmid: Vmid, settings: ReadonlyMap<string, string>): string[] => [
  'set',
  String(vmid),
  ...[...settings].flatMap(([key, value]) => [`--${key}`, value]),
];

/**
 * One change that brings about all of a request. Nothing is asked for that would only take effect
 * at the next start.
 *
 * @param config as it is now, with the digest of the request
 */
export function machineChange(config: GuestConfig, request: SetRequest): MachineChange {
  const { digest, revert, notes } = request;
  const no = (why: string): MachineChange => ({ ok: false, why });
  const { reaches } = config;
  if (reaches === undefined) return no('it is no virtual machine');
  if (!/^[0-9a-f]{40}$/.test(digest)) return no('the digest of the configuration is not a SHA-1');
  const settings = new Map<string, string>();
  const whole = (): MachineChange => ({ ok: true, settings: settings.set('digest', digest) });
  if (revert !== undefined) {
    const keys = stillPending(config, revert).filter((key) => KEYS_THAT_ARE_SET.has(key));
    if (keys.length === 0 || !isEmpty(request)) return no('there is nothing to revert');
    settings.set('revert', keys.join(','));
    return whole();
  }
  if (notes !== undefined) {
    if (!isEmpty(request) || !areNotes(notes)) return no(NO_NOTES);
    if (notes === '') settings.set('delete', 'description');
    else settings.set('description', notes);
    return whole();
  }
  if (isEmpty(request)) return no('nothing is to be changed');
  for (const lever of LEVERS) {
    const value = request[lever];
    if (value === undefined) continue;
    const reach = reaches[lever];
    if (reach.kind === 'fixed') return no(reach.why);
    const isRemoved = value === null && lever === 'cpuLimit';
    // More than it has CPUs is no use, and yet what an administrator may have set.
    const max = lever === 'cpuLimit' ? MOST_CPU_LIMIT : reach.max;
    const isUnplugged = lever === 'memoryMib' && request.unplugs && value === reach.unpluggedTo;
    if (!isRemoved && !isUnplugged && !isWithin(value, { ...reach, max })) {
      return no(`${MACHINE_KEYS[lever]} must be from ${reach.min} to ${max}, not ${value}`);
    }
  }
  const { cores, cpuLimit, memoryMib } = request;
  if (cpuLimit === null) settings.set('delete', 'cpulimit');
  if (typeof cores === 'number') settings.set('vcpus', String(cores));
  if (typeof cpuLimit === 'number') settings.set('cpulimit', String(roundCpuLimit(cpuLimit)));
  if (memoryMib !== undefined) {
    for (const key of memoryKeys(config, memoryMib)) settings.set(key, String(memoryMib));
  }
  return whole();
}

const isWithin = (
  value: number | null,
  { min, max }: { readonly min: number; readonly max: number },
): boolean => value !== null && value >= min && value <= max;
