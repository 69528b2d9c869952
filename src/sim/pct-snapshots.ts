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
      const refused = lockedAnswer(conf);
      if (refused !== undefined) return refused;
      const section = conf.snapshots.get(name);
      if (section === undefined) return failure(255, `snapshot '${name}' does not exist\n`);
      if (machine.running(args.vmid) !== undefined) machine.stop(args.vmid);
      const main = copySection(section);
      main.description = conf.main.description;
      main.values.delete('snaptime');
      main.values.set('parent', name);
      machine.save(args.vmid, { ...conf, main, pending: newSection() });
      if (isTrue(args.options.get('start'))) machine.start(args.vmid);
      return answer('');
    }),
  );
}

const GIB_EXTENTS = 256;

/** Only `+N` with its unit. Source: `resize_vm` of PVE::API2::LXC. */
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

/** A disk with so much more; undefined: there is none, or the size is not understood. */
export function grownDisk(value: string | undefined, size: string): Grown | undefined {
  const fromGib = Number(/(?:^|,)size=([0-9]+)G/.exec(value ?? '')?.[1]);
  const moreGib = Number(/^\+([0-9]+)G$/.exec(size)?.[1]);
  if (value === undefined || !(fromGib >= 0) || !(moreGib > 0)) return undefined;
  const toGib = fromGib + moreGib;
  return { value: value.replace(/size=[0-9]+G/, `size=${toGib}G`), fromGib, toGib };
}

export const resizedWords = (name: string, { fromGib, toGib }: Grown): string => {
  const words = (gib: number): string => `${gib.toFixed(2)} GiB (${gib * GIB_EXTENTS} extents)`;
  const volume = `Logical volume pve/${name}`;
  return (
    `  Size of logical volume pve/${name} changed from ${words(fromGib)} to ${words(toGib)}.\n` +
    `  ${volume} successfully resized.\n`
  );
};
