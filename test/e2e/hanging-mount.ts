import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { afterEach } from 'vitest';

/**
 * File systems that do not answer, as a stuck pmxcfs or an NFS server that is away: mounts of FUSE
 * behind which nobody is. They are seen only by what runs in a namespace of their own, so that the
 * test itself and the simulator never touch them. Needs root and `/dev/fuse`.
 */

export const whyNoHangingMounts = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'only root can mount';
  return existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse';
};

const open: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

export class HangingMounts {
  readonly #holder: ChildProcess;
  readonly #answerers = new Map<string, number>();

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async create(): Promise<HangingMounts> {
    const script = 'echo ready; exec sleep infinity';
    const argv = ['--mount', '--propagation', 'private', 'sh', '-c', script];
    const holder = spawn('unshare', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const mounts = new HangingMounts(holder);
    open.push(async () => {
      for (const fd of mounts.#answerers.values()) closeSync(fd);
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    });
    await once(holder.stdout as NodeJS.ReadableStream, 'data');
    return mounts;
  }

  /** What a command begins with that is to see these mounts. */
  get inside(): readonly string[] {
    return ['nsenter', '--target', `${this.#holder.pid}`, '--mount', '--'];
  }

  /** From now on nothing below `path` answers. */
  hang(path: string): void {
    const fd = openSync('/dev/fuse', 'r+');
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other';
    const argv = [...this.inside, 'mount', '-i', '-t', 'fuse', 'stuck', path, '-o', options];
    this.#run(argv, fd);
    this.#answerers.set(path, fd);
  }

  /** A file system of its own at `path`, which is none of a local disk. */
  mount(path: string): void {
    this.#run([...this.inside, 'mount', '-t', 'ramfs', 'share', path]);
  }

  /** Who waits there hears an error, and what was there before is seen again. */
  answer(path: string): void {
    const fd = this.#answerers.get(path);
    if (fd === undefined) return;
    closeSync(fd);
    this.#answerers.delete(path);
    this.#run([...this.inside, 'umount', '--lazy', path]);
  }

  #run([file = '', ...args]: readonly string[], fd?: number): void {
    const stdio = ['ignore', 'ignore', 'pipe', ...(fd === undefined ? [] : [fd])] as const;
    const { status, stderr } = spawnSync(file, args, { stdio: [...stdio] });
    if (status !== 0) throw new Error(`${[file, ...args].join(' ')}: ${stderr}`);
  }
}
