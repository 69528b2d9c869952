import { type Answer, type Arguments, answer, failure, isTrue } from './command-line.ts';
import {
  copySection,
  decodeText,
  descriptionLines,
  digestOf,
  type GuestConf,
  newSection,
} from './guest-conf.ts';
import { type CommandContext, lockedAnswer, withConf, withLock } from './pct-context.ts';

/** The `pct` commands for snapshots and disks; those of rollback and resize were not recorded. */

/** `22:52:42` and the day before it, in the node's own time zone, which is UTC. */
const timeText = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');

function treeRow(depth: number, name: string, time: string, description: string): string {
  const prefix = `${' '.repeat(depth)}\`->`;
  const width = Math.max(0, 30 - prefix.length);
  return `${prefix} ${name.padEnd(width)} ${time.padEnd(23)} ${description}\n`;
}

function treeBelow(conf: GuestConf, parent: string | undefined, depth: number): string {
  let text = '';
  for (const name of [...conf.snapshots.keys()].sort()) {
    const section = conf.snapshots.get(name);
    if (section === undefined || section.values.get('parent') !== parent) continue;
    const time = timeText(Number(section.values.get('snaptime') ?? 0));
    const [first] = section.description;
    const description = first === undefined ? 'no-description' : decodeText(first);
    text += treeRow(depth, name, time, description) + treeBelow(conf, name, depth + 1);
  }
  if (conf.main.values.get('parent') !== parent) return text;
  return text + treeRow(depth, 'current', '', 'You are here!');
}

export function listsnapshot(context: CommandContext, args: Arguments): Answer {
  return withConf(context, args.vmid, (conf) => answer(treeBelow(conf, undefined, 0)));
}

const diskName = (conf: GuestConf): string =>
  /([\w-]+)(?:\.\w+)?(?:,|$)/.exec(
    (conf.main.values.get('rootfs') ?? '').split(':')[1] ?? '',
  )?.[1] ?? '';

/** Directory storages have no snapshots. */
const canSnapshot = (conf: GuestConf): boolean =>
  !(conf.main.values.get('rootfs') ?? '').startsWith('local:');

export async function snapshot(context: CommandContext, args: Arguments): Promise<Answer> {
  const name = args.values[1] ?? '';
  return withLock(context, args.vmid, () =>
    withConf(context, args.vmid, (conf) => {
      const refused = lockedAnswer(conf);
      if (refused !== undefined) return refused;
      if (conf.snapshots.has(name)) return failure(255, `snapshot name '${name}' already used\n`);
      if (!canSnapshot(conf)) return failure(255, 'snapshot feature is not available\n');
      const section = copySection(conf.main);
      const description = args.options.get('description');
      section.description =
        description === undefined ? [] : descriptionLines(description, context.utf8);
      section.values.set('snaptime', `${context.machine.wallS}`);
      conf.snapshots.set(name, section);
      conf.main.values.set('parent', name);
      context.machine.save(args.vmid, conf);
      return answer(`  Logical volume "snap_${diskName(conf)}_${name}" created.\n`);
    }),
  );
}

export async function delsnapshot(context: CommandContext, args: Arguments): Promise<Answer> {
  const name = args.values[1] ?? '';
  return withLock(context, args.vmid, () =>
    withConf(context, args.vmid, (conf) => {
      const refused = lockedAnswer(conf);
      if (refused !== undefined) return refused;
      const section = conf.snapshots.get(name);
      if (section === undefined) return failure(255, `snapshot '${name}' does not exist\n`);
      const parent = section.values.get('parent');
      conf.snapshots.delete(name);
      for (const { values } of [conf.main, ...conf.snapshots.values()]) {
        if (values.get('parent') !== name) continue;
        if (parent === undefined) values.delete('parent');
        else values.set('parent', parent);
      }
      context.machine.save(args.vmid, conf);
      return answer(`  Logical volume "snap_${diskName(conf)}_${name}" successfully removed.\n`);
    }),
  );
}

/**
 * What runs is stopped first. The description stays, and what was pending goes. Source:
 * `snapshot_rollback` of PVE::AbstractConfig.
 */
