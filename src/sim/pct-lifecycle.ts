import { type Answer, type Arguments, answer, failure, isTrue } from './command-line.ts';
import {
  confText,
  copySection,
  descriptionLines,
  type GuestConf,
  newSection,
} from './guest-conf.ts';
import { hardwareAddress } from './guest-text.ts';
import {
  type CloneBehaviour,
  type CommandContext,
  lines,
  lockedAnswer,
  noConfiguration,
  withConf,
  withLock,
} from './pct-context.ts';

/** The `pct` commands that start, stop, make and destroy containers. */

/** Work of a task process: what it prints on stderr arrives on stdout. */
const asTask = (conf: GuestConf, stdout = ''): Answer => answer(lines(conf.warnings) + stdout);

export async function start(context: CommandContext, args: Arguments): Promise<Answer> {
  const { machine } = context;
  const { vmid } = args;
  if (machine.running(vmid) !== undefined) return failure(255, `CT ${vmid} already running\n`);
  return withLock(context, vmid, () => {
    const conf = machine.conf(vmid);
    if (conf === undefined) return noConfiguration(context, vmid, 255);
    const isMounted = conf.main.values.get('lock') === 'mounted';
    const refused = isMounted ? undefined : lockedAnswer(conf);
    if (refused !== undefined) return refused;
    if (isMounted) takeLockOff(context, vmid, 'mounted');
    if (conf.main.values.get('template') === '1') {
      return failure(255, `you can't start a CT if it's a template\n`);
    }
    machine.start(vmid);
    return asTask(conf);
  });
}

export async function stop(context: CommandContext, args: Arguments): Promise<Answer> {
  const { machine } = context;
  const { vmid } = args;
  if (machine.running(vmid) === undefined) return failure(255, `CT ${vmid} not running\n`);
  return withLock(context, vmid, () => {
    const conf = machine.conf(vmid);
    if (conf === undefined) return noConfiguration(context, vmid, 255);
    const refused = lockedAnswer(conf);
    if (refused !== undefined) return refused;
    machine.stop(vmid);
    return asTask(conf);
  });
}

export async function reboot(context: CommandContext, args: Arguments): Promise<Answer> {
  const stopped = await stop(context, args);
  if (stopped.exit === 0) context.machine.start(args.vmid);
  return stopped;
}

/** A mounted container is locked until it is unmounted, or started. */
export async function mount(context: CommandContext, args: Arguments): Promise<Answer> {
  const { vmid } = args;
  return withLock(context, vmid, () =>
    withConf(context, vmid, (conf) => {
      const refused = lockedAnswer(conf);
      if (refused !== undefined) return refused;
      conf.main.values.set('lock', 'mounted');
      context.machine.save(vmid, conf);
      return answer(`mounted CT ${vmid} in '/var/lib/lxc/${vmid}/rootfs'\n`);
    }),
  );
}

export async function unmount(context: CommandContext, args: Arguments): Promise<Answer> {
  takeLockOff(context, args.vmid, 'mounted');
  return answer('');
}

export async function unlock(context: CommandContext, args: Arguments): Promise<Answer> {
  return withLock(context, args.vmid, () =>
    withConf(context, args.vmid, (conf) => {
      if (!conf.main.values.delete('lock')) return failure(255, 'no lock found\n');
      context.machine.save(args.vmid, conf);
      return answer('');
    }),
  );
}

const volumeOf = (conf: GuestConf): string =>
  (conf.main.values.get('rootfs') ?? '').split(',')[0] ?? '';

/** A volume's name without its storage: `vm-101-disk-0`. */
const diskName = (conf: GuestConf): string => volumeOf(conf).split(/[:/]/).at(-1) ?? '';

export async function destroy(context: CommandContext, args: Arguments): Promise<Answer> {
  const { machine } = context;
  const { vmid } = args;
  return withLock(context, vmid, () =>
    withConf(context, vmid, (conf) => {
      const refused = lockedAnswer(conf);
      if (refused !== undefined) return refused;
      if (conf.main.values.get('protection') === '1') {
        return failure(255, `can't remove CT ${vmid} - protection mode enabled\n`);
      }
      if (machine.running(vmid) !== undefined && !isTrue(args.options.get('force'))) {
        return failure(255, `unable to destroy CT ${vmid} - container is running\n`);
      }
      machine.destroy(vmid);
      const purged = `purging CT ${vmid} from related configurations..\n`;
      const removed = `  Logical volume "${diskName(conf)}" successfully removed.\n`;
      return answer(removed + (isTrue(args.options.get('purge')) ? purged : ''));
    }),
  );
}

