import type { GuestConfig, Pin } from './observation.ts';
import { visibleText } from './plain-text.ts';
import type { CpuUnit } from './policy.ts';

/** Raw `lxc.*` lines of a configuration that overrule what this program would set. */

/** Both as version 1 of cgroups called it and as version 2 does. */
const PINNING: Readonly<Record<string, Pin['what']>> = {
  'cpuset.cpus': 'cpuset',
  'cpu.max': 'quota',
  'cpu.cfs_quota_us': 'quota',
  'cpu.cfs_period_us': 'quota',
  'memory.max': 'memory',
  'memory.high': 'memory',
  'memory.limit_in_bytes': 'memory',
  'memory.memsw.limit_in_bytes': 'memory',
};

/** What a raw line with this key overrules; undefined: nothing that this program sets. */
export const pinnedBy = (key: string): Pin['what'] | undefined =>
  PINNING[/^lxc\.cgroup2?\.(.*)$/.exec(key)?.[1] ?? ''];

/**
 * The line that keeps a container's CPU from being scaled. Under a cpuset of its own a cpulimit
 * works as ever, while pvestatd takes such a container out of its hands, so that `cores` never
 * comes into force. A quota of its own holds it back whatever else is set.
 */
export const cpuPin = (guest: GuestConfig, unit: CpuUnit): Pin | undefined =>
  first(guest, 'quota') ?? (unit === 'cores' ? first(guest, 'cpuset') : undefined);

export const memoryPin = (guest: GuestConfig): Pin | undefined => first(guest, 'memory');

/** Whether which CPUs it has is none of Proxmox VE's business, and so not what `cores` says. */
export const hasOwnCpuset = (guest: GuestConfig): boolean => first(guest, 'cpuset') !== undefined;

/** Whether its cpulimit is not what the kernel goes by. */
export const hasOwnQuota = (guest: GuestConfig): boolean => first(guest, 'quota') !== undefined;

/** Asked for every container in every cycle, of which hardly any has such a line. */
const first = ({ pins }: GuestConfig, what: Pin['what']): Pin | undefined =>
  pins.length === 0 ? undefined : pins.find((pin) => pin.what === what);

/** A sentence without its full stop, for a container of which nothing else is known. */
export function pinRemark(pin: Pin, unit: CpuUnit): string {
  const what = pin.what === 'memory' ? 'memory' : 'CPU';
  const offer = pin.what === 'cpuset' && unit === 'cores' ? `; ${CPULIMIT_WORKS}` : '';
  return `has the line ${quoted(pin.line)}, so its ${what} is not scaled${offer}`;
}

export const CPULIMIT_WORKS = '`cpu_unit: cpulimit` works beside such a line';

export const quoted = (line: string): string => `"${visibleText(line)}"`;