export async function rollback(context: CommandContext, args: Arguments): Promise<Answer> {
  const name = args.values[1] ?? '';
  const { machine } = context;
  return withLock(context, args.vmid, () =>
    withConf(context, args.vmid, (conf) => {
      const section = conf.snapshots.get(name);
      const no = whyNoRollback(name, conf.main.values, section?.values);
      if (section === undefined || no !== undefined) return failure(255, `${no}\n`);
      const refused = lockedAnswer(conf);
      if (refused !== undefined) return refused;
      if (machine.running(args.vmid) !== undefined) machine.stop(args.vmid);
      const main = copySection(section);
      main.description = conf.main.description;
      keepUnused(conf.main.values, main.values);
      main.values.delete('snaptime');
      main.values.set('parent', name);
      machine.save(args.vmid, { ...conf, main, pending: newSection() });
      if (isTrue(args.options.get('start'))) machine.start(args.vmid);
      return answer('');
    }),
  );
}

type Values = ReadonlyMap<string, string>;

/** Asked before the lock. Source: `snapshot_rollback` of PVE::AbstractConfig. */
export function whyNoRollback(name: string, now: Values, then: Values | undefined) {
  if (now.get('template') === '1') return "you can't rollback if vm is a template";
  if (then === undefined) return `snapshot '${name}' does not exist`;
  const state = then.get('snapstate');
  if (state === undefined) return undefined;
  return `unable to rollback to incomplete snapshot (snapstate = ${state})`;
}

/** Volumes that no disk uses stay as they are. */
export function keepUnused(now: Values, then: Map<string, string>): void {
  const isUnused = ([key]: readonly [string, string]): boolean => /^unused\d+$/.test(key);
  for (const [key] of [...then].filter(isUnused)) then.delete(key);
  for (const [key, value] of [...now].filter(isUnused)) then.set(key, value);
}

const GIB_EXTENTS = 256;

/** Source: `resize_vm` of PVE::API2::LXC. */
export async function resize(context: CommandContext, args: Arguments): Promise<Answer> {
  const [, disk = '', size = ''] = args.values;
  const { machine } = context;
  return withLock(context, args.vmid, () =>
    withConf(context, args.vmid, (conf) => {
      const refused = lockedAnswer(conf);
      if (refused !== undefined) return refused;
      const digest = args.options.get('digest');
      if (digest !== undefined && digest !== digestOf(machine.files.read(args.vmid) ?? '')) {
        return failure(255, MODIFIED);
      }
      const grown = grownDisk(conf.main.values.get(disk), size);
      if (grown === undefined) return failure(255, `no such disk '${disk}'\n`);
      if (grown.toGib < grown.fromGib) return failure(255, 'unable to shrink disk size\n');
      if (grown.toGib === grown.fromGib) {
        return failure(255, 'disk is already at specified size\n');
      }
      conf.main.values.set(disk, grown.value);
      machine.save(args.vmid, conf);
      return answer(resizedWords(diskName(conf), grown));
    }),
  );
}

export const MODIFIED =
  'detected modified configuration - file changed by other user? Try again.\n';

interface Grown {
  readonly value: string;
  readonly fromGib: number;
  readonly toGib: number;
}

const UNIT_GIB: Readonly<Record<string, number>> = {
  '': 2 ** -30,
  K: 2 ** -20,
  M: 2 ** -10,
  G: 1,
  T: 2 ** 10,
};

/** In GiB. Source: `parse_size` of PVE::JSONSchema. */
function sizeGib(text: string | undefined): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text ?? '') ?? [];
  return number === undefined ? undefined : Number(number) * (UNIT_GIB[unit] ?? 1);
}

/** The largest unit that it is whole in, as `format_size` has it. */
function sizeText(gib: number): string {
  const unit = ['T', 'G', 'M', 'K'].find((each) => Number.isInteger(gib / (UNIT_GIB[each] ?? 1)));
  return `${gib / (UNIT_GIB[unit ?? ''] ?? 1)}${unit ?? ''}`;
}

/** A disk with so much more, or of that size; undefined: there is none, or it has no size. */
export function grownDisk(value: string | undefined, size: string): Grown | undefined {
  const fromGib = sizeGib(/(?:^|,)size=([^,]*)/.exec(value ?? '')?.[1]);
  const given = sizeGib(size.replace(/^\+/, ''));
  if (value === undefined || fromGib === undefined || given === undefined) return undefined;
  const toGib = size.startsWith('+') ? fromGib + given : given;
  return { value: value.replace(/size=[^,]*/, `size=${sizeText(toGib)}`), fromGib, toGib };
}

export const resizedWords = (name: string, { fromGib, toGib }: Grown): string => {
  const words = (gib: number): string => `${gib.toFixed(2)} GiB (${gib * GIB_EXTENTS} extents)`;
  const volume = `Logical volume pve/${name}`;
  return (
    `  Size of logical volume pve/${name} changed from ${words(fromGib)} to ${words(toGib)}.\n` +
    `  ${volume} successfully resized.\n`
  );
};