const THIN_PROTECTION = `\
  WARNING: You have not turned on protection against thin pools running out of space.
  WARNING: Set activation/thin_pool_autoextend_threshold below 100 to trigger automatic extension \
of thin pools before they get full.
`;
const THIN_SUM = `\
  WARNING: Sum of all thin volume sizes (15.00 GiB) exceeds the size of thin pool pve/data and the \
size of whole volume group (<8.00 GiB).
`;

const isInDirectory = (volume: string): boolean => volume.startsWith('local:');

/** What the storage prints while it makes the volume. */
function allocated(newid: number, target: string, thinWarnings: boolean): string {
  if (isInDirectory(target)) {
    const path = `/var/lib/vz/images/${newid}/vm-${newid}-disk-0.raw`;
    return `Formatting '${path}', fmt=raw size=1073741824 preallocation=off\n`;
  }
  const created = `  Logical volume "vm-${newid}-disk-0" created.\n`;
  return thinWarnings ? THIN_PROTECTION + created + THIN_SUM : created;
}

/** What a full copy of a root file system prints, by the storage, mkfs and rsync. */
const copyProgress = (source: string, made: string): string => `create full clone of mountpoint \
rootfs (${source})
${made}Creating filesystem with 1048576 4k blocks and 262144 inodes
Filesystem UUID: 00000000-0000-0000-0000-000000000000
Superblock backups stored on blocks: 
\t32768, 98304, 163840, 229376, 294912, 819200, 884736

Number of files: 9,078 (reg: 7,093, dir: 1,069, link: 916)
Number of created files: 9,076 (reg: 7,093, dir: 1,067, link: 916)
Number of deleted files: 0
Number of regular files transferred: 7,091
Total file size: 194,812,522 bytes
Total transferred file size: 190,990,520 bytes
Literal data: 190,990,520 bytes
Matched data: 0 bytes
File list size: 131,070
File list generation time: 0.010 seconds
File list transfer time: 0.000 seconds
Total bytes sent: 191,570,151
Total bytes received: 143,531

sent 191,570,151 bytes  received 143,531 bytes  10,362,901.73 bytes/sec
total size is 194,812,522  speedup is 1.02
`;

/** A clone keeps tags, onboot, limits, description and the static address of its source. */
function clonedConf(
  { machine, utf8 }: CommandContext,
  conf: GuestConf,
  newid: number,
  args: Arguments,
): GuestConf {
  const from = conf.snapshots.get(args.options.get('snapname') ?? '') ?? conf.main;
  const main = copySection(from);
  for (const key of ['lock', 'parent', 'snaptime', 'template']) main.values.delete(key);
  main.values.set('hostname', args.options.get('hostname') ?? `CT${newid}`);
  const description = args.options.get('description');
  if (description !== undefined) main.description = descriptionLines(description, utf8);
  const life = machine.livesOf(newid) + 1;
  for (const [key, value] of main.values) {
    const device = /^net(\d+)$/.exec(key)?.[1];
    if (device === undefined) continue;
    const address = hardwareAddress(newid, life + 16 * Number(device));
    main.values.set(key, value.replace(/hwaddr=[0-9A-F:]+/, `hwaddr=${address}`));
  }
  const size = /size=\w+/.exec(main.values.get('rootfs') ?? '')?.[0] ?? 'size=4G';
  const target = isInDirectory(volumeOf(conf))
    ? `local:${newid}/vm-${newid}-disk-0.raw`
    : `local-lvm:vm-${newid}-disk-0`;
  main.values.set('rootfs', `${target},${size}`);
  return { main, pending: newSection(), snapshots: new Map(), warnings: [] };
}

/** What runs in a clone once it is started: next to nothing. */
const idleDemand = () => ({ cpuCores: 0.01, anonMib: 30, fileSetMib: 20 });

