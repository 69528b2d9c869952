import type { Random } from './random.ts';
import type { Rule } from './stepped-daemon.ts';

/** What reads and writes meet, by chance. */

export type RuleDraft = Omit<Rule, 'id'> & { readonly name: string };

const CGROUP = [
  'cpu\\.stat',
  'cpuset\\.cpus',
  'cpu\\.pressure',
  'memory\\.current',
  'memory\\.max',
  'memory\\.stat',
  'memory\\.events',
  'memory\\.swap\\.current',
  'memory\\.pressure',
  'cpu\\.max',
  '',
  'memory\\..*',
  '.*',
] as const;

const ELSEWHERE = [
  '^proc/stat$',
  '^proc/meminfo$',
  '^proc/pressure/',
  '^sys/devices/system/cpu/online$',
  '^proc/sys/kernel/random/boot_id$',
  '^etc/hostname$',
  '^etc/pve/\\.vmlist$',
  '^etc/pve/\\.version$',
  '^etc/pve/nodes/pve1/lxc/\\d+\\.conf$',
  '^etc/pve/nodes/pve1/lxc$',
  '^etc/pve',
  '^proc/',
  '^sys/',
  '^etc/lxc_autoscale/',
  '^var/lib/lxc_autoscale/state',
  '^var/lib/lxc_autoscale/',
  '^var/log/',
  '^var/lock',
  '',
] as const;

const OF_MACHINES = [
  '^etc/pve/\\.rrd$',
  '^etc/pve/nodes/pve1/qemu-server/\\d+\\.conf$',
  '^proc/locks$',
  '^sys/fs/cgroup/qemu\\.slice$',
] as const;

const READ_ERRORS = ['ENOENT', 'EIO', 'EACCES', 'EMFILE', 'ENODEV', 'ESTALE'] as const;

const MAKES = [
  'empty',
  'cut',
  'last byte off',
  'minus',
  'two to the 64th less one',
  'max',
  'back',
  'zero',
  'a hundredfold',
  'fractions',
  'garbage',
  'lines end in CRLF',
  'twice',
  'null bytes',
  'a megabyte more',
  'out of date',
  'out of date',
] as const;

/** What is read wrong and looks right: no reader of that one file could know. */
export const LIES: ReadonlySet<string> = new Set(['out of date', 'back', 'zero', 'a hundredfold']);

const WRITTEN = [
  '^var/log/lxc_autoscale\\.log',
  '^var/log/lxc_autoscale\\.json',
  '^var/log/',
  '^var/lib/lxc_autoscale/state',
  '^var/lib/lxc_autoscale/backups',
  '^var/lib/',
  '^var/lib/lxc_autoscale/usage',
  '^var/lock',
  '^var/',
  'memory\\.reclaim',
  '^run/',
  '',
] as const;

const WRITE_ERRORS = ['ENOSPC', 'EROFS', 'EIO', 'EDQUOT', 'EACCES'] as const;

const SPAWN_ERRORS = ['ENOENT', 'EACCES', 'EAGAIN', 'ENOMEM'] as const;

function drawPath(random: Random, { containers, machines = [] }: Guests): string {
  const ofMachine = machines.length > 0 && random.chance(0.5);
  if (!random.chance(0.6)) return random.pick(ofMachine ? OF_MACHINES : ELSEWHERE);
  const file = random.pick(CGROUP);
  const place = ofMachine
    ? `qemu\\.slice/${random.pick(machines)}\\.scope`
    : `lxc/${random.pick(containers)}`;
  return `^sys/fs/cgroup/${place}${file === '' ? '' : `/${file}`}$`;
}

function drawRead(random: Random, guests: Guests): RuleDraft {
  const path = drawPath(random, guests);
  const left = random.pick([1, 1, 3, null]);
  if (random.chance(0.4)) {
    const error = random.pick(READ_ERRORS);
    return { name: `read: ${error}`, kind: 'read', path, left, action: { error } };
  }
  const make = random.pick(MAKES);
  return { name: `read: ${make}`, kind: 'read', path, left, action: { make } };
}

function drawWrite(random: Random): RuleDraft {
  const path = random.pick(WRITTEN);
  const left = random.pick([1, 1, 2, 5, null]);
  if (path === 'memory\\.reclaim' && random.chance(0.5)) {
    return { name: 'write: EAGAIN', kind: 'write', path, left, action: { error: 'EAGAIN' } };
  }
  const error = random.pick(WRITE_ERRORS);
  const half = random.chance(0.3);
  const short = half && random.chance(0.3);
  const name = short
    ? 'write: half, as a short count'
    : `write: ${half ? 'half, then ' : ''}${error}`;
  const action = { ...(half && { half }), ...(!short && { error }) };
  const calls = half ? { call: '^(write|appendFile|handle\\.write)' } : {};
  return { name, kind: 'write', path, left, action, ...calls };
}

function drawSpawn(random: Random): RuleDraft {
  const error = random.pick(SPAWN_ERRORS);
  const left = random.pick([1, 2]);
  return { name: `spawn: ${error}`, kind: 'command', path: '', left, action: { error } };
}

/** Those whose files are read. */
export interface Guests {
  readonly containers: readonly number[];
  readonly machines?: readonly number[];
}

export function drawFileFault(random: Random, guests: Guests): RuleDraft {
  const kind = random.next();
  if (kind < 0.55) return drawRead(random, guests);
  return kind < 0.92 ? drawWrite(random) : drawSpawn(random);
}