/** Refusals that come before anything is done, or undefined. */
function cloneRefusal(
  context: CommandContext,
  args: Arguments,
  newid: number,
  conf: GuestConf,
): Answer | undefined {
  const { machine } = context;
  if (machine.files.takenIds().has(newid)) {
    const taken = `CT ${newid} already exists on node '${machine.options.nodeName}'\n`;
    return failure(255, lines(conf.warnings) + taken);
  }
  const snapname = args.options.get('snapname');
  if (snapname !== undefined && !conf.snapshots.has(snapname)) {
    return failure(255, `snapshot '${snapname}' does not exist\n`);
  }
  const refused = lockedAnswer(conf);
  if (refused !== undefined) return refused;
  const full = isTrue(args.options.get('full')) || conf.main.values.get('template') !== '1';
  if (full && snapname === undefined && machine.running(args.vmid) !== undefined) {
    return failure(2, 'Cannot do full clones on a running container without snapshots\n');
  }
  if (!full && isInDirectory(volumeOf(conf))) {
    return failure(2, `Linked clone feature for '${volumeOf(conf)}' is not available\n`);
  }
  return undefined;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const POLL_MS = 20;

/**
 * While it copies, the source has `lock: disk`. Of the clone there is at first only its
 * `lock: create`, then all but its root volume, and at last that too. Both locks go at the end;
 * with a failure the clone goes too.
 */
export async function clone(context: CommandContext, args: Arguments): Promise<Answer> {
  const { machine, cloneBehaviour } = context;
  const newid = Number(args.values[1]);
  const behaviour = cloneBehaviour?.(newid) ?? {};
  const { durationMs = 0, failure: fails, silent, thinWarnings = false } = behaviour;
  let copy: GuestConf | undefined;
  const begun = await withLock(context, args.vmid, () =>
    withConf(context, args.vmid, (conf) => {
      const refused = cloneRefusal(context, args, newid, conf);
      if (refused !== undefined) return refused;
      copy = clonedConf(context, conf, newid, args);
      const made = allocated(newid, volumeOf(copy), thinWarnings);
      const progress = silent === true ? '' : copyProgress(volumeOf(conf), made);
      const demand = machine.options.cloneDemand?.(newid) ?? idleDemand;
      const takesTime = durationMs > 0 || fails !== undefined;
      if (takesTime) {
        conf.main.values.set('lock', 'disk');
        machine.save(args.vmid, conf);
      }
      machine.add(newid, takesTime ? 'lock: create\n' : confText(copy), demand);
      const warned = lines(machine.conf(newid)?.warnings ?? []);
      return answer(progress + warned + warned + lines(conf.warnings));
    }),
  );
  if (copy === undefined || (durationMs === 0 && fails === undefined)) return begun;
  const isDone = await copied(context, newid, copy, behaviour);
  if (!isDone) return failure(255, 'interrupted\n');
  takeLockOff(context, args.vmid, 'disk');
  if (!isLocked(context, newid)) return failure(255, "Lost 'create' config lock, aborting.\n");
  if (fails === undefined) {
    takeLockOff(context, newid, 'create');
    return begun;
  }
  machine.destroy(newid);
  return { ...failure(fails.exit, fails.stderr), stdout: begun.stdout };
}

/** Returns whether it came to its end. */
async function copied(
  context: CommandContext,
  newid: number,
  copy: GuestConf,
  { durationMs = 0, diesWithCaller }: CloneBehaviour,
): Promise<boolean> {
  const { machine } = context;
  const rootfs = copy.main.values.get('rootfs') ?? '';
  copy.main.values.set('lock', 'create');
  machine.sync();
  await pause(Math.min(POLL_MS, durationMs));
  copy.main.values.delete('rootfs');
  if (isLocked(context, newid)) machine.save(newid, copy);
  machine.sync();
  const endMs = performance.now() + durationMs;
  while (performance.now() < endMs) {
    if (diesWithCaller === true && context.aborted()) return false;
    await pause(Math.min(POLL_MS, durationMs));
  }
  copy.main.values.set('rootfs', rootfs);
  if (isLocked(context, newid)) machine.save(newid, copy);
  return true;
}

/** Whether it is still there, and nobody has taken it in hand. */
const isLocked = ({ machine }: CommandContext, newid: number): boolean =>
  machine.conf(newid)?.main.values.get('lock') === 'create';

function takeLockOff({ machine }: CommandContext, vmid: number, lock: string): void {
  const conf = machine.conf(vmid);
  if (conf?.main.values.get('lock') !== lock) return;
  conf.main.values.delete('lock');
  machine.save(vmid, conf);
}
